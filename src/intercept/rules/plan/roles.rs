//! Which listener serves whom: connections that begin on this host, or those that pass through it.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use super::{Family, Kinds, Listener, NoPlan};
use crate::config::{Config, Interface, Layout, ListenOn, ListenerConfig};
use crate::intercept::Via;

/// Which listeners serve whom.
pub(super) struct Roles<'c> {
    pub(super) local: Option<Vec<&'c ListenerConfig>>,
    pub(super) forwarded: Option<(Vec<&'c ListenerConfig>, Via)>,
}

impl<'c> Roles<'c> {
    pub(super) fn of(config: &'c Config) -> Result<Self, NoPlan> {
        let kinds = Listeners::of(config);
        match config.intercept.layout {
            Some(layout @ (Layout::Host | Layout::Container)) => kinds.on_host(layout),
            Some(layout @ Layout::Gateway) => kinds.on_gateway(layout),
            None => kinds.implied(&config.intercept.clients),
        }
    }

    const fn local(listeners: Vec<&'c ListenerConfig>) -> Self {
        Self {
            local: Some(listeners),
            forwarded: None,
        }
    }

    const fn forwarded(listeners: Vec<&'c ListenerConfig>, via: Via) -> Self {
        Self {
            local: None,
            forwarded: Some((listeners, via)),
        }
    }
}

/// Those that netfilter leads to.
struct Listeners<'c> {
    tproxy: Vec<&'c ListenerConfig>,
    redirect: Vec<&'c ListenerConfig>,
    /// Of those of kind `redirect`, what clients elsewhere can reach.
    open: Vec<&'c ListenerConfig>,
    all: Kinds,
}

impl<'c> Listeners<'c> {
    fn of(config: &'c Config) -> Self {
        let of_kind = |kind| {
            let listeners = config.listeners.iter();
            listeners.filter(move |listener| listener.kind == kind)
        };
        let is_open = |listener: &&ListenerConfig| !is_loopback(listener);
        let all = config.listeners.iter().map(|listener| listener.kind);
        Self {
            tproxy: of_kind(Via::Tproxy).collect(),
            redirect: of_kind(Via::Redirect).collect(),
            open: of_kind(Via::Redirect).filter(is_open).collect(),
            all: Kinds(all.collect()),
        }
    }

    fn on_host(self, layout: Layout) -> Result<Roles<'c>, NoPlan> {
        if self.redirect.is_empty() {
            return Err(NoPlan::WrongKind {
                layout,
                expected: "\"redirect\"",
                got: self.all,
            });
        }
        Ok(Roles::local(self.redirect))
    }

    fn on_gateway(self, layout: Layout) -> Result<Roles<'c>, NoPlan> {
        if !self.tproxy.is_empty() {
            return Ok(Roles::forwarded(self.tproxy, Via::Tproxy));
        }
        if !self.open.is_empty() {
            return Ok(Roles::forwarded(self.open, Via::Redirect));
        }
        let port = self.redirect.iter().find_map(|listener| port_of(listener));
        Err(match port {
            Some(port) => NoPlan::LoopbackOnGateway { port },
            None => NoPlan::WrongKind {
                layout,
                expected: "\"tproxy\" or \"redirect\"",
                got: self.all,
            },
        })
    }

    /// Clients behind an interface are what a gateway has; a listener on loopback is for its own host, and a transparent
    /// one is for others.
    fn implied(self, clients: &[Interface]) -> Result<Roles<'c>, NoPlan> {
        let has_tproxy = !self.tproxy.is_empty();
        if !self.open.is_empty() {
            return if !clients.is_empty() && !has_tproxy {
                Ok(Roles::forwarded(self.open, Via::Redirect))
            } else {
                Err(NoPlan::WhichLayout)
            };
        }
        if self.redirect.is_empty() && !has_tproxy {
            return Err(NoPlan::NoListener { got: self.all });
        }
        Ok(Roles {
            local: (!self.redirect.is_empty()).then_some(self.redirect),
            forwarded: has_tproxy.then_some((self.tproxy, Via::Tproxy)),
        })
    }
}

impl Listener {
    pub(super) fn among(
        listeners: &[&ListenerConfig],
        said: Option<u16>,
        is_reached: impl Fn(SocketAddr) -> bool,
    ) -> Result<Self, NoPlan> {
        let addresses = || listeners.iter().filter_map(|one| one.socket.address());
        let found: BTreeSet<u16> = listeners.iter().filter_map(|one| port_of(one)).collect();
        let is_open = listeners.iter().any(|one| port_of(one).is_none());
        let found: Vec<u16> = found.into_iter().collect();
        let port = match (said, found.as_slice()) {
            (Some(port), found) if is_open || found.contains(&port) => port,
            (Some(port), _) => return Err(NoPlan::OtherPort { port, found }),
            (None, [port]) if !is_open => *port,
            (None, _) => return Err(NoPlan::WhichPort { found }),
        };
        let serves = |family: Family| {
            addresses().any(|address| {
                address.port() == port && is_reached(address) && family.is_taken_by(address.ip())
            })
        };
        // What the service manager has bound is not known here.
        let unserved = [Family::V4, Family::V6].into_iter();
        let unserved = unserved.filter(|family| !is_open && !serves(*family));
        Ok(Self {
            port,
            unserved: unserved.collect(),
        })
    }
}

/// REDIRECT leads what begins on this host to `127.0.0.1` and `::1`.
pub(super) fn is_reached_locally(listener: SocketAddr) -> bool {
    let ip = listener.ip().to_canonical();
    let one: [IpAddr; 2] = [
        std::net::Ipv4Addr::LOCALHOST.into(),
        std::net::Ipv6Addr::LOCALHOST.into(),
    ];
    ip.is_unspecified() || one.contains(&ip)
}

fn is_loopback(listener: &ListenerConfig) -> bool {
    let address = listener.socket.address();
    address.is_some_and(|address| address.ip().to_canonical().is_loopback())
}

/// The port, where it is known beforehand.
const fn port_of(listener: &ListenerConfig) -> Option<u16> {
    match &listener.socket {
        ListenOn::Address(address) if address.port() != 0 => Some(address.port()),
        ListenOn::Address(_) | ListenOn::Fd(_) => None,
    }
}
