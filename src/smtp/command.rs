//! Commands of the client (RFC 5321 §4.1), read but never rewritten: what is relayed is the line as it came.
//!
//! [`Command::parse`] finds the verb; [`Mail::parse`] and [`Rcpt::parse`] read the arguments once the session knows that
//! the command is in order. Every failure is the reply that it gets.

use bytes::Bytes;

use super::ehlo::Extensions;
use super::params;
use super::path::{self, Charset, PathError};
use super::{Reply, Target};

/// A command line whose verb is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// EHLO or HELO, with the name.
    Hello(Greeter, &'a [u8]),
    /// `MAIL FROM:`, with what follows the colon.
    Mail(&'a [u8]),
    /// `RCPT TO:`, with what follows the colon.
    Rcpt(&'a [u8]),
    /// DATA
    Data,
    /// BDAT, with what follows; octets come behind it that are no commands.
    Bdat(&'a [u8]),
    /// RSET
    Rset,
    /// NOOP
    Noop,
    /// QUIT
    Quit,
    /// VRFY
    Vrfy,
    /// STARTTLS
    StartTls,
    /// AUTH, with what follows.
    Auth(&'a [u8]),
    /// A command that exists and is not served here.
    Unserved,
}

/// The two ways to say hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Greeter {
    /// With extensions.
    Ehlo,
    /// Without.
    Helo,
}

/// Why a line is no command, or a command cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// No such verb (RFC 5321 §4.2.4).
    #[error("no such command")]
    Unknown,
    /// The verb is known, what follows it is not as it must be.
    #[error("syntax error in arguments")]
    Arguments,
    /// The sender's path.
    #[error("sender: {0}")]
    Sender(PathError),
    /// The recipient's path.
    #[error("recipient: {0}")]
    Recipient(PathError),
    /// A parameter of MAIL or RCPT.
    #[error(transparent)]
    Parameter(#[from] params::ParamError),
}

impl<'a> Command<'a> {
    /// Reads a line without its CRLF.
    ///
    /// # Errors
    /// [`CommandError::Unknown`] or [`CommandError::Arguments`].
    pub fn parse(line: &'a [u8]) -> Result<Self, CommandError> {
        if let Some(rest) = after(line, b"MAIL FROM:") {
            return Ok(Self::Mail(rest));
        }
        if let Some(rest) = after(line, b"RCPT TO:") {
            return Ok(Self::Rcpt(rest));
        }
        let (verb, argument) = match line.iter().position(|octet| *octet == b' ') {
            Some(space) => (&line[..space], line[space..].trim_ascii()),
            None => (line, &[][..]),
        };
        let plain = |command| {
            if argument.is_empty() {
                Ok(command)
            } else {
                Err(CommandError::Arguments)
            }
        };
        match verb.to_ascii_uppercase().as_slice() {
            b"EHLO" => host(argument).map(|name| Self::Hello(Greeter::Ehlo, name)),
            b"HELO" => host(argument).map(|name| Self::Hello(Greeter::Helo, name)),
            b"DATA" => plain(Self::Data),
            b"RSET" => plain(Self::Rset),
            b"STARTTLS" => plain(Self::StartTls), // RFC 3207 §4: it has no parameters
            b"QUIT" => plain(Self::Quit),
            b"NOOP" => Ok(Self::Noop),
            b"VRFY" => Ok(Self::Vrfy),
            b"AUTH" => Ok(Self::Auth(argument)),
            b"BDAT" => Ok(Self::Bdat(argument)),
            b"EXPN" | b"HELP" | b"ETRN" | b"ATRN" | b"TURN" | b"XCLIENT" | b"XFORWARD"
            | b"BURL" => Ok(Self::Unserved),
            b"MAIL" | b"RCPT" => Err(CommandError::Arguments),
            _ => Err(CommandError::Unknown),
        }
    }
}

/// The client's name: what RFC 5321 §4.1.1.1 says, and whatever else MTAs call themselves, as long as it is one word.
fn host(argument: &[u8]) -> Result<&[u8], CommandError> {
    let is_word = argument.iter().all(u8::is_ascii_graphic); // RFC 6531 §3.7.1: US-ASCII
    if argument.is_empty() || argument.len() > MAX_HOST || !is_word {
        return Err(CommandError::Arguments);
    }
    Ok(argument)
}

fn after<'a>(line: &'a [u8], verb: &[u8]) -> Option<&'a [u8]> {
    let (head, rest) = line.split_at_checked(verb.len())?;
    head.eq_ignore_ascii_case(verb).then_some(rest)
}

/// MAIL, accepted so far as its syntax goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// The line as it came, without CRLF.
    pub line: Bytes,
    /// What the MX must offer for its parameters.
    pub uses: Extensions,
    /// Whether SMTPUTF8 was asked for.
    pub charset: Charset,
}

impl Mail {
    /// Reads the argument of `line`; `told` is what the client may use.
    ///
    /// # Errors
    /// [`CommandError`] says what is wrong with it.
    pub fn parse(line: &[u8], argument: &[u8], told: Extensions) -> Result<Self, CommandError> {
        let (path, rest) =
            path::split(argument.trim_ascii_start()).map_err(CommandError::Sender)?;
        let (uses, charset) = params::mail(rest, told)?;
        path::reverse(path, charset).map_err(CommandError::Sender)?;
        Ok(Self {
            line: Bytes::copy_from_slice(line), // not a share in all that came with it
            uses,
            charset,
        })
    }
}

/// RCPT, accepted so far as its syntax goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rcpt {
    /// The line as it came, without CRLF.
    pub line: Bytes,
    /// Whose policy decides.
    pub target: Target,
    /// What the MX must offer for its parameters.
    pub uses: Extensions,
}

impl Rcpt {
    /// Reads the argument of `line`; `told` is what the client may use, `charset` what MAIL has asked for.
    ///
    /// # Errors
    /// [`CommandError`] says what is wrong with it.
    pub fn parse(
        line: &[u8],
        argument: &[u8],
        told: Extensions,
        charset: Charset,
    ) -> Result<Self, CommandError> {
        let (path, rest) =
            path::split(argument.trim_ascii_start()).map_err(CommandError::Recipient)?;
        let target = path::forward(path, charset).map_err(CommandError::Recipient)?;
        let uses = params::rcpt(rest, told, charset)?;
        Ok(Self {
            line: Bytes::copy_from_slice(line), // not a share in all that came with it
            target,
            uses,
        })
    }
}

impl CommandError {
    /// The reply to the command.
    #[must_use]
    pub fn reply(&self) -> Reply {
        let (code, enhanced) = match self {
            Self::Unknown => (500, "5.5.2"),
            Self::Arguments => (501, "5.5.4"),
            Self::Sender(PathError::NeedsUtf8) | Self::Recipient(PathError::NeedsUtf8) => {
                (553, "5.6.7") // RFC 6531 §3.5
            }
            Self::Sender(_) => (501, "5.1.7"),
            Self::Recipient(_) => (501, "5.1.3"),
            Self::Parameter(params::ParamError::Malformed(_)) => (501, "5.5.4"),
            Self::Parameter(params::ParamError::Unknown) => (555, "5.5.4"), // RFC 5321 §4.1.1.11
        };
        Reply {
            code,
            enhanced: Some(enhanced),
            text: self.to_string(),
        }
    }
}

/// RFC 5321 §4.5.3.1.2
const MAX_HOST: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::ehlo::Extension as E;

    fn everything() -> Extensions {
        Extensions::of(&[E::Size, E::EightBitMime, E::SmtpUtf8, E::Dsn])
    }

    fn code(line: &str, told: Extensions, charset: Charset) -> u16 {
        let bytes = line.as_bytes();
        let outcome = Command::parse(line.as_bytes()).and_then(|command| match command {
            Command::Mail(argument) => Mail::parse(bytes, argument, told).map(|_| ()),
            Command::Rcpt(argument) => Rcpt::parse(bytes, argument, told, charset).map(|_| ()),
            Command::Hello(..)
            | Command::Data
            | Command::Bdat(_)
            | Command::Rset
            | Command::Noop
            | Command::Quit
            | Command::Vrfy
            | Command::StartTls
            | Command::Auth(_)
            | Command::Unserved => Ok(()),
        });
        outcome.map_or_else(|error| error.reply().code, |()| 250)
    }

    #[test]
    fn smtp_10_eai_4_dn_19_dn_20_lines_are_commands_or_errors() {
        let long = format!("EHLO {}", "x".repeat(600));
        let rows: [(&str, Result<Command<'_>, CommandError>); 20] = [
            ("EHLO mta", Ok(Command::Hello(Greeter::Ehlo, b"mta"))),
            (
                "ehlo [192.0.2.1] ",
                Ok(Command::Hello(Greeter::Ehlo, b"[192.0.2.1]")),
            ),
            (
                "HELO my_host",
                Ok(Command::Hello(Greeter::Helo, b"my_host")),
            ),
            ("EHLO", Err(CommandError::Arguments)),
            ("EHLO two words", Err(CommandError::Arguments)),
            ("EHLO zoë", Err(CommandError::Arguments)),
            (&long, Err(CommandError::Arguments)),
            ("data", Ok(Command::Data)),
            ("DATA now", Err(CommandError::Arguments)),
            ("NOOP whatever", Ok(Command::Noop)),
            ("VRFY u", Ok(Command::Vrfy)),
            ("BDAT 5 LAST", Ok(Command::Bdat(b"5 LAST"))),
            ("StartTLS", Ok(Command::StartTls)),
            ("STARTTLS now", Err(CommandError::Arguments)),
            ("XCLIENT NAME=x", Ok(Command::Unserved)),
            ("MAIL <a@b>", Err(CommandError::Arguments)),
            ("rcpt to:<a@b>", Ok(Command::Rcpt(b"<a@b>"))),
            ("MAILFROM:<a@b>", Err(CommandError::Unknown)),
            ("", Err(CommandError::Unknown)),
            ("DEBUG", Err(CommandError::Unknown)),
        ];
        for (line, expected) in rows {
            assert_eq!(Command::parse(line.as_bytes()), expected, "{line:?}");
        }
    }

    #[test]
    fn dn_16_smtp_29_size_1_bdat_5_rtls_2_parameters_are_known_and_offered_and_sound_or_refused() {
        let rows = [
            ("MAIL FROM:<a@b.example>", 250),
            (
                "MAIL FROM:<> SIZE=1 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=x+2By",
                250,
            ),
            ("MAIL FROM: <a@b.example>", 250),
            ("MAIL FROM:<a@b.example> size=12345678901234567890", 250),
            ("MAIL FROM:<a@b.example> SIZE=123456789012345678901", 501),
            ("MAIL FROM:<a@b.example> SIZE=-1", 501),
            ("MAIL FROM:<a@b.example> SIZE", 501),
            ("MAIL FROM:<a@b.example> SIZE=1 SIZE=2", 501),
            ("MAIL FROM:<a@b.example> BODY=BINARYMIME", 501),
            ("MAIL FROM:<a@b.example> BODY=7BIT", 250),
            ("MAIL FROM:<a@b.example> SMTPUTF8=1", 501),
            ("MAIL FROM:<a@b.example> AUTH=<>", 555),
            ("MAIL FROM:<a@b.example> REQUIRETLS", 555),
            ("MAIL FROM:<a@b.example> HOLDFOR=60", 555),
            ("MAIL FROM:<a@b.example> NOTIFY=NEVER", 555),
            ("MAIL FROM:<a@b.example> ENVID=a=b", 501),
            ("MAIL FROM:<a@b.example>SIZE=1", 501),
            ("MAIL FROM:a@b.example", 501),
            ("MAIL FROM:<zoë@b.example>", 553),
            ("MAIL FROM:<zoë@b.example> SMTPUTF8", 250),
            (
                "RCPT TO:<a@b.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;a@b.example",
                250,
            ),
            ("RCPT TO:<a@b.example> NOTIFY=NEVER", 250),
            ("RCPT TO:<a@b.example> NOTIFY=NEVER,DELAY", 501),
            ("RCPT TO:<a@b.example> NOTIFY=DELAY,DELAY", 501),
            ("RCPT TO:<a@b.example> ORCPT=rfc822", 501),
            ("RCPT TO:<a@b.example> SIZE=1", 555),
            ("RCPT TO:<zoë@b.example>", 553),
            ("RCPT TO:<@a:b@c>", 501),
            ("RCPT TO:<>", 501),
        ];
        for (line, expected) in rows {
            assert_eq!(code(line, everything(), Charset::Ascii), expected, "{line}");
        }
        let many = format!("MAIL FROM:<a@b.example>{}", " SIZE=1".repeat(100));
        assert_eq!(code(&many, everything(), Charset::Ascii), 501);
    }

    #[test]
    fn smtp_29_a_parameter_of_an_extension_that_was_not_offered_is_refused() {
        for line in [
            "MAIL FROM:<a@b.example> SIZE=1",
            "MAIL FROM:<a@b.example> BODY=7BIT",
            "MAIL FROM:<a@b.example> SMTPUTF8",
            "MAIL FROM:<a@b.example> RET=FULL",
            "RCPT TO:<a@b.example> NOTIFY=NEVER",
        ] {
            assert_eq!(code(line, Extensions::NONE, Charset::Ascii), 555, "{line}");
        }
    }

    #[test]
    fn eai_2_utf_8_in_recipients_follows_the_transaction() {
        let line = "RCPT TO:<zoë@müller.example> ORCPT=utf-8;zoë@müller.example";
        assert_eq!(code(line, everything(), Charset::Utf8), 250);
        assert_eq!(code(line, everything(), Charset::Ascii), 553);
    }
}
