//! `[intercept]`: what `danelaw rules` makes netfilter do, as far as the listeners do not say it, and whether the proxy tries
//! out what netfilter does.

use std::time::Duration;

use ipnet::IpNet;
use serde_json::Value as Json;
use toml::de::DeValue;

use super::read::Section;
use super::value::{Networks, Port, Value};

/// Netfilter's part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterceptConfig {
    /// Where this host stands, where the listeners leave it open.
    pub layout: Option<Layout>,
    /// By what the rules know danelaw's own connections.
    pub guard: OwnBy,
    /// The user that danelaw runs as: a name or a number.
    pub user: String,
    /// The listener's port, where the listeners leave it open.
    pub listener_port: Option<u16>,
    /// The ports whose connections are taken over.
    pub ports: Vec<u16>,
    /// Destinations that are let go.
    pub exempt: Vec<IpNet>,
    /// On a gateway, the interfaces that mail servers are behind.
    pub clients: Vec<Interface>,
    /// On a gateway, those that the world is behind.
    pub uplinks: Vec<Interface>,
    /// The bits of packet marks that are danelaw's.
    pub mask: u32,
    /// What stands there on packets for transparent sockets.
    pub mark: u32,
    /// The routing table for those.
    pub table: u32,
    /// The preference of the first rule that leads there.
    pub pref: u32,
    /// Whether it is tried at the start that the proxy's own connections are left alone.
    pub canary: bool,
    /// Whether it is tried now and then that a connection is taken over.
    pub watch: Watch,
    /// How often.
    pub watch_interval: Duration,
}

/// What it means that the rules do not take a connection over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// They are gone if they did before.
    Auto,
    /// They are missing, whether they ever did or not.
    Required,
    /// It is not tried.
    Off,
}

/// Where danelaw stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// On the mail server's host.
    Host,
    /// Between mail servers and the world.
    Gateway,
    /// In the network namespace that it shares with the mail server's container.
    Container,
}

/// What tells danelaw's own connections from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum OwnBy {
    /// Their user.
    Uid,
    /// Their mark, `upstream.mark`.
    Mark,
}

/// The name of a network interface, which the kernel and nft both take as it stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Interface(String);

/// What is no name of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected the name of an interface: 1 to 15 letters, digits, '.', '_' or '-', as \"eth0\"")]
pub struct NoInterface;

impl Interface {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Interface {
    type Err = NoInterface;

    fn from_str(text: &str) -> Result<Self, NoInterface> {
        let fits = (1..=15).contains(&text.len())
            && !text.starts_with('-')
            && !text.chars().all(|c| c == '.')
            && text
                .bytes()
                .all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'_' | b'-'));
        fits.then(|| Self(text.to_owned())).ok_or(NoInterface)
    }
}

impl std::fmt::Display for Interface {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

pub(super) fn read(mut section: Section<'_, '_>, default: InterceptConfig) -> InterceptConfig {
    let intercept = InterceptConfig {
        layout: section.optional("layout"),
        guard: section.read("guard", default.guard),
        user: section.read("user", default.user),
        listener_port: section.optional::<Port>("listener_port").map(|port| port.0),
        ports: section.read("ports", Ports(default.ports)).0,
        exempt: section.read("exempt", Networks(default.exempt)).0,
        clients: section.read("clients", Interfaces(default.clients)).0,
        uplinks: section.read("uplinks", Interfaces(default.uplinks)).0,
        mask: section.read("mask", default.mask),
        mark: section.read("mark", default.mark),
        table: section.read("table", default.table),
        pref: section.read("pref", default.pref),
        canary: section.read("canary", default.canary),
        watch: section.read("watch", default.watch),
        watch_interval: section.read("watch_interval", default.watch_interval),
    };
    for (key, expected) in intercept.faults() {
        section.contradiction(key, expected);
    }
    section.finish();
    intercept
}

impl InterceptConfig {
    /// What cannot be, by key; the command line may bring it about too.
    #[must_use]
    pub fn faults(&self) -> Vec<(&'static str, &'static str)> {
        let interfaces = self.clients.len() + self.uplinks.len();
        let last = usize::try_from(self.pref).map_or(usize::MAX, |pref| pref + interfaces);
        [
            (
                self.user.is_empty() || self.user.contains(char::is_whitespace),
                ("user", "the name or the number of a user"),
            ),
            (
                self.mask == 0,
                (
                    "mask",
                    "the bits of packet marks that are danelaw's, as 0xff",
                ),
            ),
            (
                self.mark == 0 || self.mark & !self.mask != 0,
                ("mark", "a mark within mask that is not 0, as 0x25"),
            ),
            (
                // 253 to 255 are the kernel's own.
                self.table == 0 || (253..=255).contains(&self.table),
                ("table", "the number of a routing table of its own, as 2525"),
            ),
            (
                // The table `main` is looked up at 32766.
                self.pref == 0 || last > 32_766,
                (
                    "pref",
                    "a preference ahead of 32766, with room for one rule for each interface",
                ),
            ),
        ]
        .into_iter()
        .filter_map(|(is_wrong, fault)| is_wrong.then_some(fault))
        .collect()
    }
}

/// TCP ports, at least one.
struct Ports(Vec<u16>);

impl Value for Ports {
    fn read(value: &DeValue<'_>) -> Result<Self, &'static str> {
        let all = value.as_array();
        all.and_then(|all| {
            let ports = all.iter().map(|one| Port::read(one.get_ref()).ok());
            ports.map(|port| port.map(|port| port.0)).collect()
        })
        .filter(|ports: &Vec<u16>| !ports.is_empty())
        .map(Self)
        .ok_or("a list of ports, as [25, 587]")
    }

    fn write(&self) -> Json {
        self.0.iter().copied().collect()
    }
}

/// Names of network interfaces.
struct Interfaces(Vec<Interface>);

impl Value for Interfaces {
    fn read(value: &DeValue<'_>) -> Result<Self, &'static str> {
        let all = value.as_array();
        all.and_then(|all| {
            let names = all.iter().map(|one| one.get_ref().as_str()?.parse().ok());
            names.collect()
        })
        .map(Self)
        .ok_or("a list of network interfaces, as [\"lan0\"]")
    }

    fn write(&self) -> Json {
        self.0.iter().map(Interface::as_str).collect()
    }
}
