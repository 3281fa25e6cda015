//! May a policy that another node has fetched replace what this one holds? Only when it is newer and not looser. Pure.

use std::cmp::Ordering;

use crate::clock::Timestamp;
use crate::mtasts::{Mode, MxPattern};
use crate::store::StoredPolicy;

/// What becomes of a policy that another node knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weighed {
    /// It is held from now on.
    Take,
    /// It adds nothing: this node has the same or a newer one.
    Known,
    /// It adds nothing: it has expired.
    Expired,
    /// It is from a time that has not come.
    FromTheFuture,
    /// It is newer, and would ask for less than the one in force.
    Looser(Looser),
}

/// How a policy asks for less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Looser {
    /// `testing` or `none` where `enforce` is in force, `none` where `testing` is.
    #[error("its mode is weaker than that of the policy in force")]
    Mode,
    /// It ends earlier.
    #[error("it ends before the policy in force does")]
    Life,
    /// It lists hosts that the one in force does not.
    #[error("it lists MX hosts that the policy in force does not")]
    Hosts,
}

/// Weighs a policy against the one that is in force.
pub(super) fn weigh(
    held: Option<&StoredPolicy>,
    offered: &StoredPolicy,
    now: Timestamp,
) -> Weighed {
    if offered.fetched > now {
        return Weighed::FromTheFuture;
    }
    if end(offered) <= now {
        return Weighed::Expired;
    }
    match held {
        None => Weighed::Take,
        Some(held) if offered.fetched <= held.fetched => Weighed::Known,
        Some(held) => looser(held, offered).map_or(Weighed::Take, Weighed::Looser),
    }
}

fn looser(held: &StoredPolicy, offered: &StoredPolicy) -> Option<Looser> {
    let is_covered = |pattern: &MxPattern| held.policy.mx.iter().any(|one| one.covers(pattern));
    match rank(offered.policy.mode).cmp(&rank(held.policy.mode)) {
        Ordering::Less => Some(Looser::Mode),
        Ordering::Equal | Ordering::Greater if end(offered) < end(held) => Some(Looser::Life),
        Ordering::Equal if !offered.policy.mx.iter().all(is_covered) => Some(Looser::Hosts),
        Ordering::Equal | Ordering::Greater => None,
    }
}

const fn rank(mode: Mode) -> u8 {
    match mode {
        Mode::None => 0,
        Mode::Testing => 1,
        Mode::Enforce => 2,
    }
}

fn end(policy: &StoredPolicy) -> Timestamp {
    policy.fetched.plus(policy.policy.max_age)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::mtasts::{Policy, PolicyId};
    use crate::name::MxHost;

    const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);

    fn policy(mode: &str, life: u64, age: i64, mx: &[&str]) -> StoredPolicy {
        let lines: String = mx.iter().map(|mx| format!("mx: {mx}\n")).collect();
        let text = format!("version: STSv1\nmode: {mode}\nmax_age: {life}\n{lines}");
        StoredPolicy {
            domain: "a.example".parse().unwrap(),
            id: PolicyId::stored("1".into()),
            policy: Arc::new(Policy::parse(text.as_bytes()).unwrap()),
            fetched: Timestamp::from_unix(NOW.unix().checked_add_signed(-age).unwrap()),
        }
    }

    #[test]
    fn a_newer_policy_that_is_not_looser_is_taken() {
        let held = policy("enforce", 1000, 100, &["mx.example", "*.b.example"]);
        for (what, offered, expected) in [
            (
                "newer",
                policy("enforce", 1000, 50, &["mx.example"]),
                Weighed::Take,
            ),
            (
                "a host of a wildcard",
                policy("enforce", 1000, 50, &["c.b.example"]),
                Weighed::Take,
            ),
            (
                "the same",
                policy("enforce", 1000, 100, &["mx.example"]),
                Weighed::Known,
            ),
            ("older", policy("none", 5000, 200, &[]), Weighed::Known),
            (
                "expired",
                policy("enforce", 50, 50, &["mx.example"]),
                Weighed::Expired,
            ),
            (
                "without life",
                policy("enforce", 0, 0, &["mx.example"]),
                Weighed::Expired,
            ),
            (
                "to come",
                policy("enforce", 1000, -1, &["mx.example"]),
                Weighed::FromTheFuture,
            ),
            (
                "testing",
                policy("testing", 5000, 50, &["mx.example"]),
                Weighed::Looser(Looser::Mode),
            ),
            (
                "none",
                policy("none", 5000, 50, &[]),
                Weighed::Looser(Looser::Mode),
            ),
            (
                "shorter",
                policy("enforce", 949, 50, &["mx.example"]),
                Weighed::Looser(Looser::Life),
            ),
            (
                "as long",
                policy("enforce", 950, 50, &["mx.example"]),
                Weighed::Take,
            ),
            (
                "one more host",
                policy("enforce", 1000, 50, &["mx.example", "d.example"]),
                Weighed::Looser(Looser::Hosts),
            ),
            (
                "a wildcard for a host",
                policy("enforce", 1000, 50, &["*.example"]),
                Weighed::Looser(Looser::Hosts),
            ),
            (
                "two labels",
                policy("enforce", 1000, 50, &["x.c.b.example"]),
                Weighed::Looser(Looser::Hosts),
            ),
        ] {
            assert_eq!(weigh(Some(&held), &offered, NOW), expected, "{what}");
        }
        let first = policy("none", 1000, 50, &[]);
        assert_eq!(weigh(None, &first, NOW), Weighed::Take);
        let testing = policy("testing", 1000, 100, &["mx.example"]);
        let enforced = policy("enforce", 1000, 50, &["other.example"]);
        assert_eq!(weigh(Some(&testing), &enforced, NOW), Weighed::Take);
    }

    const PATTERNS: [&str; 5] = [
        "mx.example",
        "b.example",
        "*.example",
        "c.b.example",
        "*.b.example",
    ];
    const HOSTS: [&str; 6] = [
        "mx.example",
        "b.example",
        "c.b.example",
        "d.b.example",
        "example",
        "x.d.b.example",
    ];

    fn any_policy() -> impl Strategy<Value = StoredPolicy> {
        let mode = prop::sample::select(vec!["enforce", "testing", "none"]);
        let mx = prop::sample::subsequence(PATTERNS.to_vec(), 1..=PATTERNS.len());
        (mode, 0u64..400, -10i64..400, mx)
            .prop_map(|(mode, life, age, mx)| policy(mode, life, age, &mx))
    }

    proptest! {
        /// What is taken refuses, at every moment, whatever the one before would have refused.
        #[test]
        fn what_is_taken_never_loosens_what_is_in_force(held in any_policy(), offered in any_policy()) {
            let is_live = held.fetched <= NOW && end(&held) > NOW;
            let in_force = is_live.then_some(&held);
            if let Some(held) = in_force && weigh(in_force, &offered, NOW) == Weighed::Take {
                for after in 0..500 {
                    let then = NOW.plus(std::time::Duration::from_secs(after));
                    for host in HOSTS {
                        let host: MxHost = host.parse().unwrap();
                        let refuses = |one: &StoredPolicy| end(one) > then && one.policy.mode == Mode::Enforce && !one.policy.lists(&host);
                        prop_assert!(!refuses(held) || refuses(&offered), "{host} after {after} s");
                    }
                    let enforces = |one: &StoredPolicy| end(one) > then && one.policy.mode == Mode::Enforce;
                    prop_assert!(!enforces(held) || enforces(&offered));
                }
            }
        }
    }
}
