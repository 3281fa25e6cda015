//! One SMTP session as a state machine, without IO: server towards the client MTA, client towards the MX. Pure.
//!
//! Feed it with `handle_*`, then drain [`Session::poll_action`] until it is empty, then wait for the next input or for
//! [`Session::poll_timeout`]. The driver moves bytes and time; the session decides what may be said to whom
//! (RFC 5321, RFC 2920, RFC 3207). Envelope and message bytes leave only after a favourable
//! [`Verdict`](crate::verdict::Verdict).
//!
//! ```text
//!   accepted ─► Dial ─► greeting ─► client EHLO ─► upstream EHLO ─► STARTTLS ─► StartTls ─► EHLO in TLS ─► reply to EHLO
//!      MAIL (provisional 250) ─► RCPT ─► Judge ─┬─ Pin ─► MAIL, RCPT upstream ─► relay … DATA or BDAT
//!                                               ├─ Redial ─► Dial … EHLO ─► Judge
//!                                               └─ Refuse ─► 451, upstream QUIT
//! ```
//!
//! Small readers, each of one thing: [`command`], [`path`], [`chunk`], [`ehlo`], [`reply`], and [`data`] for where a message
//! ends.
//! [`Session`] is the machine.

mod auth;
pub mod chunk;
pub mod command;
pub mod data;
pub mod ehlo;
mod end;
mod line;
mod link;
mod outbox;
mod params;
pub mod path;
mod relay;
mod replies;
pub mod reply;
mod session;
mod timeouts;
mod transaction;

use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

pub use end::{End, Tally};
pub use params::ParamError;
pub use session::Session;

use crate::name::{DnsName, Domain};
use crate::verdict::Reason;

/// What a session is told at its start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// A short id that stands in refusals and in the record.
    pub trace: String,
    /// The MX host that the destination address is known as: the best SNI before any recipient is known.
    pub hint: Option<DnsName>,
    /// What the MX at the destination address is known not to offer ([`Session::lacking`]).
    pub lacking: ehlo::Extensions,
    /// What becomes of messages with bare line ends. Commands with them are always refused.
    pub bare_line_ends: data::BareLineEnds,
    /// How long each side may take.
    pub timeouts: Timeouts,
    /// How much each side may send.
    pub limits: Limits,
    /// Whether the client may have TLS.
    pub client_tls: ClientTls,
    /// Whether clients may log in at the destination.
    pub auth: Auth,
}

/// Whether AUTH may pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Auth {
    /// It may not.
    #[default]
    Never,
    /// The destination is one host for all recipients: it may once that host is proven.
    OnceProven,
}

/// STARTTLS on the client's side of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientTls {
    /// It is not served, and not spoken of.
    Hidden,
    /// It would be offered, but there is no certificate to serve it with.
    Unavailable,
    /// It is offered.
    Offered,
}

/// RFC 5321 §4.5.3.2, as minima.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// The client's next command.
    pub command: Duration,
    /// The MX's greeting and its replies before DATA.
    pub reply: Duration,
    /// A block of message data.
    pub data: Duration,
    /// The reply to the final dot: 10 minutes at least (RFC 5321 §4.5.3.2.6).
    pub end_of_data: Duration,
    /// From RCPT to a verdict, redials included.
    pub decision: Duration,
    /// How long the MX is kept waiting for a transaction while the client says nothing.
    pub unused: Duration,
}

/// What a session holds at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Octets of a command line, CRLF included.
    pub command_line: usize,
    /// Octets of one reply line of the MX.
    pub reply_line: usize,
    /// Lines of one reply of the MX.
    pub reply_lines: usize,
    /// Recipients of a transaction.
    pub recipients: usize,
    /// Commands without progress (NOOP, RSET, errors).
    pub idle_commands: usize,
    /// Domains judged in one session.
    pub domains: usize,
}

/// What the driver must do, in order.
#[derive(Debug)]
pub enum Action {
    /// Write to the client.
    ToClient(Bytes),
    /// Write to the MX (inside TLS where it is up).
    ToServer(Bytes),
    /// Connect to the destination; answer with [`Dialled::Connected`] or [`Dialled::Failed`].
    Dial,
    /// Shake hands over the present connection; answer with [`Dialled::Secured`] or [`Dialled::HandshakeFailed`].
    StartTls {
        /// The name to ask for.
        sni: Option<DnsName>,
    },
    /// Write what waits for the client, then shake hands with it; answer with [`Session::handle_client_tls`].
    SecureClient {
        /// What the destination is called, for a client that asks for no name.
        name: Option<DnsName>,
    },
    /// Find out what the recipient demands and judge; answer with [`Session::handle_verdict`].
    Judge(Question),
    /// Note down that a recipient was refused, or a hello answered, without the verdict; none is wanted any more.
    GaveUp {
        /// Whose.
        target: Target,
        /// Why.
        why: Reason,
    },
    /// Close the connection to the MX after what was written.
    CloseServer,
    /// Close the connection to the client after what was written: the session is over.
    CloseClient,
}

/// What is to be judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The recipient's domain.
    pub target: Target,
    /// The state of the connection to the MX.
    pub channel: Channel,
    /// A new recipient; false after a redial for the same one.
    pub first: bool,
    /// Whether another connection can be had for it.
    pub freedom: Freedom,
    /// When the recipient was named: its time to a decision runs from there.
    pub received: Instant,
}

/// Whether the session can change its connection to the MX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freedom {
    /// It can.
    Free,
    /// The MX holds recipients, which would be lost.
    Bound,
}

/// What of a recipient has a policy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// A domain.
    Domain(Domain),
    /// An address literal (RFC 5321 §4.1.3).
    Literal(IpAddr),
    /// `<Postmaster>` without a domain (RFC 5321 §4.1.1.3).
    Postmaster,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(domain) => domain.fmt(f),
            Self::Literal(ip) => write!(f, "[{ip}]"),
            Self::Postmaster => f.write_str("postmaster"),
        }
    }
}

/// The connection to the MX, as far as the session knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Channel {
    /// TLS is up; the driver holds the evidence.
    Protected,
    /// No TLS.
    Clear(NoTls),
    /// The handshake failed and the connection is gone.
    Broken(String),
}

/// Why a usable connection has no TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoTls {
    /// EHLO does not list STARTTLS, or EHLO itself is refused.
    NotOffered,
    /// STARTTLS was answered with another code than 220.
    Refused(u16),
    /// After a failed handshake, dialled again without TLS on purpose.
    HandshakeFailed(String),
}

/// What became of [`Action::Dial`] and [`Action::StartTls`], or of the connection since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dialled {
    /// TCP is up.
    Connected,
    /// It is not: the error in words.
    Failed(String),
    /// It is not, and the destination is not to blame: this host has no socket to dial with.
    Exhausted,
    /// TLS is up.
    Secured,
    /// The handshake failed, the connection is gone.
    HandshakeFailed(String),
}

/// What became of [`Action::SecureClient`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientHandshake {
    /// TLS is up.
    Secured {
        /// The name that the client asked for.
        sni: Option<DnsName>,
    },
    /// It failed, and the client is gone.
    Failed,
}

/// A reply of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Three digits.
    pub code: u16,
    /// The enhanced status code (RFC 3463), but for greeting and EHLO.
    pub enhanced: Option<&'static str>,
    /// One line of printable US-ASCII; the session appends the trace id to refusals.
    pub text: String,
}

/// Which peer the session waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// The client's bytes.
    Client,
    /// The MX's bytes.
    Server,
    /// A connection or handshake.
    Dial,
    /// The client's handshake.
    ClientTls,
    /// A verdict.
    Verdict,
}
