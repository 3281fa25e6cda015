//! What a probe asks, and how its answer is read.
//!
//! [`Finding::of`] is the only place that looks into the text of a failure: whether nothing but the time is wrong with
//! the root's own signatures. The root is signed anew every day for about two weeks, so when its signatures look out of
//! date, the clock that says so is far more likely to be wrong than the root. Of any other zone that cannot be said.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use hickory_resolver::proto::rr::{Name, RecordType};

use super::state::{Direction, Finding, Skew};
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
    /// Reads the answer to a probe.
    #[must_use]
    pub fn of<T>(answer: &Answer<T>) -> Self {
        match answer {
            Answer::Secure(_) => Self::Secure,
            Answer::Insecure(_) => Self::Insecure,
            Answer::Absent(absence) => match absence.denial {
                Denial::Secure => Self::ProvenAbsent,
                Denial::Insecure => Self::ClaimedAbsent,
            },
            Answer::Failed(Failure::Bogus(what)) => Self::Bogus {
                what: what.clone(),
                skew: skew(what),
            },
            Answer::Failed(Failure::Unreachable(what)) => Self::Unreachable(what.clone()),
        }
    }
}

/// Reads `. SOA: the signature has expired, 86400 s ago` and its counterpart.
fn skew(what: &str) -> Option<Skew> {
    const ROOT: &str = ". ";
    let (_, flaw) = what.strip_prefix(ROOT)?.split_once(": ")?;
    let (direction, rest) = [
        (Direction::Ahead, "the signature has expired, "),
        (
            Direction::Behind,
            "the signature is not valid yet, for another ",
        ),
    ]
    .iter()
    .find_map(|(direction, words)| Some((*direction, flaw.strip_prefix(words)?)))?;
    let (seconds, _) = rest.split_once(" s")?;
    Some(Skew {
        direction,
        at_least: Duration::from_secs(seconds.parse().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use hickory_resolver::proto::rr::RecordType;

    use super::*;
    use crate::clock::Timestamp;
    use crate::dns::proof::Flaw;
    use crate::dns::trouble::Trouble;
    use crate::dns::{Absence, AbsenceKind, Secure};

    const HOUR: Duration = Duration::from_hours(1);

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
    fn dns_22_only_the_roots_own_signatures_speak_of_the_clock() {
        let bogus = |zone: &str, flaw: Flaw| {
            let zone = Name::from_ascii(zone).unwrap();
            let text = Trouble::bogus(&zone, RecordType::SOA, flaw).to_string();
            Answer::<()>::Failed(Failure::Bogus(text))
        };
        for (what, answer, expected) in [
            (
                "expired by our clock",
                bogus(".", Flaw::Expired { ago: HOUR }),
                Some(Direction::Ahead),
            ),
            (
                "not valid yet",
                bogus(".", Flaw::NotYetValid { until: HOUR }),
                Some(Direction::Behind),
            ),
            (
                "somebody forgot to sign",
                bogus("example.", Flaw::Expired { ago: HOUR }),
                None,
            ),
            (
                "another fault of the root",
                bogus(".", Flaw::AnchorUnmatched),
                None,
            ),
        ] {
            let Finding::Bogus { skew, .. } = Finding::of(&answer) else {
                panic!("{what}");
            };
            assert_eq!(skew.map(|skew| skew.direction), expected, "{what}");
            assert!(skew.is_none_or(|skew| skew.at_least == HOUR), "{what}");
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
            assert_eq!(Finding::of(&answer), expected);
        }
    }
}
