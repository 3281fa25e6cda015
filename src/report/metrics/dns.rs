//! What DNS has come to: validation, lookups, and where two validations disagree.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::Vitals;
use crate::dns::health::state::Health;
use crate::dns::tally::{Asked, Ending, Tally};

/// Writes all of it.
pub(super) fn encode(vitals: &Vitals, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    health(vitals, encoder)?;
    lookups(&vitals.tally, encoder)?;
    disagreements(&vitals.tally, encoder)
}

fn health(vitals: &Vitals, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let help = "Whether DNSSEC validation works: 1 for the state that holds, 0 for all others.";
    let mut family = encoder.encode_descriptor("dns_health", help, None, MetricType::Gauge)?;
    for state in Health::LABELS {
        let holds = ConstGauge::new(i64::from(state == vitals.health));
        holds.encode(family.encode_family(&[("state", state)])?)?;
    }
    Ok(())
}

fn lookups(tally: &Tally, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let help = "DNS lookups that decisions asked for, by record type and outcome.";
    let mut family = encoder.encode_descriptor("dns_lookups", help, None, MetricType::Counter)?;
    for asked in Asked::ALL {
        for ending in Ending::ALL {
            let labels = [("rrtype", asked.label()), ("outcome", ending.label())];
            let count = ConstCounter::new(tally.lookups(asked, ending));
            count.encode(family.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

fn disagreements(tally: &Tally, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let help = "Answers of which the recursive resolver's AD bit says another thing than our own validation.";
    ConstCounter::new(tally.disagreements()).encode(encoder.encode_descriptor(
        "dns_disagreements",
        help,
        None,
        MetricType::Counter,
    )?)
}
