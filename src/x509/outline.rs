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
        fields.expect(SEQUENCE)?; // validity
        let subject = fields.expect(SEQUENCE)?;
        let spki = fields.expect(SEQUENCE)?;
        Ok(Self {
            tbs: tbs.whole,
            issuer: issuer.whole,
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
