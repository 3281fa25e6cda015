//! What the real binary cannot do once it serves, as the kernel says; and the same sandbox around this test, which then
//! tries what an intruder would.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test crate of its own: it does IO, and a panic is how a test fails"
)]

mod service;

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use danelaw::config::{Config, StorePlace};
use danelaw::privilege::sandbox;
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::Signal;
use service::Service;

const DNS: &str = "[dns]\nresolvers = [\"127.0.0.1:9\"]\nprobe_good = \"\"\nprobe_bogus = []\n";

/// A line of each thread's `status`.
fn of_all_threads(service: &Service, key: &str) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{}/task", service.id())).unwrap();
    let statuses = threads.map(|thread| fs::read_to_string(thread.unwrap().path().join("status")));
    let value = |status: String| {
        let mut lines = status.lines();
        let line = lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        line.unwrap().trim().to_owned()
    };
    // A thread may have ended since it was listed.
    statuses.map_while(Result::ok).map(value).collect()
}

#[test]
fn the_kernel_filters_the_calls_of_every_thread() {
    let service = Service::start(DNS);
    service.logged("the sandbox is closed");
    let filtered = of_all_threads(&service, "Seccomp");
    assert!(
        filtered.len() > 1 && filtered.iter().all(|mode| mode == "2"),
        "{filtered:?}"
    );
    let fixed = of_all_threads(&service, "NoNewPrivs");
    assert!(fixed.iter().all(|is| is == "1"), "{fixed:?}");
    service.signal(Signal::SIGTERM);
    assert_eq!(service.ended(), Some(0));
}

#[test]
fn what_is_off_is_off_and_ready_says_so() {
    let service = Service::start(&format!(
        "{DNS}[run]\nsandbox = \"off\"\n[admin]\naddress = \"127.0.0.1:0\"\n"
    ));
    let filtered = of_all_threads(&service, "Seccomp");
    assert!(filtered.iter().all(|mode| mode == "0"), "{filtered:?}");
    let line = service.logged("state and metrics");
    let address = line
        .split("address=")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap();
    let mut asked = TcpStream::connect(address).unwrap();
    write!(
        asked,
        "GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    asked.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(
        answer.contains("sandbox: run.sandbox is \"off\""),
        "{answer}"
    );
}

/// Set in the process that is inside.
const INSIDE: &str = "DANELAW_TEST_INSIDE";

/// Runs this one test in a process of its own, where `INSIDE` is set.
fn inside(test: &str) {
    let this = std::env::current_exe().unwrap();
    let ended = Command::new(this)
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .output();
    let ended = ended.unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(
        ended.status.success() && said.contains("1 passed"),
        "{ended:?}"
    );
}

fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

fn required() -> Config {
    let mut config = Config::default();
    config.run.sandbox = danelaw::config::Sandbox::Required;
    config
}

#[test]
fn no_program_no_process_and_no_name_space_comes_of_an_intruder() {
    if !is_inside() {
        return inside("no_program_no_process_and_no_name_space_comes_of_an_intruder");
    }
    // What it can do before.
    assert!(Command::new("/bin/true").status().unwrap().success());
    unshare(CloneFlags::CLONE_FS).unwrap();
    sandbox::close(&required(), &[]).unwrap();
    let started = Command::new("/bin/true").status().unwrap_err();
    assert_eq!(started.raw_os_error(), Some(Errno::EPERM as i32));
    let argument = [c"/bin/true"];
    assert_eq!(
        nix::unistd::execv(argument[0], &argument),
        Err(Errno::EPERM)
    );
    assert_eq!(unshare(CloneFlags::CLONE_FS), Err(Errno::EPERM));
    assert_eq!(nix::unistd::chroot("/"), Err(Errno::EPERM));
    assert_eq!(
        nix::unistd::setuid(nix::unistd::getuid()),
        Err(Errno::EPERM)
    );
    // Threads are what it lives by.
    assert_eq!(std::thread::spawn(|| 25).join().unwrap(), 25);
}

#[test]
fn an_intruder_reads_and_writes_what_the_configuration_needs_and_nothing_else() {
    if !is_inside() {
        return inside(
            "an_intruder_reads_and_writes_what_the_configuration_needs_and_nothing_else",
        );
    }
    let all = tempfile::tempdir().unwrap();
    let at = |name: &str| all.path().join(name);
    for folder in ["config", "store", "control", "cas", "other"] {
        fs::create_dir(at(folder)).unwrap();
        fs::write(at(folder).join("there"), "x").unwrap();
    }
    let mut config = required();
    config.store.place = StorePlace::File(at("store").join("danelaw.db"));
    config.control = Some(at("control").join("socket"));
    config.ca_file = Some(at("cas").join("there"));
    config.dns.resolvers = vec!["127.0.0.1:9".parse().unwrap()];
    let sandboxed = sandbox::close(&config, &[at("config").join("danelaw.toml")]).unwrap();
    let can_read = |path: &Path| fs::read(path).map_err(|error| error.kind());
    let can_write = |path: &Path| fs::write(path, "y").map_err(|error| error.kind());
    for (folder, read, write) in [
        ("config", true, false),
        ("cas", true, false),
        ("store", true, true),
        ("control", true, true),
        ("other", false, false),
    ] {
        let there = at(folder).join("there");
        assert_eq!(can_read(&there).map(drop), may(read), "read {folder}");
        assert_eq!(can_write(&there), may(write), "write {folder}");
        assert_eq!(
            can_write(&at(folder).join("new")),
            may(write),
            "make {folder}"
        );
    }
    assert_eq!(can_read(Path::new("/etc/passwd")).map(drop), may(false));
    // What a reload would trip over, and what it would not.
    assert!(sandboxed.faults(&config).is_empty());
    config.ca_file = Some(at("other").join("there"));
    let faults = sandboxed.faults(&config);
    assert!(
        faults.len() == 1 && faults[0].starts_with("tls.ca_file: "),
        "{faults:?}"
    );
}

#[allow(clippy::fn_params_excessive_bools, reason = "one is not too many")]
const fn may(can: bool) -> Result<(), ErrorKind> {
    if can {
        Ok(())
    } else {
        Err(ErrorKind::PermissionDenied)
    }
}

#[test]
fn a_reload_that_names_a_file_elsewhere_changes_nothing_and_says_what_to_do() {
    let elsewhere = tempfile::tempdir().unwrap();
    let anchor = elsewhere.path().join("root.key");
    fs::write(
        &anchor,
        ". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D\n",
    )
    .unwrap();
    let with = |anchor: &Path| {
        format!(
            "{DNS}trust_anchor = {anchor:?}\n[control]\nsocket = \"control.sock\"\n[store]\npath = \"state.db\"\n"
        )
    };
    let service = Service::start(&format!(
        "{DNS}[control]\nsocket = \"control.sock\"\n[store]\npath = \"state.db\"\n"
    ));
    service.logged("commands are answered");
    service.configure(&with(&anchor));
    let refused = service.command(&["reload"]);
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&refused.stderr),
        String::from_utf8_lossy(&refused.stdout)
    );
    assert!(!refused.status.success(), "{said}");
    assert!(
        said.contains("dns.trust_anchor") && said.contains("needs a restart"),
        "{said}"
    );
    // A file that has come since, beside its configuration, is read.
    let beside = service.path("root.key");
    fs::copy(&anchor, &beside).unwrap();
    service.configure(&with(&beside));
    let applied = service.command(&["reload"]);
    assert!(applied.status.success(), "{applied:?}");
}
