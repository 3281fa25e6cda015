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
    of_transport(error.kind())
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the system's errors are open-ended; its own words serve for the rest"
)]
fn of_transport(kind: io::ErrorKind) -> String {
    match kind {
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
pub(super) fn alert_name(alert: AlertDescription) -> String {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::{InvalidMessage, OtherError, PeerMisbehaved};

    use super::*;

    #[test]
    fn a_failure_is_a_sentence_without_a_line_break() {
        for (error, expected) in [
            (
                Error::AlertReceived(AlertDescription::HandshakeFailure),
                "the server answered with the alert handshake_failure",
            ),
            (
                Error::AlertReceived(AlertDescription::UnrecognisedName),
                "the server answered with the alert unrecognised_name",
            ),
            (
                Error::AlertReceived(AlertDescription::Unknown(77)),
                "the server answered with the alert 77",
            ),
            (
                Error::InvalidCertificate(CertificateError::BadSignature),
                "the server has not proven that the certificate's key is its own",
            ),
            (
                Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(
                    Unproven::KeyKind,
                )))),
                "the certificate's key is of a kind that cannot be verified",
            ),
            (
                Error::InvalidMessage(InvalidMessage::InvalidContentType),
                "the server's answer is not TLS, or is damaged (InvalidContentType)",
            ),
            (
                Error::PeerMisbehaved(PeerMisbehaved::SelectedUnofferedKxGroup),
                "the server has broken the TLS protocol (SelectedUnofferedKxGroup)",
            ),
            (
                Error::General("250 ok\r\n".to_owned()),
                "the handshake could not be finished on this side",
            ),
        ] {
            let error = io::Error::new(io::ErrorKind::InvalidData, error);
            assert_eq!(sentence(&error), expected);
        }
    }

    #[test]
    fn tls_09_a_lost_connection_says_how_it_was_lost() {
        for (kind, expected) in [
            (
                io::ErrorKind::UnexpectedEof,
                "the server closed the connection during the handshake",
            ),
            (
                io::ErrorKind::ConnectionReset,
                "the connection was reset during the handshake",
            ),
            (
                io::ErrorKind::TimedOut,
                "the connection failed during the handshake: timed out",
            ),
        ] {
            assert_eq!(sentence(&io::Error::new(kind, "a\r\nb")), expected);
        }
    }
}
