//! Policies that others have written: adopted where they only add (`store::peers`), else a reason to ask the domain.

use std::sync::Arc;

use tracing::{debug, error, info, warn};

use super::discovery::{Cache, StsCache};
use super::entry::{Entry, Moment};
use super::lost;
use crate::name::Domain;
use crate::store::peers::{Doubt, Weighed, is_ahead, weigh};
use crate::store::{Batch, Follows, Kind, Revision, Row, StoredPolicy};

impl StsCache {
    /// To be told of what others write to the store.
    #[must_use]
    pub fn follows(&self) -> Arc<dyn Follows> {
        self.shared.clone()
    }

    /// Up to where the store has been read.
    #[must_use]
    pub fn loaded(&self) -> Revision {
        self.shared.loaded
    }
}

impl Follows for Cache {
    fn kind(&self) -> Kind {
        Kind::Policy
    }

    fn heard(&self, row: Row) {
        match StoredPolicy::read(&row) {
            Ok(Some(stored)) => self.weigh(stored),
            Ok(None) => self.forget(&row),
            // What is held stays in force.
            Err(error) => error!(%error, "a policy in the store is passed over"),
        }
    }
}

impl Cache {
    fn weigh(&self, heard: StoredPolicy) {
        let now = self.now();
        let domain = heard.domain.clone();
        let recalled = self.recall(&domain);
        let mut memory = self.lock();
        let known = memory.shelf.get(&domain).known();
        let weighed = match recalled {
            Ok(()) => weigh(known, (&heard).into(), now.wall),
            // Nobody knows what it would loosen.
            Err(error) => {
                warn!(%domain, %error, "what the store holds of the domain cannot be read");
                Weighed::Doubted(Doubt::Mode)
            }
        };
        match weighed {
            Weighed::Ignored(_) => {}
            Weighed::Doubted(why) => {
                debug!(%domain, %why, "another node's MTA-STS policy is not adopted: the domain is asked");
                memory.doubted.push(domain);
                self.doubts.notify_one();
            }
            Weighed::Adopted => {
                debug!(%domain, "another node's MTA-STS policy is adopted");
                memory.overtake(&domain, heard.fetched);
                let ((), batch) =
                    self.change(&mut memory, &domain, now, |entry| entry.adopt(heard));
                drop(memory);
                self.let_go(batch);
            }
        }
    }

    /// An operator's word, unless a fetch has come after it.
    fn forget(&self, row: &Row) {
        let Ok(domain) = row.key.parse::<Domain>() else {
            error!(
                key = row.key,
                "a forgotten policy of no domain is passed over"
            );
            return;
        };
        let now: Moment = self.now();
        if is_ahead(row.at, now.wall) {
            warn!(
                %domain,
                seconds = row.at.since(now.wall).as_secs(),
                "a command to forget this domain's MTA-STS policy is from a time that has not come, and is passed over: set \
                the clocks right and give it again"
            );
            return;
        }
        let noticed = lost::noticed(&*self.store, &domain);
        let mut memory = self.lock();
        memory.overtake(&domain, row.at);
        let entry = memory.shelf.get(&domain);
        let is_meant = if entry.is_lost() {
            // Not a loss that was noticed later.
            noticed.is_ok_and(|noticed| noticed.is_none_or(|noticed| noticed <= row.at))
        } else {
            entry.known().is_some_and(|known| known.fetched <= row.at)
        };
        if !is_meant {
            return;
        }
        let ((), batch) = self.change(&mut memory, &domain, now, |entry| {
            *entry = Entry::default();
        });
        drop(memory);
        info!(%domain, "the MTA-STS policy is forgotten, as an operator has asked for");
        self.let_go(batch);
    }

    /// Blocks.
    pub(super) fn let_go(&self, batch: Batch) {
        if let Err(error) = self.write_now(batch) {
            warn!(%error, "MTA-STS policies that were crowded out are still in the store");
        }
    }
}
