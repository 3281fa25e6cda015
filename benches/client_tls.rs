//! What STARTTLS costs on the mail server's leg: minting a leaf, and a handshake with a new and with a known one.
//!
//! `cargo bench --bench client_tls`. The numbers and what they mean stand in `benches/README.md`.
#![allow(
    clippy::unwrap_used,
    reason = "a bench stops at the first thing that is wrong"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use danelaw::clock::{Clock, SystemClock};
use danelaw::name::DnsName;
use danelaw::tls::authority::found::{Charter, Existing, found};
use danelaw::tls::authority::{Authority, Files, LeafName};
use danelaw::tls::client::Connector;
use danelaw::tls::server::Acceptor;
use divan::Bencher;
use rcgen::KeyPair;
use tokio::runtime::Runtime;

fn main() {
    divan::main();
}

/// What a client pays for that asks for a name nobody has asked for.
#[divan::bench]
fn mint(bencher: Bencher<'_, '_>) {
    let (authority, key, now) = (
        authority(),
        KeyPair::generate().unwrap(),
        SystemClock.wall(),
    );
    let name = LeafName::Host("mx.example.com".parse().unwrap());
    bencher.bench(|| authority.mint(&name, &key, now).unwrap());
}

/// Both sides of a handshake, on one core.
#[divan::bench(args = ["known name", "new name"])]
fn handshake(bencher: Bencher<'_, '_>, kind: &str) {
    let acceptor = Acceptor::new(authority(), Arc::new(SystemClock)).unwrap();
    let connector = Connector::new().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let count = AtomicUsize::new(0);
    bencher.bench_local(|| {
        let number = match kind {
            "known name" => 0,
            _ => count.fetch_add(1, Ordering::Relaxed),
        };
        let name = DnsName::parse(&format!("mx{number}.example.com")).unwrap();
        shake(&runtime, &acceptor, &connector, &name);
    });
}

fn shake(runtime: &Runtime, acceptor: &Acceptor, connector: &Connector, name: &DnsName) {
    runtime.block_on(async {
        let (near, far) = tokio::io::duplex(1 << 16);
        let otherwise = LeafName::Host(name.clone());
        let (server, client) = tokio::join!(
            acceptor.handshake(far, otherwise),
            connector.handshake(near, Some(name))
        );
        assert_eq!(server.unwrap().1.sni.as_ref(), Some(name));
        client.unwrap();
    });
}

fn authority() -> Authority {
    let directory = tempfile::tempdir().unwrap();
    let files = Files {
        certificate: directory.path().join("ca.pem"),
        key: directory.path().join("ca-key.pem"),
    };
    let charter = Charter {
        name: "bench".parse().unwrap(),
        lifetime: Duration::from_secs(24 * 3600),
        existing: Existing::Keep,
    };
    let now = SystemClock.wall();
    found(&files, &charter, now).unwrap();
    Authority::load(&files, now).unwrap()
}
