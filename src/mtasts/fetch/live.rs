//! The fetcher against policy hosts on loopback that speak TLS for real and misbehave on purpose.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "IO: the tests run their own policy hosts"
)]

use std::net::Ipv4Addr;
use std::sync::{Mutex, PoisonError};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, date_time_ymd,
};
use rustls::HandshakeKind;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::*;
use crate::dns::{Absence, AbsenceKind, Denial, Mx, Resolved, Source, Text, TlsaRdata};
use crate::mtasts::Mode;

const POLICY: &str =
    "version: STSv1\r\nmode: enforce\r\nmx: mx.example.test\r\nmax_age: 604800\r\n";

/// What the host sends once it has read a request.
#[derive(Clone)]
enum Script {
    /// This, then it closes.
    Send(Vec<u8>),
    /// This, and then nothing more while it keeps the connection.
    Stall(Vec<u8>),
    /// The first, and then the second for as long as somebody reads.
    Endless(Vec<u8>, Vec<u8>),
    /// This, and then it drops the connection without TLS's own end.
    Cut(Vec<u8>),
}

fn ok(headers: &str, body: &[u8]) -> Vec<u8> {
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    )
    .into_bytes();
    answer.extend_from_slice(body);
    answer
}

fn text(body: &[u8]) -> Vec<u8> {
    ok("Content-Type: text/plain\r\n", body)
}

/// A policy host; ends with its runtime.
struct Host {
    port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
}

#[derive(Clone, Debug)]
struct Seen {
    sni: Option<String>,
    handshake: Option<HandshakeKind>,
    head: String,
}

impl Host {
    async fn start(identity: Identity, script: Script) -> Self {
        Self::start_with(identity, script, rustls::ALL_VERSIONS).await
    }

    async fn start_with(
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

    fn seen(&self) -> Vec<Seen> {
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

/// A CA and what it signs.
struct Pki {
    ca: CertifiedIssuer<'static, KeyPair>,
}

struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Pki {
    fn new() -> Self {
        Self::named("Lab CA")
    }

    fn named(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { ca }
    }

    fn roots(&self) -> Roots {
        Roots::new(vec![
            webpki::anchor_from_trusted_cert(self.ca.der())
                .unwrap()
                .to_owned(),
        ])
    }

    fn issue(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = params(names, change).signed_by(&key, &self.ca).unwrap();
        Identity {
            chain: vec![certificate.der().clone()],
            key: PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        }
    }

    /// For the right name, today.
    fn good(&self) -> Identity {
        self.issue(&["mta-sts.example.test"], |_| {})
    }
}

fn params(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    change(&mut params);
    params
}

fn self_signed() -> Identity {
    let key = KeyPair::generate().unwrap();
    let certificate = params(&["mta-sts.example.test"], |_| {})
        .self_signed(&key)
        .unwrap();
    Identity {
        chain: vec![certificate.der().clone()],
        key: PrivateKeyDer::Pkcs8(key.serialize_der().into()),
    }
}

/// Everything is at this address.
struct AllAt(IpAddr);

impl AllAt {
    fn resolved<T: Send + 'static>(answer: Answer<T>) -> BoxFuture<'static, Resolved<T>> {
        Box::pin(std::future::ready(Resolved {
            answer,
            aliases: Vec::new(),
            source: Source::default(),
        }))
    }
}

const ABSENT: Absence = Absence {
    kind: AbsenceKind::NoData,
    denial: Denial::Insecure,
};

impl Lookup for AllAt {
    fn mx<'a>(&'a self, _: &'a DnsName) -> BoxFuture<'a, Resolved<Vec<Mx>>> {
        Self::resolved(Answer::Absent(ABSENT))
    }

    fn addresses<'a>(
        &'a self,
        host: &'a DnsName,
        family: Family,
    ) -> BoxFuture<'a, Resolved<Vec<IpAddr>>> {
        let here = host.as_str() == "mta-sts.example.test" && Family::of(self.0) == family;
        Self::resolved(if here {
            Answer::Insecure(vec![self.0])
        } else {
            Answer::Absent(ABSENT)
        })
    }

    fn tlsa<'a>(&'a self, _: &'a DnsName) -> BoxFuture<'a, Resolved<Vec<TlsaRdata>>> {
        Self::resolved(Answer::Absent(ABSENT))
    }

    fn txt<'a>(&'a self, _: &'a DnsName) -> BoxFuture<'a, Resolved<Vec<Text>>> {
        Self::resolved(Answer::Absent(ABSENT))
    }
}

fn fetcher(pki: &Pki, port: u16, timeout: Duration) -> HttpsFetcher {
    let options = FetchOptions {
        port,
        allow_private: true,
        timeout,
        ..FetchOptions::default()
    };
    HttpsFetcher::new(
        Arc::new(AllAt(Ipv4Addr::LOCALHOST.into())),
        &pki.roots(),
        options,
    )
    .unwrap()
}

/// Long enough for a busy machine: nothing but a fault of ours makes a test wait for it.
const PATIENT: Duration = Duration::from_secs(60);

async fn fetch(pki: &Pki, host: &Host, timeout: Duration) -> Result<Policy, FetchFailure> {
    let domain: Domain = "example.test".parse().unwrap();
    fetcher(pki, host.port, timeout).fetch(&domain).await
}

#[tokio::test]
async fn sts_20_sts_21_sts_23_a_policy_is_asked_for_plainly_at_its_host() {
    let pki = Pki::new();
    let host = Host::start(pki.good(), Script::Send(text(POLICY.as_bytes()))).await;
    let fetcher = fetcher(&pki, host.port, PATIENT);
    let domain = "example.test".parse().unwrap();
    for _ in 0..2 {
        let policy = fetcher.fetch(&domain).await.unwrap();
        assert_eq!((policy.mode, policy.text.as_str()), (Mode::Enforce, POLICY));
    }
    let seen = host.seen();
    assert_eq!(seen.len(), 2, "nothing is cached: {seen:?}");
    for Seen {
        sni,
        handshake,
        head,
    } in seen
    {
        assert!(
            handshake.is_some_and(|kind| kind != HandshakeKind::Resumed),
            "each fetch sees a certificate: {handshake:?}"
        );
        assert_eq!(sni.as_deref(), Some("mta-sts.example.test"));
        let mut lines: Vec<String> = head
            .trim_end()
            .split("\r\n")
            .map(str::to_lowercase)
            .collect();
        assert_eq!(lines.remove(0), "get /.well-known/mta-sts.txt http/1.1");
        lines.sort();
        assert_eq!(
            lines,
            [
                "accept-encoding: identity".to_owned(),
                "accept: text/plain".to_owned(),
                format!("host: mta-sts.example.test:{}", host.port),
                format!("user-agent: danelaw/{}", env!("CARGO_PKG_VERSION")),
            ]
        );
    }
}

#[tokio::test]
async fn sts_32_version_1_2_and_1_3_both_serve() {
    let pki = Pki::new();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let script = Script::Send(text(POLICY.as_bytes()));
        let host = Host::start_with(pki.good(), script, &[version]).await;
        assert!(fetch(&pki, &host, PATIENT).await.is_ok(), "{version:?}");
    }
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table")]
async fn sts_03_sts_22_sts_24_sts_25_answers_that_carry_no_policy_are_fetch_failures() {
    let pki = Pki::new();
    let moved = |code: u16| {
        format!(
            "HTTP/1.1 {code} Moved\r\nLocation: https://mta-sts.example.test/other\r\n\
             Content-Type: text/plain\r\nContent-Length: 0\r\n\r\n"
        )
    };
    let status = |line: &str| {
        format!(
            "HTTP/1.1 {line}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{POLICY}",
            POLICY.len()
        )
    };
    let plain = "Content-Type: text/plain\r\n";
    let chunked =
        format!("HTTP/1.1 200 OK\r\n{plain}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
    let unbounded = format!("HTTP/1.1 200 OK\r\n{plain}\r\n{POLICY}");
    let flood = |line: &str, times| {
        format!("HTTP/1.1 200 OK\r\n{plain}{}", line.repeat(times)).into_bytes()
    };
    let octets = |text: String| Script::Send(text.into_bytes());
    for (case, script, why) in [
        ("301", octets(moved(301)), "status 200"),
        ("302", octets(moved(302)), "status 200"),
        ("307", octets(moved(307)), "status 200"),
        ("308", octets(moved(308)), "status 200"),
        ("404", octets(status("404 Not Found")), "status 200"),
        ("206", octets(status("206 Partial Content")), "status 200"),
        ("500", octets(status("500 Oops")), "status 200"),
        (
            "no type",
            Script::Send(ok("", POLICY.as_bytes())),
            "Content-Type",
        ),
        (
            "HTML",
            Script::Send(ok("Content-Type: text/html\r\n", POLICY.as_bytes())),
            "text/plain",
        ),
        (
            "gzip",
            Script::Send(ok(
                &format!("{plain}Content-Encoding: gzip\r\n"),
                b"\x1f\x8b\x08",
            )),
            "content-encoding",
        ),
        (
            "one octet too much",
            Script::Send(text(&vec![b'x'; MAX_BODY + 1])),
            "longer than 65536",
        ),
        (
            "chunks without end",
            Script::Endless(chunked.clone(), b"9\r\nxxxxxxxxx\r\n".to_vec()),
            "longer than 65536",
        ),
        (
            "a body without length or end",
            Script::Endless(unbounded.clone().into_bytes(), vec![b'x'; 1000]),
            "longer than 65536",
        ),
        ("many headers", Script::Send(flood("X: y\r\n", 200)), "head"),
        (
            "long headers",
            Script::Endless(flood("", 0), b"X: yyyyyyyyyyyyyyyyyyyyyyy\r\n".repeat(1000)),
            "head",
        ),
        (
            "100 without end",
            Script::Endless(Vec::new(), b"HTTP/1.1 100 Continue\r\n\r\n".repeat(9)),
            "in 1s",
        ),
        (
            "HTTP/2",
            Script::Send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
            "HTTP",
        ),
        ("no HTTP", Script::Send(POLICY.as_bytes().to_vec()), "HTTP"),
        ("nothing", Script::Send(Vec::new()), "connection"),
        (
            "a body cut short",
            Script::Cut(text(POLICY.as_bytes())[..60].to_vec()),
            "",
        ),
        (
            "the end of the connection for the end of the body",
            Script::Cut(unbounded.into_bytes()),
            "",
        ),
        ("silence", Script::Stall(Vec::new()), "in 1s"),
        ("silence in the body", Script::Stall(chunked), "in 1s"),
    ] {
        let waits = matches!(script, Script::Stall(_)) || case == "100 without end";
        let timeout = if waits {
            Duration::from_secs(1)
        } else {
            PATIENT
        };
        let host = Host::start(pki.good(), script).await;
        let failure = fetch(&pki, &host, timeout).await.expect_err(case);
        let FetchFailure::Fetch(what) = &failure else {
            panic!("{case}: {failure:?}");
        };
        assert!(what.contains(why), "{case}: {what}");
        // A machine so busy that the handshake alone takes a second leaves a row that waits without its request.
        let asked = host.seen().len();
        assert!(
            asked == 1 || waits && asked == 0,
            "{case}: nothing is followed or asked again, seen {asked}"
        );
    }
}

#[tokio::test]
async fn sts_22_a_body_that_is_no_policy_is_invalid_and_the_largest_is_read() {
    let pki = Pki::new();
    let host = Host::start(pki.good(), Script::Send(text(b"<html>"))).await;
    assert_eq!(
        fetch(&pki, &host, PATIENT).await,
        Err(FetchFailure::Invalid(
            "line 1: expected `key: value`, seen no colon".to_owned()
        ))
    );
    let mut largest = format!("{POLICY}x: ").into_bytes();
    largest.resize(MAX_BODY, b'x');
    let host = Host::start(pki.good(), Script::Send(text(&largest))).await;
    assert_eq!(
        fetch(&pki, &host, PATIENT).await.unwrap().text.len(),
        MAX_BODY
    );
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table")]
async fn sts_02_sts_21_only_a_certificate_for_the_policy_host_holds() {
    let pki = Pki::new();
    let other = Pki::named("Other CA");
    let name = "mta-sts.example.test";
    let rows = [
        ("for the host", pki.good(), None),
        (
            "for any host of the domain",
            pki.issue(&["*.example.test"], |_| {}),
            None,
        ),
        (
            "for another host too",
            pki.issue(&["a.test", name], |_| {}),
            None,
        ),
        (
            "for another host",
            pki.issue(&["mta-sts.example.org"], |_| {}),
            Some("not valid for name"),
        ),
        (
            "for the domain itself",
            pki.issue(&["example.test"], |_| {}),
            Some("not valid for name"),
        ),
        (
            "a wildcard two levels up",
            pki.issue(&["*.test"], |_| {}),
            Some("not valid for name"),
        ),
        (
            "a wildcard within the label",
            pki.issue(&["mta-*.example.test"], |_| {}),
            Some("not valid for name"),
        ),
        (
            "the name as common name only",
            pki.issue(&[], |params| {
                params.distinguished_name.push(DnType::CommonName, name)
            }),
            Some("not valid for name"),
        ),
        (
            "an address",
            pki.issue(&["127.0.0.1"], |_| {}),
            Some("not valid for name"),
        ),
        (
            "expired",
            pki.issue(&[name], |params| {
                params.not_after = date_time_ymd(2020, 1, 1)
            }),
            Some("expired"),
        ),
        (
            "not valid yet",
            pki.issue(&[name], |params| {
                params.not_before = date_time_ymd(4000, 1, 1)
            }),
            Some("not valid yet"),
        ),
        ("signed by itself", self_signed(), Some("UnknownIssuer")),
        (
            "of a CA that is not trusted",
            other.good(),
            Some("UnknownIssuer"),
        ),
        (
            "for clients",
            pki.issue(&[name], |params| {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            }),
            Some(""),
        ),
    ];
    for (case, identity, why) in rows {
        let host = Host::start(identity, Script::Send(text(POLICY.as_bytes()))).await;
        match (fetch(&pki, &host, PATIENT).await, why) {
            (Ok(_), None) => {}
            (Err(FetchFailure::WebPki(what)), Some(why)) => {
                assert!(what.contains(why), "{case}: {what}");
                assert!(
                    host.seen().is_empty(),
                    "{case}: nothing is asked before the certificate holds"
                );
            }
            (result, _) => panic!("{case}: {result:?}"),
        }
    }
}

#[tokio::test]
async fn attack_sts_13_a_policy_host_at_a_private_address_is_not_connected_to() {
    let pki = Pki::new();
    let host = Host::start(pki.good(), Script::Send(text(POLICY.as_bytes()))).await;
    let options = FetchOptions {
        port: host.port,
        ..FetchOptions::default()
    };
    for address in ["127.0.0.1", "::ffff:127.0.0.1"] {
        let lookup = Arc::new(AllAt(address.parse().unwrap()));
        let fetcher = HttpsFetcher::new(lookup, &pki.roots(), options).unwrap();
        let result = fetcher.fetch(&"example.test".parse().unwrap()).await;
        let what = format!(
            "the policy host is at {address}, which is this host or not on the public internet"
        );
        assert_eq!(result, Err(FetchFailure::Fetch(what)));
    }
    assert!(host.seen().is_empty());
}

#[tokio::test]
async fn sts_20_what_has_no_policy_host_fails_without_a_connection() {
    let pki = Pki::new();
    let fetcher = fetcher(&pki, 1, PATIENT);
    let long = format!("{}.test", ["a"; 122].join("."));
    for (domain, why) in [
        ("elsewhere.test", "the policy host has no address"),
        (
            long.as_str(),
            "the policy host's name: it is longer than 253 octets",
        ),
    ] {
        let result = fetcher.fetch(&domain.parse().unwrap()).await;
        assert_eq!(result, Err(FetchFailure::Fetch(why.to_owned())), "{domain}");
    }
    // Nobody listens there.
    let result = fetcher.fetch(&"example.test".parse().unwrap()).await;
    assert!(
        matches!(&result, Err(FetchFailure::Fetch(what)) if what.contains("refused")),
        "{result:?}"
    );
}

#[test]
fn without_roots_there_is_no_fetcher() {
    let lookup = Arc::new(AllAt(Ipv4Addr::LOCALHOST.into()));
    let made = HttpsFetcher::new(lookup, &Roots::new(Vec::new()), FetchOptions::default());
    assert!(matches!(made, Err(FetcherError::NoRoots)));
}
