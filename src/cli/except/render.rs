//! Exceptions as text and as JSON.

use std::io::{self, Write};

use serde_json::{Value, json};

use crate::calendar;
use crate::clock::Timestamp;
use crate::policy::exceptions::Exception;
use crate::policy::exceptions::kept::Source;

/// One array.
pub(super) fn json(
    out: &mut impl Write,
    all: &[(Exception, Source)],
    now: Timestamp,
) -> io::Result<()> {
    let told: Value = all
        .iter()
        .map(|(one, place)| object(one, *place, now))
        .collect();
    writeln!(out, "{told:#}")
}

fn object(one: &Exception, place: Source, now: Timestamp) -> Value {
    let draft = one.draft();
    json!({
        "id": one.id().as_str(),
        "domain": draft.scope.to_string(),
        "what": draft.what.to_string(),
        "kind": draft.what.kind(),
        "author": draft.author,
        "reason": draft.reason,
        "created": calendar::written(draft.created),
        "granted": calendar::written(draft.granted),
        "expires": calendar::written(draft.expires),
        "ended": !one.is_alive(now),
        "place": place.label(),
    })
}

/// A line for each, in columns.
pub(super) fn table(
    out: &mut impl Write,
    all: &[(Exception, Source)],
    now: Timestamp,
) -> io::Result<()> {
    let width = |column: fn(&Exception) -> String, least: usize| {
        let longest = all.iter().map(|(one, _)| column(one).chars().count()).max();
        longest.unwrap_or(0).max(least)
    };
    let domains = width(domain, "domain".len());
    let whats = width(what, "what".len());
    let authors = width(author, "by".len());
    writeln!(
        out,
        "{:8}  {:domains$}  {:whats$}  {:20}  {:authors$}  {:13}  reason",
        "id", "domain", "what", "until", "by", "place"
    )?;
    for (one, place) in all {
        let until = if one.is_alive(now) {
            calendar::written(one.expires())
        } else {
            format!("ended {}", calendar::day(one.expires()))
        };
        writeln!(
            out,
            "{:8}  {:domains$}  {:whats$}  {until:20}  {:authors$}  {:13}  {}",
            one.id(),
            domain(one),
            what(one),
            author(one),
            place.label(),
            one.draft().reason
        )?;
    }
    Ok(())
}

fn domain(one: &Exception) -> String {
    one.scope().to_string()
}

fn what(one: &Exception) -> String {
    one.what().to_string()
}

fn author(one: &Exception) -> String {
    one.draft().author.clone()
}
