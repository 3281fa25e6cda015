//! What sessions leave to the next ones: pins, TLS tickets, and what MX hosts have been seen to do.
//!
//! One [`Recall`] for the process. A session asks it before its handshake (`pocket`), before its verdict
//! (`proofs`, `hold`), and tells it what came of both (`cleared`, `saw`).
//! It decides nothing that the pure parts (`policy::pins`, `policy::continuity`, `tls::tickets`) do not.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use tracing::{error, warn};

use crate::clock::{Clock, Timestamp};
use crate::mtasts::Mode;
use crate::name::{DnsName, Domain, MxHost};
use crate::policy::continuity::book::{Book, Place};
use crate::policy::continuity::{
    self, Alert, Origin, Published, Sighting, Standing, TlsSeen, Vouched,
};
use crate::policy::pins::{self, Pins};
use crate::policy::{Continuity, Demand, Facts, MxFacts, StsState, TlsaFacts};
use crate::store::{Follows, Kind, Pen, Revision, Row, Store, StoreError};
use crate::tls::tickets::{Cleared, Endpoint, Pocket, Tickets};
use crate::tls::{Evidence, Handshake};
use crate::verdict::{Basis, By, Pin, Ruling, Verdict};
use crate::x509::issuer;
use crate::x509::path::{self, Roots};

/// The memory of all sessions.
pub struct Recall {
    pins: Pins,
    book: Book,
    /// None where nothing is resumed.
    tickets: Option<Tickets>,
    roots: Arc<Roots>,
    pen: Pen,
    loaded: Loaded,
}

/// Up to which change the store has been read.
#[derive(Clone, Copy, Debug, Default)]
struct Loaded {
    pins: Revision,
    continuity: Revision,
}

/// One ruling on what a destination has shown.
pub(super) struct Judged<'a> {
    pub(super) destination: SocketAddr,
    pub(super) domain: &'a Domain,
    pub(super) facts: &'a Facts,
    pub(super) evidence: &'a Evidence,
    pub(super) ruling: &'a Ruling,
    /// A negative trust anchor lies over it: that nothing signed is found says nothing.
    pub(super) is_exempt: bool,
    pub(super) now: Timestamp,
}

impl Judged<'_> {
    /// The verdict that what was demanded was met by. What the mode lets pass has proven nothing.
    const fn pin(&self) -> Option<&Pin> {
        match (&self.ruling.verdict, self.ruling.by) {
            (Verdict::Pin(pin), By::Demand) => Some(pin),
            _ => None,
        }
    }
}

impl Recall {
    /// Nothing is known yet. Without `tickets` nothing is resumed.
    #[must_use]
    pub fn new(
        continuity: Continuity,
        tickets: Option<Tickets>,
        roots: Arc<Roots>,
        pen: Pen,
    ) -> Self {
        Self {
            pins: Pins::default(),
            book: Book::new(continuity),
            tickets,
            roots,
            pen,
            loaded: Loaded::default(),
        }
    }

    /// With what an earlier life has kept. Blocks.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn load(mut self, store: &dyn Store, clock: &dyn Clock) -> Result<Self, StoreError> {
        self.loaded = Loaded {
            pins: self.load_kind(Kind::Pin, store, clock)?,
            continuity: self.load_kind(Kind::Continuity, store, clock)?,
        };
        Ok(self)
    }

    fn load_kind(
        &self,
        kind: Kind,
        store: &dyn Store,
        clock: &dyn Clock,
    ) -> Result<Revision, StoreError> {
        let mut heard = Revision::START;
        loop {
            let changes = store.changes(kind, heard, PIECE)?;
            let is_last = changes.len() < PIECE;
            for (revision, row) in changes {
                heard = revision;
                self.take_in(&row, clock.wall(), clock.instant())
                    .map_err(|error| store.unreadable(&row, &*error))?;
            }
            if is_last {
                return Ok(heard);
            }
        }
    }

    /// To be told of what commands and others write to the store, each with where it has been read up to.
    #[must_use]
    pub fn follows(self: Arc<Self>, clock: &Arc<dyn Clock>) -> [(Arc<dyn Follows>, Revision); 2] {
        let Loaded { pins, continuity } = self.loaded;
        [(Kind::Pin, pins), (Kind::Continuity, continuity)].map(|(kind, loaded)| {
            let follower = Following {
                recall: Arc::clone(&self),
                clock: Arc::clone(clock),
                kind,
            };
            let follower: Arc<dyn Follows> = Arc::new(follower);
            (follower, loaded)
        })
    }

    /// What the next handshake may use; none where it is to leave nothing behind.
    pub(super) fn pocket(
        &self,
        destination: SocketAddr,
        sni: Option<&DnsName>,
        handshake: Wanted,
        now: Instant,
    ) -> Option<Arc<Pocket>> {
        let endpoint = endpoint(destination, sni)?;
        let tickets = self.tickets.as_ref()?;
        Some(Arc::new(match handshake {
            Wanted::Any => tickets.offer(&endpoint, now),
            Wanted::Full => tickets.none(&endpoint, now),
        }))
    }

    /// A ticket has cost a connection.
    pub(super) fn in_the_way(&self, destination: SocketAddr, sni: Option<&DnsName>, now: Instant) {
        if let (Some(tickets), Some(endpoint)) = (&self.tickets, endpoint(destination, sni)) {
            tickets.pause(&endpoint, now);
        }
    }

    /// With what was proven of this destination before.
    pub(super) fn proofs(&self, destination: SocketAddr, handshake: Handshake) -> Handshake {
        let proofs = self.pins.recall(destination, handshake.sni());
        handshake.recalling(proofs)
    }

    /// What continuity adds to a demand.
    pub fn hold(&self, demand: &mut Demand, port: u16, now: Timestamp) {
        continuity::hold(demand, |host| {
            let place = Place {
                host: host.clone(),
                port,
            };
            self.book.known_for_tls(&place, now)
        });
    }

    /// Keeps pin and tickets of a session, if it is protected and has met what was demanded.
    pub(super) fn cleared(&self, judged: &Judged<'_>, pocket: Option<&Pocket>, now: Instant) {
        let (Some(pin), Evidence::Protected(handshake)) = (judged.pin(), judged.evidence) else {
            return;
        };
        let destination = judged.destination;
        let key = pins::Key {
            destination,
            sni: handshake.sni().cloned(),
            demand: pin.grounds.demand,
        };
        let session = pins::Session {
            at: judged.now,
            host: pin.host.as_ref().map(ToString::to_string),
            domain: judged.domain.as_str(),
            basis: pin.basis.label(),
            level: pin.level.label(),
            spki: handshake.pin(),
            chain: hex(&handshake.chain_sha256()),
            proofs: &pin.grounds.proofs,
        };
        if let Some(body) = self.pins.cleared(&key, &session) {
            let about = key
                .sni
                .as_ref()
                .map_or_else(String::new, ToString::to_string);
            self.pen.row(Row {
                kind: Kind::Pin,
                about: session.host.clone().unwrap_or(about),
                key: key.to_string(),
                at: judged.now,
                body: Some(body),
            });
        }
        let endpoint = endpoint(destination, handshake.sni());
        if let (Some(tickets), Some(endpoint), Some(pocket)) = (&self.tickets, endpoint, pocket) {
            let session = if handshake.is_resumed() {
                Cleared::Resumed
            } else {
                Cleared::Anew(pin.grounds.demand)
            };
            tickets.keep(&endpoint, pocket, session, now);
        }
    }

    /// Holds what a host has shown against what is known of it. What is worth telling.
    pub(super) fn saw(&self, judged: &Judged<'_>) -> Vec<Alert> {
        let Some(host) = host(&judged.ruling.verdict) else {
            return Vec::new();
        };
        let place = Place {
            host: host.clone(),
            port: judged.destination.port(),
        };
        let spki;
        let tls = match judged.evidence {
            Evidence::Protected(handshake) => {
                spki = handshake.pin();
                Some(TlsSeen {
                    is_13: handshake.version() == "TLSv1.3",
                    spki: &spki,
                })
            }
            Evidence::Clear(_) | Evidence::Broken(_) => None,
        };
        let seen = Sighting {
            at: judged.now,
            tls,
            dane: dane(judged, host),
            sts: (judged.domain, sts(judged.facts)),
            is_cleared: judged.pin().is_some(),
        };
        let news = self.book.learn(&place, &seen, || self.origin(judged, host));
        if let Some(body) = news.row {
            self.pen.row(row(&place, judged.now, body));
        }
        for Alert { kind, was, is } in &news.alerts {
            let alert = kind.label();
            warn!(alert, %host, was, is, "an MX host is not as it was: docs/continuity.md says what to do");
        }
        news.alerts
    }

    fn origin(&self, judged: &Judged<'_>, host: &MxHost) -> Origin {
        let (Evidence::Protected(handshake), Some(pin)) = (judged.evidence, judged.pin()) else {
            return Origin {
                issuer: String::new(),
                vouched: Vouched::ByNobody,
            };
        };
        let is_by_record = match pin.basis {
            Basis::DaneEe | Basis::DaneTa | Basis::Sts | Basis::DaneAndSts | Basis::Pinned => true,
            Basis::Cleartext | Basis::OpportunisticTls | Basis::Encrypted | Basis::Webpki => false,
        };
        let vouched = if is_by_record {
            Vouched::ByRecord
        } else {
            let path = path::validate(handshake.chain(), &self.roots, host.name(), judged.now);
            let holds =
                path.untrusted.is_none() && path.out_of_date.is_none() && path.wrong_name.is_none();
            let is_by_policy = sts(judged.facts) == Published::Yes && pin.observed.is_none();
            match (holds, is_by_policy) {
                (true, true) => Vouched::ByRecord,
                (true, false) => Vouched::ByCa,
                (false, _) => Vouched::ByNobody,
            }
        };
        let leaf = handshake.chain().first();
        Origin {
            issuer: leaf.map_or_else(String::new, |leaf| issuer::of(leaf)),
            vouched,
        }
    }

    /// Takes in what the store has: what was kept, what a command or another proxy has written. A row that cannot be read
    /// is told, and what is in memory stays as it is.
    pub fn heard(&self, row: &Row, wall: Timestamp, now: Instant) {
        if let Err(error) = self.take_in(row, wall, now) {
            error!(%error, "a row in the store is passed over");
        }
    }

    fn take_in(&self, row: &Row, wall: Timestamp, now: Instant) -> Result<(), Box<dyn Error>> {
        let body = row.body.as_deref();
        match row.kind {
            Kind::Continuity => self.book.heard(&row.key, body)?,
            Kind::Pin => {
                if self.pins.heard(&row.key, body, wall)? {
                    self.revoked(&row.key, now);
                }
            }
            Kind::Policy
            | Kind::Exception
            | Kind::Trace
            | Kind::Seen
            | Kind::Lost
            | Kind::Mirror => {}
        }
        Ok(())
    }

    fn revoked(&self, key: &str, now: Instant) {
        if let Ok(key) = key.parse::<pins::Key>() {
            self.forget_tickets(&key, now);
        }
    }

    fn forget_tickets(&self, key: &pins::Key, now: Instant) {
        let endpoint = endpoint(key.destination, key.sni.as_ref());
        if let (Some(tickets), Some(endpoint)) = (&self.tickets, endpoint) {
            tickets.forget(&endpoint, now);
        }
    }

    /// What is remembered of one MX host or of all.
    #[must_use]
    pub fn hosts(&self, host: Option<&MxHost>) -> Vec<(Place, Standing)> {
        self.book.known(host)
    }

    /// Holds nothing against a host that was until now; soon in the store.
    pub fn release(&self, place: &Place, now: Timestamp) {
        if let Some(body) = self.book.release(place, now) {
            self.pen.row(row(place, now, body));
        }
    }

    /// All pins, the last used first.
    #[must_use]
    pub fn pins(&self) -> Vec<(pins::Key, pins::Pin)> {
        self.pins.known()
    }

    /// Makes worthless what a pin has proven until now; soon in the store.
    pub fn revoke(&self, key: &pins::Key, wall: Timestamp, now: Instant) {
        self.forget_tickets(key, now);
        if let Some(body) = self.pins.revoke(key, wall) {
            self.pen.row(pin_row(key, wall, body));
        }
    }
}

/// One kind of rows, to be heard of.
struct Following {
    recall: Arc<Recall>,
    clock: Arc<dyn Clock>,
    kind: Kind,
}

impl Follows for Following {
    fn kind(&self) -> Kind {
        self.kind
    }

    fn heard(&self, row: Row) {
        let (wall, now) = (self.clock.wall(), self.clock.instant());
        self.recall.heard(&row, wall, now);
    }
}

fn row(place: &Place, at: Timestamp, body: String) -> Row {
    Row {
        kind: Kind::Continuity,
        key: place.to_string(),
        about: place.host.to_string(),
        at,
        body: Some(body),
    }
}

/// It is found by the name that was asked for, or else by the address.
fn pin_row(key: &pins::Key, at: Timestamp, body: String) -> Row {
    let about = key.sni.as_ref().map(ToString::to_string);
    Row {
        kind: Kind::Pin,
        about: about.unwrap_or_else(|| key.destination.ip().to_string()),
        key: key.to_string(),
        at,
        body: Some(body),
    }
}

/// Rows at a time.
const PIECE: usize = 1000;

/// What a handshake may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Full or resumed.
    Any,
    /// Full.
    Full,
}

/// Tickets go by a name: without one nothing says whose they are.
fn endpoint(destination: SocketAddr, sni: Option<&DnsName>) -> Option<Endpoint> {
    let sni = sni?.clone();
    Some(Endpoint { destination, sni })
}

/// The host that a verdict is about, where it has found one. One that was refused may not be the host at all, but what
/// it lacks, whoever wants to be the host lacks.
fn host(verdict: &Verdict) -> Option<&MxHost> {
    match verdict {
        Verdict::Pin(pin) => pin.host.as_ref(),
        Verdict::Refuse(refusal) => refusal.host.as_ref(),
        Verdict::Redial(_) => None,
    }
}

fn dane(judged: &Judged<'_>, host: &MxHost) -> Published {
    let MxFacts::Hosts { hosts, .. } = &judged.facts.mx else {
        return Published::Unknown;
    };
    let facts = hosts.iter().find(|one| one.host == *host);
    facts.map_or(Published::Unknown, |facts| match &facts.tlsa {
        TlsaFacts::Usable { .. } | TlsaFacts::Unusable { .. } => Published::Yes,
        TlsaFacts::NotApplicable if judged.is_exempt => Published::Unknown,
        TlsaFacts::NotApplicable => Published::No,
        TlsaFacts::Failed { .. } => Published::Unknown,
    })
}

fn sts(facts: &Facts) -> Published {
    match &facts.sts {
        StsState::Live { policy, .. } => match policy.mode {
            Mode::Enforce | Mode::Testing => Published::Yes,
            Mode::None => Published::Withdrawn,
        },
        StsState::None => Published::No,
        StsState::FetchFailed(_) | StsState::Unknown(_) => Published::Unknown,
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
