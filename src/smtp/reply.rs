//! Replies of the MX (RFC 5321 §4.2), read so strictly that nothing can hide in one.
//!
//! A line ends at CRLF and nowhere else, all lines of a reply carry the same code, lines and their number are bounded.
//! Anything else is a [`ReplyError`]: the connection has lost its meaning and must not be read any further.

use bytes::{Bytes, BytesMut};
use memchr::memchr;

use super::Limits;

/// One whole reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerReply {
    code: u16,
    lines: Vec<Bytes>,
}

/// What the first digit says (RFC 5321 §4.2.1); a client decides by it alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// 2yz
    Completed,
    /// 3yz
    Intermediate,
    /// 4yz
    Transient,
    /// 5yz
    Permanent,
}

/// Why octets are not a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// A line ends with LF alone.
    #[error("a reply line ends with a bare LF")]
    BareLf,
    /// A CR that no LF follows.
    #[error("a reply line holds a bare CR")]
    BareCr,
    /// A line outgrows its limit.
    #[error("a reply line is too long")]
    LongLine,
    /// A reply outgrows its limit.
    #[error("a reply has too many lines")]
    ManyLines,
    /// No three digits from 200 to 599, or no separator behind them.
    #[error("a reply has no valid code")]
    NoCode,
    /// The lines of one reply differ in their code (RFC 5321 §4.2.1).
    #[error("the lines of a reply differ in their code")]
    MixedCodes,
}

impl ServerReply {
    /// The three digits.
    #[must_use]
    pub const fn code(&self) -> u16 {
        self.code
    }

    /// What the first digit says.
    #[must_use]
    pub const fn class(&self) -> Class {
        match self.code / 100 {
            2 => Class::Completed,
            3 => Class::Intermediate,
            4 => Class::Transient,
            _ => Class::Permanent,
        }
    }

    /// The texts behind the code, at least one, which may be empty.
    #[must_use]
    pub fn lines(&self) -> &[Bytes] {
        &self.lines
    }
}

/// Reads replies out of the octets of the MX.
#[derive(Debug)]
pub struct ReplyParser {
    octets: BytesMut,
    scanned: usize,
    /// The lines so far of a reply that goes on.
    begun: Option<ServerReply>,
    line_limit: usize,
    lines_limit: usize,
}

impl ReplyParser {
    /// With the limits of a session.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self {
            octets: BytesMut::new(),
            scanned: 0,
            begun: None,
            line_limit: limits.reply_line,
            lines_limit: limits.reply_lines,
        }
    }

    /// Takes octets in.
    pub fn push(&mut self, octets: &[u8]) {
        self.octets.extend_from_slice(octets);
    }

    /// Forgets everything: what was said on one connection means nothing on the next.
    pub fn clear(&mut self) {
        self.octets.clear();
        self.scanned = 0;
        self.begun = None;
    }

    /// Nothing waits, not even half a line.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.octets.is_empty() && self.begun.is_none()
    }

    /// The next whole reply.
    ///
    /// # Errors
    /// [`ReplyError`] says why what came is none.
    pub fn next_reply(&mut self) -> Result<Option<ServerReply>, ReplyError> {
        while let Some(line) = self.next_line()? {
            let (code, last, text) = parse_line(&line)?;
            let mut reply = self.begun.take().unwrap_or_else(|| ServerReply {
                code,
                lines: Vec::with_capacity(1),
            });
            if reply.code != code {
                return Err(ReplyError::MixedCodes);
            }
            if reply.lines.len() == self.lines_limit {
                return Err(ReplyError::ManyLines);
            }
            reply.lines.push(text);
            if last {
                return Ok(Some(reply));
            }
            self.begun = Some(reply);
        }
        Ok(None)
    }

    fn next_line(&mut self) -> Result<Option<Bytes>, ReplyError> {
        if self.octets.is_empty() {
            self.octets = BytesMut::new(); // a session that waits holds no buffer
            return Ok(None);
        }
        let unseen = self.octets.get(self.scanned..).unwrap_or_default();
        let Some(at) = memchr(b'\n', unseen) else {
            self.scanned = self.octets.len();
            return if self.octets.len() > self.line_limit {
                Err(ReplyError::LongLine)
            } else {
                Ok(None)
            };
        };
        let line = self.octets.split_to(self.scanned + at + 1).freeze();
        self.scanned = 0;
        if line.len() > self.line_limit {
            return Err(ReplyError::LongLine);
        }
        let text = line.strip_suffix(b"\r\n").ok_or(ReplyError::BareLf)?;
        if memchr(b'\r', text).is_some() {
            return Err(ReplyError::BareCr);
        }
        Ok(Some(line.slice(..text.len())))
    }
}

/// Code, whether it is the last line, text.
fn parse_line(line: &Bytes) -> Result<(u16, bool, Bytes), ReplyError> {
    let [
        first @ b'2'..=b'5',
        second @ b'0'..=b'9',
        third @ b'0'..=b'9',
        rest @ ..,
    ] = &line[..]
    else {
        return Err(ReplyError::NoCode);
    };
    let code = [first, second, third]
        .into_iter()
        .fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    match rest.first() {
        None => Ok((code, true, Bytes::new())), // RFC 5321 §4.2: a bare code is to be accepted
        Some(b' ') => Ok((code, true, line.slice(4..))),
        Some(b'-') => Ok((code, false, line.slice(4..))),
        Some(_) => Err(ReplyError::NoCode),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &[u8], step: usize) -> Result<Vec<(u16, Vec<String>)>, ReplyError> {
        let limits = Limits {
            reply_line: 64,
            reply_lines: 4,
            ..Limits::default()
        };
        let mut parser = ReplyParser::new(&limits);
        let mut replies = Vec::new();
        for chunk in input.chunks(step) {
            parser.push(chunk);
            while let Some(reply) = parser.next_reply()? {
                let lines = reply
                    .lines()
                    .iter()
                    .map(|line| String::from_utf8_lossy(line).into_owned());
                replies.push((reply.code(), lines.collect()));
            }
        }
        Ok(replies)
    }

    #[test]
    fn smtp_12_smtp_13_replies_are_read_by_code_however_they_are_cut() {
        type Row = (&'static str, Vec<(u16, Vec<&'static str>)>);
        let rows: [Row; 7] = [
            ("250 ok\r\n", vec![(250, vec!["ok"])]),
            ("250\r\n", vec![(250, vec![""])]),
            ("299 x\r\n", vec![(299, vec!["x"])]),
            (
                "250-a\r\n250-b\r\n250 c\r\n",
                vec![(250, vec!["a", "b", "c"])],
            ),
            ("250-a\r\n250\r\n", vec![(250, vec!["a", ""])]),
            (
                "354 go\r\n550 no\r\n",
                vec![(354, vec!["go"]), (550, vec!["no"])],
            ),
            ("250 half", vec![]),
        ];
        for (input, expected) in rows {
            let expected: Vec<(u16, Vec<String>)> = expected
                .into_iter()
                .map(|(code, lines)| (code, lines.into_iter().map(String::from).collect()))
                .collect();
            for step in 1..=input.len() {
                assert_eq!(read(input.as_bytes(), step).unwrap(), expected, "{input:?}");
            }
        }
    }

    #[test]
    fn dn_05_dn_09_smtp_12_what_is_no_reply_is_an_error() {
        let rows: [(&[u8], ReplyError); 17] = [
            (b"250 ok\n250 x\r\n", ReplyError::BareLf),
            (b"250 ok\n", ReplyError::BareLf),
            (b"250 ok\r250 x\r\n", ReplyError::BareCr),
            (b"250 ok\r\r\n", ReplyError::BareCr),
            (b"250-a\r\n251 b\r\n", ReplyError::MixedCodes),
            (b"250-a\r\n550 b\r\n", ReplyError::MixedCodes),
            (
                b"250-a\r\n250-b\r\n250-c\r\n250-d\r\n250-e\r\n",
                ReplyError::ManyLines,
            ),
            (b"650 x\r\n", ReplyError::NoCode),
            (b"150 x\r\n", ReplyError::NoCode),
            (b"25\r\n", ReplyError::NoCode),
            (b"2500\r\n", ReplyError::NoCode),
            (b"250_x\r\n", ReplyError::NoCode),
            (b"\r\n", ReplyError::NoCode),
            (b" 250 x\r\n", ReplyError::NoCode),
            (b"HTTP/1.1 400 Bad Request\r\n", ReplyError::NoCode),
            (&[b'2'; 65], ReplyError::LongLine),
            (
                b"250 xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n",
                ReplyError::LongLine,
            ),
        ];
        for (input, expected) in rows {
            for step in 1..=input.len() {
                let name = String::from_utf8_lossy(input);
                assert_eq!(read(input, step), Err(expected), "{name:?} by {step}");
            }
        }
    }

    #[test]
    fn dn_07_a_reply_line_may_be_as_long_as_its_limit() {
        let line = format!("250 {}\r\n", "x".repeat(58));
        assert_eq!(line.len(), 64);
        assert_eq!(read(line.as_bytes(), 7).unwrap().len(), 1);
    }
}
