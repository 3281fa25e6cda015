//! Connections that are none of our business: octets go through both ways as they are, and only their end is recorded.
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "IO: holds the sockets of a connection"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::server::dial;
use super::{Shell, Stage, refusal};
use crate::intercept::Intercepted;
use crate::smtp::End;

/// What one read takes.
const CHUNK: usize = 16 * 1024;

/// Relays a connection from its dial to its end. A shutdown waits for it as long as for a message in flight.
pub(super) async fn relay(
    shell: Arc<Shell>,
    from: Intercepted,
    mut client: TcpStream,
    mut stage: watch::Receiver<Stage>,
) {
    let mut open = shell.open(&from);
    open.record.dials = 1;
    let is_over = |stage: &Stage| *stage == Stage::Over;
    let end = tokio::select! {
        end = connect_and_carry(&shell, &from, &mut client) => end,
        // The proxy was dropped, or has waited long enough.
        _ = stage.wait_for(is_over) => Ended { end: End::Shutdown, told: None },
    };
    open.record.end = end.end.label();
    open.record.sent_away = end.told;
}

struct Ended {
    end: End,
    /// What the client heard of us in place of the destination's octets.
    told: Option<String>,
}

async fn connect_and_carry(
    shell: &Arc<Shell>,
    from: &Intercepted,
    client: &mut TcpStream,
) -> Ended {
    match dial(Arc::clone(shell), from.clone()).await {
        Ok((mut server, _own)) => {
            let end = carry(client, &mut server, shell.timeouts.end_of_data).await;
            Ended { end, told: None }
        }
        Err(why) => {
            let (reply, end) = refusal::of_undialled(&why);
            let reply = reply.encode();
            // Whoever is gone needs no reply.
            let _ = client.write_all(&reply).await;
            let told = Some(refusal::told(&reply));
            Ended { end, told }
        }
    }
}

/// Until both sides have closed, one is lost, or neither has said anything for `patience`.
async fn carry(client: &mut TcpStream, server: &mut TcpStream, patience: Duration) -> End {
    let moved = AtomicBool::new(false);
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let upwards = Way {
        source: (from_client, End::ClientLost),
        sink: (to_server, End::ServerLost),
    };
    let downwards = Way {
        source: (from_server, End::ServerLost),
        sink: (to_client, End::ClientLost),
    };
    let carried = tokio::try_join!(
        upwards.carry(&moved, patience),
        downwards.carry(&moved, patience),
    );
    carried.map_or_else(|end| end, |_| End::Quit)
}

/// One direction: each side with what its loss means.
struct Way<R, W> {
    source: (R, End),
    sink: (W, End),
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Way<R, W> {
    /// Until the source closes, which the sink is told.
    async fn carry(mut self, moved: &AtomicBool, patience: Duration) -> Result<(), End> {
        let mut chunk = vec![0; CHUNK];
        loop {
            let read = self.source.0.read(&mut chunk);
            let Ok(read) = tokio::time::timeout(patience, read).await else {
                // A side may be silent for as long as the other is not.
                if moved.swap(false, Ordering::Relaxed) {
                    continue;
                }
                return Err(End::Timeout);
            };
            let count = read.map_err(|_| self.source.1)?;
            if count == 0 {
                return self.sink.0.shutdown().await.map_err(|_| self.sink.1);
            }
            moved.store(true, Ordering::Relaxed);
            let written = self.sink.0.write_all(&chunk[..count]);
            match tokio::time::timeout(patience, written).await {
                Ok(written) => written.map_err(|_| self.sink.1)?,
                Err(_) => return Err(End::Timeout),
            }
        }
    }
}
