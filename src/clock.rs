//! The only reader of real clocks.
//!
//! [`Timestamp`] is wall time in whole seconds (certificates, signatures, policy lifetimes); deadlines and durations
//! use the monotonic [`Instant`]. Everything that decides takes one of them as an argument; [`Clock`] is how the
//! shell gets them.
#![expect(
    clippy::disallowed_methods,
    reason = "IO: this module reads the clocks for all others"
)]

use std::fmt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Wall time in seconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Timestamp(u64);

impl Timestamp {
    /// From seconds since the epoch.
    #[must_use]
    pub const fn from_unix(seconds: u64) -> Self {
        Self(seconds)
    }

    /// Seconds since the epoch.
    #[must_use]
    pub const fn unix(self) -> u64 {
        self.0
    }

    /// This time and so much more, at most the end of time.
    #[must_use]
    pub const fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.as_secs()))
    }

    /// How long after `earlier` this is; zero when it is not.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}", self.0)
    }
}

/// Where the shell reads time.
pub trait Clock: Send + Sync + 'static {
    /// Wall time; may step.
    fn wall(&self) -> Timestamp;

    /// Monotonic time, for deadlines and durations.
    fn instant(&self) -> Instant {
        Instant::now()
    }
}

/// The clocks of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn wall(&self) -> Timestamp {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        Timestamp(since.as_secs())
    }
}
