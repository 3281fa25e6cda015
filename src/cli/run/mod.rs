//! `danelaw run`: the proxy as a service, until SIGTERM or SIGINT.
//!
//! Once all listeners are bound it logs one line `listening` for each, with the address that was really bound, and one
//! line `state and metrics` for the admin address where there is one.
#![expect(clippy::disallowed_methods, reason = "IO: starts the watchdog's task")]

mod life;
mod log;
mod watchdog;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use tokio::sync::mpsc;
use tracing::{info, warn};

use life::{Life, Signals};
use log::LogHandle;

use super::Exit;
use crate::clock::{Clock, SystemClock};
use crate::config::change::Read;
use crate::config::{Config, Loaded, Problems, StorePlace, defaults};
use crate::control::server::{Control, Host};
use crate::privilege;
use crate::proxy::{Inherited, Proxy, Sockets};
use crate::report::admin::{Admin, Serving};
use crate::report::log::Log;
use crate::report::metrics::{Metrics, Sessions};
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
}

/// Runs the proxy.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let loaded = Config::load(&args.config)?;
    let config = &loaded.config;
    // While there are no other threads.
    let inherited = Inherited::from_env()?;
    let log = log::start(&config.log)?;
    privilege::limit(config.max_sessions);
    let sockets = Sockets::open(&config.listeners, inherited)?;
    privilege::give_up(config)?;
    // By the user that will read them again.
    let unusable = loaded.unusable_files(&args.config, SystemClock.wall());
    if !unusable.is_empty() {
        anyhow::bail!(Problems(unusable));
    }
    tokio::runtime::Runtime::new()
        .context("the runtime cannot be started")?
        .block_on(serve(&loaded, &args.config, sockets, log))
}

async fn serve(
    loaded: &Loaded,
    file: &Path,
    sockets: Sockets,
    log: LogHandle,
) -> anyhow::Result<ExitCode> {
    let config = &loaded.config;
    // Before anything is bound, so that no signal finds the default handler.
    let mut signals = Signals::new()?;
    let admin = match config.admin.address {
        Some(address) => Some(Admin::bind(address).await?),
        None => None,
    };
    let control = match &config.control {
        Some(socket) => Some(Control::bind(socket).await?),
        None => None,
    };
    let sessions = Sessions::default();
    let records = Arc::new((Log, sessions.clone()));
    let proxy = Proxy::on(sockets, config, records).await?;
    info!(version = env!("CARGO_PKG_VERSION"), "danelaw starts");
    for (address, via) in proxy.listening() {
        info!(%address, via = via.label(), "listening");
    }
    let (orders, mut ordered) = mpsc::channel(1);
    let _control = control.map(|control| {
        control.serve(Host {
            engine: Box::new(proxy.engines()),
            orders,
        })
    });
    let _admin = admin.map(|admin| show(admin, &proxy, &sessions));
    let supervisor = supervisor();
    tokio::spawn(watchdog::keep(Arc::clone(&supervisor), proxy.pulse()));
    warn_of_what_is_forgotten(config);
    supervisor.tell(&[Word::Ready, Word::Status("serving")]);
    let read = Read::of(loaded);
    let mut life = Life {
        proxy: &proxy,
        supervisor: &supervisor,
        file: file.to_owned(),
        log,
        started: read.clone(),
        last: read,
    };
    life.live(&mut signals, &mut ordered).await;
    // Whoever gives an order now hears that it is too late.
    drop(ordered);
    let sessions = proxy.sessions();
    info!(sessions, "draining");
    let status = format!("draining: {sessions} sessions had not ended");
    supervisor.tell(&[Word::Stopping, Word::Status(&status)]);
    tokio::select! {
        () = proxy.shutdown() => info!("stopped"),
        () = signals.end() => warn!("stopped before all sessions had ended"),
    }
    Ok(Exit::Ok.into())
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

/// State and metrics, until all is over: also a proxy that drains says so.
fn show(admin: Admin, proxy: &Proxy, sessions: &Sessions) -> Serving {
    info!(address = %admin.address(), "state and metrics");
    let (status, vitals) = (proxy.status(), proxy.status());
    let metrics = Metrics::new(sessions, move || vitals.vitals());
    admin.serve(metrics, move || status.checks())
}
