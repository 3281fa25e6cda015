//! What the driver has to do, in order; and the only two ways by which octets reach the MX.
//!
//! [`Outbox::control`] takes what a session must say to be one, from a closed list. Everything else, envelope and message,
//! goes through [`Outbox::relay`] and needs a [`Cleared`], which only a favourable verdict gives.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::{Action, Question, Target};
use crate::name::DnsName;
use crate::verdict::{Cleared, Reason};

/// What a session says to the MX on its own account.
#[derive(Clone, Copy, Debug)]
pub(super) enum Control<'a> {
    Ehlo(&'a [u8]),
    Helo(&'a [u8]),
    StartTls,
    Rset,
    Quit,
}

/// Actions that wait for the driver.
#[derive(Debug, Default)]
pub(super) struct Outbox(VecDeque<Action>);

impl Outbox {
    pub(super) fn pop(&mut self) -> Option<Action> {
        self.0.pop_front()
    }

    pub(super) fn tell_client(&mut self, octets: Bytes) {
        self.0.push_back(Action::ToClient(octets));
    }

    pub(super) fn control(&mut self, control: Control<'_>) {
        let octets = match control {
            Control::Ehlo(name) => line(b"EHLO ", name),
            Control::Helo(name) => line(b"HELO ", name),
            Control::StartTls => Bytes::from_static(b"STARTTLS\r\n"),
            Control::Rset => Bytes::from_static(b"RSET\r\n"),
            Control::Quit => Bytes::from_static(b"QUIT\r\n"),
        };
        self.0.push_back(Action::ToServer(octets));
    }

    /// Envelope and message: with permission only.
    pub(super) fn relay(&mut self, _permission: &Cleared, octets: Bytes) {
        self.0.push_back(Action::ToServer(octets));
    }

    pub(super) fn dial(&mut self) {
        self.0.push_back(Action::Dial);
    }

    pub(super) fn start_tls(&mut self, sni: Option<DnsName>) {
        self.0.push_back(Action::StartTls { sni });
    }

    pub(super) fn secure_client(&mut self, name: Option<DnsName>) {
        self.0.push_back(Action::SecureClient { name });
    }

    pub(super) fn judge(&mut self, question: Question) {
        self.0.push_back(Action::Judge(question));
    }

    pub(super) fn gave_up(&mut self, target: Target, why: Reason) {
        self.0.push_back(Action::GaveUp { target, why });
    }

    pub(super) fn close_server(&mut self) {
        self.0.push_back(Action::CloseServer);
    }

    pub(super) fn close_client(&mut self) {
        self.0.push_back(Action::CloseClient);
    }
}

fn line(verb: &[u8], argument: &[u8]) -> Bytes {
    let mut line = BytesMut::with_capacity(verb.len() + argument.len() + 2);
    line.extend_from_slice(verb);
    line.extend_from_slice(argument);
    line.extend_from_slice(b"\r\n");
    line.freeze()
}
