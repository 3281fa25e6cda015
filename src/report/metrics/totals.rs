//! What sessions have left behind, counted by closed lists of words: every word is there from the start, in its order.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;

use crate::policy::continuity;
use crate::report::Record;

/// The kinds of TLS handshakes.
pub(super) const HANDSHAKES: [&str; 2] = ["full", "resumed"];

#[derive(Clone, Debug, Default)]
pub(super) struct Totals {
    handshakes: Arc<[AtomicU64; HANDSHAKES.len()]>,
    alerts: Arc<[AtomicU64; continuity::Kind::ALL.len()]>,
}

impl Totals {
    pub(super) fn record(&self, record: &Record) {
        let full = record.handshakes.saturating_sub(record.resumed);
        for (counter, number) in self.handshakes.iter().zip([full, record.resumed]) {
            counter.fetch_add(number.into(), Ordering::Relaxed);
        }
        for (counter, kind) in self.alerts.iter().zip(continuity::Kind::ALL) {
            let alerts = record.alerts.iter().filter(|one| **one == kind.label());
            counter.fetch_add(alerts.count() as u64, Ordering::Relaxed);
        }
    }
}

impl Collector for Totals {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "TLS handshakes with MX hosts that came to an end.";
        let words = HANDSHAKES.iter().copied();
        let counters = words.zip(self.handshakes.iter());
        counted("tls_handshakes", help, counters, &mut encoder)?;
        let help = "What was worse about an MX host than before, or new and unexplained.";
        let words = continuity::Kind::ALL
            .into_iter()
            .map(continuity::Kind::label);
        let counters = words.zip(self.alerts.iter());
        counted("continuity_alerts", help, counters, &mut encoder)
    }
}

fn counted<'a>(
    name: &str,
    help: &str,
    counters: impl Iterator<Item = (&'static str, &'a AtomicU64)>,
    encoder: &mut DescriptorEncoder<'_>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (kind, counter) in counters {
        let count = ConstCounter::new(counter.load(Ordering::Relaxed));
        count.encode(family.encode_family(&[("kind", kind)])?)?;
    }
    Ok(())
}
