//! Certificates for tests: well-formed ones by rcgen, misshapen ones element by element.

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CustomExtension, DnType, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PublicKeyData, SigningKey as _,
};
use rustls_pki_types::CertificateDer;

use crate::clock::Timestamp;

/// 2026-01-01, when all samples are valid that are not made otherwise.
pub(crate) const T0: Timestamp = Timestamp::from_unix(1_767_225_600);

/// A certificate with its key.
pub(crate) struct Sample {
    pub(crate) der: CertificateDer<'static>,
    pub(crate) pem: String,
    pub(crate) key: KeyPair,
    params: CertificateParams,
}

impl Sample {
    pub(crate) fn self_signed(params: CertificateParams) -> Self {
        Self::self_signed_with(params, KeyPair::generate().unwrap())
    }

    pub(crate) fn self_signed_with(params: CertificateParams, key: KeyPair) -> Self {
        Self::new(params.self_signed(&key).unwrap(), key, params)
    }

    /// Issues a certificate with a key of its own.
    pub(crate) fn issue(&self, params: CertificateParams) -> Self {
        self.issue_to(params, KeyPair::generate().unwrap())
    }

    pub(crate) fn issue_to(&self, params: CertificateParams, key: KeyPair) -> Self {
        let issuer = Issuer::from_params(&self.params, &self.key);
        Self::new(params.signed_by(&key, &issuer).unwrap(), key, params)
    }

    /// Certifies a key that somebody else has.
    pub(crate) fn certify(
        &self,
        params: CertificateParams,
        key: &impl PublicKeyData,
    ) -> CertificateDer<'static> {
        let issuer = Issuer::from_params(&self.params, &self.key);
        params.signed_by(key, &issuer).unwrap().into()
    }

    fn new(certificate: Certificate, key: KeyPair, params: CertificateParams) -> Self {
        Self {
            pem: certificate.pem(),
            der: certificate.into(),
            key,
            params,
        }
    }

    /// The same key once more, for another certificate of it.
    pub(crate) fn key_again(&self) -> KeyPair {
        KeyPair::try_from(self.key.serialized_der()).unwrap()
    }

    pub(crate) fn spki(&self) -> &[u8] {
        super::outline::Outline::parse(&self.der).unwrap().spki
    }
}

/// A server's certificate with these DNS-IDs and a common name that is no host name.
pub(crate) fn server(dns_ids: &[&str]) -> CertificateParams {
    let names: Vec<String> = dns_ids.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params
        .distinguished_name
        .push(DnType::CommonName, "A server");
    params
}

/// A server's certificate with a common name and no subjectAltName.
pub(crate) fn server_by_cn(common_name: &str) -> CertificateParams {
    let mut params = server(&[]);
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params
}

/// A CA's certificate.
pub(crate) fn ca(common_name: &str) -> CertificateParams {
    let mut params = server_by_cn(common_name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// Valid from one year's first day to another's.
pub(crate) fn between(mut params: CertificateParams, from: i32, to: i32) -> CertificateParams {
    params.not_before = rcgen::date_time_ymd(from, 1, 1);
    params.not_after = rcgen::date_time_ymd(to, 1, 1);
    params
}

/// With an extension of any content.
pub(crate) fn extended(
    mut params: CertificateParams,
    oid: &[u64],
    content: Vec<u8>,
) -> CertificateParams {
    params
        .custom_extensions
        .push(CustomExtension::from_oid_content(oid, content));
    params
}

/// With a critical extension that nobody knows.
pub(crate) fn with_unknown_critical(mut params: CertificateParams) -> CertificateParams {
    let mut extension =
        CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 55_555, 1], vec![0x05, 0x00]);
    extension.set_criticality(true);
    params.custom_extensions.push(extension);
    params
}

/// subjectAltName.
pub(crate) const SAN: [u64; 4] = [2, 5, 29, 17];

/// One DER element.
pub(crate) fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut element = vec![tag];
    match u16::try_from(content.len()).unwrap() {
        short @ 0..0x80 => element.push(u8::try_from(short).unwrap()),
        long => {
            element.push(0x82);
            element.extend(long.to_be_bytes());
        }
    }
    element.extend(content);
    element
}

/// A certificate that holds this key, and of everything else as little as there can be.
pub(crate) fn bare(version: &[u8], serial: &[u8], spki: &[u8]) -> Vec<u8> {
    let empty = element(0x30, &[]);
    let tbs = element(
        0x30,
        &[version, serial, &empty, &empty, &empty, &empty, spki],
    );
    element(0x30, &[&tbs, &empty, &element(0x03, &[])])
}

/// A signature by a sample's key.
pub(crate) fn sign(key: &KeyPair, message: &[u8]) -> Vec<u8> {
    key.sign(message).unwrap()
}
