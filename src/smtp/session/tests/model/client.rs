//! The model's client.

use std::collections::VecDeque;

use super::Tape;
use super::transcript::{Awaits, Transcript};

/// A client that knows the protocol, and does not always keep to it.
#[derive(Default)]
pub(super) struct Client {
    pub(super) outgoing: VecDeque<u8>,
    pub(super) is_closed: bool,
    pub(super) progress: usize,
}

pub(super) const DOMAINS: [&str; 5] = [
    "a.example",
    "A.Example",
    "b.example",
    "c.example",
    "d.example",
];

impl Client {
    /// Along the way from EHLO to DATA.
    fn next_command(&mut self, tape: &mut Tape, transcript: &Transcript) -> String {
        let line = match self.progress {
            0 => "EHLO mta.example".into(),
            1 if tape.rarely(4) => "mail from:<> BODY=8BITMIME".into(),
            1 => "MAIL FROM:<a@b.example>".into(),
            2 => format!("RCPT TO:<u{}@{}>", tape.draw(9), DOMAINS[tape.draw(5)]),
            _ if transcript.is_chunking && tape.draw(2) == 1 => return self.chunks(tape),
            _ => "DATA".into(),
        };
        self.progress = match self.progress {
            2 if tape.rarely(3) => 2,
            3 => 1,
            other => other + 1,
        };
        line
    }

    /// A message in chunks, pipelined; not always to its end.
    fn chunks(&mut self, tape: &mut Tape) -> String {
        self.progress = 1 - usize::from(tape.rarely(3));
        let mut message = message(tape);
        message.truncate(message.len() - b".\r\n".len());
        while tape.draw(3) > 0 {
            let rest = message.split_off(tape.draw(message.len() + 1));
            self.outgoing
                .extend(format!("BDAT {}\r\n", message.len()).bytes());
            self.outgoing.extend(message);
            message = rest;
        }
        if tape.rarely(6) {
            return "RSET".into();
        }
        self.outgoing
            .extend(format!("bdat {} LAST\r\n", message.len()).bytes());
        self.outgoing.extend(message);
        if tape.draw(2) == 1 {
            "RSET".into()
        } else {
            "NOOP".into()
        }
    }

    /// The next command, or the message when the MX has asked for one.
    pub(super) fn compose(&mut self, tape: &mut Tape, transcript: &Transcript) {
        if transcript.awaits == Awaits::Message {
            // One message, however it is cut: what was sent of it is not sent again.
            if transcript.sent.len() == transcript.understood {
                self.outgoing.extend(message(tape));
            }
            return;
        }
        if transcript.awaits == Awaits::Response {
            if transcript.sent.len() == transcript.understood {
                let line = ["YQ==", "", "*", "MAIL FROM:<a@b.example>"][tape.draw(4)];
                self.outgoing.extend(format!("{line}\r\n").bytes());
            }
            return;
        }
        // A client that pipelines does not wait for replies; DATA and AUTH end a group (RFC 2920 §3.1).
        if transcript.awaits_reply_to_last() {
            return;
        }
        let line = if tape.rarely(5) {
            odd_command(tape)
        } else {
            self.next_command(tape, transcript)
        };
        let is_chunk = line == "BDAT 3 LAST";
        let ends_rashly = line == "DATA" && tape.rarely(5);
        self.outgoing.extend(line.into_bytes());
        self.outgoing.extend(b"\r\n");
        if is_chunk {
            self.outgoing.extend(b"x\r\n");
        }
        if ends_rashly {
            self.outgoing.extend(message(tape));
        }
    }
}

fn odd_command(tape: &mut Tape) -> String {
    let line = match tape.draw(23) {
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
        17 if tape.rarely(20) => "BDAT 18446744073709551616 LAST",
        18 | 19 => "AUTH LOGIN",
        20 => "auth PLAIN AGEAYg==",
        21 => "AUTH GSSAPI",
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
