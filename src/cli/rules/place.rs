//! Which configuration the rules follow, and what the command line says in its place.

use std::path::{Path, PathBuf};

use clap::Args;
use ipnet::IpNet;

use crate::config::{Config, Interface, Layout, OwnBy, defaults};
use crate::intercept::rules::kernel;
use crate::intercept::rules::plan::Plan;

/// Where the rules come from.
#[derive(Args)]
pub(super) struct Place {
    /// The proxy's configuration; without the default one, its defaults hold.
    #[arg(long, value_name = "FILE", default_value = defaults::PATH)]
    config: PathBuf,
    /// Where danelaw stands, where the listeners leave it open [intercept.layout].
    #[arg(long, value_enum)]
    layout: Option<Layout>,
    /// The user that danelaw runs as, a name or a number [intercept.user].
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// By what danelaw's own connections are known [intercept.guard].
    #[arg(long, value_enum)]
    guard: Option<OwnBy>,
    /// The listener's port, where the listeners leave it open [intercept.listener_port].
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    listener_port: Option<u16>,
    /// The ports whose connections are taken over [intercept.ports].
    #[arg(long, value_name = "PORTS", value_delimiter = ',',
        value_parser = clap::value_parser!(u16).range(1..))]
    ports: Option<Vec<u16>>,
    /// Networks whose connections are not [intercept.exempt].
    #[arg(long, value_name = "NETWORKS", value_delimiter = ',', value_parser = network)]
    exempt: Option<Vec<IpNet>>,
    /// On a gateway, the interfaces that mail servers are behind [intercept.clients].
    #[arg(long, value_name = "INTERFACES", value_delimiter = ',')]
    clients: Option<Vec<Interface>>,
    /// On a gateway with TPROXY, the interfaces that the world is behind [intercept.uplinks].
    #[arg(long, value_name = "INTERFACES", value_delimiter = ',')]
    uplinks: Option<Vec<Interface>>,
}

impl Place {
    /// What the rules are to do.
    pub(super) fn plan(&self) -> anyhow::Result<Plan> {
        Ok(Plan::of(&self.config()?, kernel::uid_of)?)
    }

    fn config(&self) -> anyhow::Result<Config> {
        let is_needed = self.config != Path::new(defaults::PATH) || self.config.exists();
        let mut config = match is_needed {
            true => Config::load(&self.config)?.config,
            false => Config::default(),
        };
        let intercept = &mut config.intercept;
        intercept.layout = self.layout.or(intercept.layout);
        intercept.guard = self.guard.unwrap_or(intercept.guard);
        intercept.listener_port = self.listener_port.or(intercept.listener_port);
        take(&mut intercept.user, self.user.as_ref());
        take(&mut intercept.ports, self.ports.as_ref());
        take(&mut intercept.exempt, self.exempt.as_ref());
        take(&mut intercept.clients, self.clients.as_ref());
        take(&mut intercept.uplinks, self.uplinks.as_ref());
        Ok(config)
    }
}

fn take<T: Clone>(configured: &mut T, said: Option<&T>) {
    if let Some(said) = said {
        configured.clone_from(said);
    }
}

/// A network, or an address alone.
pub(super) fn network(text: &str) -> Result<IpNet, String> {
    let network = text
        .parse::<IpNet>()
        .or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from))
        .map_err(|_| {
            "expected a network or an address, as 192.0.2.0/24 or 2001:db8::1".to_owned()
        })?;
    if network == network.trunc() {
        return Ok(network);
    }
    Err(format!(
        "expected a network without bits beyond its prefix, as {}",
        network.trunc()
    ))
}
