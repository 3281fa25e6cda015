//! Parameters of MAIL and RCPT (RFC 5321 §4.1.2): those of the extensions that were offered, each once, each sound.

use super::ehlo::{Extension, Extensions};
use super::path::Charset;

/// Why parameters are not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParamError {
    /// Nobody knows it, or its extension was not offered (RFC 5321 §4.1.1.11).
    #[error("parameter not known or not offered")]
    Unknown,
    /// It is known, and not as it must be, or there twice.
    #[error("{0} is malformed or given twice")]
    Malformed(&'static str),
}

/// A parameter that the session passes on.
struct Parameter {
    keyword: &'static str,
    extension: Extension,
    is_sound: fn(Option<&[u8]>) -> bool,
}

const MAIL: [Parameter; 6] = [
    Parameter {
        keyword: "SIZE",
        extension: Extension::Size,
        is_sound: |value| value.is_some_and(is_size),
    },
    Parameter {
        keyword: "BODY",
        extension: Extension::EightBitMime,
        is_sound: |value| value.is_some_and(|value| is_one_of(value, &["7BIT", "8BITMIME"])),
    },
    Parameter {
        keyword: "SMTPUTF8",
        extension: Extension::SmtpUtf8,
        is_sound: |value| value.is_none(),
    },
    Parameter {
        keyword: "AUTH",
        extension: Extension::Auth,
        is_sound: |value| value.is_some_and(|value| value == b"<>" || is_xtext(value)),
    },
    Parameter {
        keyword: "RET",
        extension: Extension::Dsn,
        is_sound: |value| value.is_some_and(|value| is_one_of(value, &["FULL", "HDRS"])),
    },
    Parameter {
        keyword: "ENVID",
        extension: Extension::Dsn,
        is_sound: |value| value.is_some_and(|value| value.len() <= 100 && is_xtext(value)),
    },
];

const RCPT: [Parameter; 2] = [
    Parameter {
        keyword: "NOTIFY",
        extension: Extension::Dsn,
        is_sound: |value| value.is_some_and(is_notify),
    },
    Parameter {
        keyword: "ORCPT",
        extension: Extension::Dsn,
        is_sound: |value| value.is_some_and(is_orcpt),
    },
];

/// Reads what follows the path of MAIL: what it needs the MX to offer, and whether it asks for SMTPUTF8.
///
/// # Errors
/// [`ParamError`] says what is wrong.
pub(super) fn mail(text: &[u8], told: Extensions) -> Result<(Extensions, Charset), ParamError> {
    let uses = read(text, &MAIL, told)?;
    let charset = if uses.has(Extension::SmtpUtf8) {
        Charset::Utf8
    } else {
        Charset::Ascii
    };
    Ok((uses, charset))
}

/// Reads what follows the path of RCPT: what it needs the MX to offer.
///
/// # Errors
/// [`ParamError`] says what is wrong.
pub(super) fn rcpt(
    text: &[u8],
    told: Extensions,
    charset: Charset,
) -> Result<Extensions, ParamError> {
    let is_legible = match charset {
        Charset::Ascii => text.is_ascii(),
        Charset::Utf8 => std::str::from_utf8(text).is_ok(), // RFC 6533 §3: ORCPT=utf-8;…
    };
    if !is_legible {
        return Err(ParamError::Malformed("ORCPT"));
    }
    read(text, &RCPT, told)
}

fn read(text: &[u8], known: &[Parameter], told: Extensions) -> Result<Extensions, ParamError> {
    if !(text.is_empty() || text.starts_with(b" ")) {
        return Err(ParamError::Malformed("what follows the path"));
    }
    let mut uses = Extensions::NONE;
    let mut seen = Vec::with_capacity(known.len());
    for word in text.split(|octet| *octet == b' ') {
        if word.is_empty() {
            continue;
        }
        let mut halves = word.splitn(2, |octet| *octet == b'=');
        let keyword = halves.next().unwrap_or_default();
        let parameter = known
            .iter()
            .find(|one| keyword.eq_ignore_ascii_case(one.keyword.as_bytes()))
            .filter(|one| told.has(one.extension))
            .ok_or(ParamError::Unknown)?;
        if seen.contains(&parameter.keyword) || !(parameter.is_sound)(halves.next()) {
            return Err(ParamError::Malformed(parameter.keyword));
        }
        seen.push(parameter.keyword);
        uses = uses.with(parameter.extension);
    }
    Ok(uses)
}

/// RFC 1870 §3: 1 to 20 digits.
fn is_size(value: &[u8]) -> bool {
    (1..=20).contains(&value.len()) && value.iter().all(u8::is_ascii_digit)
}

fn is_one_of(value: &[u8], words: &[&str]) -> bool {
    words
        .iter()
        .any(|word| value.eq_ignore_ascii_case(word.as_bytes()))
}

/// RFC 3461 §4.1: NEVER alone, or a list without repetitions.
fn is_notify(value: &[u8]) -> bool {
    if value.eq_ignore_ascii_case(b"NEVER") {
        return true;
    }
    let words: Vec<_> = value
        .split(|octet| *octet == b',')
        .map(<[u8]>::to_ascii_uppercase)
        .collect();
    let is_repeated = |at: usize| words[..at].contains(&words[at]);
    (0..words.len())
        .all(|at| is_one_of(&words[at], &["SUCCESS", "FAILURE", "DELAY"]) && !is_repeated(at))
}

/// RFC 3461 §4.2: address type, semicolon, address, together at most 500 octets.
fn is_orcpt(value: &[u8]) -> bool {
    let Some(at) = value.iter().position(|octet| *octet == b';') else {
        return false;
    };
    let (kind, address) = value.split_at(at);
    let is_atom = |octet: &u8| octet.is_ascii_alphanumeric() || *octet == b'-';
    let is_address = |octet: &u8| !octet.is_ascii() || is_xchar(*octet) || *octet == b'+';
    value.len() <= 500
        && !kind.is_empty()
        && kind.iter().all(is_atom)
        && address.len() > 1
        && address[1..]
            .iter()
            .all(|octet| is_address(octet) || matches!(octet, b'\\' | b'{' | b'}'))
}

/// RFC 3461 §4: printable but for `+` and `=`, or `+` and two upper-case hexadecimal digits.
fn is_xtext(value: &[u8]) -> bool {
    let mut octets = value.iter();
    let digit = |octets: &mut std::slice::Iter<'_, u8>| {
        octets
            .next()
            .is_some_and(|octet| matches!(octet, b'0'..=b'9' | b'A'..=b'F'))
    };
    while let Some(&octet) = octets.next() {
        let is_sound = match octet {
            b'+' => digit(&mut octets) && digit(&mut octets),
            other => is_xchar(other),
        };
        if !is_sound {
            return false;
        }
    }
    true
}

const fn is_xchar(octet: u8) -> bool {
    octet.is_ascii_graphic() && octet != b'+' && octet != b'='
}
