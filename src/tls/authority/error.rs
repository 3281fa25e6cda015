//! Why there is no local CA, in words that say what to do.

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};

/// Why a CA cannot be taken into service or looked at.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A file cannot be read.
    #[error("cannot read {}: {error}; expected the local CA there: `danelaw ca init` makes one, and its key must belong to the user that runs danelaw", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The certificate is none, or none of a CA.
    #[error("{} is not usable as a CA certificate: {why}; expected a PEM file with the CA's own certificate first", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The certificate is not valid yet, or no longer.
    #[error("the CA certificate {} is not valid today; `danelaw ca show` tells its dates, `danelaw ca init --force` makes a new one", path.display())]
    OutOfDate {
        /// The file.
        path: PathBuf,
    },
    /// The key is none.
    #[error("{} is not usable as the CA's key: {why}; expected PKCS #8 in PEM (BEGIN PRIVATE KEY), not encrypted", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The key is open to everybody.
    #[error("the CA's key {} is open to everybody on this host (mode {mode:03o}); expected mode 600: chmod 600 it, or make a new CA if others were on this host", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The key belongs to another certificate.
    #[error("the key {} is not the one of the CA certificate {}; expected a pair as `danelaw ca init` makes it", key.display(), certificate.display())]
    Mismatch {
        /// The certificate.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
    },
}

impl AuthorityError {
    pub(super) fn unreadable(path: &Path, error: io::Error) -> Self {
        Self::Unreadable {
            path: path.to_owned(),
            error,
        }
    }

    pub(super) fn no_certificate(path: &Path, why: &dyn Display) -> Self {
        Self::Certificate {
            path: path.to_owned(),
            why: why.to_string(),
        }
    }

    pub(super) fn no_key(path: &Path, why: &dyn Display) -> Self {
        Self::Key {
            path: path.to_owned(),
            why: why.to_string(),
        }
    }

    /// The file that is to blame.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Unreadable { path, .. }
            | Self::Certificate { path, .. }
            | Self::OutOfDate { path }
            | Self::Key { path, .. }
            | Self::Exposed { path, .. }
            | Self::Mismatch { key: path, .. } => path,
        }
    }
}
