//! `danelaw config check|show`: what is wrong with a configuration file, and what it amounts to.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use super::Exit;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, ConfigError, Loaded, Problem, defaults};

/// For the help of both commands together.
pub(super) const EXAMPLES: &str = "\
Examples:
  danelaw config check --config /etc/danelaw/danelaw.toml
  danelaw config show --config /etc/danelaw/danelaw.toml";

/// What to do with the file.
#[derive(Subcommand)]
pub(super) enum Command {
    /// Prints everything that is wrong with the file; exit code 1 when something is.
    #[command(after_help = "\
Examples:
  danelaw config check --config /etc/danelaw/danelaw.toml
  danelaw config check --config danelaw.toml --json | jq '.problems[].key'

Exit codes:
  0   nothing is wrong with the file
  1   something is
  2   the file cannot be read
  64  the command line is wrong")]
    Check(File),
    /// Prints the configuration in force, in the format of the file, with the origin of each value.
    #[command(after_help = "\
Examples:
  danelaw config show --config danelaw.toml
  danelaw config show --config danelaw.toml | grep -v '# default'

Exit codes:
  0   shown
  1   something is wrong with the file: that is shown in place of it
  2   the file cannot be read
  64  the command line is wrong")]
    Show(File),
}

/// Which file, and for whom.
#[derive(Args)]
pub(super) struct File {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = defaults::PATH)]
    config: PathBuf,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command; a file that is wrong is an answer, one that cannot be read is an error.
pub(super) fn run(command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Check(file) => check(file),
        Command::Show(file) => show(file),
    }
}

fn check(file: &File) -> anyhow::Result<ExitCode> {
    let problems = match load(file)? {
        Ok(loaded) => loaded.unusable_files(&file.config, SystemClock.wall()),
        Err(problems) => problems,
    };
    if problems.is_empty() && !file.json {
        writeln!(io::stdout(), "{}: ok", file.config.display())?;
    } else {
        tell(file, &problems)?;
    }
    Ok(verdict(&problems))
}

fn show(file: &File) -> anyhow::Result<ExitCode> {
    match load(file)? {
        Ok(loaded) if file.json => writeln!(io::stdout(), "{:#}", loaded.to_json())?,
        Ok(loaded) => write!(io::stdout(), "{}", loaded.to_toml())?,
        Err(problems) => {
            tell(file, &problems)?;
            return Ok(verdict(&problems));
        }
    }
    Ok(Exit::Ok.into())
}

fn load(file: &File) -> Result<Result<Loaded, Vec<Problem>>, ConfigError> {
    match Config::load(&file.config) {
        Ok(loaded) => Ok(Ok(loaded)),
        Err(ConfigError::Invalid(problems)) => Ok(Err(problems.0)),
        Err(error @ ConfigError::Unreadable { .. }) => Err(error),
    }
}

fn tell(file: &File, problems: &[Problem]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if file.json {
        let told = json!({ "ok": problems.is_empty(), "problems": problems });
        return writeln!(out, "{told:#}");
    }
    for problem in problems {
        writeln!(out, "{problem}")?;
    }
    Ok(())
}

fn verdict(problems: &[Problem]) -> ExitCode {
    if problems.is_empty() {
        Exit::Ok.into()
    } else {
        Exit::Negative.into()
    }
}
