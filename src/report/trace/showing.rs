//! What a connection to the destination showed, as it stands in a trace: how the channel came about, and each certificate
//! in short and whole.

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::calendar::written;
use crate::clock::Timestamp;
use crate::dane::presentation::hex;
use crate::smtp::NoTls;
use crate::tls::{Evidence, Handshake};
use crate::x509::names::Names;
use crate::x509::outline::Outline;

/// What was shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Showing {
    /// The name that TLS asked for last.
    pub sni: Option<String>,
    /// How the channel came about.
    pub channel: Channel,
}

/// A channel, or what there is instead of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Channel {
    /// TLS.
    Tls(Tls),
    /// STARTTLS was not offered.
    NoStarttls,
    /// It was answered with this code.
    StarttlsRefused(u16),
    /// Dialled again without TLS, since the handshake had failed so.
    ClearAfter(String),
    /// The handshake failed and the connection is gone: why.
    Broken(String),
}

/// A finished handshake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tls {
    /// `TLSv1.2`, `TLSv1.3`.
    pub version: String,
    /// The cipher suite.
    pub suite: String,
    /// Whether the certificates are those of an earlier handshake, which this one resumed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub resumed: bool,
    /// The certificates as presented, leaf first.
    pub chain: Vec<Certificate>,
}

/// A certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Whose; none when it cannot be read.
    pub subject: Option<String>,
    /// Whose signature it has.
    pub issuer: Option<String>,
    /// From when.
    pub not_before: Option<String>,
    /// Until when.
    pub not_after: Option<String>,
    /// The names that it is for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// SHA-256 of the public key, as in `3 1 1` TLSA records.
    pub spki_sha256: Option<String>,
    /// SHA-256 of the whole.
    pub sha256: String,
    /// The whole, hexadecimal; none when it was left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub der: Option<String>,
}

impl Showing {
    /// What evidence shows; `sni` is the name asked for last, where the evidence is not a handshake.
    #[must_use]
    pub fn of(evidence: &Evidence, sni: Option<String>) -> Self {
        let channel = match evidence {
            Evidence::Protected(handshake) => {
                return Self {
                    sni: handshake.sni().map(ToString::to_string),
                    channel: Channel::Tls(Tls::from(handshake)),
                };
            }
            Evidence::Clear(NoTls::NotOffered) => Channel::NoStarttls,
            Evidence::Clear(NoTls::Refused(code)) => Channel::StarttlsRefused(*code),
            Evidence::Clear(NoTls::HandshakeFailed(what)) => Channel::ClearAfter(what.clone()),
            Evidence::Broken(what) => Channel::Broken(what.clone()),
        };
        Self { sni, channel }
    }

    /// Keeps of the certificates what is said of them.
    pub fn forget_certificates(&mut self) {
        if let Channel::Tls(tls) = &mut self.channel {
            tls.chain.truncate(MOST_CERTIFICATES);
            for certificate in &mut tls.chain {
                certificate.der = None;
                certificate.names.truncate(MOST_NAMES);
            }
        }
    }
}

impl From<&Handshake> for Tls {
    fn from(handshake: &Handshake) -> Self {
        let chain = handshake.chain().iter();
        Self {
            version: handshake.version().to_owned(),
            suite: handshake.suite().to_owned(),
            resumed: handshake.is_resumed(),
            chain: chain.map(|der| Certificate::of(der)).collect(),
        }
    }
}

impl Certificate {
    /// In short and whole. One that cannot be read is whole all the same.
    #[must_use]
    pub fn of(der: &[u8]) -> Self {
        let sha256 = |octets: &[u8]| hex(digest(&SHA256, octets).as_ref());
        let parsed = X509Certificate::from_der(der).ok();
        let parsed = parsed.as_ref().map(|(_, certificate)| certificate);
        let date = |at: i64| {
            u64::try_from(at)
                .map_or_else(|_| at.to_string(), |at| written(Timestamp::from_unix(at)))
        };
        let validity = parsed.map(|certificate| certificate.validity());
        Self {
            subject: parsed.map(|one| short(one.subject().to_string())),
            issuer: parsed.map(|one| short(one.issuer().to_string())),
            not_before: validity.map(|one| date(one.not_before.timestamp())),
            not_after: validity.map(|one| date(one.not_after.timestamp())),
            names: Names::of(der).shown().into_iter().map(short).collect(),
            spki_sha256: Outline::parse(der).ok().map(|outline| sha256(outline.spki)),
            sha256: sha256(der),
            der: Some(hex(der)),
        }
    }
}

/// A name can be as long as its certificate.
fn short(text: String) -> String {
    const LONGEST: usize = 300;
    if text.chars().count() <= LONGEST {
        return text;
    }
    let mut cut: String = text.chars().take(LONGEST).collect();
    cut.push('…');
    cut
}

const MOST_CERTIFICATES: usize = 10;

const MOST_NAMES: usize = 100;
