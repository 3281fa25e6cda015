//! One [`Record`] per session, emitted once, also when the session is dropped half-way: [`Open`] sees to that.
//! [`log`] writes it as one line, [`metrics`] counts it, [`counts`] remembers refusals per day and domain, [`admin`] shows the metrics and whether the proxy is ready.

pub mod admin;
pub mod counts;
pub mod log;
pub mod metrics;
pub mod summary;
pub mod trace;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::clock::Clock;
use crate::intercept::Via;
use crate::name::DnsName;

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
    /// What protected the client's own leg.
    pub client_leg: ClientLeg,
    /// Whether the client has logged in at the destination.
    pub logged_in: bool,
    /// Whose name the destination went by: `envelope`, `route`, `bypass`.
    pub identity: &'static str,
    /// One entry per judged recipient domain, in order; on a route the domain is the route's host.
    pub judgements: Vec<Judgement>,
    /// `TLSv1.3` and the like, of the last connection.
    pub tls_version: Option<&'static str>,
    /// The cipher suite of the last connection.
    pub tls_suite: Option<String>,
    /// SHA-256 of the leaf's SubjectPublicKeyInfo, hexadecimal: the pin.
    pub pin: Option<String>,
    /// How often the destination was dialled.
    pub dials: u32,
    /// How many TLS handshakes came to an end with it.
    pub handshakes: u32,
    /// How many of them resumed an earlier session.
    pub resumed: u32,
    /// What about its host is not as it was, as words of [`continuity::Kind`](crate::policy::continuity::Kind).
    pub alerts: Vec<&'static str>,
    /// Recipients that the MX accepted.
    pub recipients: u64,
    /// Messages that the MX accepted.
    pub messages: u64,
    /// What went wrong first with an MX that was cleared: a label, and the matter in words.
    pub trouble: Option<Trouble>,
    /// What the client heard in place of a greeting.
    pub sent_away: Option<String>,
    /// How the session ended: `quit`, `client-lost`, `server-lost`, `unreachable`, `timeout`, `shutdown`, `refused`
    /// (by us: a loop, a client without manners), `aborted` (dropped half-way).
    pub end: &'static str,
    /// From the last recipient that was judged to its verdict, redials included.
    pub decision: Option<Duration>,
    /// From accept to close.
    pub duration: Duration,
}

/// What went wrong with an MX that was cleared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The keyword that the client heard: `server-lost`, `shortfall`.
    pub reason: &'static str,
    /// The same in words.
    pub detail: String,
}

/// The leg between the client and this proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientLeg {
    /// No TLS.
    Clear,
    /// TLS.
    Protected {
        /// `TLSv1.3` and the like.
        version: &'static str,
        /// The name that the client asked for.
        sni: Option<DnsName>,
    },
    /// The client asked for TLS and the handshake failed: why.
    Failed(String),
}

/// One verdict of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// What it would have been refused for, where the mode is to report and not to refuse.
    pub would_refuse: Option<&'static str>,
    /// Where the other setting of `combine` would have decided otherwise: what the stricter of the two refuses for.
    pub differs: Option<&'static str>,
    /// Whether the refusal, of the one kind or the other, is for the sake of a policy.
    pub is_for_policy: bool,
    /// The exceptions that it rests on.
    pub exceptions: Vec<Used>,
}

/// An exception that was used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Used {
    /// Its id.
    pub id: String,
    /// Its word: `none`, `dane` and so on.
    pub kind: &'static str,
}

/// Who gets the records.
pub trait Records: Send + Sync {
    /// Takes one record.
    fn record(&self, record: &Record);
}

/// Each record goes to both.
impl<A: Records, B: Records> Records for (A, B) {
    fn record(&self, record: &Record) {
        self.0.record(record);
        self.1.record(record);
    }
}

impl<T: Records + ?Sized> Records for Arc<T> {
    fn record(&self, record: &Record) {
        (**self).record(record);
    }
}

/// A record that is being filled; dropping it emits it.
pub struct Open {
    /// What is known so far.
    pub record: Record,
    started: Instant,
    clock: Arc<dyn Clock>,
    records: Arc<dyn Records>,
}

impl Open {
    /// Opens the record of a session that begins now.
    #[must_use]
    pub fn new(record: Record, clock: Arc<dyn Clock>, records: Arc<dyn Records>) -> Self {
        Self {
            record,
            started: clock.instant(),
            clock,
            records,
        }
    }

    /// Adds a judgement. Recipients of one domain that fare alike are told once.
    pub fn judged(&mut self, judgement: Judgement) {
        if !self.record.judgements.contains(&judgement) {
            self.record.judgements.push(judgement);
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let now = self.clock.instant();
        self.record.duration = now.saturating_duration_since(self.started);
        self.records.record(&self.record);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::clock::SystemClock;

    #[derive(Default)]
    struct Kept(Mutex<Vec<Record>>);

    impl Records for Kept {
        fn record(&self, record: &Record) {
            self.0.lock().unwrap().push(record.clone());
        }
    }

    pub(crate) fn record() -> Record {
        Record {
            trace: "TRACE".into(),
            via: Via::Redirect,
            client: "127.0.0.1:4711".parse().unwrap(),
            destination: "192.0.2.1:25".parse().unwrap(),
            client_leg: ClientLeg::Clear,
            logged_in: false,
            identity: "envelope",
            judgements: vec![],
            tls_version: None,
            tls_suite: None,
            pin: None,
            dials: 0,
            handshakes: 0,
            resumed: 0,
            alerts: vec![],
            recipients: 0,
            messages: 0,
            trouble: None,
            sent_away: None,
            end: "aborted",
            decision: None,
            duration: Duration::ZERO,
        }
    }

    pub(crate) fn judgement(domain: &str, reason: &'static str) -> Judgement {
        Judgement {
            domain: domain.into(),
            host: None,
            level: None,
            verdict: "refuse",
            reason,
            detail: String::new(),
            observed: None,
            would_refuse: None,
            differs: None,
            is_for_policy: true,
            exceptions: vec![],
        }
    }

    #[test]
    fn r5_a_session_that_is_dropped_half_way_is_recorded_once_and_alike_judgements_too() {
        let kept = Arc::new(Kept::default());
        let mut open = Open::new(record(), Arc::new(SystemClock), kept.clone());
        for reason in ["null-mx", "null-mx", "dest-not-mx"] {
            open.judged(judgement("a.example", reason));
        }
        drop(open);
        let kept = kept.0.lock().unwrap();
        assert_eq!(kept.len(), 1);
        assert_eq!(kept[0].end, "aborted");
        assert_eq!(kept[0].judgements.len(), 2);
    }
}
