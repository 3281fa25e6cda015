//! Why a recipient is refused: one vocabulary of facts, and the total maps on it.

use std::net::IpAddr;

use crate::dns::Failure;
use crate::name::{DnsName, Domain, MxHost, TlsaBase};
use crate::smtp::Reply;

/// A refusal as a fact. The sentence is derived by [`Reason::reply`] and `Display`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A lookup failed; nothing may be concluded (RFC 7672 §2.1.2).
    Dns {
        /// What was asked.
        question: Question,
        /// For what name.
        name: DnsName,
        /// What came.
        failure: Failure,
    },
    /// The domain accepts no mail (RFC 7505).
    NullMx {
        /// The domain.
        domain: Domain,
    },
    /// An unsigned null MX against a live MTA-STS enforce policy: taken for a forgery.
    ForgedNullMx {
        /// The domain.
        domain: Domain,
    },
    /// The domain does not exist, so the MTA has seen something else.
    NoSuchDomain {
        /// The domain.
        domain: Domain,
    },
    /// The destination is no MX host of a domain that demands authentication.
    DestNotMx {
        /// The domain.
        domain: Domain,
        /// Where the MTA wanted to go.
        destination: IpAddr,
    },
    /// The recipient has no domain that has a policy, and the destination does not follow from it.
    NoPolicyDomain {
        /// The recipient's address literal, or `postmaster`.
        recipient: String,
    },
    /// TLS is demanded and the MX does not offer STARTTLS, or refuses it.
    StarttlsMissing {
        /// The host.
        host: MxHost,
        /// The reply to STARTTLS where one was given.
        code: Option<u16>,
    },
    /// TLS is demanded and the handshake fails.
    Handshake {
        /// The host.
        host: MxHost,
        /// What went wrong.
        what: String,
    },
    /// No TLSA record matches.
    DaneMismatch {
        /// The TLSA base domain.
        base: TlsaBase,
    },
    /// DANE-TA: the certificate carries none of the names.
    DaneName {
        /// The TLSA base domain.
        base: TlsaBase,
        /// What it carries.
        presented: Vec<String>,
    },
    /// DANE-TA: the path is out of date.
    DaneDates {
        /// The TLSA base domain.
        base: TlsaBase,
        /// Which certificate, since when.
        what: String,
    },
    /// DANE-TA: no valid path to the anchor.
    DanePath {
        /// The TLSA base domain.
        base: TlsaBase,
        /// What is wrong with it.
        what: String,
    },
    /// The MTA-STS policy does not list the host.
    StsMxNotListed {
        /// The host.
        mx: MxHost,
        /// The policy's patterns.
        patterns: Vec<String>,
    },
    /// MTA-STS: the certificate does not carry the host's name.
    StsName {
        /// The host.
        mx: MxHost,
        /// What it carries.
        presented: Vec<String>,
    },
    /// MTA-STS: the certificate is out of date.
    StsDates {
        /// The host.
        mx: MxHost,
        /// Since when.
        what: String,
    },
    /// MTA-STS: no path to a trusted CA.
    StsUntrusted {
        /// The host.
        mx: MxHost,
        /// What is wrong with it.
        what: String,
    },
    /// This session serves other domains; the recipient comes back on a session of its own.
    OneDomain {
        /// The recipient's domain.
        domain: Domain,
    },
    /// The decision took longer than its budget.
    Budget {
        /// The recipient's domain.
        domain: Domain,
    },
    /// The destination cannot be reached, or was lost.
    Unreachable {
        /// What happened.
        what: String,
    },
}

/// What a failed lookup was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Question {
    /// The MX RRset of a domain.
    Mx,
    /// The addresses of a host.
    Address,
    /// The TLSA RRset of a host.
    Tlsa,
}

/// Whose doing a refusal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The client MTA's or its user's.
    Client,
    /// The destination's.
    Destination,
    /// The DNS's, or what stands between.
    Dns,
    /// Ours, or this machine's.
    Local,
}

impl Reason {
    /// The reply to RCPT.
    #[must_use]
    pub fn reply(&self) -> Reply {
        unimplemented!()
    }

    /// The stable keyword, for logs, metrics and the reply's text.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        "unimplemented"
    }
}
