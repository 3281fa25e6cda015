//! A database that several nodes share, and beside it what this node knows: the node works from the latter.
//!
//! Everything that is written goes to the node's own store (the snapshot) first and to the database at once after it;
//! what others have written is taken over when somebody asks for changes. With the database gone nothing waits for it:
//! the node reads and writes its own store, says so, and writes to the database what it has learnt as soon as it is back.
//!
//! A peer's policy comes into the node's own store only where it adds (`peers`); one that would loosen is handed to
//! whoever follows, who asks the domain. What was crowded out here is not deleted there: others may need it. Counts are
//! kept by node, so that repeating a write whose answer was lost counts nothing twice.
//!
//! `pull` takes over what others have written, `push` writes what they have not got, `reach` knows whether the database
//! answers.

mod pull;
mod push;
mod reach;

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tracing::warn;

use super::damage::Damage;
use super::postgres::PostgresStore;
use super::{Batch, Count, Kind, Query, Revision, Row, Store, StoreError, StoreFault};
use crate::clock::{Clock, Timestamp};
use crate::dane::presentation::hex;
use reach::Reach;

/// The shared store and the node's own.
pub struct Fleet {
    database: PostgresStore,
    own: Box<dyn Store>,
    clock: Box<dyn Clock>,
    node: String,
    state: Mutex<State>,
    reach: Reach,
    /// Of our own store.
    damage: Damage,
}

struct State {
    steps: Vec<(Kind, Step)>,
    /// Digests of rows that have come from the database: they need not go back.
    foreign: HashSet<[u8; 32]>,
    /// Policies of others that would loosen what is known here.
    doubted: Vec<Row>,
    /// Days of which something was counted that the database has not got.
    uncounted: Option<RangeInclusive<u32>>,
}

/// How far the two are in step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Step {
    /// Which database.
    database: String,
    /// The last of the database's revisions that has been taken over.
    pulled: u64,
    /// The last of our own that has been written there.
    pushed: u64,
}

impl Fleet {
    /// Brings the two in step as far as the database answers.
    ///
    /// # Errors
    /// When it does not, and the node's own store has never been in step with it: there would be nothing to go by.
    pub fn open(
        database: PostgresStore,
        own: Box<dyn Store>,
        clock: Box<dyn Clock>,
    ) -> Result<Self, StoreError> {
        let known = own.find(Kind::Mirror, Query::Latest, Kind::ALL.len())?;
        let node = match known.iter().find(|row| row.key == NODE) {
            Some(row) => row.about.clone(),
            None => name_node(&*own, clock.wall())?,
        };
        let step = |kind: Kind| {
            let row = known.iter().find(|row| row.key == kind.label());
            let body = row.and_then(|row| row.body.as_deref());
            // What cannot be read begins anew.
            let step = body.and_then(|body| serde_json::from_str(body).ok());
            (kind, step.unwrap_or_default())
        };
        let fleet = Self {
            database,
            own,
            clock,
            node,
            state: Mutex::new(State {
                steps: SHARED.map(step).into(),
                foreign: HashSet::new(),
                doubted: Vec::new(),
                uncounted: Some(0..=u32::MAX),
            }),
            reach: Reach::default(),
            damage: Damage::default(),
        };
        fleet.begin(&known)?;
        Ok(fleet)
    }

    fn begin(&self, known: &[Row]) -> Result<(), StoreError> {
        let was_in_step = known.iter().any(|row| row.key == Kind::Policy.label());
        let begun = self.attempt(|state| {
            for kind in SHARED {
                self.pull(state, kind)?;
            }
            self.push_all(state)
        });
        match begun {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) if was_in_step => {
                warn!(%error, "decisions go on from the snapshot");
                Ok(())
            }
            Some(Err(error)) => Err(StoreError {
                place: error.place,
                fault: StoreFault::NoSnapshot {
                    what: error.fault.to_string(),
                },
            }),
            None => Ok(()),
        }
    }

    /// Works with the database unless it is gone and it is too early to ask again; notes whether it is there.
    fn attempt<T>(
        &self,
        work: impl FnOnce(&mut State) -> Result<T, StoreError>,
    ) -> Option<Result<T, StoreError>> {
        let mut state = self.state();
        if self.reach.is_to_wait() {
            return None;
        }
        let mut done = work(&mut state);
        if done.is_ok() && self.reach.is_gone() {
            // It is back: what was learnt meanwhile goes there first of all.
            done = self.push_all(&mut state).and(done);
        }
        self.reach.note(&done, &self.database, &*self.clock);
        Some(done)
    }

    /// Writes to our own store.
    fn keep(&self, batch: &Batch) -> Result<(), StoreError> {
        self.own.write(batch)?;
        self.damage.written(batch);
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // What is lost by a panic is done again.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for Fleet {
    fn place(&self) -> String {
        self.database.place()
    }

    fn is_durable(&self) -> bool {
        self.own.is_durable()
    }

    fn trouble(&self) -> Option<String> {
        let told = self.reach.told(&self.database, &*self.own);
        told.or_else(|| self.damage.told())
            .or_else(|| self.own.trouble())
    }

    fn changes(
        &self,
        kind: Kind,
        since: Revision,
        limit: usize,
    ) -> Result<Vec<(Revision, Row)>, StoreError> {
        // The outcome is noted; what is known here is told all the same.
        let _ = self.attempt(|state| {
            self.pull(state, kind)?;
            self.push(state, kind)
        });
        let mut changes = self.own.changes(kind, since, limit)?;
        if kind == Kind::Policy && changes.len() < limit {
            let last = changes.last().map_or(since, |(revision, _)| *revision);
            let doubted = std::mem::take(&mut self.state().doubted);
            changes.extend(doubted.into_iter().map(|row| (last, row)));
        }
        Ok(changes)
    }

    fn find(&self, kind: Kind, query: Query<'_>, limit: usize) -> Result<Vec<Row>, StoreError> {
        let own = || self.own.find(kind, query, limit);
        let found = if kind == Kind::Trace {
            self.attempt(|_| self.database.find(kind, query, limit))
        } else if !SHARED.contains(&kind) {
            None
        } else {
            // As soon as it has been taken over.
            let _ = self.attempt(|state| self.pull(state, kind));
            None
        };
        match found {
            Some(Ok(mut rows)) => {
                rows.extend(own()?);
                rows.truncate(limit);
                Ok(rows)
            }
            Some(Err(_)) | None => own(),
        }
    }

    fn write(&self, batch: &Batch) -> Result<(), StoreError> {
        self.keep(batch)?;
        let days = batch.counts.iter().map(|count| count.day);
        if let (Some(first), Some(last)) = (days.clone().min(), days.max()) {
            let mut state = self.state();
            state.uncounted = Some(match state.uncounted.clone() {
                Some(known) => first.min(*known.start())..=last.max(*known.end()),
                None => first..=last,
            });
        }
        // It is kept here; that it is not there yet is noted.
        let _ = self.attempt(|state| self.push_all(state));
        Ok(())
    }

    fn counts(&self, days: RangeInclusive<u32>) -> Result<Vec<Count>, StoreError> {
        match self.attempt(|_| self.database.counts(days.clone())) {
            Some(Ok(counts)) => Ok(counts),
            Some(Err(_)) | None => self.own.counts(days),
        }
    }

    fn prune(&self, kind: Kind, keep: usize, newer_than: Timestamp) -> Result<usize, StoreError> {
        let own = self.own.prune(kind, keep, newer_than)?;
        let there = self.attempt(|_| self.database.prune(kind, keep, newer_than));
        Ok(own + there.and_then(Result::ok).unwrap_or_default())
    }

    fn prune_counts(&self, before: u32) -> Result<usize, StoreError> {
        let own = self.own.prune_counts(before)?;
        let there = self.attempt(|_| self.database.prune_counts(before));
        Ok(own + there.and_then(Result::ok).unwrap_or_default())
    }

    fn prune_forgotten(&self, before: Timestamp) -> Result<usize, StoreError> {
        let own = self.own.prune_forgotten(before)?;
        let there = self.attempt(|_| self.database.prune_forgotten(before));
        Ok(own + there.and_then(Result::ok).unwrap_or_default())
    }
}

impl State {
    fn step(&self, kind: Kind) -> Step {
        let found = self.steps.iter().find(|(one, _)| *one == kind);
        found.map_or_else(Step::default, |(_, step)| step.clone())
    }

    fn set(&mut self, kind: Kind, step: Step) {
        self.steps.retain(|(one, _)| *one != kind);
        self.steps.push((kind, step));
    }
}

impl Step {
    fn row(&self, kind: Kind, now: Timestamp) -> Row {
        let body = serde_json::json!({
            "database": self.database,
            "pulled": self.pulled,
            "pushed": self.pushed,
        });
        Row {
            kind: Kind::Mirror,
            key: kind.label().to_owned(),
            about: String::new(),
            at: now,
            body: Some(body.to_string()),
        }
    }
}

/// Under this name the node counts.
fn name_node(own: &dyn Store, now: Timestamp) -> Result<String, StoreError> {
    let mut octets = [0; 16];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut octets).map_err(
        |_| StoreError {
            place: own.place(),
            fault: StoreFault::Database {
                what: "the system has no randomness".to_owned(),
            },
        },
    )?;
    let name = hex(&octets);
    own.write(&Batch {
        rows: vec![Row {
            kind: Kind::Mirror,
            key: NODE.to_owned(),
            about: name.clone(),
            at: now,
            body: Some("{}".to_owned()),
        }],
        ..Batch::default()
    })?;
    Ok(name)
}

/// What every node is to know. Traces are only looked for.
const SHARED: [Kind; 5] = [
    Kind::Policy,
    Kind::Exception,
    Kind::Pin,
    Kind::Continuity,
    Kind::Seen,
];
const NODE: &str = "node";

/// Rows at a time.
const PIECE: usize = 5000;

#[cfg(test)]
mod tests;
