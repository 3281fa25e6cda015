//! `danelaw pins list|show|revoke`: what cleared sessions, and the word that it no longer counts.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::Exit;
use super::desk::{self, Form, Whom};
use crate::calendar::written;
use crate::clock::Timestamp;
use crate::control;
use crate::control::client::Desk;
use crate::control::continuity::Listed;
use crate::control::pins::{Request, View};
use crate::policy::pins::Pin;

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
  danelaw pins list --about example.com --json | jq -r .pin.spki

Exit codes:
  0   listed, perhaps none
  2   nobody could be asked, or the store cannot be read
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
  2   nobody could be asked, or the store cannot be read
  64  the command line is wrong")]
    Show(Which),
    /// Makes everything that was proven until now worthless: the next session makes a full handshake and is judged in
    /// full. Nobody is refused for it. Whoever shares the store hears of it within seconds.
    #[command(after_help = "\
Examples:
  danelaw pins revoke mx.example.com
  danelaw pins revoke 5b1c9d0a7e21
  danelaw pins revoke all

Exit codes:
  0   revoked
  1   there is no such pin
  2   nobody could be asked, or the store cannot be written
  64  the command line is wrong")]
    Revoke(Which),
}

/// Which pins are listed.
#[derive(Args)]
pub(super) struct List {
    /// Only pins of this MX host, address or recipients' domain.
    #[arg(long, value_name = "NAME")]
    about: Option<String>,
    /// Prints one JSON object per pin.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    whom: Whom,
}

/// Which pins.
#[derive(Args)]
pub(super) struct Which {
    /// An id as `list` shows it, an MX host, an address, a recipients' domain, or `all`.
    which: String,
    /// Prints one JSON object per pin.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    whom: Whom,
}

/// Runs the command.
pub(super) fn run(command: &Command) -> anyhow::Result<ExitCode> {
    let done = match command {
        Command::List(args) => args.whom.at_the_desk(async |desk| {
            let which = args.about.clone();
            ask(desk, Request::List { which }, Form::of(args.json), row).await
        }),
        Command::Show(args) => args.whom.at_the_desk(async |desk| {
            let which = args.which.clone();
            ask(desk, Request::Show { which }, Form::of(args.json), whole).await
        }),
        Command::Revoke(args) => args.whom.at_the_desk(async |desk| {
            let which = args.which.clone();
            ask(
                desk,
                Request::Revoke { which },
                Form::of(args.json),
                revoked,
            )
            .await
        }),
    };
    desk::ended(done)
}

async fn ask(
    desk: &Desk,
    request: Request,
    form: Form,
    render: impl Fn(&mut io::StdoutLock<'_>, &View) -> io::Result<()>,
) -> anyhow::Result<Exit> {
    let request = control::Request::Pins(request);
    let mut out = io::stdout().lock();
    let _: Listed = desk::write_each(desk, request, &mut out, |out, view| {
        form.write(out, view, &render)
    })
    .await?;
    Ok(Exit::Ok)
}

fn row(out: &mut io::StdoutLock<'_>, view: &View) -> io::Result<()> {
    let Pin {
        level,
        basis,
        sessions,
        last,
        ..
    } = &view.pin;
    let (id, destination, host) = (&view.id, &view.destination, view.host());
    let last = time(*last);
    writeln!(
        out,
        "{id}  {destination}  {host}  {level} {basis}, sessions: {sessions}, last {last}"
    )
}

fn whole(out: &mut io::StdoutLock<'_>, view: &View) -> io::Result<()> {
    let pin = &view.pin;
    let domains: Vec<&str> = pin.domains.iter().map(String::as_str).collect();
    writeln!(out, "{}  {} as {}", view.id, view.destination, view.host())?;
    if let Some(sni) = &view.sni {
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
        "  seen          {first} to {last}, sessions: {sessions}"
    )?;
    if pin.revoked > 0 {
        writeln!(out, "  revoked       {}", time(pin.revoked))?;
    }
    Ok(())
}

fn revoked(out: &mut io::StdoutLock<'_>, view: &View) -> io::Result<()> {
    let (id, destination, host) = (&view.id, &view.destination, view.host());
    writeln!(out, "{id}  {destination} as {host}: revoked")
}

fn time(seconds: u64) -> String {
    written(Timestamp::from_unix(seconds))
}
