//! The socket's file: who may connect, and whose place it may take.
//!
//! The socket is bound under another name, made private and linked into place: nobody can connect before it is
//! private, and a link, unlike a rename, never replaces what stands there.

use std::fs::{self, Metadata, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Why the socket cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("control.socket {path}: {fault}", path = path.display())]
pub struct SocketError {
    /// Where.
    pub path: PathBuf,
    /// What was expected, what was seen, what to do.
    pub fault: SocketFault,
}

/// How that can be.
#[derive(Debug, thiserror::Error)]
pub enum SocketFault {
    /// Somebody listens there.
    #[error("another danelaw answers there: stop it, or give this one a socket of its own")]
    Taken,
    /// Something else stands there.
    #[error(
        "expected no file or a socket that nobody answers, seen {seen}: name another path or move that away"
    )]
    NotASocket {
        /// What.
        seen: &'static str,
    },
    /// The folder is missing.
    #[error(
        "its folder {folder} must exist: create it and give it to the user that danelaw runs as \
         (systemd: RuntimeDirectory=danelaw)",
        folder = folder.display()
    )]
    NoFolder {
        /// Which.
        folder: PathBuf,
    },
    /// The kernel takes no longer path.
    #[error("the path has {octets} octets, the kernel takes {LONGEST}: name a shorter one")]
    TooLong {
        /// How many.
        octets: usize,
    },
    /// The operating system refuses.
    #[error("cannot {doing}: {error}")]
    File {
        /// What was tried.
        doing: &'static str,
        /// What it says.
        error: io::Error,
    },
}

/// `sun_path` without its final NUL.
const LONGEST: usize = 107;

/// The file as long as it is ours; dropping it removes it.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    identity: Identity,
}

/// The same file, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

/// Listens at `path`. A socket that stands there is replaced when nobody answers it; whatever else stands there stays.
pub(super) fn listen(path: &Path) -> Result<(UnixListener, SocketFile), SocketError> {
    let listened = make_way(path).and_then(|()| bind(path));
    listened.map_err(|fault| SocketError {
        path: path.to_owned(),
        fault,
    })
}

fn make_way(path: &Path) -> Result<(), SocketFault> {
    let octets = path.as_os_str().len();
    if octets > LONGEST {
        return Err(SocketFault::TooLong { octets });
    }
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(doing("look at it")(error)),
    };
    if !metadata.file_type().is_socket() {
        let seen = kind(&metadata);
        return Err(SocketFault::NotASocket { seen });
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(SocketFault::Taken),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            remove_stale(path, Identity::of(&metadata))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(doing("find out whether somebody answers it")(error)),
    }
}

/// Only the socket that nobody answered: what another process has put there meanwhile is put back.
fn remove_stale(path: &Path, stale: Identity) -> Result<(), SocketFault> {
    let aside = beside(path, "old");
    match fs::rename(path, &aside) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(doing("remove the one that nobody answers")(error)),
    }
    let moved = fs::symlink_metadata(&aside).map_err(doing("look at it"))?;
    if Identity::of(&moved) != stale {
        fs::hard_link(&aside, path).map_err(doing("put back what another process made"))?;
        remove_if_there(&aside)?;
        return Err(SocketFault::Taken);
    }
    remove_if_there(&aside)
}

fn bind(path: &Path) -> Result<(UnixListener, SocketFile), SocketFault> {
    let folder = folder_of(path);
    if !folder.is_dir() {
        return Err(SocketFault::NoFolder { folder });
    }
    let draft = beside(path, "new");
    remove_if_there(&draft)?;
    let listener = UnixListener::bind(&draft).map_err(doing("make it"))?;
    let placed = place(&listener, &draft, path);
    // Once it is in place it needs no other name, and when it is not, none at all.
    remove_if_there(&draft)?;
    Ok((listener, placed?))
}

fn place(listener: &UnixListener, draft: &Path, path: &Path) -> Result<SocketFile, SocketFault> {
    fs::set_permissions(draft, Permissions::from_mode(0o600)).map_err(doing("make it private"))?;
    listener
        .set_nonblocking(true)
        .map_err(doing("listen at it"))?;
    let metadata = fs::symlink_metadata(draft).map_err(doing("look at it"))?;
    match fs::hard_link(draft, path) {
        Ok(()) => Ok(SocketFile {
            path: path.to_owned(),
            identity: Identity::of(&metadata),
        }),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(SocketFault::Taken),
        Err(error) => Err(doing("put it in place")(error)),
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| Identity::of(&metadata) == self.identity);
        if ours {
            // A file that stays is taken for stale at the next start.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }
}

fn kind(metadata: &Metadata) -> &'static str {
    let kind = metadata.file_type();
    if kind.is_dir() {
        "a folder"
    } else if kind.is_symlink() {
        "a symbolic link"
    } else if kind.is_file() {
        "a regular file"
    } else {
        "something else"
    }
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        Some(_) | None => PathBuf::from("."),
    }
}

/// Short, since the kernel takes no long path.
fn beside(path: &Path, what: &str) -> PathBuf {
    folder_of(path).join(format!(".{what}-{}", std::process::id()))
}

fn remove_if_there(path: &Path) -> Result<(), SocketFault> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(doing("remove its other name")(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn doing(doing: &'static str) -> impl FnOnce(io::Error) -> SocketFault {
    move |error| SocketFault::File { doing, error }
}
