//! Requests about exceptions: list, add, renew, remove. What was changed counts before the answer is given.
#![expect(
    clippy::disallowed_methods,
    reason = "IO: reads and writes the store beside the runtime"
)]

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracing::info;

use super::continuity::Listed;
use super::{Code, Failure, Items, result};
use crate::calendar::as_text;
use crate::clock::Timestamp;
use crate::config;
use crate::dns::resolver::Validate;
use crate::policy::exceptions::kept::{Kept, Source, Unchanged};
use crate::policy::exceptions::{Draft, Exception, Id};
use crate::proxy::engine::Engine;

/// What can be asked. The items are [`View`]s, the result is [`Listed`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Those that there are, the first to end first.
    List {
        /// Those too that have ended.
        all: bool,
    },
    /// Make one.
    Add(New),
    /// Make those of the file in the body, all of them or none.
    AddFile {
        /// What the file is called.
        name: String,
    },
    /// Grant one anew.
    Renew {
        /// Which.
        id: String,
        /// Until when.
        #[serde(with = "as_text")]
        expires: Timestamp,
    },
    /// Take one back.
    Remove {
        /// Which.
        id: String,
    },
}

impl Request {
    /// The family and the kind, without what is in it.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::List { .. } => "except list",
            Self::Add(_) | Self::AddFile { .. } => "except add",
            Self::Renew { .. } => "except renew",
            Self::Remove { .. } => "except remove",
        }
    }
}

/// An exception that is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct New {
    /// For whom.
    pub domain: String,
    /// What holds for it.
    pub what: String,
    /// Who wants it.
    pub author: String,
    /// Why.
    pub reason: String,
    /// Until when.
    #[serde(with = "as_text")]
    pub expires: Timestamp,
}

/// An exception.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// The same as long as it is renewed.
    pub id: String,
    /// For whom.
    pub domain: String,
    /// What holds for it.
    pub what: String,
    /// The first word of that.
    pub kind: String,
    /// Who wanted it.
    pub author: String,
    /// Why.
    pub reason: String,
    /// When it was first granted.
    #[serde(with = "as_text")]
    pub created: Timestamp,
    /// When it was last.
    #[serde(with = "as_text")]
    pub granted: Timestamp,
    /// Until when.
    #[serde(with = "as_text")]
    pub expires: Timestamp,
    /// Whether that is over.
    pub ended: bool,
    /// `configuration` or `store`.
    pub place: String,
}

impl View {
    fn of(one: &Exception, place: Source, now: Timestamp) -> Self {
        let draft = one.draft();
        Self {
            id: one.id().to_string(),
            domain: draft.scope.to_string(),
            what: draft.what.to_string(),
            kind: draft.what.kind().to_owned(),
            author: draft.author.clone(),
            reason: draft.reason.clone(),
            created: draft.created,
            granted: draft.granted,
            expires: draft.expires,
            ended: !one.is_alive(now),
            place: place.label().to_owned(),
        }
    }
}

/// Answers a request.
///
/// # Errors
/// Why nothing is listed or changed.
pub(super) async fn answer(
    engine: &Engine,
    request: Request,
    body: Vec<u8>,
    items: &Items,
) -> Result<Value, Failure> {
    let now = engine.clock.wall();
    let done = match request {
        Request::List { all } => {
            let there = with(engine, |kept| Ok(kept.all()?)).await?;
            let is_meant = |one: &(Exception, Source)| all || one.0.is_alive(now);
            there.into_iter().filter(is_meant).collect()
        }
        Request::Add(new) => {
            let draft = new.draft(now)?;
            let checked = draft.check(engine.exceptions.terms());
            add(engine, vec![checked.map_err(Unchanged::Faults)?], now).await?
        }
        Request::AddFile { name } => add(engine, read(engine, &name, &body, now)?, now).await?,
        Request::Renew { id, expires } => {
            let id = Id::typed(&id);
            let renewed = with(engine, move |kept| kept.renew(&id, expires, now)).await?;
            info!(exception = %renewed.id(), domain = %renewed.scope(), "an exception was renewed by an operator");
            vec![(renewed, Source::Store)]
        }
        Request::Remove { id } => {
            let id = Id::typed(&id);
            let removed = with(engine, move |kept| kept.remove(&id, now)).await?;
            info!(exception = %removed.id(), domain = %removed.scope(), "an exception was removed by an operator");
            vec![(removed, Source::Store)]
        }
    };
    let mut listed = Listed::default();
    for (one, place) in &done {
        if items.tell(&View::of(one, *place, now)).await.is_err() {
            break;
        }
        listed.listed += 1;
    }
    result(&listed)
}

async fn add(
    engine: &Engine,
    new: Vec<Exception>,
    now: Timestamp,
) -> Result<Vec<(Exception, Source)>, Failure> {
    let validates = engine.validate != Validate::TrustAd;
    if !validates && new.iter().any(|one| one.what().is_anchor()) {
        return Err(Failure::new(
            Code::Refused,
            "no nta beside dns.validate = \"trust-ad\"",
            "one",
            "only danelaw's own validation knows it: put a negative trust anchor into the resolver",
        ));
    }
    let new = with(engine, move |kept| kept.add(&new, now).map(|()| new)).await?;
    for one in &new {
        info!(exception = %one.id(), domain = %one.scope(), "an exception was made by an operator");
    }
    Ok(new.into_iter().map(|one| (one, Source::Store)).collect())
}

fn read(
    engine: &Engine,
    name: &str,
    body: &[u8],
    now: Timestamp,
) -> Result<Vec<Exception>, Failure> {
    let wrong = |seen: String| {
        let expected = "a file of [[exception]] tables that are all in order";
        Failure::new(Code::Refused, expected, seen, "nothing is taken: mend it")
    };
    let text = str::from_utf8(body).map_err(|error| wrong(format!("{name}: {error}")))?;
    let read = config::exceptions(text, Path::new(name), engine.exceptions.terms(), now);
    let read = read.map_err(|problems| wrong(format!("\n{problems}\n")))?;
    if read.is_empty() {
        return Err(wrong(format!(
            "{name}: expected [[exception]] tables, got none"
        )));
    }
    Ok(read)
}

/// Does something with the exceptions, one command at a time.
async fn with<T: Send + 'static>(
    engine: &Engine,
    work: impl FnOnce(&Kept<'_>) -> Result<T, Unchanged> + Send + 'static,
) -> Result<T, Failure> {
    let (store, held) = (Arc::clone(&engine.store), Arc::clone(&engine.exceptions));
    let done = tokio::task::spawn_blocking(move || {
        let _turn = held.turn();
        let (declared, terms) = (held.declared(), held.terms());
        work(&Kept::new(&*store, &declared, terms).telling(&*held))
    });
    Ok(done.await.map_err(|broken| Failure::broken(&broken))??)
}

impl New {
    fn draft(self, now: Timestamp) -> Result<Draft, Failure> {
        let bad = |expected: &str, seen: String| {
            Failure::new(
                Code::BadRequest,
                expected,
                seen,
                "see `danelaw except add --help`",
            )
        };
        Ok(Draft {
            scope: self
                .domain
                .parse()
                .map_err(|why| bad("a domain", format!("{:?}: {why}", self.domain)))?,
            what: self
                .what
                .parse()
                .map_err(|why| bad("what holds for it", format!("{:?}: {why}", self.what)))?,
            author: self.author,
            reason: self.reason,
            created: now,
            granted: now,
            expires: self.expires,
        })
    }
}

impl From<Unchanged> for Failure {
    fn from(why: Unchanged) -> Self {
        let (code, expected, remedy) = match why {
            Unchanged::Store(error) => return error.into(),
            Unchanged::Rival { .. } => (
                Code::Conflict,
                "one exception for each domain",
                "renew it, or remove it first",
            ),
            Unchanged::None(_) => (
                Code::NotFound,
                "an exception that there is",
                "`danelaw except list --all` shows those that there are",
            ),
            Unchanged::Declared(_) => (
                Code::Conflict,
                "an exception of the store",
                "change it there, and restart",
            ),
            Unchanged::Faults(_) => (
                Code::Refused,
                "an exception within the rules",
                "mend what is named and add it again; nothing was changed",
            ),
        };
        Self::new(code, expected, why.to_string(), remedy)
    }
}
