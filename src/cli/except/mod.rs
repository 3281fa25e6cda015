//! `danelaw except add|list|renew|remove`: exceptions in the proxy's store, which the running proxy follows.

mod render;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{ArgGroup, Args, Subcommand};

use super::Exit;
use super::stored::Stored;
use crate::calendar::{self, Day};
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::config::{self, ExceptionsConfig};
use crate::dns::resolver::Validate;
use crate::policy::exceptions::kept::{Kept, Source, Unchanged};
use crate::policy::exceptions::{DAY, Draft, Exception, Id, Terms, What};
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
  2   a rule is broken, or the store cannot be used; nothing was changed
  64  the command line is wrong")]
    Add(Box<Add>),
    /// Shows the exceptions, the first to end first.
    #[command(after_help = "\
Examples:
  danelaw except list
  danelaw except list --all --json | jq -r '.[] | select(.ended) | .id'

Exit codes:
  0   shown, also when there are none
  2   the store cannot be used
  64  the command line is wrong")]
    List(List),
    /// Grants an exception anew, under the same id.
    #[command(after_help = "\
Examples:
  danelaw except renew 4k7m2q9x --days 14

Exit codes:
  0   renewed
  1   there is none by this id, or it stands in the configuration; nothing was changed
  2   a rule is broken, or the store cannot be used; nothing was changed
  64  the command line is wrong")]
    Renew(Renew),
    /// Takes an exception back.
    #[command(after_help = "\
Examples:
  danelaw except remove 4k7m2q9x

Exit codes:
  0   removed
  1   there is none by this id, or it stands in the configuration; nothing was changed
  2   the store cannot be used
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
    place: Stored,
}

/// Which.
#[derive(Args)]
pub(super) struct List {
    /// Those too that have ended.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    place: Stored,
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
    place: Stored,
}

/// Which.
#[derive(Args)]
pub(super) struct Remove {
    /// The exception's id.
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    place: Stored,
}

/// Runs the command.
pub(super) fn run(command: &Command) -> anyhow::Result<ExitCode> {
    let now = SystemClock.wall();
    match command {
        Command::Add(add) => make(add, now),
        Command::List(list) => show(list, now),
        Command::Renew(renew) => grant(renew, now),
        Command::Remove(remove) => take_back(remove, now),
    }
}

fn make(add: &Add, now: Timestamp) -> anyhow::Result<ExitCode> {
    let config = add.place.config()?;
    let ExceptionsConfig { terms, declared } = &config.exceptions;
    let new = match &add.file {
        Some(file) => from_file(file, *terms, now)?,
        None => vec![add.exception(*terms, now)?],
    };
    if config.dns.validate == Validate::TrustAd && new.iter().any(|one| one.what().is_anchor()) {
        bail!(
            "what: expected no nta beside dns.validate = \"trust-ad\": only danelaw's own validation knows it; \
             put a negative trust anchor into the resolver"
        );
    }
    let store = add.place.open(&config)?;
    let done = Kept::new(&*store, declared, *terms).add(&new, now);
    finish(done.map(|()| new), &add.place, now)
}

impl Add {
    fn exception(&self, terms: Terms, now: Timestamp) -> anyhow::Result<Exception> {
        let (Some(scope), Some(reason)) = (&self.domain, &self.reason) else {
            bail!("expected a domain and a reason");
        };
        let what: What = self.what.join(" ").parse()?;
        let draft = Draft {
            scope: scope.clone(),
            what,
            author: match &self.author {
                Some(author) => author.clone(),
                None => user()?,
            },
            reason: reason.clone(),
            created: now,
            granted: now,
            expires: self.life.end(now)?,
        };
        Ok(draft.check(terms).map_err(Unchanged::Faults)?)
    }
}

fn from_file(file: &Path, terms: Terms, now: Timestamp) -> anyhow::Result<Vec<Exception>> {
    #[expect(
        clippy::disallowed_methods,
        reason = "IO: reads the file that is named"
    )]
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("{} cannot be read", file.display()))?;
    let read = config::exceptions(&text, file, terms, now);
    let read = read.map_err(|problems| anyhow::anyhow!("nothing is taken:\n{problems}"))?;
    if read.is_empty() {
        bail!(
            "{}: expected [[exception]] tables, got none",
            file.display()
        );
    }
    Ok(read)
}

fn show(list: &List, now: Timestamp) -> anyhow::Result<ExitCode> {
    let config = list.place.config()?;
    let ExceptionsConfig { terms, declared } = &config.exceptions;
    let store = list.place.open(&config)?;
    let mut all = Kept::new(&*store, declared, *terms).all()?;
    all.retain(|(one, _)| list.all || one.is_alive(now));
    let mut out = io::stdout().lock();
    if list.place.json {
        render::json(&mut out, &all, now)?;
    } else if all.is_empty() {
        writeln!(out, "no exceptions")?;
    } else {
        render::table(&mut out, &all, now)?;
    }
    Ok(Exit::Ok.into())
}

fn grant(renew: &Renew, now: Timestamp) -> anyhow::Result<ExitCode> {
    let config = renew.place.config()?;
    let ExceptionsConfig { terms, declared } = &config.exceptions;
    let store = renew.place.open(&config)?;
    let kept = Kept::new(&*store, declared, *terms);
    let done = kept.renew(&Id::typed(&renew.id), renew.life.end(now)?, now);
    finish(done.map(|one| vec![one]), &renew.place, now)
}

fn take_back(remove: &Remove, now: Timestamp) -> anyhow::Result<ExitCode> {
    let config = remove.place.config()?;
    let ExceptionsConfig { terms, declared } = &config.exceptions;
    let store = remove.place.open(&config)?;
    let done = Kept::new(&*store, declared, *terms).remove(&Id::typed(&remove.id), now);
    finish(done.map(|one| vec![one]), &remove.place, now)
}

/// What was done, or why nothing was.
fn finish(
    done: Result<Vec<Exception>, Unchanged>,
    place: &Stored,
    now: Timestamp,
) -> anyhow::Result<ExitCode> {
    match done {
        Ok(done) => {
            let done: Vec<_> = done.into_iter().map(|one| (one, Source::Store)).collect();
            let mut out = io::stdout().lock();
            if place.json {
                render::json(&mut out, &done, now)?;
            } else {
                render::table(&mut out, &done, now)?;
            }
            Ok(Exit::Ok.into())
        }
        Err(refused @ (Unchanged::Rival { .. } | Unchanged::None(_) | Unchanged::Declared(_))) => {
            writeln!(io::stderr(), "danelaw: {refused}")?;
            Ok(Exit::Negative.into())
        }
        Err(failed @ (Unchanged::Faults(_) | Unchanged::Store(_))) => Err(failed.into()),
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
