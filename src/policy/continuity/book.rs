//! The memory of all hosts, bounded: the longest unused goes first.
//!
//! A [`Place`] is an MX host and a port. What is to be kept for the next life of the process, or for other proxies, comes
//! back as JSON from [`Book::learn`]; [`Book::heard`] takes in what was kept. Commands write the same rows, so a release
//! is heard like anything else.

use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lru::LruCache;

use super::{Alert, Continuity, Origin, Sighting, Standing, learn};
use crate::clock::Timestamp;
use crate::name::MxHost;

/// Hosts that are remembered in memory: half a kilobyte each, mostly.
pub const CAPACITY: NonZeroUsize = NonZeroUsize::new(65_536).unwrap();

/// How often the row of a host is written that is as ever.
pub const REWRITE: Duration = Duration::from_hours(1);

/// An MX host, and the port where its mail server listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The host.
    pub host: MxHost,
    /// The port.
    pub port: u16,
}

/// The memory, shared by all sessions.
pub struct Book {
    mode: Continuity,
    hosts: Arc<Mutex<LruCache<Place, Entry>>>,
}

#[derive(Default)]
struct Entry {
    standing: Standing,
    /// When its row was last written.
    written: u64,
}

/// What a session has come to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct News {
    /// What is worth telling.
    pub alerts: Vec<Alert>,
    /// The row to keep, where it is due.
    pub row: Option<String>,
}

/// A row that cannot be read. What it held is unknown, not absent.
#[derive(Debug, thiserror::Error)]
#[error("the row {key:?} of what is remembered of MX hosts cannot be read: {what}")]
pub struct Unreadable {
    /// Its key.
    pub key: String,
    /// What is wrong.
    pub what: String,
}

impl Book {
    /// An empty memory.
    #[must_use]
    pub fn new(mode: Continuity) -> Self {
        Self {
            mode,
            hosts: Arc::new(Mutex::new(LruCache::new(CAPACITY))),
        }
    }

    /// The same memory, for those who make another use of it.
    #[must_use]
    pub fn under(&self, mode: Continuity) -> Self {
        Self {
            mode,
            hosts: Arc::clone(&self.hosts),
        }
    }

    /// Since when a host is known for TLS, where that is enforced.
    #[must_use]
    pub fn known_for_tls(&self, place: &Place, now: Timestamp) -> Option<Timestamp> {
        if self.mode != Continuity::Enforce {
            return None;
        }
        self.lock().get(place)?.standing.is_established(now)
    }

    /// Learns from a session.
    pub fn learn(
        &self,
        place: &Place,
        seen: &Sighting<'_>,
        origin: impl FnOnce() -> Origin,
    ) -> News {
        if self.mode == Continuity::Off {
            return News::default();
        }
        let mut hosts = self.lock();
        let entry = hosts.get_or_insert_mut(place.clone(), Entry::default);
        let learnt = learn(&entry.standing, seen, origin);
        let at = seen.at.unix();
        let is_due = is_news(&entry.standing, &learnt.after)
            || at.saturating_sub(entry.written) >= REWRITE.as_secs();
        entry.standing = learnt.after;
        let row = is_due
            .then(|| serde_json::to_string(&entry.standing).ok())
            .flatten();
        if row.is_some() {
            entry.written = at;
        }
        News {
            alerts: learnt.alerts,
            row,
        }
    }

    /// Takes in what was kept: by an earlier life, by another proxy, by a command.
    ///
    /// # Errors
    /// When the row cannot be read; the memory stays as it is.
    pub fn heard(&self, key: &str, body: Option<&str>) -> Result<(), Unreadable> {
        let place = Place::from_str(key).map_err(|what| unreadable(key, what))?;
        let Some(body) = body else {
            self.lock().pop(&place);
            return Ok(());
        };
        let standing = read(key, body)?;
        let mut hosts = self.lock();
        let entry = hosts.get_or_insert_mut(place, Entry::default);
        entry.standing.merge(&standing);
        if entry.standing != standing {
            // Those who read the row know less than we do: the next session writes it anew.
            entry.written = 0;
        }
        Ok(())
    }

    /// What is remembered, of one host or of all, in order.
    #[must_use]
    pub fn known(&self, host: Option<&MxHost>) -> Vec<(Place, Standing)> {
        let hosts = self.lock();
        let meant = |place: &Place| host.is_none_or(|host| place.host == *host);
        let mut known: Vec<_> = hosts
            .iter()
            .filter(|(place, _)| meant(place))
            .map(|(place, entry)| (place.clone(), entry.standing.clone()))
            .collect();
        drop(hosts);
        known.sort_by(|one, other| one.0.cmp(&other.0));
        known
    }

    /// Holds nothing against a host that was until now. The row to keep, where anything is remembered.
    pub fn release(&self, place: &Place, now: Timestamp) -> Option<String> {
        let mut hosts = self.lock();
        let entry = hosts.get_mut(place)?;
        entry.standing.release(now);
        entry.written = now.unix();
        serde_json::to_string(&entry.standing).ok()
    }

    /// Hosts in memory.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<Place, Entry>> {
        // What a panic may leave behind is an entry with less in it, never a wrong one.
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a row's body.
///
/// # Errors
/// When it is not what [`Book::learn`] writes.
pub fn read(key: &str, body: &str) -> Result<Standing, Unreadable> {
    serde_json::from_str(body).map_err(|error| unreadable(key, error.to_string()))
}

fn unreadable(key: &str, what: String) -> Unreadable {
    Unreadable {
        key: key.to_owned(),
        what,
    }
}

/// Whether more than times and counts have changed.
fn is_news(before: &Standing, after: &Standing) -> bool {
    let facts = |standing: &Standing| {
        [standing.tls, standing.tls13, standing.dane].map(|fact| (fact.sessions > 0, fact.lost))
    };
    facts(before) != facts(after)
        || !before.keys.keys().eq(after.keys.keys())
        || !before.sts.keys().eq(after.sts.keys())
        || before
            .sts
            .values()
            .map(|fact| fact.lost)
            .ne(after.sts.values().map(|fact| fact.lost))
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = "expected an MX host, a colon and a port";
        let (host, port) = text.rsplit_once(':').ok_or(expected)?;
        Ok(Self {
            host: host
                .parse()
                .map_err(|error| format!("{expected}: {error}"))?,
            port: port.parse().map_err(|_| expected)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, Published, TlsSeen, Vouched};
    use super::*;

    const T0: u64 = 1_790_000_000;

    fn place() -> Place {
        "mx.example:25".parse().unwrap()
    }

    fn see(book: &Book, after: u64, spki: Option<&str>) -> News {
        let domain = "d.example".parse().unwrap();
        let seen = Sighting {
            at: Timestamp::from_unix(T0 + after),
            tls: spki.map(|spki| TlsSeen { is_13: true, spki }),
            dane: Published::No,
            sts: (&domain, Published::No),
            is_cleared: true,
        };
        book.learn(&place(), &seen, || Origin {
            issuer: "self-signed".into(),
            vouched: Vouched::ByNobody,
        })
    }

    #[test]
    fn a_row_is_written_for_news_and_once_an_hour() {
        let book = Book::new(Continuity::Alert);
        for (row, after, spki, expected) in [
            ("the first session", 0, Some("k1"), true),
            ("as ever", 1, Some("k1"), false),
            ("a new key", 2, Some("k2"), true),
            ("no TLS", 3, None, true),
            ("still none", 4, None, false),
            ("an hour later", 3604, None, true),
        ] {
            assert_eq!(see(&book, after, spki).row.is_some(), expected, "{row}");
        }
    }

    #[test]
    fn the_next_life_goes_on_where_this_one_ended() {
        let book = Book::new(Continuity::Alert);
        let row = see(&book, 0, Some("k1")).row.unwrap();
        let next = Book::new(Continuity::Alert);
        next.heard("mx.example:25", Some(&row)).unwrap();
        let told = see(&next, 10, None).alerts;
        assert_eq!(told[0].kind, Kind::StarttlsGone);
    }

    #[test]
    fn a_release_that_a_command_has_written_is_heard_also_before_a_row_that_was_on_its_way() {
        let day = 24 * 3600;
        let book = Book::new(Continuity::Enforce);
        let mut old = None;
        for n in 0..6 {
            old = see(&book, n * day, Some("k1")).row;
        }
        let old = old.unwrap();
        let now = Timestamp::from_unix(T0 + 6 * day);
        assert!(book.known_for_tls(&place(), now).is_some());
        let mut standing = read("mx.example:25", &old).unwrap();
        standing.release(now);
        let released = serde_json::to_string(&standing).unwrap();
        for body in [&released, &old] {
            book.heard("mx.example:25", Some(body)).unwrap();
            assert!(book.known_for_tls(&place(), now).is_none());
        }
    }

    #[test]
    fn only_enforce_holds_anything_against_a_host_and_off_remembers_nothing() {
        let day = 24 * 3600;
        for (mode, hosts, is_held) in [
            (Continuity::Off, 0, false),
            (Continuity::Alert, 1, false),
            (Continuity::Enforce, 1, true),
        ] {
            let book = Book::new(mode);
            for n in 0..6 {
                see(&book, n * day, Some("k1"));
            }
            let now = Timestamp::from_unix(T0 + 6 * day);
            assert_eq!(book.len(), hosts, "{mode:?}");
            assert_eq!(
                book.known_for_tls(&place(), now).is_some(),
                is_held,
                "{mode:?}"
            );
        }
    }

    #[test]
    fn a_row_that_cannot_be_read_is_an_error_and_changes_nothing() {
        let book = Book::new(Continuity::Alert);
        see(&book, 0, Some("k1"));
        for (key, body, expected) in [
            ("mx.example:25", "{", "EOF"),
            (
                "mx.example",
                "{}",
                "expected an MX host, a colon and a port",
            ),
            ("mx..example:25", "{}", "empty label"),
        ] {
            let told = book.heard(key, Some(body)).unwrap_err().to_string();
            assert!(told.contains(expected), "{told}");
        }
        assert_eq!(book.len(), 1);
        assert!(!book.is_empty());
    }
}
