//! A CA made, loaded and put to work; and all the ways in which one is none.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use rcgen::KeyPair;
use rustls_pki_types::{ServerName, TrustAnchor, UnixTime};
use tempfile::TempDir;

use super::found::{CaName, Charter, Existing, FoundError, found};
use super::{Authority, AuthorityError, Certificate, Files, LEAF_LIFETIME, LeafName};
use crate::clock::Timestamp;
use crate::x509::sample::{Sample, T0, ca, server};

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

fn charter() -> Charter {
    Charter {
        name: "A CA for tests".parse().unwrap(),
        lifetime: YEAR,
        existing: Existing::Keep,
    }
}

fn files(directory: &Path) -> Files {
    Files {
        certificate: directory.join("ca.pem"),
        key: directory.join("ca-key.pem"),
    }
}

fn made() -> (TempDir, Files) {
    let directory = TempDir::new().unwrap();
    let files = files(directory.path());
    found(&files, &charter(), T0).unwrap();
    (directory, files)
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

/// Would a mail server that trusts the CA take this leaf for that host?
fn is_trusted(
    authority: &Authority,
    leaf: &rustls_pki_types::CertificateDer<'_>,
    name: &str,
    at: Timestamp,
) -> bool {
    let anchors: [TrustAnchor<'_>; 1] =
        [webpki::anchor_from_trusted_cert(&authority.chain()[0]).unwrap()];
    let leaf = webpki::EndEntityCert::try_from(leaf).unwrap();
    let chain = leaf.verify_for_usage(
        webpki::ALL_VERIFICATION_ALGS,
        &anchors,
        &[],
        UnixTime::since_unix_epoch(Duration::from_secs(at.unix())),
        webpki::KeyUsage::server_auth(),
        None,
        None,
    );
    let name = ServerName::try_from(name).unwrap();
    chain.is_ok() && leaf.verify_is_valid_for_subject_name(&name).is_ok()
}

#[test]
fn a_ca_is_made_once_and_its_key_is_its_owners_alone() {
    let (_directory, files) = made();
    assert_eq!(mode(&files.key), 0o600);
    assert_eq!(mode(&files.certificate), 0o644);
    let certificate = Certificate::read(&files.certificate).unwrap();
    assert_eq!(certificate.subject, "CN=A CA for tests");
    let hour = Duration::from_secs(3600);
    assert_eq!(certificate.not_before.plus(hour), T0);
    assert_eq!(certificate.not_after, T0.plus(YEAR));
    assert_eq!(certificate.fingerprint().len(), 32 * 3 - 1);

    let again = found(&files, &charter(), T0);
    assert!(matches!(again, Err(FoundError::Exists { .. })));
    let replaced = Charter {
        existing: Existing::Replace,
        ..charter()
    };
    let new = found(&files, &replaced, T0).unwrap();
    assert_ne!(new.sha256, certificate.sha256);
    assert_eq!(mode(&files.key), 0o600);
    assert!(Authority::load(&files, T0).is_ok());
}

#[test]
fn a_ca_that_cannot_be_written_leaves_nothing_behind() {
    let directory = TempDir::new().unwrap();
    let mut files = files(directory.path());
    files.certificate = directory.path().join("missing/ca.pem");
    let made = found(&files, &charter(), T0);
    assert!(matches!(made, Err(FoundError::Unwritable { .. })));
    assert_eq!(directory.path().read_dir().unwrap().count(), 0);
}

#[test]
fn names_of_cas_are_short_and_printable() {
    for (text, is_name) in [
        ("danelaw CA of mail", true),
        ("", false),
        ("  ", false),
        ("a\nb", false),
        (&"x".repeat(64)[..], true),
        (&"x".repeat(65)[..], false),
    ] {
        assert_eq!(text.parse::<CaName>().is_ok(), is_name, "{text:?}");
    }
}

#[test]
fn a_leaf_is_good_for_its_name_and_a_week_and_nothing_else() {
    let (_directory, files) = made();
    let authority = Authority::load(&files, T0).unwrap();
    let key = KeyPair::generate().unwrap();
    let host = |name: &str| LeafName::Host(name.parse().unwrap());
    let long = format!("{0}.{0}.{0}.example", "x".repeat(60));
    for (name, asked, after, trusted) in [
        (host("mx.example"), "mx.example", Duration::ZERO, true),
        (host("mx.example"), "mx.example", LEAF_LIFETIME, true),
        (host("mx.example"), "mx.example", LEAF_LIFETIME * 2, false),
        (host("mx.example"), "other.example", Duration::ZERO, false),
        (host(&long), long.as_str(), Duration::ZERO, true),
        (
            LeafName::Address("192.0.2.1".parse().unwrap()),
            "192.0.2.1",
            Duration::ZERO,
            true,
        ),
        (
            LeafName::Address("2001:db8::1".parse().unwrap()),
            "2001:db8::1",
            Duration::ZERO,
            true,
        ),
        (
            LeafName::Address("192.0.2.1".parse().unwrap()),
            "192.0.2.2",
            Duration::ZERO,
            false,
        ),
    ] {
        let leaf = authority.mint(&name, &key, T0).unwrap();
        let seen = is_trusted(&authority, &leaf, asked, T0.plus(after));
        assert_eq!(seen, trusted, "{name:?} as {asked} after {after:?}");
    }
}

#[test]
fn two_leaves_of_one_key_have_different_serial_numbers() {
    let (_directory, files) = made();
    let authority = Authority::load(&files, T0).unwrap();
    let key = KeyPair::generate().unwrap();
    let name = LeafName::Host("mx.example".parse().unwrap());
    let serials = [(); 2].map(|()| {
        let leaf = authority.mint(&name, &key, T0).unwrap();
        let (_, parsed) = x509_parser::parse_x509_certificate(&leaf).unwrap();
        parsed.raw_serial().to_vec()
    });
    assert_ne!(serials[0], serials[1]);
}

#[test]
fn a_leaf_does_not_outlive_its_ca() {
    let (_directory, files) = made();
    let authority = Authority::load(&files, T0).unwrap();
    let key = KeyPair::generate().unwrap();
    let name = LeafName::Host("mx.example".parse().unwrap());
    let leaf = authority.mint(&name, &key, T0.plus(YEAR)).unwrap();
    let (_, parsed) = x509_parser::parse_x509_certificate(&leaf).unwrap();
    let end = u64::try_from(parsed.validity().not_after.timestamp()).unwrap();
    assert_eq!(Timestamp::from_unix(end), T0.plus(YEAR));
}

/// What is done to a sound pair of files.
type Spoil<'a> = &'a dyn Fn(&Files);

fn assert_refused(what: &str, spoil: Spoil<'_>, now: Timestamp, told: &str) {
    let (_directory, files) = made();
    spoil(&files);
    let error = Authority::load(&files, now).err().unwrap();
    assert!(error.to_string().contains(told), "{what}: {error}");
    let is_missing = matches!(error, AuthorityError::Unreadable { .. });
    assert_ne!(error.path().exists(), is_missing, "{what}: {error}");
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

#[test]
fn a_certificate_that_is_no_cas_is_not_taken_into_service() {
    let other = Sample::self_signed(ca("Another"));
    let leaf = Sample::self_signed(server(&["mx.example"]));
    let damaged = "-----BEGIN CERTIFICATE-----\nxx";
    let remove = |files: &Files| std::fs::remove_file(&files.certificate).unwrap();
    let rows: [(&str, Spoil<'_>, &str); 5] = [
        ("none", &remove, "cannot read"),
        (
            "empty",
            &|f| write(&f.certificate, ""),
            "holds no certificate",
        ),
        (
            "damaged",
            &|f| write(&f.certificate, damaged),
            "not usable as a CA certificate",
        ),
        (
            "a leaf",
            &|f| write(&f.certificate, &leaf.pem),
            "no CA (basicConstraints)",
        ),
        (
            "another CA",
            &|f| write(&f.certificate, &other.pem),
            "is not the one of",
        ),
    ];
    for (what, spoil, told) in rows {
        assert_refused(what, spoil, T0, told);
    }
}

#[test]
fn a_key_that_is_none_or_everybodys_is_not_taken_into_service() {
    let remove = |files: &Files| std::fs::remove_file(&files.key).unwrap();
    let open = |files: &Files| set_permissions(&files.key, Permissions::from_mode(0o644)).unwrap();
    let rows: [(&str, Spoil<'_>, &str); 4] = [
        ("none", &remove, "cannot read"),
        ("no PEM", &|f| write(&f.key, "secret"), "PKCS #8"),
        (
            "no text",
            &|f| std::fs::write(&f.key, b"\xff").unwrap(),
            "PKCS #8",
        ),
        ("open to everybody", &open, "mode 644"),
    ];
    for (what, spoil, told) in rows {
        assert_refused(what, spoil, T0, told);
    }
}

#[test]
fn a_ca_out_of_date_is_not_taken_into_service() {
    assert_refused("ended", &|_| {}, T0.plus(YEAR * 2), "not valid today");
    assert_refused(
        "not begun",
        &|_| {},
        Timestamp::from_unix(0),
        "not valid today",
    );
}

#[test]
fn a_ca_of_the_operators_own_serves_as_well() {
    let sample = Sample::self_signed(ca("Our own"));
    let directory = TempDir::new().unwrap();
    let files = files(directory.path());
    std::fs::write(&files.certificate, &sample.pem).unwrap();
    std::fs::write(&files.key, sample.key.serialize_pem()).unwrap();
    set_permissions(&files.key, Permissions::from_mode(0o640)).unwrap();
    let authority = Authority::load(&files, T0).unwrap();
    let name = LeafName::Host("mx.example".parse().unwrap());
    let leaf = authority
        .mint(&name, &KeyPair::generate().unwrap(), T0)
        .unwrap();
    assert!(is_trusted(&authority, &leaf, "mx.example", T0));
}
