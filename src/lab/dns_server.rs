//! The lab's DNS server: one address on loopback that answers for the whole tree, as a recursive resolver would.
//!
//! It serves [`zones::Tree`](super::zones::Tree) over UDP and TCP on the same ephemeral port. It does not validate and
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

use super::zones::{Reply, Sections, Tree};

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
