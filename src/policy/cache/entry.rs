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

use super::held::Held;
use crate::clock::Timestamp;
use crate::dns::{Answer, Failure, Text};
use crate::mtasts::fetch::FetchFailure;
use crate::mtasts::record::{NoRecord, announced};
use crate::mtasts::{Mode, Policy, PolicyId};
use crate::name::Domain;
use crate::policy::StsState;
use crate::store::StoredPolicy;
use crate::store::peers::{Known, Weighed, weigh};

pub use told::{Standing, Told, ToldFailure, ToldRecord};

/// Now, on both clocks: policies live by the wall, since they outlive the process; all else goes by the monotonic
/// one, which does not step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) wall: Timestamp,
    pub(super) instant: Instant,
}

/// How long mail waits while it cannot be known whether a policy is announced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Patience {
    /// For as long as it cannot be known.
    #[default]
    Endless,
    /// So long for one domain; then it goes as if there were none, and that is told. Only where nobody answers: mail
    /// waits for as long as answers are bogus.
    Until(Duration),
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

/// A fetch that failed.
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
    /// A policy whose life is over, by a clock that may be wrong.
    Expired,
    /// A live policy of mode none.
    Withdrawn,
    /// A live policy in testing mode.
    Testing,
    /// A live policy in enforce mode.
    Enforced,
    /// There was a policy, perhaps an enforced one, and nobody knows it any more.
    Lost,
}

impl Worth {
    /// All of them, in the order of their declaration.
    pub(super) const ALL: [Self; 6] = [
        Self::Answers,
        Self::Expired,
        Self::Withdrawn,
        Self::Testing,
        Self::Enforced,
        Self::Lost,
    ];

    /// As in metrics.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Answers => "no-policy",
            Self::Expired => "expired",
            Self::Withdrawn => "none",
            Self::Testing => "testing",
            Self::Lost => "lost",
            Self::Enforced => "enforce",
        }
    }
}

impl Entry {
    /// As the store remembers it.
    pub(super) fn restored(stored: StoredPolicy) -> Self {
        Self {
            held: Some(Held {
                policy: stored.policy,
                id: stored.id,
                fetched: stored.fetched,
                forsaken: false,
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

    /// What a session that needs the policy has to do.
    pub(super) fn step(&self, patience: Patience, now: Moment) -> Step {
        let step = match &self.asked {
            Some(asked) if asked.is_fresh(now) => self.settle(&asked.heard, patience, now),
            Some(_) | None => Step::Ask,
        };
        match step {
            Step::Ready(state) => Step::Ready(self.unless_lost(state)),
            Step::Ask | Step::Fetch(_) => step,
        }
    }

    /// Nobody may say that there is no policy where one was lost.
    fn unless_lost(&self, state: StsState) -> StsState {
        match state {
            StsState::None | StsState::FetchFailed(_) if self.is_lost() => {
                StsState::Unknown(Failure::Unreachable(LOST.to_owned()))
            }
            StsState::None
            | StsState::FetchFailed(_)
            | StsState::Unknown(_)
            | StsState::Live { .. } => state,
        }
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

    fn settle(&self, heard: &Heard, patience: Patience, now: Moment) -> Step {
        if let Heard::Announced(id) = heard {
            return self.settle_announced(id, now);
        }
        if let Some(held) = self.live(now) {
            let why = match heard {
                Heard::Announced(_) => String::new(),
                Heard::Silent(no_record) => no_record.to_string(),
                Heard::Unknown(failure) => failure.to_string(),
            };
            return Step::Ready(held.state(Some(FetchFailure::Fetch(why))));
        }
        // A policy whose life is over is asked for once more before it counts as gone: it would not have been let
        // expire while its host can be reached, unless this host slept or its clock has jumped (attack STS-12).
        if let Some(held) = self.held.as_ref().filter(|held| held.may_be_had_again())
            && !self.is_backed_off(&held.id, now)
            && self.may_begin(now)
        {
            return Step::Fetch(held.id.clone());
        }
        if self.is_lost() {
            let id = PolicyId::stored(LOST_ID.to_owned());
            if !self.is_backed_off(&id, now) && self.may_begin(now) {
                return Step::Fetch(id);
            }
        }
        Step::Ready(self.unprotected(heard, patience, now))
    }

    /// How it stands without a live policy.
    fn unprotected(&self, heard: &Heard, patience: Patience, now: Moment) -> StsState {
        match heard {
            Heard::Announced(_) => {
                let failed = self.failed.first().map(|failed| failed.why.clone());
                StsState::FetchFailed(failed.unwrap_or_else(too_often))
            }
            Heard::Silent(_) => StsState::None,
            Heard::Unknown(failure) if self.is_patience_over(failure, patience, now) => {
                StsState::FetchFailed(FetchFailure::Fetch(format!("its record: {failure}")))
            }
            // RFC 8461 has no word for a lookup that fails. It is not the failing fetch of RFC 8461 §3.3, which
            // needs a record; nothing says that there is none. Whoever can spoil one lookup must not be able to
            // switch protection off before it begins: the message waits, as it does when its MX lookup fails.
            Heard::Unknown(failure) => StsState::Unknown(failure.clone()),
        }
    }

    /// Only silence is ever overcome by waiting: a forgery stays one.
    fn is_patience_over(&self, failure: &Failure, patience: Patience, now: Moment) -> bool {
        match (failure, patience, self.unknown_since) {
            (Failure::Unreachable(_), Patience::Until(most), Some(since)) => {
                now.instant.duration_since(since) >= most
            }
            (Failure::Unreachable(_) | Failure::Bogus(_), _, _) => false,
        }
    }

    fn settle_announced(&self, id: &PolicyId, now: Moment) -> Step {
        let why = self.failed_under(id).map(|failed| failed.why.clone());
        match self.live(now) {
            Some(held) if held.id == *id => Step::Ready(held.state(why)),
            Some(held) if self.is_backed_off(id, now) => Step::Ready(held.state(why)),
            None if self.is_backed_off(id, now) => {
                Step::Ready(StsState::FetchFailed(why.unwrap_or_else(too_often)))
            }
            Some(_) | None if self.may_begin(now) => Step::Fetch(id.clone()),
            // Whoever announces another policy each time is served with the last one, be its life over or never begun.
            Some(_) | None => Step::Ready(match (&self.held, self.failed.first()) {
                (Some(held), _) if self.live(now).is_some() || held.is_brief() => {
                    held.state(Some(too_often()))
                }
                (Some(_) | None, Some(failed)) => StsState::FetchFailed(failed.why.clone()),
                (Some(_) | None, None) => StsState::FetchFailed(too_often()),
            }),
        }
    }

    /// RFC 8461 §3.3: not so soon again for one id.
    fn is_backed_off(&self, id: &PolicyId, now: Moment) -> bool {
        self.failed_under(id)
            .is_some_and(|failed| now.instant.duration_since(failed.at) < BACK_OFF)
    }

    fn failed_under(&self, id: &PolicyId) -> Option<&Failed> {
        self.failed.iter().find(|failed| failed.id == *id)
    }

    /// Nor more than a few times for all ids together: a domain is not to make us fetch at each contact by announcing
    /// another one each time.
    fn may_begin(&self, now: Moment) -> bool {
        let [.., earliest] = self.begun;
        earliest.is_none_or(|begun| now.instant.duration_since(begun) >= BACK_OFF)
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
            forsaken: false,
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

    pub(super) fn worth(&self, now: Moment) -> Worth {
        match (self.live(now), &self.held) {
            (None, _) if self.is_lost() => Worth::Lost,
            (None, None) => Worth::Answers,
            (None, Some(_)) => Worth::Expired,
            (Some(held), _) => match held.policy.mode {
                Mode::None => Worth::Withdrawn,
                Mode::Testing => Worth::Testing,
                Mode::Enforce => Worth::Enforced,
            },
        }
    }

    /// Octets, roughly.
    pub(super) fn weight(&self) -> usize {
        self.held.as_ref().map_or(0, |held| {
            // Each line of the text can be a pattern with an allocation of its own.
            held.policy.text.len() + 64 * held.policy.mx.len()
        })
    }

    /// It holds a policy in enforce mode, live or not.
    pub(super) fn would_enforce(&self) -> bool {
        self.held
            .as_ref()
            .is_some_and(|held| held.policy.mode == Mode::Enforce && !held.is_brief())
    }

    pub(super) const fn is_stored(&self) -> bool {
        self.held.is_some()
    }

    fn live(&self, now: Moment) -> Option<&Held> {
        self.held.as_ref().filter(|held| held.is_live(now))
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

/// Fetches of one domain within [`BACK_OFF`], whatever ids it announces: a policy that is published in haste and mended
/// twice is still noticed at once.
const RAPID_FETCHES: usize = 3;

const LOST: &str = "the store was damaged and has lost the policy of this domain, which has not been heard anew yet";

/// What a policy is fetched under where none is announced and the one that was held is lost.
const LOST_ID: &str = "lost";

fn too_often() -> FetchFailure {
    FetchFailure::Fetch("the record announces another policy too often".to_owned())
}
