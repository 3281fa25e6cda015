//! The running proxy's side of the control socket.
//!
//! Only root and the user that danelaw runs as are heard: the socket's mode keeps others off, and the kernel's word on
//! who connects is asked as well. Whoever is slow, large or makes no sense is cut off; connections are few at a time.
#![expect(
    clippy::disallowed_methods,
    reason = "IO: owns a socket, a task per connection, and their time"
)]

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::geteuid;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf, UCred};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinHandle, JoinSet};
use tracing::{debug, info, warn};

use super::daemon::{self, Orders};
use super::socket::{self, SocketFile};
use super::wire::{self, Envelope, Line, MAX_BODY, MAX_REQUEST};
use super::{Code, Failure, Items, Request, answer, takeover};
use crate::proxy::engine::Engine;

pub use super::socket::{SocketError, SocketFault};

/// The socket is there, nothing is answered yet.
pub struct Control {
    listener: UnixListener,
    file: SocketFile,
}

/// A running server; it ends when this is dropped, and its socket goes with it.
pub struct Serving {
    task: JoinHandle<()>,
    _file: SocketFile,
}

/// Who is asked.
pub struct Host {
    /// What requests are answered from, at the time.
    pub engine: Box<dyn Fn() -> Arc<Engine> + Send + Sync>,
    /// Where requests to the process itself go.
    pub orders: Orders,
}

impl Control {
    /// Listens at `path`.
    ///
    /// # Errors
    /// When somebody does already, when what stands there is no socket, when the system refuses.
    #[expect(clippy::unused_async, reason = "listening needs a runtime")]
    pub async fn bind(path: &Path) -> Result<Self, SocketError> {
        let (listener, file) = socket::listen(path)?;
        let listener = UnixListener::from_std(listener).map_err(|error| SocketError {
            path: path.to_owned(),
            fault: SocketFault::File {
                doing: "listen at it",
                error,
            },
        })?;
        Ok(Self { listener, file })
    }

    /// Answers from now on; each request with the engine of the time.
    #[must_use]
    pub fn serve(self, host: Host) -> Serving {
        Serving {
            task: tokio::spawn(accept(self.listener, Arc::new(host))),
            _file: self.file,
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: UnixListener, host: Arc<Host>) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                debug!(%error, "a control connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            connections.spawn(send_away(stream, busy()));
            continue;
        };
        let host = Arc::clone(&host);
        connections.spawn(async move {
            if let Err(error) = serve(stream, host).await {
                debug!(%error, "a control connection ended early");
            }
            drop(place);
        });
    }
}

async fn serve(stream: UnixStream, host: Arc<Host>) -> io::Result<()> {
    let peer = stream.peer_cred()?;
    if !may_ask(&peer) {
        warn!(
            uid = peer.uid(),
            "a user who may not has asked on the control socket"
        );
        send_away(stream, forbidden(&peer)).await;
        return Ok(());
    }
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    let asked = tokio::time::timeout(PATIENCE, receive(&mut read)).await;
    let (envelope, body) = match asked.unwrap_or_else(|_| Err(slow())) {
        Ok(asked) => asked,
        Err(failure) => {
            say(&mut write, &Line::Failed(failure)).await?;
            return hear_out(read, write).await;
        }
    };
    info!(
        uid = peer.uid(),
        pid = peer.pid(),
        request = envelope.request.label(),
        "control"
    );
    if envelope.request == Request::Daemon(daemon::Request::TakeOver) {
        return takeover::hand_over((read, write), (&host.orders, peer.pid())).await;
    }
    let (items, told) = Items::channel();
    // A task of its own: it goes on when the connection breaks.
    let answering = tokio::spawn(async move {
        if let Request::Daemon(request) = envelope.request {
            return daemon::answer(&host.orders, request).await;
        }
        answer(&(host.engine)(), envelope.request, body, &items).await
    });
    pass_on(&mut write, told).await?;
    let last = match answering.await {
        Ok(Ok(result)) => Line::Done(result),
        Ok(Err(failure)) => Line::Failed(failure),
        Err(error) => Line::Failed(Failure::broken(&error)),
    };
    say(&mut write, &last).await
}

async fn receive(read: &mut BufReader<OwnedReadHalf>) -> Result<(Envelope, Vec<u8>), Failure> {
    let line = wire::read_line(read, MAX_REQUEST)
        .await
        .map_err(|error| bad(error.to_string()))?
        .ok_or_else(|| bad("nothing".to_owned()))?;
    let envelope: Envelope =
        serde_json::from_slice(&line).map_err(|error| bad(error.to_string()))?;
    if envelope.body > MAX_BODY {
        let (expected, seen) = (
            format!("a body of at most {MAX_BODY} octets"),
            format!("{}", envelope.body),
        );
        let remedy = "send it in parts";
        return Err(Failure::new(Code::BadRequest, expected, seen, remedy));
    }
    let body = wire::read_body(read, envelope.body)
        .await
        .map_err(|error| bad(error.to_string()))?;
    Ok((envelope, body))
}

async fn pass_on(
    write: &mut OwnedWriteHalf,
    mut told: mpsc::Receiver<serde_json::Value>,
) -> io::Result<()> {
    while let Some(item) = told.recv().await {
        say(write, &Line::Item(item)).await?;
    }
    Ok(())
}

async fn say(write: &mut OwnedWriteHalf, line: &Line) -> io::Result<()> {
    match tokio::time::timeout(PATIENCE, wire::write_line(write, line)).await {
        Ok(written) => written,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// Closing while octets wait to be read would take away what was said.
async fn hear_out(mut read: BufReader<OwnedReadHalf>, mut write: OwnedWriteHalf) -> io::Result<()> {
    write.shutdown().await?;
    let mut nowhere = tokio::io::sink();
    let rest = tokio::io::copy(&mut read, &mut nowhere);
    // Whoever goes on for longer does not listen.
    let _ = tokio::time::timeout(LINGER, rest).await;
    Ok(())
}

async fn send_away(stream: UnixStream, failure: Failure) {
    let (_read, mut write) = stream.into_split();
    // Whoever does not listen has nothing to hear.
    let _ = say(&mut write, &Line::Failed(failure)).await;
}

fn may_ask(peer: &UCred) -> bool {
    peer.uid() == 0 || peer.uid() == geteuid().as_raw()
}

fn forbidden(peer: &UCred) -> Failure {
    let expected = format!("root or uid {}", geteuid());
    let seen = format!("uid {}", peer.uid());
    Failure::new(Code::Forbidden, expected, seen, "ask as one of them (sudo)")
}

fn busy() -> Failure {
    let expected = format!("at most {AT_ONCE} commands at a time");
    Failure::new(Code::Busy, expected, "more", "try again")
}

fn slow() -> Failure {
    let expected = format!("a request within {} seconds", PATIENCE.as_secs());
    Failure::new(Code::BadRequest, expected, "less", "send it at once")
}

fn bad(seen: String) -> Failure {
    let expected = concat!(
        "a request that danelaw ",
        env!("CARGO_PKG_VERSION"),
        " knows"
    );
    let remedy =
        "use the command of the same release as the daemon, and restart the daemon after an update";
    Failure::new(Code::BadRequest, expected, seen, remedy)
}

/// Commands are typed by hand or run from time to time.
const AT_ONCE: usize = 16;

/// With a request and its body, and with a reader of the reply.
const PATIENCE: Duration = Duration::from_secs(30);

/// With what a client goes on to send that is refused.
const LINGER: Duration = Duration::from_secs(2);

/// After an accept that failed, since the next may fail at once too.
const PAUSE: Duration = Duration::from_millis(100);
