//! `danelaw policy list|show|refresh|drop|export|import`: the MTA-STS policies that the proxy knows.

mod render;
mod transfer;

use std::io;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};

use super::Exit;
use super::desk::{self, Form, Whom};
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::control;
use crate::control::client::Desk;
use crate::control::policy::{Filter, Listed, Refresh, Refreshed, Request, View};

/// For the help of all commands together.
pub(super) const EXAMPLES: &str = "\
Examples:
  danelaw policy list --mode enforce --expiring 7
  danelaw policy show example.com
  danelaw policy refresh example.com example.org
  danelaw policy drop example.com
  danelaw policy export policies.jsonl";

/// What to do.
#[derive(Subcommand)]
pub(super) enum Command {
    /// Lists the domains with a policy: mode, end, and whether the last refresh failed.
    #[command(after_help = "\
Examples:
  danelaw policy list
  danelaw policy list --mode enforce --expiring 7
  danelaw policy list --json | jq -r 'select(.failure) | .domain'

Exit codes:
  0   listed, perhaps none
  2   nobody could be asked, or the store cannot be read
  64  the command line is wrong")]
    List(List),
    /// Shows one domain: the policy's text, when it was fetched, until when it holds, what was heard last.
    #[command(after_help = "\
Examples:
  danelaw policy show example.com
  danelaw policy show example.com --json | jq -r .policy.text

Exit codes:
  0   shown
  1   nothing is known of the domain
  2   nobody could be asked, or the store cannot be read
  64  the command line is wrong")]
    Show(One),
    /// Asks for the records and fetches the policies now, and says what has changed; what is in force stays in force
    /// when that fails.
    #[command(after_help = "\
Examples:
  danelaw policy refresh example.com example.org
  danelaw policy refresh --all
  danelaw policy refresh --all --json | jq -r 'select(.outcome == \"failed\") | .after.domain'

Exit codes:
  0   all were looked at anew
  1   some records or policies could not be had
  2   nobody could be asked
  64  the command line is wrong")]
    Refresh(Anew),
    /// Forgets a domain's policy, in memory and in the store, so that its next contact is a first one.
    ///
    /// For a domain that was announced by an attacker once and cannot serve a newer policy. Until its policy is fetched again nothing
    /// is enforced for it, and whoever can block that fetch keeps it so.
    #[command(after_help = "\
Examples:
  danelaw policy drop example.com
  danelaw policy drop example.com && danelaw policy refresh example.com

Exit codes:
  0   forgotten
  1   nothing was known of the domain
  2   nobody could be asked, or the store cannot be written
  64  the command line is wrong")]
    Drop(One),
    /// Writes every policy in force to a file, a line of JSON each, for another node or as a copy.
    #[command(after_help = transfer::EXPORT_HELP)]
    Export(transfer::Export),
    /// Takes over the policies of a file that `danelaw policy export` has written: all of them or, when one line is
    /// damaged or would loosen a policy that this node holds, none.
    #[command(after_help = transfer::IMPORT_HELP)]
    Import(transfer::Import),
}

/// Which policies.
#[derive(Args)]
pub(super) struct List {
    /// Only policies of this mode.
    #[arg(long, value_enum)]
    mode: Option<Mode>,
    /// Only policies that end within so many days unless they are fetched again, or have ended.
    #[arg(long, value_name = "DAYS")]
    expiring: Option<u32>,
    /// Prints one JSON object per domain.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    whom: Whom,
}

/// The modes of RFC 8461 §5.
#[derive(Clone, Copy, ValueEnum)]
enum Mode {
    Enforce,
    Testing,
    None,
}

/// Which domain.
#[derive(Args)]
pub(super) struct One {
    /// A domain, as on the right of an address.
    domain: String,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    whom: Whom,
}

/// Which domains.
#[derive(Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of its own"
)]
pub(super) struct Anew {
    /// Domains, as on the right of an address.
    #[arg(
        value_name = "DOMAIN",
        required_unless_present = "all",
        conflicts_with = "all"
    )]
    domains: Vec<String>,
    /// Every domain with a policy.
    #[arg(long)]
    all: bool,
    /// Prints one JSON object per domain.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    whom: Whom,
}

/// Runs the command.
pub(super) fn run(command: &Command) -> anyhow::Result<ExitCode> {
    let done = match command {
        Command::List(args) => args.whom.at_the_desk(async |desk| list(desk, args).await),
        Command::Show(args) => args.whom.at_the_desk(async |desk| show(desk, args).await),
        Command::Refresh(args) => args
            .whom
            .at_the_desk(async |desk| refresh(desk, args).await),
        Command::Export(args) => transfer::export(args),
        Command::Import(args) => transfer::import(args),
        Command::Drop(args) => args
            .whom
            .at_the_desk(async |desk| drop_one(desk, args).await),
    };
    desk::ended(done)
}

async fn list(desk: &Desk, args: &List) -> anyhow::Result<Exit> {
    let filter = Filter {
        mode: args.mode.map(|mode| mode.label().to_owned()),
        expiring_days: args.expiring,
    };
    let (now, form) = (now(), Form::of(args.json));
    let request = control::Request::Policy(Request::List(filter));
    let mut out = io::stdout().lock();
    let listed: Listed = desk::write_each(desk, request, &mut out, |out, view: &View| {
        form.write(out, view, |out, view| render::row(out, view, now))
    })
    .await?;
    if !args.json {
        render::count(&mut out, listed)?;
    }
    Ok(Exit::Ok)
}

async fn show(desk: &Desk, args: &One) -> anyhow::Result<Exit> {
    let domain = args.domain.clone();
    let view: View = desk
        .ask(control::Request::Policy(Request::Show { domain }))
        .await?;
    let mut out = io::stdout().lock();
    Form::of(args.json).write(&mut out, &view, |out, view| render::view(out, view, now()))?;
    Ok(Exit::Ok)
}

async fn refresh(desk: &Desk, args: &Anew) -> anyhow::Result<Exit> {
    let domains = (!args.all).then(|| args.domains.clone());
    let form = Form::of(args.json);
    let request = control::Request::Policy(Request::Refresh { domains });
    let mut out = io::stdout().lock();
    let refreshed: Refreshed = desk::write_each(desk, request, &mut out, |out, told: &Refresh| {
        form.write(out, told, render::refresh)
    })
    .await?;
    Ok(if refreshed.failed == 0 {
        Exit::Ok
    } else {
        Exit::Negative
    })
}

async fn drop_one(desk: &Desk, args: &One) -> anyhow::Result<Exit> {
    let domain = args.domain.clone();
    let view: View = desk
        .ask(control::Request::Policy(Request::Drop { domain }))
        .await?;
    let mut out = io::stdout().lock();
    Form::of(args.json).write(&mut out, &view, render::dropped)?;
    Ok(Exit::Ok)
}

fn now() -> Timestamp {
    SystemClock.wall()
}

impl Mode {
    const fn label(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Testing => "testing",
            Self::None => "none",
        }
    }
}
