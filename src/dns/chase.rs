//! A whole lookup: aliases link by link, one deadline, one budget, and a memory for what came out.
//!
//! Each link is judged by itself and asked for by itself; the trust of the whole is the least of them (RFC 7672 §2.1.3). Failures
//! are remembered for [`FAILURE_KEPT`] only and never served as anything else (RFC 4035 §4.7).
#![expect(
    clippy::disallowed_methods,
    reason = "IO: one deadline around each lookup"
)]

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::net::xfer::DnsHandle;
use hickory_resolver::proto::dnssec::TrustAnchors;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::proto::serialize::binary::BinEncodable;

use super::AbsenceKind;
use super::cache::Cache;
use super::judge::{Content, Judge};
use super::proof::Trust;
use super::trouble::Trouble;
use super::upstream::{Budget, Upstream};
use super::walk::Walk;
use crate::clock::{Clock, Timestamp};

/// Looks names up.
pub(super) struct Chase<H> {
    judge: Judge<H>,
    clock: Arc<dyn Clock>,
    timeout: Duration,
    outcomes: Cache<(Name, RecordType), Outcome>,
}

/// What became of a lookup.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    /// The aliases, in order.
    pub(super) links: Vec<Link>,
    /// What stands at their end.
    pub(super) end: Result<End, Trouble>,
}

/// One alias.
#[derive(Clone, Debug)]
pub(super) struct Link {
    /// The owner.
    pub(super) from: Name,
    /// The target.
    pub(super) to: Name,
    /// Its own trust.
    pub(super) trust: Trust,
}

/// The end of the chain.
#[derive(Clone, Debug)]
pub(super) struct End {
    /// What is there.
    pub(super) found: Found,
    /// The least trust of all steps.
    pub(super) trust: Trust,
    /// The earliest end of all steps.
    pub(super) expires: Timestamp,
}

/// What is at the end of the chain.
#[derive(Clone, Debug)]
pub(super) enum Found {
    /// Data.
    Records(Vec<RData>),
    /// None.
    Absent(AbsenceKind),
}

impl<H: DnsHandle> Chase<H> {
    pub(super) fn new(
        handle: H,
        anchor: Arc<TrustAnchors>,
        timeout: Duration,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let upstream = Upstream::new(handle);
        let walk = Walk::new(upstream.clone(), anchor, Arc::clone(&clock));
        Self {
            judge: Judge::new(upstream, walk, Arc::clone(&clock)),
            clock,
            timeout,
            outcomes: Cache::new(MOST_OUTCOMES),
        }
    }

    /// Looks a name up, from memory when it is fresh.
    pub(super) async fn look_up(&self, name: &Name, record_type: RecordType) -> Outcome {
        let key = (name.to_lowercase(), record_type);
        if let Some(known) = self.outcomes.get(&key, self.clock.wall()) {
            return known;
        }
        let mut links = Vec::new();
        let end = tokio::time::timeout(
            self.timeout,
            Box::pin(self.follow(name, record_type, &mut links)),
        )
        .await
        .unwrap_or(Err(Trouble::Deadline(self.timeout.as_secs())));
        let outcome = Outcome { links, end };
        let now = self.clock.wall();
        let until = match &outcome.end {
            Ok(end) => end.expires.min(now.plus(LONGEST_KEPT)),
            Err(_) => now.plus(FAILURE_KEPT),
        };
        if outcome.size() <= LARGEST_KEPT {
            self.outcomes.put(key, outcome.clone(), now, until);
        }
        outcome
    }

    async fn follow(
        &self,
        name: &Name,
        record_type: RecordType,
        links: &mut Vec<Link>,
    ) -> Result<End, Trouble> {
        let budget = Budget::full();
        let mut here = name.clone();
        let mut trust = Trust::Secure;
        let mut expires = Timestamp::from_unix(u64::MAX);
        loop {
            let judged = self.judge.ask(&here, record_type, &budget).await?;
            trust = trust.min(judged.trust);
            expires = expires.min(judged.expires);
            let found = match judged.content {
                Content::Records(data) => Found::Records(data),
                Content::Absent(kind) => Found::Absent(kind),
                Content::Alias(target) => {
                    add_link(links, here, &target, judged.trust)?;
                    here = target;
                    continue;
                }
            };
            return Ok(End {
                found,
                trust,
                expires,
            });
        }
    }
}

impl Outcome {
    /// Octets of record data.
    fn size(&self) -> usize {
        let Ok(End {
            found: Found::Records(data),
            ..
        }) = &self.end
        else {
            return 0;
        };
        data.iter()
            .map(|data| data.to_bytes().map_or(usize::MAX, |octets| octets.len()))
            .fold(0, usize::saturating_add)
    }

    /// What is said of names that are not in the DNS at all.
    pub(super) const fn outside_the_dns() -> Self {
        Self {
            links: Vec::new(),
            end: Ok(End {
                found: Found::Absent(AbsenceKind::NxDomain),
                trust: Trust::Secure,
                expires: Timestamp::from_unix(u64::MAX),
            }),
        }
    }
}

/// RFC 1034 §3.6.2 asks for an error on loops; a limit is everyone's own.
fn add_link(links: &mut Vec<Link>, from: Name, to: &Name, trust: Trust) -> Result<(), Trouble> {
    links.push(Link {
        from,
        to: to.clone(),
        trust,
    });
    if links.iter().any(|link| &link.from == to) {
        return Err(Trouble::AliasLoop(to.clone()));
    }
    if links.len() > MOST_ALIASES {
        return Err(Trouble::TooManyAliases);
    }
    Ok(())
}

/// Aliases in a row.
pub(super) const MOST_ALIASES: usize = 11;

const FAILURE_KEPT: Duration = Duration::from_secs(3);

/// However long the TTLs are.
const LONGEST_KEPT: Duration = Duration::from_secs(86_400);

/// Half a kilobyte each, as a rule.
const MOST_OUTCOMES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(9_999);

/// Octets of data; more is asked for again, so that nobody can fill the memory.
const LARGEST_KEPT: usize = 8192;
