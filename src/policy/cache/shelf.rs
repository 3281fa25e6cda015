//! Entries within a bound of memory, in the orders in which they are needed. Pure.
//!
//! When memory runs out, what can be had again goes first, then expired policies, then live ones that enforce nothing,
//! each kind in the order of its last use; a live enforce policy goes only when there is nothing else. An enforce policy,
//! live or expired (by a clock that may be wrong), is then looked for in the store before its domain counts as one
//! without. What is to be refreshed next, and what expires next, is known without a look at the rest: nothing here grows
//! with the number of domains but a logarithm.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use super::entry::{Entry, Moment, Worth};
use super::held::LONGEST_NOTICE;
use super::slots::Slots;
use crate::clock::Timestamp;
use crate::name::Domain;

/// All domains.
#[derive(Debug)]
pub(super) struct Shelf {
    slots: Slots<Slot>,
    empty: Entry,
    capacity: usize,
    weight: usize,
    uses: u64,
    /// The first goes first.
    order: BTreeSet<(Worth, u64, Arc<Domain>)>,
    /// Live policies, by the end of their life.
    expiries: BTreeSet<(Timestamp, Arc<Domain>)>,
    /// Live policies, by when they are to be fetched anew.
    agenda: BTreeSet<(Instant, Arc<Domain>)>,
    census: Census,
    /// The store holds more than is here.
    lacks: bool,
}

#[derive(Debug, Default)]
struct Slot {
    entry: Entry,
    /// None until it is in the orders.
    place: Option<Place>,
}

/// Where an entry stands in the orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    weight: usize,
    used: u64,
    worth: Worth,
    expires: Option<Timestamp>,
    due: Option<Instant>,
}

/// What had to go.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Evicted {
    /// Those that the store holds too and that enforce nothing.
    pub(super) stored: Vec<Domain>,
    /// Those that were enforced: the store is to keep them.
    pub(super) enforced: Vec<Domain>,
    /// Those that would be enforced if their life were not over, by a clock that may be wrong: the same.
    pub(super) expired: Vec<Domain>,
}

/// How many entries of each worth there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Census([usize; Worth::ALL.len()]);

impl Census {
    /// Of this worth.
    pub(super) const fn of(&self, worth: Worth) -> usize {
        self.0[worth as usize]
    }
}

impl Shelf {
    /// Holds about so many octets.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            slots: Slots::default(),
            empty: Entry::default(),
            capacity,
            weight: 0,
            uses: 0,
            order: BTreeSet::new(),
            expiries: BTreeSet::new(),
            agenda: BTreeSet::new(),
            census: Census::default(),
            lacks: false,
        }
    }

    /// From now on holds about so many octets: what is too much goes when something is changed.
    pub(super) const fn resize(&mut self, capacity: usize) {
        self.capacity = capacity;
    }

    /// From now on the store holds more than is here.
    pub(super) const fn lack(&mut self) {
        self.lacks = true;
    }

    /// Is the store to be read before this domain counts as one without a policy?
    pub(super) fn must_recall(&self, domain: &Domain) -> bool {
        self.lacks && self.peek(domain).is_to_be_recalled()
    }

    /// Reads an entry, which is a use of it; what is not there is empty.
    pub(super) fn get(&mut self, domain: &Domain) -> &Entry {
        self.uses += 1;
        // Whoever was used lately is far from the end of the queue, and need not go to its other end each time.
        let stale = self.uses.saturating_sub(self.slots.len() as u64 / 8);
        if let Some((key, slot)) = self.slots.get_key_value(domain)
            && let Some(place) = slot.place.filter(|place| place.used < stale)
        {
            let (key, used) = (Arc::clone(key), self.uses);
            self.put(&key, Place { used, ..place });
        }
        self.slots
            .get(domain)
            .map_or(&self.empty, |slot| &slot.entry)
    }

    /// Reads an entry without using it.
    pub(super) fn peek(&self, domain: &Domain) -> &Entry {
        let slot = self.slots.get(domain);
        slot.map_or(&self.empty, |slot| &slot.entry)
    }

    /// Forgets an entry.
    pub(super) fn remove(&mut self, domain: &Domain) {
        let key = self.slots.get_key_value(domain);
        if let Some(key) = key.map(|(key, _)| Arc::clone(key))
            && let Some(place) = self.slots.remove(domain).and_then(|slot| slot.place)
        {
            self.leave(&key, place);
        }
    }

    /// The domains of the entries that are wanted. Looks at each of them.
    pub(super) fn domains(&self, wanted: impl Fn(&Entry) -> bool) -> Vec<Domain> {
        self.slots
            .iter()
            .filter(|(_, slot)| wanted(&slot.entry))
            .map(|(domain, _)| (**domain).clone())
            .collect()
    }

    /// Changes an entry, which begins empty, and makes room if it has grown.
    pub(super) fn change<T>(
        &mut self,
        domain: &Domain,
        now: Moment,
        change: impl FnOnce(&mut Entry) -> T,
    ) -> (T, Evicted) {
        self.uses += 1;
        let key = match self.slots.get_key_value(domain) {
            Some((key, _)) => Arc::clone(key),
            None => Arc::new(domain.clone()),
        };
        let slot = self.slots.get_or_default(&key);
        let result = change(&mut slot.entry);
        let place = Place::of(domain, &slot.entry, self.uses, now);
        self.put(&key, place);
        (result, self.make_room(now))
    }

    /// The next policy that is to be fetched anew by now; it comes again after a while unless it is changed before.
    pub(super) fn take_due(&mut self, now: Moment) -> Option<Domain> {
        let (due, key) = self.agenda.first()?;
        if *due > now.instant {
            return None;
        }
        let key = Arc::clone(key);
        self.slots.get_mut(&key)?.entry.take(now);
        self.replace(&key, now);
        Some((*key).clone())
    }

    /// Sets all orders right after the wall clock was set. The one thing that looks at every entry.
    pub(super) fn reorder(&mut self, now: Moment) {
        let keys: Vec<Arc<Domain>> = self.slots.keys().cloned().collect();
        for key in keys {
            self.replace(&key, now);
        }
    }

    /// Live enforce policies that should have been refreshed long since and end soon, by their end.
    pub(super) fn expiring(&self, now: Moment) -> impl Iterator<Item = (&Domain, &Entry)> {
        let horizon = now.wall.plus(LONGEST_NOTICE);
        self.expiries
            .iter()
            .take_while(move |(expires, _)| *expires <= horizon)
            .filter_map(|(_, key)| Some((&**key, &self.slots.get(key)?.entry)))
            .filter(move |(_, entry)| entry.expires_soon(now))
    }

    /// How many there are.
    pub(super) const fn census(&self) -> Census {
        self.census
    }

    /// Puts an entry where it belongs by now.
    fn replace(&mut self, key: &Arc<Domain>, now: Moment) {
        if let Some(slot) = self.slots.get(key)
            && let Some(Place { used, .. }) = slot.place
        {
            self.put(key, Place::of(key, &slot.entry, used, now));
        }
    }

    fn put(&mut self, key: &Arc<Domain>, place: Place) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        match slot.place.replace(place) {
            Some(before) if before == place => return,
            Some(before) => self.leave(key, before),
            None => {}
        }
        self.enter(key, place);
    }

    fn enter(&mut self, key: &Arc<Domain>, place: Place) {
        self.weight += place.weight;
        self.census.0[place.worth as usize] += 1;
        self.order
            .insert((place.worth, place.used, Arc::clone(key)));
        self.expiries
            .extend(place.expires.map(|expires| (expires, Arc::clone(key))));
        self.agenda
            .extend(place.due.map(|due| (due, Arc::clone(key))));
    }

    fn leave(&mut self, key: &Arc<Domain>, place: Place) {
        self.weight -= place.weight;
        self.census.0[place.worth as usize] -= 1;
        self.order
            .remove(&(place.worth, place.used, Arc::clone(key)));
        if let Some(expires) = place.expires {
            self.expiries.remove(&(expires, Arc::clone(key)));
        }
        if let Some(due) = place.due {
            self.agenda.remove(&(due, Arc::clone(key)));
        }
    }

    fn make_room(&mut self, now: Moment) -> Evicted {
        let mut evicted = Evicted::default();
        if self.weight <= self.capacity {
            return evicted;
        }
        self.demote(now);
        while self.weight > self.capacity
            && let Some((worth, _, key)) = self.order.first().cloned()
            && let Some(slot) = self.slots.remove(&key)
        {
            if let Some(place) = slot.place {
                self.leave(&key, place);
            }
            if worth >= Worth::Enforced {
                self.lacks = true;
                evicted.enforced.push((*key).clone());
            } else if slot.entry.would_enforce() {
                self.lacks = true;
                evicted.expired.push((*key).clone());
            } else if slot.entry.is_stored() {
                evicted.stored.push((*key).clone());
            }
        }
        evicted
    }

    /// What has expired since it was put in is worth less.
    fn demote(&mut self, now: Moment) {
        while let Some((expires, key)) = self.expiries.first()
            && *expires <= now.wall
        {
            self.replace(&Arc::clone(key), now);
        }
    }
}

impl Place {
    fn of(domain: &Domain, entry: &Entry, used: u64, now: Moment) -> Self {
        Self {
            weight: OVERHEAD + entry.weight(),
            used,
            worth: entry.worth(now),
            expires: entry.expires(now),
            due: entry.due(domain, now),
        }
    }
}

/// Octets that an entry takes without its policy, roughly: two names, an entry, and its places in the orders.
const OVERHEAD: usize = 1024;

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "the tests need one real instant to count from"
)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use super::super::slots::looked_at;

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
            .change(&domain(name), now, |entry| {
                *entry = Entry::default();
                entry.adopt(stored);
            })
            .1
    }

    /// The orders and sums are those of the slots.
    fn check(shelf: &Shelf) {
        let places = || shelf.slots.iter().map(|(_, slot)| slot.place.unwrap());
        let weight: usize = places().map(|place| place.weight).sum();
        assert_eq!(shelf.weight, weight);
        assert_eq!(shelf.order.len(), shelf.slots.len());
        let expiries = places().filter(|place| place.expires.is_some()).count();
        assert_eq!(shelf.expiries.len(), expiries);
        let agenda = places().filter(|place| place.due.is_some()).count();
        assert_eq!(shelf.agenda.len(), agenda);
        for worth in Worth::ALL {
            let of_it = places().filter(|place| place.worth == worth).count();
            assert_eq!(shelf.census().of(worth), of_it, "{worth:?}");
        }
    }

    fn names(shelf: &Shelf) -> Vec<String> {
        let mut names: Vec<String> = shelf.slots.keys().map(ToString::to_string).collect();
        names.sort();
        names
    }

    /// What it costs to know a domain does not grow with the number of the others: no more of them are looked at.
    #[test]
    fn a_domain_is_known_changed_and_let_go_without_a_look_at_the_others() {
        let mut costs = Vec::new();
        for others in [10, 1000, 20_000] {
            let mut now = now();
            // Full: each that comes in puts one out.
            let mut one = Shelf::new(1 << 20);
            put(&mut one, now, "a.example", "enforce", 1);
            let mut shelf = Shelf::new(others * one.weight);
            for number in 0..others + 100 {
                put(&mut shelf, now, &format!("d{number}.example"), "enforce", 1);
            }
            put(&mut shelf, now, "a.example", "enforce", 1);
            let mut cost = Vec::new();
            let mut spent = |shelf: &mut Shelf, what: &dyn Fn(&mut Shelf)| {
                let before = looked_at();
                what(shelf);
                cost.push(looked_at() - before);
            };
            spent(&mut shelf, &|shelf| {
                shelf.get(&domain("a.example"));
            });
            spent(&mut shelf, &|shelf| {
                shelf.must_recall(&domain("nobody.example"));
            });
            spent(&mut shelf, &|shelf| {
                let evicted = put(shelf, now, "new.example", "enforce", 1);
                assert_eq!(evicted.enforced.len(), 1, "{others}");
            });
            now.instant += std::time::Duration::from_secs(60);
            spent(&mut shelf, &|shelf| {
                assert!(shelf.take_due(now).is_some());
            });
            costs.push(cost);
        }
        assert_eq!(costs[0], costs[1]);
        assert_eq!(costs[1], costs[2]);
        assert!(costs[0].iter().all(|cost| *cost < 20), "{costs:?}");
    }

    #[test]
    fn attack_sts_10_live_enforce_policies_go_last_and_the_least_used_first() {
        let now = now();
        // Room for four policies and some.
        let mut shelf = Shelf::new(4 * OVERHEAD + 1000);
        put(&mut shelf, now, "old.enforce", "enforce", 1);
        put(&mut shelf, now, "new.enforce", "enforce", 1);
        put(&mut shelf, now, "expired.enforce", "enforce", 100);
        put(&mut shelf, now, "live.testing", "testing", 1);
        shelf.get(&domain("old.enforce"));
        for (put_in, mode, dispensable, enforced, left) in [
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
                &[],
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
            let dispensable: Vec<Domain> = dispensable.iter().map(|name| domain(name)).collect();
            let went = [evicted.expired, evicted.stored].concat();
            assert_eq!(went, dispensable, "{put_in}");
            assert_eq!(evicted.enforced.len(), enforced, "{put_in}");
            assert_eq!(names(&shelf), left, "{put_in}");
        }
    }

    #[test]
    fn attack_sts_10_what_has_expired_meanwhile_goes_before_what_is_live() {
        let now = now();
        let mut shelf = Shelf::new(4 * OVERHEAD + 1000);
        put(&mut shelf, now, "a.enforce", "enforce", 1);
        put(&mut shelf, now, "b.enforce", "enforce", 99);
        put(&mut shelf, now, "a.testing", "testing", 1);
        put(&mut shelf, now, "a.none", "none", 1);
        let later = Moment {
            wall: now.wall.plus(std::time::Duration::from_secs(1)),
            ..now
        };
        let gone = |name| vec![domain(name)];
        for (put_in, expired, stored) in [
            ("c.enforce", gone("b.enforce"), vec![]),
            ("d.enforce", vec![], gone("a.none")),
            ("e.enforce", vec![], gone("a.testing")),
        ] {
            let evicted = put(&mut shelf, later, put_in, "enforce", 1);
            let expected = Evicted {
                stored,
                expired,
                enforced: vec![],
            };
            assert_eq!(evicted, expected);
            check(&shelf);
        }
    }

    #[test]
    fn sts_29_what_is_due_is_taken_in_order_and_comes_again_after_a_while() {
        let mut now = now();
        let mut shelf = Shelf::new(1 << 20);
        for (name, age) in [("b.example", 40), ("a.example", 60), ("c.example", 1)] {
            put(&mut shelf, now, name, "enforce", age);
        }
        let mut taken = Vec::new();
        for _ in 0..120 {
            while let Some(domain) = shelf.take_due(now) {
                taken.push(domain.to_string());
            }
            check(&shelf);
            now.wall = now.wall.plus(std::time::Duration::from_secs(1));
            now.instant += std::time::Duration::from_secs(1);
        }
        assert_eq!(taken, ["a.example", "b.example", "c.example"]);
    }

    #[test]
    fn attack_sts_10_a_flood_of_domains_without_a_policy_displaces_none_and_stays_within_bounds() {
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
        check(&shelf);
    }
}
