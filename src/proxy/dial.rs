//! Connects to destinations: from the client's own address where that is ours to use, with the mark that exempts the
//! connection from interception.
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "IO: dials"
)]

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, SockRef, Socket, Type};
use tokio::net::{TcpSocket, TcpStream};

use crate::config::UpstreamConfig;

/// How destinations are dialled.
#[derive(Clone, Copy, Debug)]
pub struct Dialer {
    config: UpstreamConfig,
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

    /// How long a connection or a handshake may take.
    #[must_use]
    pub const fn limit(&self) -> Duration {
        self.config.connect_timeout
    }

    /// Connects to `destination` on behalf of `client`.
    ///
    /// # Errors
    /// Why not, within the configured time.
    pub async fn dial(
        &self,
        destination: SocketAddr,
        client: IpAddr,
    ) -> Result<TcpStream, DialError> {
        let limit = self.limit();
        let socket = self.socket(destination, client).map_err(classify)?;
        let connected = tokio::time::timeout(limit, socket.connect(destination)).await;
        let stream = connected.map_err(|_| DialError::Timeout(limit))?;
        stream
            .and_then(|stream| stream.set_nodelay(true).map(|()| stream))
            .map_err(classify)
    }

    fn socket(&self, destination: SocketAddr, client: IpAddr) -> io::Result<TcpSocket> {
        let socket = match destination {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        if let Some(mark) = self.config.mark {
            SockRef::from(&socket).set_mark(mark)?;
        }
        let client = client.to_canonical();
        let own = self.config.keep_source && !client.is_loopback();
        if own && client.is_ipv4() == destination.is_ipv4() {
            keep_source(&socket, client)?;
        }
        Ok(socket)
    }
}

/// Connects from the address that the client chose, which multi-homed senders publish in SPF. A client on another host
/// has an address that is not ours: then the kernel chooses.
fn keep_source(socket: &TcpSocket, client: IpAddr) -> io::Result<()> {
    // Without this a bound address gets one port for all destinations together.
    setsockopt(socket, sockopt::IpBindAddressNoPort, &true)?;
    match socket.bind(SocketAddr::new(client, 0)) {
        Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => Ok(()),
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

    #[test]
    fn net_10_what_this_machine_lacks_is_not_the_destinations_fault() {
        for (errno, ours) in [
            (Errno::EADDRNOTAVAIL, true),
            (Errno::EADDRINUSE, true),
            (Errno::EMFILE, true),
            (Errno::ENFILE, true),
            (Errno::ENOBUFS, true),
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
            let stream = dialer.dial(destination, client.parse().unwrap()).await;
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
        let error = dialer.dial(destination, destination.ip()).await.err();
        assert!(matches!(error, Some(DialError::Refused(_))));
    }
}
