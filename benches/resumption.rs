//! What a resumed TLS session saves the client: processor time of one side of a handshake, the first line included, in
//! which the tickets come.
//!
//! `cargo bench --bench resumption`. The numbers and what they mean stand in `benches/README.md`.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a bench stops at the first thing that is wrong, reads the clock and prints"
)]

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use danelaw::name::DnsName;
use danelaw::policy::Fingerprint;
use danelaw::tls::Handshake;
use danelaw::tls::client::Connector;
use danelaw::tls::tickets::{Cleared, Endpoint, Pocket, Tickets};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::crypto::ring::{Ticketer, default_provider};
use rustls::{ServerConfig, SupportedProtocolVersion};
use rustls_pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio_rustls::TlsAcceptor;

const MX: &str = "mx.example.com";
const ROUNDS: usize = 2000;

fn main() {
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let bench = Bench::new(version);
        let plain = bench.median(|bench| bench.shake(None).took);
        let full = bench.median(|bench| {
            let pocket = bench.tickets.none(&bench.endpoint, bench.born);
            bench.shake(Some(pocket)).took
        });
        bench.fill();
        let resumed = bench.median(|bench| {
            let pocket = bench.tickets.offer(&bench.endpoint, bench.born);
            let shaken = bench.shake(Some(pocket));
            assert!(shaken.handshake.is_resumed());
            bench.keep(&shaken, Cleared::Resumed);
            shaken.took
        });
        println!(
            "{:?}: without tickets {plain:.1?}, full {full:.1?}, resumed {resumed:.1?} ({:.0} % less)",
            version.version,
            100.0 * (1.0 - resumed.as_secs_f64() / plain.as_secs_f64())
        );
    }
}

struct Bench {
    config: Arc<ServerConfig>,
    connector: Connector,
    tickets: Tickets,
    endpoint: Endpoint,
    born: Instant,
}

struct Shaken {
    handshake: Handshake,
    pocket: Option<Arc<Pocket>>,
    took: Duration,
}

impl Bench {
    /// A P-256 leaf under an intermediate under a root.
    fn new(version: &'static SupportedProtocolVersion) -> Self {
        let ca = || {
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params
        };
        let root = Issuer::new(ca(), KeyPair::generate().unwrap());
        let key = KeyPair::generate().unwrap();
        let intermediate = ca().signed_by(&key, &root).unwrap();
        let issuer = Issuer::new(ca(), key);
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec![MX.to_owned()]).unwrap();
        let leaf = leaf.signed_by(&key, &issuer).unwrap();
        let chain = vec![leaf.der().clone(), intermediate.der().clone()];
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, PrivateKeyDer::try_from(key.serialize_der()).unwrap())
            .unwrap();
        config.ticketer = Ticketer::new().unwrap();
        Self {
            config: Arc::new(config),
            connector: Connector::new().unwrap(),
            tickets: Tickets::default(),
            endpoint: Endpoint {
                destination: "192.0.2.1:25".parse().unwrap(),
                sni: MX.parse().unwrap(),
            },
            born: Instant::now(),
        }
    }

    fn fill(&self) {
        let shaken = self.shake(Some(self.tickets.none(&self.endpoint, self.born)));
        self.keep(&shaken, Cleared::Anew(Fingerprint::NOTHING));
    }

    fn keep(&self, shaken: &Shaken, cleared: Cleared) {
        let pocket = shaken.pocket.as_ref().unwrap();
        self.tickets
            .keep(&self.endpoint, pocket, cleared, self.born);
    }

    fn median(&self, mut round: impl FnMut(&Self) -> Duration) -> Duration {
        let mut all: Vec<Duration> = (0..ROUNDS).map(|_| round(self)).collect();
        all.sort();
        all[ROUNDS / 2]
    }

    /// Both sides take turns; only the client's are timed.
    fn shake(&self, pocket: Option<Pocket>) -> Shaken {
        let pocket = pocket.map(Arc::new);
        let (near, far) = duplex(1 << 16);
        let mut server = pin!(async {
            let acceptor = TlsAcceptor::from(Arc::clone(&self.config));
            let mut stream = acceptor.accept(far).await.unwrap();
            let mut line = [0; 6];
            stream.read_exact(&mut line).await.unwrap();
            stream.write_all(b"250 ok\r\n").await.unwrap();
            stream.flush().await.unwrap();
            stream
        });
        let hers = pocket.clone();
        let mut client = pin!(async {
            let sni = DnsName::parse(MX).unwrap();
            let (mut stream, handshake) = match hers {
                Some(pocket) => {
                    let shaken = self.connector.resume(near, Some(&sni), pocket).await;
                    shaken.unwrap()
                }
                None => self.connector.handshake(near, Some(&sni)).await.unwrap(),
            };
            stream.write_all(b"EHLO\r\n").await.unwrap();
            stream.flush().await.unwrap();
            let mut line = [0; 8];
            stream.read_exact(&mut line).await.unwrap();
            (stream, handshake)
        });
        let mut context = Context::from_waker(Waker::noop());
        let (mut took, mut served) = (Duration::ZERO, None);
        loop {
            let began = Instant::now();
            let polled = client.as_mut().poll(&mut context);
            took += began.elapsed();
            if let Poll::Ready((_, handshake)) = polled {
                drop(served);
                return Shaken {
                    handshake,
                    pocket,
                    took,
                };
            }
            if served.is_none()
                && let Poll::Ready(stream) = server.as_mut().poll(&mut context)
            {
                served = Some(stream);
            }
        }
    }
}
