//! One discovery: the IO that `entry` asks for. What it learns is in force first and written down then.

use std::sync::Arc;

use tracing::{debug, warn};

use super::discovery::Cache;
use super::entry::{Entry, Heard, Moment, Step, Write};
use crate::mtasts::fetch::FetchFailure;
use crate::mtasts::{Mode, NoRecord, PolicyId};
use crate::name::Domain;
use crate::policy::StsState;
use crate::store::{Batch, StoredPolicy};

/// Why a discovery is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Errand {
    /// A session must know.
    Session,
    /// A session may want to know soon.
    Ahead,
    /// A session was refused: is there a newer policy?
    Newer,
    /// The policy grows old.
    Refresh,
    /// An operator wants it anew.
    Operator,
}

/// One discovery; its end, however it comes, clears the way for the next.
pub(super) struct Discovery {
    pub(super) cache: Arc<Cache>,
    pub(super) domain: Domain,
    pub(super) errand: Errand,
}

impl Drop for Discovery {
    fn drop(&mut self) {
        self.cache.land(&self.domain);
    }
}

impl Discovery {
    pub(super) async fn run(self) -> StsState {
        let recalled = self.cache.recall_aside(&self.domain).await;
        let state = self.discover().await;
        match (recalled, state) {
            // What is in force there cannot be known: it is not said that nothing is.
            (Err(failure), StsState::None | StsState::FetchFailed(_) | StsState::Unknown(_)) => {
                StsState::Unknown(failure)
            }
            (Ok(()) | Err(_), state) => state,
        }
    }

    async fn discover(&self) -> StsState {
        let first = match self.errand {
            Errand::Session | Errand::Ahead => {
                let (patience, now) = (self.cache.sources().patience, self.cache.now());
                let mut memory = self.cache.lock();
                memory.shelf.get(&self.domain).step(patience, now)
            }
            Errand::Newer | Errand::Refresh | Errand::Operator => Step::Ask,
        };
        let next = match first {
            Step::Ask => self.ask().await,
            Step::Ready(_) | Step::Fetch(_) => first,
        };
        match next {
            Step::Fetch(id) => self.fetch(id).await,
            Step::Ready(state) => state,
            // An answer that has just come is fresh.
            Step::Ask => self.cache.broken_off(&self.domain),
        }
    }

    async fn ask(&self) -> Step {
        // No parent domain and no public suffix is ever asked (RFC 8461 §3.4).
        let heard = match self.domain.name().prefixed("_mta-sts") {
            Ok(name) => Heard::from(self.cache.sources().lookup.txt(&name).await.answer),
            // No such name can exist.
            Err(_) => Heard::Silent(NoRecord::None),
        };
        debug!(domain = %self.domain, ?heard, "MTA-STS record");
        let (errand, patience) = (self.errand, self.cache.sources().patience);
        self.change(|entry, now| {
            entry.hear(heard, now);
            if matches!(errand, Errand::Session | Errand::Newer) {
                entry.wait(now);
            }
            let id = match errand {
                Errand::Session | Errand::Ahead | Errand::Newer => None,
                Errand::Refresh => entry.refresh_under(now),
                Errand::Operator => entry.fetch_under(now),
            };
            let step = id.map_or_else(|| entry.step(patience, now), Step::Fetch);
            (step, Write::Nothing)
        })
        .await
    }

    async fn fetch(&self, id: PolicyId) -> StsState {
        self.change(|entry, now| (entry.begin(now), Write::Nothing))
            .await;
        let result = self.cache.sources().fetch.fetch(&self.domain).await;
        self.cache.tally.fetched(&result);
        debug!(domain = %self.domain, id = id.as_str(), ok = result.is_ok(), "MTA-STS policy");
        if let Err(failure) = &result {
            self.alert(failure);
        }
        let patience = self.cache.sources().patience;
        self.change(|entry, now| entry.fetched(&self.domain, id, result, (patience, now)))
            .await
    }

    /// RFC 8461 §3.3: administrators are to hear of refreshes that fail, unless the cached mode is none.
    fn alert(&self, failure: &FetchFailure) {
        let now = self.cache.now();
        let in_force = self.cache.lock().shelf.get(&self.domain).in_force(now);
        match in_force {
            Some((Mode::Enforce | Mode::Testing, until)) => warn!(
                domain = %self.domain,
                %failure,
                remaining_seconds = until.since(now.wall).as_secs(),
                "the MTA-STS policy cannot be refreshed; the cached one stays in force until it expires"
            ),
            Some((Mode::None, _)) | None => {}
        }
    }

    /// Changes the entry, then the store: a policy is in force even if it cannot be written down.
    async fn change<T>(&self, change: impl FnOnce(&mut Entry, Moment) -> (T, Write)) -> T {
        let now = self.cache.now();
        let ((result, write), mut batch) =
            self.cache
                .change(&mut self.cache.lock(), &self.domain, now, |entry| {
                    change(entry, now)
                });
        match write {
            Write::Nothing => self.write(batch, None).await,
            Write::Save(policy) => {
                batch.rows.push(policy.row());
                self.write(batch, Some(policy)).await;
            }
            Write::Remove => {
                self.cache.lock().unwritten.remove(&self.domain);
                batch.gone.extend(Batch::removing([&self.domain]).gone);
                self.write(batch, None).await;
            }
        }
        result
    }

    async fn write(&self, batch: Batch, learnt: Option<StoredPolicy>) {
        if batch == Batch::default() {
            return;
        }
        let Err(error) = self.cache.write(batch).await else {
            return;
        };
        warn!(
            domain = %self.domain,
            %error,
            "an MTA-STS policy is in force but not written down: until it is, a restart would forget it"
        );
        if let Some(policy) = learnt {
            let mut memory = self.cache.lock();
            memory.unwritten.insert(self.domain.clone(), policy);
        }
    }
}
