//! `danelaw dns` tells what a delivery would believe: statuses, links, steps and exit codes, against the lab's signed world.
#![cfg(feature = "lab")]
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may panic, and starts processes"
)]

use std::collections::BTreeSet;
use std::process::{Command, Output};

use danelaw::lab::world::World;
use serde_json::Value;

fn dns(world: &World, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_danelaw"))
        .arg("dns")
        .arg(format!("--resolver={}", world.resolver))
        .arg("--trust-anchor")
        .arg(&world.trust_anchor)
        .args(args)
        .output()
        .unwrap()
}

fn object(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The steps of a kind.
fn steps<'a>(object: &'a Value, kind: &str) -> Vec<&'a Value> {
    let all = object["steps"].as_array().unwrap();
    all.iter().filter(|step| step["step"] == kind).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dnssec_1_the_status_the_kind_and_the_exit_code_of_every_sort_of_answer() {
    let world = World::start().await.unwrap();
    for (name, record_type, status, kind, exit) in [
        ("dane-ee-match.test", "MX", "secure", "positive", 0),
        ("dane-ee-match.test", "tlsa", "secure", "nodata", 0),
        ("nothing.dane-ee-match.test", "A", "secure", "nxdomain", 0),
        ("dane-ee-match.test", "SOA", "secure", "positive", 0),
        ("dane-ee-match.test", "NS", "secure", "positive", 0),
        ("no-policy-tls.test", "MX", "insecure", "positive", 1),
        ("no-policy-tls.test", "TXT", "insecure", "nodata", 1),
        ("no.no-policy-tls.test", "A", "insecure", "nxdomain", 1),
        ("mx-bogus.test", "MX", "bogus", "", 2),
        ("mx-servfail.test", "MX", "unreachable", "", 2),
    ] {
        let output = dns(&world, &["--json", name, record_type]);
        let object = object(&output);
        let asked = format!("{name} {record_type}");
        assert_eq!(object["status"], status, "{asked}: {object:#}");
        assert_eq!(
            object["kind"].as_str().unwrap_or_default(),
            kind,
            "{asked}: {object:#}"
        );
        assert_eq!(output.status.code(), Some(exit), "{asked}");
        let has_records = !object["records"].as_array().unwrap().is_empty();
        assert_eq!(has_records, kind == "positive", "{asked}: {object:#}");
        assert_eq!(
            object["reason"].is_string(),
            exit == 2,
            "{asked}: {object:#}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_way_to_a_secure_answer_is_told_from_the_trust_anchor_down() {
    let world = World::start().await.unwrap();
    let object = object(&dns(&world, &["--json", "dane-ee-match.test", "MX"]));
    let zones = steps(&object, "zone");
    let apexes: Vec<&str> = zones.iter().map(|z| z["zone"].as_str().unwrap()).collect();
    assert_eq!(apexes, [".", "test.", "dane-ee-match.test."]);
    assert_eq!(zones[0]["vouched_by"], "the trust anchor");
    assert!(zones[1]["vouched_by"].as_str().unwrap().starts_with("DS "));
    let verified = steps(&object, "verified");
    assert_eq!(verified[0]["signer"], "dane-ee-match.test.");
    assert!(
        verified[0]["signature_expires"]
            .as_str()
            .unwrap()
            .ends_with('Z')
    );
    assert_eq!(object["messages"], 6, "{object:#}");
    assert_eq!(steps(&object, "asked").len(), 6);
    assert!(object["ttl"].as_u64().unwrap() > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dnssec_10_the_way_to_an_insecure_answer_names_the_zone_that_proves_it() {
    let world = World::start().await.unwrap();
    let object = object(&dns(&world, &["--json", "no-policy-tls.test", "MX"]));
    let unsigned = steps(&object, "unsigned");
    assert_eq!(unsigned[0]["name"], "no-policy-tls.test.", "{object:#}");
    assert_eq!(unsigned[0]["proven_by"], "test.");
    assert_eq!(unsigned[0]["because"], "there are no DS records");
    assert!(object["messages"].as_u64().unwrap() <= 6, "{object:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dnssec_22_each_alias_is_told_with_its_own_state() {
    let world = World::start().await.unwrap();
    let object = object(&dns(&world, &["--json", "mx.dane-host-alias.test", "A"]));
    let links = object["links"].as_array().unwrap();
    assert!(!links.is_empty(), "{object:#}");
    assert!(links.iter().all(|link| link["secure"] == true));
    assert!(links[0]["from"].is_string() && links[0]["to"].is_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_object_has_these_keys_whatever_the_answer_is() {
    let world = World::start().await.unwrap();
    let expected: BTreeSet<&str> = [
        "expires", "kind", "links", "messages", "name", "reason", "records", "status", "steps",
        "ttl", "type",
    ]
    .into();
    for name in [
        "dane-ee-match.test",
        "no-policy-tls.test",
        "mx-bogus.test",
        "mx-servfail.test",
    ] {
        let object = object(&dns(&world, &["--json", name, "MX"]));
        let keys: BTreeSet<&str> = object
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(keys, expected, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_are_told_the_same_in_lines() {
    let world = World::start().await.unwrap();
    for (name, said) in [
        (
            "dane-ee-match.test",
            [
                "MX: secure",
                ". is a signed zone",
                "is signed by dane-ee-match.test.",
            ],
        ),
        (
            "no-policy-tls.test",
            [
                "MX: insecure",
                "is an unsigned zone",
                "there are no DS records",
            ],
        ),
        (
            "mx-bogus.test",
            ["MX: bogus", "does not verify", "asked 127.0.0.1:"],
        ),
    ] {
        let output = dns(&world, &[name, "MX"]);
        let text = String::from_utf8(output.stdout).unwrap();
        for word in said {
            assert!(text.contains(word), "{word}:\n{text}");
        }
    }
}

#[test]
fn what_is_no_question_is_one_clear_error() {
    for (args, code, said) in [
        (
            vec!["dns", "--resolver=127.0.0.1:9", "a..b", "A"],
            64,
            "is not a domain name",
        ),
        (
            vec!["dns", "--resolver=127.0.0.1:9", "example.com", "NONSENSE"],
            64,
            "is not a DNS record type",
        ),
        (
            vec!["dns", "--resolver=127.0.0.1:9", "example.com", "ANY"],
            64,
            "is not a type whose records can be judged",
        ),
        (
            vec!["dns", "--resolver=127.0.0.1:9", "m\\120.example.com", "A"],
            64,
            "expected the letter itself",
        ),
        (
            vec!["dns", "--resolver=nonsense", "example.com", "A"],
            64,
            "tls://192.0.2.53#",
        ),
        (
            vec![
                "dns",
                "--trust-anchor=/nonexistent/root.key",
                "example.com",
                "A",
            ],
            2,
            "/nonexistent/root.key",
        ),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_danelaw"))
            .args(&args)
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {error}");
        assert!(error.contains(said), "{args:?}: {error}");
        assert!(output.stdout.is_empty(), "{args:?}");
    }
}
