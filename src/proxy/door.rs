//! Where connections come in: one accept loop for each listening socket, and what becomes of a connection before it is a
//! session.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tracing::{debug, warn};

use super::generation::{Generation, Generations};
use super::pulse::Questions;
use super::shell::{Place, Shell};
use super::{Stage, bypass, handover, listen, refusal, session};
use crate::config::{ClientTls, ListenerConfig};
use crate::intercept::redirect::{self, canonical};
use crate::intercept::{Intercepted, Via, socks5, tproxy};
use crate::policy::identity::Identity;
use crate::smtp::Reply;

/// One socket's accept loop.
#[derive(Clone)]
pub(super) struct Door {
    /// What its sessions begin with.
    pub(super) generation: Generation,
    pub(super) generations: Generations,
    /// Of its listener.
    pub(super) index: usize,
    /// Where the socket really listens.
    pub(super) address: SocketAddr,
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
                _ = self.stage.changed() => return,
            };
            match accepted {
                Ok((stream, client)) => {
                    self.renew();
                    self.admit(stream, canonical(client));
                }
                Err(error) if listen::is_exhausted(&error) => {
                    warn!(%error, listener = %self.address, "accept has to wait");
                    tokio::time::sleep(BACK_OFF).await;
                }
                Err(error) => debug!(%error, "a connection was gone before it was accepted"),
            }
        }
    }

    /// After a reload, what new sessions begin with.
    fn renew(&mut self) {
        if self.generations.has_changed().unwrap_or(false) {
            self.generation = self.generations.borrow_and_update().clone();
        }
    }

    fn config(&self) -> &ListenerConfig {
        // A reload keeps the listeners that there are.
        &self.generation.config.listeners[self.index]
    }

    fn shell(&self) -> &Arc<Shell> {
        &self.generation.shell
    }

    /// Gives a connection a session, or one line.
    fn admit(&self, stream: TcpStream, client: SocketAddr) {
        let kind = self.config().kind;
        if !self.is_welcome(client) {
            return warn!(%client, listener = %self.address, "{}", stranger(kind));
        }
        let Some(place) = self.shell().place(client) else {
            return self.send_away(&stream, &refusal::busy());
        };
        // Small replies must not wait for one another; without it the session is only slower.
        let _ = stream.set_nodelay(true);
        let door = self.clone();
        match kind {
            Via::Redirect | Via::Tproxy => self.intercepted(stream, client, place),
            // On the heap at once: a session is large, and spawning would copy it again and again.
            Via::Socks5 => drop(tokio::spawn(Box::pin(door.socks5(stream, client, place)))),
            Via::ProxyProtocol => {
                drop(tokio::spawn(Box::pin(door.handed(stream, client, place))));
            }
        }
    }

    /// Who names a destination must be known: by address, or by being on this host.
    fn is_welcome(&self, client: SocketAddr) -> bool {
        let ip = client.ip();
        match self.config().kind {
            Via::Redirect | Via::Tproxy => true,
            Via::Socks5 => self.config().allow_remote || ip.is_loopback(),
            Via::ProxyProtocol => self.config().trusted.iter().any(|one| one.contains(&ip)),
        }
    }

    /// By netfilter.
    fn intercepted(&self, stream: TcpStream, client: SocketAddr, place: Place) {
        let via = self.config().kind;
        // At once: the answer is lost when connection tracking is flushed.
        let local = stream.local_addr().unwrap_or(self.address);
        let destination = match via {
            Via::Tproxy => tproxy::destination(local, self.address, listen::is_ours),
            Via::Redirect | Via::Socks5 | Via::ProxyProtocol => {
                redirect::destination(&stream, local)
            }
        };
        let destination = match destination {
            Ok(destination) => destination,
            Err(error) => {
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
        let guard = &self.shell().guard;
        let checked = guard
            .check_client(&from)
            .and_then(|()| guard.check_destination(client, destination, listen::is_ours));
        if let Err(looped) = checked {
            return self.turn_away(&stream, client, (&refusal::of_loop(looped), &looped));
        }
        let door = self.clone();
        tokio::spawn(Box::pin(async move {
            door.serve(from, stream).await;
            drop(place);
        }));
    }

    /// By a SOCKS5 request.
    async fn socks5(mut self, mut stream: TcpStream, client: SocketAddr, place: Place) {
        let shell = Arc::clone(self.shell());
        let negotiated = tokio::time::timeout(NEGOTIATION, shell.negotiate(&mut stream, client));
        let Some(negotiated) = self.unless_draining(negotiated).await else {
            return;
        };
        match negotiated {
            Ok(Ok(from)) => self.serve(from, stream).await,
            Ok(Err(socks5::Refused::Io(error))) => {
                debug!(%client, %error, "a SOCKS5 negotiation broke off");
            }
            Ok(Err(error)) => warn!(%client, %error, "a SOCKS5 request was refused"),
            Err(_) => debug!(%client, "a SOCKS5 negotiation took too long"),
        }
        drop(place);
    }

    /// By a PROXY header.
    async fn handed(mut self, mut stream: TcpStream, sender: SocketAddr, place: Place) {
        let shell = Arc::clone(self.shell());
        let taken = handover::take(&shell, &mut stream, (sender, handover::DEADLINE));
        let Some(taken) = self.unless_draining(taken).await else {
            return self.send_away(&stream, &refusal::shutdown());
        };
        let from = match taken {
            Ok(from) => from,
            Err(why) => {
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
        let Some(place) = self.shell().pass_on(place, from.client) else {
            return self.send_away(&stream, &refusal::busy());
        };
        self.serve(from, stream).await;
        drop(place);
    }

    /// Who has not said yet where to go has nothing in flight that a shutdown would wait for.
    async fn unless_draining<T>(&mut self, asked: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            answer = asked => Some(answer),
            _ = self.stage.wait_for(|stage| *stage != Stage::Running) => None,
        }
    }

    async fn serve(self, from: Intercepted, stream: TcpStream) {
        let client_tls = self.config().client_tls;
        serve(self.generation.shell, from, stream, client_tls, self.stage).await;
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
        match self.config().kind {
            // Into the empty buffer of a fresh socket; whoever is gone needs no reply.
            Via::Redirect | Via::Tproxy | Via::ProxyProtocol => {
                drop(SockRef::from(stream).send(&reply.encode()));
            }
            // SOCKS has no words before the request.
            Via::Socks5 => {}
        }
    }
}

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
        return session::send_away(&shell, &from, client, &refusal::crowded()).await;
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
