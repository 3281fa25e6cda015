//! Gathers what must be known before a recipient can be judged, in the order that RFC 7672 §2.2 asks for.
//!
//! MX and its alias chain, then the addresses of each host in the family of the intercepted connection, then TLSA at
//! the expanded and the original name, with MTA-STS beside it. [`Facts`] is one snapshot for one transaction.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::join;
use futures_util::stream;

use super::cache::StsCache;
use super::spending::Spending;
use crate::clock::Clock;
use crate::dane::Tlsa;
use crate::dane::tlsa::usable;
use crate::dns::noted::{Noted, Notes};
use crate::dns::route::{Route, route};
use crate::dns::{AbsenceKind, Answer, Denial, Failure, Family, Lookup, Resolved};
use crate::mtasts::fetch::FetchFailure;
use crate::mtasts::{Mode, Policy};
use crate::name::{DnsName, Domain, MxHost, TlsaBase};

/// Everything that was learned about one domain for one destination.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The recipient's domain.
    pub domain: Domain,
    /// Where its mail goes.
    pub mx: MxFacts,
    /// Its MTA-STS policy.
    pub sts: StsState,
}

impl Facts {
    /// Of a domain about which nothing could be found out.
    #[must_use]
    pub fn unknown(domain: Domain, failure: Failure) -> Self {
        Self {
            domain,
            mx: MxFacts::Failed(failure),
            sts: StsState::None,
        }
    }

    /// Every name that anything was asked about.
    pub fn names(&self) -> impl Iterator<Item = &DnsName> {
        let (expanded, hosts) = match &self.mx {
            MxFacts::Hosts {
                expanded, hosts, ..
            } => (expanded.as_ref(), &hosts[..]),
            MxFacts::Null { .. } | MxFacts::NoSuchDomain | MxFacts::Failed(_) => (None, &[][..]),
        };
        let hosts = hosts.iter().flat_map(|host| {
            let base = match &host.tlsa {
                TlsaFacts::Unusable { base }
                | TlsaFacts::Usable { base, .. }
                | TlsaFacts::Failed { base, .. } => Some(base.name()),
                TlsaFacts::NotApplicable => None,
            };
            std::iter::once(host.host.name()).chain(base)
        });
        std::iter::once(self.domain.name())
            .chain(expanded)
            .chain(hosts)
    }
}

/// The mail exchangers.
#[derive(Clone, Debug)]
pub enum MxFacts {
    /// Hosts by preference, or the domain itself when it has no MX records (implicit MX).
    Hosts {
        /// The MX RRset, or its absence, is validated, and so is every alias that led to it (RFC 7672 §2.2.1).
        secure: bool,
        /// The domain after its own aliases, when it is an alias.
        expanded: Option<DnsName>,
        /// At least one.
        hosts: Vec<HostFacts>,
    },
    /// A null MX (RFC 7505).
    Null {
        /// Whether that is validated.
        secure: bool,
    },
    /// The domain does not exist.
    NoSuchDomain,
    /// Nothing is known.
    Failed(Failure),
}

/// One mail exchanger.
#[derive(Clone, Debug)]
pub struct HostFacts {
    /// The exchange as it stands in the MX record.
    pub host: MxHost,
    /// Its addresses in the family of the connection.
    pub addresses: AddressFacts,
    /// Its TLSA records.
    pub tlsa: TlsaFacts,
}

/// The addresses of a host.
#[derive(Clone, Debug)]
pub enum AddressFacts {
    /// These, possibly none.
    Known(Vec<IpAddr>),
    /// The lookup failed.
    Failed(Failure),
}

/// The TLSA RRset of a host, after all alias rules (RFC 7672 §2.2.2 and §2.2.3).
#[derive(Clone, Debug)]
pub enum TlsaFacts {
    /// No secure RRset: denied, insecure, or not asked for since the addresses are insecure.
    NotApplicable,
    /// Secure, and no record of it can be used.
    Unusable {
        /// Where it stands.
        base: TlsaBase,
    },
    /// Secure, with usable records.
    Usable {
        /// Where it stands.
        base: TlsaBase,
        /// After digest agility.
        records: Vec<Tlsa>,
    },
    /// The lookup failed: this host must not be used (RFC 7672 §2.1.2).
    Failed {
        /// What was asked for.
        base: TlsaBase,
        /// Why there is no answer.
        failure: Failure,
    },
}

/// The MTA-STS policy of a domain, as known now.
#[derive(Clone, Debug)]
pub enum StsState {
    /// None is announced and none is cached.
    None,
    /// One is announced, but could not be had, and none is cached (RFC 8461 §3.3: deliver as if there were none).
    FetchFailed(FetchFailure),
    /// Whether one is announced cannot be known: the lookup failed, bogus or unanswered, and none is cached.
    Unknown(Failure),
    /// An unexpired policy.
    Live {
        /// The policy.
        policy: Arc<Policy>,
        /// It comes from the cache and its refresh failed.
        refresh: Option<FetchFailure>,
    },
}

impl StsState {
    /// Does an unexpired policy demand anything?
    #[must_use]
    pub fn enforces(&self) -> bool {
        match self {
            Self::Live { policy, .. } => policy.mode == Mode::Enforce,
            Self::None | Self::FetchFailed(_) | Self::Unknown(_) => false,
        }
    }
}

/// Gathers facts; shared by all sessions and by `danelaw check`.
#[derive(Clone)]
pub struct Gatherer {
    lookup: Arc<dyn Lookup>,
    sts: Arc<StsCache>,
    spending: Arc<Spending>,
}

impl Gatherer {
    /// Over a resolver and a policy cache.
    #[must_use]
    pub fn new(lookup: Arc<dyn Lookup>, sts: Arc<StsCache>, clock: Arc<dyn Clock>) -> Self {
        Self {
            lookup,
            sts,
            spending: Arc::new(Spending::new(clock)),
        }
    }

    /// The same gatherer, with every answer noted.
    #[must_use]
    pub fn noting(&self, notes: &Arc<Notes>) -> Self {
        let lookup = Arc::clone(&self.lookup);
        Self {
            lookup: Arc::new(Noted::new(lookup, Arc::clone(notes))),
            sts: Arc::clone(&self.sts),
            spending: Arc::clone(&self.spending),
        }
    }

    /// Gathers for a connection to `destination`; bounded in time by the lookups' own deadlines.
    ///
    /// Hosts that the destination cannot be are left out once one is found that it is.
    pub async fn gather(&self, domain: &Domain, destination: SocketAddr) -> Facts {
        let (mx, sts) = join(self.exchangers(domain, destination), self.sts.state(domain)).await;
        Facts {
            domain: domain.clone(),
            mx,
            sts,
        }
    }

    /// Gathers for a connection to `destination`, which a route says is `host`: a next-hop that no MX record led to
    /// (RFC 7672 §2.2.2), and the policy domain (RFC 8461 §3.4). The name comes from the configuration, which nobody on
    /// the path can forge.
    pub async fn gather_route(&self, host: &Domain, destination: SocketAddr) -> Facts {
        let (mx, sts) = join(self.next_hop(host, destination), self.sts.state(host)).await;
        Facts {
            domain: host.clone(),
            mx,
            sts,
        }
    }

    async fn next_hop(&self, next_hop: &Domain, destination: SocketAddr) -> MxFacts {
        let budgeted = self.lookup.within(self.spending.purse(next_hop));
        let lookup = budgeted.as_deref().unwrap_or_else(|| self.lookup.as_ref());
        let family = Family::of(destination.ip());
        let resolved = lookup.addresses(next_hop.name(), family).await;
        if let Answer::Absent(absence) = &resolved.answer
            && absence.kind == AbsenceKind::NxDomain
        {
            // A slip of the configuration must not pass for a host that publishes nothing.
            return MxFacts::NoSuchDomain;
        }
        let next_hop = MxHost::new(next_hop.name().clone());
        MxFacts::Hosts {
            secure: true,
            expanded: None,
            hosts: vec![host(lookup, &next_hop, &resolved, destination.port()).await],
        }
    }

    async fn exchangers(&self, domain: &Domain, destination: SocketAddr) -> MxFacts {
        // A hostile domain must not be able to ask for more than an honest one needs (attacks DNS-14, DNS-15).
        let budgeted = self.lookup.within(self.spending.purse(domain));
        let lookup = budgeted.as_deref().unwrap_or_else(|| self.lookup.as_ref());
        let route = match route(lookup, domain).await {
            Route::Hosts(route) => route,
            Route::Null { secure } => return MxFacts::Null { secure },
            Route::NoSuchDomain => return MxFacts::NoSuchDomain,
            Route::Failed(failure) => return MxFacts::Failed(failure),
        };
        let family = Family::of(destination.ip());
        // A/AAAA before TLSA: broken servers of unsigned zones fail on TLSA (RFC 7672 §2.2.2).
        // Collected first: a closure that lives across an await would keep the future from being sent to another thread.
        let questions: Vec<_> = route
            .hosts
            .iter()
            .map(|host| lookup.addresses(host.name(), family))
            .collect();
        let addresses: Vec<Resolved<Vec<IpAddr>>> =
            stream::iter(questions).buffered(AT_ONCE).collect().await;
        let mut hosts: Vec<(&MxHost, &Resolved<Vec<IpAddr>>)> =
            route.hosts.iter().zip(&addresses).collect();
        let is_there = |resolved: &Resolved<Vec<IpAddr>>| {
            resolved
                .answer
                .records()
                .is_some_and(|known| known.contains(&destination.ip().to_canonical()))
        };
        if hosts.iter().any(|(_, resolved)| is_there(resolved)) {
            hosts.retain(|(_, resolved)| is_there(resolved));
        }
        let questions: Vec<_> = hosts
            .into_iter()
            .map(|(found, resolved)| host(lookup, found, resolved, destination.port()))
            .collect();
        let hosts = stream::iter(questions).buffered(AT_ONCE).collect().await;
        MxFacts::Hosts {
            secure: route.secure,
            expanded: route.expanded,
            hosts,
        }
    }
}

async fn host(
    lookup: &dyn Lookup,
    host: &MxHost,
    resolved: &Resolved<Vec<IpAddr>>,
    port: u16,
) -> HostFacts {
    let addresses = match &resolved.answer {
        Answer::Secure(known) => AddressFacts::Known(known.data().clone()),
        Answer::Insecure(known) => AddressFacts::Known(known.clone()),
        Answer::Absent(_) => AddressFacts::Known(Vec::new()),
        Answer::Failed(failure) => AddressFacts::Failed(failure.clone()),
    };
    let mut tlsa = TlsaFacts::NotApplicable;
    for base in tlsa_bases(host, resolved) {
        tlsa = tlsa_at(lookup, base, port).await;
        // The first secure RRset wins even when it is unusable, and an error is final (RFC 7672 §2.2.3, §2.1.2).
        if !matches!(tlsa, TlsaFacts::NotApplicable) {
            break;
        }
    }
    HostFacts {
        host: host.clone(),
        addresses,
        tlsa,
    }
}

async fn tlsa_at(lookup: &dyn Lookup, base: TlsaBase, port: u16) -> TlsaFacts {
    // The destination's own port, not 25 (RFC 7672 §2.2.3).
    let Ok(owner) = base.name().prefixed(&format!("_{port}._tcp")) else {
        return TlsaFacts::NotApplicable; // No such name can exist.
    };
    match lookup.tlsa(&owner).await.answer {
        Answer::Secure(rrset) => match usable(rrset.data()) {
            records if records.is_empty() => TlsaFacts::Unusable { base },
            records => TlsaFacts::Usable { base, records },
        },
        Answer::Insecure(_) | Answer::Absent(_) => TlsaFacts::NotApplicable,
        Answer::Failed(failure) => TlsaFacts::Failed { base, failure },
    }
}

/// The names below which TLSA records may stand, in order (RFC 7672 §2.2.2, §2.2.3).
fn tlsa_bases(host: &MxHost, addresses: &Resolved<Vec<IpAddr>>) -> Vec<TlsaBase> {
    let original = TlsaBase::new(host.name().clone());
    let secure = match &addresses.answer {
        Answer::Secure(_) => true,
        Answer::Absent(absence) => absence.denial == Denial::Secure,
        Answer::Insecure(_) => false,
        Answer::Failed(_) => return Vec::new(),
    };
    match (secure, addresses.aliases.first()) {
        (true, None) => vec![original],
        (true, Some(_)) => vec![
            TlsaBase::new(addresses.expanded(host.name()).clone()),
            original,
        ],
        // A secure alias into an unsigned zone: the original name may still have records of its own.
        (false, Some(alias)) if alias.secure => vec![original],
        // Unsigned: TLSA is not even asked for, since servers that fail on it must not block mail.
        (false, Some(_) | None) => Vec::new(),
    }
}

/// Lookups of one kind in flight for one domain.
const AT_ONCE: usize = 8;

#[cfg(test)]
mod tests;
