//! One mail transaction as the client sees it, and how much of it the MX has heard.

use bytes::{BufMut, Bytes, BytesMut};

use super::command::{Mail, Rcpt};
use super::data::LineEnds;
use super::ehlo::Extensions;
use super::path::Charset;
use super::{Reply, Target};
use crate::verdict::Cleared;

/// From MAIL to the end of data.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) mail: Mail,
    /// RCPT commands so far.
    pub(super) recipients: usize,
    /// Refusals that need not be found out twice. They end with the transaction (RFC 7672 says nothing of
    /// snapshots; within one transaction the answer must not change from one recipient to the next).
    refused: Vec<(Target, Reply)>,
    pub(super) progress: Progress,
}

/// What the MX has heard of it.
#[derive(Debug)]
pub(super) enum Progress {
    /// Nothing.
    Provisional,
    /// MAIL, which it accepted, and no recipient that it accepted.
    Opened,
    /// MAIL and recipients that it accepted.
    Relaying(Relaying),
    /// The same, and chunks of the message that it has taken.
    Chunking(Chunked),
    /// The message has failed in a chunk: what more of it comes hears this again, until the client resets. The MX has
    /// been reset, or left.
    Failed(Bytes),
    /// The same as relaying or chunking, and then the connection was lost; or the message is under way.
    Lost,
}

/// Recipients are accepted: the permission of the last, without which no message may go.
#[derive(Debug)]
pub(super) struct Relaying {
    pub(super) cleared: Cleared,
    pub(super) accepted: u64,
}

/// A message of which chunks are with the MX.
#[derive(Debug)]
pub(super) struct Chunked {
    pub(super) relaying: Relaying,
    pub(super) lines: LineEnds,
}

impl Transaction {
    pub(super) const fn new(mail: Mail) -> Self {
        Self {
            mail,
            recipients: 0,
            refused: Vec::new(),
            progress: Progress::Provisional,
        }
    }

    pub(super) const fn charset(&self) -> Charset {
        self.mail.charset
    }

    /// What the MX must offer for this recipient.
    pub(super) const fn uses(&self, rcpt: &Rcpt) -> Extensions {
        self.mail.uses.union(rcpt.uses)
    }

    pub(super) fn refusal(&self, target: &Target) -> Option<&Reply> {
        self.refused
            .iter()
            .find(|(refused, _)| refused == target)
            .map(|(_, reply)| reply)
    }

    pub(super) fn remember_refusal(&mut self, target: Target, reply: Reply) {
        self.refused.push((target, reply));
    }

    pub(super) const fn has_recipients(&self) -> bool {
        match self.progress {
            Progress::Relaying(_) | Progress::Chunking(_) | Progress::Lost => true,
            Progress::Provisional | Progress::Opened | Progress::Failed(_) => false,
        }
    }

    /// The MX holds a transaction that must be reset before the next.
    pub(super) const fn is_open_upstream(&self) -> bool {
        match self.progress {
            Progress::Opened | Progress::Relaying(_) | Progress::Chunking(_) => true,
            Progress::Provisional | Progress::Failed(_) | Progress::Lost => false,
        }
    }

    /// The MX has accepted a recipient that was cleared.
    pub(super) fn accept(&mut self, cleared: Cleared) {
        let before = match &self.progress {
            Progress::Relaying(relaying) => relaying.accepted,
            Progress::Provisional
            | Progress::Opened
            | Progress::Chunking(_)
            | Progress::Failed(_)
            | Progress::Lost => 0,
        };
        self.progress = Progress::Relaying(Relaying {
            cleared,
            accepted: before + 1,
        });
    }

    /// The connection is gone, and with it what the MX has heard.
    pub(super) fn lose(&mut self) {
        self.progress = match std::mem::replace(&mut self.progress, Progress::Lost) {
            Progress::Provisional | Progress::Opened => Progress::Provisional,
            failed @ Progress::Failed(_) => failed,
            Progress::Relaying(_) | Progress::Chunking(_) | Progress::Lost => Progress::Lost,
        };
    }

    /// Takes the permission out to send the message with; until it is put back the transaction counts as lost.
    pub(super) fn take_relaying(&mut self) -> Option<Relaying> {
        match std::mem::replace(&mut self.progress, Progress::Lost) {
            Progress::Relaying(relaying) => Some(relaying),
            other @ (Progress::Provisional
            | Progress::Opened
            | Progress::Chunking(_)
            | Progress::Failed(_)
            | Progress::Lost) => {
                self.progress = other;
                None
            }
        }
    }

    /// The same for a chunk, the first or the next.
    pub(super) fn take_chunked(&mut self) -> Option<Chunked> {
        match std::mem::replace(&mut self.progress, Progress::Lost) {
            Progress::Chunking(chunked) => Some(chunked),
            Progress::Relaying(relaying) => Some(Chunked {
                relaying,
                lines: LineEnds::default(),
            }),
            other @ (Progress::Provisional
            | Progress::Opened
            | Progress::Failed(_)
            | Progress::Lost) => {
                self.progress = other;
                None
            }
        }
    }
}

/// Lines with their CRLF, in one piece.
pub(super) fn wire(lines: &[&Bytes]) -> Bytes {
    let mut wire = BytesMut::with_capacity(lines.iter().map(|line| line.len() + 2).sum());
    for line in lines {
        wire.put_slice(line);
        wire.put_slice(b"\r\n");
    }
    wire.freeze()
}
