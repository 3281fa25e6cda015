//! A cache in that world, what outlives it, and its states in short.

use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};

use super::world::World;
use crate::clock::Clock;
use crate::dns::{Failure, Lookup};
use crate::mtasts::Policy;
use crate::mtasts::fetch::{FetchFailure, FetchPolicy};
use crate::name::Domain;
use crate::policy::StsState;
use crate::policy::cache::{CacheOptions, StsCache};
use crate::store::memory::MemoryStore;
use crate::store::{Store, StoreError, StoredPolicy, policies};

/// A cache with what outlives it.
pub(super) struct Node {
    pub(super) world: Arc<World>,
    pub(super) store: Arc<dyn Store>,
    pub(super) cache: Arc<StsCache>,
    pub(super) runtime: Runtime,
}

impl Node {
    pub(super) fn new(world: &Arc<World>) -> Self {
        Self::over(world, Arc::new(MemoryStore::default()))
    }

    pub(super) fn over(world: &Arc<World>, store: Arc<dyn Store>) -> Self {
        Self {
            cache: Arc::new(open(world, &store).unwrap()),
            world: Arc::clone(world),
            store,
            runtime: Builder::new_current_thread().enable_time().build().unwrap(),
        }
    }

    pub(super) fn restart(&mut self) {
        self.cache = Arc::new(open(&self.world, &self.store).unwrap());
    }

    pub(super) fn state(&self) -> StsState {
        self.runtime.block_on(self.cache.state(&domain()))
    }

    pub(super) fn recheck(&self) {
        self.runtime.block_on(self.cache.recheck(&domain()));
    }

    pub(super) fn refresh(&self) {
        self.runtime.block_on(self.cache.refresh_due());
    }

    /// What the look at the clocks between two rounds of refreshes leads to.
    pub(super) fn clock_was_set(&self) {
        let now = self.cache.shared.now();
        self.cache.shared.lock().shelf.reorder(now);
    }

    pub(super) fn told(&self) -> Told {
        Told::from(&self.state())
    }
}

pub(super) fn kept(node: &Node) -> Vec<StoredPolicy> {
    let mut kept = Vec::new();
    policies::load(&*node.store, |policy| {
        kept.push(policy);
        Ok(())
    })
    .unwrap();
    kept
}

pub(super) fn open(world: &Arc<World>, store: &Arc<dyn Store>) -> Result<StsCache, StoreError> {
    let options = CacheOptions {
        capacity: 1 << 20,
        patience: world.patience,
    };
    StsCache::open(
        Arc::clone(world) as Arc<dyn Lookup>,
        Arc::clone(world) as Arc<dyn FetchPolicy>,
        Arc::clone(store),
        Arc::clone(world) as Arc<dyn Clock>,
        options,
    )
}

pub(super) fn domain() -> Domain {
    "a.b.example".parse().unwrap()
}

/// A state in short: which fetch the policy is from, and whether its refresh fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    None,
    FetchFailed(FetchFailure),
    Unknown(Failure),
    Live(String),
    Cached(String, FetchFailure),
}

impl From<&StsState> for Told {
    fn from(state: &StsState) -> Self {
        let name = |policy: &Policy| format!("{:?} {}", policy.mode, policy.mx[0].as_str());
        match state {
            StsState::None => Self::None,
            StsState::FetchFailed(failure) => Self::FetchFailed(failure.clone()),
            StsState::Unknown(failure) => Self::Unknown(failure.clone()),
            StsState::Live {
                policy,
                refresh: None,
            } => Self::Live(name(policy)),
            StsState::Live {
                policy,
                refresh: Some(failure),
            } => Self::Cached(name(policy), failure.clone()),
        }
    }
}

pub(super) fn live(name: &str) -> Told {
    Told::Live(name.to_owned())
}

pub(super) fn cached(name: &str, failure: FetchFailure) -> Told {
    Told::Cached(name.to_owned(), failure)
}
