//! What EHLO offers (RFC 5321 §4.1.1.1): what the MX says, and what of it the client is told.
//!
//! The client hears of an extension only when both legs can keep the promise. What is not listed in [`Extension`] is
//! never passed on: CHUNKING, BINARYMIME, REQUIRETLS, XCLIENT and whatever is invented next. AUTH goes by
//! rules of its own.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

use super::path::Charset;
use super::relay::printable;
use super::reply::ServerReply;

/// An extension that the session understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension {
    /// RFC 2920
    Pipelining,
    /// RFC 1870
    Size,
    /// RFC 6152
    EightBitMime,
    /// RFC 6531
    SmtpUtf8,
    /// RFC 2034
    EnhancedStatusCodes,
    /// RFC 3461
    Dsn,
    /// RFC 3207
    StartTls,
    /// RFC 4954
    Auth,
}

impl Extension {
    const ALL: [Self; 8] = [
        Self::Pipelining,
        Self::Size,
        Self::EightBitMime,
        Self::SmtpUtf8,
        Self::EnhancedStatusCodes,
        Self::Dsn,
        Self::StartTls,
        Self::Auth,
    ];

    /// The EHLO keyword.
    #[must_use]
    pub const fn keyword(self) -> &'static str {
        match self {
            Self::Pipelining => "PIPELINING",
            Self::Size => "SIZE",
            Self::EightBitMime => "8BITMIME",
            Self::SmtpUtf8 => "SMTPUTF8",
            Self::EnhancedStatusCodes => "ENHANCEDSTATUSCODES",
            Self::Dsn => "DSN",
            Self::StartTls => "STARTTLS",
            Self::Auth => "AUTH",
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u8
    }
}

/// A set of extensions.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Extensions(u16);

impl Extensions {
    /// No extension.
    pub const NONE: Self = Self(0);

    /// The set of these.
    #[must_use]
    pub fn of(extensions: &[Extension]) -> Self {
        Self(extensions.iter().fold(0, |bits, one| bits | one.bit()))
    }

    /// Reads the reply to EHLO; its first line is a greeting (RFC 5321 §4.1.1.1).
    #[must_use]
    pub fn parse(reply: &ServerReply) -> Self {
        let keywords = reply
            .lines()
            .iter()
            .skip(1)
            .filter_map(|line| line.split(|octet| *octet == b' ').next());
        Self::of(
            &keywords
                .filter_map(|keyword| {
                    Extension::ALL
                        .into_iter()
                        .find(|known| keyword.eq_ignore_ascii_case(known.keyword().as_bytes()))
                })
                .collect::<Vec<_>>(),
        )
    }

    /// What a client may be told when the MX says this.
    ///
    /// Pipelining and enhanced status codes are kept by this side, whatever the MX can. STARTTLS is hidden, as the
    /// client's leg does not leave the host. SIZE is told without the number: a limit from a peer that nobody has
    /// authenticated yet would let it bounce mail (RFC 1870 §3 knows SIZE without a number).
    #[must_use]
    pub fn offered(self) -> Self {
        let mut passed = vec![Extension::Size, Extension::EightBitMime, Extension::Dsn];
        // RFC 6531 §3.1: SMTPUTF8 needs 8BITMIME.
        if self.has(Extension::EightBitMime) {
            passed.push(Extension::SmtpUtf8);
        }
        Self(self.0 & Self::of(&passed).0)
            .with(Extension::Pipelining)
            .with(Extension::EnhancedStatusCodes)
    }

    /// Is it in the set?
    #[must_use]
    pub const fn has(self, extension: Extension) -> bool {
        self.0 & extension.bit() != 0
    }

    /// The set and this one.
    #[must_use]
    pub const fn with(self, extension: Extension) -> Self {
        Self(self.0 | extension.bit())
    }

    /// Both sets together.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The first that is not in `other`.
    #[must_use]
    pub fn missing_from(self, other: Self) -> Option<Extension> {
        Self(self.0 & !other.0).iter().next()
    }

    /// One after the other.
    pub fn iter(self) -> impl Iterator<Item = Extension> {
        Extension::ALL.into_iter().filter(move |one| self.has(*one))
    }
}

impl fmt::Debug for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// The reply to the client's EHLO: `greeting` is the MX's own first line, `auth` what is said of logins.
pub(super) fn answer(greeting: &[u8], auth: Option<&str>, told: Extensions) -> Bytes {
    let mut reply = BytesMut::new();
    reply.put(&b"250-"[..]);
    reply.put(printable(greeting, Charset::Ascii).as_bytes());
    reply.put(&b"\r\n"[..]);
    let mut put = |keyword: &str| {
        reply.put(&b"250-"[..]);
        reply.put(keyword.as_bytes());
        reply.put(&b"\r\n"[..]);
    };
    told.iter().map(Extension::keyword).for_each(&mut put);
    auth.into_iter().for_each(put);
    // One recipient domain, so that one verdict serves all recipients (RFC 9422 §4.3).
    reply.put(&b"250 LIMITS RCPTDOMAINMAX=1\r\n"[..]);
    reply.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::Limits;
    use crate::smtp::reply::ReplyParser;

    fn reply(text: &str) -> ServerReply {
        let mut parser = ReplyParser::new(&Limits::default());
        parser.push(text.as_bytes());
        parser.next_reply().unwrap().unwrap()
    }

    #[test]
    fn keywords_count_whatever_their_case_and_arguments_and_never_the_greeting() {
        let said = Extensions::parse(&reply(
            "250-STARTTLS DSN\r\n250-size 1000\r\n250-8BitMime\r\n250-XXXXXXXX\r\n250 smtputf8\r\n",
        ));
        use Extension as E;
        assert_eq!(
            said,
            Extensions::of(&[E::Size, E::EightBitMime, E::SmtpUtf8])
        );
    }

    #[test]
    fn role_6_tls_07_only_what_both_legs_keep_is_offered() {
        let said = reply(
            "250-mx.example\r\n250-STARTTLS\r\n250-AUTH PLAIN\r\n250-XCLIENT NAME\r\n250-REQUIRETLS\r\n\
             250-CHUNKING\r\n250-BINARYMIME\r\n250-SIZE 10\r\n250 8BITMIME\r\n",
        );
        let told = answer(b"mx.example", None, Extensions::parse(&said).offered());
        assert_eq!(
            told,
            "250-mx.example\r\n250-PIPELINING\r\n250-SIZE\r\n250-8BITMIME\r\n\
             250-ENHANCEDSTATUSCODES\r\n250 LIMITS RCPTDOMAINMAX=1\r\n"
        );
    }

    #[test]
    fn eai_1_smtputf8_is_offered_only_beside_8bitmime() {
        let alone = Extensions::of(&[Extension::SmtpUtf8]).offered();
        assert!(!alone.has(Extension::SmtpUtf8));
        let both = Extensions::of(&[Extension::SmtpUtf8, Extension::EightBitMime]).offered();
        assert!(both.has(Extension::SmtpUtf8));
    }

    #[test]
    fn what_is_missing_is_named() {
        let used = Extensions::of(&[Extension::Size, Extension::Dsn]);
        assert_eq!(
            used.missing_from(Extensions::of(&[Extension::Size])),
            Some(Extension::Dsn)
        );
        assert_eq!(used.missing_from(used), None);
    }
}
