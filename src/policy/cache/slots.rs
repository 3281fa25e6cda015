//! Entries by domain. Under test it counts how many of them are looked at: what one decision costs must not grow with the
//! number of domains. Pure.

use std::collections::HashMap;
use std::sync::Arc;

use crate::name::Domain;

/// One slot for each domain.
#[derive(Debug, Default)]
pub(super) struct Slots<S>(HashMap<Arc<Domain>, S>);

impl<S> Slots<S> {
    pub(super) fn get(&self, domain: &Domain) -> Option<&S> {
        look(1);
        self.0.get(domain)
    }

    pub(super) fn get_mut(&mut self, domain: &Domain) -> Option<&mut S> {
        look(1);
        self.0.get_mut(domain)
    }

    pub(super) fn get_key_value(&self, domain: &Domain) -> Option<(&Arc<Domain>, &S)> {
        look(1);
        self.0.get_key_value(domain)
    }

    pub(super) fn remove(&mut self, domain: &Domain) -> Option<S> {
        look(1);
        self.0.remove(domain)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// All of them, which costs as much.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<Domain>, &S)> {
        self.0.iter().inspect(|_| look(1))
    }

    /// The same.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Arc<Domain>> {
        self.iter().map(|(key, _)| key)
    }
}

impl<S: Default> Slots<S> {
    pub(super) fn get_or_default(&mut self, key: &Arc<Domain>) -> &mut S {
        look(1);
        self.0.entry(Arc::clone(key)).or_default()
    }
}

#[cfg(not(test))]
const fn look(_: u64) {}

#[cfg(test)]
fn look(slots: u64) {
    LOOKED_AT.with(|seen| seen.set(seen.get() + slots));
}

/// Slots that this thread has looked at.
#[cfg(test)]
pub(super) fn looked_at() -> u64 {
    LOOKED_AT.with(std::cell::Cell::get)
}

#[cfg(test)]
thread_local! {
    static LOOKED_AT: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}
