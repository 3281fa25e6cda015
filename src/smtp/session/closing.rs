//! How it ends: goodbyes, deadlines, shutdown.

use std::time::Instant;

use super::super::link::LinkError;
use super::super::{End, Reply, Waiting, replies};
use super::{AuthStep, Life, Session, State};

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

    fn close(&mut self, end: End) {
        if self.end().is_some() {
            return;
        }
        match self.leave() {
            State::Greeting
            | State::Command(_)
            | State::Hello(_)
            | State::Connecting(_)
            | State::Verdict(_)
            | State::Auth(AuthStep::Vetting(_))
            | State::Swallowing { .. } => self.link.dismiss(&mut self.out),
            // A command is outstanding, or half a message is with the MX: QUIT would not be heard, or become part of it.
            State::MailReply { .. }
            | State::RcptReply { .. }
            | State::RefusedMail(_)
            | State::ResetReply
            | State::DataReply(_)
            | State::Message { .. }
            | State::Outcome
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
            | State::Swallowing { .. }
            | State::Auth(AuthStep::Response) => Some(Waiting::Client),
            State::Verdict(_) | State::Auth(AuthStep::Vetting(_)) => Some(Waiting::Verdict),
            State::MailReply { .. }
            | State::RcptReply { .. }
            | State::RefusedMail(_)
            | State::ResetReply
            | State::DataReply(_)
            | State::Auth(AuthStep::Reply)
            | State::Outcome => Some(Waiting::Server),
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
            | State::ResetReply
            | State::Auth(AuthStep::Reply)
            | State::DataReply(_) => self.since + timeouts.reply,
            State::Connecting(pending) => {
                let decide_by = pending.received + timeouts.decision;
                decide_by.min(self.since + timeouts.reply)
            }
            State::Verdict(pending) => pending.received + timeouts.decision,
            State::Auth(AuthStep::Vetting(_)) => self.since + timeouts.decision,
            State::Command(_) | State::Auth(AuthStep::Response) => self.since + timeouts.command,
            State::Message { .. } | State::Swallowing { .. } => self.since + timeouts.data,
            State::Outcome => self.since + timeouts.end_of_data,
            State::Over => return None,
        };
        Some(deadline)
    }

    pub(super) fn on_timeout(&mut self) {
        let decision = self.settings.timeouts.decision;
        match self.leave() {
            State::Verdict(pending) => self.give_up_deciding(pending),
            State::Connecting(pending) if self.now >= pending.received + decision => {
                self.give_up_deciding(pending);
            }
            // The client is not to blame: it hears what can be promised without.
            State::Auth(AuthStep::Vetting(greeter)) => self.tell_hello(greeter),
            state @ (State::Command(_)
            | State::Message { .. }
            | State::Swallowing { .. }
            | State::Auth(AuthStep::Response)) => {
                self.state = state;
                self.hang_up(Some(replies::closing_idle()), End::Timeout);
            }
            state @ (State::Greeting
            | State::Hello(_)
            | State::Connecting(_)
            | State::MailReply { .. }
            | State::RcptReply { .. }
            | State::RefusedMail(_)
            | State::ResetReply
            | State::DataReply(_)
            | State::Auth(AuthStep::Reply)
            | State::Outcome) => {
                self.state = state;
                self.lose_server(LinkError::Silent);
            }
            State::Over => {}
        }
    }

    /// New transactions end in [`Session::advance`]; here only who waits without the MX having heard of a transaction.
    pub(super) fn on_shutdown(&mut self) {
        if self.life == Life::Running {
            self.life = Life::Draining;
        }
        let is_idle = match &self.state {
            State::Greeting | State::Hello(_) | State::Auth(_) => true,
            State::Connecting(_) | State::Verdict(_) => !self.is_relaying(),
            State::Command(_)
            | State::MailReply { .. }
            | State::RcptReply { .. }
            | State::RefusedMail(_)
            | State::ResetReply
            | State::DataReply(_)
            | State::Message { .. }
            | State::Outcome
            | State::Swallowing { .. }
            | State::Over => false,
        };
        if is_idle {
            self.hang_up(Some(replies::closing_shutdown()), End::Shutdown);
        }
    }
}
