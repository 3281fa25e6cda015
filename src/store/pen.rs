//! Writes what every session leaves behind (traces, counts, pins, what was seen), many at a time, on a thread of its own.
//!
//! About one transaction a second, or one when many rows wait. A process that is killed loses what has come since the
//! last one; what must not be lost (policies, exceptions) is written at once by its owner and never comes here. While the
//! store fails, rows wait within a bound (`waiting`) and writing is tried again with growing pauses.
#![expect(
    clippy::disallowed_methods,
    reason = "IO: a thread that writes, and its time"
)]

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::{error, info, warn};

use super::waiting::{Dropped, Waiting};
use super::{Batch, Count, Row, Store, StoreError, StoreFault};

/// Takes rows and counts without waiting; a clone is the same pen.
#[derive(Clone)]
pub struct Pen {
    cap: Arc<Cap>,
}

/// What happens when the last clone goes: the thread writes what waits and ends.
struct Cap {
    desk: Arc<Desk>,
}

struct Desk {
    paper: Mutex<Paper>,
    changed: Condvar,
    pace: Pace,
}

/// How often is written.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// How long the first row waits for others.
    gather: Duration,
    /// How many do not wait any longer.
    many: usize,
    /// The first and the longest pause after a failure.
    pauses: (Duration, Duration),
    /// Octets that may wait.
    most: usize,
}

struct Paper {
    waiting: Waiting,
    /// Flushes that were asked for, and those after which all that waited then has been tried to be written.
    asked: u64,
    served: u64,
    life: Life,
    failing: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Open,
    /// What waits is written, nothing is waited for.
    Closing,
    /// The thread has ended.
    Over,
}

/// How a pen fares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Rows and counts that wait to be written.
    pub waiting: usize,
    /// What had to be dropped since the start.
    pub dropped: Vec<(Dropped, u64)>,
    /// Why the last attempt failed; none when it did not.
    pub failing: Option<String>,
}

impl Pen {
    /// Writes to this store from now on.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self::with(store, PACE)
    }

    fn with(store: Arc<dyn Store>, pace: Pace) -> Self {
        let desk = Arc::new(Desk {
            paper: Mutex::new(Paper {
                waiting: Waiting::new(pace.most),
                asked: 0,
                served: 0,
                life: Life::Open,
                failing: None,
            }),
            changed: Condvar::new(),
            pace,
        });
        let hers = Arc::clone(&desk);
        std::thread::spawn(move || hers.write_on(&*store));
        let cap = Arc::new(Cap { desk });
        Self { cap }
    }

    /// A row to be written soon, in place of an older one with its key. Not for policies and exceptions: a killed process
    /// would lose them.
    pub fn row(&self, row: Row) {
        debug_assert!(!row.kind.is_precious());
        self.change(|waiting| waiting.put(row));
    }

    /// Something that has happened, to be added to what was counted.
    pub fn count(&self, count: Count) {
        self.change(|waiting| waiting.add(count));
    }

    /// How it fares.
    #[must_use]
    pub fn backlog(&self) -> Backlog {
        let paper = self.cap.desk.lock();
        let dropped = |what| (what, paper.waiting.dropped(what));
        Backlog {
            waiting: paper.waiting.len(),
            dropped: Dropped::ALL.map(dropped).into(),
            failing: paper.failing.clone(),
        }
    }

    /// Has all that waits written now. Blocks for as long as `patience`; tells whether nothing of it waits any more.
    pub fn flush(&self, patience: Duration) -> bool {
        let desk = &self.cap.desk;
        let mut paper = desk.lock();
        paper.asked += 1;
        let asked = paper.asked;
        desk.changed.notify_all();
        let paper = desk.wait_while(paper, patience, |paper| {
            paper.served < asked && paper.life != Life::Over
        });
        paper.waiting.len() == 0
    }

    /// Writes what waits and ends; what comes later is dropped. Blocks for as long as `patience`.
    pub fn close(&self, patience: Duration) {
        let desk = &self.cap.desk;
        let mut paper = desk.lock();
        paper.close();
        desk.changed.notify_all();
        let paper = desk.wait_while(paper, patience, |paper| paper.life != Life::Over);
        let left = paper.waiting.len();
        if left > 0 {
            warn!(left, "rows and counts that could not be written are lost");
        }
    }

    fn change(&self, change: impl FnOnce(&mut Waiting)) {
        let desk = &self.cap.desk;
        let mut paper = desk.lock();
        if paper.life == Life::Over {
            return;
        }
        let before = paper.waiting.len();
        change(&mut paper.waiting);
        // The thread needs to hear of the first, which begins its time, and of the one that is enough.
        if before == 0 || paper.waiting.len() >= desk.pace.many {
            desk.changed.notify_all();
        }
    }
}

impl Drop for Cap {
    fn drop(&mut self) {
        self.desk.lock().close();
        self.desk.changed.notify_all();
    }
}

impl Desk {
    fn write_on(&self, store: &dyn Store) {
        let mut pause = None;
        while let Some((batch, asked)) = self.next(pause) {
            let written = if batch == Batch::default() {
                Ok(())
            } else {
                store.write(&batch)
            };
            let mut paper = self.lock();
            pause = match written {
                Ok(()) => paper.written(&store.place()),
                Err(error) => paper.failed(batch, &error, self.pace.next_pause(pause)),
            };
            paper.served = paper.served.max(asked);
            self.changed.notify_all();
            if paper.life == Life::Closing && pause.is_some() {
                break;
            }
        }
        self.lock().life = Life::Over;
        self.changed.notify_all();
    }

    /// What is to be written next, and how many flushes that serves; none at the end.
    fn next(&self, pause: Option<Duration>) -> Option<(Batch, u64)> {
        let is_urgent = |paper: &Paper| paper.life != Life::Open || paper.asked > paper.served;
        let mut paper = self.lock();
        if let Some(pause) = pause {
            paper = self.wait_while(paper, pause, |paper| !is_urgent(paper));
        } else {
            while paper.waiting.len() == 0 && !is_urgent(&paper) {
                paper = self
                    .changed
                    .wait(paper)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            paper = self.wait_while(paper, self.pace.gather, |paper| {
                paper.waiting.len() < self.pace.many && !is_urgent(paper)
            });
        }
        if paper.life != Life::Open && paper.waiting.len() == 0 {
            return None;
        }
        Some((paper.waiting.take(), paper.asked))
    }

    fn wait_while<'a>(
        &self,
        mut paper: MutexGuard<'a, Paper>,
        patience: Duration,
        condition: impl Fn(&Paper) -> bool,
    ) -> MutexGuard<'a, Paper> {
        let end = Instant::now() + patience;
        while condition(&paper) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.changed.wait_timeout(paper, left);
            paper = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        paper
    }

    fn lock(&self) -> MutexGuard<'_, Paper> {
        // Each change is whole before anything can panic.
        self.paper.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Paper {
    fn close(&mut self) {
        if self.life == Life::Open {
            self.life = Life::Closing;
        }
    }

    fn written(&mut self, place: &str) -> Option<Duration> {
        if self.failing.take().is_some() {
            info!(store = place, "what had waited is written");
        }
        None
    }

    fn failed(
        &mut self,
        mut batch: Batch,
        error: &StoreError,
        pause: Duration,
    ) -> Option<Duration> {
        if let StoreFault::Row { kind, key, .. } = &error.fault {
            error!(%error, "a row cannot be written and is dropped");
            self.waiting.drop_from(&mut batch, *kind, key);
        }
        self.waiting.put_back(batch);
        if self.failing.replace(error.to_string()).is_none() {
            warn!(%error, "traces and counts cannot be written; they wait in memory");
        }
        Some(pause)
    }
}

impl Pace {
    fn next_pause(&self, last: Option<Duration>) -> Duration {
        let (first, longest) = self.pauses;
        last.map_or(first, |last| (last * 2).min(longest))
    }
}

const PACE: Pace = Pace {
    gather: Duration::from_secs(1),
    many: 2000,
    pauses: (Duration::from_secs(1), Duration::from_mins(1)),
    most: 32 * 1024 * 1024,
};

#[cfg(test)]
mod tests {
    use super::super::broken::Broken;
    use super::super::{Kind, Query, Revision};
    use super::*;
    use crate::clock::Timestamp;

    /// Nothing is written before it is asked for.
    const PATIENT: Pace = Pace {
        gather: LONG,
        many: usize::MAX,
        pauses: (LONG, LONG),
        most: 1 << 20,
    };
    const LONG: Duration = Duration::from_secs(600);

    fn row(key: &str) -> Row {
        Row {
            kind: Kind::Trace,
            key: key.to_owned(),
            about: "a.example".to_owned(),
            at: Timestamp::from_unix(1),
            body: Some("{}".to_owned()),
        }
    }

    fn count() -> Count {
        Count {
            day: 1,
            domain: "a.example".to_owned(),
            what: "w".to_owned(),
            reason: String::new(),
            number: 1,
        }
    }

    fn kept(store: &Broken) -> usize {
        store.find(Kind::Trace, Query::Latest, 99).unwrap().len()
    }

    #[test]
    fn many_rows_are_one_transaction_and_a_flush_waits_for_it() {
        let store = Arc::new(Broken::default());
        let pen = Pen::with(store.clone(), PATIENT);
        for n in 0..50 {
            pen.row(row(&n.to_string()));
            pen.row(row("again"));
            pen.count(count());
        }
        assert_eq!(pen.backlog().waiting, 52);
        assert!(pen.flush(LONG));
        assert_eq!((kept(&store), store.writes()), (51, 1));
        assert_eq!(store.counts(1..=1).unwrap()[0].number, 50);
        assert!(pen.flush(LONG), "with nothing to do");
    }

    #[test]
    fn many_rows_are_written_without_being_asked_and_so_are_few_after_a_while() {
        for pace in [
            Pace {
                many: 10,
                ..PATIENT
            },
            Pace {
                gather: Duration::from_millis(1),
                ..PATIENT
            },
        ] {
            let store = Arc::new(Broken::default());
            let pen = Pen::with(store.clone(), pace);
            for n in 0..10 {
                pen.row(row(&n.to_string()));
            }
            let desk = &pen.cap.desk;
            let paper = desk.wait_while(desk.lock(), LONG, |_| kept(&store) < 10);
            assert_eq!(paper.waiting.len(), 0);
        }
    }

    #[test]
    fn while_the_store_fails_rows_wait_and_are_written_when_it_works_again() {
        let store = Arc::new(Broken::default());
        store.refuse_writes();
        let pen = Pen::with(store.clone(), PATIENT);
        pen.row(row("1"));
        assert!(!pen.flush(LONG));
        assert!(pen.backlog().failing.is_some());
        for n in 0..10_000 {
            pen.row(row(&n.to_string()));
            pen.count(count());
        }
        let backlog = pen.backlog();
        assert!(backlog.dropped[0].1 > 0, "within the bound");
        assert!(!pen.flush(LONG));
        store.mend();
        assert!(pen.flush(LONG));
        assert_eq!(pen.backlog().failing, None);
        let traces = store.changes(Kind::Trace, Revision::START, 99_999).unwrap();
        assert_eq!(traces.len() as u64 + backlog.dropped[0].1, 10_001 - 1);
        assert_eq!(store.counts(1..=1).unwrap()[0].number, 10_000);
    }

    #[test]
    fn at_the_end_what_waits_is_written_or_given_up() {
        let store = Arc::new(Broken::default());
        let pen = Pen::with(store.clone(), PATIENT);
        pen.row(row("1"));
        pen.close(LONG);
        assert_eq!(kept(&store), 1);
        pen.row(row("too late"));
        assert!(pen.flush(LONG), "nobody waits for what was dropped");
        let pen = Pen::with(store.clone(), PATIENT);
        pen.row(row("2"));
        let desk = Arc::clone(&pen.cap.desk);
        drop(pen);
        drop(desk.wait_while(desk.lock(), LONG, |paper| paper.life != Life::Over));
        assert_eq!(kept(&store), 2, "also when nobody says that it is the end");
        store.refuse_writes();
        let pen = Pen::with(store.clone(), PATIENT);
        pen.row(row("3"));
        pen.close(LONG);
        assert_eq!(kept(&store), 2);
    }

    #[test]
    fn pauses_grow_up_to_a_bound() {
        let mut pauses = vec![PACE.next_pause(None)];
        for _ in 0..9 {
            pauses.push(PACE.next_pause(pauses.last().copied()));
        }
        assert_eq!(pauses[..3], [1, 2, 4].map(Duration::from_secs));
        assert_eq!(pauses[9], Duration::from_mins(1));
    }
}
