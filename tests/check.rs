//! `danelaw check` tells the truth about every domain of the lab: what it says is what a delivery gets.
#![cfg(feature = "lab")]
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may panic and start processes"
)]

use std::process::{Command, Output};

use danelaw::lab::catalogue::{Destination, Expected};
use danelaw::lab::world::{Stage, World};
use serde_json::Value;

/// Scenarios whose DNS servers keep silent: nothing is wrong for certain.
const UNKNOWN: [&str; 3] = ["mx-servfail", "tlsa-servfail", "tlsa-servfail-sts-passes"];

fn check(world: &World, args: &[&str], domains: &[String]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_danelaw"))
        .args(["check", "--json", "--allow-private"])
        .arg(format!("--resolver={}", world.resolver))
        .arg("--trust-anchor")
        .arg(&world.trust_anchor)
        .arg("--ca-file")
        .arg(&world.ca_file)
        .arg(format!("--port={}", world.mx_port))
        .arg(format!("--policy-port={}", world.policy_port))
        .args(args)
        .args(domains)
        .output()
        .unwrap()
}

fn rows(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let rows = text.lines().map(|line| serde_json::from_str(line).unwrap());
    rows.collect()
}

/// Level, verdict, reason and exit code that a check must find for a scenario.
fn expected(stage: &Stage) -> (Value, &'static str, &'static str, u64) {
    let scenario = &stage.scenario;
    let level = |level: Option<&'static str>| level.map_or(Value::Null, Value::from);
    match scenario.expected {
        // The check goes where the DNS points; only a misled mail server goes to a stranger.
        _ if scenario.presents.destination == Destination::Stranger => {
            ("LD".into(), "good", "dane-ee", 0)
        }
        Expected::Pin {
            level: demanded,
            basis,
            ..
        } => (level(Some(demanded.label())), "good", basis.label(), 0),
        Expected::Refuse { reason, .. } if UNKNOWN.contains(&scenario.name) => {
            (Value::Null, "unknown", reason, 2)
        }
        Expected::Refuse {
            level: demanded,
            reason,
            ..
        } => (
            level(demanded.map(danelaw::policy::Level::label)),
            "refused",
            reason,
            1,
        ),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_domain_of_the_lab_is_judged_as_a_delivery_is() {
    let world = World::start().await.unwrap();
    let domains: Vec<String> = world
        .stages()
        .iter()
        .map(|one| one.scenario.domain())
        .collect();
    let output = check(&world, &[], &domains);
    let rows = rows(&output);
    assert_eq!(
        rows.len(),
        domains.len(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for (stage, row) in world.stages().iter().zip(&rows) {
        let (level, verdict, reason, exit) = expected(stage);
        let name = stage.scenario.name;
        assert_eq!(row["domain"], stage.scenario.domain());
        assert_eq!(row["exit"], exit, "{name}: {row:#}");
        // What concerns the whole domain stands beside the destinations, not among them.
        let first = &row["destinations"][0];
        let (found, outcome) = if first.is_null() {
            (&row["problem"], "outcome")
        } else {
            (first, "verdict")
        };
        assert_eq!(found[outcome], verdict, "{name}: {row:#}");
        assert_eq!(found["reason"], reason, "{name}: {row:#}");
        assert_eq!(found["level"], level, "{name}: {row:#}");
    }
    // A refusal outweighs what could not be found out.
    assert_eq!(output.status.code(), Some(1));
    let mail = world.stages().iter().flat_map(Stage::sinks);
    let mail = mail
        .flat_map(|sink| sink.connections())
        .map(|one| one.mail_commands);
    assert_eq!(mail.sum::<usize>(), 0, "a check sends no MAIL");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_connecting_the_demand_is_told_and_nobody_is_disturbed() {
    let world = World::start().await.unwrap();
    let domains = [
        "dane-ee-mismatch.test".to_owned(),
        "sts-enforce-match.test".to_owned(),
    ];
    let output = check(&world, &["--no-connect"], &domains);
    let rows = rows(&output);
    assert_eq!(output.status.code(), Some(0), "{rows:#?}");
    for (row, level) in rows.iter().zip(["LD", "LS"]) {
        assert_eq!(row["destinations"][0]["level"], level, "{row:#}");
        assert_eq!(row["destinations"][0]["verdict"], Value::Null, "{row:#}");
    }
    let connections = world.stages().iter().flat_map(Stage::sinks);
    assert_eq!(
        connections
            .map(|sink| sink.connections().len())
            .sum::<usize>(),
        0
    );
}

/// A configuration with exceptions that hold today.
fn excepting(exceptions: &[(&str, &str)]) -> tempfile::NamedTempFile {
    let today = time::OffsetDateTime::from(std::time::SystemTime::now()).date();
    let tables: String = exceptions
        .iter()
        .map(|(domain, what)| {
            format!(
                "[[exception]]\ndomain = \"{domain}\"\nwhat = \"{what}\"\nauthor = \"ann\"\n\
                 reason = \"their postmaster knows\"\ncreated = {today}\nexpires = {today}\n"
            )
        })
        .collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), tables).unwrap();
    file
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exceptions_are_heard_from_the_resolver_to_the_verdict_and_for_their_domain_alone() {
    let world = World::start().await.unwrap();
    let file = excepting(&[
        ("mx-bogus.test", "nta"),
        ("dane-ee-mismatch.test", "none"),
        ("no-policy-tls.test", "dane"),
    ]);
    let rows_of = [
        ("mx-bogus.test", "good", "opportunistic-tls"),
        ("tlsa-bogus.test", "refused", "tlsa-lookup-error"),
        ("dane-ee-mismatch.test", "good", "opportunistic-tls"),
        ("dane-ta-wrong-name.test", "refused", "dane-name"),
        ("no-policy-tls.test", "refused", "dane-required"),
    ];
    let domains: Vec<String> = rows_of.iter().map(|row| row.0.to_owned()).collect();
    let output = check(
        &world,
        &["--config", file.path().to_str().unwrap()],
        &domains,
    );
    let rows = rows(&output);
    assert_eq!(
        rows.len(),
        domains.len(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for (row, (domain, verdict, reason)) in rows.iter().zip(rows_of) {
        let first = &row["destinations"][0];
        let (found, outcome) = if first.is_null() {
            (&row["problem"], "outcome")
        } else {
            (first, "verdict")
        };
        assert_eq!(found[outcome], verdict, "{domain}: {row:#}");
        assert_eq!(found["reason"], reason, "{domain}: {row:#}");
    }
}

#[test]
fn what_cannot_be_checked_is_one_clear_error_and_exit_code_2() {
    for (args, said) in [
        (
            ["--trust-anchor", "/nonexistent/root.key"],
            "/nonexistent/root.key",
        ),
        (["--ca-file", "/nonexistent/ca.pem"], "/nonexistent/ca.pem"),
        (
            ["--config", "/nonexistent/danelaw.toml"],
            "/nonexistent/danelaw.toml",
        ),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_danelaw"))
            .args(["check", "--resolver=127.0.0.1:9", "example.com"])
            .args(args)
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(
            error.contains(said) && error.lines().count() == 1,
            "{error}"
        );
    }
}

#[test]
fn a_text_that_is_no_domain_is_told_apart_from_a_domain_that_fails() {
    let output = Command::new(env!("CARGO_BIN_EXE_danelaw"))
        .args(["check", "--json", "--resolver=127.0.0.1:9", "a..b"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(rows(&output)[0]["problem"]["reason"], "not-a-domain");
}
