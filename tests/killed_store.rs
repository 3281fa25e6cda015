//! A process that is killed while it writes policies, again and again: what it has said to be written is there.
//!
//! The process is this test itself, started anew with a store to write to; once it is killed by this test, at any moment,
//! once by strace, at one system call after the other.

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
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
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
    spawn(Command::new(std::env::current_exe().unwrap()), file, first)
}

/// The same, killed where one of its threads makes its `call`-th system call that changes a file.
fn start_until(file: &Path, first: u64, call: u64) -> Child {
    const CALLS: &str =
        "write,pwrite64,fsync,fdatasync,ftruncate,fallocate,link,linkat,unlink,rename,fchmod";
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-o", "/dev/null"])
        .args(["-e", &format!("trace={CALLS}")])
        .args(["-e", &format!("inject={CALLS}:signal=KILL:when={call}")])
        .arg(std::env::current_exe().unwrap());
    spawn(strace, file, first)
}

fn spawn(mut command: Command, file: &Path, first: u64) -> Child {
    command
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
    let mut victim = Victim::at(folder.path());
    for round in 0..rounds {
        let mut child = start(&victim.file, victim.next);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Killed after 0, 1, 2… writes, and a little into the next one.
        let enough = usize::try_from(round % 5).unwrap();
        let mut said = Vec::new();
        for line in lines.map_while(Result::ok) {
            said.extend(number_in(&line));
            if said.len() >= enough && (enough > 0 || line.contains("running")) {
                break;
            }
        }
        for turn in 0..(round * 7919) % 400_000 {
            std::hint::black_box(turn);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        victim.is_whole_after(&said, round);
    }
    println!("{rounds} kills, {} writes", victim.next);
}

/// In a store that is begun, and in one that has lived through all the kills before.
#[test]
fn sts_09_killed_at_each_system_call_of_its_writes_a_store_has_what_was_said_to_be_written() {
    if Command::new("strace").arg("-V").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "strace is not installed");
        println!("skipped: strace is not installed");
        return;
    }
    let kills = std::env::var("DANELAW_KILLS").map_or(ROUNDS, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let mut old = Victim::at(folder.path());
    let mut writes = 0;
    for call in 1..=kills / 2 {
        let folder = tempfile::tempdir().unwrap();
        let mut new = Victim::at(folder.path());
        for victim in [&mut new, &mut old] {
            let child = start_until(&victim.file, victim.next, call);
            let output = child.wait_with_output().unwrap();
            // strace ends as what it has run has ended.
            assert_eq!(output.status.signal(), Some(9), "{call}: {output:?}");
            let said: Vec<u64> = String::from_utf8(output.stdout)
                .unwrap()
                .lines()
                .filter_map(number_in)
                .collect();
            writes += said.len();
            victim.is_whole_after(&said, call);
        }
    }
    assert!(writes > 0, "none has come as far as a write");
    println!("{kills} kills, {writes} writes");
}

fn number_in(line: &str) -> Option<u64> {
    Some(line.strip_prefix("written ")?.parse().unwrap())
}

/// A store that is written to by one process after the other.
struct Victim {
    file: PathBuf,
    /// The last number that was said to be written, by domain.
    written: HashMap<u64, u64>,
    next: u64,
}

impl Victim {
    fn at(folder: &Path) -> Self {
        Self {
            file: folder.join("danelaw.db"),
            written: HashMap::new(),
            next: 0,
        }
    }

    fn is_whole_after(&mut self, said: &[u64], round: u64) {
        for number in said {
            self.written.insert(number % DOMAINS, *number);
        }
        self.next = check(&self.file, &self.written, round).max(self.next) + 1;
    }
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
