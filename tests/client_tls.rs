//! The real binary as a TLS server: OpenSSL as the client, and an attacker in front of the handshake.
//!
//! ```text
//!   openssl s_client ──► bridge (speaks SOCKS5) ──► danelaw ──► a mail server without TLS
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a test crate: it runs programs, opens sockets and files, and fails by panicking"
)]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread::{self, JoinHandle};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// A proxy with a CA of its own.
struct Danelaw {
    child: Child,
    log: BufReader<ChildStderr>,
    socks5: SocketAddr,
    directory: TempDir,
}

impl Danelaw {
    fn start() -> Self {
        let directory = TempDir::new().unwrap();
        let path = |name: &str| directory.path().join(name);
        let made = Command::new(env!("CARGO_BIN_EXE_danelaw"))
            .args(["ca", "init", "--dir"])
            .arg(directory.path())
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let roots = include_str!("../testdata/config/ca.pem");
        std::fs::write(path("roots.pem"), roots).unwrap();
        let text = "[[listener]]\nkind = \"socks5\"\naddress = \"127.0.0.1:0\"\nclient_tls = \"offer\"\n\
                    [dns]\nresolvers = [\"127.0.0.1:9\"]\n[tls]\nca_file = \"roots.pem\"\n\
                    [client_tls]\nca_cert = \"ca.pem\"\nca_key = \"ca-key.pem\"\n";
        std::fs::write(path("danelaw.toml"), text).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_danelaw"))
            .args(["run", "--config"])
            .arg(path("danelaw.toml"))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let socks5 = loop {
            let mut line = String::new();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "it ended too early");
            if let Some((_, rest)) = line.split_once("listening address=") {
                break rest.split_whitespace().next().unwrap().parse().unwrap();
            }
        };
        Self {
            child,
            log,
            socks5,
            directory,
        }
    }

    /// Ends it; gives its last session line.
    fn stop(mut self) -> String {
        let id = Pid::from_raw(self.child.id().try_into().unwrap());
        kill(id, Signal::SIGTERM).unwrap();
        let mut log = String::new();
        self.log.read_to_string(&mut log).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0), "{log}");
        let session = |line: &&str| line.contains("danelaw::session");
        let last = log.lines().rfind(session);
        last.unwrap_or_else(|| panic!("no session in {log}"))
            .to_owned()
    }

    /// A connection to `destination` through it.
    fn connect(&self, destination: SocketAddr) -> TcpStream {
        let SocketAddr::V4(v4) = destination else {
            panic!("the test speaks IPv4")
        };
        let mut stream = TcpStream::connect(self.socks5).unwrap();
        let mut request = vec![5, 1, 0, 5, 1, 0, 1];
        request.extend_from_slice(&v4.ip().octets());
        request.extend_from_slice(&v4.port().to_be_bytes());
        stream.write_all(&request).unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer[3], 0, "{answer:?}");
        stream
    }

    /// One connection for a client that knows nothing of SOCKS5.
    fn bridge(&self, destination: SocketAddr) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let inner = self.connect(destination);
        thread::spawn(move || {
            let (outer, _) = listener.accept().unwrap();
            let there = pipe(outer.try_clone().unwrap(), inner.try_clone().unwrap());
            let back = pipe(inner, outer);
            there.join().unwrap();
            back.join().unwrap();
        });
        address
    }
}

/// Copies until the end, and passes the end on.
fn pipe(mut from: TcpStream, mut to: TcpStream) -> JoinHandle<()> {
    thread::spawn(move || {
        // Whoever has had enough closes: that is no failure of the test.
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    })
}

/// A mail server that greets as `mx.sink.example` and has no TLS. Gives the commands that it heard.
fn sink() -> (SocketAddr, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let heard = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut heard = Vec::new();
        // A proxy that hangs up early is not the sink's to judge.
        let _ = converse(stream, &mut heard);
        heard
    });
    (address, heard)
}

fn converse(mut stream: TcpStream, heard: &mut Vec<String>) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    stream.write_all(b"220 mx.sink.example ready\r\n")?;
    let mut is_message = false;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let line = line.trim_end().to_owned();
        let reply = match line.as_str() {
            "." if is_message => "250 2.0.0 taken\r\n",
            _ if is_message => "",
            "DATA" => "354 go ahead\r\n",
            "QUIT" => "221 2.0.0 bye\r\n",
            _ => "250 2.0.0 fine\r\n",
        };
        is_message = line == "DATA" || (is_message && line != ".");
        heard.push(line);
        stream.write_all(reply.as_bytes())?;
    }
}

/// None where there is no OpenSSL; in CI that is a failure.
fn openssl() -> Option<Command> {
    let found = Command::new("openssl").arg("version").output();
    if found.is_ok_and(|output| output.status.success()) {
        return Some(Command::new("openssl"));
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "the openssl program is missing"
    );
    eprintln!("skipped: the openssl program is missing");
    None
}

#[test]
fn tls_9_openssl_trusts_the_local_ca_for_the_name_that_it_asks_for() {
    for (name, version, expected) in [
        ("mx.asked.example", "-tls1_3", "TLSv1.3"),
        ("mx.asked.example", "-tls1_2", "TLSv1.2"),
        // No SNI: the name that the destination greets with.
        ("mx.sink.example", "-noservername", "TLSv1.3"),
    ] {
        let Some(mut openssl) = openssl() else {
            return;
        };
        let danelaw = Danelaw::start();
        let (destination, heard) = sink();
        let bridge = danelaw.bridge(destination);
        openssl.args(["s_client", "-starttls", "smtp", "-quiet", "-crlf"]);
        openssl.args(["-verify_return_error", "-verify_hostname", name, version]);
        if version != "-noservername" {
            openssl.args(["-servername", name]);
        }
        let client = openssl
            .args(["-connect", &bridge.to_string(), "-CAfile"])
            .arg(danelaw.directory.path().join("ca.pem"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        deliver(client);
        let session = danelaw.stop();
        assert!(
            session.contains(&format!("client_tls=\"{expected}\"")),
            "{session}"
        );
        let asked = session.contains("client_sni=\"mx.asked.example\"");
        assert_eq!(asked, name == "mx.asked.example", "{session}");
        assert!(session.contains("messages=1"), "{session}");
        let heard = heard.join().unwrap();
        assert_eq!(
            heard.iter().filter(|line| line.starts_with("MAIL")).count(),
            1
        );
        assert!(heard.contains(&"hello".to_owned()), "{heard:?}");
    }
}

/// Sends a message through a client that is told what to say by its stdin.
fn deliver(mut client: Child) {
    let envelope =
        "EHLO openssl.example\nMAIL FROM:<a@client.example>\nRCPT TO:<b@[127.0.0.1]>\nDATA\n";
    let mut input = client.stdin.take().unwrap();
    let mut output = BufReader::new(client.stdout.take().unwrap());
    for (lines, code) in [
        (envelope, "354 "),
        ("hello\n.\n", "250 2.0.0 taken"),
        ("QUIT\n", "221 "),
    ] {
        input.write_all(lines.as_bytes()).unwrap();
        let mut line = String::new();
        while !line.starts_with(code) {
            line.clear();
            if output.read_line(&mut line).unwrap() == 0 {
                panic!("it ended before {code}: {:?}", client.wait_with_output());
            }
        }
    }
    drop(input);
    client.wait().unwrap();
}

/// Commands in one segment with STARTTLS, and cut off from it at every octet of the border.
#[test]
fn dn_01_injected_commands_never_reach_the_mx_or_get_a_reply() {
    let group = b"STARTTLS\r\nMAIL FROM:<x@evil.example>\r\nRCPT TO:<b@[127.0.0.1]>\r\nDATA\r\n";
    for cut in [group.len(), 1, 8, 9, 10, 11, 12, 20] {
        let danelaw = Danelaw::start();
        let (destination, heard) = sink();
        let mut client = danelaw.connect(destination);
        client.set_nodelay(true).unwrap();
        let mut reader = BufReader::new(client.try_clone().unwrap());
        client.write_all(b"EHLO attacker.example\r\n").unwrap();
        let mut line = String::new();
        while !line.starts_with("250 ") {
            line.clear();
            assert_ne!(reader.read_line(&mut line).unwrap(), 0);
        }
        client.write_all(&group[..cut]).unwrap();
        let mut replies = Vec::new();
        if cut == b"STARTTLS\r\n".len() {
            reader.read_until(b'\n', &mut replies).unwrap();
        }
        // The proxy may have closed already.
        let _ = client.write_all(&group[cut..]);
        let _ = reader.read_to_end(&mut replies);
        drop((reader, client));
        let text = String::from_utf8_lossy(&replies);
        assert!(
            !text.contains("503") && !text.contains("\n250") && !text.contains("354"),
            "{cut}: {text}"
        );
        let session = danelaw.stop();
        assert!(session.contains("recipients=0"), "{cut}: {session}");
        let is_refused = session.contains("end=\"refused\"") && text.starts_with("421 4.7.0 ");
        let is_broken = session.contains("client_tls=\"failed\"") && text.starts_with("220 ");
        assert!(is_refused || is_broken, "{cut}: {text} {session}");
        let heard = heard.join().unwrap();
        let is_control = |line: &String| ["EHLO", "QUIT"].iter().any(|verb| line.starts_with(verb));
        assert!(heard.iter().all(is_control), "{cut}: {heard:?}");
    }
}
