//! What an operator may see of the cache and do to it: look, fetch anew, forget, take over.

use super::StsCache;
use super::entry::{Entry, Told};
use super::errand::Errand;
use super::lost;
use crate::dns::Failure;
use crate::name::Domain;
use crate::store::peers::{Doubt, Idle, Weighed, weigh};
use crate::store::{Batch, Kind, Row, StoreError, StoredPolicy};

/// A domain before and after it was looked at anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refreshed {
    /// What was known.
    pub before: Option<Told>,
    /// What is.
    pub after: Option<Told>,
}

/// What would become of a policy that another node knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered {
    /// It would be held.
    Taken,
    /// It would add nothing.
    Idle(Idle),
    /// It may not be taken over.
    Refused(Doubt),
}

/// What has become of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is in memory.
    Held,
    /// Something newer is.
    Overtaken,
    /// Memory has no room for it: the store has it, where one lasts.
    Crowded,
}

impl StsCache {
    /// The domains with a policy, expired and lost ones too, in order.
    #[must_use]
    pub fn domains(&self) -> Vec<Domain> {
        let is_told = |entry: &Entry| entry.is_stored() || entry.is_lost();
        let mut domains = self.shared.lock().shelf.domains(is_told);
        domains.sort_unstable();
        domains
    }

    /// What is known of a domain.
    #[must_use]
    pub fn told(&self, domain: &Domain) -> Option<Told> {
        let now = self.shared.now();
        self.shared.lock().shelf.peek(domain).told(domain, now)
    }

    /// Asks for the records and fetches the policy now, back-off or not. A failure leaves what is in force in force.
    pub async fn refresh(&self, domain: &Domain) -> Refreshed {
        let before = self.told(domain);
        self.shared.run_anew(domain, Errand::Operator).await;
        Refreshed {
            before,
            after: self.told(domain),
        }
    }

    /// Forgets a domain, here and in the store: its next contact is a first one. Gives what was known.
    ///
    /// # Errors
    /// When the store cannot be written; nothing is forgotten then.
    pub async fn forget(&self, domain: &Domain) -> Result<Option<Told>, StoreError> {
        let before = self.told(domain);
        let gone = Row {
            kind: Kind::Policy,
            key: domain.to_string(),
            about: domain.to_string(),
            at: self.shared.now().wall,
            body: None,
        };
        let batch = Batch {
            rows: vec![gone],
            gone: vec![lost::marked(domain)],
            ..Batch::default()
        };
        self.shared.write_first(batch).await?;
        self.shared.lock().shelf.remove(domain);
        Ok(before)
    }

    /// What would become of a policy that another node knows.
    ///
    /// # Errors
    /// When it cannot be known what it would take the place of.
    pub async fn weigh(&self, offered: &StoredPolicy) -> Result<Offered, Failure> {
        self.shared.recall_aside(&offered.domain).await?;
        let now = self.shared.now().wall;
        let memory = self.shared.lock();
        let known = memory.shelf.peek(&offered.domain).known();
        Ok(match weigh(known, offered.into(), now) {
            Weighed::Adopted => Offered::Taken,
            Weighed::Ignored(idle) => Offered::Idle(idle),
            Weighed::Doubted(why) => Offered::Refused(why),
        })
    }

    /// Takes over policies that have been weighed: all of them or, when they cannot be written down, none. What a session
    /// has learnt meanwhile is weighed again and stays where it is more. Tells what has become of each.
    ///
    /// # Errors
    /// When the store cannot be written; nothing is taken over then.
    pub async fn take_over(&self, offered: Vec<StoredPolicy>) -> Result<Vec<Taken>, StoreError> {
        let rows = offered.iter().map(StoredPolicy::row).collect();
        let batch = Batch {
            rows,
            ..Batch::default()
        };
        self.shared.write_first(batch).await?;
        let mut after = Batch::default();
        for policy in &offered {
            let domain = policy.domain.clone();
            let now = self.shared.now();
            let mut memory = self.shared.lock();
            let (kept, batch) = self.shared.change(&mut memory, &domain, now, |entry| {
                if weigh(entry.known(), policy.into(), now.wall) == Weighed::Adopted {
                    entry.adopt(policy.clone());
                    return None;
                }
                entry.to_keep(&domain)
            });
            drop(memory);
            after.gone.extend(batch.gone);
            after.rows.extend(kept.map(|held| held.row()));
        }
        if after != Batch::default() {
            self.shared.write(after).await?;
        }
        let memory = self.shared.lock();
        let taken = offered
            .iter()
            .map(|one| match memory.shelf.peek(&one.domain).known() {
                Some(held) if held.fetched == one.fetched && *held.policy == *one.policy => {
                    Taken::Held
                }
                Some(_) => Taken::Overtaken,
                None => Taken::Crowded,
            });
        Ok(taken.collect())
    }
}
