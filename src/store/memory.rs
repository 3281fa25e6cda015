//! A store that forgets at exit.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Batch, Count, Kind, Query, Revision, Row, Store, StoreError};
use crate::clock::Timestamp;

/// Everything for as long as the process lives.
#[derive(Debug, Default)]
pub struct MemoryStore {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    revision: u64,
    since_bounded: usize,
    rows: BTreeMap<(Kind, String), (Revision, Row)>,
    counts: BTreeMap<(u32, String, String, String), u64>,
}

impl MemoryStore {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Each change is one insert or remove, so a panic elsewhere leaves nothing half done.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn put(&mut self, row: &Row) {
        self.revision += 1;
        let key = (row.kind, row.key.clone());
        let revision = Revision::from_number(self.revision);
        self.rows.insert(key, (revision, row.clone()));
    }

    /// What would only be lost at the end must not grow until then.
    fn bound(&mut self) {
        self.since_bounded += 1;
        if self.since_bounded < MOST / 4 {
            return;
        }
        self.since_bounded = 0;
        for kind in [Kind::Trace, Kind::Seen, Kind::Continuity, Kind::Pin] {
            self.prune(kind, MOST, Timestamp::from_unix(0));
        }
    }

    fn prune(&mut self, kind: Kind, keep: usize, newer_than: Timestamp) -> usize {
        let mut ages: Vec<_> = self
            .of(kind)
            .map(|(revision, row)| (row.at, *revision))
            .collect();
        ages.sort_unstable_by_key(|age| std::cmp::Reverse(*age));
        let oldest = ages.get(..keep).and_then(<[_]>::last).copied();
        let before = self.rows.len();
        self.rows.retain(|_, (revision, row)| {
            let stays = keep > 0 && oldest.is_none_or(|oldest| (row.at, *revision) >= oldest);
            row.kind != kind || (row.at >= newer_than && stays)
        });
        before - self.rows.len()
    }

    fn of(&self, kind: Kind) -> impl Iterator<Item = &(Revision, Row)> {
        self.rows.values().filter(move |(_, row)| row.kind == kind)
    }
}

impl Store for MemoryStore {
    fn place(&self) -> String {
        "memory".to_owned()
    }

    fn is_durable(&self) -> bool {
        false
    }

    fn changes(
        &self,
        kind: Kind,
        since: Revision,
        limit: usize,
    ) -> Result<Vec<(Revision, Row)>, StoreError> {
        let kept = self.lock();
        let mut changes: Vec<_> = kept
            .of(kind)
            .filter(|(revision, _)| *revision > since)
            .cloned()
            .collect();
        changes.sort_by_key(|(revision, _)| *revision);
        changes.truncate(limit);
        Ok(changes)
    }

    fn find(&self, kind: Kind, query: Query<'_>, limit: usize) -> Result<Vec<Row>, StoreError> {
        let kept = self.lock();
        let is_meant = |row: &Row| match query {
            Query::Key(key) => row.key == key,
            Query::About(about) => row.about == about,
            Query::Latest => true,
        };
        let mut found: Vec<_> = kept
            .of(kind)
            .filter(|(_, row)| row.body.is_some() && is_meant(row))
            .collect();
        found.sort_by_key(|(revision, row)| std::cmp::Reverse((row.at, *revision)));
        let rows = found.into_iter().take(limit);
        Ok(rows.map(|(_, row)| row.clone()).collect())
    }

    fn write(&self, batch: &Batch) -> Result<(), StoreError> {
        let mut kept = self.lock();
        for (kind, key) in &batch.gone {
            kept.rows.remove(&(*kind, key.clone()));
        }
        for row in &batch.rows {
            kept.put(row);
            kept.bound();
        }
        for count in &batch.counts {
            let key = (
                count.day,
                count.domain.clone(),
                count.what.clone(),
                count.reason.clone(),
            );
            let number = kept.counts.entry(key).or_default();
            *number = number.saturating_add(count.number);
        }
        Ok(())
    }

    fn counts(&self, days: RangeInclusive<u32>) -> Result<Vec<Count>, StoreError> {
        let kept = self.lock();
        let count =
            |((day, domain, what, reason), number): (&(u32, String, String, String), &u64)| Count {
                day: *day,
                domain: domain.clone(),
                what: what.clone(),
                reason: reason.clone(),
                number: *number,
            };
        Ok(kept
            .counts
            .iter()
            .filter(|((day, ..), _)| days.contains(day))
            .map(count)
            .collect())
    }

    fn prune(&self, kind: Kind, keep: usize, newer_than: Timestamp) -> Result<usize, StoreError> {
        Ok(self.lock().prune(kind, keep, newer_than))
    }

    fn prune_counts(&self, before: u32) -> Result<usize, StoreError> {
        let mut kept = self.lock();
        let all = kept.counts.len();
        kept.counts.retain(|(day, ..), _| *day >= before);
        Ok(all - kept.counts.len())
    }

    fn prune_forgotten(&self, before: Timestamp) -> Result<usize, StoreError> {
        let mut kept = self.lock();
        let all = kept.rows.len();
        kept.rows
            .retain(|_, (_, row)| row.body.is_some() || row.at >= before);
        Ok(all - kept.rows.len())
    }
}

/// Rows of a kind that are evidence only; a quarter more may be there at times.
const MOST: usize = 20_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_is_bounded_and_policies_are_not() {
        let store = MemoryStore::default();
        let row = |kind, n: usize| Row {
            kind,
            key: n.to_string(),
            about: String::new(),
            at: Timestamp::from_unix(n as u64),
            body: Some(String::new()),
        };
        for n in 0..40_000 {
            let rows = vec![row(Kind::Trace, n), row(Kind::Policy, n)];
            let batch = Batch {
                rows,
                ..Batch::default()
            };
            store.write(&batch).unwrap();
        }
        let rows = |kind| store.changes(kind, Revision::START, usize::MAX).unwrap();
        let traces = rows(Kind::Trace);
        assert!(
            (MOST..=MOST + MOST / 4).contains(&traces.len()),
            "{}",
            traces.len()
        );
        assert_eq!(traces.last().unwrap().1.key, "39999");
        assert_eq!(rows(Kind::Policy).len(), 40_000);
    }
}
