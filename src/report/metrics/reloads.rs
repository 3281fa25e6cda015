//! How often the configuration was read anew, and what came of it.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;

/// The counters, and how the last one ended.
#[derive(Debug, Default)]
pub struct Reloads {
    applied: AtomicU64,
    refused: AtomicU64,
    is_refused: AtomicBool,
}

/// What can come of one.
pub(super) const OUTCOMES: [&str; 2] = ["applied", "refused"];

impl Reloads {
    /// One more, that was applied or refused.
    #[expect(clippy::fn_params_excessive_bools, reason = "there are two outcomes")]
    pub fn count(&self, is_applied: bool) {
        let counter = if is_applied {
            &self.applied
        } else {
            &self.refused
        };
        counter.fetch_add(1, Ordering::Relaxed);
        self.is_refused.store(!is_applied, Ordering::Relaxed);
    }

    /// Is the file another than what is in force, because it is wrong?
    #[must_use]
    pub fn is_last_refused(&self) -> bool {
        self.is_refused.load(Ordering::Relaxed)
    }
}

/// Writes all of it.
pub(super) fn encode(reloads: &Reloads, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let help = "Times that the configuration was read anew, by what came of it.";
    let mut family = encoder.encode_descriptor("reloads", help, None, MetricType::Counter)?;
    let counters = [&reloads.applied, &reloads.refused];
    for (outcome, counter) in OUTCOMES.into_iter().zip(counters) {
        let count = ConstCounter::new(counter.load(Ordering::Relaxed));
        count.encode(family.encode_family(&[("outcome", outcome)])?)?;
    }
    Ok(())
}
