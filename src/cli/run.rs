//! `danelaw run`: the proxy as a service.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::config::defaults;

/// Which configuration.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = defaults::PATH)]
    config: PathBuf,
}

pub(super) fn run(_args: &Args) -> anyhow::Result<ExitCode> {
    todo!()
}
