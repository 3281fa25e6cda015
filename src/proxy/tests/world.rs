//! What the proxy's tests need around it: names that resolve to loopback, a mail server, a client, a keeper of records.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use rustls::ServerConfig;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::server::{ResolvesServerCert, ResolvesServerCertUsingSni};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls_pki_types::{PrivateKeyDer, ServerName};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::clock::SystemClock;
use crate::config::defaults::KEEP;
use crate::config::{ClientTls, Config, ListenerConfig};
use crate::dns::health::Monitor;
use crate::dns::{
    Absence, AbsenceKind, Answer, Denial, Exchange, Family, Lookup, Mx, Resolved, Secure, Source,
    Text, TlsaRdata,
};
use crate::intercept::Via;
use crate::mtasts::Policy;
use crate::mtasts::fetch::{FetchFailure, FetchPolicy};
use crate::name::{DnsName, Domain};
use crate::policy::cache::{CacheOptions, StsCache};
use crate::policy::exceptions::held::Held;
use crate::policy::facts::Gatherer;
use crate::policy::identity::Identities;
use crate::policy::{Continuity, Modes};
use crate::proxy::Proxy;
use crate::proxy::engine::Engine;
use crate::proxy::learned::Learned;
use crate::proxy::recall::Recall;
use crate::report::trace::keeper::{KeepTraces, Keeper};
use crate::report::{Record, Records};
use crate::store::memory::MemoryStore;
use crate::store::{Pen, Store};
use crate::tls::client::Connector;
use crate::tls::roots;
use crate::tls::tickets::Tickets;
use crate::x509::path::Roots;
use crate::x509::sample::{Sample, T0, server};

/// `signed.example` has the MX `mx.signed.example` at 127.0.0.1, all secure, with these TLSA records at any port;
/// `second.example` and `other.example` are the same by other names. `plain.example` is the same without signatures, and
/// so is `policy.example`, which enforces MTA-STS. Nobody answers for `silent.example`. Nothing else exists.
#[derive(Default)]
pub(crate) struct Names {
    pub(crate) tlsa: Vec<TlsaRdata>,
}

fn secure<T>(data: T) -> Answer<T> {
    Answer::Secure(Secure::asserted(data, T0.plus(std::time::Duration::MAX)))
}

fn nothing<T>(denial: Denial) -> Answer<T> {
    let kind = AbsenceKind::NxDomain;
    Answer::Absent(Absence { kind, denial })
}

fn told<'a, T: Send + 'a>(answer: Answer<T>) -> BoxFuture<'a, Resolved<T>> {
    Box::pin(async {
        Resolved {
            answer,
            aliases: vec![],
            source: Source::default(),
        }
    })
}

impl Lookup for Names {
    fn mx<'a>(&'a self, domain: &'a DnsName) -> BoxFuture<'a, Resolved<Vec<Mx>>> {
        let mx = || {
            let host = domain.prefixed("mx").unwrap();
            let exchange = Exchange::Host(host);
            vec![Mx {
                preference: 10,
                exchange,
            }]
        };
        if domain.as_str() == "silent.example" {
            return Box::pin(std::future::pending());
        }
        told(match domain.as_str() {
            "signed.example" | "second.example" | "other.example" => secure(mx()),
            "plain.example" | "policy.example" => Answer::Insecure(mx()),
            _ => nothing(Denial::Insecure),
        })
    }

    fn addresses<'a>(
        &'a self,
        host: &'a DnsName,
        family: Family,
    ) -> BoxFuture<'a, Resolved<Vec<IpAddr>>> {
        let here = || vec!["127.0.0.1".parse().unwrap()];
        told(match (host.as_str(), family) {
            ("mx.signed.example" | "mx.second.example" | "mx.other.example", Family::V4) => {
                secure(here())
            }
            ("mx.plain.example" | "mx.policy.example", Family::V4) => Answer::Insecure(here()),
            _ => nothing(Denial::Insecure),
        })
    }

    fn tlsa<'a>(&'a self, _: &'a DnsName) -> BoxFuture<'a, Resolved<Vec<TlsaRdata>>> {
        told(if self.tlsa.is_empty() {
            nothing(Denial::Secure)
        } else {
            secure(self.tlsa.clone())
        })
    }

    fn txt<'a>(&'a self, name: &'a DnsName) -> BoxFuture<'a, Resolved<Vec<Text>>> {
        told(match name.as_str() {
            "_mta-sts.policy.example" => Answer::Insecure(vec![b"v=STSv1; id=1;".to_vec()]),
            _ => nothing(Denial::Insecure),
        })
    }
}

/// The policy host of `policy.example`; no other answers.
struct OnePolicy;

impl FetchPolicy for OnePolicy {
    fn fetch<'a>(&'a self, domain: &'a Domain) -> BoxFuture<'a, Result<Policy, FetchFailure>> {
        let policy = b"version: STSv1\nmode: enforce\nmx: mx.policy.example\nmax_age: 86400\n";
        Box::pin(async {
            match domain.as_str() {
                "policy.example" => Ok(Policy::parse(policy).unwrap()),
                _ => Err(FetchFailure::Fetch("no such host".into())),
            }
        })
    }
}

/// Sends records to the test.
struct Kept(UnboundedSender<Record>);

impl Records for Kept {
    fn record(&self, record: &Record) {
        // A test that is over needs no records.
        let _ = self.0.send(record.clone());
    }
}

/// A proxy with a SOCKS5 listener, then a redirect listener.
pub(super) struct World {
    pub(super) proxy: Proxy,
    pub(super) records: UnboundedReceiver<Record>,
}

impl World {
    pub(super) async fn new(names: Names) -> Self {
        Self::with(names, |_| {}).await
    }

    pub(super) async fn with(names: Names, change: impl FnOnce(&mut Config)) -> Self {
        let listener = |kind| ListenerConfig {
            client_tls: ClientTls::Never,
            ..ListenerConfig::new(kind, "127.0.0.1:0".parse().unwrap())
        };
        let mut config = Config {
            listeners: vec![listener(Via::Socks5), listener(Via::Redirect)],
            ..Config::default()
        };
        change(&mut config);
        let declared = config.exceptions.declared.clone();
        let roots = config.ca_file.as_deref();
        let roots = roots.map_or_else(
            || Roots::new(vec![]),
            |file| roots::load(Some(file)).unwrap(),
        );
        let engine = Engine {
            identities: Identities::new(config.rules.clone()),
            modes: config.modes.clone(),
            exceptions: Arc::new(Held::new(declared, config.exceptions.terms)),
            roots: Arc::new(roots),
            ..engine(names)
        };
        Self::of(&config, engine).await
    }

    pub(super) async fn of(config: &Config, engine: Engine) -> Self {
        let (sender, records) = unbounded_channel();
        let proxy = Proxy::serve(config, Arc::new(engine), Arc::new(Kept(sender))).await;
        Self {
            proxy: proxy.unwrap(),
            records,
        }
    }

    pub(super) fn socks5(&self) -> SocketAddr {
        self.proxy.addresses()[0]
    }

    pub(super) fn redirect(&self) -> SocketAddr {
        self.proxy.addresses()[1]
    }

    pub(super) async fn record(&mut self) -> Record {
        self.records.recv().await.unwrap()
    }
}

pub(crate) fn engine(names: Names) -> Engine {
    engine_of(Arc::new(names), Continuity::Alert)
}

pub(super) fn engine_of(lookup: Arc<dyn Lookup>, continuity: Continuity) -> Engine {
    let clock = Arc::new(SystemClock);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let fetch = Arc::new(OnePolicy);
    let sts = StsCache::open(
        Arc::clone(&lookup),
        fetch,
        Arc::clone(&store),
        clock.clone(),
        CacheOptions::default(),
    );
    let sts = Arc::new(sts.unwrap());
    let pen = Pen::new(Arc::clone(&store));
    let roots = Arc::new(Roots::new(vec![]));
    let recall = Recall::new(
        continuity,
        Some(Tickets::default()),
        Arc::clone(&roots),
        pen.clone(),
    );
    let recall = recall.load(&*store, &*clock).unwrap();
    Engine {
        gatherer: Gatherer::new(Arc::clone(&lookup), Arc::clone(&sts), clock.clone()),
        traces: Keeper::new(KeepTraces::default(), pen.clone()),
        lookup,
        monitor: Arc::new(Monitor::off()),
        tally: Arc::default(),
        connector: Connector::new().unwrap(),
        roots,
        settings: crate::policy::Settings::default(),
        identities: Identities::default(),
        clock,
        sts,
        learned: Learned::default(),
        recall: Arc::new(recall),
        pen,
        store,
        keep: KEEP,
        modes: Modes::default(),
        exceptions: Arc::default(),
    }
}

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
    let key = PrivateKeyDer::try_from(sample.key.serialize_der()).unwrap();
    let key = any_supported_type(&key).unwrap();
    let key = CertifiedKey::new(vec![sample.der.clone()], key);
    let resolver: Arc<dyn ResolvesServerCert> = match only {
        None => Arc::new(SingleCertAndKey::from(key)),
        Some(name) => {
            let mut names = ResolvesServerCertUsingSni::new();
            names.add(name, key).unwrap();
            Arc::new(names)
        }
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    TlsAcceptor::from(Arc::new(config))
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

/// A mail server's sending side.
pub(super) struct Client<S = TcpStream> {
    pub(super) stream: BufReader<S>,
}

impl Client {
    /// With an address that is known before it connects.
    pub(super) fn socket() -> (TcpSocket, SocketAddr) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        (socket, address)
    }

    /// Asks the proxy for `destination`.
    pub(super) async fn new(proxy: SocketAddr, destination: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(proxy).await.unwrap();
        stream.write_all(&[5, 1, 0]).await.unwrap();
        Self::request(stream, destination).await
    }

    /// The same for a stream that has offered its methods.
    pub(super) async fn request(mut stream: TcpStream, destination: SocketAddr) -> Self {
        let SocketAddr::V4(v4) = destination else {
            panic!("the tests speak IPv4")
        };
        let mut request = vec![5, 1, 0, 1];
        request.extend_from_slice(&v4.ip().octets());
        request.extend_from_slice(&v4.port().to_be_bytes());
        stream.write_all(&request).await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, [5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        Self {
            stream: BufReader::new(stream),
        }
    }

    /// Goes on inside TLS; nothing may have come before the handshake.
    pub(super) async fn secure(
        self,
        connector: &TlsConnector,
        name: &str,
    ) -> std::io::Result<Client<TlsStream<TcpStream>>> {
        assert!(
            self.stream.buffer().is_empty(),
            "nothing comes before the handshake"
        );
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let stream = connector.connect(name, self.stream.into_inner()).await?;
        let stream = BufReader::new(stream);
        Ok(Client { stream })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// One reply, all its lines.
    pub(super) async fn hear(&mut self) -> String {
        let mut reply = String::new();
        loop {
            let start = reply.len();
            let count = self.stream.read_line(&mut reply).await.unwrap();
            if count == 0 || reply.as_bytes().get(start + 3) != Some(&b'-') {
                return reply;
            }
        }
    }

    pub(super) async fn send(&mut self, octets: &[u8]) {
        self.stream.write_all(octets).await.unwrap();
    }

    /// A command and its reply.
    pub(super) async fn say(&mut self, command: &str) -> String {
        self.send(format!("{command}\r\n").as_bytes()).await;
        self.hear().await
    }

    /// Commands whose replies must have these codes.
    pub(super) async fn expect(&mut self, dialogue: &[(&str, &str)]) {
        for (command, code) in dialogue {
            let reply = self.say(command).await;
            assert!(reply.starts_with(code), "{command}: {reply}");
        }
    }
}

/// A certificate and the `3 1 1` record that matches it.
pub(super) fn pinned(name: &str) -> (Sample, TlsaRdata) {
    let sample = Sample::self_signed(server(&[name]));
    let digest = ring::digest::digest(&ring::digest::SHA256, sample.spki());
    let mut rdata = vec![3, 1, 1];
    rdata.extend_from_slice(digest.as_ref());
    (sample, rdata)
}
