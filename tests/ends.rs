//! How sessions end: the proxy stops or dies, the MX or the client goes away, at each phase of a delivery.
//!
//! The real binary stands between a client and an MX of the test's own, which take turns, so that each phase is reached
//! by what was said and never by waiting. Whatever ends, no client may hear a success that the MX did not give.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a test crate: it runs programs, opens sockets and files, and fails by panicking"
)]

mod service;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use nix::sys::signal::Signal;
use service::Service;
use socket2::SockRef;

/// Nobody is asked: the recipients are at address literals.
const OFFLINE: &str = "[dns]\nresolvers = [\"127.0.0.1:9\"]\n";

/// How far a delivery has come: what was said last, and by whom it is to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// The MX is connected and has not greeted.
    Connected,
    /// The client is greeted.
    Greeted,
    /// EHLO is with the MX.
    Ehlo,
    /// EHLO is answered.
    Hello,
    /// MAIL is noted here.
    Noted,
    /// MAIL is with the MX.
    Mail,
    /// RCPT is with the MX.
    Rcpt,
    /// The recipient is accepted.
    Accepted,
    /// DATA is with the MX.
    Data,
    /// Half of the message is.
    Body,
    /// All of it is.
    Dot,
}

use Phase::{Accepted, Body, Connected, Data, Dot, Ehlo, Greeted, Hello, Mail, Noted, Rcpt};

const EVERY: [Phase; 11] = [
    Connected, Greeted, Ehlo, Hello, Noted, Mail, Rcpt, Accepted, Data, Body, Dot,
];

impl Phase {
    /// The MX knows of a transaction, which is finished whatever else comes to an end.
    fn is_in_flight(self) -> bool {
        self >= Mail
    }
}

/// One side of a conversation; a side that hears nothing for a minute has failed.
struct Peer(BufReader<TcpStream>);

impl Peer {
    fn new(stream: TcpStream) -> Self {
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        Self(BufReader::new(stream))
    }

    fn say(&mut self, octets: &str) {
        self.0.get_mut().write_all(octets.as_bytes()).unwrap();
    }

    /// The next line.
    fn hear(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line
    }

    /// The next line, which must begin so.
    fn expect(&mut self, start: &str) {
        let line = self.hear();
        assert!(line.starts_with(start), "{start}: {line:?}");
    }

    /// All lines of a reply, which must have this code.
    fn replied(&mut self, code: &str) {
        loop {
            let line = self.hear();
            assert!(line.starts_with(code), "{code}: {line:?}");
            if line.as_bytes().get(3) == Some(&b' ') {
                return;
            }
        }
    }

    /// Everything until the connection ends, in whatever way.
    fn rest(&mut self) -> String {
        let mut octets = Vec::new();
        if let Err(error) = self.0.read_to_end(&mut octets) {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        }
        String::from_utf8(octets).unwrap()
    }

    fn half_close(&self) {
        self.0.get_ref().shutdown(Shutdown::Write).unwrap();
    }

    fn go(self, how: How) {
        if how == How::Reset {
            let stream = SockRef::from(self.0.get_ref());
            stream.set_linger(Some(Duration::ZERO)).unwrap();
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Close,
    Reset,
}

/// A delivery under way.
struct Delivery {
    client: Peer,
    mx: Peer,
    listener: TcpListener,
}

impl Delivery {
    fn until(phase: Phase, service: &Service) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = connect(service.address, listener.local_addr().unwrap());
        let (mx, _) = listener.accept().unwrap();
        let mut delivery = Self {
            client,
            mx: Peer::new(mx),
            listener,
        };
        for step in EVERY.into_iter().filter(|step| *step <= phase) {
            delivery.reach(step);
        }
        delivery
    }

    /// From the phase before.
    fn reach(&mut self, phase: Phase) {
        let Self { client, mx, .. } = self;
        match phase {
            Connected => {}
            Greeted => {
                mx.say("220 mx.example\r\n");
                client.replied("220");
            }
            Ehlo => {
                client.say("EHLO client.example\r\n");
                mx.expect("EHLO client.example");
            }
            Hello => {
                mx.say("250 mx.example\r\n");
                client.replied("250");
            }
            Noted => {
                client.say("MAIL FROM:<a@client.example>\r\n");
                client.replied("250");
            }
            Mail => {
                client.say("RCPT TO:<b@[127.0.0.1]>\r\n");
                mx.expect("MAIL FROM:<a@client.example>");
            }
            Rcpt => {
                mx.say("250 2.1.0 ok\r\n");
                mx.expect("RCPT TO:<b@[127.0.0.1]>");
            }
            Accepted => {
                mx.say("250 2.1.5 ok\r\n");
                client.replied("250");
            }
            Data => {
                client.say("DATA\r\n");
                mx.expect("DATA");
            }
            Body => {
                mx.say("354 go on\r\n");
                client.replied("354");
                client.say("half a\r\n");
                mx.expect("half a");
            }
            Dot => {
                client.say("message\r\n.\r\n");
                mx.expect("message");
                mx.expect(".");
            }
        }
    }

    /// The rest of it, until the MX takes the message.
    fn finish(&mut self, from: Phase) {
        for step in EVERY.into_iter().filter(|step| *step > from) {
            self.reach(step);
        }
        self.mx.say("250 2.0.0 taken\r\n");
        self.client.expect("250 2.0.0 taken");
    }
}

/// RFC 1928
fn connect(proxy: SocketAddr, destination: SocketAddr) -> Peer {
    let SocketAddr::V4(v4) = destination else {
        panic!("{destination}")
    };
    let mut peer = Peer::new(TcpStream::connect(proxy).unwrap());
    let mut request = vec![5, 1, 0, 5, 1, 0, 1];
    request.extend_from_slice(&v4.ip().octets());
    request.extend_from_slice(&v4.port().to_be_bytes());
    peer.0.get_mut().write_all(&request).unwrap();
    let mut answer = [0; 12];
    peer.0.read_exact(&mut answer).unwrap();
    assert_eq!(answer, [5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    peer
}

#[test]
fn net_08_a_proxy_that_is_killed_at_any_phase_leaves_a_lost_connection_and_nothing_false() {
    for phase in EVERY {
        let service = Service::start(OFFLINE);
        let mut delivery = Delivery::until(phase, &service);
        service.signal(Signal::SIGKILL);
        assert_eq!(service.ended(), None);
        assert_eq!(delivery.client.rest(), "", "{phase:?}");
        // Least of all an end of data.
        assert_eq!(delivery.mx.rest(), "", "{phase:?}");
    }
}

#[test]
fn net_07_sigterm_lets_what_is_in_flight_finish_and_sends_everybody_else_away() {
    for phase in EVERY {
        let service = Service::start(OFFLINE);
        let mut delivery = Delivery::until(phase, &service);
        service.signal(Signal::SIGTERM);
        service.logged("draining");
        if phase.is_in_flight() {
            delivery.finish(phase);
            let farewell = delivery.client.rest();
            assert!(
                farewell.starts_with("421 4.3.2 shutdown"),
                "{phase:?}: {farewell}"
            );
        } else {
            let heard = delivery.client.rest();
            assert!(
                heard.starts_with("421 4.3.2 shutdown"),
                "{phase:?}: {heard}"
            );
            assert_eq!(heard.lines().count(), 1, "{phase:?}: {heard}");
            let mx = delivery.mx.rest();
            assert!(mx.is_empty() || mx == "QUIT\r\n", "{phase:?}: {mx}");
        }
        drop(delivery);
        assert_eq!(service.ended(), Some(0), "{phase:?}");
    }
}

#[test]
fn net_07_a_second_signal_and_the_deadline_end_what_is_in_flight_without_a_word_of_success() {
    for phase in EVERY.into_iter().filter(|phase| phase.is_in_flight()) {
        for (configuration, second) in [
            ("drain_timeout = \"1h\"", Some(Signal::SIGINT)),
            ("drain_timeout = \"1ms\"", None),
        ] {
            let service = Service::start(&format!("{configuration}\n{OFFLINE}"));
            let mut delivery = Delivery::until(phase, &service);
            service.signal(Signal::SIGTERM);
            service.logged("draining");
            if let Some(second) = second {
                service.signal(second);
            }
            let heard = delivery.client.rest();
            assert_eq!(heard, "", "{phase:?}, {configuration}");
            let mx = delivery.mx.rest();
            assert_eq!(mx, "", "{phase:?}, {configuration}");
            drop(delivery);
            assert_eq!(service.ended(), Some(0), "{phase:?}, {configuration}");
        }
    }
}

#[test]
fn net_09_smtp_5_smtp_t3_an_mx_that_goes_away_is_never_a_success_and_never_final() {
    let service = Service::start(OFFLINE);
    for how in [How::Close, How::Reset] {
        for (phase, reply, goes_on) in [
            // A reset may come while it is still being dialled.
            (Connected, "421 4.4.", false),
            (Ehlo, "421 4.4.2 server-lost", false),
            (Mail, "451 4.4.2 server-lost", true),
            (Rcpt, "451 4.4.2 server-lost", true),
            (Data, "451 4.4.2 server-lost", true),
            (Body, "451 4.4.2 server-lost", true),
            // Nobody knows whether it has the message.
            (Dot, "421 4.4.2 server-lost", false),
        ] {
            let Delivery { mut client, mx, .. } = Delivery::until(phase, &service);
            mx.go(how);
            if phase == Body {
                client.say("message\r\n.\r\n");
            }
            let heard = client.hear();
            assert!(heard.starts_with(reply), "{phase:?}, {how:?}: {heard}");
            if goes_on {
                client.say("QUIT\r\n");
                client.replied("221");
            }
            assert_eq!(client.rest(), "", "{phase:?}, {how:?}");
            let line = service.logged("danelaw::session");
            assert!(line.contains("messages=0"), "{phase:?}, {how:?}: {line}");
            // Before the MX was cleared nothing but the end tells.
            let is_told = line.contains("trouble=\"server-lost: the destination failed");
            assert_eq!(is_told, phase >= Mail, "{phase:?}, {how:?}: {line}");
        }
    }
}

#[test]
fn net_09_an_mx_that_goes_away_between_transactions_is_dialled_again() {
    let service = Service::start(OFFLINE);
    for how in [How::Close, How::Reset] {
        let mut delivery = Delivery::until(Hello, &service);
        let lost = std::mem::replace(&mut delivery.mx, Peer::new(loopback_stream()));
        lost.go(how);
        delivery.reach(Noted);
        delivery.client.say("RCPT TO:<b@[127.0.0.1]>\r\n");
        let (again, _) = delivery.listener.accept().unwrap();
        delivery.mx = Peer::new(again);
        delivery.mx.say("220 mx.example\r\n");
        delivery.mx.expect("EHLO client.example");
        delivery.mx.say("250 mx.example\r\n");
        delivery.mx.expect("MAIL FROM:<a@client.example>");
        delivery.finish(Mail);
        delivery.client.say("QUIT\r\n");
        delivery.client.replied("221");
        let line = service.logged("danelaw::session");
        assert!(
            line.contains("dials=2") && line.contains("messages=1"),
            "{line}"
        );
    }
}

/// A connection that nothing is said over.
fn loopback_stream() -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    TcpStream::connect(listener.local_addr().unwrap()).unwrap()
}

#[test]
fn dn_12_a_client_that_goes_away_after_the_final_dot_leaves_the_mx_to_finish() {
    let service = Service::start(OFFLINE);
    for how in [How::Close, How::Reset] {
        let Delivery { client, mut mx, .. } = Delivery::until(Dot, &service);
        client.go(how);
        mx.say("250 2.0.0 taken\r\n");
        mx.expect("QUIT");
        let line = service.logged("danelaw::session");
        assert!(line.contains("messages=1"), "{how:?}: {line}");
        assert!(line.contains("end=\"client-lost\""), "{how:?}: {line}");
    }
}

#[test]
fn dn_11_dn_12_a_client_that_goes_away_before_the_final_dot_delivers_nothing() {
    let service = Service::start(OFFLINE);
    for how in [How::Close, How::Reset] {
        for phase in EVERY.into_iter().filter(|phase| *phase != Dot) {
            // While the MX is to answer a client that closes may still listen; one that resets does not.
            if how == How::Close && matches!(phase, Ehlo | Mail | Rcpt | Data) {
                continue;
            }
            let Delivery { client, mut mx, .. } = Delivery::until(phase, &service);
            client.go(how);
            let heard = mx.rest();
            assert!(
                heard.is_empty() || heard == "QUIT\r\n",
                "{phase:?}: {heard}"
            );
            assert!(phase != Body || heard.is_empty(), "{heard}");
            let line = service.logged("danelaw::session");
            assert!(line.contains("messages=0"), "{phase:?}, {how:?}: {line}");
            assert!(
                line.contains("end=\"client-lost\""),
                "{phase:?}, {how:?}: {line}"
            );
        }
    }
}

#[test]
fn dn_11_a_client_that_sends_no_more_still_hears_what_it_waits_for() {
    let service = Service::start(OFFLINE);
    for (phase, answer, expected) in [
        (Ehlo, "250 mx.example\r\n", "250-"),
        (Rcpt, "550 5.1.1 nobody\r\n", "550 5.1.1 nobody\r\n"),
        (Dot, "250 2.0.0 taken\r\n", "250 2.0.0 taken\r\n"),
    ] {
        let Delivery {
            mut client, mut mx, ..
        } = Delivery::until(phase, &service);
        client.half_close();
        mx.say(answer);
        let heard = client.rest();
        assert!(heard.starts_with(expected), "{phase:?}: {heard}");
        let mx = mx.rest();
        assert!(mx.is_empty() || mx == "QUIT\r\n", "{phase:?}: {mx}");
        let line = service.logged("danelaw::session");
        assert!(line.contains("end=\"client-lost\""), "{phase:?}: {line}");
    }
}

#[test]
fn net_10_accept_rests_when_descriptors_are_used_up_and_goes_on_when_there_are_some() {
    let service = Service::with_descriptors(48, OFFLINE);
    let crowd: Vec<_> = (0..64)
        .map(|_| TcpStream::connect(service.address).unwrap())
        .collect();
    let told = service.logged("this host has no descriptor");
    assert!(told.contains("at=\"accept\""), "{told}");
    drop(crowd);
    Delivery::until(Connected, &service).finish(Connected);
}
