//! What a connection to the destination has shown.

use rustls_pki_types::CertificateDer;

use crate::name::DnsName;
use crate::smtp::NoTls;

/// The state of the channel to the destination.
#[derive(Clone, Debug)]
pub enum Evidence {
    /// TLS, with possession of the leaf's key proven.
    Protected(Handshake),
    /// A usable connection without TLS, and why.
    Clear(NoTls),
    /// The handshake failed and the connection is gone: why.
    Broken(String),
}

/// A finished handshake. Made in `tls` only, after the peer has proven possession of the leaf's key.
#[derive(Clone, Debug)]
pub struct Handshake {
    pub(in crate::tls) sni: Option<DnsName>,
    pub(in crate::tls) chain: Vec<CertificateDer<'static>>,
    pub(in crate::tls) version: &'static str,
    pub(in crate::tls) suite: String,
    pub(in crate::tls) spki_sha256: [u8; 32],
}

impl Handshake {
    /// The name that was asked for.
    #[must_use]
    pub const fn sni(&self) -> Option<&DnsName> {
        self.sni.as_ref()
    }

    /// The certificates as presented, leaf first, at least one.
    #[must_use]
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// `TLSv1.2` or `TLSv1.3`.
    #[must_use]
    pub const fn version(&self) -> &'static str {
        self.version
    }

    /// The cipher suite's name.
    #[must_use]
    pub fn suite(&self) -> &str {
        &self.suite
    }

    /// The pin in hexadecimal, as `3 1 1` TLSA records have it.
    #[must_use]
    pub fn pin(&self) -> String {
        self.spki_sha256
            .iter()
            .map(|octet| format!("{octet:02x}"))
            .collect()
    }

    /// SHA-256 of the leaf's SubjectPublicKeyInfo: the pin.
    #[must_use]
    pub const fn spki_sha256(&self) -> &[u8; 32] {
        &self.spki_sha256
    }

    /// A handshake that was never made, for tests of what judges it.
    #[cfg(test)]
    pub(crate) fn asserted(sni: Option<DnsName>, chain: Vec<CertificateDer<'static>>) -> Self {
        let spki = chain
            .first()
            .and_then(|leaf| crate::x509::outline::Outline::parse(leaf).ok())
            .map(|outline| ring::digest::digest(&ring::digest::SHA256, outline.spki));
        Self {
            sni,
            chain,
            version: "TLSv1.3",
            suite: "TEST".into(),
            spki_sha256: spki.map_or([0; 32], |digest| digest.as_ref().try_into().unwrap()),
        }
    }
}
