//! Rows that are not what was written: they are read past, and told of until they are written anew.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing::error;

use super::{Batch, Kind, Revision, Row, Store, StoreError, StoreFault};

/// Some of the changes.
pub(super) struct Piece {
    pub(super) rows: Vec<(Revision, Row)>,
    /// All up to here have been seen.
    pub(super) upto: Revision,
    pub(super) is_last: bool,
}

/// Changes after `since`, about `limit` at a time; a row that is damaged is told and passed over.
pub(super) fn changes_past_damage(
    store: &dyn Store,
    kind: Kind,
    since: Revision,
    limit: usize,
    tell: impl Fn(&StoreError),
) -> Result<Piece, StoreError> {
    let (mut upto, mut piece) = (since, limit);
    loop {
        match store.changes(kind, upto, piece) {
            Ok(rows) => {
                return Ok(Piece {
                    is_last: rows.len() < piece,
                    upto: rows.last().map_or(upto, |(revision, _)| *revision),
                    rows,
                });
            }
            // Fewer and fewer, up to the one that is damaged, and past it.
            Err(error) => match error.damaged() {
                Some(_) if piece > 1 => piece /= 2,
                Some(revision) if revision > upto => {
                    tell(&error);
                    (upto, piece) = (revision, limit);
                }
                Some(_) | None => return Err(error),
            },
        }
    }
}

/// The rows of one store that are known to be damaged.
#[derive(Debug, Default)]
pub(super) struct Damage(Mutex<BTreeMap<(Kind, String), String>>);

impl Damage {
    /// Notes a row that is passed over; tells it to the log once.
    pub(super) fn note(&self, error: &StoreError) {
        let StoreFault::Row { kind, key, .. } = &error.fault else {
            return;
        };
        let mut rows = self.rows();
        if rows.len() >= MOST || rows.contains_key(&(*kind, key.clone())) {
            return;
        }
        error!(%error, "a row is passed over");
        rows.insert((*kind, key.clone()), error.to_string());
    }

    /// What has been written anew, or deleted, is whole again.
    pub(super) fn written(&self, batch: &Batch) {
        let mut rows = self.rows();
        if rows.is_empty() {
            return;
        }
        let written = batch.rows.iter().map(|row| (row.kind, row.key.clone()));
        for row in written.chain(batch.gone.iter().cloned()) {
            rows.remove(&row);
        }
    }

    /// What an operator has to know.
    pub(super) fn told(&self) -> Option<String> {
        let rows = self.rows();
        let first = rows.values().next()?;
        Some(match rows.len() - 1 {
            0 => first.clone(),
            more => format!("{first} (and {more} more rows)"),
        })
    }

    fn rows(&self) -> MutexGuard<'_, BTreeMap<(Kind, String), String>> {
        // Each change is one insert or remove.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Damaged rows that are told one by one.
const MOST: usize = 1000;
