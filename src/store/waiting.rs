//! What waits to be written: newer rows in place of older ones of the same key, counts added up, within a bound. Pure.
//!
//! When a store takes nothing for long, what is least missed goes first: traces, then what was sent to, then what hosts
//! have been seen to do, then pins, each kind from its oldest on. Policies and exceptions do not come this way (their
//! owners write them at once), and would never be dropped.

use std::collections::{BTreeMap, HashMap};

use super::{Batch, Count, Kind, Row};

/// Rows and counts on their way to the store.
#[derive(Debug)]
pub(super) struct Waiting {
    piles: BTreeMap<Kind, Pile>,
    counts: BTreeMap<Counted, u64>,
    weight: usize,
    most: usize,
    dropped: BTreeMap<Dropped, u64>,
}

/// What a count is of: day, domain, what, reason.
type Counted = (u32, String, String, String);

/// What had to be dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dropped {
    /// A row.
    Row(Kind),
    /// A count.
    Count,
}

impl Dropped {
    /// All that can be dropped.
    pub const ALL: [Self; 5] = [
        Self::Row(Kind::Trace),
        Self::Row(Kind::Seen),
        Self::Row(Kind::Continuity),
        Self::Row(Kind::Pin),
        Self::Count,
    ];

    /// The stable word in metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Row(kind) => kind.label(),
            Self::Count => "count",
        }
    }
}

/// Rows of one kind in the order of their last change.
#[derive(Debug, Default)]
struct Pile {
    rows: BTreeMap<i64, Row>,
    places: HashMap<String, i64>,
}

impl Waiting {
    /// Holds about so many octets.
    pub(super) const fn new(most: usize) -> Self {
        Self {
            piles: BTreeMap::new(),
            counts: BTreeMap::new(),
            weight: 0,
            most,
            dropped: BTreeMap::new(),
        }
    }

    pub(super) fn put(&mut self, row: Row) {
        let pile = self.piles.entry(row.kind).or_default();
        self.weight += weight(&row);
        if let Some(older) = pile.push(row) {
            self.weight -= weight(&older);
        }
        self.make_room();
    }

    pub(super) fn add(&mut self, count: Count) {
        let number = count.number;
        let counted = (count.day, count.domain, count.what, count.reason);
        let size = count_weight(&counted);
        let total = self.counts.entry(counted).or_insert_with(|| {
            self.weight += size;
            0
        });
        *total = total.saturating_add(number);
        self.make_room();
    }

    /// Everything that waits.
    pub(super) fn take(&mut self) -> Batch {
        self.weight = 0;
        let piles = std::mem::take(&mut self.piles).into_values();
        let counts = std::mem::take(&mut self.counts).into_iter();
        Batch {
            rows: piles.flat_map(|pile| pile.rows.into_values()).collect(),
            gone: Vec::new(),
            counts: counts
                .map(|((day, domain, what, reason), number)| Count {
                    day,
                    domain,
                    what,
                    reason,
                    number,
                })
                .collect(),
        }
    }

    /// What could not be written waits again, before what has come meanwhile; a row that has changed meanwhile is old.
    pub(super) fn put_back(&mut self, batch: Batch) {
        for row in batch.rows.into_iter().rev() {
            let pile = self.piles.entry(row.kind).or_default();
            let size = weight(&row);
            if pile.put_under(row) {
                self.weight += size;
            }
        }
        for count in batch.counts {
            self.add(count);
        }
        self.make_room();
    }

    /// Rows and counts that wait.
    pub(super) fn len(&self) -> usize {
        self.counts.len()
            + self
                .piles
                .values()
                .map(|pile| pile.rows.len())
                .sum::<usize>()
    }

    /// How many of a kind have been dropped since the start.
    pub(super) fn dropped(&self, what: Dropped) -> u64 {
        self.dropped.get(&what).copied().unwrap_or_default()
    }

    /// A row that the store refuses for what it is.
    pub(super) fn drop_from(&mut self, batch: &mut Batch, kind: Kind, key: &str) {
        let before = batch.rows.len();
        batch.rows.retain(|row| row.kind != kind || row.key != key);
        let gone = before - batch.rows.len();
        *self.dropped.entry(Dropped::Row(kind)).or_default() += gone as u64;
    }

    fn make_room(&mut self) {
        for what in Dropped::ALL {
            while self.weight > self.most && self.drop_oldest(what) {
                *self.dropped.entry(what).or_default() += 1;
            }
        }
    }

    fn drop_oldest(&mut self, what: Dropped) -> bool {
        let size = match what {
            Dropped::Row(kind) => {
                let oldest = self.piles.get_mut(&kind).and_then(Pile::pop);
                oldest.map(|row| weight(&row))
            }
            Dropped::Count => {
                let oldest = self.counts.pop_first();
                oldest.map(|(counted, _)| count_weight(&counted))
            }
        };
        self.weight -= size.unwrap_or_default();
        size.is_some()
    }
}

impl Pile {
    /// On top; what was there of the same key comes back.
    fn push(&mut self, row: Row) -> Option<Row> {
        let top = self.rows.last_key_value().map_or(0, |(place, _)| place + 1);
        let older = self.places.insert(row.key.clone(), top);
        self.rows.insert(top, row);
        older.and_then(|place| self.rows.remove(&place))
    }

    /// At the bottom, unless there is one of the same key.
    fn put_under(&mut self, row: Row) -> bool {
        if self.places.contains_key(&row.key) {
            return false;
        }
        let bottom = self
            .rows
            .first_key_value()
            .map_or(0, |(place, _)| place - 1);
        self.places.insert(row.key.clone(), bottom);
        self.rows.insert(bottom, row);
        true
    }

    fn pop(&mut self) -> Option<Row> {
        let (_, row) = self.rows.pop_first()?;
        self.places.remove(&row.key);
        Some(row)
    }
}

/// Octets, roughly.
fn weight(row: &Row) -> usize {
    OVERHEAD + 2 * row.key.len() + row.about.len() + row.body.as_ref().map_or(0, String::len)
}

fn count_weight((_, domain, what, reason): &Counted) -> usize {
    OVERHEAD + domain.len() + what.len() + reason.len()
}

const OVERHEAD: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    fn row(kind: Kind, key: &str, body: &str) -> Row {
        Row {
            kind,
            key: key.to_owned(),
            about: "a.example".to_owned(),
            at: Timestamp::from_unix(1),
            body: Some(body.to_owned()),
        }
    }

    fn count(domain: &str, number: u64) -> Count {
        Count {
            day: 1,
            domain: domain.to_owned(),
            what: "would-refuse".to_owned(),
            reason: String::new(),
            number,
        }
    }

    fn bodies(batch: &Batch) -> Vec<&str> {
        let bodies = batch.rows.iter().filter_map(|row| row.body.as_deref());
        bodies.collect()
    }

    #[test]
    fn rows_of_one_key_coalesce_and_counts_add_up() {
        let mut waiting = Waiting::new(100_000);
        for body in ["1", "2", "3"] {
            waiting.put(row(Kind::Pin, "a", body));
            waiting.put(row(Kind::Trace, body, body));
            waiting.add(count("a.example", 2));
        }
        waiting.add(count("b.example", u64::MAX));
        waiting.add(count("b.example", 1));
        assert_eq!(waiting.len(), 1 + 3 + 2);
        let batch = waiting.take();
        assert_eq!(bodies(&batch), ["3", "1", "2", "3"]);
        assert_eq!(
            batch.counts,
            [count("a.example", 6), count("b.example", u64::MAX)]
        );
        assert_eq!((waiting.len(), waiting.weight), (0, 0));
    }

    #[test]
    fn what_comes_back_stands_before_what_has_come_and_under_what_has_changed() {
        let mut waiting = Waiting::new(100_000);
        for key in ["a", "b", "c"] {
            waiting.put(row(Kind::Trace, key, "old"));
        }
        waiting.add(count("a.example", 1));
        let batch = waiting.take();
        waiting.put(row(Kind::Trace, "b", "new"));
        waiting.add(count("a.example", 1));
        waiting.put_back(batch);
        let batch = waiting.take();
        let seen: Vec<(&str, &str)> = batch
            .rows
            .iter()
            .map(|row| (row.key.as_str(), row.body.as_deref().unwrap()))
            .collect();
        assert_eq!(seen, [("a", "old"), ("c", "old"), ("b", "new")]);
        assert_eq!(batch.counts, [count("a.example", 2)]);
    }

    #[test]
    fn within_the_bound_traces_are_dropped_first_and_policies_never() {
        let full = |kinds: &[Kind]| {
            let mut waiting = Waiting::new(20_000);
            for n in 0..1000 {
                for kind in kinds {
                    waiting.put(row(*kind, &n.to_string(), "x"));
                }
            }
            waiting
        };
        let mut waiting = full(&[Kind::Trace, Kind::Pin]);
        assert!(waiting.weight <= 20_000);
        assert_eq!(waiting.dropped(Dropped::Row(Kind::Trace)), 1000);
        let pins = waiting.dropped(Dropped::Row(Kind::Pin));
        let kept = waiting.take();
        assert_eq!(pins + kept.rows.len() as u64, 1000);
        assert_eq!(kept.rows.last().unwrap().key, "999", "the newest stay");
        let mut waiting = full(&[Kind::Policy, Kind::Trace, Kind::Exception]);
        assert_eq!(waiting.take().rows.len(), 2000, "beyond the bound");
        let mut waiting = Waiting::new(20_000);
        for n in 0..1000 {
            waiting.add(count(&format!("{n}.example"), 1));
        }
        assert!(waiting.weight <= 20_000);
        let kept = waiting.take().counts.len() as u64;
        assert_eq!(waiting.dropped(Dropped::Count) + kept, 1000);
    }

    #[test]
    fn a_row_that_the_store_cannot_hold_does_not_keep_the_others() {
        let mut waiting = Waiting::new(20_000);
        waiting.put(row(Kind::Pin, "a", "1"));
        waiting.put(row(Kind::Pin, "b", "2"));
        let mut batch = waiting.take();
        waiting.drop_from(&mut batch, Kind::Pin, "a");
        assert_eq!(bodies(&batch), ["2"]);
        assert_eq!(waiting.dropped(Dropped::Row(Kind::Pin)), 1);
    }
}
