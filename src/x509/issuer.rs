//! Who issued a certificate, in a word that a renewal does not change.
//!
//! CAs issue from several intermediates and change them every year, so the organisation is what stays.

use x509_parser::prelude::{FromDer, X509Certificate};

/// The organisation of the issuer, or its common name where it names none, or `self-signed`, or `unreadable`: printable
/// and short whatever stands there.
#[must_use]
pub fn of(certificate: &[u8]) -> String {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else {
        return "unreadable".into();
    };
    if certificate.issuer().as_raw() == certificate.subject().as_raw() {
        return "self-signed".into();
    }
    let issuer = certificate.issuer();
    let name = issuer
        .iter_organization()
        .chain(issuer.iter_common_name())
        .find_map(|name| name.as_str().ok());
    name.map_or_else(|| "unnamed".into(), printable)
}

fn printable(name: &str) -> String {
    let plain = |c: char| if matches!(c, ' '..='~') { c } else { '?' };
    name.chars().take(LONGEST).map(plain).collect()
}

/// Longer names are no names.
const LONGEST: usize = 100;

#[cfg(test)]
mod tests {
    use rcgen::DnType;

    use super::*;
    use crate::x509::sample::{Sample, ca, server};

    #[test]
    fn the_organisation_stays_when_the_intermediate_changes() {
        let with = |common_name: &str, organisation: Option<&str>| {
            let mut params = ca(common_name);
            if let Some(organisation) = organisation {
                params
                    .distinguished_name
                    .push(DnType::OrganizationName, organisation);
            }
            Sample::self_signed(params).issue(server(&["mx.example"]))
        };
        for (sample, expected) in [
            (with("R10", Some("A CA")), "A CA"),
            (with("R11", Some("A CA")), "A CA"),
            (with("R10", None), "R10"),
            (with("R10", Some("CA\u{f6}\n\"")), "CA??\""),
            (Sample::self_signed(server(&["mx.example"])), "self-signed"),
        ] {
            assert_eq!(of(&sample.der), expected);
        }
        assert_eq!(of(b"nothing"), "unreadable");
    }
}
