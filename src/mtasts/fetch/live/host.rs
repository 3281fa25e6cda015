//! A policy host on loopback that speaks TLS for real and says what it is told to.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::HandshakeKind;
use rustls::crypto::ring;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::pki::Identity;

/// What the host sends once it has read a request.
#[derive(Clone)]
pub(super) enum Script {
    /// This, then it closes.
    Send(Vec<u8>),
    /// This, and then nothing more while it keeps the connection.
    Stall(Vec<u8>),
    /// The first, and then the second for as long as somebody reads.
    Endless(Vec<u8>, Vec<u8>),
    /// This, and then it drops the connection without TLS's own end.
    Cut(Vec<u8>),
}

pub(super) fn ok(headers: &str, body: &[u8]) -> Vec<u8> {
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    )
    .into_bytes();
    answer.extend_from_slice(body);
    answer
}

pub(super) fn text(body: &[u8]) -> Vec<u8> {
    ok("Content-Type: text/plain\r\n", body)
}

/// A policy host; ends with its runtime.
pub(super) struct Host {
    pub(super) port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
}

#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) sni: Option<String>,
    pub(super) handshake: Option<HandshakeKind>,
    pub(super) head: String,
}

impl Host {
    pub(super) async fn start(identity: Identity, script: Script) -> Self {
        Self::start_with(identity, script, rustls::ALL_VERSIONS).await
    }

    pub(super) async fn start_with(
        identity: Identity,
        script: Script,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> Self {
        let config =
            rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
                .with_protocol_versions(versions)
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(identity.chain, identity.key)
                .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let _ = serve(&acceptor, tcp, &log, &script).await;
            }
        });
        Self { port, seen }
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

async fn serve(
    acceptor: &TlsAcceptor,
    tcp: TcpStream,
    log: &Mutex<Vec<Seen>>,
    script: &Script,
) -> std::io::Result<()> {
    let mut stream = acceptor.accept(tcp).await?;
    let head = read_head(&mut stream).await?;
    let tls = stream.get_ref().1;
    log.lock().unwrap().push(Seen {
        sni: tls.server_name().map(ToOwned::to_owned),
        handshake: tls.handshake_kind(),
        head,
    });
    match script {
        Script::Send(answer) => {
            stream.write_all(answer).await?;
            stream.shutdown().await
        }
        Script::Stall(answer) => {
            stream.write_all(answer).await?;
            stream.flush().await?;
            stream.read_to_end(&mut Vec::new()).await.map(drop)
        }
        Script::Endless(start, unit) => {
            stream.write_all(start).await?;
            loop {
                stream.write_all(unit).await?;
            }
        }
        Script::Cut(answer) => {
            stream.write_all(answer).await?;
            stream.flush().await?;
            stream.get_mut().0.shutdown().await
        }
    }
}

async fn read_head(stream: &mut TlsStream<TcpStream>) -> std::io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8(head).unwrap())
}
