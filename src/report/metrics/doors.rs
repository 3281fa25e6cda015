//! What became of connections before they were sessions, and whether any arrive at all.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::Vitals;
use crate::intercept::tally::{Lacked, Turned};
use crate::intercept::watch::Sight;

/// Writes all of it.
pub(super) fn encode(vitals: &Vitals, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let help = "Connections that got no session, by why.";
    let counts = Turned::ALL.map(|why| (why.label(), vitals.doors.of_turned(why)));
    counted(encoder, ("connections_refused", help), ("reason", &counts))?;
    let help = "How often this host had no descriptor, port or memory left, by where.";
    let counts = Lacked::ALL.map(|at| (at.label(), vitals.doors.of_lacked(at)));
    counted(encoder, ("host_exhausted", help), ("at", &counts))?;
    interception(vitals, encoder)
}

fn counted(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help): (&str, &str),
    (label, counts): (&str, &[(&'static str, u64)]),
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (word, count) in counts {
        let labels = [(label, *word)];
        ConstCounter::new(*count).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

/// One for the state that holds, of each family; nothing where nobody looks.
fn interception(vitals: &Vitals, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let Some(sights) = vitals.sights else {
        return Ok(());
    };
    let help = "Whether connections are taken over, as far as it can be seen: see docs/metrics.md.";
    let mut gauge = encoder.encode_descriptor("interception", help, None, MetricType::Gauge)?;
    for (family, holds) in sights {
        for sight in Sight::ALL {
            let labels = [("family", family.label()), ("state", sight.label())];
            let value = i64::from(sight == holds);
            ConstGauge::new(value).encode(gauge.encode_family(&labels)?)?;
        }
    }
    Ok(())
}
