//! The leg to the MX, from dialling until it is known what channel there is (RFC 3207, RFC 5321 §4.1.1.1).
//!
//! ```text
//!   Gone ─► Dialling ─► Greeting ─► Greeted ─► Ehlo ─┬─► StartTls ─► Shaking ─► Ehlo (protected) ─► Usable
//!    ▲                                          │    │      │ not 220                                 ▲
//!    └── anything that cannot be helped         ▼    └──────┴───────────────────────────────────────► │
//!                                              Helo ──────────────────────────────────────────────────┘
//!   from the 220 on, whatever goes wrong before the protected EHLO is answered ends in Broken
//! ```
//!
//! One command is outstanding at a time, so octets behind a reply are an attack or madness, and end the connection.
//! What was heard before TLS is forgotten in it (RFC 3207 §4.2).

use bytes::Bytes;

use super::ehlo::{Extension, Extensions};
use super::outbox::{Control, Outbox};
use super::path::Charset;
use super::relay::printable;
use super::reply::{Class, ReplyError, ReplyParser, ServerReply};
use super::{Channel, Dialled, End, Limits, NoTls, Waiting};
use crate::name::DnsName;
use crate::verdict::Redial;

/// The connection to the MX.
#[derive(Debug)]
pub(super) struct Link {
    stage: Stage,
    replies: ReplyParser,
    /// What the client calls itself, once it has.
    hello: Option<Bytes>,
    /// The best SNI known without the greeting.
    sni: Option<DnsName>,
    mode: Mode,
    /// The host that the greeting names: the SNI where nothing better is known.
    greeter: Option<DnsName>,
    /// The first line of the last greeting or reply to EHLO.
    banner: Bytes,
}

/// What the link waits for, or what it has come to.
#[derive(Debug)]
enum Stage {
    /// No connection.
    Gone,
    /// TCP.
    Dialling,
    /// The greeting.
    Greeting,
    /// The client's hello.
    Greeted,
    /// The reply to EHLO.
    Ehlo(Security),
    /// The reply to HELO, after EHLO was refused.
    Helo(Security),
    /// The reply to STARTTLS; what the clear EHLO said is kept for the case that it is refused.
    StartTls(Extensions),
    /// The handshake.
    Shaking,
    /// Nothing: it can be judged, and used.
    Usable(Channel, Extensions),
    /// No connection, and the verdict must know why.
    Broken(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Security {
    Clear,
    Protected,
}

/// Whether STARTTLS is to be used when it is offered.
#[derive(Clone, Debug)]
enum Mode {
    Tls,
    /// Given up on for this connection: why.
    Clear(String),
}

/// How far an input has brought the link.
#[derive(Debug)]
pub(super) enum Step {
    /// It waits for more.
    Waits,
    /// The MX has greeted, and the client has not said hello yet.
    Greeted(ServerReply),
    /// There is a channel that can be judged, broken or not.
    Settled,
    /// There is none, and no verdict can help.
    Failed(LinkError),
}

/// Why there is no channel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum LinkError {
    #[error("{0}")]
    Dial(String),
    #[error("it greets with {code} {text}")]
    Greeting { code: u16, text: String },
    #[error("it answers HELO with {code} {text}")]
    Helo { code: u16, text: String },
    #[error("the connection was lost")]
    Lost,
    #[error("it does not answer in time")]
    Silent,
    #[error("it speaks before it is asked")]
    Unasked,
    #[error("plaintext follows the reply to STARTTLS")]
    Injected,
    #[error("it does not speak SMTP: {0}")]
    Reply(#[from] ReplyError),
    #[error("{command} was answered with {code}")]
    Nonsense { command: &'static str, code: u16 },
}

impl LinkError {
    /// How a session ends by it: in a timeout, or else so.
    pub(super) fn end(&self, otherwise: End) -> End {
        if *self == Self::Silent {
            End::Timeout
        } else {
            otherwise
        }
    }
}

impl Link {
    pub(super) fn new(hint: Option<DnsName>, limits: &Limits) -> Self {
        Self {
            stage: Stage::Gone,
            replies: ReplyParser::new(limits),
            hello: None,
            sni: hint,
            mode: Mode::Tls,
            greeter: None,
            banner: Bytes::new(),
        }
    }

    /// Connects anew, with TLS where it is offered.
    pub(super) fn dial(&mut self, out: &mut Outbox) {
        self.mode = Mode::Tls;
        self.start(out);
    }

    /// Closes, and connects as the verdict wants it.
    pub(super) fn redial(&mut self, redial: Redial, out: &mut Outbox) {
        self.mode = match (redial, &self.stage) {
            (Redial::Sni(name), _) => {
                self.sni = Some(name);
                Mode::Tls
            }
            (Redial::Cleartext, Stage::Broken(why)) => Mode::Clear(why.clone()),
            (Redial::Cleartext, _) => Mode::Clear(LinkError::Lost.to_string()),
        };
        self.dismiss(out);
        self.start(out);
    }

    fn start(&mut self, out: &mut Outbox) {
        self.replies.clear();
        self.stage = Stage::Dialling;
        out.dial();
    }

    /// The client says hello, which resets whatever the MX holds of a transaction (RFC 5321 §4.1.4).
    pub(super) fn say_hello(&mut self, name: &[u8], out: &mut Outbox) {
        self.hello = Some(Bytes::copy_from_slice(name));
        match &self.stage {
            Stage::Greeted => self.ehlo(Security::Clear, out),
            Stage::Usable(Channel::Protected, _) => self.ehlo(Security::Protected, out),
            Stage::Usable(Channel::Clear(_) | Channel::Broken(_), _) => {
                self.ehlo(Security::Clear, out);
            }
            Stage::Gone | Stage::Broken(_) => self.dial(out),
            // Commands wait while the link is being set up.
            Stage::Dialling
            | Stage::Greeting
            | Stage::Ehlo(_)
            | Stage::Helo(_)
            | Stage::StartTls(_)
            | Stage::Shaking => {}
        }
    }

    fn ehlo(&mut self, security: Security, out: &mut Outbox) {
        out.control(Control::Ehlo(self.hello.as_deref().unwrap_or_default()));
        self.stage = Stage::Ehlo(security);
    }

    /// What became of a dial or a handshake.
    pub(super) fn on_dialled(&mut self, dialled: Dialled, out: &mut Outbox) -> Step {
        match (&self.stage, dialled) {
            (Stage::Dialling, Dialled::Connected) => {
                self.stage = Stage::Greeting;
                Step::Waits
            }
            (Stage::Dialling, Dialled::Failed(why)) => self.fail(LinkError::Dial(why)),
            (Stage::Shaking, Dialled::Secured) => {
                self.replies.clear(); // RFC 3207 §4.2
                self.ehlo(Security::Protected, out);
                Step::Waits
            }
            (Stage::Shaking, Dialled::HandshakeFailed(why) | Dialled::Failed(why)) => {
                self.stage = Stage::Broken(why);
                Step::Settled
            }
            // An answer to what was given up in the meantime.
            (
                Stage::Gone
                | Stage::Dialling
                | Stage::Greeting
                | Stage::Greeted
                | Stage::Ehlo(_)
                | Stage::Helo(_)
                | Stage::StartTls(_)
                | Stage::Shaking
                | Stage::Usable(..)
                | Stage::Broken(_),
                _,
            ) => Step::Waits,
        }
    }

    /// Takes octets of the MX in; they mean nothing without a connection.
    pub(super) fn push(&mut self, octets: &[u8]) {
        if self.is_open() {
            self.replies.push(octets);
        }
    }

    /// The next whole reply.
    pub(super) fn next_reply(&mut self) -> Result<Option<ServerReply>, LinkError> {
        Ok(self.replies.next_reply()?)
    }

    /// Octets wait that are no whole reply, or were not asked for.
    pub(super) fn has_unread(&self) -> bool {
        !self.replies.is_empty()
    }

    /// The reply to the one command that is outstanding while the link is being set up.
    pub(super) fn on_reply(&mut self, reply: ServerReply, out: &mut Outbox) -> Step {
        if self.has_unread() {
            let error = match &self.stage {
                Stage::StartTls(_) if reply.code() == 220 => LinkError::Injected,
                _ => LinkError::Unasked,
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
            (Security::Protected, _) => self.settle(Channel::Protected, said, &reply),
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
            (Security::Protected, _) => Channel::Protected,
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
            out.start_tls(self.sni.clone().or_else(|| self.greeter.clone()));
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

    /// The connection is lost or makes no sense: closes it.
    pub(super) fn lose(&mut self, error: LinkError, out: &mut Outbox) -> Step {
        out.close_server();
        let is_tls = match &self.stage {
            Stage::StartTls(_) | Stage::Shaking => true,
            Stage::Ehlo(security) | Stage::Helo(security) => *security == Security::Protected,
            Stage::Gone
            | Stage::Dialling
            | Stage::Greeting
            | Stage::Greeted
            | Stage::Usable(..)
            | Stage::Broken(_) => false,
        };
        if is_tls {
            self.replies.clear();
            self.stage = Stage::Broken(error.to_string());
            return Step::Settled;
        }
        self.fail(error)
    }

    fn give_up(&mut self, error: LinkError, out: &mut Outbox) -> Step {
        out.control(Control::Quit);
        out.close_server();
        self.fail(error)
    }

    fn fail(&mut self, error: LinkError) -> Step {
        self.replies.clear();
        self.stage = Stage::Gone;
        Step::Failed(error)
    }

    /// Says goodbye where a command may be said, and closes.
    pub(super) fn dismiss(&mut self, out: &mut Outbox) {
        if matches!(self.stage, Stage::Greeted | Stage::Usable(..)) {
            out.control(Control::Quit);
        }
        self.abort(out);
    }

    /// Closes without a word: the MX must not take what it has for complete.
    pub(super) fn abort(&mut self, out: &mut Outbox) {
        if self.is_open() {
            out.close_server();
        }
        self.replies.clear();
        self.stage = Stage::Gone;
    }

    pub(super) const fn is_open(&self) -> bool {
        !matches!(self.stage, Stage::Gone | Stage::Broken(_))
    }

    /// Whom the link waits for, when it does.
    pub(super) const fn waiting(&self) -> Option<Waiting> {
        match self.stage {
            Stage::Dialling | Stage::Shaking => Some(Waiting::Dial),
            Stage::Greeting | Stage::Ehlo(_) | Stage::Helo(_) | Stage::StartTls(_) => {
                Some(Waiting::Server)
            }
            Stage::Gone | Stage::Greeted | Stage::Usable(..) | Stage::Broken(_) => None,
        }
    }

    /// What there is to judge, when there is something.
    pub(super) fn channel(&self) -> Option<Channel> {
        match &self.stage {
            Stage::Usable(channel, _) => Some(channel.clone()),
            Stage::Broken(why) => Some(Channel::Broken(why.clone())),
            Stage::Gone
            | Stage::Dialling
            | Stage::Greeting
            | Stage::Greeted
            | Stage::Ehlo(_)
            | Stage::Helo(_)
            | Stage::StartTls(_)
            | Stage::Shaking => None,
        }
    }

    /// What the MX offers on the channel that would be used; none when there is no connection.
    pub(super) const fn extensions(&self) -> Option<Extensions> {
        match self.stage {
            Stage::Usable(_, extensions) => Some(extensions),
            Stage::Gone
            | Stage::Dialling
            | Stage::Greeting
            | Stage::Greeted
            | Stage::Ehlo(_)
            | Stage::Helo(_)
            | Stage::StartTls(_)
            | Stage::Shaking
            | Stage::Broken(_) => None,
        }
    }

    /// How the MX calls itself, for the reply to the client's hello.
    pub(super) fn banner(&self) -> &[u8] {
        &self.banner
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
