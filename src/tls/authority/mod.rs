//! The local CA: what vouches for this proxy towards mail servers that ask it for TLS.
//!
//! [`found`] makes one, [`Certificate::read`] looks at its certificate, [`Authority::load`] takes it into service, and
//! [`Authority::mint`] makes leaves. A CA that is not there, is none, has ended, or whose key is another's or open to
//! everybody is an [`AuthorityError`] that says what to do; there is no half a CA. Key files pass through memory that is
//! wiped.
#![expect(
    clippy::disallowed_methods,
    reason = "IO: reads the files of the local CA"
)]

mod error;
pub mod found;

use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair,
    KeyUsagePurpose, SanType, SerialNumber,
};
use ring::digest;
use ring::rand::{SecureRandom, SystemRandom};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use time::OffsetDateTime;
use zeroize::Zeroizing;

pub use self::error::AuthorityError;
use crate::clock::Timestamp;
use crate::name::DnsName;
use crate::x509::outline::Outline;

/// How long a leaf is valid.
pub const LEAF_LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);

/// How far the clock of a mail server may be behind.
const SKEW: Duration = Duration::from_secs(3600);

/// Where the CA lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// Its certificate, and those above it when it is no root; PEM.
    pub certificate: PathBuf,
    /// Its key: PKCS #8 in PEM.
    pub key: PathBuf,
}

/// Whom a leaf is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LeafName {
    /// A host.
    Host(DnsName),
    /// An address, where no name is known.
    Address(IpAddr),
}

/// The CA's certificate.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The file.
    pub path: PathBuf,
    /// The CA's own certificate, then the others of the file.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its name, printable.
    pub subject: String,
    /// SHA-256 of the certificate.
    pub sha256: [u8; 32],
    /// It begins.
    pub not_before: Timestamp,
    /// It ends.
    pub not_after: Timestamp,
}

/// A CA that signs.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: Certificate,
}

impl Certificate {
    /// Reads a file of certificates, the CA's own first.
    ///
    /// # Errors
    /// When it cannot be read, or the first certificate is no CA.
    pub fn read(path: &Path) -> Result<Self, AuthorityError> {
        let text = std::fs::read(path).map_err(|error| AuthorityError::unreadable(path, error))?;
        let chain = CertificateDer::pem_slice_iter(&text)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| AuthorityError::no_certificate(path, &error))?;
        let Some(first) = chain.first() else {
            let nothing = "it holds no certificate";
            return Err(AuthorityError::no_certificate(path, &nothing));
        };
        let (_, parsed) = x509_parser::parse_x509_certificate(first)
            .map_err(|error| AuthorityError::no_certificate(path, &error))?;
        if !parsed.is_ca() {
            let leaf = "its first certificate is no CA (basicConstraints)";
            return Err(AuthorityError::no_certificate(path, &leaf));
        }
        let digest = digest::digest(&digest::SHA256, first);
        let sha256 = digest.as_ref().try_into().unwrap_or([0; 32]); // SHA-256 is that long
        let seconds = |time: i64| Timestamp::from_unix(time.try_into().unwrap_or(0));
        Ok(Self {
            path: path.to_owned(),
            subject: parsed.subject().to_string().escape_default().to_string(),
            sha256,
            not_before: seconds(parsed.validity().not_before.timestamp()),
            not_after: seconds(parsed.validity().not_after.timestamp()),
            chain,
        })
    }

    /// The fingerprint as other programs print it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let octets = self.sha256.iter().map(|octet| format!("{octet:02X}"));
        octets.collect::<Vec<_>>().join(":")
    }

    /// Is it in date?
    #[must_use]
    pub fn is_current(&self, now: Timestamp) -> bool {
        self.not_before <= now && now <= self.not_after
    }
}

impl Authority {
    /// Takes a CA into service.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn load(files: &Files, now: Timestamp) -> Result<Self, AuthorityError> {
        let certificate = Certificate::read(&files.certificate)?;
        if !certificate.is_current(now) {
            return Err(AuthorityError::OutOfDate {
                path: files.certificate.clone(),
            });
        }
        let key = read_key(&files.key)?;
        let Some(own) = certificate.chain.first() else {
            let nothing = "it holds no certificate";
            return Err(AuthorityError::no_certificate(&files.certificate, &nothing));
        };
        let outline = Outline::parse(own)
            .map_err(|error| AuthorityError::no_certificate(&files.certificate, &error))?;
        if outline.spki != rcgen::PublicKeyData::subject_public_key_info(&key) {
            return Err(AuthorityError::Mismatch {
                certificate: files.certificate.clone(),
                key: files.key.clone(),
            });
        }
        let issuer = Issuer::from_ca_cert_der(own, key)
            .map_err(|error| AuthorityError::no_certificate(&files.certificate, &error))?;
        let authority = Self {
            issuer,
            certificate,
        };
        authority.check_name(now)?;
        Ok(authority)
    }

    /// A leaf that names its issuer otherwise than the CA names itself leads nowhere (RFC 5280 §6.1.3).
    fn check_name(&self, now: Timestamp) -> Result<(), AuthorityError> {
        let fault = |error: &dyn std::fmt::Display| {
            AuthorityError::no_certificate(&self.certificate.path, error)
        };
        let key = KeyPair::generate().map_err(|error| fault(&error))?;
        let name = LeafName::Address(std::net::Ipv4Addr::LOCALHOST.into());
        let leaf = self.mint(&name, &key, now).map_err(|error| fault(&error))?;
        let subjects = self
            .certificate
            .chain
            .first()
            .map(|own| Outline::parse(own));
        match (Outline::parse(&leaf), subjects) {
            (Ok(leaf), Some(Ok(own))) if leaf.issuer == own.subject => Ok(()),
            _ => Err(fault(&"its name has parts that leaves cannot repeat")),
        }
    }

    /// Makes a leaf for `key`.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn mint(
        &self,
        name: &LeafName,
        key: &KeyPair,
        now: Timestamp,
    ) -> Result<CertificateDer<'static>, rcgen::Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = vec![match name {
            LeafName::Host(host) => {
                if host.as_str().len() <= LONGEST_COMMON_NAME {
                    let common = host.as_str();
                    params.distinguished_name.push(DnType::CommonName, common);
                }
                SanType::DnsName(host.as_str().try_into()?)
            }
            LeafName::Address(address) => SanType::IpAddress(*address),
        }];
        params.not_before = date(shortly_before(now));
        params.not_after = date(now.plus(LEAF_LIFETIME).min(self.certificate.not_after));
        params.serial_number = Some(serial_number());
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        Ok(params.signed_by(key, &self.issuer)?.der().clone())
    }

    /// When the CA ends.
    #[must_use]
    pub const fn not_after(&self) -> Timestamp {
        self.certificate.not_after
    }

    /// What is presented behind a leaf.
    #[must_use]
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.certificate.chain
    }
}

fn read_key(path: &Path) -> Result<KeyPair, AuthorityError> {
    let unreadable = |error| AuthorityError::unreadable(path, error);
    let mode = std::fs::metadata(path)
        .map_err(unreadable)?
        .permissions()
        .mode();
    if mode & OTHERS != 0 {
        return Err(AuthorityError::Exposed {
            path: path.to_owned(),
            mode: mode & 0o777,
        });
    }
    let text = Zeroizing::new(std::fs::read(path).map_err(unreadable)?);
    let pem = std::str::from_utf8(&text).map_err(|error| AuthorityError::no_key(path, &error))?;
    KeyPair::from_pem(pem).map_err(|error| AuthorityError::no_key(path, &error))
}

/// Everybody on the host: whoever holds the key can pose as any MX host to the mail servers that trust the CA.
const OTHERS: u32 = 0o007;

/// RFC 5280 §A.1: ub-common-name.
const LONGEST_COMMON_NAME: usize = 64;

/// At random (RFC 5280 §4.1.2.2): by default it would be made of the key, which all leaves share.
fn serial_number() -> SerialNumber {
    let mut octets = [0; 16];
    // Without randomness two leaves have one number, which clients that do not keep count never see.
    let _ = SystemRandom::new().fill(&mut octets);
    octets[0] &= 0x7f;
    SerialNumber::from_slice(&octets)
}

fn shortly_before(now: Timestamp) -> Timestamp {
    Timestamp::from_unix(now.unix().saturating_sub(SKEW.as_secs()))
}

fn date(time: Timestamp) -> OffsetDateTime {
    i64::try_from(time.unix())
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests;
