//! DATA: octets go through as they are, and every word about them is the MX's own (RFC 5321 §4.2.5).
//!
//! ```text
//!   DATA ─► DataReply ─ 354 ─► Message ─ CRLF.CRLF ─► Outcome ─► the MX's reply
//!                                 └─ tainted, or the MX lost ─► Swallowing ─ CRLF.CRLF ─► why not
//! ```

use bytes::Bytes;

use super::super::data::{EndOfData, Scanned};
use super::super::link::LinkError;
use super::super::reply::{Class, ServerReply};
use super::super::transaction::{Progress, Relaying, Transaction};
use super::super::{End, Reply, replies};
use super::{Carrier, Session, State, Trust};

impl Session {
    pub(super) fn on_data_command(&mut self) {
        let relaying = self
            .transaction
            .as_mut()
            .and_then(Transaction::take_relaying);
        if let Some(relaying) = relaying {
            self.out
                .relay(&relaying.cleared, Bytes::from_static(b"DATA\r\n"));
            return self.enter(State::DataReply(relaying));
        }
        match self.transaction.as_ref().map(|open| &open.progress) {
            Some(Progress::Lost) => {
                let lost = self.lost(&LinkError::Lost);
                self.refuse(lost);
            }
            // RFC 3030 §2: not both in one transaction.
            Some(Progress::Chunking(_) | Progress::Failed(_)) => {
                self.say_idle(&replies::out_of_order("the message has begun with BDAT"));
            }
            // RFC 2920 §3.2: never 354 without a recipient.
            Some(Progress::Provisional | Progress::Opened | Progress::Relaying(_)) | None => {
                self.say_idle(&replies::out_of_order("no recipient was accepted"));
            }
        }
        self.after_refused_data();
    }

    /// What a client has sent without waiting for 354 is a message, and must never run as commands (attack DN-02).
    fn after_refused_data(&mut self) {
        if self.end().is_some() {
            return;
        }
        self.enter(State::Command(Trust::AfterRefusedData));
        if !self.input.is_empty() {
            self.hang_up(Some(replies::closing_data_behind()), End::Refused);
        }
    }

    pub(super) fn on_data_reply(&mut self, reply: &ServerReply, relaying: Relaying) {
        match (reply.code(), reply.class()) {
            (354, _) => {
                self.pass(reply);
                self.enter(State::Message {
                    relaying,
                    scanner: EndOfData::new(self.settings.bare_line_ends),
                });
                let early = self.input.take();
                if !early.is_empty() {
                    self.on_data(&early);
                }
            }
            (_, Class::Transient | Class::Permanent) => {
                self.pass(reply);
                if let Some(transaction) = &mut self.transaction {
                    transaction.progress = Progress::Relaying(relaying);
                }
                self.after_refused_data();
            }
            (code, Class::Completed | Class::Intermediate) => {
                self.link.abort(&mut self.out);
                let command = "DATA";
                let lost = self.lost(&LinkError::Nonsense { command, code });
                self.refuse(lost);
                self.after_refused_data();
            }
        }
    }

    pub(super) fn on_lost_at_data(&mut self, error: &LinkError) {
        let lost = self.lost(error);
        self.refuse(lost);
        self.after_refused_data();
    }

    /// Message data, wherever it goes.
    pub(super) fn on_data(&mut self, octets: &[u8]) {
        self.since = self.now;
        let scanned = match &mut self.state {
            State::Message { relaying, scanner } => {
                let out = &mut self.out;
                scanner.scan(octets, |clean| {
                    out.relay(&relaying.cleared, Bytes::copy_from_slice(clean));
                })
            }
            State::Swallowing { scanner, .. } => {
                let end = swallow(scanner, octets);
                return end.map_or((), |end| self.finish_swallowing(&octets[end..]));
            }
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
            | State::Chunk { .. }
            | State::ChunkReply(_)
            | State::Outcome(_)
            | State::SwallowingChunk { .. }
            | State::Auth(_)
            | State::Over => return self.queue(octets),
        };
        match scanned {
            Scanned::More => {}
            Scanned::End(end) => {
                self.enter(State::Outcome(Carrier::Data));
                self.queue(&octets[end..]);
            }
            Scanned::Tainted(at) => {
                // Without its final dot the MX cannot take the message for complete.
                self.link.abort(&mut self.out);
                self.discard_message(replies::bare_newline());
                self.on_data(&octets[at..]);
            }
        }
    }

    /// The rest of the message goes nowhere; its end is answered with `reply`.
    pub(super) fn discard_message(&mut self, reply: Reply) {
        let answer = self.traced(reply);
        self.swallow_until(answer);
    }

    fn swallow_until(&mut self, answer: Bytes) {
        if let State::Message { scanner, .. } = self.leave() {
            self.enter(State::Swallowing { scanner, answer });
        }
    }

    fn finish_swallowing(&mut self, rest: &[u8]) {
        if let State::Swallowing { answer, .. } = self.leave() {
            self.out.tell_client(answer);
        }
        self.transaction = None;
        self.enter(State::Command(Trust::Full));
        self.queue(rest);
    }

    /// The MX speaks before the message is complete: a refusal can be believed, anything else not.
    pub(super) fn on_early_reply(&mut self, reply: &ServerReply) {
        self.link.abort(&mut self.out);
        match reply.class() {
            Class::Transient | Class::Permanent => {
                let answer = self.render(reply);
                self.swallow_until(answer);
            }
            Class::Completed | Class::Intermediate => {
                let lost = self.lost(&LinkError::Unasked);
                self.discard_message(lost);
            }
        }
    }

    pub(super) fn on_outcome(&mut self, reply: &ServerReply, carrier: Carrier) {
        let code = reply.code();
        match reply.class() {
            Class::Completed => self.tally.messages += 1,
            Class::Transient | Class::Permanent => {}
            Class::Intermediate => {
                let command = "the message";
                return self.end_lost(&LinkError::Nonsense { command, code });
            }
        }
        self.pass(reply);
        self.transaction = None;
        self.idle = 0;
        match (carrier, reply.class()) {
            (Carrier::Data, _) | (Carrier::Chunks, Class::Completed) => {
                self.enter(State::Command(Trust::Full));
            }
            (Carrier::Chunks, _) => self.reset_server(),
        }
    }
}

/// Where the message ends, whatever is in it.
fn swallow(scanner: &mut EndOfData, octets: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match scanner.scan(&octets[at..], |_| {}) {
            Scanned::Tainted(more) => at += more,
            Scanned::More => return None,
            Scanned::End(more) => return Some(at + more),
        }
    }
}
