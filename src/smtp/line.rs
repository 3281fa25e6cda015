//! Command lines out of the client's octets, whatever the segments they came in.
//!
//! Only CRLF ends a line (RFC 5321 §2.3.8). A line that holds a bare CR, a bare LF or a NUL is one malformed line, never
//! two; one that outgrows its limit is thrown away up to its CRLF, and [`Flood`] when that does not come.

use bytes::{Bytes, BytesMut};
use memchr::{memchr3, memmem};

/// One line, without its CRLF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Free of CR, LF and NUL.
    Text(Bytes),
    /// It holds a bare CR, a bare LF or a NUL.
    Malformed(Start),
    /// It was longer than allowed, and is gone.
    TooLong(Start),
}

impl Line {
    /// How it begins.
    pub(super) fn start(&self) -> &[u8] {
        match self {
            Self::Text(text) => text,
            Self::Malformed(start) | Self::TooLong(start) => &start.0,
        }
    }
}

/// The first octets of a line that is not kept: enough to know a verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Start([u8; 4]);

impl Start {
    fn of(line: &[u8]) -> Self {
        let mut start = [0; 4];
        for (to, from) in start.iter_mut().zip(line) {
            *to = *from;
        }
        Self(start)
    }
}

/// The client sends and sends, and no line ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flood;

/// The client's octets that are not yet understood.
#[derive(Debug, Default)]
pub(super) struct LineBuffer {
    octets: BytesMut,
    /// Octets that are known to hold no CRLF but for a CR at their end.
    scanned: usize,
    /// A line that is too long, as far as it was thrown away.
    discarded: Option<Discarded>,
}

#[derive(Clone, Copy, Debug)]
struct Discarded {
    start: Start,
    octets: usize,
}

impl LineBuffer {
    /// Takes octets in.
    pub(super) fn push(&mut self, octets: &[u8]) {
        self.octets.extend_from_slice(octets);
    }

    /// Octets that wait.
    pub(super) fn len(&self) -> usize {
        self.octets.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.octets.is_empty()
    }

    /// Does the next line begin so, as far as it is here?
    pub(super) fn begins_with(&self, verb: &[u8]) -> bool {
        let start = self.octets.get(..verb.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(verb))
    }

    /// Is there a whole line that more can come of than of DATA without a message?
    pub(super) fn holds_command(&self) -> bool {
        let is_data = self.octets.eq_ignore_ascii_case(b"DATA\r\n");
        memmem::find(&self.octets, b"\r\n").is_some() && !is_data
    }

    /// Everything, no longer as lines: message data begins.
    pub(super) fn take(&mut self) -> Bytes {
        self.scanned = 0;
        self.octets.split().freeze()
    }

    /// The next line that is complete; `limit` counts its CRLF in.
    pub(super) fn next_line(&mut self, limit: usize) -> Result<Option<Line>, Flood> {
        if self.octets.is_empty() {
            self.octets = BytesMut::new(); // a session that waits holds no buffer
            return Ok(None);
        }
        let is_new = self.scanned == 0;
        let Some(end) = self.find_crlf() else {
            self.hold(limit)?;
            if is_new || self.scanned == 0 {
                // A few octets must not hold the room of all that came with them.
                self.octets = BytesMut::from(&self.octets[..]);
            }
            return Ok(None);
        };
        let line = self.octets.split_to(end + 2).freeze();
        self.scanned = 0;
        if let Some(discarded) = self.discarded.take() {
            return Ok(Some(Line::TooLong(discarded.start)));
        }
        if line.len() > limit {
            return Ok(Some(Line::TooLong(Start::of(&line))));
        }
        let text = line.slice(..end);
        Ok(Some(if memchr3(b'\r', b'\n', 0, &text).is_some() {
            Line::Malformed(Start::of(&text))
        } else {
            Line::Text(text)
        }))
    }

    fn find_crlf(&mut self) -> Option<usize> {
        let unseen = self.octets.get(self.scanned..)?;
        let at = memmem::find(unseen, b"\r\n");
        let found = at.map(|at| self.scanned + at);
        self.scanned = self.octets.len().saturating_sub(1);
        found
    }

    /// No line is complete: keeps what may still become one.
    fn hold(&mut self, limit: usize) -> Result<(), Flood> {
        if self.octets.len() <= limit && self.discarded.is_none() {
            return Ok(());
        }
        let keep = self.octets.len().min(1); // a CR whose LF is to come
        let gone = self.octets.split_to(self.octets.len() - keep);
        self.scanned = 0;
        let discarded = self.discarded.get_or_insert_with(|| Discarded {
            start: Start::of(&gone),
            octets: 0,
        });
        discarded.octets += gone.len();
        if discarded.octets > MAX_DISCARDED {
            Err(Flood)
        } else {
            Ok(())
        }
    }
}

/// How much of one line is thrown away before the client is given up.
const MAX_DISCARDED: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(input: &[u8], step: usize, limit: usize) -> Result<Vec<Line>, Flood> {
        let mut buffer = LineBuffer::default();
        let mut lines = Vec::new();
        for chunk in input.chunks(step) {
            buffer.push(chunk);
            while let Some(line) = buffer.next_line(limit)? {
                lines.push(line);
            }
        }
        Ok(lines)
    }

    fn text(line: &'static str) -> Line {
        Line::Text(Bytes::from_static(line.as_bytes()))
    }

    fn malformed(line: &str) -> Line {
        Line::Malformed(Start::of(line.as_bytes()))
    }

    #[test]
    fn smtp_1_dn_06_only_crlf_ends_a_line_however_it_is_cut() {
        let rows: [(&str, &[u8], Vec<Line>); 7] = [
            ("two lines", b"a\r\nb\r\n", vec![text("a"), text("b")]),
            ("an empty line", b"\r\n", vec![text("")]),
            ("no line yet", b"abc\r", vec![]),
            (
                "a bare LF",
                b"a\nb\r\nc\r\n",
                vec![malformed("a\nb"), text("c")],
            ),
            ("a bare CR", b"a\rb\r\n", vec![malformed("a\rb")]),
            ("two CRs", b"a\r\r\n", vec![malformed("a\r")]),
            ("a NUL", b"a\0b\r\n", vec![malformed("a\0b")]),
        ];
        for (name, input, expected) in rows {
            for step in 1..=input.len() {
                assert_eq!(
                    lines(input, step, 64).unwrap(),
                    expected,
                    "{name}, by {step}"
                );
            }
        }
    }

    #[test]
    fn dn_07_a_line_of_512_octets_passes_and_one_of_513_is_refused_alone() {
        let line = |octets: usize| [vec![b'x'; octets - 2], b"\r\n".to_vec()].concat();
        let input = [line(512), line(513), line(5000), b"NOOP\r\n".to_vec()].concat();
        for step in [1, 2, 511, 512, 513, 514, input.len()] {
            let lines = lines(&input, step, 512).unwrap();
            assert!(matches!(lines[0], Line::Text(_)), "by {step}");
            let too_long = Line::TooLong(Start(*b"xxxx"));
            assert_eq!(lines[1..3], [too_long.clone(), too_long], "by {step}");
            assert_eq!(lines[3], text("NOOP"), "by {step}");
        }
    }

    #[test]
    fn dn_07_dn_10_a_line_that_does_not_end_holds_no_more_room_than_it_needs() {
        for (name, input) in [
            (
                "half a line behind whole ones",
                [b"NOOP\r\n".repeat(10_000), b"NO".to_vec()].concat(),
            ),
            ("a line that is thrown away", vec![b'x'; 60_000]),
        ] {
            let mut buffer = LineBuffer::default();
            buffer.push(&input);
            while buffer.next_line(512).unwrap().is_some() {}
            assert!(!buffer.octets.try_reclaim(1000), "{name}");
        }
    }

    #[test]
    fn dn_07_a_line_that_never_ends_is_a_flood() {
        let megabyte = vec![b'x'; 1 << 20];
        for step in [1, 1000, 1 << 20] {
            assert_eq!(lines(&megabyte, step, 512), Err(Flood), "by {step}");
        }
    }
}
