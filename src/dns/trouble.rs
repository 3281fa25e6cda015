//! Why a lookup ends without an answer, with the question that failed.

use hickory_resolver::proto::rr::{Name, RecordType};

use super::health::state::{Direction, Skew};
use super::proof::Flaw;
use super::upstream::NoReply;

/// The facts behind a [`Failure`](super::Failure).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Trouble {
    /// The data contradicts the chain of trust.
    #[error("{name} {record_type}: {flaw}")]
    Bogus {
        /// Whose data.
        name: Name,
        /// Which data.
        record_type: RecordType,
        /// In what way.
        flaw: Flaw,
    },
    /// A resolver that is trusted to know says so.
    #[error("{name} {record_type}: {cause}")]
    SaidToBeBogus {
        /// Whose data.
        name: Name,
        /// Which data.
        record_type: RecordType,
        /// What it said.
        cause: NoReply,
    },
    /// Our own validation and that of the resolver come to different ends.
    #[error("our own validation says {ours}, the resolver's says {theirs}")]
    Disagreement {
        /// What we think.
        ours: String,
        /// What the resolver thinks.
        theirs: String,
    },
    /// All that may be spent on one recipient's domain is spent.
    #[error(
        "the domain needs more DNS messages or signature checks than one domain's mail is worth"
    )]
    DomainSpent,
    /// No response that could be judged.
    #[error("{name} {record_type}: {cause}")]
    NoReply {
        /// The question.
        name: Name,
        /// Its type.
        record_type: RecordType,
        /// Why.
        cause: NoReply,
    },
    /// An alias that leads nowhere: several targets, or too long a name.
    #[error("the alias at {0} has no single valid target")]
    DanglingAlias(Name),
    /// An alias that leads to itself, sooner or later.
    #[error("the aliases run in a circle at {0}")]
    AliasLoop(Name),
    /// More aliases than anyone follows.
    #[error("more than {} aliases in a row", super::chase::MOST_ALIASES)]
    TooManyAliases,
    /// The lookup as a whole took too long.
    #[error("the lookup was given up after {0} seconds")]
    Deadline(u64),
    /// A name or data that means nothing to mail.
    #[error("{0} is no name that mail can be sent to")]
    ForeignName(Name),
    /// A record whose data is of another type than it says, or a name in it that means nothing to mail.
    #[error("the data of the records cannot be read")]
    ForeignData,
}

impl Trouble {
    pub(super) fn bogus(name: &Name, record_type: RecordType, flaw: Flaw) -> Self {
        Self::Bogus {
            name: name.clone(),
            record_type,
            flaw,
        }
    }

    /// The data contradicts the chain of trust.
    pub(super) const fn is_bogus(&self) -> bool {
        matches!(self, Self::Bogus { .. } | Self::SaidToBeBogus { .. })
    }

    /// Set when nothing but the time is wrong with one of the root's own signatures: they are renewed well ahead, so it is our
    /// clock that is in doubt.
    pub(super) fn skew(&self) -> Option<Skew> {
        let Self::Bogus { name, flaw, .. } = self else {
            return None;
        };
        let (direction, at_least) = if let Flaw::Expired { ago } = flaw {
            (Direction::Ahead, *ago)
        } else if let Flaw::NotYetValid { until } = flaw {
            (Direction::Behind, *until)
        } else {
            return None;
        };
        name.is_root().then_some(Skew {
            direction,
            at_least,
        })
    }

    /// Another resolver may have something better to say.
    pub(super) const fn may_be_a_lie(&self) -> bool {
        self.is_bogus() || matches!(self, Self::DanglingAlias(_))
    }

    pub(super) fn no_reply(name: &Name, record_type: RecordType, cause: NoReply) -> Self {
        Self::NoReply {
            name: name.clone(),
            record_type,
            cause,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::dns::sample::name;

    #[test]
    fn dns_22_only_the_roots_own_signatures_speak_of_the_clock() {
        const HOUR: Duration = Duration::from_hours(1);
        for (what, zone, flaw, expected) in [
            (
                "expired by our clock",
                ".",
                Flaw::Expired { ago: HOUR },
                Some(Direction::Ahead),
            ),
            (
                "not valid yet",
                ".",
                Flaw::NotYetValid { until: HOUR },
                Some(Direction::Behind),
            ),
            (
                "somebody forgot to sign",
                "example",
                Flaw::Expired { ago: HOUR },
                None,
            ),
            (
                "another fault of the root",
                ".",
                Flaw::AnchorUnmatched,
                None,
            ),
        ] {
            let skew = Trouble::bogus(&name(zone), RecordType::SOA, flaw).skew();
            assert_eq!(skew.map(|skew| skew.direction), expected, "{what}");
            assert!(skew.is_none_or(|skew| skew.at_least == HOUR), "{what}");
        }
    }
}
