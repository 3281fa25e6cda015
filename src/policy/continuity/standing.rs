//! What is remembered of one MX host, as it is kept: a value that only sightings, merging and a release change.
//!
//! [`Standing::merge`] takes what another proxy or an earlier life of this one has written: the order in which rows are
//! heard, and how often, makes no difference, and nothing is lost by it but what an operator has released.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// Keys of one host that are remembered: those of a few machines behind one name, and of a few renewals.
pub const MAX_KEYS: usize = 16;

/// Domains of one host whose MTA-STS policies are remembered, the last seen.
pub const MAX_DOMAINS: usize = 64;

/// A loss that goes on, or comes and goes, is told of once in this time.
pub const TELL_AGAIN: Duration = Duration::from_hours(24);

/// What is remembered of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Standing {
    /// TLS was up.
    pub tls: Fact,
    /// It was TLS 1.3.
    pub tls13: Fact,
    /// TLSA records applied to the host.
    pub dane: Fact,
    /// A live MTA-STS policy, testing or enforce, for each domain whose mail the host took.
    pub sts: BTreeMap<String, Fact>,
    /// The keys it has shown, by the hexadecimal SHA-256 of the SubjectPublicKeyInfo.
    pub keys: BTreeMap<String, Key>,
    /// When the operator last released the host: what began until then does not count. Seconds since 1970.
    pub released: u64,
}

/// Something that a host either has or has not. Times are seconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Fact {
    /// When it was first seen.
    pub first: u64,
    /// When it was last seen.
    pub last: u64,
    /// In how many sessions; none means never.
    pub sessions: u64,
    /// Since when it is missing.
    pub lost: Option<u64>,
    /// When its loss was last told of.
    pub told: u64,
}

/// A key that a host has shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Key {
    /// The organisation that issued the certificate, or its common name, or `self-signed`.
    pub issuer: String,
    /// When it was first seen, in seconds since 1970.
    pub first: u64,
    /// When it was last seen.
    pub last: u64,
    /// In how many sessions.
    pub sessions: u64,
}

impl Fact {
    /// It is there.
    pub(super) fn seen(&mut self, at: u64) {
        if self.sessions == 0 {
            self.first = at;
        }
        self.last = self.last.max(at);
        self.sessions = self.sessions.saturating_add(1);
        self.lost = None;
    }

    /// It is not. Whether that is to be told.
    pub(super) fn missed(&mut self, at: u64) -> bool {
        let is_news = self.sessions > 0 && self.lost.is_none();
        if is_news {
            self.lost = Some(at.max(self.last));
        }
        let is_due = self.told == 0 || at.saturating_sub(self.told) >= TELL_AGAIN.as_secs();
        if is_news && is_due {
            self.told = at;
        }
        is_news && is_due
    }

    fn merge(&mut self, other: &Self) {
        self.first = match (self.sessions, other.sessions) {
            (0, _) => other.first,
            (_, 0) => self.first,
            _ => self.first.min(other.first),
        };
        self.last = self.last.max(other.last);
        self.sessions = self.sessions.max(other.sessions);
        self.told = self.told.max(other.told);
        // A loss counts until the thing is seen again.
        self.lost = self.lost.max(other.lost).filter(|lost| *lost >= self.last);
    }

    const fn forget_until(&mut self, released: u64) {
        if self.sessions > 0 && self.first <= released {
            *self = Self {
                first: 0,
                last: 0,
                sessions: 0,
                lost: None,
                told: 0,
            };
        }
    }
}

impl Standing {
    /// When the host was first and last seen, in seconds since 1970; none when it never was.
    #[must_use]
    pub fn span(&self) -> Option<(u64, u64)> {
        let keys = self.keys.values().map(|key| (key.first, key.last));
        let facts = [self.tls, self.dane]
            .into_iter()
            .chain(self.sts.values().copied());
        let facts = facts
            .filter(|fact| fact.sessions > 0)
            .map(|fact| (fact.first, fact.last));
        keys.chain(facts)
            .reduce(|(first, last), (other_first, other_last)| {
                (first.min(other_first), last.max(other_last))
            })
    }

    /// Adds what is written elsewhere.
    pub fn merge(&mut self, other: &Self) {
        let mut other = other.clone();
        self.released = self.released.max(other.released);
        other.released = self.released;
        // What either has released is gone from both before they are put together.
        self.tidy();
        other.tidy();
        self.tls.merge(&other.tls);
        self.tls13.merge(&other.tls13);
        self.dane.merge(&other.dane);
        for (domain, fact) in &other.sts {
            self.sts.entry(domain.clone()).or_default().merge(fact);
        }
        for (spki, key) in &other.keys {
            self.keys
                .entry(spki.clone())
                .and_modify(|mine| mine.merge(key))
                .or_insert_with(|| key.clone());
        }
        self.tidy();
    }

    /// The operator vouches for whatever the host is from now on.
    pub fn release(&mut self, now: Timestamp) {
        self.released = self.released.max(now.unix());
        self.tidy();
    }

    /// Drops what was released and what is too much.
    pub(super) fn tidy(&mut self) {
        for fact in [&mut self.tls, &mut self.tls13, &mut self.dane] {
            fact.forget_until(self.released);
        }
        let released = self.released;
        self.sts
            .retain(|_, fact| fact.sessions > 0 && fact.first > released);
        self.keys.retain(|_, key| key.first > released);
        keep_latest(&mut self.sts, MAX_DOMAINS, |fact| {
            fact.last.max(fact.lost.unwrap_or(0))
        });
        keep_latest(&mut self.keys, MAX_KEYS, |key| key.last);
    }
}

impl Key {
    fn merge(&mut self, other: &Self) {
        self.issuer = std::cmp::max(&self.issuer, &other.issuer).clone();
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.sessions = self.sessions.max(other.sessions);
    }
}

/// Of more than `most`, those with the oldest `time` go.
fn keep_latest<T>(all: &mut BTreeMap<String, T>, most: usize, time: impl Fn(&T) -> u64) {
    while all.len() > most {
        let oldest = all.iter().min_by_key(|(name, one)| (time(one), *name));
        let Some(name) = oldest.map(|(name, _)| name.clone()) else {
            return;
        };
        all.remove(&name);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fact() -> impl Strategy<Value = Fact> {
        (
            1..20_u64,
            0..20_u64,
            0..4_u64,
            prop::option::of(0..20_u64),
            0..3_u64,
        )
            .prop_map(|(first, more, sessions, after, told)| {
                if sessions == 0 {
                    return Fact::default();
                }
                Fact {
                    first,
                    last: first + more,
                    sessions,
                    lost: after.map(|after| first + more + after),
                    told,
                }
            })
    }

    fn key() -> impl Strategy<Value = Key> {
        ("[ab]", 1..20_u64, 0..20_u64, 1..4_u64).prop_map(|(issuer, first, more, sessions)| Key {
            issuer,
            first,
            last: first + more,
            sessions,
        })
    }

    fn standing() -> impl Strategy<Value = Standing> {
        (
            (fact(), fact(), fact()),
            prop::collection::btree_map("[a-c]", fact(), 0..3),
            prop::collection::btree_map("[0-2]", key(), 0..3),
            0..15_u64,
        )
            .prop_map(|((tls, tls13, dane), sts, keys, released)| {
                let mut standing = Standing {
                    tls,
                    tls13,
                    dane,
                    sts,
                    keys,
                    released,
                };
                standing.tidy();
                standing
            })
    }

    fn merged(mut one: Standing, other: &Standing) -> Standing {
        one.merge(other);
        one
    }

    proptest! {
        #[test]
        fn rows_may_be_heard_twice_and_in_any_order(a in standing(), b in standing()) {
            prop_assert_eq!(&merged(a.clone(), &a), &a);
            let both = merged(a.clone(), &b);
            prop_assert_eq!(&merged(b.clone(), &a), &both);
            prop_assert_eq!(merged(both.clone(), &b), both);
        }

        #[test]
        fn hearing_a_row_loses_nothing_but_what_it_releases(a in standing(), b in standing()) {
            let both = merged(a.clone(), &b);
            let held = a.tls.sessions > 0 && a.tls.first > b.released;
            if held {
                prop_assert!(both.tls.sessions >= a.tls.sessions);
                prop_assert!(both.tls.first <= a.tls.first && both.tls.last >= a.tls.last);
            }
            for (spki, key) in &a.keys {
                prop_assert!(key.first <= b.released || both.keys.contains_key(spki));
            }
        }

        #[test]
        fn a_release_survives_a_row_that_was_written_before_it(a in standing(), now in 40..60_u64) {
            let mut released = a.clone();
            released.release(Timestamp::from_unix(now));
            let again = merged(a, &released);
            prop_assert_eq!(again.tls.sessions, 0);
            prop_assert!(again.keys.is_empty() && again.sts.is_empty());
        }
    }

    #[test]
    fn the_row_is_read_as_it_was_written_and_may_grow_fields() {
        let mut standing = Standing::default();
        standing.tls.seen(7);
        standing.keys.insert("ab".into(), Key::default());
        let written = serde_json::to_string(&standing).unwrap();
        assert_eq!(
            serde_json::from_str::<Standing>(&written).unwrap(),
            standing
        );
        let grown = r#"{"tls":{"first":7,"sessions":1,"colour":"red"},"weight":3}"#;
        let read: Standing = serde_json::from_str(grown).unwrap();
        assert_eq!((read.tls.first, read.tls.sessions), (7, 1));
    }

    #[test]
    fn of_too_many_keys_the_longest_unseen_goes() {
        let mut standing = Standing::default();
        for n in 1..=MAX_KEYS as u64 + 2 {
            let key = Key {
                first: n,
                last: n,
                ..Key::default()
            };
            standing.keys.insert(format!("{n:02}"), key);
        }
        standing.tidy();
        assert_eq!(standing.keys.len(), MAX_KEYS);
        assert!(!standing.keys.contains_key("02") && standing.keys.contains_key("03"));
    }
}
