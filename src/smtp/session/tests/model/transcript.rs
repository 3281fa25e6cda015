//! The two sides of the client's conversation, held against what the MX has said.

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
    pub(super) awaits: Awaits,
    /// The sender and the recipients that the client believes in.
    pub(super) mail: Option<Vec<u8>>,
    pub(super) recipients: Vec<Vec<u8>>,
    pub(super) must_close: bool,
    /// The client has been told to go ahead with TLS.
    is_secured: bool,
    /// It has said hello since.
    is_greeted: bool,
    pub(super) is_closed: bool,
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
}

impl Transcript {
    pub(super) fn hear(&mut self, octets: &[u8], mx: &Mx) {
        self.heard.extend_from_slice(octets);
        while let Some(end) = find(&self.heard, b"\r\n") {
            let line: Vec<u8> = self.heard.drain(..end + 2).collect();
            let is_offer = line.ends_with(b"STARTTLS\r\n");
            assert!(!(is_offer && self.is_secured), "STARTTLS inside TLS");
            if line[3] == b' ' {
                self.reply(&String::from_utf8(line).unwrap(), mx);
            }
        }
        assert!(self.heard.is_empty(), "half a line to the client");
    }

    pub(super) fn reply(&mut self, reply: &str, mx: &Mx) {
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
            "BDAT" => &[503],
            "STARTTLS" => &[220, 503],
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
            "QUIT" | "BDAT" => self.must_close = true,
            _ => {}
        }
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

    /// The client is to shake hands: nothing that it has said waits for its turn, and nothing of it counts.
    pub(super) fn secure(&mut self) {
        assert!(!self.is_secured, "TLS inside TLS");
        assert_eq!(self.sent.len(), self.understood, "octets behind STARTTLS");
        assert_eq!(self.mail, None, "a transaction is open");
        self.is_secured = true;
        self.is_greeted = false;
    }

    pub(super) fn forget(&mut self) {
        self.mail = None;
        self.recipients.clear();
    }

    pub(super) fn awaits_reply_to_data(&self) -> bool {
        self.sent[self.understood..].ends_with(b"DATA\r\n")
    }

    pub(super) fn assert_all_answered(&self) {
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
