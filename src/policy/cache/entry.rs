//! What is known of one domain's policy, and what has to be done to know it now (RFC 8461 §3.3, §5.1). Pure.
//!
//! ```text
//!            fresh answer                      another id, not backed off
//!   step ─┬────────────────► settle ─┬───────────────────────────────────► Fetch ─► fetched ─► StsState
//!         └► Ask ─► hear ───────▲     └► Ready: the live policy, else what the record says
//! ```
//!
//! The one thing that replaces a live policy is a fetched and valid one. A record that is gone, malformed or doubled,
//! a lookup or a fetch that fails leave it in force to the second of its expiry.
//!
//! Here is what is taken note of. `heard` knows what the records say, `step` what follows from all that, `worth` what
//! would be lost with it, `told` what an operator sees.

mod heard;
mod step;
mod told;
mod worth;

use std::sync::Arc;
use std::time::Instant;

use super::held::Held;
use crate::clock::Timestamp;
use crate::mtasts::fetch::FetchFailure;
use crate::mtasts::{Mode, Policy, PolicyId};
use crate::name::Domain;
use crate::policy::StsState;
use crate::store::StoredPolicy;
use crate::store::peers::{Known, Weighed, weigh};

use heard::Asked;
pub use heard::Heard;
#[cfg(test)]
pub(super) use heard::{ANSWER_LIFE, FAILURE_LIFE};
pub use step::Patience;
pub(super) use step::{BACK_OFF, Step};
pub use told::{Standing, Told, ToldFailure, ToldRecord};
pub(super) use worth::Worth;

/// Now, on both clocks: policies live by the wall, since they outlive the process; all else goes by the monotonic
/// one, which does not step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) wall: Timestamp,
    pub(super) instant: Instant,
}

/// One domain.
#[derive(Debug, Default)]
pub(super) struct Entry {
    held: Option<Held>,
    asked: Option<Asked>,
    /// Fetches that failed since one succeeded, the last first: as many as can begin before the first is too old to count.
    failed: Vec<Failed>,
    /// When the last fetches began, the latest first.
    begun: [Option<Instant>; RAPID_FETCHES],
    /// When it was last taken from the agenda.
    taken: Option<Instant>,
    /// Since when mail waits because no lookup has said whether a policy is announced.
    unknown_since: Option<Instant>,
    /// What is known of what the store holds.
    in_store: InStore,
}

/// What is known of what the store holds of a domain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum InStore {
    /// It has not been read.
    #[default]
    Unread,
    /// It is here.
    Read,
    /// There was a policy, the store has lost it, and the domain has not answered since.
    Lost,
}

/// A fetch that failed.
#[derive(Debug)]
struct Failed {
    id: PolicyId,
    at: Instant,
    why: FetchFailure,
}

/// What the store must be told.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Write {
    /// Nothing.
    Nothing,
    /// Keep this.
    Save(StoredPolicy),
    /// Forget the domain.
    Remove,
}

impl Entry {
    /// The policy that is held, whether it is still in force or not.
    pub(super) fn known(&self) -> Option<Known<'_>> {
        self.held.as_ref().map(Held::known)
    }

    /// Takes over what somebody else has fetched.
    pub(super) fn adopt(&mut self, stored: StoredPolicy) {
        self.held = Some(stored.into());
        self.failed.clear();
        self.find();
    }

    /// Takes note that the store has lost the policy. Until the domain has been heard anew it is not known whether it has
    /// one; what is in force here is known.
    pub(super) fn lose(&mut self, now: Moment) {
        if self.live(now).is_none() {
            self.in_store = InStore::Lost;
        }
    }

    /// The domain has been heard: what was lost is no more to be waited for.
    fn find(&mut self) {
        if self.is_lost() {
            self.in_store = InStore::Read;
        }
    }

    /// It has not been heard anew since.
    pub(super) fn is_lost(&self) -> bool {
        self.in_store == InStore::Lost
    }

    /// Takes over what the store holds, and that it holds nothing.
    pub(super) fn recall(&mut self, stored: Option<StoredPolicy>, now: Moment) {
        self.in_store = InStore::Read;
        // Something may have come meanwhile, and a shared store may tell of a policy twice: ours, and one that would
        // loosen it.
        if let Some(stored) = stored
            && (self.held.is_none()
                || weigh(self.known(), (&stored).into(), now.wall) == Weighed::Adopted)
        {
            self.adopt(stored);
        }
    }

    /// The store may hold a policy that is not here.
    pub(super) fn is_to_be_recalled(&self) -> bool {
        self.held.is_none() && self.in_store == InStore::Unread
    }

    /// Takes note of an answer. An expired policy is kept even when nothing is announced any more: that it has expired
    /// may be the fault of a clock that will be set right. It goes when room is needed.
    pub(super) fn hear(&mut self, heard: Heard, now: Moment) {
        if matches!(heard, Heard::Announced(_) | Heard::Silent(_)) {
            self.unknown_since = None;
        }
        self.asked = Some(Asked {
            at: now.instant,
            heard,
        });
    }

    /// Takes note that mail waits for the answer that has just come. What is asked ahead of all mail begins no wait: a
    /// lookup that fails then must not shorten the one for mail.
    pub(super) fn wait(&mut self, now: Moment) {
        let is_unknown = |asked: &Asked| matches!(asked.heard, Heard::Unknown(_));
        if self.asked.as_ref().is_some_and(is_unknown) {
            self.unknown_since.get_or_insert(now.instant);
        }
    }

    /// Takes note that a fetch begins.
    pub(super) fn begin(&mut self, now: Moment) {
        self.begun.rotate_right(1);
        self.begun[0] = Some(now.instant);
    }

    /// The id to fetch a policy anew under, whatever the records say: an attacker who hides them must not win by waiting
    /// for the expiry (RFC 8461 §10.2).
    pub(super) fn refresh_under(&self, now: Moment) -> Option<PolicyId> {
        let held = self.refreshable(now)?;
        match &self.asked {
            Some(Asked {
                heard: Heard::Announced(id),
                ..
            }) => Some(id.clone()),
            Some(_) | None => Some(held.id.clone()),
        }
    }

    /// It has been taken from the agenda, and will come again after a while.
    pub(super) const fn take(&mut self, now: Moment) {
        self.taken = Some(now.instant);
    }

    fn refreshable(&self, now: Moment) -> Option<&Held> {
        let held = self.held.as_ref()?;
        (held.is_live(now) || held.may_be_had_again()).then_some(held)
    }

    /// Takes note of what a fetch has brought.
    pub(super) fn fetched(
        &mut self,
        domain: &Domain,
        id: PolicyId,
        result: Result<Policy, FetchFailure>,
        (patience, now): (Patience, Moment),
    ) -> (StsState, Write) {
        match result {
            Ok(policy) => self.replace(domain, id, Arc::new(policy), now),
            Err(why) => {
                let at = now.instant;
                let failed = Failed {
                    id,
                    at,
                    why: why.clone(),
                };
                self.failed.insert(0, failed);
                self.failed.truncate(RAPID_FETCHES);
                (self.without(why, patience, now), Write::Nothing)
            }
        }
    }

    /// How it stands after a fetch that failed.
    fn without(&mut self, why: FetchFailure, patience: Patience, now: Moment) -> StsState {
        if let Some(held) = self.live(now) {
            return held.state(Some(why));
        }
        if let Some(held) = &mut self.held {
            held.forsaken = true;
        }
        if self.has_been_heard() {
            self.find();
        }
        self.unless_lost(match &self.asked {
            Some(asked) => self.unprotected(&asked.heard, patience, now),
            None => StsState::FetchFailed(why),
        })
    }

    /// DNS says that no policy is announced, and a fetch that just failed brought none.
    fn has_been_heard(&self) -> bool {
        let is_silent = |asked: &Asked| matches!(asked.heard, Heard::Silent(_));
        self.asked.as_ref().is_some_and(is_silent)
    }

    /// A policy with `max_age: 0` serves those who waited for it and nobody after them.
    fn replace(
        &mut self,
        domain: &Domain,
        id: PolicyId,
        policy: Arc<Policy>,
        now: Moment,
    ) -> (StsState, Write) {
        self.failed.clear();
        self.find();
        let held = self.held.insert(Held {
            policy,
            id,
            fetched: now.wall,
            forsaken: false,
        });
        let write = if held.is_brief() {
            Write::Remove
        } else {
            Write::Save(held.stored(domain))
        };
        (held.state(None), write)
    }

    /// When the policy is to be fetched anew, long before it expires (RFC 8461 §3.3); one that has expired meanwhile, once.
    pub(super) fn due(&self, domain: &Domain, now: Moment) -> Option<Instant> {
        let held = self.refreshable(now)?;
        let due = held.due(domain, now);
        let tried = self.taken.max(self.failed.first().map(|failed| failed.at));
        let again = tried.map(|tried| tried + held.pause());
        Some(again.map_or(due, |again| due.max(again)))
    }

    /// The end of the live policy.
    pub(super) fn expires(&self, now: Moment) -> Option<Timestamp> {
        self.live(now).map(Held::expires)
    }

    /// Is an enforced policy overdue for a refresh and near its end?
    pub(super) fn expires_soon(&self, now: Moment) -> bool {
        self.live(now)
            .is_some_and(|held| held.policy.mode == Mode::Enforce && held.expires_soon(now))
    }

    /// The mode of the live policy and when it ends.
    pub(super) fn in_force(&self, now: Moment) -> Option<(Mode, Timestamp)> {
        let held = self.live(now)?;
        Some((held.policy.mode, held.expires()))
    }

    pub(super) const fn is_stored(&self) -> bool {
        self.held.is_some()
    }

    fn live(&self, now: Moment) -> Option<&Held> {
        self.held.as_ref().filter(|held| held.is_live(now))
    }
}

/// Fetches of one domain within [`BACK_OFF`], whatever ids it announces: a policy that is published in haste and mended
/// twice is still noticed at once.
const RAPID_FETCHES: usize = 3;
