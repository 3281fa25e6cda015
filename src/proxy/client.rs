//! The connection to the client through its states: open, shaking hands, gone. Says what happened to it; what that means
//! is the session's business.
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "IO: holds the client's socket and limits the time of its handshake"
)]

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::net::TcpStream;

use super::Shell;
use super::wire::{Downstream, Wire};
use crate::tls::authority::LeafName;
use crate::tls::server::Accepted;

/// The connection to the client, if there is one.
pub(super) struct Client(State);

enum State {
    Open(Wire<Downstream>),
    Securing(BoxFuture<'static, Result<Secured, String>>),
    Gone,
}

/// A finished handshake.
struct Secured {
    wire: Wire<Downstream>,
    accepted: Accepted,
}

/// What has happened.
pub(super) enum Event {
    /// Octets came and were handed over.
    Octets,
    /// The client has closed its side; inside TLS it has said so.
    End,
    /// The connection is lost, or was cut.
    Lost,
    /// TLS is up.
    Secured(Accepted),
    /// It is not, and the connection is gone: why.
    Unsecured(String),
}

impl Client {
    pub(super) const fn new(stream: TcpStream) -> Self {
        Self(State::Open(Wire::new(Downstream::Clear(stream))))
    }

    /// Shakes hands, once all that is queued is written. Whatever comes before the handshake makes it fail.
    pub(super) fn secure(&mut self, shell: &Arc<Shell>, otherwise: LeafName) {
        let shell = Arc::clone(shell);
        let before = std::mem::replace(&mut self.0, State::Gone);
        let handshake = async move {
            let (State::Open(wire), Some(acceptor)) = (before, &shell.acceptor) else {
                return Err("there is nobody to shake hands with, or no CA".into());
            };
            let limit = shell.dialer.limit();
            let shaken = async {
                let lost = |error: io::Error| error.to_string();
                let Downstream::Clear(stream) = wire.into_flushed().await.map_err(lost)? else {
                    return Err("TLS is up already".into());
                };
                acceptor.handshake(stream, otherwise).await
            };
            let shaken = tokio::time::timeout(limit, shaken).await;
            let (stream, accepted) =
                shaken.map_err(|_| format!("no handshake within {} s", limit.as_secs_f32()))??;
            let wire = Wire::new(Downstream::Tls(Box::new(stream)));
            Ok(Secured { wire, accepted })
        };
        self.0 = State::Securing(handshake.boxed());
    }

    pub(super) const fn is_securing(&self) -> bool {
        matches!(self.0, State::Securing(_))
    }

    /// Queues output; a client that is gone takes none.
    pub(super) fn push(&mut self, bytes: Bytes) {
        if let State::Open(wire) = &mut self.0 {
            wire.push(bytes);
        }
    }

    /// Is there more output than should wait?
    pub(super) fn is_full(&self) -> bool {
        match &self.0 {
            State::Open(wire) => wire.is_full(),
            State::Securing(_) | State::Gone => false,
        }
    }

    /// Drops what is queued: the client takes no more.
    pub(super) fn discard(&mut self) {
        if let State::Open(wire) = &mut self.0 {
            wire.discard();
        }
    }

    /// Writes what is queued, as far as the client takes it.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            State::Open(wire) => wire.poll_flush(cx),
            State::Securing(_) | State::Gone => Poll::Pending,
        }
    }

    /// Waits for what happens next; octets, `most` at once, are handed to `take`.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        most: usize,
        take: impl FnOnce(&[u8]),
    ) -> Poll<Event> {
        let (state, event) = match &mut self.0 {
            State::Gone => return Poll::Pending,
            State::Open(wire) => {
                let read = wire.poll_read(cx, most, |bytes| match bytes {
                    [] => Event::End,
                    bytes => {
                        take(bytes);
                        Event::Octets
                    }
                });
                return read.map(|read| read.unwrap_or(Event::Lost));
            }
            State::Securing(handshake) => match ready!(handshake.poll_unpin(cx)) {
                Ok(Secured { wire, accepted }) => (State::Open(wire), Event::Secured(accepted)),
                Err(what) => (State::Gone, Event::Unsecured(what)),
            },
        };
        self.0 = state;
        Poll::Ready(event)
    }

    /// Writes everything, then closes this side: with close_notify inside TLS.
    pub(super) async fn finish(&mut self) -> io::Result<()> {
        match &mut self.0 {
            State::Open(wire) => wire.finish().await,
            State::Securing(_) | State::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Reads until the client closes, and forgets it.
    pub(super) async fn exhaust(&mut self) {
        if let State::Open(wire) = &mut self.0 {
            wire.exhaust().await;
        }
    }
}
