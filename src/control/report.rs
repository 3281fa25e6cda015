//! Requests for reports of what was counted.
#![expect(
    clippy::disallowed_methods,
    reason = "IO: reads the store beside the runtime"
)]

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::continuity::flushed;
use super::{Failure, Items, result};
use crate::calendar;
use crate::clock::Timestamp;
use crate::proxy::engine::Engine;
use crate::report::counts::day_of;
use crate::report::summary::{self, differences, refusals};

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Domains that were refused or would have been: an item ([`Line`]) each, the newest and worst first; the result is a
    /// [`Told`].
    WouldRefuse {
        /// Days (UTC), today included.
        days: u32,
    },
}

impl Request {
    /// The family and the kind, without what is in it.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::WouldRefuse { .. } => "report would-refuse",
        }
    }
}

/// One domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The recipient's domain, or the literal.
    pub domain: String,
    /// How often it would have been refused.
    pub would_refuse: u64,
    /// How often it was.
    pub refused: u64,
    /// The last day of either.
    pub last: String,
    /// Why, the most frequent first.
    pub reasons: Vec<Why>,
}

/// A reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Why {
    /// Its stable word.
    pub reason: String,
    /// How often.
    pub number: u64,
}

/// The end of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The first day.
    pub first: String,
    /// The last one, today.
    pub last: String,
    /// How often the two ways to combine DANE and MTA-STS would have decided differently.
    pub combine_differs: u64,
}

/// Answers a request.
///
/// # Errors
/// When the store cannot be used.
pub(super) async fn answer(
    engine: &Engine,
    request: Request,
    items: &Items,
) -> Result<Value, Failure> {
    let Request::WouldRefuse { days } = request;
    // What was counted in the last second too; while it cannot be written, what was written before is told.
    let _ = flushed(engine).await;
    let last = day_of(engine.clock.wall());
    let first = last.saturating_sub(days.saturating_sub(1));
    let store = Arc::clone(&engine.store);
    let counts = tokio::task::spawn_blocking(move || store.counts(first..=last)).await;
    let counts = counts.map_err(|broken| Failure::broken(&broken))??;
    for line in refusals(&counts) {
        if items.tell(&Line::of(line)).await.is_err() {
            break;
        }
    }
    result(&Told {
        first: date(first),
        last: date(last),
        combine_differs: differences(&counts),
    })
}

impl Line {
    fn of(line: summary::Line) -> Self {
        let why = |(reason, number)| Why { reason, number };
        Self {
            domain: line.domain,
            would_refuse: line.would_refuse,
            refused: line.refused,
            last: date(line.last),
            reasons: line.reasons.into_iter().map(why).collect(),
        }
    }
}

fn date(day: u32) -> String {
    calendar::day(Timestamp::from_unix(u64::from(day) * 86_400))
}
