//! The command line: one file per command, exit codes in one place.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "IO: answers on stdout, complaints on stderr"
)]

mod config;
mod run;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// How every command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Exit {
    /// Done; the answer is yes.
    Ok = 0,
    /// Done; the answer is no: the configuration is wrong, the destination would be refused.
    Negative = 1,
    /// It could not be found out or not be started.
    Unknown = 2,
    /// The command line is wrong.
    Usage = 64,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

const EXIT_CODES: &str = "\
Exit codes:
  0   done, the answer is yes
  1   done, the answer is no (a wrong configuration, a destination that would be refused)
  2   it could not be found out, or the proxy could not be started
  64  the command line is wrong";

/// A transparent egress proxy for SMTP: enforces DANE and MTA-STS on behalf of any mail server.
#[derive(Parser)]
#[command(name = "danelaw", version, about, after_help = EXIT_CODES, max_term_width = 100)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the proxy until SIGTERM or SIGINT, then lets sessions finish.
    Run(run::Args),
    /// Checks a configuration file, or shows what is in force.
    #[command(subcommand)]
    Config(config::Command),
}

/// Runs the command that the arguments name.
#[must_use]
pub fn main() -> ExitCode {
    let line = match CommandLine::try_parse() {
        Ok(line) => line,
        Err(error) => return usage(&error),
    };
    let done = match &line.command {
        Command::Run(args) => run::run(args),
        Command::Config(command) => config::run(command),
    };
    done.unwrap_or_else(|error| {
        eprintln!("danelaw: {error:#}");
        Exit::Unknown.into()
    })
}

/// Help and version are answers; everything else is a wrong command line.
fn usage(error: &clap::Error) -> ExitCode {
    // A closed stdout or stderr leaves nobody to tell.
    let _ = error.print();
    if error.use_stderr() {
        Exit::Usage.into()
    } else {
        Exit::Ok.into()
    }
}
