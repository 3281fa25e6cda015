//! TLS sessions resumed with OpenSSL as the server: by ticket and from its own memory, and what it has forgotten.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a test crate: it runs programs, opens sockets, reads the clock, and fails by panicking"
)]

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use danelaw::policy::Fingerprint;
use danelaw::tls::Handshake;
use danelaw::tls::client::Connector;
use danelaw::tls::tickets::{Cleared, Endpoint, Pocket, Tickets};
use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// `openssl s_server` that sends every line back, reversed.
struct Server {
    child: Child,
    _told: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl Server {
    fn start(identity: &Identity, options: &[&str]) -> Self {
        let mut child = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", "-rev", "-cert"])
            .arg(&identity.certificate)
            .arg("-key")
            .arg(&identity.key)
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut told = BufReader::new(child.stdout.take().unwrap());
        let address = loop {
            let mut line = String::new();
            assert_ne!(told.read_line(&mut line).unwrap(), 0, "it ended too early");
            if let Some(address) = line.strip_prefix("ACCEPT ") {
                break address.trim().parse().unwrap();
            }
        };
        Self {
            child,
            _told: told,
            address,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Identity {
    certificate: PathBuf,
    key: PathBuf,
    der: Vec<u8>,
}

impl Identity {
    fn new(directory: &Path, name: &str) -> Self {
        let pair = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["mx.example".to_owned()]).unwrap();
        let certificate = params.self_signed(&pair).unwrap();
        let path = |end: &str| directory.join(format!("{name}{end}"));
        std::fs::write(path(".pem"), certificate.pem()).unwrap();
        std::fs::write(path(".key"), pair.serialize_pem()).unwrap();
        Self {
            certificate: path(".pem"),
            key: path(".key"),
            der: certificate.der().to_vec(),
        }
    }
}

fn endpoint(name: &str) -> Endpoint {
    Endpoint {
        destination: "192.0.2.1:25".parse().unwrap(),
        sni: name.parse().unwrap(),
    }
}

/// One connection, with a line either way so that tickets come.
async fn session(connector: &Connector, server: &Server, pocket: &Arc<Pocket>) -> Handshake {
    let stream = TcpStream::connect(server.address).await.unwrap();
    let name = "mx.example".parse().unwrap();
    let shaken = connector.resume(stream, Some(&name), Arc::clone(pocket));
    let (mut stream, handshake) = shaken.await.unwrap();
    stream.write_all(b"abc\n").await.unwrap();
    stream.flush().await.unwrap();
    let mut line = [0; 4];
    stream.read_exact(&mut line).await.unwrap();
    assert_eq!(&line, b"cba\n");
    stream.shutdown().await.unwrap();
    handshake
}

fn keep(tickets: &Tickets, pocket: &Pocket, handshake: &Handshake, now: Instant) {
    let cleared = if handshake.is_resumed() {
        Cleared::Resumed
    } else {
        Cleared::Anew(Fingerprint::NOTHING)
    };
    tickets.keep(&endpoint("mx.example"), pocket, cleared, now);
}

fn has_openssl() -> bool {
    let found = Command::new("openssl").arg("version").output().is_ok();
    assert!(
        found || std::env::var_os("CI").is_none(),
        "the openssl program is missing"
    );
    if !found {
        eprintln!("skipped: the openssl program is missing");
    }
    found
}

#[tokio::test]
async fn attack_tls_11_tls_12_openssl_resumes_what_was_its_own_and_nothing_after_an_hour() {
    if !has_openssl() {
        return;
    }
    let directory = TempDir::new().unwrap();
    let identity = Identity::new(directory.path(), "one");
    let connector = Connector::new().unwrap();
    for (row, options, resumes) in [
        ("TLS 1.3, tickets", &["-tls1_3"][..], true),
        ("TLS 1.3, from memory", &["-tls1_3", "-no_ticket"], true),
        (
            "TLS 1.3, one ticket",
            &["-tls1_3", "-num_tickets", "1"],
            true,
        ),
        ("TLS 1.3, none", &["-tls1_3", "-num_tickets", "0"], false),
        ("TLS 1.2, tickets", &["-tls1_2"], true),
        (
            "TLS 1.2, none",
            &["-tls1_2", "-no_ticket", "-no_cache"],
            false,
        ),
    ] {
        let server = Server::start(&identity, options);
        let tickets = Tickets::default();
        let t0 = Instant::now();
        let mut kinds = Vec::new();
        for minutes in [0, 1, 2, 61, 62] {
            let now = t0 + Duration::from_secs(60 * minutes);
            let pocket = Arc::new(tickets.offer(&endpoint("mx.example"), now));
            let handshake = session(&connector, &server, &pocket).await;
            assert_eq!(handshake.chain()[0].as_ref(), identity.der, "{row}");
            keep(&tickets, &pocket, &handshake, now);
            kinds.push(handshake.is_resumed());
        }
        let expected = [false, resumes, resumes, false, resumes];
        assert_eq!(kinds, expected, "{row}");
        // Another host at the same address has none of it.
        let now = t0 + Duration::from_secs(60 * 62);
        let other = Arc::new(tickets.offer(&endpoint("mx2.example"), now));
        assert!(other.offered().is_none(), "{row}");
        assert!(!session(&connector, &server, &other).await.is_resumed());
    }
}

#[tokio::test]
async fn tls_12_a_server_that_has_forgotten_shows_the_certificate_that_it_has_now() {
    if !has_openssl() {
        return;
    }
    let directory = TempDir::new().unwrap();
    let (old, new) = (
        Identity::new(directory.path(), "old"),
        Identity::new(directory.path(), "new"),
    );
    let connector = Connector::new().unwrap();
    for version in ["-tls1_3", "-tls1_2"] {
        let tickets = Tickets::default();
        let now = Instant::now();
        let server = Server::start(&old, &[version]);
        let pocket = Arc::new(tickets.none(&endpoint("mx.example"), now));
        let handshake = session(&connector, &server, &pocket).await;
        keep(&tickets, &pocket, &handshake, now);
        // Restarted: with another key, and without the keys of its tickets.
        drop(server);
        let server = Server::start(&new, &[version]);
        let pocket = Arc::new(tickets.offer(&endpoint("mx.example"), now));
        assert!(pocket.offered().is_some(), "{version}");
        let handshake = session(&connector, &server, &pocket).await;
        assert!(!handshake.is_resumed(), "{version}");
        assert_eq!(handshake.chain()[0].as_ref(), new.der, "{version}");
    }
}
