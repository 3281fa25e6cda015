//! What must never happen, whatever the peers do and however their octets are cut.
//!
//! A tape of random numbers drives a client, an MX, a driver and a judge that know nothing of the session's states. The
//! MX numbers its replies, so that [`Transcript`] can tell whose words the client hears:
//!
//! * nothing of an envelope or a message reaches the MX before a pin for that recipient,
//! * 354, and 2yz to RCPT and to a message, are the MX's own, for that very recipient and message,
//! * replies are one to one and in order,
//! * what the MX gets is what the client sent, octet for octet,
//! * what is held is bounded.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::Config;

use super::super::super::{Action, Dialled, Target};
use super::super::{INPUT_LIMIT, Session};
use super::script::start;
use super::{pin, refuse, settings};
use crate::verdict::{Redial, Verdict};

proptest! {
    #![proptest_config(config())]

    #[test]
    fn whatever_the_peers_do_the_promises_hold(tape in proptest::collection::vec(any::<u32>(), 10..1500)) {
        World::new(Tape { numbers: tape, at: 0 }).run();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the number of cases is the runner's to choose"
)]
fn config() -> Config {
    let mut config = Config::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 2000;
    }
    config
}

struct Tape {
    numbers: Vec<u32>,
    at: usize,
}

impl Tape {
    fn is_over(&self) -> bool {
        self.at >= self.numbers.len()
    }

    /// A number below `bound`; zero when the tape is over, which is always the friendliest choice.
    fn draw(&mut self, bound: usize) -> usize {
        let number = self.numbers.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        number as usize % bound
    }

    /// True once in `rarity` times.
    fn rarely(&mut self, rarity: usize) -> bool {
        self.draw(rarity) == rarity - 1
    }
}

struct World {
    tape: Tape,
    session: Session,
    now: Instant,
    client: Client,
    mx: Mx,
    transcript: Transcript,
    /// What the driver owes the session.
    owed: Option<Owed>,
    verdict: Option<Target>,
    /// The recipient domain that was pinned last and has not been relayed yet.
    pinned: Option<String>,
    /// Whether there was one since the connection was made.
    has_pin: bool,
}

#[derive(Clone, Copy)]
enum Owed {
    Dial,
    Handshake,
}

impl World {
    fn new(tape: Tape) -> Self {
        let now = start();
        let mut settings = settings();
        settings.limits.idle_commands = 30;
        settings.limits.recipients = 6;
        settings.limits.domains = 4;
        Self {
            tape,
            session: Session::new(settings, now),
            now,
            client: Client::default(),
            mx: Mx::default(),
            transcript: Transcript::default(),
            owed: None,
            verdict: None,
            pinned: None,
            has_pin: false,
        }
    }

    fn run(mut self) {
        self.act();
        while !self.tape.is_over() && self.session.end().is_none() {
            self.disturb_or_go_on();
            self.act();
        }
        self.settle();
    }

    /// Everything that is owed is paid, so every command must have its reply.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            if self.session.end().is_some() || !self.go_on() {
                break;
            }
            self.act();
        }
        // An MX that has lost its way owes replies for ever.
        if self.session.end().is_none() && !self.mx.is_wild {
            self.transcript.assert_all_answered();
        }
    }

    fn disturb_or_go_on(&mut self) {
        self.now += Duration::from_millis(10);
        match self.tape.draw(400) {
            150 => self.session.handle_server_end(self.now),
            151 => {
                if let Some((deadline, _)) = self.session.poll_timeout() {
                    self.now = self.now.max(deadline);
                }
                self.session.handle_timeout(self.now);
            }
            152 if self.tape.rarely(3) => {
                self.session.handle_shutdown(self.now);
            }
            153 if self.tape.rarely(3) => {
                self.client.is_closed = true;
                self.session.handle_client_end(self.now);
            }
            154..=156 => self.mx.speak_unasked(&mut self.tape),
            157 if self.tape.rarely(3) => self.feed_client(), // not wanted, perhaps
            _ => {
                self.go_on();
            }
        }
    }

    /// One thing that is due, if there is one.
    fn go_on(&mut self) -> bool {
        let mut due: Vec<fn(&mut Self)> = Vec::new();
        if self.owed.is_some() {
            due.push(Self::pay);
        }
        if self.verdict.is_some() {
            due.push(Self::judge);
        }
        if !self.mx.outgoing.is_empty() {
            due.push(Self::feed_server);
        }
        if self.session.wants_client() && !self.client.is_closed && self.client_has_octets() {
            due.push(Self::feed_client);
        }
        if due.is_empty() {
            return false;
        }
        let step = due[self.tape.draw(due.len())];
        step(self);
        true
    }

    fn pay(&mut self) {
        let bad = self.tape.rarely(12);
        let answer = match self.owed.take() {
            None => return,
            Some(Owed::Dial) if bad => Dialled::Failed("refused".into()),
            Some(Owed::Dial) => {
                self.mx.connect(&mut self.tape);
                Dialled::Connected
            }
            // Plaintext that is still under way is no ServerHello.
            Some(Owed::Handshake) if bad || !self.mx.outgoing.is_empty() => {
                self.mx.disconnect();
                Dialled::HandshakeFailed("alert".into())
            }
            Some(Owed::Handshake) => Dialled::Secured,
        };
        self.session.handle_upstream(answer, self.now);
    }

    fn judge(&mut self) {
        let Some(target) = self.verdict.take() else {
            return;
        };
        let verdict = match self.tape.draw(14) {
            10 | 11 => refuse(),
            12 => Verdict::Redial(Redial::Sni("base.example".parse().unwrap())),
            13 => Verdict::Redial(Redial::Cleartext),
            _ => {
                self.has_pin = self.mx.is_connected;
                self.pinned = Some(match target {
                    Target::Domain(domain) => domain.to_string(),
                    Target::Literal(address) => address.to_string(),
                    Target::Postmaster => "postmaster".into(),
                });
                pin()
            }
        };
        self.session.handle_verdict(verdict, self.now);
    }

    fn feed_server(&mut self) {
        let count = 1 + self.tape.draw(self.mx.outgoing.len().min(90));
        let octets: Vec<u8> = self.mx.outgoing.drain(..count).collect();
        self.session.handle_server(&octets, self.now);
    }

    fn client_has_octets(&mut self) -> bool {
        if self.client.outgoing.is_empty() && !self.tape.is_over() {
            self.client.compose(&mut self.tape, &self.transcript);
        }
        !self.client.outgoing.is_empty()
    }

    fn feed_client(&mut self) {
        if self.client.is_closed || !self.client_has_octets() {
            return;
        }
        let count = 1 + self.tape.draw(self.client.outgoing.len().min(200));
        let octets: Vec<u8> = self.client.outgoing.drain(..count).collect();
        self.transcript.sent.extend_from_slice(&octets);
        self.session.handle_client(&octets, self.now);
        assert!(self.session.input.len() <= INPUT_LIMIT + octets.len());
    }

    /// Does what the session wants done.
    fn act(&mut self) {
        while let Some(action) = self.session.poll_action() {
            assert!(
                !self.transcript.is_closed,
                "an action after the end: {action:?}"
            );
            match action {
                Action::ToClient(octets) => self.transcript.hear(&octets, &self.mx),
                Action::ToServer(octets) => {
                    assert!(
                        self.has_pin || is_control(&octets),
                        "{octets:?} before a pin"
                    );
                    self.mx.hear(&octets, &mut self.tape, &mut self.pinned);
                }
                Action::Dial => {
                    assert!(!self.mx.is_connected, "dialled over a connection");
                    self.owed = Some(Owed::Dial);
                }
                Action::StartTls { .. } => self.owed = Some(Owed::Handshake),
                Action::Judge(question) => {
                    self.pinned = None;
                    self.verdict = Some(question.target);
                }
                Action::CloseServer => {
                    self.has_pin = false;
                    self.owed = None;
                    self.mx.disconnect();
                }
                Action::CloseClient => self.transcript.is_closed = true,
            }
        }
    }
}

/// A client that knows the protocol, and does not always keep to it.
#[derive(Default)]
struct Client {
    outgoing: VecDeque<u8>,
    is_closed: bool,
    progress: usize,
}

const DOMAINS: [&str; 5] = [
    "a.example",
    "A.Example",
    "b.example",
    "c.example",
    "d.example",
];

impl Client {
    /// Along the way from EHLO to DATA.
    fn next_command(&mut self, tape: &mut Tape) -> String {
        let line = match self.progress {
            0 => "EHLO mta.example".into(),
            1 if tape.rarely(4) => "mail from:<> BODY=8BITMIME".into(),
            1 => "MAIL FROM:<a@b.example>".into(),
            2 => format!("RCPT TO:<u{}@{}>", tape.draw(9), DOMAINS[tape.draw(5)]),
            _ => "DATA".into(),
        };
        self.progress = match self.progress {
            2 if tape.rarely(3) => 2,
            3 => 1,
            other => other + 1,
        };
        line
    }

    /// The next command, or the message when the MX has asked for one.
    fn compose(&mut self, tape: &mut Tape, transcript: &Transcript) {
        if transcript.awaits == Awaits::Message {
            // One message, however it is cut: what was sent of it is not sent again.
            if transcript.sent.len() == transcript.understood {
                self.outgoing.extend(message(tape));
            }
            return;
        }
        // A client that pipelines does not wait for replies; DATA ends a group (RFC 2920 §3.1).
        if transcript.awaits_reply_to_data() {
            return;
        }
        let line = if tape.rarely(5) {
            odd_command(tape)
        } else {
            self.next_command(tape)
        };
        let ends_rashly = line == "DATA" && tape.rarely(5);
        self.outgoing.extend(line.into_bytes());
        self.outgoing.extend(b"\r\n");
        if ends_rashly {
            self.outgoing.extend(message(tape));
        }
    }
}

fn odd_command(tape: &mut Tape) -> String {
    let line = match tape.draw(18) {
        0 | 1 => "EHLO other.example",
        2 => "HELO mta.example",
        3 => "MAIL FROM:<a@b.example>",
        4 => "RCPT TO:<u@a.example>",
        5 => "RCPT TO:<postmaster>",
        6 => "RCPT TO:<x@y@z>",
        7 | 8 => "DATA",
        9 | 10 => "RSET",
        11 => "NOOP",
        12 => "VRFY u",
        13 => "FOO bar",
        14 => "NOOP\nNOOP",
        15 if tape.rarely(4) => "QUIT",
        16 if tape.rarely(4) => "BDAT 3 LAST",
        _ => "STARTTLS",
    };
    line.into()
}

/// A message, mostly sound; lines of it look like commands.
fn message(tape: &mut Tape) -> Vec<u8> {
    let mut octets = b"Subject: x\r\n".to_vec();
    for _ in 0..tape.draw(6) {
        let line: &[u8] = match tape.draw(24) {
            0..=9 => b"text\r\n",
            10..=12 => b"..\r\n",
            13..=15 => b"RCPT TO:<x@smuggled.example>\r\n",
            16..=18 => b"long long long long long long long long long long long long long long long long\r\n",
            19 => b"\r\n",
            20 => b"\n.\r\nMAIL FROM:<x@smuggled.example>\r\n",
            21 => b"\r\n.\n",
            22 => b"\0\r\n",
            _ => b"\r.\r\r\n",
        };
        octets.extend_from_slice(line);
    }
    octets.extend_from_slice(b".\r\n");
    octets
}

/// Is it what RFC 5321 §2.3.8 allows?
fn is_sound(message: &[u8]) -> bool {
    let text: Vec<u8> = [message, b"x"].concat();
    !message.contains(&0)
        && text.iter().enumerate().all(|(at, octet)| match octet {
            b'\r' => text[at + 1] == b'\n',
            b'\n' => at > 0 && text[at - 1] == b'\r',
            _ => true,
        })
}

/// What the client has sent and heard, put side by side.
#[derive(Default)]
struct Transcript {
    sent: Vec<u8>,
    /// Octets of it that have had their reply.
    understood: usize,
    heard: Vec<u8>,
    awaits: Awaits,
    /// The sender and the recipients that the client believes in.
    mail: Option<Vec<u8>>,
    recipients: Vec<Vec<u8>>,
    must_close: bool,
    is_closed: bool,
}

/// Whose word a reply is.
struct Word<'a> {
    said: Option<&'a Said>,
    is_wild: bool,
}

impl Word<'_> {
    fn assert_is(&self, wanted: &Said, reply: &str) {
        let fits = match self.said {
            Some(said) => said == wanted || self.is_wild,
            None => false,
        };
        assert!(fits, "not the MX's word: {reply}");
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Awaits {
    #[default]
    Greeting,
    Command,
    Message,
}

impl Transcript {
    fn hear(&mut self, octets: &[u8], mx: &Mx) {
        self.heard.extend_from_slice(octets);
        while let Some(end) = find(&self.heard, b"\r\n") {
            let line: Vec<u8> = self.heard.drain(..end + 2).collect();
            if line[3] == b' ' {
                self.reply(&String::from_utf8(line).unwrap(), mx);
            }
        }
        assert!(self.heard.is_empty(), "half a line to the client");
    }

    fn reply(&mut self, reply: &str, mx: &Mx) {
        let code: u16 = reply[..3].parse().unwrap();
        let said = mx.origin(reply);
        if code == 421 && said.is_none() {
            self.must_close = true;
            return;
        }
        assert!(!self.must_close, "a reply after 421: {reply}");
        match self.awaits {
            Awaits::Greeting => {
                assert_eq!((code, said), (220, Some(&Said::Greeting)));
                self.awaits = Awaits::Command;
            }
            Awaits::Command => {
                let rest = &self.sent[self.understood..];
                let end = find(rest, b"\r\n").unwrap_or_else(|| panic!("unasked: {reply}"));
                let line = rest[..end].to_vec();
                self.understood += end + 2;
                self.command(
                    &line,
                    code,
                    Word {
                        said,
                        is_wild: mx.is_wild,
                    },
                    reply,
                );
            }
            Awaits::Message => self.message(code, said, mx, reply),
        }
    }

    fn command(&mut self, line: &[u8], code: u16, word: Word<'_>, reply: &str) {
        let text = String::from_utf8_lossy(line).to_ascii_uppercase();
        let verb = text.split([' ', ':', '\n']).next().unwrap();
        let is_good = code / 100 == 2;
        let codes: &[u16] = match verb {
            "EHLO" | "HELO" => &[250],
            "NOOP" if line.contains(&b'\n') => &[500],
            "NOOP" | "RSET" => &[250],
            "VRFY" => &[252],
            "MAIL" => &[250, 503, 555],
            "RCPT" => &[250, 450, 451, 452, 501, 503, 550],
            "DATA" => &[354, 450, 451, 503, 550],
            "QUIT" => &[221],
            "BDAT" => &[503],
            "STARTTLS" => &[502],
            _ => &[500],
        };
        assert!(codes.contains(&code), "{text} got {reply}");
        match verb {
            "EHLO" | "HELO" | "RSET" => self.forget(),
            "MAIL" if is_good => self.mail = Some(line.to_vec()),
            "RCPT" if is_good => {
                word.assert_is(&Said::Rcpt(line.to_vec()), reply);
                self.recipients.push(line.to_vec());
            }
            "DATA" if code == 354 => {
                word.assert_is(&Said::Data, reply);
                self.awaits = Awaits::Message;
            }
            "DATA" => {
                let next = &self.sent[self.understood..];
                // Whoever did not wait is cut off, and nothing of the message is a command.
                self.must_close |= next.starts_with(b"Subject");
            }
            "QUIT" | "BDAT" => self.must_close = true,
            _ => {}
        }
    }

    fn message(&mut self, code: u16, said: Option<&Said>, mx: &Mx, reply: &str) {
        let rest = &self.sent[self.understood..];
        let from_line_start = [b"\r\n", rest].concat();
        let end = find(&from_line_start, b"\r\n.\r\n")
            .unwrap_or_else(|| panic!("a reply before the end of data: {reply}"));
        let message = rest[..end + 3].to_vec();
        self.understood += message.len();
        assert!([250, 450, 451, 550].contains(&code), "{reply}");
        if code / 100 == 2 {
            assert!(said.is_some(), "not the MX's word: {reply}");
        }
        if code / 100 == 2 && !mx.is_wild {
            let delivered = Said::Message(mx.delivered.len() - 1);
            assert_eq!(said, Some(&delivered), "not the MX's word: {reply}");
            let delivered = mx.delivered.last().unwrap();
            assert_eq!(Some(&delivered.mail), self.mail.as_ref());
            assert_eq!(delivered.recipients, self.recipients);
            assert_eq!(delivered.message, message);
            assert!(is_sound(&message), "a tainted message was accepted");
        }
        self.forget();
        self.awaits = Awaits::Command;
    }

    fn forget(&mut self) {
        self.mail = None;
        self.recipients.clear();
    }

    fn awaits_reply_to_data(&self) -> bool {
        self.sent[self.understood..].ends_with(b"DATA\r\n")
    }

    fn assert_all_answered(&self) {
        let rest = &self.sent[self.understood..];
        let is_open = match self.awaits {
            Awaits::Greeting => true,
            Awaits::Command => find(rest, b"\r\n").is_none(),
            Awaits::Message => find(&[b"\r\n", rest].concat(), b"\r\n.\r\n").is_none(),
        };
        assert!(
            is_open,
            "without a reply: {:?}",
            rest.escape_ascii().to_string()
        );
    }
}

fn find(octets: &[u8], what: &[u8]) -> Option<usize> {
    memchr::memmem::find(octets, what)
}

/// What a session may say to the MX on its own account.
fn is_control(octets: &[u8]) -> bool {
    [
        &b"EHLO "[..],
        b"HELO ",
        b"STARTTLS\r\n",
        b"RSET\r\n",
        b"QUIT\r\n",
    ]
    .iter()
    .any(|control| octets.starts_with(control))
        && find(octets, b"\r\n") == Some(octets.len() - 2)
}

/// What a numbered reply of the MX was about.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Greeting,
    Ehlo,
    Mail,
    Rcpt(Vec<u8>),
    Data,
    Message(usize),
    Other,
    Unasked,
}

/// A message that the MX has accepted.
struct Delivered {
    mail: Vec<u8>,
    recipients: Vec<Vec<u8>>,
    message: Vec<u8>,
}

/// An MX that keeps to the protocol until it is disturbed.
#[derive(Default)]
struct Mx {
    is_connected: bool,
    incoming: Vec<u8>,
    outgoing: VecDeque<u8>,
    said: Vec<Said>,
    pipelining: bool,
    mail: Option<Vec<u8>>,
    recipients: Vec<Vec<u8>>,
    in_data: bool,
    delivered: Vec<Delivered>,
    /// It has spoken unasked on this connection: what answers what is anybody's guess, but the words are still its own.
    is_wild: bool,
}

impl Mx {
    fn connect(&mut self, tape: &mut Tape) {
        self.is_connected = true;
        if tape.rarely(12) {
            self.say("554", "", Said::Greeting);
        } else {
            self.say("220", "", Said::Greeting);
        }
    }

    fn disconnect(&mut self) {
        self.is_connected = false;
        self.incoming.clear();
        self.outgoing.clear();
        self.forget();
        self.in_data = false;
        self.is_wild = false;
    }

    fn forget(&mut self) {
        self.mail = None;
        self.recipients.clear();
    }

    fn say(&mut self, code: &str, more: &str, said: Said) {
        let number = self.said.len();
        self.said.push(said);
        if more.is_empty() {
            self.outgoing
                .extend(format!("{code} mx#{number};\r\n").bytes());
        } else {
            self.outgoing
                .extend(format!("{code}-mx#{number};\r\n{more}").bytes());
        }
    }

    /// Which reply of the MX the client hears; none for the session's own words.
    fn origin(&self, reply: &str) -> Option<&Said> {
        let (_, number) = reply.split_once("mx#")?;
        // A refusal of ours may quote what the MX said.
        if reply.contains("[T1]") {
            return None;
        }
        self.said
            .get(number.split_once(';')?.0.parse::<usize>().ok()?)
    }

    fn speak_unasked(&mut self, tape: &mut Tape) {
        if !self.is_connected {
            return;
        }
        match tape.draw(4) {
            0 => self.say("250", "", Said::Unasked),
            1 => self.say("354", "", Said::Unasked),
            2 => self.outgoing.extend(b"250 x\n250 y\r\n"),
            _ => self.outgoing.extend(vec![b'2'; 3000]),
        }
        self.is_wild = true;
    }

    fn hear(&mut self, octets: &[u8], tape: &mut Tape, pinned: &mut Option<String>) {
        assert!(self.is_connected, "octets for nobody");
        self.incoming.extend_from_slice(octets);
        while !self.is_wild {
            if self.in_data {
                assert!(is_sound(
                    self.incoming.strip_suffix(b"\r").unwrap_or(&self.incoming)
                ));
                let text = [b"\r\n", &self.incoming[..]].concat();
                let Some(end) = find(&text, b"\r\n.\r\n") else {
                    return;
                };
                let message: Vec<u8> = self.incoming.drain(..end + 3).collect();
                self.accept_or_not(message, tape);
            } else {
                let Some(end) = find(&self.incoming, b"\r\n") else {
                    assert!(self.incoming.is_empty(), "half a command");
                    return;
                };
                let line: Vec<u8> = self.incoming.drain(..end + 2).take(end).collect();
                self.command(line, tape, pinned);
            }
        }
    }

    fn accept_or_not(&mut self, message: Vec<u8>, tape: &mut Tape) {
        self.in_data = false;
        let code = self.verdict(tape);
        if code == "250" {
            self.delivered.push(Delivered {
                mail: self.mail.clone().unwrap(),
                recipients: self.recipients.clone(),
                message,
            });
        }
        // Refusals take the number of the message that was not delivered.
        self.say(
            code,
            "",
            Said::Message(self.delivered.len().saturating_sub(1)),
        );
        self.forget();
    }

    fn verdict(&self, tape: &mut Tape) -> &'static str {
        match tape.draw(14) {
            12 => "450",
            13 => "550",
            _ => "250",
        }
    }

    fn command(&mut self, line: Vec<u8>, tape: &mut Tape, pinned: &mut Option<String>) {
        let text = String::from_utf8(line.clone()).unwrap();
        assert!(
            !text.contains("smuggled"),
            "a line of a message as a command"
        );
        assert!(
            self.outgoing.is_empty() || self.pipelining || self.is_wild || text == "QUIT",
            "pipelined without being asked to: {text}"
        );
        let verb = text[..4].to_ascii_uppercase();
        match verb.as_str() {
            "EHLO" if tape.rarely(15) => self.say("500", "", Said::Other),
            "EHLO" => self.offer(tape),
            "HELO" => {
                self.forget();
                self.say("250", "", Said::Ehlo);
            }
            "STAR" => {
                let code = if tape.rarely(8) { "454" } else { "220" };
                self.say(code, "", Said::Other);
            }
            "MAIL" => {
                assert!(pinned.is_some(), "MAIL without a pin");
                let code = self.verdict(tape);
                if code == "250" {
                    assert!(self.mail.is_none() || self.is_wild, "MAIL in a transaction");
                    self.mail = Some(line);
                }
                self.say(code, "", Said::Mail);
            }
            "RCPT" => {
                let domain = pinned.take().expect("RCPT without a pin");
                assert!(
                    text.to_ascii_lowercase().contains(&domain),
                    "{text} under a pin for {domain}"
                );
                if self.mail.is_none() {
                    return self.say("503", "", Said::Other);
                }
                let code = self.verdict(tape);
                if code == "250" {
                    self.recipients.push(line.clone());
                }
                self.say(code, "", Said::Rcpt(line));
            }
            "DATA" => {
                assert!(!self.recipients.is_empty(), "DATA without a recipient");
                let code = self.verdict(tape);
                self.in_data = code == "250";
                let code = if self.in_data { "354" } else { code };
                self.say(code, "", Said::Data);
            }
            "RSET" => {
                self.forget();
                self.say("250", "", Said::Other);
            }
            "QUIT" => {}
            _ => panic!("the session invents {text}"),
        }
    }

    fn offer(&mut self, tape: &mut Tape) {
        self.forget();
        self.pipelining = tape.draw(2) == 1;
        let mut more = String::new();
        if tape.draw(3) > 0 {
            more += "250-STARTTLS\r\n";
        }
        if tape.draw(3) > 0 {
            more += "250-8BITMIME\r\n";
        }
        more += if self.pipelining {
            "250 PIPELINING\r\n"
        } else {
            "250 HELP\r\n"
        };
        self.say("250", &more, Said::Ehlo);
    }
}
