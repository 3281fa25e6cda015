//! Listening sockets, and the few facts about addresses of this machine that only sockets can tell.
#![expect(clippy::disallowed_types, reason = "IO: listens")]

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use nix::errno::Errno;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

/// Connections that wait for accept: a burst of a mail server that starts its queue.
const BACKLOG: i32 = 1024;

/// Binds all listeners. `[::]` takes IPv4 too, unless `0.0.0.0` with the same port is asked for by itself.
///
/// # Errors
/// The address that cannot be had, and why.
pub(super) fn bind_all(
    addresses: &[SocketAddr],
) -> Result<Vec<TcpListener>, (SocketAddr, io::Error)> {
    let bind_one = |address: &SocketAddr| {
        let v4 = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port());
        let stack = if addresses.contains(&v4) {
            Stack::Ipv6Only
        } else {
            Stack::Dual
        };
        bind(*address, stack).map_err(|error| (*address, error))
    };
    addresses.iter().map(bind_one).collect()
}

/// What an IPv6 listener takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stack {
    Dual,
    Ipv6Only,
}

fn bind(address: SocketAddr, stack: Stack) -> io::Result<TcpListener> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // Said either way: the system's default is a sysctl.
        socket.set_only_v6(stack == Stack::Ipv6Only)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Is this an address of this machine? The kernel knows, interface lists do not (AnyIP routes). Where it lets sockets
/// bind to anything, everything counts as ours: the caller refuses then.
pub(super) fn is_ours(address: IpAddr) -> bool {
    let address = SocketAddr::new(address, 0);
    let probe = Socket::new(Domain::for_address(address), Type::DGRAM, None)
        .and_then(|socket| socket.bind(&address.into()));
    match probe {
        Ok(()) => true,
        Err(error) => error.kind() != io::ErrorKind::AddrNotAvailable,
    }
}

/// What to do where an address cannot be listened on.
pub(super) fn advice(error: &io::Error) -> &'static str {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EADDRINUSE) => {
            "expected a free port: `ss -ltnp` names who has it; end that or choose another listener.address"
        }
        Some(Errno::EADDRNOTAVAIL) => {
            "expected an address of this host: `ip address` lists them; correct listener.address"
        }
        Some(Errno::EACCES) => {
            "ports below 1024 take CAP_NET_BIND_SERVICE: choose a higher one for listener.address"
        }
        Some(_) | None => "check listener.address",
    }
}

/// Did accept fail for want of descriptors or memory, so that asking again at once would only spin?
pub(super) fn is_exhausted(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error().map(Errno::from_raw),
        Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM)
    )
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    #[test]
    fn only_addresses_of_this_machine_are_ours() {
        for (address, ours) in [
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("192.0.2.1", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_ours(address.parse().unwrap()), ours, "{address}");
        }
    }

    #[tokio::test]
    async fn net_04_the_ipv6_wildcard_takes_ipv4_too() {
        let listeners = bind_all(&["[::]:0".parse().unwrap()]).unwrap();
        let port = listeners[0].local_addr().unwrap().port();
        let client = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let (accepted, peer) = listeners[0].accept().await.unwrap();
        assert_eq!(peer.ip().to_canonical(), client.local_addr().unwrap().ip());
        assert!(accepted.local_addr().unwrap().is_ipv6());
    }

    #[tokio::test]
    async fn a_port_in_use_is_named() {
        let first = bind_all(&["127.0.0.1:0".parse().unwrap()]).unwrap();
        let taken = first[0].local_addr().unwrap();
        let (address, error) = bind_all(&[taken]).err().unwrap();
        assert_eq!(address, taken);
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(advice(&error).contains("free port"));
    }
}
