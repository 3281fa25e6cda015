//! What a host must show: the requirement, the levels it is told by, and what an exception adds to it.

use std::fmt;

use super::{Combine, Settings};
use crate::clock::Timestamp;
use crate::dane::Tlsa;
use crate::mtasts::Policy;
use crate::name::{MxHost, ReferenceId, TlsaBase};
use crate::policy::exceptions::{Pin, What};

/// What must hold; nothing set means opportunistic TLS.
#[derive(Clone, Debug, Default)]
pub struct Requirement {
    /// TLS, authenticated or not.
    pub encrypt: bool,
    /// A TLSA match.
    pub dane: Option<DaneDemand>,
    /// An MTA-STS policy in force.
    pub sts: Option<StsDemand>,
    /// What the operator requires beside.
    pub local: Option<Local>,
    /// TLS, because the host is known for it and nothing of the above is demanded: since when.
    pub known_for_tls: Option<Timestamp>,
}

/// What an exception requires, whatever the destination publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Local {
    /// DANE under a secure MX RRset must be there; what it has to show stands in [`Requirement::dane`] (row A7).
    Dane,
    /// An MTA-STS policy must be there; what it has to show stands in [`Requirement::sts`].
    Sts,
    /// A certificate of a trusted CA for the host.
    Webpki,
    /// One of these keys.
    Pin(Vec<Pin>),
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
    /// The destination demands nothing, an exception does.
    Local,
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

impl StsDemand {
    pub(super) fn of(policy: &Policy, host: &MxHost) -> Self {
        Self {
            listed: policy.lists(host),
            patterns: policy
                .mx
                .iter()
                .map(|pattern| pattern.as_str().to_owned())
                .collect(),
        }
    }
}

impl Local {
    /// What an exception requires; one that loosens requires nothing.
    pub(super) fn of(what: &What) -> Option<Self> {
        Some(match what {
            What::Dane => Self::Dane,
            What::MtaSts => Self::Sts,
            What::Webpki => Self::Webpki,
            What::Pin(pins) => Self::Pin(pins.clone()),
            What::None | What::Encrypt | What::Nta => return None,
        })
    }
}

impl Requirement {
    /// Whether anything goes.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.level() == Level::Opportunistic
    }

    /// Whether a session that meets it has proven who the host is.
    #[must_use]
    pub const fn authenticates(&self) -> bool {
        self.dane.is_some() || self.sts.is_some() || self.local.is_some()
    }

    /// Whether nothing that the server could show would meet it, since what an exception requires is not published.
    #[must_use]
    pub fn is_unmeetable(&self) -> bool {
        match self.local {
            Some(Local::Dane) => self.dane.as_ref().is_none_or(|dane| dane.half),
            Some(Local::Sts) => self.sts.is_none(),
            Some(Local::Webpki | Local::Pin(_)) | None => false,
        }
    }

    /// Full DANE authenticates the MX name too, so it may decide alone; half-DANE never replaces MTA-STS, or a forged
    /// MX into the attacker's own signed zone would (attack DANE-11).
    pub(super) fn dane_decides(&self, settings: Settings) -> bool {
        let full = self.dane.as_ref().is_some_and(|dane| !dane.half);
        full && settings.combine == Combine::DaneFirst && self.local != Some(Local::Sts)
    }

    /// The level's name. What an exception requires counts as if it were published, where it can be.
    #[must_use]
    pub fn level(&self) -> Level {
        let is_full = self.local == Some(Local::Dane);
        let half = self.dane.as_ref().map(|dane| dane.half);
        let half = if is_full { Some(false) } else { half };
        let sts = self.sts.is_some() || self.local == Some(Local::Sts);
        match (half, sts) {
            (Some(true), true) => Level::HalfDaneAndSts,
            (Some(true), false) => Level::HalfDane,
            (Some(false), true) => Level::DaneAndSts,
            (Some(false), false) => Level::Dane,
            (None, true) if self.encrypt => Level::EncryptAndSts,
            (None, true) => Level::Sts,
            (None, false) if self.encrypt => Level::Encrypt,
            (None, false) if self.local.is_some() => Level::Local,
            (None, false) if self.known_for_tls.is_some() => Level::Encrypt,
            (None, false) => Level::Opportunistic,
        }
    }
}

impl Level {
    /// The short name of the level: `L0`, `L1`, `LD`, `LD-half`, `LS` and their combinations, or `local`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Opportunistic => "L0",
            Self::Local => "local",
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
