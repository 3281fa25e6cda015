//! `danelaw except add|list|renew|remove`: exceptions of the running proxy, or in its store where none runs.

mod render;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{ArgGroup, Args, Subcommand};

use super::Exit;
use super::desk::{self, Whom};
use crate::calendar::{self, Day};
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::control;
use crate::control::client::Question;
use crate::control::continuity::Listed;
use crate::control::except::{New, Request, View};
use crate::policy::exceptions::{DAY, What};
use crate::policy::scope::Scope;

/// For the help of all commands together.
pub(super) const EXAMPLES: &str = "\
Examples:
  danelaw except add partner.example encrypt --days 14 --reason \"expired certificate, ticket 4711\"
  danelaw except list
  danelaw except renew 4k7m2q9x --days 14
  danelaw except remove 4k7m2q9x";

/// What to do.
#[derive(Subcommand)]
pub(super) enum Command {
    /// Makes an exception for a domain, or those of a file.
    #[command(after_help = "\
WHAT is one of
  none            opportunistic TLS, whatever the domain publishes
  encrypt         TLS without authentication, whatever the domain publishes
  webpki          a certificate of a trusted CA for the MX host, even without a policy
  mta-sts         an MTA-STS policy must be there and hold
  dane            DANE must be there and hold
  pin sha256/…    the server's own key must be this one (or one of up to eight)
  nta             a negative trust anchor: DNSSEC at the name and below counts as absent

Examples:
  danelaw except add partner.example encrypt --days 14 --reason \"expired certificate, ticket 4711\"
  danelaw except add '*.bank.example' dane --until 2026-12-31 --reason \"contract\" --author alice
  danelaw except add old.example pin sha256/… sha256/… --days 90 --reason \"no DNSSEC there\"
  danelaw except add --file exceptions.toml

Exit codes:
  0   made
  1   there is one for the domain already; nothing was changed
  2   a rule is broken, nobody could be asked, or the store cannot be used; nothing was changed
  64  the command line is wrong")]
    Add(Box<Add>),
    /// Shows the exceptions, the first to end first.
    #[command(after_help = "\
Examples:
  danelaw except list
  danelaw except list --all --json | jq -r '.[] | select(.ended) | .id'

Exit codes:
  0   shown, also when there are none
  2   nobody could be asked, or the store cannot be used
  64  the command line is wrong")]
    List(List),
    /// Grants an exception anew, under the same id.
    #[command(after_help = "\
Examples:
  danelaw except renew 4k7m2q9x --days 14

Exit codes:
  0   renewed
  1   there is none by this id, or it stands in the configuration; nothing was changed
  2   a rule is broken, nobody could be asked, or the store cannot be used; nothing was changed
  64  the command line is wrong")]
    Renew(Renew),
    /// Takes an exception back.
    #[command(after_help = "\
Examples:
  danelaw except remove 4k7m2q9x

Exit codes:
  0   removed
  1   there is none by this id, or it stands in the configuration; nothing was changed
  2   nobody could be asked, or the store cannot be used
  64  the command line is wrong")]
    Remove(Remove),
}

/// How long.
#[derive(Args)]
#[command(group(ArgGroup::new("end").args(["days", "until"])))]
struct Life {
    /// So many days from now.
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=366))]
    days: Option<u32>,
    /// Until this day, which is still part of it, or this time (UTC).
    #[arg(long, value_name = "TIME", value_parser = until)]
    until: Option<Timestamp>,
}

/// A new exception.
#[derive(Args)]
pub(super) struct Add {
    /// example.org, or '*.example.org' for all below it.
    #[arg(value_name = "DOMAIN", required_unless_present = "file")]
    domain: Option<Scope>,
    /// What holds for it.
    #[arg(value_name = "WHAT", required_unless_present = "file")]
    what: Vec<String>,
    /// Why.
    #[arg(long, required_unless_present = "file")]
    reason: Option<String>,
    /// Who wants it; the user who types this by default.
    #[arg(long)]
    author: Option<String>,
    #[command(flatten)]
    life: Life,
    /// A file of `[[exception]]` tables, as in the configuration: all of them, or none when one is wrong.
    #[arg(long, value_name = "FILE",
        conflicts_with_all = ["domain", "what", "reason", "author", "days", "until"])]
    file: Option<PathBuf>,
    #[command(flatten)]
    place: Asked,
}

/// Which.
#[derive(Args)]
pub(super) struct List {
    /// Those too that have ended.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    place: Asked,
}

/// Which, and how long.
#[derive(Args)]
pub(super) struct Renew {
    /// The exception's id.
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    life: Life,
    #[command(flatten)]
    place: Asked,
}

/// Which.
#[derive(Args)]
pub(super) struct Remove {
    /// The exception's id.
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    place: Asked,
}

/// Whom, and how the answer is shown.
#[derive(Args)]
struct Asked {
    /// Prints JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    whom: Whom,
}

/// Runs the command.
pub(super) fn run(command: &Command) -> anyhow::Result<ExitCode> {
    let now = SystemClock.wall();
    let done = match command {
        Command::Add(add) => make(add, now),
        Command::List(list) => list.place.ask(Request::List { all: list.all }, Vec::new()),
        Command::Renew(renew) => grant(renew, now),
        Command::Remove(remove) => {
            let id = remove.id.clone();
            remove.place.ask(Request::Remove { id }, Vec::new())
        }
    };
    desk::ended(done)
}

fn make(add: &Add, now: Timestamp) -> anyhow::Result<Exit> {
    let (request, body) = match &add.file {
        Some(file) => {
            let name = file.display().to_string();
            (Request::AddFile { name }, read(file)?)
        }
        None => (Request::Add(add.wanted(now)?), Vec::new()),
    };
    add.place.ask(request, body)
}

fn grant(renew: &Renew, now: Timestamp) -> anyhow::Result<Exit> {
    let (id, expires) = (renew.id.clone(), renew.life.end(now)?);
    renew.place.ask(Request::Renew { id, expires }, Vec::new())
}

impl Add {
    fn wanted(&self, now: Timestamp) -> anyhow::Result<New> {
        let (Some(scope), Some(reason)) = (&self.domain, &self.reason) else {
            bail!("expected a domain and a reason");
        };
        let what: What = self.what.join(" ").parse()?;
        Ok(New {
            domain: scope.to_string(),
            what: what.to_string(),
            author: match &self.author {
                Some(author) => author.clone(),
                None => user()?,
            },
            reason: reason.clone(),
            expires: self.life.end(now)?,
        })
    }
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    #[expect(
        clippy::disallowed_methods,
        reason = "IO: reads the file that is named"
    )]
    std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))
}

impl Asked {
    fn ask(&self, request: Request, body: Vec<u8>) -> anyhow::Result<Exit> {
        let is_list = matches!(request, Request::List { .. });
        let question = Question {
            request: control::Request::Except(request),
            body,
        };
        let mut all: Vec<View> = Vec::new();
        let _: Listed = self
            .whom
            .at_the_desk(async |desk| Ok(desk.ask_each(question, |one| all.push(one)).await?))?;
        let mut out = io::stdout().lock();
        if self.json {
            desk::pretty(&mut out, &all)?;
        } else if is_list && all.is_empty() {
            writeln!(out, "no exceptions")?;
        } else {
            render::table(&mut out, &all)?;
        }
        Ok(Exit::Ok)
    }
}

impl Life {
    fn end(&self, now: Timestamp) -> anyhow::Result<Timestamp> {
        match (self.days, self.until) {
            (Some(days), _) => Ok(now.plus(DAY * days)),
            (None, Some(until)) => Ok(until),
            (None, None) => bail!("expires: expected --days or --until: no exception is for ever"),
        }
    }
}

fn until(text: &str) -> Result<Timestamp, calendar::NoTime> {
    calendar::read_day(text, Day::Ends)
}

fn user() -> anyhow::Result<String> {
    let id = nix::unistd::getuid();
    let user = nix::unistd::User::from_uid(id).context("the user database cannot be read")?;
    Ok(user.map_or_else(|| format!("uid {id}"), |user| user.name))
}
