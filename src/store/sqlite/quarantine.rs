//! A damaged file: moved aside under a name of its own, what it still proves in its place.
//!
//! The new file is whole on disk before the old one is touched. The last steps can be repeated: a process that is killed
//! between them finds the finished file under its waiting name and goes on. Nothing is ever overwritten or deleted.
#![expect(
    clippy::disallowed_methods,
    reason = "IO: moves files and makes them durable"
)]

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use tracing::error;

use super::salvage::{Salvaged, salvage};
use super::{APPLICATION_ID, connect, migrate, pragma, rows, sqlite};
use crate::clock::Timestamp;
use crate::store::file::{beside, doing, folder_of, remove_if_there};
use crate::store::{Kind, Query, Row, StoreFault};

/// Puts what is whole in the place of the damaged file; the fault stands where nothing is.
pub(super) fn mend(path: &Path, fault: StoreFault, now: Timestamp) -> Result<(), StoreFault> {
    let draft = beside(path, ".mending");
    for suffix in ["", "-journal", "-wal", "-shm"] {
        remove_if_there(&beside(&draft, suffix))?;
    }
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .map_err(doing("create a new one"))?;
    let mut connection = connect(&draft)?;
    pragma(&connection, "application_id", APPLICATION_ID)?;
    migrate(&mut connection, 0)?;
    let salvaged = salvage(path, &connection)?;
    remember(&salvaged, &connection, now)?;
    connection
        .close()
        .map_err(|(_, error)| sqlite("close the new one")(error))?;
    if salvaged.rows == 0 {
        remove_if_there(&draft)?;
        return Err(fault);
    }
    // A policy that is lost is fetched anew; what an operator has required nobody else can say.
    let mut exceptions = salvaged.lost.iter();
    if let Some((kind, key)) = exceptions.find(|(kind, _)| *kind == Kind::Exception) {
        remove_if_there(&draft)?;
        return Err(StoreFault::Row {
            kind: *kind,
            key: key.clone(),
            revision: None,
            what: "it may have required something, and the proxy does not start without it"
                .to_owned(),
        });
    }
    std::fs::rename(&draft, beside(path, MENDED)).map_err(doing("put the new one in place"))?;
    let aside = finish(path, now)?;
    let lost: Vec<&str> = salvaged
        .lost
        .iter()
        .take(SHOWN)
        .map(|(_, key)| key.as_str())
        .collect();
    error!(
        store = %path.display(),
        %fault,
        damaged = ?aside,
        rows = salvaged.rows,
        lost = salvaged.lost.len(),
        first_lost = ?lost,
        "the store was damaged: what its digests prove is kept; domains whose policies are known to be lost are asked anew, \
         and mail to them waits until they have been; remove the damaged file when you have seen to it"
    );
    Ok(())
}

/// A domain whose policy is lost is not one without a policy: it is to be asked anew. What a shared database knows of it is
/// to be read again too.
fn remember(
    salvaged: &Salvaged,
    connection: &Connection,
    now: Timestamp,
) -> Result<(), StoreFault> {
    for (_, domain) in salvaged.lost.iter().filter(|(kind, _)| is_missed(*kind)) {
        let row = Row {
            kind: Kind::Lost,
            key: domain.clone(),
            about: domain.clone(),
            at: now,
            body: Some("{}".to_owned()),
        };
        rows::put(connection, &row)?;
    }
    for row in rows::find(connection, Kind::Mirror, Query::Latest, Kind::ALL.len())? {
        if Kind::ALL.iter().any(|kind| kind.label() == row.key) {
            // No step that is known: all is read and written anew.
            let body = Some("{}".to_owned());
            rows::put(connection, &Row { body, ..row })?;
        }
    }
    Ok(())
}

const fn is_missed(kind: Kind) -> bool {
    matches!(kind, Kind::Policy | Kind::Lost)
}

/// Ends what a killed process has begun.
pub(super) fn resume(path: &Path, now: Timestamp) -> Result<(), StoreFault> {
    if beside(path, MENDED).exists() {
        let aside = finish(path, now)?;
        error!(store = %path.display(), damaged = ?aside, "the store was damaged, and its mending was broken off: it is finished now");
    }
    Ok(())
}

/// The damaged file gets a second name, loses its log to it, and then its first name to the new file.
fn finish(path: &Path, now: Timestamp) -> Result<Option<PathBuf>, StoreFault> {
    let aside = unused(path, now);
    let moving = doing("move the damaged one aside");
    match std::fs::hard_link(path, &aside) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(moving(error)),
        Ok(()) | Err(_) => {}
    }
    for suffix in ["-wal", "-shm"] {
        match std::fs::rename(beside(path, suffix), beside(&aside, suffix)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(doing("move its log aside")(error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    std::fs::rename(beside(path, MENDED), path).map_err(doing("put the new one in place"))?;
    File::open(folder_of(path))
        .and_then(|folder| folder.sync_all())
        .map_err(doing("make its folder durable"))?;
    Ok(aside.exists().then_some(aside))
}

/// A name that no file has, with the time in it.
fn unused(path: &Path, now: Timestamp) -> PathBuf {
    let name = |suffix: &str| beside(path, &format!("{DAMAGED}{}{suffix}", now.unix()));
    let mut candidates = (2..).map(|n| name(&format!("-{n}")));
    let first = name("");
    if first.exists() {
        candidates.find(|one| !one.exists()).unwrap_or(first)
    } else {
        first
    }
}

/// Damaged files that an operator has not seen to.
pub(super) fn damaged(path: &Path) -> Vec<PathBuf> {
    let Some(name) = path.file_name() else {
        return Vec::new();
    };
    let start = format!("{}{DAMAGED}", name.to_string_lossy());
    let is_one = |file: &PathBuf| {
        let name = file.file_name().map(|name| name.to_string_lossy());
        name.is_some_and(|name| {
            name.starts_with(&start) && !name.ends_with("-wal") && !name.ends_with("-shm")
        })
    };
    let Ok(folder) = std::fs::read_dir(folder_of(path)) else {
        return Vec::new();
    };
    let files = folder.filter_map(|entry| Some(entry.ok()?.path()));
    let mut found: Vec<PathBuf> = files.filter(is_one).collect();
    found.sort();
    found
}

/// After the name of the store: the finished file that is to take its place, and the damaged one.
const MENDED: &str = ".mended";
const DAMAGED: &str = ".damaged-";

/// Lost rows that are named.
const SHOWN: usize = 20;
