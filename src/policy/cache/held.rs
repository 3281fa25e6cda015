//! A policy that was fetched, and its life: when it ends, when it is to be fetched anew (RFC 8461 §3.2, §10.2). Pure.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::entry::{BACK_OFF, Moment};
use crate::clock::Timestamp;
use crate::mtasts::fetch::FetchFailure;
use crate::mtasts::{Policy, PolicyId};
use crate::name::Domain;
use crate::policy::StsState;
use crate::store::StoredPolicy;
use crate::store::peers::Known;

/// The policy of the last successful fetch, perhaps expired.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) policy: Arc<Policy>,
    pub(super) id: PolicyId,
    pub(super) fetched: Timestamp,
    /// It has expired, was asked for once more, and could not be had.
    pub(super) forsaken: bool,
}

impl From<StoredPolicy> for Held {
    fn from(stored: StoredPolicy) -> Self {
        Self {
            policy: stored.policy,
            id: stored.id,
            fetched: stored.fetched,
            forsaken: false,
        }
    }
}

impl Held {
    /// To be written.
    pub(super) fn stored(&self, domain: &Domain) -> StoredPolicy {
        StoredPolicy {
            domain: domain.clone(),
            id: self.id.clone(),
            policy: Arc::clone(&self.policy),
            fetched: self.fetched,
        }
    }

    /// To be weighed.
    pub(super) fn known(&self) -> Known<'_> {
        Known {
            policy: &self.policy,
            fetched: self.fetched,
        }
    }

    pub(super) fn state(&self, refresh: Option<FetchFailure>) -> StsState {
        StsState::Live {
            policy: Arc::clone(&self.policy),
            refresh,
        }
    }

    /// Its life, counted from the fetch, is not over.
    pub(super) fn is_live(&self, now: Moment) -> bool {
        self.known().is_in_force(now.wall)
    }

    /// When it is to be fetched anew.
    pub(super) fn due(&self, domain: &Domain, now: Moment) -> Instant {
        if self.is_from_the_future(now) || !self.is_live(now) {
            return now.instant;
        }
        let age = now.wall.since(self.fetched);
        now.instant + self.refresh_after(domain).saturating_sub(age)
    }

    /// It should have been fetched anew, and its end is near.
    pub(super) fn expires_soon(&self, now: Moment) -> bool {
        let life = self.policy.max_age;
        now.wall.since(self.fetched) >= REFRESH_AFTER.min(life / 2)
            && self.expires().since(now.wall) <= LONGEST_NOTICE.min(life / 4)
    }

    pub(super) fn expires(&self) -> Timestamp {
        self.fetched.plus(self.policy.max_age)
    }

    /// A life of nothing: it served those who waited for it.
    pub(super) fn is_brief(&self) -> bool {
        self.policy.max_age.is_zero()
    }

    pub(super) fn may_be_had_again(&self) -> bool {
        !self.forsaken && !self.is_brief()
    }

    /// A day, or half of a shorter life, and up to a quarter less: what was fetched at once, as after a start with a
    /// long list, is not fetched at once again.
    fn refresh_after(&self, domain: &Domain) -> Duration {
        let longest = REFRESH_AFTER.min(self.policy.max_age / 2);
        let mut hasher = DefaultHasher::new();
        (domain, self.fetched).hash(&mut hasher);
        let [share, ..] = hasher.finish().to_le_bytes();
        longest - longest / 4 * u32::from(share) / 255
    }

    /// From one refresh that fails to the next.
    pub(super) fn pause(&self) -> Duration {
        (self.policy.max_age / 16).clamp(BACK_OFF, REFRESH_PAUSE)
    }

    /// The wall clock has stepped back since the fetch. The policy counts as fetched now, on and on, until the clock
    /// has caught up or a refresh, which is due at once, has brought a time that fits. The time of the fetch is kept: it
    /// is right again as soon as the clock is.
    fn is_from_the_future(&self, now: Moment) -> bool {
        self.fetched > now.wall
    }
}

/// RFC 8461 §3.3: "a suggested refresh frequency is once per day". Half of a shorter life comes first.
const REFRESH_AFTER: Duration = Duration::from_hours(24);

/// The longest pause after a refresh that failed.
const REFRESH_PAUSE: Duration = Duration::from_hours(1);

/// How long before its end the operator hears of a policy that cannot be refreshed, at most; a quarter of a shorter life.
pub(super) const LONGEST_NOTICE: Duration = Duration::from_hours(72);
