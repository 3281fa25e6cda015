//! Asks for what a domain publishes: the TXT record, the policy whatever the record says, and the MX hosts.

use super::findings::Findings;
use crate::dns::Answer;
use crate::dns::route::{Route, route};
use crate::mtasts::NoRecord;
use crate::mtasts::fetch::HttpsFetcher;
use crate::mtasts::record::announced;
use crate::name::Domain;
use crate::proxy::engine::Engine;

/// Looks at a domain.
pub(super) async fn inquire(engine: &Engine, fetcher: &HttpsFetcher, domain: &Domain) -> Findings {
    let mut findings = Findings::new(domain.to_string());
    record(engine, domain, &mut findings).await;
    let policy = match fetcher.body(domain).await {
        Ok(body) => findings.read(&body),
        Err(failure) => {
            findings.unfetched(&failure);
            None
        }
    };
    let hosts = match route(engine.lookup.as_ref(), domain).await {
        Route::Hosts(route) => route.hosts,
        Route::Failed(failure) => {
            findings.unresolved("mx", "the MX records", &failure);
            return findings;
        }
        Route::Null { .. } | Route::NoSuchDomain => Vec::new(),
    };
    findings.mx_hosts = hosts.iter().map(ToString::to_string).collect();
    if let Some(policy) = policy {
        findings.compare(&policy, &hosts);
    }
    findings
}

async fn record(engine: &Engine, domain: &Domain, findings: &mut Findings) {
    let Ok(name) = domain.name().prefixed("_mta-sts") else {
        return findings.unannounced(&NoRecord::None);
    };
    let answer = engine.lookup.txt(&name).await.answer;
    if let Answer::Failed(failure) = &answer {
        let what = format!("the TXT records at {name}");
        return findings.unresolved("record", &what, failure);
    }
    match announced(answer.records().map_or(&[], Vec::as_slice)) {
        Ok(id) => findings.id = Some(id.as_str().to_owned()),
        Err(why) => findings.unannounced(&why),
    }
}
