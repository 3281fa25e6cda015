//! `danelaw continuity list|show|release`: what MX hosts have been seen to do, and the word that a host may be another
//! from now on.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::kept::{Kept, rows};
use super::{Exit, calendar};
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::name::MxHost;
use crate::policy::continuity::book::{Place, read};
use crate::policy::continuity::{Fact, Standing};
use crate::store::{Batch, Kind, Row, Store};

/// For the help of all commands together.
pub(super) const EXAMPLES: &str = "\
Examples:
  danelaw continuity list --lost
  danelaw continuity show mx.example.com
  danelaw continuity release mx.example.com";

/// What to do.
#[derive(Subcommand)]
pub(super) enum Command {
    /// Lists the hosts, the last seen first: whether TLS is up, since when they are known for it, their last key.
    #[command(after_help = "\
Examples:
  danelaw continuity list --lost
  danelaw continuity list --json | jq -r 'select(.known_for_tls) | .host'

Exit codes:
  0   listed, perhaps none
  2   there is no store, or it cannot be read
  64  the command line is wrong")]
    List(List),
    /// Shows all that is remembered of a host.
    #[command(after_help = "\
Examples:
  danelaw continuity show mx.example.com
  danelaw continuity show mx.example.com --json

Exit codes:
  0   shown
  1   nothing is remembered of the host
  2   there is no store, or it cannot be read
  64  the command line is wrong")]
    Show(One),
    /// Forgets what a host had before, so that nothing of it is held against the host: for one that has given up TLS, or
    /// whose facts an attacker has taught. A proxy that runs hears of it within seconds.
    #[command(after_help = "\
Examples:
  danelaw continuity release mx.example.com

Exit codes:
  0   released
  1   nothing is remembered of the host
  2   there is no store, or it cannot be written
  64  the command line is wrong")]
    Release(One),
}

/// Which hosts.
#[derive(Args)]
pub(super) struct List {
    /// Only hosts that lack something they had.
    #[arg(long)]
    lost: bool,
    /// At most so many.
    #[arg(long, value_name = "NUMBER", default_value_t = 1000)]
    most: usize,
    #[command(flatten)]
    kept: Kept,
}

/// Which host.
#[derive(Args)]
pub(super) struct One {
    /// An MX host.
    #[arg(value_parser = host)]
    host: MxHost,
    #[command(flatten)]
    kept: Kept,
}

fn host(text: &str) -> Result<MxHost, String> {
    text.parse()
        .map_err(|error| format!("expected an MX host as mx.example.com: {error}"))
}

/// Runs the command.
pub(super) fn run(command: &Command) -> anyhow::Result<ExitCode> {
    let now = SystemClock.wall();
    let mut out = io::stdout().lock();
    let exit = match command {
        Command::List(args) => list(&mut out, args, now)?,
        Command::Show(args) => show(&mut out, args, now)?,
        Command::Release(args) => release(&mut out, args, now)?,
    };
    Ok(exit.into())
}

/// A host as it is remembered.
struct Known {
    place: Place,
    standing: Standing,
}

impl Known {
    fn of(row: &Row) -> anyhow::Result<Option<Self>> {
        let Some(body) = &row.body else {
            return Ok(None);
        };
        let place = row.key.parse().map_err(anyhow::Error::msg);
        let place = place.with_context(|| format!("the row {:?} cannot be read", row.key))?;
        let standing = read(&row.key, body)?;
        Ok(Some(Self { place, standing }))
    }

    fn lost(&self) -> Vec<String> {
        let Standing {
            tls,
            tls13,
            dane,
            sts,
            ..
        } = &self.standing;
        let named = [("TLS", tls), ("TLS 1.3", tls13), ("DANE", dane)]
            .map(|(name, fact)| (name.to_owned(), fact));
        let domains = sts
            .iter()
            .map(|(domain, fact)| (format!("MTA-STS of {domain}"), fact));
        named
            .into_iter()
            .chain(domains)
            .filter(|(_, fact)| fact.lost.is_some())
            .map(|(name, _)| name)
            .collect()
    }

    fn json(&self, now: Timestamp) -> Value {
        let known = self.standing.is_established(now);
        json!({
            "host": self.place.host.as_str(),
            "port": self.place.port,
            "known_for_tls": known.map(calendar::written),
            "lost": self.lost(),
            "standing": self.standing,
        })
    }
}

fn list(out: &mut impl Write, args: &List, now: Timestamp) -> anyhow::Result<Exit> {
    let store = args.kept.open()?;
    for row in rows(&*store, Kind::Continuity, None, args.most)? {
        let Some(known) = Known::of(&row)? else {
            continue;
        };
        let lost = known.lost();
        if args.lost && lost.is_empty() {
            continue;
        }
        if args.kept.json {
            writeln!(out, "{}", known.json(now))?;
            continue;
        }
        let tls = if known.standing.tls.sessions == 0 {
            "no TLS yet".to_owned()
        } else {
            let since = time(known.standing.tls.first);
            let word = known.standing.is_established(now);
            let word = word.map_or("TLS seen since", |_| "known for TLS since");
            format!("{word} {since}")
        };
        let lost = if lost.is_empty() {
            String::new()
        } else {
            format!(", lost: {}", lost.join(", "))
        };
        writeln!(out, "{}  {tls}{lost}", known.place)?;
    }
    Ok(Exit::Ok)
}

fn show(out: &mut impl Write, args: &One, now: Timestamp) -> anyhow::Result<Exit> {
    let store = args.kept.open()?;
    let all = known(&*store, &args.host)?;
    if all.is_empty() {
        return unknown(out, args);
    }
    for known in &all {
        if args.kept.json {
            writeln!(out, "{}", known.json(now))?;
        } else {
            render(out, known, now)?;
        }
    }
    Ok(Exit::Ok)
}

fn known(store: &dyn Store, host: &MxHost) -> anyhow::Result<Vec<Known>> {
    let rows = rows(store, Kind::Continuity, Some(host.as_str()), PORTS)?;
    rows.iter()
        .filter_map(|row| Known::of(row).transpose())
        .collect()
}

fn unknown(out: &mut impl Write, args: &One) -> anyhow::Result<Exit> {
    if args.kept.json {
        writeln!(
            out,
            "{}",
            json!({ "host": args.host.as_str(), "known": false })
        )?;
    } else {
        writeln!(out, "{}: nothing is remembered", args.host)?;
    }
    Ok(Exit::Negative)
}

fn render(out: &mut impl Write, known: &Known, now: Timestamp) -> io::Result<()> {
    let standing = &known.standing;
    writeln!(out, "{}", known.place)?;
    if let Some(since) = standing.is_established(now) {
        writeln!(out, "  known for TLS since {}", calendar::written(since))?;
    }
    for (name, fact) in [
        ("TLS", &standing.tls),
        ("TLS 1.3", &standing.tls13),
        ("DANE", &standing.dane),
    ] {
        writeln!(out, "  {name:<9}{}", words(fact))?;
    }
    for (domain, fact) in &standing.sts {
        writeln!(out, "  MTA-STS of {domain}: {}", words(fact))?;
    }
    for (spki, key) in &standing.keys {
        let (first, last) = (time(key.first), time(key.last));
        let (issuer, sessions) = (&key.issuer, key.sessions);
        writeln!(
            out,
            "  key {spki}\n      by {issuer}, {first} to {last}, {sessions} sessions"
        )?;
    }
    if standing.released > 0 {
        writeln!(out, "  released on {}", time(standing.released))?;
    }
    Ok(())
}

fn words(fact: &Fact) -> String {
    if fact.sessions == 0 {
        return "never seen".into();
    }
    let (first, last) = (time(fact.first), time(fact.last));
    let lost = fact.lost.map_or_else(String::new, |lost| {
        format!(", missing since {}", time(lost))
    });
    format!("{first} to {last}, {} sessions{lost}", fact.sessions)
}

fn release(out: &mut impl Write, args: &One, now: Timestamp) -> anyhow::Result<Exit> {
    let store = args.kept.open()?;
    let mut all = known(&*store, &args.host)?;
    if all.is_empty() {
        return unknown(out, args);
    }
    let mut batch = Batch::default();
    for known in &mut all {
        known.standing.release(now);
        batch.rows.push(Row {
            kind: Kind::Continuity,
            key: known.place.to_string(),
            about: known.place.host.to_string(),
            at: now,
            body: Some(serde_json::to_string(&known.standing)?),
        });
    }
    store.write(&batch)?;
    for known in &all {
        if args.kept.json {
            writeln!(out, "{}", known.json(now))?;
        } else {
            writeln!(
                out,
                "{}: released; it is known from now on as it shows itself",
                known.place
            )?;
        }
    }
    Ok(Exit::Ok)
}

fn time(seconds: u64) -> String {
    calendar::written(Timestamp::from_unix(seconds))
}

/// Ports of one host.
const PORTS: usize = 100;
