//! The CAs to trust for MTA-STS: a PEM file that the operator names, or the system's store.
//!
//! Certificates that cannot be an anchor are left out with a warning, which trusts less, never more. A file that is not
//! PEM and a store without one usable CA are [`RootsError`]s: with no roots every MTA-STS destination would fail, and
//! the operator must hear of it before mail does.
#![expect(clippy::disallowed_methods, reason = "IO: reads the file of CAs")]

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, TrustAnchor};
use tracing::warn;

use crate::x509::path::Roots;

/// Why there are no roots.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// The file cannot be read.
    #[error("cannot read the CA file {}: {error}; check `ca_file` under [tls]", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The file is not PEM, or is damaged.
    #[error(
        "the CA file {} holds a damaged PEM section after {read} certificates: {error}; expected a bundle of `BEGIN CERTIFICATE` sections",
        path.display()
    )]
    NotPem {
        /// The file.
        path: PathBuf,
        /// How many certificates came before.
        read: usize,
        /// What is wrong.
        error: pem::Error,
    },
    /// The file has no usable CA in it.
    #[error(
        "the CA file {} holds {seen} certificates and none is a usable CA; expected a PEM bundle of CA certificates",
        path.display()
    )]
    EmptyFile {
        /// The file.
        path: PathBuf,
        /// How many certificates are in it.
        seen: usize,
    },
    /// The system's store has no usable CA in it.
    #[error(
        "the system's certificate store holds {seen} certificates and none is a usable CA{}; install the CA certificates package or set `ca_file` under [tls]",
        because(errors)
    )]
    EmptyStore {
        /// How many certificates are in it.
        seen: usize,
        /// What went wrong while it was read.
        errors: Vec<rustls_native_certs::Error>,
    },
}

/// Loads the CAs of `ca_file`, or those of the system where there is none.
///
/// # Errors
/// [`RootsError`] when there is not one CA to trust.
pub fn load(ca_file: Option<&Path>) -> Result<Roots, RootsError> {
    match ca_file {
        Some(path) => from_file(path),
        None => from_system(),
    }
}

impl Roots {
    /// The same CAs for a TLS client that validates by itself, as the one to policy hosts does (RFC 8461 §3.3).
    #[must_use]
    pub fn store(&self) -> RootCertStore {
        RootCertStore {
            roots: self.anchors().to_vec(),
        }
    }
}

/// A TLS client that validates by these CAs.
///
/// # Errors
/// When the provider lacks what rustls needs.
pub fn client_config(roots: &Roots) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots.store())
        .with_no_client_auth())
}

fn from_file(path: &Path) -> Result<Roots, RootsError> {
    let text = std::fs::read(path).map_err(|error| RootsError::Unreadable {
        path: path.to_owned(),
        error,
    })?;
    let mut certificates = Vec::new();
    for section in CertificateDer::pem_slice_iter(&text) {
        certificates.push(section.map_err(|error| RootsError::NotPem {
            path: path.to_owned(),
            read: certificates.len(),
            error,
        })?);
    }
    let anchors = anchors(&certificates);
    if anchors.is_empty() {
        return Err(RootsError::EmptyFile {
            path: path.to_owned(),
            seen: certificates.len(),
        });
    }
    Ok(Roots::new(anchors))
}

fn from_system() -> Result<Roots, RootsError> {
    let store = rustls_native_certs::load_native_certs();
    let anchors = anchors(&store.certs);
    if anchors.is_empty() {
        return Err(RootsError::EmptyStore {
            seen: store.certs.len(),
            errors: store.errors,
        });
    }
    for error in &store.errors {
        warn!(%error, "part of the system's certificate store cannot be read");
    }
    Ok(Roots::new(anchors))
}

fn anchors(certificates: &[CertificateDer<'_>]) -> Vec<TrustAnchor<'static>> {
    let anchors: Vec<_> = certificates
        .iter()
        .filter_map(|certificate| {
            webpki::anchor_from_trusted_cert(certificate)
                .ok()
                .map(|anchor| anchor.to_owned())
        })
        .collect();
    let unusable = certificates.len() - anchors.len();
    if unusable > 0 {
        warn!(
            unusable,
            usable = anchors.len(),
            "some CA certificates cannot be used"
        );
    }
    anchors
}

fn because(errors: &[rustls_native_certs::Error]) -> String {
    errors
        .first()
        .map_or_else(String::new, |error| format!(" ({error})"))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::x509::path::validate;
    use crate::x509::sample::{Sample, T0, ca, server};

    fn file(content: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content.as_bytes()).unwrap();
        file
    }

    #[test]
    fn the_cas_of_a_file_are_trusted_and_no_others() {
        let [first, second, stranger] =
            ["First", "Second", "Stranger"].map(|name| Sample::self_signed(ca(name)));
        let bundle = file(&format!("# comment\n{}\n{}", first.pem, second.pem));
        let roots = load(Some(bundle.path())).unwrap();
        assert_eq!(roots.store().len(), 2);
        let name = "mx.example.com";
        for (root, trusted) in [(&first, true), (&second, true), (&stranger, false)] {
            let leaf = root.issue(server(&[name]));
            let report = validate(&[leaf.der], &roots, &name.parse().unwrap(), T0);
            assert_eq!(report.untrusted.is_none(), trusted);
        }
    }

    #[test]
    fn a_certificate_that_cannot_be_an_anchor_is_left_out() {
        let good = Sample::self_signed(ca("CA")).pem;
        let bad = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
        let bundle = file(&format!("{bad}{good}"));
        assert_eq!(load(Some(bundle.path())).unwrap().anchors().len(), 1);
    }

    #[test]
    fn without_one_usable_ca_there_is_an_error_that_says_what_to_do() {
        let good = Sample::self_signed(ca("CA")).pem;
        let empty = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
        for (sentence, content, expected) in [
            ("an empty file", String::new(), "holds 0 certificates"),
            ("no PEM", "hello".to_owned(), "holds 0 certificates"),
            (
                "no usable certificate",
                empty.to_owned(),
                "holds 1 certificates and none",
            ),
            (
                "a damaged section after a good one",
                format!("{good}-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n"),
                "damaged PEM section after 1 certificates",
            ),
            (
                "a section without an end",
                "-----BEGIN CERTIFICATE-----\nMAA=\n".to_owned(),
                "damaged PEM section after 0 certificates",
            ),
        ] {
            let message = load(Some(file(&content).path())).unwrap_err().to_string();
            assert!(message.contains(expected), "{sentence}: {message}");
            assert!(message.contains("expected a"), "{sentence}: {message}");
        }
        let absent = load(Some(Path::new("/nonexistent/ca.pem"))).unwrap_err();
        assert!(matches!(absent, RootsError::Unreadable { .. }));
        assert!(absent.to_string().contains("/nonexistent/ca.pem"));
    }

    #[test]
    fn the_system_s_store_has_roots_or_is_an_error() {
        match load(None) {
            Ok(roots) => assert!(!roots.anchors().is_empty()),
            Err(error) => assert!(error.to_string().contains("set `ca_file`"), "{error}"),
        }
    }
}
