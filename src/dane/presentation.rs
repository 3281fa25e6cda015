//! TLSA records as text: `3 1 1 ab12…`, the line of a zone file around it, and the generic form of RFC 3597 §5.
//!
//! [`record`] reads one, [`zone`] a file of them; both yield RDATA and judge nothing of it, so that a record which no
//! sender can use is still a record. What is no record at all is [`NotARecord`]. [`shown`] writes RDATA whatever it is.

use crate::dns::TlsaRdata;

/// A record and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The owner name as written, where the line has one.
    pub owner: Option<String>,
    /// What the record says.
    pub rdata: TlsaRdata,
}

/// The text is no TLSA record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotARecord {
    /// Blanks and comments only.
    #[error("expected a record such as `3 1 1 <hex>`, got nothing")]
    Nothing,
    /// A field that is no octet.
    #[error("expected a number from 0 to 255 as the {field}, got {seen:?}")]
    Number {
        /// Which one.
        field: &'static str,
        /// What stands there.
        seen: String,
    },
    /// Something else among the digits.
    #[error("expected hexadecimal digits, got {0:?}")]
    Hex(String),
    /// Half an octet.
    #[error("expected two hexadecimal digits for each octet, got {0} digits")]
    OddHex(usize),
    /// `\#` with a length that does not fit.
    #[error("expected as many octets as `\\#` announces, got {seen} where {said:?} is said")]
    Length {
        /// What is announced.
        said: String,
        /// What follows.
        seen: usize,
    },
    /// More than RDATA can hold.
    #[error("expected at most 65535 octets, got {0}")]
    TooLong(usize),
    /// Something before the type that is neither owner, TTL nor class IN.
    #[error("expected owner, TTL and class IN before the type, got {0:?}")]
    Before(String),
    /// A parenthesis without its other half.
    #[error("expected parentheses in pairs")]
    Parenthesis,
}

/// Reads one record.
///
/// # Errors
/// [`NotARecord`].
pub fn record(text: &str) -> Result<TlsaRdata, NotARecord> {
    let mut words = Vec::new();
    let mut depth = 0;
    for line in text.lines() {
        depth = push_words(line, depth, &mut words)?;
    }
    if depth != 0 {
        return Err(NotARecord::Parenthesis);
    }
    entry(&words).map(|entry| entry.rdata)
}

/// Reads a file of records: one a line, or over more lines in parentheses. `$ORIGIN` and `$TTL` change nothing here.
///
/// # Errors
/// The number of the line that is no record, and why.
pub fn zone(text: &str) -> Result<Vec<Entry>, (usize, NotARecord)> {
    let mut entries = Vec::new();
    let mut words = Vec::new();
    let mut depth = 0;
    let mut begun = 1;
    for (line, number) in text.trim_start_matches('\u{feff}').lines().zip(1..) {
        if words.is_empty() {
            begun = number;
        }
        depth = push_words(line, depth, &mut words).map_err(|why| (number, why))?;
        if depth == 0 && !words.is_empty() {
            if !is_directive(&words) {
                entries.push(entry(&words).map_err(|why| (begun, why))?);
            }
            words.clear();
        }
    }
    if depth == 0 {
        Ok(entries)
    } else {
        Err((begun, NotARecord::Parenthesis))
    }
}

/// A line that says nothing of any record; `$INCLUDE` would.
fn is_directive(words: &[&str]) -> bool {
    words.first().is_some_and(|word| {
        word.eq_ignore_ascii_case("$ORIGIN") || word.eq_ignore_ascii_case("$TTL")
    })
}

/// RDATA as in a zone file; what is too short for that in the generic form.
#[must_use]
pub fn shown(rdata: &[u8]) -> String {
    match rdata {
        [usage, selector, matching, data @ ..] if !data.is_empty() => {
            format!("{usage} {selector} {matching} {}", hex(data))
        }
        [] => r"\# 0".into(),
        short => format!(r"\# {} {}", short.len(), hex(short)),
    }
}

/// Lower-case hexadecimal digits.
#[must_use]
pub fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// Adds the words of a line up to its comment; parentheses only join lines. The depth after it.
fn push_words<'a>(
    line: &'a str,
    mut depth: usize,
    words: &mut Vec<&'a str>,
) -> Result<usize, NotARecord> {
    let line = line.split(';').next().unwrap_or_default();
    for chunk in line.split_whitespace() {
        // `\#` opens the generic form; a bare `#` a comment, as in lists that people keep.
        if chunk.starts_with('#') {
            break;
        }
        for piece in chunk.split_inclusive(['(', ')']) {
            let word = piece.trim_end_matches(['(', ')']);
            if !word.is_empty() {
                words.push(word);
            }
            depth = match piece.as_bytes().last() {
                Some(b'(') => depth + 1,
                Some(b')') => depth.checked_sub(1).ok_or(NotARecord::Parenthesis)?,
                Some(_) | None => depth,
            };
        }
    }
    Ok(depth)
}

fn entry(words: &[&str]) -> Result<Entry, NotARecord> {
    let is_type = |word: &&str| ["TLSA", "TYPE52"].contains(&word.to_ascii_uppercase().as_str());
    match words.iter().rposition(is_type) {
        Some(at) => Ok(Entry {
            owner: owner(words.get(..at).unwrap_or_default())?,
            rdata: rdata(words.get(at + 1..).unwrap_or_default())?,
        }),
        None => Ok(Entry {
            owner: None,
            rdata: rdata(words)?,
        }),
    }
}

/// What stands before the type: an owner perhaps, then TTL and class in either order.
fn owner(words: &[&str]) -> Result<Option<String>, NotARecord> {
    let mut rest = words;
    let (mut class, mut ttl) = (false, false);
    while let Some((last, before)) = rest.split_last() {
        if !class && last.eq_ignore_ascii_case("IN") {
            class = true;
        } else if !ttl && is_ttl(last) {
            ttl = true;
        } else {
            break;
        }
        rest = before;
    }
    match rest {
        [] => Ok(None),
        [owner] if !owner.eq_ignore_ascii_case("RRSIG") => Ok(Some((*owner).to_owned())),
        [.., last] => Err(NotARecord::Before(short(last))),
    }
}

/// `3600`, or `1h30m` as some name servers write it.
fn is_ttl(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_digit())
        && word
            .bytes()
            .all(|octet| octet.is_ascii_digit() || b"smhdwSMHDW".contains(&octet))
}

fn rdata(words: &[&str]) -> Result<TlsaRdata, NotARecord> {
    let rdata = match words {
        [] => return Err(NotARecord::Nothing),
        [r"\#"] => return Err(NotARecord::Nothing),
        [r"\#", said, digits @ ..] => {
            let octets = octets(digits)?;
            if said.parse() != Ok(octets.len()) {
                return Err(NotARecord::Length {
                    said: short(said),
                    seen: octets.len(),
                });
            }
            octets
        }
        words => {
            let mut rdata = Vec::new();
            for (field, word) in ["usage", "selector", "matching type"]
                .into_iter()
                .zip(words)
            {
                rdata.push(number(field, word)?);
            }
            rdata.extend(octets(words.get(3..).unwrap_or_default())?);
            rdata
        }
    };
    if rdata.len() > usize::from(u16::MAX) {
        return Err(NotARecord::TooLong(rdata.len()));
    }
    Ok(rdata)
}

fn number(field: &'static str, word: &str) -> Result<u8, NotARecord> {
    // `+3` is a number to the standard library, and none to a name server.
    let digits = word.bytes().all(|octet| octet.is_ascii_digit());
    word.parse()
        .ok()
        .filter(|_| digits)
        .ok_or_else(|| NotARecord::Number {
            field,
            seen: short(word),
        })
}

fn octets(words: &[&str]) -> Result<Vec<u8>, NotARecord> {
    let mut digits = Vec::new();
    for word in words {
        for character in word.chars() {
            let digit = character
                .to_digit(16)
                .and_then(|digit| digit.try_into().ok());
            digits.push(digit.ok_or_else(|| NotARecord::Hex(short(word)))?);
        }
    }
    let (pairs, rest) = digits.as_chunks::<2>();
    if rest.is_empty() {
        Ok(pairs
            .iter()
            .map(|[high, low]: &[u8; 2]| high << 4 | low)
            .collect())
    } else {
        Err(NotARecord::OddHex(digits.len()))
    }
}

/// Enough of a word to find it again.
fn short(word: &str) -> String {
    word.chars().take(MOST_SHOWN).collect()
}

const MOST_SHOWN: usize = 40;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tlsa_1_every_way_to_write_a_record_is_read() {
        for (text, rdata) in [
            ("3 1 1 ab12", vec![3, 1, 1, 0xab, 0x12]),
            ("  3\t1 1 AB 1 2 ; a comment", vec![3, 1, 1, 0xab, 0x12]),
            ("3 1 1 ( ab\n 12 )", vec![3, 1, 1, 0xab, 0x12]),
            ("3 1 1 (ab)(12)", vec![3, 1, 1, 0xab, 0x12]),
            ("TLSA 3 1 1 ab", vec![3, 1, 1, 0xab]),
            (
                "_25._tcp.mx.example. 3600 IN TLSA 3 1 1 ab",
                vec![3, 1, 1, 0xab],
            ),
            (
                "_25._tcp.mx.example. in 1h30m tlsa 3 1 1 ab",
                vec![3, 1, 1, 0xab],
            ),
            (r"_25._tcp.mx TYPE52 \# 4 03 01 01 ab", vec![3, 1, 1, 0xab]),
            (r"TLSA \# 4 030101ab", vec![3, 1, 1, 0xab]),
            ("255 254 253", vec![255, 254, 253]),
            ("3 1", vec![3, 1]),
            ("3", vec![3]),
            (r"\# 2 0301", vec![3, 1]),
            (r"\# 0", vec![]),
        ] {
            assert_eq!(record(text), Ok(rdata), "{text}");
        }
    }

    #[test]
    fn what_is_no_record_says_why() {
        let number = |field, seen: &str| NotARecord::Number {
            field,
            seen: seen.into(),
        };
        for (text, why) in [
            ("", NotARecord::Nothing),
            ("; 3 1 1 ab", NotARecord::Nothing),
            ("# 3 1 1 ab", NotARecord::Nothing),
            ("TLSA", NotARecord::Nothing),
            (r"\#", NotARecord::Nothing),
            ("256 1 1 ab", number("usage", "256")),
            ("+3 1 1 ab", number("usage", "+3")),
            ("3 -1 1 ab", number("selector", "-1")),
            ("3 1 one ab", number("matching type", "one")),
            ("DANE-EE SPKI SHA2-256 ab", number("usage", "DANE-EE")),
            (
                "mx.example. 3600 IN MX 10 a",
                number("usage", "mx.example."),
            ),
            ("3 1 1 0xab", NotARecord::Hex("0xab".into())),
            ("3 1 1 a:b", NotARecord::Hex("a:b".into())),
            ("3 1 1 é0", NotARecord::Hex("é0".into())),
            ("3 1 1 abc", NotARecord::OddHex(3)),
            (
                r"\# 3 0301",
                NotARecord::Length {
                    said: "3".into(),
                    seen: 2,
                },
            ),
            (
                "a. 3600 IN RRSIG TLSA 13 5 3600 x",
                NotARecord::Before("RRSIG".into()),
            ),
            ("a. CH TLSA 3 1 1 ab", NotARecord::Before("CH".into())),
            ("3 1 1 (ab", NotARecord::Parenthesis),
            ("3 1 1 ab)", NotARecord::Parenthesis),
        ] {
            assert_eq!(record(text), Err(why), "{text}");
        }
        let endless = format!("3 1 0 {}", "00".repeat(70_000));
        assert_eq!(record(&endless), Err(NotARecord::TooLong(70_003)));
    }

    #[test]
    fn a_file_is_read_line_by_line() {
        let text = "\u{feff}$ORIGIN mx.example.\r\n; two keys\r\n\r\n_25._tcp IN TLSA 3 1 1 aa\r\n\
                    # the next\n\t600 TLSA 3 1 1 (\n  bb ; half\n  cc )\n2 0 1 dd";
        let entry = |owner: Option<&str>, rdata: &[u8]| Entry {
            owner: owner.map(str::to_owned),
            rdata: rdata.to_vec(),
        };
        assert_eq!(
            zone(text),
            Ok(vec![
                entry(Some("_25._tcp"), &[3, 1, 1, 0xaa]),
                entry(None, &[3, 1, 1, 0xbb, 0xcc]),
                entry(None, &[2, 0, 1, 0xdd]),
            ])
        );
        assert_eq!(zone(""), Ok(vec![]));
        for (text, line) in [
            ("3 1 1 aa\nx", 2),
            ("\n\n3 1 1 (\naa\n", 3),
            ("3 1 1 (\nzz\n)", 1),
            ("3 1 1 aa\n$INCLUDE more", 2),
        ] {
            assert_eq!(zone(text).map_err(|(line, _)| line), Err(line), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_again(rdata in prop::collection::vec(any::<u8>(), 0..80)) {
            prop_assert_eq!(record(&shown(&rdata)), Ok(rdata));
        }

        #[test]
        fn no_text_makes_it_panic(text in "(?s).{0,80}", lines in "[(); #\\\\a-f0-3\nTLSA]{0,80}") {
            let _ = zone(&text);
            let _ = zone(&lines);
            let _ = record(&text);
            let _ = record(&lines);
        }
    }
}
