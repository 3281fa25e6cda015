//! The model's MX.

use std::collections::VecDeque;

use super::super::super::super::chunk::{Chunk, Last};
use super::super::super::super::data::BareLineEnds;
use super::{Tape, find, is_sound};

/// What a numbered reply of the MX was about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Greeting,
    Ehlo,
    Mail,
    Rcpt(Vec<u8>),
    Data,
    Chunk,
    Message(usize),
    Login,
    Other,
    Unasked,
}

/// A message that the MX has accepted.
pub(super) struct Delivered {
    pub(super) mail: Vec<u8>,
    pub(super) recipients: Vec<Vec<u8>>,
    pub(super) message: Vec<u8>,
}

/// An MX that keeps to the protocol until it is disturbed.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "observations, not states")]
pub(super) struct Mx {
    pub(super) is_connected: bool,
    pub(super) incoming: Vec<u8>,
    pub(super) outgoing: VecDeque<u8>,
    pub(super) said: Vec<Said>,
    pub(super) pipelining: bool,
    pub(super) mail: Option<Vec<u8>>,
    pub(super) recipients: Vec<Vec<u8>>,
    pub(super) in_data: bool,
    pub(super) bare_line_ends: BareLineEnds,
    /// What it has said that it can.
    has_chunking: bool,
    has_8bitmime: bool,
    /// Chunks of the message so far.
    chunks: Vec<u8>,
    /// The chunk that it waits for.
    chunk: Option<Chunk>,
    /// A chunk was refused: nothing but RSET makes sense.
    is_spoilt: bool,
    /// The last EHLO was in TLS.
    pub(super) is_secured: bool,
    /// Who it is was proven since its last EHLO.
    pub(super) is_proven: bool,
    has_auth: bool,
    /// It waits for the answer to a challenge.
    in_auth: bool,
    /// Somebody has logged in, on whatever connection.
    pub(super) has_login: bool,
    pub(super) delivered: Vec<Delivered>,
    /// It has spoken unasked on this connection: what answers what is anybody's guess, but the words are still its own.
    pub(super) is_wild: bool,
}

impl Mx {
    pub(super) fn new(bare_line_ends: BareLineEnds) -> Self {
        Self {
            bare_line_ends,
            ..Self::default()
        }
    }

    pub(super) fn connect(&mut self, tape: &mut Tape) {
        self.is_connected = true;
        if tape.rarely(12) {
            self.say("554", "", Said::Greeting);
        } else {
            self.say("220", "", Said::Greeting);
        }
    }

    pub(super) fn disconnect(&mut self) {
        self.is_connected = false;
        self.incoming.clear();
        self.outgoing.clear();
        self.forget();
        self.in_data = false;
        self.chunk = None;
        self.is_wild = false;
        (self.is_secured, self.is_proven) = (false, false);
        (self.has_auth, self.in_auth) = (false, false);
    }

    pub(super) fn forget(&mut self) {
        self.mail = None;
        self.recipients.clear();
        self.chunks.clear();
        self.is_spoilt = false;
    }

    /// What of a message may have come so far.
    fn assert_allowed(&self, message: &[u8]) {
        let is_sound = is_sound(message.strip_suffix(b"\r").unwrap_or(message));
        assert!(is_sound || self.bare_line_ends == BareLineEnds::Pass);
    }

    pub(super) fn say(&mut self, code: &str, more: &str, said: Said) {
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
    pub(super) fn origin(&self, reply: &str) -> Option<&Said> {
        let (_, number) = reply.split_once("mx#")?;
        // A refusal of ours may quote what the MX said.
        if reply.contains("[T1]") {
            return None;
        }
        self.said
            .get(number.split_once(';')?.0.parse::<usize>().ok()?)
    }

    pub(super) fn speak_unasked(&mut self, tape: &mut Tape) {
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

    pub(super) fn hear(&mut self, octets: &[u8], tape: &mut Tape, pinned: &mut Option<String>) {
        assert!(self.is_connected, "octets for nobody");
        self.incoming.extend_from_slice(octets);
        while !self.is_wild {
            if self.in_data {
                self.assert_allowed(&self.incoming);
                let text = [b"\r\n", &self.incoming[..]].concat();
                let Some(end) = find(&text, b"\r\n.\r\n") else {
                    return;
                };
                let message: Vec<u8> = self.incoming.drain(..end + 3).collect();
                self.accept_or_not(message, tape);
            } else if let Some(mut chunk) = self.chunk {
                let here = chunk.take(self.incoming.len());
                self.assert_allowed(&[&self.chunks[..], &self.incoming[..here]].concat());
                if chunk.left > 0 {
                    return;
                }
                self.chunks.extend(self.incoming.drain(..here));
                self.chunk = None;
                self.take_chunk(chunk.last, tape);
            } else {
                let Some(end) = find(&self.incoming, b"\r\n") else {
                    assert!(self.incoming.is_empty(), "half a command");
                    return;
                };
                let line: Vec<u8> = self.incoming.drain(..end + 2).take(end).collect();
                if self.in_auth {
                    self.login(tape);
                } else {
                    self.command(line, tape, pinned);
                }
            }
        }
    }

    /// A login or a step of it.
    fn login(&mut self, tape: &mut Tape) {
        assert!(
            self.has_auth && self.is_secured && self.is_proven,
            "credentials for nobody"
        );
        let code = ["235", "334", "535"][tape.draw(3)];
        self.in_auth = code == "334";
        self.has_login |= code == "235";
        self.say(code, "", Said::Login);
    }

    fn take_chunk(&mut self, last: Last, tape: &mut Tape) {
        if last == Last::Yes {
            let message = std::mem::take(&mut self.chunks);
            assert!(!message.ends_with(b"\r") || self.bare_line_ends == BareLineEnds::Pass);
            let accepted = self.delivered.len();
            self.accept_or_not(message, tape);
            self.is_spoilt = self.delivered.len() == accepted;
            return;
        }
        let code = self.verdict(tape);
        self.is_spoilt = code != "250";
        self.say(code, "", Said::Chunk);
    }

    pub(super) fn accept_or_not(&mut self, message: Vec<u8>, tape: &mut Tape) {
        self.in_data = false;
        let code = self.verdict(tape);
        if code == "250" {
            self.delivered.push(Delivered {
                mail: self.mail.clone().unwrap(),
                recipients: self.recipients.clone(),
                message,
            });
        }
        let more = match tape.draw(3) {
            2 => format!("{code}-\r\n{code} 9.9.9 more\r\n"),
            _ => String::new(),
        };
        // Refusals take the number of the message that was not delivered.
        self.say(
            code,
            &more,
            Said::Message(self.delivered.len().saturating_sub(1)),
        );
        self.forget();
    }

    pub(super) fn verdict(&self, tape: &mut Tape) -> &'static str {
        match tape.draw(14) {
            12 => "450",
            13 => "550",
            _ => "250",
        }
    }

    pub(super) fn command(&mut self, line: Vec<u8>, tape: &mut Tape, pinned: &mut Option<String>) {
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
        assert!(
            !self.is_spoilt || ["RSET", "QUIT", "EHLO", "HELO"].contains(&verb.as_str()),
            "{text} after a chunk that failed"
        );
        match verb.as_str() {
            "EHLO" if tape.rarely(15) => {
                (self.has_chunking, self.has_8bitmime) = (false, false);
                self.say("500", "", Said::Other);
            }
            "EHLO" => self.offer(tape),
            "HELO" => {
                self.forget();
                (self.has_chunking, self.has_8bitmime) = (false, false);
                self.say("250", "", Said::Ehlo);
            }
            "STAR" => {
                let code = if tape.rarely(8) { "454" } else { "220" };
                self.say(code, "", Said::Other);
            }
            "MAIL" => {
                assert!(pinned.is_some(), "MAIL without a pin");
                assert!(!text.contains("8BITMIME") || self.has_8bitmime, "{text}");
                let code = self.verdict(tape);
                if code == "250" {
                    assert!(self.mail.is_none() || self.is_wild, "MAIL in a transaction");
                    self.mail = Some(line);
                }
                self.say(code, "", Said::Mail);
            }
            "RCPT" => self.recipient(line, &text, tape, pinned),
            "DATA" => {
                assert!(!self.recipients.is_empty(), "DATA without a recipient");
                let code = self.verdict(tape);
                self.in_data = code == "250";
                let code = if self.in_data { "354" } else { code };
                self.say(code, "", Said::Data);
            }
            "BDAT" => self.begin_chunk(&text),
            "AUTH" => self.login(tape),
            "RSET" => {
                self.forget();
                self.say("250", "", Said::Other);
            }
            "QUIT" => {}
            _ => panic!("the session invents {text}"),
        }
    }

    fn recipient(
        &mut self,
        line: Vec<u8>,
        text: &str,
        tape: &mut Tape,
        pinned: &mut Option<String>,
    ) {
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

    fn begin_chunk(&mut self, text: &str) {
        assert!(self.has_chunking, "{text}, not offered");
        assert!(!self.recipients.is_empty(), "BDAT without a recipient");
        let chunk = Chunk::parse(&text.as_bytes()[4..]).unwrap();
        assert_eq!(
            text.to_owned() + "\r\n",
            chunk.line(),
            "a count that is not plain"
        );
        self.chunk = Some(chunk);
    }

    pub(super) fn offer(&mut self, tape: &mut Tape) {
        self.forget();
        self.is_proven = false;
        self.pipelining = tape.draw(2) == 1;
        let mut more = String::new();
        if tape.draw(3) > 0 {
            more += "250-STARTTLS\r\n";
        }
        self.has_8bitmime = tape.draw(3) > 0;
        if self.has_8bitmime {
            more += "250-8BITMIME\r\n";
        }
        self.has_chunking = tape.draw(3) > 0;
        if self.has_chunking {
            more += "250-CHUNKING\r\n";
        }
        self.has_auth = tape.draw(3) > 0;
        if self.has_auth {
            more += "250-AUTH PLAIN LOGIN\r\n";
        }
        more += if self.pipelining {
            "250 PIPELINING\r\n"
        } else {
            "250 HELP\r\n"
        };
        self.say("250", &more, Said::Ehlo);
    }
}
