//! How many lookups there were, and how they ended: counters that only grow, to be read at any time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Answer, Denial, Failure};

/// The counters.
#[derive(Debug, Default)]
pub struct Tally {
    lookups: [[AtomicU64; Ending::ALL.len()]; Asked::ALL.len()],
    /// Of each resolver that there has been.
    disagreements: Mutex<Vec<Arc<AtomicU64>>>,
}

/// The types that are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Asked {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// MX.
    Mx,
    /// TLSA.
    Tlsa,
    /// TXT.
    Txt,
}

/// How a lookup ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// Records, validated.
    Secure,
    /// Records from an unsigned part of the tree.
    Insecure,
    /// No such records, proven.
    ProvenAbsent,
    /// No such records, from an unsigned part of the tree.
    ClaimedAbsent,
    /// Data that contradicts the chain of trust.
    Bogus,
    /// No usable answer.
    Unreachable,
    /// Not used, because validation does not work.
    Withheld,
}

impl Tally {
    /// Counts a lookup.
    pub fn count(&self, asked: Asked, ending: Ending) {
        self.lookups[asked as usize][ending as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How many lookups of this type have ended so.
    #[must_use]
    pub fn lookups(&self, asked: Asked, ending: Ending) -> u64 {
        self.lookups[asked as usize][ending as usize].load(Ordering::Relaxed)
    }

    /// With the counter of a resolver for what its own validation and ours disagree on.
    pub fn add(&self, disagreements: Arc<AtomicU64>) {
        self.all().push(disagreements);
    }

    /// How many answers there were of which the recursive resolver's AD bit says another thing than our own validation.
    #[must_use]
    pub fn disagreements(&self) -> u64 {
        let all = self.all();
        all.iter().map(|one| one.load(Ordering::Relaxed)).sum()
    }

    fn all(&self) -> MutexGuard<'_, Vec<Arc<AtomicU64>>> {
        let all = self.disagreements.lock();
        all.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Asked {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 5] = [Self::A, Self::Aaaa, Self::Mx, Self::Tlsa, Self::Txt];

    /// The stable word for metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Mx => "MX",
            Self::Tlsa => "TLSA",
            Self::Txt => "TXT",
        }
    }
}

impl Ending {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 7] = [
        Self::Secure,
        Self::Insecure,
        Self::ProvenAbsent,
        Self::ClaimedAbsent,
        Self::Bogus,
        Self::Unreachable,
        Self::Withheld,
    ];

    /// How the lookup with this answer ended.
    #[must_use]
    pub const fn of<T>(answer: &Answer<T>) -> Self {
        match answer {
            Answer::Secure(_) => Self::Secure,
            Answer::Insecure(_) => Self::Insecure,
            Answer::Absent(absence) => match absence.denial {
                Denial::Secure => Self::ProvenAbsent,
                Denial::Insecure => Self::ClaimedAbsent,
            },
            Answer::Failed(Failure::Bogus(_)) => Self::Bogus,
            Answer::Failed(Failure::Unreachable(_)) => Self::Unreachable,
        }
    }

    /// The stable word for metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Secure => "secure",
            Self::Insecure => "insecure",
            Self::ProvenAbsent => "proven-absent",
            Self::ClaimedAbsent => "claimed-absent",
            Self::Bogus => "bogus",
            Self::Unreachable => "unreachable",
            Self::Withheld => "withheld",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_has_a_counter_of_its_own() {
        let tally = Tally::default();
        let mut number = 0;
        for asked in Asked::ALL {
            for ending in Ending::ALL {
                number += 1;
                (0..number).for_each(|_| tally.count(asked, ending));
            }
        }
        let mut expected = 0;
        for asked in Asked::ALL {
            for ending in Ending::ALL {
                expected += 1;
                assert_eq!(tally.lookups(asked, ending), expected);
            }
        }
        assert_eq!(tally.disagreements(), 0);
        let counter = Arc::new(AtomicU64::new(1));
        let (first, second) = (Arc::clone(&counter), Arc::new(AtomicU64::new(3)));
        tally.add(first);
        tally.add(second);
        counter.fetch_add(1, Ordering::Relaxed);
        assert_eq!(tally.disagreements(), 5, "of both resolvers");
    }
}
