//! What the real binary has given up once it serves: read from the kernel, not from its log. Started by root.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test crate of its own: it does IO, and a panic is how a test fails"
)]

mod service;

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;

use nix::sys::signal::Signal;
use nix::unistd::{User, geteuid};
use service::Service;

const DNS: &str = "[dns]\nresolvers = [\"127.0.0.1:9\"]\nprobe_good = \"\"\nprobe_bogus = []\n";

/// A user that every system has.
const USER: &str = "nobody";

/// Only root can become somebody else; a run that counts is one by root.
fn is_root() -> bool {
    let is_root = geteuid().is_root();
    assert!(
        is_root || std::env::var_os("CI").is_none(),
        "this test takes root, and CI is set"
    );
    if !is_root {
        eprintln!("skipped: it takes root");
    }
    is_root
}

fn start(top: &str, rest: &str) -> Service {
    let service = Service::start(&format!("{top}\n[run]\nuser = \"{USER}\"\n{DNS}{rest}"));
    fs::set_permissions(service.path(""), Permissions::from_mode(0o755)).unwrap();
    service
}

/// A line of `/proc/PID/status`.
fn status(service: &Service, key: &str) -> String {
    let path = format!("/proc/{}/status", service.id());
    let status = fs::read_to_string(path).unwrap();
    let mut lines = status.lines();
    let line = lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let words: Vec<&str> = line.unwrap().split_whitespace().collect();
    words.join(" ")
}

const NONE: &str = "0000000000000000";

#[test]
fn what_was_started_by_root_is_a_user_without_any_privilege() {
    if !is_root() {
        return;
    }
    let user = User::from_name(USER).unwrap().unwrap();
    let service = start("", "");
    let (uid, gid) = (user.uid.to_string(), user.gid.to_string());
    for (key, expected) in [
        ("Uid", [uid.as_str(); 4].join(" ")),
        ("Gid", [gid.as_str(); 4].join(" ")),
        ("Groups", gid),
        ("CapInh", NONE.to_owned()),
        ("CapPrm", NONE.to_owned()),
        ("CapEff", NONE.to_owned()),
        ("CapBnd", NONE.to_owned()),
        ("CapAmb", NONE.to_owned()),
        ("NoNewPrivs", "1".to_owned()),
    ] {
        assert_eq!(status(&service, key), expected, "{key}");
    }
    // What may not be dumped belongs to root, whoever the process is.
    let limits = fs::read_to_string(format!("/proc/{}/limits", service.id())).unwrap();
    let limit = |name: &str| {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
        let words: Vec<&str> = line[name.len()..].split_whitespace().collect();
        (words[0].to_owned(), words[1].to_owned())
    };
    assert_eq!(limit("Max core file size"), ("0".into(), "0".into()));
    let (soft, hard) = limit("Max open files");
    assert_eq!(soft, hard);
    let memory = fs::metadata(format!("/proc/{}/mem", service.id())).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&memory), 0);
    // It can still do what it is there for.
    service.signal(Signal::SIGHUP);
    service.logged("the configuration is read anew");
    service.signal(Signal::SIGTERM);
    assert_eq!(service.ended(), Some(0));
}

#[test]
fn a_mark_keeps_one_capability() {
    if !is_root() {
        return;
    }
    let service = start("", "[upstream]\nmark = 37\n");
    for key in ["CapPrm", "CapEff"] {
        assert_eq!(
            status(&service, key),
            "0000000000002000",
            "{key}: CAP_NET_RAW"
        );
    }
    assert_eq!(status(&service, "CapBnd"), NONE);
}

#[test]
fn net_02_connections_to_mx_hosts_are_made_by_the_user_that_the_rules_exempt() {
    if !is_root() {
        return;
    }
    let user = User::from_name(USER).unwrap().unwrap();
    let service = start("", "");
    let mx = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = mx.local_addr().unwrap().port();
    let mut client = TcpStream::connect(service.address).unwrap();
    let mut request = vec![5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1];
    request.extend(port.to_be_bytes());
    client.write_all(&request).unwrap();
    let mut answer = [0; 12];
    client.read_exact(&mut answer).unwrap();
    let (_upstream, _) = mx.accept().unwrap();
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let to = format!("0100007F:{port:04X}");
    let owner = table.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        (words[2] == to).then(|| words[7].to_owned())
    });
    assert_eq!(owner.unwrap(), user.uid.to_string());
}

#[test]
fn a_user_that_is_not_there_stops_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("danelaw.toml");
    fs::write(&path, format!("[run]\nuser = \"no-such-user-here\"\n[[listener]]\nkind = \"socks5\"\naddress = \"127.0.0.1:0\"\n{DNS}")).unwrap();
    let ended = std::process::Command::new(env!("CARGO_BIN_EXE_danelaw"))
        .args(["run", "--config"])
        .arg(&path)
        .output()
        .unwrap();
    assert_eq!(ended.status.code(), Some(2), "{ended:?}");
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(said.contains("no-such-user-here"), "{said}");
}
