//! From facts to what a session must show: the table of precedence, and nothing else.
//!
//! [`demand`] answers with one [`Candidate`] per MX host that the destination may be, each with its own
//! [`Requirement`]. What cannot be judged at all (a failed lookup, a null MX) is a [`Reason`] at once.

use std::fmt;
use std::net::IpAddr;

use super::Facts;
use crate::dane::Tlsa;
use crate::name::{DnsName, Domain, MxHost, ReferenceId, TlsaBase};
use crate::verdict::Reason;

/// What one destination must show for one recipient domain.
#[derive(Clone, Debug)]
pub struct Demand {
    /// The recipient's domain.
    pub domain: Domain,
    /// How the candidates were found.
    pub located: Located,
    /// The hosts that the destination may be, strictest first; never empty.
    pub candidates: Vec<Candidate>,
}

/// How sure it is that the destination is an MX host of the domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Located {
    /// Its address belongs to each of the candidates.
    ByAddress,
    /// It belongs to none: any host of the domain may be meant, and the session must prove it.
    ByName,
    /// The recipient has no domain with a policy (an address literal that is the destination).
    Literal,
}

/// One host that the destination may be.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The host.
    pub host: MxHost,
    /// What must hold.
    pub requirement: Requirement,
    /// What is evaluated for the record but decides nothing: MTA-STS in testing mode, or beside DANE.
    pub observed: Option<StsDemand>,
}

/// What must hold; nothing set means opportunistic TLS.
#[derive(Clone, Debug, Default)]
pub struct Requirement {
    /// TLS, authenticated or not.
    pub encrypt: bool,
    /// A TLSA match.
    pub dane: Option<DaneDemand>,
    /// An MTA-STS policy in force.
    pub sts: Option<StsDemand>,
}

/// DANE must match.
#[derive(Clone, Debug)]
pub struct DaneDemand {
    /// SNI and first reference identifier (RFC 7672 §8.1, §3.2.2).
    pub base: TlsaBase,
    /// Usable records.
    pub records: Vec<Tlsa>,
    /// Three with a secure MX RRset, one with an insecure one (RFC 7672 §3.2.2).
    pub reference_ids: Vec<ReferenceId>,
    /// The MX RRset is insecure: the host name itself is not authenticated (RFC 7672 §2.2.1).
    pub half: bool,
}

/// MTA-STS must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StsDemand {
    /// Whether a pattern of the policy lists the host.
    pub listed: bool,
    /// The patterns, to show.
    pub patterns: Vec<String>,
}

/// The level of a requirement, for records and reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// L0: TLS if it works.
    Opportunistic,
    /// L1: TLS, unauthenticated.
    Encrypt,
    /// LD-half: DANE under an insecure MX.
    HalfDane,
    /// LS: MTA-STS enforce.
    Sts,
    /// L1+LS: unusable TLSA records and MTA-STS enforce.
    EncryptAndSts,
    /// LD: DANE.
    Dane,
    /// LD-half+LS: both must pass.
    HalfDaneAndSts,
    /// LD+LS: both must pass, by configuration.
    DaneAndSts,
}

/// Operator choices where the RFCs leave one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Settings {
    /// What TLSA records mean under an insecure MX RRset.
    pub insecure_mx: InsecureMx,
    /// What MTA-STS enforce means beside DANE.
    pub combine: Combine,
}

/// RFC 7672 §2.2.1 leaves it open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum InsecureMx {
    /// They must match all the same ("half").
    #[default]
    Dane,
    /// They demand TLS without authentication.
    Encrypt,
    /// They demand nothing.
    Ignore,
}

/// RFC 8461 §2 says only that MTA-STS may not rescue a failing DANE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Combine {
    /// DANE decides, MTA-STS is evaluated and recorded.
    #[default]
    DaneFirst,
    /// Both must pass.
    Both,
}

/// What `facts` demand of a connection to `destination`.
///
/// # Errors
/// The [`Reason`] for which no session to this destination can serve the domain.
pub fn demand(_facts: &Facts, _destination: IpAddr, _settings: Settings) -> Result<Demand, Reason> {
    unimplemented!()
}

impl Candidate {
    /// The SNI that evidence for this host must have been taken with: the TLSA base domain (RFC 7672 §8.1), else the
    /// MX host (RFC 8461 §4.1).
    #[must_use]
    pub fn sni(&self) -> &DnsName {
        self.requirement
            .dane
            .as_ref()
            .map_or_else(|| self.host.name(), |dane| dane.base.name())
    }
}

impl Requirement {
    /// The level's name.
    #[must_use]
    pub const fn level(&self) -> Level {
        match (&self.dane, &self.sts) {
            (Some(DaneDemand { half: true, .. }), Some(_)) => Level::HalfDaneAndSts,
            (Some(DaneDemand { half: true, .. }), None) => Level::HalfDane,
            (Some(_), Some(_)) => Level::DaneAndSts,
            (Some(_), None) => Level::Dane,
            (None, Some(_)) if self.encrypt => Level::EncryptAndSts,
            (None, Some(_)) => Level::Sts,
            (None, None) if self.encrypt => Level::Encrypt,
            (None, None) => Level::Opportunistic,
        }
    }
}

impl Level {
    /// The short name of the level: `L0`, `L1`, `LD`, `LD-half`, `LS` and their combinations.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Opportunistic => "L0",
            Self::Encrypt => "L1",
            Self::HalfDane => "LD-half",
            Self::Sts => "LS",
            Self::EncryptAndSts => "L1+LS",
            Self::Dane => "LD",
            Self::HalfDaneAndSts => "LD-half+LS",
            Self::DaneAndSts => "LD+LS",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}
