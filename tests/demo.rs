//! `danelaw demo`: the binary delivers what it promises, and the check behind it can fail.
#![cfg(feature = "lab")]
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may panic and start processes"
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use danelaw::config::{ClientTls, ListenerConfig};
use danelaw::intercept::Via;
use danelaw::lab::catalogue::{self, Expected, Scenario};
use danelaw::lab::trial::{self, Collector, Outcome};
use danelaw::lab::world::World;
use danelaw::policy::Level;
use danelaw::proxy::Proxy;
use danelaw::verdict::Basis;
use nix::sys::signal::Signal;
use serde_json::Value;

fn demo(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_danelaw"))
        .arg("demo")
        .args(args)
        .output()
        .unwrap()
}

fn rows(output: &Output) -> BTreeMap<String, Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines()
        .map(|line| {
            let row: Value = serde_json::from_str(line).unwrap();
            (row["scenario"].as_str().unwrap().to_owned(), row)
        })
        .collect()
}

/// Scenario, verdict, level, reason and the codes of the reply, written down here once more: a change of the catalogue
/// that turns a refusal into a delivery must not pass unnoticed.
const ROWS: &[[&str; 5]] = &[
    ["dane-ee-match", "pin", "LD", "dane-ee", "250"],
    [
        "dane-ee-mismatch",
        "refuse",
        "LD",
        "dane-mismatch",
        "451 4.7.5",
    ],
    ["dane-ta-match", "pin", "LD", "dane-ta", "250"],
    [
        "dane-ta-wrong-name",
        "refuse",
        "LD",
        "dane-name",
        "451 4.7.5",
    ],
    ["tlsa-bogus", "refuse", "", "tlsa-lookup-error", "451 4.7.5"],
    [
        "tlsa-servfail",
        "refuse",
        "",
        "tlsa-lookup-error",
        "451 4.7.5",
    ],
    ["tlsa-unusable-tls", "pin", "L1", "encrypted", "250"],
    [
        "tlsa-unusable-cleartext",
        "refuse",
        "L1",
        "starttls-required",
        "451 4.7.4",
    ],
    [
        "dane-starttls-stripped",
        "refuse",
        "LD",
        "starttls-required",
        "451 4.7.4",
    ],
    [
        "dane-starttls-454",
        "refuse",
        "LD",
        "starttls-required",
        "451 4.7.4",
    ],
    [
        "dane-plaintext-injected",
        "refuse",
        "LD",
        "tls-handshake",
        "451 4.7.5",
    ],
    ["sts-enforce-match", "pin", "LS", "mta-sts", "250"],
    [
        "sts-enforce-wrong-name",
        "refuse",
        "LS",
        "sts-name",
        "451 4.7.5",
    ],
    [
        "sts-enforce-expired",
        "refuse",
        "LS",
        "sts-expired",
        "451 4.7.5",
    ],
    [
        "sts-enforce-self-signed",
        "refuse",
        "LS",
        "sts-untrusted",
        "451 4.7.5",
    ],
    [
        "sts-enforce-unlisted-mx",
        "refuse",
        "LS",
        "sts-mx-mismatch",
        "451 4.7.1",
    ],
    [
        "sts-enforce-no-starttls",
        "refuse",
        "LS",
        "starttls-required",
        "451 4.7.4",
    ],
    [
        "sts-testing-self-signed",
        "pin",
        "L0",
        "opportunistic-tls",
        "250",
    ],
    ["no-policy-tls", "pin", "L0", "opportunistic-tls", "250"],
    ["no-policy-cleartext", "pin", "L0", "cleartext", "250"],
    [
        "dane-fails-sts-passes",
        "refuse",
        "LD",
        "dane-mismatch",
        "451 4.7.5",
    ],
    ["half-dane", "pin", "LD-half", "dane-ee", "250"],
    [
        "half-dane-forged-mx",
        "refuse",
        "LD-half+LS",
        "sts-mx-mismatch",
        "451 4.7.1",
    ],
    [
        "half-dane-and-sts",
        "pin",
        "LD-half+LS",
        "dane+mta-sts",
        "250",
    ],
    ["mx-bogus", "refuse", "", "dnssec-bogus", "451 4.4.3"],
    ["null-mx", "refuse", "", "null-mx", "556 5.1.10"],
    [
        "dane-dest-not-mx",
        "refuse",
        "LD",
        "dest-not-mx",
        "451 4.7.1",
    ],
    ["dane-ee-odd-certificate", "pin", "LD", "dane-ee", "250"],
    ["address-literal", "pin", "L0", "opportunistic-tls", "250"],
];

#[test]
fn demo_json_has_every_scenario_and_every_verdict_is_right() {
    let output = demo(&["--json"]);
    let complaints = String::from_utf8_lossy(&output.stderr);
    let rows = rows(&output);
    let failed: Vec<&Value> = rows.values().filter(|row| row["passed"] != true).collect();
    assert_eq!(output.status.code(), Some(0), "{failed:#?}\n{complaints}");
    assert_eq!(rows.len(), catalogue::all().len());
    for [name, verdict, level, reason, reply] in ROWS {
        let row = &rows[*name];
        let level = Some(*level).filter(|level| !level.is_empty());
        assert_eq!(row["expected"], *verdict, "{row}");
        assert_eq!(row["verdict"], *verdict, "{row}");
        assert_eq!(row["level"].as_str(), level, "{row}");
        assert_eq!(row["reason"], *reason, "{row}");
        assert!(row["reply"].as_str().unwrap().starts_with(reply), "{row}");
    }
}

#[test]
fn demo_prints_a_table_that_fits_a_terminal() {
    let output = demo(&[
        "--only",
        "dane-ee-mismatch",
        "--only",
        "half-dane-forged-mx",
    ]);
    let table = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{table}");
    for word in [
        "dane-ee-mismatch",
        "sts-mx-mismatch",
        "451 4.7.5",
        "2 of 2 scenarios",
    ] {
        assert!(table.contains(word), "{word} in\n{table}");
    }
    let widest = table.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(140), "{widest:?}");
}

#[test]
fn an_unknown_scenario_is_a_wrong_command_line() {
    let output = demo(&["--only", "no-such-scenario"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&output.stderr).contains("dane-ee-match"));
}

#[test]
fn demo_stays_up_to_be_explored_with_the_command_that_it_prints_and_leaves_nothing_behind() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        explore(signal);
    }
}

fn explore(signal: Signal) {
    let mut lab = Command::new(env!("CARGO_BIN_EXE_danelaw"))
        .args(["demo", "--stay", "--only", "dane-ee-match"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = String::new();
    let mut stderr = BufReader::new(lab.stderr.take().unwrap());
    while !told.contains("Ctrl-C ends it") {
        assert_ne!(stderr.read_line(&mut told).unwrap(), 0, "it ended: {told}");
    }
    let start = told.find("danelaw check ").unwrap();
    let end = told[start..].find("\n\n").unwrap() + start;
    let command = told[start..end].replace("\\\n", " ");
    let check = Command::new(env!("CARGO_BIN_EXE_danelaw"))
        .args(command.split_whitespace().skip(1))
        .output()
        .unwrap();
    let pid = nix::unistd::Pid::from_raw(lab.id().try_into().unwrap());
    nix::sys::signal::kill(pid, signal).unwrap();
    assert_eq!(lab.wait().unwrap().code(), Some(0), "{signal}");
    let mut words = command.split_whitespace();
    let anchor = words
        .by_ref()
        .skip_while(|word| *word != "--trust-anchor")
        .nth(1);
    assert!(!Path::new(anchor.unwrap()).exists(), "{signal}: {command}");
    let said = String::from_utf8_lossy(&check.stdout);
    assert_eq!(check.status.code(), Some(0), "{command}\n{said}");
}

async fn put_to_the_test(scenario: Scenario) -> Outcome {
    let world = World::of(vec![scenario]).await.unwrap();
    let records = Arc::new(Collector::default());
    let config = world.config(ListenerConfig {
        client_tls: ClientTls::Never,
        ..ListenerConfig::new(Via::Socks5, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    });
    let proxy = Proxy::start(&config, Arc::clone(&records) as _)
        .await
        .unwrap();
    let outcome = trial::run(&world.stages()[0], proxy.addresses()[0], &records).await;
    proxy.shutdown().await;
    outcome
}

const MATCH: Expected = Expected::Pin {
    level: Level::Dane,
    basis: Basis::DaneEe,
    observed: None,
};
const OTHER_LEVEL: Expected = Expected::Pin {
    level: Level::Sts,
    basis: Basis::DaneEe,
    observed: None,
};
const OTHER_BASIS: Expected = Expected::Pin {
    level: Level::Dane,
    basis: Basis::DaneTa,
    observed: None,
};
const MISMATCH: Expected = refusal("dane-mismatch", "451 4.7.5");
const OTHER_REASON: Expected = refusal("dane-name", "451 4.7.5");
const OTHER_REPLY: Expected = refusal("dane-mismatch", "451 4.7.1");

const fn refusal(reason: &'static str, reply: &'static str) -> Expected {
    Expected::Refuse {
        level: Some(Level::Dane),
        reason,
        reply,
    }
}

#[tokio::test]
async fn a_deliberately_wrong_expectation_makes_a_trial_fail() {
    for (name, expected, passes) in [
        ("dane-ee-match", MATCH, true),
        ("dane-ee-match", OTHER_LEVEL, false),
        ("dane-ee-match", OTHER_BASIS, false),
        ("dane-ee-match", MISMATCH, false),
        ("dane-ee-mismatch", MISMATCH, true),
        ("dane-ee-mismatch", OTHER_REASON, false),
        ("dane-ee-mismatch", OTHER_REPLY, false),
        ("dane-ee-mismatch", MATCH, false),
    ] {
        let mut all = catalogue::all().into_iter();
        let scenario = all.find(|scenario| scenario.name == name).unwrap();
        let outcome = put_to_the_test(Scenario {
            expected,
            ..scenario
        })
        .await;
        let problems = &outcome.problems;
        assert_eq!(
            outcome.passed(),
            passes,
            "{name} {expected:?}: {problems:?}"
        );
    }
}
