//! What the real binary tells the service manager that has started it; the service manager is the test.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test crate of its own: it does IO, and a panic is how a test fails"
)]

mod service;

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use nix::sys::signal::Signal;
use service::Service;

const CONFIGURATION: &str =
    "[dns]\nresolvers = [\"127.0.0.1:9\"]\nprobe_good = \"\"\nprobe_bogus = []\n";

/// Often enough for a test.
const WATCHDOG: &str = "400000";

/// Reads what is said until all of `words` are in one of the datagrams; gives what came before it.
fn hear(manager: &UnixDatagram, words: &str) -> Vec<String> {
    let mut before = Vec::new();
    // For a proxy that has died: no test waits for ever.
    manager
        .set_read_timeout(Some(Duration::from_mins(1)))
        .unwrap();
    loop {
        let mut heard = [0; 4096];
        let length = manager.recv(&mut heard).unwrap();
        let heard = String::from_utf8(heard[..length].to_vec()).unwrap();
        if words
            .split('\n')
            .all(|word| heard.lines().any(|line| line == word))
        {
            return before;
        }
        before.push(heard);
    }
}

#[test]
fn the_service_manager_hears_of_the_start_of_life_and_of_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    let service = Service::supervised(path.to_str().unwrap(), WATCHDOG, CONFIGURATION);
    let before = hear(&manager, "READY=1\nSTATUS=serving");
    assert!(
        !before.iter().any(|word| word.contains("READY")),
        "{before:?}"
    );
    hear(&manager, "WATCHDOG=1");
    hear(&manager, "WATCHDOG=1");
    service.signal(Signal::SIGTERM);
    hear(&manager, "STOPPING=1");
    assert_eq!(service.ended(), Some(0));
}

#[test]
fn the_abstract_namespace_is_as_good() {
    let name = format!("danelaw-supervised-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let manager = UnixDatagram::bind_addr(&address).unwrap();
    let _service = Service::supervised(&format!("@{name}"), WATCHDOG, CONFIGURATION);
    hear(&manager, "READY=1");
}

#[test]
fn a_service_manager_that_is_not_there_is_told_of_and_mail_flows() {
    let service = Service::supervised("/nowhere/at/all", WATCHDOG, CONFIGURATION);
    service.logged("the service manager hears nothing");
    service.signal(Signal::SIGTERM);
    assert_eq!(service.ended(), Some(0));
}
