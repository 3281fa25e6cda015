//! What a check found, as data: the same values are printed as text and as JSON.

use std::net::SocketAddr;

use serde::Serialize;

use crate::dns::Failure;
use crate::name::{Domain, InvalidName};
use crate::policy::{Level, StsState};
use crate::verdict::{Pin, Reason, Refusal};

/// The outcome of a check; a refusal outweighs what could not be found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::cli) enum Outcome {
    /// It would be delivered.
    Good,
    /// It could not be found out.
    Unknown,
    /// It would be refused.
    Refused,
}

/// One domain.
#[derive(Debug, Serialize)]
pub(super) struct DomainFindings {
    /// As asked, or its A-labels.
    pub(super) domain: String,
    /// The state of the MX RRset, or of its absence: `secure`, `insecure`, or empty.
    pub(super) mx: &'static str,
    /// The MTA-STS policy in a few words.
    pub(super) mta_sts: String,
    /// One per address of each MX host, in order of preference.
    pub(super) destinations: Vec<Destination>,
    /// What concerns the domain as a whole.
    pub(super) problem: Option<Problem>,
}

/// One address of an MX host.
#[derive(Debug, Serialize)]
pub(super) struct Destination {
    /// The MX host.
    pub(super) host: String,
    /// Where it was reached; nothing when its addresses could not be found out.
    pub(super) address: Option<SocketAddr>,
    /// `L0`, `LD` and so on.
    pub(super) level: Option<&'static str>,
    /// What is demanded, in words.
    pub(super) demand: String,
    /// Nothing when it was not connected to.
    pub(super) verdict: Option<Outcome>,
    /// The basis of a delivery, or the label of a refusal.
    pub(super) reason: Option<&'static str>,
    /// Why not.
    pub(super) problem: Option<Problem>,
    /// What a policy that decides nothing here would have refused for.
    pub(super) observed: Option<String>,
    /// What it would be refused for, did the mode not say to report only.
    pub(super) would_refuse: Option<Problem>,
    /// `TLSv1.3`.
    pub(super) tls_version: Option<&'static str>,
    /// SHA-256 of the leaf's public key, hexadecimal.
    pub(super) pin: Option<String>,
}

/// A refusal, explained.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct Problem {
    /// How it counts.
    pub(in crate::cli) outcome: Outcome,
    /// The label of the reason.
    pub(in crate::cli) reason: &'static str,
    /// What the mail server would hear.
    pub(in crate::cli) reply: String,
    /// What should have been.
    pub(in crate::cli) expected: String,
    /// What was.
    pub(in crate::cli) seen: String,
    /// What to do.
    pub(in crate::cli) advice: String,
}

impl DomainFindings {
    /// For a text that is no domain.
    pub(super) fn not_a_domain(text: &str, why: InvalidName) -> Self {
        let problem = Problem {
            outcome: Outcome::Unknown,
            reason: "not-a-domain",
            reply: String::new(),
            expected: "a domain such as example.com".into(),
            seen: format!("{text:?}: {why}"),
            advice: "Give what stands on the right of the @.".into(),
        };
        Self {
            domain: text.escape_default().to_string(),
            mx: "",
            mta_sts: String::new(),
            destinations: Vec::new(),
            problem: Some(problem),
        }
    }

    /// For a domain of which only this is known.
    pub(super) fn new(domain: &Domain, sts: &StsState) -> Self {
        Self {
            domain: domain.to_string(),
            mx: "",
            mta_sts: sts_words(sts),
            destinations: Vec::new(),
            problem: None,
        }
    }

    /// The worst of all parts.
    pub(super) fn outcome(&self) -> Outcome {
        let parts = self.destinations.iter().filter_map(|found| found.verdict);
        let whole = self.problem.iter().map(|problem| problem.outcome);
        parts.chain(whole).max().unwrap_or(Outcome::Good)
    }
}

impl Destination {
    /// For a host at an address before anything is known of it.
    pub(super) const fn new(host: String, address: Option<SocketAddr>) -> Self {
        Self {
            host,
            address,
            level: None,
            demand: String::new(),
            verdict: None,
            reason: None,
            problem: None,
            observed: None,
            would_refuse: None,
            tls_version: None,
            pin: None,
        }
    }

    /// Mail would be relayed.
    pub(super) fn pinned(&mut self, pin: &Pin) {
        self.level = Some(pin.level.label());
        self.verdict = Some(Outcome::Good);
        self.reason = Some(pin.basis.label());
        self.observed = pin.observed.as_ref().map(ToString::to_string);
        let waived = pin.would_refuse.as_deref();
        self.would_refuse = waived.map(|refusal| Problem::of(&refusal.reason));
    }

    /// Mail would be refused.
    pub(super) fn refused(&mut self, refusal: &Refusal) {
        self.level = refusal.level.map(Level::label).or(self.level);
        self.failed(&refusal.reason);
    }

    /// Mail would be refused, whatever the host presents.
    pub(super) fn failed(&mut self, reason: &Reason) {
        let problem = Problem::of(reason);
        self.verdict = Some(problem.outcome);
        self.reason = Some(problem.reason);
        self.problem = Some(problem);
    }
}

impl Problem {
    /// The explanation of a reason.
    pub(in crate::cli) fn of(reason: &Reason) -> Self {
        let explanation = reason.explain();
        let reply = reason.reply();
        Self {
            outcome: outcome(reason),
            reason: reason.label(),
            reply: format!(
                "{} {} {}",
                reply.code,
                reply.enhanced.unwrap_or_default(),
                reply.text
            ),
            expected: explanation.expected,
            seen: explanation.seen,
            advice: explanation.advice.into(),
        }
    }
}

/// A lookup or connection that came to nothing leaves the question open; everything else answers it.
const fn outcome(reason: &Reason) -> Outcome {
    match reason {
        Reason::Dns {
            failure: Failure::Unreachable(_),
            ..
        }
        | Reason::Busy
        | Reason::Unreachable { .. }
        | Reason::ServerLost { .. }
        | Reason::Shortfall { .. }
        | Reason::Budget { .. } => Outcome::Unknown,
        Reason::Dns {
            failure: Failure::Bogus(_),
            ..
        }
        | Reason::NullMx { .. }
        | Reason::ForgedNullMx { .. }
        | Reason::NoSuchDomain { .. }
        | Reason::DestNotMx { .. }
        | Reason::NoPolicyDomain { .. }
        | Reason::StarttlsMissing { .. }
        | Reason::Handshake { .. }
        | Reason::KnownForTls { .. }
        | Reason::DaneMismatch { .. }
        | Reason::DaneName { .. }
        | Reason::DaneDates { .. }
        | Reason::DanePath { .. }
        | Reason::StsMxNotListed { .. }
        | Reason::StsName { .. }
        | Reason::StsDates { .. }
        | Reason::StsUntrusted { .. }
        | Reason::DaneRequired { .. }
        | Reason::StsRequired { .. }
        | Reason::Webpki { .. }
        | Reason::PinMismatch { .. }
        | Reason::OneDomain { .. } => Outcome::Refused,
    }
}

fn sts_words(sts: &StsState) -> String {
    match sts {
        StsState::None => "none".into(),
        StsState::FetchFailed(failure) => {
            format!("announced, but {failure}; mail goes as if there were none")
        }
        StsState::Unknown(failure) => format!("unknown: {failure}"),
        StsState::Live { policy, refresh } => {
            let mx: Vec<&str> = policy
                .mx
                .iter()
                .map(crate::mtasts::MxPattern::as_str)
                .collect();
            let mut words = format!(
                "{}, max_age {} s",
                policy.mode.label(),
                policy.max_age.as_secs()
            );
            if !mx.is_empty() {
                words = format!("{words}, mx {}", mx.join(" "));
            }
            if let Some(failure) = refresh {
                words = format!("{words}; from the cache, {failure}");
            }
            words
        }
    }
}
