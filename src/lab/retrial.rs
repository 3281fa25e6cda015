//! The trace of every scenario decides again: what stands in it, read back from its JSON, leads to the same rule.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, ready};
use rustls_pki_types::CertificateDer;

use super::trial::{self, Collector};
use super::world::World;
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::config::{ClientTls, ListenerConfig};
use crate::dane::presentation;
use crate::dns::{
    Absence, AbsenceKind, Alias, Answer, Denial, Exchange, Failure, Family, Lookup, Mx, Resolved,
    Secure, Source, Text, TlsaRdata,
};
use crate::intercept::Via;
use crate::mtasts::fetch::{FetchFailure, FetchPolicy};
use crate::mtasts::{Policy, PolicyId};
use crate::name::{DnsName, Domain};
use crate::policy::cache::{CacheOptions, StsCache};
use crate::policy::demand::{demand, demand_of_route};
use crate::policy::facts::Gatherer;
use crate::policy::{Demand, Facts, Settings};
use crate::proxy::Proxy;
use crate::report::trace::answer::State;
use crate::report::trace::keeper::KeepTraces;
use crate::report::trace::{Attempt, Channel, Decided, DnsAnswer, Finding, Sts, Trace};
use crate::smtp::NoTls;
use crate::store::memory::MemoryStore;
use crate::store::{Batch, Kind, Query, Store, StoredPolicy};
use crate::tls::roots;
use crate::tls::{Evidence, Handshake};
use crate::verdict::{Reason, judge};
use crate::x509::path::Roots;

/// The DNS as a trace tells of it; what it does not tell of nobody knows.
struct Retold {
    answers: Vec<DnsAnswer>,
    sts: Sts,
    decided: Timestamp,
}

impl Retold {
    fn ask<T>(
        &self,
        name: &DnsName,
        record_type: &str,
        read: impl Fn(&str) -> T,
    ) -> Resolved<Vec<T>> {
        let is_it = |one: &&DnsAnswer| one.name == name.as_str() && one.record_type == record_type;
        let Some(told) = self.answers.iter().find(is_it) else {
            let failure = Failure::Unreachable(format!("{name} {record_type} is not in the trace"));
            return resolved(Answer::Failed(failure));
        };
        let records = told.records.iter().map(|text| read(text)).collect();
        let absent = |kind, denial| Answer::Absent(Absence { kind, denial });
        let why = told.failure.clone().unwrap_or_default();
        let expires = self
            .decided
            .plus(Duration::from_secs(told.ttl.unwrap_or(0)));
        let aliases = told.aliases.iter().map(|step| Alias {
            from: step.from.parse().unwrap(),
            to: step.to.parse().unwrap(),
            secure: step.secure,
        });
        Resolved {
            aliases: aliases.collect(),
            ..resolved(match told.state {
                State::Secure => Answer::Secure(Secure::asserted(records, expires)),
                State::Insecure => Answer::Insecure(records),
                State::NodataSecure => absent(AbsenceKind::NoData, Denial::Secure),
                State::NodataInsecure => absent(AbsenceKind::NoData, Denial::Insecure),
                State::NxdomainSecure => absent(AbsenceKind::NxDomain, Denial::Secure),
                State::NxdomainInsecure => absent(AbsenceKind::NxDomain, Denial::Insecure),
                State::Bogus => Answer::Failed(Failure::Bogus(why)),
                State::Unreachable => Answer::Failed(Failure::Unreachable(why)),
            })
        }
    }
}

fn resolved<T>(answer: Answer<T>) -> Resolved<T> {
    Resolved {
        answer,
        aliases: Vec::new(),
        source: Source::default(),
    }
}

impl Lookup for Retold {
    fn mx<'a>(&'a self, domain: &'a DnsName) -> BoxFuture<'a, Resolved<Vec<Mx>>> {
        Box::pin(ready(self.ask(domain, "MX", |text| {
            let (preference, exchange) = text.split_once(' ').unwrap();
            Mx {
                preference: preference.parse().unwrap(),
                exchange: match (exchange, exchange.parse()) {
                    (".", _) => Exchange::Root,
                    (_, Ok(host)) => Exchange::Host(host),
                    (text, Err(_)) => Exchange::Unusable(text.to_owned()),
                },
            }
        })))
    }

    fn addresses<'a>(
        &'a self,
        host: &'a DnsName,
        family: Family,
    ) -> BoxFuture<'a, Resolved<Vec<IpAddr>>> {
        let read = |text: &str| text.parse().unwrap();
        Box::pin(ready(self.ask(host, &family.to_string(), read)))
    }

    fn tlsa<'a>(&'a self, owner: &'a DnsName) -> BoxFuture<'a, Resolved<Vec<TlsaRdata>>> {
        let read = |text: &str| presentation::record(text).unwrap();
        Box::pin(ready(self.ask(owner, "TLSA", read)))
    }

    fn txt<'a>(&'a self, _: &'a DnsName) -> BoxFuture<'a, Resolved<Vec<Text>>> {
        let why = || self.sts.failure.clone().unwrap();
        let record = || Answer::Insecure(vec![b"v=STSv1; id=1;".to_vec()]);
        let answer = match self.sts.state.as_str() {
            "live" | "fetch-failed" => record(),
            "unknown" if why().kind == "bogus" => Answer::Failed(Failure::Bogus(why().detail)),
            "unknown" => Answer::Failed(Failure::Unreachable(why().detail)),
            _ => Answer::Absent(Absence {
                kind: AbsenceKind::NxDomain,
                denial: Denial::Insecure,
            }),
        };
        Box::pin(ready(resolved(answer)))
    }
}

struct NoHost;

impl FetchPolicy for NoHost {
    fn fetch<'a>(&'a self, _: &'a Domain) -> BoxFuture<'a, Result<Policy, FetchFailure>> {
        Box::pin(ready(Err(FetchFailure::Fetch(
            "nobody fetches twice".into(),
        ))))
    }
}

async fn facts(decided: &Decided) -> Facts {
    let domain: Domain = decided.domain.parse().unwrap();
    let sts = decided.mta_sts.clone().unwrap();
    let store = Arc::new(MemoryStore::default());
    if let Some(text) = &sts.text {
        let policy = StoredPolicy {
            domain: domain.clone(),
            id: PolicyId::stored("1".into()),
            policy: Arc::new(Policy::parse(text.as_bytes()).unwrap()),
            fetched: SystemClock.wall(),
        };
        store.write(&Batch::saving(&policy)).unwrap();
    }
    let lookup: Arc<dyn Lookup> = Arc::new(Retold {
        answers: decided.dns.clone(),
        sts,
        decided: decided.decided,
    });
    let cache = StsCache::open(
        Arc::clone(&lookup),
        Arc::new(NoHost),
        store,
        Arc::new(SystemClock),
        CacheOptions::default(),
    );
    let gatherer = Gatherer::new(lookup, Arc::new(cache.unwrap()), Arc::new(SystemClock));
    if decided.route {
        gatherer.gather_route(&domain, decided.destination).await
    } else {
        gatherer.gather(&domain, decided.destination).await
    }
}

fn evidence(attempt: &Attempt) -> Evidence {
    let sni = attempt
        .showing
        .sni
        .as_ref()
        .map(|name| name.parse().unwrap());
    match &attempt.showing.channel {
        Channel::Tls(tls) => {
            let chain = tls.chain.iter().map(|one| der(one.der.as_ref().unwrap()));
            Evidence::Protected(Handshake::asserted(sni, chain.collect()))
        }
        Channel::NoStarttls => Evidence::Clear(NoTls::NotOffered),
        Channel::StarttlsRefused(code) => Evidence::Clear(NoTls::Refused(*code)),
        Channel::ClearAfter(what) => Evidence::Clear(NoTls::HandshakeFailed(what.clone())),
        Channel::Broken(what) => Evidence::Broken(what.clone()),
    }
}

fn der(hex: &str) -> CertificateDer<'static> {
    let octet = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    let octets: Vec<u8> = (0..hex.len()).step_by(2).map(octet).collect();
    octets.into()
}

async fn demanded(decided: &Decided) -> Result<Demand, Reason> {
    let literal = format!("[{}]", decided.destination.ip());
    if decided.domain == literal {
        return Ok(Demand::of_literal());
    }
    let facts = facts(decided).await;
    let settings = Settings {
        insecure_mx: decided.settings.insecure_mx,
        combine: decided.settings.combine,
        ..Settings::default()
    };
    if decided.route {
        demand_of_route(&facts, settings)
    } else {
        demand(&facts, decided.destination.ip(), settings)
    }
}

/// Every rule that fires when the trace is judged once more, in order.
async fn judged_again(decided: &Decided, roots: &Roots) -> Vec<(String, String)> {
    let demanded = match demanded(decided).await {
        Ok(demanded) => demanded,
        Err(reason) => return vec![("refuse".into(), reason.label().into())],
    };
    let again = decided.attempts.iter().map(|attempt| {
        let evidence = evidence(attempt);
        let name = |name: &Option<String>| name.as_ref().map(|name| name.parse().unwrap());
        let tried: Vec<_> = attempt.tried.iter().map(name).collect();
        let verdict = judge(&demanded, &evidence, &tried, roots, decided.decided);
        let again = Finding::of(&verdict);
        (again.verdict, again.rule)
    });
    again.collect()
}

fn fired(decided: &Decided) -> Vec<(String, String)> {
    if decided.attempts.is_empty() {
        let end = &decided.outcome;
        return vec![(end.verdict.clone(), end.rule.clone())];
    }
    let fired = decided.attempts.iter();
    fired
        .map(|one| (one.finding.verdict.clone(), one.finding.rule.clone()))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_trace_of_every_scenario_decides_again_as_it_did() {
    let world = World::start().await.unwrap();
    let listener = ListenerConfig {
        client_tls: ClientTls::Never,
        ..ListenerConfig::new(Via::Socks5, SocketAddr::from(([127, 0, 0, 1], 0)))
    };
    let mut config = world.config(listener);
    config.keep_traces = KeepTraces::All;
    let records = Arc::new(Collector::default());
    let proxy = Proxy::start(&config, records.clone()).await.unwrap();
    trial::run_all(world.stages(), proxy.addresses()[0], &records, |_| {}).await;
    let engine = proxy.engine();
    engine.traces.flush().await;
    let rows = engine.store.find(Kind::Trace, Query::Latest, 1000).unwrap();
    assert!(rows.len() >= world.stages().len(), "{} traces", rows.len());
    let roots = roots::load(Some(&world.ca_file)).unwrap();
    // A hundred thousand of them are kept by default.
    let mut sizes: Vec<usize> = rows
        .iter()
        .filter_map(|row| Some(row.body.as_ref()?.len()))
        .collect();
    sizes.sort_unstable();
    let (median, largest) = (sizes[sizes.len() / 2], sizes[sizes.len() - 1]);
    let is_small = median < 4 * 1024 && largest < 16 * 1024;
    assert!(
        is_small,
        "half of them up to {median} octets, the largest {largest}"
    );
    for row in rows {
        let trace: Trace = serde_json::from_str(row.body.as_deref().unwrap()).unwrap();
        let decided = &trace.decision;
        assert!(decided.left_out.is_empty(), "{}", decided.domain);
        let again = judged_again(decided, &roots).await;
        assert_eq!(again, fired(decided), "{}: {trace:#?}", decided.domain);
    }
}
