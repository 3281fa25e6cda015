//! The machine: what is awaited, and what happens when it comes.
//!
//! One thing is awaited at a time, so commands that the client pipelines wait as octets and are answered strictly in
//! order (RFC 2920 §3.2). The parts: [`client`] reads commands, [`auth`] is AUTH, [`recipient`] is RCPT with everything
//! that hangs on it, [`message`] is DATA, [`chunks`] is BDAT, [`secure`] the client's STARTTLS, [`server`] is what the MX
//! says, [`closing`] how it all ends.

mod auth;
mod chunks;
mod client;
mod closing;
mod message;
mod recipient;
mod secure;
mod server;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::time::Instant;

use bytes::Bytes;

use self::auth::{Login, Step as AuthStep};
use self::recipient::{Pending, RcptSent};
use super::auth::LONGEST_LINE;
use super::chunk::Chunk;
use super::command::Greeter;
use super::data::EndOfData;
use super::ehlo::{Extension, Extensions};
use super::line::LineBuffer;
use super::link::{Link, LinkError};
use super::outbox::Outbox;
use super::path::Charset;
use super::relay::{Enhanced, relayed};
use super::reply::ServerReply;
use super::transaction::{Chunked, Relaying, Transaction};
use super::{
    Action, Auth, ClientHandshake, Dialled, End, Limits, Reply, Settings, Tally, Target, Waiting,
};
use crate::verdict::{Cleared, Reason, Verdict};

/// A session between one client connection and one destination.
///
/// It holds at most one read of the driver plus 256 KiB of the client's pipelined commands, one reply of
/// the MX (`limits.reply_line` × `limits.reply_lines`, longer lines where AUTH may pass), and of a transaction the MAIL line, one RCPT line and one refusal
/// for each of `limits.domains` domains, or the reply to the chunk that its message failed with. Message data is not held
/// at all.
#[derive(Debug)]
pub struct Session {
    settings: Settings,
    state: State,
    link: Link,
    out: Outbox,
    /// The client's octets that are not yet understood.
    input: LineBuffer,
    /// What the client was offered, once it has said hello.
    told: Option<Extensions>,
    transaction: Option<Transaction>,
    login: Login,
    /// Commands without progress.
    idle: usize,
    /// What a cleared MX did not offer although it was used.
    lacking: Extensions,
    /// Whose policies were asked for.
    targets: HashSet<Target>,
    client: ClientSide,
    leg: ClientLeg,
    life: Life,
    tally: Tally,
    trouble: Option<Reason>,
    now: Instant,
    /// When the present wait began.
    since: Instant,
}

/// What the session waits for.
#[derive(Debug)]
enum State {
    /// The MX's greeting, to greet the client with.
    Greeting,
    /// The client's next command.
    Command(Trust),
    /// The client's handshake.
    Securing,
    /// The link, to answer the client's hello with what the MX offers.
    Hello(Greeter),
    /// The link, to have something to judge.
    Connecting(Pending),
    /// The verdict.
    Verdict(Pending),
    /// The reply to MAIL, on which RCPT follows or has followed.
    MailReply {
        pending: Pending,
        cleared: Cleared,
        rcpt: RcptSent,
    },
    /// The reply to RCPT.
    RcptReply { cleared: Cleared },
    /// The reply to RCPT, which no longer matters since this was the one to MAIL.
    RefusedMail(ServerReply),
    /// The reply to RSET.
    ResetReply(Asker),
    /// The reply to DATA.
    DataReply(Relaying),
    /// Message data.
    Message {
        relaying: Relaying,
        scanner: EndOfData,
    },
    /// The octets of a chunk.
    Chunk { chunk: Chunk, chunked: Chunked },
    /// The reply to a chunk that is not the last.
    ChunkReply(Chunked),
    /// The reply to the message.
    Outcome(Carrier),
    /// The end of message data that nobody gets, to be answered with this.
    Swallowing { scanner: EndOfData, answer: Bytes },
    /// The end of a chunk that nobody gets, to be answered with this.
    SwallowingChunk { chunk: Chunk, answer: Bytes },
    /// Something on the way to a login.
    Auth(AuthStep),
    /// Nothing: the session is over.
    Over,
}

/// Whether what the client sends can be taken for commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    Full,
    /// DATA was refused: a client that did not wait for the reply sends a message now.
    AfterRefusedData,
}

/// Who wants the MX to forget its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asker {
    /// The client, which is to hear of it.
    Client,
    /// The session itself.
    Session,
}

/// What a message has come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carrier {
    Data,
    Chunks,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClientSide {
    Open,
    /// It sends no more, but may still listen.
    HalfClosed,
}

/// The connection to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClientLeg {
    Clear,
    Protected,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Running,
    /// No new transaction.
    Draining,
    Ended(End),
}

impl Session {
    /// Starts: the first action is [`Action::Dial`].
    #[must_use]
    pub fn new(settings: Settings, now: Instant) -> Self {
        let mut out = Outbox::default();
        let mut link = Link::new(settings.hint.clone(), &reply_limits(&settings));
        link.dial(&mut out);
        Self {
            lacking: settings.lacking,
            settings,
            state: State::Greeting,
            link,
            out,
            input: LineBuffer::default(),
            told: None,
            transaction: None,
            login: Login::default(),
            idle: 0,
            targets: HashSet::new(),
            client: ClientSide::Open,
            leg: ClientLeg::Clear,
            life: Life::Running,
            tally: Tally::default(),
            trouble: None,
            now,
            since: now,
        }
    }

    /// Bytes from the client.
    pub fn handle_client(&mut self, bytes: &[u8], now: Instant) {
        self.now = now;
        self.take_client(bytes);
        self.advance();
    }

    /// The client has closed its writing side.
    pub fn handle_client_end(&mut self, now: Instant) {
        self.now = now;
        self.client = ClientSide::HalfClosed;
        self.advance();
    }

    /// The client is gone, and hears nothing any more.
    pub fn handle_client_lost(&mut self, now: Instant) {
        self.now = now;
        self.on_client_lost();
        self.advance();
    }

    /// Bytes from the MX, decrypted where TLS is up.
    pub fn handle_server(&mut self, bytes: &[u8], now: Instant) {
        self.now = now;
        self.take_server(bytes);
        self.advance();
    }

    /// The MX has closed or the connection is lost.
    pub fn handle_server_end(&mut self, now: Instant) {
        self.now = now;
        self.on_server_end();
        self.advance();
    }

    /// What became of a dial or a handshake. A connection that was closed in the meantime has no answer to give.
    pub fn handle_upstream(&mut self, dialled: Dialled, now: Instant) {
        self.now = now;
        let step = self.link.on_dialled(dialled, &mut self.out);
        self.on_step(step);
        self.advance();
    }

    /// What became of [`Action::SecureClient`]. From there on the client's bytes are those that came in TLS.
    pub fn handle_client_tls(&mut self, handshake: ClientHandshake, now: Instant) {
        self.now = now;
        self.on_client_tls(handshake);
        self.advance();
    }

    /// The answer to the last [`Action::Judge`]; a question that was followed by another, or whose time has run out, has
    /// none any more.
    pub fn handle_verdict(&mut self, verdict: Verdict, now: Instant) {
        self.now = now;
        self.on_verdict(verdict);
        self.advance();
    }

    /// A deadline of [`Session::poll_timeout`] has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.on_timeout();
            self.advance();
        }
    }

    /// The same, when the client was not read because the MX takes no more: then that is to blame.
    pub fn handle_server_stalled(&mut self, now: Instant) {
        self.now = now;
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.lose_server(LinkError::Stalled);
            self.advance();
        }
    }

    /// The proxy is shutting down: what is in flight is finished, everything else hears 421 (RFC 5321 §3.8).
    ///
    /// In flight is a transaction of which the MX has heard. The driver says when it has waited long enough, by dropping
    /// the session.
    pub fn handle_shutdown(&mut self, now: Instant) {
        self.now = now;
        self.on_shutdown();
        self.advance();
    }

    /// The next thing to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.out.pop()
    }

    /// When to call [`Session::handle_timeout`], and what is waited for.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Instant, Waiting)> {
        Some((self.deadline()?, self.waiting()?))
    }

    /// Whether more client bytes are wanted now. While a verdict or the MX must answer first a few are, since only who
    /// reads hears of a client that goes away; and no more, so that a fast client cannot fill memory.
    #[must_use]
    pub fn wants_client(&self) -> bool {
        let is_wanted = match &self.state {
            State::Command(_)
            | State::Message { .. }
            | State::Chunk { .. }
            | State::Swallowing { .. }
            | State::SwallowingChunk { .. }
            | State::Auth(AuthStep::Response) => true,
            // Octets behind DATA tell a client that does not wait for 354 (attack DN-02).
            State::DataReply(_) => self.input.is_empty(),
            State::Greeting
            | State::Hello(_)
            | State::Connecting(_)
            | State::Verdict(_)
            | State::MailReply { .. }
            | State::RcptReply { .. }
            | State::RefusedMail(_)
            | State::ResetReply(_)
            | State::ChunkReply(_)
            | State::Auth(AuthStep::Vetting(_) | AuthStep::Reply) => self.input.len() < READ_AHEAD,
            // Its loss would change nothing: the MX has the message.
            State::Securing | State::Outcome(_) | State::Over => false,
        };
        is_wanted && self.client == ClientSide::Open
    }

    /// Whether the client's octets are those of a message, which are not kept.
    #[must_use]
    pub const fn is_in_message(&self) -> bool {
        matches!(
            self.state,
            State::Message { .. }
                | State::Chunk { .. }
                | State::Swallowing { .. }
                | State::SwallowingChunk { .. }
        )
    }

    /// How the session ended, once it has.
    #[must_use]
    pub const fn end(&self) -> Option<End> {
        match self.life {
            Life::Running | Life::Draining => None,
            Life::Ended(end) => Some(end),
        }
    }

    /// What the session has carried so far.
    #[must_use]
    pub const fn tally(&self) -> Tally {
        self.tally
    }

    /// What was the first to go wrong with an MX that was cleared, if anything did.
    #[must_use]
    pub const fn trouble(&self) -> Option<&Reason> {
        self.trouble.as_ref()
    }

    /// What the MX is known not to offer now, though clients are told that it does as long as nobody knows: to be
    /// remembered for the next session to this address.
    #[must_use]
    pub const fn lacking(&self) -> Extensions {
        self.lacking
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.since = self.now;
    }

    /// Takes the state out, to be entered anew by whoever called.
    fn leave(&mut self) -> State {
        std::mem::replace(&mut self.state, State::Over)
    }

    fn say(&mut self, reply: &Reply) {
        self.out.tell_client(reply.encode());
    }

    /// A refusal, with the id of the session's record.
    fn refuse(&mut self, reply: Reply) {
        let reply = reply.traced(&self.settings.trace);
        self.say(&reply);
    }

    /// A refusal that is said later, or more than once.
    fn traced(&self, reply: Reply) -> Bytes {
        reply.traced(&self.settings.trace).encode()
    }

    /// The MX's reply, in its own words.
    fn pass(&mut self, reply: &ServerReply) {
        let octets = self.render(reply);
        self.out.tell_client(octets);
    }

    fn render(&self, reply: &ServerReply) -> Bytes {
        let is_promised = self
            .told
            .is_some_and(|told| told.has(Extension::EnhancedStatusCodes));
        let enhanced = if is_promised {
            Enhanced::Promised
        } else {
            Enhanced::AsIs
        };
        let charset = self
            .transaction
            .as_ref()
            .map_or(Charset::Ascii, Transaction::charset);
        relayed(reply, enhanced, charset)
    }

    fn is_relaying(&self) -> bool {
        self.transaction
            .as_ref()
            .is_some_and(Transaction::is_open_upstream)
    }
}

/// Challenges may be longer than other replies.
fn reply_limits(settings: &Settings) -> Limits {
    let mut limits = settings.limits;
    if settings.auth == Auth::OnceProven {
        limits.reply_line = limits.reply_line.max(LONGEST_LINE);
    }
    limits
}

/// Octets of pipelined commands that may wait for their turn. A group is a few kilobytes (RFC 2920 §3.1).
const INPUT_LIMIT: usize = 256 * 1024;

/// As many as are read while their turn is still to come: more than a client sends ahead that waits for 354.
const READ_AHEAD: usize = 16 * 1024;
