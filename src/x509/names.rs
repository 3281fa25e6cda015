//! Names of a certificate against reference identifiers (RFC 6125 §6.4, RFC 7672 §3.2.3).
//!
//! [`Names`] holds what a certificate presents: its DNS-IDs, and its common names where it has no DNS-ID at all.
//! [`matches()`] is the comparison. A certificate that cannot be read, or whose subjectAltName cannot, presents
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

#[cfg(test)]
mod tests {
    #![expect(clippy::too_many_lines, reason = "a table is as long as it has rows")]

    use proptest::prelude::*;
    use rcgen::{CertificateParams, SanType};
    use rustls_pki_types::{CertificateDer, ServerName};

    use super::*;
    use crate::x509::sample::{SAN, Sample, element, extended, server, server_by_cn};

    fn name(text: &str) -> DnsName {
        text.parse().unwrap()
    }

    #[test]
    fn id_1_id_2_dane_31_names_match_as_whole_labels() {
        for (presented, reference, fits) in [
            ("mx.example.com", "mx.example.com", true),
            ("MX.Example.COM", "mx.example.com", true),
            ("mx1.example.com", "mx.example.com", false),
            ("example.com", "mx.example.com", false),
            ("mx.example.com.", "mx.example.com", false),
            ("", "mx.example.com", false),
            ("mx.example.com\0.evil.example", "mx.example.com", false),
            ("mx.example.com\n", "mx.example.com", false),
            ("m\u{fc}.example.com", "xn--m-eha.example.com", false),
            ("*.example.com", "mx.example.com", true),
            ("*.EXAMPLE.com", "mx.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", "a.mx.example.com", false),
            ("*.*.com", "mx.example.com", false),
            ("mx.*.com", "mx.example.com", false),
            ("mx*.example.com", "mx1.example.com", false),
            ("*x.example.com", "mx.example.com", false),
            ("m*x.example.com", "mx.example.com", false),
            ("*", "localhost", false),
            ("*.", "localhost", false),
            ("*.com", "example.com", false),
        ] {
            assert_eq!(
                matches(presented, &name(reference)),
                fits,
                "{presented} for {reference}"
            );
        }
    }

    #[test]
    fn id_3_id_5_dane_30_the_common_name_counts_only_without_dns_ids() {
        let wanted = name("mx.example.com");
        let with = |san: Vec<SanType>| {
            let mut params = server_by_cn("mx.example.com");
            params.subject_alt_names = san;
            params
        };
        let dns = |name: &str| SanType::DnsName(name.try_into().unwrap());
        let raw = |content: &[u8]| {
            extended(
                server_by_cn("mx.example.com"),
                &SAN,
                element(0x30, &[content]),
            )
        };
        let twice = extended(
            extended(server_by_cn("mx.example.com"), &SAN, element(0x30, &[])),
            &SAN,
            element(0x30, &[]),
        );
        for (sentence, params, by_dns_id, by_any) in [
            ("no subjectAltName", with(vec![]), false, true),
            (
                "another DNS-ID",
                with(vec![dns("other.example")]),
                false,
                false,
            ),
            (
                "the right DNS-ID among others",
                with(vec![dns("other.example"), dns("mx.example.com")]),
                true,
                true,
            ),
            (
                "an address and an e-mail address only",
                with(vec![
                    SanType::IpAddress([192, 0, 2, 1].into()),
                    SanType::Rfc822Name("a@mx.example.com".try_into().unwrap()),
                ]),
                false,
                true,
            ),
            (
                "id_5: a URI is no name of a mail server",
                {
                    let mut params = server(&[]);
                    params.subject_alt_names =
                        vec![SanType::URI("https://mx.example.com/".try_into().unwrap())];
                    params
                },
                false,
                false,
            ),
            ("an empty subjectAltName", raw(&[]), false, true),
            (
                "a DNS-ID with NUL",
                raw(&element(0x82, &[b"mx.example.com\0"])),
                false,
                false,
            ),
            (
                "a DNS-ID that is no text",
                raw(&element(0x82, &[&[0xff, 0xfe]])),
                false,
                false,
            ),
            (
                "a subjectAltName that cannot be read",
                raw(&[0x82, 0x7f]),
                false,
                false,
            ),
            ("two subjectAltNames", twice, false, false),
        ] {
            let names = Names::of(&Sample::self_signed(params).der);
            assert_eq!(names.has_dns_id(&wanted), by_dns_id, "{sentence}");
            assert_eq!(names.has_id(&wanted), by_any, "{sentence}");
        }
    }

    #[test]
    fn what_is_shown_is_short_and_printable() {
        let hostile = element(0x82, &[b"a\r\n250 ok\x1b[2J"]);
        let many: Vec<Vec<u8>> = std::iter::repeat_n(hostile, 1000).collect();
        let parts: Vec<&[u8]> = many.iter().map(Vec::as_slice).collect();
        let names =
            Names::of(&Sample::self_signed(extended(server(&[]), &SAN, element(0x30, &parts))).der);
        let shown = names.shown();
        assert_eq!(shown.len(), MOST_SHOWN);
        assert_eq!(shown[0], "a\\r\\n250 ok\\u{1b}[2J");

        let long = Names::of(&Sample::self_signed(server_by_cn(&"x".repeat(5000))).der);
        assert_eq!(long.shown()[0].len(), LONGEST_SHOWN);
        assert_eq!(Names::of(b"no certificate").shown(), Vec::<String>::new());
    }

    proptest! {
        /// webpki compares DNS-IDs by rules of its own making; where both have a say they agree.
        #[test]
        fn sts_65_dns_ids_match_as_webpki_has_it(
            presented in "(\\*\\.)?[abAB]{1,2}(\\.[ab*]{1,2}){0,2}",
            reference in "[ab]{1,2}(\\.[ab]{1,2}){1,3}",
        ) {
            let mut params = CertificateParams::default();
            params.subject_alt_names =
                vec![SanType::DnsName(presented.as_str().try_into().unwrap())];
            let der: CertificateDer<'static> = Sample::self_signed(params).der;
            let theirs = webpki::EndEntityCert::try_from(&der)
                .unwrap()
                .verify_is_valid_for_subject_name(&ServerName::try_from(reference.as_str()).unwrap())
                .is_ok();
            prop_assert_eq!(Names::of(&der).has_dns_id(&name(&reference)), theirs);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(Names::of(&bytes), Names::default());
        }
    }
}
