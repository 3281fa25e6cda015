//! What the client MTA hears of a [`Reason`]: codes, and a sentence that fits into a reply line.

use super::reason::{Question, Reason};
use crate::smtp::Reply;
use crate::smtp::ehlo::Extension;

impl Reason {
    /// The reply to RCPT; 4xx but for a null MX, since whatever else we see may be an attacker's doing.
    #[must_use]
    pub fn reply(&self) -> Reply {
        let (code, enhanced) = self.status();
        Reply {
            code,
            enhanced: Some(enhanced),
            text: format!("{}: {}", self.keyword(), printable(&self.to_string())),
        }
    }

    /// The same where it is the connection as a whole that is of no use: in place of the greeting or in answer to EHLO; and
    /// where nobody knows whether the MX has the message, so that the client must try again (RFC 5321 §4.5.3.2.6).
    #[must_use]
    pub fn closing(&self) -> Reply {
        let reply = self.reply();
        let enhanced = if matches!(self, Self::Busy) {
            Some("4.3.2") // as of all that there is only so much of
        } else {
            reply.enhanced
        };
        Reply {
            code: 421,
            enhanced,
            ..reply
        }
    }

    /// Basic and enhanced status code (RFC 3463 §3).
    const fn status(&self) -> (u16, &'static str) {
        match self {
            Self::Dns {
                question: Question::Tlsa,
                ..
            } => (451, "4.7.5"),
            Self::Dns {
                question: Question::Mx | Question::Address | Question::Sts,
                ..
            }
            | Self::Budget { .. } => (451, "4.4.3"),
            Self::NullMx { .. } => (556, "5.1.10"), // RFC 7505 §4.1
            Self::NoSuchDomain { .. } | Self::NoPolicyDomain { .. } => (451, "4.4.4"),
            Self::ForgedNullMx { .. } | Self::DestNotMx { .. } | Self::StsMxNotListed { .. } => {
                (451, "4.7.1")
            }
            Self::StarttlsMissing { .. }
            | Self::KnownForTls { .. }
            | Self::DaneRequired { .. }
            | Self::StsRequired { .. } => (451, "4.7.4"),
            Self::Handshake { .. }
            | Self::DaneMismatch { .. }
            | Self::DaneName { .. }
            | Self::DaneDates { .. }
            | Self::DanePath { .. }
            | Self::StsName { .. }
            | Self::StsDates { .. }
            | Self::StsUntrusted { .. }
            | Self::Webpki { .. }
            | Self::PinMismatch { .. } => (451, "4.7.5"),
            Self::OneDomain { .. } => (452, "4.5.3"),
            Self::Busy => (451, "4.3.0"),
            Self::Unreachable { .. } => (451, "4.4.1"),
            Self::ServerLost { .. } => (451, "4.4.2"),
            Self::Shortfall { missing } => match missing {
                Extension::Size => (452, "4.3.4"),
                Extension::EightBitMime => (451, "4.6.3"),
                Extension::SmtpUtf8 => (451, "4.6.7"),
                Extension::Dsn
                | Extension::Pipelining
                | Extension::EnhancedStatusCodes
                | Extension::StartTls
                | Extension::Auth
                | Extension::Chunking => (451, "4.3.3"),
            },
        }
    }
}

/// Printable US-ASCII of at most [`MAX_SENTENCE`] octets: parts of it come from the network (attack DN-23).
fn printable(text: &str) -> String {
    text.chars()
        .take(MAX_SENTENCE)
        .map(|c| {
            if c.is_ascii_graphic() || c == ' ' {
                c
            } else {
                '?'
            }
        })
        .collect()
}

/// Leaves room for code, keyword and trace id in a reply line of 512 octets (RFC 5321 §4.5.3.1.5).
const MAX_SENTENCE: usize = 400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dn_23_text_from_the_network_is_made_printable_and_short() {
        let reason = Reason::Handshake {
            host: "mx.example.com".parse().unwrap(),
            what: format!("\r\n250 ok\u{1b}[31mé{}", "x".repeat(900)),
        };
        let reply = reason.reply();
        assert!(
            reply
                .text
                .bytes()
                .all(|b| b.is_ascii_graphic() || b == b' '),
            "{}",
            reply.text
        );
        assert!(reply.text.len() < 450);
    }
}
