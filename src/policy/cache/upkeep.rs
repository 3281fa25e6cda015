//! Policies are fetched anew long before they expire, whether mail goes to their domains or not, and whatever their
//! records say (RFC 8461 §3.3, §10.2); one that cannot be had is told of well before it ends.
#![expect(clippy::disallowed_methods, reason = "IO: refreshing goes by time")]

use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use tracing::{info, warn};

use super::StsCache;
use super::discovery::Cache;
use super::entry::{Moment, Worth};
use super::errand::Errand;
use super::tally::StsVitals;
use crate::name::Domain;
use crate::store::{Batch, StoredPolicy};

impl StsCache {
    /// Fetches anew every policy that is due, a few at a time, each taken from the agenda when its turn has come.
    pub async fn refresh_due(&self) {
        let cache = &self.shared;
        let next = move |()| {
            let now = cache.now();
            let due = cache.lock().shelf.take_due(now);
            std::future::ready(due.map(|domain| (domain, ())))
        };
        stream::unfold((), next)
            .for_each_concurrent(AT_ONCE, |domain| async move {
                cache.run(&domain, Errand::Refresh).await;
            })
            .await;
    }

    /// Asks for the policies of these domains as a session would, so that the first one finds them; some per second, a
    /// few at a time.
    pub async fn prefetch(&self, domains: impl IntoIterator<Item = Domain>) {
        let paced = stream::iter(domains).then(|domain| async {
            tokio::time::sleep(PREFETCH_PACE).await;
            domain
        });
        paced
            .for_each_concurrent(AT_ONCE, |domain| async move {
                self.ask_ahead(&domain).await;
            })
            .await;
    }

    pub(super) async fn ask_ahead(&self, domain: &Domain) {
        self.shared.run(domain, Errand::Ahead).await;
    }

    /// Calls [`Self::refresh_due`] from time to time and settles doubts meanwhile, without end.
    pub async fn keep_fresh(&self) {
        let mut before = self.shared.now();
        let mut noticed = before;
        loop {
            let now = self.shared.now();
            self.shared.notice_step(before, now);
            before = now;
            self.ask_lost().await;
            self.refresh_due().await;
            if now.instant.duration_since(noticed.instant) >= NOTICE_PERIOD {
                self.shared.tell_of_expiring();
                noticed = now;
            }
            self.settle_doubts_for(TICK).await;
        }
    }

    /// For so long, asks the domains of which somebody else knows another policy, as soon as they are known.
    async fn settle_doubts_for(&self, time: Duration) {
        let end = tokio::time::sleep(time);
        tokio::pin!(end);
        loop {
            tokio::select! {
                () = self.shared.doubts.notified() => self.settle_doubts().await,
                () = tokio::time::sleep(WRITE_AGAIN) => self.write_again().await,
                () = &mut end => return,
            }
        }
    }

    /// Writes down what the store did not take when it was learnt, also what has expired by a clock that may be wrong.
    pub(super) async fn write_again(&self) {
        let unwritten: Vec<StoredPolicy> = {
            let memory = self.shared.lock();
            memory.unwritten.values().cloned().collect()
        };
        if unwritten.is_empty() {
            return;
        }
        let batch = Batch {
            rows: unwritten.iter().map(StoredPolicy::row).collect(),
            ..Batch::default()
        };
        // What it takes is forgotten here; the store's state is told of by whoever watches it.
        if self.shared.write(batch).await.is_ok() {
            info!(
                domains = unwritten.len(),
                "MTA-STS policies that the store did not take are written down"
            );
        }
    }

    pub(super) async fn settle_doubts(&self) {
        let doubted = std::mem::take(&mut self.shared.lock().doubted);
        stream::iter(doubted)
            .for_each_concurrent(AT_ONCE, |domain| async move {
                self.recheck(&domain).await;
            })
            .await;
    }

    /// How the policies fare.
    #[must_use]
    pub fn vitals(&self) -> StsVitals {
        let (cache, now) = (&self.shared, self.shared.now());
        let memory = cache.lock();
        let census = memory.shelf.census();
        StsVitals {
            domains: Worth::ALL.map(|worth| (worth.label(), census.of(worth))),
            expiring: memory.shelf.expiring(now).count(),
            fetches: cache.tally.fetches(),
            evicted_enforced: cache.tally.evicted_enforced(),
        }
    }
}

impl Cache {
    /// The agenda goes by the monotonic clock; where the other one was set, lives end at other times.
    fn notice_step(&self, before: Moment, now: Moment) {
        let elapsed = now.instant.duration_since(before.instant);
        let expected = before.wall.plus(elapsed);
        let step = now.wall.since(expected).max(expected.since(now.wall));
        if step >= STEP {
            info!(
                seconds = step.as_secs(),
                forward = now.wall > expected,
                "the clock was set: MTA-STS policies are looked at again"
            );
            self.lock().shelf.reorder(now);
        }
    }

    fn tell_of_expiring(&self) {
        let now = self.now();
        let memory = self.lock();
        for (domain, entry) in memory.shelf.expiring(now).take(MOST_NOTICES) {
            let Some((_, until)) = entry.in_force(now) else {
                continue;
            };
            warn!(
                %domain,
                remaining_seconds = until.since(now.wall).as_secs(),
                "an enforced MTA-STS policy is about to expire and cannot be refreshed: mail to the domain will then go \
                unprotected (danelaw sts lint shows what is wrong)"
            );
        }
    }
}

/// Fetches at a time: some may take their whole minute, and the others must not wait for them.
pub(super) const AT_ONCE: usize = 32;

/// Between two domains that are asked in advance.
const PREFETCH_PACE: Duration = Duration::from_millis(50);

/// Between looks at the agenda.
const TICK: Duration = Duration::from_mins(1);

/// Between attempts to write down what the store did not take.
const WRITE_AGAIN: Duration = Duration::from_secs(5);

/// Between warnings about the same policy.
const NOTICE_PERIOD: Duration = Duration::from_hours(6);

/// Warnings at a time; the metric counts them all.
const MOST_NOTICES: usize = 20;

/// A clock that is slewed does not get so far ahead in a minute.
const STEP: Duration = Duration::from_secs(30);
