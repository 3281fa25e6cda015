//! What an MX host had before and has no more: trust on first use, for what no published record protects. Pure.
//!
//! [`learn`] holds one session against the [`Standing`] of its host and answers with [`Alert`]s: STARTTLS gone, a lower
//! TLS version, DANE gone, the MTA-STS policy of a domain gone, a key or a CA that is new and that nothing published
//! explains. [`hold`] is what [`Continuity::Enforce`] adds to a demand: a host that has shown TLS often and for long
//! ([`Standing::is_established`]) and now shows none gets no mail in clear. That is all it adds, and only where nothing
//! is published: whatever else was learnt without authentication may be an attacker's, and would let him lock the host
//! out. [`book`] is the memory of all hosts.

pub mod book;
mod standing;

use std::time::Duration;

pub use standing::{Fact, Key, MAX_DOMAINS, MAX_KEYS, Standing, TELL_AGAIN};

use super::{Demand, Level, Located};
use crate::clock::Timestamp;
use crate::name::{Domain, MxHost};

/// In how many sessions TLS must have been seen before its loss can be held against a host.
pub const ENOUGH_SESSIONS: u64 = 5;

/// Over what time: whoever sits on the path for an afternoon teaches nothing that lasts.
pub const ENOUGH_TIME: Duration = Duration::from_hours(72);

/// What was not seen for so long is held against nobody.
pub const TOO_LONG_AGO: Duration = Duration::from_hours(90 * 24);

/// What is done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Continuity {
    /// Nothing is remembered.
    Off,
    /// Alerts.
    #[default]
    Alert,
    /// Alerts, and no cleartext to a host that is known for TLS.
    Enforce,
}

/// What one session has shown of a host.
#[derive(Clone, Debug)]
pub struct Sighting<'a> {
    /// When.
    pub at: Timestamp,
    /// The protected channel, if there was one.
    pub tls: Option<TlsSeen<'a>>,
    /// Whether TLSA records apply to the host.
    pub dane: Published,
    /// Whether the recipient's domain has a live MTA-STS policy.
    pub sts: (&'a Domain, Published),
    /// Whether mail was let through: what a refused session showed is not learnt from.
    pub is_cleared: bool,
}

/// A protected channel.
#[derive(Clone, Copy, Debug)]
pub struct TlsSeen<'a> {
    /// Whether it is TLS 1.3.
    pub is_13: bool,
    /// The pin of the leaf, in hexadecimal.
    pub spki: &'a str,
}

/// Whether something is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// It is.
    Yes,
    /// It is not.
    No,
    /// It was withdrawn in the way that the standard has for it.
    Withdrawn,
    /// That could not be found out.
    Unknown,
}

/// Where a key comes from that was not seen before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// As [`Key::issuer`].
    pub issuer: String,
    /// Who says that it is the host's.
    pub vouched: Vouched,
}

/// Who says that a key is a host's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vouched {
    /// The domain: a TLSA record matches, or a CA's certificate under a live MTA-STS policy. Or the operator, by an
    /// exception that names the key.
    ByRecord,
    /// A trusted CA, without a policy that says so must be.
    ByCa,
    /// Nobody.
    ByNobody,
}

/// Something about a host that is worse than before, or new and unexplained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// What.
    pub kind: Kind,
    /// What there was, in words.
    pub was: String,
    /// What there is.
    pub is: String,
}

/// The kinds of alerts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// TLS was up before and is not.
    StarttlsGone,
    /// TLS 1.3 before, TLS 1.2 now.
    TlsVersionLower,
    /// TLSA records applied before and do not.
    DaneGone,
    /// The recipient's domain had an MTA-STS policy and has none.
    StsGone,
    /// A key that was never seen, vouched for by nobody.
    KeyChanged,
    /// A key that was never seen, vouched for by a CA that never issued for this host.
    IssuerChanged,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::StarttlsGone,
        Self::TlsVersionLower,
        Self::DaneGone,
        Self::StsGone,
        Self::KeyChanged,
        Self::IssuerChanged,
    ];

    /// The stable word for metrics and records.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::StarttlsGone => "starttls-gone",
            Self::TlsVersionLower => "tls-version-lower",
            Self::DaneGone => "dane-gone",
            Self::StsGone => "sts-gone",
            Self::KeyChanged => "key-changed",
            Self::IssuerChanged => "issuer-changed",
        }
    }
}

/// What is to be remembered, and told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Learnt {
    /// The standing after the session.
    pub after: Standing,
    /// What is worth telling.
    pub alerts: Vec<Alert>,
}

/// Holds a session against what is remembered of its host. `origin` is asked only about a key that was never seen.
#[must_use]
pub fn learn(before: &Standing, seen: &Sighting<'_>, origin: impl FnOnce() -> Origin) -> Learnt {
    let mut learning = Learning {
        after: before.clone(),
        alerts: Vec::new(),
        at: seen.at.unix(),
        is_cleared: seen.is_cleared,
    };
    learning.tls(seen.tls, origin);
    learning.dane(seen.dane);
    learning.sts(seen.sts.0, seen.sts.1);
    learning.after.tidy();
    Learnt {
        after: learning.after,
        alerts: learning.alerts,
    }
}

struct Learning {
    after: Standing,
    alerts: Vec<Alert>,
    at: u64,
    is_cleared: bool,
}

impl Learning {
    fn tls(&mut self, tls: Option<TlsSeen<'_>>, origin: impl FnOnce() -> Origin) {
        let Some(TlsSeen { is_13, spki }) = tls else {
            if self.after.tls.missed(self.at) {
                self.alert(Kind::StarttlsGone, "TLS", "no TLS");
            }
            return;
        };
        if !self.is_cleared {
            return;
        }
        self.after.tls.seen(self.at);
        if is_13 {
            self.after.tls13.seen(self.at);
        } else if self.after.tls13.missed(self.at) {
            self.alert(Kind::TlsVersionLower, "TLS 1.3", "TLS 1.2");
        }
        self.key(spki, origin);
    }

    fn key(&mut self, spki: &str, origin: impl FnOnce() -> Origin) {
        if let Some(key) = self.after.keys.get_mut(spki) {
            key.last = key.last.max(self.at);
            key.sessions = key.sessions.saturating_add(1);
            return;
        }
        let Origin { issuer, vouched } = origin();
        if let Some((last, known)) = self.latest_key() {
            let was = format!("{last} of {}", known.issuer);
            let is_known_issuer = self.after.keys.values().any(|key| key.issuer == issuer);
            let is = format!("{spki} of {issuer}");
            match vouched {
                Vouched::ByRecord => {}
                // A renewal, as every CA-issued certificate has them.
                Vouched::ByCa if is_known_issuer => {}
                Vouched::ByCa => self.alert(Kind::IssuerChanged, &was, &is),
                Vouched::ByNobody => self.alert(Kind::KeyChanged, &was, &is),
            }
        }
        let key = Key {
            issuer,
            first: self.at,
            last: self.at,
            sessions: 1,
        };
        self.after.keys.insert(spki.to_owned(), key);
    }

    fn latest_key(&self) -> Option<(String, Key)> {
        let latest = self.after.keys.iter().max_by_key(|(_, key)| key.last)?;
        Some((latest.0.clone(), latest.1.clone()))
    }

    fn dane(&mut self, dane: Published) {
        match dane {
            Published::Yes => self.after.dane.seen(self.at),
            Published::No | Published::Withdrawn => {
                if self.after.dane.missed(self.at) {
                    self.alert(Kind::DaneGone, "TLSA records", "none that apply");
                }
            }
            Published::Unknown => {}
        }
    }

    fn sts(&mut self, domain: &Domain, sts: Published) {
        match sts {
            Published::Yes => {
                let fact = self.after.sts.entry(domain.to_string()).or_default();
                fact.seen(self.at);
            }
            Published::No => {
                let known = self.after.sts.get_mut(domain.as_str());
                if known.is_some_and(|fact| fact.missed(self.at)) {
                    let was = format!("an MTA-STS policy of {domain}");
                    self.alert(Kind::StsGone, &was, "none");
                }
            }
            // `mode: none` is how a policy is taken back (RFC 8461 §8.3).
            Published::Withdrawn => {
                self.after.sts.remove(domain.as_str());
            }
            Published::Unknown => {}
        }
    }

    fn alert(&mut self, kind: Kind, was: &str, is: &str) {
        self.alerts.push(Alert {
            kind,
            was: was.to_owned(),
            is: is.to_owned(),
        });
    }
}

impl Standing {
    /// Whether TLS has been seen in so many sessions and over such a time, and not too long ago, that its loss can be
    /// held against the host; since when it was seen.
    #[must_use]
    pub fn is_established(&self, now: Timestamp) -> Option<Timestamp> {
        let Fact {
            first,
            last,
            sessions,
            ..
        } = self.tls;
        let is_enough = sessions >= ENOUGH_SESSIONS
            && last.saturating_sub(first) >= ENOUGH_TIME.as_secs()
            && now.unix().saturating_sub(last) <= TOO_LONG_AGO.as_secs();
        is_enough.then(|| Timestamp::from_unix(first))
    }
}

/// Demands TLS of hosts that are known for it and of which nothing else is demanded. `known` says since when a host is.
///
/// Only of a destination that is one of the hosts by its address: of any other it is not known what it had. Several
/// hosts on one address are one server, so one that is known speaks for all.
pub fn hold(demand: &mut Demand, known: impl Fn(&MxHost) -> Option<Timestamp>) {
    if demand.located != Located::ByAddress {
        return;
    }
    let since = demand
        .candidates
        .iter()
        .filter_map(|candidate| known(&candidate.host))
        .min();
    for candidate in &mut demand.candidates {
        if candidate.requirement.level() == Level::Opportunistic {
            candidate.requirement.known_for_tls = since;
        }
    }
}

#[cfg(test)]
mod tests;
