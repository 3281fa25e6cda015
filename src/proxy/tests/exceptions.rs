//! Each kind of exception over real sockets: what it lets pass, what it refuses, and that it is told of.

use std::time::Duration;

use ring::digest::{SHA256, digest};
use rustls_pki_types::CertificateDer;

use super::world::{Names, Offers, Sink, World, pinned};
use crate::clock::{Clock, SystemClock};
use crate::dns::TlsaRdata;
use crate::policy::exceptions::{Draft, Exception, Pin, Terms};
use crate::policy::identity::{Identity, Rule};
use crate::report::Record;
use crate::x509::sample::{Sample, ca, server};

#[derive(Clone, Copy)]
pub(super) enum Life {
    Alive,
    Over,
}

/// For a domain, for ten days from now or for ten days that are over.
pub(super) fn exception(scope: &str, what: &str, life: Life) -> Exception {
    let now = SystemClock.wall();
    let days = |number: u64| Duration::from_secs(number * 86_400);
    let granted = crate::clock::Timestamp::from_unix(now.unix() - days(10).as_secs());
    let draft = Draft {
        scope: scope.parse().unwrap(),
        what: what.parse().unwrap(),
        author: "ops".into(),
        reason: "a test".into(),
        created: granted,
        granted,
        expires: granted.plus(days(match life {
            Life::Over => 10,
            Life::Alive => 20,
        })),
    };
    draft.check(Terms::default()).unwrap()
}

fn pin_of(certificate: &Sample) -> String {
    let digest = digest(&SHA256, certificate.spki());
    Pin(digest.as_ref().try_into().unwrap()).to_string()
}

/// A recipient of a domain: the reply to RCPT and the record.
async fn deliver(
    tlsa: Vec<TlsaRdata>,
    exceptions: Vec<Exception>,
    offers: Offers<'_>,
    roots: Option<&Sample>,
    domain: &str,
) -> (String, Record) {
    let file = tempfile::NamedTempFile::new().unwrap();
    if let Some(ca) = roots {
        #[expect(clippy::disallowed_methods, reason = "a test writes its CA")]
        std::fs::write(file.path(), &ca.pem).unwrap();
    }
    let mut world = World::with(Names { tlsa }, |config| {
        config.exceptions.declared = exceptions;
        config.ca_file = roots.map(|_| file.path().to_owned());
    })
    .await;
    let sink = Sink::new(offers).await;
    world.asked(sink.address, &format!("b@{domain}")).await
}

struct Row<'a> {
    what: &'a str,
    domain: &'a str,
    exception: &'a str,
    offers: Offers<'a>,
    reply: &'a str,
    reason: &'a str,
    level: &'a str,
}

#[tokio::test]
#[expect(
    clippy::too_many_lines,
    reason = "a table, one row per kind and outcome"
)]
async fn a7_dane_35_tls_8_each_kind_of_exception_lets_pass_and_refuses_what_it_says() {
    let root = Sample::self_signed(ca("The CA"));
    let trusted = root.issue(server(&["mx.plain.example"]));
    let (own, good) = pinned("mx.signed.example");
    let (_, bad) = pinned("mx.signed.example");
    let pin = format!("pin {}", pin_of(&own));
    let other = format!("pin {}", pin_of(&root));
    let both = format!("{other} {}", pin_of(&own));
    let row = |(what, domain, exception), offers, (reply, reason, level)| Row {
        what,
        domain,
        exception,
        offers,
        reply,
        reason,
        level,
    };
    let tls = || Offers::StartTls(&own);
    let (signed, plain) = ("signed.example", "plain.example");
    for (tlsa, rows) in [
        (
            bad,
            vec![
                row(
                    ("nothing demanded, no TLS", signed, "none"),
                    Offers::Nothing,
                    ("250", "cleartext", "L0"),
                ),
                row(
                    ("TLS demanded and there", signed, "encrypt"),
                    tls(),
                    ("250", "encrypted", "L1"),
                ),
                row(
                    ("TLS demanded and not there", signed, "encrypt"),
                    Offers::Nothing,
                    ("451 4.7.4 starttls-required", "starttls-required", "L1"),
                ),
                row(
                    ("DANE demanded and wrong", signed, "dane"),
                    tls(),
                    ("451 4.7.5 dane-mismatch", "dane-mismatch", "LD"),
                ),
            ],
        ),
        (
            good,
            vec![
                row(
                    ("DANE demanded and there", signed, "dane"),
                    tls(),
                    ("250", "dane-ee", "LD"),
                ),
                row(
                    ("DANE demanded and no MX record signed", plain, "dane"),
                    tls(),
                    ("451 4.7.4 dane-required", "dane-required", "LD"),
                ),
                row(
                    ("a policy demanded and none there", plain, "mta-sts"),
                    tls(),
                    ("451 4.7.4 sts-required", "sts-required", "LS"),
                ),
                row(
                    (
                        "a certificate demanded and a self-signed one there",
                        plain,
                        "webpki",
                    ),
                    tls(),
                    ("451 4.7.5 webpki-cert", "webpki-untrusted", "local"),
                ),
                row(
                    ("a certificate demanded and there", plain, "webpki"),
                    Offers::StartTls(&trusted),
                    ("250", "webpki", "local"),
                ),
                row(
                    ("a key demanded and there", plain, &pin),
                    tls(),
                    ("250", "pin", "local"),
                ),
                row(
                    ("one of two keys demanded and there", plain, &both),
                    tls(),
                    ("250", "pin", "local"),
                ),
                row(
                    ("another key demanded", plain, &other),
                    tls(),
                    ("451 4.7.5 pin-mismatch", "pin-mismatch", "local"),
                ),
                row(
                    (
                        "another key demanded beside DANE that holds",
                        signed,
                        &other,
                    ),
                    tls(),
                    ("451 4.7.5 pin-mismatch", "pin-mismatch", "LD"),
                ),
                row(
                    ("a key demanded of a host in clear", plain, &pin),
                    Offers::Nothing,
                    ("451 4.7.4 starttls-required", "starttls-required", "local"),
                ),
            ],
        ),
    ] {
        for row in rows {
            let exception = exception(row.domain, row.exception, Life::Alive);
            let id = exception.id().to_string();
            let tlsa = if row.domain == signed {
                vec![tlsa.clone()]
            } else {
                vec![]
            };
            let (reply, record) =
                deliver(tlsa, vec![exception], row.offers, Some(&root), row.domain).await;
            let what = row.what;
            assert!(reply.starts_with(row.reply), "{what}: {reply}");
            let [judgement] = &record.judgements[..] else {
                panic!("{what}: {record:?}")
            };
            let told = (judgement.reason, judgement.level);
            assert_eq!(told, (row.reason, Some(row.level)), "{what}");
            let used: Vec<_> = judgement.exceptions.iter().map(|one| &one.id).collect();
            assert_eq!(used, [&id], "{what}");
        }
    }
}

/// The chain of a CA's certificate holds the CA's key too, which the server has never proven to hold.
#[tokio::test]
async fn a_pin_of_a_certificate_that_is_only_sent_along_is_worth_nothing() {
    let root = Sample::self_signed(ca("The CA"));
    let leaf = root.issue(server(&["mx.plain.example"]));
    let chain: Vec<CertificateDer<'static>> = vec![leaf.der.clone(), root.der.clone()];
    assert_eq!(chain.len(), 2);
    let of_ca = exception(
        "plain.example",
        &format!("pin {}", pin_of(&root)),
        Life::Alive,
    );
    let (reply, _) = deliver(
        vec![],
        vec![of_ca],
        Offers::StartTls(&leaf),
        None,
        "plain.example",
    )
    .await;
    assert!(reply.starts_with("451 4.7.5 pin-mismatch"), "{reply}");
}

#[tokio::test]
async fn an_ended_exception_changes_nothing_and_is_not_told_of() {
    let (sample, _) = pinned("mx.signed.example");
    let (_, bad) = pinned("mx.signed.example");
    let over = exception("signed.example", "none", Life::Over);
    let tls = Offers::StartTls(&sample);
    let (reply, record) = deliver(vec![bad], vec![over], tls, None, "signed.example").await;
    assert!(reply.starts_with("451 4.7.5 dane-mismatch"), "{reply}");
    assert!(record.judgements[0].exceptions.is_empty());
}

#[tokio::test]
async fn an_exception_reaches_its_own_domain_alone() {
    let (sample, _) = pinned("mx.signed.example");
    let (_, bad) = pinned("mx.signed.example");
    for scope in ["*.signed.example", "second.example", "example"] {
        let loosened = exception(scope, "none", Life::Alive);
        let tls = Offers::StartTls(&sample);
        let tlsa = vec![bad.clone()];
        let (reply, record) = deliver(tlsa, vec![loosened], tls, None, "signed.example").await;
        assert!(reply.starts_with("451 4.7.5 "), "{scope}: {reply}");
        assert!(record.judgements[0].exceptions.is_empty());
    }
}

#[tokio::test]
async fn r2_attack_dn_21_a_loosened_domain_in_clear_takes_no_other_domain_along() {
    let (_, tlsa) = pinned("mx.signed.example");
    let names = Names { tlsa: vec![tlsa] };
    let mut world = World::with(names, |config| {
        config.exceptions.declared = vec![
            exception("signed.example", "none", Life::Alive),
            exception("other.example", "encrypt", Life::Alive),
        ];
    })
    .await;
    let sink = Sink::new(Offers::Nothing).await;
    let mut client = world.begun(sink.address).await;
    client
        .expect(&[
            ("RCPT TO:<b@signed.example>", "250"),
            ("RCPT TO:<b@second.example>", "451 4.7.4"),
            ("RCPT TO:<b@other.example>", "451 4.7.4"),
            ("RCPT TO:<b@policy.example>", "451 4.7.4"),
            ("RCPT TO:<c@signed.example>", "250"),
            ("QUIT", "221"),
        ])
        .await;
    let record = world.record().await;
    let told: Vec<_> = record
        .judgements
        .iter()
        .map(|one| (one.domain.as_str(), one.reason, one.exceptions.len()))
        .collect();
    assert_eq!(
        told,
        [
            ("signed.example", "cleartext", 1),
            ("second.example", "starttls-required", 0),
            ("other.example", "starttls-required", 1),
            ("policy.example", "starttls-required", 0),
        ]
    );
    assert_eq!(record.recipients, 2);
}

#[tokio::test]
async fn role_6_a_key_that_an_exception_names_proves_a_route_s_host_for_a_login() {
    let (sample, _) = pinned("relay.example");
    let rule = Rule {
        network: "127.0.0.0/8".parse().unwrap(),
        port: None,
        identity: Identity::Route("mx.plain.example".parse().unwrap()),
    };
    for (what, is_offered) in [
        (format!("pin {}", pin_of(&sample)), true),
        ("encrypt".to_owned(), false),
    ] {
        let world = World::with(Names::default(), |config| {
            config.rules = vec![rule.clone()];
            config.exceptions.declared = vec![exception("mx.plain.example", &what, Life::Alive)];
        })
        .await;
        let sink = Sink::new(Offers::StartTls(&sample)).await;
        let mut client = world.greeted(sink.address).await;
        let offer = client.say("EHLO client.example").await;
        assert_eq!(offer.contains("250-AUTH PLAIN\r\n"), is_offered, "{what}");
    }
}
