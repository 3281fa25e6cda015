//! Netfilter TPROXY: a transparent socket is accepted with the destination as its local address.
//!
//! Connection tracking has no say in it and is not asked: what it remembers of half-tracked flows may be the wrong end.
//! The listener is reachable by itself too, and such a connection is told apart by its local address: it is ours.

use std::net::{IpAddr, SocketAddr};

use super::redirect::{NotIntercepted, canonical};

/// Where the connection wanted to go, IPv4-mapped addresses made canonical. `is_ours` tells addresses of this machine.
///
/// # Errors
/// [`NotIntercepted::Direct`]: the connection was made to `listener` and must be refused.
pub fn destination(
    local: SocketAddr,
    listener: SocketAddr,
    is_ours: impl Fn(IpAddr) -> bool,
) -> Result<SocketAddr, NotIntercepted> {
    let (local, listener) = (canonical(local), canonical(listener));
    let is_direct = local.port() == listener.port()
        && (local.ip() == listener.ip() || listener.ip().is_unspecified() && is_ours(local.ip()));
    if is_direct {
        Err(NotIntercepted::Direct)
    } else {
        Ok(local)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn net_02_net_04_the_local_address_is_the_destination_unless_it_is_the_listener() {
        let is_ours = |ip: IpAddr| ip.is_loopback() || ip == at("192.0.2.1:0").ip();
        for (what, local, listener, expected) in [
            (
                "an MX",
                "198.51.100.1:25",
                "[::]:10125",
                Some("198.51.100.1:25"),
            ),
            (
                "an MX on a dual-stack socket",
                "[::ffff:198.51.100.1]:25",
                "[::]:10125",
                Some("198.51.100.1:25"),
            ),
            (
                "an MX, v6",
                "[2001:db8::1]:25",
                "[::]:10125",
                Some("[2001:db8::1]:25"),
            ),
            (
                "an MX that listens on the port that we have",
                "198.51.100.1:10125",
                "[::]:10125",
                Some("198.51.100.1:10125"),
            ),
            (
                "the wildcard listener itself",
                "192.0.2.1:10125",
                "[::]:10125",
                None,
            ),
            (
                "the same, mapped",
                "[::ffff:192.0.2.1]:10125",
                "[::]:10125",
                None,
            ),
            ("the same by loopback", "[::1]:10125", "[::]:10125", None),
            (
                "a listener with an address",
                "192.0.2.1:10125",
                "192.0.2.1:10125",
                None,
            ),
        ] {
            let seen = destination(at(local), at(listener), is_ours).ok();
            assert_eq!(seen, expected.map(at), "{what}");
        }
    }
}
