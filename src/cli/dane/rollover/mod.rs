//! `danelaw dane rollover DOMAIN`: whether the MX hosts of a domain are ready to change their key (RFC 7671 §8.1).

mod findings;
mod inquiry;
mod next;
mod render;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::anyhow;

use self::findings::Outcome;
use self::next::Next;
use crate::cli::Exit;
use crate::cli::sources::{Connecting, Sources, watched};
use crate::clock::SystemClock;
use crate::name::{DnsName, Domain};
use crate::proxy::engine::Engine;

/// Which domain, and what comes next.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  danelaw dane rollover example.com --cert next.pem         # is its record published, and does the present one match?
  danelaw dane rollover example.com --key next.pub.pem      # the same before there is a certificate
  danelaw dane rollover example.com                         # is any record published beside the one in use?
  danelaw dane rollover --no-connect --json --resolver 127.0.0.1 example.com --key next.pub.pem

Exit codes:
  0   ready: at every MX host the present key matches and the next one is published
  1   not ready
  2   it could not be found out: DNS or an MX host did not answer, or bad input
  64  the command line is wrong")]
pub(in crate::cli) struct Args {
    /// The domain, as on the right of an address.
    #[arg(value_name = "DOMAIN")]
    domain: String,
    /// The certificate that comes next, in PEM, with its chain.
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    cert: Option<PathBuf>,
    /// The public key that comes next, in PEM.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Prints a JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    sources: Sources,
    #[command(flatten)]
    connecting: Connecting,
}

/// Asks, prints, and ends with the worst exit code.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let next = Next::read(args.cert.as_deref(), args.key.as_deref())?;
    let domain = DnsName::parse_unicode(&args.domain).map_err(|why| {
        anyhow!(
            "expected a domain such as example.com, got {:?}: {why}",
            args.domain
        )
    })?;
    let config = args.sources.config()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let engine = Arc::new(Engine::new(&config, Arc::new(SystemClock))?);
        let inquiry = inquiry::Inquiry {
            prober: args.connecting.prober(&engine, &config)?,
            engine: Arc::clone(&engine),
            domain: Domain::new(domain),
            port: args.connecting.port,
            next,
        };
        let findings = watched(&engine, inquiry.ask()).await;
        let mut out = io::stdout().lock();
        if args.json {
            render::json(&mut out, &findings)?;
        } else {
            render::text(&mut out, &findings)?;
        }
        Ok(Exit::from(findings.outcome()).into())
    })
}

impl From<Outcome> for Exit {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Ready => Self::Ok,
            Outcome::NotReady => Self::Negative,
            Outcome::Unknown => Self::Unknown,
        }
    }
}
