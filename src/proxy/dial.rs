//! Connects to destinations: from the client's own address where that is ours to use, or where TPROXY lets us use what
//! is not ours; with the mark that exempts the connection from interception.
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "IO: dials"
)]

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, SockRef, Socket, Type};
use tokio::net::{TcpSocket, TcpStream};

use crate::config::UpstreamConfig;
use crate::intercept::{Intercepted, Via};

/// How destinations are dialled.
#[derive(Clone, Copy, Debug)]
pub struct Dialer {
    config: UpstreamConfig,
}

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The kernel chooses an address of this machine.
    Ours,
    /// From the client's address where that is ours too.
    Kept(IpAddr),
    /// From the client's address, though it is not ours.
    Taken(IpAddr),
}

impl Source {
    /// What a client's connection upstream comes from.
    #[must_use]
    pub fn of(from: &Intercepted) -> Self {
        let client = from.client.ip().to_canonical();
        match from.via {
            _ if client.is_loopback() => Self::Ours,
            Via::Tproxy => Self::Taken(client),
            Via::Redirect | Via::ProxyProtocol | Via::Socks5 => Self::Kept(client),
        }
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The destination does not answer in time.
    #[error("no connection within {} s", _0.as_secs_f32())]
    Timeout(Duration),
    /// It refuses, or no route leads there.
    #[error("{0}")]
    Refused(#[source] io::Error),
    /// This machine has nothing to connect with just now: ports or descriptors are used up. The destination is not to
    /// blame.
    #[error("this host has no free port or descriptor: {0}")]
    Exhausted(#[source] io::Error),
}

/// `SO_MARK` is configured and cannot be set.
#[derive(Debug, thiserror::Error)]
#[error(
    "the mark {mark:#x} cannot be set on sockets: {source} (SO_MARK needs CAP_NET_RAW or CAP_NET_ADMIN; grant it or remove upstream.mark)"
)]
pub struct MarkError {
    /// The mark.
    pub mark: u32,
    /// What the kernel says.
    pub source: io::Error,
}

/// Addresses of clients cannot be used.
#[derive(Debug, thiserror::Error)]
#[error(
    "upstream.keep_source: the addresses of TPROXY clients cannot be used: {0} (IP_TRANSPARENT needs CAP_NET_RAW; grant it, \
     as with AmbientCapabilities=CAP_NET_RAW, or set upstream.keep_source = false)"
)]
pub struct TransparentError(#[source] pub io::Error);

impl Dialer {
    /// Tries the mark at once: without it every connection would be intercepted again.
    ///
    /// # Errors
    /// When the mark cannot be set.
    pub fn new(config: UpstreamConfig) -> Result<Self, MarkError> {
        if let Some(mark) = config.mark {
            Socket::new(Domain::IPV4, Type::STREAM, None)
                .and_then(|socket| socket.set_mark(mark))
                .map_err(|source| MarkError { mark, source })?;
        }
        Ok(Self { config })
    }

    /// Tries at once whether connections can come from addresses that are not ours.
    ///
    /// # Errors
    /// When they cannot, and it is configured.
    pub fn try_transparent(&self) -> Result<(), TransparentError> {
        if !self.config.keep_source {
            return Ok(());
        }
        for address in [
            SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0),
            SocketAddr::new(Ipv6Addr::LOCALHOST.into(), 0),
        ] {
            match Socket::new(Domain::for_address(address), Type::STREAM, None) {
                Ok(socket) => make_transparent(&socket, address.ip()).map_err(TransparentError)?,
                // This machine has only one family.
                Err(error) if error.raw_os_error() == Some(Errno::EAFNOSUPPORT as i32) => {}
                Err(error) => return Err(TransparentError(error)),
            }
        }
        Ok(())
    }

    /// How long a connection or a handshake may take.
    #[must_use]
    pub const fn limit(&self) -> Duration {
        self.config.connect_timeout
    }

    /// Connects to `destination`.
    ///
    /// # Errors
    /// Why not, within the configured time.
    pub async fn dial(
        &self,
        destination: SocketAddr,
        source: Source,
    ) -> Result<TcpStream, DialError> {
        let limit = self.limit();
        let socket = self.socket(destination, source).map_err(classify)?;
        let connected = tokio::time::timeout(limit, socket.connect(destination)).await;
        let stream = connected.map_err(|_| DialError::Timeout(limit))?;
        stream
            .and_then(|stream| stream.set_nodelay(true).map(|()| stream))
            .map_err(classify)
    }

    fn socket(&self, destination: SocketAddr, source: Source) -> io::Result<TcpSocket> {
        let socket = marked(destination, self.config.mark)?;
        let fits = |client: IpAddr| client.is_ipv4() == destination.is_ipv4();
        match source {
            _ if !self.config.keep_source => {}
            Source::Kept(client) if fits(client) => keep_source(&socket, client)?,
            Source::Taken(client) if fits(client) => take_source(&socket, client)?,
            Source::Ours | Source::Kept(_) | Source::Taken(_) => {}
        }
        Ok(socket)
    }
}

/// A socket for connections there, with a mark or without.
pub(crate) fn marked(destination: SocketAddr, mark: Option<u32>) -> io::Result<TcpSocket> {
    let socket = match destination {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    if let Some(mark) = mark {
        SockRef::from(&socket).set_mark(mark)?;
    }
    Ok(socket)
}

/// Connects from an address that is not ours: the gateway leads what comes back to us. Another port than the client's,
/// or both connections would be one to connection tracking.
fn take_source(socket: &TcpSocket, client: IpAddr) -> io::Result<()> {
    make_transparent(&SockRef::from(socket), client)?;
    setsockopt(socket, sockopt::IpBindAddressNoPort, &true)?;
    socket.bind(SocketAddr::new(client, 0))
}

fn make_transparent(socket: &Socket, address: IpAddr) -> io::Result<()> {
    if address.is_ipv4() {
        socket.set_ip_transparent_v4(true)
    } else {
        socket.set_ip_transparent_v6(true)
    }
}

/// Connects from the address that the client chose, which multi-homed senders publish in SPF. A client on another host
/// has an address that is not ours, and a link-local one says too little: then the kernel chooses.
fn keep_source(socket: &TcpSocket, client: IpAddr) -> io::Result<()> {
    // Without this a bound address gets one port for all destinations together.
    setsockopt(socket, sockopt::IpBindAddressNoPort, &true)?;
    match socket.bind(SocketAddr::new(client, 0)) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::AddrNotAvailable | io::ErrorKind::InvalidInput
            ) =>
        {
            Ok(())
        }
        bound => bound,
    }
}

fn classify(error: io::Error) -> DialError {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(
            Errno::EADDRNOTAVAIL
            | Errno::EADDRINUSE
            | Errno::EMFILE
            | Errno::ENFILE
            | Errno::ENOBUFS
            | Errno::ENOMEM,
        ) => DialError::Exhausted(error),
        Some(_) | None => DialError::Refused(error),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    const CONFIG: UpstreamConfig = UpstreamConfig {
        mark: None,
        keep_source: true,
        connect_timeout: Duration::from_secs(5),
    };

    fn from(client: &str, destination: SocketAddr) -> Source {
        Source::of(&Intercepted {
            client: SocketAddr::new(client.parse().unwrap(), 4711),
            destination,
            via: Via::Redirect,
            hint: None,
        })
    }

    #[test]
    fn only_tproxy_takes_addresses_that_are_not_ours_and_nothing_takes_loopback() {
        let destination = "198.51.100.1:25".parse().unwrap();
        for (via, client, expected) in [
            (
                Via::Tproxy,
                "192.0.2.7",
                Source::Taken("192.0.2.7".parse().unwrap()),
            ),
            (
                Via::Tproxy,
                "::ffff:192.0.2.7",
                Source::Taken("192.0.2.7".parse().unwrap()),
            ),
            (
                Via::Tproxy,
                "2001:db8::7",
                Source::Taken("2001:db8::7".parse().unwrap()),
            ),
            (
                Via::Redirect,
                "192.0.2.7",
                Source::Kept("192.0.2.7".parse().unwrap()),
            ),
            (
                Via::ProxyProtocol,
                "2001:db8::7",
                Source::Kept("2001:db8::7".parse().unwrap()),
            ),
            (
                Via::Socks5,
                "192.0.2.7",
                Source::Kept("192.0.2.7".parse().unwrap()),
            ),
            (Via::Tproxy, "127.0.0.1", Source::Ours),
            (Via::Redirect, "::1", Source::Ours),
        ] {
            let seen = Source::of(&Intercepted {
                client: SocketAddr::new(client.parse().unwrap(), 4711),
                destination,
                via,
                hint: None,
            });
            assert_eq!(seen, expected, "{via:?} {client}");
        }
    }

    #[test]
    fn net_10_what_this_machine_lacks_is_not_the_destinations_fault() {
        for (errno, ours) in [
            (Errno::EADDRNOTAVAIL, true),
            (Errno::EADDRINUSE, true),
            (Errno::EMFILE, true),
            (Errno::ENFILE, true),
            (Errno::ENOBUFS, true),
            (Errno::ENOMEM, true),
            (Errno::ECONNREFUSED, false),
            (Errno::ENETUNREACH, false),
            (Errno::EHOSTUNREACH, false),
            (Errno::ECONNRESET, false),
        ] {
            let error = classify(io::Error::from_raw_os_error(errno as i32));
            assert_eq!(matches!(error, DialError::Exhausted(_)), ours, "{errno}");
        }
    }

    #[tokio::test]
    async fn a_client_elsewhere_or_on_loopback_leaves_the_source_to_the_kernel() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let destination = listener.local_addr().unwrap();
        let dialer = Dialer::new(CONFIG).unwrap();
        for client in ["192.0.2.77", "127.0.0.9", "2001:db8::77"] {
            let stream = dialer.dial(destination, from(client, destination)).await;
            let source = stream.unwrap().local_addr().unwrap();
            assert_eq!(source.ip().to_string(), "127.0.0.1", "{client}");
        }
    }

    #[tokio::test]
    async fn a_port_that_nobody_listens_on_is_a_refusal_in_words() {
        let unused = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let destination = unused.local_addr().unwrap();
        drop(unused);
        let dialer = Dialer::new(CONFIG).unwrap();
        let error = dialer.dial(destination, Source::Ours).await.err();
        assert!(matches!(error, Some(DialError::Refused(_))));
    }
}
