//! What the operator says of single domains against the rule: loosened, required more of, or their DNSSEC left aside. Pure.
//!
//! An [`Exception`] has a [`Scope`], says [`What`] holds instead, who wants that and why, and when it ends: none is for
//! ever, and none ends later than [`Terms::longest`] after it was granted. [`Exceptions`] finds the one that applies to a
//! domain now, the most specific first. [`held`] keeps those of the configuration and those of the store together, [`kept`]
//! changes those of the store, [`body`] is their form there.

pub mod body;
pub mod held;
pub mod kept;
mod what;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ring::digest::{SHA256, digest};

use super::scope::{Scope, Scoped, above};
use crate::clock::Timestamp;
use crate::name::{DnsName, Domain};

pub use what::{InvalidWhat, Pin, What};

/// One exception. Made by [`Draft::check`] only, so that every one of them keeps the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    id: Id,
    draft: Draft,
}

/// An exception as somebody wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// For which domains.
    pub scope: Scope,
    /// What holds for them.
    pub what: What,
    /// Who wants it.
    pub author: String,
    /// Why.
    pub reason: String,
    /// Since when it is there.
    pub created: Timestamp,
    /// When it was last granted: by its making or by a renewal.
    pub granted: Timestamp,
    /// From when on it no longer applies.
    pub expires: Timestamp,
}

/// What an exception is called: eight letters and digits, made of its scope and its kind, so that it is the same wherever
/// it is granted and stays the same when it is renewed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(String);

/// What all exceptions must keep to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// From grant to end at most.
    pub longest: Duration,
}

/// A rule that a draft breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The part of it.
    pub field: &'static str,
    /// What would keep the rule.
    pub expected: String,
}

/// The days that exceptions may last when the configuration does not say.
pub const MAX_DAYS: u32 = 90;

/// A day.
pub const DAY: Duration = Duration::from_secs(86_400);

/// Octets of an author's name.
const LONGEST_AUTHOR: usize = 100;

/// Octets of a reason.
const LONGEST_REASON: usize = 500;

impl Default for Terms {
    fn default() -> Self {
        Self::of_days(MAX_DAYS)
    }
}

impl Terms {
    /// For a number of days.
    #[must_use]
    pub const fn of_days(days: u32) -> Self {
        Self {
            longest: Duration::from_secs(days as u64 * DAY.as_secs()),
        }
    }

    /// The number of days.
    #[must_use]
    pub const fn days(self) -> u64 {
        self.longest.as_secs() / DAY.as_secs()
    }
}

impl Draft {
    /// Makes an exception of it.
    ///
    /// # Errors
    /// Every rule that it breaks.
    pub fn check(self, terms: Terms) -> Result<Exception, Vec<Fault>> {
        let mut faults = Vec::new();
        let mut fault = |field, expected: String| faults.push(Fault { field, expected });
        if let Err(expected) = self.what.suits(&self.scope) {
            fault("domain", expected.into());
        }
        for (field, text, longest) in [
            ("author", &self.author, LONGEST_AUTHOR),
            ("reason", &self.reason, LONGEST_REASON),
        ] {
            if text.trim().is_empty() || text.len() > longest || text.chars().any(char::is_control)
            {
                let expected = format!("1 to {longest} characters on one line");
                fault(field, expected);
            }
        }
        if self.expires <= self.granted {
            fault("expires", "a time after it was granted".into());
        } else if self.expires.since(self.granted) > terms.longest {
            let days = terms.days();
            fault(
                "expires",
                format!(
                    "at most {days} days after it was granted (exceptions.max_days), and a renewal then"
                ),
            );
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Exception {
            id: Id::of(&self.scope, &self.what),
            draft: self,
        })
    }
}

impl Exception {
    /// Its name.
    #[must_use]
    pub const fn id(&self) -> &Id {
        &self.id
    }

    /// For which domains.
    #[must_use]
    pub const fn scope(&self) -> &Scope {
        &self.draft.scope
    }

    /// What holds for them.
    #[must_use]
    pub const fn what(&self) -> &What {
        &self.draft.what
    }

    /// From when on it no longer applies.
    #[must_use]
    pub const fn expires(&self) -> Timestamp {
        self.draft.expires
    }

    /// All of it.
    #[must_use]
    pub const fn draft(&self) -> &Draft {
        &self.draft
    }

    /// Does it apply now?
    #[must_use]
    pub fn is_alive(&self, now: Timestamp) -> bool {
        now < self.draft.expires
    }

    /// The same, granted anew.
    ///
    /// # Errors
    /// What is wrong with the new end.
    pub fn renewed(
        &self,
        granted: Timestamp,
        expires: Timestamp,
        terms: Terms,
    ) -> Result<Self, Vec<Fault>> {
        Draft {
            granted,
            expires,
            ..self.draft.clone()
        }
        .check(terms)
    }

    /// Would the two contradict each other, or say the same twice? A negative trust anchor is beside everything else.
    #[must_use]
    pub fn rivals(&self, other: &Self) -> bool {
        self.scope() == other.scope() && self.what().is_anchor() == other.what().is_anchor()
    }
}

impl Id {
    fn of(scope: &Scope, what: &What) -> Self {
        /// No letters that are taken for others.
        const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
        let digest = digest(&SHA256, format!("{scope} {}", what.kind()).as_bytes());
        let letter = |octet: &u8| char::from(ALPHABET[usize::from(octet % 32)]);
        Self(digest.as_ref().iter().take(8).map(letter).collect())
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What somebody has typed; it may be no exception's.
    #[must_use]
    pub fn typed(text: &str) -> Self {
        Self(text.trim().to_ascii_lowercase())
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// All exceptions, to be asked.
#[derive(Debug, Default)]
pub struct Exceptions {
    demands: Scoped<Vec<Arc<Exception>>>,
    anchors: BTreeMap<String, Vec<Arc<Exception>>>,
}

impl Exceptions {
    /// Of these, in whatever order.
    pub fn new(all: impl IntoIterator<Item = Arc<Exception>>) -> Self {
        let mut index = Self::default();
        for one in all {
            if one.what().is_anchor() {
                let name = one.scope().base().as_str().to_owned();
                index.anchors.entry(name).or_default().push(one);
            } else {
                index.demands.at(one.scope()).push(one);
            }
        }
        index
    }

    /// The one that applies to what is demanded of a recipient's domain: the most specific that is alive; of two for the
    /// same scope, which only two places can grant, the one that demands more.
    #[must_use]
    pub fn of(&self, domain: &Domain, now: Timestamp) -> Option<&Arc<Exception>> {
        self.demands
            .of(domain.as_str())
            .find_map(|rivals| strictest(rivals, now))
    }

    /// The negative trust anchor that lies at a name or above it.
    #[must_use]
    pub fn anchor(&self, name: &str, now: Timestamp) -> Option<&Arc<Exception>> {
        std::iter::once(name)
            .chain(above(name))
            .filter_map(|name| self.anchors.get(name))
            .find_map(|rivals| strictest(rivals, now))
    }

    /// Those negative trust anchors that lie over one of `names`, each once.
    #[must_use]
    pub fn anchors<'a>(
        &self,
        names: impl IntoIterator<Item = &'a DnsName>,
        now: Timestamp,
    ) -> Vec<Arc<Exception>> {
        let mut found: Vec<Arc<Exception>> = Vec::new();
        if self.anchors.is_empty() {
            return found;
        }
        for name in names {
            if let Some(anchor) = self.anchor(name.as_str(), now)
                && !found.contains(anchor)
            {
                found.push(Arc::clone(anchor));
            }
        }
        found
    }
}

fn strictest(rivals: &[Arc<Exception>], now: Timestamp) -> Option<&Arc<Exception>> {
    rivals
        .iter()
        .filter(|one| one.is_alive(now))
        .max_by_key(|one| (one.what().strictness(), one.expires()))
}

#[cfg(test)]
mod tests;
