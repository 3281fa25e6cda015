//! What was found about a rollover, as data: the same values are printed as text and as JSON.

use std::net::SocketAddr;

use serde::Serialize;

use super::next::Published;
use crate::cli::check;
use crate::cli::dane::fates;
use crate::verdict::Reason;

/// Whether the key may be changed; what is wrong outweighs what could not be found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Outcome {
    /// The present key matches and the next one is published.
    Ready,
    /// It could not be found out.
    Unknown,
    /// Something must be published or repaired first.
    NotReady,
}

/// One domain.
#[derive(Debug, Serialize)]
pub(super) struct Findings {
    /// Its A-labels.
    pub(super) domain: String,
    /// The state of the MX RRset, or of its absence: `secure`, `insecure`, or empty.
    pub(super) mx: &'static str,
    /// By preference.
    pub(super) hosts: Vec<Host>,
    /// What concerns the domain as a whole.
    pub(super) problem: Option<check::Problem>,
}

/// One MX host.
#[derive(Debug, Serialize)]
pub(super) struct Host {
    /// Its name.
    pub(super) host: String,
    /// Where its TLSA records stand.
    pub(super) owner: Option<String>,
    /// `secure`, `unusable`, `none`, or `unknown`.
    pub(super) tlsa: &'static str,
    /// The whole RRset.
    pub(super) records: Vec<fates::Record>,
    /// For how many seconds a resolver may go on answering with this RRset.
    pub(super) ttl_left: Option<u64>,
    /// The end of that.
    pub(super) cached_until: Option<String>,
    /// One per address.
    pub(super) presented: Vec<Address>,
    /// About the next key.
    pub(super) next: Option<Published>,
    /// The verdict on this host.
    pub(super) outcome: Outcome,
    /// What is wrong.
    pub(super) problem: Option<check::Problem>,
    /// What is missing, in words.
    pub(super) note: Option<&'static str>,
}

/// One address of an MX host.
#[derive(Debug, Serialize)]
pub(super) struct Address {
    /// Where it was reached.
    pub(super) address: SocketAddr,
    /// `match`, `mismatch`, `unknown`, or `not-asked`.
    pub(super) result: &'static str,
    /// The record that matches.
    pub(super) record: Option<String>,
    /// Why none does.
    pub(super) reason: Option<String>,
}

impl Findings {
    /// The worst of all parts.
    pub(super) fn outcome(&self) -> Outcome {
        let hosts = self.hosts.iter().map(|host| host.outcome);
        let whole = self.problem.iter().map(outcome);
        hosts.chain(whole).max().unwrap_or(Outcome::Unknown)
    }

    /// How long the oldest of the RRsets may still be cached.
    pub(super) fn wait(&self) -> Option<u64> {
        self.hosts.iter().filter_map(|host| host.ttl_left).max()
    }
}

impl Host {
    /// Before anything is known of it.
    pub(super) const fn new(host: String) -> Self {
        Self {
            host,
            owner: None,
            tlsa: "unknown",
            records: Vec::new(),
            ttl_left: None,
            cached_until: None,
            presented: Vec::new(),
            next: None,
            outcome: Outcome::Ready,
            problem: None,
            note: None,
        }
    }

    /// A delivery to it would be refused before anything is compared.
    pub(super) fn failed(&mut self, reason: &Reason) {
        let problem = check::Problem::of(reason);
        self.worsen(outcome(&problem));
        self.problem = Some(problem);
    }

    /// Nothing there that could be rolled over.
    pub(super) fn lacks(&mut self, tlsa: &'static str, note: &'static str) {
        self.tlsa = tlsa;
        self.note = Some(note);
        self.worsen(Outcome::NotReady);
    }

    /// What an address presents.
    pub(super) fn presents(&mut self, found: Address) {
        self.worsen(match found.result {
            "mismatch" => Outcome::NotReady,
            "unknown" => Outcome::Unknown,
            _ => Outcome::Ready,
        });
        self.presented.push(found);
    }

    /// What is known of the next key.
    pub(super) fn next_is(&mut self, published: Published) {
        if !published.published {
            self.worsen(Outcome::NotReady);
        }
        self.next = Some(published);
    }

    fn worsen(&mut self, outcome: Outcome) {
        self.outcome = self.outcome.max(outcome);
    }
}

/// How a problem counts.
pub(super) const fn outcome(problem: &check::Problem) -> Outcome {
    match problem.outcome {
        check::Outcome::Unknown => Outcome::Unknown,
        check::Outcome::Good | check::Outcome::Refused => Outcome::NotReady,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(result: &'static str) -> Address {
        Address {
            address: "192.0.2.1:25".parse().unwrap(),
            result,
            record: None,
            reason: None,
        }
    }

    #[test]
    fn a_host_is_as_ready_as_the_worst_of_what_is_known_of_it() {
        for (results, published, expected) in [
            (&["match", "match"][..], true, Outcome::Ready),
            (&["not-asked"], true, Outcome::Ready),
            (&["match"], false, Outcome::NotReady),
            (&["match", "mismatch"], true, Outcome::NotReady),
            (&["match", "unknown"], true, Outcome::Unknown),
            (&["unknown", "mismatch"], true, Outcome::NotReady),
            (&["unknown"], false, Outcome::NotReady),
        ] {
            let mut host = Host::new("mx.example".into());
            for result in results {
                host.presents(address(result));
            }
            host.next_is(Published {
                published,
                record: None,
                note: String::new(),
            });
            assert_eq!(host.outcome, expected, "{results:?}, {published}");
        }
    }

    #[test]
    fn a_domain_is_as_ready_as_its_worst_host_and_waits_for_the_longest_ttl() {
        let host = |outcome, ttl_left| Host {
            outcome,
            ttl_left,
            ..Host::new("mx.example".into())
        };
        let mut findings = Findings {
            domain: "example".into(),
            mx: "secure",
            hosts: vec![],
            problem: None,
        };
        assert_eq!(findings.outcome(), Outcome::Unknown, "nothing was seen");
        for (outcome, ttl_left, so_far, wait) in [
            (Outcome::Ready, Some(300), Outcome::Ready, Some(300)),
            (Outcome::Unknown, None, Outcome::Unknown, Some(300)),
            (Outcome::Ready, Some(60), Outcome::Unknown, Some(300)),
            (Outcome::NotReady, Some(900), Outcome::NotReady, Some(900)),
        ] {
            findings.hosts.push(host(outcome, ttl_left));
            assert_eq!(findings.outcome(), so_far);
            assert_eq!(findings.wait(), wait);
        }
    }
}
