//! Where connections come in: one accept loop for each listener, and what becomes of a connection before it is a session.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tracing::{debug, warn};

use super::shell::{Place, Shell};
use super::{Stage, bypass, listen, refusal, session};
use crate::config::{ClientTls, ListenerConfig};
use crate::intercept::redirect::{self, canonical};
use crate::intercept::{Intercepted, Via, socks5};
use crate::policy::identity::Identity;
use crate::smtp::Reply;

/// One listener's accept loop.
pub(super) struct Door {
    pub(super) config: ListenerConfig,
    pub(super) shell: Arc<Shell>,
    pub(super) stage: watch::Receiver<Stage>,
}

impl Door {
    /// Accepts until the proxy drains.
    pub(super) async fn open(mut self, listener: TcpListener) {
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
        // On the heap at once: a session is large, and spawning would copy it again and again.
        tokio::spawn(Box::pin(async move {
            serve(shell, from, stream, client_tls, stage).await;
            drop(place);
        }));
    }

    fn socks5(&self, mut stream: TcpStream, client: SocketAddr, place: Place) {
        if !self.config.allow_remote && !client.ip().is_loopback() {
            warn!(%client, listener = %self.config.address, "a client that is not on this host");
            return;
        }
        let (shell, stage) = (Arc::clone(&self.shell), self.stage.clone());
        let client_tls = self.config.client_tls;
        tokio::spawn(Box::pin(async move {
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
        }));
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
