//! The outline of a certificate: where its parts lie, nothing parsed that is not needed.
//!
//! [`Outline::parse`] walks `Certificate` and `TBSCertificate` (RFC 5280 §4.1) from one element to the next and stops
//! at the public key. It reads no version, date, extension or algorithm, so that a certificate which only carries a
//! key (RFC 7672 §3.1.1) is taken as it comes: version 1 or 4, dates that are none, lengths longer than DER wants.
//! Indefinite lengths and bytes after the certificate are [`Malformed`]. [`split_spki`] opens the key itself.

/// Borrowed parts of one DER certificate, each with its header.
#[derive(Clone, Copy, Debug)]
pub struct Outline<'a> {
    /// What the issuer has signed.
    pub tbs: &'a [u8],
    /// The issuer's Name.
    pub issuer: &'a [u8],
    /// From when to when, unread.
    pub validity: &'a [u8],
    /// The subject's Name.
    pub subject: &'a [u8],
    /// The whole SubjectPublicKeyInfo, header included: what selector 1 and pins are about.
    pub spki: &'a [u8],
}

/// The parts of a SubjectPublicKeyInfo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyParts<'a> {
    /// The contents of the AlgorithmIdentifier: OID and parameters.
    pub algorithm: &'a [u8],
    /// The public key's octets.
    pub key: &'a [u8],
}

/// The bytes are no certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the certificate is not readable: {0}")]
pub struct Malformed(pub &'static str);

impl<'a> Outline<'a> {
    /// Finds the parts.
    ///
    /// # Errors
    /// [`Malformed`] when the bytes are not one certificate and nothing else.
    pub fn parse(der: &'a [u8]) -> Result<Self, Malformed> {
        let mut certificate = Reader(only(der, SEQUENCE)?);
        let tbs = certificate.expect(SEQUENCE)?;
        certificate.expect(SEQUENCE)?; // signatureAlgorithm
        certificate.expect(BIT_STRING)?; // signatureValue
        certificate.end()?;

        let mut fields = Reader(tbs.content);
        let first = fields.next()?;
        let serial = if first.tag == VERSION {
            fields.next()?
        } else {
            first
        };
        if serial.tag != INTEGER {
            return Err(Malformed("it has no serial number"));
        }
        fields.expect(SEQUENCE)?; // signature
        let issuer = fields.expect(SEQUENCE)?;
        let validity = fields.expect(SEQUENCE)?;
        let subject = fields.expect(SEQUENCE)?;
        let spki = fields.expect(SEQUENCE)?;
        Ok(Self {
            tbs: tbs.whole,
            issuer: issuer.whole,
            validity: validity.whole,
            subject: subject.whole,
            spki: spki.whole,
        })
    }
}

/// Opens a SubjectPublicKeyInfo (RFC 5280 §4.1.2.7).
///
/// # Errors
/// [`Malformed`] when the bytes are not one key and nothing else.
pub fn split_spki(spki: &[u8]) -> Result<KeyParts<'_>, Malformed> {
    let mut fields = Reader(only(spki, SEQUENCE)?);
    let algorithm = fields.expect(SEQUENCE)?.content;
    let bits = fields.expect(BIT_STRING)?.content;
    fields.end()?;
    match bits.split_first() {
        Some((0, key)) => Ok(KeyParts { algorithm, key }),
        Some(_) | None => Err(Malformed("its public key is not made of octets")),
    }
}

/// The contents of one element, its header taken off: the form in which a trust anchor wants its parts.
///
/// # Errors
/// [`Malformed`] when the bytes are not one SEQUENCE and nothing else.
pub fn contents(sequence: &[u8]) -> Result<&[u8], Malformed> {
    only(sequence, SEQUENCE)
}

fn only(der: &[u8], tag: u8) -> Result<&[u8], Malformed> {
    let mut reader = Reader(der);
    let element = reader.expect(tag)?;
    reader.end()?;
    Ok(element.content)
}

/// Elements one after the other.
struct Reader<'a>(&'a [u8]);

struct Element<'a> {
    tag: u8,
    whole: &'a [u8],
    content: &'a [u8],
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<Element<'a>, Malformed> {
        let header = Header::of(self.0)?;
        let end = header
            .length
            .checked_add(header.content)
            .ok_or(Malformed("an element is too long"))?;
        let (whole, rest) = self
            .0
            .split_at_checked(end)
            .ok_or(Malformed("an element is cut off"))?;
        self.0 = rest;
        Ok(Element {
            tag: header.tag,
            whole,
            content: whole.get(header.length..).unwrap_or_default(),
        })
    }

    fn expect(&mut self, tag: u8) -> Result<Element<'a>, Malformed> {
        let element = self.next()?;
        if element.tag == tag {
            Ok(element)
        } else {
            Err(Malformed("an element is of another kind than X.509 has it"))
        }
    }

    const fn end(&self) -> Result<(), Malformed> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Malformed("bytes follow its end"))
        }
    }
}

/// Tag and length of an element.
struct Header {
    tag: u8,
    length: usize,
    content: usize,
}

impl Header {
    fn of(input: &[u8]) -> Result<Self, Malformed> {
        let [tag, first, rest @ ..] = input else {
            return Err(Malformed("an element is cut off"));
        };
        if tag & HIGH_TAG == HIGH_TAG {
            return Err(Malformed("a tag is longer than an octet"));
        }
        if *first < LONG_FORM {
            return Ok(Self {
                tag: *tag,
                length: 2,
                content: usize::from(*first),
            });
        }
        let octets = usize::from(first & !LONG_FORM);
        if octets == 0 {
            return Err(Malformed("a length is indefinite"));
        }
        if octets > 4 {
            return Err(Malformed("an element is too long"));
        }
        let octets = rest
            .get(..octets)
            .ok_or(Malformed("an element is cut off"))?;
        Ok(Self {
            tag: *tag,
            length: 2 + octets.len(),
            content: octets
                .iter()
                .fold(0, |length, octet| (length << 8) | usize::from(*octet)),
        })
    }
}

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;
/// `[0]`, explicit: absent in version 1.
const VERSION: u8 = 0xa0;
const HIGH_TAG: u8 = 0x1f;
const LONG_FORM: u8 = 0x80;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::x509::sample::{Sample, bare, ca, element, server};

    const SERIAL: &[u8] = &[0x02, 0x01, 0x07];

    fn key() -> Vec<u8> {
        element(
            0x30,
            &[
                &element(0x30, &[&[0x06, 0x01, 0x2a]]),
                &element(0x03, &[&[0, 1, 2, 3]]),
            ],
        )
    }

    #[test]
    fn the_parts_are_those_that_a_full_parser_finds() {
        use x509_parser::prelude::{FromDer, X509Certificate};

        let root = Sample::self_signed(ca("Root"));
        let leaf = root.issue(server(&["mx.example.com"]));
        for der in [&root.der, &leaf.der] {
            let outline = Outline::parse(der).unwrap();
            let (_, full) = X509Certificate::from_der(der).unwrap();
            assert_eq!(outline.tbs, full.tbs_certificate.as_ref());
            assert_eq!(outline.issuer, full.issuer().as_raw());
            assert_eq!(outline.subject, full.subject().as_raw());
            assert_eq!(outline.spki, full.public_key().raw);
            let parts = split_spki(outline.spki).unwrap();
            assert_eq!(
                parts.key,
                full.public_key().subject_public_key.data.as_ref()
            );
        }
    }

    #[test]
    fn dane_01_certificates_that_only_carry_a_key_are_read() {
        let key = key();
        let version = |number| element(0xa0, &[&[0x02, 0x01, number]]);
        let long_outer = {
            let plain = bare(&[], SERIAL, &key);
            [&[0x30, 0x84, 0, 0, 0, plain[1]], &plain[2..]].concat()
        };
        for (sentence, der) in [
            ("version 1 has no version field", bare(&[], SERIAL, &key)),
            ("version 1 spelled out", bare(&version(0), SERIAL, &key)),
            ("version 3", bare(&version(2), SERIAL, &key)),
            ("version 4", bare(&version(3), SERIAL, &key)),
            (
                "a serial number without octets",
                bare(&[], &[0x02, 0x00], &key),
            ),
            (
                "a padded serial number",
                bare(&[], &[0x02, 0x03, 0, 0, 7], &key),
            ),
            ("a length longer than DER wants", long_outer),
        ] {
            assert_eq!(
                Outline::parse(&der).map(|o| o.spki),
                Ok(&key[..]),
                "{sentence}"
            );
        }
    }

    #[test]
    fn tlsa_7_what_is_not_one_certificate_is_malformed() {
        let key = key();
        let good = bare(&[], SERIAL, &key);
        let mut trailing = good.clone();
        trailing.push(0);
        let indefinite = [&[0x30, 0x80], &good[2..], &[0, 0]].concat();
        for (sentence, der) in [
            ("nothing", Vec::new()),
            ("a byte", vec![0x30]),
            ("a key", key.clone()),
            ("bytes after the end", trailing),
            ("an indefinite length", indefinite),
            ("no serial number", bare(&[], &[], &key)),
            ("no key", bare(&[], SERIAL, &[])),
            (
                "a length beyond all bounds",
                vec![0x30, 0x88, 1, 1, 1, 1, 1, 1, 1, 1],
            ),
            (
                "a length beyond the end",
                vec![0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0],
            ),
            ("a tag of two octets", vec![0x3f, 0x81, 0x01, 0x00]),
        ] {
            assert!(Outline::parse(&der).is_err(), "{sentence}");
        }
        for end in 0..good.len() {
            assert!(Outline::parse(&good[..end]).is_err(), "cut off after {end}");
        }
    }

    #[test]
    fn tlsa_7_what_is_not_one_key_is_malformed() {
        let good = key();
        assert_eq!(split_spki(&good).unwrap().key, [1, 2, 3]);
        let algorithm = element(0x30, &[]);
        for (sentence, spki) in [
            ("nothing", Vec::new()),
            ("bytes after the end", [&good[..], &[0]].concat()),
            ("no bits", element(0x30, &[&algorithm, &element(0x03, &[])])),
            (
                "odd bits",
                element(0x30, &[&algorithm, &element(0x03, &[&[1, 2]])]),
            ),
            (
                "a third field",
                element(0x30, &[&algorithm, &element(0x03, &[&[0]]), &[5, 0]]),
            ),
        ] {
            assert!(split_spki(&spki).is_err(), "{sentence}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Outline::parse(&bytes);
            let _ = split_spki(&bytes);
        }

        /// Whatever the parts are, they lie inside the input.
        #[test]
        fn no_damage_makes_it_panic(at in 0_usize..300, octet in any::<u8>(), cut in 0_usize..300) {
            let mut der = Sample::self_signed(ca("Root")).der.to_vec();
            let length = der.len();
            der[at % length] = octet;
            der.truncate(length - cut % length);
            if let Ok(outline) = Outline::parse(&der) {
                prop_assert!(outline.tbs.len() < der.len());
                prop_assert!(outline.spki.len() < outline.tbs.len());
            }
        }
    }
}
