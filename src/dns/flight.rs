//! Work that several want at once is done once.
//!
//! Whoever comes first does it, the others wait for what comes out. When the first gives up (its deadline, its session), one
//! that waits does the work instead, with means of its own.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

/// What is under way, by key.
pub(super) struct Flights<K: Hash + Eq + Clone, V> {
    under_way: Mutex<HashMap<K, Arc<OnceCell<V>>>>,
}

/// One that takes part; the last to leave takes the flight off the list.
struct Passage<'a, K: Hash + Eq + Clone, V> {
    flights: &'a Flights<K, V>,
    key: K,
    cell: Arc<OnceCell<V>>,
}

impl<K: Hash + Eq + Clone, V: Clone> Flights<K, V> {
    /// The result of `fly`, or of the one that is at it already.
    pub(super) async fn join<F: Future<Output = V>>(&self, key: K, fly: impl FnOnce() -> F) -> V {
        let passage = self.board(key);
        passage.cell.get_or_init(fly).await.clone()
    }

    fn board(&self, key: K) -> Passage<'_, K, V> {
        let mut under_way = self.lock();
        let cell = Arc::clone(under_way.entry(key.clone()).or_default());
        drop(under_way);
        Passage {
            flights: self,
            key,
            cell,
        }
    }
}

impl<K: Hash + Eq + Clone, V> Flights<K, V> {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<K, Arc<OnceCell<V>>>> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq + Clone, V> Default for Flights<K, V> {
    fn default() -> Self {
        Self {
            under_way: Mutex::default(),
        }
    }
}

impl<K: Hash + Eq + Clone, V> Drop for Passage<'_, K, V> {
    fn drop(&mut self) {
        let mut under_way = self.flights.lock();
        let Some(listed) = under_way.get(&self.key) else {
            return;
        };
        // A flight that has landed is over for those who come now; what it brought is in a cache, or not worth keeping.
        let landed = self.cell.initialized();
        let last = Arc::strong_count(&self.cell) == 2;
        if Arc::ptr_eq(listed, &self.cell) && (landed || last) {
            under_way.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::{join, join_all};
    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn dns_15_what_many_want_at_once_is_done_once() {
        let flights = Flights::default();
        let (done, gate) = (AtomicUsize::new(0), Notify::new());
        let fly = || async {
            gate.notified().await;
            done.fetch_add(1, Ordering::Relaxed)
        };
        let all = join_all((0..9).map(|_| flights.join("a", fly)));
        let (results, ()) = join(all, async { gate.notify_one() }).await;
        assert_eq!(results, [0; 9]);
        gate.notify_one();
        assert_eq!(flights.join("a", fly).await, 1, "later it is done anew");
        assert!(flights.lock().is_empty());
    }

    #[tokio::test]
    async fn whoever_waits_takes_over_from_one_who_gives_up() {
        let flights = Flights::default();
        let never = flights.join("a", std::future::pending::<u8>);
        tokio::pin!(never);
        assert!(futures_util::poll!(&mut never).is_pending());
        let second = flights.join("a", || async { 7 });
        tokio::pin!(second);
        assert!(futures_util::poll!(&mut second).is_pending());
        // The one that pins it is the only owner, so this ends the first.
        never.set(flights.join("b", std::future::pending::<u8>));
        assert_eq!(second.await, 7);
    }

    #[tokio::test]
    async fn a_flight_that_nobody_waits_for_any_more_leaves_nothing_behind() {
        let flights: Flights<&str, u8> = Flights::default();
        for _ in 0..2 {
            let mut given_up = Box::pin(flights.join("a", std::future::pending));
            assert!(futures_util::poll!(given_up.as_mut()).is_pending());
        }
        assert!(flights.lock().is_empty());
    }
}
