//! Demand against evidence: pin, redial or refuse. Pure.
//!
//! [`judge`] is the only maker of [`Cleared`], and nothing of an envelope or a message leaves without one.
//! [`Reason`] is the one vocabulary of why not.

mod explanation;
#[cfg(test)]
mod oracle;
mod reason;
#[cfg(test)]
mod recalled;

pub use explanation::Explanation;
pub use reason::{Question, Reason, ResultType};

use crate::clock::Timestamp;
use crate::dane::{self, Matching, Presented, Selector, Tlsa, Usage};
use crate::name::{DnsName, MxHost, ReferenceId};
use crate::policy::{Candidate, DaneDemand, Demand, Fingerprint, Level, Located, StsDemand};
use crate::smtp::NoTls;
use crate::tls::{Evidence, Handshake};
use crate::x509::path::{self, Roots};
use crate::x509::proof::{self, Claim, Proof};

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

/// How often one recipient may cause a new connection.
pub const MAX_REDIALS: usize = 2;

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
        if candidate.requirement.level() == Level::Opportunistic {
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
                let observed = bench.observe(candidate);
                proofs.extend(observed.proof);
                return Verdict::Pin(Pin {
                    cleared: Cleared(()),
                    host: Some(candidate.host.clone()),
                    level: candidate.requirement.level(),
                    basis,
                    observed: observed.reason,
                    grounds: Grounds {
                        demand: Fingerprint::of(candidate, roots.identity()),
                        proofs,
                    },
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
    match (not_located(demand), nearest) {
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

/// What a candidate has met its requirement by.
struct Met {
    basis: Basis,
    proofs: Vec<Proof>,
}

/// What has come of a policy that decides nothing.
#[derive(Default)]
struct Observed {
    reason: Option<Reason>,
    proof: Option<Proof>,
}

impl Observed {
    const fn of(reason: Reason) -> Self {
        Self {
            reason: Some(reason),
            proof: None,
        }
    }
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
        let listed = candidate
            .requirement
            .sts
            .as_ref()
            .is_none_or(|sts| sts.listed);
        listed
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
    fn assess(&self, candidate: &Candidate) -> Result<Met, Reason> {
        let requirement = &candidate.requirement;
        if let Some(sts) = &requirement.sts {
            is_listed(sts, &candidate.host)?;
        }
        let handshake = match requirement.known_for_tls {
            None => self.protected(&candidate.host)?,
            Some(since) => self.protected_as_ever(&candidate.host, since)?,
        };
        let dane = requirement
            .dane
            .as_ref()
            .map(|dane| self.dane(dane, handshake))
            .transpose()?;
        let sts = requirement
            .sts
            .as_ref()
            .map(|_| self.pkix(&candidate.host, handshake))
            .transpose()?;
        let basis = match (&dane, &sts) {
            (Some(_), Some(_)) => Basis::DaneAndSts,
            (Some((Usage::DaneEe, _)), None) => Basis::DaneEe,
            (Some((Usage::DaneTa, _)), None) => Basis::DaneTa,
            (None, Some(_)) => Basis::Sts,
            (None, None) => Basis::Encrypted,
        };
        let proofs = [dane.and_then(|(_, proof)| proof), sts.flatten()];
        Ok(Met {
            basis,
            proofs: proofs.into_iter().flatten().collect(),
        })
    }

    /// What the observed policy would refuse for.
    fn observe(&self, candidate: &Candidate) -> Observed {
        let Some(sts) = &candidate.observed else {
            return Observed::default();
        };
        let outcome = is_listed(sts, &candidate.host)
            .and_then(|()| self.protected(&candidate.host))
            .and_then(|handshake| self.pkix(&candidate.host, handshake));
        match outcome {
            Ok(proof) => Observed {
                reason: None,
                proof,
            },
            Err(reason) => Observed::of(reason),
        }
    }

    /// TLS, from a host that is known for it.
    fn protected_as_ever(&self, host: &MxHost, since: Timestamp) -> Result<&Handshake, Reason> {
        let seen = match self.evidence {
            Evidence::Protected(handshake) => return Ok(handshake),
            Evidence::Clear(why) => why.clone(),
            Evidence::Broken(what) => NoTls::HandshakeFailed(what.clone()),
        };
        Err(Reason::KnownForTls {
            host: host.clone(),
            since,
            seen,
        })
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

    /// A path to an anchor is looked for only where none is known that another search would find again.
    fn dane(
        &self,
        demand: &DaneDemand,
        handshake: &Handshake,
    ) -> Result<(Usage, Option<Proof>), Reason> {
        let anchors = || {
            let records = demand.records.iter();
            records.filter(|record| record.usage == Usage::DaneTa)
        };
        let is_published = || {
            let leaf = handshake.chain().first();
            leaf.is_some_and(|leaf| dane::published(&demand.records, leaf).is_some())
        };
        let claim = (anchors().next().is_some() && !is_published())
            .then(|| dane_ta(anchors(), &demand.reference_ids, handshake));
        if let Some(proof) = claim.and_then(|claim| handshake.recalled(&claim, self.now)) {
            return Ok((Usage::DaneTa, Some(proof)));
        }
        let presented = Presented {
            chain: handshake.chain(),
            reference_ids: &demand.reference_ids,
        };
        dane::verify(&demand.records, presented, self.now)
            .map(|matched| {
                let proof = claim.and_then(|claim| {
                    // The anchor's certificate may stand in the DNS alone (RFC 7671 §5.2.2).
                    let whole = (Selector::Cert, Matching::Full);
                    let published = anchors()
                        .filter(|record| (record.selector, record.matching) == whole)
                        .map(|record| &*record.data);
                    let seen = proof::octets(handshake.chain()).chain(published);
                    Proof::of(claim, seen, self.now)
                });
                (matched.record.usage, proof)
            })
            .map_err(|mismatch| Reason::of_mismatch(demand.base.clone(), mismatch))
    }

    /// RFC 8461 §4.2. The precedence of not-trusted over expired over mismatch keeps reports comparable.
    fn pkix(&self, host: &MxHost, handshake: &Handshake) -> Result<Option<Proof>, Reason> {
        let (chain, roots) = (handshake.chain_sha256(), self.roots.identity());
        let claim = Claim::of("pkix", [&chain[..], roots, host.as_str().as_bytes()]);
        if let Some(proof) = handshake.recalled(&claim, self.now) {
            return Ok(Some(proof));
        }
        let report = path::validate(handshake.chain(), self.roots, host.name(), self.now);
        let mx = || host.clone();
        if let Some(what) = report.untrusted {
            return Err(Reason::StsUntrusted { mx: mx(), what });
        }
        if let Some(what) = report.out_of_date {
            return Err(Reason::StsDates { mx: mx(), what });
        }
        match report.wrong_name {
            Some(presented) => Err(Reason::StsName {
                mx: mx(),
                presented,
            }),
            None => {
                let chain = proof::octets(handshake.chain());
                Ok(Proof::of(claim, chain, self.now))
            }
        }
    }
}

/// That a path leads from these certificates to one of these anchors, and that one of these names fits.
fn dane_ta<'a>(
    anchors: impl Iterator<Item = &'a Tlsa>,
    reference_ids: &[ReferenceId],
    handshake: &Handshake,
) -> Claim {
    let chain = handshake.chain_sha256();
    let kinds: Vec<([u8; 2], &[u8])> = anchors
        .map(|record| {
            let kind = [record.selector as u8, record.matching as u8];
            (kind, &*record.data)
        })
        .collect();
    let count = (kinds.len() as u64).to_be_bytes();
    let anchors = kinds.iter().flat_map(|(kind, data)| [&kind[..], data]);
    let names = reference_ids.iter().map(|id| id.as_str().as_bytes());
    let parts = [&chain[..], &count].into_iter().chain(anchors).chain(names);
    Claim::of("dane-ta", parts)
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
