//! The count of a chunk (RFC 3030 §2), and nothing else of it.
//!
//! Octets follow BDAT at once, as many as it says, whatever they look like. Where the count cannot be read nobody knows
//! where commands go on, so a BDAT that is wrong is the last command of a session.

use bytes::Bytes;

use super::command::CommandError;

/// What BDAT announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Octets of it that are still to come.
    pub left: u64,
    /// It ends the message.
    pub last: Last,
}

/// Whether a chunk ends the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Last {
    /// LAST was said.
    Yes,
    /// More chunks follow.
    No,
}

impl Chunk {
    /// Reads the argument of BDAT: a count that 64 bits hold, and perhaps LAST.
    ///
    /// # Errors
    /// [`CommandError::Arguments`].
    pub fn parse(argument: &[u8]) -> Result<Self, CommandError> {
        let mut words = argument
            .split(|octet| *octet == b' ')
            .filter(|word| !word.is_empty());
        let left = words.next().and_then(count);
        let last = match words.next() {
            None => Some(Last::No),
            Some(word) => word.eq_ignore_ascii_case(b"LAST").then_some(Last::Yes),
        };
        match (left, last, words.next()) {
            (Some(left), Some(last), None) => Ok(Self { left, last }),
            (None, ..) | (_, None, _) | (.., Some(_)) => Err(CommandError::Arguments),
        }
    }

    /// The command, written anew: unlike an address, a count with leading zeros or many digits is not read alike by
    /// everybody, and the MX must count as this side does.
    pub(super) fn line(self) -> Bytes {
        let last = match self.last {
            Last::Yes => " LAST",
            Last::No => "",
        };
        format!("BDAT {}{last}\r\n", self.left).into()
    }

    /// How many of so many octets are the chunk's; they count as come.
    pub(super) fn take(&mut self, available: usize) -> usize {
        let mine = usize::try_from(self.left).map_or(available, |left| left.min(available));
        self.left -= mine as u64;
        mine
    }
}

fn count(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |count, digit| {
        let digit = digit.is_ascii_digit().then(|| digit - b'0')?;
        count.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// Whether a line was meant to announce octets, well-formed or not: what follows it may be no commands.
pub(super) fn is_announced_by(line: &[u8]) -> bool {
    line.get(..VERB.len())
        .is_some_and(|verb| verb.eq_ignore_ascii_case(VERB))
}

const VERB: &[u8] = b"BDAT";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bdat_6_dn_13_a_count_is_read_up_to_64_bits_and_nothing_is_guessed() {
        let rows = [
            ("0", Some((0, Last::No))),
            ("5", Some((5, Last::No))),
            ("5 LAST", Some((5, Last::Yes))),
            ("0 last", Some((0, Last::Yes))),
            ("  007  LAST ", Some((7, Last::Yes))),
            ("18446744073709551615", Some((u64::MAX, Last::No))),
            ("18446744073709551616", None),
            ("99999999999999999999999999", None),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("0x10", None),
            ("5LAST", None),
            ("5 LAST LAST", None),
            ("5 FIRST", None),
            ("LAST", None),
            ("LAST 5", None),
            ("5\tLAST", None),
            ("", None),
        ];
        for (argument, expected) in rows {
            let read = Chunk::parse(argument.as_bytes()).map(|chunk| (chunk.left, chunk.last));
            assert_eq!(read.ok(), expected, "{argument:?}");
        }
    }

    #[test]
    fn bdat_1_the_count_is_passed_on_in_its_plainest_form() {
        for (argument, line) in [
            ("0005", "BDAT 5\r\n"),
            (" 12  last ", "BDAT 12 LAST\r\n"),
            ("18446744073709551615", "BDAT 18446744073709551615\r\n"),
        ] {
            let chunk = Chunk::parse(argument.as_bytes()).unwrap();
            assert_eq!(chunk.line(), line, "{argument:?}");
        }
    }

    #[test]
    fn bdat_6_octets_are_counted_down_and_never_below_nothing() {
        let mut chunk = Chunk {
            left: 5,
            last: Last::No,
        };
        assert_eq!([chunk.take(2), chunk.take(9), chunk.take(9)], [2, 3, 0]);
        let mut chunk = Chunk {
            left: u64::MAX,
            last: Last::No,
        };
        assert_eq!(chunk.take(1 << 20), 1 << 20);
    }
}
