//! `danelaw except` and `danelaw report`, with a proxy that runs and without.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::place::{DELIVERED, Place, REFUSED, deliver, world};
use crate::service::Service;

const ADD: [&str; 10] = [
    "except",
    "add",
    "sts-enforce-wrong-name.test",
    "encrypt",
    "--days",
    "9",
    "--reason",
    "a test",
    "--author",
    "alice",
];

fn array(place: &Place, code: i32, arguments: &[&str]) -> Vec<Value> {
    serde_json::from_str(&place.printed(code, arguments)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exception_counts_for_the_running_proxy_before_the_command_ends() {
    let world = world().await;
    let place = Place::new();
    let service = Service::start(&place.configure(&world, "[exceptions]\nmax_days = 30\n"));
    assert!(deliver(&service, &world, REFUSED).await.starts_with("451 "));
    let counted = place.printed(0, &["report", "would-refuse", "--json"]);
    let counted: Value = serde_json::from_str(&counted).unwrap();
    assert_eq!(
        counted["domains"][0]["refused"], 1,
        "what was counted just now"
    );

    // Its rules are those of the proxy, and what breaks them is heard at once.
    let long = [&ADD[..5], &["31"], &ADD[6..]].concat();
    let complaint = place.complaint(2, &long);
    assert!(complaint.contains("at most 30 days"), "{complaint}");
    let made = array(&place, 0, &[&ADD[..], &["--json"]].concat());
    assert!(deliver(&service, &world, REFUSED).await.starts_with("250 "));
    let complaint = place.complaint(1, &ADD);
    assert!(complaint.contains("has the exception"), "{complaint}");
    let id = made[0]["id"].as_str().unwrap();
    assert_eq!(array(&place, 0, &["except", "list", "--json"]), made);
    array(&place, 0, &["except", "renew", id, "--days", "3", "--json"]);
    let socket = place.socket();
    let socket = ["--socket", socket.to_str().unwrap()];
    place.printed(0, &[&["except", "remove", id], &socket[..]].concat());
    assert!(deliver(&service, &world, REFUSED).await.starts_with("451 "));
    assert!(service.logged("an exception was removed").contains(id));

    // Without it the store is asked.
    let made = array(&place, 0, &[&ADD[..], &["--json"]].concat());
    drop(service);
    assert_eq!(array(&place, 0, &["except", "list", "--json"]), made);
    let complaint = place.complaint(1, &ADD);
    assert!(complaint.contains("has the exception"), "{complaint}");
    let told = place.printed(0, &["report", "would-refuse"]);
    assert!(told.contains("sts-enforce-wrong-name.test"), "{told}");
}

/// `danelaw … | head -1`: whoever reads goes away, and nobody is told of a fault in danelaw.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_command_panics_or_complains_when_nobody_reads_what_it_prints() {
    let world = world().await;
    let place = Place::new();
    let service = Service::start(&place.configure(&world, ""));
    deliver(&service, &world, DELIVERED).await;
    deliver(&service, &world, REFUSED).await;
    place.printed(0, &ADD);
    for command in [
        &["policy", "list"][..],
        &["policy", "show", "sts-enforce-match.test"],
        &["policy", "export"],
        &["policy", "refresh", "--all"],
        &["trace", "--last", "9"],
        &["continuity", "list"],
        &["pins", "list"],
        &["except", "list"],
        &["report", "would-refuse"],
        &["config", "show"],
        &["check", "sts-enforce-match.test"],
        &["dns", "sts-enforce-match.test", "MX"],
        &["sts", "lint", "sts-enforce-match.test"],
    ] {
        for json in [false, true] {
            if json && command[1] == "export" {
                continue;
            }
            let mut asked = Command::new(env!("CARGO_BIN_EXE_danelaw"));
            asked
                .args(command)
                .arg("--config")
                .arg(place.path("danelaw.toml"));
            if json {
                asked.arg("--json");
            }
            let (reads, writes) = std::io::pipe().unwrap();
            drop(reads);
            let ended = asked
                .stdout(Stdio::from(writes))
                .stderr(Stdio::piped())
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&ended.stderr);
            assert!(
                matches!(ended.status.code(), Some(0..=2)),
                "{command:?}: {:?} {said}",
                ended.status
            );
            assert!(
                !said.contains("panicked") && !said.to_lowercase().contains("broken pipe"),
                "{command:?}: {said}"
            );
        }
    }
}
