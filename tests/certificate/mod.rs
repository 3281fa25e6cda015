//! Certificates made element by element, so that any part of one can be wrong while the rest, and the signature, holds.
//!
//! A [`Certificate`] is what goes between the brackets of X.509; [`Certificate::sign`] adds the signature. Nothing is
//! checked: a date may be a poem. [`Key`] holds the kinds that *ring* can sign with.

#![allow(
    dead_code,
    reason = "each test crate that includes this makes certificates of its own kind"
)]

use rcgen::{KeyPair, PublicKeyData as _, SigningKey as _};
use rustls_pki_types::PrivatePkcs8KeyDer;

/// A key that signs certificates, and its certificate's half.
pub(crate) struct Key {
    pair: KeyPair,
    /// SubjectPublicKeyInfo.
    pub(crate) spki: Vec<u8>,
    /// The AlgorithmIdentifier of its signatures.
    pub(crate) algorithm: Vec<u8>,
}

impl Key {
    /// A new key of one of *ring*'s elliptic curves.
    pub(crate) fn generate(kind: &'static rcgen::SignatureAlgorithm) -> Self {
        Self::of(KeyPair::generate_for(kind).expect("a key can be made"))
    }

    pub(crate) fn p256() -> Self {
        Self::generate(&rcgen::PKCS_ECDSA_P256_SHA256)
    }

    /// A key in PKCS #8, which may be RSA's.
    pub(crate) fn from_pkcs8(der: &[u8]) -> Self {
        Self::of(KeyPair::try_from(&PrivatePkcs8KeyDer::from(der)).expect("a readable key"))
    }

    fn of(pair: KeyPair) -> Self {
        let kind = pair.algorithm();
        let algorithm = if *kind == rcgen::PKCS_ECDSA_P256_SHA256 {
            sequence(&[&oid(&[1, 2, 840, 10045, 4, 3, 2])])
        } else if *kind == rcgen::PKCS_ECDSA_P384_SHA384 {
            sequence(&[&oid(&[1, 2, 840, 10045, 4, 3, 3])])
        } else if *kind == rcgen::PKCS_ED25519 {
            sequence(&[&oid(&[1, 3, 101, 112])])
        } else {
            sequence(&[&oid(&[1, 2, 840, 113_549, 1, 1, 11]), NULL])
        };
        Self {
            spki: pair.subject_public_key_info(),
            algorithm,
            pair,
        }
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).expect("a key signs")
    }

    /// The private key in PKCS #8.
    pub(crate) fn pkcs8(&self) -> Vec<u8> {
        self.pair.serialized_der().to_vec()
    }
}

/// The parts of a TBSCertificate (RFC 5280 §4.1), each with its header, all as they will be signed.
#[derive(Clone)]
pub(crate) struct Certificate {
    /// What stands in front of the serial number; empty for version 1.
    pub(crate) version: Vec<u8>,
    pub(crate) serial: Vec<u8>,
    pub(crate) issuer: Vec<u8>,
    pub(crate) validity: Vec<u8>,
    pub(crate) subject: Vec<u8>,
    pub(crate) spki: Vec<u8>,
    /// The unique identifiers, where there are any.
    pub(crate) unique_ids: Vec<u8>,
    /// Each an Extension; where there are none the field is left out.
    pub(crate) extensions: Vec<Vec<u8>>,
    /// The AlgorithmIdentifier inside, where it is not that of the signature.
    pub(crate) inner_algorithm: Option<Vec<u8>>,
    /// The AlgorithmIdentifier of the signature, where it is not that of the key.
    pub(crate) outer_algorithm: Option<Vec<u8>>,
}

impl Certificate {
    /// Of version 3, valid from 2020 to 2040, without extensions.
    pub(crate) fn new(issuer: Vec<u8>, subject: Vec<u8>, spki: &[u8]) -> Self {
        Self {
            version: version(2),
            serial: vec![0x02, 0x01, 0x07],
            issuer,
            validity: sequence(&[&utc("200101000000Z"), &utc("400101000000Z")]),
            subject,
            spki: spki.to_vec(),
            unique_ids: Vec::new(),
            extensions: Vec::new(),
            inner_algorithm: None,
            outer_algorithm: None,
        }
    }

    /// Self-issued by the name `CN=`.
    pub(crate) fn by_itself(common_name: &str, spki: &[u8]) -> Self {
        Self::new(cn(common_name), cn(common_name), spki)
    }

    pub(crate) fn sign(&self, by: &Key) -> Vec<u8> {
        let outer = self.outer_algorithm.as_ref().unwrap_or(&by.algorithm);
        let inner = self.inner_algorithm.as_ref().unwrap_or(outer);
        let extensions: Vec<&[u8]> = self.extensions.iter().map(Vec::as_slice).collect();
        let extensions = if extensions.is_empty() {
            Vec::new()
        } else {
            tlv(0xa3, &[&sequence(&extensions)])
        };
        let tbs = sequence(&[
            &self.version,
            &self.serial,
            inner,
            &self.issuer,
            &self.validity,
            &self.subject,
            &self.spki,
            &self.unique_ids,
            &extensions,
        ]);
        let signature = tlv(0x03, &[&[0], &by.sign(&tbs)]);
        sequence(&[&tbs, outer, &signature])
    }
}

/// One DER element.
pub(crate) fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut element = vec![tag];
    match content.len() {
        short @ 0..0x80 => element.push(u8::try_from(short).expect("below 128")),
        long => {
            let octets: Vec<u8> = long
                .to_be_bytes()
                .into_iter()
                .skip_while(|octet| *octet == 0)
                .collect();
            element.push(0x80 | u8::try_from(octets.len()).expect("below 9"));
            element.extend(octets);
        }
    }
    element.extend(content);
    element
}

/// An element of 128 octets or more, its length written with an octet more than it needs.
pub(crate) fn with_long_length(element: &[u8]) -> Vec<u8> {
    let octets = usize::from(element[1] & 0x7f);
    assert!(element[1] > 0x80, "a length of more than one octet");
    let (header, content) = element.split_at(2 + octets);
    [&[header[0], header[1] + 1, 0], &header[2..], content].concat()
}

pub(crate) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tlv(0x30, parts)
}

pub(crate) fn oid(arcs: &[u32]) -> Vec<u8> {
    let [first, second, rest @ ..] = arcs else {
        panic!("an OID has two arcs or more");
    };
    let mut content = vec![u8::try_from(first * 40 + second).expect("a small OID")];
    for arc in rest {
        let mut groups = vec![u8::try_from(arc & 0x7f).expect("7 bits")];
        let mut above = arc >> 7;
        while above > 0 {
            groups.push(0x80 | u8::try_from(above & 0x7f).expect("7 bits"));
            above >>= 7;
        }
        groups.reverse();
        content.extend(groups);
    }
    tlv(0x06, &[&content])
}

/// `[0] EXPLICIT`, the version's number less one.
pub(crate) fn version(number: u8) -> Vec<u8> {
    tlv(0xa0, &[&[0x02, 0x01, number]])
}

pub(crate) fn utc(text: &str) -> Vec<u8> {
    tlv(0x17, &[text.as_bytes()])
}

pub(crate) fn generalized(text: &str) -> Vec<u8> {
    tlv(0x18, &[text.as_bytes()])
}

/// A Name of one common name in UTF-8.
pub(crate) fn cn(text: &str) -> Vec<u8> {
    cn_as(UTF8_STRING, text.as_bytes())
}

/// A Name of one common name in any string type.
pub(crate) fn cn_as(tag: u8, text: &[u8]) -> Vec<u8> {
    sequence(&[&tlv(0x31, &[&attribute(tag, text)])])
}

/// A common name as AttributeTypeAndValue.
pub(crate) fn attribute(tag: u8, text: &[u8]) -> Vec<u8> {
    sequence(&[&oid(&[2, 5, 4, 3]), &tlv(tag, &[text])])
}

/// An Extension that is not critical.
pub(crate) fn extension(arcs: &[u32], content: &[u8]) -> Vec<u8> {
    sequence(&[&oid(arcs), &tlv(0x04, &[content])])
}

/// An Extension that is critical.
pub(crate) fn critical(arcs: &[u32], content: &[u8]) -> Vec<u8> {
    sequence(&[&oid(arcs), TRUE, &tlv(0x04, &[content])])
}

/// subjectAltName of these DNS-IDs.
pub(crate) fn san(names: &[&[u8]]) -> Vec<u8> {
    let names: Vec<Vec<u8>> = names.iter().map(|name| tlv(0x82, &[name])).collect();
    let names: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
    extension(SAN, &sequence(&names))
}

/// basicConstraints of a CA, with its pathLenConstraint.
pub(crate) fn ca(path_length: Option<u8>) -> Vec<u8> {
    let length = path_length.map_or_else(Vec::new, |length| vec![0x02, 0x01, length]);
    critical(BASIC_CONSTRAINTS, &sequence(&[TRUE, &length]))
}

/// keyUsage: the number of unused bits and the bits.
pub(crate) fn key_usage(bits: [u8; 2]) -> Vec<u8> {
    critical(KEY_USAGE, &tlv(0x03, &[&bits]))
}

/// extKeyUsage.
pub(crate) fn extended_key_usage(purposes: &[&[u32]]) -> Vec<u8> {
    let purposes: Vec<Vec<u8>> = purposes.iter().map(|arcs| oid(arcs)).collect();
    let purposes: Vec<&[u8]> = purposes.iter().map(Vec::as_slice).collect();
    extension(EXTENDED_KEY_USAGE, &sequence(&purposes))
}

pub(crate) const NULL: &[u8] = &[0x05, 0x00];
pub(crate) const TRUE: &[u8] = &[0x01, 0x01, 0xff];
pub(crate) const UTF8_STRING: u8 = 0x0c;
pub(crate) const PRINTABLE_STRING: u8 = 0x13;

pub(crate) const SUBJECT_KEY_ID: &[u32] = &[2, 5, 29, 14];
pub(crate) const KEY_USAGE: &[u32] = &[2, 5, 29, 15];
pub(crate) const SAN: &[u32] = &[2, 5, 29, 17];
pub(crate) const BASIC_CONSTRAINTS: &[u32] = &[2, 5, 29, 19];
pub(crate) const NAME_CONSTRAINTS: &[u32] = &[2, 5, 29, 30];
pub(crate) const POLICIES: &[u32] = &[2, 5, 29, 32];
pub(crate) const AUTHORITY_KEY_ID: &[u32] = &[2, 5, 29, 35];
pub(crate) const EXTENDED_KEY_USAGE: &[u32] = &[2, 5, 29, 37];
/// Nobody's.
pub(crate) const UNKNOWN: &[u32] = &[1, 3, 6, 1, 4, 1, 55_555, 1];

pub(crate) const SERVER_AUTH: &[u32] = &[1, 3, 6, 1, 5, 5, 7, 3, 1];
pub(crate) const CLIENT_AUTH: &[u32] = &[1, 3, 6, 1, 5, 5, 7, 3, 2];
pub(crate) const ANY_PURPOSE: &[u32] = &[2, 5, 29, 37, 0];

/// keyCertSign and cRLSign.
pub(crate) const SIGNS_CERTIFICATES: [u8; 2] = [1, 0x06];
/// digitalSignature.
pub(crate) const SIGNS: [u8; 2] = [7, 0x80];
/// cRLSign alone.
pub(crate) const SIGNS_LISTS: [u8; 2] = [1, 0x02];
