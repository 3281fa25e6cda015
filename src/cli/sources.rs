//! Whom a command asks and how it connects: the options that commands share.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::desk::missing;
use crate::config::{Config, StorePlace};
use crate::dns::recursor::ServerAddress;
use crate::name::DnsName;
use crate::proxy::dial::Dialer;
use crate::proxy::engine::Engine;
use crate::proxy::probe::Prober;
use crate::store;

/// Whom DNS is asked of, and what is trusted.
#[derive(clap::Args)]
pub(super) struct DnsSources {
    /// Takes DNS, policy and TLS settings from the proxy's configuration file.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A recursive resolver instead of the system's, by TLS as tls://ADDRESS#NAME; may be repeated.
    #[arg(long, value_name = "ADDRESS[:PORT]")]
    resolver: Vec<ServerAddress>,
    /// DNSKEY or DS records to trust instead of the IANA root keys.
    #[arg(long, value_name = "FILE")]
    trust_anchor: Option<PathBuf>,
    /// A PEM bundle of CAs instead of the system's.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

/// Where DNS answers, CAs and policies come from.
#[derive(clap::Args)]
pub(super) struct Sources {
    #[command(flatten)]
    dns: DnsSources,
    /// The HTTPS port of policy hosts, for labs.
    #[arg(long, value_name = "PORT")]
    policy_port: Option<u16>,
    /// Allows policy hosts on addresses that are not public, for labs.
    #[arg(long)]
    allow_private: bool,
}

/// How MX hosts are connected to.
#[derive(clap::Args)]
pub(super) struct Connecting {
    /// Connects to no MX host.
    #[arg(long)]
    no_connect: bool,
    /// The SMTP port of the MX hosts.
    #[arg(long, value_name = "PORT", default_value_t = 25)]
    pub(super) port: u16,
    /// The name to greet MX hosts with.
    #[arg(long, value_name = "NAME", default_value = "localhost.localdomain")]
    helo: DnsName,
    /// How long one MX host may take, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60,
        value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,
}

impl DnsSources {
    /// The configuration that they amount to.
    pub(super) fn config(&self) -> anyhow::Result<Config> {
        let mut config = match &self.config {
            Some(file) => Config::load(file)?.config,
            None => Config::default(),
        };
        if !self.resolver.is_empty() {
            config.dns.resolvers.clone_from(&self.resolver);
        }
        if let Some(file) = &self.trust_anchor {
            config.dns.trust_anchor = Some(file.clone());
        }
        if let Some(file) = &self.ca_file {
            config.ca_file = Some(file.clone());
        }
        Ok(config)
    }
}

impl Sources {
    /// Lets the engine know of the exceptions in the proxy's store, which it reads and leaves as it is.
    pub(super) fn learn_exceptions(&self, engine: &Engine) -> anyhow::Result<()> {
        let store = self.dns.config()?.store;
        // A file that is not there yet is not made by looking into it.
        if store.place != StorePlace::Memory && missing(&store.place).is_none() {
            engine.exceptions.load(&*store::open(&store)?)?;
        }
        Ok(())
    }

    /// The configuration that they amount to.
    pub(super) fn config(&self) -> anyhow::Result<Config> {
        let mut config = self.dns.config()?;
        // A check leaves no traces in the proxy's store.
        config.store.place = StorePlace::Memory;
        if let Some(port) = self.policy_port {
            config.mta_sts.port = port;
        }
        config.mta_sts.allow_private |= self.allow_private;
        Ok(config)
    }
}

impl Connecting {
    /// What makes the connections; nothing where none are wanted.
    pub(super) fn prober(
        &self,
        engine: &Arc<Engine>,
        config: &Config,
    ) -> anyhow::Result<Option<Prober>> {
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
}

/// Does `work` while the engine watches whether its resolver validates: the answers wait for the first probes.
pub(super) async fn watched<T>(engine: &Engine, work: impl Future<Output = T>) -> T {
    tokio::select! {
        done = work => done,
        never = engine.monitor.watch() => match never {},
    }
}
