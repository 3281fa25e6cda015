//! The PROXY protocol, versions 1 and 2: a trusted sender tells whose connection it hands over and where that wanted to
//! go. The standard is HAProxy's `proxy-protocol.txt`.
//!
//! A header is required, and its first octet tells the version: nothing is taken for a connection without one.
//! [`parse`] is pure, and never asks for an octet that may not be the header's: what follows belongs to SMTP.
//! [`accept`] feeds it from a socket. Whether the sender may be believed is for the caller to know.

mod v1;
mod v2;

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::redirect::canonical;

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// Somebody else's connection.
    Proxied(Proxied),
    /// The sender's own (LOCAL, version 2): it looks whether somebody is there.
    Local,
    /// Somebody else's, whose ends the sender does not tell (UNKNOWN, AF_UNSPEC).
    Unknown,
}

/// The two ends of a connection that is handed over; IPv4-mapped addresses are canonical.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proxied {
    /// The client MTA.
    pub client: SocketAddr,
    /// Where it wanted to go.
    pub destination: SocketAddr,
}

impl Proxied {
    fn header(client: SocketAddr, destination: SocketAddr) -> Header {
        Header::Proxied(Self {
            client: canonical(client),
            destination: canonical(destination),
        })
    }
}

/// How far the octets so far have led.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// At least so many more belong to the header; never none.
    More(usize),
    /// They are the header, and nothing else.
    Done(Header),
}

/// Why octets are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Neither version begins like this.
    #[error("the octets are no PROXY header (does the sender have send-proxy or send-proxy-v2?)")]
    NoHeader,
    /// The line of version 1 does not end.
    #[error("a header of version 1 has more than 107 octets")]
    LongLine,
    /// A part of the line of version 1.
    #[error("a header of version 1 has {0}")]
    Line(&'static str),
    /// The number of a version that does not exist.
    #[error("a binary header has version {0}, not 2")]
    Version(u8),
    /// Neither LOCAL nor PROXY.
    #[error("a header of version 2 has the command {0}, which does not exist")]
    Command(u8),
    /// UDP, Unix sockets, and what does not exist.
    #[error(
        "a header of version 2 has the family and protocol {0:#04x}, which is not TCP over IPv4 or IPv6"
    )]
    Family(u8),
    /// More than anybody needs.
    #[error("a header of version 2 announces {0} octets, of which at most 4096 are taken")]
    LongBlock(u16),
    /// The addresses do not fit in.
    #[error("a header of version 2 is too short for its addresses")]
    ShortBlock,
    /// What follows the addresses is no sequence of type, length and value.
    #[error("a header of version 2 has a broken TLV")]
    Tlv,
    /// The header was damaged.
    #[error("the checksum in a header of version 2 is wrong")]
    Checksum,
}

/// Why a connection came without a header.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It began with something else.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// It ended or failed before.
    #[error("the connection ended before its PROXY header: {0}")]
    Io(#[from] io::Error),
}

/// Reads the octets so far, which must be those that [`Step::More`] asked for.
///
/// # Errors
/// [`Malformed`] as soon as it shows.
pub fn parse(octets: &[u8]) -> Result<Step, Malformed> {
    match octets.first() {
        // One is enough to tell the versions apart, and to refuse all else at once.
        None => Ok(Step::More(1)),
        Some(&first) if first == v1::PREFIX[0] => v1::parse(octets),
        Some(&first) if first == v2::SIGNATURE[0] => v2::parse(octets),
        Some(_) => Err(Malformed::NoHeader),
    }
}

/// Reads the header and not one octet more. The caller limits the time.
///
/// # Errors
/// [`Refused`]: nothing is left to do but to close.
pub async fn accept<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Header, Refused> {
    let mut octets = Vec::new();
    loop {
        match parse(&octets)? {
            Step::Done(header) => return Ok(header),
            Step::More(count) => {
                let start = octets.len();
                octets.resize(start + count, 0);
                stream.read_exact(&mut octets[start..]).await?;
            }
        }
    }
}

/// How many octets are still missing from `wanted`, and none when they are there.
fn missing(octets: &[u8], wanted: usize) -> Option<Step> {
    let missing = wanted.saturating_sub(octets.len());
    (missing > 0).then_some(Step::More(missing))
}

#[cfg(test)]
mod tests;
