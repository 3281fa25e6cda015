//! Why there is no channel to the MX, for the client and the operator to read.

use super::super::End;
use super::super::reply::ReplyError;
use crate::verdict::Reason;

/// Why there is no channel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::smtp) enum LinkError {
    #[error("{0}")]
    Dial(String),
    #[error("this host has no free port or descriptor")]
    Exhausted,
    #[error("it greets with {code} {text}")]
    Greeting { code: u16, text: String },
    #[error("it answers HELO with {code} {text}")]
    Helo { code: u16, text: String },
    #[error("the connection was lost")]
    Lost,
    #[error("it does not answer in time")]
    Silent,
    #[error("it takes no more octets")]
    Stalled,
    #[error("it speaks before it is asked")]
    Unasked,
    #[error("plaintext follows the reply to STARTTLS")]
    Injected,
    #[error("it does not speak SMTP: {0}")]
    Reply(#[from] ReplyError),
    #[error("{command} was answered with {code}")]
    Nonsense { command: &'static str, code: u16 },
}

impl LinkError {
    /// The refusal that it is worth: a peer that was never there can be told from one that fails.
    pub(in crate::smtp) fn reason(&self) -> Reason {
        let what = self.to_string();
        match self {
            Self::Exhausted => Reason::Busy,
            Self::Dial(_) | Self::Greeting { .. } | Self::Helo { .. } => {
                Reason::Unreachable { what }
            }
            Self::Lost
            | Self::Silent
            | Self::Stalled
            | Self::Unasked
            | Self::Injected
            | Self::Reply(_)
            | Self::Nonsense { .. } => Reason::ServerLost { what },
        }
    }

    /// How a session ends by it: in a timeout, by a refusal where the MX is not to blame, or else so.
    pub(in crate::smtp) const fn end(&self, otherwise: End) -> End {
        match self {
            Self::Silent | Self::Stalled => End::Timeout,
            Self::Exhausted => End::Refused,
            Self::Dial(_)
            | Self::Greeting { .. }
            | Self::Helo { .. }
            | Self::Lost
            | Self::Unasked
            | Self::Injected
            | Self::Reply(_)
            | Self::Nonsense { .. } => otherwise,
        }
    }
}
