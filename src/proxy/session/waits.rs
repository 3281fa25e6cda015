//! What a running session waits for: its output to be taken, then the first of client, server, verdict and deadline.
#![expect(clippy::disallowed_methods, reason = "IO: a session's timer")]

use std::task::{Context, Poll, ready};
use std::time::Instant;

use tracing::debug;

use super::{Driver, Reading};
use crate::proxy::client;
use crate::proxy::server::Event;
use crate::proxy::wire::{BULK, TALK};
use crate::report::ClientLeg;
use crate::smtp::{ClientHandshake, Dialled, Waiting};

/// Which side is read first: they alternate, or a client that sends without pause would never let the MX speak.
#[derive(Clone, Copy)]
pub(super) enum Turn {
    Client,
    Server,
}

impl Driver {
    /// Waits until something has happened, and tells the session.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.poll_output(cx).is_ready() || self.poll_input(cx).is_ready() {
            return Poll::Ready(());
        }
        if let Poll::Ready(decision) = self.clerk.poll(cx) {
            self.pronounce(decision);
            return Poll::Ready(());
        }
        self.poll_timer(cx)
    }

    fn poll_output(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.server.write(cx);
        if let Poll::Ready(Err(error)) = self.client.poll_write(cx) {
            debug!(%error, "the client takes no more");
            self.lose_client();
            return Poll::Ready(());
        }
        Poll::Pending
    }

    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let first = self.turn;
        let (turn, done) = match first {
            Turn::Client => (Turn::Server, self.poll_client(cx)),
            Turn::Server => (Turn::Client, self.poll_server(cx)),
        };
        self.turn = turn;
        if done.is_ready() {
            return done;
        }
        match first {
            Turn::Client => self.poll_server(cx),
            Turn::Server => self.poll_client(cx),
        }
    }

    fn poll_client(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deaf = self.server.is_full() || self.client.is_full() || !self.session.wants_client();
        let is_read = !deaf && self.reading == Reading::Open;
        if !is_read && !self.client.is_securing() {
            return Poll::Pending;
        }
        let session = &mut self.session;
        let clock = &self.shell.engine.clock;
        let most = if session.is_in_message() { BULK } else { TALK };
        let event = self.client.poll(cx, most, |bytes| {
            session.handle_client(bytes, clock.instant());
        });
        match ready!(event) {
            client::Event::Octets => {}
            client::Event::End => {
                self.reading = Reading::Ended;
                let now = self.now();
                self.session.handle_client_end(now);
            }
            client::Event::Lost => self.lose_client(),
            client::Event::Secured(accepted) => self.client_secured(accepted),
            client::Event::Unsecured(what) => {
                self.reading = Reading::Lost;
                self.open.record.client_leg = ClientLeg::Failed(what);
                let now = self.now();
                let failed = ClientHandshake::Failed;
                self.session.handle_client_tls(failed, now);
            }
        }
        Poll::Ready(())
    }

    fn poll_server(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.client.is_full() {
            return Poll::Pending;
        }
        let session = &mut self.session;
        let clock = &self.shell.engine.clock;
        let event = self.server.poll(cx, |bytes| {
            session.handle_server(bytes, clock.instant());
        });
        match ready!(event) {
            Event::Octets => {}
            Event::Connected => self.tell(Dialled::Connected),
            Event::Undialled(why) => self.undialled(why),
            Event::Secured(handshake) => self.secured(handshake),
            Event::Unsecured(what) => self.tell(Dialled::HandshakeFailed(what)),
            Event::End => {
                self.clerk.forget();
                let now = self.now();
                self.session.handle_server_end(now);
            }
        }
        Poll::Ready(())
    }

    /// The timer is set anew only when a deadline comes nearer; one that has moved away is found out when it fires.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some((due, waiting)) = self.session.poll_timeout() else {
            return Poll::Pending;
        };
        let deadline = due.into();
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        while timer.as_mut().poll(cx).is_ready() {
            if timer.deadline() >= deadline {
                self.expire(due, waiting);
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }

    fn expire(&mut self, due: Instant, waiting: Waiting) {
        debug!(?waiting, "a deadline has passed");
        self.timer = None;
        let now = self.now().max(due);
        if waiting == Waiting::Client && self.server.is_full() {
            self.session.handle_server_stalled(now);
        } else {
            self.session.handle_timeout(now);
        }
    }
}
