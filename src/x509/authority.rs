//! What a certificate must say of itself to issue others, as far as webpki does not ask.
//!
//! webpki reads no KeyUsage, and of a trust anchor it keeps the name, the key and the name constraints only.
//! [`may_issue`] adds KeyUsage for every intermediate; [`check_anchor`] asks a certificate that a DANE-TA record names
//! what webpki asks of an intermediate (RFC 7671 §5.2.1: the constraints of the trust anchor hold). Both answer in
//! webpki's errors, so that path building goes on past a certificate that fails. What cannot be read fails.

use std::time::Duration;

use rustls_pki_types::UnixTime;
use webpki::Error;
use x509_parser::oid_registry::{
    OID_X509_EXT_BASIC_CONSTRAINTS, OID_X509_EXT_CERTIFICATE_POLICIES,
    OID_X509_EXT_EXTENDED_KEY_USAGE, OID_X509_EXT_KEY_USAGE, OID_X509_EXT_NAME_CONSTRAINTS,
    OID_X509_EXT_SUBJECT_ALT_NAME,
};
use x509_parser::prelude::{FromDer, SubjectPublicKeyInfo, X509Certificate, X509Version};
use x509_parser::public_key::PublicKey;

/// Whether a certificate's KeyUsage, where there is one, lets it sign certificates (RFC 5280 §4.2.1.3).
///
/// # Errors
/// [`Error::EndEntityUsedAsCa`] when it does not.
pub(super) fn may_issue(certificate: &[u8]) -> Result<(), Error> {
    key_usage(&read(certificate)?)
}

/// Whether the leaf's own key is one that a CA's could be: *ring* verifies no signature of a shorter RSA key on a path,
/// and counts whole octets, as here.
///
/// # Errors
/// [`Error::CertDistrusted`] when it is not.
pub(super) fn is_strong(spki: &[u8]) -> Result<(), Error> {
    let (_, spki) = SubjectPublicKeyInfo::from_der(spki).map_err(|_| Error::BadDer)?;
    let octets = |modulus: &[u8]| modulus.iter().skip_while(|octet| **octet == 0).count();
    match spki.parsed() {
        Ok(PublicKey::RSA(key)) if octets(key.modulus) < 2048 / 8 => Err(Error::CertDistrusted),
        // What is no RSA key is as strong as its kind; what cannot be read has proven nothing.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Whether a certificate holds name constraints; one that cannot be read is taken to.
pub(super) fn constrains_names(certificate: &[u8]) -> bool {
    read(certificate).map_or(true, |certificate| {
        !matches!(certificate.name_constraints(), Ok(None))
    })
}

/// Whether a certificate may be the trust anchor of a path with `below` intermediates under it at `now`.
///
/// Its dates count only when it is self-issued: a cross-certificate that has expired still vouches for the key that
/// the domain has published.
///
/// # Errors
/// The constraint that the path breaks.
pub(crate) fn check_anchor(certificate: &[u8], below: usize, now: UnixTime) -> Result<(), Error> {
    let certificate = read(certificate)?;
    if is_self_issued(&certificate) {
        dates(&certificate, now)?;
    }
    critical_extensions(&certificate)?;
    basic_constraints(&certificate, below)?;
    key_usage(&certificate)?;
    extended_key_usage(&certificate)
}

fn read(certificate: &[u8]) -> Result<X509Certificate<'_>, Error> {
    match X509Certificate::from_der(certificate) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) | Err(_) => Err(Error::BadDer),
    }
}

/// Names are the same in whatever string types and letters they are written (RFC 5280 §7.1).
fn is_self_issued(certificate: &X509Certificate<'_>) -> bool {
    let (subject, issuer) = (certificate.subject(), certificate.issuer());
    subject.as_raw() == issuer.as_raw()
        || subject
            .to_string()
            .eq_ignore_ascii_case(&issuer.to_string())
}

fn dates(certificate: &X509Certificate<'_>, now: UnixTime) -> Result<(), Error> {
    let not_before = seconds(certificate.validity().not_before.timestamp());
    let not_after = seconds(certificate.validity().not_after.timestamp());
    if not_before > not_after {
        Err(Error::InvalidCertValidity)
    } else if now < not_before {
        Err(Error::CertNotValidYet {
            time: now,
            not_before,
        })
    } else if now > not_after {
        Err(Error::CertExpired {
            time: now,
            not_after,
        })
    } else {
        Ok(())
    }
}

/// RFC 5280 §4.2: a critical extension that is not understood refuses the certificate that has it. Policies are
/// understood in so far as none is asked for.
fn critical_extensions(certificate: &X509Certificate<'_>) -> Result<(), Error> {
    let understood = [
        OID_X509_EXT_BASIC_CONSTRAINTS,
        OID_X509_EXT_KEY_USAGE,
        OID_X509_EXT_EXTENDED_KEY_USAGE,
        OID_X509_EXT_NAME_CONSTRAINTS,
        OID_X509_EXT_SUBJECT_ALT_NAME,
        OID_X509_EXT_CERTIFICATE_POLICIES,
    ];
    if certificate
        .extensions()
        .iter()
        .any(|extension| extension.critical && !understood.contains(&extension.oid))
    {
        Err(Error::UnsupportedCriticalExtension)
    } else {
        Ok(())
    }
}

fn basic_constraints(certificate: &X509Certificate<'_>, below: usize) -> Result<(), Error> {
    let constraints = certificate
        .basic_constraints()
        .map_err(|_| Error::ExtensionValueInvalid)?;
    let Some(constraints) = constraints else {
        // A root of version 1 cannot say that it is a CA; there the record itself says so. Below a root the one who has
        // issued it must have said so.
        return if certificate.version() == X509Version::V1
            && certificate.extensions().is_empty()
            && is_self_issued(certificate)
        {
            Ok(())
        } else {
            Err(Error::EndEntityUsedAsCa)
        };
    };
    if !constraints.value.ca {
        return Err(Error::EndEntityUsedAsCa);
    }
    match constraints.value.path_len_constraint {
        Some(most) if below > usize::try_from(most).unwrap_or(usize::MAX) => {
            Err(Error::PathLenConstraintViolated)
        }
        Some(_) | None => Ok(()),
    }
}

fn key_usage(certificate: &X509Certificate<'_>) -> Result<(), Error> {
    match certificate.key_usage() {
        Ok(Some(usage)) if !usage.value.key_cert_sign() => Err(Error::EndEntityUsedAsCa),
        Ok(_) => Ok(()),
        Err(_) => Err(Error::ExtensionValueInvalid),
    }
}

fn extended_key_usage(certificate: &X509Certificate<'_>) -> Result<(), Error> {
    match certificate.extended_key_usage() {
        Ok(Some(usage)) if !usage.value.server_auth => Err(Error::EndEntityUsedAsCa),
        Ok(_) => Ok(()),
        Err(_) => Err(Error::ExtensionValueInvalid),
    }
}

/// Times before 1970 are as good as 1970.
fn seconds(timestamp: i64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(timestamp).unwrap_or(0)))
}
