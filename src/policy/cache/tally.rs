//! What became of fetches, and what had to be forgotten: counters that only grow, to be read at any time.

use std::sync::atomic::{AtomicU64, Ordering};

use tracing::warn;

use super::entry::Worth;
use crate::mtasts::fetch::FetchFailure;

/// The counters.
#[derive(Debug, Default)]
pub(super) struct Tally {
    fetches: [AtomicU64; FetchEnding::ALL.len()],
    evicted_enforced: AtomicU64,
}

/// How a fetch ended, in the groups of RFC 8460 §4.3.2.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchEnding {
    /// With a policy.
    Policy,
    /// DNS, TCP or HTTP.
    FetchError,
    /// The policy host's certificate.
    WebPkiInvalid,
    /// With something that is no policy.
    PolicyInvalid,
}

/// How the policies fare, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StsVitals {
    /// Domains in memory, by what is known of them.
    pub domains: [(&'static str, usize); 6],
    /// Enforced policies that cannot be refreshed and end soon.
    pub expiring: usize,
    /// Fetches, in the order of [`FetchEnding::ALL`].
    pub fetches: [u64; FetchEnding::ALL.len()],
    /// Live enforce policies that memory had no room for.
    pub evicted_enforced: u64,
}

impl FetchEnding {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 4] = [
        Self::Policy,
        Self::FetchError,
        Self::WebPkiInvalid,
        Self::PolicyInvalid,
    ];

    /// As in metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::FetchError => "sts-policy-fetch-error",
            Self::WebPkiInvalid => "sts-webpki-invalid",
            Self::PolicyInvalid => "sts-policy-invalid",
        }
    }

    fn of<T>(result: &Result<T, FetchFailure>) -> Self {
        match result {
            Ok(_) => Self::Policy,
            Err(FetchFailure::Fetch(_)) => Self::FetchError,
            Err(FetchFailure::WebPki(_)) => Self::WebPkiInvalid,
            Err(FetchFailure::Invalid(_)) => Self::PolicyInvalid,
        }
    }
}

impl StsVitals {
    /// Before anything was asked.
    #[must_use]
    pub fn of_an_empty_cache() -> Self {
        Self {
            domains: Worth::ALL.map(|worth| (worth.label(), 0)),
            expiring: 0,
            fetches: [0; FetchEnding::ALL.len()],
            evicted_enforced: 0,
        }
    }
}

impl Tally {
    pub(super) fn fetched<T>(&self, result: &Result<T, FetchFailure>) {
        self.fetches[FetchEnding::of(result) as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Each of them is not fetched anew before mail goes there, and lost where no store keeps it.
    pub(super) fn evicted(&self, enforced: usize) {
        if enforced == 0 {
            return;
        }
        self.evicted_enforced
            .fetch_add(enforced as u64, Ordering::Relaxed);
        warn!(
            policies = enforced,
            "the MTA-STS cache is full of enforce policies: the least used are left to the store, and lost without one \
            (raise mta_sts.cache_mib)"
        );
    }

    pub(super) fn fetches(&self) -> [u64; FetchEnding::ALL.len()] {
        let mut counted = [0; FetchEnding::ALL.len()];
        for (count, counter) in counted.iter_mut().zip(&self.fetches) {
            *count = counter.load(Ordering::Relaxed);
        }
        counted
    }

    pub(super) fn evicted_enforced(&self) -> u64 {
        self.evicted_enforced.load(Ordering::Relaxed)
    }
}
