//! Asks what a delivery would ask: facts, demand, a live session up to the verdict.

use std::net::SocketAddr;

use super::findings::{Destination, DomainFindings, Problem};
use crate::cli::exchangers::Exchangers;
use crate::name::{Domain, MxHost};
use crate::policy::demand::demand;
use crate::policy::exceptions::What;
use crate::policy::{Candidate, Local, Mode, Requirement, Terms};
use crate::proxy::engine::Engine;
use crate::proxy::probe::{Probe, Prober};
use crate::verdict::Verdict;

/// Finds out how mail to `domain` would be judged.
pub(super) async fn inquire(
    engine: &Engine,
    domain: &Domain,
    port: u16,
    prober: Option<&Prober>,
) -> DomainFindings {
    let exchangers = Exchangers::find(engine, domain, port).await;
    let mut findings = DomainFindings::new(domain, exchangers.sts());
    if let Some((secure, hosts)) = exchangers.hosts() {
        findings.mx = if secure { "secure" } else { "insecure" };
        for host in hosts {
            let addresses = host.addresses();
            for address in &addresses {
                let destination = SocketAddr::new(*address, port);
                let found = examine(engine, domain, host.host(), destination, prober).await;
                findings.destinations.push(found);
            }
            if addresses.is_empty()
                && let Some(reason) = host.unlocated()
            {
                let mut place = Destination::new(host.host().to_string(), None);
                place.failed(&reason);
                findings.destinations.push(place);
            }
        }
    }
    if findings.destinations.is_empty() {
        findings.problem = Some(Problem::of(&exchangers.whole(engine.settings)));
    }
    findings
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
    let now = engine.clock.wall();
    let exceptions = engine.exceptions.all();
    let exception = exceptions.of(domain, now);
    let terms = Terms {
        settings: engine.settings,
        exception: exception.map(|one| one.what()),
    };
    let is_reported = engine.modes.of(Some(domain)) == Mode::ReportOnly;
    let mut demand = match demand(&facts, destination.ip(), terms) {
        Ok(demand) => Some(demand),
        Err(reason) if is_reported && reason.is_for_policy() => {
            place.would_refuse = Some(Problem::of(&reason));
            None
        }
        Err(reason) => {
            place.failed(&reason);
            return place;
        }
    };
    if let Some(demand) = &mut demand
        && !terms.exception.is_some_and(What::loosens)
    {
        engine.recall.hold(demand, destination.port(), now);
    }
    if let Some(candidate) = demand.iter().flat_map(|demand| &demand.candidates).next() {
        place.level = Some(candidate.requirement.level().label());
        place.demand = words(candidate);
    }
    if let Some(exception) = exception {
        let demand = if place.demand.is_empty() {
            "nothing"
        } else {
            &place.demand
        };
        place.demand = format!("{demand}, by the exception {}", exception.id());
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
    let Requirement {
        encrypt,
        dane,
        sts,
        local,
        known_for_tls,
    } = &candidate.requirement;
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
        parts.push("TLS, unauthenticated".into());
    }
    if let Some(sts) = sts {
        let listed = if sts.listed {
            ""
        } else {
            ", which does not list this host"
        };
        parts.push(format!("a valid certificate by MTA-STS{listed}"));
    }
    if known_for_tls.is_some() {
        parts.push("TLS (the host is known for it)".into());
    }
    match local {
        Some(Local::Dane) => parts.push("DANE to be there".into()),
        Some(Local::Sts) => parts.push("an MTA-STS policy to be there".into()),
        Some(Local::Webpki) => {
            parts.push("a certificate of a trusted CA".into());
        }
        Some(Local::Pin(_)) => parts.push("a key that is pinned".into()),
        None => {}
    }
    if parts.is_empty() {
        "nothing".into()
    } else {
        parts.join(", and ")
    }
}
