//! DNS answers as they stand in a trace: in presentation form, and read back from there without loss.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::dane::presentation::shown;
use crate::dns::noted::{Found, Note};
use crate::dns::{
    AbsenceKind, Alias, Answer, Denial, Exchange, Failure, Family, Mx, Resolved, Text,
};

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsAnswer {
    /// The name that was asked for.
    pub name: String,
    /// `MX`, `A`, `AAAA`, `TLSA`, `TXT`.
    #[serde(rename = "type")]
    pub record_type: String,
    /// How it ended.
    pub state: State,
    /// The records, as in a zone file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<String>,
    /// The aliases on the way, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<Step>,
    /// Why there is no answer, with the extended errors of the resolver where it gave any (RFC 8914).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// How long it could be used when the trace was written, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u64>,
    /// Nobody was asked for it: it was known, or another lookup was under way.
    pub cached: bool,
}

/// How an answer ends: data or none, and how far that can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Records that validate.
    Secure,
    /// Records of a provably unsigned zone.
    Insecure,
    /// The name has none of the type: proven.
    NodataSecure,
    /// The same, claimed in an unsigned zone.
    NodataInsecure,
    /// There is no such name: proven.
    NxdomainSecure,
    /// The same, claimed in an unsigned zone.
    NxdomainInsecure,
    /// What came does not validate.
    Bogus,
    /// Nothing usable came.
    Unreachable,
}

/// An alias.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The owner.
    pub from: String,
    /// The target.
    pub to: String,
    /// Whether this step by itself validates.
    pub secure: bool,
}

impl DnsAnswer {
    /// What was noted, at this time.
    #[must_use]
    pub fn of(note: &Note, now: Timestamp) -> Self {
        let name = note.name.to_string();
        match &note.found {
            Found::Mx(resolved) => answer(name, "MX", resolved, now, mx),
            Found::Addresses(Family::V4, resolved) => {
                answer(name, "A", resolved, now, ToString::to_string)
            }
            Found::Addresses(Family::V6, resolved) => {
                answer(name, "AAAA", resolved, now, ToString::to_string)
            }
            Found::Tlsa(resolved) => answer(name, "TLSA", resolved, now, |rdata| shown(rdata)),
            Found::Txt(resolved) => answer(name, "TXT", resolved, now, text),
        }
    }
}

fn answer<T>(
    name: String,
    record_type: &str,
    resolved: &Resolved<Vec<T>>,
    now: Timestamp,
    write: impl Fn(&T) -> String,
) -> DnsAnswer {
    let records = resolved.answer.records();
    let (state, failure) = state(&resolved.answer);
    DnsAnswer {
        name,
        record_type: record_type.to_owned(),
        state,
        records: records.into_iter().flatten().map(write).collect(),
        aliases: resolved.aliases.iter().map(Step::from).collect(),
        failure,
        ttl: resolved.source.expires.map(|at| at.since(now).as_secs()),
        cached: resolved.source.cached,
    }
}

fn state<T>(answer: &Answer<T>) -> (State, Option<String>) {
    let state = match answer {
        Answer::Secure(_) => State::Secure,
        Answer::Insecure(_) => State::Insecure,
        Answer::Absent(absence) => match (absence.kind, absence.denial) {
            (AbsenceKind::NoData, Denial::Secure) => State::NodataSecure,
            (AbsenceKind::NoData, Denial::Insecure) => State::NodataInsecure,
            (AbsenceKind::NxDomain, Denial::Secure) => State::NxdomainSecure,
            (AbsenceKind::NxDomain, Denial::Insecure) => State::NxdomainInsecure,
        },
        Answer::Failed(Failure::Bogus(why)) => return (State::Bogus, Some(why.clone())),
        Answer::Failed(Failure::Unreachable(why)) => {
            return (State::Unreachable, Some(why.clone()));
        }
    };
    (state, None)
}

impl From<&Alias> for Step {
    fn from(alias: &Alias) -> Self {
        Self {
            from: alias.from.to_string(),
            to: alias.to.to_string(),
            secure: alias.secure,
        }
    }
}

fn mx(mx: &Mx) -> String {
    let exchange = match &mx.exchange {
        Exchange::Root => ".",
        Exchange::Host(host) => host.as_str(),
        Exchange::Unusable(text) => text,
    };
    format!("{} {exchange}", mx.preference)
}

fn text(text: &Text) -> String {
    text.escape_ascii().to_string()
}
