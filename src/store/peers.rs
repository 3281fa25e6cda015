//! What a policy that somebody else has written may do to one that is known here (a peer of the fleet, a command, an
//! earlier life of this process). Pure.
//!
//! It may add: a policy that enforces where none is in force, or one that asks for no less and ends no earlier. Whatever
//! would loosen what is enforced here only gives reason to ask the domain itself: peers can be wrong, behind, or lied to.
//! What enforces nothing adds nothing: held here, it would stand in for this node's own first look at the domain.

use std::time::Duration;

use super::StoredPolicy;
use crate::clock::Timestamp;
use crate::mtasts::{Mode, Policy};

/// A policy that is known here.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// What it says.
    pub policy: &'a Policy,
    /// When it was fetched.
    pub fetched: Timestamp,
}

/// What becomes of the other one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weighed {
    /// Nothing.
    Ignored(Idle),
    /// It takes the place of what is known.
    Adopted,
    /// It could loosen what is known, or tells of a change: ask the domain.
    Doubted(Doubt),
}

/// Why the other one adds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Idle {
    /// Its life is over.
    #[error("it has expired")]
    Over,
    /// What is known is as new.
    #[error("this node has the same policy or a newer one")]
    Known,
    /// The domain is asked when mail goes there, and its own word counts.
    #[error("it enforces nothing, and this node looks for itself before it delivers")]
    EnforcesNothing,
}

impl<'a> From<&'a StoredPolicy> for Known<'a> {
    fn from(stored: &'a StoredPolicy) -> Self {
        Self {
            policy: &stored.policy,
            fetched: stored.fetched,
        }
    }
}

/// Why the other one is doubted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// Its writer's clock is wrong, or ours: its life cannot be told.
    #[error("it was fetched at a time that has not come")]
    Ahead,
    /// It enforces nothing.
    #[error("it enforces nothing, and the policy in force does")]
    Mode,
    /// It ends earlier.
    #[error("it ends before the policy in force does")]
    Life,
    /// It lists hosts that the one in force does not.
    #[error("it lists MX hosts that the policy in force does not")]
    Hosts,
    /// Neither enforces.
    #[error("it enforces nothing, as the policy in force, but is another")]
    Other,
}

/// Weighs what has been heard against what is known.
#[must_use]
pub fn weigh(known: Option<Known<'_>>, heard: Known<'_>, now: Timestamp) -> Weighed {
    if !heard.is_in_force(now) {
        return Weighed::Ignored(Idle::Over);
    }
    let known = known.filter(|known| known.is_in_force(now));
    if known.is_some_and(|known| heard.fetched <= known.fetched) {
        return Weighed::Ignored(Idle::Known);
    }
    if !heard.enforces() && known.is_none_or(|known| heard.says_the_same_as(known)) {
        return Weighed::Ignored(Idle::EnforcesNothing);
    }
    if is_ahead(heard.fetched, now) {
        return Weighed::Doubted(Doubt::Ahead);
    }
    let doubt = known.and_then(|known| heard.doubted_against(known));
    doubt.map_or(Weighed::Adopted, Weighed::Doubted)
}

/// Is it a time that no clock of the fleet can have shown yet?
#[must_use]
pub fn is_ahead(at: Timestamp, now: Timestamp) -> bool {
    at.since(now) > SKEW
}

impl Known<'_> {
    /// Its life, counted from the fetch, is not over.
    #[must_use]
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        now.since(self.fetched) < self.policy.max_age
    }

    fn enforces(&self) -> bool {
        self.policy.mode == Mode::Enforce
    }

    fn says_the_same_as(&self, known: Known<'_>) -> bool {
        self.policy.text == known.policy.text
    }

    /// Would it let pass what `known` refuses, or refuse it for a shorter time? What enforces nothing cannot be loosened.
    fn doubted_against(&self, known: Known<'_>) -> Option<Doubt> {
        if !known.enforces() {
            return (!self.enforces()).then_some(Doubt::Other);
        }
        let end = |one: Known<'_>| one.fetched.plus(one.policy.max_age);
        let adds = |pattern| !known.policy.mx.contains(pattern);
        if !self.enforces() {
            Some(Doubt::Mode)
        } else if end(*self) < end(known) {
            Some(Doubt::Life)
        } else {
            let adds_any = self.policy.mx.iter().any(adds);
            adds_any.then_some(Doubt::Hosts)
        }
    }
}

/// By how much the clocks of a fleet may differ.
const SKEW: Duration = Duration::from_mins(5);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::mtasts::PolicyId;

    const NOW: u64 = 1_800_000_000;
    const DAY: u64 = 86_400;

    /// `mode mx… max_age`, fetched so many seconds before now.
    fn policy(mode: &str, mx: &[&str], max_age: u64, age: i64) -> StoredPolicy {
        let mx: String = mx.iter().map(|mx| format!("mx: {mx}\n")).collect();
        let text = format!("version: STSv1\nmode: {mode}\nmax_age: {max_age}\n{mx}");
        StoredPolicy {
            domain: "a.example".parse().unwrap(),
            id: PolicyId::stored("a".to_owned()),
            policy: Arc::new(Policy::parse(text.as_bytes()).unwrap()),
            fetched: Timestamp::from_unix(NOW.checked_add_signed(-age).unwrap()),
        }
    }

    fn weighed(known: Option<&StoredPolicy>, heard: &StoredPolicy) -> Weighed {
        let now = Timestamp::from_unix(NOW);
        weigh(known.map(Known::from), heard.into(), now)
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn sts_60_a_peers_policy_may_only_add() {
        use Doubt::{Ahead, Hosts, Life, Other};
        use Idle::{EnforcesNothing, Over};
        use Weighed::{Adopted, Doubted, Ignored};
        const MODE: Weighed = Doubted(Doubt::Mode);
        const KNOWN: Weighed = Ignored(Idle::Known);
        let enforce = policy("enforce", &["a.example", "b.example"], 7 * DAY, 3600);
        let testing = policy("testing", &["a.example"], 7 * DAY, 3600);
        let none = policy("none", &[], 365 * DAY, 3600);
        let over = policy("enforce", &["a.example"], DAY, 86_400);
        let a = ["a.example"];
        let both = ["b.example", "a.example"];
        for (case, known, heard, expected) in [
            (
                "nothing known",
                None,
                policy("enforce", &a, DAY, 1),
                Adopted,
            ),
            (
                "nothing known, none",
                None,
                policy("none", &[], DAY, 1),
                Ignored(EnforcesNothing),
            ),
            (
                "nothing known, testing",
                None,
                policy("testing", &a, DAY, 1),
                Ignored(EnforcesNothing),
            ),
            (
                "nothing known, and it is over",
                None,
                over.clone(),
                Ignored(Over),
            ),
            (
                "from ahead of time",
                None,
                policy("enforce", &a, DAY, -301),
                Doubted(Ahead),
            ),
            (
                "a little ahead",
                None,
                policy("enforce", &a, DAY, -300),
                Adopted,
            ),
            (
                "what is known is over",
                Some(&over),
                policy("testing", &a, DAY, 1),
                Ignored(EnforcesNothing),
            ),
            ("the same", Some(&enforce), enforce.clone(), KNOWN),
            (
                "older",
                Some(&enforce),
                policy("enforce", &a, 30 * DAY, 3601),
                KNOWN,
            ),
            (
                "fetched later",
                Some(&enforce),
                policy("enforce", &both, 7 * DAY, 60),
                Adopted,
            ),
            (
                "fewer hosts",
                Some(&enforce),
                policy("enforce", &a, 7 * DAY, 60),
                Adopted,
            ),
            (
                "another host",
                Some(&enforce),
                policy("enforce", &["c.example"], 7 * DAY, 60),
                Doubted(Hosts),
            ),
            (
                "a wildcard",
                Some(&enforce),
                policy("enforce", &["*.example"], 7 * DAY, 60),
                Doubted(Hosts),
            ),
            (
                "a shorter life",
                Some(&enforce),
                policy("enforce", &a, DAY, 60),
                Doubted(Life),
            ),
            (
                "enforce no more",
                Some(&enforce),
                policy("testing", &a, 7 * DAY, 60),
                MODE,
            ),
            (
                "no policy any more",
                Some(&enforce),
                policy("none", &[], 365 * DAY, 60),
                MODE,
            ),
            (
                "from testing to enforce",
                Some(&testing),
                policy("enforce", &both, DAY, 60),
                Adopted,
            ),
            (
                "from testing to none",
                Some(&testing),
                policy("none", &[], DAY, 60),
                Doubted(Other),
            ),
            (
                "testing anew",
                Some(&testing),
                policy("testing", &["a.example"], 7 * DAY, 60),
                Ignored(EnforcesNothing),
            ),
            (
                "from none to enforce",
                Some(&none),
                policy("enforce", &a, DAY, 60),
                Adopted,
            ),
        ] {
            assert_eq!(weighed(known, &heard), expected, "{case}");
        }
    }

    fn any() -> impl Strategy<Value = StoredPolicy> {
        let mode = prop::sample::select(vec!["enforce", "testing", "none"]);
        let hosts = vec!["a.example", "b.example", "*.example"];
        let mx = prop::sample::subsequence(hosts, 1..=3);
        (mode, mx, 0..10 * DAY, -2..10_i64)
            .prop_map(|(mode, mx, life, days)| policy(mode, &mx, life, days * 86_400))
    }

    /// Is mail to this host refused at this time?
    fn refuses(policy: Option<&StoredPolicy>, host: &str, at: Timestamp) -> bool {
        let host = host.parse().unwrap();
        policy.is_some_and(|one| {
            at.since(one.fetched) < one.policy.max_age
                && one.policy.mode == Mode::Enforce
                && !one.policy.lists(&host)
        })
    }

    proptest! {
        #[test]
        fn sts_60_whatever_peers_write_nothing_that_is_refused_now_passes_later(
            first in prop::option::of(any()),
            heard in prop::collection::vec((any(), 0..3 * DAY), 0..12),
        ) {
            let mut known = first;
            let mut now = NOW;
            for (heard, later) in heard {
                now += later;
                let time = Timestamp::from_unix(now);
                let before = known.clone();
                if weigh(known.as_ref().map(Known::from), (&heard).into(), time) == Weighed::Adopted {
                    known = Some(heard);
                }
                for host in ["a.example", "b.example", "c.example", "a.b.example"] {
                    for at in [now, now + DAY, now + 9 * DAY] {
                        let at = Timestamp::from_unix(at);
                        // What refused nothing now may be replaced as a whole.
                        if refuses(before.as_ref(), "other.invalid", time) {
                            prop_assert!(
                                !refuses(before.as_ref(), host, at) || refuses(known.as_ref(), host, at),
                                "{} at {}: {:?} became {:?}", host, at, before, known
                            );
                        }
                    }
                }
            }
        }
    }
}
