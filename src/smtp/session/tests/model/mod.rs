//! What must never happen, whatever the peers do and however their octets are cut.
//!
//! A tape of random numbers drives a client, an MX, a driver and a judge that know nothing of the session's states. The
//! MX numbers its replies, so that [`Transcript`] can tell whose words the client hears:
//!
//! * nothing of an envelope or a message reaches the MX before a pin for that recipient,
//! * 354, and 2yz to RCPT, to a chunk and to a message, are the MX's own, for that very recipient, chunk and message,
//! * replies are one to one and in order, a chunk's after its last octet, with status codes where they are promised,
//! * what the MX gets is what the client sent, octet for octet, with no extension that it has not offered,
//! * credentials go only to an MX that is proven, inside TLS, and no login outlives its connection,
//! * nothing that the client said in the clear counts inside TLS,
//! * what is held is bounded,
//! * every wait has a deadline.

mod client;
mod mx;
mod transcript;

use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::Config;

use self::client::Client;
use self::mx::Mx;
use self::transcript::Transcript;
use super::super::super::data::BareLineEnds;
use super::super::super::{Action, Auth, ClientHandshake, ClientTls, Dialled, Target};
use super::super::{INPUT_LIMIT, Session};
use super::script::start;
use super::{pin, pin_by, refuse, settings};
use crate::verdict::{Basis, Redial, Verdict};

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
        config.cases = 10_000;
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
    ClientHandshake,
}

impl World {
    fn new(tape: Tape) -> Self {
        let now = start();
        let mut tape = tape;
        let mut settings = settings();
        if tape.rarely(3) {
            settings.bare_line_ends = BareLineEnds::Pass;
        }
        let bare_line_ends = settings.bare_line_ends;
        settings.limits.idle_commands = 30;
        settings.limits.recipients = 6;
        settings.limits.domains = 4;
        settings.client_tls = ClientTls::Offered;
        if tape.draw(2) == 1 {
            settings.auth = Auth::OnceProven;
        }
        Self {
            tape,
            session: Session::new(settings, now),
            now,
            client: Client::default(),
            mx: Mx::new(bare_line_ends),
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
            158 if self.tape.rarely(6) => {
                self.client.is_closed = true;
                self.session.handle_client_lost(self.now);
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
            Some(Owed::ClientHandshake) if bad => {
                return self.secure_client(ClientHandshake::Failed);
            }
            Some(Owed::ClientHandshake) => {
                return self.secure_client(ClientHandshake::Secured { sni: None });
            }
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
            Some(Owed::Handshake) => {
                self.mx.is_secured = true;
                Dialled::Secured
            }
        };
        self.session.handle_upstream(answer, self.now);
    }

    fn secure_client(&mut self, handshake: ClientHandshake) {
        self.client.progress = 0;
        self.session.handle_client_tls(handshake, self.now);
    }

    fn judge(&mut self) {
        let Some(target) = self.verdict.take() else {
            return;
        };
        let verdict = match self.tape.draw(14) {
            10 | 11 => refuse(),
            12 => {
                let name = "base.example".parse().unwrap();
                Verdict::Redial(if self.tape.draw(2) == 0 {
                    Redial::Sni(name)
                } else {
                    Redial::Observe(name)
                })
            }
            13 => Verdict::Redial(Redial::Cleartext),
            // The question was about the host alone, to answer a hello.
            _ if self.session.transaction.is_none() => {
                let is_proof = self.tape.draw(3) > 0;
                self.mx.is_proven = self.mx.is_connected && is_proof;
                pin_by(if is_proof {
                    Basis::DaneEe
                } else {
                    Basis::OpportunisticTls
                })
            }
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
                        self.has_pin || self.mx.is_proven || is_control(&octets),
                        "{octets:?} before a pin"
                    );
                    self.mx.hear(&octets, &mut self.tape, &mut self.pinned);
                }
                Action::Dial => {
                    assert!(!self.mx.is_connected, "dialled over a connection");
                    assert!(!self.mx.has_login, "a login on another connection");
                    self.owed = Some(Owed::Dial);
                }
                Action::StartTls { .. } => self.owed = Some(Owed::Handshake),
                Action::SecureClient { .. } => {
                    self.transcript.secure();
                    self.owed = Some(Owed::ClientHandshake);
                }
                Action::Judge(question) => {
                    self.pinned = None;
                    self.verdict = Some(question.target);
                }
                Action::GaveUp { .. } => {}
                Action::CloseServer => {
                    self.has_pin = false;
                    self.owed = self
                        .owed
                        .filter(|owed| matches!(owed, Owed::ClientHandshake));
                    self.mx.disconnect();
                }
                Action::CloseClient => self.transcript.is_closed = true,
            }
        }
        assert_eq!(
            self.session.poll_timeout().is_none(),
            self.session.end().is_some(),
            "a wait without a deadline, or a deadline without a wait: {:?}",
            self.session
        );
    }
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

fn find(octets: &[u8], what: &[u8]) -> Option<usize> {
    memchr::memmem::find(octets, what)
}
