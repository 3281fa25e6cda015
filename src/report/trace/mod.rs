//! The evidence of one decision, in order: what was asked and answered, what was demanded, what the connections showed,
//! which rule fired. Everything that the decision came from is in it, whole, so that it can be made again.
//!
//! A [`Trace`] is the JSON that is kept and shown. [`answer`] writes DNS answers down, [`showing`] what a connection
//! showed; [`keeper`] writes traces to the store. What others chose (names, texts, certificates) is JSON strings here, and
//! escaped by whoever shows them.

pub mod answer;
pub mod keeper;
pub mod showing;

use std::net::SocketAddr;
use std::time::Instant;

use serde::{Deserialize, Serialize};

pub use answer::DnsAnswer;
pub use showing::{Certificate, Channel, Showing, Tls};

use crate::calendar::as_text;
use crate::clock::Timestamp;
use crate::mtasts::fetch::FetchFailure;
use crate::name::DnsName;
use crate::policy::cache::{Heard, Told};
use crate::policy::{
    Candidate, Combine, Demand, InsecureMx, Located, Settings, StsDemand, StsState,
};
use crate::store::{Kind, Row};
use crate::tls::Evidence;
use crate::verdict::{Reason, Redial, Verdict};

/// One decision of one session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// The session's id, which stands in refusals.
    pub id: String,
    /// Which of the decisions kept of that session, from 1.
    pub number: u32,
    /// How the connection came: `redirect`, `socks5`.
    pub via: String,
    /// The mail server.
    pub client: SocketAddr,
    /// The decision.
    #[serde(flatten)]
    pub decision: Decided,
}

/// One decision, whosever session it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// When the recipient was named.
    #[serde(with = "as_text")]
    pub began: Timestamp,
    /// When it was decided: certificates and policies were in date or not at this time.
    #[serde(with = "as_text")]
    pub decided: Timestamp,
    /// Milliseconds from the one to the other.
    #[serde(default)]
    pub took_ms: u64,
    /// Where the mail server wanted to go.
    pub destination: SocketAddr,
    /// The recipient's domain; on a route the route's host; an address literal; `postmaster`.
    pub domain: String,
    /// Whether that is a route's host.
    pub route: bool,
    /// What the operator had chosen.
    pub settings: Choices,
    /// Every DNS answer that it came from, in the order in which they came, but for those of MTA-STS.
    pub dns: Vec<DnsAnswer>,
    /// What was known of the domain's MTA-STS policy; none where nothing had to be.
    pub mta_sts: Option<Sts>,
    /// What was demanded; none where that could not be said.
    pub demand: Option<Demanded>,
    /// What each connection showed and what was made of it.
    pub attempts: Vec<Attempt>,
    /// The ids of the exceptions that it rests on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exceptions: Vec<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// Parts that were left out because the trace would have grown too large.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}

/// Where RFCs leave a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choices {
    /// `policy.insecure_mx`.
    pub insecure_mx: InsecureMx,
    /// `policy.combine`.
    pub combine: Combine,
}

/// What was known of an MTA-STS policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sts {
    /// `none`, `fetch-failed`, `unknown`, `live`.
    pub state: String,
    /// Why it is not known, or why a refresh failed.
    pub failure: Option<StsFailure>,
    /// The id of the policy.
    pub id: Option<String>,
    /// When it was fetched.
    pub fetched: Option<String>,
    /// The policy as it was fetched.
    pub text: Option<String>,
    /// What the TXT records said last.
    pub record: Option<String>,
    /// Whether all of that was known before.
    pub cached: bool,
}

/// A failure on the way to a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StsFailure {
    /// `fetch`, `webpki`, `invalid`; of the TXT records `bogus`, `unreachable`.
    pub kind: String,
    /// In words.
    pub detail: String,
}

/// What was demanded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demanded {
    /// Whether the destination is an MX host by its address, or has to prove it.
    pub located: bool,
    /// The hosts that it may be, strictest first.
    pub candidates: Vec<Wanted>,
}

/// What one host has to show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// The host.
    pub host: String,
    /// `L0`, `LD` and so on.
    pub level: String,
    /// Since when the host is known for TLS, where that alone is why TLS is demanded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_for_tls: Option<String>,
    /// The name that TLS has to ask for.
    pub sni: String,
    /// The TLSA records that must match.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tlsa: Vec<String>,
    /// The names that the certificate may carry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// The MTA-STS policy that must hold.
    pub mta_sts: Option<Listing>,
    /// The one that decides nothing but is evaluated.
    pub observed: Option<Listing>,
}

/// Does a policy list the host?
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// Whether it does.
    pub listed: bool,
    /// Its patterns.
    pub patterns: Vec<String>,
}

/// One connection, as far as it was judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// What it showed.
    pub showing: Showing,
    /// The names that TLS had asked for by then on this recipient's behalf, in order.
    pub tried: Vec<Option<String>>,
    /// What was made of it.
    #[serde(flatten)]
    pub finding: Finding,
}

/// What a judge makes of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// `pin`, `refuse`, `redial`.
    pub verdict: String,
    /// The basis of a pin, the label of a refusal, or how to dial again.
    pub rule: String,
}

/// How a decision ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// `pin` or `refuse`.
    pub verdict: String,
    /// The basis of a pin or the label of a refusal.
    pub rule: String,
    /// What was demanded, where that is known.
    pub level: Option<String>,
    /// The host that the destination was taken for, or came nearest.
    pub host: Option<String>,
    /// What an observed policy would have refused for.
    pub observed: Option<String>,
    /// What it would have been refused for, where the mode was to report and not to refuse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub would_refuse: Option<String>,
    /// The reply to the recipient.
    pub reply: Option<String>,
    /// A refusal in words, also one that was waived.
    pub why: Option<Why>,
}

/// A refusal in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Why {
    /// What should have been.
    pub expected: String,
    /// What was.
    pub seen: String,
    /// What to do about it.
    pub advice: String,
}

impl Trace {
    /// The row that it is kept as: `id` for the first of a session, `id.2` for the second.
    ///
    /// # Errors
    /// When it is no JSON, which would be a fault of ours.
    pub fn row(&self) -> Result<Row, serde_json::Error> {
        Ok(Row {
            kind: Kind::Trace,
            key: key(&self.id, self.number),
            about: self.decision.domain.clone(),
            at: self.decision.decided,
            body: Some(serde_json::to_string(self)?),
        })
    }
}

impl Decided {
    /// Leaves out what can be missed first until what is left fits.
    pub fn fit(&mut self) {
        let mut leave_out = |what: &str, cut: &mut dyn FnMut(&mut Self)| {
            if self.octets() > MOST_OCTETS {
                cut(self);
                self.left_out.push(what.to_owned());
            }
        };
        leave_out(
            "the certificates of all connections but the last",
            &mut |trace| {
                let last = trace.attempts.len().saturating_sub(1);
                for attempt in trace.attempts.iter_mut().take(last) {
                    attempt.showing.forget_certificates();
                }
            },
        );
        leave_out("DNS answers after the first 100", &mut |trace| {
            trace.dns.truncate(100)
        });
        leave_out("the certificates", &mut |trace| {
            for attempt in &mut trace.attempts {
                attempt.showing.forget_certificates();
            }
        });
        leave_out("the DNS answers", &mut |trace| trace.dns.clear());
        leave_out("the demand", &mut |trace| trace.demand = None);
    }

    fn octets(&self) -> usize {
        serde_json::to_string(self).map_or(usize::MAX, |text| text.len())
    }
}

/// The key of a session's decision.
#[must_use]
pub fn key(id: &str, number: u32) -> String {
    match number {
        0 | 1 => id.to_owned(),
        number => format!("{id}.{number}"),
    }
}

impl From<Settings> for Choices {
    fn from(settings: Settings) -> Self {
        Self {
            insecure_mx: settings.insecure_mx,
            combine: settings.combine,
        }
    }
}

impl Sts {
    /// What the decision went by, with what else is known of it. `began` tells what was known before.
    #[must_use]
    pub fn of(state: &StsState, told: Option<&Told>, began: Instant) -> Self {
        let (label, failure) = match state {
            StsState::None => ("none", None),
            StsState::FetchFailed(why) => ("fetch-failed", Some(StsFailure::of(why))),
            StsState::Unknown(why) => ("unknown", Some(StsFailure::of_lookup(why))),
            StsState::Live { refresh, .. } => ("live", refresh.as_ref().map(StsFailure::of)),
        };
        let text = match state {
            StsState::Live { policy, .. } => Some(policy.text.clone()),
            StsState::None | StsState::FetchFailed(_) | StsState::Unknown(_) => None,
        };
        let record = told.and_then(|told| told.record.as_ref());
        // What is held may have been replaced since; then it is not what the decision went by.
        let held = told
            .and_then(|told| told.held.as_ref())
            .filter(|held| Some(&held.policy.text) == text.as_ref());
        Self {
            state: label.to_owned(),
            failure,
            id: held.map(|held| held.id.as_str().to_owned()),
            fetched: held.map(|held| crate::calendar::written(held.fetched)),
            text,
            record: record.map(|record| match &record.heard {
                Heard::Announced(id) => format!("announces id {}", id.as_str()),
                Heard::Silent(why) => why.to_string(),
                Heard::Unknown(why) => why.to_string(),
            }),
            cached: record.is_none_or(|record| record.instant < began),
        }
    }
}

impl StsFailure {
    fn of(why: &FetchFailure) -> Self {
        let (kind, detail) = match why {
            FetchFailure::Fetch(what) => ("fetch", what),
            FetchFailure::WebPki(what) => ("webpki", what),
            FetchFailure::Invalid(what) => ("invalid", what),
        };
        Self {
            kind: kind.to_owned(),
            detail: detail.clone(),
        }
    }

    fn of_lookup(why: &crate::dns::Failure) -> Self {
        let (kind, detail) = match why {
            crate::dns::Failure::Bogus(what) => ("bogus", what),
            crate::dns::Failure::Unreachable(what) => ("unreachable", what),
        };
        Self {
            kind: kind.to_owned(),
            detail: detail.clone(),
        }
    }
}

impl From<&Demand> for Demanded {
    fn from(demand: &Demand) -> Self {
        Self {
            located: demand.located == Located::ByAddress,
            candidates: demand.candidates.iter().map(Wanted::from).collect(),
        }
    }
}

impl From<&Candidate> for Wanted {
    fn from(candidate: &Candidate) -> Self {
        let requirement = &candidate.requirement;
        let dane = requirement.dane.as_ref();
        let records = dane.map_or(&[][..], |dane| &dane.records);
        let names = dane.map_or(&[][..], |dane| &dane.reference_ids);
        Self {
            host: candidate.host.to_string(),
            level: requirement.level().label().to_owned(),
            known_for_tls: requirement.known_for_tls.map(crate::calendar::written),
            sni: candidate.sni().to_string(),
            tlsa: records.iter().map(ToString::to_string).collect(),
            names: names.iter().map(ToString::to_string).collect(),
            mta_sts: requirement.sts.as_ref().map(Listing::from),
            observed: candidate.observed.as_ref().map(Listing::from),
        }
    }
}

impl From<&StsDemand> for Listing {
    fn from(sts: &StsDemand) -> Self {
        Self {
            listed: sts.listed,
            patterns: sts.patterns.clone(),
        }
    }
}

impl Attempt {
    /// A connection that was judged.
    #[must_use]
    pub fn of(evidence: &Evidence, tried: &[Option<DnsName>], finding: Finding) -> Self {
        let text = |name: &DnsName| name.to_string();
        let sni = tried.last().and_then(Option::as_ref).map(text);
        Self {
            showing: Showing::of(evidence, sni),
            tried: tried.iter().map(|one| one.as_ref().map(text)).collect(),
            finding,
        }
    }
}

impl Finding {
    /// Of a verdict.
    #[must_use]
    pub fn of(verdict: &Verdict) -> Self {
        let (verdict, rule) = match verdict {
            Verdict::Pin(pin) => ("pin", pin.basis.label().to_owned()),
            Verdict::Refuse(refusal) => ("refuse", refusal.reason.label().to_owned()),
            Verdict::Redial(Redial::Sni(name) | Redial::Observe(name)) => {
                ("redial", format!("asking for {name}"))
            }
            Verdict::Redial(Redial::Cleartext) => ("redial", "without TLS".to_owned()),
        };
        Self {
            verdict: verdict.to_owned(),
            rule,
        }
    }
}

impl Outcome {
    /// None for a redial, which is no end.
    #[must_use]
    pub fn of(verdict: &Verdict) -> Option<Self> {
        match verdict {
            Verdict::Redial(_) => None,
            Verdict::Pin(pin) => Some(Self {
                verdict: "pin".to_owned(),
                rule: pin.basis.label().to_owned(),
                level: Some(pin.level.label().to_owned()),
                host: pin.host.as_ref().map(ToString::to_string),
                observed: pin
                    .observed
                    .as_ref()
                    .map(|reason| reason.label().to_owned()),
                would_refuse: pin
                    .would_refuse
                    .as_ref()
                    .map(|refusal| refusal.reason.label().to_owned()),
                reply: None,
                why: pin
                    .would_refuse
                    .as_ref()
                    .map(|refusal| Why::of(&refusal.reason)),
            }),
            Verdict::Refuse(refusal) => Some(Self {
                verdict: "refuse".to_owned(),
                rule: refusal.reason.label().to_owned(),
                level: refusal.level.map(|level| level.label().to_owned()),
                host: refusal.host.as_ref().map(ToString::to_string),
                observed: None,
                would_refuse: None,
                reply: Some(reply(&refusal.reason)),
                why: Some(Why::of(&refusal.reason)),
            }),
        }
    }
}

fn reply(reason: &Reason) -> String {
    let octets = reason.reply().encode();
    String::from_utf8_lossy(&octets).trim_end().to_owned()
}

impl Why {
    fn of(reason: &Reason) -> Self {
        let told = reason.explain();
        Self {
            expected: told.expected,
            seen: told.seen,
            advice: told.advice.to_owned(),
        }
    }
}

/// An honest trace has some 20 KiB; one with a policy and a chain as large as they may be fits.
pub const MOST_OCTETS: usize = 512 * 1024;

#[cfg(test)]
mod tests;
