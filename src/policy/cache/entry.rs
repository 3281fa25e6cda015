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

mod told;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::clock::Timestamp;
use crate::dns::{Answer, Failure, Text};
use crate::mtasts::fetch::FetchFailure;
use crate::mtasts::record::{NoRecord, announced};
use crate::mtasts::{Mode, Policy, PolicyId};
use crate::name::Domain;
use crate::policy::StsState;
use crate::store::StoredPolicy;
use crate::store::peers::Known;

pub use told::{Told, ToldFailure, ToldRecord};

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
    failed: Option<Failed>,
}

/// The policy of the last successful fetch, perhaps expired.
#[derive(Debug)]
struct Held {
    policy: Arc<Policy>,
    id: PolicyId,
    fetched: Timestamp,
}

/// The last answer to the TXT question.
#[derive(Debug)]
struct Asked {
    at: Instant,
    heard: Heard,
}

/// What the TXT records say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A policy is announced.
    Announced(PolicyId),
    /// None is.
    Silent(NoRecord),
    /// It cannot be known.
    Unknown(Failure),
}

/// The last fetch that failed since one succeeded.
#[derive(Debug)]
struct Failed {
    id: PolicyId,
    at: Instant,
    why: FetchFailure,
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Step {
    /// Nothing: this is how it stands.
    Ready(StsState),
    /// Ask for the TXT records.
    Ask,
    /// Fetch the policy that is announced by this id.
    Fetch(PolicyId),
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

/// How much would be lost with an entry; what is least goes first when memory runs out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Worth {
    /// Answers that can be had again.
    Answers,
    /// A live policy that enforces nothing.
    Policy,
    /// A live policy in enforce mode.
    Enforced,
}

impl Entry {
    /// As the store remembers it.
    pub(super) fn restored(stored: StoredPolicy) -> Self {
        Self {
            held: Some(Held {
                policy: stored.policy,
                id: stored.id,
                fetched: stored.fetched,
            }),
            ..Self::default()
        }
    }

    /// The policy that is held, whether it is still in force or not.
    pub(super) fn known(&self) -> Option<Known<'_>> {
        let held = self.held.as_ref()?;
        Some(Known {
            policy: &held.policy,
            fetched: held.fetched,
        })
    }

    /// Takes over what somebody else has fetched.
    pub(super) fn adopt(&mut self, stored: StoredPolicy) {
        self.held = Self::restored(stored).held;
        self.failed = None;
    }

    /// What a session that needs the policy has to do.
    pub(super) fn step(&self, now: Moment) -> Step {
        match &self.asked {
            Some(asked) if asked.is_fresh(now) => self.settle(&asked.heard, now),
            Some(_) | None => Step::Ask,
        }
    }

    /// Takes note of an answer. An expired policy is kept even when nothing is announced any more: that it has expired
    /// may be the fault of a clock that will be set right. It goes when room is needed.
    pub(super) fn hear(&mut self, heard: Heard, now: Moment) {
        self.asked = Some(Asked {
            at: now.instant,
            heard,
        });
    }

    fn settle(&self, heard: &Heard, now: Moment) -> Step {
        match heard {
            Heard::Announced(id) => self.settle_announced(id, now),
            Heard::Silent(no_record) => Step::Ready(match self.live(now) {
                Some(held) => held.state(Some(FetchFailure::Fetch(no_record.to_string()))),
                None => StsState::None,
            }),
            Heard::Unknown(failure) => Step::Ready(match self.live(now) {
                Some(held) => held.state(Some(FetchFailure::Fetch(failure.to_string()))),
                // RFC 8461 has no word for a lookup that fails. It is not the failing fetch of RFC 8461 §3.3, which
                // needs a record; nothing says that there is none. Whoever can spoil one lookup must not be able to
                // switch protection off before it begins: the message waits, as it does when its MX lookup fails.
                None => StsState::Unknown(failure.clone()),
            }),
        }
    }

    fn settle_announced(&self, id: &PolicyId, now: Moment) -> Step {
        let failed = self.failed.as_ref().filter(|failed| failed.id == *id);
        match (self.live(now), failed) {
            (Some(held), _) if held.id == *id => {
                Step::Ready(held.state(failed.map(|failed| failed.why.clone())))
            }
            (Some(held), Some(failed)) if failed.keeps_off(BACK_OFF, now) => {
                Step::Ready(held.state(Some(failed.why.clone())))
            }
            (None, Some(failed)) if failed.keeps_off(BACK_OFF, now) => {
                Step::Ready(StsState::FetchFailed(failed.why.clone()))
            }
            (Some(_) | None, Some(_) | None) => Step::Fetch(id.clone()),
        }
    }

    /// The id to fetch a live policy anew under, whatever the records say: an attacker who hides them must not win by
    /// waiting for the expiry (RFC 8461 §10.2).
    pub(super) fn refresh_under(&self, now: Moment) -> Option<PolicyId> {
        let held = self.live(now)?;
        match &self.asked {
            Some(Asked {
                heard: Heard::Announced(id),
                ..
            }) => Some(id.clone()),
            Some(_) | None => Some(held.id.clone()),
        }
    }

    /// Takes note of what a fetch has brought.
    pub(super) fn fetched(
        &mut self,
        domain: &Domain,
        id: PolicyId,
        result: Result<Policy, FetchFailure>,
        now: Moment,
    ) -> (StsState, Write) {
        match result {
            Ok(policy) => self.replace(domain, id, Arc::new(policy), now),
            Err(why) => {
                let state = match self.live(now) {
                    Some(held) => held.state(Some(why.clone())),
                    None => StsState::FetchFailed(why.clone()),
                };
                let at = now.instant;
                self.failed = Some(Failed { id, at, why });
                (state, Write::Nothing)
            }
        }
    }

    /// A policy with `max_age: 0` serves those who waited for it and nobody after them.
    fn replace(
        &mut self,
        domain: &Domain,
        id: PolicyId,
        policy: Arc<Policy>,
        now: Moment,
    ) -> (StsState, Write) {
        self.failed = None;
        let write = if policy.max_age.is_zero() {
            Write::Remove
        } else {
            Write::Save(StoredPolicy {
                domain: domain.clone(),
                id: id.clone(),
                policy: Arc::clone(&policy),
                fetched: now.wall,
            })
        };
        let held = self.held.insert(Held {
            policy,
            id,
            fetched: now.wall,
        });
        (held.state(None), write)
    }

    /// How it stands when a discovery has broken off.
    pub(super) fn broken_off(&self, now: Moment) -> StsState {
        let failure = Failure::Unreachable("the discovery was broken off".to_owned());
        match self.live(now) {
            Some(held) => held.state(Some(FetchFailure::Fetch(failure.to_string()))),
            None => StsState::Unknown(failure),
        }
    }

    /// Is it time to fetch the policy anew, before it expires (RFC 8461 §3.3)?
    pub(super) fn is_due(&self, now: Moment) -> bool {
        self.live(now).is_some_and(|held| {
            let life = held.policy.max_age;
            let due = held.is_from_the_future(now)
                || now.wall.since(held.fetched) >= REFRESH_AFTER.min(life / 2);
            let pause = (life / 16).clamp(BACK_OFF, REFRESH_PAUSE);
            due && !self
                .failed
                .as_ref()
                .is_some_and(|failed| failed.keeps_off(pause, now))
        })
    }

    /// The mode of the live policy and when it ends.
    pub(super) fn in_force(&self, now: Moment) -> Option<(Mode, Timestamp)> {
        let held = self.live(now)?;
        Some((held.policy.mode, held.fetched.plus(held.policy.max_age)))
    }

    pub(super) fn worth(&self, now: Moment) -> Worth {
        match self.live(now).map(|held| held.policy.mode) {
            None => Worth::Answers,
            Some(Mode::None | Mode::Testing) => Worth::Policy,
            Some(Mode::Enforce) => Worth::Enforced,
        }
    }

    /// Octets, roughly.
    pub(super) fn weight(&self) -> usize {
        self.held.as_ref().map_or(0, |held| {
            // Each line of the text can be a pattern with an allocation of its own.
            held.policy.text.len() + 64 * held.policy.mx.len()
        })
    }

    pub(super) const fn is_stored(&self) -> bool {
        self.held.is_some()
    }

    fn live(&self, now: Moment) -> Option<&Held> {
        self.held
            .as_ref()
            .filter(|held| now.wall.since(held.fetched) < held.policy.max_age)
    }
}

impl Held {
    fn state(&self, refresh: Option<FetchFailure>) -> StsState {
        StsState::Live {
            policy: Arc::clone(&self.policy),
            refresh,
        }
    }

    /// The wall clock has stepped back since the fetch. The policy counts as fetched now, on and on, until the clock
    /// has caught up or a refresh, which is due at once, has brought a time that fits. The time of the fetch is kept: it
    /// is right again as soon as the clock is.
    fn is_from_the_future(&self, now: Moment) -> bool {
        self.fetched > now.wall
    }
}

impl Asked {
    fn is_fresh(&self, now: Moment) -> bool {
        let life = match self.heard {
            Heard::Announced(_) | Heard::Silent(_) => ANSWER_LIFE,
            Heard::Unknown(_) => FAILURE_LIFE,
        };
        now.instant.duration_since(self.at) < life
    }
}

impl Failed {
    fn keeps_off(&self, pause: Duration, now: Moment) -> bool {
        now.instant.duration_since(self.at) < pause
    }
}

impl From<Answer<Vec<Text>>> for Heard {
    fn from(answer: Answer<Vec<Text>>) -> Self {
        match answer {
            Answer::Failed(failure) => Self::Unknown(failure),
            Answer::Absent(_) => Self::Silent(NoRecord::None),
            Answer::Secure(_) | Answer::Insecure(_) => {
                match announced(answer.records().map_or(&[], Vec::as_slice)) {
                    Ok(id) => Self::Announced(id),
                    Err(no_record) => Self::Silent(no_record),
                }
            }
        }
    }
}

/// How long an answer serves before the records are asked for again: many sessions to one domain ask once a minute,
/// and a new policy is noticed within one.
pub(super) const ANSWER_LIFE: Duration = Duration::from_secs(60);

/// The same for a failed lookup: mail waits for the next one.
pub(super) const FAILURE_LIFE: Duration = Duration::from_secs(10);

/// RFC 8461 §3.3: after a failed fetch "senders SHOULD wait at least five minutes" for the same domain and id.
pub(super) const BACK_OFF: Duration = Duration::from_mins(5);

/// RFC 8461 §3.3: "a suggested refresh frequency is once per day". Half of a shorter life comes first.
const REFRESH_AFTER: Duration = Duration::from_hours(24);

/// The longest pause after a refresh that failed.
const REFRESH_PAUSE: Duration = Duration::from_hours(1);
