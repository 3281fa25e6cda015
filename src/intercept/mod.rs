//! How a connection reached us, and where it wanted to go.
//!
//! Each listener kind is explicit in the configuration, never guessed: [`redirect`] asks netfilter, [`tproxy`] the
//! socket, [`proxy_protocol`] a trusted sender, [`socks5`] the client. [`guard`] refuses loops and connections that
//! nobody intercepted; [`canary`] and [`watch`] are how it is found out whether interception works at all.

pub mod canary;
pub mod guard;
pub mod proxy_protocol;
pub mod redirect;
pub mod rules;
pub mod socks5;
pub mod tally;
pub mod tproxy;
pub mod watch;

use std::net::SocketAddr;

use crate::name::DnsName;

/// A connection that was taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intercepted {
    /// The client MTA.
    pub client: SocketAddr,
    /// Where it wanted to go; IPv4-mapped addresses are canonical.
    pub destination: SocketAddr,
    /// How we got it.
    pub via: Via,
    /// A host name that the client named the destination by.
    pub hint: Option<DnsName>,
}

/// The kinds of listeners.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Via {
    /// Netfilter REDIRECT: the destination from `SO_ORIGINAL_DST`.
    Redirect,
    /// Netfilter TPROXY: the destination is the local address of a transparent socket.
    Tproxy,
    /// A PROXY header, versions 1 and 2.
    ProxyProtocol,
    /// SOCKS5 CONNECT (RFC 1928).
    Socks5,
}

impl Via {
    /// The word in configuration, records and metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Redirect => "redirect",
            Self::Tproxy => "tproxy",
            Self::ProxyProtocol => "proxy-protocol",
            Self::Socks5 => "socks5",
        }
    }
}
