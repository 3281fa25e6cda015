//! `danelaw trace`: why a recipient was refused, or relayed, with all the evidence.

mod render;

use std::io::{self, Write};
use std::process::ExitCode;

use super::Exit;
use super::desk::{self, Form, Whom};
use crate::control;
use crate::control::trace::{Found, Request};
use crate::report::trace::Trace;

/// Which decisions.
#[derive(clap::Args)]
#[command(
    group = clap::ArgGroup::new("which").required(true).args(["id", "domain", "last"]),
    after_help = "\
Examples:
  danelaw trace 7Q2M9KXA                 # the id that stands in the mail server's log
  danelaw trace --domain example.com
  danelaw trace --last 5
  danelaw trace --last 100 --json | jq -r '.domain + \" \" + .outcome.rule'

Exit codes:
  0   shown
  1   there is no such trace; which ones are kept is said in the configuration ([trace])
  2   nobody could be asked, or the store cannot be read
  64  the command line is wrong"
)]
pub(super) struct Args {
    /// The id that stands in a refusal.
    #[arg(value_name = "ID")]
    id: Option<String>,
    /// The decisions about a recipient's domain, newest first.
    #[arg(long, value_name = "DOMAIN")]
    domain: Option<String>,
    /// The newest decisions, newest first.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    last: Option<u16>,
    /// Prints one JSON object per decision.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    whom: Whom,
}

/// Runs the command.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let request = control::Request::Trace(args.request());
    let done = args.whom.at_the_desk(async |desk| {
        let mut is_first = true;
        let mut out = io::stdout().lock();
        let _: Found = desk::write_each(desk, request, &mut out, |out, trace: &Trace| {
            args.show(out, trace, std::mem::take(&mut is_first))
        })
        .await?;
        Ok(Exit::Ok)
    });
    desk::ended(done)
}

impl Args {
    fn request(&self) -> Request {
        const OF_A_DOMAIN: usize = 20;
        match (&self.id, &self.domain, self.last) {
            (Some(id), ..) => Request::Id { id: id.clone() },
            (None, Some(domain), _) => Request::Domain {
                domain: domain.clone(),
                limit: OF_A_DOMAIN,
            },
            (None, None, last) => Request::Last {
                limit: last.map_or(1, usize::from),
            },
        }
    }

    #[expect(clippy::fn_params_excessive_bools, reason = "it is what it says")]
    fn show(&self, out: &mut impl Write, trace: &Trace, is_first: bool) -> io::Result<()> {
        Form::of(self.json).write(out, trace, |out, trace| {
            if !is_first {
                writeln!(out)?;
            }
            render::story(out, trace)
        })
    }
}
