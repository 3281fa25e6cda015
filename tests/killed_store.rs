//! A process that is killed while it writes policies, again and again: what it has said to be written is there.
//!
//! The process is this test itself, started anew with a store to write to.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "IO: a test crate of its own, and its child"
)]

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use danelaw::clock::Timestamp;
use danelaw::mtasts::{Policy, PolicyId};
use danelaw::store::sqlite::SqliteStore;
use danelaw::store::{Batch, Store, StoredPolicy, policies};

/// For the child: the file, the number of its first write.
const FILE: &str = "DANELAW_TEST_STORE";
const FIRST: &str = "DANELAW_TEST_FIRST";

/// In .ci/nightly a thousand.
const ROUNDS: u64 = 150;
const DOMAINS: u64 = 7;
const T0: u64 = 1_800_000_000;

/// Each write is one second later than all before, and lists another host.
fn policy(number: u64) -> StoredPolicy {
    let domain = format!("d{}.example", number % DOMAINS);
    let text = format!("version: STSv1\nmode: enforce\nmx: mx{number}.example\nmax_age: 604800\n");
    StoredPolicy {
        domain: domain.parse().unwrap(),
        id: PolicyId::stored("a".to_owned()),
        policy: Arc::new(Policy::parse(text.as_bytes()).unwrap()),
        fetched: Timestamp::from_unix(T0 + number),
    }
}

#[test]
fn child() {
    let Some(file) = std::env::var_os(FILE) else {
        return;
    };
    let first: u64 = std::env::var(FIRST).unwrap().parse().unwrap();
    let store = SqliteStore::open(Path::new(&file)).unwrap();
    for number in first..first + 10_000 {
        store.write(&Batch::saving(&policy(number))).unwrap();
        // The parent kills as soon as it has read enough of these.
        println!("written {number}");
    }
}

fn start(file: &Path, first: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(FILE, file)
        .env(FIRST, first.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn sts_09_killed_at_any_moment_of_its_writes_a_store_has_what_was_said_to_be_written() {
    let rounds = std::env::var("DANELAW_KILLS").map_or(ROUNDS, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("danelaw.db");
    // By domain.
    let mut written: HashMap<u64, u64> = HashMap::new();
    let mut next = 0;
    for round in 0..rounds {
        let mut child = start(&file, next);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Killed after 0, 1, 2… writes, and a little into the next one.
        let enough = usize::try_from(round % 5).unwrap();
        let mut said = Vec::new();
        for line in lines.map_while(Result::ok) {
            if let Some(number) = line.strip_prefix("written ") {
                said.push(number.parse::<u64>().unwrap());
            }
            if said.len() >= enough && (enough > 0 || line.contains("running")) {
                break;
            }
        }
        for turn in 0..(round * 7919) % 400_000 {
            std::hint::black_box(turn);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        for number in &said {
            written.insert(number % DOMAINS, *number);
        }
        next = check(&file, &written, round).max(next) + 1;
    }
    println!("{rounds} kills, {next} writes");
}

/// Every domain has what was last said to be written, or what came after it. Tells the last number there is.
fn check(file: &Path, written: &HashMap<u64, u64>, round: u64) -> u64 {
    let store = SqliteStore::open_mending(file, Timestamp::from_unix(T0)).unwrap();
    assert_eq!(store.trouble(), None, "round {round}");
    let mut there = HashMap::new();
    policies::load(&store, |stored| {
        let number = stored.fetched.unix() - T0;
        assert_eq!(stored, policy(number), "round {round}: half of one write");
        there.insert(number % DOMAINS, number);
        Ok(())
    })
    .unwrap();
    for (domain, number) in written {
        let seen = there.get(domain);
        assert!(
            seen >= Some(number),
            "round {round}: {seen:?} instead of {number} of domain {domain}"
        );
    }
    there.into_values().max().unwrap_or_default()
}
