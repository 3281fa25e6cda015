//! Names of hosts and domains, parsed once into a form that compares byte for byte.
//!
//! [`DnsName`] is a lower-case A-label host name without a trailing dot (RFC 5890 §2.3.2.1). The newtypes over it
//! say which role a name plays, so that a TLSA base domain cannot stand where an MX host is meant:
//! [`Domain`] (the recipient's or policy domain), [`MxHost`], [`TlsaBase`] and [`ReferenceId`].
//! Parsing fails with [`InvalidName`]; nothing else here can fail.

use std::fmt;
use std::net::IpAddr;

/// A host name in A-label form: lower case, no trailing dot, 1 to 253 octets, labels of 1 to 63 octets.
///
/// Underscores are admitted, since `_25._tcp` and `_mta-sts` are names too; whether a name is a host name in the
/// sense of RFC 5321 §2.3.5 is asked with [`DnsName::is_host_name`].
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DnsName(Box<str>);

/// Why a text is not a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Nothing between the dots, or nothing at all.
    #[error("it has an empty label")]
    EmptyLabel,
    /// A label of more than 63 octets (RFC 1035 §2.3.4).
    #[error("a label is longer than 63 octets")]
    LongLabel,
    /// More than 253 octets of text (RFC 1035 §2.3.4).
    #[error("it is longer than 253 octets")]
    TooLong,
    /// A character outside letters, digits, hyphen and underscore.
    #[error("it has a character that no host name may have")]
    BadCharacter,
    /// A label that begins or ends with a hyphen.
    #[error("a label begins or ends with a hyphen")]
    BadHyphen,
    /// Not convertible to A-labels (RFC 5891 §4).
    #[error("it is not a valid internationalised name")]
    NotIdna,
    /// Digits and dots only: an address, not a name.
    #[error("it is an address, not a name")]
    Address,
}

impl DnsName {
    /// Parses text that is a name already in A-label form; one trailing dot is dropped.
    ///
    /// # Errors
    /// [`InvalidName`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.len() > 253 {
            return Err(InvalidName::TooLong);
        }
        for label in text.split('.') {
            check_label(label)?;
        }
        if text.parse::<IpAddr>().is_ok() {
            return Err(InvalidName::Address);
        }
        Ok(Self(text.to_ascii_lowercase().into_boxed_str()))
    }

    /// Parses text that may hold U-labels, by IDNA2008 as UTS 46 (non-transitional) maps it (RFC 6531 §3.2).
    ///
    /// # Errors
    /// [`InvalidName`], with [`InvalidName::NotIdna`] for labels that cannot be converted.
    pub fn parse_unicode(text: &str) -> Result<Self, InvalidName> {
        if text.is_ascii() && !text.to_ascii_lowercase().contains("xn--") {
            return Self::parse(text);
        }
        let ascii = idna::domain_to_ascii_cow(text.as_bytes(), idna::AsciiDenyList::STD3)
            .map_err(|_| InvalidName::NotIdna)?;
        Self::parse(&ascii)
    }

    /// The name, lower case, without a trailing dot.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The labels, left to right.
    pub fn labels(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('.')
    }

    /// The name with `label` put before it.
    ///
    /// # Errors
    /// [`InvalidName`] when the label is not one or the whole grows too long.
    pub fn prefixed(&self, label: &str) -> Result<Self, InvalidName> {
        Self::parse(&format!("{label}.{self}"))
    }

    /// Letters, digits and hyphens only: a `Domain` of RFC 5321 §4.1.2.
    #[must_use]
    pub fn is_host_name(&self) -> bool {
        !self.0.contains('_')
    }
}

fn check_label(label: &str) -> Result<(), InvalidName> {
    if label.is_empty() {
        return Err(InvalidName::EmptyLabel);
    }
    if label.len() > 63 {
        return Err(InvalidName::LongLabel);
    }
    if !label
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    {
        return Err(InvalidName::BadCharacter);
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Err(InvalidName::BadHyphen);
    }
    Ok(())
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for DnsName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Self::parse(text)
    }
}

macro_rules! role {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(DnsName);

        impl $name {
            /// Gives a name this role.
            #[must_use]
            pub const fn new(name: DnsName) -> Self {
                Self(name)
            }

            /// The name without its role.
            #[must_use]
            pub const fn name(&self) -> &DnsName {
                &self.0
            }

            /// The name as text, lower case, without a trailing dot.
            #[must_use]
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                DnsName::parse(text).map(Self)
            }
        }
    };
}

role! {
    /// The domain of a recipient, whose policy decides: the next-hop domain of RFC 7672 §1.1, the policy domain of
    /// RFC 8461 §1.1.
    Domain
}
role! {
    /// The exchange of an MX record as it stands in the record, aliases not expanded.
    MxHost
}
role! {
    /// The TLSA base domain: what follows `_25._tcp.` in the owner name of the TLSA RRset (RFC 7672 §2.2.3).
    TlsaBase
}
role! {
    /// A name that the certificate may carry (RFC 6125 §6.2, RFC 7672 §3.2.2).
    ReferenceId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lower_case_without_a_trailing_dot() {
        assert_eq!(
            DnsName::parse("MX1.Example.COM.").unwrap().as_str(),
            "mx1.example.com"
        );
        assert_eq!(
            DnsName::parse("_25._tcp.mx.example").unwrap().as_str(),
            "_25._tcp.mx.example"
        );
    }

    #[test]
    fn what_is_no_name_says_why() {
        for (text, why) in [
            ("", InvalidName::EmptyLabel),
            (".", InvalidName::EmptyLabel),
            ("a..b", InvalidName::EmptyLabel),
            ("a b.c", InvalidName::BadCharacter),
            ("a\0.c", InvalidName::BadCharacter),
            ("-a.c", InvalidName::BadHyphen),
            ("a-.c", InvalidName::BadHyphen),
            ("192.0.2.1", InvalidName::Address),
            ("müller.example", InvalidName::BadCharacter),
        ] {
            assert_eq!(DnsName::parse(text), Err(why), "{text:?}");
        }
        assert_eq!(
            DnsName::parse(&format!("{}.x", "a".repeat(64))),
            Err(InvalidName::LongLabel)
        );
        assert_eq!(DnsName::parse(&"a.".repeat(140)), Err(InvalidName::TooLong));
    }

    #[test]
    fn dn_18_eai_5_unicode_names_become_one_a_label() {
        for (text, ascii) in [
            ("müller.example", "xn--mller-kva.example"),
            ("MÜLLER.example", "xn--mller-kva.example"),
            ("faß.example", "xn--fa-hia.example"),
            ("a\u{3002}example", "a.example"),
            // Decomposed, a final sigma, a non-joiner that its script needs, and a homograph, which is another name.
            ("mu\u{308}ller.example", "xn--mller-kva.example"),
            ("βόλος.example", "xn--nxasmm1c.example"),
            ("نامه\u{200c}ای.example", "xn--mgba3gch31f060k.example"),
            ("p\u{430}ypal.example", "xn--pypal-4ve.example"),
            ("plain.example", "plain.example"),
        ] {
            assert_eq!(
                DnsName::parse_unicode(text).unwrap().as_str(),
                ascii,
                "{text}"
            );
        }
        assert_eq!(
            DnsName::parse_unicode("xn--a.example"),
            Err(InvalidName::NotIdna)
        );
    }
}
