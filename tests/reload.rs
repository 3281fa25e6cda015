//! The real binary reads its configuration anew: by `danelaw reload`, by SIGHUP, and not at all when it is wrong.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test crate of its own: it does IO, and a panic is how a test fails"
)]

mod service;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Output;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use service::Service;

const DNS: &str = "[dns]\nresolvers = [\"127.0.0.1:9\"]\nprobe_good = \"\"\nprobe_bogus = []\n[control]\nsocket = \"control.sock\"\n";

fn configuration(top: &str, rest: &str) -> String {
    format!("{top}\n{DNS}{rest}")
}

/// Does it talk to one more client?
fn serves(service: &Service) -> Option<TcpStream> {
    let mut client = TcpStream::connect(service.address).unwrap();
    client.write_all(&[5, 1, 0]).unwrap();
    let mut answer = [0; 2];
    // One too many is closed unheard.
    (client.read_exact(&mut answer).is_ok() && answer == [5, 0]).then_some(client)
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

#[test]
fn new_sessions_begin_with_what_the_file_says_now() {
    let service = Service::start(&configuration("max_sessions = 1", ""));
    let _first = serves(&service).unwrap();
    assert!(serves(&service).is_none(), "one is all there may be");
    service.configure(&configuration("max_sessions = 2", ""));
    let reload = service.command(&["reload", "--json"]);
    assert_eq!(reload.status.code(), Some(0), "{reload:?}");
    let changed = json!([{"key": "max_sessions", "was": 1, "is": 2}]);
    let expected = json!({"applied": {"changed": changed, "files": [], "needs_restart": []}});
    assert_eq!(json(&reload), expected);
    let _second = serves(&service).unwrap();
    assert!(serves(&service).is_none());
    let reload = service.command(&["reload"]);
    let said = String::from_utf8(reload.stdout).unwrap();
    assert_eq!(said, "nothing is new for new sessions\n");
}

#[test]
fn a_configuration_with_faults_changes_nothing_and_each_is_told() {
    let service = Service::start(&configuration("max_sessions = 1", ""));
    let _first = serves(&service).unwrap();
    service.configure(&configuration(
        "max_sessions = 2\nno_such_key = 1",
        "[log]\nformat = 7\n",
    ));
    let socket = service.path("control.sock");
    let socket = socket.to_str().unwrap();
    for words in [&["reload"][..], &["reload", "--socket", socket]] {
        let reload = service.command(words);
        assert_eq!(reload.status.code(), Some(1), "{reload:?}");
        let said = String::from_utf8(reload.stderr).unwrap();
        assert!(
            said.contains("no_such_key") && said.contains("log.format"),
            "{said}"
        );
    }
    service.signal(Signal::SIGHUP);
    // By the socket, and by the signal.
    for key in ["no_such_key", "log.format", "no_such_key", "log.format"] {
        let line = service.logged(key);
        assert!(line.contains("refused, nothing has changed"), "{line}");
    }
    // The values are right, and a file that one of them names is not.
    service.configure(&configuration(
        "max_sessions = 2",
        "[tls]\nca_file = \"missing.pem\"\n",
    ));
    let reload = service.command(&["reload"]);
    assert_eq!(reload.status.code(), Some(1), "{reload:?}");
    let said = String::from_utf8(reload.stderr).unwrap();
    assert!(said.contains("tls.ca_file"), "{said}");
    assert!(serves(&service).is_none(), "what was in force still is");
}

#[test]
fn sighup_does_the_same_and_the_log_says_what_changed() {
    let service = Service::start(&configuration("max_sessions = 1", ""));
    service.configure(&configuration(
        "max_sessions = 3",
        "[admin]\naddress = \"127.0.0.1:0\"\n[log]\nfilter = \"debug\"\n",
    ));
    service.signal(Signal::SIGHUP);
    let line = service.logged("key=\"max_sessions\"");
    assert!(
        line.contains("was=1") || line.contains("was=\"1\""),
        "{line}"
    );
    let line = service.logged("key=\"log.filter\"");
    assert!(line.contains("changed for new sessions"), "{line}");
    let line = service.logged("key=\"admin.address\"");
    assert!(line.contains("needs a restart"), "{line}");
    service.logged("the configuration is read anew");
    let held: Vec<_> = (0..3).map(|_| serves(&service).unwrap()).collect();
    assert!(serves(&service).is_none());
    drop(held);
    service.logged("DEBUG");
}

#[test]
fn where_nobody_can_be_asked_the_exit_code_says_so() {
    let service = Service::start(
        "[dns]\nresolvers = [\"127.0.0.1:9\"]\nprobe_good = \"\"\nprobe_bogus = []\n",
    );
    let reload = service.command(&["reload"]);
    assert_eq!(reload.status.code(), Some(2), "{reload:?}");
    let said = String::from_utf8(reload.stderr).unwrap();
    assert!(said.contains("names no control.socket"), "{said}");
    let reload = service.command(&["reload", "--socket", "/nowhere/control.sock"]);
    assert_eq!(reload.status.code(), Some(2), "{reload:?}");
}
