//! How many connections got no session, and why; and how often this host had nothing to go on with: counters that only
//! grow, to be read at any time, and whether the log should hear of it once more.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Why a connection got no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turned {
    /// It is our own, or leads back to us.
    Loop,
    /// It was made to the listener itself.
    Direct,
    /// Nobody knows where it wanted to go.
    NoDestination,
    /// It wanted to go to a port that is none of ours.
    Port,
    /// Its sender may not send us any.
    Stranger,
    /// Its sender did not say what it had to.
    Unsaid,
    /// There are as many sessions as there may be.
    Full,
    /// Its client has as many.
    Client,
    /// Its destination has.
    Destination,
}

impl Turned {
    /// All, in the order of the metric.
    pub const ALL: [Self; 9] = [
        Self::Loop,
        Self::Direct,
        Self::NoDestination,
        Self::Port,
        Self::Stranger,
        Self::Unsaid,
        Self::Full,
        Self::Client,
        Self::Destination,
    ];

    /// The word in metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Loop => "loop",
            Self::Direct => "direct",
            Self::NoDestination => "no-destination",
            Self::Port => "port",
            Self::Stranger => "stranger",
            Self::Unsaid => "unsaid",
            Self::Full => "max-sessions",
            Self::Client => "max-sessions-per-client",
            Self::Destination => "max-sessions-per-destination",
        }
    }
}

/// Where this host had no descriptor, no port or no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lacked {
    /// At accept: the connection waits.
    Accept,
    /// At the dial: the client hears `busy`.
    Dial,
}

impl Lacked {
    /// All, in the order of the metric.
    pub const ALL: [Self; 2] = [Self::Accept, Self::Dial];

    /// The word in metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Dial => "dial",
        }
    }
}

/// The counters.
#[derive(Debug, Default)]
pub struct Tally {
    turned: [Counter; Turned::ALL.len()],
    lacked: [Counter; Lacked::ALL.len()],
}

#[derive(Debug, Default)]
struct Counter {
    count: AtomicU64,
    told: Mutex<Option<Instant>>,
}

impl Counter {
    fn count(&self, now: Instant) -> bool {
        self.count.fetch_add(1, Ordering::Relaxed);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = told.is_none_or(|told| now.saturating_duration_since(told) >= QUIET);
        if is_news {
            *told = Some(now);
        }
        is_news
    }
}

/// Who is overrun has more to do than to write the same line a thousand times.
const QUIET: Duration = Duration::from_mins(1);

impl Tally {
    /// Counts a connection that got no session. Has it not been told for a while that there are such?
    pub fn turned(&self, why: Turned, now: Instant) -> bool {
        self.turned[why as usize].count(now)
    }

    /// Counts a lack. Has it not been told for a while?
    pub fn lacked(&self, at: Lacked, now: Instant) -> bool {
        self.lacked[at as usize].count(now)
    }

    /// How many got none for this reason.
    #[must_use]
    pub fn of_turned(&self, why: Turned) -> u64 {
        self.turned[why as usize].count.load(Ordering::Relaxed)
    }

    /// How often something was lacking here.
    #[must_use]
    pub fn of_lacked(&self, at: Lacked) -> u64 {
        self.lacked[at as usize].count.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, SystemClock};

    #[test]
    fn net_10_every_reason_has_its_own_counter() {
        let (tally, now) = (Tally::default(), SystemClock.instant());
        for (index, why) in Turned::ALL.into_iter().enumerate() {
            for _ in 0..=index {
                tally.turned(why, now);
            }
        }
        for (index, why) in Turned::ALL.into_iter().enumerate() {
            assert_eq!(tally.of_turned(why), 1 + index as u64, "{}", why.label());
        }
        tally.lacked(Lacked::Dial, now);
        let lacked = Lacked::ALL.map(|at| tally.of_lacked(at));
        assert_eq!(lacked, [0, 1]);
    }

    #[test]
    fn net_10_what_happens_a_thousand_times_is_told_once_a_minute() {
        let (tally, start) = (Tally::default(), SystemClock.instant());
        let at = |seconds| start + Duration::from_secs(seconds);
        let told = [0, 1, 59, 60, 61, 119, 120].map(|s| tally.lacked(Lacked::Accept, at(s)));
        assert_eq!(told, [true, false, false, true, false, false, true]);
        assert!(tally.lacked(Lacked::Dial, at(1)), "each by itself");
    }
}
