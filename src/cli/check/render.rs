//! Findings as text for people and as JSON for programs.
#![expect(clippy::print_stdout, reason = "IO: answers on stdout")]

use serde_json::json;

use super::findings::{Destination, DomainFindings, Outcome, Problem};
use crate::cli::Exit;

/// One JSON object on one line.
pub(super) fn json(findings: &DomainFindings) {
    let outcome = findings.outcome();
    let mut value = json!(findings);
    value["outcome"] = json!(outcome);
    value["exit"] = json!(Exit::from(outcome) as u8);
    println!("{value}");
}

/// A paragraph per domain, a line per destination, and what to do below each that fails.
pub(super) fn text(findings: &DomainFindings) {
    println!("{}", findings.domain);
    if !findings.mx.is_empty() {
        println!("  MX records  {}", mx_words(findings.mx));
    }
    if !findings.mta_sts.is_empty() {
        println!("  MTA-STS     {}", findings.mta_sts);
    }
    for destination in &findings.destinations {
        destination_text(destination);
    }
    if let Some(problem) = &findings.problem {
        println!("  {}", mark(Some(problem.outcome)));
        problem_text(problem);
    }
    println!("  => {}\n", conclusion(findings));
}

fn destination_text(found: &Destination) {
    let verdict = found.verdict;
    let level = found.level.unwrap_or("?");
    println!(
        "  {:7} {} [{}]  level {level}, demands {}",
        mark(verdict),
        found.host,
        found.address,
        demanded(found)
    );
    if let (Some(Outcome::Good), Some(reason)) = (found.verdict, found.reason) {
        let tls = found.tls_version.unwrap_or("no TLS");
        let pin = found
            .pin
            .as_deref()
            .map(|pin| format!(", key sha256 {pin}"))
            .unwrap_or_default();
        println!("          met by {reason}, {tls}{pin}");
    }
    if let Some(observed) = &found.observed {
        println!("          note: not enforced, but would be refused otherwise: {observed}");
    }
    if let Some(problem) = &found.problem {
        problem_text(problem);
    }
}

fn demanded(found: &Destination) -> &str {
    if found.demand.is_empty() {
        "what could not be found out"
    } else {
        &found.demand
    }
}

fn problem_text(problem: &Problem) {
    println!("          expected  {}", problem.expected);
    println!("          seen      {}", problem.seen);
    println!("          do        {}", problem.advice);
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
        Outcome::Refused => "mail would be refused (deferred) at the destinations marked REFUSE",
        Outcome::Unknown => "it could not be found out; mail would be deferred",
    }
}
