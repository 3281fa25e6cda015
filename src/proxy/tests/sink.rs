//! The mail server at the other end, and what it offers.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::server::{ResolvesServerCert, ResolvesServerCertUsingSni};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls_pki_types::PrivateKeyDer;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::x509::sample::Sample;

/// A mail server for one connection.
pub(super) struct Sink {
    pub(super) address: SocketAddr,
    message: JoinHandle<Vec<u8>>,
}

/// What a mail server offers.
#[derive(Clone, Copy)]
pub(super) enum Offers<'a> {
    Nothing,
    StartTls(&'a Sample),
    /// The handshake is broken off unless it asks for this name.
    StartTlsAs(&'a Sample, &'a str),
    /// STARTTLS is answered with these segments, then the handshake goes on as if nothing were.
    Injected(&'a Sample, &'a [&'static str]),
    /// The ClientHello is answered with these octets and no more.
    Octets(&'static [u8]),
}

/// What stands behind the 220 to STARTTLS.
enum Behind {
    Handshake(TlsAcceptor),
    Octets(&'static [u8]),
}

impl Sink {
    /// Takes any number of connections, for the redials; the message is the one that the last of them got.
    pub(super) async fn new(offers: Offers<'_>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let behind = match offers {
            Offers::Nothing => None,
            Offers::StartTls(sample) | Offers::Injected(sample, _) => {
                Some(Behind::Handshake(acceptor(sample, None)))
            }
            Offers::StartTlsAs(sample, name) => {
                Some(Behind::Handshake(acceptor(sample, Some(name))))
            }
            Offers::Octets(octets) => Some(Behind::Octets(octets)),
        };
        let go_ahead = match offers {
            Offers::Nothing | Offers::StartTls(_) | Offers::StartTlsAs(..) | Offers::Octets(_) => {
                vec!["220 go ahead\r\n"]
            }
            Offers::Injected(_, segments) => segments.to_vec(),
        };
        let message = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                if let Some(message) = serve(stream, behind.as_ref(), &go_ahead).await {
                    return message;
                }
            }
        });
        Self { address, message }
    }

    /// The octets of the message, once one was delivered.
    pub(super) async fn message(self) -> Vec<u8> {
        self.message.await.unwrap()
    }
}

fn acceptor(sample: &Sample, only: Option<&str>) -> TlsAcceptor {
    let key = certified(sample);
    let resolver: Arc<dyn ResolvesServerCert> = match only {
        None => Arc::new(SingleCertAndKey::from(key)),
        Some(name) => {
            let mut names = ResolvesServerCertUsingSni::new();
            names.add(name, key).unwrap();
            Arc::new(names)
        }
    };
    TlsAcceptor::from(Arc::new(server_config(resolver)))
}

pub(super) fn certified(sample: &Sample) -> CertifiedKey {
    let key = PrivateKeyDer::try_from(sample.key.serialize_der()).unwrap();
    let key = any_supported_type(&key).unwrap();
    CertifiedKey::new(vec![sample.der.clone()], key)
}

pub(super) fn server_config(resolver: Arc<dyn ResolvesServerCert>) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(resolver)
}

async fn serve(stream: TcpStream, behind: Option<&Behind>, go_ahead: &[&str]) -> Option<Vec<u8>> {
    stream.set_nodelay(true).ok()?;
    let mut stream = BufReader::new(stream);
    stream
        .write_all(b"220 mx.signed.example ready\r\n")
        .await
        .ok()?;
    let Some(behind) = behind else {
        return converse(stream, "").await;
    };
    match converse(&mut stream, "250-STARTTLS\r\n").await {
        Some(secured) if secured.is_empty() => {}
        other => return other,
    }
    assert!(
        stream.buffer().is_empty(),
        "nothing comes before the handshake"
    );
    for segment in go_ahead {
        stream.write_all(segment.as_bytes()).await.ok()?;
    }
    let mut stream = stream.into_inner();
    let secured = match behind {
        Behind::Handshake(acceptor) => acceptor.accept(stream).await.ok()?,
        Behind::Octets(octets) => {
            let mut header = [0; 5];
            stream.read_exact(&mut header).await.ok()?;
            let length = u16::from_be_bytes([header[3], header[4]]);
            let mut hello = vec![0; length.into()];
            stream.read_exact(&mut hello).await.ok()?;
            stream.write_all(octets).await.ok()?;
            return None;
        }
    };
    let offer = "250-AUTH PLAIN\r\n250-CHUNKING\r\n";
    converse(BufReader::new(secured), offer).await
}

/// Speaks SMTP until a message has come, or STARTTLS (an empty one), or the client is gone (none).
pub(super) async fn converse<S>(mut stream: S, offer: &str) -> Option<Vec<u8>>
where
    S: AsyncBufReadExt + AsyncWrite + Unpin,
{
    let mut message = None;
    let mut chunks = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return message;
        }
        let verb = line.get(..4).unwrap_or("").to_ascii_uppercase();
        let reply = match verb.as_str() {
            "EHLO" => format!("250-mx.signed.example\r\n{offer}250 PIPELINING\r\n"),
            "STAR" => return Some(Vec::new()),
            "AUTH" => "235 2.7.0 welcome\r\n".into(),
            "DATA" => {
                stream.write_all(b"354 go ahead\r\n").await.ok()?;
                message = Some(body(&mut stream).await?);
                "250 2.0.0 taken\r\n".into()
            }
            "BDAT" => {
                let mut words = line.split_ascii_whitespace().skip(1);
                let length: usize = words.next()?.parse().ok()?;
                let start = chunks.len();
                chunks.resize(start + length, 0);
                stream.read_exact(&mut chunks[start..]).await.ok()?;
                if words.next() == Some("LAST") {
                    message = Some(std::mem::take(&mut chunks));
                }
                "250 2.0.0 so far\r\n".into()
            }
            "QUIT" => {
                // The client may have closed already.
                let _ = stream.write_all(b"221 2.0.0 bye\r\n").await;
                return message;
            }
            _ => "250 2.0.0 fine\r\n".into(),
        };
        stream.write_all(reply.as_bytes()).await.ok()?;
    }
}

async fn body<S: AsyncRead + Unpin>(stream: &mut S) -> Option<Vec<u8>> {
    let mut message = Vec::new();
    let mut piece = [0; 1000];
    while !message.ends_with(b"\r\n.\r\n") {
        let count = stream.read(&mut piece).await.ok()?;
        if count == 0 {
            return None;
        }
        message.extend_from_slice(&piece[..count]);
        // A slow reader: everybody else goes first.
        tokio::task::yield_now().await;
    }
    Some(message)
}
