//! RCPT: find something to judge, have it judged, and ask the MX only when it is cleared.
//!
//! ```text
//!   RCPT ─► Connecting ─► Verdict ─┬─ Pin ─► MailReply ─► RcptReply ─► the MX's reply
//!              ▲                   ├─ Refuse ─► the reason's reply; QUIT to an MX that holds no recipient
//!              └───── Redial ──────┘
//! ```

use std::time::Instant;

use super::super::command::Rcpt;
use super::super::ehlo::Extension;
use super::super::link::LinkError;
use super::super::reply::{Class, ServerReply};
use super::super::transaction::{Progress, Transaction, wire};
use super::super::{Freedom, Question, Reply, Target, replies};
use super::{AuthStep, Session, State, Trust};
use crate::verdict::{Cleared, Reason, Redial, Verdict};

/// A recipient whose fate is open.
#[derive(Debug)]
pub(super) struct Pending {
    rcpt: Rcpt,
    pub(super) received: Instant,
    redials: usize,
    /// The connection before the one that is being made would have done.
    any_will_do: bool,
}

/// Whether RCPT went out together with MAIL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RcptSent {
    Pipelined,
    NotYet,
}

impl Session {
    pub(super) fn on_rcpt(&mut self, line: &[u8], argument: &[u8]) {
        let (Some(told), Some(transaction)) = (self.told, &mut self.transaction) else {
            return self.say_idle(&replies::out_of_order("say MAIL first"));
        };
        if let Progress::Chunking(_) | Progress::Failed(_) = transaction.progress {
            return self.say_idle(&replies::out_of_order("the message has begun"));
        }
        let rcpt = match Rcpt::parse(line, argument, told, transaction.charset()) {
            Ok(rcpt) => rcpt,
            Err(error) => return self.say_idle(&error.reply()),
        };
        if transaction.recipients >= self.settings.limits.recipients {
            return self.say_idle(&replies::too_many_recipients()); // RFC 5321 §4.5.3.1.10
        }
        transaction.recipients += 1;
        if matches!(transaction.progress, Progress::Lost) {
            let lost = self.lost(&LinkError::Lost);
            return self.refuse(lost);
        }
        if let Some(reply) = transaction.refusal(&rcpt.target) {
            let reply = reply.clone();
            return self.refuse(reply);
        }
        let is_new = !self.targets.contains(&rcpt.target);
        if is_new && self.targets.len() >= self.settings.limits.domains {
            return self.refuse(replies::too_many_domains());
        }
        self.targets.insert(rcpt.target.clone());
        self.pursue(Pending {
            rcpt,
            received: self.now,
            redials: 0,
            any_will_do: false,
        });
    }

    /// Judges what there is, or dials for something to judge.
    fn pursue(&mut self, pending: Pending) {
        if self.link.channel().is_some() {
            return self.ask(pending);
        }
        if self.ends_with_login() {
            return;
        }
        self.link.dial(&mut self.out);
        self.enter(State::Connecting(pending));
    }

    /// The link has come to something that can be judged.
    pub(super) fn ask(&mut self, pending: Pending) {
        let Some(channel) = self.link.channel() else {
            return self.answer_lost(&LinkError::Lost);
        };
        self.out.judge(Question {
            target: pending.rcpt.target.clone(),
            channel,
            first: pending.redials == 0,
            freedom: if self.has_recipients() {
                Freedom::Bound
            } else {
                Freedom::Free
            },
            received: pending.received,
        });
        self.enter(State::Verdict(pending));
    }

    pub(super) fn on_verdict(&mut self, verdict: Verdict) {
        if let State::Auth(AuthStep::Vetting(greeter)) = self.state {
            return self.on_vetted(greeter, verdict);
        }
        if !matches!(self.state, State::Verdict(_)) {
            return; // the answer to a question that is void
        }
        let State::Verdict(pending) = self.leave() else {
            return;
        };
        match verdict {
            Verdict::Pin(pin) => self.on_pin(pending, pin.cleared),
            Verdict::Redial(redial) => self.on_redial(pending, redial),
            Verdict::Refuse(refusal) => self.turn_down(pending.rcpt.target, refusal.reason.reply()),
        }
    }

    /// A favourable verdict is about the connection that was shown: without it, it is worth nothing.
    fn on_pin(&mut self, pending: Pending, cleared: Cleared) {
        let (Some(offered), Some(transaction)) = (self.link.extensions(), &self.transaction) else {
            return self.answer_lost(&LinkError::Lost);
        };
        let missing = transaction.uses(&pending.rcpt).without(offered);
        if let Some(first) = missing.iter().next() {
            self.lacking = self.lacking.union(missing.only_assumed());
            let shortfall = self.troubled(Reason::Shortfall { missing: first });
            return self.turn_down(pending.rcpt.target, shortfall);
        }
        let rcpt = &pending.rcpt.line;
        match transaction.progress {
            Progress::Provisional if offered.has(Extension::Pipelining) => {
                let octets = wire(&[&transaction.mail.line, rcpt]);
                self.out.relay(&cleared, octets);
                self.enter(State::MailReply {
                    pending,
                    cleared,
                    rcpt: RcptSent::Pipelined,
                });
            }
            Progress::Provisional => {
                self.out.relay(&cleared, wire(&[&transaction.mail.line]));
                self.enter(State::MailReply {
                    pending,
                    cleared,
                    rcpt: RcptSent::NotYet,
                });
            }
            Progress::Opened | Progress::Relaying(_) => self.send_rcpt(&pending, cleared),
            Progress::Chunking(_) | Progress::Failed(_) | Progress::Lost => {
                self.answer_lost(&LinkError::Lost);
            }
        }
    }

    fn send_rcpt(&mut self, pending: &Pending, cleared: Cleared) {
        self.out.relay(&cleared, wire(&[&pending.rcpt.line]));
        self.enter(State::RcptReply { cleared });
    }

    /// The MX holds recipients that it accepted on this connection, so no other can be had for this one.
    fn on_redial(&mut self, mut pending: Pending, redial: Redial) {
        if self.has_recipients() {
            let target = pending.rcpt.target;
            let recipient = target.to_string();
            return self.turn_down(target, Reason::OneDomain { recipient }.reply());
        }
        if self.ends_with_login() {
            return;
        }
        if pending.redials > redial.after_at_most() {
            let what = String::from("every connection calls for yet another");
            return self.give_up(pending, Reason::Unreachable { what });
        }
        pending.redials += 1;
        pending.any_will_do = matches!(redial, Redial::Observe(_));
        self.lose_progress();
        self.link.redial(redial, &mut self.out);
        self.enter(State::Connecting(pending));
    }

    /// Refuses a recipient, and leaves an MX that has accepted none (rule R4 of the decision table).
    fn turn_down(&mut self, target: Target, reply: Reply) {
        if let Some(transaction) = &mut self.transaction {
            transaction.remember_refusal(target, reply.clone());
        }
        if !self.has_recipients() {
            self.link.dismiss(&mut self.out);
            self.lose_progress();
        }
        self.refuse(reply);
        self.enter(State::Command(Trust::Full));
    }

    /// The decision has taken too long.
    pub(super) fn give_up_deciding(&mut self, pending: Pending) {
        let recipient = pending.rcpt.target.to_string();
        self.give_up(pending, Reason::Budget { recipient });
    }

    /// The connection that was dialled for has come to nothing: testing refuses nobody (RFC 8461 §5), so one that was wanted
    /// for the record alone is followed by another, as where nothing is demanded.
    pub(super) fn on_failed_dial(&mut self, mut pending: Pending, error: &LinkError) {
        if !std::mem::take(&mut pending.any_will_do) {
            return self.give_up(pending, error.reason());
        }
        self.link.dial(&mut self.out);
        self.enter(State::Connecting(pending));
    }

    /// There is nothing to judge it by, or no time: the recipient may be tried elsewhere.
    pub(super) fn give_up(&mut self, pending: Pending, reason: Reason) {
        let (target, reply) = (pending.rcpt.target, reason.reply());
        self.out.gave_up(target.clone(), reason);
        self.turn_down(target, reply);
    }

    /// RFC 5321 §3.3: what the MX has against the sender comes as the reply to RCPT.
    pub(super) fn on_mail_reply(
        &mut self,
        reply: ServerReply,
        pending: &Pending,
        cleared: Cleared,
        rcpt: RcptSent,
    ) {
        match (reply.class(), rcpt) {
            (Class::Completed, _) => {
                if let Some(transaction) = &mut self.transaction {
                    transaction.progress = Progress::Opened;
                }
                match rcpt {
                    RcptSent::Pipelined => self.enter(State::RcptReply { cleared }),
                    RcptSent::NotYet => self.send_rcpt(pending, cleared),
                }
            }
            (Class::Transient | Class::Permanent, RcptSent::Pipelined) => {
                self.enter(State::RefusedMail(reply));
            }
            (Class::Transient | Class::Permanent, RcptSent::NotYet) => {
                self.pass(&reply);
                self.enter(State::Command(Trust::Full));
            }
            (Class::Intermediate, _) => self.answer_nonsense("MAIL", reply.code()),
        }
    }

    /// The pipelined RCPT was answered too; what counts is the reply to MAIL.
    pub(super) fn on_rcpt_after_refused_mail(&mut self, mail: &ServerReply, rcpt: &ServerReply) {
        if rcpt.class() == Class::Completed {
            // It holds a recipient of a transaction that it refused: who knows what it would do with the next.
            self.link.abort(&mut self.out);
        }
        self.pass(mail);
        self.enter(State::Command(Trust::Full));
    }

    pub(super) fn on_rcpt_reply(&mut self, reply: &ServerReply, cleared: Cleared) {
        match reply.class() {
            Class::Completed => {
                if let Some(transaction) = &mut self.transaction {
                    transaction.accept(cleared);
                }
                self.tally.recipients += 1;
                self.idle = 0;
            }
            Class::Transient | Class::Permanent => {}
            Class::Intermediate => return self.answer_nonsense("RCPT", reply.code()),
        }
        self.pass(reply);
        self.enter(State::Command(Trust::Full));
    }

    pub(super) fn answer_nonsense(&mut self, command: &'static str, code: u16) {
        self.link.abort(&mut self.out);
        self.lose_progress();
        self.answer_lost(&LinkError::Nonsense { command, code });
    }

    /// The command fails with the connection (RFC 5321 §3.8); the transaction has forgotten it already.
    pub(super) fn answer_lost(&mut self, error: &LinkError) {
        let lost = self.lost(error);
        self.refuse(lost);
        self.enter(State::Command(Trust::Full));
    }

    pub(super) fn lose_progress(&mut self) {
        if let Some(transaction) = &mut self.transaction {
            transaction.lose();
        }
    }

    fn has_recipients(&self) -> bool {
        self.transaction
            .as_ref()
            .is_some_and(Transaction::has_recipients)
    }
}
