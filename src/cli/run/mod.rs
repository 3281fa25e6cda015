//! `danelaw run`: the proxy as a service, until SIGTERM or SIGINT.
//!
//! Once all listeners are bound it logs one line `listening` for each, with the address that was really bound, and one
//! line `state and metrics` for the admin address where there is one.
#![expect(clippy::disallowed_methods, reason = "IO: starts the watchdog's task")]

mod watchdog;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};
use tracing_subscriber::EnvFilter;

use super::Exit;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, LogConfig, Problems, StorePlace, defaults};
use crate::control::server::Control;
use crate::proxy::{Inherited, Proxy};
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
drain_timeout; a second signal ends them at once.

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
    let unusable = loaded.unusable_files(&args.config, SystemClock.wall());
    if !unusable.is_empty() {
        anyhow::bail!(Problems(unusable));
    }
    let config = loaded.config;
    // While there are no other threads.
    let inherited = Inherited::from_env()?;
    start_log(&config.log)?;
    raise_descriptor_limit(config.max_sessions);
    tokio::runtime::Runtime::new()
        .context("the runtime cannot be started")?
        .block_on(serve(&config, inherited))
}

async fn serve(config: &Config, inherited: Inherited) -> anyhow::Result<ExitCode> {
    // Before anything is bound, so that no signal finds the default handler.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
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
    let proxy = Proxy::inherit(config, inherited, records).await?;
    info!(version = env!("CARGO_PKG_VERSION"), "danelaw starts");
    for (address, via) in proxy.listening() {
        info!(%address, via = via.label(), "listening");
    }
    let _control = control.map(|control| control.serve(proxy.engine()));
    let _admin = admin.map(|admin| show(admin, &proxy, &sessions));
    let supervisor = supervisor();
    let alive = watchdog::keep(Arc::clone(&supervisor), proxy.pulse());
    tokio::spawn(alive);
    match &config.store.place {
        StorePlace::Memory => {
            warn!("no store.path: MTA-STS policies are forgotten at every restart");
        }
        StorePlace::Database { snapshot: None, .. } => {
            warn!("no store.snapshot: danelaw cannot start while the database is gone");
        }
        StorePlace::File(_) | StorePlace::Database { .. } => {}
    }
    supervisor.tell(&[Word::Ready, Word::Status("serving")]);
    either(&mut terminate, &mut interrupt).await;
    let sessions = proxy.sessions();
    info!(sessions, "draining");
    let status = format!("draining: {sessions} sessions had not ended");
    supervisor.tell(&[Word::Stopping, Word::Status(&status)]);
    tokio::select! {
        () = proxy.shutdown() => info!("stopped"),
        () = either(&mut terminate, &mut interrupt) => warn!("stopped before all sessions had ended"),
    }
    Ok(Exit::Ok.into())
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

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}

fn start_log(config: &LogConfig) -> anyhow::Result<()> {
    let filter = EnvFilter::builder().parse(&config.filter)?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let started = if config.json {
        log.json().try_init()
    } else {
        log.with_ansi(false).try_init()
    };
    started.map_err(|error| anyhow::anyhow!(error))
}

/// A session takes two descriptors. The soft limit is a relic for programs that use select(2): the hard one is taken.
fn raise_descriptor_limit(sessions: usize) {
    const BESIDE: u64 = 64;
    let needed = BESIDE + 2 * sessions as u64;
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return;
    };
    let limit = match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(_) => soft,
    };
    if limit < needed {
        warn!(
            limit,
            needed, "too few file descriptors for max_sessions (raise LimitNOFILE)"
        );
    }
}
