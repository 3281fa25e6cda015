//! An entry for an operator: what is seen of it, and what may be done to it beside discoveries. Pure.

use std::time::Instant;

use super::{Asked, BACK_OFF, Entry, Heard, Moment};
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
    pub standing: Standing,
    /// The last answer to the TXT question.
    pub record: Option<ToldRecord>,
    /// The last fetch, if it failed.
    pub failed: Option<ToldFailure>,
}

/// How it stands with a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is in force.
    InForce,
    /// None is held, or its life is over.
    Not,
    /// The store has lost one, and the domain has not been heard anew since.
    Lost,
}

impl Told {
    /// Is the policy in force?
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.standing == Standing::InForce
    }
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
            standing: if self.live(now).is_some() {
                Standing::InForce
            } else if self.is_lost() {
                Standing::Lost
            } else {
                Standing::Not
            },
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
        let is_nothing = told.held.is_none()
            && told.record.is_none()
            && told.failed.is_none()
            && told.standing == Standing::Not;
        (!is_nothing).then_some(told)
    }

    /// What the store is to keep: the policy that is held, whether it is in force by this clock or not.
    pub(in crate::policy::cache) fn to_keep(&self, domain: &Domain) -> Option<StoredPolicy> {
        let held = self.held.as_ref().filter(|held| !held.is_brief());
        held.map(|held| held.stored(domain))
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

impl Moment {
    /// The wall time of an instant that has passed, as the wall counts now.
    fn wall_at(self, instant: Instant) -> Timestamp {
        let ago = self.instant.saturating_duration_since(instant);
        Timestamp::from_unix(self.wall.unix().saturating_sub(ago.as_secs()))
    }
}
