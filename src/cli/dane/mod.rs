//! `danelaw dane verify|record|rollover`: TLSA records for those who publish them.

mod fates;
mod input;
mod record;
mod rollover;
mod verify;

use std::process::ExitCode;

use clap::Subcommand;

/// For the help of all three together.
pub(super) const EXAMPLES: &str = "\
Examples:
  danelaw dane record --cert fullchain.pem --name mx.example.com
  danelaw dane verify --tlsa-file tlsa.zone --chain fullchain.pem --name mx.example.com
  danelaw dane rollover example.com --key next.pub.pem";

/// What to do with TLSA records.
#[derive(Subcommand)]
pub(super) enum Command {
    /// Holds a certificate chain against TLSA records by the code that judges deliveries, without any network.
    Verify(verify::Args),
    /// Makes the TLSA record of a certificate or a public key.
    Record(record::Args),
    /// Says whether the MX hosts of a domain are ready to change their key.
    Rollover(rollover::Args),
}

/// Runs the command; what is bad input to it is an error.
pub(super) fn run(command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Verify(args) => verify::run(args),
        Command::Record(args) => record::run(args),
        Command::Rollover(args) => rollover::run(args),
    }
}
