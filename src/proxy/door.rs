//! Where connections come in: one accept loop for each listening socket, and what becomes of a connection before it is a
//! session.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tracing::{debug, warn};

use super::pulse::Questions;
use super::refusal::Full;
use super::shell::{Place, Shell};
use super::{Stage, bypass, handover, listen, refusal, session};
use crate::config::{ClientTls, ListenerConfig};
use crate::intercept::canary::is_canary;
use crate::intercept::redirect::{self, NotIntercepted, canonical};
use crate::intercept::tally::{Lacked, Turned};
use crate::intercept::{Intercepted, Via, socks5, tproxy};
use crate::policy::identity::Identity;
use crate::smtp::Reply;

/// One socket's accept loop.
#[derive(Clone)]
pub(super) struct Door {
    pub(super) config: Arc<ListenerConfig>,
    /// Where the socket really listens.
    pub(super) address: SocketAddr,
    pub(super) shell: Arc<Shell>,
    pub(super) stage: watch::Receiver<Stage>,
}

impl Door {
    /// Accepts until the proxy drains.
    pub(super) async fn open(mut self, listener: TcpListener, mut questions: Questions) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                Some(alive) = questions.recv() => {
                    // Who asked may have lost patience.
                    let _ = alive.send(());
                    continue;
                }
                // Draining, or the proxy was dropped.
                _ = self.stage.wait_for(Stage::is_closing) => return,
            };
            match accepted {
                Ok((stream, client)) => self.admit(stream, canonical(client)),
                Err(error) if listen::is_exhausted(&error) => {
                    self.shell.lacks(Lacked::Accept, &error);
                    tokio::time::sleep(BACK_OFF).await;
                }
                Err(error) => debug!(%error, "a connection was gone before it was accepted"),
            }
        }
    }

    /// Gives a connection a session, or one line.
    fn admit(&self, stream: TcpStream, client: SocketAddr) {
        let kind = self.config.kind;
        if !self.is_welcome(client) {
            self.count(Turned::Stranger);
            return warn!(%client, listener = %self.address, "{}", stranger(kind));
        }
        // At once: the answer is lost when connection tracking is flushed.
        let destination = self.destination(&stream);
        if let Some(Ok(destination)) = destination
            && is_canary(destination)
        {
            debug!(%client, %destination, "a canary");
            return drop(
                SockRef::from(&stream).send(self.shell.interception.greeting().as_bytes()),
            );
        }
        let place = match self.shell.place(client) {
            Ok(place) => place,
            Err(full) => return self.is_full(&stream, client, full),
        };
        // Small replies must not wait for one another; without it the session is only slower.
        let _ = stream.set_nodelay(true);
        let door = self.clone();
        match (kind, destination) {
            (_, Some(destination)) => self.intercepted(stream, (client, destination), place),
            // On the heap at once: a session is large, and spawning would copy it again and again.
            (Via::ProxyProtocol, None) => {
                drop(tokio::spawn(Box::pin(door.handed(stream, client, place))));
            }
            (Via::Redirect | Via::Tproxy | Via::Socks5, None) => {
                drop(tokio::spawn(Box::pin(door.socks5(stream, client, place))));
            }
        }
    }

    /// Who names a destination must be known: by address, or by being on this host.
    fn is_welcome(&self, client: SocketAddr) -> bool {
        let ip = client.ip();
        match self.config.kind {
            Via::Redirect | Via::Tproxy => true,
            Via::Socks5 => self.config.allow_remote || ip.is_loopback(),
            Via::ProxyProtocol => self.config.trusted.iter().any(|one| one.contains(&ip)),
        }
    }

    /// Where the connection wanted to go, where netfilter decides that.
    fn destination(&self, stream: &TcpStream) -> Option<Result<SocketAddr, NotIntercepted>> {
        let local = stream.local_addr().unwrap_or(self.address);
        match self.config.kind {
            Via::Redirect => Some(redirect::destination(stream, local)),
            Via::Tproxy => {
                let destination = tproxy::destination(local, self.address, listen::is_ours);
                // A gateway's own connections pass no TPROXY rule: its canaries are redirected.
                Some(
                    destination.or_else(|direct| match redirect::destination(stream, local) {
                        Ok(destination) if is_canary(destination) => Ok(destination),
                        Ok(_) | Err(_) => Err(direct),
                    }),
                )
            }
            Via::Socks5 | Via::ProxyProtocol => None,
        }
    }

    /// By netfilter.
    fn intercepted(
        &self,
        stream: TcpStream,
        (client, destination): (SocketAddr, Result<SocketAddr, NotIntercepted>),
        place: Place,
    ) {
        let via = self.config.kind;
        let destination = match destination {
            Ok(destination) => destination,
            Err(error) => {
                self.count(refusal::turned(&error));
                let reply = refusal::not_intercepted(&error);
                return self.turn_away(&stream, client, (&reply, &error));
            }
        };
        let from = Intercepted {
            client,
            destination,
            via,
            hint: None,
        };
        let guard = &self.shell.guard;
        let checked = guard
            .check_client(&from)
            .and_then(|()| guard.check_destination(client, destination, listen::is_ours));
        if let Err(looped) = checked {
            self.count(Turned::Loop);
            return self.turn_away(&stream, client, (&refusal::of_loop(looped), &looped));
        }
        let port = destination.port();
        if !self.shell.interception.takes(port) {
            self.count(Turned::Port);
            let reply = refusal::wrong_port(port);
            return self.turn_away(&stream, client, (&reply, &WrongPort(destination)));
        }
        let door = self.clone();
        tokio::spawn(Box::pin(door.serve(from, stream, place)));
    }

    /// By a SOCKS5 request.
    async fn socks5(mut self, mut stream: TcpStream, client: SocketAddr, place: Place) {
        let shell = Arc::clone(&self.shell);
        let negotiated = tokio::time::timeout(NEGOTIATION, shell.negotiate(&mut stream, client));
        let Some(negotiated) = self.unless_draining(negotiated).await else {
            return;
        };
        match negotiated {
            Ok(Ok(from)) => return self.serve(from, stream, place).await,
            Ok(Err(socks5::Refused::Io(error))) => {
                debug!(%client, %error, "a SOCKS5 negotiation broke off");
            }
            Ok(Err(error)) => {
                self.count(Turned::Unsaid);
                warn!(%client, %error, "a SOCKS5 request was refused");
            }
            Err(_) => debug!(%client, "a SOCKS5 negotiation took too long"),
        }
        drop(place);
    }

    /// By a PROXY header.
    async fn handed(mut self, mut stream: TcpStream, sender: SocketAddr, place: Place) {
        let shell = Arc::clone(&self.shell);
        let taken = handover::take(&shell, &mut stream, (sender, handover::DEADLINE));
        let Some(taken) = self.unless_draining(taken).await else {
            return self.send_away(&stream, &refusal::shutdown());
        };
        let from = match taken {
            Ok(from) => from,
            Err(why) => {
                if let Some(turned) = why.turned() {
                    self.count(turned);
                }
                if why.is_usual() {
                    debug!(%sender, error = %why, "a connection was not handed over");
                } else {
                    warn!(%sender, listener = %self.address, error = %why, "a connection was refused");
                }
                if let Some(reply) = why.reply() {
                    self.send_away(&stream, &reply);
                }
                return;
            }
        };
        // What the sender has is one thing, what each of its clients has another.
        match self.shell.pass_on(place, from.client) {
            Ok(place) => self.serve(from, stream, place).await,
            Err(full) => self.is_full(&stream, from.client, full),
        }
    }

    /// Who has not said yet where to go has nothing in flight that a shutdown would wait for.
    async fn unless_draining<T>(&mut self, asked: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            answer = asked => Some(answer),
            _ = self.stage.wait_for(Stage::is_closing) => None,
        }
    }

    async fn serve(mut self, from: Intercepted, stream: TcpStream, place: Place) {
        let is_decided = |stage: &Stage| *stage != Stage::Starting;
        let stage = self.stage.wait_for(is_decided).await.map(|stage| *stage);
        if !matches!(stage, Ok(Stage::Running)) {
            return self.send_away(&stream, &refusal::shutdown());
        }
        serve(self.shell, from, stream, self.config.client_tls, self.stage).await;
        drop(place);
    }

    fn count(&self, why: Turned) {
        let shell = &self.shell;
        shell.tally.turned(why, shell.engine.clock.instant());
    }

    fn is_full(&self, stream: &TcpStream, client: SocketAddr, full: Full) {
        self.shell.is_full(full, client);
        self.send_away(stream, &full.reply());
    }

    /// Refuses for a reason that somebody has to do something about.
    fn turn_away(
        &self,
        stream: &TcpStream,
        client: SocketAddr,
        (reply, why): (&Reply, &dyn std::error::Error),
    ) {
        warn!(%client, listener = %self.address, error = %why, "a connection was refused");
        self.send_away(stream, reply);
    }

    fn send_away(&self, stream: &TcpStream, reply: &Reply) {
        match self.config.kind {
            // Into the empty buffer of a fresh socket; whoever is gone needs no reply.
            Via::Redirect | Via::Tproxy | Via::ProxyProtocol => {
                drop(SockRef::from(stream).send(&reply.encode()));
            }
            // SOCKS has no words before the request.
            Via::Socks5 => {}
        }
    }
}

/// A connection to a port that the rules should have left alone.
#[derive(Debug, thiserror::Error)]
#[error(
    "the destination {_0} has a port that is not among `intercept.ports`: add it there, or take it out of the netfilter rules"
)]
struct WrongPort(SocketAddr);

/// What is said of a client that is closed unheard.
const fn stranger(kind: Via) -> &'static str {
    match kind {
        Via::ProxyProtocol => {
            "a sender that is not in the listener's `trusted` networks: closed, its PROXY header unread"
        }
        Via::Redirect | Via::Tproxy | Via::Socks5 => "a client that is not on this host",
    }
}

/// One connection, whose destination is known.
pub(super) async fn serve(
    shell: Arc<Shell>,
    from: Intercepted,
    client: TcpStream,
    client_tls: ClientTls,
    stage: watch::Receiver<Stage>,
) {
    let Some(_member) = shell.destinations.join(from.destination.ip()) else {
        shell.is_full(Full::Destination, from.client);
        return session::send_away(&shell, &from, client, &Full::Destination.reply()).await;
    };
    match shell.engine.identities.of(from.destination) {
        Identity::Bypass => bypass::relay(shell, from, client, stage).await,
        Identity::Envelope | Identity::Route(_) => {
            session::drive(shell, from, client, client_tls, stage).await;
        }
    }
}

/// How long a client may take to say where it wants to go, name resolution included.
const NEGOTIATION: Duration = Duration::from_secs(60);

/// How long accept rests when descriptors are used up.
const BACK_OFF: Duration = Duration::from_millis(100);
