//! AUTH towards a host that the configuration names (RFC 4954): offered only once that host is proven, and relayed.
//!
//! ```text
//!   hello ─► Vetting ─┬─ Pin on a proof ─────────► EHLO answered with AUTH ─► AUTH ─► Reply ⇄ Response ─► 235
//!                     └─ anything else ──────────► EHLO answered without
//! ```
//!
//! Credentials are as good as the mail: they leave with a permission only, and with the connection that was shown for it.
//! Whoever has logged in has done so on that one connection, so that its loss is the end of the session.

use bytes::Bytes;

use super::super::auth::{AuthError, LONGEST_LINE, Mechanisms, challenge, is_response};
use super::super::command::Greeter;
use super::super::ehlo::Extension;
use super::super::line::{Flood, Line};
use super::super::link::LinkError;
use super::super::reply::{Class, ServerReply};
use super::super::transaction::wire;
use super::super::{Auth, Channel, End, Freedom, Question, Target, replies};
use super::{ClientSide, Session, State, Trust};
use crate::verdict::{Basis, MAX_REDIALS, Verdict};

/// What is awaited on the way to a login.
#[derive(Debug)]
pub(super) enum Step {
    /// The verdict on the host, to answer the client's hello.
    Vetting(Greeter),
    /// The reply of the MX.
    Reply,
    /// The client's answer to a challenge.
    Response,
}

/// How far the login is.
#[derive(Debug, Default)]
pub(super) struct Login {
    /// Verdicts asked for since the client's hello.
    vetted: usize,
    /// What the client was offered.
    offered: Mechanisms,
    /// It has succeeded.
    pub(super) is_done: bool,
}

impl Session {
    /// A new hello: nothing is offered until it is answered.
    pub(super) fn reset_offer(&mut self) {
        self.login.vetted = 0;
        self.login.offered = Mechanisms::default();
    }

    /// The link has come to something: is the host to be judged before the client's hello is answered?
    pub(super) fn vets(&mut self, greeter: Greeter) -> bool {
        let is_wanted = greeter == Greeter::Ehlo
            && self.settings.auth == Auth::OnceProven
            && self.login.vetted <= MAX_REDIALS
            && !self.link.mechanisms().is_empty()
            && self.link.channel() == Some(Channel::Protected);
        if is_wanted {
            self.out.judge(Question {
                // The host stands for every recipient, so that none has to be known.
                target: Target::Postmaster,
                channel: Channel::Protected,
                first: self.login.vetted == 0,
                freedom: Freedom::Free,
                received: self.now,
            });
            self.login.vetted += 1;
            self.enter(State::Auth(Step::Vetting(greeter)));
        }
        is_wanted
    }

    pub(super) fn on_vetted(&mut self, greeter: Greeter, verdict: Verdict) {
        match verdict {
            Verdict::Pin(pin) if is_proof(pin.basis) => {
                self.link.vouch(pin.cleared);
                if self.link.vouched().is_some() {
                    self.login.offered = self.link.mechanisms();
                }
                self.tell_hello(greeter);
            }
            Verdict::Redial(redial) if !self.login.is_done => {
                self.link.redial(redial, &mut self.out);
                self.enter(State::Hello(greeter));
            }
            // Recipients will hear why.
            Verdict::Pin(_) | Verdict::Redial(_) | Verdict::Refuse(_) => self.tell_hello(greeter),
        }
    }

    /// The line for the reply to EHLO, where AUTH is offered.
    pub(super) fn auth_keyword(&self) -> Option<String> {
        let offered = self.login.offered;
        (!offered.is_empty()).then(|| offered.keyword())
    }

    pub(super) fn on_auth(&mut self, line: &[u8], argument: &[u8]) {
        if self.login.offered.is_empty() {
            return self.say_idle(&replies::unserved());
        }
        if self.login.is_done || self.transaction.is_some() {
            return self.say_idle(&replies::out_of_order("not now")); // RFC 4954 §4
        }
        match self.login.offered.check(argument) {
            Ok(()) => {}
            Err(AuthError::Malformed) => return self.say_idle(&replies::malformed_auth()),
            Err(AuthError::Mechanism) => return self.say_idle(&replies::no_such_mechanism()),
        }
        let Some(permission) = self.link.vouched() else {
            return self.end_lost(&LinkError::Lost);
        };
        let line = Bytes::copy_from_slice(line);
        self.out.relay(permission, wire(&[&line]));
        self.enter(State::Auth(Step::Reply));
    }

    /// Octets of a command line: a first response may be as long as any other (RFC 4954 §3).
    pub(super) fn line_limit(&self) -> usize {
        let limit = self.settings.limits.command_line;
        if !self.login.offered.is_empty() && self.input.begins_with(b"AUTH") {
            limit.max(LONGEST_LINE)
        } else {
            limit
        }
    }

    pub(super) fn on_auth_reply(&mut self, reply: &ServerReply) {
        match (reply.code(), reply.class()) {
            (334, _) => {
                match challenge(reply) {
                    Some(whole) => self.out.tell_client(whole),
                    None => self.pass(reply),
                }
                return self.enter(State::Auth(Step::Response));
            }
            (235, _) => {
                self.login.is_done = true;
                self.tally.logged_in = true;
                self.idle = 0;
                self.pass(reply);
            }
            (_, Class::Transient | Class::Permanent) => {
                self.pass(reply);
                self.enter(State::Command(Trust::Full));
                self.count_idle();
                return;
            }
            (code, Class::Completed | Class::Intermediate) => {
                let command = "AUTH";
                return self.end_lost(&LinkError::Nonsense { command, code });
            }
        }
        self.enter(State::Command(Trust::Full));
    }

    /// Takes the client's answer to a challenge, once it is there.
    pub(super) fn take_response(&mut self) {
        if !matches!(self.state, State::Auth(Step::Response)) {
            return;
        }
        match self.input.next_line(LONGEST_LINE) {
            Ok(Some(Line::Text(line))) if is_response(&line) => {
                let Some(permission) = self.link.vouched() else {
                    return self.end_lost(&LinkError::Lost);
                };
                self.out.relay(permission, wire(&[&line]));
                self.enter(State::Auth(Step::Reply));
            }
            Ok(Some(_)) | Err(Flood) => {
                let reply = replies::closing_abuse("that is no answer to a challenge");
                self.hang_up(Some(reply), End::Refused);
            }
            Ok(None) if self.client == ClientSide::HalfClosed => {
                self.hang_up(None, End::ClientLost);
            }
            Ok(None) => {}
        }
    }

    /// A login is worth nothing on another connection: ends the session where it would need one.
    pub(super) fn ends_with_login(&mut self) -> bool {
        if self.login.is_done {
            self.end_lost(&LinkError::Lost);
        }
        self.login.is_done
    }

    /// The extensions that the client may use, AUTH among them where it is offered.
    pub(super) fn with_auth(&self, told: super::Extensions) -> super::Extensions {
        if self.login.offered.is_empty() {
            told
        } else {
            told.with(Extension::Auth)
        }
    }
}

/// Does it say who the host is?
const fn is_proof(basis: Basis) -> bool {
    match basis {
        Basis::DaneEe
        | Basis::DaneTa
        | Basis::Sts
        | Basis::DaneAndSts
        | Basis::Webpki
        | Basis::Pinned => true,
        Basis::Cleartext | Basis::OpportunisticTls | Basis::Encrypted => false,
    }
}
