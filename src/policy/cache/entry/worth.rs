//! How much would be lost with an entry, and what it costs to keep it. Pure.

use super::{Entry, Moment};
use crate::mtasts::Mode;

/// How much would be lost with an entry; what is least goes first when memory runs out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::policy::cache) enum Worth {
    /// Answers that can be had again.
    Answers,
    /// A policy whose life is over, by a clock that may be wrong.
    Expired,
    /// A live policy of mode none.
    Withdrawn,
    /// A live policy in testing mode.
    Testing,
    /// A live policy in enforce mode.
    Enforced,
    /// There was a policy, perhaps an enforced one, and nobody knows it any more.
    Lost,
}

impl Worth {
    /// All of them, in the order of their declaration.
    pub(in crate::policy::cache) const ALL: [Self; 6] = [
        Self::Answers,
        Self::Expired,
        Self::Withdrawn,
        Self::Testing,
        Self::Enforced,
        Self::Lost,
    ];

    /// As in metrics.
    pub(in crate::policy::cache) const fn label(self) -> &'static str {
        match self {
            Self::Answers => "no-policy",
            Self::Expired => "expired",
            Self::Withdrawn => "none",
            Self::Testing => "testing",
            Self::Lost => "lost",
            Self::Enforced => "enforce",
        }
    }
}

impl Entry {
    pub(in crate::policy::cache) fn worth(&self, now: Moment) -> Worth {
        match (self.live(now), &self.held) {
            (None, _) if self.is_lost() => Worth::Lost,
            (None, None) => Worth::Answers,
            (None, Some(_)) => Worth::Expired,
            (Some(held), _) => match held.policy.mode {
                Mode::None => Worth::Withdrawn,
                Mode::Testing => Worth::Testing,
                Mode::Enforce => Worth::Enforced,
            },
        }
    }

    /// Octets, roughly.
    pub(in crate::policy::cache) fn weight(&self) -> usize {
        self.held.as_ref().map_or(0, |held| {
            // Each line of the text can be a pattern with an allocation of its own.
            held.policy.text.len() + 64 * held.policy.mx.len()
        })
    }

    /// It holds a policy in enforce mode, live or not.
    pub(in crate::policy::cache) fn would_enforce(&self) -> bool {
        self.held
            .as_ref()
            .is_some_and(|held| held.policy.mode == Mode::Enforce && !held.is_brief())
    }
}
