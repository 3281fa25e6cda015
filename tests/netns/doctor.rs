//! `danelaw doctor` on a host as it should be, and on the same host with one thing after the other taken away.

use std::process::Command;

use serde_json::Value as Json;

use super::danelaw::{self, Rights};
use super::rules::{self, Exempt};
use super::sandbox::{HOME, Namespace, read, sandboxed, sh, until, write};
use super::{Lab, hear_from};

/// One for each family.
const BOTH: &[&str] = &["green", "green"];

const CONFIGURATION: &str = "/run/lab/danelaw/danelaw.toml";

const HOST: &str = "kind = \"redirect\"\naddress = \"127.0.0.1:10225\"\nclient_tls = \"never\"\n\
    [[listener]]\nkind = \"redirect\"\naddress = \"[::1]:10225\"\nclient_tls = \"never\"\n\
    [intercept]\nwatch_interval = \"200ms\"\n[admin]\naddress = \"127.0.0.1:9225\"\n";

/// What it found.
struct Visit {
    code: Option<i32>,
    lines: Vec<Json>,
}

impl Visit {
    fn pay(mut command: Command, arguments: &[&str]) -> Self {
        let output = command
            .args(["doctor", "--json"])
            .args(arguments)
            .output()
            .expect("danelaw runs");
        let told: Json = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr)));
        let lines = told["lines"].as_array().expect("there are lines").clone();
        Self {
            code: output.status.code(),
            lines,
        }
    }

    fn by_root(place: &Namespace) -> Self {
        let command = place.command(env!("CARGO_BIN_EXE_danelaw"));
        Self::pay(command, &["--config", CONFIGURATION])
    }

    /// The levels of all lines of this name, the worst first.
    fn levels(&self, name: &str) -> Vec<&str> {
        let lines = self.lines.iter().filter(|line| line["name"] == name);
        lines.filter_map(|line| line["level"].as_str()).collect()
    }

    fn tells(&self, name: &str, words: &str) -> bool {
        self.lines.iter().any(|line| {
            line["name"] == name
                && line["seen"]
                    .as_str()
                    .is_some_and(|seen| seen.contains(words))
        })
    }

    #[track_caller]
    fn is(&self, what: &str, code: i32, expected: &[(&str, &[&str])]) {
        for (name, levels) in expected {
            assert_eq!(
                self.levels(name),
                *levels,
                "{what}, {name}: {:#?}",
                self.lines
            );
        }
        assert_eq!(self.code, Some(code), "{what}: {:#?}", self.lines);
    }
}

#[test]
fn net_06_the_doctor_finds_each_thing_that_is_taken_away() {
    sandboxed(|| {
        let lab = Lab::start();
        let mta = &lab.network.mta;
        let start = || danelaw::start_listener(mta, (HOST, "[::1]:10225"), Rights::Nothing);
        let daemon = start();
        apply(mta);
        until("danelaw to be ready", || {
            let ready = mta.sh("curl -s http://127.0.0.1:9225/readyz || true");
            let seen = mta.sh("curl -s http://127.0.0.1:9225/metrics || true");
            let is_seen = |line: &&str| {
                line.starts_with("danelaw_interception") && line.ends_with("state=\"working\"} 1")
            };
            let both = seen.lines().filter(is_seen).count() == 2;
            (ready.starts_with("ready") && both).then_some(())
        });
        let arguments = ["--config", CONFIGURATION, "--egress", "192.0.2.31"];
        let visit = Visit::pay(mta.command(env!("CARGO_BIN_EXE_danelaw")), &arguments);
        visit.is(
            "all in place",
            0,
            &[
                ("rules", &["green"]),
                ("leak", BOTH),
                ("loop", BOTH),
                ("ready", &["green"]),
                ("egress", &["green"]),
            ],
        );

        // As if more had been asked of the process that runs than it was started with.
        let more = write(
            "danelaw/more.toml",
            "max_sessions = 20000\n".to_owned() + &read(CONFIGURATION),
        );
        let command = mta.command(env!("CARGO_BIN_EXE_danelaw"));
        let visit = Visit::pay(command, &["--config", &more.to_string_lossy()]);
        visit.is(
            "few descriptors",
            2,
            &[("descriptors", &["red"]), ("leak", BOTH)],
        );

        without_rules(mta);

        rules::load(mta, Exempt::Nobody);
        let visit = Visit::by_root(mta);
        visit.is("a loop", 2, &[("loop", &["red", "red"]), ("leak", BOTH)]);

        rules::load(mta, Exempt::Danelaw);
        daemon.stop();
        let visit = Visit::by_root(mta);
        visit.is(
            "danelaw is down",
            2,
            &[("running", &["red"]), ("leak", &["yellow", "yellow"])],
        );

        let daemon = start();
        sh(&format!(
            "chown root {HOME}/danelaw/state; chmod 700 {HOME}/danelaw/state"
        ));
        Visit::by_root(mta).is("a store of root's", 2, &[("store", &["red"])]);
        sh(&format!("chown danelaw {HOME}/danelaw/state"));
        assert!(hear_from(mta, "192.0.2.77", 25).starts_with("220 danelaw canary "));
        drop(daemon);
    });
}

/// Loads the rules that the configuration asks for.
fn apply(mta: &Namespace) {
    let program = env!("CARGO_BIN_EXE_danelaw");
    mta.sh(&format!("{program} rules apply --config {CONFIGURATION}"));
}

/// The redirect is lost, then its guard too.
fn without_rules(mta: &Namespace) {
    rules::lose_redirect(mta);
    until("danelaw to notice", || {
        let ready = mta.sh("curl -s http://127.0.0.1:9225/readyz || true");
        ready.contains("interception").then_some(())
    });
    let visit = Visit::by_root(mta);
    visit.is(
        "no redirect",
        2,
        &[
            ("leak", &["red", "red"]),
            ("ready", &["red"]),
            ("loop", BOTH),
        ],
    );
    assert!(visit.tells("leak", "mail waits"));
    assert_eq!(visit.levels("rules").first(), Some(&"red"));

    mta.sh("nft delete table inet danelaw_guard");
    let visit = Visit::by_root(mta);
    visit.is("no guard either", 2, &[("leak", &["red", "red"])]);
    assert!(visit.tells("leak", "LEAVES THIS HOST"));
}
