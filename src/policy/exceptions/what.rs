//! What an exception says: the words, and to which domains each may be said.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64;

use crate::policy::scope::Scope;

/// What holds for a domain by the operator's word.
///
/// [`What::None`] and [`What::Encrypt`] replace what the domain publishes; the demands from [`What::Webpki`] to
/// [`What::Pin`] come on top of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// `none`: opportunistic TLS, whatever the domain publishes.
    None,
    /// `encrypt`: TLS, unauthenticated, whatever the domain publishes.
    Encrypt,
    /// `webpki`: a certificate of a trusted CA for the MX host, as MTA-STS has it, even without a policy.
    Webpki,
    /// `mta-sts`: an MTA-STS policy must be there, and hold; one that is only tested counts like an enforced one.
    MtaSts,
    /// `dane`: DANE must be there, under a secure MX RRset, and hold (row A7, RFC 7672 §6).
    Dane,
    /// `pin`: the server's own key must be one of these.
    Pin(Vec<Pin>),
    /// `nta`: DNSSEC at the name and below counts as absent (RFC 7646).
    Nta,
}

/// SHA-256 of the SubjectPublicKeyInfo of a leaf.
///
/// Never of another certificate: whatever else a server sends need not be on any path to its leaf, so that anybody could
/// send it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pin(pub [u8; 32]);

/// A text that says nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidWhat {
    /// No such word.
    #[error(
        "expected none, encrypt, webpki, mta-sts, dane, nta, or pin with sha256/ and 32 octets in base64, got {0:?}"
    )]
    Word(String),
    /// A pin that is none.
    #[error("expected sha256/ and 32 octets in base64 (43 letters and a =), got {0:?}")]
    Pin(String),
    /// None, or too many.
    #[error("expected one to {MOST_PINS} pins, got {0}")]
    Count(usize),
}

/// A key in use, its successor, and room for an MX host or two with keys of their own.
const MOST_PINS: usize = 8;

impl What {
    /// The word, without pins.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Encrypt => "encrypt",
            Self::Webpki => "webpki",
            Self::MtaSts => "mta-sts",
            Self::Dane => "dane",
            Self::Pin(_) => "pin",
            Self::Nta => "nta",
        }
    }

    /// Every word, for whoever counts them.
    pub const KINDS: [&'static str; 7] =
        ["none", "encrypt", "webpki", "mta-sts", "dane", "pin", "nta"];

    /// Does it say something of DNSSEC, and nothing of demands?
    #[must_use]
    pub const fn is_anchor(&self) -> bool {
        matches!(self, Self::Nta)
    }

    /// Does it stand in place of what the domain publishes?
    #[must_use]
    pub const fn loosens(&self) -> bool {
        match self {
            Self::None | Self::Encrypt | Self::Nta => true,
            Self::Webpki | Self::MtaSts | Self::Dane | Self::Pin(_) => false,
        }
    }

    /// Which of two counts for the same domain.
    pub(super) const fn strictness(&self) -> u8 {
        match self {
            Self::None | Self::Nta => 0,
            Self::Encrypt => 1,
            Self::Webpki => 2,
            Self::MtaSts => 3,
            Self::Dane => 4,
            Self::Pin(_) => 5,
        }
    }

    /// May it be said of these domains?
    ///
    /// # Errors
    /// What would be right.
    pub(super) fn suits(&self, scope: &Scope) -> Result<(), &'static str> {
        let is_top_level = !scope.base().as_str().contains('.');
        match (self, scope) {
            (Self::Nta, Scope::Below(_)) => {
                Err("a name without an asterisk: a negative trust anchor covers all below it")
            }
            (Self::Nta, Scope::Exactly(_)) if is_top_level => {
                Err("a name of at least two labels: neither the root nor a top-level domain")
            }
            (_, Scope::Below(_)) if is_top_level && self.loosens() => Err(
                "an asterisk below a name of at least two labels: a top-level domain is too much to loosen",
            ),
            _ => Ok(()),
        }
    }
}

impl FromStr for What {
    type Err = InvalidWhat;

    fn from_str(text: &str) -> Result<Self, InvalidWhat> {
        let mut words = text.split_ascii_whitespace();
        let first = words.next().unwrap_or_default();
        let rest: Vec<&str> = words.collect();
        Ok(match (first, &rest[..]) {
            ("none", []) => Self::None,
            ("encrypt", []) => Self::Encrypt,
            ("webpki", []) => Self::Webpki,
            ("mta-sts", []) => Self::MtaSts,
            ("dane", []) => Self::Dane,
            ("nta", []) => Self::Nta,
            ("pin", pins) if (1..=MOST_PINS).contains(&pins.len()) => {
                let pins = pins.iter().map(|pin| pin.parse());
                Self::Pin(pins.collect::<Result<_, _>>()?)
            }
            ("pin", pins) => return Err(InvalidWhat::Count(pins.len())),
            _ => return Err(InvalidWhat::Word(text.to_owned())),
        })
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())?;
        if let Self::Pin(pins) = self {
            for pin in pins {
                write!(f, " {pin}")?;
            }
        }
        Ok(())
    }
}

impl FromStr for Pin {
    type Err = InvalidWhat;

    fn from_str(text: &str) -> Result<Self, InvalidWhat> {
        text.strip_prefix("sha256/")
            .and_then(|encoded| BASE64.decode(encoded.as_bytes()).ok())
            .and_then(|octets| octets.try_into().ok())
            .map(Self)
            .ok_or_else(|| InvalidWhat::Pin(text.to_owned()))
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256/{}", BASE64.encode(&self.0))
    }
}
