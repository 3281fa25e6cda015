//! Lets go of what has been kept long enough: traces, counts, and what operators have had forgotten.
#![expect(
    clippy::disallowed_methods,
    reason = "IO: a task that works from time to time"
)]

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tracing::{debug, warn};

use super::{Kind, Store, StoreError};
use crate::clock::{Clock, Timestamp};

/// How long and how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Traces at most.
    pub traces: usize,
    /// Days that a trace is kept.
    pub trace_days: usize,
    /// Days that are counted.
    pub count_days: usize,
}

impl Keep {
    /// Deletes what is older, or more. Blocks. Tells how many rows and counts that were.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn prune(&self, store: &dyn Store, now: Timestamp) -> Result<usize, StoreError> {
        let traces = store.prune(Kind::Trace, self.traces, days_before(now, self.trace_days))?;
        let first = days_before(now, self.count_days).unix() / DAY;
        let counts = store.prune_counts(u32::try_from(first).unwrap_or(u32::MAX))?;
        let forgotten = store.prune_forgotten(days_before(now, FORGOTTEN_DAYS))?;
        let mut remembered = 0;
        for (kind, most, days) in REMEMBERED {
            remembered += store.prune(kind, most, days_before(now, days))?;
        }
        Ok(traces + counts + forgotten + remembered)
    }

    /// Does so every hour, without end. What a second copy in another process does meanwhile does not matter.
    pub async fn keep_pruned(self, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Infallible {
        loop {
            let (store, now) = (Arc::clone(&store), clock.wall());
            let pruned = tokio::task::spawn_blocking(move || self.prune(&*store, now)).await;
            match pruned {
                Ok(Ok(gone)) => debug!(gone, "the store is pruned"),
                Ok(Err(error)) => warn!(%error, "the store cannot be pruned and grows"),
                Err(broken) => warn!(%broken, "pruning the store was broken off"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

fn days_before(now: Timestamp, days: usize) -> Timestamp {
    Timestamp::from_unix(now.unix().saturating_sub(days as u64 * DAY))
}

/// Longer than any process that follows the store is cut off from it.
const FORGOTTEN_DAYS: usize = 30;
/// What sessions leave behind about domains and hosts: how much of it at most, and for how many days.
const REMEMBERED: [(Kind, usize, usize); 5] = [
    (Kind::Seen, 100_000, 90),
    (Kind::Pin, 100_000, 90),
    (Kind::Continuity, 100_000, 400),
    (Kind::Lost, usize::MAX, POLICY_DAYS),
    (Kind::Policy, usize::MAX, POLICY_DAYS),
];
/// No policy lives longer than a year. Twice that: a clock that is a year ahead must not take one that is in force.
const POLICY_DAYS: usize = 2 * 366 + 30;
const DAY: u64 = 24 * 3600;
const PAUSE: Duration = Duration::from_hours(1);

#[cfg(test)]
mod tests {
    use super::super::memory::MemoryStore;
    use super::super::{Batch, Count, Query, Revision, Row};
    use super::*;

    #[test]
    fn what_is_old_goes_and_policies_that_may_be_in_force_stay() {
        let store = MemoryStore::default();
        let now = Timestamp::from_unix(1000 * DAY + 7);
        let row = |kind, key: &str, age: u64, body: Option<&str>| Row {
            kind,
            key: key.to_owned(),
            about: String::new(),
            at: Timestamp::from_unix(now.unix() - age * DAY),
            body: body.map(str::to_owned),
        };
        let count = |age: u32| Count {
            day: 1000 - age,
            domain: String::new(),
            what: String::new(),
            reason: String::new(),
            number: 1,
        };
        store
            .write(&Batch {
                rows: vec![
                    row(Kind::Trace, "new", 1, Some("{}")),
                    row(Kind::Trace, "newer", 0, Some("{}")),
                    row(Kind::Trace, "old", 8, Some("{}")),
                    row(Kind::Seen, "old.example", 91, Some("{}")),
                    row(Kind::Seen, "new.example", 90, Some("{}")),
                    row(Kind::Pin, "old", 91, Some("{}")),
                    row(Kind::Continuity, "old.example", 401, Some("{}")),
                    row(Kind::Continuity, "new.example", 400, Some("{}")),
                    row(
                        Kind::Policy,
                        "in-force-a-year-ahead.example",
                        731,
                        Some("{}"),
                    ),
                    row(Kind::Policy, "old.example", 763, Some("{}")),
                    row(Kind::Lost, "lost-long-since.example", 763, Some("{}")),
                    row(Kind::Policy, "forgotten.example", 31, None),
                    row(Kind::Exception, "forgotten", 29, None),
                ],
                counts: vec![count(0), count(90), count(91)],
                ..Batch::default()
            })
            .unwrap();
        let keep = Keep {
            traces: 2,
            trace_days: 7,
            count_days: 90,
        };
        assert_eq!(keep.prune(&store, now).unwrap(), 8);
        assert_eq!(keep.prune(&store, now).unwrap(), 0);
        let keep = Keep { traces: 1, ..keep };
        assert_eq!(keep.prune(&store, now).unwrap(), 1);
        let left = store.find(Kind::Trace, Query::Latest, 9).unwrap();
        assert_eq!(left[0].key, "newer");
        for kind in [Kind::Policy, Kind::Exception] {
            assert_eq!(store.changes(kind, Revision::START, 9).unwrap().len(), 1);
        }
    }
}
