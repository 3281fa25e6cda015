//! The connection to the MX through all its states: dialled, open, secured, gone. Says what happened to it; what that
//! means is the session's business.
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "IO: holds the sockets, limits the time of handshakes and farewells"
)]

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::net::TcpStream;
use tracing::{debug, warn};

use super::dial::{DialError, Source};
use super::wire::{TALK, Upstream, Wire};
use super::{FAREWELL, Shell};
use crate::intercept::Intercepted;
use crate::intercept::guard::{Loop, OwnAddress};
use crate::intercept::tally::{Lacked, Turned};
use crate::name::DnsName;
use crate::tls::Handshake;
use crate::tls::tickets::Pocket;

/// The connection to the MX, if there is one.
#[derive(Default)]
pub(super) struct Server(State);

#[derive(Default)]
enum State {
    #[default]
    Absent,
    Dialling(BoxFuture<'static, Result<Line, Undialled>>),
    Open(Line),
    Securing(BoxFuture<'static, Result<Secured, String>>),
}

/// An open connection, known to the loop guard for as long as it lives.
struct Line {
    wire: Wire<Upstream>,
    own: OwnAddress,
}

/// A finished handshake.
struct Secured {
    line: Line,
    handshake: Handshake,
}

/// What has happened.
pub(super) enum Event {
    /// TCP is up.
    Connected,
    /// It is not.
    Undialled(Undialled),
    /// TLS is up.
    Secured(Handshake),
    /// It is not, and the connection is gone: why.
    Unsecured(String),
    /// Octets came and were handed over.
    Octets,
    /// The connection is gone.
    End,
}

/// Why there is no connection.
pub(super) enum Undialled {
    /// The client is one of our own sockets.
    Looped(Loop),
    /// This machine has nothing to dial with.
    Exhausted,
    /// The destination cannot be reached.
    Failed(String),
}

impl Server {
    /// Dials the destination.
    pub(super) fn dial(&mut self, shell: &Arc<Shell>, from: &Intercepted) {
        let (shell, from) = (Arc::clone(shell), from.clone());
        let dialled = async move {
            let (stream, own) = dial(shell, from).await?;
            let wire = Wire::new(Upstream::Clear(stream));
            Ok(Line { wire, own })
        };
        self.0 = State::Dialling(dialled.boxed());
    }

    /// Shakes hands over the open connection, once all that is queued is written.
    pub(super) fn start_tls(
        &mut self,
        shell: &Arc<Shell>,
        sni: Option<DnsName>,
        pocket: Option<Arc<Pocket>>,
    ) {
        let shell = Arc::clone(shell);
        let before = std::mem::take(&mut self.0);
        let handshake = async move {
            let State::Open(Line { wire, own }) = before else {
                return Err("the connection is gone".into());
            };
            let stream = match wire.into_flushed().await.map_err(|e| e.to_string())? {
                Upstream::Clear(stream) => stream,
                Upstream::Tls(_) => return Err("TLS is up already".into()),
            };
            let connector = &shell.engine.connector;
            let limit = shell.dialer.limit();
            let shaking = async {
                match pocket {
                    Some(pocket) => connector.resume(stream, sni.as_ref(), pocket).await,
                    None => connector.handshake(stream, sni.as_ref()).await,
                }
            };
            let shaken = tokio::time::timeout(limit, shaking).await;
            let (stream, handshake) =
                shaken.map_err(|_| format!("no handshake within {} s", limit.as_secs_f32()))??;
            let wire = Wire::new(Upstream::Tls(Box::new(stream)));
            let line = Line { wire, own };
            Ok(Secured { line, handshake })
        };
        self.0 = State::Securing(handshake.boxed());
    }

    /// Leaves the MX: what was queued is still written, beside what comes next.
    pub(super) fn leave(&mut self) {
        match std::mem::take(&mut self.0) {
            State::Open(Line { mut wire, own }) => {
                let mut farewell = Box::pin(async move {
                    // Whether the MX hears our QUIT is its own affair.
                    let _ = wire.finish().await;
                    drop(own);
                });
                if farewell.as_mut().now_or_never().is_none() {
                    tokio::spawn(tokio::time::timeout(FAREWELL, farewell));
                }
            }
            State::Absent | State::Dialling(_) | State::Securing(_) => {}
        }
    }

    /// Queues output; a connection that is gone takes none.
    pub(super) fn push(&mut self, bytes: Bytes) {
        if let Some(line) = self.line() {
            line.wire.push(bytes);
        }
    }

    /// Is there more output than should wait?
    pub(super) fn is_full(&self) -> bool {
        match &self.0 {
            State::Open(line) => line.wire.is_full(),
            State::Absent | State::Dialling(_) | State::Securing(_) => false,
        }
    }

    /// Writes what is queued, as far as the MX takes it.
    pub(super) fn write(&mut self, cx: &mut Context<'_>) {
        if let Some(line) = self.line()
            && let Poll::Ready(Err(error)) = line.wire.poll_flush(cx)
        {
            // It may have said why before it closed: that is read, then the end.
            debug!(%error, "the MX takes no more");
            line.wire.discard();
        }
    }

    /// Waits for what happens next; octets are handed to `take`.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, take: impl FnOnce(&[u8])) -> Poll<Event> {
        let (state, event) = match &mut self.0 {
            State::Absent => return Poll::Pending,
            State::Dialling(dialled) => match ready!(dialled.poll_unpin(cx)) {
                Ok(line) => (State::Open(line), Event::Connected),
                Err(undialled) => (State::Absent, Event::Undialled(undialled)),
            },
            State::Securing(handshake) => match ready!(handshake.poll_unpin(cx)) {
                Ok(Secured { line, handshake }) => (State::Open(line), Event::Secured(handshake)),
                Err(what) => (State::Absent, Event::Unsecured(what)),
            },
            State::Open(line) => {
                let read = line.wire.poll_read(cx, TALK, |bytes| match bytes {
                    [] => Event::End,
                    bytes => {
                        take(bytes);
                        Event::Octets
                    }
                });
                match ready!(read) {
                    Ok(Event::Octets) => return Poll::Ready(Event::Octets),
                    Ok(_) | Err(_) => (State::Absent, Event::End),
                }
            }
        };
        self.0 = state;
        Poll::Ready(event)
    }

    const fn line(&mut self) -> Option<&mut Line> {
        match &mut self.0 {
            State::Open(line) => Some(line),
            State::Absent | State::Dialling(_) | State::Securing(_) => None,
        }
    }
}

/// A connection to the destination, known to the loop guard for as long as the second half lives.
pub(super) async fn dial(
    shell: Arc<Shell>,
    from: Intercepted,
) -> Result<(TcpStream, OwnAddress), Undialled> {
    let destination = from.destination;
    let dialled = shell.dialer.dial(destination, Source::of(&from)).await;
    let stream = dialled.inspect_err(|error| {
        if matches!(error, DialError::Exhausted(_)) {
            shell.lacks(Lacked::Dial, error);
        }
    })?;
    let local = stream
        .local_addr()
        .map_err(|error| Undialled::Failed(error.to_string()))?;
    let own = shell.guard.claim(local, destination);
    // Our own address may have been claimed since accept: then the client is the other end of it.
    shell.guard.check_client(&from).map_err(|looped| {
        let client = from.client;
        warn!(%client, %destination, error = %looped, "a session was ended");
        shell
            .tally
            .turned(Turned::Loop, shell.engine.clock.instant());
        Undialled::Looped(looped)
    })?;
    Ok((stream, own))
}

impl From<DialError> for Undialled {
    fn from(error: DialError) -> Self {
        match error {
            DialError::Exhausted(_) => Self::Exhausted,
            DialError::Timeout(_) | DialError::Refused(_) => Self::Failed(error.to_string()),
        }
    }
}
