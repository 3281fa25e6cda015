//! `danelaw pins list|show|revoke`: what cleared sessions, and the word that it no longer counts.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use ring::digest;
use serde_json::{Value, json};

use super::kept::{Kept, rows};
use super::{Exit, calendar};
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::policy::pins::{Key, Pin, read};
use crate::store::{Batch, Kind, Row};

/// For the help of all commands together.
pub(super) const EXAMPLES: &str = "\
Examples:
  danelaw pins list --about mx.example.com
  danelaw pins show 5b1c9d0a7e21
  danelaw pins revoke mx.example.com";

/// What to do.
#[derive(Subcommand)]
pub(super) enum Command {
    /// Lists the pins, the last used first: id, endpoint, host, level, and what the sessions rested on.
    #[command(after_help = "\
Examples:
  danelaw pins list
  danelaw pins list --about example.com --json | jq -r .spki

Exit codes:
  0   listed, perhaps none
  2   there is no store, or it cannot be read
  64  the command line is wrong")]
    List(List),
    /// Shows pins: key, certificates, domains, times.
    #[command(after_help = "\
Examples:
  danelaw pins show 5b1c9d0a7e21
  danelaw pins show mx.example.com --json

Exit codes:
  0   shown
  1   there is no such pin
  2   there is no store, or it cannot be read
  64  the command line is wrong")]
    Show(Which),
    /// Makes everything that was proven until now worthless: the next session makes a full handshake and is judged in
    /// full. Nobody is refused for it. A proxy that runs hears of it within seconds.
    #[command(after_help = "\
Examples:
  danelaw pins revoke mx.example.com
  danelaw pins revoke 5b1c9d0a7e21
  danelaw pins revoke all

Exit codes:
  0   revoked
  1   there is no such pin
  2   there is no store, or it cannot be written
  64  the command line is wrong")]
    Revoke(Which),
}

/// Which pins are listed.
#[derive(Args)]
pub(super) struct List {
    /// Only pins of this MX host, address or recipients' domain.
    #[arg(long, value_name = "NAME")]
    about: Option<String>,
    /// At most so many.
    #[arg(long, value_name = "NUMBER", default_value_t = 1000)]
    most: usize,
    #[command(flatten)]
    kept: Kept,
}

/// Which pins.
#[derive(Args)]
pub(super) struct Which {
    /// An id as `list` shows it, an MX host, an address, a recipients' domain, or `all`.
    which: String,
    #[command(flatten)]
    kept: Kept,
}

/// Runs the command.
pub(super) fn run(command: &Command) -> anyhow::Result<ExitCode> {
    let mut out = io::stdout().lock();
    let exit = match command {
        Command::List(args) => list(&mut out, args)?,
        Command::Show(args) => show(&mut out, args)?,
        Command::Revoke(args) => revoke(&mut out, args, SystemClock.wall())?,
    };
    Ok(exit.into())
}

/// A pin as it is kept.
struct Known {
    id: String,
    row: Row,
    key: Key,
    pin: Pin,
}

impl Known {
    fn of(row: Row) -> anyhow::Result<Option<Self>> {
        let Some(body) = &row.body else {
            return Ok(None);
        };
        let key: Result<Key, _> = row.key.parse().map_err(anyhow::Error::msg);
        let key = key.with_context(|| format!("the row {:?} cannot be read", row.key))?;
        let pin = read(&row.key, body)?;
        let id = digest::digest(&digest::SHA256, row.key.as_bytes());
        let id = id.as_ref().iter().take(6);
        Ok(Some(Self {
            id: id.map(|octet| format!("{octet:02x}")).collect(),
            row,
            key,
            pin,
        }))
    }

    fn is_about(&self, which: &str) -> bool {
        let destination = self.key.destination;
        let sni = self.key.sni.as_ref().map(|name| name.as_str());
        which == "all"
            || self.id == which
            || self.pin.host.as_deref() == Some(which)
            || sni == Some(which)
            || self.pin.domains.iter().any(|domain| domain == which)
            || destination.to_string() == which
            || destination.ip().to_string() == which
    }

    fn host(&self) -> &str {
        let sni = || self.key.sni.as_ref().map(|name| name.as_str());
        self.pin.host.as_deref().or_else(sni).unwrap_or("-")
    }

    fn json(&self) -> Value {
        json!({
            "id": self.id,
            "destination": self.key.destination,
            "sni": self.key.sni.as_ref().map(|name| name.as_str()),
            "demand": self.key.demand.to_string(),
            "pin": self.pin,
        })
    }
}

fn known(kept: &Kept, which: Option<&str>, most: usize) -> anyhow::Result<Vec<Known>> {
    let which = which.map(str::to_ascii_lowercase);
    let store = kept.open()?;
    let mut all = Vec::new();
    for row in rows(&*store, Kind::Pin, None, most)? {
        let known = Known::of(row)?;
        let is_meant = |known: &Known| which.as_deref().is_none_or(|which| known.is_about(which));
        all.extend(known.filter(is_meant));
    }
    Ok(all)
}

fn list(out: &mut impl Write, args: &List) -> anyhow::Result<Exit> {
    for known in known(&args.kept, args.about.as_deref(), args.most)? {
        if args.kept.json {
            writeln!(out, "{}", known.json())?;
            continue;
        }
        let Pin {
            level,
            basis,
            sessions,
            last,
            ..
        } = &known.pin;
        let (id, destination, host) = (&known.id, known.key.destination, known.host());
        let last = time(*last);
        writeln!(
            out,
            "{id}  {destination}  {host}  {level} {basis}, {sessions} sessions, last {last}"
        )?;
    }
    Ok(Exit::Ok)
}

fn show(out: &mut impl Write, args: &Which) -> anyhow::Result<Exit> {
    let all = known(&args.kept, Some(&args.which), usize::MAX)?;
    if all.is_empty() {
        return unknown(out, args);
    }
    for known in &all {
        if args.kept.json {
            writeln!(out, "{}", known.json())?;
        } else {
            render(out, known)?;
        }
    }
    Ok(Exit::Ok)
}

fn render(out: &mut impl Write, known: &Known) -> io::Result<()> {
    let Known { id, key, pin, .. } = known;
    let domains: Vec<&str> = pin.domains.iter().map(String::as_str).collect();
    writeln!(out, "{id}  {} as {}", key.destination, known.host())?;
    if let Some(sni) = &key.sni {
        writeln!(out, "  asked for     {sni}")?;
    }
    writeln!(out, "  rests on      {} ({})", pin.basis, pin.level)?;
    writeln!(out, "  key           {}", pin.spki)?;
    writeln!(out, "  certificates  {}", pin.chain)?;
    if let Some(until) = pin.until {
        writeln!(out, "  path holds    until {}", time(until))?;
    }
    writeln!(out, "  domains       {}", domains.join(", "))?;
    let (first, last, sessions) = (time(pin.first), time(pin.last), pin.sessions);
    writeln!(
        out,
        "  seen          {first} to {last}, {sessions} sessions"
    )?;
    if pin.revoked > 0 {
        writeln!(out, "  revoked       {}", time(pin.revoked))?;
    }
    Ok(())
}

fn revoke(out: &mut impl Write, args: &Which, now: Timestamp) -> anyhow::Result<Exit> {
    let mut all = known(&args.kept, Some(&args.which), usize::MAX)?;
    if all.is_empty() {
        return unknown(out, args);
    }
    let mut batch = Batch::default();
    for known in &mut all {
        known.pin.revoked = now.unix();
        batch.rows.push(Row {
            at: now,
            body: Some(serde_json::to_string(&known.pin)?),
            ..known.row.clone()
        });
    }
    args.kept.open()?.write(&batch)?;
    for known in &all {
        if args.kept.json {
            writeln!(out, "{}", known.json())?;
        } else {
            let (id, destination) = (&known.id, known.key.destination);
            writeln!(out, "{id}  {destination} as {}: revoked", known.host())?;
        }
    }
    Ok(Exit::Ok)
}

fn unknown(out: &mut impl Write, args: &Which) -> anyhow::Result<Exit> {
    if args.kept.json {
        writeln!(out, "{}", json!({ "which": args.which, "known": false }))?;
    } else {
        writeln!(out, "{}: there is no such pin", args.which)?;
    }
    Ok(Exit::Negative)
}

fn time(seconds: u64) -> String {
    calendar::written(Timestamp::from_unix(seconds))
}
