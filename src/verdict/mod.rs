//! Demand against evidence: pin, redial or refuse. Pure.
//!
//! [`judge`] is the only maker of [`Cleared`], and nothing of an envelope or a message leaves without one.
//! [`Reason`] is the one vocabulary of why not. A [`Hearing`] adds the mode to that: what is only reported is judged a
//! second time, as if nothing were demanded.

mod explanation;
mod hearing;
#[cfg(test)]
mod oracle;
mod reason;

pub use explanation::Explanation;
pub use hearing::{Hearing, Ruling};
pub use reason::{PkixFault, Question, Reason, ResultType};

use crate::clock::Timestamp;
use crate::dane::{self, Presented, Usage};
use crate::name::{DnsName, MxHost};
use crate::policy::exceptions::Pin as KeyPin;
use crate::policy::{Candidate, DaneDemand, Demand, Level, Local, Located, StsDemand};
use crate::smtp::NoTls;
use crate::tls::{Evidence, Handshake};
use crate::x509::path::{self, Roots};

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
    /// The refusal that the mode has waived: what was demanded is not met, and only told of.
    pub would_refuse: Option<Box<Refusal>>,
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
    /// How many connections the recipient may have caused before this one. Where a refusal is waived after the last
    /// handshake has failed, one more goes without TLS: the mail is to be delivered.
    #[must_use]
    pub const fn after_at_most(&self) -> usize {
        match self {
            Self::Sni(_) => MAX_REDIALS - 1,
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
        return opportunistic(None, evidence, None);
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
            let observed = not_located(demand).or_else(|| bench.observe(candidate));
            let host = matches!(demand.located, Located::ByAddress).then(|| candidate.host.clone());
            return opportunistic(host, evidence, observed);
        }
        if bench.wants_other_sni(candidate) {
            return Verdict::Redial(Redial::Sni(candidate.sni().clone()));
        }
        match bench.assess(candidate) {
            Ok(basis) => {
                let is_proven = candidate.requirement.authenticates();
                let unlocated = not_located(demand).filter(|_| !is_proven);
                return Verdict::Pin(Pin {
                    cleared: Cleared(()),
                    host: unlocated.is_none().then(|| candidate.host.clone()),
                    level: candidate.requirement.level(),
                    basis,
                    observed: unlocated.or_else(|| bench.observe(candidate)),
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
fn opportunistic(host: Option<MxHost>, evidence: &Evidence, observed: Option<Reason>) -> Verdict {
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
        observed,
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

/// What a candidate is judged by.
struct Bench<'a> {
    evidence: &'a Evidence,
    tried: &'a [Option<DnsName>],
    roots: &'a Roots,
    now: Timestamp,
}

impl Bench<'_> {
    fn sni(&self) -> Option<&DnsName> {
        self.tried.last()?.as_ref()
    }

    /// Evidence for a host must have been taken with its SNI (RFC 7672 §8.1, RFC 8461 §7.1). Where no more attempts
    /// are left, what the server showed to another name is judged as it is.
    fn wants_other_sni(&self, candidate: &Candidate) -> bool {
        let shown = match self.evidence {
            // TLS alone is demanded and there.
            Evidence::Protected(_) if !candidate.requirement.authenticates() => return false,
            Evidence::Protected(_)
            | Evidence::Broken(_)
            | Evidence::Clear(NoTls::HandshakeFailed(_)) => self.sni(),
            // The server refuses TLS before it hears any name.
            Evidence::Clear(NoTls::NotOffered | NoTls::Refused(_)) => return false,
        };
        let wanted = candidate.sni();
        let requirement = &candidate.requirement;
        let listed = requirement.sts.as_ref().is_none_or(|sts| sts.listed);
        listed
            && !requirement.is_unmeetable()
            && shown != Some(wanted)
            && self.tried.len() <= MAX_REDIALS
            && !self.tried.iter().flatten().any(|sni| sni == wanted)
    }

    /// Before a recipient is known the SNI is a guess, which greetings and other people's records can make a wrong one
    /// (attack TLS-16). Cleartext comes only after the host's own name has failed too, and needs the last redial.
    fn failed_by_a_guess(&self, candidate: &Candidate) -> bool {
        matches!(self.evidence, Evidence::Broken(_))
            && self.tried.len() < MAX_REDIALS
            && self.wants_other_sni(candidate)
    }

    /// Does the evidence meet all that is required of this host?
    fn assess(&self, candidate: &Candidate) -> Result<Basis, Reason> {
        let requirement = &candidate.requirement;
        if requirement.is_unmeetable() {
            let host = candidate.host.clone();
            return Err(match requirement.local {
                Some(Local::Sts) => Reason::StsRequired { host },
                Some(Local::Dane | Local::Webpki | Local::Pin(_)) | None => {
                    Reason::DaneRequired { host }
                }
            });
        }
        if let Some(sts) = &requirement.sts {
            is_listed(sts, &candidate.host)?;
        }
        let handshake = self.protected(&candidate.host)?;
        let dane = requirement
            .dane
            .as_ref()
            .map(|dane| self.dane(dane, handshake))
            .transpose()?;
        if requirement.sts.is_some() {
            self.sts_pkix(&candidate.host, handshake)?;
        }
        if let Some(local) = &requirement.local {
            self.local(local, &candidate.host, handshake)?;
        }
        Ok(match (dane, &requirement.sts, &requirement.local) {
            (Some(_), Some(_), _) => Basis::DaneAndSts,
            (Some(Usage::DaneEe), None, _) => Basis::DaneEe,
            (Some(Usage::DaneTa), None, _) => Basis::DaneTa,
            (None, Some(_), _) => Basis::Sts,
            (None, None, Some(Local::Webpki)) => Basis::Webpki,
            (None, None, Some(Local::Pin(_))) => Basis::Pinned,
            (None, None, Some(Local::Dane | Local::Sts) | None) => Basis::Encrypted,
        })
    }

    /// What the observed policy would refuse for.
    fn observe(&self, candidate: &Candidate) -> Option<Reason> {
        let sts = candidate.observed.as_ref()?;
        is_listed(sts, &candidate.host)
            .and_then(|()| self.protected(&candidate.host))
            .and_then(|handshake| self.sts_pkix(&candidate.host, handshake))
            .err()
    }

    fn protected(&self, host: &MxHost) -> Result<&Handshake, Reason> {
        let missing = |code| Reason::StarttlsMissing {
            host: host.clone(),
            code,
        };
        match self.evidence {
            Evidence::Protected(handshake) => Ok(handshake),
            Evidence::Clear(NoTls::NotOffered) => Err(missing(None)),
            Evidence::Clear(NoTls::Refused(code)) => Err(missing(Some(*code))),
            Evidence::Clear(NoTls::HandshakeFailed(what)) | Evidence::Broken(what) => {
                Err(Reason::Handshake {
                    host: host.clone(),
                    what: what.clone(),
                })
            }
        }
    }

    fn dane(&self, demand: &DaneDemand, handshake: &Handshake) -> Result<Usage, Reason> {
        let presented = Presented {
            chain: handshake.chain(),
            reference_ids: &demand.reference_ids,
        };
        dane::verify(&demand.records, presented, self.now)
            .map(|matched| matched.record.usage)
            .map_err(|mismatch| Reason::of_mismatch(demand.base.clone(), mismatch))
    }

    /// What an exception requires beside the rest; what must be published has been looked for already.
    fn local(&self, local: &Local, host: &MxHost, handshake: &Handshake) -> Result<(), Reason> {
        match local {
            Local::Dane | Local::Sts => Ok(()),
            Local::Webpki => self.pkix(host, handshake).map_err(|fault| Reason::Webpki {
                mx: host.clone(),
                fault,
            }),
            Local::Pin(pins) => {
                let presented = KeyPin(*handshake.spki_sha256());
                if pins.contains(&presented) {
                    return Ok(());
                }
                Err(Reason::PinMismatch {
                    host: host.clone(),
                    presented: presented.to_string(),
                })
            }
        }
    }

    /// RFC 8461 §4.2.
    fn sts_pkix(&self, host: &MxHost, handshake: &Handshake) -> Result<(), Reason> {
        let mx = host.clone();
        self.pkix(host, handshake).map_err(|fault| match fault {
            PkixFault::Untrusted(what) => Reason::StsUntrusted { mx, what },
            PkixFault::Dates(what) => Reason::StsDates { mx, what },
            PkixFault::Name(presented) => Reason::StsName { mx, presented },
        })
    }

    /// The precedence of not-trusted over expired over mismatch keeps reports comparable.
    fn pkix(&self, host: &MxHost, handshake: &Handshake) -> Result<(), PkixFault> {
        let report = path::validate(handshake.chain(), self.roots, host.name(), self.now);
        match (report.untrusted, report.out_of_date, report.wrong_name) {
            (Some(what), _, _) => Err(PkixFault::Untrusted(what)),
            (None, Some(what), _) => Err(PkixFault::Dates(what)),
            (None, None, Some(presented)) => Err(PkixFault::Name(presented)),
            (None, None, None) => Ok(()),
        }
    }
}

fn is_listed(sts: &StsDemand, host: &MxHost) -> Result<(), Reason> {
    if sts.listed {
        return Ok(());
    }
    Err(Reason::StsMxNotListed {
        mx: host.clone(),
        patterns: sts.patterns.clone(),
    })
}
