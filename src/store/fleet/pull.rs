//! What others have written to the database, taken over into the node's own store where it adds.

use tracing::{error, warn};

use super::{Fleet, PIECE, State, Step};
use crate::clock::Timestamp;
use crate::mtasts::Mode;
use crate::store::damage::changes_past_damage;
use crate::store::peers::{Doubt, Idle, Known, Weighed, is_ahead, weigh};
use crate::store::{
    Batch, Kind, Query, Revision, Row, Store, StoreError, StoreFault, StoredPolicy,
};

impl Fleet {
    /// Takes over what others have written.
    pub(super) fn pull(&self, state: &mut State, kind: Kind) -> Result<(), StoreError> {
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
