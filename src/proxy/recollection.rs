//! What one session has of those before it, and leaves to those after it: the ticket of its connection, and what of its
//! rulings has been told to [`Recall`](super::recall::Recall).

use std::net::SocketAddr;
use std::sync::Arc;

use super::engine::Engine;
use super::recall::{Judged, Wanted};
use crate::name::{DnsName, Domain};
use crate::policy::Fingerprint;
use crate::tls::tickets::Pocket;
use crate::verdict::{By, Redial, Ruling, Verdict};

pub(super) struct Recollection {
    /// What the last handshake could use and was given.
    pocket: Option<Arc<Pocket>>,
    /// What the next one may be.
    wanted: Wanted,
    /// Domains whose recipients this connection has been judged for: a session is remembered once for each.
    noted: Vec<Domain>,
    /// What has turned out not to be as it was, and is not told yet.
    alerts: Vec<&'static str>,
}

impl Recollection {
    pub(super) const fn new() -> Self {
        Self {
            pocket: None,
            wanted: Wanted::Any,
            noted: Vec::new(),
            alerts: Vec::new(),
        }
    }

    /// The session dials.
    pub(super) fn dials(&mut self) {
        self.pocket = None;
        self.noted.clear();
    }

    /// The next handshake is to be a full one.
    pub(super) const fn wants_full(&mut self) {
        self.wanted = Wanted::Full;
    }

    /// A handshake begins. What it may use.
    pub(super) fn shakes_hands(
        &mut self,
        engine: &Engine,
        destination: SocketAddr,
        sni: Option<&DnsName>,
    ) -> Option<Arc<Pocket>> {
        let wanted = std::mem::replace(&mut self.wanted, Wanted::Any);
        let now = engine.clock.instant();
        self.pocket = engine.recall.pocket(destination, sni, wanted, now);
        self.pocket.clone()
    }

    /// What the ticket was cleared for that the last handshake tried.
    pub(super) fn ticket(&self) -> Option<Fingerprint> {
        self.pocket.as_ref()?.offered()
    }

    /// The ticket may have been ruled not to be enough.
    pub(super) fn ruled(&mut self, engine: &Engine, destination: SocketAddr, ruling: &Ruling) {
        if let (By::Ticket, Verdict::Redial(Redial::Sni(again))) = (ruling.by, &ruling.verdict) {
            let now = engine.clock.instant();
            engine.recall.in_the_way(destination, Some(again), now);
            self.wants_full();
        }
    }

    /// Tells of a ruling that is no redial, once for each domain and connection.
    pub(super) fn note(&mut self, engine: &Engine, judged: &Judged<'_>) {
        if matches!(judged.ruling.verdict, Verdict::Redial(_)) || self.noted.contains(judged.domain)
        {
            return;
        }
        self.noted.push(judged.domain.clone());
        let (recall, now) = (&engine.recall, engine.clock.instant());
        recall.cleared(judged, self.pocket.as_deref(), now);
        let alerts = recall.saw(judged);
        self.alerts
            .extend(alerts.iter().map(|alert| alert.kind.label()));
    }

    /// What has turned out not to be as it was, each once.
    pub(super) fn alerts(&mut self) -> Vec<&'static str> {
        std::mem::take(&mut self.alerts)
    }
}
