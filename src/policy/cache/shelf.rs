//! Entries within a bound of memory. Pure.
//!
//! When it is full, what can be had again goes first, then policies that enforce nothing, each kind in the order of
//! its last use; a live enforce policy goes only when there is nothing else.

use std::collections::HashMap;

use super::entry::{Entry, Moment, Worth};
use crate::name::Domain;

/// All domains.
#[derive(Debug)]
pub(super) struct Shelf {
    slots: HashMap<Domain, Slot>,
    empty: Entry,
    capacity: usize,
    weight: usize,
    uses: u64,
}

#[derive(Debug)]
struct Slot {
    entry: Entry,
    weight: usize,
    used: u64,
}

/// What had to go.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Evicted {
    /// Those that the store holds too.
    pub(super) stored: Vec<Domain>,
    /// How many of them were in force.
    pub(super) enforced: usize,
}

impl Shelf {
    /// Holds about so many octets.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            slots: HashMap::new(),
            empty: Entry::default(),
            capacity,
            weight: 0,
            uses: 0,
        }
    }

    /// Reads an entry, which is a use of it; what is not there is empty.
    pub(super) fn get(&mut self, domain: &Domain) -> &Entry {
        self.uses += 1;
        match self.slots.get_mut(domain) {
            Some(slot) => {
                slot.used = self.uses;
                &slot.entry
            }
            None => &self.empty,
        }
    }

    /// Reads an entry without using it.
    pub(super) fn peek(&self, domain: &Domain) -> &Entry {
        let slot = self.slots.get(domain);
        slot.map_or(&self.empty, |slot| &slot.entry)
    }

    /// Forgets an entry.
    pub(super) fn remove(&mut self, domain: &Domain) {
        if let Some(slot) = self.slots.remove(domain) {
            self.weight -= slot.weight;
        }
    }

    /// Changes an entry, which begins empty, and makes room if it has grown.
    pub(super) fn change<T>(
        &mut self,
        domain: &Domain,
        now: Moment,
        change: impl FnOnce(&mut Entry) -> T,
    ) -> (T, Evicted) {
        self.uses += 1;
        let slot = self.slots.entry(domain.clone()).or_insert_with(|| Slot {
            entry: Entry::default(),
            weight: 0,
            used: 0,
        });
        let result = change(&mut slot.entry);
        slot.used = self.uses;
        let weight = OVERHEAD + slot.entry.weight();
        self.weight = self.weight - slot.weight + weight;
        slot.weight = weight;
        (result, self.make_room(now))
    }

    pub(super) fn domains(&self, wanted: impl Fn(&Entry) -> bool) -> Vec<Domain> {
        self.slots
            .iter()
            .filter(|(_, slot)| wanted(&slot.entry))
            .map(|(domain, _)| domain.clone())
            .collect()
    }

    fn make_room(&mut self, now: Moment) -> Evicted {
        let mut evicted = Evicted::default();
        if self.weight <= self.capacity {
            return evicted;
        }
        let mut order: Vec<(Worth, u64, Domain)> = self
            .slots
            .iter()
            .map(|(domain, slot)| (slot.entry.worth(now), slot.used, domain.clone()))
            .collect();
        order.sort_unstable_by_key(|(worth, used, _)| (*worth, *used));
        for (worth, _, domain) in order {
            // Some more of what is cheap, so that sorting is rare; of what is not, no more than must be.
            let target = match worth {
                Worth::Answers => self.capacity - self.capacity / 8,
                Worth::Policy | Worth::Enforced => self.capacity,
            };
            if self.weight <= target {
                break;
            }
            let Some(slot) = self.slots.remove(&domain) else {
                continue;
            };
            self.weight -= slot.weight;
            evicted.enforced += usize::from(worth == Worth::Enforced);
            if slot.entry.is_stored() {
                evicted.stored.push(domain);
            }
        }
        evicted
    }
}

/// Octets that an entry takes without its policy, roughly.
const OVERHEAD: usize = 1024;

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "the tests need one real instant to count from"
)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use super::*;
    use crate::clock::Timestamp;
    use crate::mtasts::{Policy, PolicyId};
    use crate::store::StoredPolicy;

    fn now() -> Moment {
        Moment {
            wall: Timestamp::from_unix(1_800_000_000),
            instant: Instant::now(),
        }
    }

    fn domain(name: &str) -> Domain {
        name.parse().unwrap()
    }

    /// Puts in a policy that was fetched `age` seconds ago and lives 100.
    fn put(shelf: &mut Shelf, now: Moment, name: &str, mode: &str, age: u64) -> Evicted {
        let text = format!("version: STSv1\nmode: {mode}\nmax_age: 100\nmx: mx.example\n");
        let stored = StoredPolicy {
            domain: domain(name),
            id: PolicyId::stored("a".to_owned()),
            policy: Arc::new(Policy::parse(text.as_bytes()).unwrap()),
            fetched: Timestamp::from_unix(now.wall.unix() - age),
        };
        shelf
            .change(&domain(name), now, |entry| *entry = Entry::restored(stored))
            .1
    }

    fn names(shelf: &Shelf) -> Vec<String> {
        let mut names: Vec<String> = shelf
            .domains(|_| true)
            .iter()
            .map(ToString::to_string)
            .collect();
        names.sort();
        names
    }

    #[test]
    fn sts_10_live_enforce_policies_go_last_and_the_least_used_first() {
        let now = now();
        // Room for four policies and some.
        let mut shelf = Shelf::new(5000);
        put(&mut shelf, now, "old.enforce", "enforce", 1);
        put(&mut shelf, now, "new.enforce", "enforce", 1);
        put(&mut shelf, now, "expired.enforce", "enforce", 100);
        put(&mut shelf, now, "live.testing", "testing", 1);
        shelf.get(&domain("old.enforce"));
        for (put_in, mode, stored, enforced, left) in [
            (
                "a.enforce",
                "enforce",
                &["expired.enforce"][..],
                0,
                &["a.enforce", "live.testing", "new.enforce", "old.enforce"][..],
            ),
            (
                "b.enforce",
                "enforce",
                &["live.testing"],
                0,
                &["a.enforce", "b.enforce", "new.enforce", "old.enforce"],
            ),
            (
                "c.enforce",
                "enforce",
                &["new.enforce"],
                1,
                &["a.enforce", "b.enforce", "c.enforce", "old.enforce"],
            ),
            (
                "c.testing",
                "testing",
                &["c.testing"],
                0,
                &["a.enforce", "b.enforce", "c.enforce", "old.enforce"],
            ),
        ] {
            let evicted = put(&mut shelf, now, put_in, mode, 1);
            let stored = stored.iter().map(|name| domain(name)).collect();
            assert_eq!(evicted, Evicted { stored, enforced }, "{put_in}");
            assert_eq!(names(&shelf), left, "{put_in}");
        }
    }

    #[test]
    fn sts_10_a_flood_of_domains_without_a_policy_displaces_none_and_stays_within_bounds() {
        let now = now();
        let mut shelf = Shelf::new(100 * OVERHEAD);
        put(&mut shelf, now, "kept.example", "enforce", 1);
        for n in 0..50_000 {
            let name = domain(&format!("d{}.example", n % 5000));
            let ((), evicted) = shelf.change(&name, now, |_| ());
            assert_eq!(evicted, Evicted::default(), "the store has none of them");
            assert!(shelf.slots.len() <= 100);
        }
        assert!(shelf.get(&domain("kept.example")).is_stored());
        let summed: usize = shelf.slots.values().map(|slot| slot.weight).sum();
        assert_eq!(shelf.weight, summed);
    }
}
