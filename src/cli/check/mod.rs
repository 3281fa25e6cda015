//! `danelaw check DOMAIN…`: how mail to a domain would be judged now, by the code that judges deliveries.

mod findings;
mod inquiry;
mod render;

use std::process::ExitCode;
use std::sync::Arc;

use self::findings::DomainFindings;
pub(super) use self::findings::{Outcome, Problem};
pub(super) use self::render::problem_text;
use super::Exit;
use super::sources::{Connecting, Sources, watched};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::name::{DnsName, Domain};
use crate::proxy::engine::Engine;
use crate::proxy::probe::Prober;

/// What to check, and with what.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  danelaw check example.com
  danelaw check --json example.com example.net | jq 'select(.exit != 0)'
  danelaw check --no-connect example.com          # what is demanded, without connecting to any MX
  danelaw check --resolver 127.0.0.1 --config /etc/danelaw/danelaw.toml example.com

Exit codes:
  0   every destination is authenticated as the domain demands, or nothing is demanded
  1   mail to some destination would be refused
  2   it could not be found out: DNS or an MX host did not answer, or the check could not start
  64  the command line is wrong")]
pub(super) struct Args {
    /// Domains, as on the right of an address.
    #[arg(required = true, value_name = "DOMAIN")]
    domains: Vec<String>,
    /// Prints one JSON object per domain.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    sources: Sources,
    #[command(flatten)]
    connecting: Connecting,
}

/// Checks each domain, prints what was found, and ends with the worst exit code.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let config = args.sources.config()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let engine = Arc::new(Engine::new(&config, Arc::new(SystemClock))?);
        args.sources.learn_exceptions(&engine)?;
        let worst = watched(&engine, args.check_all(&engine, &config)).await?;
        Ok(Exit::from(worst).into())
    })
}

impl Args {
    async fn check_all(&self, engine: &Arc<Engine>, config: &Config) -> anyhow::Result<Outcome> {
        let prober = self.connecting.prober(engine, config)?;
        let mut worst = Outcome::Good;
        for domain in &self.domains {
            let findings = self.check(engine, domain, prober.as_ref()).await;
            worst = worst.max(findings.outcome());
            let mut out = std::io::stdout().lock();
            if self.json {
                render::json(&mut out, &findings)?;
            } else {
                render::text(&mut out, &findings)?;
            }
        }
        Ok(worst)
    }

    async fn check(&self, engine: &Engine, text: &str, prober: Option<&Prober>) -> DomainFindings {
        match DnsName::parse_unicode(text) {
            Ok(name) => {
                inquiry::inquire(engine, &Domain::new(name), self.connecting.port, prober).await
            }
            Err(why) => DomainFindings::not_a_domain(text, why),
        }
    }
}

impl From<Outcome> for Exit {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Good => Self::Ok,
            Outcome::Refused => Self::Negative,
            Outcome::Unknown => Self::Unknown,
        }
    }
}
