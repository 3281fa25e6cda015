//! Certificates and TLSA records for tests that need chains of their own; the keys are made anew each time.
#![allow(dead_code, reason = "each test crate uses its part")]

use danelaw::dane::presentation::shown;
use danelaw::x509::outline::Outline;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use ring::digest;
use rustls_pki_types::CertificateDer;

/// A certificate with its key.
pub(crate) struct Cert {
    pub(crate) der: CertificateDer<'static>,
    pub(crate) pem: String,
    pub(crate) key: KeyPair,
    params: CertificateParams,
}

impl Cert {
    pub(crate) fn self_signed(params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
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

    fn new(certificate: Certificate, key: KeyPair, params: CertificateParams) -> Self {
        Self {
            pem: certificate.pem(),
            der: certificate.into(),
            key,
            params,
        }
    }

    /// The same key once more.
    pub(crate) fn key_again(&self) -> KeyPair {
        KeyPair::try_from(self.key.serialized_der()).unwrap()
    }

    pub(crate) fn spki(&self) -> &[u8] {
        Outline::parse(&self.der).unwrap().spki
    }

    /// The RDATA of this usage, selector and matching type.
    pub(crate) fn rdata(&self, kind: [u8; 3]) -> Vec<u8> {
        let selected = if kind[1] == 0 {
            &self.der[..]
        } else {
            self.spki()
        };
        let data = match kind[2] {
            0 => selected.to_vec(),
            1 => digest::digest(&digest::SHA256, selected).as_ref().to_vec(),
            _ => digest::digest(&digest::SHA512, selected).as_ref().to_vec(),
        };
        [&kind[..], &data].concat()
    }

    /// The same as in a zone file.
    pub(crate) fn record(&self, kind: [u8; 3]) -> String {
        shown(&self.rdata(kind))
    }
}

/// A server's certificate with these DNS-IDs.
pub(crate) fn server(dns_ids: &[&str]) -> CertificateParams {
    let names: Vec<String> = dns_ids.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params
        .distinguished_name
        .push(DnType::CommonName, "A server");
    params
}

/// A CA's certificate.
pub(crate) fn ca(common_name: &str) -> CertificateParams {
    let mut params = server(&[]);
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
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

/// Root, issuer and leaf, as a domain with a CA of its own has them.
pub(crate) struct Family {
    pub(crate) root: Cert,
    pub(crate) issuer: Cert,
    pub(crate) leaf: Cert,
}

impl Family {
    /// With a leaf of these names.
    pub(crate) fn of(dns_ids: &[&str]) -> Self {
        let root = Cert::self_signed(ca("Root"));
        let issuer = root.issue(ca("Issuer"));
        let leaf = issuer.issue(server(dns_ids));
        Self { root, issuer, leaf }
    }

    /// Leaf first, as a server presents them.
    pub(crate) fn chain(&self) -> [&Cert; 3] {
        [&self.leaf, &self.issuer, &self.root]
    }
}
