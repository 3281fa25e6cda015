//! Answers whose trust is part of their type.
//!
//! [`Answer`] keeps the five outcomes of a DNS question apart: [`Answer::Secure`], [`Answer::Insecure`],
//! [`Answer::Absent`] (proven or merely claimed, see [`Denial`]), and [`Answer::Failed`] with its two causes
//! ([`Failure::Bogus`], [`Failure::Unreachable`]). Both failures mean *unknown*: mail is deferred, nothing is ever
//! taken for insecure because of them (RFC 4035 §4.3, RFC 7672 §2.1.1). A [`Secure`] value is made in this module
//! and its children only.
//!
//! [`Lookup`] is the boundary; [`resolver`] is the validating resolver behind it, [`health`] watches whether it still
//! validates, and [`gate`] withholds its answers while it does not. Below that, from the outside inwards: `chase` follows the aliases of one lookup, `validator` says whose judgement counts, `judge` judges one answer (`trusted`
//! takes over what the resolver says of it), `walk` goes down from the root to the zone that an answer stands in, `upstream`
//! asks the recursive resolvers, each reached by a [`recursor`]. What signatures and denials prove is decided in `proof`,
//! which does no IO; [`purse`] is what all of it may cost, [`diary`] how it went, [`negative`] where the operator will have
//! none of it.

pub mod diary;
#[cfg(any(feature = "fuzzing", feature = "lab"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod gate;
pub mod health;
pub mod negative;
pub mod noted;
pub mod purse;
pub mod recursor;
pub mod resolver;
pub mod route;
pub mod tally;

mod anchor;
mod answers;
mod cache;
mod chase;
mod errand;
mod flight;
mod judge;
mod proof;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod sockets;
#[cfg(test)]
mod tampering;
mod trouble;
mod trusted;
mod upstream;
mod validator;
mod walk;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use self::purse::Purse;
use crate::clock::Timestamp;
use crate::name::DnsName;

/// Data that a chain of signatures ties to the trust anchor, until `expires`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secure<T> {
    data: T,
    expires: Timestamp,
}

impl<T> Secure<T> {
    pub(in crate::dns) const fn new(data: T, expires: Timestamp) -> Self {
        Self { data, expires }
    }

    /// Data that a test declares validated; the one way to a `Secure` value outside this module, and no way in a build.
    #[cfg(test)]
    pub(crate) const fn asserted(data: T, expires: Timestamp) -> Self {
        Self { data, expires }
    }

    /// The validated data.
    #[must_use]
    pub const fn data(&self) -> &T {
        &self.data
    }

    /// When the shortest of TTLs and signatures ends (RFC 4035 §5.3.3).
    #[must_use]
    pub const fn expires(&self) -> Timestamp {
        self.expires
    }
}

/// What became of one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer<T> {
    /// Records, every link of the alias chain validated.
    Secure(Secure<T>),
    /// Records, or an alias on the way to them, from a provably unsigned part of the tree.
    Insecure(T),
    /// No such records.
    Absent(Absence),
    /// Nothing may be concluded.
    Failed(Failure),
}

impl<T> Answer<T> {
    /// The records, whatever their trust.
    #[must_use]
    pub const fn records(&self) -> Option<&T> {
        match self {
            Self::Secure(secure) => Some(secure.data()),
            Self::Insecure(data) => Some(data),
            Self::Absent(_) | Self::Failed(_) => None,
        }
    }
}

/// A negative answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Absence {
    /// Whether the name exists.
    pub kind: AbsenceKind,
    /// Whether that is proven.
    pub denial: Denial,
}

/// What is absent: the records or the whole name (RFC 2308 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbsenceKind {
    /// The name exists without records of this type.
    NoData,
    /// The name does not exist.
    NxDomain,
}

/// How far an absence can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// Proven by signed NSEC or NSEC3 records (RFC 4035 §5.4).
    Secure,
    /// Claimed in an unsigned part of the tree, or covered by opt-out only (RFC 5155 §9.2).
    Insecure,
}

/// Why nothing may be concluded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Data came, but it contradicts the chain of trust.
    #[error("DNSSEC validation failed: {0}")]
    Bogus(String),
    /// No usable data came: timeout, SERVFAIL, REFUSED, a budget spent.
    #[error("no usable DNS answer: {0}")]
    Unreachable(String),
}

/// One step of an alias chain (CNAME or DNAME) with its own state (RFC 7672 §2.1.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// The owner.
    pub from: DnsName,
    /// The target.
    pub to: DnsName,
    /// Whether this step by itself is validated.
    pub secure: bool,
}

/// An answer with the aliases that led to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved<T> {
    /// The outcome; its trust is the least of all steps.
    pub answer: Answer<T>,
    /// The steps in order; empty when the name is no alias.
    pub aliases: Vec<Alias>,
    /// How it was come by.
    pub source: Source,
}

/// How an answer was come by, for whoever wants to know. Nothing is decided by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// Nobody was asked for it: it was known, or another lookup was under way.
    pub cached: bool,
    /// Until when it may be used; none when nothing was found out.
    pub expires: Option<Timestamp>,
}

impl<T> Resolved<T> {
    /// The name at which the answer stood: the end of the chain, or the name asked for.
    #[must_use]
    pub fn expanded<'a>(&'a self, asked: &'a DnsName) -> &'a DnsName {
        self.aliases.last().map_or(asked, |alias| &alias.to)
    }
}

/// An MX record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mx {
    /// Lower is tried first.
    pub preference: u16,
    /// Where to.
    pub exchange: Exchange,
}

/// The target of an MX record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// `.`: a null MX when it is the only record (RFC 7505 §3).
    Root,
    /// A host.
    Host(DnsName),
    /// A target that is no host name; nothing can be delivered there.
    Unusable(String),
}

/// An address family, to ask for A or AAAA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// A records.
    V4,
    /// AAAA records.
    V6,
}

impl Family {
    /// The family of an address, with IPv4-mapped ones taken for what they map.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "A",
            Self::V6 => "AAAA",
        })
    }
}

/// The RDATA of a TLSA record, not looked into: `usage selector matching-type data` (RFC 6698 §2.1). May be malformed.
pub type TlsaRdata = Vec<u8>;

/// The character-strings of a TXT record, joined (RFC 8461 §3.1).
pub type Text = Vec<u8>;

/// The questions that the policy asks. One answer is one lookup with its own deadline; nothing here panics or retries
/// for ever.
pub trait Lookup: Send + Sync {
    /// MX records of a domain, as they came.
    fn mx<'a>(&'a self, domain: &'a DnsName) -> BoxFuture<'a, Resolved<Vec<Mx>>>;
    /// Addresses of a host, one family.
    fn addresses<'a>(
        &'a self,
        host: &'a DnsName,
        family: Family,
    ) -> BoxFuture<'a, Resolved<Vec<IpAddr>>>;
    /// The TLSA RRset at exactly this owner name (`_25._tcp.<base>`).
    fn tlsa<'a>(&'a self, owner: &'a DnsName) -> BoxFuture<'a, Resolved<Vec<TlsaRdata>>>;
    /// TXT records, character-strings joined.
    fn txt<'a>(&'a self, name: &'a DnsName) -> BoxFuture<'a, Resolved<Vec<Text>>>;
    /// The same, with everything it asks paid from `purse`; `None` when asking costs nothing. What wraps another must pass this on.
    fn within(&self, purse: Arc<Purse>) -> Option<Box<dyn Lookup + '_>> {
        drop(purse);
        None
    }
}
