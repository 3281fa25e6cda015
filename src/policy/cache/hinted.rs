//! The domains of a signed list are asked in advance, when a new list comes and once a day.
#![expect(clippy::disallowed_methods, reason = "IO: goes by time")]

use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tracing::{info, warn};

use super::StsCache;
use crate::clock::Timestamp;
use crate::mtasts::hints::{Hints, HintsError, HintsFiles};

/// What was done with which list.
#[derive(Debug, Default)]
struct Applied {
    serial: u64,
    at: Option<Instant>,
}

/// Why a list is not used now.
#[derive(Debug, thiserror::Error)]
enum Unused {
    #[error(transparent)]
    Bad(#[from] HintsError),
    #[error("it expired {0} s ago: fetch a new one")]
    Expired(u64),
    #[error(
        "its serial is {seen}, and a list with serial {applied} is in use: an older list never replaces a newer"
    )]
    Older { seen: u64, applied: u64 },
}

impl StsCache {
    /// Reads the list again and again and asks the domains that it names, without end. A list that is not in order changes
    /// nothing, and what was fetched stays. It is read at once when `now` is told.
    pub async fn keep_hinted(&self, files: &HintsFiles, now: &Notify) {
        let mut applied = Applied::default();
        loop {
            let (wall, instant) = (self.shared.now().wall, self.shared.now().instant);
            match applied.next(load(files).await, wall, instant) {
                Ok(Some(hints)) => {
                    let domains = hints.domains.len();
                    info!(
                        serial = hints.serial,
                        domains, "policies of the domains on the list are fetched"
                    );
                    self.prefetch(hints.domains).await;
                    info!(
                        serial = hints.serial,
                        domains, "the domains on the list were asked"
                    );
                }
                Ok(None) => {}
                Err(why) => {
                    warn!(list = %files.list.display(), %why, "the list of hints is not used")
                }
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = now.notified() => {}
            }
        }
    }
}

impl Applied {
    /// The list, where it is to be gone through now.
    fn next(
        &mut self,
        read: Result<Hints, HintsError>,
        wall: Timestamp,
        now: Instant,
    ) -> Result<Option<Hints>, Unused> {
        let hints = read?;
        if hints.is_expired(wall) {
            return Err(Unused::Expired(wall.since(hints.expires).as_secs()));
        }
        if hints.serial < self.serial {
            return Err(Unused::Older {
                seen: hints.serial,
                applied: self.serial,
            });
        }
        let rested = self.at.is_none_or(|at| now.duration_since(at) >= AGAIN);
        if hints.serial == self.serial && !rested {
            return Ok(None);
        }
        self.serial = hints.serial;
        self.at = Some(now);
        Ok(Some(hints))
    }
}

async fn load(files: &HintsFiles) -> Result<Hints, HintsError> {
    let (reading, list) = (files.clone(), files.list.clone());
    let read = tokio::task::spawn_blocking(move || Hints::load(&reading)).await;
    read.unwrap_or_else(|error| {
        Err(HintsError::Unreadable {
            path: list,
            source: std::io::Error::other(error),
        })
    })
}

/// Between looks at the file.
const LOOK: Duration = Duration::from_hours(1);

/// Between rounds with one list: a domain that had no policy may have one by now.
const AGAIN: Duration = Duration::from_hours(24);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io;

    use super::*;

    fn hints(serial: u64) -> Hints {
        Hints {
            serial,
            expires: Timestamp::from_unix(1000),
            domains: BTreeSet::new(),
        }
    }

    #[test]
    fn a_list_is_gone_through_when_it_is_new_and_daily_and_never_when_it_is_older_or_expired() {
        let begin = Instant::now();
        let mut applied = Applied::default();
        let unreadable = || HintsError::Unreadable {
            path: "/etc/hints".into(),
            source: io::Error::other("gone"),
        };
        for (case, hours, wall, read, expected) in [
            (
                "expired",
                0,
                1000,
                Ok(hints(7)),
                "it expired 0 s ago: fetch a new one",
            ),
            ("the first", 0, 999, Ok(hints(7)), "used"),
            ("the same", 23, 999, Ok(hints(7)), "rests"),
            (
                "an older one",
                23,
                999,
                Ok(hints(6)),
                "its serial is 6, and a list with serial 7 is in use: an older list never replaces a newer",
            ),
            ("none", 23, 999, Err(unreadable()), "/etc/hints: gone"),
            ("the same after a day", 24, 999, Ok(hints(7)), "used"),
            ("a newer one", 25, 999, Ok(hints(8)), "used"),
            (
                "the same, expired meanwhile",
                60,
                1100,
                Ok(hints(8)),
                "it expired 100 s ago: fetch a new one",
            ),
        ] {
            let now = begin + Duration::from_hours(hours);
            let told = match applied.next(read, Timestamp::from_unix(wall), now) {
                Ok(Some(_)) => "used".to_owned(),
                Ok(None) => "rests".to_owned(),
                Err(why) => why.to_string(),
            };
            assert_eq!(told, expected, "{case}");
        }
    }
}
