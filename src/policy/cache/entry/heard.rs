//! What the TXT records of a domain say, and how long that serves. Pure.

use std::time::{Duration, Instant};

use super::Moment;
use crate::dns::{Answer, Failure, Text};
use crate::mtasts::PolicyId;
use crate::mtasts::record::{NoRecord, announced};

/// The last answer to the TXT question.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) at: Instant,
    pub(super) heard: Heard,
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

impl Asked {
    pub(super) fn is_fresh(&self, now: Moment) -> bool {
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
pub(in crate::policy::cache) const ANSWER_LIFE: Duration = Duration::from_secs(60);

/// The same for a failed lookup: mail waits for the next one.
pub(in crate::policy::cache) const FAILURE_LIFE: Duration = Duration::from_secs(10);
