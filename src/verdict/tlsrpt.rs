//! What a report of RFC 8460 calls a [`Reason`].

use super::reason::Reason;
use crate::dns::Failure;
use crate::smtp::NoTls;

/// The result types of RFC 8460 §4.3 that a refusal can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResultType {
    /// `starttls-not-supported`
    StarttlsNotSupported,
    /// `certificate-host-mismatch`
    CertificateHostMismatch,
    /// `certificate-expired`
    CertificateExpired,
    /// `certificate-not-trusted`
    CertificateNotTrusted,
    /// `validation-failure`
    ValidationFailure,
    /// `dnssec-invalid`
    DnssecInvalid,
    /// `dane-required`
    DaneRequired,
}

impl Reason {
    /// The result type for reports; none for what is not to be reported (RFC 8460 §4.3.4) or is no TLS matter.
    #[must_use]
    pub const fn tlsrpt(&self) -> Option<ResultType> {
        match self {
            Self::Dns {
                failure: Failure::Bogus(_),
                ..
            } => Some(ResultType::DnssecInvalid),
            Self::StarttlsMissing { .. }
            | Self::KnownForTls {
                seen: NoTls::NotOffered | NoTls::Refused(_),
                ..
            } => Some(ResultType::StarttlsNotSupported),
            Self::DaneRequired { .. } => Some(ResultType::DaneRequired),
            Self::DaneName { .. } | Self::StsName { .. } => {
                Some(ResultType::CertificateHostMismatch)
            }
            Self::DaneDates { .. } | Self::StsDates { .. } => Some(ResultType::CertificateExpired),
            Self::DaneMismatch { .. } | Self::DanePath { .. } | Self::StsUntrusted { .. } => {
                Some(ResultType::CertificateNotTrusted)
            }
            Self::Handshake { .. }
            | Self::KnownForTls {
                seen: NoTls::HandshakeFailed(_),
                ..
            }
            | Self::StsMxNotListed { .. }
            | Self::ForgedNullMx { .. }
            | Self::DestNotMx { .. } => Some(ResultType::ValidationFailure),
            Self::Dns {
                failure: Failure::Unreachable(_),
                ..
            }
            | Self::NullMx { .. }
            | Self::NoSuchDomain { .. }
            | Self::NoPolicyDomain { .. }
            // What the destination has not published it does not fail at.
            | Self::StsRequired { .. }
            | Self::Webpki { .. }
            | Self::PinMismatch { .. }
            | Self::OneDomain { .. }
            | Self::Budget { .. }
            | Self::Busy
            | Self::Unreachable { .. }
            | Self::ServerLost { .. }
            | Self::Shortfall { .. } => None,
        }
    }
}

impl ResultType {
    /// The word in the report.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StarttlsNotSupported => "starttls-not-supported",
            Self::CertificateHostMismatch => "certificate-host-mismatch",
            Self::CertificateExpired => "certificate-expired",
            Self::CertificateNotTrusted => "certificate-not-trusted",
            Self::ValidationFailure => "validation-failure",
            Self::DnssecInvalid => "dnssec-invalid",
            Self::DaneRequired => "dane-required",
        }
    }
}
