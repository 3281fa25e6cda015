//! What a running proxy hears from outside: signals, and orders by the control socket.

use std::path::PathBuf;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};

use super::log::LogHandle;
use crate::clock::Clock;
use crate::clock::SystemClock;
use crate::config::change::{Changes, Read};
use crate::config::{Config, ConfigError, Loaded, Problems};
use crate::control::Failure;
use crate::control::daemon::{self, Order, Reloaded};
use crate::control::takeover::HandedOver;
use crate::privilege::sandbox::Sandboxed;
use crate::proxy::Proxy;
use crate::supervisor::{Supervisor, Word};

/// The signals that end the process, and the one that has it read its configuration.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// From now on none of them finds its default handler.
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the end.
    pub(super) async fn end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// How a life ends.
pub(super) enum End {
    /// By a signal.
    Stop,
    /// Another process goes on.
    Leave {
        pid: Option<i32>,
        over: oneshot::Sender<()>,
    },
}

/// A proxy on its way from the start to the end.
pub(super) struct Life<'a> {
    pub(super) proxy: &'a Proxy,
    pub(super) supervisor: &'a Supervisor,
    pub(super) file: PathBuf,
    pub(super) log: LogHandle,
    pub(super) sandboxed: Sandboxed,
    pub(super) started: Read,
    pub(super) last: Read,
    /// A successor has the sockets, and has not said yet that it serves.
    pub(super) is_offered: bool,
}

impl Life<'_> {
    /// Does what it is told to until it is to end.
    pub(super) async fn live(
        &mut self,
        signals: &mut Signals,
        orders: &mut mpsc::Receiver<Order>,
    ) -> End {
        loop {
            tokio::select! {
                _ = signals.terminate.recv() => return End::Stop,
                _ = signals.interrupt.recv() => return End::Stop,
                _ = signals.hangup.recv() => {
                    self.reload();
                }
                Some(order) = orders.recv() => match order {
                    Order::Reload(answer) => {
                        // Whoever asked may have gone.
                        let _ = answer.send(self.reload());
                    }
                    Order::Offer(answer) => {
                        let _ = answer.send(self.offer());
                    }
                    Order::Stay => {
                        self.is_offered = false;
                        self.proxy.stay();
                    }
                    Order::Leave { pid, over } => return End::Leave { pid, over },
                },
            }
        }
    }

    /// To one successor at a time: of two, each would take this process's end for its own beginning.
    fn offer(&mut self) -> Result<HandedOver, Failure> {
        if self.is_offered {
            return Err(daemon::succeeded());
        }
        let offered = self.proxy.offer();
        let offered = offered.map_err(|error| daemon::unoffered(&error))?;
        self.is_offered = true;
        info!("a successor is handed the listening sockets");
        Ok(offered)
    }

    fn reload(&mut self) -> Reloaded {
        self.supervisor.tell(&[Word::Reloading]);
        let reloaded = match self.try_reload() {
            Ok(changes) => {
                tell(&changes);
                Reloaded::Applied(changes)
            }
            Err(faults) => {
                for fault in &faults {
                    error!(%fault, "the configuration is refused, nothing has changed");
                }
                Reloaded::Refused(faults)
            }
        };
        let (is_applied, status) = match &reloaded {
            Reloaded::Applied(_) => (true, "serving"),
            Reloaded::Refused(_) => (false, "serving; the last configuration was refused"),
        };
        self.proxy.reloaded(is_applied);
        self.supervisor.tell(&[Word::Ready, Word::Status(status)]);
        reloaded
    }

    /// All of it, or nothing and each fault.
    fn try_reload(&mut self) -> Result<Changes, Vec<String>> {
        let loaded = load(&self.file, &self.sandboxed)?;
        let read = Read::of(&loaded);
        // It has been parsed as part of the configuration.
        self.proxy
            .reload(&loaded.config)
            .map_err(|error| vec![error.to_string()])?;
        self.log.set(&loaded.config.log.filter);
        let changes = read.after(&self.last, &self.started);
        self.last = read;
        Ok(changes)
    }
}

/// The configuration with the files that it names, when all of it can be used.
fn load(file: &std::path::Path, sandboxed: &Sandboxed) -> Result<Loaded, Vec<String>> {
    let each = |problems: &Problems| problems.0.iter().map(ToString::to_string).collect();
    let loaded = Config::load(file).map_err(|error| match &error {
        ConfigError::Invalid(problems) => each(problems),
        ConfigError::Unreadable { .. } => vec![error.to_string()],
    })?;
    let closed = sandboxed.faults(&loaded.config);
    if !closed.is_empty() {
        return Err(closed);
    }
    let unusable = loaded.unusable_files(file, SystemClock.wall());
    if unusable.is_empty() {
        Ok(loaded)
    } else {
        Err(each(&Problems(unusable)))
    }
}

fn tell(changes: &Changes) {
    let written = |value: &Option<serde_json::Value>| match value {
        Some(value) => value.to_string(),
        None => "(not set)".to_owned(),
    };
    for change in &changes.changed {
        info!(
            key = change.key,
            was = written(&change.was),
            is = written(&change.is),
            "changed for new sessions"
        );
    }
    for key in &changes.files {
        info!(key, "a file with another content, for new sessions");
    }
    for change in &changes.needs_restart {
        warn!(
            key = change.key,
            runs_with = written(&change.was),
            file_says = written(&change.is),
            "needs a restart"
        );
    }
    info!(
        changed = changes.changed.len() + changes.files.len(),
        needs_restart = changes.needs_restart.len(),
        "the configuration is read anew"
    );
}
