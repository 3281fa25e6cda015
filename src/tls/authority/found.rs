//! Makes a local CA: a P-256 key that only its owner can read, and a certificate that signs it.
//!
//! Nothing that exists is overwritten unless it is asked for, and then each file is exchanged whole.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyPair, KeyUsagePurpose,
};
use zeroize::Zeroizing;

use super::{
    AuthorityError, Certificate, Files, LONGEST_COMMON_NAME, date, serial_number, shortly_before,
};
use crate::clock::Timestamp;

/// What kind of CA.
#[derive(Clone, Debug)]
pub struct Charter {
    /// Its common name.
    pub name: CaName,
    /// How long it is valid.
    pub lifetime: Duration,
    /// What to do with files that exist.
    pub existing: Existing,
}

/// The common name of a CA: 1 to 64 printable characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaName(String);

/// A text is no name of a CA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 1 to 64 printable characters")]
pub struct InvalidCaName;

impl std::str::FromStr for CaName {
    type Err = InvalidCaName;

    fn from_str(text: &str) -> Result<Self, InvalidCaName> {
        let is_long = text.chars().count() > LONGEST_COMMON_NAME;
        if text.trim().is_empty() || is_long || text.chars().any(char::is_control) {
            return Err(InvalidCaName);
        }
        Ok(Self(text.to_owned()))
    }
}

/// Files that are there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// They stay, and no CA is made.
    Keep,
    /// They are exchanged.
    Replace,
}

/// Why no CA was made.
#[derive(Debug, thiserror::Error)]
pub enum FoundError {
    /// There is one.
    #[error("{} exists; expected no CA there: give another place, or --force to make a new CA that every mail server must then be told to trust", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A file cannot be written.
    #[error("cannot write {}: {error}; expected a directory that exists and is yours to write to", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The certificate cannot be made.
    #[error("the CA certificate cannot be made: {0}")]
    Certificate(#[from] rcgen::Error),
    /// What was written does not read back.
    #[error(transparent)]
    Unusable(#[from] AuthorityError),
}

/// Makes a CA that is valid from now on.
///
/// # Errors
/// Why not; files that were there are as they were, unless they were to be replaced.
pub fn found(files: &Files, charter: &Charter, now: Timestamp) -> Result<Certificate, FoundError> {
    if charter.existing == Existing::Keep {
        for path in [&files.key, &files.certificate] {
            if fs::symlink_metadata(path).is_ok() {
                return Err(FoundError::Exists { path: path.clone() });
            }
        }
    }
    let key = Zeroizing::new(KeyPair::generate()?);
    let certificate = params(charter, now).self_signed(&*key)?;
    let pem = Zeroizing::new(key.serialize_pem());
    put(&files.key, pem.as_bytes(), SECRET)?;
    if let Err(error) = put(&files.certificate, certificate.pem().as_bytes(), PUBLIC) {
        // A key without its certificate is of no use, and in the way of the next attempt.
        let _ = fs::remove_file(&files.key);
        return Err(error);
    }
    Ok(Certificate::read(&files.certificate)?)
}

fn params(charter: &Charter, now: Timestamp) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let name = charter.name.0.as_str();
    params.distinguished_name.push(DnType::CommonName, name);
    // It signs leaves and no other CA.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = date(shortly_before(now));
    params.not_after = date(now.plus(charter.lifetime));
    params.serial_number = Some(serial_number());
    params
}

/// Writes a new file beside the place and moves it there, so that nobody ever reads half of it.
fn put(path: &Path, octets: &[u8], mode: u32) -> Result<(), FoundError> {
    let unwritable = |error| FoundError::Unwritable {
        path: path.to_owned(),
        error,
    };
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let written = write_new(&beside, octets, mode).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // Left over at worst; the error is told either way.
        let _ = fs::remove_file(&beside);
    }
    written.map_err(unwritable)
}

fn write_new(path: &Path, octets: &[u8], mode: u32) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(octets)?;
    file.sync_all()
}

const SECRET: u32 = 0o600;
const PUBLIC: u32 = 0o644;
