//! The end of message data and of its lines, and nothing else of it (RFC 5321 §4.5.2).
//!
//! Data ends at CRLF.CRLF exactly. A bare CR, a bare LF or a NUL taints it: receivers disagree on what they mean, and a
//! second message could hide behind one (SMTP smuggling, CVE-2023-51764 and its kin). Octets are passed on as they came,
//! never made better, since that would break signatures; a CR waits for its LF, so that what was passed on never holds a
//! bare one. [`BareLineEnds::Pass`] lets the tainted through as well; they end nothing then either.
//!
//! Most octets are ordinary, so blocks of them are checked by comparing each octet with the one before, which the
//! compiler turns into vector instructions: no branch, no call per line.

/// What becomes of a message with a bare CR, a bare LF or a NUL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BareLineEnds {
    /// It is refused (RFC 5321 §2.3.8).
    #[default]
    Reject,
    /// It goes through as it is, and what receivers see in it is their affair.
    Pass,
}

/// Where the scanner stands in the message data.
#[derive(Clone, Debug, Default)]
pub struct EndOfData {
    at: Place,
    bare: BareLineEnds,
}

/// What the octets were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scanned {
    /// Message data, all of it.
    More,
    /// The data ends before this offset.
    End(usize),
    /// The octet before this offset makes the message unfit to be passed on; scanning may go on behind it.
    Tainted(usize),
}

/// What the last octets were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// CRLF, or the beginning.
    #[default]
    LineStart,
    /// A dot at the start of a line.
    Dot,
    /// The same, and CR.
    DotCr,
    /// CR elsewhere.
    Cr,
    /// Anything else.
    Inside,
}

/// What one octet does.
enum Step {
    To(Place),
    End,
    Taint(Place),
}

impl EndOfData {
    /// At the beginning of a message.
    #[must_use]
    pub fn new(bare: BareLineEnds) -> Self {
        Self {
            bare,
            ..Self::default()
        }
    }

    /// Scans what came, and hands what may be passed on to `relay`: all of it, but for a CR at its end, which comes with
    /// the next octets. Nothing of it is handed over when it is tainted.
    pub fn scan(&mut self, octets: &[u8], mut relay: impl FnMut(&[u8])) -> Scanned {
        let held_back = self.holds_cr();
        let scanned = self.run(octets);
        let clean = match scanned {
            Scanned::Tainted(_) => return scanned,
            Scanned::End(end) => &octets[..end],
            Scanned::More if self.holds_cr() => &octets[..octets.len().saturating_sub(1)],
            Scanned::More => octets,
        };
        if held_back && !octets.is_empty() {
            relay(b"\r");
        }
        if !clean.is_empty() {
            relay(clean);
        }
        scanned
    }

    fn run(&mut self, octets: &[u8]) -> Scanned {
        let mut at = 0;
        while at < octets.len() {
            at += self.skip_ordinary(&octets[at..]);
            let slowly = octets.len().min(at + BLOCK);
            while at < slowly {
                let step = self.at.after(octets[at]);
                at += 1;
                match step {
                    Step::To(place) => self.at = place,
                    Step::End => {
                        self.at = Place::LineStart;
                        return Scanned::End(at);
                    }
                    Step::Taint(place) => {
                        self.at = place;
                        match self.bare {
                            BareLineEnds::Reject => return Scanned::Tainted(at),
                            BareLineEnds::Pass => {}
                        }
                    }
                }
            }
        }
        Scanned::More
    }

    /// Whole blocks in which nothing can happen.
    fn skip_ordinary(&mut self, octets: &[u8]) -> usize {
        let before = match self.at {
            Place::LineStart => b'\n',
            Place::Cr => b'\r',
            Place::Inside => b'x',
            Place::Dot | Place::DotCr => return 0,
        };
        let Some((first, _)) = octets.split_first_chunk::<BLOCK>() else {
            return 0;
        };
        let mut shifted = [before; BLOCK];
        shifted[1..].copy_from_slice(&first[..BLOCK - 1]);
        if !is_ordinary(first, &shifted) {
            return 0;
        }
        let blocks = octets[BLOCK..].chunks_exact(BLOCK);
        let shifted = octets[BLOCK - 1..].chunks_exact(BLOCK);
        let more = blocks
            .zip(shifted)
            .take_while(|(block, shifted)| is_ordinary(block, shifted))
            .count();
        let skipped = (1 + more) * BLOCK;
        self.at = match octets[skipped - 1] {
            b'\n' => Place::LineStart, // behind a CR, or the block were not ordinary
            b'\r' => Place::Cr,
            _ => Place::Inside,
        };
        skipped
    }

    const fn holds_cr(&self) -> bool {
        matches!(self.at, Place::Cr | Place::DotCr)
    }
}

impl Place {
    const fn after(self, octet: u8) -> Step {
        match (self, octet) {
            (Self::DotCr, b'\n') => Step::End,
            (Self::Cr, b'\n') => Step::To(Self::LineStart),
            (Self::Cr | Self::DotCr, b'\r') => Step::Taint(Self::Cr),
            (Self::Cr | Self::DotCr, _) | (_, b'\n' | 0) => Step::Taint(Self::Inside),
            (Self::LineStart, b'.') => Step::To(Self::Dot),
            (Self::Dot, b'\r') => Step::To(Self::DotCr),
            (Self::LineStart | Self::Inside, b'\r') => Step::To(Self::Cr),
            (Self::LineStart | Self::Dot | Self::Inside, _) => Step::To(Self::Inside),
        }
    }
}

/// Whether the lines of a message that comes in chunks end as they must, whatever chunk a CR and its LF are in.
///
/// BDAT counts octets and so cannot be fooled by them (RFC 3030 §2). But only BINARYMIME, which is not offered, allows more
/// than lines of text (RFC 3030 §3), and a message does not stay in chunks: where the next hop sends it on with DATA, a
/// bare LF that was harmless here may end it there. So chunks are held to the same rule.
#[derive(Clone, Copy, Debug, Default)]
pub struct LineEnds {
    after_cr: bool,
}

impl LineEnds {
    /// Takes octets in: false when they hold a bare CR, a bare LF or a NUL.
    pub fn are_sound(&mut self, octets: &[u8]) -> bool {
        let Some(&last) = octets.last() else {
            return true;
        };
        let first = if self.after_cr { b'\r' } else { b'x' };
        let is_first_sound = is_paired(octets[0], first);
        self.after_cr = last == b'\r';
        let pairs = octets[1..].iter().zip(octets);
        is_first_sound
            & pairs.fold(true, |sound, (&octet, &before)| {
                sound & is_paired(octet, before)
            })
    }

    /// Whether a CR waits for its LF.
    #[must_use]
    pub const fn is_open(self) -> bool {
        self.after_cr
    }
}

/// No NUL, and LF exactly behind CR.
const fn is_paired(octet: u8, before: u8) -> bool {
    (octet != 0) & ((octet == b'\n') == (before == b'\r'))
}

/// No NUL, no dot at a line's start, and every CR followed by LF, every LF preceded by CR. `before` is the block one
/// octet earlier.
#[inline]
fn is_ordinary(block: &[u8], before: &[u8]) -> bool {
    let mut odd = 0;
    for (&octet, &before) in block.iter().zip(before) {
        let unpaired = u8::from(octet == b'\n') ^ u8::from(before == b'\r');
        let dot = u8::from(octet == b'.') & u8::from(before == b'\n');
        odd |= unpaired | dot | u8::from(octet == 0);
    }
    odd == 0
}

/// Octets that are checked at once.
const BLOCK: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    /// What a message becomes when it is fed in chunks of these sizes.
    #[derive(Debug, PartialEq, Eq)]
    struct Seen {
        relayed: Vec<u8>,
        end: Option<usize>,
        tainted: bool,
    }

    fn feed<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Seen {
        feed_to(EndOfData::default(), chunks)
    }

    fn feed_to<'a>(mut scanner: EndOfData, chunks: impl IntoIterator<Item = &'a [u8]>) -> Seen {
        let mut seen = Seen {
            relayed: Vec::new(),
            end: None,
            tainted: false,
        };
        let mut base = 0;
        for chunk in chunks {
            match scanner.scan(chunk, |clean| seen.relayed.extend_from_slice(clean)) {
                Scanned::More => base += chunk.len(),
                Scanned::End(at) => {
                    seen.end = Some(base + at);
                    return seen;
                }
                Scanned::Tainted(_) => {
                    seen.tainted = true;
                    return seen;
                }
            }
        }
        seen
    }

    /// The same by the definition: one octet after the other, no state machine.
    fn by_definition(input: &[u8]) -> Seen {
        let data = [b"\r\n", input].concat();
        for at in 2..data.len() {
            let cr_before = data[at - 1] == b'\r';
            if data[at] == 0 || (data[at] == b'\n') != cr_before {
                return Seen {
                    relayed: Vec::new(),
                    end: None,
                    tainted: true,
                };
            }
            if data[..=at].ends_with(b"\r\n.\r\n") {
                return Seen {
                    relayed: input[..at - 1].to_vec(),
                    end: Some(at - 1),
                    tainted: false,
                };
            }
        }
        let held = usize::from(input.last() == Some(&b'\r'));
        Seen {
            relayed: input[..input.len() - held].to_vec(),
            end: None,
            tainted: false,
        }
    }

    #[test]
    fn smtp_2_data_ends_at_crlf_dot_crlf_alone_wherever_it_is_cut() {
        let rows: [(&str, &[u8], Option<usize>); 8] = [
            ("the empty message", b".\r\n", Some(3)),
            ("one line", b"a\r\n.\r\n", Some(6)),
            ("a command behind it", b"a\r\n.\r\nQUIT\r\n", Some(6)),
            ("a stuffed dot", b"..\r\n", None),
            ("a dot and text", b".a\r\n.b\r\n", None),
            ("a dot inside", b"a.\r\n", None),
            ("not yet", b"a\r\n.\r", None),
            ("a dot after text", b"a\r\nb.\r\n", None),
        ];
        for (name, input, end) in rows {
            for cut in 0..=input.len() {
                let seen = feed([&input[..cut], &input[cut..]]);
                assert_eq!(
                    (seen.end, seen.tainted),
                    (end, false),
                    "{name}, cut at {cut}"
                );
                let all = end.unwrap_or_else(|| input.len() - usize::from(input.ends_with(b"\r")));
                assert_eq!(seen.relayed, input[..all], "{name}, cut at {cut}");
            }
        }
    }

    const FORMS: [&[u8]; 12] = [
        b"\n.\n",
        b"\n.\r",
        b"\r.\n",
        b"\r.\r",
        b"\n.\r\n",
        b"\r.\r\n",
        b"\r\n.\n",
        b"\r\n.\r",
        b"\r\n.\r\r\n",
        b"\r\r\n.\r\r\n",
        b"\r\n\0.\r\n",
        b"\r\n.\0\r\n",
    ];

    #[test]
    fn dn_04_where_they_are_let_through_none_of_the_forms_ends_data_and_no_octet_is_changed() {
        for form in FORMS {
            let input = [b"text", form, b"MAIL FROM:<x@y>\r\n.\r\nNOOP\r\n"].concat();
            let end = input.len() - b"NOOP\r\n".len();
            for first in 0..=end {
                for second in first..=end {
                    let scanner = EndOfData::new(BareLineEnds::Pass);
                    let pieces = [&input[..first], &input[first..second], &input[second..]];
                    let seen = feed_to(scanner, pieces);
                    let name = format!("{:?} cut at {first} and {second}", form.escape_ascii());
                    assert_eq!((seen.end, seen.tainted), (Some(end), false), "{name}");
                    assert_eq!(seen.relayed, input[..end], "{name}");
                }
            }
        }
    }

    #[test]
    fn dn_04_none_of_the_twelve_smuggling_forms_ends_data_however_it_is_cut() {
        for form in FORMS {
            let input = [b"text", form, b"MAIL FROM:<x@y>\r\n.\r\n"].concat();
            for first in 0..=input.len() {
                for second in first..=input.len() {
                    let seen = feed([&input[..first], &input[first..second], &input[second..]]);
                    let name = format!("{:?} cut at {first} and {second}", form.escape_ascii());
                    assert!(seen.tainted && seen.end.is_none(), "{name}");
                    let pairs = |octet| seen.relayed.iter().filter(|o| **o == octet).count();
                    assert_eq!(pairs(b'\r'), pairs(b'\n'), "{name}: a bare one was relayed");
                    assert!(!seen.relayed.contains(&0), "{name}: a NUL was relayed");
                }
            }
        }
    }

    #[test]
    fn dn_04_a_tainted_message_still_ends_where_it_ends() {
        let input = b"a\nb\r\n.\n.\r\n.\r\nNOOP\r\n";
        let mut scanner = EndOfData::default();
        let mut at = 0;
        let end = loop {
            match scanner.scan(&input[at..], |_| {}) {
                Scanned::Tainted(more) => at += more,
                Scanned::End(more) => break at + more,
                Scanned::More => panic!("the data has an end"),
            }
        };
        assert_eq!(&input[end..], b"NOOP\r\n");
    }

    #[test]
    fn dn_04_lines_in_chunks_end_as_they_must_however_they_are_cut() {
        let rows: [(&[u8], bool, bool); 10] = [
            (b"", true, false),
            (b"a\r\nb", true, false),
            (b".\r\n", true, false),
            (b"a\r", true, true),
            (b"\n", false, false),
            (b"a\nb", false, false),
            (b"a\rb", false, false),
            (b"a\r\r\n", false, false),
            (b"a\0", false, false),
            (b"a\r\0", false, false),
        ];
        for (octets, is_sound, is_open) in rows {
            for first in 0..=octets.len() {
                for second in first..=octets.len() {
                    let mut lines = LineEnds::default();
                    let pieces = [&octets[..first], &octets[first..second], &octets[second..]];
                    let seen = pieces.into_iter().all(|piece| lines.are_sound(piece));
                    let name = format!("{:?} cut at {first} and {second}", octets.escape_ascii());
                    assert_eq!(seen, is_sound, "{name}");
                    if is_sound {
                        assert_eq!(lines.is_open(), is_open, "{name}");
                    }
                }
            }
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::default())]

        #[test]
        fn dn_08_any_text_in_any_chunks_is_seen_as_the_definition_says(
            input in proptest::collection::vec(
                proptest::prop_oneof![
                    30 => proptest::strategy::Just(b"ordinary text, rather long, so that blocks fill. ".to_vec()),
                    8 => proptest::strategy::Just(b"\r\n".to_vec()),
                    4 => proptest::strategy::Just(b".".to_vec()),
                    3 => proptest::strategy::Just(b"\r\n.\r\n".to_vec()),
                    1 => proptest::strategy::Just(b"\r".to_vec()),
                    1 => proptest::strategy::Just(b"\n".to_vec()),
                    1 => proptest::strategy::Just(b"\0".to_vec()),
                ],
                0..60,
            ),
            cuts in proptest::collection::vec(1_usize..700, 1..8),
        ) {
            let input = input.concat();
            let mut rest = &input[..];
            let mut chunks = Vec::new();
            let mut sizes = cuts.iter().cycle();
            while !rest.is_empty() {
                let (chunk, tail) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
                chunks.push(chunk);
                rest = tail;
            }
            let seen = feed(chunks.iter().copied());
            let expected = by_definition(&input);
            proptest::prop_assert_eq!((seen.end, seen.tainted), (expected.end, expected.tainted));
            let seen_passing = feed_to(EndOfData::new(BareLineEnds::Pass), chunks);
            let end = memchr::memmem::find(&[b"\r\n", &input[..]].concat(), b"\r\n.\r\n").map(|at| at + 3);
            let held = usize::from(end.is_none() && input.ends_with(b"\r"));
            proptest::prop_assert_eq!((seen_passing.end, seen_passing.tainted), (end, false));
            proptest::prop_assert_eq!(seen_passing.relayed, &input[..end.unwrap_or(input.len() - held)]);
            if !expected.tainted {
                proptest::prop_assert_eq!(seen.relayed, expected.relayed);
            } else {
                proptest::prop_assert!(input.starts_with(&seen.relayed));
            }
        }
    }
}
