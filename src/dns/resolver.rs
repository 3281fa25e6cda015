//! The validating resolver behind [`Lookup`]: transport to the recursive resolvers, and answers in the words of the policy.
//!
//! Every name is fully qualified; search lists and the hosts file play no part. Names that are reserved for other uses than
//! the DNS never leave the process (RFC 6761 §6.3, §6.4; RFC 7686 §2): they do not exist.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use hickory_resolver::config::{NameServerConfig, ResolverOpts, ServerOrderingStrategy};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::xfer::RetryDnsHandle;
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::system_conf::read_system_conf;
use hickory_resolver::{NameServerPool, PoolContext, TlsConfig};

pub use super::anchor::{AnchorError, TrustAnchor};
use super::answers;
use super::chase::{Chase, Outcome};
use super::{Answer, Family, Lookup, Mx, Resolved, Text, TlsaRdata};
use crate::clock::Clock;
use crate::name::DnsName;

/// What a resolver needs.
#[derive(Clone, Debug)]
pub struct ResolverOptions {
    /// Recursive resolvers, at least one, asked by UDP and, for long answers, by TCP.
    pub servers: Vec<SocketAddr>,
    /// The root keys.
    pub anchor: TrustAnchor,
    /// For a whole lookup, with all that it needs.
    pub timeout: Duration,
}

/// Why there is no resolver.
#[derive(Debug, thiserror::Error)]
pub enum ResolverError {
    /// Nobody to ask.
    #[error("no recursive resolver is configured: name at least one address and port to ask")]
    NoServers,
    /// The system's resolver configuration is of no use.
    #[error(
        "the system's resolvers cannot be read from /etc/resolv.conf: {0}; name them in the configuration"
    )]
    System(String),
    /// The transport cannot be set up.
    #[error("the DNS transport cannot be set up: {0}")]
    Transport(String),
}

/// A validating resolver.
pub struct Resolver {
    chase: Chase<RetryDnsHandle<NameServerPool<TokioRuntimeProvider>>>,
}

/// The recursive resolvers that the system uses.
///
/// # Errors
/// When the system's configuration cannot be read or names none.
pub fn system_servers() -> Result<Vec<SocketAddr>, ResolverError> {
    let (config, _) =
        read_system_conf().map_err(|error: NetError| ResolverError::System(error.to_string()))?;
    Ok(config
        .name_servers()
        .iter()
        .filter_map(|server| {
            let port = server.connections.first()?.port;
            Some(SocketAddr::new(server.ip, port))
        })
        .collect())
}

impl Resolver {
    /// Builds a resolver; nothing is asked yet.
    ///
    /// # Errors
    /// Without servers, and when the transport cannot be set up.
    pub fn new(options: ResolverOptions, clock: Arc<dyn Clock>) -> Result<Self, ResolverError> {
        if options.servers.is_empty() {
            return Err(ResolverError::NoServers);
        }
        let transport = |error: NetError| ResolverError::Transport(error.to_string());
        let tls = TlsConfig::new().map_err(transport)?;
        let context = Arc::new(PoolContext::new(transport_options(options.timeout), tls));
        let pool = NameServerPool::from_config(
            options.servers.iter().copied().map(server),
            context,
            TokioRuntimeProvider::default(),
        );
        let handle = RetryDnsHandle::new(pool, RETRIES);
        Ok(Self {
            chase: Chase::new(handle, options.anchor.keys(), options.timeout, clock),
        })
    }

    /// Asks for any type and shows the data as text, for people who want to know what the resolver thinks.
    ///
    /// # Errors
    /// When the name or the type is none.
    pub async fn inspect(
        &self,
        name: &str,
        record_type: &str,
    ) -> Result<Answer<Vec<String>>, NoQuestion> {
        let record_type = record_type
            .parse()
            .map_err(|_| NoQuestion::Type(record_type.to_owned()))?;
        let mut name = Name::from_ascii(name).map_err(|_| NoQuestion::Name(name.to_owned()))?;
        name.set_fqdn(true);
        let outcome = self.outcome(&name, record_type).await;
        Ok(answers::resolved(outcome, answers::text).answer)
    }

    async fn ask<T>(
        &self,
        name: &DnsName,
        record_type: RecordType,
        read: answers::Read<T>,
    ) -> Resolved<Vec<T>> {
        let name = answers::absolute(name);
        let outcome = self.outcome(&name, record_type).await;
        answers::resolved(outcome, read)
    }

    async fn outcome(&self, name: &Name, record_type: RecordType) -> Outcome {
        if is_special(name) {
            return Outcome::outside_the_dns();
        }
        self.chase.look_up(name, record_type).await
    }
}

/// What cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoQuestion {
    /// Not a name.
    #[error("{0:?} is not a domain name")]
    Name(String),
    /// Not a type.
    #[error("{0:?} is not a DNS record type; expected one like MX, A, AAAA, TLSA, TXT")]
    Type(String),
}

impl Lookup for Resolver {
    fn mx<'a>(&'a self, domain: &'a DnsName) -> BoxFuture<'a, Resolved<Vec<Mx>>> {
        Box::pin(self.ask(domain, RecordType::MX, answers::mx))
    }

    fn addresses<'a>(
        &'a self,
        host: &'a DnsName,
        family: Family,
    ) -> BoxFuture<'a, Resolved<Vec<IpAddr>>> {
        let record_type = match family {
            Family::V4 => RecordType::A,
            Family::V6 => RecordType::AAAA,
        };
        Box::pin(self.ask(host, record_type, answers::address))
    }

    fn tlsa<'a>(&'a self, owner: &'a DnsName) -> BoxFuture<'a, Resolved<Vec<TlsaRdata>>> {
        Box::pin(self.ask(owner, RecordType::TLSA, answers::tlsa))
    }

    fn txt<'a>(&'a self, name: &'a DnsName) -> BoxFuture<'a, Resolved<Vec<Text>>> {
        Box::pin(self.ask(name, RecordType::TXT, answers::txt))
    }

    fn cname<'a>(&'a self, name: &'a DnsName) -> BoxFuture<'a, Answer<DnsName>> {
        Box::pin(async {
            let found = self.ask(name, RecordType::CNAME, answers::cname).await;
            answers::single(found.answer)
        })
    }
}

fn server(address: SocketAddr) -> NameServerConfig {
    let mut config = NameServerConfig::udp_and_tcp(address.ip());
    for connection in &mut config.connections {
        connection.port = address.port();
    }
    config
}

fn transport_options(timeout: Duration) -> ResolverOpts {
    let mut options = ResolverOpts::default();
    // One message must not eat up the time of the whole lookup.
    options.timeout = (timeout / 4).clamp(SHORTEST_TRY, LONGEST_TRY);
    options.attempts = RETRIES;
    options.num_concurrent_reqs = 1;
    options.max_active_requests = MOST_ACTIVE;
    options.server_ordering_strategy = ServerOrderingStrategy::QueryStatistics;
    options
}

/// Top-level names that are not in the DNS.
fn is_special(name: &Name) -> bool {
    name.iter()
        .next_back()
        .is_some_and(|top| SPECIAL.iter().any(|s| top.eq_ignore_ascii_case(s)))
}

const SPECIAL: [&[u8]; 3] = [b"localhost", b"invalid", b"onion"];

/// Per message, after the first try.
const RETRIES: usize = 1;
const SHORTEST_TRY: Duration = Duration::from_millis(500);
const LONGEST_TRY: Duration = Duration::from_secs(4);

/// Messages under way on one connection.
const MOST_ACTIVE: usize = 4096;
