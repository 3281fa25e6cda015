//! The exceptions of a running proxy: those of its configuration, and those of the store as they come and go.
//!
//! What a row says replaces what was known by its id; a row that cannot be read changes nothing, is told and is counted:
//! at the start it stops the start, since nobody knows what it would have required. An exception that has ended is told
//! once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::{error, info, warn};

use super::body::Unreadable;
use super::{Exception, Exceptions, Id, Terms};
use crate::clock::Timestamp;
use crate::dns::negative::NegativeAnchors;
use crate::store::{Follows, Kind, Query, Row, Store, StoreError};

/// All of them, and how they stand.
#[derive(Debug)]
pub struct Held {
    terms: Terms,
    state: Mutex<State>,
    /// Whoever changes them has it.
    turn: Mutex<()>,
    unreadable: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    declared: Vec<Arc<Exception>>,
    stored: BTreeMap<Id, Arc<Exception>>,
    index: Arc<Exceptions>,
    /// How often the negative trust anchors have changed.
    revision: u64,
    anchors: Vec<Arc<Exception>>,
    /// What was told to have ended, and when it had.
    told: BTreeSet<(Id, Timestamp)>,
}

impl Default for Held {
    fn default() -> Self {
        Self::new(Vec::new(), Terms::default())
    }
}

impl Held {
    /// With those that the configuration declares.
    #[must_use]
    pub fn new(declared: Vec<Exception>, terms: Terms) -> Self {
        let mut state = State {
            declared: declared.into_iter().map(Arc::new).collect(),
            ..State::default()
        };
        state.reindex();
        Self {
            terms,
            state: Mutex::new(state),
            turn: Mutex::new(()),
            unreadable: AtomicU64::new(0),
        }
    }

    /// Takes in those that the store has now.
    ///
    /// # Errors
    /// When they cannot be read, all of them.
    pub fn load(&self, store: &dyn Store) -> Result<(), StoreError> {
        for row in store.find(Kind::Exception, Query::Latest, usize::MAX)? {
            self.hear(&row.key, row.body.as_deref())
                .map_err(|why| store.unreadable(&row, &why))?;
        }
        Ok(())
    }

    /// As they are now, for one decision.
    #[must_use]
    pub fn all(&self) -> Arc<Exceptions> {
        Arc::clone(&self.state().index)
    }

    /// What the store says of the exception `key`; without a body it was taken back. Tells whether that is news.
    ///
    /// # Errors
    /// When it cannot be read: what was known stays.
    pub fn hear(&self, key: &str, body: Option<&str>) -> Result<bool, Unreadable> {
        let heard = body
            .map(|body| Exception::from_body(body, self.terms))
            .transpose()?;
        let mut state = self.state();
        let key = Id::typed(key);
        if state.stored.get(&key).map(|known| &**known) == heard.as_ref() {
            return Ok(false);
        }
        match heard {
            Some(exception) => state.stored.insert(key, Arc::new(exception)),
            None => state.stored.remove(&key),
        };
        state.reindex();
        Ok(true)
    }

    /// What may be granted.
    #[must_use]
    pub const fn terms(&self) -> Terms {
        self.terms
    }

    /// Those that the configuration declares.
    #[must_use]
    pub fn declared(&self) -> Vec<Exception> {
        let state = self.state();
        state.declared.iter().map(|one| (**one).clone()).collect()
    }

    /// One command at a time looks at those that there are and changes them. Blocks.
    pub(crate) fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many rows could not be read since the start.
    #[must_use]
    pub fn unreadable(&self) -> u64 {
        self.unreadable.load(Ordering::Relaxed)
    }

    /// Logs those that have ended since this was last asked.
    pub fn tell_ends(&self, now: Timestamp) {
        for ended in self.newly_ended(now) {
            let draft = ended.draft();
            warn!(
                exception = %ended.id(),
                domain = %draft.scope,
                what = draft.what.kind(),
                author = draft.author,
                "an exception has ended and no longer applies (danelaw except renew)"
            );
        }
    }

    /// Those that have ended since this was last asked.
    #[must_use]
    pub fn newly_ended(&self, now: Timestamp) -> Vec<Arc<Exception>> {
        let mut state = self.state();
        let ended: Vec<Arc<Exception>> = state
            .every()
            .filter(|one| !one.is_alive(now))
            .filter(|one| !state.told.contains(&(one.id().clone(), one.expires())))
            .cloned()
            .collect();
        for one in &ended {
            state.told.insert((one.id().clone(), one.expires()));
        }
        ended
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Follows for Held {
    fn kind(&self) -> Kind {
        Kind::Exception
    }

    /// An operator's own word: it counts as it is written, whoever wrote it.
    fn heard(&self, row: Row) {
        match self.hear(&row.key, row.body.as_deref()) {
            Ok(false) => {}
            Ok(true) => {
                let is_there = row.body.is_some();
                info!(
                    exception = row.key,
                    domain = row.about,
                    is_there,
                    "an exception is as the store says"
                );
            }
            Err(why) => {
                self.unreadable.fetch_add(1, Ordering::Relaxed);
                error!(exception = row.key, domain = row.about, %why, "an exception in the store cannot be read: what was known of it stays");
            }
        }
    }
}

impl NegativeAnchors for Held {
    fn over(&self, name: &str, now: Timestamp) -> Option<Timestamp> {
        self.all().anchor(name, now).map(|one| one.expires())
    }

    fn revision(&self) -> u64 {
        self.state().revision
    }
}

impl State {
    fn every(&self) -> impl Iterator<Item = &Arc<Exception>> {
        self.declared.iter().chain(self.stored.values())
    }

    fn reindex(&mut self) {
        self.index = Arc::new(Exceptions::new(self.every().cloned()));
        let anchors: Vec<_> = self
            .every()
            .filter(|one| one.what().is_anchor())
            .cloned()
            .collect();
        if anchors != self.anchors {
            self.anchors = anchors;
            self.revision += 1;
        }
        // What is gone needs no remembering.
        let known: BTreeSet<(Id, Timestamp)> = self
            .every()
            .map(|one| (one.id().clone(), one.expires()))
            .collect();
        self.told.retain(|told| known.contains(told));
    }
}
