//! The leg to the MX, from dialling until it is known what channel there is (RFC 3207, RFC 5321 §4.1.1.1).
//!
//! ```text
//!   Gone ─► Dialling ─► Greeting ─► Greeted ─► Ehlo ─┬─► StartTls ─► Shaking ─► Ehlo (protected) ─► Usable
//!    ▲                                          │    │      │ not 220                                 ▲
//!    └── anything that cannot be helped         ▼    └──────┴───────────────────────────────────────► │
//!                                              Helo ──────────────────────────────────────────────────┘
//!   from the 220 on, whatever goes wrong before the first protected EHLO is answered ends in Broken
//! ```
//!
//! One command is outstanding at a time, so octets behind a reply are an attack or madness, and end the connection.
//! What was heard before TLS is forgotten in it (RFC 3207 §4.2).

mod error;
mod setup;

use bytes::Bytes;

pub(super) use self::error::LinkError;
use super::auth::Mechanisms;
use super::ehlo::Extensions;
use super::outbox::{Control, Outbox};
use super::reply::{ReplyParser, ServerReply};
use super::{Channel, Dialled, Limits, Waiting};
use crate::name::DnsName;
use crate::verdict::{Cleared, Redial};

/// The connection to the MX.
#[derive(Debug)]
pub(in crate::smtp) struct Link {
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
    /// What the last EHLO in TLS offers for a login.
    mechanisms: Mechanisms,
    /// That the host on this connection is proven.
    vouched: Option<Cleared>,
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
    /// TLS is up, and nothing was said in it yet: an MX that does not like the handshake may still tell so.
    Fresh,
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
pub(in crate::smtp) enum Step {
    /// It waits for more.
    Waits,
    /// The MX has greeted, and the client has not said hello yet.
    Greeted(ServerReply),
    /// There is a channel that can be judged, broken or not.
    Settled,
    /// There is none, and no verdict can help.
    Failed(LinkError),
}

impl Link {
    pub(in crate::smtp) fn new(hint: Option<DnsName>, limits: &Limits) -> Self {
        Self {
            stage: Stage::Gone,
            replies: ReplyParser::new(limits),
            hello: None,
            sni: hint,
            mode: Mode::Tls,
            greeter: None,
            banner: Bytes::new(),
            mechanisms: Mechanisms::default(),
            vouched: None,
        }
    }

    /// Connects anew, with TLS where it is offered.
    pub(in crate::smtp) fn dial(&mut self, out: &mut Outbox) {
        self.mode = Mode::Tls;
        self.start(out);
    }

    /// Closes, and connects as the verdict wants it.
    pub(in crate::smtp) fn redial(&mut self, redial: Redial, out: &mut Outbox) {
        self.mode = match (redial, &self.stage) {
            (Redial::Sni(name) | Redial::Observe(name), _) => {
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
        self.vouched = None;
        self.replies.clear();
        self.stage = Stage::Dialling;
        out.dial();
    }

    /// The client says hello, which resets whatever the MX holds of a transaction (RFC 5321 §4.1.4).
    pub(in crate::smtp) fn say_hello(&mut self, name: &[u8], out: &mut Outbox) {
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
        (self.mechanisms, self.vouched) = (Mechanisms::default(), None);
        out.control(Control::Ehlo(self.hello.as_deref().unwrap_or_default()));
        self.stage = Stage::Ehlo(security);
    }

    /// What became of a dial or a handshake.
    pub(in crate::smtp) fn on_dialled(&mut self, dialled: Dialled, out: &mut Outbox) -> Step {
        match (&self.stage, dialled) {
            (Stage::Dialling, Dialled::Connected) => {
                self.stage = Stage::Greeting;
                Step::Waits
            }
            (Stage::Dialling, Dialled::Failed(why)) => self.fail(LinkError::Dial(why)),
            (Stage::Dialling, Dialled::Exhausted) => self.fail(LinkError::Exhausted),
            (Stage::Shaking, Dialled::Secured) => {
                self.replies.clear(); // RFC 3207 §4.2
                self.ehlo(Security::Fresh, out);
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
    pub(in crate::smtp) fn push(&mut self, octets: &[u8]) {
        if self.is_open() {
            self.replies.push(octets);
        }
    }

    /// The next whole reply.
    pub(in crate::smtp) fn next_reply(&mut self) -> Result<Option<ServerReply>, LinkError> {
        Ok(self.replies.next_reply()?)
    }

    /// Octets wait that are no whole reply, or were not asked for.
    pub(in crate::smtp) fn has_unread(&self) -> bool {
        !self.replies.is_empty()
    }

    /// The connection is lost or makes no sense: closes it.
    pub(in crate::smtp) fn lose(&mut self, error: LinkError, out: &mut Outbox) -> Step {
        out.close_server();
        let is_tls = match &self.stage {
            Stage::StartTls(_) | Stage::Shaking => true,
            // Later on a loss says nothing about TLS, and is no reason to try without.
            Stage::Ehlo(security) | Stage::Helo(security) => *security == Security::Fresh,
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
    pub(in crate::smtp) fn dismiss(&mut self, out: &mut Outbox) {
        if matches!(self.stage, Stage::Greeted | Stage::Usable(..)) {
            out.control(Control::Quit);
        }
        self.abort(out);
    }

    /// Closes without a word: the MX must not take what it has for complete.
    pub(in crate::smtp) fn abort(&mut self, out: &mut Outbox) {
        if self.is_open() {
            out.close_server();
        }
        self.replies.clear();
        self.stage = Stage::Gone;
    }

    pub(in crate::smtp) const fn is_open(&self) -> bool {
        !matches!(self.stage, Stage::Gone | Stage::Broken(_))
    }

    /// Whom the link waits for, when it does.
    pub(in crate::smtp) const fn waiting(&self) -> Option<Waiting> {
        match self.stage {
            Stage::Dialling | Stage::Shaking => Some(Waiting::Dial),
            Stage::Greeting | Stage::Ehlo(_) | Stage::Helo(_) | Stage::StartTls(_) => {
                Some(Waiting::Server)
            }
            Stage::Gone | Stage::Greeted | Stage::Usable(..) | Stage::Broken(_) => None,
        }
    }

    /// What there is to judge, when there is something.
    pub(in crate::smtp) fn channel(&self) -> Option<Channel> {
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
    pub(in crate::smtp) const fn extensions(&self) -> Option<Extensions> {
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

    /// The MX host that the destination is taken for, best guess first.
    pub(in crate::smtp) fn host(&self) -> Option<&DnsName> {
        self.sni.as_ref().or(self.greeter.as_ref())
    }

    /// The name that the client knows the destination by: worth more than a greeting, less than what lookups said.
    pub(in crate::smtp) fn suggest(&mut self, name: Option<DnsName>) {
        self.sni = self.sni.take().or(name);
    }

    pub(in crate::smtp) const fn mechanisms(&self) -> Mechanisms {
        self.mechanisms
    }

    /// The host on the present connection is proven; without a connection that is worth nothing.
    pub(in crate::smtp) fn vouch(&mut self, permission: Cleared) {
        let is_there = matches!(self.stage, Stage::Usable(Channel::Protected, _));
        self.vouched = is_there.then_some(permission);
    }

    /// The permission to log in on the present connection.
    pub(in crate::smtp) const fn vouched(&self) -> Option<&Cleared> {
        match self.stage {
            Stage::Usable(Channel::Protected, _) => self.vouched.as_ref(),
            Stage::Usable(..)
            | Stage::Gone
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
    pub(in crate::smtp) fn banner(&self) -> &[u8] {
        &self.banner
    }
}
