//! The two sides of the client's conversation, held against what the MX has said.

use super::super::super::super::chunk::{Chunk, Last};
use super::super::super::super::data::BareLineEnds;
use super::mx::{Mx, Said};
use super::{find, is_sound};

/// What the client has sent and heard, put side by side.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "observations, not states")]
pub(super) struct Transcript {
    pub(super) sent: Vec<u8>,
    /// Octets of it that have had their reply.
    pub(super) understood: usize,
    pub(super) heard: Vec<u8>,
    /// The lines of a reply that goes on.
    lines: Vec<String>,
    pub(super) awaits: Awaits,
    /// The client was promised status codes.
    has_codes: bool,
    /// It may say BDAT.
    pub(super) is_chunking: bool,
    /// Chunks that were accepted.
    chunks: Vec<u8>,
    /// A chunk was refused.
    has_failed: bool,
    /// The sender and the recipients that the client believes in.
    pub(super) mail: Option<Vec<u8>>,
    pub(super) recipients: Vec<Vec<u8>>,
    pub(super) must_close: bool,
    /// The client has been told to go ahead with TLS.
    is_secured: bool,
    /// It has said hello since.
    is_greeted: bool,
    pub(super) is_closed: bool,
    is_logged_in: bool,
}

/// Whose word a reply is.
pub(super) struct Word<'a> {
    pub(super) said: Option<&'a Said>,
    pub(super) is_wild: bool,
}

impl Word<'_> {
    pub(super) fn assert_is(&self, wanted: &Said, reply: &str) {
        let fits = match self.said {
            Some(said) => said == wanted || self.is_wild,
            None => false,
        };
        assert!(fits, "not the MX's word: {reply}");
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Awaits {
    #[default]
    Greeting,
    Command,
    Message,
    /// The answer to a challenge.
    Response,
}

impl Transcript {
    pub(super) fn hear(&mut self, octets: &[u8], mx: &Mx) {
        self.heard.extend_from_slice(octets);
        while let Some(end) = find(&self.heard, b"\r\n") {
            let line: Vec<u8> = self.heard.drain(..end + 2).collect();
            let is_offer = line.ends_with(b"STARTTLS\r\n");
            assert!(!(is_offer && self.is_secured), "STARTTLS inside TLS");
            let is_last = line[3] == b' ';
            self.lines.push(String::from_utf8(line).unwrap());
            if is_last {
                let lines = std::mem::take(&mut self.lines);
                self.reply(&lines, mx);
            }
        }
        assert!(
            self.heard.is_empty() && self.lines.is_empty(),
            "half a reply to the client"
        );
    }

    fn reply(&mut self, lines: &[String], mx: &Mx) {
        let reply = &lines.concat();
        let code: u16 = reply[..3].parse().unwrap();
        assert!(lines.iter().all(|line| line[..3] == reply[..3]), "{reply}");
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
                let is_hello = says(&line, "EHLO") || says(&line, "HELO");
                if is_hello {
                    self.has_codes = says(&line, "EHLO");
                    self.is_chunking = reply.contains("250-CHUNKING\r\n");
                } else {
                    self.assert_codes(lines);
                }
                if self.is_chunking
                    && says(&line, "BDAT")
                    && let Ok(chunk) = Chunk::parse(&line[4..])
                {
                    return self.chunk(chunk, said, mx, reply);
                }
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
            Awaits::Response => {
                let rest = &self.sent[self.understood..];
                let end = find(rest, b"\r\n").unwrap_or_else(|| panic!("unasked: {reply}"));
                self.understood += end + 2;
                self.assert_codes(lines);
                let is_wild = mx.is_wild;
                self.login(code, &Word { said, is_wild }, reply);
            }
            Awaits::Message => {
                self.assert_codes(lines);
                self.message(code, said, mx, reply);
            }
        }
    }

    pub(super) fn command(&mut self, line: &[u8], code: u16, word: Word<'_>, reply: &str) {
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
            "BDAT" if self.is_chunking => &[501],
            "BDAT" => &[503],
            "STARTTLS" => &[220, 503],
            "AUTH" => &[235, 334, 502, 503, 504, 535],
            _ => &[500],
        };
        assert!(codes.contains(&code), "{text} got {reply}");
        match verb {
            "EHLO" | "HELO" => {
                self.forget();
                self.is_greeted = true;
            }
            "RSET" => self.forget(),
            "MAIL" if is_good => {
                assert!(self.is_greeted, "MAIL without a hello that counts");
                self.mail = Some(line.to_vec());
            }
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
            "AUTH" if [235, 334, 535].contains(&code) => self.login(code, &word, reply),
            "QUIT" | "BDAT" => self.must_close = true,
            _ => {}
        }
    }

    /// What the MX says to a login; nobody else may.
    fn login(&mut self, code: u16, word: &Word<'_>, reply: &str) {
        assert!([235, 334, 535].contains(&code), "{reply}");
        word.assert_is(&Said::Login, reply);
        self.awaits = match code {
            334 => Awaits::Response,
            _ => Awaits::Command,
        };
        self.is_logged_in |= code == 235;
    }

    pub(super) fn message(&mut self, code: u16, said: Option<&Said>, mx: &Mx, reply: &str) {
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
        self.assert_delivered(code, said, mx, &message);
        self.forget();
        self.awaits = Awaits::Command;
    }

    /// A chunk, which must be there in full before it is answered, and what it makes of the message.
    fn chunk(&mut self, chunk: Chunk, said: Option<&Said>, mx: &Mx, reply: &str) {
        let code: u16 = reply[..3].parse().unwrap();
        let length = usize::try_from(chunk.left).unwrap();
        let rest = &self.sent[self.understood..];
        assert!(rest.len() >= length, "{reply} before the end of the chunk");
        self.chunks.extend_from_slice(&rest[..length]);
        self.understood += length;
        assert!([250, 450, 451, 503, 550].contains(&code), "{reply}");
        if code / 100 == 2 {
            assert!(!self.recipients.is_empty(), "{reply} without a recipient");
            assert!(!self.has_failed, "{reply} after a chunk that failed");
            match chunk.last {
                Last::Yes => {
                    assert!(said.is_some(), "not the MX's word: {reply}");
                    let message = std::mem::take(&mut self.chunks);
                    self.assert_delivered(code, said, mx, &message);
                }
                Last::No => Word {
                    said,
                    is_wild: mx.is_wild,
                }
                .assert_is(&Said::Chunk, reply),
            }
        } else {
            self.has_failed |= !self.recipients.is_empty();
            let is_out_of_order = code == 503;
            assert!(
                !(is_out_of_order && self.has_failed),
                "{reply} in a transaction"
            );
        }
        if chunk.last == Last::Yes && !self.recipients.is_empty() {
            self.forget();
        }
        if self.recipients.is_empty() {
            self.chunks.clear();
        }
    }

    /// RFC 2034 §4
    fn assert_codes(&self, lines: &[String]) {
        for line in lines {
            let class = &line[..1];
            let is_coded = line[4..].starts_with(&format!("{class}.")) || class == "3";
            assert!(is_coded || !self.has_codes, "no status code: {line}");
        }
    }

    fn assert_delivered(&self, code: u16, said: Option<&Said>, mx: &Mx, message: &[u8]) {
        if code / 100 == 2 && !mx.is_wild {
            let reply = code;
            let delivered = Said::Message(mx.delivered.len() - 1);
            assert_eq!(said, Some(&delivered), "not the MX's word: {reply}");
            let delivered = mx.delivered.last().unwrap();
            assert_eq!(Some(&delivered.mail), self.mail.as_ref());
            assert_eq!(delivered.recipients, self.recipients);
            assert_eq!(delivered.message, message);
            let is_allowed = is_sound(message) || mx.bare_line_ends == BareLineEnds::Pass;
            assert!(is_allowed, "a tainted message was accepted");
        }
    }

    /// The client is to shake hands: nothing that it has said waits for its turn, and nothing of it counts.
    pub(super) fn secure(&mut self) {
        assert!(!self.is_secured, "TLS inside TLS");
        assert!(!self.is_logged_in, "a login in the clear counts inside TLS");
        assert_eq!(self.sent.len(), self.understood, "octets behind STARTTLS");
        assert_eq!(self.mail, None, "a transaction is open");
        self.is_secured = true;
        self.is_greeted = false;
        self.has_codes = false;
        self.is_chunking = false;
    }

    pub(super) fn forget(&mut self) {
        self.mail = None;
        self.recipients.clear();
        self.chunks.clear();
        self.has_failed = false;
    }

    /// The last command is one that nothing may be sent behind before its reply.
    pub(super) fn awaits_reply_to_last(&self) -> bool {
        let rest = &self.sent[self.understood..];
        let lines = rest.strip_suffix(b"\r\n");
        let last = lines.and_then(|lines| lines.rsplit(|octet| *octet == b'\n').next());
        last.is_some_and(|last| last == b"DATA" || says(last, "AUTH"))
    }

    pub(super) fn assert_all_answered(&self) {
        let rest = &self.sent[self.understood..];
        let is_open = match self.awaits {
            Awaits::Greeting => true,
            Awaits::Command => match find(rest, b"\r\n") {
                None => true,
                Some(end) => match Chunk::parse(rest.get(4..end).unwrap_or_default()) {
                    Ok(chunk) if self.is_chunking && says(rest, "BDAT") => {
                        ((rest.len() - end - 2) as u64) < chunk.left
                    }
                    Ok(_) | Err(_) => false,
                },
            },
            Awaits::Response => find(rest, b"\r\n").is_none(),
            Awaits::Message => find(&[b"\r\n", rest].concat(), b"\r\n.\r\n").is_none(),
        };
        assert!(
            is_open,
            "without a reply: {:?}",
            rest.escape_ascii().to_string()
        );
    }
}

/// Whether a line begins with this verb.
fn says(line: &[u8], verb: &str) -> bool {
    line.get(..verb.len())
        .is_some_and(|said| said.eq_ignore_ascii_case(verb.as_bytes()))
}
