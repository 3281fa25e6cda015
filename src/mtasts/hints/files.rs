//! A list of hints, its signature and its key, as files.
#![expect(clippy::disallowed_methods, reason = "IO: reads three files")]

use std::ffi::OsString;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::{Hints, HintsKey, InvalidHints, InvalidKey, MAX_LIST};

/// Where they are. The signature stands beside the list, with `.sig` behind its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HintsFiles {
    /// The list.
    pub list: PathBuf,
    /// Who signs it.
    pub key: PathBuf,
}

/// Why there are no hints.
#[derive(Debug, thiserror::Error)]
pub enum HintsError {
    /// A file cannot be read.
    #[error("{path}: {source}", path = path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The key is none.
    #[error("{path}: {fault}", path = path.display())]
    Key {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        fault: InvalidKey,
    },
    /// The list is not in order.
    #[error("{path}: {fault}", path = path.display())]
    List {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        fault: InvalidHints,
    },
}

impl HintsError {
    /// The file that is at fault.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Unreadable { path, .. } | Self::Key { path, .. } | Self::List { path, .. } => {
                path
            }
        }
    }
}

impl HintsFiles {
    /// The file of the signature.
    #[must_use]
    pub fn signature(&self) -> PathBuf {
        let mut name = OsString::from(&self.list);
        name.push(".sig");
        name.into()
    }
}

impl Hints {
    /// Reads and verifies.
    ///
    /// # Errors
    /// What is wrong, with the file.
    pub fn load(files: &HintsFiles) -> Result<Self, HintsError> {
        let key = HintsKey::from_pem(&read(&files.key)?).map_err(|fault| HintsError::Key {
            path: files.key.clone(),
            fault,
        })?;
        let (list, signature) = (read(&files.list)?, read(&files.signature())?);
        Self::verified(&list, &signature, &key).map_err(|fault| HintsError::List {
            path: files.list.clone(),
            fault,
        })
    }
}

/// No more than tells that there is too much.
fn read(path: &Path) -> Result<Vec<u8>, HintsError> {
    let mut octets = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_LIST as u64 + 1).read_to_end(&mut octets))
        .map_err(|source| HintsError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
    Ok(octets)
}
