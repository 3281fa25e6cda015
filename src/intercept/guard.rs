//! Keeps the proxy from talking to itself.
//!
//! A missing exemption in the netfilter rules sends our own connections back to us, and the original destination does
//! not show it: it stays the remote MX. So both ends of our own upstream sockets are remembered, and a client that comes
//! from one of them and wants to go where it goes is a loop. The local end alone would not do: the kernel gives the same
//! port to a mail server on this host when it connects elsewhere. For the same reason SOCKS5 clients are not asked: they
//! connect to the listener, so both ends may be shared with one of our sockets, and none of those speaks SOCKS5.
//! Destinations that are our own listeners, or nowhere, are refused too. So is this machine itself to clients elsewhere:
//! what listens here would take them for clients of its own host, and a mail server relays for those.
//!
//! The port of a looped connection may be rewritten on the way, which hides it; the cap on sessions is what holds then.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use super::redirect::canonical;
use super::{Intercepted, Via};

/// Why a connection may not become a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Loop {
    /// It comes from ourselves.
    #[error(
        "the client is this proxy itself: its own connections are not exempt from interception"
    )]
    OwnClient,
    /// It goes to ourselves.
    #[error("the destination is a listener of this proxy")]
    OwnListener,
    /// It goes nowhere.
    #[error("the destination is no address to connect to")]
    Nowhere,
    /// It comes from elsewhere and goes to this machine.
    #[error("the client is elsewhere and the destination is this machine")]
    Inward,
}

/// What the proxy knows of its own addresses; clones share it.
#[derive(Clone, Debug)]
pub struct Guard {
    listeners: Arc<[SocketAddr]>,
    upstream: Arc<Mutex<HashSet<Ends>>>,
}

/// An upstream connection of ours, for as long as this lives.
#[derive(Debug)]
pub struct OwnAddress {
    ends: Ends,
    upstream: Arc<Mutex<HashSet<Ends>>>,
}

/// The two ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Ends {
    near: SocketAddr,
    far: SocketAddr,
}

impl Ends {
    fn new(near: SocketAddr, far: SocketAddr) -> Self {
        Self {
            near: canonical(near),
            far: canonical(far),
        }
    }
}

impl Guard {
    /// Guards these listeners.
    #[must_use]
    pub fn new(listeners: impl IntoIterator<Item = SocketAddr>) -> Self {
        Self {
            listeners: listeners.into_iter().map(canonical).collect(),
            upstream: Arc::default(),
        }
    }

    /// Does the client come from elsewhere? Asked at accept, and again once the destination is connected: the far end
    /// of a loop may be accepted before [`Guard::claim`] has its address.
    ///
    /// # Errors
    /// [`Loop::OwnClient`].
    pub fn check_client(&self, from: &Intercepted) -> Result<(), Loop> {
        let ends = Ends::new(from.client, from.destination);
        match from.via {
            Via::Socks5 => Ok(()),
            Via::Redirect | Via::Tproxy | Via::ProxyProtocol => {
                if lock(&self.upstream).contains(&ends) {
                    return Err(Loop::OwnClient);
                }
                Ok(())
            }
        }
    }

    /// May the destination be connected to for this client? `is_ours` tells addresses of this machine.
    ///
    /// # Errors
    /// Why not.
    pub fn check_destination(
        &self,
        client: SocketAddr,
        destination: SocketAddr,
        is_ours: impl Fn(IpAddr) -> bool,
    ) -> Result<(), Loop> {
        let (client, destination) = (canonical(client), canonical(destination));
        if destination.ip().is_unspecified() || destination.port() == 0 {
            return Err(Loop::Nowhere);
        }
        let reaches = |listener: &SocketAddr| {
            listener.port() == destination.port()
                && (listener.ip() == destination.ip()
                    || listener.ip().is_unspecified() && is_ours(destination.ip()))
        };
        if self.listeners.iter().any(reaches) {
            return Err(Loop::OwnListener);
        }
        if !client.ip().is_loopback() && !is_ours(client.ip()) && is_ours(destination.ip()) {
            return Err(Loop::Inward);
        }
        Ok(())
    }

    /// Remembers an upstream connection: to be called right after it is made.
    #[must_use]
    pub fn claim(&self, local: SocketAddr, destination: SocketAddr) -> OwnAddress {
        let ends = Ends::new(local, destination);
        lock(&self.upstream).insert(ends);
        OwnAddress {
            ends,
            upstream: Arc::clone(&self.upstream),
        }
    }
}

impl Drop for OwnAddress {
    fn drop(&mut self) {
        lock(&self.upstream).remove(&self.ends);
    }
}

/// A set stays a set when a holder of the lock panics.
fn lock(set: &Mutex<HashSet<Ends>>) -> std::sync::MutexGuard<'_, HashSet<Ends>> {
    set.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn net_01_a_destination_that_is_ourselves_is_refused() {
        let guard = Guard::new([at("127.0.0.1:10225"), at("[::]:10125")]);
        let is_ours = |ip: IpAddr| ip.is_loopback() || ip == at("192.0.2.1:0").ip();
        for (what, destination, expected) in [
            ("an MX", "198.51.100.1:25", Ok(())),
            ("a listener", "127.0.0.1:10225", Err(Loop::OwnListener)),
            (
                "the same, mapped",
                "[::ffff:127.0.0.1]:10225",
                Err(Loop::OwnListener),
            ),
            (
                "the listener's address, another port",
                "127.0.0.1:25",
                Ok(()),
            ),
            (
                "the listener's port on another loopback address",
                "127.0.0.2:10225",
                Ok(()),
            ),
            (
                "a wildcard listener by an address of ours",
                "192.0.2.1:10125",
                Err(Loop::OwnListener),
            ),
            (
                "a wildcard listener by loopback",
                "[::1]:10125",
                Err(Loop::OwnListener),
            ),
            (
                "a wildcard listener's port elsewhere",
                "198.51.100.1:10125",
                Ok(()),
            ),
            ("the unspecified address", "0.0.0.0:25", Err(Loop::Nowhere)),
            ("the same, IPv6", "[::]:25", Err(Loop::Nowhere)),
            (
                "the same, mapped",
                "[::ffff:0.0.0.0]:25",
                Err(Loop::Nowhere),
            ),
            ("port 0", "198.51.100.1:0", Err(Loop::Nowhere)),
        ] {
            let seen = guard.check_destination(at("127.0.0.1:4711"), at(destination), is_ours);
            assert_eq!(seen, expected, "{what}");
        }
    }

    #[test]
    fn dn_25_dns_20_a_client_elsewhere_does_not_reach_this_machine_through_us() {
        let guard = Guard::new([at("127.0.0.1:10225")]);
        let is_ours = |ip: IpAddr| ip.is_loopback() || ip == at("192.0.2.1:0").ip();
        let (local, own, elsewhere) = ("[::1]:4711", "192.0.2.1:4711", "192.0.2.2:4711");
        for (client, destination, expected) in [
            (local, "127.0.0.1:25", Ok(())),
            (own, "127.0.0.1:25", Ok(())),
            (own, "192.0.2.1:25", Ok(())),
            (elsewhere, "198.51.100.1:25", Ok(())),
            (elsewhere, "127.0.0.1:25", Err(Loop::Inward)),
            (elsewhere, "127.9.9.9:25", Err(Loop::Inward)),
            (elsewhere, "[::ffff:127.0.0.1]:25", Err(Loop::Inward)),
            (elsewhere, "[::1]:25", Err(Loop::Inward)),
            (elsewhere, "192.0.2.1:25", Err(Loop::Inward)),
            ("[::ffff:192.0.2.2]:4711", "192.0.2.1:25", Err(Loop::Inward)),
        ] {
            let seen = guard.check_destination(at(client), at(destination), is_ours);
            assert_eq!(seen, expected, "{client} to {destination}");
        }
    }

    #[test]
    fn net_01_a_client_that_is_one_of_our_own_sockets_is_a_loop_while_that_lives() {
        let guard = Guard::new([]);
        let from = |via, client, destination| Intercepted {
            client: at(client),
            destination: at(destination),
            via,
            hint: None,
        };
        let (client, mx) = ("192.0.2.1:40000", "198.51.100.1:25");
        let looped = from(Via::Redirect, client, mx);
        assert_eq!(guard.check_client(&looped), Ok(()));
        let own = guard.claim(at("[::ffff:192.0.2.1]:40000"), at(mx));
        for (what, from, expected) in [
            ("our own socket", looped.clone(), Err(Loop::OwnClient)),
            (
                "our own socket by TPROXY",
                from(Via::Tproxy, client, mx),
                Err(Loop::OwnClient),
            ),
            (
                "our own socket that somebody hands over",
                from(Via::ProxyProtocol, client, mx),
                Err(Loop::OwnClient),
            ),
            (
                "another port",
                from(Via::Redirect, "192.0.2.1:40001", mx),
                Ok(()),
            ),
            // Two sockets may share a port as long as they go to different places.
            (
                "another MX",
                from(Via::Redirect, client, "198.51.100.2:25"),
                Ok(()),
            ),
            // Which a SOCKS client does: to the listener.
            ("a SOCKS client", from(Via::Socks5, client, mx), Ok(())),
        ] {
            assert_eq!(guard.check_client(&from), expected, "{what}");
        }
        drop(own);
        assert_eq!(guard.check_client(&looped), Ok(()));
    }
}
