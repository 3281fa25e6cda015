//! What a session that needs the policy of a domain has to do, and how it stands when nothing is to be done. Pure.

use std::fmt::Display;
use std::time::Duration;

use super::{Entry, Failed, Heard, Moment};
use crate::dns::Failure;
use crate::mtasts::PolicyId;
use crate::mtasts::fetch::FetchFailure;
use crate::policy::StsState;

/// What comes next.
#[derive(Debug)]
pub(in crate::policy::cache) enum Step {
    /// Nothing: this is how it stands.
    Ready(StsState),
    /// Ask for the TXT records.
    Ask,
    /// Fetch the policy that is announced by this id.
    Fetch(PolicyId),
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

impl Entry {
    /// What a session that needs the policy has to do.
    pub(in crate::policy::cache) fn step(&self, patience: Patience, now: Moment) -> Step {
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
    pub(super) fn unless_lost(&self, state: StsState) -> StsState {
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

    fn settle(&self, heard: &Heard, patience: Patience, now: Moment) -> Step {
        let why: &dyn Display = match heard {
            Heard::Announced(id) => return self.settle_announced(id, now),
            Heard::Silent(no_record) => no_record,
            Heard::Unknown(failure) => failure,
        };
        if let Some(held) = self.live(now) {
            return Step::Ready(held.state(Some(FetchFailure::Fetch(why.to_string()))));
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
    pub(super) fn unprotected(&self, heard: &Heard, patience: Patience, now: Moment) -> StsState {
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

    /// How it stands when a discovery has broken off.
    pub(in crate::policy::cache) fn broken_off(&self, now: Moment) -> StsState {
        let failure = Failure::Unreachable("the discovery was broken off".to_owned());
        match self.live(now) {
            Some(held) => held.state(Some(FetchFailure::Fetch(failure.to_string()))),
            None => StsState::Unknown(failure),
        }
    }
}

/// RFC 8461 §3.3: after a failed fetch "senders SHOULD wait at least five minutes" for the same domain and id.
pub(in crate::policy::cache) const BACK_OFF: Duration = Duration::from_mins(5);

const LOST: &str = "the store was damaged and has lost the policy of this domain, which has not been heard anew yet";

/// What a policy is fetched under where none is announced and the one that was held is lost.
const LOST_ID: &str = "lost";

fn too_often() -> FetchFailure {
    FetchFailure::Fetch("the record announces another policy too often".to_owned())
}
