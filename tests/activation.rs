//! Sockets that a service manager has bound: danelaw is started as systemd starts it, with the socket as descriptor 3.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::expect_used,
    clippy::panic,
    reason = "a test crate of its own: it does IO, and a panic is how a test fails"
)]

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// A running danelaw; killed when it is dropped.
struct Service {
    child: Child,
    _directory: TempDir,
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts danelaw with `socket` as descriptor 3, and with these variables.
fn start(socket: impl Into<OwnedFd>, listener: &str, variables: &str) -> Service {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("danelaw.toml");
    let configuration = format!(
        "[[listener]]\n{listener}\n[intercept]\ncanary = false\nwatch = \"off\"\n[dns]\nresolvers = [\"127.0.0.1:9\"]\nprobe_good = \"\"\nprobe_bogus = []\n"
    );
    std::fs::write(&path, configuration).expect("the configuration is written");
    // As systemd does it: the process that the variables name becomes the service.
    let script =
        format!("exec 3<&0 </dev/null; export {variables}; exec \"$0\" run --config \"$1\"");
    let child = Command::new("sh")
        .args(["-c", &script, env!("CARGO_BIN_EXE_danelaw")])
        .arg(&path)
        .stdin(Stdio::from(socket.into()))
        .stderr(Stdio::piped())
        .spawn();
    Service {
        child: child.expect("sh starts"),
        _directory: directory,
    }
}

/// What it says until it ends.
fn last_words(mut service: Service) -> String {
    let mut said = String::new();
    let mut errors = service.child.stderr.take().expect("its errors are a pipe");
    errors.read_to_string(&mut said).expect("text");
    let status = service.child.wait().expect("a child ends");
    assert_eq!(status.code(), Some(2), "{said}");
    said
}

/// What it says at the start, up to the words.
fn says(service: &mut Service, words: &str) {
    let errors = service.child.stderr.take().expect("its errors are a pipe");
    let mut lines = BufReader::new(errors).lines().map_while(Result::ok);
    let mut seen = Vec::new();
    let found = lines.any(|line| {
        seen.push(line.clone());
        line.contains(words)
    });
    assert!(found, "no {words:?} in {seen:#?}");
    // It must not find the pipe closed.
    std::thread::spawn(move || lines.for_each(drop));
}

fn listener(address: &str) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(address).expect("a port is free");
    let address = listener.local_addr().expect("it has an address");
    (listener, address)
}

const SOCKS: &str = "kind = \"socks5\"\nfd = \"smtp\"";
const SMTP: &str = "LISTEN_FDS=1 LISTEN_PID=$$ LISTEN_FDNAMES=smtp";

#[test]
fn net_04_a_socket_that_is_passed_by_name_is_served_as_the_kind_that_is_configured() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let (socket, address) = listener(address);
        // It waits in the backlog until the service is there.
        let mut early = TcpStream::connect(address).expect("it listens");
        let mut service = start(socket, SOCKS, SMTP);
        says(&mut service, &format!("address={address} via=\"socks5\""));
        std::io::Write::write_all(&mut early, &[5, 1, 0]).expect("it takes an offer");
        let mut answer = [0; 2];
        early.read_exact(&mut answer).expect("it answers");
        assert_eq!(answer, [5, 0]);
    }
}

/// What is passed as descriptor 3.
#[derive(Clone, Copy)]
enum Passed {
    Tcp,
    Connected,
    Udp,
    Unix,
    File,
}

impl Passed {
    fn descriptor(self) -> OwnedFd {
        match self {
            Self::Tcp => listener("127.0.0.1:0").0.into(),
            Self::Connected => {
                let (_listener, address) = listener("127.0.0.1:0");
                TcpStream::connect(address).expect("it listens").into()
            }
            Self::Udp => UdpSocket::bind("127.0.0.1:0")
                .expect("a port is free")
                .into(),
            Self::Unix => UnixDatagram::unbound().expect("a socket").into(),
            Self::File => std::fs::File::open("/dev/null")
                .expect("it is there")
                .into(),
        }
    }
}

#[test]
fn what_is_passed_and_what_is_configured_must_agree() {
    for (what, passed, listener, variables, words) in DISAGREEMENTS {
        let said = last_words(start(passed.descriptor(), listener, variables));
        assert!(said.contains(words), "{what}: {said}");
    }
}

type Disagreement = (
    &'static str,
    Passed,
    &'static str,
    &'static str,
    &'static str,
);

/// What is passed, the listener's table, the variables, and words of the error.
const DISAGREEMENTS: &[Disagreement] = &[
    (
        "another name",
        Passed::Tcp,
        SOCKS,
        "LISTEN_FDS=1 LISTEN_PID=$$ LISTEN_FDNAMES=other",
        "passes other: set FileDescriptorName=smtp",
    ),
    (
        "nothing at all",
        Passed::Tcp,
        SOCKS,
        "NOTHING=1",
        "the service manager passes no socket",
    ),
    (
        "for another process",
        Passed::Tcp,
        SOCKS,
        "LISTEN_FDS=1 LISTEN_PID=1 LISTEN_FDNAMES=smtp",
        "passes no socket",
    ),
    (
        "for nobody",
        Passed::Tcp,
        SOCKS,
        "LISTEN_FDS=1 LISTEN_FDNAMES=smtp",
        "passes no socket",
    ),
    (
        "too many names",
        Passed::Tcp,
        SOCKS,
        "LISTEN_FDS=1 LISTEN_PID=$$ LISTEN_FDNAMES=smtp:more",
        "cannot be understood",
    ),
    (
        "no number",
        Passed::Tcp,
        SOCKS,
        "LISTEN_FDS=one LISTEN_PID=$$ LISTEN_FDNAMES=smtp",
        "cannot be understood",
    ),
    ("UDP", Passed::Udp, SOCKS, SMTP, NO_LISTENER),
    ("a connection", Passed::Connected, SOCKS, SMTP, NO_LISTENER),
    ("a Unix socket", Passed::Unix, SOCKS, SMTP, NO_LISTENER),
    ("a file", Passed::File, SOCKS, SMTP, NO_LISTENER),
    (
        "nobody asks for it",
        Passed::Tcp,
        "kind = \"socks5\"\naddress = \"127.0.0.1:0\"",
        SMTP,
        "\"smtp\" that no [[listener]] has as its fd",
    ),
    (
        "TPROXY would not find it",
        Passed::Tcp,
        "kind = \"tproxy\"\nfd = \"smtp\"",
        SMTP,
        "set Transparent=yes",
    ),
];

const NO_LISTENER: &str = "expected a TCP socket that listens";
