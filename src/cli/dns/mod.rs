//! `danelaw dns NAME TYPE`: what a delivery would believe about a name, and why.

mod render;

use std::process::ExitCode;
use std::sync::Arc;

use super::Exit;
use super::sources::DnsSources;
use crate::clock::{Clock, SystemClock};
use crate::dns::recursor::ServerAddress;
use crate::dns::resolver::{Explained, NoQuestion, Resolver};
use crate::dns::{Answer, Denial};
use crate::proxy::engine::resolver;
use crate::tls::roots;
use crate::x509::path::Roots;

/// What to ask, and whom.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  danelaw dns _25._tcp.mx.example.com TLSA
  danelaw dns example.com MX --resolver 127.0.0.1 --resolver tls://192.0.2.53#resolver.example
  danelaw dns --json _25._tcp.mx.example.com TLSA | jq .status

Exit codes:
  0   secure: signed, or proven not to be there
  1   insecure: a zone on the way to it is proven to be unsigned
  2   bogus, or no answer: nothing may be concluded; or a file that is named cannot be used
  64  the command line is wrong")]
pub(super) struct Args {
    /// A name; always taken as fully qualified.
    name: String,
    /// A record type, such as TLSA, MX, A, AAAA, CNAME, NS, SOA, TXT.
    #[arg(value_name = "TYPE")]
    record_type: String,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    sources: DnsSources,
}

/// Asks, prints, and ends with the status.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let resolver = args.resolver()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let asking = resolver.explain(&args.name, &args.record_type);
    let explained = match runtime.block_on(asking) {
        Ok(explained) => explained,
        Err(wrong) => return Ok(usage(&wrong)),
    };
    let now = SystemClock.wall();
    let mut out = std::io::stdout().lock();
    if args.json {
        render::json(&mut out, args, &explained, now)?;
    } else {
        render::text(&mut out, args, &explained, now)?;
    }
    Ok(status(&explained).into())
}

#[expect(clippy::print_stderr, reason = "IO: complaints on stderr")]
fn usage(wrong: &NoQuestion) -> ExitCode {
    eprintln!("danelaw: {wrong}");
    Exit::Usage.into()
}

fn status(explained: &Explained) -> Exit {
    match &explained.resolved.answer {
        Answer::Secure(_) => Exit::Ok,
        Answer::Insecure(_) => Exit::Negative,
        Answer::Absent(absence) => match absence.denial {
            Denial::Secure => Exit::Ok,
            Denial::Insecure => Exit::Negative,
        },
        Answer::Failed(_) => Exit::Unknown,
    }
}

impl Args {
    fn resolver(&self) -> anyhow::Result<Resolver> {
        let config = self.sources.config()?;
        // Without TLS no CA is needed, and a machine without any can ask all the same.
        let by_tls = |server: &ServerAddress| server.tls_name.is_some();
        let roots = if config.dns.resolvers.iter().any(by_tls) {
            roots::load(config.ca_file.as_deref())?
        } else {
            Roots::new(Vec::new())
        };
        Ok(resolver(
            &config.dns,
            &Arc::new(roots),
            Arc::new(SystemClock),
        )?)
    }
}
