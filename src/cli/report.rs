//! `danelaw report would-refuse`: which domains were refused lately, or would have been, how often and why.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use super::Exit;
use super::desk::{self, Whom};
use crate::control;
use crate::control::report::{Line, Request, Told};

/// For the help of all commands together.
pub(super) const EXAMPLES: &str = "\
Examples:
  danelaw report would-refuse --days 7";

/// Which report.
#[derive(Subcommand)]
pub(super) enum Command {
    /// Lists the domains that were refused, or would have been with mode = \"enforce\": newest and worst first.
    #[command(after_help = "\
Examples:
  danelaw report would-refuse
  danelaw report would-refuse --days 30 --json | jq -r '.domains[] | select(.would_refuse > 0) | .domain'

A session counts once for each domain and reason.

Exit codes:
  0   shown, also when there is nothing to show
  2   nobody could be asked, or the store cannot be used
  64  the command line is wrong")]
    WouldRefuse(WouldRefuse),
}

/// Since when.
#[derive(Args)]
pub(super) struct WouldRefuse {
    /// So many days (UTC), today included.
    #[arg(long, value_name = "DAYS", default_value_t = 7,
        value_parser = clap::value_parser!(u32).range(1..=3660))]
    days: u32,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    whom: Whom,
}

/// Runs the command.
pub(super) fn run(command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::WouldRefuse(args) => desk::ended(would_refuse(args)),
    }
}

fn would_refuse(args: &WouldRefuse) -> anyhow::Result<Exit> {
    let mut lines: Vec<Line> = Vec::new();
    let told: Told = args.whom.at_the_desk(async |desk| {
        let request = control::Request::Report(Request::WouldRefuse { days: args.days });
        Ok(desk.ask_each(request, |line| lines.push(line)).await?)
    })?;
    let mut out = io::stdout().lock();
    if args.json {
        let told = json!({
            "first": told.first,
            "last": told.last,
            "domains": lines,
            "combine_differs": told.combine_differs,
        });
        desk::pretty(&mut out, &told)?;
    } else if lines.is_empty() {
        writeln!(out, "no refusals since {}", told.first)?;
    } else {
        table(&mut out, &lines)?;
    }
    Ok(Exit::Ok)
}

fn table(out: &mut impl Write, lines: &[Line]) -> io::Result<()> {
    let longest = lines.iter().map(|line| line.domain.chars().count()).max();
    let domains = longest.unwrap_or(0).max("domain".len());
    writeln!(
        out,
        "{:>12}  {:>7}  {:domains$}  {:10}  why",
        "would refuse", "refused", "domain", "last"
    )?;
    for line in lines {
        let why: Vec<String> = line
            .reasons
            .iter()
            .map(|why| format!("{} {}", why.reason, why.number))
            .collect();
        writeln!(
            out,
            "{:>12}  {:>7}  {:domains$}  {:10}  {}",
            line.would_refuse,
            line.refused,
            line.domain,
            line.last,
            why.join(", ")
        )?;
    }
    Ok(())
}
