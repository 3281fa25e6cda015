//! The model's MX.

use std::collections::VecDeque;

use super::{Tape, find, is_sound};

/// What a numbered reply of the MX was about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
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
    pub(super) delivered: Vec<Delivered>,
    /// It has spoken unasked on this connection: what answers what is anybody's guess, but the words are still its own.
    pub(super) is_wild: bool,
}

impl Mx {
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
        self.is_wild = false;
    }

    pub(super) fn forget(&mut self) {
        self.mail = None;
        self.recipients.clear();
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
        // Refusals take the number of the message that was not delivered.
        self.say(
            code,
            "",
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

    pub(super) fn offer(&mut self, tape: &mut Tape) {
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
