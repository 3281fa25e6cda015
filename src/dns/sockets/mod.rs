//! Tests: resolvers on loopback, by UDP, TCP and TLS, that keep the rules or break them.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the tests serve DNS on loopback, on ports that the system picks"
)]

mod plain;
mod secured;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hickory_resolver::proto::op::Message;
use hickory_resolver::proto::rr::rdata::A;
use hickory_resolver::proto::rr::{RData, Record, RecordType};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

use crate::clock::{Clock, Timestamp};
use crate::dns::recursor::ServerAddress;
use crate::dns::resolver::{Resolver, ResolverOptions, TrustAnchor, Validate};
use crate::dns::sample::{Proofs, T0, World, Zone, name, tlsa, validating};
use crate::dns::{Answer, Failure, Lookup, TlsaRdata};
use crate::name::DnsName;
use crate::x509::path::Roots;

struct Still;

impl Clock for Still {
    fn wall(&self) -> Timestamp {
        Timestamp::from_unix(T0)
    }
}

/// Hosts `mx0` to `mx11` in `safe`, which is signed, and in `free`, which is not; each with an address and a TLSA record.
fn world() -> Arc<World> {
    let with_hosts = |mut zone: Zone, origin: &str| {
        for host in 0..12 {
            let host = format!("mx{host}.{origin}");
            zone = zone.with(&host, RData::A(A::new(192, 0, 2, 1)));
            zone = zone.with(&format!("_25._tcp.{host}"), tlsa(1));
        }
        for octet in 0..100 {
            zone = zone.with(&format!("_25._tcp.big.{origin}"), tlsa(octet));
        }
        zone
    };
    let safe = with_hosts(Zone::signed("safe", Proofs::Nsec), "safe");
    let free = with_hosts(Zone::unsigned("free"), "free");
    let root = Zone::signed(".", Proofs::Nsec)
        .delegating(&safe)
        .delegating(&free);
    Arc::new(World {
        zones: vec![root, safe, free],
    })
}

/// What an honest resolver answers to the octets of a question: data, or its verdict, whatever is asked for.
fn answer(world: &World, query: &[u8]) -> (Message, Message) {
    let query = Message::from_vec(query).unwrap();
    let mut message = world.answer(&query.queries[0]);
    message.metadata.id = query.metadata.id;
    if query.metadata.authentic_data {
        validating(world, &query.queries[0], &mut message);
    }
    (query, message)
}

/// Asks these, in this order.
fn resolver(
    world: &World,
    servers: Vec<ServerAddress>,
    validate: Validate,
    roots: Option<Roots>,
) -> Resolver {
    let key = world.zone(".").key().dnskey();
    let anchor = Record::from_rdata(name("."), 300, key).to_string();
    let options = ResolverOptions {
        servers,
        anchor: TrustAnchor::parse(&anchor).unwrap(),
        timeout: Duration::from_secs(5),
        validate,
        roots: roots.map(Arc::new),
    };
    Resolver::new(options, Arc::new(Still)).unwrap()
}

fn host(text: &str) -> DnsName {
    DnsName::parse(text).unwrap()
}

async fn tlsa_at(resolver: &Resolver, owner: &str) -> Answer<Vec<TlsaRdata>> {
    resolver.tlsa(&host(owner)).await.answer
}

fn is_secure(answer: &Answer<Vec<TlsaRdata>>) -> bool {
    matches!(answer, Answer::Secure(_))
}

fn is_unreachable(answer: &Answer<Vec<TlsaRdata>>) -> bool {
    matches!(answer, Answer::Failed(Failure::Unreachable(_)))
}

/// A message of a stream, after its length (RFC 1035 §4.2.2); nothing when the other side is done.
async fn read_message(stream: &mut (impl AsyncRead + Unpin)) -> Option<Vec<u8>> {
    let length = stream.read_u16().await.ok()?;
    let mut message = vec![0; length.into()];
    stream.read_exact(&mut message).await.ok()?;
    Some(message)
}

/// Whether the other side still listens.
async fn write_message(stream: &mut (impl AsyncWrite + Unpin), message: &[u8]) -> bool {
    let mut octets = u16::try_from(message.len()).unwrap().to_be_bytes().to_vec();
    octets.extend_from_slice(message);
    stream.write_all(&octets).await.is_ok() && stream.flush().await.is_ok()
}

/// UDP and TCP on one port.
async fn bind() -> (SocketAddr, UdpSocket, TcpListener) {
    loop {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = udp.local_addr().unwrap();
        if let Ok(tcp) = TcpListener::bind(address).await {
            return (address, udp, tcp);
        }
    }
}
