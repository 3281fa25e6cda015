//! A database that several nodes share, and beside it what this node knows: the node works from the latter.
//!
//! Everything that is written goes to the node's own store (the snapshot) first and to the database at once after it;
//! what others have written is taken over when somebody asks for changes. With the database gone nothing waits for it:
//! the node reads and writes its own store, says so, and writes to the database what it has learnt as soon as it is back.
//!
//! A peer's policy comes into the node's own store only where it adds (`peers`); one that would loosen is handed to
//! whoever follows, who asks the domain. What was crowded out here is not deleted there: others may need it. Counts are
//! kept by node, so that repeating a write whose answer was lost counts nothing twice.
#![expect(
    clippy::disallowed_methods,
    reason = "IO: goes by time when it tries a lost database again"
)]

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tracing::{error, info, warn};

use super::damage::{Damage, Piece, changes_past_damage};
use super::peers::{Doubt, Idle, Known, Weighed, is_ahead, weigh};
use super::postgres::PostgresStore;
use super::{
    Batch, Count, Kind, Query, Revision, Row, Store, StoreError, StoreFault, StoredPolicy,
};
use crate::clock::{Clock, Timestamp};
use crate::dane::presentation::hex;
use crate::mtasts::Mode;

/// The shared store and the node's own.
pub struct Fleet {
    database: PostgresStore,
    own: Box<dyn Store>,
    clock: Box<dyn Clock>,
    node: String,
    state: Mutex<State>,
    gone: Mutex<Option<Gone>>,
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

/// The database does not answer.
#[derive(Debug)]
struct Gone {
    why: String,
    since: Timestamp,
    pause: Duration,
    again: Instant,
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
            gone: Mutex::new(None),
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
        if self.is_to_wait() {
            return None;
        }
        let mut done = work(&mut state);
        if done.is_ok() && self.is_gone() {
            // It is back: what was learnt meanwhile goes there first of all.
            done = self.push_all(&mut state).and(done);
        }
        self.note(&done);
        Some(done)
    }

    fn note<T>(&self, done: &Result<T, StoreError>) {
        let mut gone = self.gone();
        match done {
            Ok(_) => {
                if let Some(was) = gone.take() {
                    let seconds = self.clock.wall().since(was.since).as_secs();
                    info!(
                        database = self.database.place(),
                        seconds, "the database is back"
                    );
                }
            }
            // It answers; what it holds is another matter.
            Err(error) if matches!(error.fault, StoreFault::Row { .. }) => {
                error!(%error, "a row of the database cannot be passed over");
            }
            Err(error) => {
                let why = error.fault.to_string();
                let (pause, since) = match gone.take() {
                    Some(was) => ((was.pause * 2).min(LONGEST), was.since),
                    None => {
                        error!(%error, "the database is gone; decisions go on with what this node knows");
                        (SHORTEST, self.clock.wall())
                    }
                };
                *gone = Some(Gone {
                    why,
                    since,
                    pause,
                    again: Instant::now() + pause,
                });
            }
        }
    }

    fn is_to_wait(&self) -> bool {
        self.gone()
            .as_ref()
            .is_some_and(|gone| Instant::now() < gone.again)
    }

    fn is_gone(&self) -> bool {
        self.gone().is_some()
    }

    /// Takes over what others have written.
    fn pull(&self, state: &mut State, kind: Kind) -> Result<(), StoreError> {
        let mut step = state.step(kind);
        let latest = self.database.latest()?;
        if latest.database != step.database || latest.revision.number() < step.pulled {
            if !step.database.is_empty() {
                warn!(
                    database = self.database.place(),
                    "the database is another, or older than what was read from it: all is read and written anew"
                );
            }
            step = Step {
                database: latest.database,
                ..Step::default()
            };
        }
        loop {
            let since = Revision::from_number(step.pulled);
            let tell = |error: &StoreError| error!(%error, "a row of the database is passed over");
            let piece = changes_past_damage(&self.database, kind, since, PIECE, tell)?;
            step.pulled = piece.upto.number();
            let mut batch = Batch::default();
            for (_, row) in piece.rows {
                match self.weigh(&row)? {
                    Weighed::Adopted => {
                        state.foreign.insert(row.digest());
                        batch.rows.push(row);
                    }
                    Weighed::Doubted(_) if state.doubted.len() < PIECE => state.doubted.push(row),
                    Weighed::Doubted(_) | Weighed::Ignored(_) => {}
                }
            }
            if !batch.rows.is_empty() || step != state.step(kind) {
                batch.rows.push(step.row(kind, self.clock.wall()));
                self.keep(&batch)?;
                state.set(kind, step.clone());
            }
            if piece.is_last {
                return Ok(());
            }
        }
    }

    /// May a row from the database take the place of our own?
    fn weigh(&self, row: &Row) -> Result<Weighed, StoreError> {
        let now = self.clock.wall();
        if row.kind == Kind::Policy && row.body.is_none() && is_ahead(row.at, now) {
            warn!(
                domain = row.key,
                seconds = row.at.since(now).as_secs(),
                "another node has had a policy forgotten at a time that has not come, which is passed over: set the clocks \
                right and give the command again"
            );
            return Ok(Weighed::Ignored(Idle::EnforcesNothing));
        }
        let own = match self.own.find(row.kind, Query::Key(&row.key), 1) {
            Ok(mut found) => found.pop(),
            Err(error) if matches!(error.fault, StoreFault::Row { .. }) => {
                self.damage.note(&error);
                return Ok(weigh_against_damage(row, now));
            }
            Err(error) => return Err(error),
        };
        let is_newer = own
            .as_ref()
            .is_none_or(|own| row.at >= own.at && row != own);
        let by_age = if is_newer {
            Weighed::Adopted
        } else {
            Weighed::Ignored(Idle::Known)
        };
        if row.kind != Kind::Policy || row.body.is_none() {
            return Ok(by_age);
        }
        let heard = match StoredPolicy::read(row) {
            Ok(Some(heard)) => heard,
            Ok(None) => return Ok(by_age),
            Err(error) => {
                error!(%error, "a policy in the database is passed over");
                return Ok(Weighed::Ignored(Idle::EnforcesNothing));
            }
        };
        let own = own
            .as_ref()
            .and_then(|own| StoredPolicy::read(own).ok().flatten());
        Ok(weigh(own.as_ref().map(Known::from), (&heard).into(), now))
    }

    /// Writes to the database what it has not got: of all kinds.
    fn push_all(&self, state: &mut State) -> Result<(), StoreError> {
        for kind in SHARED {
            self.push(state, kind)?;
        }
        self.push_traces()?;
        self.push_counts(state)
    }

    fn push(&self, state: &mut State, kind: Kind) -> Result<(), StoreError> {
        loop {
            let mut step = state.step(kind);
            let piece = self.own_changes(kind, Revision::from_number(step.pushed))?;
            if piece.upto.number() == step.pushed {
                return Ok(());
            }
            step.pushed = piece.upto.number();
            let own =
                |(_, row): (Revision, Row)| (!state.foreign.remove(&row.digest())).then_some(row);
            let rows: Vec<Row> = piece.rows.into_iter().filter_map(own).collect();
            if !rows.is_empty() {
                self.database.merge(&rows, &self.node, &[])?;
            }
            self.keep(&Batch {
                rows: vec![step.row(kind, self.clock.wall())],
                ..Batch::default()
            })?;
            state.set(kind, step);
            if piece.is_last {
                return Ok(());
            }
        }
    }

    /// Traces are kept here only until they can be there.
    fn push_traces(&self) -> Result<(), StoreError> {
        let mut since = Revision::START;
        loop {
            let piece = self.own_changes(Kind::Trace, since)?;
            since = piece.upto;
            let rows: Vec<Row> = piece.rows.into_iter().map(|(_, row)| row).collect();
            if !rows.is_empty() {
                self.database.merge(&rows, &self.node, &[])?;
                let gone = rows.iter().map(|row| (row.kind, row.key.clone())).collect();
                self.keep(&Batch {
                    gone,
                    ..Batch::default()
                })?;
            }
            if piece.is_last {
                return Ok(());
            }
        }
    }

    fn push_counts(&self, state: &mut State) -> Result<(), StoreError> {
        if let Some(days) = state.uncounted.clone() {
            for piece in self.own.counts(days)?.chunks(PIECE) {
                self.database.merge(&[], &self.node, piece)?;
            }
            state.uncounted = None;
        }
        Ok(())
    }

    /// Our own changes; a row that is damaged is told and passed over.
    fn own_changes(&self, kind: Kind, since: Revision) -> Result<Piece, StoreError> {
        let tell = |error: &StoreError| self.damage.note(error);
        changes_past_damage(&*self.own, kind, since, PIECE, tell)
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

    fn gone(&self) -> MutexGuard<'_, Option<Gone>> {
        self.gone.lock().unwrap_or_else(PoisonError::into_inner)
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
        let told = self.gone().as_ref().map(|gone| {
            format!(
                "{} does not answer since {} ({}); decisions go on with what this node knows, kept in {}",
                self.database.place(),
                gone.since,
                gone.why,
                self.own.place()
            )
        });
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

/// The same where our own row is not what was written, so that nobody knows what it asked for. A policy that enforces is
/// more than can be read there. Of any other the followers hear, who know what is in force and ask the domain. The rest
/// waits: the damaged row may have been the newer one.
fn weigh_against_damage(row: &Row, now: Timestamp) -> Weighed {
    if row.kind != Kind::Policy {
        return Weighed::Ignored(Idle::Known);
    }
    match StoredPolicy::read(row) {
        Ok(Some(heard)) if heard.policy.mode == Mode::Enforce => weigh(None, (&heard).into(), now),
        Ok(_) => Weighed::Doubted(Doubt::Mode),
        Err(error) => {
            error!(%error, "a policy in the database is passed over");
            Weighed::Ignored(Idle::EnforcesNothing)
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

/// Before a lost database is tried again.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests;
