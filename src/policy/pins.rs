//! What cleared sessions: for each endpoint and demand the host, the key, the certificates and what the verdict rested
//! on. Pure; the memory is bounded, the longest unused goes first.
//!
//! A pin serves two ends. People list it ([`Pin`] is what is kept of it), and revoke it. And the next session with the
//! same certificates under the same demand need not look for a path again ([`Pins::recall`]): that rests on proofs that
//! this process has made itself, never on what a store or another proxy says. A revocation makes everything that was
//! proven until then worthless ([`Pins::heard`]).

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lru::LruCache;
use serde::{Deserialize, Serialize};

use super::Fingerprint;
use crate::clock::Timestamp;
use crate::name::DnsName;
use crate::x509::proof::Proof;

/// Pins in memory, a kilobyte each.
pub const CAPACITY: NonZeroUsize = NonZeroUsize::new(16_384).unwrap();

/// Domains of one pin that are shown, the last seen.
pub const MAX_DOMAINS: usize = 8;

/// How often the row of a pin is written that is as ever.
pub const REWRITE: Duration = Duration::from_hours(1);

/// Proofs of one pin: two make a verdict, and a server may have several certificates.
const MAX_PROOFS: usize = 8;

/// Which pin.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Address and port.
    pub destination: SocketAddr,
    /// The name that was asked for.
    pub sni: Option<DnsName>,
    /// What had to be proven.
    pub demand: Fingerprint,
}

/// What is kept of a pin. Times are seconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pin {
    /// The MX host that the destination was taken for.
    pub host: Option<String>,
    /// The domains of the recipients, the last seen first.
    pub domains: VecDeque<String>,
    /// What the session rested on.
    pub basis: String,
    /// What was demanded.
    pub level: String,
    /// SHA-256 of the leaf's SubjectPublicKeyInfo, hexadecimal.
    pub spki: String,
    /// SHA-256 of the certificates, hexadecimal.
    pub chain: String,
    /// Until when the path need not be looked for again; none where there is no path.
    pub until: Option<u64>,
    /// When it was first pinned.
    pub first: u64,
    /// When it was last pinned.
    pub last: u64,
    /// In how many sessions.
    pub sessions: u64,
    /// When it was last revoked: what was proven until then does not count.
    pub revoked: u64,
}

/// A session that was cleared.
#[derive(Clone, Debug)]
pub struct Session<'a> {
    /// When.
    pub at: Timestamp,
    /// As [`Pin::host`].
    pub host: Option<String>,
    /// The recipient's domain.
    pub domain: &'a str,
    /// As [`Pin::basis`].
    pub basis: &'static str,
    /// As [`Pin::level`].
    pub level: &'static str,
    /// As [`Pin::spki`].
    pub spki: String,
    /// As [`Pin::chain`].
    pub chain: String,
    /// Paths that were found or recalled.
    pub proofs: &'a [Proof],
}

/// A row that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the row {key:?} of the pins cannot be read: {what}")]
pub struct Unreadable {
    /// Its key.
    pub key: String,
    /// What is wrong.
    pub what: String,
}

/// The memory, shared by all sessions.
pub struct Pins {
    entries: Mutex<LruCache<Place, VecDeque<Entry>>>,
}

/// Where a pin holds, whatever is demanded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Place(SocketAddr, Option<DnsName>);

struct Entry {
    demand: Fingerprint,
    pin: Pin,
    proofs: VecDeque<Proof>,
    written: u64,
}

/// Demands of one endpoint that are told apart.
const MAX_DEMANDS: usize = 8;

impl Default for Pins {
    fn default() -> Self {
        Self {
            entries: Mutex::new(LruCache::new(CAPACITY)),
        }
    }
}

impl Pins {
    /// What was proven of whatever this endpoint has shown to this name.
    #[must_use]
    pub fn recall(&self, destination: SocketAddr, sni: Option<&DnsName>) -> Vec<Proof> {
        let place = Place(destination, sni.cloned());
        let mut entries = self.lock();
        let demands = entries.get(&place).into_iter().flatten();
        demands.flat_map(|entry| &entry.proofs).copied().collect()
    }

    /// Remembers that a session was cleared. The row to keep, where it is due.
    pub fn cleared(&self, key: &Key, session: &Session<'_>) -> Option<String> {
        let mut entries = self.lock();
        let entry = entry(&mut entries, key);
        let is_news = entry.note(session);
        let at = session.at.unix();
        if !is_news && at.saturating_sub(entry.written) < REWRITE.as_secs() {
            return None;
        }
        entry.written = at;
        serde_json::to_string(&entry.pin).ok()
    }

    /// Takes in what was kept or revoked. Whether there is now less that counts.
    ///
    /// # Errors
    /// When the row cannot be read; the memory stays as it is.
    pub fn heard(&self, key: &str, body: Option<&str>, now: Timestamp) -> Result<bool, Unreadable> {
        let unreadable = |what: String| Unreadable {
            key: key.to_owned(),
            what,
        };
        let parsed = Key::from_str(key).map_err(unreadable)?;
        let pin = match body {
            Some(body) => read(key, body)?,
            // Forgotten is revoked as well.
            None => Pin {
                revoked: now.unix(),
                ..Pin::default()
            },
        };
        let mut entries = self.lock();
        Ok(entry(&mut entries, &parsed).merge(&pin))
    }

    /// All pins, the last used first.
    #[must_use]
    pub fn known(&self) -> Vec<(Key, Pin)> {
        let entries = self.lock();
        let mut known: Vec<_> = entries
            .iter()
            .flat_map(|(Place(destination, sni), demands)| {
                demands.iter().map(|entry| {
                    let key = Key {
                        destination: *destination,
                        sni: sni.clone(),
                        demand: entry.demand,
                    };
                    (key, entry.pin.clone())
                })
            })
            .collect();
        drop(entries);
        known.sort_by_key(|(_, pin)| std::cmp::Reverse(pin.last));
        known
    }

    /// Makes worthless what was proven until now. The row to keep.
    pub fn revoke(&self, key: &Key, now: Timestamp) -> Option<String> {
        let mut entries = self.lock();
        let entry = entry(&mut entries, key);
        let mut pin = entry.pin.clone();
        pin.revoked = pin.revoked.max(now.unix());
        entry.merge(&pin);
        serde_json::to_string(&entry.pin).ok()
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<Place, VecDeque<Entry>>> {
        // What a panic may leave behind is an entry with less in it, never a wrong one.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a row's body.
///
/// # Errors
/// When it is not what [`Pins::cleared`] writes.
pub fn read(key: &str, body: &str) -> Result<Pin, Unreadable> {
    serde_json::from_str(body).map_err(|error| Unreadable {
        key: key.to_owned(),
        what: error.to_string(),
    })
}

fn entry<'a>(entries: &'a mut LruCache<Place, VecDeque<Entry>>, key: &Key) -> &'a mut Entry {
    let place = Place(key.destination, key.sni.clone());
    let demands = entries.get_or_insert_mut(place, VecDeque::new);
    let known = demands.iter().position(|entry| entry.demand == key.demand);
    let entry = known
        .and_then(|index| demands.remove(index))
        .unwrap_or_else(|| Entry {
            demand: key.demand,
            pin: Pin::default(),
            proofs: VecDeque::new(),
            written: 0,
        });
    demands.truncate(MAX_DEMANDS - 1);
    demands.push_front(entry);
    &mut demands[0]
}

impl Entry {
    /// Whether more than times and counts have changed.
    fn note(&mut self, session: &Session<'_>) -> bool {
        let at = session.at.unix();
        for proof in session.proofs {
            let is_void = proof.made().unix() <= self.pin.revoked;
            if !is_void && !self.proofs.contains(proof) {
                self.proofs.truncate(MAX_PROOFS - 1);
                self.proofs.push_front(*proof);
            }
        }
        let pin = &mut self.pin;
        let known = (pin.spki.clone(), pin.chain.clone(), pin.basis.clone());
        let is_first = pin.sessions == 0;
        if is_first {
            pin.first = at;
        }
        pin.last = pin.last.max(at);
        pin.sessions = pin.sessions.saturating_add(1);
        pin.host.clone_from(&session.host);
        session.basis.clone_into(&mut pin.basis);
        session.level.clone_into(&mut pin.level);
        pin.spki.clone_from(&session.spki);
        pin.chain.clone_from(&session.chain);
        pin.until = session
            .proofs
            .iter()
            .map(|proof| proof.until().unix())
            .min();
        let place = pin.domains.iter().position(|one| one == session.domain);
        let domain = place.and_then(|index| pin.domains.remove(index));
        let is_new_domain = domain.is_none();
        pin.domains.truncate(MAX_DOMAINS - 1);
        pin.domains
            .push_front(domain.unwrap_or_else(|| session.domain.to_owned()));
        let is_same = known == (pin.spki.clone(), pin.chain.clone(), pin.basis.clone());
        is_first || is_new_domain || !is_same
    }

    fn merge(&mut self, other: &Pin) -> bool {
        let is_revoked = other.revoked > self.pin.revoked;
        let mine = std::mem::take(&mut self.pin);
        let (newer, older) = if other.last > mine.last {
            (other, &mine)
        } else {
            (&mine, other)
        };
        self.pin = Pin {
            first: match (newer.sessions, older.sessions) {
                (_, 0) => newer.first,
                (0, _) => older.first,
                _ => newer.first.min(older.first),
            },
            sessions: newer.sessions.max(older.sessions),
            revoked: newer.revoked.max(older.revoked),
            ..newer.clone()
        };
        let revoked = self.pin.revoked;
        self.proofs.retain(|proof| proof.made().unix() > revoked);
        is_revoked
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sni = self.sni.as_ref().map_or("-", DnsName::as_str);
        write!(f, "{} {sni} {}", self.destination, self.demand)
    }
}

impl FromStr for Key {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = "expected an address with its port, a name or -, and a fingerprint";
        let parts: Vec<&str> = text.split(' ').collect();
        let [destination, sni, demand] = parts[..] else {
            return Err(expected.into());
        };
        Ok(Self {
            destination: destination.parse().map_err(|_| expected)?,
            sni: match sni {
                "-" => None,
                name => Some(
                    name.parse()
                        .map_err(|error| format!("{expected}: {error}"))?,
                ),
            },
            demand: demand.parse().map_err(|()| expected)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::x509::proof::Claim;

    const T0: u64 = 1_790_000_000;

    fn key() -> Key {
        Key {
            destination: "192.0.2.1:25".parse().unwrap(),
            sni: Some("mx.example".parse().unwrap()),
            demand: Fingerprint::NOTHING,
        }
    }

    fn at(after: u64) -> Timestamp {
        Timestamp::from_unix(T0 + after)
    }

    fn proof(name: &'static str, made: u64) -> Proof {
        Proof::of(Claim::of(name, []), [], at(made)).unwrap()
    }

    fn clear(pins: &Pins, after: u64, domain: &str, proofs: &[Proof]) -> Option<String> {
        let session = Session {
            at: at(after),
            host: Some("mx.example".into()),
            domain,
            basis: "mta-sts",
            level: "LS",
            spki: "ab".into(),
            chain: "cd".into(),
            proofs,
        };
        pins.cleared(&key(), &session)
    }

    fn recalled(pins: &Pins) -> Vec<Proof> {
        pins.recall(key().destination, key().sni.as_ref())
    }

    #[test]
    fn what_was_proven_is_recalled_where_it_was_shown_and_nowhere_else() {
        let pins = Pins::default();
        let one = proof("one", 0);
        clear(&pins, 0, "d.example", &[one]);
        assert_eq!(recalled(&pins), [one]);
        for (destination, sni) in [
            ("192.0.2.1:26", Some("mx.example")),
            ("192.0.2.2:25", Some("mx.example")),
            ("192.0.2.1:25", Some("mx2.example")),
            ("192.0.2.1:25", None),
        ] {
            let sni: Option<DnsName> = sni.map(|name| name.parse().unwrap());
            let recalled = pins.recall(destination.parse().unwrap(), sni.as_ref());
            assert!(recalled.is_empty(), "{destination} {sni:?}");
        }
    }

    #[test]
    fn what_a_store_says_is_never_recalled() {
        let pins = Pins::default();
        let body = clear(&pins, 0, "d.example", &[proof("one", 0)]).unwrap();
        let next = Pins::default();
        assert!(!next.heard(&key().to_string(), Some(&body), at(1)).unwrap());
        assert!(recalled(&next).is_empty());
        // But it goes on where the earlier life has ended.
        let body = clear(&next, 5, "d.example", &[]).unwrap();
        let pin = read("", &body).unwrap();
        assert_eq!((pin.first, pin.sessions), (T0, 2));
    }

    #[test]
    fn after_a_revocation_only_new_proofs_count_also_against_sessions_that_are_under_way() {
        let pins = Pins::default();
        let (old, new) = (proof("one", 0), proof("one", 11));
        let body = clear(&pins, 0, "d.example", &[old]).unwrap();
        let mut pin = read("", &body).unwrap();
        pin.revoked = T0 + 10;
        let revoked = serde_json::to_string(&pin).unwrap();
        assert!(
            pins.heard(&key().to_string(), Some(&revoked), at(10))
                .unwrap()
        );
        assert!(recalled(&pins).is_empty());
        clear(&pins, 12, "d.example", &[old]);
        assert!(recalled(&pins).is_empty());
        // A row that was on its way undoes nothing.
        assert!(!pins.heard(&key().to_string(), Some(&body), at(12)).unwrap());
        clear(&pins, 13, "d.example", &[old, new]);
        assert_eq!(recalled(&pins), [new]);
        assert!(pins.heard(&key().to_string(), None, at(14)).unwrap());
        assert!(recalled(&pins).is_empty());
    }

    #[test]
    fn a_row_is_written_for_news_and_once_an_hour() {
        let pins = Pins::default();
        for (row, after, domain, expected) in [
            ("the first session", 0, "a.example", true),
            ("as ever", 1, "a.example", false),
            ("another domain", 2, "b.example", true),
            ("the first again", 3, "a.example", false),
            ("an hour later", 3602, "a.example", true),
        ] {
            assert_eq!(
                clear(&pins, after, domain, &[]).is_some(),
                expected,
                "{row}"
            );
        }
    }

    #[test]
    fn a_key_is_read_as_it_is_written() {
        let nameless = Key { sni: None, ..key() };
        for key in [key(), nameless] {
            assert_eq!(key.to_string().parse::<Key>().unwrap(), key);
        }
        for text in ["", "192.0.2.1:25", "192.0.2.1 - 00", "192.0.2.1:25 - 0g"] {
            assert!(text.parse::<Key>().is_err(), "{text}");
        }
    }
}
