//! Which HTTP answer may carry a policy (RFC 8461 §3.2, §3.3): the head is judged before the body is read. Pure.

use reqwest::StatusCode;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, TRANSFER_ENCODING};

/// Why an answer is none that could carry a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unacceptable {
    /// Redirects are not followed, and nothing else is a success either.
    #[error("expected status 200, seen {0}")]
    Status(StatusCode),
    /// No media type, or several.
    #[error("expected one Content-Type, seen {0}")]
    ContentTypes(usize),
    /// Another media type.
    #[error("expected Content-Type text/plain, seen {0}")]
    MediaType(String),
    /// Another charset than the two that the policy's grammar can be in.
    #[error("expected charset utf-8 or us-ascii, seen {0}")]
    Charset(String),
    /// The body is compressed though `identity` was asked for.
    #[error("expected no {0}, seen {1}")]
    Encoding(HeaderName, String),
    /// The body is too long.
    #[error("the body is longer than {} octets", super::policy::MAX_BODY)]
    TooLong,
}

/// Judges status line and headers.
pub(super) fn check(status: StatusCode, headers: &HeaderMap) -> Result<(), Unacceptable> {
    if status != StatusCode::OK {
        return Err(Unacceptable::Status(status));
    }
    check_encoding(headers, CONTENT_ENCODING, "identity")?;
    check_encoding(headers, TRANSFER_ENCODING, "chunked")?;
    check_type(headers)
}

fn check_encoding(
    headers: &HeaderMap,
    name: HeaderName,
    harmless: &str,
) -> Result<(), Unacceptable> {
    for value in headers.get_all(&name) {
        if !value.as_bytes().eq_ignore_ascii_case(harmless.as_bytes()) {
            return Err(Unacceptable::Encoding(name, shown(value.as_bytes())));
        }
    }
    Ok(())
}

fn check_type(headers: &HeaderMap) -> Result<(), Unacceptable> {
    let types: Vec<_> = headers.get_all(CONTENT_TYPE).iter().collect();
    let [value] = types.as_slice() else {
        return Err(Unacceptable::ContentTypes(types.len()));
    };
    let refused = || Unacceptable::MediaType(shown(value.as_bytes()));
    let text = value.to_str().map_err(|_| refused())?;
    let (media_type, parameters) = text.split_once(';').unwrap_or((text, ""));
    if !trim(media_type).eq_ignore_ascii_case("text/plain") {
        return Err(refused());
    }
    for parameter in Parameters(parameters) {
        let parameter = parameter.ok_or_else(refused)?;
        if parameter.name.eq_ignore_ascii_case("charset") && !is_readable(&parameter.value) {
            return Err(Unacceptable::Charset(parameter.value));
        }
    }
    Ok(())
}

fn is_readable(charset: &str) -> bool {
    charset.eq_ignore_ascii_case("utf-8") || charset.eq_ignore_ascii_case("us-ascii")
}

struct Parameter<'a> {
    name: &'a str,
    value: String,
}

/// What follows the first semicolon of a media type (RFC 9110 §5.6.6); an empty parameter is skipped, one that is
/// none ends with `None`.
struct Parameters<'a>(&'a str);

impl<'a> Iterator for Parameters<'a> {
    type Item = Option<Parameter<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0 = self.0.trim_start_matches([' ', '\t', ';']);
        if self.0.is_empty() {
            return None;
        }
        let parameter = self.parameter();
        if parameter.is_none() {
            self.0 = "";
        }
        Some(parameter)
    }
}

impl<'a> Parameters<'a> {
    fn parameter(&mut self) -> Option<Parameter<'a>> {
        let (name, rest) = self.0.split_once('=')?;
        let value = match rest.strip_prefix('"') {
            Some(quoted) => self.quoted(quoted)?,
            None => {
                let (value, rest) = rest.split_at(rest.find(';').unwrap_or(rest.len()));
                self.0 = rest;
                trim(value).to_owned()
            }
        };
        let is_token = |text: &str| !text.is_empty() && !text.contains([' ', '\t', '"', ';']);
        let after = self.0.trim_start_matches([' ', '\t']);
        (is_token(name) && (after.is_empty() || after.starts_with(';')))
            .then_some(Parameter { name, value })
    }

    /// A `quoted-string` without its first quotation mark (RFC 9110 §5.6.4).
    fn quoted(&mut self, text: &'a str) -> Option<String> {
        let mut value = String::new();
        let mut characters = text.char_indices();
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => {
                    self.0 = &text[at + 1..];
                    return Some(value);
                }
                '\\' => value.push(characters.next()?.1),
                other => value.push(other),
            }
        }
        None
    }
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// A header's value for a message: printable, and not longer than a line.
fn shown(value: &[u8]) -> String {
    value
        .iter()
        .take(60)
        .copied()
        .flat_map(std::ascii::escape_default)
        .map(char::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn with(headers: &[(HeaderName, &'static str)]) -> Result<(), Unacceptable> {
        check(StatusCode::OK, &map(headers))
    }

    fn map(headers: &[(HeaderName, &'static str)]) -> HeaderMap {
        let value = |text: &str| HeaderValue::from_bytes(text.as_bytes()).unwrap();
        let mut map = HeaderMap::new();
        for (name, text) in headers {
            map.append(name, value(text));
        }
        map
    }

    #[test]
    fn sts_22_only_200_is_a_policy() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        for code in 100..600 {
            let status = StatusCode::from_u16(code).unwrap();
            assert_eq!(check(status, &headers).is_ok(), code == 200, "{code}");
        }
    }

    #[test]
    fn sts_24_the_media_type_is_text_plain_in_a_charset_of_the_grammar() {
        for (value, accepted) in [
            ("text/plain", true),
            ("TEXT/Plain", true),
            ("text/plain; charset=utf-8", true),
            ("text/plain;charset=\"UTF-8\"", true),
            ("text/plain ; charset=us-ascii ; format=flowed", true),
            ("text/plain; format=flowed; delsp=yes", true),
            ("text/plain; x=\"a;charset=utf-16\"", true),
            ("text/plain; x=\"a\\\";charset=utf-16\"", true),
            ("text/plain;", true),
            ("text/plain; ; charset=utf-8", true),
            ("text/plain; charset=utf-16", false),
            ("text/plain; charset=iso-8859-1", false),
            ("text/plain; charset=utf8", false),
            ("text/plain; charset=", false),
            ("text/plain; CHARSET=utf-16", false),
            ("text/plain; x=1; charset=utf-16", false),
            ("text/plain; charset=utf-8; charset=utf-16", false),
            ("text/plain; charset=\"utf-8", false),
            ("text/plain; charset", false),
            ("text/plain; charset=\"utf-8\" x", false),
            ("text/html", false),
            ("text/plainly", false),
            ("text", false),
            ("application/octet-stream", false),
            ("text/html, text/plain", false),
            ("text/plain, text/html", false),
            ("text/plain\u{a0}", false),
            ("", false),
        ] {
            assert_eq!(
                with(&[(CONTENT_TYPE, value)]).is_ok(),
                accepted,
                "{value:?}"
            );
        }
        assert_eq!(with(&[]), Err(Unacceptable::ContentTypes(0)));
        assert_eq!(
            with(&[(CONTENT_TYPE, "text/plain"), (CONTENT_TYPE, "text/html")]),
            Err(Unacceptable::ContentTypes(2))
        );
    }

    #[test]
    fn sts_25_encoded_bodies_are_refused() {
        for (name, value, accepted) in [
            (CONTENT_ENCODING, "identity", true),
            (CONTENT_ENCODING, "gzip", false),
            (CONTENT_ENCODING, "identity, br", false),
            (CONTENT_ENCODING, "", false),
            (TRANSFER_ENCODING, "chunked", true),
            (TRANSFER_ENCODING, "gzip, chunked", false),
        ] {
            let headers = [(CONTENT_TYPE, "text/plain"), (name.clone(), value)];
            assert_eq!(with(&headers).is_ok(), accepted, "{name}: {value}");
        }
    }
}
