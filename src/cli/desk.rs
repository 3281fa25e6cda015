//! Whom a command asks: the running proxy by its control socket, or, where none runs, the store. The options for that
//! are the same for every command.
#![expect(clippy::print_stderr, reason = "IO: says whom it asks on stderr")]

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::bail;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Exit;
use crate::clock::SystemClock;
use crate::config::{Config, StorePlace, defaults};
use crate::control::Code;
use crate::control::client::{AskError, Desk, Question};
use crate::proxy::engine::Engine;

/// Where the proxy or its store is.
#[derive(clap::Args)]
pub(super) struct Whom {
    /// The proxy's configuration: it names the control socket and the store.
    #[arg(long, value_name = "FILE", default_value = defaults::PATH)]
    config: PathBuf,
    /// Asks the proxy at this socket, and nobody else.
    #[arg(long, value_name = "PATH", conflicts_with = "store")]
    socket: Option<PathBuf>,
    /// Works on this store, and asks no proxy.
    #[arg(long, value_name = "PATH")]
    store: Option<PathBuf>,
}

impl Whom {
    /// Does `work` at the desk that the options lead to.
    pub(super) fn at_the_desk<T>(
        &self,
        work: impl AsyncFnOnce(&Desk) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        tokio::runtime::Runtime::new()?.block_on(async {
            let desk = self.desk().await?;
            work(&desk).await
        })
    }

    /// The file, which a store that is named by hand can do without.
    fn config(&self) -> anyhow::Result<Config> {
        let is_needed = self.store.is_none() || self.config != Path::new(defaults::PATH);
        if is_needed || self.config.exists() {
            Ok(Config::load(&self.config)?.config)
        } else {
            Ok(Config::default())
        }
    }

    async fn desk(&self) -> anyhow::Result<Desk> {
        if let Some(socket) = &self.socket {
            return Ok(Desk::Daemon(socket.clone()));
        }
        let mut config = self.config()?;
        if let Some(store) = &self.store {
            config.store.place = StorePlace::File(store.clone());
            return here(&config);
        }
        if let Some(socket) = config.control.take() {
            if Desk::is_answered(&socket).await? {
                return Ok(Desk::Daemon(socket));
            }
            if config.store.place == StorePlace::Memory {
                return Err(AskError::NoDaemon { socket }.into());
            }
            eprintln!(
                "danelaw: no daemon answers at {}: using the store",
                socket.display()
            );
            return here(&config);
        }
        if config.store.place == StorePlace::Memory {
            bail!(
                "{} names neither control.socket nor a store: there is nobody to ask and nothing to look into; \
                 expected one of them, or --socket or --store",
                self.config.display()
            );
        }
        eprintln!(
            "danelaw: {} names no control.socket: using the store; a running proxy hears of changes there within seconds",
            self.config.display()
        );
        here(&config)
    }
}

/// The store must be there: one that is made here would belong to whoever types the command, and be taken for an empty one.
fn here(config: &Config) -> anyhow::Result<Desk> {
    if let Some(path) = missing(&config.store.place) {
        bail!(
            "the store {} is not there: start the proxy once, as the user that it runs as, or name another with --store",
            path.display()
        );
    }
    let engine = Engine::new(config, Arc::new(SystemClock))?;
    Ok(Desk::Here(Arc::new(engine)))
}

/// The file of a store that has not been made yet.
pub(super) fn missing(place: &StorePlace) -> Option<&Path> {
    match place {
        StorePlace::File(path) => (!path.exists()).then_some(path),
        StorePlace::Memory | StorePlace::Database { .. } => None,
    }
}

/// How a command ends that has asked: "it is not there", or there already, is an answer, all else that went wrong is an error.
pub(super) fn ended(done: anyhow::Result<Exit>) -> anyhow::Result<ExitCode> {
    match done {
        Ok(exit) => Ok(exit.into()),
        Err(error) => match error.downcast_ref::<AskError>() {
            Some(AskError::Failed(failure))
                if matches!(failure.code, Code::NotFound | Code::Conflict) =>
            {
                eprintln!("danelaw: {failure}");
                Ok(Exit::Negative.into())
            }
            Some(_) | None => Err(error),
        },
    }
}

/// Asks, and writes each item when it comes; gives what comes after the last.
pub(super) async fn write_each<W, I: DeserializeOwned, D: DeserializeOwned>(
    desk: &Desk,
    question: impl Into<Question>,
    out: &mut W,
    mut write: impl FnMut(&mut W, &I) -> io::Result<()>,
) -> anyhow::Result<D> {
    let mut written = Ok(());
    let done = desk
        .ask_each(question, |item: I| {
            if written.is_ok() {
                written = write(out, &item);
            }
        })
        .await?;
    written?;
    Ok(done)
}

/// How something is shown.
#[derive(Clone, Copy)]
pub(super) enum Form {
    /// For people.
    Text,
    /// For programs.
    Json,
}

impl Form {
    #[expect(clippy::fn_params_excessive_bools, reason = "the option `--json`")]
    pub(super) const fn of(is_json: bool) -> Self {
        if is_json { Self::Json } else { Self::Text }
    }

    /// As one JSON object on a line, or as `render` has it.
    pub(super) fn write<W: Write, T: Serialize>(
        self,
        out: &mut W,
        object: &T,
        render: impl FnOnce(&mut W, &T) -> io::Result<()>,
    ) -> io::Result<()> {
        match self {
            Self::Json => json(out, object),
            Self::Text => render(out, object),
        }
    }
}

/// One object on a line.
pub(super) fn json(out: &mut impl Write, object: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, object)?;
    writeln!(out)
}

/// One value over many lines.
pub(super) fn pretty(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    writeln!(out)
}
