//! MTA-STS policies between sessions: what is in force now (RFC 8461 §3.3, §5.1).
//!
//! An unexpired policy is never loosened by a failure: TXT missing, bogus or unreachable, a fetch that fails or an
//! invalid body leave it in force. One discovery runs per domain at a time, the others wait for it.

use std::sync::Arc;

use super::StsState;
use crate::clock::Clock;
use crate::dns::Lookup;
use crate::mtasts::fetch::FetchPolicy;
use crate::name::Domain;
use crate::store::Store;

/// The policies that this node knows.
pub struct StsCache {
    lookup: Arc<dyn Lookup>,
    fetch: Arc<dyn FetchPolicy>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

impl StsCache {
    /// Starts with what the store holds.
    ///
    /// # Errors
    /// When the store cannot be read: never taken for "no policies".
    pub fn open(
        lookup: Arc<dyn Lookup>,
        fetch: Arc<dyn FetchPolicy>,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, crate::store::StoreError> {
        Ok(Self {
            lookup,
            fetch,
            store,
            clock,
        })
    }

    /// The policy of a domain, discovered or refreshed when it must be.
    pub async fn state(&self, _domain: &Domain) -> StsState {
        let _ = (&self.lookup, &self.fetch, &self.store, &self.clock);
        unimplemented!()
    }

    /// After a refusal under an enforced policy: asks for a newer one at once (RFC 8461 §5, "before permanently
    /// failing"), so that the next attempt is judged by it.
    pub async fn recheck(&self, _domain: &Domain) {
        unimplemented!()
    }
}
