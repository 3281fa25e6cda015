//! A whole lookup: aliases link by link, one deadline, one purse, and a memory for what came out.
//!
//! Each link is judged by itself and asked for by itself; the trust of the whole is the least of them (RFC 7672 §2.1.3). What is
//! bogus at one resolver is tried at the next before it counts. Failures are remembered for [`FAILURE_KEPT`] only and never served
//! as anything else (RFC 4035 §4.7). The same lookup at the same time is done once.
#![expect(
    clippy::disallowed_methods,
    reason = "IO: one deadline around each lookup"
)]

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join;
use hickory_resolver::net::xfer::DnsHandle;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::proto::serialize::binary::BinEncodable;
use tracing::warn;

use super::AbsenceKind;
use super::cache::Cache;
use super::diary::Step;
use super::errand::Errand;
use super::flight::Flights;
use super::judge::Content;
use super::proof::Trust;
use super::trouble::Trouble;
use super::validator::{Validator, Validators};
use crate::clock::{Clock, Timestamp};

/// Looks names up.
pub(super) struct Chase<H> {
    validators: Validators<H>,
    clock: Arc<dyn Clock>,
    timeout: Duration,
    outcomes: Cache<Question, Outcome>,
    flights: Flights<Question, Outcome>,
    disagreements: Arc<AtomicU64>,
}

/// The name, the type, and the revision of the negative trust anchors that it is asked under.
type Question = (Name, RecordType, u64);

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
    pub(super) fn new(validators: Validators<H>, timeout: Duration, clock: Arc<dyn Clock>) -> Self {
        Self {
            validators,
            clock,
            timeout,
            outcomes: Cache::new(MOST_OUTCOMES),
            flights: Flights::default(),
            disagreements: Arc::default(),
        }
    }

    /// How often two validations of the same question came to different ends.
    pub(super) fn disagreements(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.disagreements)
    }

    /// Looks a name up, from memory when it is fresh; a lookup that keeps a diary has none.
    pub(super) async fn look_up(
        &self,
        name: &Name,
        record_type: RecordType,
        errand: &Errand,
    ) -> Outcome {
        if errand.has_diary() {
            return self.find_out(name, record_type, errand).await;
        }
        let question = (name.to_lowercase(), record_type, errand.revision());
        if let Some(known) = self.outcomes.get(&question, self.clock.wall()) {
            return known;
        }
        let flight = || self.find_out_and_keep(&question, name, errand);
        let outcome = self.flights.join(question.clone(), flight).await;
        // What ended another domain's lookups says nothing about this name.
        if outcome.is_out_of_means() && !errand.purses().domain_is_spent() {
            return self.find_out_and_keep(&question, name, errand).await;
        }
        outcome
    }

    async fn find_out_and_keep(
        &self,
        question: &Question,
        name: &Name,
        errand: &Errand,
    ) -> Outcome {
        let outcome = self.find_out(name, question.1, errand).await;
        let now = self.clock.wall();
        let until = match &outcome.end {
            Ok(end) => end.expires.min(now.plus(LONGEST_KEPT)),
            Err(_) => now.plus(FAILURE_KEPT),
        };
        if outcome.size() <= LARGEST_KEPT && !outcome.is_out_of_means() {
            self.outcomes
                .put(question.clone(), outcome.clone(), now, until);
        }
        outcome
    }

    async fn find_out(&self, name: &Name, record_type: RecordType, errand: &Errand) -> Outcome {
        let ours = self.within_time(&self.validators.first, name, record_type, errand);
        let mut outcome = match &self.validators.second {
            None => ours.await,
            Some(second) => {
                let theirs = self.within_time(second, name, record_type, errand);
                let (ours, theirs) = join(Box::pin(ours), Box::pin(theirs)).await;
                if self.is_exempt(name, &ours, errand) {
                    ours
                } else {
                    self.reconcile((name, record_type), ours, &theirs)
                }
            }
        };
        if outcome.end.is_err() && errand.purses().domain_is_spent() {
            outcome.end = Err(Trouble::DomainSpent);
        }
        outcome
    }

    /// Is a negative trust anchor over any link? The resolver knows nothing of ours.
    fn is_exempt(&self, name: &Name, ours: &Outcome, errand: &Errand) -> bool {
        let now = self.clock.wall();
        let targets = ours.links.iter().map(|link| &link.to);
        std::iter::once(name)
            .chain(targets)
            .any(|name| errand.exempt(name, now).is_some())
    }

    /// Two validations must agree, or nothing is known.
    fn reconcile(
        &self,
        (name, record_type): (&Name, RecordType),
        ours: Outcome,
        theirs: &Outcome,
    ) -> Outcome {
        let (we, they) = (ours.in_short(), theirs.in_short());
        // Where one of them could not ask, there is nothing to compare, and what the other says against it stands.
        let silent = |outcome: &Outcome| outcome.end.as_ref().is_err_and(|t| !t.is_bogus());
        if we == they || silent(&ours) || (silent(theirs) && ours.end.is_err()) {
            return ours;
        }
        if silent(theirs) {
            return Outcome {
                links: ours.links,
                end: theirs.end.clone(),
            };
        }
        self.disagreements.fetch_add(1, Ordering::Relaxed);
        warn!(name = %name.to_ascii(), %record_type, ours = we, resolver = they, "DNSSEC validations disagree");
        Outcome {
            links: ours.links,
            end: Err(Trouble::Disagreement {
                ours: we,
                theirs: they,
            }),
        }
    }

    async fn within_time(
        &self,
        validator: &Validator<H>,
        name: &Name,
        record_type: RecordType,
        errand: &Errand,
    ) -> Outcome {
        let mut attempt = Attempt::default();
        let trying = Box::pin(attempt.run(validator, name, record_type, errand));
        let end = tokio::time::timeout(self.timeout, trying)
            .await
            .unwrap_or(Err(Trouble::Deadline(self.timeout.as_secs())));
        attempt.outcome(end)
    }
}

/// A lookup by one validator, at one resolver after the other while what they say cannot be believed.
#[derive(Default)]
struct Attempt {
    links: Vec<Link>,
    /// What the first one said.
    lie: Option<Outcome>,
}

impl Attempt {
    async fn run<H: DnsHandle>(
        &mut self,
        validator: &Validator<H>,
        name: &Name,
        record_type: RecordType,
        errand: &Errand,
    ) -> Result<End, Trouble> {
        // Which resolver is preferred may change on the way; each shall have had its turn.
        let first = validator.preferred();
        let mut end = self.follow(validator, name, record_type, errand).await;
        for turn in 1..validator.resolvers() {
            match end {
                Err(trouble) if trouble.may_be_a_lie() => self.put_aside(trouble, errand),
                Ok(_) | Err(_) => break,
            }
            let errand = errand.starting_at((first + turn) % validator.resolvers());
            end = self.follow(validator, name, record_type, &errand).await;
        }
        end
    }

    fn put_aside(&mut self, trouble: Trouble, errand: &Errand) {
        errand.note(|| Step::Again {
            because: trouble.to_string(),
        });
        let links = std::mem::take(&mut self.links);
        self.lie.get_or_insert(Outcome {
            links,
            end: Err(trouble),
        });
    }

    async fn follow<H: DnsHandle>(
        &mut self,
        validator: &Validator<H>,
        name: &Name,
        record_type: RecordType,
        errand: &Errand,
    ) -> Result<End, Trouble> {
        let mut here = name.clone();
        let mut trust = Trust::Secure;
        let mut expires = Timestamp::from_unix(u64::MAX);
        loop {
            let judged = validator.ask(&here, record_type, errand).await?;
            trust = trust.min(judged.trust);
            expires = expires.min(judged.expires);
            let found = match judged.content {
                Content::Records(data) => Found::Records(data),
                Content::Absent(kind) => Found::Absent(kind),
                Content::Alias(target) => {
                    add_link(&mut self.links, here, &target, judged.trust)?;
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

    /// A resolver that has nothing better to say does not take back what an earlier one said.
    fn outcome(self, end: Result<End, Trouble>) -> Outcome {
        match (self.lie, end) {
            (Some(lie), Err(_)) => lie,
            (_, end) => Outcome {
                links: self.links,
                end,
            },
        }
    }
}

impl Outcome {
    /// All that two validations must agree on: the end, and whether it lies behind a secure alias, where TLSA records may stand
    /// (RFC 7672 §2.2.2).
    fn in_short(&self) -> String {
        let end = match &self.end {
            Ok(end) => match (&end.found, end.trust) {
                (Found::Records(_), Trust::Secure) => "secure records",
                (Found::Records(_), Trust::Insecure) => "insecure records",
                (Found::Absent(AbsenceKind::NoData), Trust::Secure) => "proven NODATA",
                (Found::Absent(AbsenceKind::NoData), Trust::Insecure) => "insecure NODATA",
                (Found::Absent(AbsenceKind::NxDomain), Trust::Secure) => "proven NXDOMAIN",
                (Found::Absent(AbsenceKind::NxDomain), Trust::Insecure) => "insecure NXDOMAIN",
            },
            Err(trouble) if trouble.is_bogus() => return "bogus".to_owned(),
            Err(_) => return "unknown".to_owned(),
        };
        match self.links.first() {
            Some(link) if link.trust == Trust::Secure => format!("{end} behind a secure alias"),
            Some(_) | None => end.to_owned(),
        }
    }

    const fn is_out_of_means(&self) -> bool {
        matches!(self.end, Err(Trouble::DomainSpent))
    }

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
pub(super) const MOST_ALIASES: usize = 16;

const FAILURE_KEPT: Duration = Duration::from_secs(3);

/// However long the TTLs are.
const LONGEST_KEPT: Duration = Duration::from_secs(86_400);

/// Half a kilobyte each, as a rule.
const MOST_OUTCOMES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(9_999);

/// Octets of data; more is asked for again, so that nobody can fill the memory.
const LARGEST_KEPT: usize = 8192;
