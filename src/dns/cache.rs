//! A bounded map whose entries end with what they were derived from.

use std::hash::Hash;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use lru::LruCache;

use crate::clock::Timestamp;

/// The least recently used entry makes room.
pub(super) struct Cache<K: Hash + Eq, V> {
    entries: Mutex<LruCache<K, Entry<V>>>,
}

/// Valid from `since` (a clock set back ends it too) until `until`.
struct Entry<V> {
    since: Timestamp,
    until: Timestamp,
    value: V,
}

impl<K: Hash + Eq, V: Clone> Cache<K, V> {
    pub(super) fn new(capacity: NonZeroUsize) -> Self {
        Self {
            entries: Mutex::new(LruCache::new(capacity)),
        }
    }

    pub(super) fn get(&self, key: &K, now: Timestamp) -> Option<V> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries
            .get(key)
            .filter(|entry| entry.since <= now && now < entry.until)
            .map(|entry| entry.value.clone())
    }

    pub(super) fn put(&self, key: K, value: V, now: Timestamp, until: Timestamp) {
        if until <= now {
            return;
        }
        let entry = Entry {
            since: now,
            until,
            value,
        };
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.put(key, entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix(seconds)
    }

    #[test]
    fn an_entry_lives_from_its_making_to_its_end() {
        let cache = Cache::new(NonZeroUsize::MIN);
        cache.put("a", 1, at(100), at(110));
        for (now, found) in [(99, None), (100, Some(1)), (109, Some(1)), (110, None)] {
            assert_eq!(cache.get(&"a", at(now)), found, "{now}");
        }
    }

    #[test]
    fn the_number_of_entries_is_bounded() {
        let cache = Cache::new(NonZeroUsize::MIN);
        cache.put("a", 1, at(0), at(9));
        cache.put("b", 2, at(0), at(9));
        assert_eq!(
            (cache.get(&"a", at(1)), cache.get(&"b", at(1))),
            (None, Some(2))
        );
    }

    #[test]
    fn what_has_ended_already_is_not_kept() {
        let cache = Cache::new(NonZeroUsize::MIN);
        cache.put("a", 1, at(0), at(9));
        cache.put("b", 2, at(5), at(5));
        assert_eq!(cache.get(&"a", at(5)), Some(1));
    }
}
