//! From a scenario to the records of its domain.

use std::net::{IpAddr, SocketAddr};

use hickory_server::proto::rr::rdata::tlsa::{CertUsage, Matching, Selector};
use hickory_server::proto::rr::rdata::{A, AAAA, CNAME, MX, TLSA, TXT};
use hickory_server::proto::rr::{Name, RData, RecordType};

use super::catalogue::{Alias, Place, Route, Scenario, Subject, TlsaRecord};
use super::pki::Identity;
use super::world::POLICY_HOST;
use super::zones::{Plan, Signing, ZoneError, fqdn};

/// A scenario with what is known of its host only once the world is being set up.
pub(super) struct Site<'a> {
    pub(super) scenario: &'a Scenario,
    /// Where the MX host listens.
    pub(super) host: SocketAddr,
    /// What it presents.
    pub(super) presented: &'a Identity,
    /// What nobody presents.
    pub(super) another: &'a Identity,
}

/// Adds the zones and records of a scenario.
///
/// # Errors
/// When a name of it is none.
pub(super) fn publish(plan: &mut Plan, site: &Site<'_>) -> Result<(), ZoneError> {
    let scenario = site.scenario;
    let (domain, host) = (scenario.domain(), scenario.host());
    plan.zone(&domain, scenario.publishes.zone)?;
    if let Some(zone) = scenario.host_zone() {
        plan.zone(&zone, Signing::Signed)?;
    }
    let exchange = match scenario.publishes.route {
        Route::OwnHost | Route::SignedHost | Route::Literal => Some((10, fqdn(&host)?)),
        Route::Null => Some((0, Name::root())),
        Route::Implicit => None,
    };
    if let Some((preference, exchange)) = exchange {
        plan.record(&domain, RData::MX(MX::new(preference, exchange)))?;
    }
    let base = scenario.tlsa_base();
    if base != host {
        plan.record(&host, alias(&base)?)?;
    }
    plan.record(&base, address(site.host.ip()))?;
    let tlsa_owner = publish_tlsa(plan, site, &base)?;
    if scenario.publishes.sts.is_some() {
        let announcement = TXT::new(vec!["v=STSv1; id=1;".to_owned()]);
        plan.record(&format!("_mta-sts.{domain}"), RData::TXT(announcement))?;
        plan.record(&format!("mta-sts.{domain}"), address(POLICY_HOST))?;
    }
    for fault in scenario.publishes.faults {
        let (owner, rtype) = match fault.at {
            Place::Mx => (&domain, RecordType::MX),
            Place::Address => (&base, RecordType::A),
            Place::Tlsa => (&tlsa_owner, RecordType::TLSA),
        };
        plan.misbehave(owner, rtype, fault.how)?;
    }
    Ok(())
}

/// Where the TLSA RRset stands.
fn publish_tlsa(plan: &mut Plan, site: &Site<'_>, base: &str) -> Result<String, ZoneError> {
    let publishes = &site.scenario.publishes;
    let asked = format!("_{}._tcp.{base}", site.host.port());
    let owner = match publishes.alias {
        Some(Alias::Tlsa) => format!("tlsa.{base}"),
        Some(Alias::Host) | None => asked.clone(),
    };
    if owner != asked {
        plan.record(&asked, alias(&owner)?)?;
    }
    for record in publishes.tlsa {
        plan.record(&owner, tlsa(site, record))?;
    }
    Ok(owner)
}

fn alias(target: &str) -> Result<RData, ZoneError> {
    Ok(RData::CNAME(CNAME(fqdn(target)?)))
}

const fn address(address: IpAddr) -> RData {
    match address {
        IpAddr::V4(address) => RData::A(A(address)),
        IpAddr::V6(address) => RData::AAAA(AAAA(address)),
    }
}

fn tlsa(site: &Site<'_>, record: &TlsaRecord) -> RData {
    let identity = match record.of {
        Subject::Presented => site.presented,
        Subject::Another => site.another,
    };
    let association = record.association;
    RData::TLSA(TLSA::new(
        CertUsage::from(association.usage),
        Selector::from(association.selector),
        Matching::from(association.matching),
        identity.association(association),
    ))
}
