//! DNS worlds in one literal each, and what a fresh gatherer learns from them.

use std::sync::Arc;

use futures_util::future::{BoxFuture, ready};

use crate::clock::SystemClock;
use crate::dns::route::literal::{Literal, Said};
use crate::dns::{Denial, Failure, Lookup};
use crate::mtasts::Policy;
use crate::mtasts::fetch::{FetchFailure, FetchPolicy};
use crate::name::Domain;
use crate::policy::cache::{CacheOptions, StsCache};
use crate::policy::demand::demand;
use crate::policy::facts::{AddressFacts, Facts, Gatherer, MxFacts, TlsaFacts};
use crate::policy::{Demand, Settings};
use crate::store::memory::MemoryStore;
use crate::verdict::Reason;

pub(super) const EE: Said = Said::Secure(&["3 1 1 ab"]);
pub(super) const UNUSABLE: Said = Said::Secure(&["1 1 1 ab"]);
pub(super) const NONE: Said = Said::NoData(Denial::Secure);
pub(super) const CLAIMED_NONE: Said = Said::NoData(Denial::Insecure);
pub(super) const HERE: Said = Said::Secure(&["192.0.2.25"]);
pub(super) const ELSEWHERE: Said = Said::Secure(&["192.0.2.77"]);

/// The policy host of every domain: it serves this text, or cannot be reached.
pub(super) struct PolicyHost(pub(super) Option<&'static str>);

impl FetchPolicy for PolicyHost {
    fn fetch<'a>(&'a self, _: &'a Domain) -> BoxFuture<'a, Result<Policy, FetchFailure>> {
        let fetched = match self.0 {
            Some(text) => Ok(Policy::parse(text.as_bytes()).unwrap()),
            None => Err(FetchFailure::Fetch("no route to host".into())),
        };
        Box::pin(ready(fetched))
    }
}

/// What was learned and what was asked for it, the question for the MTA-STS record apart.
pub(super) struct Learned {
    pub(super) facts: Facts,
    pub(super) asked: Vec<String>,
    pub(super) sts_asked: Vec<String>,
}

/// With a fresh cache, for mail to `domain`, or over a route to the host of that name.
pub(super) async fn gather(
    dns: Literal,
    host: PolicyHost,
    domain: &str,
    destination: &str,
) -> Learned {
    let dns = Arc::new(dns);
    let lookup = || Arc::clone(&dns) as Arc<dyn Lookup>;
    let store = Arc::new(MemoryStore::default());
    let sts = StsCache::open(
        lookup(),
        Arc::new(host),
        store,
        Arc::new(SystemClock),
        CacheOptions::default(),
    )
    .unwrap();
    let gatherer = Gatherer::new(lookup(), Arc::new(sts), Arc::new(SystemClock));
    let (destination, is_route) = match destination.strip_prefix("route ") {
        Some(destination) => (destination.parse().unwrap(), true),
        None => (destination.parse().unwrap(), false),
    };
    let domain = domain.parse().unwrap();
    let facts = if is_route {
        gatherer.gather_route(&domain, destination).await
    } else {
        gatherer.gather(&domain, destination).await
    };
    let is_txt = |asked: &String| asked.starts_with("TXT");
    let (sts_asked, asked) = dns.asked().into_iter().partition(is_txt);
    Learned {
        facts,
        asked,
        sts_asked,
    }
}

pub(super) async fn learn(rows: &[(&'static str, Said)], destination: &str) -> Learned {
    gather(
        Literal::new(rows),
        PolicyHost(None),
        "example.org",
        destination,
    )
    .await
}

impl Learned {
    /// The hosts, each as `name: what became of its TLSA`.
    pub(super) fn hosts(&self) -> Vec<String> {
        let MxFacts::Hosts { hosts, .. } = &self.facts.mx else {
            panic!("no hosts: {:?}", self.facts.mx);
        };
        hosts
            .iter()
            .map(|host| {
                let addresses = match &host.addresses {
                    AddressFacts::Known(_) => "",
                    AddressFacts::Failed(Failure::Bogus(_)) => " (bogus address)",
                    AddressFacts::Failed(Failure::Unreachable(_)) => " (no address)",
                };
                format!("{}{addresses}: {}", host.host, tlsa(&host.tlsa))
            })
            .collect()
    }

    pub(super) fn tlsa_asked(&self) -> Vec<&str> {
        let asked = self.asked.iter().map(String::as_str);
        asked.filter(|asked| asked.starts_with("TLSA")).collect()
    }
}

fn tlsa(facts: &TlsaFacts) -> String {
    match facts {
        TlsaFacts::NotApplicable => "none".into(),
        TlsaFacts::Unusable { base } => format!("unusable at {base}"),
        TlsaFacts::Usable { base, records } => format!("{} usable at {base}", records.len()),
        TlsaFacts::Failed { base, failure } => format!("failed at {base}: {failure}"),
    }
}

/// One MX host, `mx.example.org`, under a secure MX RRset, with further rows; the destination is port 25 of
/// 192.0.2.25.
pub(super) async fn one_host(rows: &[(&'static str, Said)]) -> Learned {
    let mut all = vec![("example.org MX", Said::Secure(&["10 mx.example.org"]))];
    all.extend(rows);
    learn(&all, "192.0.2.25:25").await
}

/// The level of the one candidate and whether the policy fails to list it, or the label of the refusal.
pub(super) fn demanded(learned: &Learned) -> String {
    let destination = "192.0.2.25".parse().unwrap();
    told(demand(&learned.facts, destination, Settings::default()))
}

pub(super) fn told(demanded: Result<Demand, Reason>) -> String {
    match demanded {
        Ok(demand) => {
            let requirement = &demand.candidates[0].requirement;
            let unlisted = requirement.sts.as_ref().is_some_and(|sts| !sts.listed);
            let unlisted = if unlisted { " unlisted" } else { "" };
            format!("{}{unlisted}", requirement.level())
        }
        Err(reason) => reason.label().into(),
    }
}
