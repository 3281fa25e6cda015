//! Requests about MTA-STS policies: list, show, refresh, drop here, export and import in `transfer`; `view` is what is
//! told of a domain.

mod transfer;
mod view;

use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracing::info;

pub use transfer::{Exported, Imported, Line, Part, PolicyLine, Sheet, Verdict};
pub use view::{FailureView, PolicyView, RecordView, View};

use super::{Code, Failure, Items, result};
use crate::clock::Timestamp;
use crate::name::{DnsName, Domain};
use crate::policy::cache::{Heard, Told};
use crate::proxy::engine::Engine;

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Every domain with a policy: an item each, in order; the result is [`Listed`].
    List(Filter),
    /// One domain: the result is a [`View`].
    Show {
        /// Which.
        domain: String,
    },
    /// Look anew: an item ([`Refresh`]) each, as they come; the result is [`Refreshed`].
    Refresh {
        /// Which; none means all with a policy.
        domains: Option<Vec<String>>,
    },
    /// Forget a domain: the result is the [`View`] of what was known.
    Drop {
        /// Which.
        domain: String,
    },
    /// Every policy in force: an item ([`PolicyLine`]) each, in order; the result is [`Exported`].
    Export,
    /// Take over the policies in the body, a file as a [`Sheet`] makes it: an item ([`Line`]) for each line that is not
    /// taken over; the result is [`Imported`].
    Import,
}

impl Request {
    /// The stable word for the log.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::List(_) => "policy list",
            Self::Show { .. } => "policy show",
            Self::Refresh { .. } => "policy refresh",
            Self::Drop { .. } => "policy drop",
            Self::Export => "policy export",
            Self::Import => "policy import",
        }
    }
}

/// Which policies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// Of this mode: `enforce`, `testing`, `none`.
    pub mode: Option<String>,
    /// That end within so many days, or have ended.
    pub expiring_days: Option<u32>,
}

/// The end of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Items.
    pub listed: usize,
    /// Domains with a policy, whether listed or not.
    pub known: usize,
}

/// What became of one domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refresh {
    /// How many of them are done, this one included.
    pub done: usize,
    /// Of so many.
    pub of: usize,
    /// What it comes to.
    pub outcome: Outcome,
    /// What was known before.
    pub before: Option<View>,
    /// What is known now.
    pub after: Option<View>,
}

/// What a refresh comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// There was none, or it had expired.
    New,
    /// Another text.
    Changed,
    /// The same text, fetched anew.
    Same,
    /// None is announced and none was held.
    NoPolicy,
    /// The records or the policy could not be had; what was in force stays.
    Failed,
}

/// The end of a refresh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refreshed {
    /// Domains.
    pub refreshed: usize,
    /// How many failed.
    pub failed: usize,
}

/// Answers a request.
///
/// # Errors
/// When there is no such domain, when the store fails.
pub(super) async fn answer(
    engine: &Engine,
    request: Request,
    body: Vec<u8>,
    items: &Items,
) -> Result<Value, Failure> {
    match request {
        Request::List(filter) => list(engine, &filter, items).await,
        Request::Show { domain } => show(engine, &domain),
        Request::Refresh { domains } => refresh(engine, domains, items).await,
        Request::Drop { domain } => drop_one(engine, &domain).await,
        Request::Export => transfer::export(engine, items).await,
        Request::Import => transfer::import(engine, &body, items).await,
    }
}

async fn list(engine: &Engine, filter: &Filter, items: &Items) -> Result<Value, Failure> {
    let domains = engine.sts.domains();
    let mut listed = Listed {
        listed: 0,
        known: domains.len(),
    };
    for domain in &domains {
        let Some(view) = view(engine, domain) else {
            continue; // Dropped since.
        };
        if !filter.admits(&view, engine.clock.wall()) {
            continue;
        }
        if items.tell(&view).await.is_err() {
            break;
        }
        listed.listed += 1;
    }
    result(&listed)
}

impl Filter {
    fn admits(&self, view: &View, now: Timestamp) -> bool {
        let Some(policy) = &view.policy else {
            return false;
        };
        let days = |days: u32| Duration::from_secs(u64::from(days) * 24 * 3600);
        self.mode.as_ref().is_none_or(|mode| *mode == policy.mode)
            && self
                .expiring_days
                .is_none_or(|within| policy.expires <= now.plus(days(within)))
    }
}

fn show(engine: &Engine, domain: &str) -> Result<Value, Failure> {
    let domain = domain_of(domain)?;
    let view = view(engine, &domain).ok_or_else(|| unknown(&domain))?;
    result(&view)
}

async fn refresh(
    engine: &Engine,
    domains: Option<Vec<String>>,
    items: &Items,
) -> Result<Value, Failure> {
    let domains = match domains {
        Some(named) => named
            .iter()
            .map(|name| domain_of(name))
            .collect::<Result<Vec<_>, _>>()?,
        None => engine.sts.domains(),
    };
    let of = domains.len();
    let mut refreshed = Refreshed::default();
    for some in domains.chunks(AT_HAND) {
        // Collected first: a closure that lives across an await would keep the future from being sent to another thread.
        let refreshes: Vec<_> = some
            .iter()
            .map(|domain| refresh_one(engine, domain))
            .collect();
        let mut refreshes = stream::iter(refreshes).buffer_unordered(AT_ONCE);
        while let Some((outcome, before, after)) = refreshes.next().await {
            refreshed.refreshed += 1;
            refreshed.failed += usize::from(outcome == Outcome::Failed);
            let told = Refresh {
                done: refreshed.refreshed,
                of,
                outcome,
                before,
                after,
            };
            if items.tell(&told).await.is_err() {
                return result(&refreshed);
            }
        }
    }
    result(&refreshed)
}

async fn refresh_one(engine: &Engine, domain: &Domain) -> (Outcome, Option<View>, Option<View>) {
    let refreshed = engine.sts.refresh(domain).await;
    let outcome = outcome(refreshed.before.as_ref(), refreshed.after.as_ref());
    let view = |told: Option<Told>| told.map(|told| View::of(domain, told));
    (outcome, view(refreshed.before), view(refreshed.after))
}

fn outcome(before: Option<&Told>, after: Option<&Told>) -> Outcome {
    let Some(after) = after else {
        return Outcome::NoPolicy;
    };
    let is_unknown = |heard: &Heard| matches!(heard, Heard::Unknown(_));
    if after.failed.is_some() || after.record.as_ref().is_some_and(|r| is_unknown(&r.heard)) {
        return Outcome::Failed;
    }
    let live = |told: &Told| told.held.clone().filter(|_| told.is_live());
    match (before.and_then(live), after.held.as_ref()) {
        (Some(before), Some(after)) if before.policy.text == after.policy.text => Outcome::Same,
        (Some(_), Some(_)) => Outcome::Changed,
        (None, Some(_)) if after.is_live() => Outcome::New,
        (_, Some(_) | None) => Outcome::NoPolicy,
    }
}

async fn drop_one(engine: &Engine, domain: &str) -> Result<Value, Failure> {
    let domain = domain_of(domain)?;
    let before = engine.sts.forget(&domain).await?;
    let before = before.ok_or_else(|| unknown(&domain))?;
    info!(%domain, "the MTA-STS policy of a domain was dropped by an operator: its next contact is a first one");
    result(&View::of(&domain, before))
}

fn view(engine: &Engine, domain: &Domain) -> Option<View> {
    engine.sts.told(domain).map(|told| View::of(domain, told))
}

/// A domain as people write it.
fn domain_of(text: &str) -> Result<Domain, Failure> {
    DnsName::parse_unicode(text)
        .map(Domain::new)
        .map_err(|why| {
            let seen = format!("{text:?}: {why}");
            let remedy = "name a domain, as on the right of an address";
            Failure::new(Code::BadRequest, "a domain", seen, remedy)
        })
}

fn unknown(domain: &Domain) -> Failure {
    let (expected, seen) = (format!("{domain} to be known"), "nothing of it");
    let remedy = "no mail to it has been judged yet, or it was forgotten; \
                  `danelaw policy refresh` asks for its policy now";
    Failure::new(Code::NotFound, expected, seen, remedy)
}

/// Refreshes made ready at a time: there may be a million domains.
const AT_HAND: usize = 256;

/// Fetches at a time.
const AT_ONCE: usize = 8;
