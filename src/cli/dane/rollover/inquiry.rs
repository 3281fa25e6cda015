//! Asks for each MX host what a delivery would ask, keeps the RRset and its lifetime, and holds what the host presents and
//! what comes next against it.

use std::net::SocketAddr;
use std::sync::Arc;

use super::findings::{Address, Findings, Host};
use super::next::{Next, Present};
use crate::calendar;
use crate::cli::check;
use crate::cli::dane::{fates, verify};
use crate::cli::exchangers::{Exchanger, Exchangers};
use crate::dane::{self, Presented};
use crate::dns::Answer;
use crate::name::{Domain, MxHost, TlsaBase};
use crate::policy::demand::demand;
use crate::policy::{DaneDemand, Facts, MxFacts, TlsaFacts};
use crate::proxy::engine::Engine;
use crate::proxy::probe::{Probe, Prober};
use crate::verdict::{Reason, Verdict};

/// One question about one domain.
pub(super) struct Inquiry {
    pub(super) engine: Arc<Engine>,
    /// Nothing where no connection is wanted.
    pub(super) prober: Option<Prober>,
    pub(super) domain: Domain,
    pub(super) port: u16,
    pub(super) next: Next,
}

impl Inquiry {
    /// Finds the answer.
    pub(super) async fn ask(&self) -> Findings {
        let exchangers = Exchangers::find(&self.engine, &self.domain, self.port).await;
        let mut findings = Findings {
            domain: self.domain.to_string(),
            mx: "",
            hosts: Vec::new(),
            problem: None,
        };
        if let Some((secure, hosts)) = exchangers.hosts() {
            findings.mx = if secure { "secure" } else { "insecure" };
            for host in &hosts {
                findings.hosts.extend(self.host(host).await);
            }
        }
        if findings.hosts.is_empty() {
            let reason = exchangers.whole(self.engine.settings);
            findings.problem = Some(check::Problem::of(&reason));
        }
        findings
    }

    /// One host; nothing where it has no address, since no mail goes there.
    async fn host(&self, exchanger: &Exchanger<'_>) -> Option<Host> {
        let mut found = Host::new(exchanger.host().to_string());
        let addresses = exchanger.addresses();
        if addresses.is_empty() {
            found.failed(&exchanger.unlocated()?);
            return Some(found);
        }
        let mut demanded = None;
        let mut present = Vec::new();
        for address in addresses {
            let destination = SocketAddr::new(address, self.port);
            let facts = self.engine.gatherer.gather(&self.domain, destination).await;
            let dane = match self.dane(&facts, exchanger.host(), destination) {
                Ok(Some(dane)) => dane,
                Ok(None) => {
                    let (tlsa, note) = without_dane(&facts, exchanger.host());
                    found.lacks(tlsa, note);
                    continue;
                }
                Err(reason) => {
                    found.failed(&reason);
                    continue;
                }
            };
            let (address, seen) = self.look(&dane, destination).await;
            found.presents(address);
            present.extend(seen);
            demanded.get_or_insert(dane);
        }
        if let Some(dane) = demanded {
            self.rrset(&dane.base, &mut found).await;
            let now = self.engine.clock.wall();
            found.next_is(self.next.is_published(&dane, &present, now));
        }
        Some(found)
    }

    /// What DANE demands of this host at this address.
    fn dane(
        &self,
        facts: &Facts,
        host: &MxHost,
        destination: SocketAddr,
    ) -> Result<Option<DaneDemand>, Reason> {
        let demand = demand(facts, destination.ip(), self.engine.settings)?;
        let candidate = demand.candidates.into_iter().find(|one| one.host == *host);
        Ok(candidate.and_then(|one| one.requirement.dane))
    }

    /// The RRset itself, with what cannot be used, and how long it lives.
    async fn rrset(&self, base: &TlsaBase, found: &mut Host) {
        let Ok(owner) = base.name().prefixed(&format!("_{}._tcp", self.port)) else {
            return; // No records were found there, then.
        };
        if let Answer::Secure(rrset) = self.engine.lookup.tlsa(&owner).await.answer {
            found.tlsa = "secure";
            found.records = fates::records(rrset.data());
            let left = rrset.expires().since(self.engine.clock.wall());
            found.ttl_left = Some(left.as_secs());
            found.cached_until = Some(calendar::written(rrset.expires()));
        }
        found.owner = Some(owner.to_string());
    }

    /// What the host presents at this address.
    async fn look(&self, dane: &DaneDemand, destination: SocketAddr) -> (Address, Option<Present>) {
        let mut address = Address {
            address: destination,
            result: "not-asked",
            record: None,
            reason: None,
        };
        let Some(prober) = &self.prober else {
            return (address, None);
        };
        let Probe { verdict, handshake } = prober.probe(&self.domain, destination).await;
        // What was shown to another name is not what a delivery to this host sees (RFC 7672 §8.1).
        let handshake = handshake.filter(|shaken| shaken.sni() == Some(dane.base.name()));
        let Some(handshake) = handshake else {
            let (result, reason) = unseen(&verdict);
            address.result = result;
            address.reason = Some(reason);
            return (address, None);
        };
        let presented = Presented {
            chain: handshake.chain(),
            reference_ids: &dane.reference_ids,
        };
        let matched = dane::verify(&dane.records, presented, self.engine.clock.wall());
        match &matched {
            Ok(matched) => {
                address.result = "match";
                address.record = Some(matched.record.to_string());
            }
            Err(mismatch) => {
                address.result = "mismatch";
                address.reason = Some(verify::in_words(mismatch));
            }
        }
        let chain = handshake.chain().to_vec();
        (address, Some(Present { chain, matched }))
    }
}

/// Why nothing is demanded that could match.
fn without_dane(facts: &Facts, host: &MxHost) -> (&'static str, &'static str) {
    let MxFacts::Hosts { hosts, .. } = &facts.mx else {
        return (
            "unknown",
            "the MX records have changed meanwhile; ask again",
        );
    };
    match hosts
        .iter()
        .find(|one| one.host == *host)
        .map(|one| &one.tlsa)
    {
        Some(TlsaFacts::Unusable { .. }) => (
            "unusable",
            "no record of its RRset can be used, so senders authenticate nobody; publish 3 1 1 records of the present key and of the next",
        ),
        Some(TlsaFacts::Usable { .. }) => (
            "secure",
            "its records are set aside, since the MX RRset is insecure and the configuration says so (insecure_mx)",
        ),
        Some(TlsaFacts::NotApplicable | TlsaFacts::Failed { .. }) | None => (
            "none",
            "it has no secure TLSA records, so senders demand no DANE; publish 3 1 1 records of the present key and of the next",
        ),
    }
}

/// Why there is no chain to look at.
fn unseen(verdict: &Verdict) -> (&'static str, String) {
    match verdict {
        Verdict::Refuse(refusal) => {
            let problem = check::Problem::of(&refusal.reason);
            let result = match problem.outcome {
                check::Outcome::Unknown => "unknown",
                check::Outcome::Good | check::Outcome::Refused => "mismatch",
            };
            (result, format!("{}: {}", problem.reason, problem.seen))
        }
        Verdict::Pin(_) | Verdict::Redial(_) => (
            "unknown",
            "its certificate was not seen under its own name".into(),
        ),
    }
}
