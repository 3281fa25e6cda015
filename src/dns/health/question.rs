//! What a probe asks, and how its answer is read.
//!
//! [`Finding::of`] is the only place that looks into the text of a failure: whether nothing but the time is wrong with
//! the root's own signatures. The root is signed anew every day for about two weeks, so when its signatures look out of
//! date, the clock that says so is far more likely to be wrong than the root. Of any other zone that cannot be said.

use std::fmt;
use std::str::FromStr;

use hickory_resolver::proto::rr::{Name, RecordType};

use super::state::{Finding, Skew};
use crate::dns::{Answer, Denial, Failure};

/// A name and a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    name: Name,
    record_type: RecordType,
}

/// Not a question.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a name and a record type, as \". SOA\", got {0:?}")]
pub struct NotAQuestion(String);

impl Question {
    /// The name, fully qualified.
    #[must_use]
    pub fn name(&self) -> String {
        self.name.to_ascii()
    }

    /// The type.
    #[must_use]
    pub fn record_type(&self) -> String {
        self.record_type.to_string()
    }
}

impl FromStr for Question {
    type Err = NotAQuestion;

    fn from_str(text: &str) -> Result<Self, NotAQuestion> {
        let read = || {
            let (name, record_type) = text.split_once(' ')?;
            let mut name = Name::from_ascii(name).ok()?;
            name.set_fqdn(true);
            let record_type: RecordType = record_type.parse().ok()?;
            // The rest are questions for a server, not for data.
            let is_data = !matches!(
                record_type,
                RecordType::ANY | RecordType::AXFR | RecordType::IXFR | RecordType::OPT
            );
            is_data.then_some(Self { name, record_type })
        };
        read().ok_or_else(|| NotAQuestion(text.to_owned()))
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name(), self.record_type)
    }
}

impl Finding {
    /// Reads the answer to a probe, and what the clock may have to do with it.
    #[must_use]
    pub fn of<T>(answer: &Answer<T>, skew: Option<Skew>) -> Self {
        match answer {
            Answer::Secure(_) => Self::Secure,
            Answer::Insecure(_) => Self::Insecure,
            Answer::Absent(absence) => match absence.denial {
                Denial::Secure => Self::ProvenAbsent,
                Denial::Insecure => Self::ClaimedAbsent,
            },
            Answer::Failed(Failure::Bogus(what)) => Self::Bogus {
                what: what.clone(),
                skew,
            },
            Answer::Failed(Failure::Unreachable(what)) => Self::Unreachable(what.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::dns::{Absence, AbsenceKind, Secure};

    #[test]
    fn a_question_is_a_name_and_a_type_and_comes_back_as_it_was_written() {
        for (text, shown) in [
            (". SOA", Some(". SOA")),
            ("dnssec-failed.org A", Some("dnssec-failed.org. A")),
            (
                "_25._tcp.mx.example. TLSA",
                Some("_25._tcp.mx.example. TLSA"),
            ),
            ("", None),
            (".", None),
            ("example.org", None),
            ("example.org NONSENSE", None),
            ("example.org ANY", None),
            ("example.org  A", None),
            ("a..b A", None),
        ] {
            let read = Question::from_str(text).ok();
            let read = read.map(|question| question.to_string());
            assert_eq!(read.as_deref(), shown, "{text:?}");
            if let Some(again) = read {
                assert!(Question::from_str(&again).is_ok(), "{again:?}");
            }
        }
    }

    #[test]
    fn the_five_outcomes_of_a_question_are_told_apart() {
        let absent = |denial| {
            Answer::Absent(Absence {
                kind: AbsenceKind::NxDomain,
                denial,
            })
        };
        let dead = || "SERVFAIL".to_owned();
        for (answer, expected) in [
            (
                Answer::Secure(Secure::asserted((), Timestamp::from_unix(0))),
                Finding::Secure,
            ),
            (Answer::Insecure(()), Finding::Insecure),
            (absent(Denial::Secure), Finding::ProvenAbsent),
            (absent(Denial::Insecure), Finding::ClaimedAbsent),
            (
                Answer::Failed(Failure::Unreachable(dead())),
                Finding::Unreachable(dead()),
            ),
        ] {
            assert_eq!(Finding::of(&answer, None), expected);
        }
    }
}
