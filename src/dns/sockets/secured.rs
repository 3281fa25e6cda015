//! By TLS (RFC 7858): the right certificate or nothing, one connection for all, and never a word in the clear.

use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::*;

/// A CA of the test's own.
struct Ca {
    der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "A CA");
        let der = params.self_signed(&key).unwrap().der().clone();
        let issuer = Issuer::new(params, key);
        Self { der, issuer }
    }

    fn roots(&self) -> Option<Roots> {
        let anchor = webpki::anchor_from_trusted_cert(&self.der).unwrap();
        Some(Roots::new(vec![anchor.to_owned()]))
    }

    /// A server with a certificate for this name, or this address, until the year begins.
    fn acceptor(&self, subject: &str, until: i32) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![subject.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

/// What a server does with a connection once hands are shaken.
#[derive(Clone, Copy)]
enum Manner {
    /// Answers until the client leaves.
    Honest,
    /// Closes after so many answers.
    ClosesAfter(usize),
    /// Answers the first question, then reads three (the keys of the root, DS and keys of the zone) and answers them backwards.
    Backwards,
}

/// A resolver that speaks TLS, and a UDP socket on its port where nothing must ever arrive.
struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    in_the_clear: UdpSocket,
}

impl Server {
    async fn start(world: &Arc<World>, acceptor: TlsAcceptor, manner: Manner) -> Self {
        let (address, in_the_clear, tcp) = bind().await;
        let connections = Arc::new(AtomicUsize::new(0));
        let (world, counted) = (Arc::clone(world), Arc::clone(&connections));
        tokio::spawn(async move {
            while let Ok((stream, _)) = tcp.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                let (world, acceptor) = (Arc::clone(&world), acceptor.clone());
                tokio::spawn(async move {
                    // A client that does not like the certificate leaves.
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(&world, stream, manner).await;
                    }
                });
            }
        });
        Self {
            address,
            connections,
            in_the_clear,
        }
    }

    fn named(&self, name: &str) -> ServerAddress {
        format!("tls://{}#{name}", self.address).parse().unwrap()
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    fn nothing_came_in_the_clear(&self) -> bool {
        self.in_the_clear.try_recv_from(&mut [0; 1]).is_err()
    }
}

async fn serve(world: &World, mut stream: TlsStream<TcpStream>, manner: Manner) {
    let batches = match manner {
        Manner::Honest => vec![1; 1000],
        Manner::ClosesAfter(answers) => vec![1; answers],
        Manner::Backwards => vec![1, 3],
    };
    for batch in batches {
        let mut answers = Vec::new();
        for _ in 0..batch {
            let Some(query) = read_message(&mut stream).await else {
                return;
            };
            answers.push(answer(world, &query).1.to_vec().unwrap());
        }
        for answer in answers.iter().rev() {
            write_message(&mut stream, answer).await;
        }
    }
    // The client may have left before.
    let _ = stream.shutdown().await;
}

const OWNER: &str = "_25._tcp.mx0.safe";

/// Who shows which certificate, the name that is wanted, and whether it is accepted.
fn certificates(ca: &Ca) -> Vec<(&'static str, TlsAcceptor, &'static str, bool)> {
    let stranger = Ca::new();
    vec![
        (
            "the name",
            ca.acceptor("dns.example", 2040),
            "dns.example",
            true,
        ),
        (
            "the address",
            ca.acceptor("127.0.0.1", 2040),
            "127.0.0.1",
            true,
        ),
        (
            "another name",
            ca.acceptor("dns.example", 2040),
            "dns.example.org",
            false,
        ),
        (
            "a name for the address",
            ca.acceptor("dns.example", 2040),
            "127.0.0.1",
            false,
        ),
        (
            "another address",
            ca.acceptor("127.0.0.2", 2040),
            "127.0.0.1",
            false,
        ),
        (
            "a CA that nobody trusts",
            stranger.acceptor("dns.example", 2040),
            "dns.example",
            false,
        ),
        (
            "expired",
            ca.acceptor("dns.example", 2025),
            "dns.example",
            false,
        ),
    ]
}

#[tokio::test]
async fn dns_17_by_tls_the_right_certificate_counts_and_no_other() {
    let world = world();
    let ca = Ca::new();
    for (says, acceptor, name, accepted) in certificates(&ca) {
        for validate in [Validate::Local, Validate::TrustAd, Validate::Both] {
            let server = Server::start(&world, acceptor.clone(), Manner::Honest).await;
            let resolver = resolver(&world, vec![server.named(name)], validate, ca.roots());
            let found = tlsa_at(&resolver, OWNER).await;
            assert_eq!(
                is_secure(&found),
                accepted,
                "{says}, {validate:?}: {found:?}"
            );
            assert_eq!(
                is_unreachable(&found),
                !accepted,
                "{says}, {validate:?}: {found:?}"
            );
            assert!(server.nothing_came_in_the_clear(), "{says}");
        }
    }
}

#[tokio::test]
async fn dns_17_the_address_form_without_a_name_wants_the_address_in_the_certificate() {
    let world = world();
    let ca = Ca::new();
    for (subject, accepted) in [("127.0.0.1", true), ("localhost", false)] {
        let server = Server::start(&world, ca.acceptor(subject, 2040), Manner::Honest).await;
        let address = format!("tls://{}", server.address).parse().unwrap();
        let resolver = resolver(&world, vec![address], Validate::Local, ca.roots());
        let found = tlsa_at(&resolver, OWNER).await;
        assert_eq!(is_secure(&found), accepted, "{subject}: {found:?}");
    }
}

#[tokio::test]
async fn dns_17_without_cas_no_resolver_is_trusted() {
    let world = world();
    let server = Server::start(
        &world,
        Ca::new().acceptor("dns.example", 2040),
        Manner::Honest,
    )
    .await;
    let resolver = resolver(
        &world,
        vec![server.named("dns.example")],
        Validate::Local,
        None,
    );
    let found = tlsa_at(&resolver, OWNER).await;
    assert!(is_unreachable(&found), "{found:?}");
}

#[tokio::test]
async fn dns_15_17_many_questions_share_one_connection_and_may_be_answered_in_any_order() {
    let world = world();
    let ca = Ca::new();
    let acceptor = ca.acceptor("dns.example", 2040);
    let backwards = Server::start(&world, acceptor.clone(), Manner::Backwards).await;
    let server = backwards.named("dns.example");
    let found = tlsa_at(
        &resolver(&world, vec![server], Validate::Local, ca.roots()),
        OWNER,
    )
    .await;
    assert!(is_secure(&found), "{found:?}");
    assert_eq!(backwards.connections(), 1);
    let honest = Server::start(&world, acceptor, Manner::Honest).await;
    let server = honest.named("dns.example");
    let resolver = resolver(&world, vec![server], Validate::Local, ca.roots());
    all_hosts_are_secure(&resolver, "at once").await;
    assert_eq!(honest.connections(), 1);
}

async fn all_hosts_are_secure(resolver: &Resolver, says: &str) {
    let owners: Vec<String> = (0..12)
        .map(|host| format!("_25._tcp.mx{host}.safe"))
        .collect();
    let lookups = owners.iter().map(|owner| tlsa_at(resolver, owner));
    for found in futures_util::future::join_all(lookups).await {
        assert!(is_secure(&found), "{says}: {found:?}");
    }
}

#[tokio::test]
async fn dns_18_a_connection_that_the_resolver_closes_is_made_anew() {
    let world = world();
    let ca = Ca::new();
    for answers in [1, 2, 6, 7] {
        let acceptor = ca.acceptor("dns.example", 2040);
        let server = Server::start(&world, acceptor, Manner::ClosesAfter(answers)).await;
        let address = server.named("dns.example");
        let resolver = resolver(&world, vec![address], Validate::TrustAd, ca.roots());
        for host in 0..12 {
            let found = tlsa_at(&resolver, &format!("_25._tcp.mx{host}.safe")).await;
            assert!(is_secure(&found), "after {answers}: {found:?}");
        }
        let connections = server.connections();
        assert!(
            (12_usize.div_ceil(answers)..=13).contains(&connections),
            "{connections}"
        );
        assert!(server.nothing_came_in_the_clear());
    }
}

#[tokio::test]
async fn dns_05_17_a_resolver_that_closes_after_the_handshake_or_speaks_in_the_clear_is_unreachable()
 {
    let world = world();
    let ca = Ca::new();
    let acceptor = ca.acceptor("dns.example", 2040);
    let closing = Server::start(&world, acceptor.clone(), Manner::ClosesAfter(0)).await;
    let honest = Server::start(&world, acceptor, Manner::Honest).await;
    let (plain, heard) = speaking_plainly(&world).await;
    for (says, first) in [("closing", closing.named("dns.example")), ("plain", plain)] {
        for validate in [Validate::Local, Validate::TrustAd, Validate::Both] {
            let one = resolver(&world, vec![first.clone()], validate, ca.roots());
            for owner in [OWNER, "_25._tcp.mx0.free", "_25._tcp.no.free"] {
                let found = tlsa_at(&one, owner).await;
                assert!(is_unreachable(&found), "{says}, {validate:?}: {found:?}");
            }
            let servers = vec![first.clone(), honest.named("dns.example")];
            let two = resolver(&world, servers, validate, ca.roots());
            assert!(
                is_secure(&tlsa_at(&two, OWNER).await),
                "{says}, {validate:?}"
            );
        }
    }
    assert!(closing.nothing_came_in_the_clear());
    let heard = heard.lock().unwrap();
    assert!(
        !heard.is_empty() && heard.iter().all(|octet| *octet == 0x16),
        "{heard:?}"
    );
}

/// A resolver without TLS, and the first octet of all that came by TCP: 0x16 begins a handshake (RFC 8446 §5.1).
async fn speaking_plainly(world: &Arc<World>) -> (ServerAddress, Arc<Mutex<Vec<u8>>>) {
    let (address, udp, tcp) = bind().await;
    let heard = Arc::new(Mutex::new(Vec::new()));
    let (world, hearing) = (Arc::clone(world), Arc::clone(&heard));
    let query = Message::query().to_vec().unwrap();
    assert!(query.len() > 11);
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok((length, client)) = udp.recv_from(&mut buffer).await {
            let (_, answer) = answer(&world, &buffer[..length]);
            udp.send_to(&answer.to_vec().unwrap(), client)
                .await
                .unwrap();
        }
    });
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = tcp.accept().await {
            let first = stream.read_u8().await;
            hearing.lock().unwrap().extend(first.ok());
            write_message(&mut stream, &query).await;
        }
    });
    let address = format!("tls://{address}#dns.example").parse().unwrap();
    (address, heard)
}

#[tokio::test]
async fn dns_18_many_lookups_that_wait_for_one_dead_connection_do_not_wait_one_after_the_other() {
    let world = world();
    let ca = Ca::new();
    let honest = Server::start(&world, ca.acceptor("dns.example", 2040), Manner::Honest).await;
    // Connections to it are made by the kernel, and nobody ever says anything.
    let (silent, _udp, _tcp) = bind().await;
    let silent = format!("tls://{silent}#dns.example").parse().unwrap();
    let servers = vec![silent, honest.named("dns.example")];
    let resolver = resolver(&world, servers, Validate::Local, ca.roots());
    all_hosts_are_secure(&resolver, "behind a silent one").await;
}
