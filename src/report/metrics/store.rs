//! The state of the store: whether it works, what waits for it, and what it has lost.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::Vitals;
use crate::store::Dropped;

/// Writes all of it.
pub(super) fn encode(vitals: &Vitals, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    works(vitals, encoder)?;
    exceptions_unreadable(vitals, encoder)
}

fn works(vitals: &Vitals, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let mut gauge = |name, help, value| {
        let descriptor = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(value).encode(descriptor)
    };
    let help = "Whether the store is whole and can be read and written: 1 or 0.";
    gauge("store_up", help, i64::from(vitals.store_works))?;
    let waiting = i64::try_from(vitals.backlog.waiting).unwrap_or(i64::MAX);
    let help = "Rows and counts that wait to be written to the store.";
    gauge("store_waiting", help, waiting)?;
    let help =
        "Rows and counts that were dropped because the store took nothing for too long, by kind.";
    let mut family = encoder.encode_descriptor("store_dropped", help, None, MetricType::Counter)?;
    for what in Dropped::ALL {
        let of = |(one, number): &(Dropped, u64)| (*one == what).then_some(*number);
        let number = vitals.backlog.dropped.iter().find_map(of).unwrap_or(0);
        let labels = [("kind", what.label())];
        ConstCounter::new(number).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

fn exceptions_unreadable(vitals: &Vitals, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let help = "Exceptions in the store that could not be read: what was known of them stays.";
    ConstCounter::new(vitals.exceptions_unreadable).encode(encoder.encode_descriptor(
        "exceptions_unreadable",
        help,
        None,
        MetricType::Counter,
    )?)
}
