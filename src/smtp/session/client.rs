//! What the client says: commands, one after the other, and those that need nobody else to be answered.

use super::super::chunk;
use super::super::command::{Command, Greeter, Mail};
use super::super::ehlo::{Extensions, answer};
use super::super::line::{Flood, Line};
use super::super::link::LinkError;
use super::super::outbox::Control;
use super::super::path::Charset;
use super::super::relay::printable;
use super::super::transaction::Transaction;
use super::super::{Channel, End, Reply, replies};
use super::{Asker, ClientSide, INPUT_LIMIT, Life, Session, State, Trust};

impl Session {
    /// Takes octets of the client in.
    pub(super) fn take_client(&mut self, octets: &[u8]) {
        match self.state {
            State::Message { .. } | State::Swallowing { .. } => self.on_data(octets),
            State::Chunk { .. } | State::SwallowingChunk { .. } => self.on_chunk(octets),
            State::Over => {}
            State::Securing => self.on_clear_octets(),
            State::Greeting
            | State::Command(_)
            | State::Hello(_)
            | State::Connecting(_)
            | State::Verdict(_)
            | State::MailReply { .. }
            | State::RcptReply { .. }
            | State::RefusedMail(_)
            | State::ResetReply(_)
            | State::DataReply(_)
            | State::Auth(_)
            | State::ChunkReply(_)
            | State::Outcome(_) => self.queue(octets),
        }
    }

    /// Keeps octets until their turn comes.
    pub(super) fn queue(&mut self, octets: &[u8]) {
        self.input.push(octets);
        let is_waiting = !matches!(self.state, State::Command(_));
        if is_waiting && self.input.len() > INPUT_LIMIT {
            self.hang_up(
                Some(replies::closing_abuse("too much was sent ahead")),
                End::Refused,
            );
        }
    }

    /// Runs commands for as long as they can be answered at once.
    pub(super) fn advance(&mut self) {
        self.take_response();
        while let State::Command(trust) = self.state {
            if self.life == Life::Draining && !self.is_relaying() {
                return self.hang_up(Some(replies::closing_shutdown()), End::Shutdown);
            }
            match self.input.next_line(self.line_limit()) {
                Ok(Some(line)) => self.on_line(&line, trust),
                Ok(None) if self.client == ClientSide::HalfClosed => {
                    return self.hang_up(None, End::ClientLost);
                }
                Ok(None) => return,
                Err(Flood) => {
                    let reply = replies::closing_abuse("a command line does not end");
                    return self.hang_up(Some(reply), End::Refused);
                }
            }
        }
        if self.client == ClientSide::HalfClosed && self.is_in_vain() {
            self.hang_up(None, End::ClientLost);
        }
    }

    /// Is what is awaited of no use when the client sends no more? A message that lacks its end is; so are a greeting or a
    /// verdict for which the MX and the resolvers would still have to work, when no command is left that they matter to.
    fn is_in_vain(&self) -> bool {
        match &self.state {
            State::Message { .. }
            | State::Chunk { .. }
            | State::Swallowing { .. }
            | State::SwallowingChunk { .. } => true,
            State::Greeting | State::Connecting(_) | State::Verdict(_) => {
                !self.input.holds_command()
            }
            State::Securing
            | State::Command(_)
            | State::Hello(_)
            | State::MailReply { .. }
            | State::RcptReply { .. }
            | State::RefusedMail(_)
            | State::ResetReply(_)
            | State::DataReply(_)
            | State::ChunkReply(_)
            | State::Outcome(_)
            | State::Auth(_)
            | State::Over => false,
        }
    }

    /// What it has sent ahead has nobody to be answered to. The MX has the message or has it not (attack DN-12).
    pub(super) fn on_client_lost(&mut self) {
        self.client = ClientSide::HalfClosed;
        self.input.take();
        if !matches!(self.state, State::Outcome(_)) {
            self.hang_up(None, End::ClientLost);
        }
    }

    fn on_line(&mut self, line: &Line, trust: Trust) {
        let command = match line {
            Line::Text(text) => Command::parse(text)
                .map(|command| (text, command))
                .map_err(|error| error.reply()),
            Line::Malformed(_) => Err(replies::malformed()),
            Line::TooLong(_) => Err(replies::too_long()),
        };
        match (command, trust) {
            (Ok((text, command)), _) => {
                self.enter(State::Command(Trust::Full));
                self.on_command(text, command);
            }
            (Err(_), Trust::AfterRefusedData) => {
                self.hang_up(Some(replies::closing_data_behind()), End::Refused);
            }
            (Err(reply), Trust::Full) if chunk::is_announced_by(line.start()) => {
                self.hang_up_quietly(&reply, End::Refused);
            }
            (Err(reply), Trust::Full) => self.say_idle(&reply),
        }
    }

    fn on_command(&mut self, line: &[u8], command: Command<'_>) {
        match command {
            Command::Hello(greeter, name) => self.on_hello(greeter, name),
            Command::Mail(argument) => self.on_mail(line, argument),
            Command::Rcpt(argument) => self.on_rcpt(line, argument),
            Command::Data => self.on_data_command(),
            Command::Rset => self.on_rset(),
            Command::Quit => self.on_quit(),
            Command::Noop => self.say_idle(&replies::ok()),
            Command::Auth(argument) => self.on_auth(line, argument),
            Command::Vrfy => self.say_idle(&replies::cannot_verify()),
            Command::StartTls => self.on_start_tls(),
            Command::Unserved => self.say_idle(&replies::unserved()),
            Command::Bdat(argument) => self.on_bdat(argument),
        }
    }

    /// RFC 5321 §4.1.4: a hello in mid-session resets like RSET, also at the MX.
    fn on_hello(&mut self, greeter: Greeter, name: &[u8]) {
        if self.told.is_some() && !self.count_idle() {
            return;
        }
        self.transaction = None;
        self.reset_offer();
        if !self.link.is_open() && self.ends_with_login() {
            return;
        }
        self.link.say_hello(name, &mut self.out);
        self.enter(State::Hello(greeter));
    }

    /// The link has come to something: so much can be promised.
    pub(super) fn answer_hello(&mut self, greeter: Greeter) {
        if !self.vets(greeter) {
            self.tell_hello(greeter);
        }
    }

    /// Says what is promised.
    pub(super) fn tell_hello(&mut self, greeter: Greeter) {
        let banner = match self.link.banner() {
            [] => &b"danelaw"[..],
            banner => banner,
        };
        match greeter {
            Greeter::Ehlo => {
                let said = self.link.extensions().unwrap_or_default();
                // A connection that was lost while its host was judged hides nothing (attack TLS-01).
                let channel = self.link.channel();
                let channel =
                    channel.unwrap_or_else(|| Channel::Broken(LinkError::Lost.to_string()));
                let told = self.with_start_tls(said.offered(&channel, self.lacking));
                let auth = self.auth_keyword();
                let limits = &self.settings.limits;
                self.out
                    .tell_client(answer(banner, auth.as_deref(), told, limits));
                self.told = Some(self.with_auth(told));
            }
            Greeter::Helo => {
                let reply = Reply {
                    code: 250,
                    enhanced: None,
                    text: printable(banner, Charset::Ascii),
                };
                self.say(&reply);
                self.told = Some(Extensions::NONE);
            }
        }
        self.enter(State::Command(Trust::Full));
    }

    fn on_mail(&mut self, line: &[u8], argument: &[u8]) {
        let Some(told) = self.told else {
            return self.say_idle(&replies::out_of_order("say EHLO first"));
        };
        if self.transaction.is_some() {
            return self.say_idle(&replies::out_of_order("a transaction is open"));
        }
        match Mail::parse(line, argument, told) {
            Ok(mail) => {
                self.transaction = Some(Transaction::new(mail));
                self.say(&replies::sender_noted());
            }
            Err(error) => self.say_idle(&error.reply()),
        }
    }

    fn on_rset(&mut self) {
        if !self.count_idle() {
            return;
        }
        let transaction = self.transaction.take();
        if transaction.is_some_and(|transaction| transaction.is_open_upstream()) {
            self.out.control(Control::Rset);
            self.enter(State::ResetReply(Asker::Client));
        } else {
            self.say(&replies::ok());
        }
    }

    fn on_quit(&mut self) {
        self.hang_up_quietly(&replies::goodbye(), End::Quit);
    }

    /// Answers a command that brings nothing forward.
    pub(super) fn say_idle(&mut self, reply: &Reply) {
        self.say(reply);
        self.count_idle();
    }

    /// False when that was one too many, and the session is over.
    pub(super) fn count_idle(&mut self) -> bool {
        self.idle += 1;
        let is_within = self.idle <= self.settings.limits.idle_commands;
        if !is_within {
            self.hang_up(
                Some(replies::closing_abuse("too many commands without progress")),
                End::Refused,
            );
        }
        is_within
    }
}
