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

#[cfg(test)]
mod tests {
    #![expect(
        clippy::disallowed_methods,
        clippy::disallowed_types,
        reason = "the tests serve DNS on loopback, on ports that the system picks"
    )]

    use hickory_resolver::proto::op::{Message, ResponseCode};
    use hickory_resolver::proto::rr::rdata::{A, CNAME, MX, TXT};
    use hickory_resolver::proto::rr::{RData, Record};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, UdpSocket};

    use super::*;
    use crate::clock::Timestamp;
    use crate::dns::sample::{Proofs, T0, TTL, World, Zone, ZoneKey, dname, name, tlsa};
    use crate::dns::{Absence, AbsenceKind, Alias, Denial, Exchange, Failure};

    struct Still;

    impl Clock for Still {
        fn wall(&self) -> Timestamp {
            Timestamp::from_unix(T0)
        }
    }

    fn world() -> World {
        let txt = |parts: &[&str]| {
            RData::TXT(TXT::new(
                parts.iter().map(|&part| part.to_owned()).collect(),
            ))
        };
        let mx = |preference, host: &str| RData::MX(MX::new(preference, name(host)));
        let alias = |target: &str| RData::CNAME(CNAME(name(target)));
        let mut safe = Zone::signed("safe", Proofs::Nsec)
            .with("safe", mx(10, "mx.safe"))
            .with("safe", mx(20, "."))
            .with("safe", mx(30, "_not.a.host"))
            .with("mx.safe", RData::A(A::new(192, 0, 2, 1)))
            .with("_25._tcp.mx.safe", tlsa(1))
            .with("_mta-sts.safe", txt(&["v=STSv1; ", "id=1;"]))
            .with("alias.safe", alias("mx.free"))
            .with("strange.safe", alias("a/b.safe"))
            .with("dn.safe", dname("free"));
        for octet in 0..100 {
            safe = safe.with("_25._tcp.big.safe", tlsa(octet));
        }
        let free = Zone::unsigned("free")
            .with("mx.free", RData::A(A::new(192, 0, 2, 2)))
            .with("short.free", tlsa(1));
        let root = Zone::signed(".", Proofs::Nsec)
            .delegating(&safe)
            .delegating(&free);
        World {
            zones: vec![root, safe, free],
        }
    }

    /// Serves the world by UDP and TCP on the same port.
    async fn serve(world: World) -> SocketAddr {
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
                break (udp, tcp);
            }
        };
        let address = udp.local_addr().unwrap();
        let world = Arc::new(world);
        let by_tcp = Arc::clone(&world);
        tokio::spawn(async move {
            let mut buffer = [0; 4096];
            while let Ok((length, client)) = udp.recv_from(&mut buffer).await {
                let reply = reply(&world, &buffer[..length], 1232);
                udp.send_to(&reply, client).await.unwrap();
            }
        });
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = tcp.accept().await {
                while let Ok(length) = stream.read_u16().await {
                    let mut query = vec![0; length.into()];
                    stream.read_exact(&mut query).await.unwrap();
                    let reply = reply(&by_tcp, &query, usize::MAX);
                    stream
                        .write_u16(reply.len().try_into().unwrap())
                        .await
                        .unwrap();
                    stream.write_all(&reply).await.unwrap();
                }
            }
        });
        address
    }

    fn reply(world: &World, query: &[u8], limit: usize) -> Vec<u8> {
        let query = Message::from_vec(query).unwrap();
        let question = &query.queries[0];
        let mut message = world.answer(question);
        message.metadata.id = query.metadata.id;
        if question.name() == &name("short.free") {
            shorten_tlsa(&mut message);
            return cut_the_tlsa(message);
        }
        let wire = message.to_vec().unwrap();
        if wire.len() <= limit {
            return wire;
        }
        message.metadata.truncation = true;
        message.answers.clear();
        message.authorities.clear();
        message.to_vec().unwrap()
    }

    fn shorten_tlsa(message: &mut Message) {
        message.answers.truncate(1);
        message.authorities.clear();
        message.metadata.response_code = ResponseCode::NoError;
    }

    /// The one record at the end of the message gets two octets of data.
    fn cut_the_tlsa(message: Message) -> Vec<u8> {
        let mut wire = message.to_vec().unwrap();
        let data = wire.len() - 35;
        wire.truncate(data + 2);
        wire[data - 2..data].copy_from_slice(&[0, 2]);
        wire
    }

    async fn resolver() -> Resolver {
        let world = world();
        let anchor = anchor_line(world.zone(".").key());
        let options = ResolverOptions {
            servers: vec![serve(world).await],
            anchor: TrustAnchor::parse(&anchor).unwrap(),
            timeout: Duration::from_secs(20),
        };
        Resolver::new(options, Arc::new(Still)).unwrap()
    }

    fn anchor_line(key: &ZoneKey) -> String {
        let record = Record::from_rdata(Name::root(), 300, key.dnskey());
        record.to_string()
    }

    fn host(text: &str) -> DnsName {
        DnsName::parse(text).unwrap()
    }

    #[tokio::test]
    async fn dnssec_1_records_come_in_the_words_of_the_policy() {
        let resolver = resolver().await;
        let Answer::Secure(mx) = resolver.mx(&host("safe")).await.answer else {
            panic!("not secure");
        };
        let mut exchanges = mx.data().clone();
        exchanges.sort_by_key(|mx| mx.preference);
        let exchanges: Vec<_> = exchanges.into_iter().map(|mx| mx.exchange).collect();
        assert_eq!(
            exchanges,
            [
                Exchange::Host(host("mx.safe")),
                Exchange::Root,
                Exchange::Unusable("_not.a.host.".to_owned()),
            ]
        );
        assert_eq!(mx.expires(), Timestamp::from_unix(T0 + u64::from(TTL)));
        let tlsa = resolver.tlsa(&host("_25._tcp.mx.safe")).await.answer;
        let rdata: Vec<u8> = [3, 1, 1].into_iter().chain([1; 32]).collect();
        assert_eq!(tlsa.records(), Some(&vec![rdata]));
        let text = resolver.txt(&host("_mta-sts.safe")).await.answer;
        assert_eq!(text.records(), Some(&vec![b"v=STSv1; id=1;".to_vec()]));
        let address = resolver.addresses(&host("mx.safe"), Family::V4).await;
        assert_eq!(
            address.answer.records(),
            Some(&vec!["192.0.2.1".parse().unwrap()])
        );
        let absent = resolver
            .addresses(&host("mx.safe"), Family::V6)
            .await
            .answer;
        let absence = Absence {
            kind: AbsenceKind::NoData,
            denial: Denial::Secure,
        };
        assert_eq!(absent, Answer::Absent(absence));
    }

    #[tokio::test]
    async fn dnssec_23_an_alias_is_told_with_its_own_trust() {
        let resolver = resolver().await;
        let found = resolver.addresses(&host("alias.safe"), Family::V4).await;
        let alias = Alias {
            from: host("alias.safe"),
            to: host("mx.free"),
            secure: true,
        };
        assert_eq!(found.aliases, [alias]);
        assert_eq!(found.expanded(&host("alias.safe")), &host("mx.free"));
        let insecure = Answer::Insecure(vec!["192.0.2.2".parse().unwrap()]);
        assert_eq!(found.answer, insecure);
    }

    #[tokio::test]
    async fn dnssec_25_a_truncated_answer_is_asked_for_by_tcp() {
        let answer = resolver()
            .await
            .tlsa(&host("_25._tcp.big.safe"))
            .await
            .answer;
        assert!(matches!(&answer, Answer::Secure(big) if big.data().len() == 100));
    }

    #[tokio::test]
    async fn a_tlsa_record_too_short_to_be_read_is_a_failure_and_no_absence() {
        let answer = resolver().await.tlsa(&host("short.free")).await.answer;
        assert!(
            matches!(answer, Answer::Failed(Failure::Unreachable(_))),
            "{answer:?}"
        );
    }

    #[tokio::test]
    async fn an_alias_to_what_is_no_name_for_mail_is_a_failure() {
        let answer = resolver()
            .await
            .addresses(&host("strange.safe"), Family::V4)
            .await;
        let Answer::Failed(Failure::Unreachable(why)) = answer.answer else {
            panic!("{:?}", answer.answer);
        };
        assert!(why.contains("/b.safe"), "{why}");
    }

    #[tokio::test]
    async fn names_that_are_not_in_the_dns_do_not_exist() {
        let nobody = ResolverOptions {
            servers: vec![serve(World { zones: Vec::new() }).await],
            anchor: TrustAnchor::iana(),
            timeout: Duration::from_secs(20),
        };
        let resolver = Resolver::new(nobody, Arc::new(Still)).unwrap();
        for special in ["localhost", "_25._tcp.mx.INVALID", "a.onion"] {
            let answer = resolver.tlsa(&host(special)).await.answer;
            let absence = Absence {
                kind: AbsenceKind::NxDomain,
                denial: Denial::Secure,
            };
            assert_eq!(answer, Answer::Absent(absence), "{special}");
        }
    }

    #[tokio::test]
    async fn dnssec_2_with_another_anchor_everything_is_bogus_and_nothing_insecure() {
        let world = world();
        let options = ResolverOptions {
            servers: vec![serve(world).await],
            anchor: TrustAnchor::parse(&anchor_line(&ZoneKey::generate())).unwrap(),
            timeout: Duration::from_secs(20),
        };
        let resolver = Resolver::new(options, Arc::new(Still)).unwrap();
        for owner in ["mx.safe", "mx.free", "nope"] {
            let answer = resolver.addresses(&host(owner), Family::V4).await.answer;
            assert!(
                matches!(answer, Answer::Failed(Failure::Bogus(_))),
                "{answer:?}"
            );
        }
    }

    #[test]
    fn without_servers_there_is_no_resolver() {
        let options = ResolverOptions {
            servers: Vec::new(),
            anchor: TrustAnchor::iana(),
            timeout: Duration::from_secs(1),
        };
        let error = Resolver::new(options, Arc::new(Still))
            .map(drop)
            .unwrap_err();
        assert!(error.to_string().contains("name at least one"), "{error}");
    }

    #[tokio::test]
    async fn what_is_no_question_is_not_asked() {
        let resolver = resolver().await;
        let no_type = resolver.inspect("safe", "NONSENSE").await;
        assert_eq!(no_type, Err(NoQuestion::Type("NONSENSE".to_owned())));
        let no_name = resolver.inspect("a..b", "A").await;
        assert_eq!(no_name, Err(NoQuestion::Name("a..b".to_owned())));
    }
}
