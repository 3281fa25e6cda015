//! The real binary runs in a signed world with a control socket, and commands ask it: what it knows of policies, what is
//! done to them, and what becomes of those who ask badly.
#![cfg(feature = "lab")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a test crate: it runs programs, opens sockets and files, and fails by panicking"
)]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use danelaw::lab::catalogue;
use danelaw::lab::sender::{self, Letter};
use danelaw::lab::world::World;
use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

mod service;

use service::Service;

/// Domains of the lab, with what their policies come to.
const ENFORCED: &str = "sts-enforce-match";
const REFUSED: &str = "sts-enforce-wrong-name";
const TESTING: &str = "sts-testing";

async fn world() -> World {
    let wanted = catalogue::all().into_iter().filter(|scenario| {
        [ENFORCED, REFUSED].contains(&scenario.name) || scenario.name.starts_with(TESTING)
    });
    World::of(wanted.collect()).await.unwrap()
}

/// A configuration with its folder.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    fn socket(&self) -> PathBuf {
        self.path("control.sock")
    }

    /// The configuration for the daemon and for the commands, without a listener.
    fn configure(&self, world: &World, more: &str) -> String {
        let text = format!(
            "[dns]\nresolvers = [\"{}\"]\ntrust_anchor = \"{}\"\nprobe_bogus = []\n\
             [tls]\nca_file = \"{}\"\n[mta_sts]\nport = {}\nallow_private = true\n\
             [control]\nsocket = \"{}\"\n[store]\npath = \"{}\"\n{more}",
            world.resolver,
            world.trust_anchor.display(),
            world.ca_file.display(),
            world.policy_port,
            self.socket().display(),
            self.path("danelaw.db").display(),
        );
        fs::write(self.path("danelaw.toml"), &text).unwrap();
        text
    }

    fn danelaw(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_danelaw"))
            .args(arguments)
            .arg("--config")
            .arg(self.path("danelaw.toml"))
            .output()
            .unwrap()
    }

    /// What a command prints that ends with this code.
    fn printed(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.danelaw(arguments);
        let told = format!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{told}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The objects that it prints, one a line.
    fn objects(&self, code: i32, arguments: &[&str]) -> Vec<Value> {
        let text = self.printed(code, arguments);
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

async fn deliver(service: &Service, world: &World, name: &str) -> String {
    let mut stages = world.stages().iter();
    let stage = stages.find(|stage| stage.scenario.name == name).unwrap();
    let letter = Letter {
        recipient: &stage.recipient,
        destination: stage.destination,
        message: b"Subject: hello\r\n\r\nhello\r\n",
    };
    sender::send(service.address, &letter)
        .await
        .unwrap()
        .decisive
}

fn domains(objects: &[Value]) -> Vec<&str> {
    objects
        .iter()
        .map(|object| object["domain"].as_str().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policies_are_listed_shown_refreshed_and_dropped_while_the_proxy_runs_and_when_it_does_not()
{
    let world = world().await;
    let place = Place::new();
    let service = Service::start(&place.configure(&world, ""));
    assert_eq!(
        place.objects(0, &["policy", "list", "--json"]),
        [Value::Null; 0]
    );
    place.printed(1, &["policy", "show", "sts-enforce-match.test"]);
    assert!(
        deliver(&service, &world, ENFORCED)
            .await
            .starts_with("250 ")
    );
    assert!(deliver(&service, &world, REFUSED).await.starts_with("451 "));

    let both = ["sts-enforce-match.test", "sts-enforce-wrong-name.test"];
    let listed = place.objects(0, &["policy", "list", "--json", "--mode", "enforce"]);
    assert_eq!(domains(&listed), both);
    assert_eq!(listed[0]["policy"]["in_force"], true);
    assert_eq!(
        place
            .objects(0, &["policy", "list", "--json", "--mode", "none"])
            .len(),
        0
    );
    assert_eq!(
        place
            .objects(0, &["policy", "list", "--json", "--expiring", "0"])
            .len(),
        0
    );
    assert_eq!(
        place
            .objects(0, &["policy", "list", "--json", "--expiring", "9999"])
            .len(),
        2
    );

    let shown = place.printed(0, &["policy", "show", both[0]]);
    for part in [
        "mode      enforce",
        "announces id",
        "no failure",
        "  version: STSv1",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    let anew = place.objects(0, &["policy", "refresh", "--all", "--json"]);
    assert_eq!(anew.len(), 2);
    assert!(anew.iter().all(|one| one["outcome"] == "same"), "{anew:#?}");
    let anew = place.objects(0, &["policy", "refresh", "nobody.test", "--json"]);
    assert_eq!(anew[0]["outcome"], "no-policy");

    let said = place.printed(0, &["policy", "drop", both[0]]);
    assert!(said.contains("a first one"), "{said}");
    place.printed(1, &["policy", "show", both[0]]);
    service.signal(Signal::SIGTERM);
    assert_eq!(service.ended(), Some(0));
    assert!(!place.socket().exists(), "the socket goes with the proxy");

    // Without a daemon the store is asked: what was dropped is gone there too, the other is not.
    let listed = place.objects(0, &["policy", "list", "--json"]);
    assert_eq!(domains(&listed), both[1..]);
    let anew = place.objects(0, &["policy", "refresh", both[0], "--json"]);
    assert_eq!(anew[0]["outcome"], "new", "{anew:#?}");
    assert_eq!(
        domains(&place.objects(0, &["policy", "list", "--json"])),
        both
    );
}
