//! Demand against evidence: pin, redial or refuse. Pure.
//!
//! [`judge`] is the only maker of [`Cleared`], and nothing of an envelope or a message leaves without one.
//! [`Reason`] is the one vocabulary of why not. A [`Hearing`] adds the mode to that: what is only reported is judged a
//! second time, as if nothing were demanded.

mod bench;
mod explanation;
mod hearing;
#[cfg(test)]
mod oracle;
mod reason;
#[cfg(test)]
mod recalled;
mod reply;
mod tlsrpt;

pub use explanation::Explanation;
pub use hearing::{By, Hearing, Ruling};
pub use reason::{PkixFault, Question, Reason};
pub use tlsrpt::ResultType;

use crate::clock::Timestamp;
use crate::name::{DnsName, MxHost};
use crate::policy::{Candidate, Demand, Fingerprint, Level, Located};
use crate::tls::Evidence;
use crate::x509::path::Roots;
use crate::x509::proof::Proof;
use bench::{Bench, Met, Observed};

/// Permission to relay one recipient's transaction over the session it was given for. Only [`judge`] makes it.
#[derive(Debug, PartialEq, Eq)]
pub struct Cleared(());

impl Cleared {
    /// A permission that nobody gave, for tests of what needs one.
    #[cfg(test)]
    pub(crate) const fn asserted() -> Self {
        Self(())
    }
}

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
    /// What was proven, for the next session.
    pub grounds: Grounds,
    /// The refusal that the mode has waived: what was demanded is not met, and only told of.
    pub would_refuse: Option<Box<Refusal>>,
}

/// What a favourable verdict was asked to prove, and has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grounds {
    /// What it was.
    pub demand: Fingerprint,
    /// Paths that were found, or known from before.
    pub proofs: Vec<Proof>,
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
    /// With this SNI, to tell what an observed policy would have made of it. Where that connection cannot be had, any will
    /// do: the one before it would have been relayed over.
    Observe(DnsName),
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
    /// A certificate of a trusted CA for the host, which an exception requires.
    Webpki,
    /// A key that an exception names.
    Pinned,
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
            Self::Webpki => "webpki",
            Self::Pinned => "pin",
        }
    }
}

/// How often one recipient may cause a new connection to be judged by.
pub const MAX_REDIALS: usize = 2;

impl Redial {
    /// The name that it asks for.
    #[must_use]
    pub const fn sni(&self) -> Option<&DnsName> {
        match self {
            Self::Sni(name) | Self::Observe(name) => Some(name),
            Self::Cleartext => None,
        }
    }

    /// How many connections the recipient may have caused before this one. Where a refusal is waived after the last
    /// handshake has failed, one more goes without TLS: the mail is to be delivered.
    #[must_use]
    pub const fn after_at_most(&self) -> usize {
        match self {
            Self::Sni(_) | Self::Observe(_) => MAX_REDIALS - 1,
            Self::Cleartext => MAX_REDIALS,
        }
    }
}

/// Judges a connection. `tried` are the SNIs used for this recipient, the present one last; at most [`MAX_REDIALS`]
/// more are asked for.
///
/// The candidates are taken strictest first, and the first that is met wins: each is a host that the MTA may have
/// meant, and is judged by its own names and records, never mixed.
#[must_use]
pub fn judge(
    demand: &Demand,
    evidence: &Evidence,
    tried: &[Option<DnsName>],
    roots: &Roots,
    now: Timestamp,
) -> Verdict {
    if demand.candidates.is_empty() {
        return opportunistic(None, evidence, Observed::default());
    }
    let bench = Bench {
        evidence,
        tried,
        roots,
        now,
    };
    let mut nearest: Option<(&Candidate, Reason)> = None;
    for candidate in &demand.candidates {
        if candidate.requirement.is_nothing() {
            if bench.failed_by_a_guess(candidate) {
                return Verdict::Redial(Redial::Sni(candidate.sni().clone()));
            }
            if let Evidence::Broken(what) = evidence
                && tried.len() > MAX_REDIALS
            {
                let host = candidate.host.clone();
                let what = what.clone();
                nearest = Some((candidate, Reason::Handshake { host, what }));
                break;
            }
            // Of a destination that is no known host, nothing else can be said.
            let observed =
                not_located(demand).map_or_else(|| bench.observe(candidate), Observed::of);
            let host = matches!(demand.located, Located::ByAddress).then(|| candidate.host.clone());
            return opportunistic(host, evidence, observed);
        }
        if bench.wants_other_sni(candidate) {
            return Verdict::Redial(Redial::Sni(candidate.sni().clone()));
        }
        match bench.assess(candidate) {
            Ok(Met { basis, mut proofs }) => {
                let is_proven = candidate.requirement.authenticates();
                let unlocated = not_located(demand).filter(|_| !is_proven);
                let host = unlocated.is_none().then(|| candidate.host.clone());
                let observed = unlocated.map_or_else(|| bench.observe(candidate), Observed::of);
                proofs.extend(observed.proof);
                proofs.dedup();
                return Verdict::Pin(Pin {
                    cleared: Cleared(()),
                    host,
                    level: candidate.requirement.level(),
                    basis,
                    observed: observed.reason,
                    grounds: Grounds {
                        demand: Fingerprint::of(candidate, roots.identity()),
                        proofs,
                    },
                    would_refuse: None,
                });
            }
            Err(reason) => {
                if nearest.is_none() || bench.sni() == Some(candidate.sni()) {
                    nearest = Some((candidate, reason));
                }
            }
        }
    }
    refusal(demand, nearest)
}

/// Nothing is demanded: TLS if it worked, else cleartext, on a new connection where a handshake failed
/// (RFC 7672 §2.2).
fn opportunistic(host: Option<MxHost>, evidence: &Evidence, observed: Observed) -> Verdict {
    let basis = match evidence {
        Evidence::Protected(_) => Basis::OpportunisticTls,
        Evidence::Clear(_) => Basis::Cleartext,
        Evidence::Broken(_) => return Verdict::Redial(Redial::Cleartext),
    };
    Verdict::Pin(Pin {
        cleared: Cleared(()),
        host,
        level: Level::Opportunistic,
        basis,
        observed: observed.reason,
        grounds: Grounds {
            demand: Fingerprint::NOTHING,
            proofs: observed.proof.into_iter().collect(),
        },
        would_refuse: None,
    })
}

fn not_located(demand: &Demand) -> Option<Reason> {
    match &demand.located {
        Located::ByAddress => None,
        Located::ByName {
            domain,
            destination,
        } => Some(Reason::DestNotMx {
            domain: domain.clone(),
            destination: *destination,
        }),
    }
}

fn refusal(demand: &Demand, nearest: Option<(&Candidate, Reason)>) -> Verdict {
    let level = demand
        .candidates
        .first()
        .map(|candidate| candidate.requirement.level());
    // Where no proof was asked for, there was none to fail.
    let wants_proof = |candidate: &Candidate| candidate.requirement.authenticates();
    let unproven = not_located(demand).filter(|_| demand.candidates.iter().any(wants_proof));
    match (unproven, nearest) {
        // A host that its address does not vouch for, and its certificate neither.
        (Some(reason), _) => Verdict::Refuse(Refusal {
            reason,
            host: None,
            level,
        }),
        (None, Some((candidate, reason))) => Verdict::Refuse(Refusal {
            reason,
            host: Some(candidate.host.clone()),
            level: Some(candidate.requirement.level()),
        }),
        (None, None) => {
            let reason = Reason::Unreachable {
                what: "no MX host is left to judge".into(),
            };
            Verdict::Refuse(Refusal {
                reason,
                host: None,
                level,
            })
        }
    }
}
