//! From a next-hop domain to its MX hosts (RFC 5321 §5.1, RFC 7672 §2.2.1).

use super::{AbsenceKind, Answer, Denial, Exchange, Failure, Lookup, Mx};
use crate::name::{DnsName, Domain, MxHost};

/// Where the mail of a domain goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// To hosts.
    Hosts(Hosts),
    /// Nowhere: a null MX (RFC 7505 §3).
    Null {
        /// Whether that is validated.
        secure: bool,
    },
    /// The domain does not exist.
    NoSuchDomain,
    /// It could not be found out.
    Failed(Failure),
}

/// The hosts of a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hosts {
    /// The MX RRset, or its absence, is validated, with every alias that led to it.
    pub secure: bool,
    /// The domain after its own aliases, when it is an alias.
    pub expanded: Option<DnsName>,
    /// By preference, then by name; at least one.
    pub hosts: Vec<MxHost>,
}

/// Looks the MX records up; without any, the domain itself is the host (RFC 5321 §5.1).
pub async fn route(lookup: &dyn Lookup, domain: &Domain) -> Route {
    let resolved = lookup.mx(domain.name()).await;
    let expanded = resolved.aliases.last().map(|alias| alias.to.clone());
    match &resolved.answer {
        Answer::Secure(records) => explicit(records.data(), true, expanded),
        Answer::Insecure(records) => explicit(records, false, expanded),
        Answer::Absent(absence) => match absence.kind {
            AbsenceKind::NxDomain => Route::NoSuchDomain,
            AbsenceKind::NoData => Route::Hosts(Hosts {
                secure: absence.denial == Denial::Secure,
                expanded,
                hosts: vec![MxHost::new(domain.name().clone())],
            }),
        },
        Answer::Failed(failure) => Route::Failed(failure.clone()),
    }
}

fn explicit(records: &[Mx], secure: bool, expanded: Option<DnsName>) -> Route {
    if let [
        Mx {
            exchange: Exchange::Root,
            ..
        },
    ] = records
    {
        return Route::Null { secure };
    }
    let mut hosts: Vec<(u16, &DnsName)> = records
        .iter()
        .filter_map(|mx| match &mx.exchange {
            Exchange::Host(name) => Some((mx.preference, name)),
            // A root beside others is no null MX and no host (RFC 7505 §3).
            Exchange::Root | Exchange::Unusable(_) => None,
        })
        .collect();
    hosts.sort_unstable();
    let mut unique: Vec<MxHost> = Vec::with_capacity(hosts.len());
    for (_, name) in hosts {
        if !unique.iter().any(|host| host.name() == name) {
            unique.push(MxHost::new(name.clone()));
        }
    }
    match unique.len() {
        0 => Route::Failed(Failure::Unreachable(
            "none of the MX records names a host".into(),
        )),
        // Dropping some silently could drop the one whose records matter (attack DNS-14).
        1..=MAX_HOSTS => Route::Hosts(Hosts {
            secure,
            expanded,
            hosts: unique,
        }),
        n => Route::Failed(Failure::Unreachable(format!(
            "{n} MX hosts, more than the {MAX_HOSTS} that are looked at"
        ))),
    }
}

/// MX hosts of one domain that are looked at; the largest seen in practice have about 60.
pub const MAX_HOSTS: usize = 100;
