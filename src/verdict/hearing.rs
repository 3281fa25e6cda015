//! One hearing: the judgement by what is demanded, and what the mode makes of a refusal. Pure.
//!
//! Under [`Mode::ReportOnly`] everything is found out and judged as ever. Where that ends in a refusal for the sake of a
//! policy, the session is judged once more as if nothing were demanded (rule R3 of the decision table, RFC 7672 §9.1), and
//! the refusal is told of. What would be relayed anyway is relayed alike.
//!
//! Where the handshake tried a ticket and that is not enough, a full one is asked for before anything is refused or waived:
//! what was shown earlier never refuses anybody, and clears only for what it was cleared for then, or where nothing need be
//! proven (attack TLS-11); and a server that chokes on a ticket has TLS all the same. Nor does it send anybody on from one
//! possible host to another one at the same address.

use super::{MAX_REDIALS, Pin, Reason, Redial, Refusal, Verdict, judge};
use crate::clock::Timestamp;
use crate::name::DnsName;
use crate::policy::{Demand, Fingerprint, Mode};
use crate::smtp::Freedom;
use crate::tls::Evidence;
use crate::x509::path::Roots;

/// What is judged, and by what.
#[derive(Clone, Copy)]
pub struct Hearing<'a> {
    /// What the session has shown.
    pub evidence: &'a Evidence,
    /// The SNIs used for this recipient, the present one last.
    pub tried: &'a [Option<DnsName>],
    /// The CAs.
    pub roots: &'a Roots,
    /// When.
    pub now: Timestamp,
    /// Whether refusals count.
    pub mode: Mode,
    /// Whether another connection can be had.
    pub freedom: Freedom,
    /// The refusal that was waived already, before the connection that goes without TLS.
    pub waived: Option<&'a Refusal>,
    /// What the ticket was cleared for that the handshake tried.
    pub ticket: Option<Fingerprint>,
}

/// What comes of it.
#[derive(Debug)]
pub struct Ruling {
    /// The verdict.
    pub verdict: Verdict,
    /// What it is by.
    pub by: By,
    /// Where the other setting of `combine` would have decided otherwise on the same evidence: what the stricter of the two
    /// refuses for.
    pub differs: Option<Reason>,
    /// The refusal that was waived, where that takes another connection first.
    pub waived: Option<Refusal>,
}

/// What decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// What is demanded, and what the session has shown.
    Demand,
    /// The ticket is not enough: the same name is asked for again, in a full handshake.
    Ticket,
    /// The mode: whatever is demanded, nothing of it was looked at.
    Mode,
}

impl Hearing<'_> {
    /// Rules by `demanded`. `otherwise` is what the other setting of `combine` demands, where that is another thing.
    #[must_use]
    pub fn rule(
        &self,
        demanded: &Result<Demand, Reason>,
        otherwise: Option<&Result<Demand, Reason>>,
    ) -> Ruling {
        if let Some(refusal) = self.waived {
            return self.free(Some(refusal.clone()), None);
        }
        let mut strict = self.judge(demanded.as_ref(), self.tried);
        let mut by = By::Demand;
        if let Some(name) = self.unasked(demanded, &strict) {
            strict = Verdict::Redial(Redial::Observe(name));
        }
        // What could not be found out is not the ticket's fault.
        if let Ok(demand) = demanded
            && let Some(again) = self.in_full(&strict, demand)
        {
            strict = Verdict::Redial(Redial::Sni(again));
            by = By::Ticket;
        }
        let differs = otherwise.and_then(|otherwise| self.difference(&strict, otherwise));
        match (self.mode, strict) {
            (Mode::ReportOnly, Verdict::Refuse(refusal)) if refusal.reason.is_for_policy() => {
                self.free(Some(refusal), differs)
            }
            // Whatever another connection would show, this one would have been good enough without any demand.
            (Mode::ReportOnly, Verdict::Redial(Redial::Sni(_)))
                if self.freedom == Freedom::Bound =>
            {
                self.free(None, differs)
            }
            (Mode::ReportOnly | Mode::Enforce, verdict) => Ruling {
                verdict,
                by,
                differs,
                waived: None,
            },
        }
    }

    /// The name of a host under a policy in testing mode that was not asked for it, and whose certificate for the name that
    /// was is not good enough: that would be recorded as a failure which an enforced policy might not have led to
    /// (RFC 8461 §5). Once, and only where the session can have another connection.
    fn unasked(&self, demanded: &Result<Demand, Reason>, strict: &Verdict) -> Option<DnsName> {
        let (Ok(demand), Verdict::Pin(pin), Evidence::Protected(_), Freedom::Free) =
            (demanded, strict, self.evidence, self.freedom)
        else {
            return None;
        };
        let (host, _) = (pin.host.as_ref()?, pin.observed.as_ref()?);
        let candidate = demand.candidates.iter().find(|one| one.host == *host)?;
        let policy = candidate.observed.as_ref()?;
        let name = candidate.sni();
        let is_asked = self.tried.iter().flatten().any(|tried| tried == name);
        let matters = candidate.requirement.is_nothing() && policy.listed;
        (matters && !is_asked && self.tried.len() < MAX_REDIALS).then(|| name.clone())
    }

    /// As if nothing were demanded.
    fn free(&self, refusal: Option<Refusal>, differs: Option<Reason>) -> Ruling {
        let nothing = Demand::of_literal();
        let mut verdict = self.judge(Ok(&nothing), self.tried);
        let mut waived = refusal;
        if let Some(again) = self.in_full(&verdict, &nothing) {
            return Ruling {
                verdict: Verdict::Redial(Redial::Sni(again)),
                by: By::Ticket,
                differs: None,
                waived: None,
            };
        }
        if let Verdict::Pin(pin) = &mut verdict {
            pin.host = waived.as_ref().and_then(|refusal| refusal.host.clone());
            pin.would_refuse = waived.take().map(Box::new);
        }
        Ruling {
            verdict,
            by: By::Mode,
            differs,
            waived,
        }
    }

    /// The name to ask for in a full handshake, where the ticket is not enough for this verdict.
    fn in_full(&self, verdict: &Verdict, demand: &Demand) -> Option<DnsName> {
        let cleared = self.ticket?;
        let is_by_ticket = match self.evidence {
            Evidence::Protected(handshake) => handshake.is_resumed(),
            Evidence::Broken(_) => true,
            Evidence::Clear(_) => false,
        };
        let is_enough = match verdict {
            Verdict::Pin(Pin { grounds, .. }) => {
                grounds.demand.is_nothing() || grounds.demand == cleared
            }
            // Another name, another ticket; but what a possible host shows in full may be enough.
            Verdict::Redial(Redial::Sni(_)) => !self.asks_for_one_of(demand),
            Verdict::Redial(Redial::Observe(_)) => true,
            Verdict::Redial(Redial::Cleartext) | Verdict::Refuse(_) => false,
        };
        if !is_by_ticket || is_enough {
            return None;
        }
        self.tried.last()?.clone()
    }

    /// Is the present name that of a possible host, and no guess?
    fn asks_for_one_of(&self, demand: &Demand) -> bool {
        let present = self.tried.last().and_then(Option::as_ref);
        let is_present = |name| Some(name) == present;
        let mut names = demand.candidates.iter().map(|one| one.sni());
        names.any(is_present)
    }

    fn judge(&self, demanded: Result<&Demand, &Reason>, tried: &[Option<DnsName>]) -> Verdict {
        match demanded {
            Ok(demand) => judge(demand, self.evidence, tried, self.roots, self.now),
            Err(reason) => Verdict::Refuse(Refusal {
                reason: reason.clone(),
                host: None,
                level: None,
            }),
        }
    }

    /// The other setting gets no connection of its own: it is held against the same evidence.
    fn difference(&self, strict: &Verdict, otherwise: &Result<Demand, Reason>) -> Option<Reason> {
        let present = self.tried.last().cloned().flatten();
        let exhausted = vec![present; MAX_REDIALS + 1];
        match (strict, self.judge(otherwise.as_ref(), &exhausted)) {
            (Verdict::Pin(_), Verdict::Refuse(refusal)) => Some(refusal.reason),
            (Verdict::Refuse(refusal), Verdict::Pin(_)) => Some(refusal.reason.clone()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
