//! `danelaw sts lint FILE|DOMAIN`: a policy file before it is published, or what a domain publishes now.
#![expect(clippy::disallowed_methods, reason = "IO: reads the policy")]

use std::io::{self, Read};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;

use super::findings::{Findings, Outcome};
use super::{inquiry, render};
use crate::cli::Exit;
use crate::cli::sources::{Sources, watched};
use crate::clock::SystemClock;
use crate::mtasts::policy::MAX_BODY;
use crate::name::{DnsName, Domain};
use crate::proxy::engine::{Engine, fetcher};

/// What to look at.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  danelaw sts lint mta-sts.txt
  danelaw sts lint example.com
  danelaw sts lint --json example.com | jq '.findings[] | select(.severity == \"error\")'
  danelaw sts lint --fail-on warning - < mta-sts.txt

A file that exists is taken for a file; write ./example.com for one that is named like a domain. Of a domain the TXT
record is looked up, the policy is fetched, and the MX hosts are held against it.

Exit codes:
  0   no errors (with --fail-on warning: no warnings either)
  1   there are errors
  2   it could not be found out: the file cannot be read, DNS does not answer
  64  the command line is wrong")]
pub(in crate::cli) struct Args {
    /// A policy file, `-` for standard input, or a domain.
    #[arg(value_name = "FILE|DOMAIN")]
    subject: String,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
    /// What makes the exit code 1.
    #[arg(long, value_name = "SEVERITY", default_value = "error")]
    fail_on: FailOn,
    #[command(flatten)]
    sources: Sources,
}

/// From which severity on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum FailOn {
    /// What keeps senders from using the policy, or from delivering.
    Error,
    /// What is legal and unwise, too.
    Warning,
}

/// Looks, prints, and ends with the worst that was found.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let findings = match args.subject.as_str() {
        "-" => of_text(&args.subject, io::stdin().lock())?,
        path if path.contains('/') || Path::new(path).is_file() => {
            let file = std::fs::File::open(path).with_context(|| path.to_owned())?;
            of_text(path, file)?
        }
        domain => args.of_domain(domain)?,
    };
    let mut out = io::stdout().lock();
    if args.json {
        render::json(&mut out, &findings)?;
    } else {
        render::text(&mut out, &findings)?;
    }
    let exit = match findings.outcome() {
        Outcome::Good => Exit::Ok,
        Outcome::Warned => match args.fail_on {
            FailOn::Error => Exit::Ok,
            FailOn::Warning => Exit::Negative,
        },
        Outcome::Unknown => Exit::Unknown,
        Outcome::Wrong => Exit::Negative,
    };
    Ok(exit.into())
}

/// No more is read than tells that there is too much.
fn of_text(name: &str, source: impl Read) -> anyhow::Result<Findings> {
    let mut body = Vec::new();
    let read = source.take(MAX_BODY as u64 + 1).read_to_end(&mut body);
    read.with_context(|| name.to_owned())?;
    let mut findings = Findings::new(name.to_owned());
    findings.read(&body);
    Ok(findings)
}

impl Args {
    fn of_domain(&self, text: &str) -> anyhow::Result<Findings> {
        let name = DnsName::parse_unicode(text)
            .with_context(|| format!("{text:?} is neither a file nor a domain"))?;
        let (config, domain) = (self.sources.config()?, Domain::new(name));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let engine = Engine::new(&config, Arc::new(SystemClock))?;
            let fetcher = fetcher(&config.mta_sts, Arc::clone(&engine.lookup), &engine.roots)?;
            let inquiry = inquiry::inquire(&engine, &fetcher, &domain);
            Ok(watched(&engine, inquiry).await)
        })
    }
}
