//! Two proxies that share a real database under load: one is killed, the database goes and comes back, and what one of
//! them has learnt holds for both throughout.
#![cfg(feature = "lab")]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test crate: it runs programs, asks them by HTTP, and fails by panicking"
)]

#[path = "../src/store/postgres/server.rs"]
mod server;
mod service;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use danelaw::lab::catalogue;
use danelaw::lab::sender::{Letter, send};
use danelaw::lab::world::World;
use nix::sys::signal::Signal;
use server::Server;
use service::Service;
use tokio::runtime::Runtime;

/// Its certificate names another host: an enforced policy refuses it, and without a policy it gets the mail.
const FORGED: &str = "sts-enforce-wrong-name";
const GENUINE: &str = "sts-enforce-match";

/// Where no policy host answers: a node that asks here learns nothing itself.
const NOWHERE: u16 = 1;

struct Lab {
    runtime: Runtime,
    world: World,
    folder: tempfile::TempDir,
}

struct Node {
    service: Service,
    admin: SocketAddr,
}

impl Lab {
    fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let scenarios = catalogue::all().into_iter();
        let scenarios = scenarios
            .filter(|one| [FORGED, GENUINE].contains(&one.name))
            .collect();
        let world = runtime.block_on(World::of(scenarios)).unwrap();
        Self {
            runtime,
            world,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn start(&self, url: &str, snapshot: &str, policy_port: u16) -> Node {
        let World {
            resolver,
            trust_anchor,
            ca_file,
            ..
        } = &self.world;
        let snapshot = self.folder.path().join(snapshot);
        let (trust_anchor, ca_file) = (trust_anchor.display(), ca_file.display());
        let service = Service::start(&format!(
            "[dns]\nresolvers = [\"{resolver}\"]\ntrust_anchor = \"{trust_anchor}\"\nprobe_good = \"\"\nprobe_bogus = []\n\
             [tls]\nca_file = \"{ca_file}\"\n\
             [mta_sts]\nport = {policy_port}\nallow_private = true\ntimeout = \"5s\"\n\
             [store]\nurl = \"{url}\"\nsnapshot = \"{}\"\n\
             [admin]\naddress = \"127.0.0.1:0\"\n\
             [upstream]\nkeep_source = false\n",
            snapshot.display()
        ));
        let line = service.logged("state and metrics address=");
        let (_, address) = line.split_once("address=").unwrap();
        let admin = address.trim().parse().unwrap();
        Node { service, admin }
    }

    /// What the proxy has said at the end.
    fn mail(&self, node: &Node, scenario: &str) -> String {
        let stages = self.world.stages();
        let stage = stages
            .iter()
            .find(|stage| stage.scenario.name == scenario)
            .unwrap();
        let letter = Letter {
            recipient: &stage.recipient,
            destination: stage.destination,
            message: b"Subject: x\r\n\r\nx\r\n",
        };
        let sent = self.runtime.block_on(send(node.service.address, &letter));
        sent.unwrap().decisive
    }

    /// Mail passes where it may, and not where it may not.
    fn enforced(&self, node: &Node, when: &str) {
        let refused = self.mail(node, FORGED);
        assert!(refused.starts_with('4'), "{when}: {refused}");
        assert!(
            refused.contains("MTA-STS") || refused.contains("sts"),
            "{when}: {refused}"
        );
        let passed = self.mail(node, GENUINE);
        assert!(passed.starts_with('2'), "{when}: {passed}");
    }

    /// Mail goes on until the page says so, or ceases to.
    fn until(&self, nodes: &[&Node], when: &str, holds: impl Fn(&str) -> bool) {
        for _ in 0..2000 {
            for node in nodes {
                self.enforced(node, when);
            }
            if nodes.iter().all(|node| holds(&node.page("/readyz"))) {
                return;
            }
        }
        panic!("{when}: {}", nodes[0].page("/readyz"));
    }
}

impl Node {
    fn page(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.admin).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).unwrap();
        page
    }

    fn kill(self) {
        self.service.signal(Signal::SIGKILL);
        self.service.ended();
    }
}

#[test]
fn sts_60_two_proxies_share_a_database_that_goes_and_comes_back_and_enforcement_never_loosens() {
    let Some(mut database) = Server::start() else {
        return;
    };
    let lab = Lab::new();
    let url = database.url();
    // Without the policy the forged host gets its mail.
    let three = lab.start(&url, "three.db", NOWHERE);
    assert!(lab.mail(&three, FORGED).starts_with('2'));
    let one = lab.start(&url, "one.db", lab.world.policy_port);
    lab.enforced(&one, "learnt");
    let heard = (0..2000).any(|_| lab.mail(&three, FORGED).starts_with('4'));
    assert!(heard, "a running node hears of it");
    lab.enforced(&three, "heard while it runs");
    // From here on nobody can learn the policy again, and two never could.
    let two = lab.start(&url, "two.db", NOWHERE);
    lab.enforced(&two, "heard from the other");
    one.kill();
    let one = lab.start(&url, "one.db", NOWHERE);
    lab.until(&[&one, &two], "both work", |page| {
        page.starts_with("HTTP/1.1 200")
    });

    database.stop();
    lab.until(&[&one, &two], "the database goes", |page| {
        page.starts_with("HTTP/1.1 200") && page.contains("does not answer since")
    });
    assert!(two.page("/metrics").contains("danelaw_store_up 0"));
    two.kill();
    let two = lab.start(&url, "two.db", NOWHERE);
    lab.enforced(&two, "started without the database");
    lab.until(&[&two], "started without the database", |page| {
        page.contains("does not answer since")
    });

    database.go_on();
    lab.until(&[&one, &two], "the database is back", |page| {
        page.ends_with("\r\n\r\nready\n")
    });
    assert!(two.page("/metrics").contains("danelaw_store_up 1"));
    // A node that has lost what it had learns it from the others.
    two.kill();
    forget(lab.folder.path(), "two.db");
    let two = lab.start(&url, "two.db", NOWHERE);
    lab.enforced(&two, "anew");
    // And a node that finds neither the database nor a snapshot does not start with nothing.
    two.kill();
    forget(lab.folder.path(), "two.db");
    database.stop();
    let file = one.service.path("danelaw.toml");
    let configuration = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, configuration.replace("one.db", "two.db")).unwrap();
    let alone = one.service.command(&["run"]);
    let said = String::from_utf8(alone.stderr).unwrap();
    assert_eq!(alone.status.code(), Some(2), "{said}");
    assert!(said.contains("store.snapshot"), "{said}");
    lab.enforced(&one, "at the end");
}

fn forget(folder: &Path, snapshot: &str) {
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(folder.join(format!("{snapshot}{suffix}")));
    }
}
