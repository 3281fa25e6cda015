//! What a damaged file still proves: rows whose digest fits, found by every way through the file that is left.
//!
//! A page that cannot be read hides the rows behind it from a walk that comes upon it, so the table is walked from both
//! ends, and each index in turn names rows that are then asked for one by one. Nothing is taken over that its digest does
//! not vouch for; counts have none and are taken as they stand.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use rusqlite::{Connection, OpenFlags, params};

use super::{rows, sqlite};
use crate::store::{Kind, Revision, Row, StoreFault};

/// What was brought over.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Salvaged {
    /// Rows.
    pub(super) rows: usize,
    /// Rows that an index still names, and that cannot be proven.
    pub(super) lost: BTreeSet<(Kind, String)>,
}

/// Brings everything that is proven from the file at `damaged` over to an empty store.
pub(super) fn salvage(damaged: &Path, into: &Connection) -> Result<Salvaged, StoreFault> {
    let failed = sqlite("write what is whole");
    into.execute_batch("BEGIN IMMEDIATE").map_err(&failed)?;
    let mut found = Found {
        into,
        proven: HashMap::new(),
        lost: BTreeSet::new(),
    };
    // Never to be written, not even by the checkpoint of a last connection that closes.
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if let Ok(damaged) = Connection::open_with_flags(damaged, flags) {
        for kind in Kind::ALL {
            for order in ["key", "key DESC"] {
                found.walk(&damaged, kind, order)?;
            }
            for index in INDICES {
                found.follow(&damaged, kind, index)?;
            }
        }
        found.take_counts(&damaged)?;
    }
    into.execute_batch("COMMIT").map_err(&failed)?;
    Ok(Salvaged {
        rows: found.proven.len(),
        lost: found.lost,
    })
}

struct Found<'a> {
    into: &'a Connection,
    proven: HashMap<(Kind, String), Revision>,
    lost: BTreeSet<(Kind, String)>,
}

impl Found<'_> {
    /// Takes rows from one end of the table on, up to the first that cannot be reached.
    fn walk(&mut self, damaged: &Connection, kind: Kind, order: &str) -> Result<(), StoreFault> {
        let sql = format!("{COLUMNS} WHERE kind = ?1 ORDER BY {order}");
        let Ok(mut statement) = damaged.prepare(&sql) else {
            return Ok(());
        };
        let Ok(mut walked) = statement.query(params![kind.label()]) else {
            return Ok(());
        };
        while let Ok(Some(row)) = walked.next() {
            self.weigh(rows::read(row, kind))?;
        }
        Ok(())
    }

    /// Asks one by one for the rows that an index names.
    fn follow(&mut self, damaged: &Connection, kind: Kind, index: &str) -> Result<(), StoreFault> {
        for order in ["ASC", "DESC"] {
            for key in named(damaged, kind, index, order) {
                if self.proven.contains_key(&(kind, key.clone())) {
                    continue;
                }
                let sql = format!("{COLUMNS} WHERE kind = ?1 AND key = ?2");
                let asked = damaged.prepare_cached(&sql).and_then(|mut statement| {
                    let parameters = params![kind.label(), key];
                    statement.query_row(parameters, |row| Ok(rows::read(row, kind)))
                });
                match asked {
                    Ok(read) => self.weigh(read)?,
                    Err(_) => {
                        self.lost.insert((kind, key));
                    }
                }
            }
        }
        Ok(())
    }

    fn weigh(&mut self, read: Result<(Revision, Row), StoreFault>) -> Result<(), StoreFault> {
        match read {
            Ok((revision, row)) => {
                let key = (row.kind, row.key.clone());
                let is_newer = self.proven.get(&key).is_none_or(|known| revision > *known);
                if is_newer {
                    rows::put(self.into, &row)?;
                    self.lost.remove(&key);
                    self.proven.insert(key, revision);
                }
            }
            Err(StoreFault::Row { kind, key, .. }) => {
                if !self.proven.contains_key(&(kind, key.clone())) {
                    self.lost.insert((kind, key));
                }
            }
            // A cell of another type than its column's: nothing is known of the row.
            Err(_) => {}
        }
        Ok(())
    }

    fn take_counts(&self, damaged: &Connection) -> Result<(), StoreFault> {
        for count in rows::counts(damaged, &(0..=u32::MAX)).unwrap_or_default() {
            rows::add(self.into, &count)?;
        }
        Ok(())
    }
}

/// The keys that an index has, up to the first that cannot be reached.
fn named(damaged: &Connection, kind: Kind, index: &str, order: &str) -> Vec<String> {
    let (index, column) = match index {
        "row_by_revision" => (index, "revision"),
        "row_by_about" => (index, "about"),
        other => (other, "at"),
    };
    let sql =
        format!("SELECT key FROM row INDEXED BY {index} WHERE kind = ?1 ORDER BY {column} {order}");
    let Ok(mut statement) = damaged.prepare(&sql) else {
        return Vec::new();
    };
    let Ok(keys) = statement.query_map(params![kind.label()], |row| row.get(0)) else {
        return Vec::new();
    };
    keys.map_while(Result::ok).collect()
}

const COLUMNS: &str = "SELECT key, about, at, body, revision, digest FROM row";
const INDICES: [&str; 3] = ["row_by_revision", "row_by_about", "row_by_age"];
