//! The MTA-STS cache: what it holds, what is about to expire, and how fetches ended.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::policy::cache::tally::{FetchEnding, StsVitals};

/// Writes all of it.
pub(super) fn encode(sts: &StsVitals, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    domains(sts, encoder)?;
    expiring(sts, encoder)?;
    fetches(sts, encoder)?;
    evicted(sts, encoder)
}

fn domains(sts: &StsVitals, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let help = "Domains in the MTA-STS cache, by the mode of their policy.";
    let mut family = encoder.encode_descriptor("sts_domains", help, None, MetricType::Gauge)?;
    for (mode, domains) in sts.domains {
        let count = ConstGauge::new(i64::try_from(domains).unwrap_or(i64::MAX));
        count.encode(family.encode_family(&[("mode", mode)])?)?;
    }
    Ok(())
}

fn expiring(sts: &StsVitals, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let expiring = i64::try_from(sts.expiring).unwrap_or(i64::MAX);
    let help = "Enforced MTA-STS policies that cannot be refreshed and are about to expire.";
    ConstGauge::new(expiring).encode(encoder.encode_descriptor(
        "sts_expiring",
        help,
        None,
        MetricType::Gauge,
    )?)
}

fn fetches(sts: &StsVitals, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let help = "Fetches of MTA-STS policies, by outcome.";
    let mut family = encoder.encode_descriptor("sts_fetches", help, None, MetricType::Counter)?;
    for (ending, fetches) in FetchEnding::ALL.into_iter().zip(sts.fetches) {
        let labels = [("outcome", ending.label())];
        ConstCounter::new(fetches).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

fn evicted(sts: &StsVitals, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let help = "Enforced MTA-STS policies that were forgotten because the cache was full of them.";
    ConstCounter::new(sts.evicted_enforced).encode(encoder.encode_descriptor(
        "sts_evicted_enforced",
        help,
        None,
        MetricType::Counter,
    )?)
}
