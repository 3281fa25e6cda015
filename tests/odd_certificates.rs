//! Certificates that no CA would issue, in real handshakes: under DANE-EE nothing but the key counts.
//!
//! Each kind is served over TLS 1.2 and TLS 1.3 to the connector that deliveries use, and what it has seen is held
//! against `3 1 1`, `3 0 1`, `3 1 0` and `3 0 0`. What cannot be authenticated is in a table of its own, with what the
//! administrator is told; `docs/certificates.md` is about these.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::too_many_lines,
    clippy::unwrap_used,
    reason = "a test crate of its own: a panic is how a test fails, and a table is as long as it has rows"
)]

mod certificate;

use std::sync::Arc;

use certificate::{
    self as x509, BASIC_CONSTRAINTS, Certificate, KEY_USAGE, Key, NULL, SAN, UTF8_STRING, cn,
    cn_as, critical, extension, generalized, oid, san, sequence, tlv, utc,
};
use danelaw::clock::Timestamp;
use danelaw::dane::{self, Presented, tlsa};
use danelaw::name::DnsName;
use danelaw::tls::Handshake;
use danelaw::tls::client::Connector;
use danelaw::x509::outline::Outline;
use ring::digest;
use rustls::crypto::ring::default_provider;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ServerConfig, SupportedProtocolVersion};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::duplex;
use tokio_rustls::TlsAcceptor;

const MX: &str = "mx.example.com";
/// 2026-01-01.
const NOW: Timestamp = Timestamp::from_unix(1_767_225_600);
const VERSIONS: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS12, &rustls::version::TLS13];

#[tokio::test]
async fn tlsa_13_dane_01_the_key_of_an_odd_certificate_authenticates() {
    let key = Key::p256();
    for (sentence, der) in odd(&key) {
        for version in VERSIONS {
            let handshake = shake(&der, &key, version)
                .await
                .unwrap_or_else(|why| panic!("{sentence}, {version:?}: {why}"));
            for kind in [[3, 1, 1], [3, 0, 1], [3, 1, 0], [3, 0, 0]] {
                assert_eq!(
                    judged(&handshake, kind, &der),
                    Ok(0),
                    "{sentence}, {kind:?}"
                );
                // Another certificate's record does not match, however odd the presented one is.
                let other = Certificate::by_itself(MX, &Key::p256().spki).sign(&key);
                assert!(
                    judged(&handshake, kind, &other).is_err(),
                    "{sentence}, {kind:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn tlsa_13_dane_01_keys_of_all_kinds_authenticate() {
    let rsa = Key::from_pkcs8(include_bytes!("../testdata/dane/rsa2048.key.der"));
    let p384 = Key::generate(&rcgen::PKCS_ECDSA_P384_SHA384);
    let ed25519 = Key::generate(&rcgen::PKCS_ED25519);
    let without_null = {
        let mut key = Key::from_pkcs8(&rsa.pkcs8());
        key.spki = sequence(&[
            &sequence(&[&oid(&[1, 2, 840, 113_549, 1, 1, 1])]),
            &rsa.spki[rsa.spki.len() - 275..],
        ]);
        key
    };
    for (sentence, key) in [
        ("RSA-2048", &rsa),
        ("RSA-2048 without NULL", &without_null),
        ("P-384", &p384),
        ("Ed25519", &ed25519),
    ] {
        let der = Certificate::by_itself(MX, &key.spki).sign(key);
        for version in VERSIONS {
            let handshake = shake(&der, key, version)
                .await
                .unwrap_or_else(|why| panic!("{sentence}, {version:?}: {why}"));
            for kind in [[3, 1, 1], [3, 0, 1], [3, 1, 0], [3, 0, 0]] {
                assert_eq!(
                    judged(&handshake, kind, &der),
                    Ok(0),
                    "{sentence}, {kind:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn tlsa_13_what_cannot_be_authenticated_is_refused_with_its_reason() {
    let key = Key::p256();
    let plain = Certificate::by_itself(MX, &key.spki).sign(&key);
    let kind = "the certificate's key is of a kind that cannot be verified";
    let unreadable = "the certificate is not readable: ";
    let point = &key.spki[key.spki.len() - 64..];
    let compressed = ec_key(
        &[1, 2, 840, 10045, 3, 1, 7],
        &[&[2 | point[63] & 1], &point[..32]],
    );
    let p521 = ec_key(&[1, 3, 132, 0, 35], &[&[4], &[1; 132]]);
    let k256 = ec_key(&[1, 3, 132, 0, 10], &[&[4], point]);
    let pss = sequence(&[
        &sequence(&[&oid(&[1, 2, 840, 113_549, 1, 1, 10])]),
        &tlv(0x03, &[&[0], point]),
    ]);
    let holding = |spki: &[u8]| Certificate::by_itself(MX, spki).sign(&key);
    let indefinite = {
        let header = plain.len() - (usize::from(plain[2]) << 8 | usize::from(plain[3]));
        [&[0x30, 0x80], &plain[header..], &[0, 0]].concat()
    };
    let large = {
        let mut certificate = Certificate::by_itself(MX, &key.spki);
        let filler = extension(x509::UNKNOWN, &vec![0; 70_000]);
        certificate.extensions.push(filler);
        certificate.sign(&key)
    };
    for (sentence, der, why) in [
        (
            "a compressed point",
            holding(&compressed),
            "the server has not proven that the certificate's key is its own",
        ),
        ("P-521", holding(&p521), kind),
        ("secp256k1", holding(&k256), kind),
        ("an RSA-PSS key", holding(&pss), kind),
        (
            "explicit curve parameters",
            include_bytes!("../testdata/dane/ec-explicit.der").to_vec(),
            kind,
        ),
        (
            "Ed448",
            include_bytes!("../testdata/dane/ed448.der").to_vec(),
            kind,
        ),
        (
            "RSA-1024, which TLS 1.3 has no way for",
            include_bytes!("../testdata/dane/rsa1024.der").to_vec(),
            kind,
        ),
        ("an indefinite length", indefinite, unreadable),
        (
            "octets after its end",
            [&plain[..], &[0]].concat(),
            unreadable,
        ),
        ("no certificate", b"hello".to_vec(), unreadable),
        (
            "more than 64 KiB",
            large,
            "the server's answer is not TLS, or is damaged (HandshakePayloadTooLarge)",
        ),
    ] {
        let seen = shake(&der, &key, &rustls::version::TLS13).await;
        let Err(seen) = seen else {
            panic!("{sentence}: the handshake succeeded");
        };
        assert!(seen.starts_with(why), "{sentence}: {seen}");
        let seen = shake(&der, &key, &rustls::version::TLS12).await;
        assert!(seen.is_err(), "{sentence}, TLS 1.2");
    }
}

/// A trust anchor that is odd, in a chain that is presented whole.
#[test]
fn tlsa_16_tlsa_17_an_odd_trust_anchor_is_held_to_what_it_is() {
    let [root, issuer, leaf] = [Key::p256(), Key::p256(), Key::p256()];
    let version_1 = |by: &str| {
        let mut certificate = Certificate::new(cn(by), cn("Issuer"), &issuer.spki);
        certificate.version.clear();
        certificate
    };
    let in_letters = |by: Vec<u8>, years: [&str; 2]| {
        let mut certificate = Certificate::new(by, cn("Issuer"), &issuer.spki);
        certificate.validity = sequence(&[&utc(years[0]), &utc(years[1])]);
        certificate.extensions = vec![x509::ca(None)];
        certificate
    };
    let past = ["000101000000Z", "100101000000Z"];
    for (sentence, anchor, holds) in [
        ("a root of version 1", version_1("Issuer"), true),
        ("version 1 below a root", version_1("Root"), false),
        ("an expired root", in_letters(cn("Issuer"), past), false),
        (
            "an expired root that writes its own name in another string type",
            in_letters(cn_as(x509::PRINTABLE_STRING, b"Issuer"), past),
            false,
        ),
        (
            "an expired root that writes its own name in other letters",
            in_letters(cn("ISSUER"), past),
            false,
        ),
        ("expired below a root", in_letters(cn("Root"), past), true),
        (
            "valid until now and no longer",
            in_letters(cn("Issuer"), ["000101000000Z", "260101000000Z"]),
            true,
        ),
        (
            "valid until a second ago",
            in_letters(cn("Issuer"), ["000101000000Z", "251231235959Z"]),
            false,
        ),
        (
            "valid from now on",
            in_letters(cn("Issuer"), ["260101000000Z", "400101000000Z"]),
            true,
        ),
        (
            "valid from the next second on",
            in_letters(cn("Issuer"), ["260101000001Z", "400101000000Z"]),
            false,
        ),
    ] {
        let anchor = anchor.sign(&root);
        let mut server = Certificate::new(cn("Issuer"), cn(MX), &leaf.spki);
        server.extensions = vec![san(&[MX.as_bytes()])];
        let chain = [server.sign(&issuer), anchor.clone()].map(CertificateDer::from);
        for kind in [[2, 0, 1], [2, 1, 1], [2, 0, 0], [2, 1, 0]] {
            let reference_ids = [MX.parse().unwrap()];
            let presented = Presented {
                chain: &chain,
                reference_ids: &reference_ids,
            };
            let outcome = dane::verify(&tlsa::usable(&[record(kind, &anchor)]), presented, NOW);
            let depth = outcome.as_ref().map(|found| found.depth);
            assert_eq!(
                depth.ok() == Some(1),
                holds,
                "{sentence}, {kind:?}: {outcome:?}"
            );
        }
    }
}

/// Certificates with this key that differ from an ordinary one in one thing each.
fn odd(key: &Key) -> Vec<(&'static str, Vec<u8>)> {
    let made = |change: &dyn Fn(&mut Certificate)| {
        let mut certificate = Certificate::by_itself(MX, &key.spki);
        certificate.extensions = vec![san(&[MX.as_bytes()])];
        change(&mut certificate);
        certificate.sign(key)
    };
    let mut all: Vec<(&'static str, Vec<u8>)> = vec![
        ("an ordinary one", made(&|_| {})),
        ("a damaged signature", {
            let mut der = made(&|_| {});
            *der.last_mut().unwrap() ^= 1;
            der
        }),
        ("signed by another", {
            let mut certificate = Certificate::by_itself(MX, &key.spki);
            certificate.issuer = cn("Another");
            certificate.sign(&Key::p256())
        }),
        (
            "a length longer than DER wants",
            x509::with_long_length(&made(&|_| {})),
        ),
        (
            "60 000 octets",
            made(&|c| {
                c.extensions
                    .push(extension(x509::UNKNOWN, &vec![0; 60_000]));
            }),
        ),
        (
            "a thousand names",
            made(&|c| {
                let names: Vec<&[u8]> = std::iter::repeat_n(&b"a.example"[..], 1001).collect();
                c.extensions = vec![san(&names)];
            }),
        ),
        (
            "another algorithm inside",
            made(&|c| {
                c.inner_algorithm = Some(sequence(&[&oid(&[1, 3, 101, 112])]));
            }),
        ),
        (
            "signed with MD5, as it says",
            made(&|c| {
                let md5 = sequence(&[&oid(&[1, 2, 840, 113_549, 1, 1, 4]), NULL]);
                c.outer_algorithm = Some(md5);
            }),
        ),
        (
            "signed with SHA-1, as it says",
            made(&|c| {
                c.outer_algorithm = Some(sequence(&[&oid(&[1, 2, 840, 10045, 4, 1])]));
            }),
        ),
    ];
    for (sentence, version) in [
        ("version 1 spelled out", x509::version(0)),
        ("version 2", x509::version(1)),
        ("version 4", x509::version(3)),
        ("version 1 with extensions", Vec::new()),
    ] {
        all.push((sentence, made(&|c| c.version.clone_from(&version))));
    }
    all.push((
        "version 1",
        made(&|c| {
            c.version.clear();
            c.extensions.clear();
        }),
    ));
    all.push((
        "version 3 without extensions",
        made(&|c| c.extensions.clear()),
    ));
    all.push((
        "unique identifiers",
        made(&|c| {
            c.unique_ids = [tlv(0x81, &[&[0, 1]]), tlv(0x82, &[&[0, 1]])].concat();
        }),
    ));
    for (sentence, serial) in ODD_SERIALS {
        all.push((sentence, made(&|c| c.serial = serial.to_vec())));
    }
    for (sentence, from, to) in odd_dates() {
        all.push((sentence, made(&|c| c.validity = sequence(&[&from, &to]))));
    }
    for (sentence, subject) in odd_names() {
        all.push((
            sentence,
            made(&|c| {
                c.subject.clone_from(&subject);
                c.issuer.clone_from(&subject);
            }),
        ));
    }
    for (sentence, extensions) in odd_extensions() {
        all.push((sentence, made(&|c| c.extensions.clone_from(&extensions))));
    }
    all
}

const ODD_SERIALS: [(&str, &[u8]); 5] = [
    ("serial number 0", &[0x02, 0x01, 0x00]),
    ("a negative serial number", &[0x02, 0x01, 0x87]),
    ("a padded serial number", &[0x02, 0x03, 0, 0, 7]),
    ("a serial number without octets", &[0x02, 0x00]),
    (
        "a serial number of 32 octets",
        &[
            0x02, 0x20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
            22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32,
        ],
    ),
];

fn odd_dates() -> Vec<(&'static str, Vec<u8>, Vec<u8>)> {
    let from = utc("200101000000Z");
    let to = utc("400101000000Z");
    vec![
        ("expired", utc("000101000000Z"), utc("100101000000Z")),
        ("not yet valid", utc("350101000000Z"), to.clone()),
        ("valid at no time", to.clone(), from.clone()),
        ("no end", from, generalized("99991231235959Z")),
        ("the year 0", generalized("00000101000000Z"), to.clone()),
        (
            "UTCTime without seconds",
            utc("2001010000Z"),
            utc("4001010000Z"),
        ),
        ("UTCTime elsewhere", utc("200101000000+0100"), to.clone()),
        (
            "GeneralizedTime before 2050",
            generalized("20200101000000Z"),
            to.clone(),
        ),
        (
            "a fraction of a second",
            generalized("20200101000000.5Z"),
            to,
        ),
        ("words for dates", utc("yesterday"), utc("tomorrow")),
        ("dates of no kind", NULL.to_vec(), NULL.to_vec()),
    ]
}

fn odd_names() -> Vec<(&'static str, Vec<u8>)> {
    let set = |attributes: &[Vec<u8>]| {
        let attributes: Vec<&[u8]> = attributes.iter().map(Vec::as_slice).collect();
        sequence(&[&tlv(0x31, &attributes)])
    };
    let common_name = x509::attribute(UTF8_STRING, MX.as_bytes());
    vec![
        ("no name", sequence(&[])),
        ("an empty RDN", set(&[])),
        (
            "two attributes in an RDN",
            set(&[common_name.clone(), common_name]),
        ),
        ("T61String", cn_as(0x14, b"mx\xe4.example")),
        ("BMPString", cn_as(0x1e, b"\0m\0x")),
        ("no UTF-8", cn_as(UTF8_STRING, b"\xff\xfe")),
        (
            "no PrintableString",
            cn_as(x509::PRINTABLE_STRING, b"*_@mx"),
        ),
        ("eight bits in IA5String", cn_as(0x16, b"m\xfcx")),
    ]
}

fn odd_extensions() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let own = || san(&[MX.as_bytes()]);
    let usage = |purposes: &[&[u32]]| vec![own(), x509::extended_key_usage(purposes)];
    let any_policy = sequence(&[&sequence(&[&oid(&[2, 5, 29, 32, 0])])]);
    let constraints = |content: &[&[u8]]| critical(BASIC_CONSTRAINTS, &sequence(content));
    vec![
        ("another name", vec![san(&[b"mx.example.org"])]),
        (
            "a CA",
            vec![
                own(),
                x509::ca(None),
                x509::key_usage(x509::SIGNS_CERTIFICATES),
            ],
        ),
        ("no name of its own", vec![san(&[])]),
        (
            "raw UTF-8 for a name",
            vec![san(&["mü.example.com".as_bytes()])],
        ),
        ("NUL in a name", vec![san(&[b"mx.example.com\0.example"])]),
        (
            "a broken subjectAltName",
            vec![extension(SAN, &[0x30, 0x05, 0x82, 0x7f])],
        ),
        ("two subjectAltNames", vec![own(), own()]),
        (
            "critical and unknown",
            vec![own(), critical(x509::UNKNOWN, NULL)],
        ),
        (
            "critical policies",
            vec![own(), critical(x509::POLICIES, &any_policy)],
        ),
        (
            "critical policyConstraints",
            vec![
                own(),
                critical(&[2, 5, 29, 36], &sequence(&[&[0x80, 1, 0]])),
            ],
        ),
        ("TRUE that is 1", vec![own(), constraints(&[&[1, 1, 1]])]),
        ("FALSE spelled out", vec![own(), constraints(&[&[1, 1, 0]])]),
        (
            "no CA, with a path length",
            vec![own(), constraints(&[&[1, 1, 0], &[2, 1, 0]])],
        ),
        ("for clients only", usage(&[x509::CLIENT_AUTH])),
        ("for nothing", usage(&[])),
        (
            "for encipherment only",
            vec![own(), x509::key_usage([5, 0x20])],
        ),
        (
            "a broken keyUsage",
            vec![own(), critical(KEY_USAGE, b"keys")],
        ),
        (
            "not critical, spelled out",
            vec![sequence(&[
                &oid(SAN),
                &[1, 1, 0],
                &tlv(0x04, &[&sequence(&[])]),
            ])],
        ),
    ]
}

fn ec_key(curve: &[u32], point: &[&[u8]]) -> Vec<u8> {
    let kind = sequence(&[&oid(&[1, 2, 840, 10045, 2, 1]), &oid(curve)]);
    sequence(&[&kind, &tlv(0x03, &[&[0], &point.concat()])])
}

/// A handshake with a server that presents `leaf` and signs with `key`.
async fn shake(
    leaf: &[u8],
    key: &Key,
    version: &'static SupportedProtocolVersion,
) -> Result<Handshake, String> {
    let signer = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.pkcs8()));
    let chain = vec![CertificateDer::from(leaf.to_vec())];
    let identity = CertifiedKey::new(chain, any_supported_type(&signer).unwrap());
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(identity)));
    let (near, far) = duplex(1 << 18);
    let mx: DnsName = MX.parse().unwrap();
    let connector = Connector::new().unwrap();
    let server = TlsAcceptor::from(Arc::new(config)).accept(far);
    let (client, _server) = tokio::join!(connector.handshake(near, Some(&mx)), server);
    client.map(|(_, handshake)| handshake)
}

fn judged(handshake: &Handshake, kind: [u8; 3], of: &[u8]) -> Result<usize, String> {
    let presented = Presented {
        chain: handshake.chain(),
        reference_ids: &[],
    };
    dane::verify(&tlsa::usable(&[record(kind, of)]), presented, NOW)
        .map(|found| found.depth)
        .map_err(|mismatch| mismatch.to_string())
}

fn record(kind: [u8; 3], of: &[u8]) -> Vec<u8> {
    let selected = if kind[1] == 0 {
        of
    } else {
        Outline::parse(of).unwrap().spki
    };
    let data = if kind[2] == 0 {
        selected.to_vec()
    } else {
        digest::digest(&digest::SHA256, selected).as_ref().to_vec()
    };
    [&kind[..], &data].concat()
}
