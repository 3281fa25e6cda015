//! What this node has learnt, written to the database as far as the database has not got it.

use super::{Fleet, PIECE, SHARED, State};
use crate::store::damage::{Piece, changes_past_damage};
use crate::store::{Batch, Kind, Revision, Row, StoreError};

impl Fleet {
    /// Writes to the database what it has not got: of all kinds.
    pub(super) fn push_all(&self, state: &mut State) -> Result<(), StoreError> {
        for kind in SHARED {
            self.push(state, kind)?;
        }
        self.push_traces()?;
        self.push_counts(state)
    }

    pub(super) fn push(&self, state: &mut State, kind: Kind) -> Result<(), StoreError> {
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
}
