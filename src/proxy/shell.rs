//! What all sessions share, and what of it there is only so much of.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::{debug, warn};

use super::crowd::{Crowd, Member, client_network};
use super::dial::Dialer;
use super::engine::Engine;
use super::interception::Interception;
use super::listen;
use super::refusal::Full;
use crate::config::ClientTls;
use crate::intercept::guard::Guard;
use crate::intercept::socks5::{self, Rep};
use crate::intercept::tally::{Lacked, Tally};
use crate::intercept::{Intercepted, Via};
use crate::name::Domain;
use crate::report::{ClientLeg, Open, Record, Records};
use crate::smtp::data::BareLineEnds;
use crate::smtp::{self, Limits, Timeouts};
use crate::tls::server::Acceptor;

/// What all sessions share.
pub(super) struct Shell {
    pub(super) engine: Arc<Engine>,
    pub(super) dialer: Dialer,
    /// None without a local CA.
    pub(super) acceptor: Option<Acceptor>,
    pub(super) guard: Guard,
    pub(super) interception: Interception,
    pub(super) tally: Arc<Tally>,
    pub(super) records: Arc<dyn Records>,
    pub(super) bare_line_ends: BareLineEnds,
    pub(super) timeouts: Timeouts,
    pub(super) limits: Limits,
    pub(super) slots: Arc<Semaphore>,
    pub(super) capacity: u32,
    pub(super) clients: Arc<Crowd>,
    pub(super) destinations: Arc<Crowd>,
    pub(super) rechecks: Arc<Semaphore>,
}

/// A session's claim on what there is only so much of.
pub(super) struct Place {
    _slot: OwnedSemaphorePermit,
    _client: Member,
}

impl Shell {
    pub(super) fn sessions(&self) -> usize {
        (self.capacity as usize).saturating_sub(self.slots.available_permits())
    }

    /// A place for one more session of `client`.
    pub(super) fn place(&self, client: SocketAddr) -> Result<Place, Full> {
        let member = self.member(client)?;
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
            return Err(Full::All);
        };
        Ok(Place {
            _slot: slot,
            _client: member,
        })
    }

    /// The same place for the client that its holder speaks for.
    pub(super) fn pass_on(&self, place: Place, client: SocketAddr) -> Result<Place, Full> {
        Ok(Place {
            _client: self.member(client)?,
            ..place
        })
    }

    fn member(&self, client: SocketAddr) -> Result<Member, Full> {
        let member = self.clients.join(client_network(client.ip()));
        member.ok_or(Full::Client)
    }

    /// Counts a connection that finds no place, and tells the log now and then.
    pub(super) fn is_full(&self, full: Full, client: SocketAddr) {
        if self
            .tally
            .turned(full.turned(), self.engine.clock.instant())
        {
            let (all, limit) = (self.capacity, full.turned().label());
            warn!(%client, limit, max_sessions = all, "no more sessions are taken on");
        }
    }

    /// Counts that this host has run out of what it takes to go on, and tells the log now and then.
    pub(super) fn lacks(&self, at: Lacked, error: &dyn std::fmt::Display) {
        if self.tally.lacked(at, self.engine.clock.instant()) {
            let at = at.label();
            warn!(%error, at, "this host has no descriptor, port or memory left: connections wait or hear `busy`");
        }
    }

    pub(super) async fn negotiate(
        &self,
        stream: &mut TcpStream,
        client: SocketAddr,
    ) -> Result<Intercepted, socks5::Refused> {
        let request = socks5::accept(stream, &*self.engine.lookup).await?;
        let destination = request.destination;
        if let Err(looped) = self
            .guard
            .check_destination(client, destination, listen::is_ours)
        {
            debug!(%looped, %destination, "not a destination");
            let (code, why) = (
                Rep::NotAllowed,
                "the destination is this proxy, its host or nowhere",
            );
            socks5::answer(stream, code).await?;
            return Err(socks5::Refused::Request { code, why });
        }
        socks5::answer(stream, Rep::Succeeded).await?;
        Ok(Intercepted {
            client,
            destination,
            via: Via::Socks5,
            hint: request.hint,
        })
    }

    /// What a client is offered by a listener: TLS protects what leaves the host.
    pub(super) fn client_tls(&self, wanted: ClientTls, client: IpAddr) -> smtp::ClientTls {
        let is_local = || client.is_loopback() || listen::is_ours(client);
        match (wanted, &self.acceptor) {
            (ClientTls::Never, _) => smtp::ClientTls::Hidden,
            (ClientTls::Auto | ClientTls::Offer, None) => smtp::ClientTls::Unavailable,
            (ClientTls::Auto, Some(_)) if is_local() => smtp::ClientTls::Hidden,
            (ClientTls::Auto | ClientTls::Offer, Some(_)) => smtp::ClientTls::Offered,
        }
    }

    /// Opens the record of a session.
    pub(super) fn open(&self, from: &Intercepted) -> Open {
        let record = Record {
            trace: trace_id(),
            via: from.via,
            client: from.client,
            destination: from.destination,
            client_leg: ClientLeg::Clear,
            logged_in: false,
            identity: self.engine.identities.of(from.destination).label(),
            judgements: Vec::new(),
            tls_version: None,
            tls_suite: None,
            pin: None,
            dials: 0,
            handshakes: 0,
            resumed: 0,
            alerts: Vec::new(),
            recipients: 0,
            messages: 0,
            trouble: None,
            sent_away: None,
            end: "aborted",
            decision: None,
            duration: Duration::ZERO,
        };
        let clock = Arc::clone(&self.engine.clock);
        Open::new(record, clock, Arc::clone(&self.records))
    }

    /// Looks once more at the policy that a recipient was refused under, for the next attempt (RFC 8461 §5). Where many
    /// are refused at once some are left out: the next refusal asks again.
    pub(super) fn recheck(&self, domain: Domain) {
        let Ok(permit) = Arc::clone(&self.rechecks).try_acquire_owned() else {
            return;
        };
        let sts = Arc::clone(&self.engine.sts);
        tokio::spawn(async move {
            sts.recheck(&domain).await;
            drop(permit);
        });
    }
}

/// Eight characters that nobody confuses when reading them out.
fn trace_id() -> String {
    const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let mut octets = [0; 8];
    // Without randomness ids repeat, which confuses a search but harms nothing.
    let _ = SystemRandom::new().fill(&mut octets);
    let letter = |octet: u8| char::from(ALPHABET[usize::from(octet % 32)]);
    octets.into_iter().map(letter).collect()
}
