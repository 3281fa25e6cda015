//! `danelaw sts …`: for the owners of MTA-STS policies.

mod findings;
mod inquiry;
mod lint;
mod render;

use std::process::ExitCode;

use clap::Subcommand;

/// For the help of all commands together.
pub(super) const EXAMPLES: &str = "\
Examples:
  danelaw sts lint mta-sts.txt
  danelaw sts lint example.com";

/// What to do.
#[derive(Subcommand)]
pub(super) enum Command {
    /// Says everything that is wrong with a policy, and what is legal and yet unwise.
    Lint(lint::Args),
}

/// Runs the command.
pub(super) fn run(command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Lint(args) => lint::run(args),
    }
}
