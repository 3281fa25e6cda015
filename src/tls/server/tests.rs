//! Handshakes in memory with clients that trust the CA, and what is kept of them.

use std::sync::Mutex as StdMutex;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio_rustls::TlsConnector;

use super::*;
use crate::tls::authority::Files;
use crate::tls::authority::found::{Charter, Existing, found};
use crate::x509::sample::T0;

/// A clock that is set by hand.
struct Set(StdMutex<Timestamp>);

impl Clock for Set {
    fn wall(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

struct World {
    acceptor: Acceptor,
    clock: Arc<Set>,
}

impl World {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let files = Files {
            certificate: directory.path().join("ca.pem"),
            key: directory.path().join("ca-key.pem"),
        };
        let charter = Charter {
            name: "A CA".parse().unwrap(),
            lifetime: LEAF_LIFETIME * 520,
            existing: Existing::Keep,
        };
        // rustls's client reads the real clock.
        let now = crate::clock::SystemClock.wall();
        found(&files, &charter, now).unwrap();
        let authority = Authority::load(&files, now).unwrap();
        let clock = Arc::new(Set(StdMutex::new(now)));
        let acceptor = Acceptor::new(authority, clock.clone()).unwrap();
        Self { acceptor, clock }
    }

    fn pass(&self, time: Duration) {
        let mut clock = self.clock.0.lock().unwrap();
        *clock = clock.plus(time);
    }

    fn connector(&self, versions: &[&'static SupportedProtocolVersion]) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots
            .add(self.acceptor.authority.chain()[0].clone())
            .unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        TlsConnector::from(Arc::new(config))
    }

    /// A client that verifies `name` shakes hands; where that is an address it sends no SNI.
    async fn shake(
        &self,
        name: &str,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Result<Accepted, String> {
        let (near, far) = duplex(4096);
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let connector = self.connector(versions);
        let client = async {
            let mut stream = connector.connect(name, far).await?;
            stream.write_all(b"EHLO").await?;
            stream.shutdown().await
        };
        let server = async {
            let otherwise = LeafName::Address("192.0.2.1".parse().unwrap());
            let (mut stream, accepted) = self.acceptor.handshake(near, otherwise).await?;
            let mut heard = Vec::new();
            stream
                .read_to_end(&mut heard)
                .await
                .map_err(|e| e.to_string())?;
            assert_eq!(heard, b"EHLO");
            Ok(accepted)
        };
        let (client, server) = tokio::join!(client, server);
        server.and_then(|accepted| client.map(|()| accepted).map_err(|e| e.to_string()))
    }

    fn minted(&self, name: &str) -> Timestamp {
        let name = LeafName::Host(name.parse().unwrap());
        self.acceptor
            .leaves
            .lock()
            .unwrap()
            .peek(&name)
            .unwrap()
            .minted
    }
}

const BOTH: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS13, &rustls::version::TLS12];

#[tokio::test]
async fn tls_9_a_client_gets_a_certificate_for_the_name_that_it_asks_for() {
    let world = World::new();
    for (name, versions, sni, version) in [
        ("mx.example", &BOTH[..], Some("mx.example"), "TLSv1.3"),
        ("MX.Example", &BOTH[1..], Some("mx.example"), "TLSv1.2"),
        ("192.0.2.1", &BOTH[..], None, "TLSv1.3"),
    ] {
        let accepted = world.shake(name, versions).await.unwrap();
        assert_eq!(accepted.sni.as_ref().map(DnsName::as_str), sni, "{name}");
        assert_eq!(accepted.version, version, "{name}");
    }
    // Nothing was asked for, so there is nothing that this client could verify.
    let other = world.shake("192.0.2.9", &BOTH).await;
    assert!(other.unwrap_err().contains("alert"));
}

#[tokio::test]
async fn tls_9_an_sni_that_is_no_host_name_counts_as_none() {
    let world = World::new();
    let refused = world.shake("_tcp.mx.example", &BOTH).await;
    assert!(refused.unwrap_err().contains("alert"));
    let leaves = world.acceptor.leaves.lock().unwrap();
    let names: Vec<_> = leaves.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(names, [LeafName::Address("192.0.2.1".parse().unwrap())]);
}

#[tokio::test]
async fn tls_9_a_leaf_is_minted_once_and_again_before_it_ends() {
    let world = World::new();
    let day = Duration::from_secs(24 * 3600);
    world.shake("mx.example", &BOTH).await.unwrap();
    let first = world.minted("mx.example");
    world.pass(day * 6 - Duration::from_secs(1));
    let name = LeafName::Host("mx.example".parse().unwrap());
    world.acceptor.config(name.clone()).unwrap();
    assert_eq!(world.minted("mx.example"), first);
    world.pass(Duration::from_secs(1));
    world.acceptor.config(name.clone()).unwrap();
    let second = world.minted("mx.example");
    assert_eq!(second, first.plus(day * 6));
    // A clock that was set back: what was minted in the future may not have begun.
    *world.clock.0.lock().unwrap() = T0;
    world.acceptor.config(name).unwrap();
    assert_eq!(world.minted("mx.example"), T0);
}

#[tokio::test]
async fn tls_9_a_flood_of_names_does_not_grow_the_memory() {
    let world = World::new();
    for number in 0..CAPACITY.get() + 10 {
        let name = LeafName::Host(format!("mx{number}.example").parse().unwrap());
        world.acceptor.config(name).unwrap();
    }
    assert_eq!(world.acceptor.leaves.lock().unwrap().len(), CAPACITY.get());
}

#[tokio::test]
async fn dn_01_octets_in_the_clear_are_no_handshake() {
    let world = World::new();
    for octets in [
        &b"MAIL FROM:<x@evil.example>\r\n"[..],
        b"N",
        b"\x16\x03\x01\x00\x05EHLO x",
        b"",
    ] {
        let (near, mut far) = duplex(4096);
        far.write_all(octets).await.unwrap();
        far.shutdown().await.unwrap();
        let otherwise = LeafName::Address("192.0.2.1".parse().unwrap());
        let failed = world.acceptor.handshake(near, otherwise).await;
        assert!(failed.unwrap_err().contains("client"), "{octets:?}");
    }
}
