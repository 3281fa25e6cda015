//! What the record tells of a verdict, and the refusals that need no judge.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::policy::Facts;
use crate::policy::exceptions::{Exception, Exceptions};
use crate::report::{Judgement, Used};
use crate::smtp::Target;
use crate::verdict::{Pin, Reason, Refusal, Verdict};

/// What is told beside the verdict.
#[derive(Default)]
pub(super) struct Beside {
    /// What the stricter way to combine DANE and MTA-STS refuses for, where the two differ.
    pub(super) differs: Option<&'static str>,
    /// The exceptions that played a part.
    pub(super) exceptions: Vec<Used>,
}

/// The exceptions that a case rests on: the one for the recipient's domain, and the negative trust anchors over any name
/// that was asked about.
pub(super) fn used(
    all: &Exceptions,
    applied: Option<&Arc<Exception>>,
    facts: Option<&Facts>,
    now: Timestamp,
) -> Vec<Used> {
    let anchors = facts.map_or_else(Vec::new, |facts| all.anchors(facts.names(), now));
    applied
        .into_iter()
        .chain(&anchors)
        .map(|one| Used {
            id: one.id().to_string(),
            kind: one.what().kind(),
        })
        .collect()
}

pub(super) const fn refuse(reason: Reason) -> Verdict {
    Verdict::Refuse(Refusal {
        reason,
        host: None,
        level: None,
    })
}

pub(super) fn no_policy_domain(target: &Target) -> Reason {
    Reason::NoPolicyDomain {
        recipient: target.to_string(),
    }
}

/// Nothing of a redial: the connection that it leads to will be told of.
pub(super) fn judgement(verdict: &Verdict, target: &Target, beside: Beside) -> Option<Judgement> {
    let told = match verdict {
        Verdict::Pin(pin) => of_pin(pin),
        Verdict::Refuse(refusal) => of_refusal(refusal),
        Verdict::Redial(_) => return None,
    };
    Some(Judgement {
        domain: target.to_string(),
        differs: beside.differs,
        exceptions: beside.exceptions,
        ..told
    })
}

fn of_pin(pin: &Pin) -> Judgement {
    let waived = pin.would_refuse.as_deref().map(|refusal| &refusal.reason);
    Judgement {
        domain: String::new(),
        host: pin.host.as_ref().map(ToString::to_string),
        level: Some(pin.level.label()),
        verdict: "pin",
        reason: pin.basis.label(),
        detail: waived.map(ToString::to_string).unwrap_or_default(),
        observed: pin.observed.as_ref().map(Reason::label),
        would_refuse: waived.map(Reason::label),
        differs: None,
        is_for_policy: waived.is_some(),
        exceptions: Vec::new(),
    }
}

fn of_refusal(refusal: &Refusal) -> Judgement {
    Judgement {
        domain: String::new(),
        host: refusal.host.as_ref().map(ToString::to_string),
        level: refusal.level.map(|level| level.label()),
        verdict: "refuse",
        reason: refusal.reason.label(),
        detail: refusal.reason.to_string(),
        observed: None,
        would_refuse: None,
        differs: None,
        is_for_policy: refusal.reason.is_for_policy(),
        exceptions: Vec::new(),
    }
}
