//! The lab's certificates: a public-style hierarchy, a private one for DANE-TA, and leaves good and bad.
//!
//! [`Pki`] makes a fresh set of P-256 keys at start; its "lab root" is what the proxy is told to trust for MTA-STS.
//! [`Identity`] is one certificate chain with its key, and knows what TLSA records about it say (RFC 6698 §2.1).

use std::collections::BTreeMap;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer as Signer, KeyPair, KeyUsagePurpose, PublicKeyData, date_time_ymd,
};
use ring::digest;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// The certification authorities.
pub struct Pki {
    root: Ca,
    intermediate: Ca,
    private: Ca,
    provider: Arc<CryptoProvider>,
}

type Ca = CertifiedIssuer<'static, KeyPair>;

/// Who vouches for a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Issuer {
    /// The lab root, through its intermediate.
    Public,
    /// The private CA, which nobody trusts but for a TLSA record.
    Private,
    /// Itself.
    SelfSigned,
}

/// Whether a leaf is in date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// It is.
    Current,
    /// It was, years ago.
    Expired,
}

/// A leaf to be made.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// Who vouches for it.
    pub issuer: Issuer,
    /// Its DNS-IDs.
    pub names: Vec<String>,
    /// Its dates.
    pub validity: Validity,
}

/// Keys or certificates cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A certificate cannot be made.
    #[error("a certificate cannot be made: {0}")]
    Certificate(#[from] rcgen::Error),
    /// A certificate cannot be served.
    #[error("a certificate cannot be served: {0}")]
    Tls(#[from] rustls::Error),
}

/// A chain as it is presented, leaf first, with the leaf's key.
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    leaf_spki: Vec<u8>,
    issuer_spki: Vec<u8>,
    certified: Arc<CertifiedKey>,
}

/// The parameters of a TLSA record, as numbers, so that unusable ones can be published too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Association {
    /// 0 PKIX-TA, 1 PKIX-EE, 2 DANE-TA, 3 DANE-EE.
    pub usage: u8,
    /// 0 the certificate, 1 its SubjectPublicKeyInfo.
    pub selector: u8,
    /// 0 the data itself, 1 SHA-256, 2 SHA-512.
    pub matching: u8,
}

impl Pki {
    /// Makes the authorities.
    ///
    /// # Errors
    /// When keys or certificates cannot be made.
    pub fn generate() -> Result<Self, PkiError> {
        let root = Ca::self_signed(authority("Danelaw lab root"), KeyPair::generate()?)?;
        let intermediate = Ca::signed_by(
            authority("Danelaw lab intermediate"),
            KeyPair::generate()?,
            &root,
        )?;
        let private = Ca::self_signed(authority("A private mail CA"), KeyPair::generate()?)?;
        Ok(Self {
            root,
            intermediate,
            private,
            provider: Arc::new(rustls::crypto::ring::default_provider()),
        })
    }

    /// The lab root, for the proxy to trust.
    #[must_use]
    pub fn root_pem(&self) -> String {
        self.root.pem()
    }

    /// Makes a leaf and the chain to present with it.
    ///
    /// # Errors
    /// When a name is none, or keys cannot be made.
    pub fn identity(&self, leaf: &Leaf) -> Result<Identity, PkiError> {
        let key = KeyPair::generate()?;
        let params = leaf_params(leaf)?;
        let own_spki = key.subject_public_key_info();
        let (chain, issuer_spki) = match leaf.issuer {
            Issuer::Public => self.signed(&params, &key, &self.intermediate)?,
            Issuer::Private => self.signed(&params, &key, &self.private)?,
            Issuer::SelfSigned => {
                let leaf = params.self_signed(&key)?;
                (vec![leaf.der().clone()], own_spki.clone())
            }
        };
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let certified = CertifiedKey::from_der(chain.clone(), private, &self.provider)?;
        Ok(Identity {
            chain,
            leaf_spki: own_spki,
            issuer_spki,
            certified: Arc::new(certified),
        })
    }

    fn signed(
        &self,
        params: &CertificateParams,
        key: &KeyPair,
        ca: &Ca,
    ) -> Result<(Vec<CertificateDer<'static>>, Vec<u8>), PkiError> {
        let signer: &Signer<'static, KeyPair> = ca;
        let leaf = params.signed_by(key, signer)?;
        let spki = signer.key().subject_public_key_info();
        Ok((vec![leaf.der().clone(), ca.der().clone()], spki))
    }

    /// A TLS server that chooses by SNI among `identities`, and presents the first where nothing fits.
    ///
    /// # Errors
    /// When the provider cannot serve.
    pub fn server(
        &self,
        identities: Vec<(String, &Identity)>,
    ) -> Result<Arc<ServerConfig>, PkiError> {
        let fallback = identities
            .first()
            .map(|(_, identity)| Arc::clone(&identity.certified));
        let by_name = identities
            .into_iter()
            .map(|(name, identity)| (name, Arc::clone(&identity.certified)))
            .collect();
        let config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(BySni { by_name, fallback }));
        Ok(Arc::new(config))
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut params = dated(Validity::Current);
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn leaf_params(leaf: &Leaf) -> Result<CertificateParams, rcgen::Error> {
    let dates = dated(leaf.validity);
    let mut params = CertificateParams::new(leaf.names.clone())?;
    (params.not_before, params.not_after) = (dates.not_before, dates.not_after);
    params.distinguished_name = dates.distinguished_name;
    if let Some(name) = leaf.names.first() {
        params.distinguished_name.push(DnType::CommonName, name);
    }
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}

/// Fixed dates, so that no clock is read: wide ones, and ones that are over.
fn dated(validity: Validity) -> CertificateParams {
    let (from, until) = match validity {
        Validity::Current => (date_time_ymd(2020, 1, 1), date_time_ymd(2049, 12, 31)),
        Validity::Expired => (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1)),
    };
    let mut params = CertificateParams::default();
    (params.not_before, params.not_after) = (from, until);
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
}

impl Identity {
    /// The leaf.
    #[must_use]
    pub fn leaf(&self) -> &[u8] {
        self.chain.first().map_or(&[], |leaf| leaf)
    }

    /// The certificate association data of a TLSA record that matches this chain: usages 0 and 2 are about the CA at
    /// its end, 1 and 3 about the leaf.
    #[must_use]
    pub fn association(&self, association: Association) -> Vec<u8> {
        let of_authority = association.usage.is_multiple_of(2);
        let content: &[u8] = match (association.selector, of_authority) {
            (1, true) => &self.issuer_spki,
            (1, false) => &self.leaf_spki,
            (_, true) => self.chain.last().map_or(&[], |ca| ca),
            (_, false) => self.leaf(),
        };
        match association.matching {
            1 => digest::digest(&digest::SHA256, content).as_ref().to_vec(),
            2 => digest::digest(&digest::SHA512, content).as_ref().to_vec(),
            _ => content.to_vec(),
        }
    }
}

#[derive(Debug)]
struct BySni {
    by_name: BTreeMap<String, Arc<CertifiedKey>>,
    fallback: Option<Arc<CertifiedKey>>,
}

impl ResolvesServerCert for BySni {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asked = hello
            .server_name()
            .and_then(|name| self.by_name.get(&name.to_ascii_lowercase()));
        asked.or(self.fallback.as_ref()).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use x509_parser::prelude::{FromDer, X509Certificate};

    fn leaf(issuer: Issuer, validity: Validity) -> Leaf {
        Leaf {
            issuer,
            names: vec!["mx.good.test".into()],
            validity,
        }
    }

    #[test]
    fn leaves_are_what_was_asked_for() {
        let pki = Pki::generate().unwrap();
        for (issuer, by, certificates) in [
            (Issuer::Public, "CN=Danelaw lab intermediate", 2),
            (Issuer::Private, "CN=A private mail CA", 2),
            (Issuer::SelfSigned, "CN=mx.good.test", 1),
        ] {
            let identity = pki.identity(&leaf(issuer, Validity::Current)).unwrap();
            let (_, parsed) = X509Certificate::from_der(identity.leaf()).unwrap();
            assert_eq!(parsed.issuer().to_string(), by);
            assert_eq!(identity.chain.len(), certificates, "{issuer:?}");
            assert!(parsed.validity().not_after.timestamp() > 2_000_000_000);
        }
        let expired = pki
            .identity(&leaf(Issuer::Public, Validity::Expired))
            .unwrap();
        let (_, parsed) = X509Certificate::from_der(expired.leaf()).unwrap();
        assert!(parsed.validity().not_after.timestamp() < 1_700_000_000);
    }

    #[test]
    fn association_data_is_about_the_right_certificate() {
        let pki = Pki::generate().unwrap();
        let identity = pki
            .identity(&leaf(Issuer::Private, Validity::Current))
            .unwrap();
        let (_, own) = X509Certificate::from_der(identity.leaf()).unwrap();
        let (_, ca) = X509Certificate::from_der(identity.chain.last().unwrap()).unwrap();
        let sha256 = |data: &[u8]| digest::digest(&digest::SHA256, data).as_ref().to_vec();
        let data = |usage, selector, matching| {
            identity.association(Association {
                usage,
                selector,
                matching,
            })
        };
        assert_eq!(data(3, 1, 1), sha256(own.public_key().raw));
        assert_eq!(data(3, 0, 0), identity.leaf());
        assert_eq!(data(2, 0, 1), sha256(identity.chain.last().unwrap()));
        assert_eq!(data(2, 1, 0), ca.public_key().raw);
        assert_eq!(data(3, 1, 2).len(), 64);
    }
}
