//! A signed list of domains whose policies are fetched before any mail goes there (RFC 8461 §10.2: the first contact is
//! the one that nothing protects). Pure; `files` (IO) reads it.
//!
//! ```text
//! danelaw hints 1
//! serial: 7
//! expires: 2027-01-31T00:00:00Z
//!
//! example.com
//! ```
//!
//! The list says whom to ask and nothing else: what a policy is comes from its own host, as ever. Beside it stands an
//! Ed25519 signature (RFC 8032) over its octets. Nothing of a list is used before all of it has been found in order.

mod files;

use std::collections::BTreeSet;

use ring::signature::{ED25519, UnparsedPublicKey};
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

pub use files::{HintsError, HintsFiles};

use crate::clock::Timestamp;
use crate::name::{DnsName, Domain, InvalidName};

/// A list whose signature holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hints {
    /// Grows from list to list: an older one never replaces a newer.
    pub serial: u64,
    /// When it is to be used no more.
    pub expires: Timestamp,
    /// Each once.
    pub domains: BTreeSet<Domain>,
}

/// Who signs lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HintsKey([u8; 32]);

/// The key is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an Ed25519 public key in PEM, as `openssl pkey -pubout` writes it")]
pub struct InvalidKey;

/// Why a list is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHints {
    /// Not 64 octets.
    #[error(
        "expected a signature of 64 octets, as `openssl pkeyutl -sign -rawin` writes it, seen {0}"
    )]
    NoSignature(usize),
    /// Of another list, or by another key.
    #[error("the signature is not that of the key over this list")]
    Forged,
    /// More than [`MAX_LIST`] octets.
    #[error("the list is longer than {MAX_LIST} octets")]
    TooLong,
    /// A line is not as it should be.
    #[error("line {line}: {fault}")]
    Line {
        /// From 1.
        line: usize,
        /// What.
        fault: LineFault,
    },
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineFault {
    /// The list is not UTF-8.
    #[error("this is not UTF-8")]
    NotUtf8,
    /// The first line.
    #[error("expected `danelaw hints 1`")]
    NoTitle,
    /// The second line.
    #[error("expected `serial: ` and a number")]
    NoSerial,
    /// The third line.
    #[error("expected `expires: ` and a time, as 2027-01-31T00:00:00Z")]
    NoExpiry,
    /// The fourth line.
    #[error("expected an empty line below the head")]
    NoGap,
    /// One of the others.
    #[error("expected a domain, an empty line or a comment: {0}")]
    NoDomain(InvalidName),
    /// More than [`MAX_DOMAINS`].
    #[error("there are more than {MAX_DOMAINS} domains")]
    ManyDomains,
}

/// Domains of a list: as many as are asked within some hours.
pub const MAX_DOMAINS: usize = 200_000;

/// Octets of a list.
pub const MAX_LIST: usize = 8 * 1024 * 1024;

impl HintsKey {
    /// From a PEM file.
    ///
    /// # Errors
    /// When it holds no public key, or one of another kind.
    pub fn from_pem(pem: &[u8]) -> Result<Self, InvalidKey> {
        let spki = SubjectPublicKeyInfoDer::from_pem_slice(pem).map_err(|_| InvalidKey)?;
        let key = spki.strip_prefix(ED25519_SPKI).ok_or(InvalidKey)?;
        Ok(Self(key.try_into().map_err(|_| InvalidKey)?))
    }
}

impl Hints {
    /// Reads a list that `key` has signed.
    ///
    /// # Errors
    /// The first thing that is wrong; the signature comes before all else.
    pub fn verified(list: &[u8], signature: &[u8], key: &HintsKey) -> Result<Self, InvalidHints> {
        if list.len() > MAX_LIST {
            return Err(InvalidHints::TooLong);
        }
        if signature.len() != 64 {
            return Err(InvalidHints::NoSignature(signature.len()));
        }
        UnparsedPublicKey::new(&ED25519, &key.0)
            .verify(list, signature)
            .map_err(|_| InvalidHints::Forged)?;
        Self::parse(list)
    }

    /// Is its time over?
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires <= now
    }

    fn parse(list: &[u8]) -> Result<Self, InvalidHints> {
        let text = str::from_utf8(list).map_err(|error| {
            let before = list[..error.valid_up_to()].iter();
            LineFault::NotUtf8.at(1 + before.filter(|octet| **octet == b'\n').count())
        })?;
        let mut lines = text.lines().map(str::trim_end).zip(1..);
        let mut head = |fault: LineFault| lines.next().ok_or_else(|| fault.at(1));
        let (title, _) = head(LineFault::NoTitle)?;
        if title != "danelaw hints 1" {
            return Err(LineFault::NoTitle.at(1));
        }
        let (serial, line) = head(LineFault::NoSerial)?;
        let serial = number(serial).ok_or_else(|| LineFault::NoSerial.at(line))?;
        let (expires, line) = head(LineFault::NoExpiry)?;
        let expires = time(expires).ok_or_else(|| LineFault::NoExpiry.at(line))?;
        let (gap, line) = head(LineFault::NoGap)?;
        if !gap.is_empty() {
            return Err(LineFault::NoGap.at(line));
        }
        Ok(Self {
            serial,
            expires,
            domains: domains(lines)?,
        })
    }
}

fn number(line: &str) -> Option<u64> {
    let digits = line.strip_prefix("serial: ")?;
    let is_number = digits.bytes().all(|octet| octet.is_ascii_digit());
    is_number.then(|| digits.parse().ok())?
}

fn time(line: &str) -> Option<Timestamp> {
    let time = OffsetDateTime::parse(line.strip_prefix("expires: ")?, &Rfc3339).ok()?;
    let seconds = time.unix_timestamp().try_into().ok()?;
    Some(Timestamp::from_unix(seconds))
}

fn domains<'a>(
    lines: impl Iterator<Item = (&'a str, usize)>,
) -> Result<BTreeSet<Domain>, InvalidHints> {
    let mut domains = BTreeSet::new();
    for (content, line) in lines {
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let name = DnsName::parse(content).map_err(|why| LineFault::NoDomain(why).at(line))?;
        domains.insert(Domain::new(name));
        if domains.len() > MAX_DOMAINS {
            return Err(LineFault::ManyDomains.at(line));
        }
    }
    Ok(domains)
}

impl LineFault {
    const fn at(self, line: usize) -> InvalidHints {
        InvalidHints::Line { line, fault: self }
    }
}

/// What stands in front of the key itself in its SubjectPublicKeyInfo (RFC 8410 §4).
const ED25519_SPKI: &[u8] = &[
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ring::signature::{Ed25519KeyPair, KeyPair};

    use super::*;

    const LIST: &str = "danelaw hints 1\nserial: 7\nexpires: 2027-01-31T00:00:00Z\n\n\
        # the bank\nbank.example\nexample.com\nEXAMPLE.com.\n";

    fn pair(seed: u8) -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
    }

    fn key(pair: &Ed25519KeyPair) -> HintsKey {
        HintsKey(pair.public_key().as_ref().try_into().unwrap())
    }

    /// A list as its own signer reads it.
    fn read(list: &str) -> Result<Hints, InvalidHints> {
        let pair = pair(1);
        let signature = pair.sign(list.as_bytes());
        Hints::verified(list.as_bytes(), signature.as_ref(), &key(&pair))
    }

    #[test]
    fn a_list_is_read_whole() {
        let hints = read(LIST).unwrap();
        let names: Vec<&str> = hints.domains.iter().map(Domain::as_str).collect();
        assert_eq!(names, ["bank.example", "example.com"]);
        assert_eq!((hints.serial, hints.expires.unix()), (7, 1_801_353_600));
        assert!(!hints.is_expired(Timestamp::from_unix(1_801_353_599)));
        assert!(hints.is_expired(Timestamp::from_unix(1_801_353_600)));
        assert_eq!(read(&LIST.replace('\n', "\r\n")), Ok(hints));
    }

    #[test]
    fn only_the_octets_that_the_key_has_signed_are_read() {
        let (ours, other) = (pair(1), pair(2));
        let list = LIST.as_bytes();
        let (good, foreign) = (ours.sign(list), other.sign(list));
        let key = key(&ours);
        let (good, foreign) = (good.as_ref(), foreign.as_ref());
        assert!(Hints::verified(list, good, &key).is_ok());
        let longer = [list, b"evil.example\n"].concat();
        for (case, list, signature, expected) in [
            ("another key", list, foreign, InvalidHints::Forged),
            ("another list", &longer, good, InvalidHints::Forged),
            ("no list", b"", good, InvalidHints::Forged),
            ("no signature", list, b"", InvalidHints::NoSignature(0)),
            (
                "a cut signature",
                list,
                &good[..63],
                InvalidHints::NoSignature(63),
            ),
        ] {
            assert_eq!(
                Hints::verified(list, signature, &key),
                Err(expected),
                "{case}"
            );
        }
        let long = vec![b'#'; MAX_LIST + 1];
        assert_eq!(
            Hints::verified(&long, good, &key),
            Err(InvalidHints::TooLong)
        );
    }

    #[test]
    fn each_fault_is_told_with_its_line() {
        let many: String = (0..=MAX_DOMAINS)
            .map(|n| format!("d{n}.example\n"))
            .collect();
        for (case, list, expected) in [
            (
                "nothing",
                String::new(),
                "line 1: expected `danelaw hints 1`",
            ),
            (
                "another version",
                LIST.replace("hints 1", "hints 2"),
                "line 1: expected `danelaw hints 1`",
            ),
            (
                "no serial",
                LIST.replace("serial", "number"),
                "line 2: expected `serial: ` and a number",
            ),
            (
                "a signed serial",
                LIST.replace("7", "+7"),
                "line 2: expected `serial: ` and a number",
            ),
            (
                "no time",
                LIST.replace("T00", " 25"),
                "line 3: expected `expires: ` and a time, as 2027-01-31T00:00:00Z",
            ),
            (
                "no gap",
                LIST.replace("\n\n", "\n"),
                "line 4: expected an empty line below the head",
            ),
            (
                "a bad name",
                LIST.replace("bank.", "bank,"),
                "line 6: expected a domain, an empty line or a comment: it has a character that no host name may have",
            ),
            (
                "an address",
                LIST.replace("bank.example", "192.0.2.1"),
                "line 6: expected a domain, an empty line or a comment: it is an address, not a name",
            ),
            (
                "too many",
                format!("{LIST}{many}"),
                "line 200007: there are more than 200000 domains",
            ),
        ] {
            let error = read(&list).unwrap_err();
            assert_eq!(error.to_string(), expected, "{case}");
        }
        let pair = pair(1);
        let list = b"danelaw hints 1\n\xff";
        let read = Hints::verified(list, pair.sign(list).as_ref(), &key(&pair));
        assert_eq!(read.unwrap_err().to_string(), "line 2: this is not UTF-8");
    }

    #[test]
    fn a_key_is_an_ed25519_key_in_pem() {
        let pem = b"-----BEGIN PUBLIC KEY-----\n\
            MCowBQYDK2VwAyEAiojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=\n\
            -----END PUBLIC KEY-----\n";
        assert_eq!(HintsKey::from_pem(pem), Ok(key(&pair(1))));
        let certificate = include_bytes!("../../../testdata/config/ca.pem");
        for bad in [&b""[..], b"MCowBQYDK2VwAyEA", certificate] {
            assert_eq!(HintsKey::from_pem(bad), Err(InvalidKey));
        }
    }

    proptest! {
        #[test]
        fn whatever_the_list_nothing_panics(list: Vec<u8>, signature: Vec<u8>) {
            let key = key(&pair(1));
            prop_assert!(Hints::verified(&list, &signature, &key).is_err());
            let _ = Hints::parse(&list);
        }
    }
}
