//! The whole lab, up and running: the catalogue made real on loopback.
//!
//! [`World::start`] signs the zones, makes the certificates and starts every server: one DNS server, one policy host,
//! and one [`Sink`] for each host of each scenario, all on one port but each at a loopback address of its own, since
//! that is how MX hosts differ. A [`Stage`] is one scenario with its addresses. Everything is gone when the world is
//! dropped. [`WorldError`] says what could not be set up.
#![expect(
    clippy::disallowed_methods,
    reason = "IO: it writes anchor and CA files"
)]
#![expect(clippy::disallowed_types, reason = "IO: it binds the sinks' listeners")]

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpListener;

use super::catalogue::{self, Destination, Route, Scenario, Served};
use super::dns_server::DnsServer;
use super::pki::{Identity, Issuer, Leaf, Pki, PkiError, Validity};
use super::policy_host::{PolicyHost, PolicyResponse};
use super::publish::{Site, publish};
use super::sink::{EndOfData, Manner, Sink, Starttls};
use super::zones::{Plan, ZoneError};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, DnsConfig, ListenerConfig, StsConfig, UpstreamConfig};
use crate::dns::health::Probes;
use crate::dns::recursor::ServerAddress;
use crate::dns::resolver::Validate;
use crate::smtp::Timeouts;

/// A running world.
pub struct World {
    /// The DNS server.
    pub resolver: SocketAddr,
    /// A file with the root's DNSKEY.
    pub trust_anchor: PathBuf,
    /// A file with the lab root.
    pub ca_file: PathBuf,
    /// The port of all MX hosts.
    pub mx_port: u16,
    /// The port of all policy hosts.
    pub policy_port: u16,
    stages: Vec<Stage>,
    _dns: DnsServer,
    _policy_host: PolicyHost,
    _directory: TempDir,
}

/// One scenario, up and running.
pub struct Stage {
    /// The scenario.
    pub scenario: Scenario,
    /// Whom the message is for.
    pub recipient: String,
    /// Where the sending MTA connects to.
    pub destination: SocketAddr,
    sinks: Vec<Sink>,
}

/// The world cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// A port or a file cannot be had.
    #[error("the lab cannot get what it needs of this machine: {0}")]
    Io(#[from] io::Error),
    /// The zones cannot be signed.
    #[error(transparent)]
    Zones(#[from] ZoneError),
    /// The certificates cannot be made.
    #[error(transparent)]
    Pki(#[from] PkiError),
}

impl World {
    /// Everything in the catalogue.
    ///
    /// # Errors
    /// [`WorldError`].
    pub async fn start() -> Result<Self, WorldError> {
        Self::of(catalogue::all()).await
    }

    /// These scenarios only.
    ///
    /// # Errors
    /// [`WorldError`].
    pub async fn of(scenarios: Vec<Scenario>) -> Result<Self, WorldError> {
        let pki = Pki::generate()?;
        let (mx_port, listeners) = bind_hosts(2 * scenarios.len()).await?;
        let policy_host = start_policy_host(&pki, &scenarios).await?;
        let mut plan = Plan::default();
        let mut stages = Vec::new();
        let mut listeners = listeners.into_iter();
        for scenario in scenarios {
            let (Some(own), Some(other)) = (listeners.next(), listeners.next()) else {
                return Err(io::Error::from(io::ErrorKind::AddrNotAvailable).into());
            };
            let site = Site {
                scenario: &scenario,
                host: own.local_addr()?,
                presented: &presented(&pki, &scenario)?,
                another: &pki.identity(&another(&scenario))?,
            };
            publish(&mut plan, &site)?;
            stages.push(start_stage(&pki, &site, [own, other])?);
        }
        let tree = plan.sign(SystemClock.wall())?;
        let directory = tempfile::Builder::new().prefix("danelaw-lab-").tempdir()?;
        let trust_anchor = directory.path().join("root.key");
        std::fs::write(&trust_anchor, tree.anchor())?;
        let ca_file = directory.path().join("ca.pem");
        std::fs::write(&ca_file, pki.root_pem())?;
        let dns = DnsServer::start(tree).await?;
        Ok(Self {
            resolver: dns.address(),
            trust_anchor,
            ca_file,
            mx_port,
            policy_port: policy_host.address().port(),
            stages,
            _dns: dns,
            _policy_host: policy_host,
            _directory: directory,
        })
    }

    /// The scenarios, in the order of the catalogue.
    #[must_use]
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// The configuration of a proxy that lives in this world and listens on `listener`.
    #[must_use]
    pub fn config(&self, listener: ListenerConfig) -> Config {
        Config {
            listeners: vec![listener],
            dns: DnsConfig {
                resolvers: vec![ServerAddress::plain(self.resolver)],
                validate: Validate::Local,
                trust_anchor: Some(self.trust_anchor.clone()),
                timeout: PATIENCE,
                // The names that are broken on purpose are not in this world.
                probes: Probes {
                    bogus: Vec::new(),
                    ..Config::default().dns.probes
                },
            },
            upstream: UpstreamConfig {
                mark: None,
                keep_source: false,
                connect_timeout: PATIENCE,
            },
            ca_file: Some(self.ca_file.clone()),
            mta_sts: StsConfig {
                port: self.policy_port,
                allow_private: true,
                timeout: PATIENCE,
                ..Config::default().mta_sts
            },
            timeouts: Timeouts {
                command: PATIENCE,
                reply: PATIENCE,
                data: PATIENCE,
                end_of_data: PATIENCE,
                decision: 2 * PATIENCE,
                unused: Timeouts::default().unused,
            },
            ..Config::default()
        }
    }
}

impl Stage {
    /// The hosts of the scenario: the one at [`Stage::destination`] first.
    #[must_use]
    pub fn sinks(&self) -> &[Sink] {
        &self.sinks
    }
}

/// `count` listeners at different loopback addresses on one port that the kernel picks for the first of them; where
/// one of the others is taken, another port is tried.
async fn bind_hosts(count: usize) -> io::Result<(u16, Vec<TcpListener>)> {
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..ATTEMPTS {
        match bind_all(count).await {
            Ok(bound) => return Ok(bound),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

async fn bind_all(count: usize) -> io::Result<(u16, Vec<TcpListener>)> {
    let mut port = 0;
    let mut listeners = Vec::with_capacity(count);
    for address in loopback_addresses().take(count) {
        let listener = TcpListener::bind((address, port)).await?;
        port = listener.local_addr()?.port();
        listeners.push(listener);
    }
    Ok((port, listeners))
}

/// 127.0.0.2 and up; 127.0.0.1 is left to the proxy, the DNS server and the policy host.
fn loopback_addresses() -> impl Iterator<Item = Ipv4Addr> {
    (u32::from(Ipv4Addr::LOCALHOST) + 1..u32::from(Ipv4Addr::new(127, 0, 255, 254)))
        .map(Ipv4Addr::from)
}

fn presented(pki: &Pki, scenario: &Scenario) -> Result<Identity, PkiError> {
    let certificate = scenario.presents.certificate;
    pki.identity(&Leaf {
        issuer: certificate.issuer,
        names: scenario.certificate_names(),
        validity: certificate.validity,
    })
}

/// A key that nobody has.
fn another(scenario: &Scenario) -> Leaf {
    Leaf {
        issuer: Issuer::SelfSigned,
        names: scenario.certificate_names(),
        validity: Validity::Current,
    }
}

fn start_stage(
    pki: &Pki,
    site: &Site<'_>,
    listeners: [TcpListener; 2],
) -> Result<Stage, WorldError> {
    let scenario = *site.scenario;
    let [own, other] = listeners;
    let host = Sink::start(
        own,
        Manner {
            name: scenario.host(),
            starttls: scenario.presents.starttls,
            rcpt: scenario.presents.rcpt,
            end_of_data: EndOfData::Reply("250 2.0.0 taken"),
            tls: pki.server(vec![(scenario.host(), site.presented)])?,
        },
    )?;
    let sinks = match scenario.presents.destination {
        Destination::MxHost => vec![host],
        Destination::Unlisted => {
            let tls = pki.server(vec![(scenario.host(), site.presented)])?;
            vec![
                Sink::start(other, well_mannered(scenario.host(), tls))?,
                host,
            ]
        }
        Destination::Stranger => {
            let name = format!("mx.stranger.{}", super::zones::TLD);
            let identity = pki.identity(&Leaf {
                issuer: Issuer::Public,
                names: vec![name.clone()],
                validity: Validity::Current,
            })?;
            let tls = pki.server(vec![(name.clone(), &identity)])?;
            vec![Sink::start(other, well_mannered(name, tls))?, host]
        }
    };
    let destination = sinks.first().map_or(site.host, Sink::address);
    let recipient = match scenario.publishes.route {
        Route::Literal => format!("user@[{}]", destination.ip()),
        Route::OwnHost | Route::SignedHost | Route::Implicit | Route::Null => {
            format!("user@{}", scenario.domain())
        }
    };
    Ok(Stage {
        scenario,
        recipient,
        destination,
        sinks,
    })
}

fn well_mannered(name: String, tls: std::sync::Arc<rustls::ServerConfig>) -> Manner {
    Manner {
        name,
        starttls: Starttls::Offered,
        rcpt: "250 2.1.5 recipient ok",
        end_of_data: EndOfData::Reply("250 2.0.0 taken"),
        tls,
    }
}

async fn start_policy_host(pki: &Pki, scenarios: &[Scenario]) -> Result<PolicyHost, WorldError> {
    let mut responses = BTreeMap::new();
    let mut identities: Vec<(String, Identity)> = Vec::new();
    for scenario in scenarios {
        let Some(sts) = scenario.publishes.sts else {
            continue;
        };
        let host = format!("mta-sts.{}", scenario.domain());
        let issuer = match sts.served {
            Served::Untrusted => Issuer::SelfSigned,
            Served::Well | Served::NotFound | Served::Malformed => Issuer::Public,
        };
        let identity = pki.identity(&Leaf {
            issuer,
            names: vec![host.clone()],
            validity: Validity::Current,
        })?;
        identities.push((host.clone(), identity));
        let status = match sts.served {
            Served::NotFound => 404,
            Served::Well | Served::Untrusted | Served::Malformed => 200,
        };
        let body = scenario.policy_text(sts);
        responses.insert(host, PolicyResponse { status, body });
    }
    let by_name = identities
        .iter()
        .map(|(host, identity)| (host.clone(), identity))
        .collect();
    Ok(PolicyHost::start(pki.server(by_name)?, responses).await?)
}

/// Where the policy hosts are, as the DNS says it.
pub(super) const POLICY_HOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Ample, so that nothing but a fault ever runs into it.
const PATIENCE: Duration = Duration::from_secs(30);
const ATTEMPTS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intercept::Via;
    use std::collections::BTreeSet;

    #[tokio::test]
    async fn the_whole_catalogue_comes_up_and_goes_away() {
        let world = World::start().await.unwrap();
        let stages = world.stages();
        assert_eq!(stages.len(), catalogue::all().len());
        let hosts: BTreeSet<SocketAddr> = stages
            .iter()
            .flat_map(|stage| stage.sinks().iter().map(Sink::address))
            .collect();
        let sinks: usize = stages.iter().map(|stage| stage.sinks().len()).sum();
        assert_eq!(hosts.len(), sinks, "each host has an address of its own");
        assert!(hosts.iter().all(|host| host.port() == world.mx_port));
        let config = world.config(ListenerConfig {
            client_tls: crate::config::ClientTls::Never,
            ..ListenerConfig::new(Via::Socks5, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        });
        let (anchor, ca) = (config.dns.trust_anchor.unwrap(), config.ca_file.unwrap());
        assert!(anchor.is_file() && ca.is_file());
        drop(world);
        assert!(!anchor.exists() && !ca.exists());
    }
}
