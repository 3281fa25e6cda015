//! The file under the store before SQLite sees it: whose it is, who may write to it, and how it comes into being.
//!
//! SQLite takes an empty file for an empty database. Here an empty file is a truncated one: a new store is prepared
//! under another name and linked into place when it is whole.
#![expect(
    clippy::disallowed_methods,
    reason = "IO: makes the file durable in its folder"
)]

use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::StoreFault;

/// Checks the file that stands at `path`; where none does, `fill` makes one out of an empty file.
pub(super) fn prepare(
    path: &Path,
    fill: impl FnOnce(&Path) -> Result<(), StoreFault>,
) -> Result<(), StoreFault> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) => check(path, &metadata),
        Err(error) if error.kind() == ErrorKind::NotFound => create(path, fill),
        Err(error) => Err(doing("look at it")(error)),
    }
}

/// Device and inode of the file that stands there.
pub(super) fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::symlink_metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

fn check(path: &Path, metadata: &Metadata) -> Result<(), StoreFault> {
    if !metadata.is_file() {
        return Err(StoreFault::NotAFile);
    }
    let ours = nix::unistd::geteuid();
    if metadata.uid() != ours.as_raw() && !ours.is_root() {
        return Err(StoreFault::Owner {
            owner: metadata.uid(),
            ours: ours.as_raw(),
        });
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o022 != 0 {
        return Err(StoreFault::Writable { mode });
    }
    if metadata.len() == 0 {
        return Err(StoreFault::Empty);
    }
    // It lists whom this host writes to.
    if mode & 0o077 != 0 {
        std::fs::set_permissions(path, Permissions::from_mode(0o600))
            .map_err(doing("make it private"))?;
    }
    Ok(())
}

fn create(
    path: &Path,
    fill: impl FnOnce(&Path) -> Result<(), StoreFault>,
) -> Result<(), StoreFault> {
    let folder = folder_of(path);
    if !folder.is_dir() {
        return Err(StoreFault::NoFolder { folder });
    }
    let log = beside(path, "-wal");
    if log.exists() {
        return Err(StoreFault::OrphanedLog { log });
    }
    let draft = beside(path, &format!(".new-{}", std::process::id()));
    remove_if_there(&draft)?;
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .map_err(doing("create it"))?;
    fill(&draft)?;
    // A link, unlike a rename, never replaces what another process has put there meanwhile.
    match std::fs::hard_link(&draft, path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            return Err(doing("put it in place")(error));
        }
        Ok(()) | Err(_) => {}
    }
    remove_if_there(&draft)?;
    File::open(&folder)
        .and_then(|folder| folder.sync_all())
        .map_err(doing("make its folder durable"))
}

pub(super) fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        Some(_) | None => PathBuf::from("."),
    }
}

pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

pub(super) fn remove_if_there(path: &Path) -> Result<(), StoreFault> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(doing("remove its draft")(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

pub(super) fn doing(doing: &'static str) -> impl FnOnce(std::io::Error) -> StoreFault {
    move |error| StoreFault::File { doing, error }
}
