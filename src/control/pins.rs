//! Requests about what cleared sessions: list, show, revoke.

use ring::digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracing::info;

use super::continuity::{Listed, flushed};
use super::{Code, Failure, Items, result};
use crate::name::DnsName;
use crate::policy::pins::{Key, Pin};
use crate::proxy::engine::Engine;

/// What can be asked. `which` is an id, an MX host, an address, a recipients' domain, or `all`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// The pins in memory, the last used first: an item ([`View`]) each; the result is [`Listed`].
    List {
        /// Only these.
        which: Option<String>,
    },
    /// The same, where it is an error that there are none.
    Show {
        /// Which.
        which: String,
    },
    /// Make worthless what was proven until now: an item each; the result is [`Listed`].
    Revoke {
        /// Which.
        which: String,
    },
}

impl Request {
    /// The family and the kind, without what is in it.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::List { .. } => "pins list",
            Self::Show { .. } => "pins show",
            Self::Revoke { .. } => "pins revoke",
        }
    }
}

/// One pin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Short, and the same on all nodes.
    pub id: String,
    /// Address and port.
    pub destination: String,
    /// The name that was asked for.
    pub sni: Option<String>,
    /// What had to be proven: a fingerprint.
    pub demand: String,
    /// The rest.
    pub pin: Pin,
}

impl View {
    fn of(key: &Key, pin: Pin) -> Self {
        let digest = digest::digest(&digest::SHA256, key.to_string().as_bytes());
        let id = digest.as_ref().iter().take(6);
        Self {
            id: id.map(|octet| format!("{octet:02x}")).collect(),
            destination: key.destination.to_string(),
            sni: key.sni.as_ref().map(ToString::to_string),
            demand: key.demand.to_string(),
            pin,
        }
    }

    /// The host, or else the name that was asked for.
    #[must_use]
    pub fn host(&self) -> &str {
        let name = self.pin.host.as_deref().or(self.sni.as_deref());
        name.unwrap_or("-")
    }

    fn is_meant(&self, key: &Key, which: &str) -> bool {
        which == "all"
            || self.id == which
            || self.pin.host.as_deref() == Some(which)
            || key.sni.as_ref().map(DnsName::as_str) == Some(which)
            || self.pin.domains.iter().any(|domain| domain == which)
            || self.destination == which
            || key.destination.ip().to_string() == which
    }
}

/// Answers a request.
///
/// # Errors
/// When there is no such pin, when the store fails.
pub(super) async fn answer(
    engine: &Engine,
    request: Request,
    items: &Items,
) -> Result<Value, Failure> {
    match request {
        Request::List { which } => {
            let meant = meant(engine, which.as_deref().unwrap_or("all"));
            tell(meant, items).await
        }
        Request::Show { which } => tell(known(engine, &which)?, items).await,
        Request::Revoke { which } => {
            let now = engine.clock.wall();
            for (key, _) in known(engine, &which)? {
                engine.recall.revoke(&key, now, engine.clock.instant());
                info!(pin = %key, "a pin was revoked by an operator: its next session is judged in full");
            }
            flushed(engine).await?;
            tell(known(engine, &which)?, items).await
        }
    }
}

async fn tell(pins: Vec<(Key, View)>, items: &Items) -> Result<Value, Failure> {
    let mut listed = Listed::default();
    for (_, view) in &pins {
        if items.tell(view).await.is_err() {
            break;
        }
        listed.listed += 1;
    }
    result(&listed)
}

fn known(engine: &Engine, which: &str) -> Result<Vec<(Key, View)>, Failure> {
    let meant = meant(engine, which);
    if meant.is_empty() {
        let remedy = "`danelaw pins list` has those that there are";
        let expected = format!("a pin that is meant by {which:?}");
        return Err(Failure::new(Code::NotFound, expected, "none", remedy));
    }
    Ok(meant)
}

fn meant(engine: &Engine, which: &str) -> Vec<(Key, View)> {
    let which = which.to_ascii_lowercase();
    let views = engine.recall.pins().into_iter().map(|(key, pin)| {
        let view = View::of(&key, pin);
        (key, view)
    });
    views
        .filter(|(key, view)| view.is_meant(key, &which))
        .collect()
}
