//! One candidate and one session side by side: which name to ask for, and whether what was shown meets what is required.

use super::{Basis, MAX_REDIALS, PkixFault, Reason};
use crate::clock::Timestamp;
use crate::dane::{self, Matching, Presented, Selector, Tlsa, Usage};
use crate::name::{DnsName, MxHost, ReferenceId};
use crate::policy::exceptions::Pin as KeyPin;
use crate::policy::{Candidate, DaneDemand, Local, StsDemand};
use crate::smtp::NoTls;
use crate::tls::{Evidence, Handshake};
use crate::x509::path::{self, Roots};
use crate::x509::proof::{self, Claim, Proof};

/// What a candidate is judged by.
pub(super) struct Bench<'a> {
    pub(super) evidence: &'a Evidence,
    pub(super) tried: &'a [Option<DnsName>],
    pub(super) roots: &'a Roots,
    pub(super) now: Timestamp,
}

/// What a candidate has met its requirement by.
pub(super) struct Met {
    pub(super) basis: Basis,
    pub(super) proofs: Vec<Proof>,
}

/// What has come of a policy that decides nothing.
#[derive(Default)]
pub(super) struct Observed {
    pub(super) reason: Option<Reason>,
    pub(super) proof: Option<Proof>,
}

impl Observed {
    pub(super) const fn of(reason: Reason) -> Self {
        Self {
            reason: Some(reason),
            proof: None,
        }
    }
}

impl Bench<'_> {
    pub(super) fn sni(&self) -> Option<&DnsName> {
        self.tried.last()?.as_ref()
    }

    /// Evidence for a host must have been taken with its SNI (RFC 7672 §8.1, RFC 8461 §7.1). Where no more attempts
    /// are left, what the server showed to another name is judged as it is.
    pub(super) fn wants_other_sni(&self, candidate: &Candidate) -> bool {
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
    pub(super) fn failed_by_a_guess(&self, candidate: &Candidate) -> bool {
        matches!(self.evidence, Evidence::Broken(_))
            && self.tried.len() < MAX_REDIALS
            && self.wants_other_sni(candidate)
    }

    /// Does the evidence meet all that is required of this host?
    pub(super) fn assess(&self, candidate: &Candidate) -> Result<Met, Reason> {
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
            .map(|_| self.sts_pkix(&candidate.host, handshake))
            .transpose()?;
        let local = requirement
            .local
            .as_ref()
            .map(|local| self.local(local, &candidate.host, handshake))
            .transpose()?;
        let basis = match (&dane, &sts, &requirement.local) {
            (Some(_), Some(_), _) => Basis::DaneAndSts,
            (Some((Usage::DaneEe, _)), None, _) => Basis::DaneEe,
            (Some((Usage::DaneTa, _)), None, _) => Basis::DaneTa,
            (None, Some(_), _) => Basis::Sts,
            (None, None, Some(Local::Webpki)) => Basis::Webpki,
            (None, None, Some(Local::Pin(_))) => Basis::Pinned,
            (None, None, Some(Local::Dane | Local::Sts) | None) => Basis::Encrypted,
        };
        let proofs = [
            dane.and_then(|(_, proof)| proof),
            sts.flatten(),
            local.flatten(),
        ];
        Ok(Met {
            basis,
            proofs: proofs.into_iter().flatten().collect(),
        })
    }

    /// What the observed policy would refuse for.
    pub(super) fn observe(&self, candidate: &Candidate) -> Observed {
        let Some(sts) = &candidate.observed else {
            return Observed::default();
        };
        let outcome = is_listed(sts, &candidate.host)
            .and_then(|()| self.protected(&candidate.host))
            .and_then(|handshake| self.sts_pkix(&candidate.host, handshake));
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

    /// What an exception requires beside the rest; what must be published has been looked for already.
    fn local(
        &self,
        local: &Local,
        host: &MxHost,
        handshake: &Handshake,
    ) -> Result<Option<Proof>, Reason> {
        match local {
            Local::Dane | Local::Sts => Ok(None),
            Local::Webpki => self.pkix(host, handshake).map_err(|fault| Reason::Webpki {
                mx: host.clone(),
                fault,
            }),
            Local::Pin(pins) => {
                let presented = KeyPin(*handshake.spki_sha256());
                if pins.contains(&presented) {
                    return Ok(None);
                }
                Err(Reason::PinMismatch {
                    host: host.clone(),
                    presented: presented.to_string(),
                })
            }
        }
    }

    /// RFC 8461 §4.2.
    fn sts_pkix(&self, host: &MxHost, handshake: &Handshake) -> Result<Option<Proof>, Reason> {
        let mx = host.clone();
        self.pkix(host, handshake).map_err(|fault| match fault {
            PkixFault::Untrusted(what) => Reason::StsUntrusted { mx, what },
            PkixFault::Dates(what) => Reason::StsDates { mx, what },
            PkixFault::Name(presented) => Reason::StsName { mx, presented },
        })
    }

    /// The precedence of not-trusted over expired over mismatch keeps reports comparable. Whoever asks, it is one claim.
    fn pkix(&self, host: &MxHost, handshake: &Handshake) -> Result<Option<Proof>, PkixFault> {
        let (chain, roots) = (handshake.chain_sha256(), self.roots.identity());
        let claim = Claim::of("pkix", [&chain[..], roots, host.as_str().as_bytes()]);
        if let Some(proof) = handshake.recalled(&claim, self.now) {
            return Ok(Some(proof));
        }
        let report = path::validate(handshake.chain(), self.roots, host.name(), self.now);
        match (report.untrusted, report.out_of_date, report.wrong_name) {
            (Some(what), _, _) => Err(PkixFault::Untrusted(what)),
            (None, Some(what), _) => Err(PkixFault::Dates(what)),
            (None, None, Some(presented)) => Err(PkixFault::Name(presented)),
            (None, None, None) => {
                let chain = proof::octets(handshake.chain());
                Ok(Proof::of(claim, chain, self.now))
            }
        }
    }
}

/// That a path leads from these certificates to one of these anchors, and that one of these names fits.
pub(super) fn dane_ta<'a>(
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
