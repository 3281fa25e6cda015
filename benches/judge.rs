//! What a verdict costs: demand × evidence, with the evidence of real handshakes.
//!
//! `cargo bench --bench judge`. The numbers and what they mean stand in `benches/README.md`.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a bench stops at the first thing that is wrong, and reads the clock"
)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use danelaw::clock::Timestamp;
use danelaw::dane::tlsa::usable;
use danelaw::name::{DnsName, Domain, ReferenceId, TlsaBase};
use danelaw::policy::continuity::book::{Book, Place};
use danelaw::policy::continuity::{Origin, Published, Sighting, TlsSeen, Vouched};
use danelaw::policy::pins::{Key, Pins, Session};
use danelaw::policy::{
    Candidate, Continuity, DaneDemand, Demand, Fingerprint, Located, Requirement, StsDemand,
};
use danelaw::tls::Evidence;
use danelaw::tls::client::Connector;
use danelaw::verdict::{Verdict, judge};
use danelaw::x509::path::Roots;
use divan::Bencher;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use ring::digest::{SHA256, digest};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

fn main() {
    divan::main();
}

const MX: &str = "mx.example.com";

/// A certificate chain as a server has it, and what a client may know of it.
struct Peer {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    spki: Vec<u8>,
    root: CertificateDer<'static>,
}

impl Peer {
    fn generate() -> Self {
        let root_key = KeyPair::generate().unwrap();
        let mut root = CertificateParams::new(Vec::new()).unwrap();
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root_cert = root.self_signed(&root_key).unwrap();
        let issuer = Issuer::new(root, root_key);
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec![MX.to_owned()])
            .unwrap()
            .signed_by(&key, &issuer)
            .unwrap();
        Self {
            chain: vec![leaf.der().clone(), root_cert.der().clone()],
            spki: rcgen::PublicKeyData::subject_public_key_info(&key),
            key: PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            root: root_cert.der().clone(),
        }
    }

    /// The evidence of a handshake over an in-memory pipe.
    fn evidence(&self) -> Evidence {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), self.key.clone_key())
            .unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let (near, far) = tokio::io::duplex(1 << 16);
            let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
            let connector = Connector::new().unwrap();
            let sni = DnsName::parse(MX).unwrap();
            let (_server, client) =
                tokio::join!(acceptor.accept(far), connector.handshake(near, Some(&sni)));
            Evidence::Protected(client.unwrap().1)
        })
    }

    fn roots(&self) -> Roots {
        Roots::new(vec![
            webpki::anchor_from_trusted_cert(&self.root)
                .unwrap()
                .to_owned(),
        ])
    }
}

fn demand(requirement: Requirement) -> Demand {
    let candidate = Candidate {
        host: MX.parse().unwrap(),
        requirement,
        observed: None,
    };
    Demand {
        located: Located::ByAddress,
        candidates: vec![candidate],
    }
}

fn dane(rdata: Vec<u8>) -> Demand {
    let base: TlsaBase = MX.parse().unwrap();
    let reference_ids = vec![ReferenceId::new(base.name().clone())];
    let records = usable(&[rdata]);
    assert_eq!(records.len(), 1);
    demand(Requirement {
        dane: Some(DaneDemand {
            base,
            records,
            reference_ids,
            half: false,
        }),
        ..Requirement::default()
    })
}

fn record(usage: u8, selector: u8, data: &[u8]) -> Vec<u8> {
    [&[usage, selector, 1], digest(&SHA256, data).as_ref()].concat()
}

fn sts() -> Demand {
    let sts = StsDemand {
        listed: true,
        patterns: vec![MX.to_owned()],
    };
    demand(Requirement {
        sts: Some(sts),
        ..Requirement::default()
    })
}

fn now() -> Timestamp {
    Timestamp::from_unix(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs(),
    )
}

/// Judges `demand` against the peer's evidence; `pins` says what must come out, so that no bench measures a mistake.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Comes {
    ToAPin,
    ToARefusal,
}

fn bench(bencher: Bencher<'_, '_>, peer: &Peer, demand: &Demand, comes: Comes) {
    bench_with(bencher, peer, demand, comes, peer.evidence());
}

/// With what an earlier verdict on the same evidence has proven.
fn bench_pinned(bencher: Bencher<'_, '_>, peer: &Peer, demand: &Demand) {
    let Evidence::Protected(handshake) = peer.evidence() else {
        unreachable!("it is protected")
    };
    let evidence = Evidence::Protected(handshake.clone());
    let tried = [Some(DnsName::parse(MX).unwrap())];
    let Verdict::Pin(pin) = judge(demand, &evidence, &tried, &peer.roots(), now()) else {
        unreachable!("it is a pin")
    };
    assert_eq!(pin.grounds.proofs.len(), 1);
    let evidence = Evidence::Protected(handshake.recalling(pin.grounds.proofs));
    bench_with(bencher, peer, demand, Comes::ToAPin, evidence);
}

fn bench_with(
    bencher: Bencher<'_, '_>,
    peer: &Peer,
    demand: &Demand,
    comes: Comes,
    evidence: Evidence,
) {
    let (roots, now) = (peer.roots(), now());
    let tried = [Some(DnsName::parse(MX).unwrap())];
    bencher.bench(|| {
        let verdict = judge(demand, &evidence, &tried, &roots, now);
        assert!(matches!(verdict, Verdict::Pin(_)) == (comes == Comes::ToAPin));
        verdict
    });
}

/// What every session leaves behind, with the memory full.
#[divan::bench]
fn continuity_as_ever(bencher: Bencher<'_, '_>) {
    let (book, at) = (Book::new(Continuity::Enforce), now());
    let domain: Domain = "example.com".parse().unwrap();
    let place = |n: u32| Place {
        host: format!("mx{n}.example.com").parse().unwrap(),
        port: 25,
    };
    let see = |place: &Place| {
        let spki = "ab".repeat(32);
        let seen = Sighting {
            at,
            tls: Some(TlsSeen {
                is_13: true,
                spki: &spki,
            }),
            dane: Published::No,
            sts: (&domain, Published::Yes),
            is_cleared: true,
        };
        book.learn(place, &seen, || Origin {
            issuer: "A CA".into(),
            vouched: Vouched::ByCa,
        })
    };
    for n in 0..65_536 {
        see(&place(n));
    }
    assert_eq!(book.len(), 65_536);
    let one = place(7);
    bencher.bench(|| {
        let news = see(&one);
        assert!(news.alerts.is_empty() && news.row.is_none());
    });
}

/// The same for a pin.
#[divan::bench]
fn pin_as_ever(bencher: Bencher<'_, '_>) {
    let (pins, at) = (Pins::default(), now());
    let key = |n: u32| Key {
        destination: SocketAddr::from(([10, 0, (n >> 8) as u8, n as u8], 25)),
        sni: Some(DnsName::parse(MX).unwrap()),
        demand: Fingerprint::NOTHING,
    };
    let clear = |key: &Key| {
        let session = Session {
            at,
            host: Some(MX.to_owned()),
            domain: "example.com",
            basis: "mta-sts",
            level: "LS",
            spki: "ab".repeat(32),
            chain: "cd".repeat(32),
            proofs: &[],
        };
        pins.cleared(key, &session)
    };
    for n in 0..16_384 {
        assert!(clear(&key(n)).is_some());
    }
    let one = key(7);
    bencher.bench(|| assert!(clear(&one).is_none()));
}

#[divan::bench]
fn opportunistic(bencher: Bencher<'_, '_>) {
    bench(
        bencher,
        &Peer::generate(),
        &demand(Requirement::default()),
        Comes::ToAPin,
    );
}

#[divan::bench]
fn dane_ee_3_1_1(bencher: Bencher<'_, '_>) {
    let peer = Peer::generate();
    bench(
        bencher,
        &peer,
        &dane(record(3, 1, &peer.spki)),
        Comes::ToAPin,
    );
}

#[divan::bench]
fn dane_ee_mismatch(bencher: Bencher<'_, '_>) {
    bench(
        bencher,
        &Peer::generate(),
        &dane(record(3, 1, b"another key")),
        Comes::ToARefusal,
    );
}

#[divan::bench]
fn dane_ta_2_0_1(bencher: Bencher<'_, '_>) {
    let peer = Peer::generate();
    bench(
        bencher,
        &peer,
        &dane(record(2, 0, &peer.root)),
        Comes::ToAPin,
    );
}

#[divan::bench]
fn dane_ta_2_0_1_pinned(bencher: Bencher<'_, '_>) {
    let peer = Peer::generate();
    bench_pinned(bencher, &peer, &dane(record(2, 0, &peer.root)));
}

#[divan::bench]
fn mta_sts_pinned(bencher: Bencher<'_, '_>) {
    bench_pinned(bencher, &Peer::generate(), &sts());
}

#[divan::bench]
fn mta_sts(bencher: Bencher<'_, '_>) {
    bench(bencher, &Peer::generate(), &sts(), Comes::ToAPin);
}
