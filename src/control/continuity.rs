//! Requests about what MX hosts have been seen to do: list, show, release.
#![expect(
    clippy::disallowed_methods,
    reason = "IO: waits for the store beside the runtime"
)]

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracing::info;

use super::{Code, Failure, Items, result};
use crate::calendar::written;
use crate::clock::Timestamp;
use crate::name::MxHost;
use crate::policy::continuity::Standing;
use crate::policy::continuity::book::Place;
use crate::proxy::engine::Engine;

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Every host in memory: an item ([`View`]) each, in order; the result is [`Listed`].
    List {
        /// Only those that lack something they had.
        lost: bool,
    },
    /// One host: an item for each of its ports; the result is [`Listed`].
    Show {
        /// Which.
        host: String,
    },
    /// Hold nothing against a host that was until now: an item for each of its ports; the result is [`Listed`].
    Release {
        /// Which.
        host: String,
    },
}

impl Request {
    /// The family and the kind, without what is in it.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::List { .. } => "continuity list",
            Self::Show { .. } => "continuity show",
            Self::Release { .. } => "continuity release",
        }
    }
}

/// The end of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Items.
    pub listed: usize,
}

/// One host at one port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// The host.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Since when it is known for TLS, so that its loss can be held against it.
    pub known_for_tls: Option<String>,
    /// What it had and has not.
    pub lost: Vec<String>,
    /// All that is remembered.
    pub standing: Standing,
}

impl View {
    fn of(place: &Place, standing: Standing, now: Timestamp) -> Self {
        Self {
            host: place.host.to_string(),
            port: place.port,
            known_for_tls: standing.is_established(now).map(written),
            lost: lost(&standing),
            standing,
        }
    }
}

fn lost(standing: &Standing) -> Vec<String> {
    let Standing {
        tls,
        tls13,
        dane,
        sts,
        ..
    } = standing;
    let named = [("TLS", tls), ("TLS 1.3", tls13), ("DANE", dane)];
    let named = named.map(|(name, fact)| (name.to_owned(), fact));
    let domains = sts
        .iter()
        .map(|(domain, fact)| (format!("MTA-STS of {domain}"), fact));
    named
        .into_iter()
        .chain(domains)
        .filter(|(_, fact)| fact.lost.is_some())
        .map(|(name, _)| name)
        .collect()
}

/// Answers a request.
///
/// # Errors
/// When nothing is remembered of the host, when the store fails.
pub(super) async fn answer(
    engine: &Engine,
    request: Request,
    items: &Items,
) -> Result<Value, Failure> {
    let now = engine.clock.wall();
    let view = |(place, standing)| View::of(&place, standing, now);
    let views: Vec<View> = match request {
        Request::List { lost } => {
            let all = engine.recall.hosts(None).into_iter().map(view);
            all.filter(|view| !lost || !view.lost.is_empty()).collect()
        }
        Request::Show { host } => known(engine, &host)?.into_iter().map(view).collect(),
        Request::Release { host } => {
            let released = release(engine, &host).await?;
            released.into_iter().map(view).collect()
        }
    };
    let mut listed = Listed::default();
    for view in views {
        if items.tell(&view).await.is_err() {
            break;
        }
        listed.listed += 1;
    }
    result(&listed)
}

fn known(engine: &Engine, host: &str) -> Result<Vec<(Place, Standing)>, Failure> {
    let host: MxHost = host.parse().map_err(|why| {
        let seen = format!("{host:?}: {why}");
        let remedy = "name the host as its MX record does";
        Failure::new(Code::BadRequest, "an MX host", seen, remedy)
    })?;
    let known = engine.recall.hosts(Some(&host));
    if known.is_empty() {
        let (expected, seen) = (format!("{host} to be known"), "nothing of it");
        let remedy = "no mail to it has been judged yet, or it was so long ago that it is forgotten; \
                      `danelaw continuity list` has those that are remembered";
        return Err(Failure::new(Code::NotFound, expected, seen, remedy));
    }
    Ok(known)
}

async fn release(engine: &Engine, host: &str) -> Result<Vec<(Place, Standing)>, Failure> {
    let now = engine.clock.wall();
    for (place, _) in known(engine, host)? {
        engine.recall.release(&place, now);
        info!(%place, "an MX host was released by an operator: it is known from now on as it shows itself");
    }
    flushed(engine).await?;
    known(engine, host)
}

/// It goes the way of what sessions write, so that nothing older comes after it.
pub(super) async fn flushed(engine: &Engine) -> Result<(), Failure> {
    const PATIENCE: Duration = Duration::from_secs(10);
    let pen = engine.pen.clone();
    let flushed = tokio::task::spawn_blocking(move || pen.flush(PATIENCE));
    if matches!(flushed.await, Ok(true)) {
        return Ok(());
    }
    let seen = "it is not written yet: it counts until the process ends";
    let remedy = "see the log for what is wrong with the store, and repeat the command";
    Err(Failure::new(
        Code::Store,
        "a store that can be written",
        seen,
        remedy,
    ))
}
