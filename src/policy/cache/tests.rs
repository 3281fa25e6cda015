//! The cache over a world of one domain whose DNS, policy host and clocks the test holds in its hand.
#![expect(
    clippy::disallowed_methods,
    reason = "IO: the tests start tasks and need one real instant to count from"
)]

mod peers;
mod recall;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, FutureExt, join_all, ready};
use proptest::prelude::*;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;

use super::entry::{ANSWER_LIFE, BACK_OFF, FAILURE_LIFE};
use super::{CacheOptions, Patience, StsCache};
use crate::clock::{Clock, Timestamp};
use crate::dns::{
    Absence, AbsenceKind, Answer, Denial, Failure, Family, Lookup, Mx, Resolved, Source, Text,
    TlsaRdata,
};
use crate::mtasts::fetch::{FetchFailure, FetchPolicy};
use crate::mtasts::{Mode, Policy, PolicyId};
use crate::name::{DnsName, Domain};
use crate::policy::StsState;
use crate::store::broken::Broken;
use crate::store::memory::MemoryStore;
use crate::store::{Batch, Kind, Query, Store, StoreError, StoredPolicy, policies};

/// What DNS says about `_mta-sts`.
#[derive(Clone, Debug)]
enum Txt {
    Records(Vec<&'static str>),
    /// Another id each time.
    Restless,
    Absent,
    Bogus,
    Unreachable,
}

/// What the policy host says.
#[derive(Clone, Debug)]
enum Host {
    Serves(Mode, u64),
    Fails(FetchFailure),
    Panics,
}

/// Where mail would go, as far as it can be told apart: policies differ by the number of their fetch.
struct World {
    facts: Mutex<Facts>,
    /// A fetch takes one of these; without any it waits.
    gate: Semaphore,
    start: Instant,
    patience: Patience,
}

struct Facts {
    txt: Txt,
    host: Host,
    wall: u64,
    elapsed: Duration,
    questions: Vec<String>,
    /// Fetches that have begun and not ended.
    waiting: usize,
    fetches: Vec<Fetched>,
}

/// One fetch as the host has seen it.
#[derive(Clone, Debug)]
struct Fetched {
    served: Option<Policy>,
    wall: u64,
    elapsed: Duration,
}

const NOW: u64 = 1_800_000_000;
const DAY: u64 = 86_400;
const WEEK: u64 = 7 * DAY;

impl World {
    fn new(txt: Txt, host: Host) -> Arc<Self> {
        Self::patient(txt, host, Patience::Endless)
    }

    fn patient(txt: Txt, host: Host, patience: Patience) -> Arc<Self> {
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
    fn of(mode: Mode, max_age: u64) -> Arc<Self> {
        Self::new(Txt::id("v=STSv1; id=a"), Host::Serves(mode, max_age))
    }

    fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap()
    }

    fn says(&self, txt: Txt) {
        self.facts().txt = txt;
    }

    fn serves(&self, host: Host) {
        self.facts().host = host;
    }

    /// Time passes on both clocks.
    fn pass(&self, seconds: u64) {
        let mut facts = self.facts();
        facts.wall += seconds;
        facts.elapsed += Duration::from_secs(seconds);
    }

    fn step_wall(&self, seconds: i64) {
        let mut facts = self.facts();
        facts.wall = facts.wall.saturating_add_signed(seconds);
    }

    fn questions(&self) -> usize {
        self.facts().questions.len()
    }

    /// So many seconds after the start or later.
    fn fetches_since(&self, seconds: u64) -> usize {
        let since = Duration::from_secs(seconds);
        let facts = self.facts();
        let late = facts
            .fetches
            .iter()
            .filter(|fetched| fetched.elapsed >= since);
        late.count()
    }

    fn fetches(&self) -> usize {
        self.facts().fetches.len()
    }
}

impl Txt {
    fn id(record: &'static str) -> Self {
        Self::Records(vec![record])
    }
}

fn policy(mode: Mode, max_age: u64, number: usize) -> Policy {
    let mode = match mode {
        Mode::Enforce => "enforce",
        Mode::Testing => "testing",
        Mode::None => "none",
    };
    let text =
        format!("version: STSv1\nmode: {mode}\nmax_age: {max_age}\nmx: mx{number}.example\n");
    Policy::parse(text.as_bytes()).unwrap()
}

fn unreachable() -> Failure {
    Failure::Unreachable("SERVFAIL".to_owned())
}

fn refused() -> FetchFailure {
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
        let aliases = Vec::new();
        ready(Resolved {
            answer,
            aliases,
            source: Source::default(),
        })
        .boxed()
    }
}

fn unknown<T: Send + 'static>() -> BoxFuture<'static, Resolved<T>> {
    let answer = Answer::Failed(unreachable());
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

/// A cache with what outlives it.
struct Node {
    world: Arc<World>,
    store: Arc<dyn Store>,
    cache: Arc<StsCache>,
    runtime: Runtime,
}

impl Node {
    fn new(world: &Arc<World>) -> Self {
        Self::over(world, Arc::new(MemoryStore::default()))
    }

    fn over(world: &Arc<World>, store: Arc<dyn Store>) -> Self {
        Self {
            cache: Arc::new(open(world, &store).unwrap()),
            world: Arc::clone(world),
            store,
            runtime: Builder::new_current_thread().enable_time().build().unwrap(),
        }
    }

    fn restart(&mut self) {
        self.cache = Arc::new(open(&self.world, &self.store).unwrap());
    }

    fn state(&self) -> StsState {
        self.runtime.block_on(self.cache.state(&domain()))
    }

    fn recheck(&self) {
        self.runtime.block_on(self.cache.recheck(&domain()));
    }

    fn refresh(&self) {
        self.runtime.block_on(self.cache.refresh_due());
    }

    /// What the look at the clocks between two rounds of refreshes leads to.
    fn clock_was_set(&self) {
        let now = self.cache.shared.now();
        self.cache.shared.lock().shelf.reorder(now);
    }

    fn told(&self) -> Told {
        Told::from(&self.state())
    }
}

fn kept(node: &Node) -> Vec<StoredPolicy> {
    let mut kept = Vec::new();
    policies::load(&*node.store, |policy| {
        kept.push(policy);
        Ok(())
    })
    .unwrap();
    kept
}

fn open(world: &Arc<World>, store: &Arc<dyn Store>) -> Result<StsCache, StoreError> {
    let options = CacheOptions {
        capacity: 1 << 20,
        patience: world.patience,
    };
    StsCache::open(
        Arc::clone(world) as Arc<dyn Lookup>,
        Arc::clone(world) as Arc<dyn FetchPolicy>,
        Arc::clone(store),
        Arc::clone(world) as Arc<dyn Clock>,
        options,
    )
}

fn domain() -> Domain {
    "a.b.example".parse().unwrap()
}

/// A state in short: which fetch the policy is from, and whether its refresh fails.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Told {
    None,
    FetchFailed(FetchFailure),
    Unknown(Failure),
    Live(String),
    Cached(String, FetchFailure),
}

impl From<&StsState> for Told {
    fn from(state: &StsState) -> Self {
        let name = |policy: &Policy| format!("{:?} {}", policy.mode, policy.mx[0].as_str());
        match state {
            StsState::None => Self::None,
            StsState::FetchFailed(failure) => Self::FetchFailed(failure.clone()),
            StsState::Unknown(failure) => Self::Unknown(failure.clone()),
            StsState::Live {
                policy,
                refresh: None,
            } => Self::Live(name(policy)),
            StsState::Live {
                policy,
                refresh: Some(failure),
            } => Self::Cached(name(policy), failure.clone()),
        }
    }
}

fn live(name: &str) -> Told {
    Told::Live(name.to_owned())
}

fn cached(name: &str, failure: FetchFailure) -> Told {
    Told::Cached(name.to_owned(), failure)
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn sts_3_sts_27_sts_70_first_contact_is_what_record_and_host_say() {
    let serves = Host::Serves(Mode::Enforce, WEEK);
    let valid = Txt::id("v=STSv1; id=a");
    let invalid = FetchFailure::Invalid("line 1".to_owned());
    let web_pki = FetchFailure::WebPki("expired".to_owned());
    for (case, txt, host, expected, fetches) in [
        (
            "announced and served",
            valid.clone(),
            serves.clone(),
            live("Enforce mx0.example"),
            1,
        ),
        (
            "announced and served for testing",
            valid.clone(),
            Host::Serves(Mode::Testing, WEEK),
            live("Testing mx0.example"),
            1,
        ),
        (
            "announced and withdrawn",
            valid.clone(),
            Host::Serves(Mode::None, WEEK),
            live("None mx0.example"),
            1,
        ),
        (
            "announced, not served",
            valid.clone(),
            Host::Fails(refused()),
            Told::FetchFailed(refused()),
            1,
        ),
        (
            "announced, a bad certificate",
            valid.clone(),
            Host::Fails(web_pki.clone()),
            Told::FetchFailed(web_pki),
            1,
        ),
        (
            "announced, no policy",
            valid,
            Host::Fails(invalid.clone()),
            Told::FetchFailed(invalid),
            1,
        ),
        ("not announced", Txt::Absent, serves.clone(), Told::None, 0),
        (
            "other records only",
            Txt::id("v=spf1 -all"),
            serves.clone(),
            Told::None,
            0,
        ),
        (
            "announced twice",
            Txt::Records(vec!["v=STSv1; id=a", "v=STSv1; id=b"]),
            serves.clone(),
            Told::None,
            0,
        ),
        (
            "announced badly",
            Txt::id("v=STSv1; id=-"),
            serves.clone(),
            Told::None,
            0,
        ),
        (
            "bogus",
            Txt::Bogus,
            serves.clone(),
            Told::Unknown(Failure::Bogus("no signature".to_owned())),
            0,
        ),
        (
            "unreachable",
            Txt::Unreachable,
            serves,
            Told::Unknown(unreachable()),
            0,
        ),
    ] {
        let world = World::new(txt, host);
        assert_eq!(Node::new(&world).told(), expected, "{case}");
        assert_eq!(world.fetches(), fetches, "{case}");
        // No parent domain is asked (STS-13 of the requirements).
        assert_eq!(world.facts().questions, ["_mta-sts.a.b.example"], "{case}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn sts_11_sts_28_sts_01_sts_50_no_failure_disables_a_live_policy() {
    let fetch = |what: &str| FetchFailure::Fetch(what.to_owned());
    let another = Txt::id("v=STSv1; id=b");
    for (case, txt, host, failure) in [
        (
            "the record is gone",
            Txt::Absent,
            None,
            fetch("no TXT record begins with v=STSv1;"),
        ),
        (
            "the record is doubled",
            Txt::Records(vec!["v=STSv1; id=a", "v=STSv1; id=b"]),
            None,
            fetch("2 TXT records begin with v=STSv1;"),
        ),
        (
            "the record is malformed",
            Txt::id("v=STSv1; id=-"),
            None,
            fetch(
                "the v=STSv1 record is malformed: the id in field 1 is not 1 to 32 letters and digits",
            ),
        ),
        (
            "the answer is bogus",
            Txt::Bogus,
            None,
            fetch("DNSSEC validation failed: no signature"),
        ),
        (
            "there is no answer",
            Txt::Unreachable,
            None,
            fetch("no usable DNS answer: SERVFAIL"),
        ),
        (
            "a new id, the host fails",
            another.clone(),
            Some(refused()),
            refused(),
        ),
        (
            "a new id, the certificate is bad",
            another.clone(),
            Some(FetchFailure::WebPki("expired".to_owned())),
            FetchFailure::WebPki("expired".to_owned()),
        ),
        (
            "a new id, the policy is invalid",
            another,
            Some(FetchFailure::Invalid("line 1".to_owned())),
            FetchFailure::Invalid("line 1".to_owned()),
        ),
    ] {
        let world = World::of(Mode::Enforce, WEEK);
        let mut node = Node::new(&world);
        assert_eq!(node.told(), live("Enforce mx0.example"), "{case}");
        world.says(txt);
        if let Some(failure) = host {
            world.serves(Host::Fails(failure));
        }
        let in_force = cached("Enforce mx0.example", failure);
        world.pass(ANSWER_LIFE.as_secs());
        assert_eq!(node.told(), in_force, "{case}");
        node.restart();
        assert_eq!(node.told(), in_force, "{case}: after a restart");
        world.pass(WEEK - 1 - ANSWER_LIFE.as_secs());
        assert_eq!(node.told(), in_force, "{case}: in its last second");
        world.serves(Host::Fails(refused()));
        world.pass(1);
        let after = node.told();
        assert!(
            !matches!(after, Told::Live(_) | Told::Cached(..)),
            "{case}: {after:?}"
        );
    }
}

#[test]
fn sts_12_sts_63_sts_07_a_new_id_brings_the_new_policy_at_once_and_back() {
    let world = World::of(Mode::Enforce, WEEK);
    let node = Node::new(&world);
    for (record, mode, expected) in [
        ("v=STSv1; id=a", Mode::Enforce, "Enforce mx0.example"),
        ("v=STSv1; id=b", Mode::None, "None mx1.example"),
        ("v=STSv1; id=a", Mode::Testing, "Testing mx2.example"),
        ("v=STSv1; id=0", Mode::Enforce, "Enforce mx3.example"),
    ] {
        world.says(Txt::id(record));
        world.serves(Host::Serves(mode, WEEK));
        // Not more than three policies in five minutes.
        world.pass(BACK_OFF.as_secs() / 3);
        assert_eq!(node.told(), live(expected));
    }
    world.pass(ANSWER_LIFE.as_secs());
    assert_eq!(
        node.told(),
        live("Enforce mx3.example"),
        "the same id: no fetch"
    );
    assert_eq!(world.fetches(), 4);
}

#[test]
fn sts_67_sts_08_a_recheck_asks_at_once_and_fetches_a_newer_policy_once() {
    let world = World::of(Mode::Enforce, WEEK);
    let node = Node::new(&world);
    node.state();
    node.recheck();
    assert_eq!((world.questions(), world.fetches()), (2, 1), "the same id");
    world.says(Txt::id("v=STSv1; id=b"));
    node.recheck();
    assert_eq!((world.questions(), world.fetches()), (3, 2), "another id");
    assert_eq!(node.told(), live("Enforce mx1.example"));
    assert_eq!(world.questions(), 3, "the next session needs no question");
    world.says(Txt::id("v=STSv1; id=c"));
    world.serves(Host::Fails(refused()));
    for _ in 0..3 {
        node.recheck();
    }
    assert_eq!(
        (world.questions(), world.fetches()),
        (6, 3),
        "backed off after the first failure"
    );
    assert_eq!(node.told(), cached("Enforce mx1.example", refused()));
}

#[test]
fn sts_26_net_18_a_failed_fetch_is_repeated_after_five_minutes_or_for_another_id() {
    let world = World::new(Txt::id("v=STSv1; id=a"), Host::Fails(refused()));
    let node = Node::new(&world);
    for _ in 0..100 {
        assert_eq!(node.told(), Told::FetchFailed(refused()));
    }
    assert_eq!((world.questions(), world.fetches()), (1, 1));
    world.pass(BACK_OFF.as_secs() - 1);
    node.state();
    assert_eq!(world.fetches(), 1, "a second too early");
    world.pass(1);
    node.state();
    assert_eq!(world.fetches(), 2, "after five minutes");
    world.says(Txt::id("v=STSv1; id=b"));
    world.pass(ANSWER_LIFE.as_secs());
    node.state();
    assert_eq!(world.fetches(), 3, "another id");
    world.serves(Host::Serves(Mode::Enforce, WEEK));
    world.pass(BACK_OFF.as_secs());
    assert_eq!(node.told(), live("Enforce mx3.example"));
}

#[test]
fn net_18_answers_serve_for_a_minute_and_failed_lookups_for_ten_seconds() {
    for (txt, life) in [
        (Txt::id("v=STSv1; id=a"), ANSWER_LIFE),
        (Txt::Absent, ANSWER_LIFE),
        (Txt::Bogus, FAILURE_LIFE),
        (Txt::Unreachable, FAILURE_LIFE),
    ] {
        let world = World::new(txt.clone(), Host::Serves(Mode::Enforce, WEEK));
        let node = Node::new(&world);
        node.state();
        world.pass(life.as_secs() - 1);
        node.state();
        assert_eq!(world.questions(), 1, "{txt:?}");
        world.pass(1);
        node.state();
        assert_eq!(world.questions(), 2, "{txt:?}");
    }
}

#[test]
fn sts_44_sts_06_a_life_of_nothing_serves_once_and_is_not_kept() {
    let world = World::of(Mode::Enforce, 0);
    let mut node = Node::new(&world);
    assert_eq!(node.told(), live("Enforce mx0.example"));
    assert_eq!(node.told(), live("Enforce mx1.example"), "fetched again");
    assert_eq!(kept(&node), []);
    world.serves(Host::Fails(refused()));
    assert_eq!(node.told(), Told::FetchFailed(refused()));
    // It replaces what was kept before.
    let world = World::of(Mode::Enforce, WEEK);
    node = Node::new(&world);
    node.state();
    assert_eq!(kept(&node).len(), 1);
    world.says(Txt::id("v=STSv1; id=b"));
    world.serves(Host::Serves(Mode::None, 0));
    node.recheck();
    assert_eq!(kept(&node), []);
}

#[test]
fn sts_60_r8_a_policy_lives_from_its_last_fetch_over_restarts() {
    let world = World::of(Mode::Enforce, WEEK);
    let mut node = Node::new(&world);
    node.state();
    world.says(Txt::Absent);
    world.pass(WEEK - 1);
    node.restart();
    assert!(matches!(node.told(), Told::Cached(..)));
    world.serves(Host::Fails(refused()));
    world.pass(1);
    node.restart();
    assert_eq!(node.told(), Told::None);
}

#[test]
fn attack_sts_12_clock_steps_neither_end_a_policy_for_good_nor_loosen_it() {
    let year = i64::try_from(365 * DAY).unwrap();
    let world = World::of(Mode::Enforce, WEEK);
    let mut node = Node::new(&world);
    node.state();
    world.step_wall(-2 * year);
    node.restart();
    assert_eq!(
        node.told(),
        live("Enforce mx0.example"),
        "back: fetched now"
    );
    world.step_wall(2 * year);
    assert_eq!(node.told(), live("Enforce mx0.example"), "and right again");
    // Forward past the expiry, while neither record nor host can be had: unknown, and not lost.
    world.says(Txt::Unreachable);
    world.serves(Host::Fails(refused()));
    world.step_wall(2 * year);
    node.restart();
    assert_eq!(node.told(), Told::Unknown(unreachable()));
    world.step_wall(-2 * year);
    assert!(matches!(node.told(), Told::Cached(..)));
    // Forward past the expiry, while all works: fetched anew before anything is concluded.
    world.says(Txt::id("v=STSv1; id=a"));
    world.serves(Host::Serves(Mode::Enforce, WEEK));
    world.step_wall(2 * year);
    world.pass(BACK_OFF.as_secs());
    assert_eq!(node.told(), live("Enforce mx2.example"));
    // Forward past the expiry, while the record is gone: asked for once more, and had.
    world.says(Txt::Absent);
    world.step_wall(2 * year);
    world.pass(BACK_OFF.as_secs());
    assert_eq!(node.told(), live("Enforce mx3.example"));
    // The same, and not had: over, but only as long as the clock says so, and asked for no more.
    world.serves(Host::Fails(refused()));
    world.step_wall(2 * year);
    world.pass(BACK_OFF.as_secs());
    for _ in 0..3 {
        assert_eq!(node.told(), Told::None);
        world.pass(BACK_OFF.as_secs());
    }
    assert_eq!(world.fetches(), 5);
    world.step_wall(-2 * year);
    node.restart();
    assert!(matches!(node.told(), Told::Cached(..)));
    world.says(Txt::id("v=STSv1; id=a"));
    world.serves(Host::Serves(Mode::Enforce, WEEK));
    // Fetched under that clock, which then goes back: due for a fetch that fits.
    world.step_wall(-2 * year);
    node.clock_was_set();
    node.refresh();
    assert_eq!(node.told(), live("Enforce mx5.example"));
}

#[test]
fn attack_sts_12_after_a_jump_of_the_clock_what_has_expired_is_asked_for_before_any_session_needs_it()
 {
    let world = World::of(Mode::Enforce, WEEK);
    let node = Node::new(&world);
    node.state();
    world.says(Txt::Absent);
    world.step_wall(i64::try_from(2 * WEEK).unwrap());
    node.refresh();
    assert_eq!(world.fetches(), 1, "nobody has noticed");
    node.clock_was_set();
    node.refresh();
    assert_eq!(world.fetches(), 2);
    let failure = FetchFailure::Fetch("no TXT record begins with v=STSv1;".to_owned());
    assert_eq!(node.told(), cached("Enforce mx1.example", failure));
}

#[test]
fn sts_29_sts_73_policies_are_refreshed_daily_whatever_the_record_says() {
    for txt in [
        Txt::id("v=STSv1; id=a"),
        Txt::Absent,
        Txt::Bogus,
        Txt::Unreachable,
    ] {
        let world = World::of(Mode::Enforce, WEEK);
        let node = Node::new(&world);
        node.state();
        world.says(txt.clone());
        world.pass(DAY * 3 / 4 - 1);
        node.refresh();
        assert_eq!(world.fetches(), 1, "{txt:?}: not due");
        world.pass(DAY / 4 + 1);
        node.refresh();
        assert_eq!(world.fetches(), 2, "{txt:?}: due");
        world.pass(WEEK - 1);
        let told = node.told();
        assert!(
            matches!(&told, Told::Live(name) | Told::Cached(name, _) if name == "Enforce mx1.example"),
            "{txt:?}: it lives from its second fetch: {told:?}"
        );
    }
}

#[test]
fn sts_29_a_refresh_that_fails_is_repeated_hourly_and_told_to_sessions() {
    let world = World::of(Mode::Enforce, WEEK);
    let node = Node::new(&world);
    node.state();
    world.serves(Host::Fails(refused()));
    world.pass(DAY);
    for _ in 0..3 {
        node.refresh();
    }
    assert_eq!(world.fetches(), 2);
    assert_eq!(node.told(), cached("Enforce mx0.example", refused()));
    world.pass(3600);
    node.refresh();
    assert_eq!(world.fetches(), 3);
    // A life shorter than two days is refreshed at its half.
    let world = World::of(Mode::Enforce, DAY);
    let node = Node::new(&world);
    node.state();
    world.pass(DAY / 2);
    node.refresh();
    assert_eq!(world.fetches(), 2);
}

#[test]
fn sts_26_a_domain_that_announces_another_policy_each_time_is_fetched_from_a_few_times_at_most() {
    for host in [
        Host::Serves(Mode::Enforce, WEEK),
        Host::Serves(Mode::Enforce, 0),
        Host::Fails(refused()),
    ] {
        let world = World::new(Txt::Restless, host.clone());
        let node = Node::new(&world);
        let mut most = 0;
        for second in 0..3600_u64 {
            // A session each second, and a refusal with its second look.
            node.state();
            node.recheck();
            most = most.max(world.fetches_since(second.saturating_sub(BACK_OFF.as_secs() - 1)));
            world.pass(1);
        }
        assert_eq!(most, 3, "{host:?}: within five minutes");
        assert!(world.fetches() <= 36, "{host:?}: {}", world.fetches());
        match host {
            Host::Serves(..) => assert!(matches!(
                node.state(),
                StsState::Live { policy, .. } if policy.mode == Mode::Enforce
            )),
            Host::Fails(_) | Host::Panics => {
                assert_eq!(node.told(), Told::FetchFailed(refused()));
            }
        }
    }
}

#[test]
fn sts_26_the_pause_is_kept_for_each_id_though_others_come_between() {
    let world = World::new(Txt::id("v=STSv1; id=a"), Host::Fails(refused()));
    let node = Node::new(&world);
    for (record, fetches) in [
        ("v=STSv1; id=a", 1),
        ("v=STSv1; id=b", 2),
        ("v=STSv1; id=a", 2),
        ("v=STSv1; id=b", 2),
    ] {
        world.says(Txt::id(record));
        node.recheck();
        assert_eq!(world.fetches(), fetches, "{record}");
        world.pass(ANSWER_LIFE.as_secs());
    }
}

/// Hard case: the record cannot be looked up and nothing is cached.
#[test]
fn an_unknown_policy_defers_mail_for_as_long_as_the_operator_says_and_a_forged_answer_for_ever() {
    let minutes = |minutes| Patience::Until(Duration::from_mins(minutes));
    let bogus = Told::Unknown(Failure::Bogus("no signature".to_owned()));
    let passed = Told::FetchFailed(FetchFailure::Fetch(
        "its record: no usable DNS answer: SERVFAIL".to_owned(),
    ));
    let unknown = Told::Unknown(unreachable());
    for (case, patience, txt, expected) in [
        (
            "endless",
            Patience::Endless,
            Txt::Unreachable,
            [&unknown, &unknown, &unknown],
        ),
        (
            "15 minutes",
            minutes(15),
            Txt::Unreachable,
            [&unknown, &unknown, &passed],
        ),
        (
            "15 minutes of bogus answers",
            minutes(15),
            Txt::Bogus,
            [&bogus, &bogus, &bogus],
        ),
    ] {
        let world = World::patient(txt, Host::Serves(Mode::Enforce, WEEK), patience);
        let node = Node::new(&world);
        for (elapsed, expected) in [0, 899, 900].into_iter().zip(expected) {
            let passed = world.facts().elapsed.as_secs();
            world.pass(elapsed - passed);
            node.recheck();
            assert_eq!(&node.told(), expected, "{case}: after {elapsed} s");
        }
        assert_eq!(world.fetches(), 0, "{case}");
    }
    // An answer in between begins a new wait, and a live policy is none of it.
    let world = World::patient(
        Txt::Unreachable,
        Host::Serves(Mode::Enforce, WEEK),
        minutes(15),
    );
    let node = Node::new(&world);
    node.state();
    world.pass(600);
    world.says(Txt::Absent);
    assert_eq!(node.told(), Told::None);
    world.says(Txt::Unreachable);
    world.pass(600);
    assert_eq!(node.told(), unknown);
    world.says(Txt::id("v=STSv1; id=a"));
    world.pass(60);
    assert_eq!(node.told(), live("Enforce mx0.example"));
    world.says(Txt::Unreachable);
    world.pass(DAY);
    assert!(matches!(node.told(), Told::Cached(..)));
}

#[test]
fn sts_30_an_enforced_policy_that_cannot_be_refreshed_is_told_of_well_before_it_ends() {
    for (mode, max_age, not_yet, soon) in [
        (Mode::Enforce, WEEK, WEEK * 3 / 4 - 1, WEEK * 3 / 4),
        (Mode::Enforce, DAY, DAY * 3 / 4 - 1, DAY * 3 / 4),
        (
            Mode::Enforce,
            31_557_600,
            31_557_600 - 3 * DAY - 1,
            31_557_600 - 3 * DAY,
        ),
        (Mode::Testing, WEEK, WEEK - 2, WEEK),
        (Mode::None, WEEK, WEEK - 2, WEEK),
    ] {
        let world = World::of(mode, max_age);
        let node = Node::new(&world);
        node.state();
        world.serves(Host::Fails(refused()));
        let expiring = || node.cache.vitals().expiring;
        world.pass(not_yet);
        assert_eq!(expiring(), 0, "{mode:?} {max_age}");
        world.pass(soon - not_yet);
        let told = usize::from(mode == Mode::Enforce);
        assert_eq!(expiring(), told, "{mode:?} {max_age}");
        world.pass(max_age - soon);
        assert_eq!(expiring(), 0, "{mode:?} {max_age}: over");
        world.serves(Host::Serves(mode, max_age));
        world.pass(BACK_OFF.as_secs());
        node.state();
        assert_eq!(expiring(), 0, "{mode:?} {max_age}: refreshed");
    }
}

#[test]
fn what_is_known_and_what_became_of_fetches_is_counted() {
    let world = World::of(Mode::Enforce, WEEK);
    let node = Node::new(&world);
    node.state();
    world.serves(Host::Fails(FetchFailure::Invalid("line 1".to_owned())));
    world.says(Txt::id("v=STSv1; id=b"));
    node.recheck();
    let vitals = node.cache.vitals();
    assert_eq!(vitals.fetches, [1, 0, 0, 1]);
    let known: Vec<_> = vitals
        .domains
        .iter()
        .filter(|domains| domains.1 > 0)
        .collect();
    assert_eq!(known, [&("enforce", 1)]);
}

/// A store that holds a policy of each of so many domains, all fetched two days ago.
fn crowded(domains: usize) -> Arc<dyn Store> {
    let store = MemoryStore::default();
    for number in 0..domains {
        let stored = StoredPolicy {
            domain: format!("d{number}.example").parse().unwrap(),
            id: PolicyId::stored("a".to_owned()),
            policy: Arc::new(policy(Mode::Enforce, WEEK, number)),
            fetched: Timestamp::from_unix(NOW - 2 * DAY),
        };
        store.write(&Batch::saving(&stored)).unwrap();
    }
    Arc::new(store)
}

#[test]
fn sts_29_policies_that_are_due_all_at_once_are_fetched_a_few_at_a_time_and_spread_afterwards() {
    const DOMAINS: usize = 800;
    let world = World::of(Mode::Enforce, WEEK);
    let node = Node::over(&world, crowded(DOMAINS));
    world.gate.forget_permits(Semaphore::MAX_PERMITS);
    node.runtime.block_on(async {
        let refreshing = node.cache.refresh_due();
        tokio::pin!(refreshing);
        for _ in 0..200 {
            tokio::select! {
                biased;
                () = &mut refreshing => panic!("nothing was served"),
                () = tokio::task::yield_now() => {}
            }
        }
        assert_eq!(world.facts().waiting, 32, "at a time");
        world.gate.add_permits(Semaphore::MAX_PERMITS / 2);
        refreshing.await;
    });
    assert_eq!(world.fetches(), DOMAINS, "each once");
    node.refresh();
    assert_eq!(world.fetches(), DOMAINS, "and not again");
    // From three quarters of a day on, a twenty-fourth of them each quarter of an hour.
    world.pass(DAY * 3 / 4);
    let mut before = world.fetches();
    for _ in 0..24 {
        world.pass(900);
        node.refresh();
        let now = world.fetches() - before;
        assert!(
            (1..=DOMAINS / 8).contains(&now),
            "{now} in a quarter of an hour"
        );
        before = world.fetches();
    }
    assert_eq!(before, 2 * DOMAINS, "within the day");
}

#[test]
fn attack_sts_10_memory_is_bounded_and_a_start_with_less_of_it_loses_nothing_from_the_store() {
    let world = World::of(Mode::Enforce, WEEK);
    let store = crowded(5000);
    let node = Node::over(&world, Arc::clone(&store));
    let vitals = node.cache.vitals();
    let held: usize = vitals.domains.iter().map(|domains| domains.1).sum();
    assert!((500..2000).contains(&held), "{held} in a mebibyte");
    let kept = store.find(Kind::Policy, Query::Latest, 9999).unwrap();
    assert_eq!(kept.len(), 5000);
    assert_eq!(vitals.evicted_enforced, (5000 - held) as u64);
}

#[test]
fn attack_sts_11_a_thousand_sessions_make_one_discovery() {
    let world = World::of(Mode::Enforce, WEEK);
    let node = Node::new(&world);
    let domain = domain();
    let states = node
        .runtime
        .block_on(join_all((0..1000).map(|_| node.cache.state(&domain))));
    assert!(
        states
            .iter()
            .all(|state| Told::from(state) == live("Enforce mx0.example"))
    );
    assert_eq!((world.questions(), world.fetches()), (1, 1));
}

#[test]
fn attack_sts_11_a_session_that_goes_away_leaves_the_others_their_answer() {
    let world = World::of(Mode::Enforce, WEEK);
    let node = Node::new(&world);
    world.gate.forget_permits(Semaphore::MAX_PERMITS);
    let domain = domain();
    let state = node.runtime.block_on(async {
        let leader = node.cache.state(&domain);
        let leaves_soon = async {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            state = leader => panic!("nothing was served: {state:?}"),
            () = leaves_soon => {}
        }
        let (state, ()) = tokio::join!(node.cache.state(&domain), async {
            tokio::task::yield_now().await;
            world.gate.add_permits(1);
        });
        state
    });
    assert_eq!(Told::from(&state), live("Enforce mx0.example"));
    assert_eq!((world.questions(), world.fetches()), (1, 1));
}

#[test]
fn attack_sts_11_a_discovery_that_breaks_off_is_unknown_and_the_next_one_works() {
    let world = World::new(Txt::id("v=STSv1; id=a"), Host::Panics);
    let node = Node::new(&world);
    let broken = Failure::Unreachable("the discovery was broken off".to_owned());
    assert_eq!(node.told(), Told::Unknown(broken.clone()));
    world.serves(Host::Serves(Mode::Enforce, WEEK));
    assert_eq!(node.told(), live("Enforce mx0.example"));
    world.says(Txt::id("v=STSv1; id=b"));
    world.serves(Host::Panics);
    world.pass(ANSWER_LIFE.as_secs());
    let failure = FetchFailure::Fetch(broken.to_string());
    assert_eq!(
        node.told(),
        cached("Enforce mx0.example", failure),
        "what is live stays"
    );
}

#[test]
fn sts_09_net_11_a_store_that_cannot_be_read_stops_the_start_one_that_cannot_be_written_does_not_stop_mail()
 {
    let world = World::of(Mode::Enforce, WEEK);
    let broken = Arc::new(Broken::default());
    let old = StoredPolicy {
        domain: domain(),
        id: PolicyId::stored("old".to_owned()),
        policy: Arc::new(policy(Mode::Enforce, WEEK, 99)),
        fetched: Timestamp::from_unix(NOW),
    };
    broken.write(&Batch::saving(&old)).unwrap();
    let store: Arc<dyn Store> = broken.clone();
    broken.refuse_reads();
    assert!(open(&world, &store).is_err());
    broken.mend();
    broken.refuse_writes();
    let node = Node::over(&world, store);
    assert_eq!(
        node.told(),
        live("Enforce mx0.example"),
        "a new id, in force though not saved"
    );
}

#[derive(Clone, Debug)]
enum Event {
    Says(Txt),
    Serves(Host),
    Pass(u64),
    StepWall(i64),
    Contact,
    Recheck,
    Refresh,
    Restart,
}

fn event() -> impl Strategy<Value = Event> {
    let txt = prop_oneof![
        4 => prop::sample::select(vec!["v=STSv1; id=a", "v=STSv1; id=b", "v=STSv1; id=c"]).prop_map(Txt::id),
        1 => Just(Txt::Absent),
        1 => Just(Txt::Records(vec!["v=STSv1; id=a", "v=STSv1; id=b"])),
        1 => Just(Txt::id("v=STSv1; nothing")),
        1 => Just(Txt::Bogus),
        1 => Just(Txt::Unreachable),
    ];
    let mode = prop::sample::select(vec![
        Mode::Enforce,
        Mode::Enforce,
        Mode::Testing,
        Mode::None,
    ]);
    let max_age = prop::sample::select(vec![0, 1, 59, 400, DAY, WEEK, 31_557_600]);
    let host = prop_oneof![
        3 => (mode, max_age).prop_map(|(mode, max_age)| Host::Serves(mode, max_age)),
        1 => Just(Host::Fails(refused())),
        1 => Just(Host::Fails(FetchFailure::WebPki("expired".to_owned()))),
        1 => Just(Host::Fails(FetchFailure::Invalid("line 1".to_owned()))),
    ];
    let seconds = prop::sample::select(vec![
        1,
        9,
        11,
        61,
        301,
        3601,
        DAY / 2,
        DAY,
        WEEK - 1,
        WEEK,
        40_000_000,
    ]);
    let step = prop::sample::select(vec![
        -70_000_000_i64,
        -100_000,
        -30,
        30,
        100_000,
        70_000_000,
    ]);
    prop_oneof![
        2 => txt.prop_map(Event::Says),
        2 => host.prop_map(Event::Serves),
        3 => seconds.prop_map(Event::Pass),
        1 => step.prop_map(Event::StepWall),
        5 => Just(Event::Contact),
        1 => Just(Event::Recheck),
        1 => Just(Event::Refresh),
        1 => Just(Event::Restart),
    ]
}

/// The policy that must be in force, told from nothing but what the host has served and when.
fn must_hold(world: &World) -> Option<Policy> {
    let facts = world.facts();
    let last = facts
        .fetches
        .iter()
        .rfind(|fetched| fetched.served.is_some())?;
    let policy = last.served.clone()?;
    (facts.wall.saturating_sub(last.wall) < policy.max_age.as_secs()).then_some(policy)
}

fn check_contact(node: &Node) -> Result<(), TestCaseError> {
    let before = node.world.fetches();
    let state = node.state();
    let served_now = node
        .world
        .facts()
        .fetches
        .get(before)
        .and_then(|fetched| fetched.served.clone());
    match (&state, must_hold(&node.world)) {
        (StsState::Live { policy, .. }, Some(expected)) => prop_assert_eq!(&**policy, &expected),
        (_, Some(expected)) => prop_assert!(false, "{:?} loosens {:?}", state, expected),
        // Of a life of nothing: for the session that has fetched it, and for those that come too soon to fetch again.
        (StsState::Live { policy, .. }, None) => {
            let facts = node.world.facts();
            let last = facts
                .fetches
                .iter()
                .rfind(|fetched| fetched.served.is_some());
            let last = last.expect("only what was served is live");
            prop_assert_eq!(Some(&**policy), last.served.as_ref());
            prop_assert!(served_now.is_some() || facts.elapsed - last.elapsed < BACK_OFF);
        }
        (_, None) => {}
    }
    Ok(())
}

/// STS-26: sessions do not repeat a failed fetch within five minutes, unless the id has changed meanwhile.
fn check_pace(world: &World) -> Result<(), TestCaseError> {
    let facts = world.facts();
    for pair in facts.fetches.windows(2) {
        if let [first, second] = pair {
            let pause = second.elapsed - first.elapsed;
            prop_assert!(first.served.is_some() || pause >= BACK_OFF, "{:?}", pair);
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn sts_28_sts_07_whatever_happens_only_a_fetched_policy_replaces_a_live_one(
        events in prop::collection::vec(event(), 1..60),
    ) {
        let world = World::of(Mode::Enforce, WEEK);
        let mut node = Node::new(&world);
        for event in events {
            match event {
                Event::Says(txt) => world.says(txt),
                Event::Serves(host) => world.serves(host),
                Event::Pass(seconds) => world.pass(seconds),
                Event::StepWall(seconds) => world.step_wall(seconds),
                Event::Contact => check_contact(&node)?,
                Event::Recheck => node.recheck(),
                Event::Refresh => node.refresh(),
                Event::Restart => node.restart(),
            }
        }
        check_contact(&node)?;
    }

    #[test]
    fn sts_26_whatever_happens_one_id_is_not_fetched_again_soon_after_a_failure(
        events in prop::collection::vec(event(), 1..60),
    ) {
        let world = World::of(Mode::Enforce, WEEK);
        let node = Node::new(&world);
        for event in events {
            match event {
                // One id all the time: another may be fetched at once.
                Event::Says(txt) => world.says(match txt {
                    Txt::Records(_) => Txt::id("v=STSv1; id=a"),
                    Txt::Restless | Txt::Absent | Txt::Bogus | Txt::Unreachable => txt,
                }),
                Event::Serves(host) => world.serves(host),
                Event::Pass(seconds) => world.pass(seconds),
                Event::StepWall(seconds) => world.step_wall(seconds),
                Event::Contact => drop(node.state()),
                Event::Recheck => node.recheck(),
                Event::Refresh => node.refresh(),
                // A new process has not seen the failure.
                Event::Restart => {}
            }
        }
        check_pace(&world)?;
    }
}
