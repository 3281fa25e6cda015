//! How replies reach the client: those of the MX re-framed and made harmless, our own built.
//!
//! The code is the MX's and so are the words, but lines end with CRLF, hold no control characters and at most 512 octets
//! (RFC 5321 §4.5.3.1.5), and carry an enhanced status code where the client was promised one (RFC 2034 §4).

use bytes::{BufMut, Bytes, BytesMut};

use super::Reply;
use super::path::Charset;
use super::reply::{Class, ServerReply};

/// Whether every line must carry an enhanced status code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Enhanced {
    /// ENHANCEDSTATUSCODES was offered: lines without one are given one.
    Promised,
    /// As the MX has it: greetings, HELO.
    AsIs,
}

/// A reply of the MX for the client.
pub(super) fn relayed(reply: &ServerReply, enhanced: Enhanced, charset: Charset) -> Bytes {
    let code = match (enhanced, reply.class()) {
        (Enhanced::AsIs, _) | (Enhanced::Promised, Class::Intermediate) => None,
        (Enhanced::Promised, Class::Completed | Class::Transient | Class::Permanent) => {
            Some(status_of(reply))
        }
    };
    let texts: Vec<String> = reply
        .lines()
        .iter()
        .map(|line| match &code {
            None => printable(line, charset),
            Some(code) => {
                let text = own_status(line, reply.code()).map_or(&line[..], |own| {
                    line[own.len()..].strip_prefix(b" ").unwrap_or_default()
                });
                format!("{code} {}", printable(text, charset))
            }
        })
        .collect();
    framed(reply.code(), &texts)
}

/// The same enhanced status code for all lines: the first that the MX gives, or the vaguest of the class.
fn status_of(reply: &ServerReply) -> String {
    reply
        .lines()
        .iter()
        .find_map(|line| own_status(line, reply.code()))
        .map_or_else(
            || format!("{}.0.0", reply.code() / 100),
            |own| printable(own, Charset::Ascii),
        )
}

/// The enhanced status code at the start of a line, when it is one of the reply's class (RFC 2034 §4, RFC 3463 §2).
fn own_status(line: &[u8], code: u16) -> Option<&[u8]> {
    let word = line.split(|octet| *octet == b' ').next()?;
    let mut parts = word.split(|octet| *octet == b'.');
    let class = parts.next()?;
    let detail = |part: &[u8]| (1..=3).contains(&part.len()) && part.iter().all(u8::is_ascii_digit);
    let fits = class.len() == 1
        && u16::from(class[0].wrapping_sub(b'0')) == code / 100
        && parts.next().is_some_and(detail)
        && parts.next().is_some_and(detail)
        && parts.next().is_none();
    fits.then_some(word)
}

impl Reply {
    /// One of ours, as it goes over the wire.
    pub(crate) fn encode(&self) -> Bytes {
        let text = printable(self.text.as_bytes(), Charset::Ascii);
        let text = match self.enhanced {
            Some(enhanced) => format!("{enhanced} {text}"),
            None => text,
        };
        framed(self.code, &[text])
    }

    /// With the id by which the session's record is found.
    pub(super) fn traced(mut self, trace: &str) -> Self {
        truncate(
            &mut self.text,
            MAX_TEXT - MAX_STATUS - trace.len().min(64) - 3,
        );
        self.text.push_str(" [");
        self.text.push_str(trace);
        self.text.push(']');
        self
    }
}

fn framed(code: u16, texts: &[String]) -> Bytes {
    let mut wire = BytesMut::new();
    for (at, text) in texts.iter().enumerate() {
        let separator = if at + 1 == texts.len() { b' ' } else { b'-' };
        let mut text = text.clone();
        truncate(&mut text, MAX_TEXT);
        wire.put(code.to_string().as_bytes());
        wire.put_u8(separator);
        wire.put(text.as_bytes());
        wire.put(&b"\r\n"[..]);
    }
    wire.freeze()
}

/// The text with everything replaced that a terminal, a log or a parser could take for something else.
pub(super) fn printable(text: &[u8], charset: Charset) -> String {
    let text = text.get(..MAX_TEXT).unwrap_or(text);
    let ascii = |octet: u8| match octet {
        b' '..=b'~' => char::from(octet),
        b'\t' => ' ',
        _ => '?',
    };
    let mut out = String::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        match charset {
            Charset::Utf8 => out.extend(
                chunk
                    .valid()
                    .chars()
                    .map(|c| if c.is_control() { '?' } else { c }),
            ),
            Charset::Ascii => out.extend(chunk.valid().bytes().map(ascii)),
        }
        out.extend(chunk.invalid().iter().map(|_| '?'));
    }
    out
}

fn truncate(text: &mut String, octets: usize) {
    let end = text.floor_char_boundary(octets);
    text.truncate(end);
}

/// 512 octets less code, separator and CRLF.
const MAX_TEXT: usize = 512 - 6;

/// An enhanced status code at its longest, with the space behind it.
const MAX_STATUS: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::Limits;
    use crate::smtp::reply::ReplyParser;

    fn relay(text: &[u8], enhanced: Enhanced, charset: Charset) -> String {
        let mut parser = ReplyParser::new(&Limits::default());
        parser.push(text);
        let reply = parser.next_reply().unwrap().unwrap();
        String::from_utf8(relayed(&reply, enhanced, charset).to_vec()).unwrap()
    }

    #[test]
    fn esc_1_every_line_of_a_relayed_reply_carries_one_matching_status_code() {
        let rows = [
            ("250 ok\r\n", "250 2.0.0 ok\r\n"),
            ("250\r\n", "250 2.0.0 \r\n"),
            ("250 2.1.5 fine\r\n", "250 2.1.5 fine\r\n"),
            ("250 2.1.5\r\n", "250 2.1.5 \r\n"),
            ("450 later\r\n", "450 4.0.0 later\r\n"),
            ("550 5.1.1 no\r\n", "550 5.1.1 no\r\n"),
            ("550 4.1.1 no\r\n", "550 5.0.0 4.1.1 no\r\n"),
            ("550 5.1 no\r\n", "550 5.0.0 5.1 no\r\n"),
            ("550 5.1.1.1 no\r\n", "550 5.0.0 5.1.1.1 no\r\n"),
            ("550 5.1.1234 no\r\n", "550 5.0.0 5.1.1234 no\r\n"),
            ("354 go\r\n", "354 go\r\n"),
            ("550-5.1.1 a\r\n550 b\r\n", "550-5.1.1 a\r\n550 5.1.1 b\r\n"),
            ("550-a\r\n550 5.7.1 b\r\n", "550-5.7.1 a\r\n550 5.7.1 b\r\n"),
            (
                "550-5.1.1 a\r\n550 5.7.1 b\r\n",
                "550-5.1.1 a\r\n550 5.1.1 b\r\n",
            ),
        ];
        for (said, heard) in rows {
            let seen = relay(said.as_bytes(), Enhanced::Promised, Charset::Ascii);
            assert_eq!(seen, heard, "{said:?}");
        }
    }

    #[test]
    fn esc_1_a_client_that_was_promised_nothing_hears_the_reply_as_it_is() {
        assert_eq!(
            relay(b"250-a\r\n250 5.1.1 b\r\n", Enhanced::AsIs, Charset::Ascii),
            "250-a\r\n250 5.1.1 b\r\n"
        );
    }

    #[test]
    fn dn_24_attack_tls_15_illegal_octets_are_replaced() {
        let rows: [(&[u8], Charset, &str); 5] = [
            (
                b"220 a\x1b[31mb\0c\x7f\r\n",
                Charset::Ascii,
                "220 a?[31mb?c?\r\n",
            ),
            (b"220 a\tb\r\n", Charset::Ascii, "220 a b\r\n"),
            ("220 zoë\r\n".as_bytes(), Charset::Ascii, "220 zo??\r\n"),
            (
                "220 zoë\u{85}\r\n".as_bytes(),
                Charset::Utf8,
                "220 zoë?\r\n",
            ),
            (b"220 \xff\xfe\r\n", Charset::Utf8, "220 ??\r\n"),
        ];
        for (said, charset, heard) in rows {
            assert_eq!(relay(said, Enhanced::AsIs, charset), heard);
        }
    }

    #[test]
    fn smtp_19_relayed_lines_keep_to_512_octets() {
        let said = format!("250 {}\r\n", "ü".repeat(900));
        for charset in [Charset::Ascii, Charset::Utf8] {
            let heard = relay(said.as_bytes(), Enhanced::Promised, charset);
            assert!((510..=512).contains(&heard.len()), "{}", heard.len());
        }
    }

    #[test]
    fn the_trace_id_survives_a_long_text() {
        let reply = Reply {
            code: 451,
            enhanced: Some("4.7.5"),
            text: "x".repeat(600),
        };
        let wire = reply.traced("01ARZ").encode();
        assert!(wire.len() <= 512 && wire.ends_with(b"x [01ARZ]\r\n"));
    }
}
