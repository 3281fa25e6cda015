//! `danelaw doctor`: whether this host is fit for danelaw, on one screen.

mod collect;
mod process;
mod render;
mod users;

use std::path::PathBuf;
use std::process::ExitCode;

use crate::config::defaults;
use crate::doctor::{Level, judge, worst};

/// What to look at.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sudo danelaw doctor
  sudo danelaw doctor --egress relay.example.net
  danelaw doctor --json | jq -r '.lines[] | select(.level == \"red\") | .remedy'

It changes nothing. As root it makes connections as other users, to see what netfilter does with
them: to addresses that are kept for documentation, with a TTL of 1, so that none gets further than
the next hop. DNS is asked what the proxy asks at its start. No other host is connected to, unless
--egress names it.

Exit codes:
  0   all is green
  1   something is yellow: mail flows, and somebody should look; or it could not be found out
  2   something is red: mail waits, or may leave unjudged
  64  the command line is wrong")]
pub(super) struct Args {
    /// The proxy's configuration.
    #[arg(long, value_name = "FILE", default_value = defaults::PATH)]
    config: PathBuf,
    /// Connects to port 25 of this host as well, and hears its greeting; may be repeated.
    #[arg(long, value_name = "HOST[:PORT]")]
    egress: Vec<String>,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

/// Looks, prints, and ends with the worst that was found.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let lines = judge(&collect::facts(&args.config, &args.egress)?);
    let mut out = std::io::stdout().lock();
    if args.json {
        render::json(&mut out, &lines)?;
    } else {
        render::text(&mut out, &lines)?;
    }
    Ok(ExitCode::from(code(worst(&lines))))
}

const fn code(level: Level) -> u8 {
    match level {
        Level::Aside | Level::Green => 0,
        Level::Yellow => 1,
        Level::Red => 2,
    }
}
