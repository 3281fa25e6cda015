//! The table of precedence: what one host must show, by its TLSA records, the MTA-STS policy of the domain, and the terms.

use super::{
    Candidate, DaneDemand, InsecureMx, Local, Requirement, StsDemand, Terms, dns, enforced, testing,
};
use crate::name::{DnsName, Domain, ReferenceId, TlsaBase};
use crate::policy::facts::{HostFacts, StsState, TlsaFacts};
use crate::verdict::{Question, Reason};

/// The names of the next-hop that a certificate may carry beside the host's own.
#[derive(Clone, Copy)]
pub(super) struct NextHopNames<'a> {
    pub(super) domain: &'a Domain,
    pub(super) expanded: Option<&'a DnsName>,
    pub(super) secure: bool,
}

/// The candidates, strictest first. What the hosts' own lookups leave unknown comes before what MTA-STS does.
pub(super) fn candidates(
    hosts: &[&HostFacts],
    names: NextHopNames<'_>,
    sts: &StsState,
    terms: Terms<'_>,
) -> Result<Vec<Candidate>, Reason> {
    let mut candidates = hosts
        .iter()
        .map(|host| candidate(host, names, sts, terms))
        .collect::<Result<Vec<_>, _>>()?;
    // Whatever the unknown policy is, DANE may decide without it; anything else would have to guess.
    if let StsState::Unknown(failure) = sts
        && !candidates
            .iter()
            .all(|candidate| candidate.requirement.dane_decides(terms.settings))
    {
        return Err(dns(Question::Sts, names.domain.name(), failure));
    }
    candidates.sort_by_key(|candidate| std::cmp::Reverse(candidate.requirement.level()));
    Ok(candidates)
}

/// One row of the table of precedence: TLSA state × MTA-STS state.
fn candidate(
    host: &HostFacts,
    names: NextHopNames<'_>,
    sts: &StsState,
    terms: Terms<'_>,
) -> Result<Candidate, Reason> {
    let settings = terms.settings;
    let mut requirement = Requirement {
        local: terms.exception.and_then(Local::of),
        ..Requirement::default()
    };
    match &host.tlsa {
        TlsaFacts::NotApplicable => {}
        // MTA-STS must not rescue what DANE leaves unknown (RFC 8461 §2).
        TlsaFacts::Failed { base, failure } => {
            return Err(dns(Question::Tlsa, base.name(), failure));
        }
        TlsaFacts::Unusable { .. } => {
            requirement.encrypt = names.secure || settings.insecure_mx != InsecureMx::Ignore;
        }
        TlsaFacts::Usable { base, records } => match (names.secure, settings.insecure_mx) {
            (true, _) | (false, InsecureMx::Dane) => {
                requirement.dane = Some(DaneDemand {
                    base: base.clone(),
                    records: records.clone(),
                    reference_ids: reference_ids(base, names),
                    half: !names.secure,
                });
            }
            (false, InsecureMx::Encrypt) => requirement.encrypt = true,
            (false, InsecureMx::Ignore) => {}
        },
    }
    let enforce = enforced(sts).map(|policy| StsDemand::of(policy, &host.host));
    let mut observed = testing(sts).map(|policy| StsDemand::of(policy, &host.host));
    if requirement.local == Some(Local::Sts) {
        // Whoever requires a policy means also one that is only tested.
        requirement.sts = enforce.or_else(|| observed.take());
    } else if requirement.dane_decides(settings) {
        observed = observed.or(enforce);
    } else {
        requirement.sts = enforce;
    }
    Ok(Candidate {
        host: host.host.clone(),
        requirement,
        observed,
    })
}

/// RFC 7672 §3.2.2: base domain, next-hop, expanded next-hop; the base alone when the MX RRset is insecure.
fn reference_ids(base: &TlsaBase, names: NextHopNames<'_>) -> Vec<ReferenceId> {
    let mut ids = vec![ReferenceId::new(base.name().clone())];
    if names.secure {
        for name in [Some(names.domain.name()), names.expanded]
            .into_iter()
            .flatten()
        {
            let id = ReferenceId::new(name.clone());
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
    }
    ids
}
