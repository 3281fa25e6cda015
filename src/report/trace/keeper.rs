//! Which traces are kept. The store's [`Pen`] writes them, some at a time, and never waited for by a session; how many and
//! for how long is the store's matter ([`crate::store::upkeep`]).
#![expect(clippy::disallowed_methods, reason = "IO: flushing blocks")]

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tracing::warn;

use super::{Outcome, Trace};
use crate::store::Pen;

/// Which traces are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeepTraces {
    /// Those of refusals.
    #[default]
    Refusals,
    /// All.
    All,
    /// None.
    Off,
}

/// Keeps traces.
#[derive(Clone)]
pub struct Keeper {
    which: KeepTraces,
    pen: Pen,
}

impl Keeper {
    /// Writes them with a pen.
    #[must_use]
    pub const fn new(which: KeepTraces, pen: Pen) -> Self {
        Self { which, pen }
    }

    /// Which are kept.
    #[must_use]
    pub const fn which(&self) -> KeepTraces {
        self.which
    }

    /// Is a decision that ends so kept? A refusal that was waived is one.
    #[must_use]
    pub fn keeps(&self, outcome: &Outcome) -> bool {
        match self.which {
            KeepTraces::All => true,
            KeepTraces::Refusals => outcome.verdict == "refuse" || outcome.would_refuse.is_some(),
            KeepTraces::Off => false,
        }
    }

    /// Takes a trace. It is in the store within about a second.
    pub fn take(&self, mut trace: Trace) {
        trace.decision.fit();
        match trace.row() {
            Ok(row) => self.pen.row(row),
            Err(error) => warn!(%error, "a trace cannot be written down"),
        }
    }

    /// Has what was taken written now. A store that cannot be written to is told of by the pen.
    pub async fn flush(&self) {
        let pen = self.pen.clone();
        let _ = tokio::task::spawn_blocking(move || pen.flush(PATIENCE)).await;
    }
}

/// With a store that is slow.
const PATIENCE: Duration = Duration::from_secs(5);
