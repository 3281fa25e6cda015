//! What EHLO offers (RFC 5321 §4.1.1.1): what the MX says, and what of it the client is told.
//!
//! The client hears of an extension only when both legs can keep the promise. What is not listed in [`Extension`] is
//! never passed on: BINARYMIME, REQUIRETLS, XCLIENT and whatever is invented next. AUTH goes by rules of its own.
//!
//! **What an attacker must not hide.** EHLO is answered before anybody has said which domain the mail is for, so before
//! anything is demanded of the list: whoever strips STARTTLS, breaks the handshake or shows a certificate of his own can
//! have written it. A mail server that finds SMTPUTF8 missing bounces internationalised mail by itself, before RCPT could
//! be answered with 4xx. So 8BITMIME and SMTPUTF8 are offered always, and looked for when a recipient is cleared: the list is
//! then that of a connection which meets what the domain demands. Where it lacks what the transaction uses, the recipient
//! hears 451 and the address is remembered ([`Session::lacking`](super::Session::lacking)): to the next connection the
//! extension is offered only if the MX offers it, and the mail server converts, or gives up, on a true list. A 5xx of ours
//! would bounce what it can still deliver: some say SMTPUTF8 although the message does not need it.
//!
//! That leaves one hole: who spoils a message to a domain that demands nothing has the extension hidden from others at the
//! same address, for as long as it is remembered and he keeps it off the list. SIZE, DSN and CHUNKING are left to the list:
//! without them mail servers do not bounce, and many an MX offers no DSN.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

use super::path::Charset;
use super::relay::printable;
use super::reply::ServerReply;
use super::{Channel, Limits};

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
    /// RFC 3030
    Chunking,
}

impl Extension {
    const ALL: [Self; 9] = [
        Self::Pipelining,
        Self::Size,
        Self::EightBitMime,
        Self::SmtpUtf8,
        Self::EnhancedStatusCodes,
        Self::Dsn,
        Self::StartTls,
        Self::Auth,
        Self::Chunking,
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
            Self::Chunking => "CHUNKING",
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

    /// What a client may be told when the MX says this on that channel; `lacking` is what it is known not to offer.
    ///
    /// Pipelining and enhanced status codes are kept by this side, whatever the MX can. STARTTLS is not the MX's to
    /// offer: the client's leg ends here, and the session adds it where it serves it. SIZE is told without the number:
    /// a limit from a peer that nobody has authenticated yet would let it bounce mail (RFC 1870 §3 knows SIZE without
    /// a number). CHUNKING is a mere convenience, so it is not taken from a list that anybody on the way can have
    /// written.
    #[must_use]
    pub fn offered(self, channel: &Channel, lacking: Self) -> Self {
        let mut passed = vec![Extension::Size, Extension::Dsn];
        match channel {
            Channel::Protected => passed.push(Extension::Chunking),
            Channel::Clear(_) | Channel::Broken(_) => {}
        }
        Self(self.0 & Self::of(&passed).0)
            .union(self.assumed(lacking))
            .with(Extension::Pipelining)
            .with(Extension::EnhancedStatusCodes)
    }

    /// 8BITMIME and SMTPUTF8, as far as the MX offers them or is not known to lack them.
    fn assumed(self, lacking: Self) -> Self {
        let is_assumed = |one| self.has(one) || !lacking.has(one);
        match Self::ASSUMED.map(is_assumed) {
            [false, _] => Self::NONE, // RFC 6531 §3.1: SMTPUTF8 needs 8BITMIME
            [true, false] => Self::of(&[Extension::EightBitMime]),
            [true, true] => Self::of(&Self::ASSUMED),
        }
    }

    /// What of these is offered whatever the MX says.
    #[must_use]
    pub fn only_assumed(self) -> Self {
        Self(self.0 & Self::of(&Self::ASSUMED).0)
    }

    const ASSUMED: [Extension; 2] = [Extension::EightBitMime, Extension::SmtpUtf8];

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

    /// What is not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
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
pub(super) fn answer(
    greeting: &[u8],
    auth: Option<&str>,
    told: Extensions,
    limits: &Limits,
) -> Bytes {
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
    reply.put(&b"250 "[..]);
    reply.put(limits_told(limits).as_bytes());
    reply.put(&b"\r\n"[..]);
    reply.freeze()
}

/// What this side limits, and not what the MX does, which says so when the time comes (RFC 9422 §4).
///
/// One recipient domain, so that one verdict serves all recipients (RFC 9422 §4.3): a client that knows the extension
/// sends each domain's recipients over a connection of their own, and none has to be told to come again.
fn limits_told(limits: &Limits) -> String {
    match limits.recipients {
        most @ 1..=999_999 => format!("LIMITS RCPTMAX={most} RCPTDOMAINMAX=1"),
        _ => "LIMITS RCPTDOMAINMAX=1".to_owned(), // six digits are the most that it can be told in
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::NoTls;
    use crate::smtp::reply::ReplyParser;

    fn reply(text: &str) -> ServerReply {
        let mut parser = ReplyParser::new(&Limits::default());
        parser.push(text.as_bytes());
        parser.next_reply().unwrap().unwrap()
    }

    /// Known to lack all that can be assumed.
    fn everything_lacking() -> Extensions {
        Extensions::of(&Extensions::ASSUMED)
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
    fn role_6_smtp_28_rtls_1_bdat_5_tls_07_only_what_both_legs_keep_is_offered() {
        let said = reply(
            "250-mx.example\r\n250-STARTTLS\r\n250-AUTH PLAIN\r\n250-XCLIENT NAME\r\n250-REQUIRETLS\r\n\
             250-LIMITS MAILMAX=1 RCPTMAX=5\r\n250-CHUNKING\r\n250-BINARYMIME\r\n250-SIZE 10\r\n250 8BITMIME\r\n",
        );
        let told = Extensions::parse(&said).offered(&Channel::Protected, everything_lacking());
        let told = answer(b"mx.example", None, told, &Limits::default());
        assert_eq!(
            told,
            "250-mx.example\r\n250-PIPELINING\r\n250-SIZE\r\n250-8BITMIME\r\n\
             250-ENHANCEDSTATUSCODES\r\n250-CHUNKING\r\n250 LIMITS RCPTMAX=1000 RCPTDOMAINMAX=1\r\n"
        );
    }

    #[test]
    fn bdat_4_chunking_is_offered_where_the_mx_offers_it_inside_tls() {
        let said = Extensions::of(&[Extension::Chunking]);
        for (channel, expected) in [
            (Channel::Protected, true),
            (Channel::Clear(NoTls::NotOffered), false),
            (Channel::Broken("alert".into()), false),
        ] {
            let told = said.offered(&channel, Extensions::NONE);
            assert_eq!(told.has(Extension::Chunking), expected, "{channel:?}");
        }
        let told = Extensions::NONE.offered(&Channel::Protected, everything_lacking());
        assert!(!told.has(Extension::Chunking));
    }

    #[test]
    fn lim_1_role_10_the_limits_told_are_our_own() {
        for (recipients, expected) in [
            (100, "LIMITS RCPTMAX=100 RCPTDOMAINMAX=1"),
            (999_999, "LIMITS RCPTMAX=999999 RCPTDOMAINMAX=1"),
            (1_000_000, "LIMITS RCPTDOMAINMAX=1"),
        ] {
            let limits = Limits {
                recipients,
                ..Limits::default()
            };
            assert_eq!(limits_told(&limits), expected);
        }
    }

    #[test]
    fn eai_1_smtputf8_is_offered_only_beside_8bitmime() {
        let alone = Extensions::of(&[Extension::SmtpUtf8])
            .offered(&Channel::Protected, everything_lacking());
        assert!(!alone.has(Extension::SmtpUtf8));
        let both = Extensions::of(&[Extension::SmtpUtf8, Extension::EightBitMime]);
        let both = both.offered(&Channel::Protected, everything_lacking());
        assert!(both.has(Extension::SmtpUtf8));
    }

    #[test]
    fn eai_3_tls_01_what_an_attacker_could_hide_is_offered_until_it_is_known_to_be_missing() {
        use Extension::{EightBitMime as Eight, SmtpUtf8 as Utf8};
        let channels = [
            Channel::Protected,
            Channel::Clear(NoTls::NotOffered),
            Channel::Broken("alert".into()),
        ];
        let rows: [(&[Extension], &[Extension], &[Extension]); 8] = [
            (&[], &[], &[Eight, Utf8]),
            (&[Eight, Utf8], &[], &[Eight, Utf8]),
            (&[], &[Utf8], &[Eight]),
            (&[], &[Eight], &[]),
            (&[], &[Eight, Utf8], &[]),
            (&[Eight], &[Eight, Utf8], &[Eight]),
            (&[Utf8], &[Eight], &[]),
            (&[Eight, Utf8], &[Eight, Utf8], &[Eight, Utf8]),
        ];
        for (said, lacking, expected) in rows {
            for channel in &channels {
                let told = Extensions::of(said).offered(channel, Extensions::of(lacking));
                let seen = told.only_assumed();
                assert_eq!(
                    seen,
                    Extensions::of(expected),
                    "{said:?} {lacking:?} {channel:?}"
                );
            }
        }
    }
}
