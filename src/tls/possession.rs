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

#[cfg(test)]
mod tests {
    #![expect(clippy::too_many_lines, reason = "a table is as long as it has rows")]

    use proptest::prelude::*;
    use rcgen::KeyPair;
    use rustls::crypto::ring::default_provider;
    use rustls::internal::msgs::codec::{Codec, Reader};

    use super::*;
    use crate::x509::sample::{Sample, bare, element, server, sign};

    const MESSAGE: &[u8] = b"a handshake";

    fn verifier() -> Possession {
        Possession(default_provider().signature_verification_algorithms)
    }

    fn signed(scheme: SignatureScheme, signature: &[u8]) -> DigitallySignedStruct {
        let mut bytes = u16::from(scheme).to_be_bytes().to_vec();
        bytes.extend(u16::try_from(signature.len()).unwrap().to_be_bytes());
        bytes.extend(signature);
        DigitallySignedStruct::read(&mut Reader::init(&bytes)).unwrap()
    }

    /// Whether a signature proves possession in TLS 1.2 and in TLS 1.3.
    fn proven(leaf: &[u8], scheme: SignatureScheme, signature: &[u8]) -> [bool; 2] {
        let leaf = CertificateDer::from_slice(leaf);
        let signed = signed(scheme, signature);
        [
            verifier()
                .verify_tls12_signature(MESSAGE, &leaf, &signed)
                .is_ok(),
            verifier()
                .verify_tls13_signature(MESSAGE, &leaf, &signed)
                .is_ok(),
        ]
    }

    fn with_key(algorithm: &'static rcgen::SignatureAlgorithm) -> Sample {
        Sample::self_signed_with(server(&[]), KeyPair::generate_for(algorithm).unwrap())
    }

    #[test]
    fn tlsa_13_a_signature_proves_possession_under_its_own_scheme_only() {
        use SignatureScheme as S;
        let p256 = with_key(&rcgen::PKCS_ECDSA_P256_SHA256);
        let p384 = with_key(&rcgen::PKCS_ECDSA_P384_SHA384);
        let ed25519 = with_key(&rcgen::PKCS_ED25519);
        let other = with_key(&rcgen::PKCS_ECDSA_P256_SHA256);
        for (sentence, leaf, scheme, signer, proves) in [
            (
                "P-256",
                &p256,
                S::ECDSA_NISTP256_SHA256,
                &p256,
                [true, true],
            ),
            (
                "P-384",
                &p384,
                S::ECDSA_NISTP384_SHA384,
                &p384,
                [true, true],
            ),
            ("Ed25519", &ed25519, S::ED25519, &ed25519, [true, true]),
            (
                "another key",
                &p256,
                S::ECDSA_NISTP256_SHA256,
                &other,
                [false, false],
            ),
            (
                "another digest",
                &p256,
                S::ECDSA_NISTP384_SHA384,
                &p256,
                [false, false],
            ),
            (
                "another kind of key",
                &p256,
                S::ED25519,
                &p256,
                [false, false],
            ),
            (
                "RSA of a curve",
                &p256,
                S::RSA_PSS_SHA256,
                &p256,
                [false, false],
            ),
            (
                "a scheme that was not offered",
                &p256,
                S::ECDSA_SHA1_Legacy,
                &p256,
                [false, false],
            ),
            (
                "a scheme that nobody knows",
                &p256,
                S::Unknown(0xfe00),
                &p256,
                [false, false],
            ),
        ] {
            let signature = sign(&signer.key, MESSAGE);
            assert_eq!(proven(&leaf.der, scheme, &signature), proves, "{sentence}");
            assert_eq!(
                proven(&leaf.der, scheme, b""),
                [false, false],
                "{sentence}, unsigned"
            );
        }
    }

    #[test]
    fn version_1_2_does_not_bind_an_ecdsa_scheme_to_its_curve_and_version_1_3_does() {
        let leaf = include_bytes!("../../testdata/dane/p256.der");
        let signature = include_bytes!("../../testdata/dane/p256.sha384.sig");
        assert_eq!(
            proven(leaf, SignatureScheme::ECDSA_NISTP384_SHA384, signature),
            [true, false]
        );
        assert_eq!(
            proven(leaf, SignatureScheme::ECDSA_NISTP256_SHA256, signature),
            [false, false],
            "another digest"
        );
    }

    #[test]
    fn tlsa_13_rsa_of_1024_bits_proves_possession_in_version_1_2() {
        use SignatureScheme as S;
        let leaf = include_bytes!("../../testdata/dane/rsa1024.der");
        let sha256 = include_bytes!("../../testdata/dane/rsa1024.sha256.sig");
        let sha512 = include_bytes!("../../testdata/dane/rsa1024.sha512.sig");
        let pss = include_bytes!("../../testdata/dane/rsa1024.pss.sig");
        for (sentence, scheme, signature, proves) in [
            ("SHA-256", S::RSA_PKCS1_SHA256, sha256, [true, false]),
            ("SHA-512", S::RSA_PKCS1_SHA512, sha512, [true, false]),
            (
                "another digest",
                S::RSA_PKCS1_SHA512,
                sha256,
                [false, false],
            ),
            (
                "a digest that is not had for small keys",
                S::RSA_PKCS1_SHA384,
                sha512,
                [false, false],
            ),
            ("SHA-1", S::RSA_PKCS1_SHA1, sha256, [false, false]),
            ("PSS", S::RSA_PSS_SHA256, pss, [false, false]),
        ] {
            assert_eq!(proven(leaf, scheme, signature), proves, "{sentence}");
        }
    }

    #[test]
    fn tlsa_13_an_rsa_key_may_lack_its_null() {
        let leaf = include_bytes!("../../testdata/dane/rsa1024.der");
        let key = split_spki(Outline::parse(leaf).unwrap().spki).unwrap().key;
        let spki = element(
            0x30,
            &[
                &element(0x30, &[RSA_WITHOUT_NULL]),
                &element(0x03, &[&[0], key]),
            ],
        );
        let leaf = bare(&[], &[0x02, 0x01, 0x01], &spki);
        let signature = include_bytes!("../../testdata/dane/rsa1024.sha256.sig");
        assert_eq!(
            proven(&leaf, SignatureScheme::RSA_PKCS1_SHA256, signature),
            [true, false]
        );
    }

    #[test]
    fn keys_that_cannot_be_verified_say_so() {
        for (leaf, unproven) in [
            (
                &include_bytes!("../../testdata/dane/ec-explicit.der")[..],
                Unproven::KeyKind,
            ),
            (
                include_bytes!("../../testdata/dane/ed448.der"),
                Unproven::KeyKind,
            ),
            (
                b"no certificate",
                Unproven::Malformed(Outline::parse(b"no").unwrap_err()),
            ),
        ] {
            let proof = Proof {
                scheme: SignatureScheme::ECDSA_NISTP256_SHA256,
                message: MESSAGE,
                signature: b"",
            };
            let all = verifier().0.all;
            let outcome = proof.check(leaf, all);
            match unproven {
                Unproven::Malformed(_) => assert!(matches!(outcome, Err(Unproven::Malformed(_)))),
                Unproven::KeyKind | Unproven::Signature => assert_eq!(outcome, Err(unproven)),
            }
        }
    }

    #[test]
    fn every_offered_scheme_has_an_algorithm_and_pkcs_1_comes_before_pss() {
        let verifier = verifier();
        for scheme in SCHEMES.iter().chain(&SCHEMES_TLS13) {
            assert!(verifier.algorithms(*scheme).is_some(), "{scheme:?}");
        }
        let offered = verifier.supported_verify_schemes();
        let place = |scheme| offered.iter().position(|offered| *offered == scheme);
        assert!(place(SignatureScheme::RSA_PKCS1_SHA512) < place(SignatureScheme::RSA_PSS_SHA256));
        assert!(!offered.contains(&SignatureScheme::RSA_PKCS1_SHA1));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_prove_anything(
            leaf in prop::collection::vec(any::<u8>(), 0..150),
            signature in prop::collection::vec(any::<u8>(), 0..150),
            scheme in prop::sample::select(&SCHEMES[..]),
        ) {
            prop_assert_eq!(proven(&leaf, scheme, &signature), [false, false]);
        }
    }
}
