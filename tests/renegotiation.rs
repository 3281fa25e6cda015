//! An MX that wants to renegotiate TLS 1.2, which danelaw does not: OpenSSL plays it, and must be told at once.
//!
//! ```text
//!   client ──► danelaw ──► an MX of a few lines ──(after its 220)──► openssl s_server
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a test crate: it runs programs, opens sockets and files, and fails by panicking"
)]

mod service;

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use service::Service;
use tempfile::TempDir;

/// Nobody answers there: recipients are address literals, which need no DNS.
const OFFLINE: &str = "[dns]\nresolvers = [\"127.0.0.1:9\"]\n";

/// `openssl s_server`: what it is told line by line it says inside TLS, and `R` is a request to renegotiate.
struct Openssl {
    child: Child,
    said: BufReader<ChildStdout>,
    orders: ChildStdin,
    address: SocketAddr,
    _directory: TempDir,
}

impl Openssl {
    fn is_missing() -> bool {
        let is_missing = Command::new("openssl").arg("version").output().is_err();
        let is_strict = std::env::var_os("CI").is_some();
        assert!(!(is_missing && is_strict), "the openssl program is missing");
        is_missing
    }

    fn start() -> Self {
        let directory = TempDir::new().unwrap();
        let path = |name: &str| directory.path().join(name);
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["mx.example".into()]).unwrap();
        std::fs::write(path("cert"), params.self_signed(&key).unwrap().pem()).unwrap();
        std::fs::write(path("key"), key.serialize_pem()).unwrap();
        let mut child = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", "-tls1_2", "-crlf"])
            .arg("-cert")
            .arg(path("cert"))
            .arg("-key")
            .arg(path("key"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let orders = child.stdin.take().unwrap();
        let mut openssl = Self {
            said: BufReader::new(child.stdout.take().unwrap()),
            child,
            orders,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            _directory: directory,
        };
        let line = openssl.hear("ACCEPT ");
        openssl.address = line.trim_start_matches("ACCEPT ").parse().unwrap();
        openssl
    }

    /// Waits for a line that begins so.
    fn hear(&mut self, start: &str) -> String {
        loop {
            let mut line = String::new();
            let count = self.said.read_line(&mut line).unwrap();
            assert_ne!(count, 0, "OpenSSL ended before {start:?}");
            if line.starts_with(start) {
                return line.trim_end().to_owned();
            }
        }
    }

    /// One write for each: `R` counts at the start of what is read.
    fn order(&mut self, line: &str) {
        self.orders
            .write_all(format!("{line}\n").as_bytes())
            .unwrap();
    }
}

impl Drop for Openssl {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Answers one connection up to STARTTLS, and leaves the rest to OpenSSL; what is returned ends when that has closed and
/// danelaw can know.
fn hand_over(listener: &TcpListener, openssl: SocketAddr) -> JoinHandle<()> {
    let (stream, _) = listener.accept().unwrap();
    let mut lines = BufReader::new(stream.try_clone().unwrap());
    for reply in [
        "220 mx.example\r\n",
        "250-mx.example\r\n250 STARTTLS\r\n",
        "220 go\r\n",
    ] {
        (&stream).write_all(reply.as_bytes()).unwrap();
        if !reply.ends_with("go\r\n") {
            assert_ne!(lines.read_line(&mut String::new()).unwrap(), 0);
        }
    }
    assert!(lines.buffer().is_empty());
    let inside = TcpStream::connect(openssl).unwrap();
    copy(&stream, &inside);
    copy(&inside, &stream)
}

fn copy(from: &TcpStream, to: &TcpStream) -> JoinHandle<()> {
    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    thread::spawn(move || {
        // Whoever has had enough closes: that is no failure of the test.
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    })
}

/// A client of danelaw; it has failed when it hears nothing for a minute.
struct Client(BufReader<TcpStream>);

impl Client {
    fn connect(proxy: SocketAddr, port: u16) -> Self {
        let mut stream = TcpStream::connect(proxy).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        let [high, low] = port.to_be_bytes();
        stream
            .write_all(&[5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, high, low])
            .unwrap();
        stream.read_exact(&mut [0; 12]).unwrap();
        Self(BufReader::new(stream))
    }

    fn say(&mut self, line: &str) {
        self.0
            .get_mut()
            .write_all(format!("{line}\r\n").as_bytes())
            .unwrap();
    }

    /// The last line of the next reply.
    fn hear(&mut self) -> String {
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).unwrap();
            if line.as_bytes().get(3) != Some(&b'-') {
                return line;
            }
        }
    }
}

/// A session up to the reply to EHLO.
fn session(
    service: &Service,
    listener: &TcpListener,
    openssl: &mut Openssl,
) -> (Client, JoinHandle<()>) {
    let port = listener.local_addr().unwrap().port();
    let mut client = Client::connect(service.address, port);
    client.say("EHLO client.example");
    let closes = hand_over(listener, openssl.address);
    openssl.hear("EHLO client.example");
    openssl.order("250 mx.example");
    for start in ["220 ", "250 "] {
        let heard = client.hear();
        assert!(heard.starts_with(start), "{heard}");
    }
    (client, closes)
}

#[test]
fn tls_16_attack_tls_13_a_request_to_renegotiate_is_declined_at_once_and_loses_no_mail() {
    if Openssl::is_missing() {
        return eprintln!("skipped: the openssl program is missing");
    }
    let service = Service::start(OFFLINE);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();

    // Between commands: OpenSSL hangs up on who declines, so that the next recipient gets another connection.
    let mut openssl = Openssl::start();
    let (mut client, closes) = session(&service, &listener, &mut openssl);
    openssl.order("R");
    openssl.hear("ERROR");
    closes.join().unwrap();
    client.say("MAIL FROM:<a@client.example>");
    assert!(client.hear().starts_with("250 "));
    client.say("RCPT TO:<b@[127.0.0.1]>");
    drop(listener.accept().unwrap());
    let heard = client.hear();
    assert!(heard.starts_with("451 4.4.2 server-lost"), "{heard}");

    // With a message in its hands: nobody waits until a timeout.
    let mut openssl = Openssl::start();
    let (mut client, _) = session(&service, &listener, &mut openssl);
    client.say("MAIL FROM:<a@client.example>");
    assert!(client.hear().starts_with("250 "));
    client.say("RCPT TO:<b@[127.0.0.1]>");
    openssl.hear("MAIL FROM:<a@client.example>");
    openssl.order("250 ok");
    openssl.hear("RCPT TO:<b@[127.0.0.1]>");
    openssl.order("250 ok");
    assert!(client.hear().starts_with("250 "));
    client.say("DATA");
    openssl.hear("DATA");
    openssl.order("354 go");
    assert!(client.hear().starts_with("354 "));
    client.say("x\r\n.");
    openssl.hear(".");
    openssl.order("R");
    openssl.hear("ERROR");
    let heard = client.hear();
    assert!(heard.starts_with("421 4.4.2 server-lost"), "{heard}");
}
