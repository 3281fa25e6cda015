//! What a connection to the destination has shown.

use ring::digest;
use rustls_pki_types::CertificateDer;

use crate::clock::Timestamp;
use crate::name::DnsName;
use crate::smtp::NoTls;
use crate::x509::proof::{Claim, Proof};

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
    /// Whether it went on where an earlier one ended: the certificates are those of that one.
    pub(in crate::tls) resumed: bool,
    /// What need not be proven of these certificates once more.
    pub(in crate::tls) recalled: Vec<Proof>,
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

    /// Whether the certificates are those of an earlier handshake, which this one resumes (RFC 8446 §2.2).
    #[must_use]
    pub const fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// SHA-256 of the certificates, in their order.
    #[must_use]
    pub fn chain_sha256(&self) -> [u8; 32] {
        let mut context = digest::Context::new(&digest::SHA256);
        for certificate in &self.chain {
            context.update(&(certificate.len() as u64).to_be_bytes());
            context.update(certificate);
        }
        let mut octets = [0; 32];
        octets.copy_from_slice(context.finish().as_ref());
        octets
    }

    /// With what was proven by earlier verdicts, about whatever certificates.
    #[must_use]
    pub fn recalling(mut self, proofs: Vec<Proof>) -> Self {
        self.recalled = proofs;
        self
    }

    /// The proof of this claim that holds now.
    #[must_use]
    pub fn recalled(&self, claim: &Claim, now: Timestamp) -> Option<Proof> {
        self.recalled
            .iter()
            .find(|proof| proof.covers(claim, now))
            .copied()
    }

    /// Whether there is anything to recall.
    #[must_use]
    pub const fn recalls(&self) -> bool {
        !self.recalled.is_empty()
    }

    /// A handshake that was never made, for tests of what judges it.
    #[cfg(test)]
    pub(crate) fn asserted(sni: Option<DnsName>, chain: Vec<CertificateDer<'static>>) -> Self {
        let spki = chain
            .first()
            .and_then(|leaf| crate::x509::outline::Outline::parse(leaf).ok())
            .map(|outline| digest::digest(&digest::SHA256, outline.spki));
        Self {
            sni,
            chain,
            version: "TLSv1.3",
            suite: "TEST".into(),
            spki_sha256: spki.map_or([0; 32], |digest| digest.as_ref().try_into().unwrap()),
            resumed: false,
            recalled: Vec::new(),
        }
    }

    /// The same by a ticket, for tests.
    #[cfg(test)]
    pub(crate) fn resumed(self) -> Self {
        Self {
            resumed: true,
            ..self
        }
    }
}
