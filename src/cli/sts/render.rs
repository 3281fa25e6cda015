//! Findings as text and as JSON.

use std::io::{self, Write};

use serde_json::json;

use super::findings::{Finding, Findings, Outcome, Severity};

/// One object.
pub(super) fn json(out: &mut impl Write, findings: &Findings) -> io::Result<()> {
    let Findings {
        subject,
        id,
        policy,
        mx_hosts,
        findings: all,
    } = findings;
    let outcome = findings.outcome();
    let told = json!({
        "subject": subject,
        "outcome": outcome,
        "id": id,
        "policy": policy,
        "mx_hosts": mx_hosts,
        "findings": all,
    });
    writeln!(out, "{told:#}")
}

/// For people: one block per finding, then what the policy is.
pub(super) fn text(out: &mut impl Write, findings: &Findings) -> io::Result<()> {
    for finding in &findings.findings {
        block(out, &findings.subject, finding)?;
    }
    if let Some(id) = &findings.id {
        writeln!(out, "id        {id}")?;
    }
    if let Some(policy) = &findings.policy {
        writeln!(out, "mode      {}", policy.mode)?;
        writeln!(out, "max_age   {} s", policy.max_age)?;
        for pattern in &policy.mx {
            writeln!(out, "mx        {pattern}")?;
        }
    }
    for host in &findings.mx_hosts {
        writeln!(out, "MX host   {host}")?;
    }
    let conclusion = match findings.outcome() {
        Outcome::Good => "ok",
        Outcome::Warned => "ok, with warnings",
        Outcome::Unknown => "it could not be found out",
        Outcome::Wrong if findings.policy.is_some() => "not as it should be",
        Outcome::Wrong => "no policy: senders take it for a failure",
    };
    writeln!(out, "{}: {conclusion}", findings.subject)
}

fn block(out: &mut impl Write, subject: &str, finding: &Finding) -> io::Result<()> {
    let severity = match finding.severity {
        Severity::Warning => "warning",
        Severity::Unknown => "unknown",
        Severity::Error => "error",
    };
    let line = finding
        .line
        .map_or_else(String::new, |line| format!(":{line}"));
    let Finding {
        part,
        rule,
        section,
        message,
        remedy,
        ..
    } = finding;
    writeln!(
        out,
        "{subject}{line}: {severity}: {part}: {message} [{rule}, {section}]"
    )?;
    if let Some(seen) = &finding.seen {
        writeln!(out, "    seen  {seen}")?;
    }
    writeln!(out, "    do    {remedy}")
}
