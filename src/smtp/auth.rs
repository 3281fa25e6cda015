//! SASL in SMTP (RFC 4954): which mechanisms may pass, and what their lines look like. Pure.
//!
//! A mechanism passes when its exchange is all there is to it. What binds itself to the TLS channel (SCRAM with PLUS,
//! EXTERNAL) or puts a layer of its own over the connection (GSSAPI, DIGEST-MD5) cannot work over two legs.

use bytes::Bytes;

use super::reply::ServerReply;

/// A set of mechanisms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mechanisms(u8);

const PASSED: [&str; 8] = [
    "PLAIN",
    "LOGIN",
    "CRAM-MD5",
    "SCRAM-SHA-1",
    "SCRAM-SHA-256",
    "SCRAM-SHA-512",
    "XOAUTH2",
    "OAUTHBEARER",
];

/// Octets of a line of the exchange, the first included, and its CRLF (RFC 4954 §3, §4).
pub(super) const LONGEST_LINE: usize = 12_288;

/// Why AUTH is refused before the MX hears it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AuthError {
    /// Not as the grammar has it.
    Malformed,
    /// Nobody has offered it.
    Mechanism,
}

impl Mechanisms {
    /// Reads the reply to EHLO.
    pub(super) fn parse(reply: &ServerReply) -> Self {
        let words = reply.lines().iter().skip(1).filter_map(|line| {
            let mut words = line.split(|octet| *octet == b' ');
            let is_auth = words.next()?.eq_ignore_ascii_case(b"AUTH");
            is_auth.then_some(words)
        });
        Self(words.flatten().fold(0, |bits, word| bits | bit(word)))
    }

    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The line of a reply to EHLO, without code and CRLF.
    pub(super) fn keyword(self) -> String {
        let told = PASSED
            .iter()
            .filter(|name| self.0 & bit(name.as_bytes()) != 0);
        told.fold("AUTH".into(), |line, name| line + " " + name)
    }

    /// Reads what follows AUTH: a mechanism of this set, perhaps with a first response.
    ///
    /// # Errors
    /// [`AuthError`] says what is wrong with it.
    pub(super) fn check(self, argument: &[u8]) -> Result<(), AuthError> {
        let mut words = argument.split(|octet| *octet == b' ');
        let mechanism = words.next().unwrap_or_default();
        let response = words.next();
        let is_sound = response.is_none_or(|text| text == b"=" || is_base64(text));
        if mechanism.is_empty() || words.next().is_some() || !is_sound {
            return Err(AuthError::Malformed);
        }
        if self.0 & bit(mechanism) == 0 {
            return Err(AuthError::Mechanism);
        }
        Ok(())
    }
}

fn bit(name: &[u8]) -> u8 {
    let at = PASSED
        .iter()
        .position(|known| known.as_bytes().eq_ignore_ascii_case(name));
    at.map_or(0, |at| 1 << at)
}

/// A challenge as it is: half of it would be another one, so it is not cut to the length of a reply.
pub(super) fn challenge(reply: &ServerReply) -> Option<Bytes> {
    let [text] = reply.lines() else {
        return None;
    };
    let is_challenge = reply.code() == 334 && is_base64(text);
    is_challenge.then(|| [b"334 ", &text[..], b"\r\n"].concat().into())
}

/// Is it a line of the client in an exchange: an answer, an empty one, or the end of its patience?
pub(super) fn is_response(line: &[u8]) -> bool {
    line.is_empty() || line == b"*" || is_base64(line)
}

fn is_base64(text: &[u8]) -> bool {
    let digits = text.iter().position(|octet| *octet == b'=');
    let (digits, padding) = text.split_at(digits.unwrap_or(text.len()));
    let is_digit = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'/');
    !digits.is_empty()
        && digits.iter().all(is_digit)
        && padding.len() <= 2
        && padding.iter().all(|octet| *octet == b'=')
        && text.len().is_multiple_of(4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::Limits;
    use crate::smtp::reply::ReplyParser;

    fn offered(text: &str) -> Mechanisms {
        let mut parser = ReplyParser::new(&Limits::default());
        parser.push(text.as_bytes());
        Mechanisms::parse(&parser.next_reply().unwrap().unwrap())
    }

    #[test]
    fn role_6_only_mechanisms_that_work_over_two_legs_pass() {
        for (said, told) in [
            ("250 AUTH PLAIN\r\n", "AUTH"),
            ("250-mx\r\n250 AUTH\r\n", "AUTH"),
            ("250-mx\r\n250 auth login Plain\r\n", "AUTH PLAIN LOGIN"),
            ("250-mx\r\n250 AUTH=PLAIN\r\n", "AUTH"),
            ("250-mx\r\n250 AUTHX PLAIN\r\n", "AUTH"),
            (
                "250-mx\r\n250-AUTH GSSAPI DIGEST-MD5 EXTERNAL SCRAM-SHA-256-PLUS\r\n250 AUTH SCRAM-SHA-256\r\n",
                "AUTH SCRAM-SHA-256",
            ),
        ] {
            assert_eq!(offered(said).keyword(), told, "{said}");
            assert_eq!(offered(said).is_empty(), told == "AUTH", "{said}");
        }
    }

    #[test]
    fn dn_06_dn_19_what_is_no_exchange_is_not_passed_on() {
        let plain = offered("250-mx\r\n250 AUTH PLAIN\r\n");
        for (argument, expected) in [
            ("PLAIN", Ok(())),
            ("plain AGEAYg==", Ok(())),
            ("PLAIN =", Ok(())),
            ("LOGIN", Err(AuthError::Mechanism)),
            ("GSSAPI", Err(AuthError::Mechanism)),
            ("", Err(AuthError::Malformed)),
            ("PLAIN AGEAYg", Err(AuthError::Malformed)),
            ("PLAIN AGEA Yg==", Err(AuthError::Malformed)),
            ("PLAIN ====", Err(AuthError::Malformed)),
            ("PLAIN A\tEA", Err(AuthError::Malformed)),
        ] {
            assert_eq!(plain.check(argument.as_bytes()), expected, "{argument}");
        }
        for (line, is_one) in [
            ("", true),
            ("*", true),
            ("YQ==", true),
            ("YWJj", true),
            ("YQ", false),
            ("Y===", false),
            ("=YQ=", false),
            ("QUIT", true), // four digits like any others
            ("RSET x", false),
            ("MAIL FROM:<a@b>", false),
        ] {
            assert_eq!(is_response(line.as_bytes()), is_one, "{line}");
        }
    }
}
