//! `danelaw sts lint`: on the files of `testdata/mtasts`, and on the domains of the lab.
#![cfg(feature = "lab")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may panic, read files and start processes"
)]

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use danelaw::lab::world::World;
use danelaw::mtasts::Policy;
use serde_json::Value;

fn lint(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_danelaw"))
        .args(["sts", "lint"])
        .args(arguments)
        .output()
        .unwrap()
}

fn object(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

/// `severity part:line rule` of each finding.
fn told(object: &Value) -> Vec<String> {
    let findings = object["findings"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let told = findings.map(|finding| {
        let line = finding["line"].as_u64().map(|line| format!(":{line}"));
        format!(
            "{} {}{} {}",
            text(&finding["severity"]),
            text(&finding["part"]),
            line.unwrap_or_default(),
            text(&finding["rule"])
        )
    });
    told.collect()
}

fn files() -> Vec<PathBuf> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/mtasts");
    let files = fs::read_dir(folder).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.extension() == Some("txt".as_ref()))
        .collect()
}

#[test]
fn sts_40_to_49_a_file_is_in_order_exactly_when_it_is_a_policy() {
    for path in files() {
        let name = path.display();
        let parsed = Policy::parse(&fs::read(&path).unwrap());
        let output = lint(&["--json", path.to_str().unwrap()]);
        let object = object(&output);
        let findings = object["findings"].as_array().unwrap();
        let errors: Vec<&Value> = findings
            .iter()
            .filter(|finding| finding["severity"] == "error")
            .collect();
        match parsed {
            Ok(policy) => {
                assert_eq!(output.status.code(), Some(0), "{name}");
                assert!(errors.is_empty(), "{name}: {errors:?}");
                assert_eq!(object["policy"]["mode"], policy.mode.label(), "{name}");
                assert_eq!(
                    object["policy"]["max_age"],
                    policy.max_age.as_secs(),
                    "{name}"
                );
            }
            Err(invalid) => {
                assert_eq!(output.status.code(), Some(1), "{name}");
                assert!(object["policy"].is_null(), "{name}");
                assert_eq!(errors[0]["line"], invalid.line, "{name}");
                assert_eq!(errors[0]["rule"], invalid.rule.label(), "{name}");
                for error in errors {
                    let section = error["section"].as_str().unwrap();
                    assert!(section.starts_with("RFC 8461 §3."), "{name}: {section}");
                    assert!(!error["remedy"].as_str().unwrap().is_empty(), "{name}");
                }
            }
        }
    }
}

#[test]
fn the_text_names_line_rule_section_and_remedy() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_danelaw"))
        .args(["sts", "lint", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let body = b"version: STSv1\nmode: enforce\nmx: \x1b[2J*\nmax_age: 60\n";
    child.stdin.take().unwrap().write_all(body).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        said,
        "-:3: error: policy: the value has a control character [control-character, RFC 8461 §3.2]\n    \
         seen  mx: \\x1b[2J*\n    \
         do    Remove it: end lines with CRLF or LF, separate words with spaces.\n\
         -:4: warning: policy: max_age is 60 s, less than a week [max-age-short, RFC 8461 §3.2]\n    \
         do    Write a max_age of some weeks, as 2592000.\n\
         -:5: error: policy: `mx` is missing, and the mode is not none [no-mx, RFC 8461 §3.2]\n    \
         do    Add a line `mx: ` for each MX host of the domain.\n\
         -: no policy: senders take it for a failure\n"
    );
}

#[test]
fn what_is_neither_a_file_nor_a_domain_is_said_to_be_neither() {
    for (subject, why) in [
        ("/nowhere/mta-sts.txt", "/nowhere/mta-sts.txt: No such file"),
        (
            "a..b",
            "\"a..b\" is neither a file nor a domain: it has an empty label",
        ),
    ] {
        let output = lint(&[subject]);
        assert_eq!(output.status.code(), Some(2), "{subject}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(why), "{subject}: {said}");
    }
    assert_eq!(lint(&[]).status.code(), Some(64));
}

#[test]
fn warnings_count_where_they_are_to() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/mtasts/");
    for (file, strict) in [("crlf.txt", 0), ("duplicates.txt", 1)] {
        let path = format!("{folder}{file}");
        assert_eq!(lint(&[&path]).status.code(), Some(0), "{file}");
        assert_eq!(
            lint(&["--fail-on", "warning", &path]).status.code(),
            Some(strict),
            "{file}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "a table")]
async fn what_a_domain_publishes_is_looked_up_fetched_and_held_against_its_mx_hosts() {
    let world = World::start().await.unwrap();
    let resolver = format!("--resolver={}", world.resolver);
    let port = format!("--policy-port={}", world.policy_port);
    let sources = |domain: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_danelaw"))
            .args(["sts", "lint", "--json", "--allow-private", &resolver, &port])
            .arg("--trust-anchor")
            .arg(&world.trust_anchor)
            .arg("--ca-file")
            .arg(&world.ca_file)
            .arg(domain)
            .output()
            .unwrap();
        (output.status.code(), object(&output))
    };
    for (name, code, expected) in [
        (
            "sts-enforce-match",
            0,
            &["warning policy:4 max-age-short"][..],
        ),
        (
            "sts-enforce-unlisted-mx",
            1,
            &[
                "warning policy:4 max-age-short",
                "error mx mx-unlisted",
                "warning mx mx-unused",
            ],
        ),
        (
            "sts-testing-self-signed",
            0,
            &[
                "warning policy:2 mode-testing",
                "warning policy:4 max-age-short",
            ],
        ),
        (
            "sts-policy-host-untrusted",
            1,
            &["error fetch sts-webpki-invalid"],
        ),
        (
            "sts-policy-missing",
            1,
            &["error fetch sts-policy-fetch-error"],
        ),
        (
            "mx-servfail",
            1,
            &[
                "error record no-record",
                "error fetch sts-policy-fetch-error",
                "unknown mx dns-error",
            ],
        ),
    ] {
        let (status, object) = sources(&format!("{name}.test"));
        assert_eq!(told(&object), expected, "{name}: {object:#}");
        assert_eq!(status, Some(code), "{name}");
    }
    let (_, object) = sources("sts-enforce-match.test");
    assert_eq!(object["mx_hosts"], object["policy"]["mx"], "{object:#}");
    assert!(object["id"].is_string(), "{object:#}");
}
