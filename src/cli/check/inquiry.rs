//! Asks what a delivery would ask: facts, demand, a live session up to the verdict.

use super::findings::{Destination, DomainFindings, Problem};
use crate::name::{Domain, MxHost};
use crate::policy::demand::demand;
use crate::policy::{AddressFacts, Candidate, Facts, HostFacts, MxFacts, Requirement};
use crate::proxy::engine::Engine;
use crate::proxy::probe::{Probe, Prober};
use crate::verdict::{Question, Reason, Verdict};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Finds out how mail to `domain` would be judged.
pub(super) async fn inquire(
    engine: &Engine,
    domain: &Domain,
    port: u16,
    prober: Option<&Prober>,
) -> DomainFindings {
    // The unspecified addresses are no host's: all hosts are looked at, one family at a time.
    let v4 = engine
        .gatherer
        .gather(
            domain,
            SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port),
        )
        .await;
    let v6 = engine
        .gatherer
        .gather(
            domain,
            SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port),
        )
        .await;
    let mut findings = DomainFindings::new(domain, &v4.sts);
    let (secure, hosts4, hosts6) = match (&v4.mx, &v6.mx) {
        (MxFacts::Hosts { secure, hosts, .. }, MxFacts::Hosts { hosts: hosts6, .. }) => {
            (*secure, hosts, hosts6)
        }
        _ => {
            findings.problem = whole(&v4, engine);
            return findings;
        }
    };
    findings.mx = if secure { "secure" } else { "insecure" };
    for (host4, host6) in hosts4.iter().zip(hosts6) {
        let addresses: Vec<IpAddr> = [host4, host6]
            .into_iter()
            .flat_map(known)
            .copied()
            .collect();
        for address in &addresses {
            let destination = SocketAddr::new(*address, port);
            let found = examine(engine, domain, &host4.host, destination, prober).await;
            findings.destinations.push(found);
        }
        if addresses.is_empty() {
            findings.destinations.extend(unlocated(&[host4, host6]));
        }
    }
    if findings.destinations.is_empty() {
        findings.problem = whole(&v4, engine)
            .or_else(|| whole(&v6, engine))
            .or_else(|| Some(no_address(domain)));
    }
    findings
}

/// What stands against the domain whatever the destination.
fn whole(facts: &Facts, engine: &Engine) -> Option<Problem> {
    demand(facts, IpAddr::V4(Ipv4Addr::UNSPECIFIED), engine.settings)
        .err()
        .map(|reason| Problem::of(&reason))
}

fn no_address(domain: &Domain) -> Problem {
    Problem::of(&Reason::Unreachable {
        what: format!("no MX host of {domain} has an address"),
    })
}

/// A host none of whose addresses could be had: mail to it waits, and beside other hosts nobody would notice.
fn unlocated(families: &[&HostFacts]) -> Option<Destination> {
    families.iter().find_map(|host| {
        let AddressFacts::Failed(failure) = &host.addresses else {
            return None;
        };
        let mut place = Destination::new(host.host.to_string(), None);
        place.failed(&Reason::Dns {
            question: Question::Address,
            name: host.host.name().clone(),
            failure: failure.clone(),
        });
        Some(place)
    })
}

fn known(host: &HostFacts) -> &[IpAddr] {
    match &host.addresses {
        AddressFacts::Known(addresses) => addresses,
        AddressFacts::Failed(_) => &[],
    }
}

/// One destination: what is demanded, and whether it is met.
async fn examine(
    engine: &Engine,
    domain: &Domain,
    host: &MxHost,
    destination: SocketAddr,
    prober: Option<&Prober>,
) -> Destination {
    let mut place = Destination::new(host.to_string(), Some(destination));
    let facts = engine.gatherer.gather(domain, destination).await;
    let demand = match demand(&facts, destination.ip(), engine.settings) {
        Ok(demand) => demand,
        Err(reason) => {
            place.failed(&reason);
            return place;
        }
    };
    if let Some(candidate) = demand.candidates.first() {
        place.level = Some(candidate.requirement.level().label());
        place.demand = words(candidate);
    }
    let Some(prober) = prober else {
        return place;
    };
    let Probe { verdict, handshake } = prober.probe(domain, destination).await;
    if let Some(handshake) = handshake {
        place.tls_version = Some(handshake.version());
        place.pin = Some(handshake.pin());
    }
    match verdict {
        Verdict::Pin(pin) => place.pinned(&pin),
        Verdict::Refuse(refusal) => place.refused(&refusal),
        Verdict::Redial(_) => {}
    }
    place
}

/// What is demanded of a host, for people.
fn words(candidate: &Candidate) -> String {
    let Requirement { encrypt, dane, sts } = &candidate.requirement;
    let mut parts = Vec::new();
    if let Some(dane) = dane {
        let records: Vec<String> = dane.records.iter().map(ToString::to_string).collect();
        parts.push(format!(
            "a match of TLSA {} at {}",
            records.join(", "),
            dane.base
        ));
    }
    if *encrypt {
        parts.push("TLS (no TLSA record is usable)".into());
    }
    if let Some(sts) = sts {
        let listed = if sts.listed {
            ""
        } else {
            ", which does not list this host"
        };
        parts.push(format!("a valid certificate by MTA-STS{listed}"));
    }
    if parts.is_empty() {
        "nothing".into()
    } else {
        parts.join(", and ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::check::findings::Outcome;
    use crate::dns::Failure;
    use crate::policy::TlsaFacts;

    #[test]
    fn a_host_without_known_addresses_is_shown_where_a_lookup_failed() {
        let host = |addresses| HostFacts {
            host: "mx.example".parse().unwrap(),
            addresses,
            tlsa: TlsaFacts::NotApplicable,
        };
        let none = || AddressFacts::Known(vec![]);
        let failed = |failure: fn(String) -> Failure| AddressFacts::Failed(failure("why".into()));
        for (what, v4, v6, expected) in [
            ("neither family exists", none(), none(), None),
            (
                "one is bogus, the other does not exist",
                none(),
                failed(Failure::Bogus),
                Some(Outcome::Refused),
            ),
            (
                "one is not answered",
                failed(Failure::Unreachable),
                none(),
                Some(Outcome::Unknown),
            ),
        ] {
            let found = unlocated(&[&host(v4), &host(v6)]);
            assert_eq!(found.and_then(|place| place.verdict), expected, "{what}");
        }
    }
}
