//! Names of a certificate against reference identifiers (RFC 6125 §6.4, RFC 7672 §3.2.3).
//!
//! [`Names`] holds what a certificate presents: its DNS-IDs, and its common names where it has no DNS-ID at all.
//! [`matches`] is the comparison. A certificate that cannot be read, or whose subjectAltName cannot, presents
//! nothing: there is then no name that could fit.

use x509_parser::asn1_rs::Tag;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::name::DnsName;

/// The names that a certificate presents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    dns_ids: Vec<String>,
    common_names: Vec<String>,
}

impl Names {
    /// Reads the names of a DER certificate.
    #[must_use]
    pub fn of(certificate: &[u8]) -> Self {
        let Ok(([], certificate)) = X509Certificate::from_der(certificate) else {
            return Self::default();
        };
        let Ok(alternative) = certificate.subject_alternative_name() else {
            return Self::default(); // unreadable, or there twice
        };
        let dns_ids: Vec<_> = alternative
            .iter()
            .flat_map(|extension| &extension.value.general_names)
            .filter_map(dns_id)
            .collect();
        // RFC 7672 §3.2.3: the common name counts only where there is no DNS-ID.
        let common_names = if dns_ids.is_empty() {
            common_names(&certificate)
        } else {
            Vec::new()
        };
        Self {
            dns_ids,
            common_names,
        }
    }

    /// Whether a DNS-ID matches (RFC 8461 §4.1 knows no others).
    #[must_use]
    pub fn has_dns_id(&self, reference: &DnsName) -> bool {
        self.dns_ids.iter().any(|id| matches(id, reference))
    }

    /// Whether a DNS-ID matches, or a CN-ID where there is no DNS-ID (RFC 7672 §3.2.3).
    #[must_use]
    pub fn has_id(&self, reference: &DnsName) -> bool {
        self.has_dns_id(reference) || self.common_names.iter().any(|id| matches(id, reference))
    }

    /// The names to show to an operator: few, short and printable whatever the peer has put there.
    #[must_use]
    pub fn shown(&self) -> Vec<String> {
        self.dns_ids
            .iter()
            .chain(&self.common_names)
            .take(MOST_SHOWN)
            .map(|name| printable(name))
            .collect()
    }
}

/// Compares a presented name, which may begin with a wildcard label, with a reference identifier.
///
/// A wildcard is the whole left-most label, stands for exactly one label (RFC 6125 §6.4.3) and has two labels or more
/// after it, so that no certificate covers a whole top-level domain.
#[must_use]
pub fn matches(presented: &str, reference: &DnsName) -> bool {
    let reference = reference.as_str();
    let Some(parent) = presented.strip_prefix("*.") else {
        return presented.eq_ignore_ascii_case(reference);
    };
    let Some((_, above)) = reference.split_once('.') else {
        return false;
    };
    parent.contains('.') && parent.eq_ignore_ascii_case(above)
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the other name forms are never looked at (RFC 7817 §3)"
)]
fn dns_id(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        // Not even text: it matches nothing, but it is a DNS-ID and keeps the common name from counting.
        GeneralName::Invalid(tag, octets) if *tag == DNS_NAME => {
            Some(String::from_utf8_lossy(octets).into_owned())
        }
        _ => None,
    }
}

fn common_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    certificate
        .subject()
        .iter_common_name()
        .filter_map(|name| name.as_str().ok())
        .map(str::to_owned)
        .collect()
}

fn printable(name: &str) -> String {
    name.chars()
        .take(LONGEST_SHOWN)
        .flat_map(char::escape_default)
        .collect()
}

/// RFC 5280 §4.2.1.6: `dNSName [2]`.
const DNS_NAME: Tag = Tag(2);
const MOST_SHOWN: usize = 16;
const LONGEST_SHOWN: usize = 253;
