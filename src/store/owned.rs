//! One proxy works with a file at a time: what two of them learn would overwrite each other without any rule, and one could
//! move a file aside that the other goes by. Commands write beside the proxy, and need not own it.
//!
//! The owner holds a lock on `NAME.lock` beside the store (`flock`), which the kernel releases when the process ends, however
//! it ends: what a killed one leaves behind blocks nobody. The file stays there; in it is the owner's process id, for people.
//!
//! A process that takes another one's place while that one still finishes its sessions calls [`take_over`]; the other one
//! lets go with [`Owned::release`] and writes on as a command does.
#![expect(
    clippy::disallowed_methods,
    reason = "IO: locks a file, and waits for it"
)]

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::file::{beside, doing, folder_of};
use super::{StoreError, StoreFault};
use crate::config::StorePlace;

/// The right to a file, as long as it is held.
#[derive(Debug)]
pub struct Owned {
    lock: Option<File>,
}

/// Makes this process the owner of the file that `place` names, if it names one. Blocks.
///
/// # Errors
/// When another process is.
pub fn take(place: &StorePlace) -> Result<Owned, StoreError> {
    take_over(place, Duration::ZERO)
}

/// The same, and waits so long for another process to let go of it. Blocks.
///
/// # Errors
/// When it does not.
pub fn take_over(place: &StorePlace, patience: Duration) -> Result<Owned, StoreError> {
    let Some(path) = file_of(place) else {
        return Ok(Owned { lock: None });
    };
    let until = Instant::now() + patience;
    loop {
        match lock(path) {
            Err(StoreFault::Owned { .. }) if Instant::now() < until => std::thread::sleep(PAUSE),
            Ok(file) => return Ok(Owned { lock: Some(file) }),
            Err(fault) => {
                return Err(StoreError {
                    place: path.display().to_string(),
                    fault,
                });
            }
        }
    }
}

impl Owned {
    /// Another process may own it from now on.
    pub fn release(&mut self) {
        self.lock = None;
    }
}

fn file_of(place: &StorePlace) -> Option<&Path> {
    match place {
        StorePlace::File(path) => Some(path),
        StorePlace::Database { snapshot, .. } => snapshot.as_deref(),
        StorePlace::Memory => None,
    }
}

fn lock(path: &Path) -> Result<File, StoreFault> {
    let folder = folder_of(path);
    if !folder.is_dir() {
        return Err(StoreFault::NoFolder { folder });
    }
    let path = lock_of(path);
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(nix::libc::O_NOFOLLOW)
        .open(&path);
    let mut file = opened.map_err(doing("open its lock, NAME.lock beside it"))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut owner = String::new();
            // Who it is is told where it can be known.
            let _ = (&file).take(16).read_to_string(&mut owner);
            return Err(StoreFault::Owned {
                owner: owner.trim().parse().ok(),
                lock: path,
            });
        }
        Err(TryLockError::Error(error)) => return Err(doing("lock it")(error)),
    }
    let mut sign = || {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())
    };
    // On a full disk it is locked all the same.
    let _ = sign();
    Ok(file)
}

fn lock_of(path: &Path) -> PathBuf {
    beside(path, ".lock")
}

/// Between looks at another one's lock.
const PAUSE: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    fn place(folder: &tempfile::TempDir) -> StorePlace {
        StorePlace::File(folder.path().join("danelaw.db"))
    }

    #[test]
    fn a_file_has_one_owner_and_whoever_comes_second_hears_who_it_is_and_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let first = take(&place(&folder)).unwrap();
        let complaint = take(&place(&folder)).unwrap_err().to_string();
        let pid = format!("pid {}", std::process::id());
        for part in [pid.as_str(), "store.url", "store.path", "danelaw.db.lock"] {
            assert!(complaint.contains(part), "{part} in {complaint}");
        }
        drop(first);
        take(&place(&folder)).unwrap();
    }

    #[test]
    fn what_a_killed_owner_leaves_behind_blocks_nobody() {
        let folder = tempfile::tempdir().unwrap();
        for left in ["4194304\n", "", "what is this"] {
            std::fs::write(folder.path().join("danelaw.db.lock"), left).unwrap();
            take(&place(&folder)).unwrap();
        }
    }

    #[test]
    fn a_lock_that_is_a_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("precious");
        std::fs::write(&target, "kept").unwrap();
        std::os::unix::fs::symlink(&target, folder.path().join("danelaw.db.lock")).unwrap();
        assert!(take(&place(&folder)).is_err());
        assert_eq!(std::fs::read(&target).unwrap(), b"kept");
    }

    #[test]
    fn whoever_takes_over_waits_until_the_owner_lets_go() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = take(&place(&folder)).unwrap();
        let place = place(&folder);
        let second = std::thread::spawn(move || take_over(&place, Duration::from_secs(60)));
        first.release();
        let second = second.join().unwrap().unwrap();
        assert!(second.lock.is_some());
    }

    #[test]
    fn what_is_no_file_needs_no_owner() {
        assert!(take(&StorePlace::Memory).unwrap().lock.is_none());
    }
}
