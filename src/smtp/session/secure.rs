//! STARTTLS on the client's side (RFC 3207, as a server): nothing that was said in the clear counts inside TLS.
//!
//! ```text
//!   STARTTLS ─ 220 ─► Securing ─┬─► EHLO again
//!      │                        └─► over, without a word
//!      └─ octets behind it, in the clear ─► 421: whoever put them there, they never become commands (CVE-2011-0411)
//! ```

use super::super::ehlo::{Extension, Extensions};
use super::super::line::LineBuffer;
use super::super::{ClientHandshake, ClientTls, End, replies};
use super::{ClientLeg, Session, State, Trust};

impl Session {
    pub(super) fn on_start_tls(&mut self) {
        if self.leg == ClientLeg::Protected {
            return self.say_idle(&replies::out_of_order("TLS is up already"));
        }
        match self.settings.client_tls {
            ClientTls::Hidden => return self.say_idle(&replies::unserved()),
            ClientTls::Unavailable => return self.say_idle(&replies::tls_unavailable()),
            ClientTls::Offered => {}
        }
        if !self.told.is_some_and(|told| told.has(Extension::StartTls)) {
            return self.say_idle(&replies::out_of_order("say EHLO first"));
        }
        if self.transaction.is_some() {
            return self.say_idle(&replies::out_of_order("a transaction is open"));
        }
        // What the MX knows of the client would outlast what is forgotten here.
        if self.login.is_done {
            return self.say_idle(&replies::out_of_order("the login came first"));
        }
        if !self.input.is_empty() {
            // RFC 2920 §3.1: STARTTLS ends a group of commands.
            return self.hang_up(Some(replies::closing_tls_behind()), End::Refused);
        }
        self.say(&replies::tls_ready());
        self.out.secure_client(self.link.host().cloned());
        self.enter(State::Securing);
    }

    /// What is read in the clear while the client shakes hands is no handshake.
    pub(super) fn on_clear_octets(&mut self) {
        self.hang_up(None, End::Refused);
    }

    pub(super) fn on_client_tls(&mut self, handshake: ClientHandshake) {
        if !matches!(self.state, State::Securing) {
            return; // an answer to what was given up in the meantime
        }
        match handshake {
            ClientHandshake::Secured { sni } => {
                self.forget_client();
                self.leg = ClientLeg::Protected;
                self.link.suggest(sni);
                self.enter(State::Command(Trust::Full));
            }
            ClientHandshake::Failed => self.hang_up(None, End::ClientLost),
        }
    }

    /// RFC 3207 §4.2: whatever was learned from the client before TLS is gone.
    fn forget_client(&mut self) {
        self.input = LineBuffer::default();
        self.told = None;
        self.transaction = None;
        self.idle = 0;
        self.targets.clear();
    }

    /// What the client is told on top of what the MX can do; never STARTTLS inside TLS (RFC 3207 §4.2).
    pub(super) fn with_start_tls(&self, told: Extensions) -> Extensions {
        match (self.settings.client_tls, self.leg) {
            (ClientTls::Offered, ClientLeg::Clear) => told.with(Extension::StartTls),
            (ClientTls::Offered, ClientLeg::Protected)
            | (ClientTls::Hidden | ClientTls::Unavailable, _) => told,
        }
    }
}
