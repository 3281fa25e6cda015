//! Findings as text for people and as JSON for programs.

use std::io::{self, Write};

use serde_json::json;

use super::findings::{Address, Findings, Host, Outcome};
use crate::cli::{Exit, check};

/// One JSON object on one line.
pub(super) fn json(out: &mut impl Write, findings: &Findings) -> io::Result<()> {
    let outcome = findings.outcome();
    let mut value = json!(findings);
    value["outcome"] = json!(outcome);
    value["wait"] = json!(findings.wait());
    value["exit"] = json!(Exit::from(outcome) as u8);
    writeln!(out, "{value}")
}

/// A paragraph per host, and what to do at the end.
pub(super) fn text(out: &mut impl Write, findings: &Findings) -> io::Result<()> {
    writeln!(out, "{}", findings.domain)?;
    if findings.mx == "insecure" {
        writeln!(
            out,
            "  MX records  insecure (not signed): senders may take the TLSA records of these hosts for less"
        )?;
    }
    for host in &findings.hosts {
        host_text(out, host)?;
    }
    if let Some(problem) = &findings.problem {
        check::problem_text(out, problem)?;
    }
    writeln!(out, "  => {}\n", conclusion(findings))
}

fn host_text(out: &mut impl Write, host: &Host) -> io::Result<()> {
    writeln!(out, "  {:9} {}", mark(host.outcome), host.host)?;
    for record in &host.records {
        writeln!(out, "            {:9} {}", record.status, record.record)?;
        if let Some(note) = &record.note {
            writeln!(out, "                      {note}")?;
        }
    }
    for address in &host.presented {
        address_text(out, address)?;
    }
    if let Some(next) = &host.next {
        let record = next.record.as_deref().map(|record| format!(": {record}"));
        writeln!(
            out,
            "            next      {}{}",
            next.note,
            record.unwrap_or_default()
        )?;
    }
    if let (Some(owner), Some(left), Some(until)) = (&host.owner, host.ttl_left, &host.cached_until)
    {
        writeln!(
            out,
            "            cached    {owner} for another {left} s, until {until}"
        )?;
    }
    if let Some(note) = host.note {
        writeln!(out, "            {note}")?;
    }
    host.problem
        .as_ref()
        .map_or(Ok(()), |problem| check::problem_text(out, problem))
}

fn address_text(out: &mut impl Write, found: &Address) -> io::Result<()> {
    let address = found.address;
    let words = match (&found.record, &found.reason) {
        (Some(record), _) => format!("matches {record}"),
        (None, Some(reason)) => reason.clone(),
        (None, None) => "not asked".into(),
    };
    writeln!(out, "            present   {address} {words}")
}

const fn mark(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ready => "ready",
        Outcome::NotReady => "NOT READY",
        Outcome::Unknown => "UNKNOWN",
    }
}

fn conclusion(findings: &Findings) -> String {
    match findings.outcome() {
        Outcome::Ready => {
            let wait = findings.wait().unwrap_or_default();
            format!(
                "ready; change the key once every RRset from before the next record is out of the caches: one whole TTL after it was published on all name servers, and not within the next {wait} s"
            )
        }
        Outcome::NotReady => {
            "not ready: publish what is missing, wait for two TTLs, and ask again; change no key before".into()
        }
        Outcome::Unknown => "it could not be found out whether the key may be changed".into(),
    }
}
