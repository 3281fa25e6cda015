//! Whether the rules are still there, from what becomes of the connections that are made to see it.
//!
//! Rules that were loaded by hand may know nothing of such connections, so silence means nothing until one was taken over
//! ([`Sight::Unknown`]), unless the operator says that it does. One that is missed is made again before it counts.

use std::time::Duration;

use super::canary::Family;

/// What became of one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A listener of ours has it.
    Taken,
    /// Nobody of ours has: what happened.
    Missed(String),
    /// It could not be made.
    Untried,
}

/// What is known of one address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sight {
    /// Nothing.
    Unknown,
    /// Connections are taken over.
    Working,
    /// They are not.
    Lost,
}

impl Sight {
    /// All, in the order of the metric.
    pub const ALL: [Self; 3] = [Self::Unknown, Self::Working, Self::Lost];

    /// The word in metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Working => "working",
            Self::Lost => "lost",
        }
    }
}

/// What is known of each.
pub type Sights = [(Family, Sight); Family::ALL.len()];

/// One address family.
#[derive(Clone, Debug)]
pub struct Watched {
    /// Whether a miss means anything.
    counts: bool,
    misses: u32,
    sight: Sight,
    why: Option<String>,
}

/// What is worth a line in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Connections are no longer taken over.
    Gone,
    /// They are, for the first time or again.
    Found,
}

impl Watched {
    /// Rules that may know nothing of it: a miss means something after the first connection that was taken over.
    #[must_use]
    pub fn optional() -> Self {
        Self {
            counts: false,
            ..Self::required()
        }
    }

    /// Rules that have to.
    #[must_use]
    pub const fn required() -> Self {
        Self {
            counts: true,
            misses: 0,
            sight: Sight::Unknown,
            why: None,
        }
    }

    /// What is known.
    #[must_use]
    pub const fn sight(&self) -> Sight {
        self.sight
    }

    /// What happened to the last one, where connections are not taken over.
    #[must_use]
    pub fn why(&self) -> Option<&str> {
        self.why.as_deref()
    }

    /// Takes in what became of a connection.
    pub fn see(&mut self, seen: Seen) -> Option<Change> {
        let before = self.sight;
        match seen {
            Seen::Taken => {
                (self.counts, self.misses, self.why) = (true, 0, None);
                self.sight = Sight::Working;
            }
            // Without a route, or without a descriptor, there is nothing to tell.
            Seen::Untried => {}
            Seen::Missed(why) => {
                self.misses = self.misses.saturating_add(1);
                if self.misses >= MISSES && self.counts {
                    (self.sight, self.why) = (Sight::Lost, Some(why));
                }
            }
        }
        match (before, self.sight) {
            (Sight::Unknown | Sight::Working, Sight::Lost) => Some(Change::Gone),
            (Sight::Unknown | Sight::Lost, Sight::Working) => Some(Change::Found),
            _ => None,
        }
    }

    /// How long to wait before the next connection.
    #[must_use]
    pub fn pause(&self, interval: Duration) -> Duration {
        if self.misses > 0 && self.counts {
            interval.min(AGAIN)
        } else {
            interval
        }
    }
}

/// A packet may be lost, a host may be busy: so many in a row count.
const MISSES: u32 = 2;

/// What is in doubt, or lost, is looked at more often.
const AGAIN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn net_06_rules_are_gone_when_two_connections_in_a_row_are_missed_that_were_taken_before() {
        use Seen::{Taken, Untried};
        use Sight::{Lost, Unknown, Working};
        let miss = || Seen::Missed("nobody answered".into());
        for (what, required, seen, expected) in [
            ("nothing was tried", false, vec![], Unknown),
            (
                "rules without the line for it",
                false,
                vec![miss(), miss(), miss()],
                Unknown,
            ),
            (
                "the same, and they must have it",
                true,
                vec![miss(), miss()],
                Lost,
            ),
            ("once is an accident", true, vec![miss()], Unknown),
            ("all is well", false, vec![Taken], Working),
            ("one packet lost", false, vec![Taken, miss()], Working),
            (
                "one lost now and then",
                false,
                vec![Taken, miss(), Taken, miss()],
                Working,
            ),
            ("flushed", false, vec![Taken, miss(), miss()], Lost),
            (
                "flushed, then the network went too",
                false,
                vec![Taken, miss(), miss(), Untried],
                Lost,
            ),
            (
                "loaded again",
                false,
                vec![Taken, miss(), miss(), Taken],
                Working,
            ),
            ("no IPv6 here", true, vec![Untried, Untried], Unknown),
            (
                "no route for a while",
                false,
                vec![Taken, Untried, Untried],
                Working,
            ),
        ] {
            let mut watched = if required {
                Watched::required()
            } else {
                Watched::optional()
            };
            for one in seen {
                watched.see(one);
            }
            assert_eq!(watched.sight(), expected, "{what}");
            assert_eq!(watched.why().is_some(), expected == Lost, "{what}");
        }
    }

    #[test]
    fn net_06_each_change_is_told_once_and_what_is_in_doubt_is_looked_at_soon() {
        let minute = Duration::from_mins(1);
        let mut watched = Watched::optional();
        let mut told = Vec::new();
        let miss = || Seen::Missed("nobody answered".into());
        for seen in [
            miss(),
            Seen::Taken,
            Seen::Taken,
            miss(),
            miss(),
            miss(),
            Seen::Taken,
        ] {
            let change = watched.see(seen);
            told.push((change, watched.pause(minute) < minute));
        }
        assert_eq!(
            told,
            [
                (None, false),
                (Some(Change::Found), false),
                (None, false),
                (None, true),
                (Some(Change::Gone), true),
                (None, true),
                (Some(Change::Found), false),
            ]
        );
    }
}
