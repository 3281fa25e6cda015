//! The lab's DNS server: one address on loopback that answers for the whole tree, as a recursive resolver would.
//!
//! It serves a [`Tree`] over UDP and TCP on the same ephemeral port. It does not validate and
//! never sets AD: whoever asks must find out for himself what holds. It stops when it is dropped.
#![expect(clippy::disallowed_types, reason = "IO: it owns the server's sockets")]

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use hickory_server::Server;
use hickory_server::net::runtime::Time;
use hickory_server::proto::op::{Edns, Header, HeaderCounts, Metadata, OpCode, ResponseCode};
use hickory_server::proto::rr::{Name, Record};
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::MessageResponseBuilder;
use tokio::net::{TcpListener, UdpSocket};

use super::tree::{Reply, Sections, Tree};

/// A running server.
pub struct DnsServer {
    address: SocketAddr,
    _server: Server<Responder>,
}

impl DnsServer {
    /// Serves `tree` from now on.
    ///
    /// # Errors
    /// When no port can be had for UDP and TCP alike.
    pub async fn start(tree: Tree) -> io::Result<Self> {
        let (tcp, udp) = bind_both().await?;
        let address = tcp.local_addr()?;
        let mut server = Server::new(Responder { tree });
        server.register_socket(udp);
        server.register_listener(tcp, TCP_IDLE, RESPONSE_BUFFER);
        Ok(Self {
            address,
            _server: server,
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

/// The kernel picks the TCP port; the same one may be taken for UDP, then another is tried.
async fn bind_both() -> io::Result<(TcpListener, UdpSocket)> {
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..ATTEMPTS {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        match UdpSocket::bind(tcp.local_addr()?).await {
            Ok(udp) => return Ok((tcp, udp)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

struct Responder {
    tree: Tree,
}

#[async_trait::async_trait]
impl RequestHandler for Responder {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        mut response_handle: R,
    ) -> ResponseInfo {
        let mut metadata = Metadata::response_from_request(&request.metadata);
        metadata.recursion_available = true;
        let (code, sections) = self.answer(request);
        metadata.response_code = code;
        let edns = request.edns.as_ref().map(|asked| {
            let mut edns = Edns::new();
            edns.set_dnssec_ok(asked.flags().dnssec_ok);
            edns.set_max_payload(asked.max_payload().max(MIN_PAYLOAD));
            edns
        });
        let response = MessageResponseBuilder::new(&request.queries, edns.as_ref()).build(
            metadata,
            sections.answers.iter(),
            sections.authorities.iter(),
            [],
            [],
        );
        match response_handle.send_response(response).await {
            Ok(info) => info,
            // The client is gone; there is nobody left to tell.
            Err(_) => ResponseInfo::from(Header {
                metadata,
                counts: HeaderCounts::default(),
            }),
        }
    }
}

impl Responder {
    fn answer(&self, request: &Request) -> (ResponseCode, Sections) {
        let Ok(info) = request.request_info() else {
            return (ResponseCode::FormErr, Sections::default());
        };
        if info.metadata.op_code != OpCode::Query {
            return (ResponseCode::NotImp, Sections::default());
        }
        let name = Name::from(info.query.name());
        let (code, mut sections) = match self.tree.answer(&name, info.query.query_type()) {
            Reply::Found(sections) => (ResponseCode::NoError, sections),
            Reply::NxDomain(sections) => (ResponseCode::NXDomain, sections),
            Reply::Servfail => (ResponseCode::ServFail, Sections::default()),
        };
        let wants_dnssec = request
            .edns
            .as_ref()
            .is_some_and(|edns| edns.flags().dnssec_ok);
        if !wants_dnssec {
            // RFC 4035 §3.2.1: unless asked for, they come only when they are the question.
            let asked = info.query.query_type();
            let plain = |record: &Record| {
                record.record_type() == asked || !record.record_type().is_dnssec()
            };
            sections.answers.retain(plain);
            sections.authorities.retain(plain);
        }
        (code, sections)
    }
}

const ATTEMPTS: usize = 16;
const TCP_IDLE: Duration = Duration::from_secs(30);
const RESPONSE_BUFFER: usize = 65_535;
const MIN_PAYLOAD: u16 = 512;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::lab::zones::{Plan, Signing, fqdn};
    use hickory_server::proto::op::{Message, MessageType, Query};
    use hickory_server::proto::rr::rdata::TXT;
    use hickory_server::proto::rr::{RData, RecordType};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    async fn server() -> DnsServer {
        let mut plan = Plan::default();
        plan.zone("good.test", Signing::Signed).unwrap();
        for number in 0..40 {
            let text = format!("record {number} {}", "x".repeat(100));
            let rdata = RData::TXT(TXT::new(vec![text]));
            plan.record("big.good.test", rdata).unwrap();
        }
        let tree = plan.sign(Timestamp::from_unix(1_800_000_000)).unwrap();
        DnsServer::start(tree).await.unwrap()
    }

    fn query(name: &str, rtype: RecordType, dnssec_ok: Option<bool>) -> Vec<u8> {
        let mut message = Message::new(7, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(fqdn(name).unwrap(), rtype));
        message.edns = dnssec_ok.map(|dnssec_ok| {
            let mut edns = Edns::new();
            edns.set_dnssec_ok(dnssec_ok);
            edns.set_max_payload(1232);
            edns
        });
        message.to_vec().unwrap()
    }

    async fn by_udp(server: &DnsServer, query: &[u8]) -> Message {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        socket.send_to(query, server.address()).await.unwrap();
        let mut buffer = vec![0; 65_535];
        let length = socket.recv(&mut buffer).await.unwrap();
        Message::from_vec(&buffer[..length]).unwrap()
    }

    async fn by_tcp(server: &DnsServer, query: &[u8]) -> Message {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        let length = u16::try_from(query.len()).unwrap();
        stream.write_all(&length.to_be_bytes()).await.unwrap();
        stream.write_all(query).await.unwrap();
        let length = stream.read_u16().await.unwrap();
        let mut buffer = vec![0; usize::from(length)];
        stream.read_exact(&mut buffer).await.unwrap();
        Message::from_vec(&buffer).unwrap()
    }

    #[tokio::test]
    async fn it_answers_like_a_recursive_resolver_that_does_not_validate() {
        let server = server().await;
        for (dnssec_ok, signatures) in [(None, 0), (Some(false), 0), (Some(true), 1)] {
            let asked = query("good.test", RecordType::SOA, dnssec_ok);
            let answer = by_udp(&server, &asked).await;
            assert_eq!(answer.metadata.id, 7);
            assert!(answer.metadata.recursion_available && !answer.metadata.authentic_data);
            let rrsigs = answer
                .answers
                .iter()
                .filter(|record| record.record_type() == RecordType::RRSIG);
            assert_eq!(rrsigs.count(), signatures, "{dnssec_ok:?}");
        }
    }

    #[tokio::test]
    async fn what_is_too_long_for_udp_comes_whole_over_tcp() {
        let server = server().await;
        let asked = query("big.good.test", RecordType::TXT, Some(true));
        assert!(by_udp(&server, &asked).await.metadata.truncation);
        let whole = by_tcp(&server, &asked).await;
        assert!(!whole.metadata.truncation);
        assert_eq!(whole.answers.len(), 41);
    }

    #[tokio::test]
    async fn other_zones_do_not_exist() {
        let server = server().await;
        let asked = query("good.example", RecordType::A, Some(true));
        let answer = by_udp(&server, &asked).await;
        assert_eq!(answer.metadata.response_code, ResponseCode::NXDomain);
    }
}
