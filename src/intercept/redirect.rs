//! Netfilter REDIRECT: the kernel remembers where a connection wanted to go.
//!
//! [`destination`] asks for it right after accept, since the answer is lost when connection tracking is flushed. There
//! is no second guess: what netfilter does not vouch for is [`NotIntercepted`] and is refused, or the proxy would
//! connect wherever a stranger points it, itself included.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;

use nix::errno::Errno;
use socket2::{SockAddr, SockRef};

/// Why a connection has no original destination.
#[derive(Debug, thiserror::Error)]
pub enum NotIntercepted {
    /// ENOENT: connection tracking has no entry for it.
    #[error(
        "not redirected by netfilter (rules missing, conntrack flushed, or a conntrack zone other than the default)"
    )]
    NoRecord,
    /// It was made to the listener itself.
    #[error("a direct connection to the listener; only redirected ones are served")]
    Direct,
    /// EOPNOTSUPP, ENOPROTOOPT: this kernel or namespace has no such option.
    #[error(
        "this kernel has no connection tracking for the address family (is nf_conntrack loaded?)"
    )]
    Unsupported,
    /// Something else.
    #[error("the original destination cannot be read: {0}")]
    Failed(#[source] io::Error),
}

/// Where the connection wanted to go, IPv4-mapped addresses made canonical.
///
/// # Errors
/// [`NotIntercepted`]: the connection must be refused.
pub fn destination(socket: &impl AsFd, local: SocketAddr) -> Result<SocketAddr, NotIntercepted> {
    let socket = SockRef::from(socket);
    let local = canonical(local);
    // The level follows the family of the traffic, not of the socket: a dual-stack socket carries both.
    let original = if local.is_ipv4() {
        socket.original_dst_v4()
    } else {
        socket.original_dst_v6()
    };
    judge(original, local)
}

fn judge(original: io::Result<SockAddr>, local: SocketAddr) -> Result<SocketAddr, NotIntercepted> {
    let original = original.map_err(classify)?;
    let original = original.as_socket().ok_or(NotIntercepted::NoRecord)?;
    match canonical(original) {
        direct if direct == local => Err(NotIntercepted::Direct),
        destination => Ok(destination),
    }
}

fn classify(error: io::Error) -> NotIntercepted {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOENT) => NotIntercepted::NoRecord,
        Some(Errno::EOPNOTSUPP | Errno::ENOPROTOOPT) => NotIntercepted::Unsupported,
        Some(_) | None => NotIntercepted::Failed(error),
    }
}

/// IPv4-mapped addresses as IPv4, and IPv6 without flow label; a scope stays, link-local addresses need it.
#[must_use]
pub fn canonical(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(_) => address,
        SocketAddr::V6(mut v6) => match v6.ip().to_ipv4_mapped() {
            Some(v4) => SocketAddr::new(v4.into(), v6.port()),
            None => {
                v6.set_flowinfo(0);
                v6.into()
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn net_02_net_03_net_04_only_a_destination_that_netfilter_vouches_for_is_served() {
        let errno = |errno: Errno| Err(io::Error::from_raw_os_error(errno as i32));
        let known = |text| Ok(SockAddr::from(at(text)));
        for (what, original, local, expected) in [
            (
                "redirected, v4",
                known("192.0.2.1:25"),
                "127.0.0.1:10225",
                "192.0.2.1:25",
            ),
            (
                "redirected, v6",
                known("[2001:db8::1]:25"),
                "[::1]:10225",
                "[2001:db8::1]:25",
            ),
            (
                "redirected to a dual-stack socket",
                known("[::ffff:192.0.2.1]:25"),
                "127.0.0.1:10225",
                "192.0.2.1:25",
            ),
            (
                "another port of the listener's own address",
                known("127.0.0.1:25"),
                "127.0.0.1:10225",
                "127.0.0.1:25",
            ),
            (
                "direct, v4",
                known("127.0.0.1:10225"),
                "127.0.0.1:10225",
                "Direct",
            ),
            (
                "direct, mapped",
                known("[::ffff:127.0.0.1]:10225"),
                "127.0.0.1:10225",
                "Direct",
            ),
            ("direct, v6", known("[::1]:10225"), "[::1]:10225", "Direct"),
            (
                "no conntrack entry",
                errno(Errno::ENOENT),
                "127.0.0.1:10225",
                "NoRecord",
            ),
            (
                "no such option",
                errno(Errno::ENOPROTOOPT),
                "127.0.0.1:10225",
                "Unsupported",
            ),
            (
                "wrong level",
                errno(Errno::EOPNOTSUPP),
                "127.0.0.1:10225",
                "Unsupported",
            ),
            (
                "anything else",
                errno(Errno::EBADF),
                "127.0.0.1:10225",
                "Failed",
            ),
        ] {
            let seen = match judge(original, canonical(at(local))) {
                Ok(destination) => destination.to_string(),
                Err(NotIntercepted::NoRecord) => "NoRecord".into(),
                Err(NotIntercepted::Direct) => "Direct".into(),
                Err(NotIntercepted::Unsupported) => "Unsupported".into(),
                Err(NotIntercepted::Failed(_)) => "Failed".into(),
            };
            assert_eq!(seen, expected, "{what}");
        }
    }
}
