//! The cache: what it goes by, and its discoveries, one at a time per domain (`errand` knows what one does).
//!
//! A discovery is a task of its own, so that a session that goes away neither stops it nor leaves the others that wait
//! for it without an answer. Nothing here fails: what cannot be known is a [`StsState`] too.
#![expect(
    clippy::disallowed_methods,
    reason = "IO: discoveries are tasks, the store blocks, refreshing goes by time"
)]

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use futures_util::future::{FutureExt, Shared};
use tokio::sync::{Notify, oneshot};

use super::entry::{Entry, Moment, Patience, Step};
use super::errand::{Discovery, Errand};
use super::lost;
use super::shelf::{Evicted, Shelf};
use super::tally::Tally;
use crate::clock::Clock;
use crate::dns::Lookup;
use crate::mtasts::fetch::FetchPolicy;
use crate::name::Domain;
use crate::policy::StsState;
use crate::store::{Batch, Revision, Store, StoreError, StoredPolicy, policies};

/// The policies that this node knows.
pub struct StsCache {
    pub(super) shared: Arc<Cache>,
}

pub(super) struct Cache {
    sources: RwLock<Sources>,
    pub(super) store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    pub(super) tally: Tally,
    memory: Mutex<Memory>,
    /// Whoever writes to the store has it.
    pub(super) turn: Mutex<()>,
    /// How far the store was read at the start.
    pub(super) loaded: Revision,
    /// Somebody else's policy is doubted.
    pub(super) doubts: Notify,
}

/// Who is asked, and for how long it may be waited for.
#[derive(Clone)]
pub(super) struct Sources {
    pub(super) lookup: Arc<dyn Lookup>,
    pub(super) fetch: Arc<dyn FetchPolicy>,
    pub(super) patience: Patience,
}

pub(super) struct Memory {
    pub(super) shelf: Shelf,
    flights: HashMap<Domain, Flight>,
    /// Domains to be asked because somebody else knows another policy.
    pub(super) doubted: Vec<Domain>,
    /// Policies that the store did not take: here until it does, also when they are crowded out.
    pub(super) unwritten: BTreeMap<Domain, StoredPolicy>,
    /// Domains to be asked because the store has lost their policies.
    pub(super) lost: Vec<Domain>,
}

/// What the operator says of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheOptions {
    /// What policies may take in memory, in octets, roughly.
    pub capacity: usize,
    /// With domains of which it cannot be known whether they have a policy.
    pub patience: Patience,
}

impl Default for CacheOptions {
    /// 128 MiB hold some hundred thousand domains with a policy of ordinary size.
    fn default() -> Self {
        Self {
            capacity: 128 * 1024 * 1024,
            patience: Patience::Endless,
        }
    }
}

/// A discovery under way; ends with an error when its task does without a result.
type Flight = Shared<oneshot::Receiver<StsState>>;

impl StsCache {
    /// Starts with what the store holds. Blocks while it reads.
    ///
    /// # Errors
    /// When the store cannot be read: never taken for "no policies".
    pub fn open(
        lookup: Arc<dyn Lookup>,
        fetch: Arc<dyn FetchPolicy>,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        options: CacheOptions,
    ) -> Result<Self, StoreError> {
        let now = Moment::of(&*clock);
        let mut shelf = Shelf::new(options.capacity);
        let tally = Tally::default();
        let loaded = policies::load(&*store, |stored| {
            let domain = stored.domain.clone();
            let ((), evicted) = shelf.change(&domain, now, |entry| entry.recall(Some(stored), now));
            // All stay in the store: a start with less memory, or with a wrong clock, is no reason to lose them.
            if !evicted.stored.is_empty() {
                shelf.lack();
            }
            tally.evicted(evicted.enforced.len());
            Ok(())
        })?;
        let lost = lost::mark(&*store, &mut shelf, now)?;
        Ok(Self {
            shared: Arc::new(Cache {
                sources: RwLock::new(Sources {
                    lookup,
                    fetch,
                    patience: options.patience,
                }),
                store,
                clock,
                tally,
                memory: Mutex::new(Memory {
                    shelf,
                    flights: HashMap::new(),
                    doubted: Vec::new(),
                    unwritten: BTreeMap::new(),
                    lost,
                }),
                turn: Mutex::new(()),
                loaded,
                doubts: Notify::new(),
            }),
        })
    }

    /// From now on asks these, within these bounds; what is known stays.
    pub fn ask(&self, lookup: Arc<dyn Lookup>, fetch: Arc<dyn FetchPolicy>, options: CacheOptions) {
        let mut sources = self.shared.sources.write();
        **sources
            .as_mut()
            .unwrap_or_else(|poisoned| poisoned.get_mut()) = Sources {
            lookup,
            fetch,
            patience: options.patience,
        };
        drop(sources);
        self.shared.lock().shelf.resize(options.capacity);
    }

    /// The policy of a domain, discovered or refreshed when it must be. Without IO for a minute after the records were
    /// asked for.
    pub async fn state(&self, domain: &Domain) -> StsState {
        self.shared.run(domain, Errand::Session).await
    }

    /// After a refusal under an enforced policy: asks for a newer one at once (RFC 8461 §5, "before permanently
    /// failing"), so that the next attempt is judged by it.
    pub async fn recheck(&self, domain: &Domain) {
        self.shared.run(domain, Errand::Newer).await;
    }
}

impl Cache {
    pub(super) async fn run(self: &Arc<Self>, domain: &Domain, errand: Errand) -> StsState {
        let flight = match self.board(domain, errand) {
            Boarded::Known(state) => return state,
            Boarded::Waiting(flight) => flight,
        };
        match flight.await {
            Ok(state) => state,
            Err(_) => self.broken_off(domain),
        }
    }

    /// The same by a discovery that begins now: one that is under way may have asked already.
    pub(super) async fn run_anew(self: &Arc<Self>, domain: &Domain, errand: Errand) -> StsState {
        let under_way = self.lock().flights.get(domain).cloned();
        if let Some(flight) = under_way {
            // How it ends, the next one will see.
            let _ = flight.await;
        }
        self.run(domain, errand).await
    }

    /// Knows at once, or joins the discovery under way, or starts one.
    fn board(self: &Arc<Self>, domain: &Domain, errand: Errand) -> Boarded {
        let now = self.now();
        let mut memory = self.lock();
        if matches!(errand, Errand::Session | Errand::Ahead)
            && !memory.shelf.must_recall(domain)
            && let Step::Ready(state) = memory.shelf.get(domain).step(self.sources().patience, now)
        {
            return Boarded::Known(state);
        }
        if let Some(flight) = memory.flights.get(domain) {
            return Boarded::Waiting(flight.clone());
        }
        let (tell, hear) = oneshot::channel();
        let flight = hear.shared();
        memory.flights.insert(domain.clone(), flight.clone());
        // A runtime that shuts down drops the task here and now, and with it the discovery, which takes the lock.
        drop(memory);
        let discovery = Discovery {
            cache: Arc::clone(self),
            domain: domain.clone(),
            errand,
        };
        tokio::spawn(async move {
            // Nobody may be left to hear it.
            let _ = tell.send(discovery.run().await);
        });
        Boarded::Waiting(flight)
    }

    pub(super) fn broken_off(&self, domain: &Domain) -> StsState {
        let now = self.now();
        self.lock().shelf.get(domain).broken_off(now)
    }

    /// Changes an entry; tells what the store is to forget for it: what had to go, and the mark of a loss that is over.
    pub(super) fn change<T>(
        &self,
        memory: &mut Memory,
        domain: &Domain,
        now: Moment,
        change: impl FnOnce(&mut Entry) -> T,
    ) -> (T, Batch) {
        let ((result, is_over), evicted) = memory.shelf.change(domain, now, |entry| {
            let was_lost = entry.is_lost();
            let result = change(entry);
            (result, was_lost && !entry.is_lost())
        });
        let mut batch = self.evicted(evicted);
        batch.gone.extend(is_over.then(|| lost::marked(domain)));
        (result, batch)
    }

    /// Counts what had to go; tells what the store is to forget too. Where the store is memory as well, that is all of it.
    fn evicted(&self, evicted: Evicted) -> Batch {
        self.tally.evicted(evicted.enforced.len());
        let mut gone = evicted.stored;
        if !self.store.is_durable() {
            gone.extend(evicted.enforced);
            gone.extend(evicted.expired);
        }
        Batch::removing(&gone)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Memory> {
        // A panic can only lose what was to be put in, never leave it half put in.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> Moment {
        Moment::of(&*self.clock)
    }

    pub(super) fn sources(&self) -> Sources {
        let sources = self.sources.read();
        sources.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A discovery has ended, however it did: the way is clear for the next.
    pub(super) fn land(&self, domain: &Domain) {
        self.lock().flights.remove(domain);
    }
}

enum Boarded {
    Known(StsState),
    Waiting(Flight),
}

impl Moment {
    fn of(clock: &dyn Clock) -> Self {
        Self {
            wall: clock.wall(),
            instant: clock.instant(),
        }
    }
}
