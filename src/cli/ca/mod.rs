//! `danelaw ca init|show`: the local CA for TLS towards mail servers.

mod show;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};

use super::Exit;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, defaults};
use crate::tls::authority::found::{CaName, Charter, Existing, found};
use crate::tls::authority::{Certificate, Files};

/// For the help of both commands together.
pub(super) const EXAMPLES: &str = "\
Examples:
  danelaw ca init --dir /etc/danelaw
  danelaw ca show --config /etc/danelaw/danelaw.toml";

/// What to do.
#[derive(Subcommand)]
pub(super) enum Command {
    /// Makes a CA: a key that only its owner can read, and a certificate to give to mail servers.
    #[command(after_help = "\
Examples:
  danelaw ca init --dir /etc/danelaw --name \"danelaw CA of gw1\"
  danelaw ca init --config /etc/danelaw/danelaw.toml --days 730

Exit codes:
  0   made
  2   it could not be made, or there is one already
  64  the command line is wrong")]
    Init(Init),
    /// Prints the CA's fingerprint and dates, and how mail servers are made to trust it.
    #[command(after_help = "\
Examples:
  danelaw ca show
  danelaw ca show --dir /etc/danelaw --json | jq -r .sha256

Exit codes:
  0   the CA is in date
  1   it is not
  2   there is none, or it cannot be read
  64  the command line is wrong")]
    Show(Show),
}

/// Where the CA is.
#[derive(Args)]
struct Place {
    /// The directory with ca.pem and ca-key.pem.
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    dir: Option<PathBuf>,
    /// The configuration that names the CA in its table client_tls; /etc/danelaw/danelaw.toml where neither is given.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

/// A new CA.
#[derive(Args)]
pub(super) struct Init {
    #[command(flatten)]
    place: Place,
    /// The CA's common name; "danelaw CA of" and the host's name by default.
    #[arg(long)]
    name: Option<CaName>,
    /// How long it is valid.
    #[arg(long, default_value_t = 3650, value_parser = clap::value_parser!(u32).range(1..=36500))]
    days: u32,
    /// Exchanges a CA that is there; mail servers that trust it must be told of the new one.
    #[arg(long)]
    force: bool,
}

/// A CA that exists.
#[derive(Args)]
pub(super) struct Show {
    #[command(flatten)]
    place: Place,
}

/// Runs the command.
pub(super) fn run(command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Init(init) => make(init),
        Command::Show(show) => look(&show.place),
    }
}

fn make(init: &Init) -> anyhow::Result<ExitCode> {
    let files = init.place.files()?;
    let now = SystemClock.wall();
    let charter = Charter {
        name: match &init.name {
            Some(name) => name.clone(),
            None => default_name()?,
        },
        lifetime: Duration::from_secs(u64::from(init.days) * 24 * 3600),
        existing: if init.force {
            Existing::Replace
        } else {
            Existing::Keep
        },
    };
    let certificate = found(&files, &charter, now)?;
    show::print(&init.place, &files, &certificate, now)?;
    Ok(Exit::Ok.into())
}

fn look(place: &Place) -> anyhow::Result<ExitCode> {
    let files = place.files()?;
    let now = SystemClock.wall();
    let certificate = Certificate::read(&files.certificate)?;
    show::print(place, &files, &certificate, now)?;
    Ok(if certificate.is_current(now) {
        Exit::Ok.into()
    } else {
        Exit::Negative.into()
    })
}

fn default_name() -> anyhow::Result<CaName> {
    let host = nix::unistd::gethostname().context("this host's name cannot be read")?;
    let host = host.to_string_lossy();
    let name: String = format!("danelaw CA of {host}").chars().take(64).collect();
    name.parse()
        .context("this host's name makes no name for a CA; give --name")
}

impl Place {
    fn files(&self) -> anyhow::Result<Files> {
        if let Some(dir) = &self.dir {
            return Ok(Files {
                certificate: dir.join("ca.pem"),
                key: dir.join("ca-key.pem"),
            });
        }
        let file = match &self.config {
            Some(file) => file.clone(),
            None => defaults::PATH.into(),
        };
        match Config::load(&file)?.config.client_ca {
            Some(files) => Ok(files),
            None => bail!(
                "{} names no CA: expected ca_cert and ca_key under [client_tls], or --dir",
                file.display()
            ),
        }
    }
}
