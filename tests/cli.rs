//! The real binary: its help, its exit codes, and what it says when it cannot start.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a test crate: it runs programs, opens sockets and files, and fails by panicking"
)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

fn danelaw(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_danelaw"))
        .args(arguments)
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A directory with a configuration in it.
struct Files {
    directory: TempDir,
}

impl Files {
    fn with(configuration: &str) -> Self {
        let directory = TempDir::new().unwrap();
        fs::write(directory.path().join("danelaw.toml"), configuration).unwrap();
        Self { directory }
    }

    fn path(&self) -> String {
        let path = self.directory.path().join("danelaw.toml");
        path.to_str().unwrap().to_owned()
    }
}

/// What a proxy needs to start without the system's resolvers, CAs or a network.
fn offline(directory: &Path, rest: &str) -> String {
    fs::write(
        directory.join("ca.pem"),
        include_str!("../testdata/config/ca.pem"),
    )
    .unwrap();
    format!(
        "[dns]\nresolvers = [\"127.0.0.1:9\"]\n[tls]\nca_file = \"ca.pem\"\n\
         [intercept]\ncanary = false\nwatch = \"off\"\n{rest}"
    )
}

/// A proxy that runs, with the addresses it logged.
struct Running {
    child: Child,
    log: BufReader<ChildStderr>,
    addresses: Vec<SocketAddr>,
    _files: Files,
}

impl Running {
    fn start(listeners: &[&str]) -> Self {
        let files = Files::with("");
        let tables: String = listeners
            .iter()
            .map(|kind| format!("[[listener]]\nkind = \"{kind}\"\naddress = \"127.0.0.1:0\"\n"))
            .collect();
        let text = offline(files.directory.path(), &tables);
        fs::write(files.path(), text).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_danelaw"))
            .args(["run", "--config", &files.path()])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let mut running = Self {
            child,
            log,
            addresses: Vec::new(),
            _files: files,
        };
        while running.addresses.len() < listeners.len() {
            let line = running.line();
            assert!(!line.is_empty(), "the proxy ended before it listened");
            if let Some((_, rest)) = line.split_once("listening address=") {
                let address = rest.split_whitespace().next().unwrap();
                running.addresses.push(address.parse().unwrap());
            }
        }
        running
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.log.read_line(&mut line).unwrap();
        line
    }

    /// Ends it by a signal; gives the exit code and the rest of the log.
    fn stop(mut self, signal: Signal) -> (Option<i32>, String) {
        let id = Pid::from_raw(self.child.id().try_into().unwrap());
        kill(id, signal).unwrap();
        let mut rest = String::new();
        self.log.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code(), rest)
    }
}

#[test]
fn every_command_has_help_with_examples_and_the_program_lists_its_exit_codes() {
    for arguments in [
        &["--help"][..],
        &["run", "--help"],
        &["check", "--help"],
        &["config", "--help"],
        &["config", "check", "--help"],
        &["config", "show", "--help"],
        &["ca", "--help"],
        &["ca", "init", "--help"],
        &["ca", "show", "--help"],
        &["except", "--help"],
        &["except", "add", "--help"],
        &["except", "list", "--help"],
        &["except", "renew", "--help"],
        &["except", "remove", "--help"],
        &["report", "--help"],
        &["report", "would-refuse", "--help"],
        &["dane", "--help"],
        &["dane", "verify", "--help"],
        &["dane", "record", "--help"],
        &["dane", "rollover", "--help"],
        &["sts", "--help"],
        &["sts", "lint", "--help"],
        &["health", "--help"],
        &["completions", "--help"],
        &["man", "--help"],
        #[cfg(feature = "lab")]
        &["demo", "--help"],
    ] {
        let output = danelaw(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(stdout(&output).contains("Examples:"), "{arguments:?}");
    }
    let output = danelaw(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stdout(&output).contains("Exit codes:"));
    let output = danelaw(&["--version"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stdout(&output).starts_with("danelaw "));
}

#[test]
fn a_wrong_command_line_is_exit_code_64() {
    for arguments in [
        &[][..],
        &["walk"],
        &["run", "--confg", "x"],
        &["config"],
        &["config", "check", "--config"],
        &["ca"],
        &["ca", "init", "--days", "0"],
        &["ca", "init", "--name", ""],
        &["ca", "show", "--dir", ".", "--config", "x"],
    ] {
        let output = danelaw(arguments);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn config_check_tells_all_problems_and_whether_there_are_any() {
    for (what, text, code, told) in [
        ("an empty file", "", 0, vec!["ok"]),
        (
            "two problems",
            "max_session = 1\n[dns]\ntimeout = \"soon\"\n",
            1,
            vec![
                "danelaw.toml:1 max_session: ",
                "danelaw.toml:3 dns.timeout: ",
            ],
        ),
        (
            "a file that is not there",
            "[tls]\nca_file = \"missing.pem\"\n",
            1,
            vec!["danelaw.toml:2 tls.ca_file: expected a file of CA certificates, got "],
        ),
    ] {
        let files = Files::with(text);
        let output = danelaw(&["config", "check", "--config", &files.path()]);
        assert_eq!(output.status.code(), Some(code), "{what}");
        let lines = stdout(&output);
        assert_eq!(lines.lines().count(), told.len(), "{what}: {lines}");
        for (line, part) in lines.lines().zip(told) {
            assert!(line.contains(part), "{what}: {line}");
        }
    }
    let output = danelaw(&["config", "check", "--config", "/nowhere/danelaw.toml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("/nowhere/danelaw.toml"));
}

#[test]
fn a_store_beside_the_file_is_found_from_the_directory_that_holds_both() {
    let files = Files::with("[store]\npath = \"danelaw.db\"\n");
    let output = Command::new(env!("CARGO_BIN_EXE_danelaw"))
        .args(["config", "check", "--config", "danelaw.toml"])
        .current_dir(files.directory.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
}

#[test]
fn a_reader_that_goes_away_leaves_no_answer_and_no_complaint() {
    let files = Files::with("");
    for arguments in [
        &["config", "check", "--config"][..],
        &["config", "show", "--config"],
        &["check", "--resolver=127.0.0.1:9", "a..b", "--config"],
        &[
            "dns",
            "--resolver=127.0.0.1:9",
            "localhost",
            "A",
            "--config",
        ],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = Command::new(env!("CARGO_BIN_EXE_danelaw"))
            .args(arguments)
            .arg(files.path())
            .stdout(writer)
            .output()
            .unwrap();
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
        assert_eq!(told, "", "{arguments:?}");
    }
}

#[test]
fn config_check_and_show_speak_json() {
    let files = Files::with("[dns]\ntimeout = 1\n");
    let output = danelaw(&["config", "check", "--json", "--config", &files.path()]);
    assert_eq!(output.status.code(), Some(1));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["ok"], false);
    assert_eq!(told["problems"][0]["key"], "dns.timeout");
    assert_eq!(told["problems"][0]["line"], 2);

    let files = Files::with("[dns]\ntimeout = \"1s\"\n");
    let output = danelaw(&["config", "check", "--json", "--config", &files.path()]);
    assert_eq!(output.status.code(), Some(0));
    let output = danelaw(&["config", "show", "--json", "--config", &files.path()]);
    let shown: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let settings = shown.as_array().unwrap();
    let timeout = settings
        .iter()
        .find(|one| one["table"] == "dns" && one["key"] == "timeout")
        .unwrap();
    assert_eq!(timeout["value"], "1s");
    assert_eq!(timeout["line"], 2);
}

#[test]
fn config_show_tells_the_origin_of_each_value_and_can_be_read_again() {
    let files = Files::with("\n[dns]\ntimeout = \"1s\"\n");
    let shown = stdout(&danelaw(&["config", "show", "--config", &files.path()]));
    let line = |start: &str| {
        let found = shown.lines().find(|line| line.starts_with(start));
        found.unwrap_or_else(|| panic!("{start} in {shown}"))
    };
    assert!(line("timeout = \"1s\"").ends_with("# line 3"));
    assert!(line("max_sessions = 1000").ends_with("# default"));
    let again = Files::with(&shown);
    let output = danelaw(&["config", "check", "--config", &again.path()]);
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn dns_21_sts_09_what_it_cannot_do_without_keeps_it_from_starting_with_one_error() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap();
    let busy = format!("[[listener]]\nkind = \"redirect\"\naddress = \"{port}\"\n");
    for (what, text, told) in [
        ("a port in use", busy.as_str(), port.to_string()),
        (
            "a trust anchor that is not there",
            "[dns]\ntrust_anchor = \"root.key\"",
            "root.key".to_owned(),
        ),
        (
            "a trust anchor that is none",
            "[dns]\ntrust_anchor = \"danelaw.toml\"",
            "danelaw.toml".to_owned(),
        ),
        (
            "CAs that are none",
            "[tls]\nca_file = \"danelaw.toml\"",
            "danelaw.toml".to_owned(),
        ),
        (
            "a store that is none",
            "[store]\npath = \"danelaw.toml\"",
            "danelaw.toml".to_owned(),
        ),
    ] {
        let files = Files::with("");
        let offline = offline(files.directory.path(), "");
        let text = if text.starts_with("[dns]") || text.starts_with("[tls]") {
            text.to_owned()
        } else {
            format!("{offline}{text}")
        };
        fs::write(files.path(), text).unwrap();
        let output = danelaw(&["run", "--config", &files.path()]);
        assert_eq!(output.status.code(), Some(2), "{what}");
        let complaints = stderr(&output);
        let errors = complaints.lines().filter(|line| line.contains(&told));
        assert_eq!(errors.count(), 1, "{what}: {complaints}");
        let twice = complaints.matches("(os error").count();
        assert!(twice <= 1, "{what}: {complaints}");
    }
}

#[test]
fn net_02_a_direct_connection_to_a_redirect_listener_is_refused_and_closed() {
    let running = Running::start(&["redirect"]);
    let mut client = TcpStream::connect(running.addresses[0]).unwrap();
    let mut heard = String::new();
    client.read_to_string(&mut heard).unwrap();
    assert!(heard.starts_with("421 4.3.2 "), "{heard:?}");
    assert_eq!(heard.matches("\r\n").count(), 1, "{heard:?}");
    let (code, log) = running.stop(Signal::SIGTERM);
    assert_eq!(code, Some(0));
    let refused = log.lines().filter(|line| line.contains("refused"));
    assert_eq!(refused.count(), 1, "{log}");
}

#[test]
fn net_01_a_socks_client_cannot_make_the_proxy_connect_to_itself() {
    let running = Running::start(&["socks5", "redirect"]);
    for address in &running.addresses {
        let SocketAddr::V4(v4) = address else {
            panic!("{address}")
        };
        let mut client = TcpStream::connect(running.addresses[0]).unwrap();
        let mut request = vec![5, 1, 0, 5, 1, 0, 1];
        request.extend_from_slice(&v4.ip().octets());
        request.extend_from_slice(&v4.port().to_be_bytes());
        client.write_all(&request).unwrap();
        let mut heard = Vec::new();
        client.read_to_end(&mut heard).unwrap();
        assert_eq!(heard, [5, 0, 5, 2, 0, 1, 0, 0, 0, 0, 0, 0], "{address}");
    }
    let (code, _) = running.stop(Signal::SIGINT);
    assert_eq!(code, Some(0));
}
