//! `danelaw check DOMAIN…`: how mail to a domain would be judged now, by the code that judges deliveries.

mod findings;
mod inquiry;
mod render;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;

use self::findings::{DomainFindings, Outcome};
use super::Exit;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::name::{DnsName, Domain};
use crate::proxy::dial::Dialer;
use crate::proxy::engine::Engine;
use crate::proxy::probe::Prober;

/// What to check, and with what.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  danelaw check example.com
  danelaw check --json example.com example.net | jq 'select(.exit != 0)'
  danelaw check --no-connect example.com          # what is demanded, without connecting to any MX
  danelaw check --resolver 127.0.0.1 --config /etc/danelaw.toml example.com

Exit codes:
  0   every destination is authenticated as the domain demands, or nothing is demanded
  1   mail to some destination would be refused
  2   it could not be found out: DNS or an MX host did not answer, or the check could not start
  64  the command line is wrong")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub(super) struct Args {
    /// Domains, as on the right of an address.
    #[arg(required = true, value_name = "DOMAIN")]
    domains: Vec<String>,
    /// Prints one JSON object per domain.
    #[arg(long)]
    json: bool,
    /// Says what is demanded and connects to no MX host.
    #[arg(long)]
    no_connect: bool,
    /// Takes DNS, policy and TLS settings from the proxy's configuration file.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A recursive resolver instead of the system's; may be repeated.
    #[arg(long, value_name = "ADDRESS[:PORT]", value_parser = resolver)]
    resolver: Vec<SocketAddr>,
    /// DNSKEY records to trust instead of the IANA root keys.
    #[arg(long, value_name = "FILE")]
    trust_anchor: Option<PathBuf>,
    /// A PEM bundle of CAs instead of the system's.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// The SMTP port of the MX hosts.
    #[arg(long, value_name = "PORT", default_value_t = 25)]
    port: u16,
    /// The HTTPS port of policy hosts, for labs.
    #[arg(long, value_name = "PORT")]
    policy_port: Option<u16>,
    /// Allows policy hosts on addresses that are not public, for labs.
    #[arg(long)]
    allow_private: bool,
    /// The name to greet MX hosts with.
    #[arg(long, value_name = "NAME", default_value = "localhost.localdomain")]
    helo: DnsName,
    /// How long one MX host may take, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60,
        value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,
}

/// Checks each domain, prints what was found, and ends with the worst exit code.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let config = args.config()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let engine = Arc::new(Engine::new(&config, Arc::new(SystemClock))?);
        tokio::select! {
            worst = args.check_all(&engine, &config) => Ok(Exit::from(worst?).into()),
            // The answers about the domains wait for the first probes.
            never = engine.monitor.watch() => match never {},
        }
    })
}

impl Args {
    async fn check_all(&self, engine: &Arc<Engine>, config: &Config) -> anyhow::Result<Outcome> {
        let prober = self.prober(engine, config)?;
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
            Ok(name) => inquiry::inquire(engine, &Domain::new(name), self.port, prober).await,
            Err(why) => DomainFindings::not_a_domain(text, why),
        }
    }

    fn prober(&self, engine: &Arc<Engine>, config: &Config) -> anyhow::Result<Option<Prober>> {
        if self.no_connect {
            return Ok(None);
        }
        let dialer = Dialer::new(config.upstream)?;
        let patience = Duration::from_secs(self.timeout);
        Ok(Some(Prober::new(
            Arc::clone(engine),
            dialer,
            self.helo.clone(),
            patience,
        )))
    }

    fn config(&self) -> anyhow::Result<Config> {
        let mut config = match &self.config {
            Some(file) => Config::load(file)?.config,
            None => Config::default(),
        };
        // A check leaves no traces in the proxy's store.
        config.store = None;
        if !self.resolver.is_empty() {
            config.dns.resolvers.clone_from(&self.resolver);
        }
        if let Some(file) = &self.trust_anchor {
            config.dns.trust_anchor = Some(file.clone());
        }
        if let Some(file) = &self.ca_file {
            config.ca_file = Some(file.clone());
        }
        if let Some(port) = self.policy_port {
            config.mta_sts.port = port;
        }
        config.mta_sts.allow_private |= self.allow_private;
        Ok(config)
    }
}

fn resolver(text: &str) -> anyhow::Result<SocketAddr> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(SocketAddr::new(address, 53));
    }
    text.parse()
        .context("expected an address such as 192.0.2.53, 192.0.2.53:5300 or [2001:db8::53]:53")
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
