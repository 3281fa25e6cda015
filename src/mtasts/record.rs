//! The `_mta-sts` TXT record (RFC 8461 §3.1 with erratum 6285): which of the texts counts, and the id in it.
//!
//! A malformed record announces nothing, as none and several do. That is [`NoRecord`], which never disables a policy
//! that is cached and unexpired.

use crate::dns::Text;

/// The `id` of a record: compared for equality only.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PolicyId(String);

impl PolicyId {
    /// The id, 1 to 32 letters and digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// An id that is one already: from the store.
    #[must_use]
    pub const fn stored(id: String) -> Self {
        Self(id)
    }

    /// An id as the grammar has it.
    pub(crate) fn parse(value: &[u8]) -> Option<Self> {
        let fits = (1..=32).contains(&value.len()) && value.iter().all(u8::is_ascii_alphanumeric);
        fits.then(|| Self(value.iter().copied().map(char::from).collect()))
    }
}

/// Why the texts announce no policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRecord {
    /// None begins with `v=STSv1;`.
    #[error("no TXT record begins with v=STSv1;")]
    None,
    /// More than one does (RFC 8461 §3.1: as if there were none).
    #[error("{0} TXT records begin with v=STSv1;")]
    Several(usize),
    /// The one that does is not well-formed.
    #[error("the v=STSv1 record is malformed: {0}")]
    Malformed(Malformed),
}

/// Which rule of RFC 8461 §3.1 a record breaks; fields are counted from 1 after the version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Two delimiters in a row.
    #[error("field {0} is empty")]
    EmptyField(usize),
    /// Not `name=value` in the alphabets of the grammar.
    #[error("field {0} is not name=value in printable US-ASCII")]
    NotAField(usize),
    /// An `id` that is not 1 to 32 letters and digits.
    #[error("the id in field {0} is not 1 to 32 letters and digits")]
    BadId(usize),
    /// No `id`.
    #[error("it has no id")]
    NoId,
}

/// The id that the TXT records at `_mta-sts.<domain>` announce.
///
/// # Errors
/// [`NoRecord`]: no policy is available, which never disables an unexpired one (RFC 8461 §3.1).
pub fn announced(texts: &[Text]) -> Result<PolicyId, NoRecord> {
    match candidates(texts).as_slice() {
        [] => Err(NoRecord::None),
        [fields] => id_among(fields).map_err(NoRecord::Malformed),
        several => Err(NoRecord::Several(several.len())),
    }
}

/// What follows the version in each text that is a record.
///
/// RFC 8461 §3.1 drops what does not begin with `v=STSv1;`, yet its ABNF allows white space before the semicolon
/// (erratum 6285). Both readings are served: such a record counts when no other begins literally so. A domain that
/// meant to announce a policy is then protected, and one that has a literal record is read as everybody reads it.
fn candidates(texts: &[Text]) -> Vec<&[u8]> {
    let literal: Vec<&[u8]> = texts
        .iter()
        .filter_map(|text| text.strip_prefix(b"v=STSv1;"))
        .collect();
    if !literal.is_empty() {
        return literal;
    }
    texts
        .iter()
        .filter_map(|text| without_leading_wsp(text.strip_prefix(b"v=STSv1")?).strip_prefix(b";"))
        .collect()
}

/// The first `id` (RFC 8461 §3.2: of duplicates the first counts); the other fields only have to be well-formed.
fn id_among(fields: &[u8]) -> Result<PolicyId, Malformed> {
    let pieces: Vec<&[u8]> = fields.split(|byte| *byte == b';').collect();
    let mut id = None;
    for (index, piece) in pieces.iter().enumerate() {
        let position = index + 1;
        let piece = without_leading_wsp(piece);
        let last = position == pieces.len();
        // White space at the end belongs to the delimiter that follows; after the last field none follows.
        let piece = if last {
            piece
        } else {
            without_trailing_wsp(piece)
        };
        if piece.is_empty() {
            if last && index > 0 {
                break;
            }
            return Err(if last {
                Malformed::NoId
            } else {
                Malformed::EmptyField(position)
            });
        }
        let field = Field::parse(piece).ok_or(Malformed::NotAField(position))?;
        if field.name == b"id" && id.is_none() {
            id = Some(PolicyId::parse(field.value).ok_or(Malformed::BadId(position))?);
        }
    }
    id.ok_or(Malformed::NoId)
}

/// An `sts-extension`; every well-formed `sts-id` is one too.
struct Field<'a> {
    name: &'a [u8],
    value: &'a [u8],
}

impl<'a> Field<'a> {
    fn parse(piece: &'a [u8]) -> Option<Self> {
        let equals = piece.iter().position(|byte| *byte == b'=')?;
        let (name, value) = (&piece[..equals], &piece[equals + 1..]);
        let well_formed = super::is_field_name(name)
            && !value.is_empty()
            && value.iter().all(|byte| byte.is_ascii_graphic())
            && !value.contains(&b'=');
        well_formed.then_some(Self { name, value })
    }
}

fn without_leading_wsp(text: &[u8]) -> &[u8] {
    let wsp = text.iter().take_while(|byte| is_wsp(**byte)).count();
    &text[wsp..]
}

fn without_trailing_wsp(text: &[u8]) -> &[u8] {
    let wsp = text.iter().rev().take_while(|byte| is_wsp(**byte)).count();
    &text[..text.len() - wsp]
}

const fn is_wsp(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(records: &[&str]) -> Vec<Text> {
        records
            .iter()
            .map(|text| text.as_bytes().to_vec())
            .collect()
    }

    fn id(records: &[&str]) -> Result<String, NoRecord> {
        announced(&texts(records)).map(|id| id.as_str().to_owned())
    }

    #[test]
    fn sts_3_exactly_one_record_counts() {
        for (case, records, expected) in [
            ("none at all", &[][..], Err(NoRecord::None)),
            ("only others", &["v=spf1 -all"], Err(NoRecord::None)),
            ("one", &["v=STSv1; id=a1;"], Ok("a1")),
            ("one and junk", &["junk", "v=STSv1; id=a1", ""], Ok("a1")),
            (
                "one and another version",
                &["v=STSv2; id=b", "v=STSv1; id=a"],
                Ok("a"),
            ),
            (
                "two",
                &["v=STSv1; id=a", "v=STSv1; id=a"],
                Err(NoRecord::Several(2)),
            ),
            (
                "one good and one bad: two all the same",
                &["v=STSv1; id=a", "v=STSv1; id="],
                Err(NoRecord::Several(2)),
            ),
            (
                "the version without a semicolon",
                &["v=STSv1"],
                Err(NoRecord::None),
            ),
            ("a longer version", &["v=STSv1x; id=a"], Err(NoRecord::None)),
        ] {
            assert_eq!(id(records), expected.map(str::to_owned), "{case}");
        }
    }

    #[test]
    fn sts_4_white_space_before_the_first_semicolon_counts_when_no_literal_record_is_there() {
        for (case, records, expected) in [
            ("alone", &["v=STSv1 ;id=a"][..], Ok("a")),
            ("a tab", &["v=STSv1\t ; id=a"], Ok("a")),
            (
                "beside a literal one",
                &["v=STSv1 ;id=a", "v=STSv1;id=b"],
                Ok("b"),
            ),
            (
                "two of them",
                &["v=STSv1 ;id=a", "v=STSv1 ;id=b"],
                Err(NoRecord::Several(2)),
            ),
            (
                "before the version",
                &[" v=STSv1;id=a"],
                Err(NoRecord::None),
            ),
        ] {
            assert_eq!(id(records), expected.map(str::to_owned), "{case}");
        }
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn sts_5_sts_6_sts_7_sts_8_sts_9_fields_follow_the_grammar() {
        use Malformed::{BadId, EmptyField, NoId, NotAField};
        for (case, record, expected) in [
            (
                "white space around delimiters",
                "v=STSv1; \t id=a \t;\t",
                Ok("a"),
            ),
            ("no white space", "v=STSv1;id=a;", Ok("a")),
            (
                "32 characters",
                "v=STSv1;id=12345678901234567890123456789012",
                Ok("12345678901234567890123456789012"),
            ),
            (
                "33 characters",
                "v=STSv1;id=123456789012345678901234567890123",
                Err(BadId(1)),
            ),
            ("an empty id", "v=STSv1; id=;", Err(NotAField(1))),
            ("a hyphen", "v=STSv1; id=2024-09", Err(BadId(1))),
            (
                "the key in capitals is an extension",
                "v=STSv1; ID=a",
                Err(NoId),
            ),
            ("no field", "v=STSv1;", Err(NoId)),
            ("white space for a field", "v=STSv1;  ", Err(NoId)),
            (
                "an extension before",
                "v=STSv1; ext-1.x_y=!v~; id=a",
                Ok("a"),
            ),
            ("only an extension", "v=STSv1; ext=a", Err(NoId)),
            (
                "of two ids the first counts",
                "v=STSv1; id=a; id=b",
                Ok("a"),
            ),
            (
                "a second id need only be a field",
                "v=STSv1; id=a; id=b-c",
                Ok("a"),
            ),
            (
                "a first id that is none",
                "v=STSv1; id=b-c; id=a",
                Err(BadId(1)),
            ),
            ("two delimiters", "v=STSv1; id=a;;", Err(EmptyField(2))),
            ("no equals sign", "v=STSv1; id=a; x", Err(NotAField(2))),
            (
                "two equals signs",
                "v=STSv1; x=a=b; id=a",
                Err(NotAField(1)),
            ),
            (
                "white space about the equals sign",
                "v=STSv1; id = a",
                Err(NotAField(1)),
            ),
            (
                "white space in a value",
                "v=STSv1; x=a b; id=a",
                Err(NotAField(1)),
            ),
            (
                "white space at the very end",
                "v=STSv1; id=a ",
                Err(NotAField(1)),
            ),
            (
                "a name of 33",
                "v=STSv1; a23456789012345678901234567890123=x; id=a",
                Err(NotAField(1)),
            ),
            (
                "a name that begins with a hyphen",
                "v=STSv1; -a=x; id=a",
                Err(NotAField(1)),
            ),
            ("eight bits", "v=STSv1; x=é; id=a", Err(NotAField(1))),
            (
                "a control character",
                "v=STSv1; x=\0; id=a",
                Err(NotAField(1)),
            ),
        ] {
            let expected = expected.map(str::to_owned).map_err(NoRecord::Malformed);
            assert_eq!(id(&[record]), expected, "{case}");
        }
    }

    #[test]
    fn sts_5_the_version_is_case_sensitive_and_first() {
        for record in ["v=stsv1; id=a", "V=STSv1; id=a", "id=1; v=STSv1"] {
            assert_eq!(id(&[record]), Err(NoRecord::None), "{record}");
        }
    }

    proptest! {
        #[test]
        fn sts_06_whatever_the_texts_nothing_panics(texts: Vec<Vec<u8>>) {
            let _ = announced(&texts);
        }

        #[test]
        fn sts_5_records_of_the_grammar_are_read(
            record in "v=STSv1;[ \t]{0,2}id=[A-Za-z0-9]{1,32}([ \t]{0,2};[ \t]{0,2}[A-Za-z0-9][A-Za-z0-9_.-]{0,31}=[!-:<>-~]{1,9}){0,3}([ \t]{0,2};[ \t]{0,2})?",
        ) {
            let expected: String = record.split("id=").nth(1).unwrap()
                .chars().take_while(char::is_ascii_alphanumeric).collect();
            prop_assert_eq!(id(&[&record]), Ok(expected));
        }
    }
}
