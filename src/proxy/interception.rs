//! Whether connections reach this proxy and its own leave it: asked once before anything is served, then now and then.
#![expect(clippy::disallowed_methods, reason = "IO: waits between canaries")]

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::unistd::geteuid;
use tracing::{info, warn};

use super::canary::{self, Heard, fly, fly_plain};
use crate::config::{Config, Watch};
use crate::intercept::Via;
use crate::intercept::canary::{Answerer, Family, Token};
use crate::intercept::watch::{Change, Seen, Sight, Sights, Watched};
use crate::report::admin::Check;

/// The proxy's own connections come back to it.
#[derive(Debug, thiserror::Error)]
#[error(
    "loop: this host's netfilter rules lead danelaw's own connections back to danelaw ({}), so no mail would ever leave. \
     Expected: connections {whose} are left alone; seen: one to {destination} arrived at a listener here. \
     Exempt them before the redirect{remedy} (`danelaw rules print` shows it), then start again",
    names(families)
)]
pub struct LoopFound {
    families: Vec<Family>,
    destination: SocketAddr,
    whose: String,
    remedy: String,
}

/// What is known of interception on this host.
pub(super) struct Interception {
    token: Token,
    ports: Vec<u16>,
    mark: Option<u32>,
    canary: bool,
    watch: Watch,
    interval: Duration,
    watched: Mutex<[Watched; Family::ALL.len()]>,
}

impl Interception {
    /// Of a configuration. Without a listener that netfilter leads to there is nothing to find out.
    pub(super) fn new(config: &Config) -> Self {
        let by_netfilter = |kind| matches!(kind, Via::Redirect | Via::Tproxy);
        let is_concerned = config.listeners.iter().any(|one| by_netfilter(one.kind));
        let intercept = &config.intercept;
        let watched = || match intercept.watch {
            Watch::Required => Watched::required(),
            Watch::Auto | Watch::Off => Watched::optional(),
        };
        Self {
            token: canary::token(),
            ports: intercept.ports.clone(),
            mark: config.upstream.mark,
            canary: intercept.canary && is_concerned,
            watch: if is_concerned {
                intercept.watch
            } else {
                Watch::Off
            },
            interval: intercept.watch_interval,
            watched: Mutex::new([watched(), watched()]),
        }
    }

    /// Are connections to this port for the rules to take over?
    pub(super) fn takes(&self, port: u16) -> bool {
        self.ports.contains(&port)
    }

    /// One of them, for canaries.
    fn port(&self) -> u16 {
        self.ports.first().copied().unwrap_or(25)
    }

    /// What a listener says to a canary.
    pub(super) fn greeting(&self) -> String {
        self.token.greeting()
    }

    /// Tries whether connections of this process leave the host. To be called when the listeners answer canaries.
    pub(super) async fn find_loop(&self) -> Result<(), LoopFound> {
        if !self.canary {
            return Ok(());
        }
        let try_out = |family| fly_plain(family, (self.port(), self.mark), &self.token);
        let (four, six) = tokio::join!(try_out(Family::V4), try_out(Family::V6));
        let mut families = Vec::new();
        for (family, heard) in [(Family::V4, four), (Family::V6, six)] {
            match heard {
                Heard::Answered(Answerer::Here) => families.push(family),
                Heard::Answered(other) => warn!(
                    family = family.label(),
                    answer = ?other,
                    port = self.port(),
                    "the next hop takes connections over itself, so that danelaw may never reach an MX host: {}",
                    "find out what it is (another proxy, a firewall of the provider) and have this host exempted"
                ),
                Heard::Silence | Heard::Refused(_) | Heard::Stopped(_) | Heard::Untried(_) => {}
            }
        }
        match families.first() {
            None => Ok(()),
            Some(first) => Err(self.found(*first, families)),
        }
    }

    fn found(&self, first: Family, families: Vec<Family>) -> LoopFound {
        let destination = first
            .plain()
            .into_iter()
            .next()
            .unwrap_or_else(|| first.watched());
        let uid = geteuid();
        let (whose, remedy) = match self.mark {
            Some(mark) => (
                format!("with the mark {mark:#x}"),
                format!(", as `meta mark {mark:#x} accept`"),
            ),
            None => (
                format!("of uid {uid}"),
                format!(", as `meta skuid {uid} accept`"),
            ),
        };
        LoopFound {
            families,
            destination: SocketAddr::new(destination, self.port()),
            whose,
            remedy,
        }
    }

    /// Tries now and then whether connections are still taken over.
    pub(super) async fn keep_watching(&self) {
        if self.watch == Watch::Off {
            return;
        }
        loop {
            let (four, six) = tokio::join!(self.look(Family::V4), self.look(Family::V6));
            tokio::time::sleep(four.min(six)).await;
        }
    }

    /// Looks at one family, and says how long to wait.
    async fn look(&self, family: Family) -> Duration {
        let destination = SocketAddr::new(family.watched(), self.port());
        // Without the mark: what exempts by mark shall not exempt this one.
        let seen = match fly(destination, None, &self.token).await {
            Heard::Answered(Answerer::Here) => Seen::Taken,
            // Whoever accepts late for want of descriptors may be one of ours.
            Heard::Answered(Answerer::Stranger(said)) if said.is_empty() => Seen::Untried,
            Heard::Answered(Answerer::Elsewhere | Answerer::Stranger(_)) => {
                Seen::Missed("something else answered".into())
            }
            Heard::Silence => Seen::Missed("nobody answered".into()),
            Heard::Refused(why) | Heard::Stopped(why) => Seen::Missed(why),
            Heard::Untried(_) => Seen::Untried,
        };
        let mut all = self.lock();
        let watched = &mut all[family as usize];
        let (change, pause) = (watched.see(seen), watched.pause(self.interval));
        let why = watched.why().unwrap_or_default().to_owned();
        drop(all);
        match change {
            Some(Change::Gone) => warn!(
                family = family.label(),
                %destination,
                %why,
                "connections are not taken over: are the netfilter rules gone? See `danelaw rules status`, load them anew"
            ),
            Some(Change::Found) => {
                info!(family = family.label(), "connections are taken over");
            }
            None => {}
        }
        pause
    }

    /// What is known of each family; none where nobody looks.
    pub(super) fn sights(&self) -> Option<Sights> {
        let all = self.lock();
        let sights = Family::ALL.map(|family| (family, all[family as usize].sight()));
        (self.watch != Watch::Off).then_some(sights)
    }

    /// For `/readyz`.
    pub(super) fn check(&self) -> Check {
        let all = self.lock();
        let lost = Family::ALL.into_iter().filter_map(|family| {
            let watched = &all[family as usize];
            let why = watched.why().filter(|_| watched.sight() == Sight::Lost)?;
            let destination = SocketAddr::new(family.watched(), self.port());
            Some(format!(
                "{} connections are not taken over: one to {destination} should have come to a listener here, and {why}; \
                 are the netfilter rules loaded (`danelaw rules status`)?",
                family.name()
            ))
        });
        let lost: Vec<_> = lost.collect();
        Check::new("interception", (!lost.is_empty()).then(|| lost.join("; ")))
    }

    fn lock(&self) -> MutexGuard<'_, [Watched; Family::ALL.len()]> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn names(families: &[Family]) -> String {
    let names: Vec<_> = families.iter().map(|family| family.name()).collect();
    names.join(" and ")
}
