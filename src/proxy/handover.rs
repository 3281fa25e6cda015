//! Connections that a trusted sender hands over with a PROXY header, up to the point where they are like any other.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncRead;

use super::shell::Shell;
use super::{listen, refusal};
use crate::intercept::guard::Loop;
use crate::intercept::proxy_protocol::{self, Header, Proxied, Refused};
use crate::intercept::tally::Turned;
use crate::intercept::{Intercepted, Via};
use crate::smtp::Reply;

/// Why a sender's connection gets no session.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unhanded {
    /// Nothing came, or not all of it.
    #[error("no PROXY header within {} s (does the sender have send-proxy or send-proxy-v2?)", DEADLINE.as_secs())]
    Late,
    /// Something else came.
    #[error(transparent)]
    Header(#[from] Refused),
    /// A health check.
    #[error("the sender speaks for itself (LOCAL): a health check")]
    Local,
    /// Its ends are not told.
    #[error("the PROXY header does not tell the destination (UNKNOWN or AF_UNSPEC)")]
    Unknown,
    /// It leads back, or to this machine.
    #[error("{why}: {} wants to go to {}", _0.client, _0.destination, why = _1)]
    Loop(Proxied, Loop),
}

impl Unhanded {
    /// What the client at the other end of the sender hears.
    pub(super) fn reply(&self) -> Option<Reply> {
        match self {
            Self::Late | Self::Header(Refused::Malformed(_)) => Some(refusal::no_header()),
            Self::Unknown => Some(refusal::no_destination()),
            Self::Loop(_, looped) => Some(refusal::of_loop(*looped)),
            Self::Local | Self::Header(Refused::Io(_)) => None,
        }
    }

    /// How it counts, where it does.
    pub(super) const fn turned(&self) -> Option<Turned> {
        match self {
            Self::Late | Self::Header(Refused::Malformed(_)) => Some(Turned::Unsaid),
            Self::Unknown => Some(Turned::NoDestination),
            Self::Loop(..) => Some(Turned::Loop),
            Self::Local | Self::Header(Refused::Io(_)) => None,
        }
    }

    /// Whether it is part of the day: senders look whether we are there (with UNKNOWN in version 1), and clients go away.
    pub(super) const fn is_usual(&self) -> bool {
        match self {
            Self::Local | Self::Unknown | Self::Header(Refused::Io(_)) => true,
            Self::Late | Self::Loop(..) | Self::Header(Refused::Malformed(_)) => false,
        }
    }
}

/// Reads the header of a sender that may be believed.
pub(super) async fn take<S: AsyncRead + Unpin>(
    shell: &Shell,
    stream: &mut S,
    (sender, patience): (SocketAddr, Duration),
) -> Result<Intercepted, Unhanded> {
    let header = tokio::time::timeout(patience, proxy_protocol::accept(stream)).await;
    let ends = match header.map_err(|_| Unhanded::Late)?? {
        Header::Proxied(ends) => ends,
        Header::Local => return Err(Unhanded::Local),
        Header::Unknown => return Err(Unhanded::Unknown),
    };
    let from = Intercepted {
        client: ends.client,
        destination: ends.destination,
        via: Via::ProxyProtocol,
        hint: None,
    };
    // Neither the client nor the sender reaches from elsewhere what listens on this machine.
    let goes_in = |who| {
        shell
            .guard
            .check_destination(who, ends.destination, listen::is_ours)
    };
    let checked = shell.guard.check_client(&from);
    checked
        .and_then(|()| goes_in(sender))
        .and_then(|()| goes_in(ends.client))
        .map_err(|looped| Unhanded::Loop(ends, looped))?;
    Ok(from)
}

/// A sender has the header at hand; three seconds are for a packet that is lost and sent again, and again.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);
