//! `danelaw report would-refuse`: which domains were refused lately, or would have been, how often and why.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Exit;
use super::stored::Stored;
use crate::calendar;
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::report::counts::day_of;
use crate::report::summary::{Line, differences, refusals};

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

A session counts once for each domain and reason. What the running proxy has counted in the last second may be missing.

Exit codes:
  0   shown, also when there is nothing to show
  2   the store cannot be used
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
    #[command(flatten)]
    place: Stored,
}

/// Runs the command.
pub(super) fn run(command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::WouldRefuse(args) => would_refuse(args, SystemClock.wall()),
    }
}

fn would_refuse(args: &WouldRefuse, now: Timestamp) -> anyhow::Result<ExitCode> {
    let config = args.place.config()?;
    let today = day_of(now);
    let first = today.saturating_sub(args.days - 1);
    let counts = args.place.open(&config)?.counts(first..=today)?;
    let lines = refusals(&counts);
    let mut out = io::stdout().lock();
    if args.place.json {
        let told = json!({
            "first": date(first),
            "last": date(today),
            "domains": lines.iter().map(object).collect::<Value>(),
            "combine_differs": differences(&counts),
        });
        writeln!(out, "{told:#}")?;
    } else if lines.is_empty() {
        writeln!(out, "no refusals since {}", date(first))?;
    } else {
        table(&mut out, &lines)?;
    }
    Ok(Exit::Ok.into())
}

fn object(line: &Line) -> Value {
    let reason = |(reason, number): &(String, u64)| json!({ "reason": reason, "number": number });
    json!({
        "domain": line.domain,
        "would_refuse": line.would_refuse,
        "refused": line.refused,
        "last": date(line.last),
        "reasons": line.reasons.iter().map(reason).collect::<Value>(),
    })
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
            .map(|(reason, number)| format!("{reason} {number}"))
            .collect();
        writeln!(
            out,
            "{:>12}  {:>7}  {:domains$}  {:10}  {}",
            line.would_refuse,
            line.refused,
            line.domain,
            date(line.last),
            why.join(", ")
        )?;
    }
    Ok(())
}

fn date(day: u32) -> String {
    calendar::day(Timestamp::from_unix(u64::from(day) * 86_400))
}
