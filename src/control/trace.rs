//! Requests about traces: the evidence of decisions that are kept.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Code, Failure, Items, result};
use crate::proxy::engine::Engine;
use crate::report::trace::keeper::KeepTraces;
use crate::report::trace::{self, Trace};
use crate::store::{Kind, Query, Row, Store, StoreError};

/// What can be asked: an item ([`Trace`]) each; the result is [`Found`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Those of one session, in the order of its decisions.
    Id {
        /// The id that stands in its refusals.
        id: String,
    },
    /// Those of one domain, newest first.
    Domain {
        /// Which.
        domain: String,
        /// So many at most.
        limit: usize,
    },
    /// The newest, newest first.
    Last {
        /// So many.
        limit: usize,
    },
}

/// The end of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Items.
    pub found: usize,
}

/// Answers a request.
///
/// # Errors
/// When there is no such trace, when the store fails.
pub(super) async fn answer(
    engine: &Engine,
    request: Request,
    items: &Items,
) -> Result<Value, Failure> {
    // What was decided a moment ago is meant too.
    engine.traces.flush().await;
    let rows = read(engine, request.clone()).await?;
    if rows.is_empty() {
        return Err(nothing(&request, engine));
    }
    let mut found = Found { found: 0 };
    for row in &rows {
        let body = row.body.as_deref().unwrap_or_default();
        let trace: Trace =
            serde_json::from_str(body).map_err(|error| engine.store.unreadable(row, &error))?;
        if items.tell(&trace).await.is_err() {
            break;
        }
        found.found += 1;
    }
    result(&found)
}

#[expect(clippy::disallowed_methods, reason = "IO: the store blocks")]
async fn read(engine: &Engine, request: Request) -> Result<Vec<Row>, Failure> {
    let store = Arc::clone(&engine.store);
    let reading = tokio::task::spawn_blocking(move || find(&*store, &request));
    Ok(reading.await.map_err(|error| Failure::broken(&error))??)
}

fn find(store: &dyn Store, request: &Request) -> Result<Vec<Row>, StoreError> {
    match request {
        Request::Id { id } => session(store, &id.trim().to_ascii_uppercase()),
        Request::Domain { domain, limit } => {
            let about = domain.to_ascii_lowercase();
            let about = about.strip_suffix('.').unwrap_or(&about);
            store.find(Kind::Trace, Query::About(about), (*limit).min(MOST))
        }
        Request::Last { limit } => store.find(Kind::Trace, Query::Latest, (*limit).min(MOST)),
    }
}

/// One decision after the other, until there is no next one.
fn session(store: &dyn Store, id: &str) -> Result<Vec<Row>, StoreError> {
    let mut rows = Vec::new();
    for number in 1..=u32::try_from(MOST).unwrap_or(u32::MAX) {
        let key = trace::key(id, number);
        match store.find(Kind::Trace, Query::Key(&key), 1)?.pop() {
            Some(row) => rows.push(row),
            None => break,
        }
    }
    Ok(rows)
}

fn nothing(request: &Request, engine: &Engine) -> Failure {
    let expected = match request {
        Request::Id { id } => format!("a trace with the id {id:?}"),
        Request::Domain { domain, .. } => format!("traces about {domain:?}"),
        Request::Last { .. } => "traces".to_owned(),
    };
    let (days, most) = (engine.keep.trace_days, engine.keep.traces);
    let remedy = match engine.traces.which() {
        KeepTraces::Off => "none are kept: set trace.keep to \"refusals\" or \"all\"".to_owned(),
        KeepTraces::Refusals => format!(
            "only those of refusals are kept (trace.keep), for {days} days and {most} at most"
        ),
        KeepTraces::All => format!("they are kept for {days} days and {most} at most"),
    };
    Failure::new(Code::NotFound, expected, "none", remedy)
}

/// Traces in one answer.
const MOST: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control;
    use crate::proxy::tests::world::{Names, engine};
    use crate::store::Batch;

    fn row(id: &str, number: u32, domain: &str) -> Row {
        let body = serde_json::json!({
            "id": id, "number": number, "via": "socks5", "client": "127.0.0.1:4711",
            "began": "2027-01-15T08:00:00Z", "decided": "2027-01-15T08:00:01Z",
            "destination": "192.0.2.1:25", "domain": domain, "route": false,
            "settings": { "insecure_mx": "dane", "combine": "dane-first" },
            "dns": [], "mta_sts": null, "demand": null, "attempts": [],
            "outcome": { "verdict": "refuse", "rule": "null-mx", "level": null, "host": null, "observed": null,
                "reply": null, "why": null },
            "what a newer release adds": true,
        });
        Row {
            kind: Kind::Trace,
            key: trace::key(id, number),
            about: domain.to_owned(),
            at: crate::clock::Timestamp::from_unix(1_800_000_000 + u64::from(number)),
            body: Some(body.to_string()),
        }
    }

    async fn asked(engine: &Engine, request: Request) -> Result<Vec<String>, Failure> {
        let (items, mut told) = Items::channel();
        let request = control::Request::Trace(request);
        control::answer(engine, request, Vec::new(), &items).await?;
        drop(items);
        let mut found = Vec::new();
        while let Some(item) = told.recv().await {
            let trace: Trace = serde_json::from_value(item).unwrap();
            found.push(format!(
                "{} {}",
                trace::key(&trace.id, trace.number),
                trace.decision.domain
            ));
        }
        Ok(found)
    }

    fn by_id(id: &str) -> Request {
        Request::Id { id: id.to_owned() }
    }

    fn by_domain(domain: &str, limit: usize) -> Request {
        Request::Domain {
            domain: domain.to_owned(),
            limit,
        }
    }

    #[tokio::test]
    async fn decisions_of_one_session_come_in_order_and_others_newest_first() {
        let engine = engine(Names::default());
        let rows = vec![
            row("AAAA", 1, "a.example"),
            row("AAAA", 2, "b.example"),
            row("AAAA", 3, "a.example"),
            row("BBBB", 1, "b.example"),
        ];
        let batch = Batch {
            rows,
            ..Batch::default()
        };
        engine.store.write(&batch).unwrap();
        for (request, expected) in [
            (
                by_id(" aaaa "),
                &["AAAA a.example", "AAAA.2 b.example", "AAAA.3 a.example"][..],
            ),
            (by_id("BBBB"), &["BBBB b.example"]),
            (
                by_domain("A.Example.", 9),
                &["AAAA.3 a.example", "AAAA a.example"],
            ),
            (by_domain("a.example", 1), &["AAAA.3 a.example"]),
            (
                Request::Last { limit: 2 },
                &["AAAA.3 a.example", "AAAA.2 b.example"],
            ),
        ] {
            assert_eq!(asked(&engine, request).await.unwrap(), expected);
        }
        let nothing = asked(&engine, by_id("CCCC")).await.unwrap_err();
        assert_eq!(nothing.code, Code::NotFound);
    }

    #[tokio::test]
    async fn a_trace_that_cannot_be_read_is_an_error_and_never_nothing() {
        let engine = engine(Names::default());
        let mut damaged = row("AAAA", 1, "a.example");
        damaged.body = Some("{\"id\":7}".to_owned());
        let batch = Batch {
            rows: vec![damaged],
            ..Batch::default()
        };
        engine.store.write(&batch).unwrap();
        let failure = asked(&engine, by_id("AAAA")).await.unwrap_err();
        assert_eq!(failure.code, Code::Store);
        assert!(failure.seen.contains("AAAA"), "{failure}");
    }
}
