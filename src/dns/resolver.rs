//! The validating resolver behind [`Lookup`]: which resolvers are asked, and answers in the words of the policy.
//!
//! Every name is fully qualified; search lists and the hosts file play no part. Names that are reserved for other uses than
//! the DNS never leave the process (RFC 6761 §6.3, §6.4; RFC 7686 §2): they do not exist.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use futures_util::future::BoxFuture;
use hickory_resolver::net::NetError;
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::system_conf::read_system_conf;

pub use super::anchor::{AnchorError, TrustAnchor};
use super::answers;
use super::chase::{Chase, Outcome};
use super::diary::{Diary, Step};
use super::errand::Errand;
use super::health::state::Skew;
use super::negative::NegativeAnchors;
use super::purse::{Purse, Purses};
use super::recursor::{Recursor, ServerAddress};
use super::trouble::Trouble;
use super::upstream::Server;
pub use super::validator::Validate;
use super::validator::Validators;
use super::{Answer, Family, Lookup, Mx, Resolved, Text, TlsaRdata};
use crate::clock::{Clock, Timestamp};
use crate::name::DnsName;
use crate::x509::path::Roots;

/// What a resolver needs.
#[derive(Clone, Debug)]
pub struct ResolverOptions {
    /// Recursive resolvers, at least one, in the order in which they are asked.
    pub servers: Vec<ServerAddress>,
    /// The root keys.
    pub anchor: TrustAnchor,
    /// For a whole lookup, with all that it needs.
    pub timeout: Duration,
    /// Whose validation counts.
    pub validate: Validate,
    /// The CAs for resolvers that are reached by TLS; without them none can be.
    pub roots: Option<Arc<Roots>>,
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
    /// The AD bit of a resolver that anybody on the way may have set.
    #[error(
        "the AD bit of {0} cannot be trusted: anybody on the way to it could set it; name a resolver on a loopback address or \
         one reached by TLS (tls://192.0.2.53#resolver.example), or validate locally"
    )]
    Untrustworthy(ServerAddress),
    /// The transport cannot be set up.
    #[error("the DNS transport cannot be set up: {0}")]
    Transport(String),
}

/// A validating resolver.
pub struct Resolver {
    chase: Chase<Recursor>,
    negative: Option<Arc<dyn NegativeAnchors>>,
}

/// An answer with everything that is known about how it was come by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// The answer, its data as in a zone file.
    pub resolved: Resolved<Vec<String>>,
    /// Until when it may be used; `None` when nothing was found out.
    pub expires: Option<Timestamp>,
    /// How it was come by.
    pub steps: Vec<Step>,
    /// Messages that were sent for it.
    pub messages: u32,
    /// Set when it failed for no other reason than the time that our clock tells.
    pub skew: Option<Skew>,
}

/// The same resolver, with one purse for several lookups.
struct Budgeted<'a> {
    resolver: &'a Resolver,
    purse: Arc<Purse>,
}

/// The recursive resolvers that the system uses.
///
/// # Errors
/// When the system's configuration cannot be read or names none.
pub fn system_servers() -> Result<Vec<ServerAddress>, ResolverError> {
    let (config, _) =
        read_system_conf().map_err(|error: NetError| ResolverError::System(error.to_string()))?;
    let mut servers: Vec<ServerAddress> = Vec::new();
    for server in config.name_servers() {
        // Each is listed for UDP and for TCP.
        if let Some(connection) = server.connections.first() {
            let address = ServerAddress::plain(SocketAddr::new(server.ip, connection.port));
            if !servers.contains(&address) {
                servers.push(address);
            }
        }
    }
    Ok(servers)
}

impl Resolver {
    /// Builds a resolver; nothing is asked yet.
    ///
    /// # Errors
    /// Without servers, with servers whose word is to be taken and cannot, and when the transport cannot be set up.
    pub fn new(options: ResolverOptions, clock: Arc<dyn Clock>) -> Result<Self, ResolverError> {
        let ResolverOptions {
            servers,
            anchor,
            timeout,
            validate,
            roots,
        } = options;
        if servers.is_empty() {
            return Err(ResolverError::NoServers);
        }
        if validate != Validate::Local
            && let Some(unsafe_one) = servers.iter().find(|server| !server.is_reached_safely())
        {
            return Err(ResolverError::Untrustworthy(unsafe_one.clone()));
        }
        let patience = (timeout / 5).clamp(SHORTEST_TRY, LONGEST_TRY);
        let servers: Result<Vec<_>, NetError> = servers
            .iter()
            .map(|address| {
                Ok(Server {
                    label: address.to_string(),
                    handle: Recursor::new(address, roots.as_deref(), patience)?,
                })
            })
            .collect();
        let servers = servers.map_err(|error| ResolverError::Transport(error.to_string()))?;
        let validators = Validators::new(validate, servers, anchor.trust(), &clock);
        Ok(Self {
            chase: Chase::new(validators, timeout, clock),
            negative: None,
        })
    }

    /// The same resolver, with DNSSEC left aside where these say. It is our own validation that leaves it aside: what is
    /// believed of a resolver alone ([`Validate::TrustAd`]) they say nothing of.
    #[must_use]
    pub fn exempting(self, negative: Arc<dyn NegativeAnchors>) -> Self {
        Self {
            negative: Some(negative),
            ..self
        }
    }

    fn errand(&self, purse: Option<Arc<Purse>>, diary: Option<Diary>) -> Errand {
        Errand::new(Purses::new(purse), diary).exempting(self.negative.clone())
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
        let (name, record_type) = question(name, record_type)?;
        let outcome = self.outcome(&name, record_type).await;
        Ok(answers::resolved(outcome, answers::text).answer)
    }

    /// The same with all that led to it, asked anew.
    ///
    /// # Errors
    /// When the name or the type is none.
    pub async fn explain(&self, name: &str, record_type: &str) -> Result<Explained, NoQuestion> {
        let (name, record_type) = question(name, record_type)?;
        let diary = Diary::default();
        let errand = self.errand(None, Some(diary.clone()));
        let outcome = if is_special(&name) {
            Outcome::outside_the_dns()
        } else {
            self.chase.look_up(&name, record_type, &errand).await
        };
        let expires = outcome.end.as_ref().ok().map(|end| end.expires);
        let skew = outcome.end.as_ref().err().and_then(Trouble::skew);
        Ok(Explained {
            skew,
            resolved: answers::resolved(outcome, answers::text),
            expires,
            steps: diary.steps(),
            messages: errand.purses().messages_spent(),
        })
    }

    /// The counter of how often our own validation and the resolver's came to different ends.
    #[must_use]
    pub fn disagreements(&self) -> Arc<AtomicU64> {
        self.chase.disagreements()
    }

    async fn ask<T>(
        &self,
        name: &DnsName,
        record_type: RecordType,
        read: answers::Read<T>,
        purse: Option<Arc<Purse>>,
    ) -> Resolved<Vec<T>> {
        let name = answers::absolute(name);
        if is_special(&name) {
            return answers::resolved(Outcome::outside_the_dns(), read);
        }
        let errand = self.errand(purse, None);
        let outcome = self.chase.look_up(&name, record_type, &errand).await;
        let mut resolved = answers::resolved(outcome, read);
        resolved.source.cached = errand.purses().messages_spent() == 0;
        resolved
    }

    async fn outcome(&self, name: &Name, record_type: RecordType) -> Outcome {
        if is_special(name) {
            return Outcome::outside_the_dns();
        }
        let errand = self.errand(None, None);
        self.chase.look_up(name, record_type, &errand).await
    }
}

/// What cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoQuestion {
    /// Not a name.
    #[error(
        "{0:?} is not a domain name; expected one like _25._tcp.mx.example.com, with letters beyond ASCII as xn--…"
    )]
    Name(String),
    /// Read as octal by one, as decimal by another (RFC 1035 §5.1), it would be two names.
    #[error(
        "{0:?} holds an octet written as \\DDD, which is not read here; expected the letter itself"
    )]
    Escape(String),
    /// Not a type.
    #[error("{0:?} is not a DNS record type; expected one like MX, A, AAAA, TLSA, TXT")]
    Type(String),
    /// A type that no RRset with signatures of its own can have.
    #[error(
        "{0} is not a type whose records can be judged; expected one like MX, A, AAAA, TLSA, TXT"
    )]
    NoData(RecordType),
}

pub(super) fn question(name: &str, record_type: &str) -> Result<(Name, RecordType), NoQuestion> {
    let record_type: RecordType = record_type
        .to_ascii_uppercase()
        .parse()
        .map_err(|_| NoQuestion::Type(record_type.to_owned()))?;
    if !is_data(record_type) {
        return Err(NoQuestion::NoData(record_type));
    }
    // hickory reads three digits as octal.
    let mut escaped = name.split('\\').skip(1);
    if escaped.any(|rest| rest.starts_with(|first: char| first.is_ascii_digit())) {
        return Err(NoQuestion::Escape(name.to_owned()));
    }
    let mut name = Name::from_ascii(name).map_err(|_| NoQuestion::Name(name.to_owned()))?;
    name.set_fqdn(true);
    Ok((name, record_type))
}

/// Signatures are not signed themselves, and OPT and the types from 128 to 255 are questions for a server, not data
/// (RFC 6895 §3.1).
fn is_data(record_type: RecordType) -> bool {
    let is_meta = (128..=255).contains(&u16::from(record_type));
    let is_signature = matches!(record_type, RecordType::RRSIG | RecordType::SIG);
    !is_meta && !is_signature && record_type != RecordType::OPT
}

impl Lookup for Resolver {
    fn mx<'a>(&'a self, domain: &'a DnsName) -> BoxFuture<'a, Resolved<Vec<Mx>>> {
        Box::pin(self.ask(domain, RecordType::MX, answers::mx, None))
    }

    fn addresses<'a>(
        &'a self,
        host: &'a DnsName,
        family: Family,
    ) -> BoxFuture<'a, Resolved<Vec<IpAddr>>> {
        Box::pin(self.ask(host, address_type(family), answers::address, None))
    }

    fn tlsa<'a>(&'a self, owner: &'a DnsName) -> BoxFuture<'a, Resolved<Vec<TlsaRdata>>> {
        Box::pin(self.ask(owner, RecordType::TLSA, answers::tlsa, None))
    }

    fn txt<'a>(&'a self, name: &'a DnsName) -> BoxFuture<'a, Resolved<Vec<Text>>> {
        Box::pin(self.ask(name, RecordType::TXT, answers::txt, None))
    }

    fn within(&self, purse: Arc<Purse>) -> Option<Box<dyn Lookup + '_>> {
        Some(Box::new(Budgeted {
            resolver: self,
            purse,
        }))
    }
}

impl Budgeted<'_> {
    fn ask<'a, T: Send + 'a>(
        &'a self,
        name: &'a DnsName,
        record_type: RecordType,
        read: answers::Read<T>,
    ) -> BoxFuture<'a, Resolved<Vec<T>>> {
        let purse = Some(Arc::clone(&self.purse));
        Box::pin(self.resolver.ask(name, record_type, read, purse))
    }
}

impl Lookup for Budgeted<'_> {
    fn mx<'a>(&'a self, domain: &'a DnsName) -> BoxFuture<'a, Resolved<Vec<Mx>>> {
        self.ask(domain, RecordType::MX, answers::mx)
    }

    fn addresses<'a>(
        &'a self,
        host: &'a DnsName,
        family: Family,
    ) -> BoxFuture<'a, Resolved<Vec<IpAddr>>> {
        self.ask(host, address_type(family), answers::address)
    }

    fn tlsa<'a>(&'a self, owner: &'a DnsName) -> BoxFuture<'a, Resolved<Vec<TlsaRdata>>> {
        self.ask(owner, RecordType::TLSA, answers::tlsa)
    }

    fn txt<'a>(&'a self, name: &'a DnsName) -> BoxFuture<'a, Resolved<Vec<Text>>> {
        self.ask(name, RecordType::TXT, answers::txt)
    }
}

const fn address_type(family: Family) -> RecordType {
    match family {
        Family::V4 => RecordType::A,
        Family::V6 => RecordType::AAAA,
    }
}

/// Top-level names that are not in the DNS.
fn is_special(name: &Name) -> bool {
    name.iter()
        .next_back()
        .is_some_and(|top| SPECIAL.iter().any(|s| top.eq_ignore_ascii_case(s)))
}

const SPECIAL: [&[u8]; 3] = [b"localhost", b"invalid", b"onion"];

/// One message must not eat up the time of the whole lookup.
const SHORTEST_TRY: Duration = Duration::from_millis(500);
const LONGEST_TRY: Duration = Duration::from_secs(4);

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
        let options = options(
            vec![serve(world).await],
            TrustAnchor::parse(&anchor).unwrap(),
        );
        Resolver::new(options, Arc::new(Still)).unwrap()
    }

    fn options(servers: Vec<SocketAddr>, anchor: TrustAnchor) -> ResolverOptions {
        ResolverOptions {
            servers: servers.into_iter().map(ServerAddress::plain).collect(),
            anchor,
            timeout: Duration::from_secs(20),
            validate: Validate::Local,
            roots: None,
        }
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
        assert!(
            matches!(&answer, Answer::Secure(big) if big.data().len() == 100),
            "{answer:?}"
        );
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
        let nobody = options(
            vec![serve(World { zones: Vec::new() }).await],
            TrustAnchor::iana(),
        );
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
        let options = options(
            vec![serve(world).await],
            TrustAnchor::parse(&anchor_line(&ZoneKey::generate())).unwrap(),
        );
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
        let options = options(Vec::new(), TrustAnchor::iana());
        let error = Resolver::new(options, Arc::new(Still))
            .map(drop)
            .unwrap_err();
        assert!(error.to_string().contains("name at least one"), "{error}");
    }

    #[test]
    fn dnssec_3_dane_1_the_word_of_a_resolver_that_anybody_can_speak_for_is_not_taken() {
        let safe = "127.0.0.1,[::1]:5353,tls://192.0.2.53#dns.example";
        let refused = |validate, servers: &str| {
            let servers = servers.split(',').map(|server| server.parse().unwrap());
            let options = ResolverOptions {
                servers: servers.collect(),
                validate,
                ..options(Vec::new(), TrustAnchor::iana())
            };
            match Resolver::new(options, Arc::new(Still)).map(drop) {
                Ok(()) => None,
                Err(ResolverError::Untrustworthy(server)) => Some(server.to_string()),
                Err(other) => panic!("{other}"),
            }
        };
        for validate in [Validate::TrustAd, Validate::Both] {
            assert_eq!(refused(validate, safe), None);
            for unsafe_one in [
                "192.0.2.53:53",
                "10.0.0.1:53",
                "[2001:db8::53]:53",
                "0.0.0.0:53",
            ] {
                for servers in [unsafe_one.to_owned(), format!("{safe},{unsafe_one}")] {
                    let found = refused(validate, &servers);
                    assert_eq!(found.as_deref(), Some(unsafe_one), "{servers}");
                }
            }
        }
        assert_eq!(refused(Validate::Local, "192.0.2.53"), None);
    }

    #[tokio::test]
    async fn what_is_no_question_is_not_asked() {
        let resolver = resolver().await;
        let no_type = resolver.inspect("safe", "NONSENSE").await;
        assert_eq!(no_type, Err(NoQuestion::Type("NONSENSE".to_owned())));
        let no_name = resolver.inspect("a..b", "A").await;
        assert_eq!(no_name, Err(NoQuestion::Name("a..b".to_owned())));
        for record_type in [RecordType::ANY, RecordType::AXFR, RecordType::RRSIG] {
            let no_data = resolver.inspect("safe", record_type.into()).await;
            assert_eq!(no_data, Err(NoQuestion::NoData(record_type)));
        }
        for escaped in ["m\\120.safe", "a\\..\\000"] {
            let two_names = resolver.inspect(escaped, "A").await;
            assert_eq!(two_names, Err(NoQuestion::Escape(escaped.to_owned())));
        }
        let dot = resolver.inspect("a\\.b.safe", "A").await.unwrap();
        assert!(matches!(dot, Answer::Absent(_)), "{dot:?}");
    }
}
