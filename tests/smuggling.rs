//! The end-of-data forms of the SMTP smuggling research (2023) against the real binary, each cut at every octet.
//!
//! ```text
//!   client, in two segments ──► danelaw ──► an MX without TLS that writes down every octet
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a test crate: it runs programs, opens sockets, and fails by panicking"
)]

mod service;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use service::Service;

/// Nobody answers there: recipients are address literals, which need no DNS.
const OFFLINE: &str = "[dns]\nresolvers = [\"127.0.0.1:9\"]\n";

const FORMS: [&[u8]; 12] = [
    b"\n.\n",
    b"\n.\r",
    b"\r.\n",
    b"\r.\r",
    b"\n.\r\n",
    b"\r.\r\n",
    b"\r\n.\n",
    b"\r\n.\r",
    b"\r\n.\r\r\n",
    b"\r\r\n.\r\r\n",
    b"\r\n\0.\r\n",
    b"\r\n.\0\r\n",
];

/// What would be a second message, were the form an end of the first.
const SMUGGLED: &[u8] =
    b"MAIL FROM:<x@evil.example>\r\nRCPT TO:<b@[127.0.0.1]>\r\nDATA\r\nx\r\n.\r\n";

/// A message with one of the forms in it, up to its true end.
fn message(form: &[u8]) -> Vec<u8> {
    [b"Subject: x\r\n\r\nx", form, SMUGGLED].concat()
}

/// Takes one connection; gives all that came behind DATA.
fn mx(listener: TcpListener) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap());
        let dialogue = [
            ("", "220 mx.example"),
            ("EHLO ", "250 mx.example"),
            ("MAIL FROM:<a@client.example>", "250 2.1.0 ok"),
            ("RCPT TO:<b@[127.0.0.1]>", "250 2.1.5 ok"),
            ("DATA", "354 go"),
        ];
        for (wanted, reply) in dialogue {
            let mut line = String::new();
            if !wanted.is_empty() {
                lines.read_line(&mut line).unwrap();
            }
            assert!(line.starts_with(wanted), "{wanted}: {line}");
            stream.write_all(format!("{reply}\r\n").as_bytes()).unwrap();
        }
        let mut heard = Vec::new();
        let mut octets = [0; 4096];
        loop {
            let count = lines.read(&mut octets).unwrap_or(0);
            heard.extend_from_slice(&octets[..count]);
            if count == 0 {
                return heard;
            }
            if heard.ends_with(b"\r\n.\r\n") {
                stream.write_all(b"250 2.0.0 taken\r\n").unwrap();
            }
        }
    })
}

/// Sends the message in two segments, and QUIT; gives what was said to it, and what the MX got.
fn deliver(service: &Service, message: &[u8], cut: usize) -> (String, Vec<u8>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let destination = listener.local_addr().unwrap();
    let mx = mx(listener);
    let mut stream = connect(service.address, destination);
    let mut lines = BufReader::new(stream.try_clone().unwrap());
    let mut reply = || loop {
        let mut line = String::new();
        assert_ne!(lines.read_line(&mut line).unwrap(), 0, "it hung up");
        if line.as_bytes().get(3) == Some(&b' ') {
            return line;
        }
    };
    reply();
    let commands = "EHLO client.example|MAIL FROM:<a@client.example>|RCPT TO:<b@[127.0.0.1]>|DATA";
    for command in commands.split('|') {
        stream
            .write_all(format!("{command}\r\n").as_bytes())
            .unwrap();
        reply();
    }
    stream.write_all(&message[..cut]).unwrap();
    stream.write_all(&message[cut..]).unwrap();
    let heard = reply();
    stream.write_all(b"QUIT\r\n").unwrap();
    let goodbye = reply();
    assert!(
        goodbye.starts_with("221 "),
        "one reply and no more: {goodbye}"
    );
    (heard, mx.join().unwrap())
}

/// RFC 1928; the segments leave as they are written.
fn connect(proxy: SocketAddr, destination: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(proxy).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    let [high, low] = destination.port().to_be_bytes();
    stream
        .write_all(&[5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, high, low])
        .unwrap();
    stream.read_exact(&mut [0; 12]).unwrap();
    stream
}

/// Where to cut: at every octet of the form and of the border.
fn cuts(message: &[u8], form: &[u8]) -> std::ops::RangeInclusive<usize> {
    let at = message.len() - SMUGGLED.len() - form.len();
    at - 1..=at + form.len() + 1
}

#[test]
fn dn_04_each_form_at_every_cut_is_one_refused_message_of_which_the_mx_gets_no_end() {
    let service = Service::start(OFFLINE);
    for form in FORMS {
        let message = message(form);
        for cut in cuts(&message, form) {
            let (heard, got) = deliver(&service, &message, cut);
            let what = format!("{:?} cut at {cut}", form.escape_ascii().to_string());
            assert!(
                heard.starts_with("550 5.6.0 bare-newline"),
                "{what}: {heard}"
            );
            assert!(
                message.starts_with(&got),
                "{what}: {:?}",
                got.escape_ascii().to_string()
            );
            assert!(!got.windows(4).any(|octets| octets == b"MAIL"), "{what}");
        }
    }
}

#[test]
fn dn_04_smtp_26_let_through_each_form_at_every_cut_is_one_message_as_it_came() {
    let service = Service::start(&format!("{OFFLINE}[smtp]\nbare_line_ends = \"pass\"\n"));
    for form in FORMS {
        let message = message(form);
        for cut in cuts(&message, form) {
            let (heard, got) = deliver(&service, &message, cut);
            let what = format!("{:?} cut at {cut}", form.escape_ascii().to_string());
            assert!(heard.starts_with("250 2.0.0 taken"), "{what}: {heard}");
            assert_eq!(got, [&message[..], b"QUIT\r\n"].concat(), "{what}");
        }
    }
}
