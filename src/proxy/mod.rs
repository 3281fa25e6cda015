//! The shell: accepts connections and drives one session each; moves bytes, time and answers, decides nothing.
//!
//! [`Proxy::start`] binds the listeners and runs one accept loop for each; an accepted connection is told apart by its
//! listener's kind, passes the loop guard and the cap on sessions, and becomes one task (`session`). The [`engine`] is
//! what all of them decide with. [`Proxy::shutdown`] stops accepting, lets sessions finish what is in flight, and ends
//! those that do not in time.
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "IO: accepts connections, starts sessions"
)]

mod bypass;
mod client;
mod crowd;
mod decide;
pub mod dial;
pub mod engine;
pub mod learned;
mod listen;
pub mod probe;
mod refusal;
mod server;
mod session;
mod status;
mod wire;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tracing::{debug, warn};

use crowd::{Crowd, Member, client_network};
use dial::{Dialer, MarkError};
use engine::Engine;

use crate::config::{ClientTls, Config, ListenerConfig};
use crate::intercept::guard::Guard;
use crate::intercept::redirect::{self, canonical};
use crate::intercept::socks5::{self, Rep};
use crate::intercept::{Intercepted, Via};
use crate::name::Domain;
use crate::policy::identity::Identity;
use crate::report::{ClientLeg, Open, Record, Records};
use crate::smtp::data::BareLineEnds;
use crate::smtp::{self, Limits, Reply, Timeouts};
use crate::tls::authority::{Authority, AuthorityError};
use crate::tls::server::{Acceptor, AcceptorError};

pub use status::Status;

/// How long the last octets may take on their way to a peer that is being left.
const FAREWELL: Duration = Duration::from_secs(10);

/// How long a client may take to say where it wants to go, name resolution included.
const NEGOTIATION: Duration = Duration::from_secs(60);

/// How long accept rests when descriptors are used up.
const BACK_OFF: Duration = Duration::from_millis(100);

/// Second looks at MTA-STS policies that may be under way at once.
const RECHECKS: usize = 16;

/// How long before its end the operator hears of a CA that needs a successor.
const LAST_DAYS: Duration = Duration::from_secs(30 * 24 * 3600);

/// A running proxy.
pub struct Proxy {
    addresses: Vec<SocketAddr>,
    stage: watch::Sender<Stage>,
    shell: Arc<Shell>,
    drain_timeout: Duration,
}

/// Why the proxy does not run.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// What decisions are made with could not be had.
    #[error(transparent)]
    Engine(#[from] engine::EngineError),
    /// The mark cannot be set.
    #[error(transparent)]
    Mark(#[from] MarkError),
    /// The local CA.
    #[error("client_tls: {0}")]
    Authority(#[from] AuthorityError),
    /// The TLS server towards clients.
    #[error(transparent)]
    Acceptor(#[from] AcceptorError),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}; {}", listen::advice(source))]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// How long the proxy will go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Running,
    /// Sessions finish what is in flight.
    Draining,
    /// They end at once.
    Over,
}

/// What all sessions share.
struct Shell {
    engine: Arc<Engine>,
    dialer: Dialer,
    /// None without a local CA.
    acceptor: Option<Acceptor>,
    guard: Guard,
    records: Arc<dyn Records>,
    bare_line_ends: BareLineEnds,
    timeouts: Timeouts,
    limits: Limits,
    slots: Arc<Semaphore>,
    capacity: u32,
    clients: Arc<Crowd>,
    destinations: Arc<Crowd>,
    saturated: AtomicBool,
    rechecks: Arc<Semaphore>,
}

impl Proxy {
    /// Binds the listeners and serves them.
    ///
    /// # Errors
    /// Why it cannot: nothing is served then.
    pub async fn start(config: &Config, records: Arc<dyn Records>) -> Result<Self, StartError> {
        let clock = Arc::new(crate::clock::SystemClock);
        let engine = Engine::new(config, clock)?;
        Self::serve(config, Arc::new(engine), records).await
    }

    /// The same with an engine that exists already.
    ///
    /// # Errors
    /// Why it cannot: nothing is served then.
    #[expect(clippy::unused_async, reason = "listening needs a runtime")]
    pub async fn serve(
        config: &Config,
        engine: Arc<Engine>,
        records: Arc<dyn Records>,
    ) -> Result<Self, StartError> {
        let dialer = Dialer::new(config.upstream)?;
        let acceptor = acceptor(config, &engine)?;
        let wanted: Vec<_> = config.listeners.iter().map(|one| one.address).collect();
        let bound = listen::bind_all(&wanted);
        let listeners =
            bound.map_err(|(address, source)| StartError::Listen { address, source })?;
        let addresses = listeners
            .iter()
            .zip(&wanted)
            .map(|(listener, wanted)| listener.local_addr().unwrap_or(*wanted))
            .collect::<Vec<_>>();
        let capacity = u32::try_from(config.max_sessions).unwrap_or(u32::MAX);
        let shell = Arc::new(Shell {
            engine,
            dialer,
            acceptor,
            guard: Guard::new(addresses.iter().copied()),
            records,
            bare_line_ends: config.smtp.bare_line_ends,
            timeouts: config.timeouts,
            limits: config.limits,
            slots: Arc::new(Semaphore::new(capacity as usize)),
            capacity,
            clients: Crowd::new(config.max_sessions_per_client),
            destinations: Crowd::new(config.max_sessions_per_destination),
            saturated: AtomicBool::new(false),
            rechecks: Arc::new(Semaphore::new(RECHECKS)),
        });
        let stage = watch::Sender::new(Stage::Running);
        for (listener, config) in listeners.into_iter().zip(&config.listeners) {
            let door = Door {
                config: *config,
                shell: Arc::clone(&shell),
                stage: stage.subscribe(),
            };
            tokio::spawn(door.open(listener));
        }
        tokio::spawn(keep_policies_fresh(Arc::clone(&shell), stage.subscribe()));
        tokio::spawn(watch_validation(Arc::clone(&shell), stage.subscribe()));
        Ok(Self {
            addresses,
            stage,
            shell,
            drain_timeout: config.drain_timeout,
        })
    }

    /// Where it listens, in the order of the configuration.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Sessions that are open now.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.shell.sessions()
    }

    /// How it fares, to be asked at any time.
    #[must_use]
    pub fn status(&self) -> Status {
        Status::new(Arc::clone(&self.shell), self.stage.subscribe())
    }

    /// Stops accepting, lets sessions finish what is in flight for at most [`Config::drain_timeout`], then ends them.
    pub async fn shutdown(self) {
        self.stage.send_replace(Stage::Draining);
        if tokio::time::timeout(self.drain_timeout, self.emptied())
            .await
            .is_err()
        {
            warn!(sessions = self.sessions(), "sessions are cut off");
            self.stage.send_replace(Stage::Over);
            // Each session has its own limit for its last words.
            let _ = tokio::time::timeout(FAREWELL + session::LINGER, self.emptied()).await;
        }
    }

    /// All slots are free when no session is left.
    async fn emptied(&self) {
        let all = self.shell.slots.acquire_many(self.shell.capacity).await;
        drop(all);
    }
}

/// With the local CA, where there is one.
fn acceptor(config: &Config, engine: &Engine) -> Result<Option<Acceptor>, StartError> {
    let Some(files) = &config.client_ca else {
        return Ok(None);
    };
    let now = engine.clock.wall();
    let authority = Authority::load(files, now)?;
    let left = authority.not_after().since(now);
    if left < LAST_DAYS {
        let days = left.as_secs() / (24 * 3600);
        warn!(
            days,
            "the local CA ends soon: make another with `danelaw ca init` and let the mail servers trust it"
        );
    }
    Ok(Some(Acceptor::new(authority, Arc::clone(&engine.clock))?))
}

/// Policies are fetched anew long before they expire, whether mail goes to their domains or not (RFC 8461 §10.2).
async fn keep_policies_fresh(shell: Arc<Shell>, mut stage: watch::Receiver<Stage>) {
    tokio::select! {
        () = shell.engine.sts.keep_fresh() => {}
        _ = stage.changed() => {}
    }
}

/// One connection, whose destination is known.
async fn serve(
    shell: Arc<Shell>,
    from: Intercepted,
    client: TcpStream,
    client_tls: ClientTls,
    stage: watch::Receiver<Stage>,
) {
    let Some(_member) = shell.destinations.join(from.destination.ip()) else {
        return session::send_away(&shell, &from, client, &refusal::crowded()).await;
    };
    match shell.engine.identities.of(from.destination) {
        Identity::Bypass => bypass::relay(shell, from, client, stage).await,
        Identity::Envelope | Identity::Route(_) => {
            session::drive(shell, from, client, client_tls, stage).await;
        }
    }
}

/// Also while sessions finish: they may still have questions.
async fn watch_validation(shell: Arc<Shell>, mut stage: watch::Receiver<Stage>) {
    tokio::select! {
        never = shell.engine.monitor.watch() => match never {},
        _ = stage.wait_for(|stage| *stage == Stage::Over) => {}
    }
}

/// One listener's accept loop.
struct Door {
    config: ListenerConfig,
    shell: Arc<Shell>,
    stage: watch::Receiver<Stage>,
}

impl Door {
    async fn open(mut self, listener: TcpListener) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                // Draining, or the proxy was dropped.
                _ = self.stage.changed() => return,
            };
            match accepted {
                Ok((stream, client)) => self.admit(stream, canonical(client)),
                Err(error) if listen::is_exhausted(&error) => {
                    warn!(%error, listener = %self.config.address, "accept has to wait");
                    tokio::time::sleep(BACK_OFF).await;
                }
                Err(error) => debug!(%error, "a connection was gone before it was accepted"),
            }
        }
    }

    /// Gives a connection a session, or one line.
    fn admit(&self, stream: TcpStream, client: SocketAddr) {
        let Some(place) = self.shell.place(client) else {
            return self.send_away(&stream, &refusal::busy());
        };
        // Small replies must not wait for one another; without it the session is only slower.
        let _ = stream.set_nodelay(true);
        match self.config.kind {
            Via::Redirect => self.redirected(stream, client, place),
            Via::Socks5 => self.socks5(stream, client, place),
        }
    }

    fn redirected(&self, stream: TcpStream, client: SocketAddr, place: Place) {
        // At once: the answer is lost when connection tracking is flushed.
        let local = stream.local_addr().unwrap_or(self.config.address);
        let destination = match redirect::destination(&stream, local) {
            Ok(destination) => destination,
            Err(error) => {
                let reply = refusal::not_intercepted(&error);
                return self.turn_away(&stream, client, (&reply, &error));
            }
        };
        let from = Intercepted {
            client,
            destination,
            via: Via::Redirect,
            hint: None,
        };
        let guard = &self.shell.guard;
        let checked = guard
            .check_client(&from)
            .and_then(|()| guard.check_destination(client, destination, listen::is_ours));
        if let Err(looped) = checked {
            return self.turn_away(&stream, client, (&refusal::of_loop(looped), &looped));
        }
        let (shell, stage) = (Arc::clone(&self.shell), self.stage.clone());
        let client_tls = self.config.client_tls;
        tokio::spawn(async move {
            serve(shell, from, stream, client_tls, stage).await;
            drop(place);
        });
    }

    fn socks5(&self, mut stream: TcpStream, client: SocketAddr, place: Place) {
        if !self.config.allow_remote && !client.ip().is_loopback() {
            warn!(%client, listener = %self.config.address, "a client that is not on this host");
            return;
        }
        let (shell, stage) = (Arc::clone(&self.shell), self.stage.clone());
        let client_tls = self.config.client_tls;
        tokio::spawn(async move {
            let negotiated = shell.negotiate(&mut stream, client);
            match tokio::time::timeout(NEGOTIATION, negotiated).await {
                Ok(Ok(from)) => serve(shell, from, stream, client_tls, stage).await,
                Ok(Err(socks5::Refused::Io(error))) => {
                    debug!(%client, %error, "a SOCKS5 negotiation broke off");
                }
                Ok(Err(error)) => warn!(%client, %error, "a SOCKS5 request was refused"),
                Err(_) => debug!(%client, "a SOCKS5 negotiation took too long"),
            }
            drop(place);
        });
    }

    /// Refuses for a reason that somebody has to do something about.
    fn turn_away(
        &self,
        stream: &TcpStream,
        client: SocketAddr,
        (reply, why): (&Reply, &dyn std::error::Error),
    ) {
        warn!(%client, listener = %self.config.address, error = %why, "a connection was refused");
        self.send_away(stream, reply);
    }

    fn send_away(&self, stream: &TcpStream, reply: &Reply) {
        match self.config.kind {
            // Into the empty buffer of a fresh socket; whoever is gone needs no reply.
            Via::Redirect => drop(SockRef::from(stream).send(&reply.encode())),
            // SOCKS has no words before the request.
            Via::Socks5 => {}
        }
    }
}

/// A session's claim on what there is only so much of.
struct Place {
    _slot: OwnedSemaphorePermit,
    _client: Member,
}

impl Shell {
    fn sessions(&self) -> usize {
        (self.capacity as usize).saturating_sub(self.slots.available_permits())
    }

    /// A place for one more session of `client`.
    fn place(&self, client: SocketAddr) -> Option<Place> {
        let Some(member) = self.clients.join(client_network(client.ip())) else {
            debug!(%client, "a client has as many sessions as it may");
            return None;
        };
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
            if !self.saturated.swap(true, Ordering::Relaxed) {
                warn!(
                    max_sessions = self.capacity,
                    "no more sessions are taken on"
                );
            }
            return None;
        };
        self.saturated.store(false, Ordering::Relaxed);
        Some(Place {
            _slot: slot,
            _client: member,
        })
    }

    async fn negotiate(
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
    fn client_tls(&self, wanted: ClientTls, client: IpAddr) -> smtp::ClientTls {
        let is_local = || client.is_loopback() || listen::is_ours(client);
        match (wanted, &self.acceptor) {
            (ClientTls::Never, _) => smtp::ClientTls::Hidden,
            (ClientTls::Auto | ClientTls::Offer, None) => smtp::ClientTls::Unavailable,
            (ClientTls::Auto, Some(_)) if is_local() => smtp::ClientTls::Hidden,
            (ClientTls::Auto | ClientTls::Offer, Some(_)) => smtp::ClientTls::Offered,
        }
    }

    /// Opens the record of a session.
    fn open(&self, from: &Intercepted) -> Open {
        let record = Record {
            trace: trace_id(),
            via: from.via,
            client: from.client,
            destination: from.destination,
            client_leg: ClientLeg::Clear,
            identity: self.engine.identities.of(from.destination).label(),
            judgements: Vec::new(),
            tls_version: None,
            tls_suite: None,
            pin: None,
            dials: 0,
            recipients: 0,
            messages: 0,
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
    fn recheck(&self, domain: Domain) {
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

#[cfg(test)]
mod tests;
