//! Domains that mail went to: noted in the store, and asked for their MTA-STS policies in advance, after a start and once a
//! day. Who begins to publish a policy is known for it before the next message, and not only by it (RFC 8461 §10.2).
#![expect(
    clippy::disallowed_methods,
    reason = "IO: reads the store and goes by time"
)]

use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lru::LruCache;
use tracing::{debug, warn};

use crate::clock::Clock;
use crate::name::Domain;
use crate::policy::cache::StsCache;
use crate::report::counts::day_of;
use crate::report::{Record, Records};
use crate::store::{Kind, Pen, Query, Row, Store, StoreError};

/// Notes domains, each once a day.
pub(super) struct History {
    pen: Pen,
    clock: Arc<dyn Clock>,
    /// The day on which a domain was last noted.
    noted: Mutex<LruCache<String, u32>>,
}

impl History {
    pub(super) fn new(pen: Pen, clock: Arc<dyn Clock>) -> Self {
        Self {
            pen,
            clock,
            noted: Mutex::new(LruCache::new(NOTED)),
        }
    }

    fn is_new(&self, domain: &str, day: u32) -> bool {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.get(domain) == Some(&day) {
            return false;
        }
        noted.put(domain.to_owned(), day);
        true
    }
}

impl Records for History {
    fn record(&self, record: &Record) {
        let now = self.clock.wall();
        for one in record
            .judgements
            .iter()
            .filter(|one| one.verdict == "pin" && one.host.is_some())
        {
            if self.is_new(&one.domain, day_of(now)) {
                self.pen.row(Row {
                    kind: Kind::Seen,
                    key: one.domain.clone(),
                    about: one.domain.clone(),
                    at: now,
                    body: Some("{}".to_owned()),
                });
            }
        }
    }
}

/// Asks the domains of the last weeks, the latest first, without end.
pub(super) async fn keep_asking(sts: &StsCache, store: Arc<dyn Store>) -> Infallible {
    loop {
        let store = Arc::clone(&store);
        match tokio::task::spawn_blocking(move || seen(&*store)).await {
            Ok(Ok(domains)) => {
                debug!(
                    domains = domains.len(),
                    "domains that mail went to are asked for their policies"
                );
                sts.prefetch(domains).await;
            }
            Ok(Err(error)) => warn!(%error, "the domains that mail went to cannot be read"),
            Err(broken) => warn!(%broken, "reading the domains that mail went to was broken off"),
        }
        tokio::time::sleep(AGAIN).await;
    }
}

fn seen(store: &dyn Store) -> Result<Vec<Domain>, StoreError> {
    let rows = store.find(Kind::Seen, Query::Latest, ASKED)?;
    Ok(rows.iter().filter_map(|row| row.key.parse().ok()).collect())
}

/// Domains of a busy day.
const NOTED: NonZeroUsize = NonZeroUsize::new(65_536).unwrap();

/// Domains that are asked in advance: at twenty a second that takes eight minutes.
const ASKED: usize = 10_000;

const AGAIN: Duration = Duration::from_hours(24);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{SystemClock, Timestamp};
    use crate::report::tests::{judgement, record};
    use crate::store::memory::MemoryStore;

    struct Day(u64);

    impl Clock for Day {
        fn wall(&self) -> Timestamp {
            Timestamp::from_unix(self.0 * 86_400)
        }
    }

    fn sent_to(domain: &str, verdict: &'static str, host: Option<&str>) -> Record {
        let mut record = record();
        let mut one = judgement(domain, "opportunistic-tls");
        one.verdict = verdict;
        one.host = host.map(str::to_owned);
        record.judgements = vec![one];
        record
    }

    #[test]
    fn domains_that_mail_went_to_are_noted_once_a_day_the_latest_first() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let pen = Pen::new(Arc::clone(&store));
        for (day, domain, verdict, host) in [
            (1, "a.example", "pin", Some("mx.a.example")),
            (2, "b.example", "pin", Some("mx.b.example")),
            (2, "refused.example", "refuse", Some("mx.c.example")),
            (2, "[192.0.2.1]", "pin", None),
            (2, "postmaster", "pin", None),
        ] {
            let history = History::new(pen.clone(), Arc::new(Day(day)));
            history.record(&sent_to(domain, verdict, host));
        }
        assert!(pen.flush(Duration::from_mins(1)));
        let names: Vec<String> = seen(&*store)
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(names, ["b.example", "a.example"]);
    }

    #[test]
    fn a_domain_is_noted_again_on_another_day() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let history = History::new(Pen::new(store), Arc::new(SystemClock));
        for (domain, day, expected) in [
            ("a.example", 1, true),
            ("a.example", 1, false),
            ("b.example", 1, true),
            ("a.example", 2, true),
        ] {
            assert_eq!(history.is_new(domain, day), expected, "{domain} {day}");
        }
    }
}
