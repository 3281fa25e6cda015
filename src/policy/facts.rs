//! Gathers what must be known before a recipient can be judged, in the order that RFC 7672 §2.2 asks for.
//!
//! MX and its alias chain, then the addresses of each host in the family of the intercepted connection, then TLSA at
//! the expanded and the original name, with MTA-STS beside it. [`Facts`] is one snapshot for one transaction.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::dane::Tlsa;
use crate::dns::{Failure, Lookup};
use crate::mtasts::Policy;
use crate::mtasts::fetch::FetchFailure;
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
    /// Whether one is announced cannot be known: the answer is bogus, and none is cached.
    Unknown(Failure),
    /// An unexpired policy.
    Live {
        /// The policy.
        policy: Arc<Policy>,
        /// It comes from the cache and its refresh failed.
        refresh: Option<FetchFailure>,
    },
}

/// Gathers facts; shared by all sessions and by `danelaw check`.
#[derive(Clone)]
pub struct Gatherer {
    lookup: Arc<dyn Lookup>,
    sts: Arc<super::cache::StsCache>,
}

impl Gatherer {
    /// Over a resolver and a policy cache.
    #[must_use]
    pub const fn new(lookup: Arc<dyn Lookup>, sts: Arc<super::cache::StsCache>) -> Self {
        Self { lookup, sts }
    }

    /// Gathers for a connection to `destination`; bounded in time by the lookups' own deadlines.
    pub async fn gather(&self, _domain: &Domain, _destination: SocketAddr) -> Facts {
        let _ = (&self.lookup, &self.sts);
        unimplemented!()
    }
}
