//! Demand against evidence: pin, redial or refuse. Pure.
//!
//! [`judge`] is the only maker of [`Cleared`], and nothing of an envelope or a message leaves without one.
//! [`Reason`] is the one vocabulary of why not.

mod reason;

use rustls_pki_types::CertificateDer;

pub use reason::{Explanation, Fault, Question, Reason, ResultType};

use crate::clock::Timestamp;
use crate::name::{DnsName, MxHost};
use crate::policy::{Demand, Level};
use crate::tls::Evidence;
use crate::x509::path::Roots;

/// Permission to relay one recipient's transaction over the session it was given for. Only [`judge`] makes it.
#[derive(Debug, PartialEq, Eq)]
pub struct Cleared(());

/// What is to become of a recipient.
#[derive(Debug)]
pub enum Verdict {
    /// Relay; the session is bound to this evidence.
    Pin(Pin),
    /// Close, dial the same destination again, and judge once more.
    Redial(Redial),
    /// Answer the recipient with the reason's reply.
    Refuse(Refusal),
}

/// A favourable verdict.
#[derive(Debug)]
pub struct Pin {
    /// The permission.
    pub cleared: Cleared,
    /// The host that the destination is taken for; none for address literals.
    pub host: Option<MxHost>,
    /// What was demanded.
    pub level: Level,
    /// What the session rests on.
    pub basis: Basis,
    /// What an observed policy (testing, or MTA-STS beside DANE) would have refused for.
    pub observed: Option<Reason>,
}

/// An unfavourable verdict.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// The host that came nearest, where there is one.
    pub host: Option<MxHost>,
    /// What was demanded, where that is known.
    pub level: Option<Level>,
}

/// How to dial again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redial {
    /// With this SNI.
    Sni(DnsName),
    /// Without TLS: opportunistic delivery after a failed handshake (RFC 7672 §2.2).
    Cleartext,
}

/// What a cleared session rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Basis {
    /// Nothing was demanded; no TLS.
    Cleartext,
    /// Nothing was demanded; TLS, unauthenticated.
    OpportunisticTls,
    /// TLS was demanded, unauthenticated.
    Encrypted,
    /// A DANE-EE record matches.
    DaneEe,
    /// A path to a DANE-TA record holds.
    DaneTa,
    /// MTA-STS holds.
    Sts,
    /// DANE and MTA-STS both hold.
    DaneAndSts,
}

impl Basis {
    /// The stable word for metrics and records.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Cleartext => "cleartext",
            Self::OpportunisticTls => "opportunistic-tls",
            Self::Encrypted => "encrypted",
            Self::DaneEe => "dane-ee",
            Self::DaneTa => "dane-ta",
            Self::Sts => "mta-sts",
            Self::DaneAndSts => "dane+mta-sts",
        }
    }
}

/// Judges a connection. `tried` are the SNIs that were used for this recipient, the present one last: at most
/// [`MAX_REDIALS`] more handshakes are asked for.
#[must_use]
pub fn judge(
    _demand: &Demand,
    _evidence: &Evidence,
    _tried: &[Option<DnsName>],
    _roots: &Roots,
    _now: Timestamp,
) -> Verdict {
    let _: Option<&CertificateDer<'_>> = None;
    unimplemented!()
}

/// How often one recipient may cause a new connection.
pub const MAX_REDIALS: usize = 2;
