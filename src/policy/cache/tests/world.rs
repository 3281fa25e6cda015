//! The world of one domain: its DNS, its policy host and its clocks, all in the test's hand.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, FutureExt, ready};
use tokio::sync::Semaphore;

use crate::clock::{Clock, Timestamp};
use crate::dns::{
    Absence, AbsenceKind, Answer, Denial, Failure, Family, Lookup, Mx, Resolved, Source, Text,
    TlsaRdata,
};
use crate::mtasts::fetch::{FetchFailure, FetchPolicy};
use crate::mtasts::{Mode, Policy};
use crate::name::{DnsName, Domain};
use crate::policy::cache::Patience;

/// What DNS says about `_mta-sts`.
#[derive(Clone, Debug)]
pub(super) enum Txt {
    Records(Vec<&'static str>),
    /// Another id each time.
    Restless,
    Absent,
    Bogus,
    Unreachable,
}

/// What the policy host says.
#[derive(Clone, Debug)]
pub(super) enum Host {
    Serves(Mode, u64),
    Fails(FetchFailure),
    Panics,
}

/// Where mail would go, as far as it can be told apart: policies differ by the number of their fetch.
pub(super) struct World {
    facts: Mutex<Facts>,
    /// A fetch takes one of these; without any it waits.
    pub(super) gate: Semaphore,
    start: Instant,
    pub(super) patience: Patience,
}

pub(super) struct Facts {
    txt: Txt,
    host: Host,
    pub(super) wall: u64,
    pub(super) elapsed: Duration,
    pub(super) questions: Vec<String>,
    /// Fetches that have begun and not ended.
    pub(super) waiting: usize,
    pub(super) fetches: Vec<Fetched>,
}

/// One fetch as the host has seen it.
#[derive(Clone, Debug)]
pub(super) struct Fetched {
    pub(super) served: Option<Policy>,
    pub(super) wall: u64,
    pub(super) elapsed: Duration,
}

pub(super) const NOW: u64 = 1_800_000_000;
pub(super) const DAY: u64 = 86_400;
pub(super) const WEEK: u64 = 7 * DAY;

impl World {
    pub(super) fn new(txt: Txt, host: Host) -> Arc<Self> {
        Self::patient(txt, host, Patience::Endless)
    }

    pub(super) fn patient(txt: Txt, host: Host, patience: Patience) -> Arc<Self> {
        Arc::new(Self {
            facts: Mutex::new(Facts {
                txt,
                host,
                wall: NOW,
                elapsed: Duration::ZERO,
                questions: Vec::new(),
                waiting: 0,
                fetches: Vec::new(),
            }),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
            start: Instant::now(),
            patience,
        })
    }

    /// One that announces and serves a policy.
    pub(super) fn of(mode: Mode, max_age: u64) -> Arc<Self> {
        Self::new(Txt::id("v=STSv1; id=a"), Host::Serves(mode, max_age))
    }

    pub(super) fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap()
    }

    pub(super) fn says(&self, txt: Txt) {
        self.facts().txt = txt;
    }

    pub(super) fn serves(&self, host: Host) {
        self.facts().host = host;
    }

    /// Time passes on both clocks.
    pub(super) fn pass(&self, seconds: u64) {
        let mut facts = self.facts();
        facts.wall += seconds;
        facts.elapsed += Duration::from_secs(seconds);
    }

    pub(super) fn step_wall(&self, seconds: i64) {
        let mut facts = self.facts();
        facts.wall = facts.wall.saturating_add_signed(seconds);
    }

    pub(super) fn questions(&self) -> usize {
        self.facts().questions.len()
    }

    /// So many seconds after the start or later.
    pub(super) fn fetches_since(&self, seconds: u64) -> usize {
        let since = Duration::from_secs(seconds);
        let facts = self.facts();
        let late = facts
            .fetches
            .iter()
            .filter(|fetched| fetched.elapsed >= since);
        late.count()
    }

    pub(super) fn fetches(&self) -> usize {
        self.facts().fetches.len()
    }
}

impl Txt {
    pub(super) fn id(record: &'static str) -> Self {
        Self::Records(vec![record])
    }
}

pub(super) fn policy(mode: Mode, max_age: u64, number: usize) -> Policy {
    let mode = match mode {
        Mode::Enforce => "enforce",
        Mode::Testing => "testing",
        Mode::None => "none",
    };
    let text =
        format!("version: STSv1\nmode: {mode}\nmax_age: {max_age}\nmx: mx{number}.example\n");
    Policy::parse(text.as_bytes()).unwrap()
}

pub(super) fn unreachable() -> Failure {
    Failure::Unreachable("SERVFAIL".to_owned())
}

pub(super) fn refused() -> FetchFailure {
    FetchFailure::Fetch("refused".to_owned())
}

impl Clock for World {
    fn wall(&self) -> Timestamp {
        Timestamp::from_unix(self.facts().wall)
    }

    fn instant(&self) -> Instant {
        self.start + self.facts().elapsed
    }
}

impl Lookup for World {
    fn mx<'a>(&'a self, _: &'a DnsName) -> BoxFuture<'a, Resolved<Vec<Mx>>> {
        unknown()
    }

    fn addresses<'a>(&'a self, _: &'a DnsName, _: Family) -> BoxFuture<'a, Resolved<Vec<IpAddr>>> {
        unknown()
    }

    fn tlsa<'a>(&'a self, _: &'a DnsName) -> BoxFuture<'a, Resolved<Vec<TlsaRdata>>> {
        unknown()
    }

    fn txt<'a>(&'a self, name: &'a DnsName) -> BoxFuture<'a, Resolved<Vec<Text>>> {
        let mut facts = self.facts();
        facts.questions.push(name.to_string());
        let answer = match &facts.txt {
            Txt::Records(texts) => {
                Answer::Insecure(texts.iter().map(|text| text.as_bytes().to_vec()).collect())
            }
            Txt::Restless => {
                let record = format!("v=STSv1; id={};", facts.questions.len());
                Answer::Insecure(vec![record.into_bytes()])
            }
            Txt::Absent => Answer::Absent(Absence {
                kind: AbsenceKind::NxDomain,
                denial: Denial::Insecure,
            }),
            Txt::Bogus => Answer::Failed(Failure::Bogus("no signature".to_owned())),
            Txt::Unreachable => Answer::Failed(unreachable()),
        };
        resolved(answer)
    }
}

pub(super) fn unknown<T: Send + 'static>() -> BoxFuture<'static, Resolved<T>> {
    resolved(Answer::Failed(unreachable()))
}

fn resolved<T: Send + 'static>(answer: Answer<T>) -> BoxFuture<'static, Resolved<T>> {
    let aliases = Vec::new();
    ready(Resolved {
        answer,
        aliases,
        source: Source::default(),
    })
    .boxed()
}

impl FetchPolicy for World {
    fn fetch<'a>(&'a self, _: &'a Domain) -> BoxFuture<'a, Result<Policy, FetchFailure>> {
        async move {
            self.facts().waiting += 1;
            self.gate.acquire().await.unwrap().forget();
            let mut facts = self.facts();
            facts.waiting -= 1;
            let host = facts.host.clone();
            let (wall, elapsed) = (facts.wall, facts.elapsed);
            let mut fetched = Fetched {
                served: None,
                wall,
                elapsed,
            };
            let result = match host {
                Host::Serves(mode, max_age) => {
                    let policy = policy(mode, max_age, facts.fetches.len());
                    fetched.served = Some(policy.clone());
                    Ok(policy)
                }
                Host::Fails(failure) => Err(failure),
                Host::Panics => {
                    drop(facts);
                    panic!("on purpose");
                }
            };
            facts.fetches.push(fetched);
            result
        }
        .boxed()
    }
}
