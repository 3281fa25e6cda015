//! The way to one recursive resolver: by UDP with TCP for long answers, or by TLS (RFC 7858).
//!
//! hickory makes the connections and matches answers to questions; which connection is used, kept and made anew is decided
//! here, so that the whole response comes back: response code, AD bit and extended errors too.
#![expect(
    clippy::disallowed_methods,
    reason = "IO: connects to the resolvers, within a time"
)]

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, Stream};
use hickory_resolver::config::{ConnectionConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::xfer::{DnsExchange, DnsHandle, FirstAnswer};
use hickory_resolver::proto::op::{DnsRequest, DnsResponse};
use hickory_resolver::{ConnectionProvider, PoolContext, TlsConfig};
use tokio::sync::Mutex;

use crate::x509::path::Roots;

/// Where a recursive resolver listens, and how it is spoken to.
///
/// In text: `192.0.2.53`, `192.0.2.53:5300`, `[2001:db8::53]:53`, or for TLS `tls://192.0.2.53#resolver.example` (port 853;
/// without a name after `#` the certificate must name the address).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerAddress {
    /// Address and port.
    pub socket: SocketAddr,
    /// The name that its certificate must bear; `None` for UDP and TCP.
    pub tls_name: Option<String>,
}

impl ServerAddress {
    /// Without TLS.
    #[must_use]
    pub const fn plain(socket: SocketAddr) -> Self {
        Self {
            socket,
            tls_name: None,
        }
    }

    /// Nobody on the way can change what it says: it is on this machine, or proves who it is.
    #[must_use]
    pub fn is_reached_safely(&self) -> bool {
        self.tls_name.is_some() || self.socket.ip().to_canonical().is_loopback()
    }
}

/// What is no address of a resolver.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected an address such as 192.0.2.53, 192.0.2.53:5300, [2001:db8::53]:53 or tls://192.0.2.53#resolver.example, got {0:?}"
)]
pub struct NoServerAddress(String);

impl FromStr for ServerAddress {
    type Err = NoServerAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || NoServerAddress(text.to_owned());
        let Some(secured) = text.strip_prefix("tls://") else {
            let socket = socket(text, DNS_PORT).ok_or_else(wrong)?;
            return Ok(Self::plain(socket));
        };
        let (address, name) = match secured.split_once('#') {
            Some((address, name)) => (address, Some(name)),
            None => (secured, None),
        };
        let socket = socket(address, DOT_PORT).ok_or_else(wrong)?;
        let name = name.map_or_else(|| socket.ip().to_string(), str::to_owned);
        rustls_pki_types::ServerName::try_from(name.as_str()).map_err(|_| wrong())?;
        Ok(Self {
            socket,
            tls_name: Some(name),
        })
    }
}

fn socket(text: &str, port: u16) -> Option<SocketAddr> {
    let in_brackets = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let bare = in_brackets.unwrap_or(text);
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Some(SocketAddr::new(ip, port));
    }
    text.parse()
        .ok()
        .filter(|socket: &SocketAddr| socket.port() != 0)
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.tls_name {
            None => self.socket.fmt(f),
            Some(name) => write!(f, "tls://{}#{name}", self.socket),
        }
    }
}

/// A recursive resolver with its connections.
#[derive(Clone)]
pub(super) struct Recursor(Arc<Connections>);

struct Connections {
    /// Absent where everything goes by TLS.
    datagrams: Option<Connection>,
    stream: Connection,
}

struct Connection {
    ip: IpAddr,
    config: ConnectionConfig,
    context: Arc<PoolContext>,
    /// Must live as long as its connections: it owns the tasks that drive them.
    provider: TokioRuntimeProvider,
    open: Mutex<Option<Open>>,
}

#[derive(Clone)]
struct Open {
    exchange: DnsExchange<TokioRuntimeProvider>,
    /// Tells connections apart.
    mark: Arc<()>,
}

impl Recursor {
    /// Nothing is connected yet. `patience` is for one question.
    pub(super) fn new(
        address: &ServerAddress,
        roots: Option<&Roots>,
        patience: Duration,
    ) -> Result<Self, NetError> {
        let context = Arc::new(context(roots, patience)?);
        let connection = |mut config: ConnectionConfig| {
            config.port = address.socket.port();
            Connection {
                ip: address.socket.ip(),
                config,
                context: Arc::clone(&context),
                provider: TokioRuntimeProvider::default(),
                open: Mutex::new(None),
            }
        };
        let connections = match &address.tls_name {
            None => Connections {
                datagrams: Some(connection(ConnectionConfig::udp())),
                stream: connection(ConnectionConfig::tcp()),
            },
            Some(name) => Connections {
                datagrams: None,
                stream: connection(ConnectionConfig::tls(name.as_str().into())),
            },
        };
        Ok(Self(Arc::new(connections)))
    }
}

impl Connections {
    async fn ask(&self, request: DnsRequest) -> Result<DnsResponse, NetError> {
        if let Some(datagrams) = &self.datagrams {
            let response = datagrams.ask(request.clone()).await?;
            if !response.truncation {
                return Ok(response);
            }
        }
        self.stream.ask(request).await
    }
}

impl Connection {
    async fn ask(&self, request: DnsRequest) -> Result<DnsResponse, NetError> {
        let (open, is_new) = self.connected().await?;
        match self.ask_over(&open, request.clone()).await {
            // The resolver has closed a connection that lay idle, as it may (RFC 7766 §6.2.3).
            Err(error) if !is_new && !matches!(error, NetError::Timeout) => {
                let (open, _) = self.connected().await?;
                self.ask_over(&open, request).await
            }
            reply => reply,
        }
    }

    async fn ask_over(&self, open: &Open, request: DnsRequest) -> Result<DnsResponse, NetError> {
        let reply = open.exchange.send(request).first_answer().await;
        if reply.is_err() {
            self.forget(open).await;
        }
        reply
    }

    /// Whoever waits for another to connect has no more patience than that one.
    async fn connected(&self) -> Result<(Open, bool), NetError> {
        tokio::time::timeout(self.context.options.timeout, self.connect())
            .await
            .map_err(|_| NetError::Timeout)?
    }

    async fn connect(&self) -> Result<(Open, bool), NetError> {
        let mut open = self.open.lock().await;
        if let Some(open) = &*open {
            return Ok((open.clone(), false));
        }
        let connecting = self
            .provider
            .new_connection(self.ip, &self.config, &self.context)?;
        let made = Open {
            exchange: connecting.await?,
            mark: Arc::default(),
        };
        *open = Some(made.clone());
        Ok((made, true))
    }

    async fn forget(&self, dead: &Open) {
        let mut open = self.open.lock().await;
        if open
            .as_ref()
            .is_some_and(|open| Arc::ptr_eq(&open.mark, &dead.mark))
        {
            *open = None;
        }
    }
}

impl DnsHandle for Recursor {
    type Response = Pin<Box<dyn Stream<Item = Result<DnsResponse, NetError>> + Send>>;
    type Runtime = TokioRuntimeProvider;

    fn send(&self, request: DnsRequest) -> Self::Response {
        let connections = Arc::clone(&self.0);
        Box::pin(stream::once(async move { connections.ask(request).await }))
    }
}

fn context(roots: Option<&Roots>, patience: Duration) -> Result<PoolContext, NetError> {
    let mut options = ResolverOpts::default();
    options.timeout = patience;
    options.max_active_requests = MOST_ACTIVE;
    let mut tls = TlsConfig::new()?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let store = roots.map_or_else(rustls::RootCertStore::empty, Roots::store);
    tls.config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(store)
        .with_no_client_auth();
    Ok(PoolContext::new(options, tls))
}

const DNS_PORT: u16 = 53;
const DOT_PORT: u16 = 853;

/// Messages under way on one connection.
const MOST_ACTIVE: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_resolvers_are_read_and_written() {
        for (text, written) in [
            ("192.0.2.53", "192.0.2.53:53"),
            ("192.0.2.53:5300", "192.0.2.53:5300"),
            ("2001:db8::53", "[2001:db8::53]:53"),
            ("[2001:db8::53]", "[2001:db8::53]:53"),
            ("[2001:db8::53]:5300", "[2001:db8::53]:5300"),
            ("tls://192.0.2.53", "tls://192.0.2.53:853#192.0.2.53"),
            (
                "tls://192.0.2.53:1853#dns.example",
                "tls://192.0.2.53:1853#dns.example",
            ),
            (
                "tls://[2001:db8::53]#dns.example",
                "tls://[2001:db8::53]:853#dns.example",
            ),
        ] {
            let address: ServerAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), written);
            assert_eq!(written.parse(), Ok(address), "{written}");
        }
    }

    #[test]
    fn what_is_no_address_of_a_resolver_is_said_to_be_none() {
        for text in [
            "",
            "dns.example",
            "192.0.2.53:0",
            "192.0.2.53:99999",
            "tls://",
            "tls://dns.example",
            "tls://192.0.2.53#",
            "tls://192.0.2.53#not a name",
            "https://192.0.2.53",
            "192.0.2.53#dns.example",
        ] {
            let error = text.parse::<ServerAddress>().unwrap_err();
            assert!(
                error.to_string().contains("tls://192.0.2.53#resolver"),
                "{text}"
            );
        }
    }

    #[test]
    fn dnssec_3_only_loopback_and_tls_cannot_be_tampered_with_on_the_way() {
        for (text, safe) in [
            ("127.0.0.1", true),
            ("127.9.9.9:5300", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("192.0.2.53", false),
            ("10.0.0.1", false),
            ("0.0.0.0", false),
            ("tls://192.0.2.53#dns.example", true),
        ] {
            let address: ServerAddress = text.parse().unwrap();
            assert_eq!(address.is_reached_safely(), safe, "{text}");
        }
    }
}
