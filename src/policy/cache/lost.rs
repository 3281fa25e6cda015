//! Domains whose policies a damaged store has lost: asked anew at once and until they answer, and meanwhile unknown, which
//! is not the same as without a policy. The mark is in the store, so that a restart does not forget it.

use futures_util::stream::{self, StreamExt};
use tracing::{info, warn};

use super::StsCache;
use super::entry::Moment;
use super::errand::Errand;
use super::shelf::Shelf;
use super::upkeep::AT_ONCE;
use crate::clock::Timestamp;
use crate::name::Domain;
use crate::store::{Kind, Query, Store, StoreError};

/// The mark of a domain, to be deleted.
pub(super) fn marked(domain: &Domain) -> (Kind, String) {
    (Kind::Lost, domain.to_string())
}

/// When it was noticed that the store has lost its policy, if it has. Blocks.
pub(super) fn noticed(store: &dyn Store, domain: &Domain) -> Result<Option<Timestamp>, StoreError> {
    let found = store.find(Kind::Lost, Query::Key(&domain.to_string()), 1)?;
    Ok(found.first().map(|row| row.at))
}

/// Marks the entries of such domains, and tells which they are. Blocks.
pub(super) fn mark(
    store: &dyn Store,
    shelf: &mut Shelf,
    now: Moment,
) -> Result<Vec<Domain>, StoreError> {
    let mut lost = Vec::new();
    for row in store.find(Kind::Lost, Query::Latest, usize::MAX)? {
        let Ok(domain) = row.key.parse::<Domain>() else {
            continue; // What is no domain gets no mail.
        };
        // However old it is: the clock of a start may be wrong (upkeep of the store lets go of it in the end).
        // All stay in the store, where what is crowded out is looked for.
        let (is_lost, _) = shelf.change(&domain, now, |entry| {
            entry.lose(now);
            entry.is_lost()
        });
        if is_lost {
            lost.push(domain);
        }
    }
    if !lost.is_empty() {
        warn!(
            domains = lost.len(),
            first = %lost[0],
            "policies that a damaged store has lost are asked for anew; mail to their domains waits until they answer \
            (`danelaw policy drop` ends the wait for one)"
        );
    }
    Ok(lost)
}

impl StsCache {
    /// Asks all of them that have not answered yet, a few at a time.
    pub(super) async fn ask_lost(&self) {
        let cache = &self.shared;
        let lost = cache.lock().lost.clone();
        if lost.is_empty() {
            return;
        }
        stream::iter(lost)
            .for_each_concurrent(AT_ONCE, |domain| async move {
                cache.run(&domain, Errand::Refresh).await;
            })
            .await;
        let mut memory = cache.lock();
        let memory = &mut *memory;
        memory
            .lost
            .retain(|domain| memory.shelf.peek(domain).is_lost());
        match memory.lost.len() {
            0 => info!("all domains whose policies were lost have been heard anew"),
            more => info!(
                domains = more,
                "domains whose policies were lost have not answered yet"
            ),
        }
    }
}
