//! How many sessions there are at once, and how many there may be; the bound can be moved while sessions are under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::watch;

/// Room for sessions.
pub(super) struct Room {
    limit: AtomicUsize,
    taken: watch::Sender<usize>,
}

/// One session's part of it, for as long as it lives.
pub(super) struct Slot(Arc<Room>);

impl Room {
    /// For so many.
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit: AtomicUsize::new(limit),
            taken: watch::Sender::new(0),
        })
    }

    /// One more, unless it would be one too many.
    pub(super) fn take(self: &Arc<Self>) -> Option<Slot> {
        let limit = self.limit();
        let is_taken = self.taken.send_if_modified(|taken| {
            let has_room = *taken < limit;
            *taken += usize::from(has_room);
            has_room
        });
        is_taken.then(|| Slot(Arc::clone(self)))
    }

    /// From now on for so many. Sessions that are too many then go on.
    pub(super) fn resize(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// For how many.
    pub(super) fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// How many there are.
    pub(super) fn taken(&self) -> usize {
        *self.taken.borrow()
    }

    /// Waits until there is none.
    pub(super) async fn emptied(&self) {
        let mut taken = self.taken.subscribe();
        // It cannot close: the sender is ours.
        let _ = taken.wait_for(|taken| *taken == 0).await;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.taken.send_modify(|taken| *taken -= 1);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn dn_10_room_that_shrinks_ends_nobody_and_lets_nobody_in_before_it_is_free() {
        let room = Room::new(2);
        let (first, second) = (room.take().unwrap(), room.take().unwrap());
        assert!(room.take().is_none());
        room.resize(1);
        drop(first);
        assert!(room.take().is_none());
        assert_eq!((room.taken(), room.limit()), (1, 1));
        room.resize(2);
        let third = room.take();
        assert!(third.is_some());
        assert!(room.emptied().now_or_never().is_none());
        drop((second, third));
        room.emptied().await;
    }
}
