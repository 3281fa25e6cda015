//! What it takes to remember many domains: memory, start, decision and file, from a thousand domains to a million.
//!
//! Each number of domains is a process of its own, so that what an earlier one has left in the allocator counts for no
//! later one. `cargo bench --bench memory -- 1000000` is one of them alone.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench: it prints, and fails by panicking"
)]

use std::hint::black_box;
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use danelaw::clock::{Clock, SystemClock, Timestamp};
use danelaw::dns::{Answer, Failure, Family, Lookup, Mx, Resolved, Source, Text, TlsaRdata};
use danelaw::mtasts::fetch::{FetchFailure, FetchPolicy};
use danelaw::mtasts::{Policy, PolicyId};
use danelaw::name::{DnsName, Domain};
use danelaw::policy::StsState;
use danelaw::policy::cache::{CacheOptions, StsCache};
use danelaw::store::sqlite::SqliteStore;
use danelaw::store::{Batch, Store, StoredPolicy};
use futures_util::future::{BoxFuture, FutureExt, ready};

const SIZES: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];

/// More than any of them needs.
const CAPACITY: usize = 4 << 30;

/// How many domains are asked for again and again.
const ASKED: usize = 1_000;

fn main() {
    let sizes: Vec<usize> = std::env::args()
        .filter_map(|one| one.parse().ok())
        .collect();
    if let [size] = sizes[..] {
        return measure(size);
    }
    println!(
        "{:>9} {:>10} {:>8} {:>8} {:>10} {:>10} {:>9}",
        "domains", "file", "check", "start", "memory", "per domain", "decision"
    );
    for size in SIZES {
        let done = Command::new(std::env::current_exe().unwrap())
            .arg(size.to_string())
            .status()
            .unwrap();
        assert!(done.success());
    }
}

fn measure(size: usize) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("danelaw.db");
    fill(&path, size);
    let file = std::fs::metadata(&path).unwrap().len();
    let begun = Instant::now();
    let store: Arc<dyn Store> =
        Arc::new(SqliteStore::open_mending(&path, SystemClock.wall()).unwrap());
    let checked = begun.elapsed();
    let before = resident();
    let begun = Instant::now();
    let known = Arc::new(Known);
    let options = CacheOptions {
        capacity: CAPACITY,
        ..CacheOptions::default()
    };
    let cache = StsCache::open(known.clone(), known, store, Arc::new(SystemClock), options);
    let cache = cache.unwrap();
    let started = begun.elapsed();
    let memory = resident().saturating_sub(before);
    println!(
        "{size:>9} {:>6.1} MB {:>6.2} s {:>6.2} s {:>7.1} MB {:>8} B {:>6} ns",
        mega(file),
        checked.as_secs_f64(),
        started.as_secs_f64(),
        mega(memory),
        memory / size as u64,
        decision(&cache, size).as_nanos()
    );
}

fn fill(path: &Path, size: usize) {
    let store = SqliteStore::open(path).unwrap();
    let now = SystemClock.wall();
    let all: Vec<usize> = (0..size).collect();
    for piece in all.chunks(20_000) {
        let rows = piece.iter().map(|n| policy(*n, now).row()).collect();
        let batch = Batch {
            rows,
            ..Batch::default()
        };
        store.write(&batch).unwrap();
    }
}

/// An ordinary one.
fn policy(n: usize, now: Timestamp) -> StoredPolicy {
    let text = format!(
        "version: STSv1\r\nmode: enforce\r\nmx: mx1.mail{n}.example\r\nmx: mx2.mail{n}.example\r\nmax_age: 604800\r\n"
    );
    StoredPolicy {
        domain: domain(n),
        id: PolicyId::stored("20260101T000000".to_owned()),
        policy: Arc::new(Policy::parse(text.as_bytes()).unwrap()),
        fetched: now,
    }
}

fn domain(n: usize) -> Domain {
    format!("mail{n}.example").parse().unwrap()
}

/// The state of a domain whose record was asked for just now; the least of some rounds over many domains.
fn decision(cache: &StsCache, size: usize) -> Duration {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    // Spread over all of them, in an order that no cache line follows.
    let asked: Vec<Domain> = (0..ASKED).map(|n| domain(n * 7_919 % size)).collect();
    runtime.block_on(async {
        for domain in &asked {
            let state = cache.state(domain).await;
            assert!(matches!(state, StsState::Live { .. }), "{state:?}");
        }
        let mut least = Duration::MAX;
        for _ in 0..50 {
            let begun = Instant::now();
            for domain in &asked {
                black_box(cache.state(domain).await);
            }
            least = least.min(begun.elapsed() / u32::try_from(ASKED).unwrap());
        }
        least
    })
}

fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

fn mega(octets: u64) -> f64 {
    Duration::from_micros(octets).as_secs_f64()
}

/// A world in which every domain announces the policy that is known, and nothing can be fetched.
struct Known;

impl Lookup for Known {
    fn mx<'a>(&'a self, _: &'a DnsName) -> BoxFuture<'a, Resolved<Vec<Mx>>> {
        unknown()
    }

    fn addresses<'a>(&'a self, _: &'a DnsName, _: Family) -> BoxFuture<'a, Resolved<Vec<IpAddr>>> {
        unknown()
    }

    fn tlsa<'a>(&'a self, _: &'a DnsName) -> BoxFuture<'a, Resolved<Vec<TlsaRdata>>> {
        unknown()
    }

    fn txt<'a>(&'a self, _: &'a DnsName) -> BoxFuture<'a, Resolved<Vec<Text>>> {
        let answer = Answer::Insecure(vec![b"v=STSv1; id=20260101T000000".to_vec()]);
        ready(resolved(answer)).boxed()
    }
}

fn unknown<T: Send + 'static>() -> BoxFuture<'static, Resolved<T>> {
    let answer = Answer::Failed(Failure::Unreachable("not asked".to_owned()));
    ready(resolved(answer)).boxed()
}

fn resolved<T>(answer: Answer<T>) -> Resolved<T> {
    Resolved {
        answer,
        aliases: Vec::new(),
        source: Source::default(),
    }
}

impl FetchPolicy for Known {
    fn fetch<'a>(&'a self, _: &'a Domain) -> BoxFuture<'a, Result<Policy, FetchFailure>> {
        ready(Err(FetchFailure::Fetch("nothing is served".to_owned()))).boxed()
    }
}
