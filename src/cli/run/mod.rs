//! `danelaw run`: the proxy as a service, until SIGTERM or SIGINT.
//!
//! Once all listeners are bound it logs one line `listening` for each, with the address that was really bound, and one
//! line `state and metrics` for the admin address where there is one.
#![expect(clippy::disallowed_methods, reason = "IO: starts the watchdog's task")]

mod life;
mod log;
mod outlets;
mod watchdog;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use tokio::sync::mpsc;
use tracing::{info, warn};

use life::{End, Life, Signals};
use log::LogHandle;
use outlets::{Outlets, Serving};

use super::Exit;
use crate::clock::{Clock, SystemClock};
use crate::config::change::Read;
use crate::config::{Config, Loaded, Problems, StorePlace, defaults};
use crate::control::takeover::Successor;
use crate::privilege;
use crate::privilege::sandbox::{self, Sandboxed};
use crate::proxy::{Inherited, Proxy, Sockets};
use crate::report::log::Log;
use crate::report::metrics::Sessions;
use crate::supervisor::{Supervisor, Word};

/// Which configuration.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  danelaw run --config /etc/danelaw/danelaw.toml

The log goes to stderr. SIGTERM and SIGINT stop accepting and let sessions finish what is in flight for up to
drain_timeout; a second signal ends them at once. SIGHUP, or `danelaw reload`, reads the configuration anew.

Exit codes:
  0   stopped by a signal
  2   it could not be started, or could not go on
  64  the command line is wrong")]
pub(super) struct Args {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = defaults::PATH)]
    config: PathBuf,
    /// Takes the place of the proxy that runs with this control.socket: takes over its listening sockets, and lets it end once
    /// this one serves. Where none runs this is an ordinary start.
    #[arg(long)]
    take_over: bool,
}

/// Runs the proxy.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let loaded = Config::load(&args.config)?;
    let config = &loaded.config;
    // While there are no other threads.
    let inherited = Inherited::from_env()?;
    let log = log::start(&config.log)?;
    let (predecessor, inherited) = match args.take_over {
        true => take_over(config, inherited)?,
        false => (None, inherited),
    };
    privilege::limit(config.max_sessions);
    let sockets = Sockets::open(&config.listeners, inherited)?;
    privilege::give_up(config)?;
    let sandboxed = sandbox::close(config, &loaded.sources(&args.config))?;
    // By the user that will read them again.
    let unusable = loaded.unusable_files(&args.config, SystemClock.wall());
    if !unusable.is_empty() {
        anyhow::bail!(Problems(unusable));
    }
    tokio::runtime::Runtime::new()
        .context("the runtime cannot be started")?
        .block_on(serve(
            &loaded,
            &args.config,
            (sockets, predecessor),
            (log, sandboxed),
        ))
}

async fn serve(
    loaded: &Loaded,
    file: &Path,
    (sockets, predecessor): (Sockets, Option<Successor>),
    (log, sandboxed): (LogHandle, Sandboxed),
) -> anyhow::Result<ExitCode> {
    let config = &loaded.config;
    // Before anything is bound, so that no signal finds the default handler.
    let mut signals = Signals::new()?;
    // What is somebody's now is free once the one that runs has been told to leave.
    let outlets = match predecessor {
        None => Some(Outlets::bind(config).await?),
        Some(_) => None,
    };
    let sessions = Sessions::default();
    let records = Arc::new((Log, sessions.clone()));
    let proxy = match predecessor {
        None => Proxy::on(sockets, config, records).await?,
        Some(_) => Proxy::succeed(sockets, config, records).await?,
    };
    info!(version = env!("CARGO_PKG_VERSION"), "danelaw starts");
    for (address, via) in proxy.listening() {
        info!(%address, via = via.label(), "listening");
    }
    let outlets = match (outlets, predecessor) {
        (Some(outlets), _) => outlets,
        (None, predecessor) => succeed(config, predecessor).await,
    };
    let (orders, mut ordered) = mpsc::channel(1);
    let serving = outlets.serve(&proxy, &sessions, (orders, &sandboxed));
    let supervisor = supervisor();
    tokio::spawn(watchdog::keep(Arc::clone(&supervisor), proxy.pulse()));
    warn_of_what_is_forgotten(config);
    let ours = Word::Successor(std::process::id());
    supervisor.tell(&[ours, Word::Ready, Word::Status("serving")]);
    let read = Read::of(loaded);
    let mut life = Life {
        proxy: &proxy,
        supervisor: &supervisor,
        file: file.to_owned(),
        log,
        sandboxed,
        started: read.clone(),
        last: read,
        is_offered: false,
    };
    let end = life.live(&mut signals, &mut ordered).await;
    // Whoever gives an order now hears that it is too late.
    drop(ordered);
    finish(end, (proxy, serving), (&supervisor, &mut signals)).await;
    Ok(Exit::Ok.into())
}

/// Lets sessions end, each way in its own time.
async fn finish(
    end: End,
    (proxy, serving): (Proxy, Serving),
    (supervisor, signals): (&Supervisor, &mut Signals),
) {
    let sessions = proxy.sessions();
    match end {
        End::Stop => {
            info!(sessions, "draining");
            let status = format!("draining: {sessions} sessions had not ended");
            supervisor.tell(&[Word::Stopping, Word::Status(&status)]);
            end_with(proxy.shutdown(), signals).await;
            drop(serving);
        }
        End::Leave { pid, over } => {
            info!(
                sessions,
                pid, "a successor accepts: sessions go on to their end"
            );
            if let Some(pid) = pid.and_then(|pid| u32::try_from(pid).ok()) {
                supervisor.tell(&[Word::Successor(pid)]);
            }
            // Its control socket and its admin address are the successor's.
            drop(serving);
            drop(over);
            end_with(proxy.leave(), signals).await;
        }
    }
}

async fn end_with(ending: impl Future<Output = ()>, signals: &mut Signals) {
    tokio::select! {
        () = ending => info!("stopped"),
        () = signals.end() => warn!("stopped before all sessions had ended"),
    }
}

/// Asks the proxy that runs for its sockets.
fn take_over(
    config: &Config,
    inherited: Inherited,
) -> anyhow::Result<(Option<Successor>, Inherited)> {
    let Some(socket) = &config.control else {
        anyhow::bail!(
            "--take-over: expected control.socket, by which the proxy that runs is asked; seen none"
        );
    };
    let asked = Successor::ask(socket);
    let asked = asked.with_context(|| {
        format!(
            "the proxy that answers at {} hands nothing over",
            socket.display()
        )
    })?;
    Ok(match asked {
        Some((successor, handed)) => (Some(successor), inherited.with(handed)),
        None => {
            info!("no proxy answers at control.socket: nothing is taken over");
            (None, inherited)
        }
    })
}

/// Lets the other one know, and takes the places that it leaves.
async fn succeed(config: &Config, predecessor: Option<Successor>) -> Outlets {
    if let Some(predecessor) = predecessor {
        let told = tokio::task::spawn_blocking(|| predecessor.ready()).await;
        if let Ok(Err(error)) = told {
            warn!(%error, "the proxy that ran before cannot be told to leave");
        }
    }
    Outlets::bind_soon(config).await
}

fn warn_of_what_is_forgotten(config: &Config) {
    match &config.store.place {
        StorePlace::Memory => {
            warn!("no store.path: MTA-STS policies are forgotten at every restart");
        }
        StorePlace::Database { snapshot: None, .. } => {
            warn!("no store.snapshot: danelaw cannot start while the database is gone");
        }
        StorePlace::File(_) | StorePlace::Database { .. } => {}
    }
}

/// A service manager that cannot be told is no reason to refuse mail; it will say so itself.
fn supervisor() -> Arc<Supervisor> {
    let supervisor = Supervisor::from_env().unwrap_or_else(|error| {
        warn!(%error, "the service manager hears nothing");
        Supervisor::default()
    });
    Arc::new(supervisor)
}
