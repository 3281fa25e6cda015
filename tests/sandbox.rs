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
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use danelaw::config::Config;
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
    sandbox::close(&required()).unwrap();
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
