//! `danelaw except` and `danelaw report` as programs, on a store that a running proxy follows.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may panic, start processes and write files"
)]

mod service;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use danelaw::clock::{Clock, SystemClock};
use danelaw::report::counts::day_of;
use danelaw::store::sqlite::SqliteStore;
use danelaw::store::{Batch, Count, Store};
use serde_json::Value;
use service::Service;
use tempfile::TempDir;

/// A configuration with a store that exists.
struct Place {
    directory: TempDir,
}

impl Place {
    fn with(configuration: &str) -> Self {
        let directory = TempDir::new().unwrap();
        let place = Self { directory };
        let text = format!("{configuration}\n[store]\npath = \"d.db\"\n");
        fs::write(place.config(), text).unwrap();
        drop(place.store());
        place
    }

    fn config(&self) -> PathBuf {
        self.directory.path().join("danelaw.toml")
    }

    fn store(&self) -> SqliteStore {
        SqliteStore::open(&self.directory.path().join("d.db")).unwrap()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        danelaw(&self.config(), arguments)
    }

    /// What a command that succeeds prints as JSON.
    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["--json"]].concat());
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {said}");
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

fn danelaw(config: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_danelaw"))
        .args(arguments)
        .arg("--config")
        .arg(config)
        .output()
        .unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

const ADD: [&str; 4] = ["except", "add", "partner.example", "encrypt"];
const WHY: [&str; 6] = [
    "--days",
    "14",
    "--reason",
    "expired certificate",
    "--author",
    "alice",
];

#[test]
fn an_exception_is_added_shown_renewed_and_removed_under_one_id() {
    let place = Place::with("");
    let added = place.json(&[&ADD[..], &WHY].concat());
    let id = added[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(id.len(), 8);
    let listed = place.json(&["except", "list"]);
    assert_eq!(listed, added);
    for (key, expected) in [
        ("domain", "partner.example"),
        ("what", "encrypt"),
        ("author", "alice"),
        ("reason", "expired certificate"),
        ("place", "store"),
    ] {
        assert_eq!(listed[0][key], expected);
    }
    let text = stdout(&place.run(&["except", "list"]));
    assert!(
        text.contains(&id) && text.contains("expired certificate"),
        "{text}"
    );
    let renewed = place.json(&["except", "renew", &id, "--days", "90"]);
    assert_eq!(renewed[0]["id"], id.as_str());
    assert_eq!(renewed[0]["created"], added[0]["created"]);
    assert_ne!(renewed[0]["expires"], added[0]["expires"]);
    let removed = place.json(&["except", "remove", &id.to_uppercase()]);
    assert_eq!(removed[0]["id"], id.as_str());
    assert_eq!(
        place.json(&["except", "list", "--all"]),
        Value::Array(vec![])
    );
    assert_eq!(stdout(&place.run(&["except", "list"])), "no exceptions\n");
}

#[test]
fn without_an_author_it_is_the_user_who_types() {
    let place = Place::with("");
    let added = place.json(&[&ADD[..], &WHY[..4]].concat());
    assert!(!added[0]["author"].as_str().unwrap().is_empty());
}

#[test]
#[allow(clippy::too_many_lines, reason = "a table, one row per rule")]
fn what_breaks_a_rule_changes_nothing_and_says_which_and_what_would_be_right() {
    let declared = "[[exception]]\ndomain = \"declared.example\"\nwhat = \"dane\"\nauthor = \"a\"\nreason = \"r\"\ncreated = 2020-01-01\nexpires = 2020-01-30\n[exceptions]\nmax_days = 30\n";
    let place = Place::with(declared);
    place.json(&[&ADD[..], &WHY].concat());
    let declared_id = place.json(&["except", "list", "--all"])[0]["id"].clone();
    let declared_id = declared_id.as_str().unwrap();
    let reason = ["--reason", "r"];
    let rows: [(&str, &[&str], i32, &str); 12] = [
        (
            "another for the same domain",
            &["partner.example", "none", "--days", "9"],
            1,
            "has the exception",
        ),
        (
            "too long",
            &["a.example", "none", "--days", "31"],
            2,
            "expires: expected at most 30 days",
        ),
        (
            "no end",
            &["a.example", "none"],
            2,
            "expires: expected --days or --until",
        ),
        (
            "an end that is over",
            &["a.example", "none", "--until", "2020-01-01"],
            2,
            "expires: expected a time after it was granted",
        ),
        (
            "no such word",
            &["a.example", "never", "--days", "9"],
            2,
            "expected none, encrypt",
        ),
        (
            "a pin that is none",
            &["a.example", "pin", "sha256/x", "--days", "9"],
            2,
            "expected sha256/",
        ),
        (
            "a top-level domain loosened",
            &["*.example", "none", "--days", "9"],
            2,
            "domain: expected an asterisk below",
        ),
        (
            "a negative trust anchor at one",
            &["example", "nta", "--days", "9"],
            2,
            "domain: expected a name of at least two labels",
        ),
        (
            "no domain",
            &["a..example", "none", "--days", "9"],
            64,
            "empty label",
        ),
        (
            "a text over two lines for an author",
            &["a.example", "none", "--days", "9", "--author", "a\nb"],
            2,
            "author: expected 1 to 100",
        ),
        (
            "two ends",
            &["a.example", "none", "--days", "9", "--until", "2030-01-01"],
            64,
            "cannot be used with",
        ),
        ("nothing at all", &[], 64, "required"),
    ];
    let before = place.json(&["except", "list", "--all"]);
    for (what, arguments, code, part) in rows {
        let output = place.run(&[&["except", "add"], arguments, &reason].concat());
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{what}: {said}");
        assert!(said.contains(part), "{what}: {said}");
    }
    for (what, arguments, part) in [
        (
            "an id of nobody's",
            ["remove", "nothing0"],
            "none with the id nothing0",
        ),
        (
            "a declared one",
            ["remove", declared_id],
            "stands in the configuration",
        ),
    ] {
        let output = place.run(&[&["except"], &arguments[..]].concat());
        assert_eq!(output.status.code(), Some(1), "{what}");
        assert!(stderr(&output).contains(part), "{what}");
    }
    assert_eq!(place.json(&["except", "list", "--all"]), before);
}

#[test]
fn a_file_is_taken_as_a_whole_or_not_at_all() {
    let place = Place::with("");
    let made = place.json(&[&ADD[..], &WHY].concat());
    let today = made[0]["created"].as_str().unwrap()[..10].to_owned();
    let id = made[0]["id"].as_str().unwrap();
    place.json(&["except", "remove", id]);
    let table = |domain: &str, what: &str| {
        format!(
            "[[exception]]\ndomain = \"{domain}\"\nwhat = \"{what}\"\nauthor = \"a\"\nreason = \"r\"\ncreated = {today}\nexpires = {today}\n"
        )
    };
    let file = place.directory.path().join("exceptions.toml");
    let path = file.to_str().unwrap();
    let add = ["except", "add", "--file", path];
    for (what, text, part) in [
        (
            "one is wrong",
            table("a.example", "none") + &table("b.example", "nothing"),
            "exceptions.toml:10 exception[1].what: expected \"none\"",
        ),
        (
            "two for one domain",
            table("a.example", "none") + &table("a.example", "dane"),
            "exceptions.toml:9 exception[1].domain: expected a domain that no other",
        ),
        (
            "a key that nobody knows",
            table("a.example", "none") + "untill = 1\n",
            "exceptions.toml:8 exception[0].untill: expected one of",
        ),
        (
            "something else",
            "[dns]\n".into(),
            "expected one of exception",
        ),
        (
            "nothing",
            String::new(),
            "expected [[exception]] tables, got none",
        ),
    ] {
        fs::write(&file, text).unwrap();
        let output = place.run(&add);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{what}: {said}");
        assert!(said.contains(part), "{what}: {said}");
        assert_eq!(place.json(&["except", "list"]), Value::Array(vec![]));
    }
    fs::write(
        &file,
        table("a.example", "none") + &table("b.example", "dane"),
    )
    .unwrap();
    assert_eq!(place.json(&add).as_array().unwrap().len(), 2);
    assert_eq!(place.json(&["except", "list"]).as_array().unwrap().len(), 2);
    // Once more, and nothing is doubled.
    assert_eq!(place.run(&add).status.code(), Some(1));
}

#[test]
fn without_a_store_it_is_said_what_is_missing() {
    let directory = TempDir::new().unwrap();
    let config = directory.path().join("danelaw.toml");
    for (text, part) in [
        ("", "names neither control.socket nor a store"),
        (
            "[store]\npath = \"d.db\"",
            "is not there: start the proxy once",
        ),
    ] {
        fs::write(&config, text).unwrap();
        for command in [["except", "list"], ["report", "would-refuse"]] {
            let output = danelaw(&config, &command);
            assert_eq!(output.status.code(), Some(2));
            assert!(stderr(&output).contains(part), "{}", stderr(&output));
        }
    }
    assert!(
        !directory.path().join("d.db").exists(),
        "a command makes no store"
    );
}

#[test]
fn a_negative_trust_anchor_needs_danelaws_own_validation() {
    let place = Place::with("[dns]\nresolvers = [\"127.0.0.1\"]\nvalidate = \"trust-ad\"");
    let add = [
        "except",
        "add",
        "broken.example",
        "nta",
        "--days",
        "3",
        "--reason",
        "r",
    ];
    let output = place.run(&add);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("dns.validate"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn the_running_proxy_follows_what_a_command_has_written() {
    let place = Place::with("");
    let ca = place.directory.path().join("ca.pem");
    fs::write(&ca, include_str!("../testdata/config/ca.pem")).unwrap();
    let store = place.directory.path().join("d.db");
    let proxy = Service::start(&format!(
        "[dns]\nresolvers = [\"127.0.0.1:9\"]\nprobe_good = \"\"\nprobe_bogus = []\n[tls]\nca_file = {ca:?}\n[store]\npath = {store:?}\n"
    ));
    let added = place.json(&[&ADD[..], &WHY].concat());
    let id = added[0]["id"].as_str().unwrap();
    let line = proxy.logged("an exception is as the store says");
    assert!(
        line.contains(id) && line.contains("is_there=true"),
        "{line}"
    );
    place.json(&["except", "remove", id]);
    let line = proxy.logged("an exception is as the store says");
    assert!(
        line.contains(id) && line.contains("is_there=false"),
        "{line}"
    );
}

#[test]
fn an_exception_that_has_ended_is_told_once_at_the_start() {
    let place = Place::with("");
    let ca = place.directory.path().join("ca.pem");
    fs::write(&ca, include_str!("../testdata/config/ca.pem")).unwrap();
    let proxy = Service::start(&format!(
        "[dns]\nresolvers = [\"127.0.0.1:9\"]\n[tls]\nca_file = {ca:?}\n[[exception]]\ndomain = \"old.example\"\nwhat = \"none\"\nauthor = \"bob\"\nreason = \"r\"\ncreated = 2020-01-01\nexpires = 2020-03-01\n"
    ));
    let line = proxy.logged("an exception has ended");
    assert!(
        line.contains("old.example") && line.contains("bob"),
        "{line}"
    );
}

#[test]
fn r3_the_report_tells_which_domains_would_have_been_refused_newest_and_worst_first() {
    let place = Place::with("");
    let today = day_of(SystemClock.wall());
    let count = |ago: u32, domain: &str, what: &str, reason: &str, number: u64| Count {
        day: today - ago,
        domain: domain.into(),
        what: what.into(),
        reason: reason.into(),
        number,
    };
    let batch = Batch {
        counts: vec![
            count(0, "few.example", "would-refuse", "sts-name", 3),
            count(0, "worst.example", "would-refuse", "starttls-required", 40),
            count(1, "worst.example", "refused", "tls-handshake", 1),
            count(6, "older.example", "would-refuse", "dane-mismatch", 500),
            count(7, "gone.example", "would-refuse", "dane-mismatch", 500),
            count(0, "few.example", "differs", "sts-name", 2),
        ],
        ..Batch::default()
    };
    place.store().write(&batch).unwrap();
    let told = place.json(&["report", "would-refuse"]);
    let domains: Vec<&str> = told["domains"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["domain"].as_str().unwrap())
        .collect();
    assert_eq!(domains, ["worst.example", "few.example", "older.example"]);
    let worst = &told["domains"][0];
    assert_eq!(
        (&worst["would_refuse"], &worst["refused"]),
        (&40.into(), &1.into())
    );
    assert_eq!(worst["reasons"][0]["reason"], "starttls-required");
    assert_eq!(told["combine_differs"], 2);
    let text = stdout(&place.run(&["report", "would-refuse", "--days", "1"]));
    assert!(text.contains("starttls-required 40"), "{text}");
    assert!(!text.contains("older.example"), "{text}");
    let empty = Place::with("");
    let text = stdout(&empty.run(&["report", "would-refuse"]));
    assert!(text.starts_with("no refusals since "), "{text}");
}
