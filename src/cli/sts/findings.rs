//! What a linter found, as data: the same values are printed as text and as JSON.

use serde::Serialize;

use crate::dns::Failure;
use crate::mtasts::fetch::FetchFailure;
use crate::mtasts::lint::{Lint, Remark};
use crate::mtasts::{InvalidPolicy, Mode, MxPattern, NoRecord, Policy};
use crate::name::MxHost;

/// The worst of all findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Outcome {
    /// Nothing to say.
    Good,
    /// Legal and unwise.
    Warned,
    /// It could not be found out.
    Unknown,
    /// Senders do without the policy, or refuse mail under it.
    Wrong,
}

/// All about one policy.
#[derive(Debug, Serialize)]
pub(super) struct Findings {
    /// The file or the domain.
    pub(super) subject: String,
    /// The id that the TXT record announces.
    pub(super) id: Option<String>,
    /// What the text says, where it is a policy.
    pub(super) policy: Option<Shown>,
    /// The MX hosts of the domain, by preference.
    pub(super) mx_hosts: Vec<String>,
    /// What is to be said, in the order in which a sender meets it.
    pub(super) findings: Vec<Finding>,
}

/// A policy.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    pub(super) mode: &'static str,
    /// Seconds, at most the maximum.
    pub(super) max_age: u64,
    pub(super) mx: Vec<String>,
}

/// One of them.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    /// How bad it is.
    pub(super) severity: Severity,
    /// Where: `record`, `fetch`, `policy`, `mx`.
    pub(super) part: &'static str,
    /// Of the policy, from 1.
    pub(super) line: Option<usize>,
    /// A stable word.
    pub(super) rule: &'static str,
    /// What says so.
    pub(super) section: &'static str,
    /// What was expected, and what was seen.
    pub(super) message: String,
    /// The line itself.
    pub(super) seen: Option<String>,
    /// What to do.
    pub(super) remedy: String,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Severity {
    Warning,
    Unknown,
    Error,
}

impl Findings {
    /// Nothing is known yet.
    pub(super) const fn new(subject: String) -> Self {
        Self {
            subject,
            id: None,
            policy: None,
            mx_hosts: Vec::new(),
            findings: Vec::new(),
        }
    }

    /// The worst of them.
    pub(super) fn outcome(&self) -> Outcome {
        let outcomes = self.findings.iter().map(|finding| match finding.severity {
            Severity::Warning => Outcome::Warned,
            Severity::Unknown => Outcome::Unknown,
            Severity::Error => Outcome::Wrong,
        });
        outcomes.max().unwrap_or(Outcome::Good)
    }

    /// The text of the policy, which is returned where it is one.
    pub(super) fn read(&mut self, body: &[u8]) -> Option<Policy> {
        let lint = Lint::of(body);
        let mut findings: Vec<Finding> = lint.remarks.iter().map(unwise).collect();
        let policy = match lint.read {
            Ok(policy) => {
                self.policy = Some(Shown::of(&policy));
                Some(policy)
            }
            Err(faults) => {
                let all = std::iter::once(faults.first).chain(faults.others);
                findings.extend(all.map(|fault| invalid(fault, body)));
                None
            }
        };
        findings.sort_by_key(|finding| finding.line);
        self.findings.append(&mut findings);
        policy
    }

    /// The TXT record does not announce a policy.
    pub(super) fn unannounced(&mut self, why: &NoRecord) {
        self.findings.push(Finding {
            severity: Severity::Error,
            part: "record",
            line: None,
            rule: why.label(),
            section: "RFC 8461 §3.1",
            message: why.to_string(),
            seen: None,
            remedy: why.remedy().to_owned(),
        });
    }

    /// A lookup failed.
    pub(super) fn unresolved(&mut self, part: &'static str, what: &str, failure: &Failure) {
        let (severity, rule, remedy) = match failure {
            Failure::Bogus(_) => (
                Severity::Error,
                "dnssec-bogus",
                "Mend the signatures of the zone; `danelaw dns` shows where they fail.",
            ),
            Failure::Unreachable(_) => (
                Severity::Unknown,
                "dns-error",
                "Ask again later, or another resolver with --resolver.",
            ),
        };
        self.findings.push(Finding {
            severity,
            part,
            line: None,
            rule,
            section: "RFC 8461 §3.1",
            message: format!("{what}: {failure}"),
            seen: None,
            remedy: remedy.to_owned(),
        });
    }

    /// The policy host did not serve.
    pub(super) fn unfetched(&mut self, failure: &FetchFailure) {
        let (rule, remedy) = match failure {
            FetchFailure::WebPki(_) => (
                "sts-webpki-invalid",
                "Give the policy host a certificate of a public CA that carries its name mta-sts.<domain>.",
            ),
            FetchFailure::Fetch(_) | FetchFailure::Invalid(_) => (
                "sts-policy-fetch-error",
                "Serve https://mta-sts.<domain>/.well-known/mta-sts.txt with status 200 and Content-Type text/plain, \
                 without redirects and compression.",
            ),
        };
        self.findings.push(Finding {
            severity: Severity::Error,
            part: "fetch",
            line: None,
            rule,
            section: "RFC 8461 §3.3",
            message: failure.to_string(),
            seen: None,
            remedy: remedy.to_owned(),
        });
    }

    /// Holds the MX hosts against the policy.
    pub(super) fn compare(&mut self, policy: &Policy, hosts: &[MxHost]) {
        let severity = match policy.mode {
            Mode::Enforce => Severity::Error,
            Mode::Testing => Severity::Warning,
            Mode::None => return,
        };
        let unlisted = hosts.iter().filter(|host| !policy.lists(host));
        self.findings.extend(unlisted.map(|host| Finding {
            severity,
            part: "mx",
            line: None,
            rule: "mx-unlisted",
            section: "RFC 8461 §4.1",
            message: format!(
                "no mx pattern matches the MX host {host}: senders that enforce refuse it"
            ),
            seen: None,
            remedy: format!("Add the line `mx: {host}` and a new id, or remove the MX record."),
        }));
        let unused = policy
            .mx
            .iter()
            .filter(|pattern| !hosts.iter().any(|host| pattern.matches(host)));
        self.findings.extend(unused.map(|pattern| Finding {
            severity: Severity::Warning,
            part: "mx",
            line: None,
            rule: "mx-unused",
            section: "RFC 8461 §4.1",
            message: format!("the pattern {} matches none of the MX hosts", pattern.as_str()),
            seen: None,
            remedy: "Remove it unless such a host is to come: whoever gets that name may take the mail.".to_owned(),
        }));
    }
}

impl Shown {
    fn of(policy: &Policy) -> Self {
        let mx = policy.mx.iter().map(MxPattern::as_str);
        Self {
            mode: policy.mode.label(),
            max_age: policy.max_age.as_secs(),
            mx: mx.map(str::to_owned).collect(),
        }
    }
}

fn invalid(fault: InvalidPolicy, body: &[u8]) -> Finding {
    let InvalidPolicy { line, rule } = fault;
    let text = body.split(|byte| *byte == b'\n').nth(line - 1);
    Finding {
        severity: Severity::Error,
        part: "policy",
        line: Some(line),
        rule: rule.label(),
        section: rule.section(),
        message: rule.to_string(),
        seen: text.filter(|text| !text.is_empty()).map(shown),
        remedy: rule.remedy().to_owned(),
    }
}

fn unwise(remark: &Remark) -> Finding {
    Finding {
        severity: Severity::Warning,
        part: "policy",
        line: remark.line,
        rule: remark.what.label(),
        section: remark.what.section(),
        message: remark.what.to_string(),
        seen: None,
        remedy: remark.what.remedy().to_owned(),
    }
}

/// A line of a stranger's text: nothing that a terminal would obey, and not without end.
fn shown(line: &[u8]) -> String {
    const LONGEST: usize = 100;
    let mut text = line[..line.len().min(LONGEST)].escape_ascii().to_string();
    if line.len() > LONGEST {
        text.push('…');
    }
    text
}
