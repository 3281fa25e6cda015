//! What the MX says, and what its loss means for whoever waits.

use super::super::link::{LinkError, Step};
use super::super::path::Charset;
use super::super::relay::{Enhanced, relayed};
use super::super::reply::ServerReply;
use super::super::{End, Waiting, replies};
use super::{Asker, AuthStep, Session, State, Trust};

impl Session {
    /// Takes octets of the MX in. Replies are counted, never matched: what comes without a command outstanding is an
    /// error (RFC 2920 §3.1).
    pub(super) fn take_server(&mut self, octets: &[u8]) {
        self.link.push(octets);
        while self.link.has_unread() {
            if !self.expects_reply() {
                return self.lose_server(LinkError::Unasked);
            }
            match self.link.next_reply() {
                Ok(Some(reply)) => self.on_reply(reply),
                Ok(None) => return,
                Err(error) => return self.lose_server(error),
            }
        }
    }

    fn expects_reply(&self) -> bool {
        match &self.state {
            State::Greeting | State::Hello(_) | State::Connecting(_) => {
                self.link.waiting() == Some(Waiting::Server)
            }
            State::MailReply { .. }
            | State::RcptReply { .. }
            | State::RefusedMail(_)
            | State::ResetReply(_)
            | State::DataReply(_)
            | State::Message { .. }
            | State::Chunk { .. }
            | State::ChunkReply(_)
            | State::Auth(AuthStep::Reply)
            | State::Outcome(_) => true,
            State::Command(_)
            | State::Securing
            | State::Verdict(_)
            | State::Swallowing { .. }
            | State::SwallowingChunk { .. }
            | State::Auth(AuthStep::Vetting(_) | AuthStep::Response)
            | State::Over => false,
        }
    }

    fn on_reply(&mut self, reply: ServerReply) {
        match self.leave() {
            waiting @ (State::Greeting | State::Hello(_) | State::Connecting(_)) => {
                self.state = waiting;
                let step = self.link.on_reply(reply, &mut self.out);
                self.on_step(step);
            }
            State::MailReply {
                pending,
                cleared,
                rcpt,
            } => self.on_mail_reply(reply, &pending, cleared, rcpt),
            State::RcptReply { cleared } => self.on_rcpt_reply(&reply, cleared),
            State::RefusedMail(mail) => self.on_rcpt_after_refused_mail(&mail, &reply),
            State::ResetReply(asker) => self.on_reset_reply(&reply, asker),
            State::DataReply(relaying) => self.on_data_reply(&reply, relaying),
            State::ChunkReply(chunked) => self.on_chunk_reply(&reply, chunked),
            State::Outcome(carrier) => self.on_outcome(&reply, carrier),
            State::Auth(AuthStep::Reply) => self.on_auth_reply(&reply),
            message @ State::Message { .. } => {
                self.state = message;
                self.on_early_reply(&reply);
            }
            chunk @ State::Chunk { .. } => {
                self.state = chunk;
                self.on_early_chunk_reply(&reply);
            }
            other @ (State::Command(_)
            | State::Securing
            | State::Verdict(_)
            | State::Swallowing { .. }
            | State::SwallowingChunk { .. }
            | State::Auth(_)
            | State::Over) => {
                self.state = other;
                self.lose_server(LinkError::Unasked);
            }
        }
    }

    /// The link has moved: whoever waits for it goes on.
    pub(super) fn on_step(&mut self, step: Step) {
        match (self.leave(), step) {
            (State::Greeting, Step::Greeted(reply)) => {
                let octets = relayed(&reply, Enhanced::AsIs, Charset::Ascii);
                self.out.tell_client(octets);
                self.enter(State::Command(Trust::Full));
            }
            (State::Hello(greeter), Step::Settled) => self.answer_hello(greeter),
            (State::Connecting(pending), Step::Settled) => self.ask(pending),
            (state @ (State::Greeting | State::Hello(_)), Step::Failed(error)) => {
                self.state = state;
                let end = error.end(End::Unreachable);
                let refusal = error.reason().closing();
                self.hang_up(Some(refusal), end);
            }
            (State::Connecting(pending), Step::Failed(error)) => {
                self.on_failed_dial(pending, &error);
            }
            (state, Step::Waits | Step::Greeted(_) | Step::Settled | Step::Failed(_)) => {
                self.enter_same(state);
            }
        }
    }

    fn enter_same(&mut self, state: State) {
        let is_link_awaited = matches!(
            state,
            State::Greeting | State::Hello(_) | State::Connecting(_)
        );
        self.state = state;
        if is_link_awaited {
            self.since = self.now;
        }
    }

    fn on_reset_reply(&mut self, reply: &ServerReply, asker: Asker) {
        if reply.code() != 250 {
            self.link.dismiss(&mut self.out);
        }
        self.finish_reset(asker);
    }

    fn finish_reset(&mut self, asker: Asker) {
        match asker {
            Asker::Client => self.say(&replies::ok()),
            Asker::Session => {}
        }
        self.enter(State::Command(Trust::Full));
    }

    pub(super) fn on_server_end(&mut self) {
        if self.link.is_open() {
            self.lose_server(LinkError::Lost);
        }
    }

    /// The connection to the MX is of no use any more: no pending command succeeds (RFC 5321 §3.8).
    pub(super) fn lose_server(&mut self, error: LinkError) {
        let step = self.link.lose(error.clone(), &mut self.out);
        self.lose_progress();
        match self.leave() {
            waiting @ (State::Greeting | State::Hello(_) | State::Connecting(_)) => {
                self.state = waiting;
                self.on_step(step);
            }
            State::MailReply { .. } | State::RcptReply { .. } | State::ChunkReply(_) => {
                self.answer_lost(&error);
            }
            State::RefusedMail(mail) => {
                self.pass(&mail);
                self.enter(State::Command(Trust::Full));
            }
            State::ResetReply(asker) => self.finish_reset(asker),
            State::DataReply(_) => self.on_lost_at_data(&error),
            message @ State::Message { .. } => {
                self.state = message;
                let lost = self.lost(&error);
                self.discard_message(lost);
            }
            chunk @ State::Chunk { .. } => {
                self.state = chunk;
                let lost = self.lost(&error);
                self.discard_chunk(lost);
            }
            State::Outcome(_) | State::Auth(AuthStep::Reply | AuthStep::Response) => {
                self.end_lost(&error);
            }
            other @ (State::Command(_)
            | State::Securing
            | State::Verdict(_)
            | State::Swallowing { .. }
            | State::SwallowingChunk { .. }
            | State::Auth(AuthStep::Vetting(_))
            | State::Over) => self.state = other,
        }
    }
}
