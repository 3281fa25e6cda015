//! A new process takes the listening sockets of the one that runs, over the control socket, and only then is the other one
//! left to finish its sessions: nobody is refused in between.
//!
//! ```text
//! successor                                     the one that runs
//! {"request":{"daemon":"take-over"}}     ──►
//!                                        ◄──    a line that names the sockets, and the sockets (SCM_RIGHTS)
//!   starts: store, policies, resolver           goes on accepting
//! ready                                  ──►
//!                                        ◄──    end of the stream: it accepts nothing any more
//! ```
//!
//! Until `ready` both have the sockets and one accepts; a successor that ends before leaves all as it was.
#![expect(
    clippy::disallowed_methods,
    reason = "IO: talks over the control socket, with a limit to its patience"
)]

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream as StdStream;
use std::path::Path;
use std::time::Duration;

use rustix::cmsg_space;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader, Interest};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::oneshot;
use tracing::warn;

use super::daemon::{self, Order, Orders, Request};
use super::wire::{self, Envelope, Line};
use super::{Code, Failure};
use crate::proxy::Handed;

/// What a socket listens for, in the words of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Sockets {
    sockets: Vec<Handed>,
}

/// Sockets, and what each listens for.
pub type HandedOver = Vec<(Handed, OwnedFd)>;

/// As many as the kernel passes at once.
const MOST: usize = 253;

/// With a successor: it may have a large store to read.
const PATIENCE: Duration = Duration::from_mins(5);

/// The running process's side, once the request is read.
pub(super) async fn hand_over(
    (mut read, mut write): (BufReader<OwnedReadHalf>, OwnedWriteHalf),
    (orders, pid): (&Orders, Option<i32>),
) -> io::Result<()> {
    let (offer, offered) = oneshot::channel();
    let is_sent = orders.send(Order::Offer(offer)).await.is_ok();
    let (true, Ok(offered)) = (is_sent, offered.await) else {
        return wire::write_line(&mut write, &Line::Failed(daemon::leaving())).await;
    };
    let offered = match offered {
        Ok(offered) => offered,
        Err(failure) => return wire::write_line(&mut write, &Line::Failed(failure)).await,
    };
    let handed = match line_of(&offered) {
        Ok(line) => tokio::time::timeout(PATIENCE, hand(&mut read, &write, &line, &offered)).await,
        Err(failure) => {
            let told = wire::write_line(&mut write, &Line::Failed(failure.clone())).await;
            Ok(told.and_then(|()| Err(io::Error::other(failure))))
        }
    };
    drop(offered);
    if matches!(handed, Ok(Ok(true))) {
        let (over, is_over) = oneshot::channel();
        // The stream ends with the process's control socket, which is the answer.
        let _ = orders.send(Order::Leave { pid, over }).await;
        let _ = is_over.await;
        return Ok(());
    }
    warn!(
        ?handed,
        "the successor has not started: this process goes on"
    );
    let _ = orders.send(Order::Stay).await;
    Ok(())
}

/// Tells whether the successor is ready.
async fn hand(
    read: &mut BufReader<OwnedReadHalf>,
    write: &OwnedWriteHalf,
    line: &[u8],
    offered: &[(Handed, OwnedFd)],
) -> io::Result<bool> {
    offer_all(write, line, offered).await?;
    is_ready(read).await
}

async fn is_ready(read: &mut BufReader<OwnedReadHalf>) -> io::Result<bool> {
    let mut word = String::new();
    read.read_line(&mut word).await?;
    Ok(word == READY)
}

const READY: &str = "ready\n";

/// The names of the sockets, where they can be passed at all.
fn line_of(offered: &[(Handed, OwnedFd)]) -> Result<Vec<u8>, Failure> {
    if offered.len() > MOST {
        let (expected, seen) = (format!("at most {MOST} listeners"), offered.len());
        let remedy = "stop it and start the other one: the kernel passes no more at once";
        return Err(Failure::new(
            Code::Refused,
            expected,
            seen.to_string(),
            remedy,
        ));
    }
    let sockets = Sockets {
        sockets: offered.iter().map(|one| one.0.clone()).collect(),
    };
    let line = Line::Item(super::result(&sockets)?);
    let mut line = serde_json::to_vec(&line).map_err(|error| Failure::unwritable(&error))?;
    line.push(b'\n');
    Ok(line)
}

async fn offer_all(
    write: &OwnedWriteHalf,
    line: &[u8],
    offered: &[(Handed, OwnedFd)],
) -> io::Result<()> {
    let fds: Vec<BorrowedFd<'_>> = offered.iter().map(|one| one.1.as_fd()).collect();
    let stream: &UnixStream = write.as_ref();
    let mut sent = stream
        .async_io(Interest::WRITABLE, || send(stream, line, &fds))
        .await?;
    // What did not fit goes without the sockets, which have gone.
    while sent < line.len() {
        let rest = &line[sent..];
        stream.writable().await?;
        match stream.try_write(rest) {
            Ok(more) => sent += more,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn send(stream: &UnixStream, line: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MOST))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::other("too many listeners to pass at once"));
    }
    let sent = sendmsg(
        stream,
        &[IoSlice::new(line)],
        &mut control,
        SendFlags::NOSIGNAL,
    )?;
    Ok(sent)
}

/// A process that is about to take the place of the one that runs.
pub struct Successor(StdStream);

impl Successor {
    /// Asks the process at `socket` for its listening sockets; none where nobody answers there.
    ///
    /// # Errors
    /// When it does not hand them over.
    pub fn ask(socket: &Path) -> io::Result<Option<(Self, HandedOver)>> {
        let mut stream = match StdStream::connect(socket) {
            Ok(stream) => stream,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
                ) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        stream.set_read_timeout(Some(PATIENCE))?;
        let request = super::Request::Daemon(Request::TakeOver);
        let mut line = serde_json::to_vec(&Envelope { request, body: 0 })?;
        line.push(b'\n');
        stream.write_all(&line)?;
        let (answer, fds) = receive(&stream)?;
        let sockets = match serde_json::from_slice(&answer)? {
            Line::Item(item) => serde_json::from_value::<Sockets>(item)?.sockets,
            Line::Failed(failure) => return Err(io::Error::other(failure)),
            Line::Done(_) => return Err(io::ErrorKind::InvalidData.into()),
        };
        if sockets.len() != fds.len() {
            return Err(io::Error::other("it has not passed all of its sockets"));
        }
        let handed = sockets.into_iter().zip(fds).collect();
        Ok(Some((Self(stream), handed)))
    }

    /// Says that this process accepts, and waits until the other one does not any more. Blocks.
    ///
    /// # Errors
    /// When it cannot be told: it is gone, or both go on for a while.
    pub fn ready(mut self) -> io::Result<()> {
        self.0.write_all(READY.as_bytes())?;
        let mut rest = Vec::new();
        // A connection that is cut is an end, too.
        let _ = self.0.read_to_end(&mut rest);
        Ok(())
    }
}

/// One line, and the descriptors that come with it.
fn receive(stream: &StdStream) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let (mut line, mut fds) = (Vec::new(), Vec::new());
    let mut buffer = [0; 65_536];
    while line.last() != Some(&b'\n') {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MOST))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let into = &mut [IoSliceMut::new(&mut buffer)];
        let received = recvmsg(stream, into, &mut control, RecvFlags::CMSG_CLOEXEC)?;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(passed) = message {
                fds.extend(passed);
            }
        }
        if received.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        line.extend_from_slice(&buffer[..received.bytes]);
    }
    Ok((line, fds))
}
