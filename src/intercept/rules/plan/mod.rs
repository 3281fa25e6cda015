//! What the rules are to do, derived from the listeners. Where those leave something open, `[intercept]` says it, or
//! there is no plan: nothing is guessed, since a wrong rule sends mail past the proxy or nowhere.

mod no_plan;
mod roles;

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::config::{Config, Interface, Layout, OwnBy};
use crate::intercept::Via;
pub use crate::intercept::canary::Family;

pub use no_plan::{Kinds, NoPlan};
use roles::{Roles, is_reached_locally};

/// What the rules are to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// For connections that begin on this host.
    pub local: Option<Local>,
    /// For those that pass through it.
    pub forwarded: Option<Forwarded>,
    /// The destination ports that are taken over.
    pub ports: BTreeSet<u16>,
    /// The destinations that are not.
    pub exempt: Exempt,
}

/// Connections from this host are redirected to the listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// Which of them are danelaw's own.
    pub own: Own,
    /// Where the others are led.
    pub to: Listener,
}

/// What danelaw's own connections are known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    /// Their user.
    Uid(u32),
    /// Their mark.
    Mark(Mark),
}

/// Some bits of packet marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// What they are.
    pub value: u32,
    /// Which they are.
    pub mask: u32,
}

/// The port of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The same for both families.
    pub port: u16,
    /// The families that nobody listens for there: their connections are refused.
    pub unserved: Vec<Family>,
}

/// Connections from clients behind this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarded {
    /// The interfaces that they come in by.
    pub clients: Vec<Interface>,
    /// Where they are led.
    pub to: Listener,
    /// How.
    pub way: Way,
}

/// How connections from elsewhere reach a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// By a change of their destination.
    Redirect,
    /// As they are.
    Tproxy(Transparent),
}

/// What TPROXY takes beside its rule: packets with the mark are routed to this host, whatever interface of these they
/// come in by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transparent {
    /// Those of the clients and those of the world.
    pub interfaces: Vec<Interface>,
    /// What their packets are marked with.
    pub mark: Mark,
    /// The routing table for them.
    pub table: u32,
    /// The preference of the first interface's rule.
    pub pref: u32,
}

/// Networks of each family, none of which is part of another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exempt {
    /// IPv4.
    pub v4: Vec<Ipv4Net>,
    /// IPv6.
    pub v6: Vec<Ipv6Net>,
}

impl Plan {
    /// What the configuration wants. `uid_of` finds the number of a user by name.
    ///
    /// # Errors
    /// [`NoPlan`]: what is missing, or does not go together.
    pub fn of(config: &Config, uid_of: impl Fn(&str) -> Option<u32>) -> Result<Self, NoPlan> {
        let intercept = &config.intercept;
        if let Some((key, expected)) = intercept.faults().into_iter().next() {
            return Err(NoPlan::Fault { key, expected });
        }
        let roles = Roles::of(config)?;
        let port = intercept.listener_port;
        let local = match &roles.local {
            Some(listeners) => Some(Local {
                own: own(config, uid_of)?,
                to: Listener::among(listeners, port, is_reached_locally)?,
            }),
            None => None,
        };
        let forwarded = match &roles.forwarded {
            Some((listeners, via)) => {
                let to = Listener::among(listeners, port, |_| true)?;
                Some(forwarded(config, *via, to)?)
            }
            None => None,
        };
        let plan = Self {
            local,
            forwarded,
            ports: intercept.ports.iter().copied().collect(),
            exempt: Exempt::of(&intercept.exempt),
        };
        let mut listeners = plan.listeners().map(|listener| listener.port);
        let own = listeners.find(|port| plan.ports.contains(port));
        drop(listeners);
        match own {
            Some(port) => Err(NoPlan::OwnPort { port }),
            None => Ok(plan),
        }
    }

    /// The listeners that connections are led to.
    pub fn listeners(&self) -> impl Iterator<Item = &Listener> {
        let local = self.local.iter().map(|local| &local.to);
        local.chain(self.forwarded.iter().map(|forwarded| &forwarded.to))
    }

    /// What it takes of routing.
    #[must_use]
    pub const fn transparent(&self) -> Option<&Transparent> {
        match &self.forwarded {
            Some(Forwarded {
                way: Way::Tproxy(transparent),
                ..
            }) => Some(transparent),
            Some(_) | None => None,
        }
    }

    /// Whether destinations are changed, which connection tracking does.
    #[must_use]
    pub fn redirects(&self) -> bool {
        let is_redirect = |forwarded: &Forwarded| forwarded.way == Way::Redirect;
        self.local.is_some() || self.forwarded.as_ref().is_some_and(is_redirect)
    }
}

/// Whether a listener there takes connections of the family.
fn is_taken_by(family: Family, listener: IpAddr) -> bool {
    match (family, listener) {
        (Family::V4, IpAddr::V6(v6)) => v6.is_unspecified() || v6.to_ipv4_mapped().is_some(),
        (Family::V4, IpAddr::V4(_)) | (Family::V6, IpAddr::V6(_)) => true,
        (Family::V6, IpAddr::V4(_)) => false,
    }
}

fn own(config: &Config, uid_of: impl Fn(&str) -> Option<u32>) -> Result<Own, NoPlan> {
    let intercept = &config.intercept;
    let user = || intercept.user.clone();
    match intercept.guard {
        OwnBy::Mark => {
            let (mark, mask) = (config.upstream.mark, intercept.mask);
            let value = mark.map(|mark| mark & mask).filter(|value| *value != 0);
            match value {
                Some(value) => Ok(Own::Mark(Mark { value, mask })),
                None => Err(NoPlan::NoMark { mark, mask }),
            }
        }
        OwnBy::Uid => {
            let number = intercept.user.parse().ok();
            if number.is_none() && intercept.layout == Some(Layout::Container) {
                return Err(NoPlan::NamedInContainer { user: user() });
            }
            match number.or_else(|| uid_of(&intercept.user)) {
                Some(0) => Err(NoPlan::Root { user: user() }),
                Some(uid) => Ok(Own::Uid(uid)),
                None => Err(NoPlan::NoUser { user: user() }),
            }
        }
    }
}

fn forwarded(config: &Config, via: Via, to: Listener) -> Result<Forwarded, NoPlan> {
    let intercept = &config.intercept;
    if intercept.clients.is_empty() {
        return Err(NoPlan::NoInterfaces {
            what: "the interfaces that the mail servers are behind",
            key: "clients",
            example: "lan0",
        });
    }
    let way = match via {
        Via::Tproxy if intercept.uplinks.is_empty() => {
            return Err(NoPlan::NoInterfaces {
                what: "the interfaces that MX hosts answer by",
                key: "uplinks",
                example: "wan0",
            });
        }
        Via::Tproxy => Way::Tproxy(Transparent {
            interfaces: each_once(intercept.clients.iter().chain(&intercept.uplinks)),
            mark: Mark {
                value: intercept.mark,
                mask: intercept.mask,
            },
            table: intercept.table,
            pref: intercept.pref,
        }),
        Via::Redirect | Via::ProxyProtocol | Via::Socks5 => Way::Redirect,
    };
    Ok(Forwarded {
        clients: each_once(&intercept.clients),
        to,
        way,
    })
}

fn each_once<'i>(names: impl IntoIterator<Item = &'i Interface>) -> Vec<Interface> {
    let mut once: Vec<Interface> = Vec::new();
    for name in names {
        if !once.contains(name) {
            once.push(name.clone());
        }
    }
    once
}

impl Exempt {
    /// These networks, but for those that are part of another.
    #[must_use]
    pub fn of(networks: &[IpNet]) -> Self {
        let networks: BTreeSet<IpNet> = networks.iter().map(IpNet::trunc).collect();
        let is_part = |one: &IpNet| {
            let mut others = networks.iter().filter(|other| *other != one);
            others.any(|other| other.contains(one))
        };
        let mut exempt = Self::default();
        for network in networks.iter().filter(|network| !is_part(network)) {
            match network {
                IpNet::V4(network) => exempt.v4.push(*network),
                IpNet::V6(network) => exempt.v6.push(*network),
            }
        }
        exempt
    }
}

impl Layout {
    /// The word in the configuration.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Gateway => "gateway",
            Self::Container => "container",
        }
    }
}
