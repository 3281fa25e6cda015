//! How it ends: goodbyes, deadlines, shutdown.

use std::time::Instant;

use super::super::link::LinkError;
use super::super::{End, Reply, Target, Timeouts, Waiting, replies};
use super::{AuthStep, Life, Session, State};
use crate::verdict::Reason;

impl Session {
    /// Ends the session, with a last word about what went wrong when there is one.
    pub(super) fn hang_up(&mut self, reply: Option<Reply>, end: End) {
        if let Some(reply) = reply {
            self.refuse(reply);
        }
        self.close(end);
    }

    /// Ends the session with a reply that is no complaint.
    pub(super) fn hang_up_quietly(&mut self, reply: &Reply, end: End) {
        self.say(reply);
        self.close(end);
    }

    /// Ends it with the MX: nobody knows what that has made of what it was sent.
    pub(super) fn end_lost(&mut self, error: &LinkError) {
        let reason = error.reason();
        let lost = reason.closing();
        self.trouble.get_or_insert(reason);
        self.hang_up(Some(lost), error.end(End::ServerLost));
    }

    /// The refusal for an MX that was cleared and is lost.
    pub(super) fn lost(&mut self, error: &LinkError) -> Reply {
        self.troubled(error.reason())
    }

    /// The refusal for what an MX that was cleared has come to; the record tells of the first.
    pub(super) fn troubled(&mut self, reason: Reason) -> Reply {
        let reply = reason.reply();
        self.trouble.get_or_insert(reason);
        reply
    }

    fn close(&mut self, end: End) {
        if self.end().is_some() {
            return;
        }
        match self.leave() {
            State::Greeting
            | State::Securing
            | State::Command(_)
            | State::Hello(_)
            | State::Connecting(_)
            | State::Verdict(_)
            | State::Auth(AuthStep::Vetting(_))
            | State::Swallowing { .. }
            | State::SwallowingChunk { .. } => self.link.dismiss(&mut self.out),
            // A command is outstanding, or half a message is with the MX: QUIT would not be heard, or become part of it.
            State::MailReply { .. }
            | State::RcptReply { .. }
            | State::RefusedMail(_)
            | State::ResetReply(_)
            | State::DataReply(_)
            | State::Message { .. }
            | State::Chunk { .. }
            | State::ChunkReply(_)
            | State::Outcome(_)
            | State::Auth(AuthStep::Reply | AuthStep::Response)
            | State::Over => self.link.abort(&mut self.out),
        }
        self.out.close_client();
        self.transaction = None;
        self.input.take();
        self.life = Life::Ended(end);
        self.enter(State::Over);
    }

    /// Whom the session waits for.
    pub(super) const fn waiting(&self) -> Option<Waiting> {
        match &self.state {
            State::Greeting | State::Hello(_) | State::Connecting(_) => self.link.waiting(),
            State::Command(_)
            | State::Message { .. }
            | State::Chunk { .. }
            | State::Swallowing { .. }
            | State::SwallowingChunk { .. }
            | State::Auth(AuthStep::Response) => Some(Waiting::Client),
            State::Securing => Some(Waiting::ClientTls),
            State::Verdict(_) | State::Auth(AuthStep::Vetting(_)) => Some(Waiting::Verdict),
            State::MailReply { .. }
            | State::RcptReply { .. }
            | State::RefusedMail(_)
            | State::ResetReply(_)
            | State::DataReply(_)
            | State::Auth(AuthStep::Reply)
            | State::ChunkReply(_)
            | State::Outcome(_) => Some(Waiting::Server),
            State::Over => None,
        }
    }

    /// Until when. A command counts from the last reply, not from its last octet, so that one octet now and then keeps
    /// nobody waiting.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let timeouts = &self.settings.timeouts;
        let deadline = match &self.state {
            State::Greeting
            | State::Hello(_)
            | State::MailReply { .. }
            | State::RcptReply { .. }
            | State::RefusedMail(_)
            | State::ResetReply(_)
            | State::Auth(AuthStep::Reply)
            | State::DataReply(_)
            | State::ChunkReply(_) => self.since + timeouts.reply,
            State::Connecting(pending) => {
                let decide_by = pending.received + timeouts.decision;
                decide_by.min(self.since + timeouts.reply)
            }
            State::Verdict(pending) => pending.received + timeouts.decision,
            State::Auth(AuthStep::Vetting(_)) => self.since + timeouts.decision,
            State::Command(_) if self.is_server_unused() => {
                self.since + timeouts.command.min(timeouts.unused)
            }
            State::Command(_) | State::Securing | State::Auth(AuthStep::Response) => {
                self.since + timeouts.command
            }
            State::Message { .. }
            | State::Chunk { .. }
            | State::Swallowing { .. }
            | State::SwallowingChunk { .. } => self.since + timeouts.data,
            State::Outcome(_) => self.since + timeouts.end_of_data,
            State::Over => return None,
        };
        Some(deadline)
    }

    pub(super) fn on_timeout(&mut self) {
        let Timeouts {
            decision, command, ..
        } = self.settings.timeouts;
        match self.leave() {
            State::Verdict(pending) => self.give_up_deciding(pending),
            // Not the decision has taken the time: the MX has.
            State::Connecting(pending) if self.now >= pending.received + decision => {
                self.give_up(pending, LinkError::Silent.reason());
            }
            // The client is not to blame: it hears what can be promised without.
            State::Auth(AuthStep::Vetting(greeter)) => {
                let (target, recipient) = (Target::Postmaster, Target::Postmaster.to_string());
                self.out.gave_up(target, Reason::Budget { recipient });
                self.tell_hello(greeter);
            }
            // The client may stay; an MX does not wait for a client that may never say whom it writes to.
            state @ State::Command(_)
                if self.is_server_unused() && self.now < self.since + command =>
            {
                self.state = state;
                self.link.dismiss(&mut self.out);
            }
            state @ (State::Command(_)
            | State::Message { .. }
            | State::Chunk { .. }
            | State::Swallowing { .. }
            | State::SwallowingChunk { .. }
            | State::Auth(AuthStep::Response)) => {
                self.state = state;
                self.hang_up(Some(replies::closing_idle()), End::Timeout);
            }
            // Between clear and protected there is no word that could be said.
            state @ State::Securing => {
                self.state = state;
                self.hang_up(None, End::Timeout);
            }
            state @ (State::Greeting
            | State::Hello(_)
            | State::Connecting(_)
            | State::MailReply { .. }
            | State::RcptReply { .. }
            | State::RefusedMail(_)
            | State::ResetReply(_)
            | State::DataReply(_)
            | State::Auth(AuthStep::Reply)
            | State::ChunkReply(_)
            | State::Outcome(_)) => {
                self.state = state;
                self.lose_server(LinkError::Silent);
            }
            State::Over => {}
        }
    }

    /// A login is use enough: it would go with the connection.
    fn is_server_unused(&self) -> bool {
        self.link.is_open() && !self.is_relaying() && !self.login.is_done
    }

    /// New transactions end in [`Session::advance`]; here only who waits without the MX having heard of a transaction.
    pub(super) fn on_shutdown(&mut self) {
        if self.life == Life::Running {
            self.life = Life::Draining;
        }
        let is_idle = match &self.state {
            State::Greeting | State::Hello(_) | State::Auth(_) => true,
            State::Connecting(_) | State::Verdict(_) => !self.is_relaying(),
            // A client that shakes hands hears it inside TLS.
            State::Command(_)
            | State::Securing
            | State::MailReply { .. }
            | State::RcptReply { .. }
            | State::RefusedMail(_)
            | State::ResetReply(_)
            | State::DataReply(_)
            | State::Message { .. }
            | State::Chunk { .. }
            | State::ChunkReply(_)
            | State::Outcome(_)
            | State::Swallowing { .. }
            | State::SwallowingChunk { .. }
            | State::Over => false,
        };
        if is_idle {
            self.hang_up(Some(replies::closing_shutdown()), End::Shutdown);
        }
    }
}
