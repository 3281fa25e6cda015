//! One [`Record`] per session, emitted once, also when the session is dropped half-way.

use std::net::SocketAddr;
use std::time::Duration;

use crate::intercept::Via;

/// What became of one session. Never a local part, never message data.
#[derive(Clone, Debug)]
pub struct Record {
    /// The id that stands in refusals.
    pub trace: String,
    /// How the connection came.
    pub via: Via,
    /// The client MTA.
    pub client: SocketAddr,
    /// Where it wanted to go.
    pub destination: SocketAddr,
    /// One entry per judged recipient domain, in order.
    pub judgements: Vec<Judgement>,
    /// `TLSv1.3` and the like, of the last connection.
    pub tls_version: Option<&'static str>,
    /// The cipher suite of the last connection.
    pub tls_suite: Option<String>,
    /// SHA-256 of the leaf's SubjectPublicKeyInfo, hexadecimal: the pin.
    pub pin: Option<String>,
    /// How often the destination was dialled.
    pub dials: u32,
    /// How the session ended: `quit`, `client-lost`, `server-lost`, `unreachable`, `timeout`, `shutdown`, `refused`.
    pub end: &'static str,
    /// Time until the last verdict.
    pub decision: Option<Duration>,
    /// From accept to close.
    pub duration: Duration,
}

/// One verdict of a session.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// The recipient's domain, or the literal.
    pub domain: String,
    /// The MX host that the destination is taken for.
    pub host: Option<String>,
    /// `L0`, `LD` and so on; none when it could not be found out.
    pub level: Option<&'static str>,
    /// `pin` or `refuse`.
    pub verdict: &'static str,
    /// The basis of a pin or the keyword of a refusal.
    pub reason: &'static str,
    /// The refusal in words, or empty.
    pub detail: String,
    /// What an observed policy would have refused for.
    pub observed: Option<&'static str>,
}

/// Who gets the records.
pub trait Records: Send + Sync {
    /// Takes one record.
    fn record(&self, record: &Record);
}
