//! One side of a session: a stream and what is still to be written to it.
//!
//! Nothing is read ahead: reading goes through a buffer that all sessions of a thread share, so an idle session holds
//! none, and no octet can wait on the wrong side of STARTTLS. Output is queued as the session hands it over, without a
//! copy; a full queue ([`Wire::is_full`]) stops the reading on the other side.
#![expect(
    clippy::disallowed_types,
    reason = "IO: holds the sockets of a session"
)]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::{client, server};

/// Octets that may wait for one peer before the other is not read any more; one read may add [`BULK`] to them.
const FULL: usize = 64 * 1024;

/// Pieces that may: each costs as much as a hundred octets, however few it holds.
const PIECES: usize = 2048;

/// What one read takes of a message at most: a system call, and for the kernel an acknowledgement, each.
pub(super) const BULK: usize = 256 * 1024;

/// What one read takes of anything else, since it may have to be kept.
pub(super) const TALK: usize = 64 * 1024;

/// What is read of a peer that is not listened to any more.
const FAREWELL: usize = 256 * 1024;

/// Pieces of the queue that one write takes together.
const SLICES: usize = 16;

thread_local! {
    /// Filled and emptied within one poll, so that one for the thread will do.
    static CHUNKS: RefCell<Box<[u8]>> = RefCell::new(vec![0; BULK].into());
}

/// A connection before and after STARTTLS.
pub(super) enum Leg<T> {
    Clear(TcpStream),
    Tls(Box<T>),
}

/// The connection to the MX.
pub(super) type Upstream = Leg<client::TlsStream<TcpStream>>;

/// The connection to the client.
pub(super) type Downstream = Leg<server::TlsStream<TcpStream>>;

/// A stream with its output queue.
pub(super) struct Wire<S> {
    stream: S,
    queue: VecDeque<Bytes>,
    queued: usize,
    /// TLS holds records back until it is flushed.
    unflushed: bool,
}

/// What lies on a TCP connection.
pub(super) trait OverTcp {
    /// That connection.
    fn tcp(&self) -> &TcpStream;
}

impl<S: AsyncRead + AsyncWrite + OverTcp + Unpin> Wire<S> {
    /// Writes everything, then closes this side: with close_notify inside TLS. The last words and the end of the
    /// connection are one segment, not three that each wake the peer.
    pub(super) async fn finish(&mut self) -> io::Result<()> {
        // Without it the same octets only take more segments.
        let _ = SockRef::from(self.stream.tcp()).set_tcp_cork(true);
        self.flush_and_close().await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(super) const fn new(stream: S) -> Self {
        Self {
            stream,
            queue: VecDeque::new(),
            queued: 0,
            unflushed: false,
        }
    }

    /// Queues output.
    pub(super) fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.queued += bytes.len();
            self.queue.push_back(bytes);
        }
    }

    /// Is there more output than should wait?
    pub(super) fn is_full(&self) -> bool {
        self.queued >= FULL || self.queue.len() >= PIECES
    }

    /// Writes what is queued, as far as the peer takes it.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.queue.is_empty() {
            let written = {
                let mut slices = [IoSlice::new(&[]); SLICES];
                let pieces = slices.iter_mut().zip(&self.queue);
                let count = pieces
                    .map(|(slice, bytes)| *slice = IoSlice::new(bytes))
                    .count();
                let stream = Pin::new(&mut self.stream);
                ready!(stream.poll_write_vectored(cx, &slices[..count]))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unflushed = true;
            self.forget(written);
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn forget(&mut self, mut written: usize) {
        self.queued -= written;
        while let Some(front) = self.queue.front_mut() {
            if written < front.len() {
                front.advance(written);
                return;
            }
            written -= front.len();
            self.queue.pop_front();
        }
        // An idle session keeps no room for what once was queued.
        self.queue = VecDeque::new();
    }

    /// Reads once, `most` octets or fewer, and hands what came to `take`; nothing at all is the end.
    pub(super) fn poll_read<T>(
        &mut self,
        cx: &mut Context<'_>,
        most: usize,
        take: impl FnOnce(&[u8]) -> T,
    ) -> Poll<io::Result<T>> {
        CHUNKS.with_borrow_mut(|chunk| {
            let mut buffer = ReadBuf::new(&mut chunk[..most]);
            let read = Pin::new(&mut self.stream).poll_read(cx, &mut buffer);
            // TLS answers some records by itself, and the peer may wait for that. A failure shows at the next write.
            let _ = Pin::new(&mut self.stream).poll_flush(cx);
            ready!(read)?;
            Poll::Ready(Ok(take(buffer.filled())))
        })
    }

    /// Drops what is queued: the peer takes no more.
    pub(super) fn discard(&mut self) {
        self.queue = VecDeque::new();
        self.queued = 0;
        self.unflushed = false;
    }

    async fn flush_and_close(&mut self) -> io::Result<()> {
        std::future::poll_fn(|cx| self.poll_flush(cx)).await?;
        self.stream.shutdown().await
    }

    /// Reads until the peer closes, and forgets it: a socket closed with octets unread is reset, and a reset may
    /// overtake the last reply.
    pub(super) async fn exhaust(&mut self) {
        let mut left = FAREWELL;
        while let Ok(count) = std::future::poll_fn(|cx| self.poll_read(cx, TALK, <[u8]>::len)).await
            && count > 0
            && left > count
        {
            left -= count;
        }
    }

    /// The stream, once all output is written.
    pub(super) async fn into_flushed(mut self) -> io::Result<S> {
        std::future::poll_fn(|cx| self.poll_flush(cx)).await?;
        Ok(self.stream)
    }
}

impl OverTcp for Upstream {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Clear(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }
}

impl OverTcp for Downstream {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Clear(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Leg<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Leg<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Clear(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Clear(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, duplex};

    use super::*;

    #[tokio::test]
    async fn what_is_queued_arrives_in_order_however_little_the_peer_takes() {
        let (near, mut far) = duplex(7);
        let mut wire = Wire::new(near);
        let mut expected = Vec::new();
        for number in 0..100_u8 {
            let piece = vec![number; usize::from(number)];
            expected.extend_from_slice(&piece);
            wire.push(piece.into());
        }
        let mut received = Vec::new();
        let (finished, read) = tokio::join!(wire.flush_and_close(), far.read_to_end(&mut received));
        finished.unwrap();
        read.unwrap();
        assert_eq!(received, expected);
    }

    #[tokio::test]
    async fn dn_a_queue_is_full_until_the_peer_has_taken_enough() {
        let (near, mut far) = duplex(FULL);
        let mut wire = Wire::new(near);
        wire.push(vec![b'x'; FULL - 1].into());
        assert!(!wire.is_full());
        wire.push(vec![b'x'; 2].into());
        assert!(wire.is_full());
        poll_fn(|cx| Poll::Ready(wire.poll_flush(cx).is_pending())).await;
        assert!(!wire.is_full());
        far.read_exact(&mut [0; 10]).await.unwrap();
        poll_fn(|cx| wire.poll_flush(cx)).await.unwrap();
        assert_eq!(wire.queued, 0);
    }

    #[tokio::test]
    async fn dn_10_a_queue_of_single_octets_is_full_long_before_their_number_is() {
        let (near, _far) = duplex(1);
        let mut wire = Wire::new(near);
        for _ in 1..PIECES {
            wire.push(Bytes::from_static(b"x"));
        }
        assert!(!wire.is_full());
        wire.push(Bytes::from_static(b"x"));
        assert!(wire.is_full());
    }

    #[tokio::test]
    async fn dn_a_read_takes_no_more_than_it_may() {
        let (near, mut far) = duplex(2 * BULK);
        let mut wire = Wire::new(near);
        far.write_all(&vec![b'x'; 2 * BULK]).await.unwrap();
        for most in [1, TALK, BULK] {
            let taken = poll_fn(|cx| wire.poll_read(cx, most, <[u8]>::len)).await;
            assert_eq!(taken.unwrap(), most);
        }
    }

    #[tokio::test]
    async fn the_end_is_an_empty_read() {
        let (near, mut far) = duplex(64);
        let mut wire = Wire::new(near);
        far.write_all(b"EHLO").await.unwrap();
        drop(far);
        for expected in [&b"EHLO"[..], b""] {
            let seen = poll_fn(|cx| wire.poll_read(cx, TALK, <[u8]>::to_vec)).await;
            assert_eq!(seen.unwrap(), expected);
        }
    }
}
