//! `danelaw continuity list|show|release`: what MX hosts have been seen to do, and the word that a host may be another
//! from now on.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::Exit;
use super::desk::{self, Form, Whom};
use crate::calendar::written;
use crate::clock::Timestamp;
use crate::control;
use crate::control::client::Desk;
use crate::control::continuity::{Listed, Request, View};
use crate::name::MxHost;
use crate::policy::continuity::Fact;

/// For the help of all commands together.
pub(super) const EXAMPLES: &str = "\
Examples:
  danelaw continuity list --lost
  danelaw continuity show mx.example.com
  danelaw continuity release mx.example.com";

/// What to do.
#[derive(Subcommand)]
pub(super) enum Command {
    /// Lists the hosts: whether TLS was seen, since when they are known for it, what they have lost.
    #[command(after_help = "\
Examples:
  danelaw continuity list --lost
  danelaw continuity list --json | jq -r 'select(.known_for_tls) | .host'

Exit codes:
  0   listed, perhaps none
  2   nobody could be asked, or the store cannot be read
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
  2   nobody could be asked, or the store cannot be read
  64  the command line is wrong")]
    Show(One),
    /// Forgets what a host had before, so that nothing of it is held against the host: for one that has given up TLS, or
    /// whose facts an attacker has taught. Whoever shares the store hears of it within seconds.
    #[command(after_help = "\
Examples:
  danelaw continuity release mx.example.com

Exit codes:
  0   released
  1   nothing is remembered of the host
  2   nobody could be asked, or the store cannot be written
  64  the command line is wrong")]
    Release(One),
}

/// Which hosts.
#[derive(Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of its own"
)]
pub(super) struct List {
    /// Only hosts that lack something they had.
    #[arg(long)]
    lost: bool,
    /// Prints one JSON object per host.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    whom: Whom,
}

/// Which host.
#[derive(Args)]
pub(super) struct One {
    /// An MX host.
    #[arg(value_parser = host)]
    host: MxHost,
    /// Prints one JSON object for each of its ports.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    whom: Whom,
}

fn host(text: &str) -> Result<MxHost, String> {
    text.parse()
        .map_err(|error| format!("expected an MX host as mx.example.com: {error}"))
}

/// Runs the command.
pub(super) fn run(command: &Command) -> anyhow::Result<ExitCode> {
    let done = match command {
        Command::List(args) => args.whom.at_the_desk(async |desk| {
            let request = Request::List { lost: args.lost };
            ask(desk, request, Form::of(args.json), row).await
        }),
        Command::Show(args) => args.whom.at_the_desk(async |desk| {
            let host = args.host.to_string();
            ask(desk, Request::Show { host }, Form::of(args.json), whole).await
        }),
        Command::Release(args) => args.whom.at_the_desk(async |desk| {
            let host = args.host.to_string();
            ask(
                desk,
                Request::Release { host },
                Form::of(args.json),
                released,
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
    let request = control::Request::Continuity(request);
    let mut out = io::stdout().lock();
    let _: Listed = desk::write_each(desk, request, &mut out, |out, view| {
        form.write(out, view, &render)
    })
    .await?;
    Ok(Exit::Ok)
}

fn row(out: &mut io::StdoutLock<'_>, view: &View) -> io::Result<()> {
    let View { host, port, .. } = view;
    let tls = &view.standing.tls;
    let tls = match (&view.known_for_tls, tls.sessions) {
        (Some(since), _) => format!("known for TLS since {since}"),
        (None, 0) => "no TLS yet".to_owned(),
        (None, _) => format!("TLS seen since {}", time(tls.first)),
    };
    let lost = if view.lost.is_empty() {
        String::new()
    } else {
        format!(", lost: {}", view.lost.join(", "))
    };
    writeln!(out, "{host}:{port}  {tls}{lost}")
}

fn whole(out: &mut io::StdoutLock<'_>, view: &View) -> io::Result<()> {
    let standing = &view.standing;
    writeln!(out, "{}:{}", view.host, view.port)?;
    if let Some(since) = &view.known_for_tls {
        writeln!(out, "  known for TLS since {since}")?;
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
        writeln!(out, "  key {spki}")?;
        writeln!(
            out,
            "      by {issuer}, {first} to {last}, sessions: {sessions}"
        )?;
    }
    if standing.released > 0 {
        writeln!(out, "  released on {}", time(standing.released))?;
    }
    Ok(())
}

fn released(out: &mut io::StdoutLock<'_>, view: &View) -> io::Result<()> {
    let View { host, port, .. } = view;
    writeln!(
        out,
        "{host}:{port}: released; it is known from now on as it shows itself"
    )
}

fn words(fact: &Fact) -> String {
    if fact.sessions == 0 {
        return "never seen".into();
    }
    let (first, last) = (time(fact.first), time(fact.last));
    let lost = |lost| format!(", missing since {}", time(lost));
    let lost = fact.lost.map_or_else(String::new, lost);
    format!("{first} to {last}, sessions: {}{lost}", fact.sessions)
}

fn time(seconds: u64) -> String {
    written(Timestamp::from_unix(seconds))
}
