//! Why a handshake failed, as one short printable sentence for the record.
//!
//! What the peer chooses (an alert, a broken message) appears only through names that are defined here or in rustls, so
//! that nothing it sends can end up in a log line or an SMTP reply (RFC 8446 §6.2 names the alerts).

use std::error::Error as _;
use std::io;

use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};

use super::possession::Unproven;

/// The sentence for an error of the handshake.
pub(super) fn sentence(error: &io::Error) -> String {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Error>());
    if let Some(error) = inner {
        return of_tls(error);
    }
    match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            "the server closed the connection during the handshake".to_owned()
        }
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe => "the connection was reset during the handshake".to_owned(),
        kind => format!("the connection failed during the handshake: {kind}"),
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "rustls's errors are open-ended; its own words serve for the rest"
)]
fn of_tls(error: &Error) -> String {
    match error {
        Error::AlertReceived(alert) => {
            format!("the server answered with the alert {}", alert_name(*alert))
        }
        Error::InvalidCertificate(error) => of_certificate(error),
        Error::NoCertificatesPresented => "the server has presented no certificate".to_owned(),
        Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        ) => "the server speaks neither TLS 1.2 nor TLS 1.3".to_owned(),
        Error::PeerIncompatible(what) => {
            format!("the server does not speak TLS in a way that is known ({what:?})")
        }
        Error::PeerMisbehaved(what) => format!("the server has broken the TLS protocol ({what:?})"),
        Error::InvalidMessage(what) => {
            format!("the server's answer is not TLS, or is damaged ({what:?})")
        }
        Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
            "the server has sent a TLS message out of turn".to_owned()
        }
        Error::DecryptError => "a TLS record of the server cannot be decrypted".to_owned(),
        Error::PeerSentOversizedRecord => "a TLS record of the server is too long".to_owned(),
        _ => "the handshake could not be finished on this side".to_owned(),
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the verifier makes two kinds only"
)]
fn of_certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::BadSignature => Unproven::Signature.to_string(),
        CertificateError::Other(other) => other
            .source()
            .and_then(|source| source.downcast_ref::<Unproven>())
            .map_or_else(
                || "the certificate was refused".to_owned(),
                Unproven::to_string,
            ),
        _ => "the certificate was refused".to_owned(),
    }
}

/// `handshake_failure` and the like; a number for what has no name.
fn alert_name(alert: AlertDescription) -> String {
    if let AlertDescription::Unknown(number) = alert {
        return number.to_string();
    }
    let mut name = String::new();
    for letter in format!("{alert:?}").chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}
