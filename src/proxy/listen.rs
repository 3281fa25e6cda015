//! Listening sockets, and the few facts about addresses of this machine that only sockets can tell.
#![expect(clippy::disallowed_types, reason = "IO: listens")]

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use nix::errno::Errno;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::inherited::{InheritError, Inherited};
use crate::config::{ListenOn, ListenerConfig};
use crate::intercept::Via;

/// Connections that wait for accept: a burst of a mail server that starts its queue.
const BACKLOG: i32 = 1024;

/// All sockets of a proxy, bound and not yet served: that takes no privileges any more.
pub struct Sockets(pub(super) Vec<Bound>);

impl Sockets {
    /// Binds all listeners, or takes over what the service manager has bound.
    ///
    /// # Errors
    /// The first listener that has no socket.
    pub fn open(listeners: &[ListenerConfig], inherited: Inherited) -> Result<Self, ListenError> {
        open_all(listeners, inherited).map(Self)
    }
}

/// A socket that listens, and the number of the listener that it belongs to.
pub(super) struct Bound {
    pub(super) listener: TcpListener,
    pub(super) address: SocketAddr,
    pub(super) index: usize,
}

impl Bound {
    /// One to accept from, and one to hand to a successor.
    pub(super) fn for_two(self) -> Result<(tokio::net::TcpListener, TcpListener), ListenError> {
        let address = self.address;
        let copied = self.listener.try_clone().and_then(|copy| {
            let listener = tokio::net::TcpListener::from_std(self.listener)?;
            Ok((listener, copy))
        });
        copied.map_err(|source| ListenError::Bind { address, source })
    }
}

/// Why a listener has no socket.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// An address cannot be had.
    #[error("cannot listen on {address}: {source}; {}", advice(source))]
    Bind {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Something is wrong with what the service manager passes.
    #[error(transparent)]
    Inherit(#[from] InheritError),
    /// It passes a socket that TPROXY would not find: netfilter then lets connections go past us.
    #[error(
        "listener.fd = {name:?} is not transparent, and kind = \"tproxy\" takes such a socket: set Transparent=yes in the \
         socket unit"
    )]
    NotTransparent {
        /// Which.
        name: String,
    },
    /// A passed socket does not work.
    #[error("listener.fd = {name:?}: {source}")]
    Passed {
        /// Which.
        name: String,
        /// Why.
        source: io::Error,
    },
}

/// Binds all listeners, or takes over what the service manager has bound. `[::]` takes IPv4 too, unless `0.0.0.0` with
/// the same port is asked for by itself.
///
/// # Errors
/// The first listener that has no socket.
pub(super) fn open_all(
    listeners: &[ListenerConfig],
    mut inherited: Inherited,
) -> Result<Vec<Bound>, ListenError> {
    let addresses: Vec<_> = listeners
        .iter()
        .filter_map(|one| one.socket.address())
        .collect();
    let mut all = Vec::new();
    for (index, config) in listeners.iter().enumerate() {
        let handed = inherited.take_handed(&config.socket)?;
        let is_handed = !handed.is_empty();
        for socket in handed {
            let (listener, address) = take_over(socket, "(taken over)", config.kind)?;
            all.push(Bound {
                listener,
                address,
                index,
            });
        }
        match &config.socket {
            _ if is_handed => {}
            ListenOn::Address(address) => {
                let address = *address;
                let bind = bind(address, stack(address, &addresses), config.kind);
                let listener = bind.map_err(|source| ListenError::Bind { address, source })?;
                let address = listener.local_addr().unwrap_or(address);
                all.push(Bound {
                    listener,
                    address,
                    index,
                });
            }
            ListenOn::Fd(name) => {
                for socket in inherited.take(name)? {
                    let (listener, address) = take_over(socket, name, config.kind)?;
                    all.push(Bound {
                        listener,
                        address,
                        index,
                    });
                }
            }
        }
    }
    inherited.finish()?;
    Ok(all)
}

fn take_over(
    socket: Socket,
    name: &str,
    kind: Via,
) -> Result<(TcpListener, SocketAddr), ListenError> {
    let passed = |source| ListenError::Passed {
        name: name.to_owned(),
        source,
    };
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().map_err(passed)?;
    if kind == Via::Tproxy && !is_transparent(&SockRef::from(&listener), address).map_err(passed)? {
        return Err(ListenError::NotTransparent {
            name: name.to_owned(),
        });
    }
    Ok((listener, address))
}

fn is_transparent(socket: &Socket, address: SocketAddr) -> io::Result<bool> {
    if address.is_ipv4() {
        socket.ip_transparent_v4()
    } else {
        socket.ip_transparent_v6()
    }
}

/// What an IPv6 listener takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stack {
    Dual,
    Ipv6Only,
}

fn stack(address: SocketAddr, all: &[SocketAddr]) -> Stack {
    let v4 = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port());
    if all.contains(&v4) {
        Stack::Ipv6Only
    } else {
        Stack::Dual
    }
}

fn bind(address: SocketAddr, stack: Stack, kind: Via) -> io::Result<TcpListener> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // Said either way: the system's default is a sysctl.
        socket.set_only_v6(stack == Stack::Ipv6Only)?;
    }
    if kind == Via::Tproxy {
        // On IPv6 it holds for mapped addresses as well.
        match address {
            SocketAddr::V4(_) => socket.set_ip_transparent_v4(true)?,
            SocketAddr::V6(_) => socket.set_ip_transparent_v6(true)?,
        }
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
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
        Some(Errno::EPERM) => {
            "kind = \"tproxy\" takes CAP_NET_RAW: grant it (AmbientCapabilities=CAP_NET_RAW in the service unit) or choose \
             another listener.kind"
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

    impl Bound {
        async fn accept(&self) -> (TcpStream, SocketAddr) {
            let listener = self.listener.try_clone().unwrap();
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            listener.accept().await.unwrap()
        }
    }

    fn open(address: SocketAddr) -> Result<Vec<Bound>, ListenError> {
        let listener = ListenerConfig::new(Via::Redirect, address);
        open_all(&[listener], Inherited::default())
    }

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
        let listeners = open("[::]:0".parse().unwrap()).unwrap();
        let port = listeners[0].address.port();
        let client = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let (accepted, peer) = listeners[0].accept().await;
        assert_eq!(peer.ip().to_canonical(), client.local_addr().unwrap().ip());
        assert!(accepted.local_addr().unwrap().is_ipv6());
    }

    #[tokio::test]
    async fn a_port_in_use_is_named() {
        let first = open("127.0.0.1:0".parse().unwrap()).unwrap();
        let taken = first[0].address;
        let error = open(taken).err().unwrap().to_string();
        assert!(
            error.contains(&taken.to_string()) && error.contains("free port"),
            "{error}"
        );
    }
}
