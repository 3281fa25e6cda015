//! Exceptions in the store, as commands change them. A change is one write: all of it, or nothing.

use super::body::Unreadable;
use super::{Exception, Fault, Id, Terms};
use crate::clock::Timestamp;
use crate::store::{Batch, Follows, Kind, Query, Row, Store, StoreError};

/// Where an exception stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// In the configuration.
    Configuration,
    /// In the store.
    Store,
}

impl Source {
    /// As a word.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Store => "store",
        }
    }
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Unchanged {
    /// There is one for the same domain.
    #[error(
        "{scope} has the exception {id} ({what}, {place}) already",
        scope = rival.scope(), id = rival.id(), what = rival.what(), place = place.label()
    )]
    Rival {
        /// That one.
        rival: Box<Exception>,
        /// Where it is.
        place: Source,
    },
    /// There is none by this id.
    #[error("none with the id {0}")]
    None(Id),
    /// It is not the store's to change.
    #[error("the exception {0} stands in the configuration: change it there")]
    Declared(Id),
    /// Rules.
    #[error("{}", sentence(.0))]
    Faults(Vec<Fault>),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn sentence(faults: &[Fault]) -> String {
    let told = |fault: &Fault| format!("{}: expected {}", fault.field, fault.expected);
    faults.iter().map(told).collect::<Vec<_>>().join("; ")
}

/// All exceptions there are.
pub struct Kept<'a> {
    store: &'a dyn Store,
    declared: &'a [Exception],
    terms: Terms,
    told: Option<&'a dyn Follows>,
}

impl<'a> Kept<'a> {
    /// Those that the configuration declares, and those of the store.
    #[must_use]
    pub const fn new(store: &'a dyn Store, declared: &'a [Exception], terms: Terms) -> Self {
        Self {
            store,
            declared,
            terms,
            told: None,
        }
    }

    /// Tells what is changed to whoever goes by it, without waiting for the store to say so.
    #[must_use]
    pub const fn telling(self, told: &'a dyn Follows) -> Self {
        Self {
            told: Some(told),
            ..self
        }
    }

    /// Each with its place, the first to end first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn all(&self) -> Result<Vec<(Exception, Source)>, StoreError> {
        let declared = self.declared.iter().cloned();
        let mut all: Vec<_> = declared.map(|one| (one, Source::Configuration)).collect();
        for row in self
            .store
            .find(Kind::Exception, Query::Latest, usize::MAX)?
        {
            all.push((self.read(&row)?, Source::Store));
        }
        all.sort_by(|(one, _), (other, _)| {
            (one.expires(), one.id()).cmp(&(other.expires(), other.id()))
        });
        Ok(all)
    }

    /// Adds them all. One that has ended makes room for another of its domain.
    ///
    /// # Errors
    /// When one of them contradicts one that is there, or another of them.
    pub fn add(&self, new: &[Exception], now: Timestamp) -> Result<(), Unchanged> {
        let there = self.all()?;
        let mut batch = Batch::default();
        for (index, one) in new.iter().enumerate() {
            let rivals = || there.iter().filter(|(other, _)| one.rivals(other));
            let among = new.iter().take(index).find(|other| one.rivals(other));
            let alive = rivals().find(|(other, _)| other.is_alive(now));
            let rival = alive
                .map(|(rival, place)| (rival, *place))
                .or_else(|| among.map(|rival| (rival, Source::Store)));
            if let Some((rival, place)) = rival {
                let rival = Box::new(rival.clone());
                return Err(Unchanged::Rival { rival, place });
            }
            let ended = rivals().filter(|(_, place)| *place == Source::Store);
            batch
                .rows
                .extend(ended.map(|(ended, _)| forgotten(ended, now)));
            batch.rows.push(row(one, now));
        }
        Ok(self.write(batch.rows)?)
    }

    /// Takes one back.
    ///
    /// # Errors
    /// When there is none by this id in the store.
    pub fn remove(&self, id: &Id, now: Timestamp) -> Result<Exception, Unchanged> {
        let found = self.stored(id)?;
        self.write(vec![forgotten(&found, now)])?;
        Ok(found)
    }

    /// Grants one anew.
    ///
    /// # Errors
    /// When there is none by this id in the store, or the new end breaks a rule.
    pub fn renew(
        &self,
        id: &Id,
        expires: Timestamp,
        now: Timestamp,
    ) -> Result<Exception, Unchanged> {
        let renewed = self
            .stored(id)?
            .renewed(now, expires, self.terms)
            .map_err(Unchanged::Faults)?;
        self.write(vec![row(&renewed, now)])?;
        Ok(renewed)
    }

    fn stored(&self, id: &Id) -> Result<Exception, Unchanged> {
        let query = Query::Key(id.as_str());
        match self.store.find(Kind::Exception, query, 1)?.first() {
            Some(row) => Ok(self.read(row)?),
            None if self.declared.iter().any(|one| one.id() == id) => {
                Err(Unchanged::Declared(id.clone()))
            }
            None => Err(Unchanged::None(id.clone())),
        }
    }

    fn read(&self, row: &Row) -> Result<Exception, StoreError> {
        let body = row.body.as_deref().unwrap_or_default();
        Exception::from_body(body, self.terms)
            .map_err(|why: Unreadable| self.store.unreadable(row, &why))
    }

    fn write(&self, rows: Vec<Row>) -> Result<(), StoreError> {
        let batch = Batch {
            rows,
            ..Batch::default()
        };
        self.store.write(&batch)?;
        if let Some(told) = self.told {
            batch.rows.into_iter().for_each(|row| told.heard(row));
        }
        Ok(())
    }
}

fn row(exception: &Exception, now: Timestamp) -> Row {
    Row {
        kind: Kind::Exception,
        key: exception.id().to_string(),
        about: exception.scope().to_string(),
        at: now,
        body: Some(exception.to_body()),
    }
}

/// Others who know it are to hear that it is gone.
fn forgotten(exception: &Exception, now: Timestamp) -> Row {
    Row {
        body: None,
        ..row(exception, now)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::Draft;
    use super::super::held::Held;
    use super::*;
    use crate::policy::exceptions::DAY;
    use crate::store::memory::MemoryStore;

    const NOW: Timestamp = Timestamp::from_unix(1_790_000_000);

    fn exception(scope: &str, what: &str, days: u32) -> Exception {
        let draft = Draft {
            scope: scope.parse().unwrap(),
            what: what.parse().unwrap(),
            author: "ops".into(),
            reason: "why".into(),
            created: NOW,
            granted: NOW,
            expires: NOW.plus(DAY * days),
        };
        draft.check(Terms::default()).unwrap()
    }

    fn told(store: &MemoryStore, declared: &[Exception]) -> Vec<String> {
        let kept = Kept::new(store, declared, Terms::default());
        let told = |(one, place): &(Exception, Source)| {
            format!("{} {} {}", one.scope(), one.what(), place.label())
        };
        kept.all().unwrap().iter().map(told).collect()
    }

    #[test]
    fn what_is_added_renewed_and_removed_is_heard_by_a_proxy() {
        let store = MemoryStore::default();
        let declared = [exception("d.example", "dane", 5)];
        let kept = Kept::new(&store, &declared, Terms::default());
        let one = exception("a.example", "none", 3);
        kept.add(&[one.clone(), exception("a.example", "nta", 9)], NOW)
            .unwrap();
        assert_eq!(
            told(&store, &declared),
            [
                "a.example none store",
                "d.example dane configuration",
                "a.example nta store"
            ]
        );
        let later = NOW.plus(DAY * 2);
        let renewed = kept.renew(one.id(), later.plus(DAY * 90), later).unwrap();
        assert_eq!(renewed.draft().created, NOW);
        let held = Held::new(declared.to_vec(), Terms::default());
        held.load(&store).unwrap();
        let applies = |held: &Held| {
            let all = held.all();
            let found = all.of(&"a.example".parse().unwrap(), NOW.plus(DAY * 50));
            found.map(|one| one.what().kind())
        };
        assert_eq!(applies(&held), Some("none"));
        kept.remove(one.id(), later).unwrap();
        let changes = store
            .changes(Kind::Exception, crate::store::Revision::START, 10)
            .unwrap();
        for (_, row) in changes {
            held.hear(&row.key, row.body.as_deref()).unwrap();
        }
        assert_eq!(applies(&held), None);
    }

    #[test]
    fn what_contradicts_another_changes_nothing_and_says_which() {
        let store = MemoryStore::default();
        let declared = [exception("d.example", "dane", 5)];
        let kept = Kept::new(&store, &declared, Terms::default());
        let first = exception("a.example", "none", 3);
        kept.add(&[first], NOW).unwrap();
        for (new, part) in [
            (vec![exception("a.example", "dane", 3)], "(none, store)"),
            (
                vec![exception("d.example", "none", 3)],
                "(dane, configuration)",
            ),
            (
                vec![
                    exception("b.example", "none", 3),
                    exception("b.example", "encrypt", 3),
                ],
                "b.example has",
            ),
        ] {
            let refused = kept.add(&new, NOW).unwrap_err().to_string();
            assert!(refused.contains(part), "{refused}");
            assert_eq!(told(&store, &declared).len(), 2);
        }
        // An ended one is no rival, and makes room.
        let later = NOW.plus(DAY * 4);
        kept.add(&[exception("a.example", "encrypt", 9)], later)
            .unwrap();
        assert_eq!(
            told(&store, &declared),
            ["d.example dane configuration", "a.example encrypt store"]
        );
    }

    #[test]
    fn what_is_not_there_or_not_the_stores_cannot_be_changed() {
        let store = MemoryStore::default();
        let declared = [exception("d.example", "dane", 5)];
        let kept = Kept::new(&store, &declared, Terms::default());
        let removed = |id: &Id| kept.remove(id, NOW).unwrap_err();
        assert!(matches!(
            removed(&Id::typed("nothing0")),
            Unchanged::None(_)
        ));
        assert!(matches!(removed(declared[0].id()), Unchanged::Declared(_)));
        let one = exception("a.example", "none", 3);
        kept.add(std::slice::from_ref(&one), NOW).unwrap();
        let too_long = kept.renew(one.id(), NOW.plus(DAY * 91), NOW).unwrap_err();
        let told = too_long.to_string();
        assert!(
            told.starts_with("expires: expected at most 90 days"),
            "{told}"
        );
    }

    #[test]
    fn a_row_that_cannot_be_read_is_an_error_and_not_nothing() {
        let store = MemoryStore::default();
        let mut damaged = row(&exception("a.example", "none", 3), NOW);
        damaged.body = Some("{}".into());
        let batch = Batch {
            rows: vec![damaged],
            ..Batch::default()
        };
        store.write(&batch).unwrap();
        let kept = Kept::new(&store, &[], Terms::default());
        assert!(kept.all().unwrap_err().to_string().contains("exception"));
        assert!(Held::default().load(&store).is_err());
        let shared: Arc<dyn Store> = Arc::new(store);
        assert!(Held::default().load(&*shared).is_err());
    }
}
