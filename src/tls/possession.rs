//! Proof that the server has the key of its leaf certificate, and of nothing else.
//!
//! The verifier reads the public key from the leaf's [`Outline`] and checks the handshake's signature with it
//! (RFC 8446 §4.4.3, RFC 5246 §7.4.3), so that certificates which no path validation would take still prove what
//! DANE-EE asks for. It accepts every chain and every name: those are judged after the handshake, from what was seen.
//! It holds no state and is one for all connections.

use std::sync::Arc;

use ring::signature::{
    RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
    UnparsedPublicKey,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, PeerMisbehaved, SignatureScheme,
};
use rustls_pki_types::{
    CertificateDer, ServerName, SignatureVerificationAlgorithm, UnixTime, alg_id,
};

use crate::x509::outline::{KeyParts, Malformed, Outline, split_spki};

/// Why possession of the key is not proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unproven {
    /// There is no key to be found.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The key does not go with the scheme, or is of a kind that is not known.
    #[error("the certificate's key is of a kind that cannot be verified")]
    KeyKind,
    /// The signature is not by this key.
    #[error("the server has not proven that the certificate's key is its own")]
    Signature,
}

/// The verifier.
#[derive(Debug)]
pub(super) struct Possession(pub(super) WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Possession {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match Outline::parse(leaf) {
            Ok(_) => Ok(ServerCertVerified::assertion()),
            Err(malformed) => Err(refusal(malformed.into())),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        // TLS 1.2 does not bind an ECDSA scheme to a curve: all algorithms of the scheme may be meant.
        let algorithms = advertised(signed.scheme, &SCHEMES)
            .and_then(|scheme| self.algorithms(scheme))
            .ok_or(UNADVERTISED)?;
        let proof = Proof {
            scheme: signed.scheme,
            message,
            signature: signed.signature(),
        };
        proof
            .check(leaf, algorithms)
            .or_else(|unproven| proof.check_small_rsa(leaf).map_err(|_| unproven))
            .map(|()| HandshakeSignatureValid::assertion())
            .map_err(refusal)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        // RFC 8446 §4.2.3: no PKCS #1 in handshakes, and ECDSA schemes are bound to their curve, which comes first.
        let algorithms = advertised(signed.scheme, &SCHEMES_TLS13)
            .and_then(|scheme| self.algorithms(scheme))
            .and_then(|algorithms| algorithms.get(..1))
            .ok_or(UNADVERTISED)?;
        let proof = Proof {
            scheme: signed.scheme,
            message,
            signature: signed.signature(),
        };
        proof
            .check(leaf, algorithms)
            .map(|()| HandshakeSignatureValid::assertion())
            .map_err(refusal)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        SCHEMES.to_vec()
    }
}

impl Possession {
    fn algorithms(&self, scheme: SignatureScheme) -> Option<Algorithms> {
        self.0
            .mapping
            .iter()
            .find(|(mapped, _)| *mapped == scheme)
            .map(|(_, algorithms)| *algorithms)
    }
}

type Algorithms = &'static [&'static dyn SignatureVerificationAlgorithm];

/// rustls leaves it to the verifier to see that a scheme was offered at all.
fn advertised(scheme: SignatureScheme, among: &[SignatureScheme]) -> Option<SignatureScheme> {
    among.contains(&scheme).then_some(scheme)
}

fn refusal(unproven: Unproven) -> Error {
    Error::InvalidCertificate(match unproven {
        Unproven::Malformed(_) | Unproven::KeyKind => {
            CertificateError::Other(OtherError(Arc::new(unproven)))
        }
        // The variant that makes rustls send decrypt_error (RFC 8446 §4.4.3).
        Unproven::Signature => CertificateError::BadSignature,
    })
}

/// A signature over a handshake.
struct Proof<'a> {
    scheme: SignatureScheme,
    message: &'a [u8],
    signature: &'a [u8],
}

impl Proof<'_> {
    fn check(
        &self,
        leaf: &[u8],
        algorithms: &[&dyn SignatureVerificationAlgorithm],
    ) -> Result<(), Unproven> {
        let KeyParts { algorithm, key } = split_spki(Outline::parse(leaf)?.spki)?;
        // RFC 3279 §2.3.1 wants a NULL for RSA's parameters; some certificates leave it out.
        let algorithm = if algorithm == RSA_WITHOUT_NULL {
            alg_id::RSA_ENCRYPTION.as_ref()
        } else {
            algorithm
        };
        let mut known = algorithms
            .iter()
            .filter(|candidate| candidate.public_key_alg_id().as_ref() == algorithm)
            .peekable();
        if known.peek().is_none() {
            return Err(Unproven::KeyKind);
        }
        known
            .find_map(|candidate| {
                candidate
                    .verify_signature(key, self.message, self.signature)
                    .ok()
            })
            .ok_or(Unproven::Signature)
    }

    /// RSA keys of 1024 bits still stand in front of mail servers, and a DANE-EE record may name one; they sign by
    /// PKCS #1 in TLS 1.2 only.
    fn check_small_rsa(&self, leaf: &[u8]) -> Result<(), Unproven> {
        let KeyParts { algorithm, key } = split_spki(Outline::parse(leaf)?.spki)?;
        if algorithm != RSA_WITHOUT_NULL && algorithm != alg_id::RSA_ENCRYPTION.as_ref() {
            return Err(Unproven::KeyKind);
        }
        let parameters = if self.scheme == SignatureScheme::RSA_PKCS1_SHA256 {
            &RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY
        } else if self.scheme == SignatureScheme::RSA_PKCS1_SHA512 {
            &RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY
        } else {
            return Err(Unproven::KeyKind);
        };
        UnparsedPublicKey::new(parameters, key)
            .verify(self.message, self.signature)
            .map_err(|_| Unproven::Signature)
    }
}

const UNADVERTISED: Error =
    Error::PeerMisbehaved(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme);

/// What is offered, preferred first. PKCS #1 stands before PSS, because small RSA keys can be verified with it alone.
const SCHEMES: [SignatureScheme; 9] = [
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::ED25519,
    SignatureScheme::RSA_PKCS1_SHA256,
    SignatureScheme::RSA_PKCS1_SHA384,
    SignatureScheme::RSA_PKCS1_SHA512,
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PSS_SHA384,
    SignatureScheme::RSA_PSS_SHA512,
];

const SCHEMES_TLS13: [SignatureScheme; 6] = [
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::ED25519,
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PSS_SHA384,
    SignatureScheme::RSA_PSS_SHA512,
];

/// The OID rsaEncryption without parameters.
const RSA_WITHOUT_NULL: &[u8] = &[
    0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01,
];
