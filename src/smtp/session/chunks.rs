//! BDAT: chunks go through as they come, one outstanding at a time, and each reply is the MX's own (RFC 3030 §2).
//!
//! ```text
//!   BDAT n ─► Chunk ─ n octets ─┬─► ChunkReply ─► the MX's reply ─► the next BDAT
//!               │               └─ LAST ─► Outcome ─► the MX's reply
//!               └─ tainted, or the MX lost; or nobody to send it to ─► SwallowingChunk ─ n octets ─► why not
//! ```
//!
//! A message fails with its first chunk that fails: the MX is reset at once or left, and what more the client has
//! pipelined is swallowed and hears the same again, since some take the reply to LAST for that to the message.

use bytes::Bytes;

use super::super::chunk::{Chunk, Last};
use super::super::data::BareLineEnds;
use super::super::ehlo::Extension;
use super::super::link::LinkError;
use super::super::outbox::Control;
use super::super::reply::{Class, ServerReply};
use super::super::transaction::{Chunked, Progress, Transaction};
use super::super::{End, Reply, replies};
use super::{Asker, Carrier, Session, State, Trust};
use crate::verdict::Reason;

impl Session {
    pub(super) fn on_bdat(&mut self, argument: &[u8]) {
        // Whatever is wrong here, its octets would be read as commands (attack DN-13).
        if !self.told.is_some_and(|told| told.has(Extension::Chunking)) {
            return self.hang_up_quietly(&replies::no_chunking(), End::Refused);
        }
        let chunk = match Chunk::parse(argument) {
            Ok(chunk) => chunk,
            Err(error) => return self.hang_up_quietly(&error.reply(), End::Refused),
        };
        let chunked = self
            .transaction
            .as_mut()
            .and_then(Transaction::take_chunked);
        let is_idle = match chunked {
            Some(_) => chunk.left == 0 && chunk.last == Last::No,
            // A message that was pipelined whole is to be borne (RFC 3030 §2), but not as so many commands.
            None => chunk.left < SMALL,
        };
        if is_idle && !self.count_idle() {
            return;
        }
        match chunked {
            Some(chunked) => self.send_chunk(chunk, chunked),
            None => self.turn_chunk_away(chunk),
        }
    }

    fn send_chunk(&mut self, chunk: Chunk, chunked: Chunked) {
        let is_offered = self
            .link
            .extensions()
            .is_some_and(|offered| offered.has(Extension::Chunking));
        if is_offered {
            self.out.relay(&chunked.relaying.cleared, chunk.line());
            self.enter(State::Chunk { chunk, chunked });
        } else {
            // It was, by the connection that the client's EHLO was answered from.
            self.link.dismiss(&mut self.out);
            let missing = Extension::Chunking;
            let shortfall = self.troubled(Reason::Shortfall { missing });
            let answer = self.traced(shortfall);
            self.fail_message(chunk.last, answer.clone());
            self.enter(State::SwallowingChunk { chunk, answer });
        }
        self.take_early_octets();
    }

    /// There is nobody to send it to.
    fn turn_chunk_away(&mut self, chunk: Chunk) {
        let failed = match self.transaction.as_ref().map(|open| &open.progress) {
            Some(Progress::Failed(answer)) => Some(answer.clone()),
            Some(Progress::Lost) => {
                let lost = self.lost(&LinkError::Lost);
                Some(self.traced(lost))
            }
            Some(
                Progress::Provisional
                | Progress::Opened
                | Progress::Relaying(_)
                | Progress::Chunking(_),
            )
            | None => None,
        };
        let answer = match failed {
            Some(answer) => {
                self.fail_message(chunk.last, answer.clone());
                answer
            }
            None => replies::out_of_order("no recipient was accepted").encode(),
        };
        self.enter(State::SwallowingChunk { chunk, answer });
        self.take_early_octets();
    }

    fn take_early_octets(&mut self) {
        let early = self.input.take();
        self.on_chunk(&early);
    }

    /// Octets of a chunk, wherever it goes, and what follows them.
    pub(super) fn on_chunk(&mut self, octets: &[u8]) {
        self.since = self.now;
        let rest = match &mut self.state {
            State::Chunk { chunk, chunked } => {
                let (mine, rest) = octets.split_at(chunk.take(octets.len()));
                let is_end = chunk.left == 0 && chunk.last == Last::Yes;
                let is_clean =
                    chunked.lines.are_sound(mine) && !(is_end && chunked.lines.is_open());
                let is_sound = is_clean || self.settings.bare_line_ends == BareLineEnds::Pass;
                if is_sound && !mine.is_empty() {
                    let octets = Bytes::copy_from_slice(mine);
                    self.out.relay(&chunked.relaying.cleared, octets);
                }
                if !is_sound {
                    // Without all of its octets the MX cannot take the chunk for complete.
                    self.link.abort(&mut self.out);
                    self.discard_chunk(replies::bare_newline());
                }
                rest
            }
            State::SwallowingChunk { chunk, .. } => &octets[chunk.take(octets.len())..],
            State::Greeting
            | State::Securing
            | State::Command(_)
            | State::Hello(_)
            | State::Connecting(_)
            | State::Verdict(_)
            | State::MailReply { .. }
            | State::RcptReply { .. }
            | State::RefusedMail(_)
            | State::ResetReply(_)
            | State::DataReply(_)
            | State::Message { .. }
            | State::ChunkReply(_)
            | State::Outcome(_)
            | State::Swallowing { .. }
            | State::Auth(_)
            | State::Over => octets,
        };
        self.end_chunk();
        self.queue(rest);
    }

    /// Goes on when all octets are there.
    fn end_chunk(&mut self) {
        if let State::Chunk { chunk, .. } | State::SwallowingChunk { chunk, .. } = &self.state
            && chunk.left > 0
        {
            return;
        }
        let state = self.leave();
        if let State::Chunk { chunk, chunked } = state {
            match chunk.last {
                Last::Yes => self.enter(State::Outcome(Carrier::Chunks)),
                Last::No => self.enter(State::ChunkReply(chunked)),
            }
        } else if let State::SwallowingChunk { answer, .. } = state {
            self.out.tell_client(answer);
            self.enter(State::Command(Trust::Full));
        } else {
            self.state = state;
        }
    }

    /// The rest of the chunk goes nowhere; its end is answered with `reply`.
    pub(super) fn discard_chunk(&mut self, reply: Reply) {
        let answer = self.traced(reply);
        self.swallow_chunk(answer);
    }

    fn swallow_chunk(&mut self, answer: Bytes) {
        if let State::Chunk { chunk, .. } = self.leave() {
            self.fail_message(chunk.last, answer.clone());
            self.enter(State::SwallowingChunk { chunk, answer });
        }
    }

    /// The message has failed, and what more of it comes has too.
    fn fail_message(&mut self, last: Last, answer: Bytes) {
        match (last, &mut self.transaction) {
            (Last::No, Some(transaction)) => transaction.progress = Progress::Failed(answer),
            (Last::Yes, _) | (Last::No, None) => self.transaction = None,
        }
    }

    /// The MX speaks before the chunk is complete: a refusal can be believed, anything else not.
    pub(super) fn on_early_chunk_reply(&mut self, reply: &ServerReply) {
        self.link.abort(&mut self.out);
        match reply.class() {
            Class::Transient | Class::Permanent => {
                let answer = self.render(reply);
                self.swallow_chunk(answer);
            }
            Class::Completed | Class::Intermediate => {
                let lost = self.lost(&LinkError::Unasked);
                self.discard_chunk(lost);
            }
        }
    }

    pub(super) fn on_chunk_reply(&mut self, reply: &ServerReply, chunked: Chunked) {
        match reply.class() {
            Class::Completed => {
                self.pass(reply);
                if let Some(transaction) = &mut self.transaction {
                    transaction.progress = Progress::Chunking(chunked);
                }
                self.enter(State::Command(Trust::Full));
            }
            Class::Transient | Class::Permanent => {
                let answer = self.render(reply);
                self.out.tell_client(answer.clone());
                self.fail_message(Last::No, answer);
                self.reset_server();
            }
            Class::Intermediate => self.answer_nonsense("BDAT", reply.code()),
        }
    }

    /// After a chunk that failed nobody knows what an MX makes of anything but RSET (RFC 3030 §2).
    pub(super) fn reset_server(&mut self) {
        self.out.control(Control::Rset);
        self.enter(State::ResetReply(Asker::Session));
    }
}

/// Octets of a chunk that is rather a command than a part of a message.
const SMALL: u64 = 512;
