//! `danelaw reload`: has the running proxy read its configuration anew, and says what changed.
#![expect(clippy::print_stderr, reason = "IO: complaints on stderr")]

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;
use serde_json::Value as Json;

use super::Exit;
use super::desk::{Form, json};
use crate::config::change::{Change, Changes};
use crate::config::{Config, defaults};
use crate::control;
use crate::control::client::Desk;
use crate::control::daemon::{Reloaded, Request};

/// Whom to ask.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  danelaw reload
  danelaw reload --config /etc/danelaw/danelaw.toml --json

The proxy reads the file that it was started with, and the files that it names. New sessions begin with what they say, those
under way end with what they began with. A configuration with a fault changes nothing. What a running process cannot change is
named and waits for a restart. SIGHUP does the same; its outcome is in the log.

Exit codes:
  0   applied
  1   refused: the configuration is wrong, nothing has changed
  2   no proxy could be asked
  64  the command line is wrong")]
pub(super) struct Args {
    /// The proxy's configuration: it names the control socket.
    #[arg(long, value_name = "FILE", default_value = defaults::PATH)]
    config: PathBuf,
    /// Asks the proxy at this socket: also where the file is so wrong that it names none.
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

/// Asks for it.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let socket = match &args.socket {
        Some(socket) => socket.clone(),
        None => match socket(&args.config)? {
            Some(socket) => socket,
            None => return Ok(Exit::Negative.into()),
        },
    };
    let request = control::Request::Daemon(Request::Reload);
    let asked = async { Desk::Daemon(socket).ask::<Reloaded>(request).await };
    let reloaded = tokio::runtime::Runtime::new()?.block_on(asked)?;
    let mut out = io::stdout().lock();
    match Form::of(args.json) {
        Form::Json => json(&mut out, &reloaded)?,
        Form::Text => match &reloaded {
            Reloaded::Applied(changes) => render(&mut out, changes)?,
            Reloaded::Refused(faults) => complain(faults),
        },
    }
    Ok(match reloaded {
        Reloaded::Applied(_) => Exit::Ok.into(),
        Reloaded::Refused(_) => Exit::Negative.into(),
    })
}

/// Where the file says that the proxy can be asked; none when the file is wrong, which is told.
fn socket(file: &Path) -> anyhow::Result<Option<PathBuf>> {
    let loaded = match Config::load(file) {
        Ok(loaded) => loaded,
        Err(crate::config::ConfigError::Invalid(problems)) => {
            let faults: Vec<String> = problems.0.iter().map(ToString::to_string).collect();
            complain(&faults);
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    match loaded.config.control {
        Some(socket) => Ok(Some(socket)),
        None => bail!(
            "{} names no control.socket: expected one, or --socket, or send the proxy SIGHUP and look into its log",
            file.display()
        ),
    }
}

fn complain(faults: &[String]) {
    eprintln!("danelaw: the configuration is refused, nothing has changed:");
    for fault in faults {
        eprintln!("{fault}");
    }
}

fn render(out: &mut impl Write, changes: &Changes) -> io::Result<()> {
    let Changes {
        changed,
        files,
        needs_restart,
    } = changes;
    if changed.is_empty() && files.is_empty() {
        writeln!(out, "nothing is new for new sessions")?;
    }
    for Change { key, was, is } in changed {
        writeln!(
            out,
            "{key}: {} -> {}",
            shown(was.as_ref()),
            shown(is.as_ref())
        )?;
    }
    for file in files {
        writeln!(out, "{file}: the file has another content")?;
    }
    for Change { key, was, is } in needs_restart {
        let (was, is) = (shown(was.as_ref()), shown(is.as_ref()));
        writeln!(
            out,
            "{key}: {was} -> {is} needs a restart, {was} stays in force"
        )?;
    }
    Ok(())
}

fn shown(value: Option<&Json>) -> String {
    value.map_or_else(|| "(not set)".to_owned(), ToString::to_string)
}
