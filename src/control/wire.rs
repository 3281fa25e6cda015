//! The octets of the control socket: JSON, one object a line, nothing without a limit.

use std::io;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt,
};

use super::{Failure, Request};

/// Octets of a request's line.
pub const MAX_REQUEST: usize = 1024 * 1024;

/// Octets of the body that may follow it.
pub const MAX_BODY: u64 = 128 * 1024 * 1024;

/// Octets of a line of the reply: a policy of 64 KiB and a trace fit, however much of them is escaped.
pub const MAX_REPLY_LINE: usize = 8 * 1024 * 1024;

/// A request as it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// What is asked.
    pub request: Request,
    /// How many octets follow the line.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub body: u64,
}

/// A line of the reply.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Line {
    /// One piece; more follow.
    Item(Value),
    /// The result; nothing follows.
    Done(Value),
    /// There is none; nothing follows.
    Failed(Failure),
}

/// Reads a line of at most `limit` octets, its end left out; none at the end of the stream.
///
/// # Errors
/// As the stream's, with [`io::ErrorKind::InvalidData`] for a line that is longer or breaks off.
pub async fn read_line(
    from: &mut (impl AsyncBufRead + Unpin),
    limit: usize,
) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    from.take(most).read_until(b'\n', &mut line).await?;
    match line.pop() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(line)),
        Some(_) if line.len() >= limit => {
            let what = format!("a line of more than {limit} octets");
            Err(io::Error::new(io::ErrorKind::InvalidData, what))
        }
        Some(_) => {
            let what = "a line that breaks off";
            Err(io::Error::new(io::ErrorKind::InvalidData, what))
        }
    }
}

/// Reads a body of exactly so many octets; memory is taken as they come, not as they are announced.
///
/// # Errors
/// As the stream's, with [`io::ErrorKind::InvalidData`] when it ends early.
pub async fn read_body(from: &mut (impl AsyncRead + Unpin), octets: u64) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    from.take(octets).read_to_end(&mut body).await?;
    if body.len() as u64 == octets {
        return Ok(body);
    }
    let what = format!("{} of {octets} octets of a body", body.len());
    Err(io::Error::new(io::ErrorKind::InvalidData, what))
}

/// Writes one object as one line.
///
/// # Errors
/// As the stream's.
pub async fn write_line(
    to: &mut (impl AsyncWrite + Unpin),
    object: &(impl Serialize + Sync),
) -> io::Result<()> {
    let mut line = serde_json::to_vec(object)?;
    line.push(b'\n');
    to.write_all(&line).await
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
const fn is_zero(octets: &u64) -> bool {
    *octets == 0
}
