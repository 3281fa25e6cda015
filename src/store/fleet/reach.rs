//! Whether the two are in step: since when they are not, whose fault it is, and when the database is tried again.
#![expect(
    clippy::disallowed_methods,
    reason = "IO: goes by time when it tries a lost database again"
)]

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::{error, info};

use crate::clock::{Clock, Timestamp};
use crate::store::{Store, StoreError, StoreFault};

/// How the last work with the database ended.
#[derive(Debug, Default)]
pub(super) struct Reach(Mutex<Option<Gone>>);

/// It failed.
#[derive(Debug)]
struct Gone {
    fault: Fault,
    since: Timestamp,
    pause: Duration,
    again: Instant,
}

#[derive(Debug)]
enum Fault {
    /// The database does not answer.
    Database(String),
    /// It does, and our own store fails.
    Own(String),
}

impl Reach {
    /// It is too early to ask again.
    pub(super) fn is_to_wait(&self) -> bool {
        self.gone()
            .as_ref()
            .is_some_and(|gone| Instant::now() < gone.again)
    }

    pub(super) fn is_gone(&self) -> bool {
        self.gone().is_some()
    }

    /// Takes note of how it ended.
    pub(super) fn note<T>(
        &self,
        done: &Result<T, StoreError>,
        database: &dyn Store,
        clock: &dyn Clock,
    ) {
        let mut gone = self.gone();
        match done {
            Ok(_) => {
                if let Some(was) = gone.take() {
                    let seconds = clock.wall().since(was.since).as_secs();
                    info!(database = database.place(), seconds, "the database is back");
                }
            }
            // It answers; what it holds is another matter.
            Err(error) if matches!(error.fault, StoreFault::Row { .. }) => {
                error!(%error, "a row of the database cannot be passed over");
            }
            Err(error) => {
                let fault = Fault::of(error, database);
                let (pause, since) = match gone.take() {
                    Some(was) => ((was.pause * 2).min(LONGEST), was.since),
                    None => {
                        fault.log(error);
                        (SHORTEST, clock.wall())
                    }
                };
                *gone = Some(Gone {
                    fault,
                    since,
                    pause,
                    again: Instant::now() + pause,
                });
            }
        }
    }

    /// What an operator has to know.
    pub(super) fn told(&self, database: &dyn Store, own: &dyn Store) -> Option<String> {
        let gone = self.gone();
        let gone = gone.as_ref()?;
        let (there, here, since) = (database.place(), own.place(), gone.since);
        Some(match &gone.fault {
            Fault::Database(why) => format!(
                "{there} does not answer since {since} ({why}); decisions go on with what this node knows, kept in {here}"
            ),
            Fault::Own(why) => format!(
                "{here} cannot be kept in step with {there} since {since} ({why}); decisions go on with what this node knows"
            ),
        })
    }

    /// As if the pause were over.
    #[cfg(test)]
    pub(super) fn hurry(&self) {
        if let Some(gone) = &mut *self.gone() {
            gone.again = Instant::now();
        }
    }

    fn gone(&self) -> MutexGuard<'_, Option<Gone>> {
        // Each change is one assignment.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fault {
    fn of(error: &StoreError, database: &dyn Store) -> Self {
        let why = error.fault.to_string();
        if error.place == database.place() {
            Self::Database(why)
        } else {
            Self::Own(why)
        }
    }

    fn log(&self, error: &StoreError) {
        match self {
            Self::Database(_) => {
                error!(%error, "the database is gone; decisions go on with what this node knows");
            }
            Self::Own(_) => {
                error!(%error, "this node's store cannot be kept in step with the database; decisions go on with what this node knows");
            }
        }
    }
}

/// Before a lost database is tried again.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::store::broken::Broken;
    use crate::store::memory::MemoryStore;

    #[test]
    fn sts_60_it_is_told_which_of_the_two_fails() {
        let (database, own) = (MemoryStore::default(), Broken::default());
        for (place, told) in [
            (database.place(), "memory does not answer since"),
            (
                own.place(),
                "/full/danelaw.db cannot be kept in step with memory since",
            ),
        ] {
            let reach = Reach::default();
            let fault = StoreFault::Empty;
            let failed = Err::<(), _>(StoreError { place, fault });
            reach.note(&failed, &database, &SystemClock);
            assert!(reach.is_gone() && reach.is_to_wait());
            let seen = reach.told(&database, &own).unwrap();
            assert!(seen.starts_with(told), "{seen}");
            reach.note(&Ok(()), &database, &SystemClock);
            assert_eq!(reach.told(&database, &own), None);
            assert!(!reach.is_to_wait());
        }
    }
}
