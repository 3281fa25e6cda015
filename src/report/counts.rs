//! What is counted of sessions per day and domain, for reports: refusals, those that were waived, and where the two ways to
//! combine DANE and MTA-STS differ. In the store, so that a restart forgets nothing.

use std::sync::Arc;

use super::{Judgement, Record, Records};
use crate::clock::{Clock, Timestamp};
use crate::store::{Count, Pen};

/// What happened, as it stands in [`Count::what`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A recipient was refused for the sake of a policy.
    Refused,
    /// It would have been, were the mode to enforce.
    WouldRefuse,
    /// The other setting of `combine` would have decided otherwise.
    Differs,
}

impl What {
    /// The stable word.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::WouldRefuse => "would-refuse",
            Self::Differs => "differs",
        }
    }
}

/// The day of a point in time, since 1970-01-01 (UTC).
#[must_use]
pub fn day_of(at: Timestamp) -> u32 {
    u32::try_from(at.unix() / 86_400).unwrap_or(u32::MAX)
}

/// Counts sessions into the store.
pub struct Counting {
    pen: Pen,
    clock: Arc<dyn Clock>,
}

impl Counting {
    /// With this pen.
    #[must_use]
    pub fn new(pen: Pen, clock: Arc<dyn Clock>) -> Self {
        Self { pen, clock }
    }
}

impl Records for Counting {
    fn record(&self, record: &Record) {
        let day = day_of(self.clock.wall());
        for count in counts(record, day) {
            self.pen.count(count);
        }
    }
}

/// What a session adds to what was counted that day: each judgement once, however many recipients it was for.
fn counts(record: &Record, day: u32) -> Vec<Count> {
    let count = |one: &Judgement, what: What, reason: &str| Count {
        day,
        domain: one.domain.clone(),
        what: what.label().to_owned(),
        reason: reason.to_owned(),
        number: 1,
    };
    let mut counts = Vec::new();
    for one in &record.judgements {
        if let Some(reason) = one.would_refuse {
            counts.push(count(one, What::WouldRefuse, reason));
        } else if one.verdict == "refuse" && one.is_for_policy {
            counts.push(count(one, What::Refused, one.reason));
        }
        if let Some(reason) = one.differs {
            counts.push(count(one, What::Differs, reason));
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::super::tests::{judgement, record};
    use super::*;

    #[test]
    fn r3_r5_refusals_waived_ones_and_differences_are_counted_by_domain_and_reason() {
        let pinned = |domain: &str| Judgement {
            verdict: "pin",
            is_for_policy: false,
            ..judgement(domain, "dane-ee")
        };
        let mut record = record();
        record.judgements = vec![
            pinned("good.example"),
            Judgement {
                would_refuse: Some("dane-mismatch"),
                is_for_policy: true,
                ..pinned("reported.example")
            },
            judgement("refused.example", "sts-name"),
            Judgement {
                is_for_policy: false,
                ..judgement("busy.example", "one-domain")
            },
            Judgement {
                differs: Some("sts-name"),
                ..pinned("both.example")
            },
        ];
        let told: Vec<String> = counts(&record, 20_000)
            .into_iter()
            .map(|count| {
                assert_eq!((count.day, count.number), (20_000, 1));
                format!("{} {} {}", count.domain, count.what, count.reason)
            })
            .collect();
        assert_eq!(
            told,
            [
                "reported.example would-refuse dane-mismatch",
                "refused.example refused sts-name",
                "both.example differs sts-name",
            ]
        );
    }

    #[test]
    fn a_day_begins_at_midnight() {
        for (at, day) in [(0, 0), (86_399, 0), (86_400, 1), (1_790_000_000, 20_717)] {
            assert_eq!(day_of(Timestamp::from_unix(at)), day);
        }
    }
}
