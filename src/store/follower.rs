//! Hears of what commands and other processes have written, and passes it on to those who hold it in memory.
//!
//! One call for all ([`Store::changes`]), every few seconds. A row that is damaged is told and passed over: it must not
//! keep the rows after it from being heard, and what is held in memory stands as it is.
#![expect(
    clippy::disallowed_methods,
    reason = "IO: a task that asks from time to time"
)]

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracing::error;

use super::damage::changes_past_damage;
use super::{Kind, Revision, Row, Store, StoreError};

/// Somebody who holds the rows of a kind in memory.
pub trait Follows: Send + Sync {
    /// Which.
    fn kind(&self) -> Kind;

    /// A row has been written, perhaps by this process itself. May block; called within the runtime.
    fn heard(&self, row: Row);
}

/// Asks one store for all.
pub struct Follower {
    store: Arc<dyn Store>,
    holders: Vec<Holder>,
}

struct Holder {
    follows: Arc<dyn Follows>,
    heard: Revision,
}

impl Follower {
    /// For nobody yet.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        let holders = Vec::new();
        Self { store, holders }
    }

    /// Also for this one, who knows all up to `heard`.
    #[must_use]
    pub fn with(mut self, follows: Arc<dyn Follows>, heard: Revision) -> Self {
        self.holders.push(Holder { follows, heard });
        self
    }

    /// Passes on what has changed since the last time. Blocks. A store that cannot be read is asked again next time; that
    /// it cannot be read is told by [`Watched`](super::watched::Watched).
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn hear(&mut self) -> Result<(), StoreError> {
        for holder in &mut self.holders {
            holder.hear(&*self.store)?;
        }
        Ok(())
    }

    /// Does so every few seconds, without end.
    pub async fn follow(self) -> Infallible {
        let follower = Arc::new(Mutex::new(self));
        loop {
            tokio::time::sleep(PAUSE).await;
            let follower = Arc::clone(&follower);
            let heard = tokio::task::spawn_blocking(move || {
                // The one thing that can panic is a holder, and it has then heard of the row.
                let mut follower = follower.lock().unwrap_or_else(PoisonError::into_inner);
                // Told by whoever watches the store.
                let _ = follower.hear();
            });
            if let Err(broken) = heard.await {
                error!(%broken, "a change in the store was not understood");
            }
        }
    }
}

impl Holder {
    fn hear(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        let tell = |error: &StoreError| error!(%error, "a row is passed over");
        loop {
            let piece = changes_past_damage(store, self.follows.kind(), self.heard, PIECE, tell)?;
            for (revision, row) in piece.rows {
                self.heard = revision;
                self.follows.heard(row);
            }
            self.heard = piece.upto;
            if piece.is_last {
                return Ok(());
            }
        }
    }
}

/// Between questions.
const PAUSE: Duration = Duration::from_secs(2);

/// Rows at a time.
const PIECE: usize = 1000;

#[cfg(test)]
mod tests {
    use super::super::Batch;
    use super::super::broken::Broken;
    use super::super::sqlite::SqliteStore;
    use super::*;
    use crate::clock::Timestamp;

    #[derive(Default)]
    struct Heard(Mutex<Vec<String>>);

    impl Follows for Heard {
        fn kind(&self) -> Kind {
            Kind::Pin
        }

        fn heard(&self, row: Row) {
            self.0.lock().unwrap().push(row.key);
        }
    }

    impl Heard {
        fn take(&self) -> Vec<String> {
            std::mem::take(&mut *self.0.lock().unwrap())
        }
    }

    fn write(store: &dyn Store, keys: &[&str]) {
        let row = |key: &&str| Row {
            kind: Kind::Pin,
            key: (*key).to_owned(),
            about: String::new(),
            at: Timestamp::from_unix(1),
            body: Some("{}".to_owned()),
        };
        let rows = keys.iter().map(row).collect();
        let batch = Batch {
            rows,
            ..Batch::default()
        };
        store.write(&batch).unwrap();
    }

    #[test]
    fn each_change_is_heard_once_also_after_the_store_was_gone() {
        let store = Arc::new(Broken::default());
        let heard = Arc::new(Heard::default());
        write(&*store, &["known"]);
        let mut follower =
            Follower::new(store.clone()).with(heard.clone(), Revision::from_number(1));
        follower.hear().unwrap();
        assert!(heard.take().is_empty());
        write(&*store, &["a", "b"]);
        store.refuse_reads();
        assert!(follower.hear().is_err());
        store.mend();
        follower.hear().unwrap();
        assert_eq!(heard.take(), ["a", "b"]);
        follower.hear().unwrap();
        assert!(heard.take().is_empty());
    }

    #[test]
    fn a_damaged_row_keeps_no_other_from_being_heard() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("danelaw.db");
        let store = Arc::new(SqliteStore::open(&path).unwrap());
        write(&*store, &["a", "b", "c"]);
        let other = rusqlite::Connection::open(&path).unwrap();
        other
            .execute("UPDATE row SET at = 7 WHERE key = 'b'", [])
            .unwrap();
        let heard = Arc::new(Heard::default());
        let mut follower = Follower::new(store.clone()).with(heard.clone(), Revision::START);
        follower.hear().unwrap();
        write(&*store, &["d"]);
        follower.hear().unwrap();
        assert_eq!(heard.take(), ["a", "c", "d"]);
    }
}
