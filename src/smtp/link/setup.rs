//! Greeting, EHLO, STARTTLS, EHLO: what each reply of the MX leads to while the link is being set up.

use bytes::Bytes;

use super::super::auth::Mechanisms;
use super::super::ehlo::{Extension, Extensions};
use super::super::outbox::{Control, Outbox};
use super::super::path::Charset;
use super::super::relay::printable;
use super::super::reply::{Class, ServerReply};
use super::super::{Channel, NoTls};
use super::{Link, LinkError, Mode, Security, Stage, Step};
use crate::name::DnsName;

impl Link {
    /// The reply to the one command that is outstanding while the link is being set up.
    pub(in crate::smtp) fn on_reply(&mut self, reply: ServerReply, out: &mut Outbox) -> Step {
        if self.has_unread() {
            let is_start = matches!(self.stage, Stage::StartTls(_)) && reply.code() == 220;
            let error = if is_start {
                LinkError::Injected
            } else {
                LinkError::Unasked
            };
            return self.lose(error, out);
        }
        match std::mem::replace(&mut self.stage, Stage::Gone) {
            Stage::Greeting => self.on_greeting(reply, out),
            Stage::Ehlo(security) => self.on_ehlo(reply, security, out),
            Stage::Helo(security) => self.on_helo(&reply, security, out),
            Stage::StartTls(clear) => self.on_start_tls(&reply, clear, out),
            Stage::Gone
            | Stage::Dialling
            | Stage::Greeted
            | Stage::Shaking
            | Stage::Usable(..)
            | Stage::Broken(_) => self.lose(LinkError::Unasked, out),
        }
    }

    fn on_greeting(&mut self, reply: ServerReply, out: &mut Outbox) -> Step {
        if reply.code() != 220 {
            let (code, text) = summary(&reply);
            return self.give_up(LinkError::Greeting { code, text }, out);
        }
        self.banner = first_line(&reply);
        self.greeter = host_name(&self.banner);
        if self.hello.is_some() {
            self.ehlo(Security::Clear, out);
            return Step::Waits;
        }
        self.stage = Stage::Greeted;
        Step::Greeted(reply)
    }

    fn on_ehlo(&mut self, reply: ServerReply, security: Security, out: &mut Outbox) -> Step {
        if reply.class() != Class::Completed {
            // RFC 5321 §3.2: an MX without extensions; it cannot have TLS either.
            out.control(Control::Helo(self.hello.as_deref().unwrap_or_default()));
            self.stage = Stage::Helo(security);
            return Step::Waits;
        }
        let said = Extensions::parse(&reply);
        match (security, &self.mode) {
            (Security::Fresh | Security::Protected, _) => {
                self.mechanisms = Mechanisms::parse(&reply);
                self.settle(Channel::Protected, said, &reply)
            }
            (Security::Clear, Mode::Clear(why)) => {
                let channel = Channel::Clear(NoTls::HandshakeFailed(why.clone()));
                self.settle(channel, said, &reply)
            }
            (Security::Clear, Mode::Tls) if said.has(Extension::StartTls) => {
                self.set_banner(&reply);
                out.control(Control::StartTls);
                self.stage = Stage::StartTls(said);
                Step::Waits
            }
            (Security::Clear, Mode::Tls) => {
                self.settle(Channel::Clear(NoTls::NotOffered), said, &reply)
            }
        }
    }

    fn on_helo(&mut self, reply: &ServerReply, security: Security, out: &mut Outbox) -> Step {
        if reply.class() != Class::Completed {
            let (code, text) = summary(reply);
            return self.give_up(LinkError::Helo { code, text }, out);
        }
        let channel = match (security, &self.mode) {
            (Security::Fresh | Security::Protected, _) => Channel::Protected,
            (Security::Clear, Mode::Tls) => Channel::Clear(NoTls::NotOffered),
            (Security::Clear, Mode::Clear(why)) => {
                Channel::Clear(NoTls::HandshakeFailed(why.clone()))
            }
        };
        self.settle(channel, Extensions::NONE, reply)
    }

    /// RFC 3207 §4: 220, and no other code of success, starts TLS.
    fn on_start_tls(&mut self, reply: &ServerReply, clear: Extensions, out: &mut Outbox) -> Step {
        if reply.code() == 220 {
            out.start_tls(self.host().cloned());
            self.stage = Stage::Shaking;
            return Step::Waits;
        }
        let channel = Channel::Clear(NoTls::Refused(reply.code()));
        self.stage = Stage::Usable(channel, clear);
        Step::Settled
    }

    fn settle(&mut self, channel: Channel, said: Extensions, reply: &ServerReply) -> Step {
        self.set_banner(reply);
        self.stage = Stage::Usable(channel, said);
        Step::Settled
    }

    fn set_banner(&mut self, reply: &ServerReply) {
        self.banner = first_line(reply);
    }
}

fn first_line(reply: &ServerReply) -> Bytes {
    // A copy: the reply shares one buffer with everything that came with it.
    Bytes::copy_from_slice(reply.lines().first().map_or(&[][..], |line| &line[..]))
}

/// The first word, when it is the full name of a host (RFC 5321 §4.2 wants it to be).
fn host_name(greeting: &[u8]) -> Option<DnsName> {
    let word = greeting.split(|octet| *octet == b' ').next()?;
    let name = DnsName::parse(std::str::from_utf8(word).ok()?).ok()?;
    (name.is_host_name() && name.labels().count() > 1).then_some(name)
}

fn summary(reply: &ServerReply) -> (u16, String) {
    (reply.code(), printable(&first_line(reply), Charset::Ascii))
}
