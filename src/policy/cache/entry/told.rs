//! An entry for an operator: what is seen of it, and what may be done to it beside discoveries. Pure.

use std::sync::Arc;
use std::time::Instant;

use super::{Asked, BACK_OFF, Entry, Heard, Held, Moment};
use crate::clock::Timestamp;
use crate::mtasts::PolicyId;
use crate::mtasts::fetch::FetchFailure;
use crate::name::Domain;
use crate::store::StoredPolicy;

/// An entry as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The policy of the last successful fetch, perhaps expired.
    pub held: Option<StoredPolicy>,
    /// Whether it is in force.
    pub is_live: bool,
    /// The last answer to the TXT question.
    pub record: Option<ToldRecord>,
    /// The last fetch, if it failed.
    pub failed: Option<ToldFailure>,
}

/// An answer to the TXT question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToldRecord {
    /// When.
    pub at: Timestamp,
    /// What the records say.
    pub heard: Heard,
    /// When, as durations go.
    pub instant: Instant,
}

/// A fetch that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToldFailure {
    /// The id that was announced.
    pub id: PolicyId,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub why: FetchFailure,
    /// No session causes another fetch under this id before.
    pub backs_off_until: Timestamp,
}

impl Entry {
    /// All that is known; none when that is nothing.
    pub(in crate::policy::cache) fn told(&self, domain: &Domain, now: Moment) -> Option<Told> {
        let told = Told {
            held: self.held.as_ref().map(|held| held.stored(domain)),
            is_live: self.live(now).is_some(),
            record: self.asked.as_ref().map(|asked| ToldRecord {
                at: now.wall_at(asked.at),
                heard: asked.heard.clone(),
                instant: asked.at,
            }),
            failed: self.failed.first().map(|failed| ToldFailure {
                id: failed.id.clone(),
                at: now.wall_at(failed.at),
                why: failed.why.clone(),
                backs_off_until: now.wall_at(failed.at).plus(BACK_OFF),
            }),
        };
        let is_nothing = told.held.is_none() && told.record.is_none() && told.failed.is_none();
        (!is_nothing).then_some(told)
    }

    /// The policy in force.
    pub(in crate::policy::cache) fn in_force_of(
        &self,
        domain: &Domain,
        now: Moment,
    ) -> Option<StoredPolicy> {
        self.live(now).map(|held| held.stored(domain))
    }

    /// The id to fetch under when an operator wants it done now, back-off or not: the one announced, else the one held.
    pub(in crate::policy::cache) fn fetch_under(&self, now: Moment) -> Option<PolicyId> {
        match &self.asked {
            Some(Asked {
                heard: Heard::Announced(id),
                ..
            }) => Some(id.clone()),
            Some(_) | None => self.refresh_under(now),
        }
    }
}

impl Held {
    fn stored(&self, domain: &Domain) -> StoredPolicy {
        StoredPolicy {
            domain: domain.clone(),
            id: self.id.clone(),
            policy: Arc::clone(&self.policy),
            fetched: self.fetched,
        }
    }
}

impl Moment {
    /// The wall time of an instant that has passed, as the wall counts now.
    fn wall_at(self, instant: Instant) -> Timestamp {
        let ago = self.instant.saturating_duration_since(instant);
        Timestamp::from_unix(self.wall.unix().saturating_sub(ago.as_secs()))
    }
}
