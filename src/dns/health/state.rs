//! What the probes found, and what it means for every other answer. Pure.
//!
//! [`Health::after`] goes from one state to the next. What closes the gate is written down in [`Why::closes`] alone.

use std::fmt;
use std::time::Duration;

use super::question::Question;
use crate::clock::Timestamp;

/// Whether validated answers can be believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// No probe is configured, so nobody knows.
    Off,
    /// No probe has come back yet.
    Unknown,
    /// What is signed validates, and what is forged does not.
    Working,
    /// Not so.
    Broken(Broken),
}

/// Validation does not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// What shows it.
    pub why: Why,
    /// When it was first seen not to work.
    pub since: Timestamp,
}

/// What shows that validation does not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The good name cannot be looked up.
    Unreachable {
        /// The question.
        question: Question,
        /// What happened.
        what: String,
    },
    /// The good name is bogus: a wrong trust anchor, or a path that loses or changes DNSSEC records.
    GoodBogus {
        /// The question.
        question: Question,
        /// In what way.
        what: String,
    },
    /// The good name is insecure.
    GoodInsecure {
        /// The question.
        question: Question,
    },
    /// The bogus name was taken for sound.
    BogusBelieved {
        /// The question.
        question: Question,
    },
    /// By our clock the signatures of the root are out of date.
    ClockSkew(Skew),
}

/// How far the clock is off, as seen from the validity period of the root's signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skew {
    /// In which direction.
    pub direction: Direction,
    /// The signatures are valid for some time, so it may be more.
    pub at_least: Duration,
}

/// In which direction a clock is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The signatures have expired already.
    Ahead,
    /// They are not valid yet.
    Behind,
}

/// What became of one probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Records, validated.
    Secure,
    /// Records from where nothing is signed.
    Insecure,
    /// No such records, proven.
    ProvenAbsent,
    /// No such records, merely claimed.
    ClaimedAbsent,
    /// Data that contradicts the chain of trust.
    Bogus {
        /// In what way.
        what: String,
        /// Set when nothing but the time is wrong with the root's own signatures.
        skew: Option<Skew>,
    },
    /// Nothing.
    Unreachable(String),
}

/// What became of all probes, asked at the same time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Round {
    /// The good name, where there is one.
    pub good: Option<(Question, Finding)>,
    /// The bogus names.
    pub bogus: Vec<(Question, Finding)>,
}

impl Health {
    /// The state after a round of probes at `now`.
    ///
    /// What closed the gate opens it only when it has been seen to be gone: a probe that finds out nothing changes
    /// nothing.
    #[must_use]
    pub fn after(&self, round: &Round, now: Timestamp) -> Self {
        let why = round
            .good_is_faulty()
            .or_else(|| round.bogus_is_believed())
            .or_else(|| self.still(round))
            .or_else(|| round.good_is_unreachable());
        match why {
            None => Self::Working,
            Some(why) => {
                let since = self.broken().map_or(now, |broken| broken.since);
                Self::Broken(Broken { why, since })
            }
        }
    }

    /// The fault that closed the gate and that this round does not refute.
    fn still(&self, round: &Round) -> Option<Why> {
        let why = &self.broken()?.why;
        let refuted = match why {
            Why::Unreachable { .. } => true,
            Why::GoodBogus { .. } | Why::GoodInsecure { .. } | Why::ClockSkew(_) => {
                round.good_is_unreachable().is_none()
            }
            Why::BogusBelieved { .. } => round.bogus_is_rejected(),
        };
        (!refuted).then(|| why.clone())
    }

    /// The fault, where there is one.
    #[must_use]
    pub const fn broken(&self) -> Option<&Broken> {
        match self {
            Self::Broken(broken) => Some(broken),
            Self::Off | Self::Unknown | Self::Working => None,
        }
    }

    /// Why no answer may be used.
    #[must_use]
    pub fn closes(&self) -> Option<&Why> {
        let why = &self.broken()?.why;
        why.closes().then_some(why)
    }

    /// The stable word for metrics.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Unknown => "unknown",
            Self::Working => "working",
            Self::Broken(broken) => broken.why.label(),
        }
    }

    /// Every word that [`Self::label`] can say.
    pub const LABELS: [&'static str; 8] = [
        "off",
        "unknown",
        "working",
        "unreachable",
        "good-bogus",
        "good-insecure",
        "bogus-believed",
        "clock-skew",
    ];
}

impl Why {
    /// Whether all answers have to be withheld. Not when DNS does not answer: lookups then fail by themselves, and
    /// those that do not, validate.
    #[must_use]
    pub const fn closes(&self) -> bool {
        match self {
            Self::Unreachable { .. } => false,
            Self::GoodBogus { .. }
            | Self::GoodInsecure { .. }
            | Self::BogusBelieved { .. }
            | Self::ClockSkew(_) => true,
        }
    }

    const fn label(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::GoodBogus { .. } => "good-bogus",
            Self::GoodInsecure { .. } => "good-insecure",
            Self::BogusBelieved { .. } => "bogus-believed",
            Self::ClockSkew(_) => "clock-skew",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { question, what } => write!(
                f,
                "{question} cannot be looked up ({what}); check that dns.resolvers answer"
            ),
            Self::GoodBogus { question, what } => write!(
                f,
                "{question}, which is expected to validate, does not ({what}); check dns.trust_anchor, and that \
                 dns.resolvers pass DNSSEC records through"
            ),
            Self::GoodInsecure { question } => write!(
                f,
                "{question}, which is expected to validate, is not signed; check dns.probe_good and dns.trust_anchor"
            ),
            Self::BogusBelieved { question } => write!(
                f,
                "{question} is expected not to validate, and was believed; check whether dns.probe_bogus is still \
                 broken on purpose: if so, danelaw is at fault"
            ),
            Self::ClockSkew(skew) => write!(f, "the clock of this machine seems wrong: {skew}"),
        }
    }
}

impl fmt::Display for Skew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seen, off) = match self.direction {
            Direction::Ahead => ("have expired", "ahead"),
            Direction::Behind => ("are not valid yet", "behind"),
        };
        let by = Rough(self.at_least);
        write!(
            f,
            "by it the signatures of the root zone {seen}, so it is at least {by} {off}; set it (timedatectl, chronyc)"
        )
    }
}

/// A duration in its largest unit of which there are two.
struct Rough(Duration);

impl fmt::Display for Rough {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 3] = [(86_400, "days"), (3_600, "hours"), (60, "minutes")];
        let seconds = self.0.as_secs();
        let unit = UNITS.iter().find(|(length, _)| seconds >= 2 * length);
        let (length, word) = unit.unwrap_or(&(1, "seconds"));
        write!(f, "{} {word}", seconds / length)
    }
}

impl Round {
    fn good_is_faulty(&self) -> Option<Why> {
        let (question, finding) = self.good.as_ref()?;
        match finding {
            // A proven absence rests on signatures too.
            Finding::Secure | Finding::ProvenAbsent | Finding::Unreachable(_) => None,
            Finding::Insecure | Finding::ClaimedAbsent => Some(Why::GoodInsecure {
                question: question.clone(),
            }),
            Finding::Bogus {
                skew: Some(skew), ..
            } => Some(Why::ClockSkew(*skew)),
            Finding::Bogus { what, skew: None } => Some(Why::GoodBogus {
                question: question.clone(),
                what: what.clone(),
            }),
        }
    }

    fn good_is_unreachable(&self) -> Option<Why> {
        match self.good.as_ref()? {
            (question, Finding::Unreachable(what)) => Some(Why::Unreachable {
                question: question.clone(),
                what: what.clone(),
            }),
            (
                _,
                Finding::Secure
                | Finding::Insecure
                | Finding::ProvenAbsent
                | Finding::ClaimedAbsent
                | Finding::Bogus { .. },
            ) => None,
        }
    }

    /// One name that is rejected shows that validation works; of another that is believed, its owner has cleaned up.
    fn bogus_is_believed(&self) -> Option<Why> {
        if self.bogus_is_rejected() {
            return None;
        }
        let believed = self.bogus.iter().find(|(_, finding)| match finding {
            Finding::Secure | Finding::Insecure => true,
            // The name is gone, or its servers are: nothing can be told from it.
            Finding::ProvenAbsent
            | Finding::ClaimedAbsent
            | Finding::Unreachable(_)
            | Finding::Bogus { .. } => false,
        })?;
        Some(Why::BogusBelieved {
            question: believed.0.clone(),
        })
    }

    fn bogus_is_rejected(&self) -> bool {
        self.bogus
            .iter()
            .any(|(_, finding)| matches!(finding, Finding::Bogus { .. }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix(1_767_225_600);
    const EARLIER: Timestamp = Timestamp::from_unix(1_767_225_000);
    const DAY: Duration = Duration::from_hours(24);

    fn good() -> Question {
        ". SOA".parse().unwrap()
    }

    fn forged(number: usize) -> Question {
        format!("forged{number}.example A").parse().unwrap()
    }

    fn round(good_one: Finding, bogus: &[Finding]) -> Round {
        let bogus = bogus.iter().cloned().enumerate();
        Round {
            good: Some((good(), good_one)),
            bogus: bogus.map(|(n, finding)| (forged(n), finding)).collect(),
        }
    }

    fn bogus() -> Finding {
        Finding::Bogus {
            what: "forged".into(),
            skew: None,
        }
    }

    fn dead() -> Finding {
        Finding::Unreachable("SERVFAIL".into())
    }

    fn out_of_date(direction: Direction) -> Finding {
        let at_least = 717 * DAY;
        Finding::Bogus {
            what: "the signature is out of date".into(),
            skew: Some(Skew {
                direction,
                at_least,
            }),
        }
    }

    fn broken_by(round: &Round) -> Health {
        let health = Health::Working.after(round, EARLIER);
        assert!(health.broken().is_some());
        health
    }

    #[test]
    fn dns_21_what_the_good_name_says() {
        use Finding::{ClaimedAbsent, Insecure, ProvenAbsent, Secure};
        for (what, good, label, closed) in [
            ("all is well", Secure, "working", false),
            ("proven absent", ProvenAbsent, "working", false),
            ("bogus", bogus(), "good-bogus", true),
            ("insecure", Insecure, "good-insecure", true),
            ("claimed absent", ClaimedAbsent, "good-insecure", true),
            ("silent", dead(), "unreachable", false),
        ] {
            assert_round(what, &round(good, &[bogus()]), (label, closed));
        }
    }

    #[test]
    fn dns_21_what_the_forged_names_say() {
        use Finding::{ClaimedAbsent, Insecure, ProvenAbsent, Secure};
        for (what, forged, label, closed) in [
            ("there are none", vec![], "working", false),
            ("gone", vec![ProvenAbsent], "working", false),
            ("gone, they say", vec![ClaimedAbsent], "working", false),
            ("silent", vec![dead()], "working", false),
            ("secure", vec![Secure], "bogus-believed", true),
            ("insecure", vec![Insecure], "bogus-believed", true),
            ("one is mended", vec![Secure, bogus()], "working", false),
            (
                "all that answer are",
                vec![dead(), Secure],
                "bogus-believed",
                true,
            ),
        ] {
            assert_round(what, &round(Secure, &forged), (label, closed));
        }
        let silent = round(dead(), &[Insecure]);
        assert_round(
            "and the good one is silent",
            &silent,
            ("bogus-believed", true),
        );
    }

    #[test]
    fn dns_22_what_the_roots_signatures_say() {
        for direction in [Direction::Ahead, Direction::Behind] {
            let round = round(out_of_date(direction), &[bogus()]);
            assert_round("two years off", &round, ("clock-skew", true));
        }
    }

    fn assert_round(what: &str, round: &Round, expected: (&str, bool)) {
        for before in [Health::Unknown, Health::Working] {
            let health = before.after(round, NOW);
            let found = (health.label(), health.closes().is_some());
            assert_eq!(found, expected, "{what}");
        }
    }

    #[test]
    fn dns_18_dns_21_a_fault_stands_until_it_is_seen_to_be_gone() {
        use Finding::{ProvenAbsent, Secure};
        let rejected = || vec![bogus()];
        let believed = || (Secure, vec![Secure]);
        let behind = || (out_of_date(Direction::Behind), rejected());
        for ((good, forged), (then_good, then_forged), label) in [
            ((bogus(), rejected()), (Secure, rejected()), "working"),
            ((bogus(), rejected()), (dead(), vec![dead()]), "good-bogus"),
            (believed(), (Secure, rejected()), "working"),
            (believed(), (Secure, vec![dead()]), "bogus-believed"),
            (believed(), (Secure, vec![ProvenAbsent]), "bogus-believed"),
            (behind(), (Secure, rejected()), "working"),
            (
                behind(),
                (out_of_date(Direction::Ahead), rejected()),
                "clock-skew",
            ),
            ((dead(), vec![dead()]), (Secure, vec![dead()]), "working"),
            ((dead(), rejected()), (bogus(), rejected()), "good-bogus"),
        ] {
            let (before, then) = (round(good, &forged), round(then_good, &then_forged));
            let health = broken_by(&before).after(&then, NOW);
            assert_eq!(health.label(), label, "{before:?} {then:?}");
            if let Some(broken) = health.broken() {
                assert_eq!(broken.since, EARLIER, "{before:?} {then:?}");
            }
        }
    }

    #[test]
    fn without_a_good_name_only_what_is_believed_counts() {
        for (finding, label) in [
            (bogus(), "working"),
            (dead(), "working"),
            (Finding::Insecure, "bogus-believed"),
        ] {
            let round = Round {
                good: None,
                bogus: vec![(forged(0), finding)],
            };
            assert_eq!(Health::Unknown.after(&round, NOW).label(), label);
        }
    }

    #[test]
    fn dns_22_a_wrong_clock_is_named_with_what_is_known_of_its_error() {
        for (direction, seconds, expected) in [
            (
                Direction::Ahead,
                717 * 86_400,
                "expired, so it is at least 717 days ahead;",
            ),
            (
                Direction::Behind,
                717 * 86_400,
                "not valid yet, so it is at least 717 days behind;",
            ),
            (Direction::Ahead, 2 * 3_600, "at least 2 hours ahead"),
            (Direction::Behind, 119, "at least 119 seconds behind"),
            (Direction::Behind, 120, "at least 2 minutes behind"),
        ] {
            let at_least = Duration::from_secs(seconds);
            let told = Why::ClockSkew(Skew {
                direction,
                at_least,
            })
            .to_string();
            assert!(
                told.starts_with("the clock of this machine seems wrong: "),
                "{told}"
            );
            assert!(told.contains(expected), "{told}");
        }
    }

    #[test]
    fn every_label_is_listed() {
        let faults = [
            round(dead(), &[]),
            round(bogus(), &[]),
            round(Finding::Insecure, &[]),
            round(Finding::Secure, &[Finding::Secure]),
            round(out_of_date(Direction::Ahead), &[]),
        ];
        let mut states = vec![Health::Off, Health::Unknown, Health::Working];
        states.extend(faults.iter().map(broken_by));
        let labels: Vec<&str> = states.iter().map(Health::label).collect();
        assert_eq!(labels, Health::LABELS);
    }
}
