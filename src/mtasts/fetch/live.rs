//! The fetcher against policy hosts on loopback that speak TLS for real and misbehave on purpose.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "IO: the tests run their own policy hosts"
)]

mod fetcher;
mod host;
mod pki;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{DnType, ExtendedKeyUsagePurpose, date_time_ymd};
use rustls::HandshakeKind;

use self::fetcher::{AllAt, PATIENT, fetch, fetcher};
use self::host::{Host, Script, Seen, ok, text};
use self::pki::{Pki, self_signed};
use super::{FetchFailure, FetchOptions, FetchPolicy, FetcherError, HttpsFetcher};
use crate::mtasts::Mode;
use crate::mtasts::policy::MAX_BODY;
use crate::x509::path::Roots;

const POLICY: &str =
    "version: STSv1\r\nmode: enforce\r\nmx: mx.example.test\r\nmax_age: 604800\r\n";

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
