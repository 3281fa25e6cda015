//! Findings as text for people and as JSON for programs.

use std::io::{self, Write};

use serde_json::json;

use super::findings::{Destination, DomainFindings, Outcome, Problem};
use crate::cli::Exit;

/// One JSON object on one line.
pub(super) fn json(out: &mut impl Write, findings: &DomainFindings) -> io::Result<()> {
    let outcome = findings.outcome();
    let mut value = json!(findings);
    value["outcome"] = json!(outcome);
    value["exit"] = json!(Exit::from(outcome) as u8);
    writeln!(out, "{value}")
}

/// A paragraph per domain, a line per destination, and what to do below each that fails.
pub(super) fn text(out: &mut impl Write, findings: &DomainFindings) -> io::Result<()> {
    writeln!(out, "{}", findings.domain)?;
    if !findings.mx.is_empty() {
        writeln!(out, "  MX records  {}", mx_words(findings.mx))?;
    }
    if !findings.mta_sts.is_empty() {
        writeln!(out, "  MTA-STS     {}", findings.mta_sts)?;
    }
    for destination in &findings.destinations {
        destination_text(out, destination)?;
    }
    if let Some(problem) = &findings.problem {
        writeln!(out, "  {}", mark(Some(problem.outcome)))?;
        problem_text(out, problem)?;
    }
    writeln!(out, "  => {}\n", conclusion(findings))
}

fn destination_text(out: &mut impl Write, found: &Destination) -> io::Result<()> {
    let verdict = found.verdict;
    let level = found.level.unwrap_or("?");
    let address = found
        .address
        .map_or_else(|| "no address".into(), |address| address.to_string());
    writeln!(
        out,
        "  {:7} {} [{}]  level {level}, demands {}",
        mark(verdict),
        found.host,
        address,
        demanded(found)
    )?;
    if let (Some(Outcome::Good), Some(reason)) = (found.verdict, found.reason) {
        let tls = found.tls_version.unwrap_or("no TLS");
        let pin = found
            .pin
            .as_deref()
            .map(|pin| format!(", key sha256 {pin}"))
            .unwrap_or_default();
        writeln!(out, "          met by {reason}, {tls}{pin}")?;
    }
    if let Some(observed) = &found.observed {
        writeln!(
            out,
            "          note: not enforced, but would be refused otherwise: {observed}"
        )?;
    }
    if let Some(problem) = &found.would_refuse {
        writeln!(
            out,
            "          note: delivered all the same (mode = \"report-only\"); enforced it would be refused:"
        )?;
        problem_text(out, problem)?;
    }
    if let Some(problem) = &found.problem {
        problem_text(out, problem)?;
    }
    Ok(())
}

fn demanded(found: &Destination) -> &str {
    if found.demand.is_empty() {
        "what could not be found out"
    } else {
        &found.demand
    }
}

/// What should have been, what was, and what to do.
pub(in crate::cli) fn problem_text(out: &mut impl Write, problem: &Problem) -> io::Result<()> {
    // The sentence behind the keyword is what was seen.
    if let Some((keyword, _)) = problem.reply.split_once(':') {
        writeln!(out, "          reply     {keyword}")?;
    }
    writeln!(out, "          expected  {}", problem.expected)?;
    writeln!(out, "          seen      {}", problem.seen)?;
    writeln!(out, "          do        {}", problem.advice)
}

const fn mark(verdict: Option<Outcome>) -> &'static str {
    match verdict {
        Some(Outcome::Good) => "ok",
        Some(Outcome::Refused) => "REFUSE",
        Some(Outcome::Unknown) => "UNKNOWN",
        None => "-",
    }
}

fn mx_words(mx: &str) -> &str {
    match mx {
        "secure" => "secure (validated by DNSSEC)",
        "insecure" => "insecure (not signed)",
        other => other,
    }
}

fn conclusion(findings: &DomainFindings) -> &'static str {
    let probed = findings
        .destinations
        .iter()
        .any(|found| found.verdict.is_some());
    match findings.outcome() {
        Outcome::Good if probed => "mail would be delivered as the domain demands",
        Outcome::Good => "nothing stands against delivery so far; no MX host was connected to",
        Outcome::Refused => match &findings.problem {
            Some(problem) if problem.reply.starts_with('5') => "mail would be refused for good",
            Some(_) => "mail would be refused (deferred)",
            None => "mail would be refused (deferred) at the destinations marked REFUSE",
        },
        Outcome::Unknown => "it could not be found out whether mail would be delivered",
    }
}
