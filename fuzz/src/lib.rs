//! What each fuzz target does with its input; `tests/fuzz_replay.rs` runs the same over the corpora.
//!
//! Every function takes any octets, must not panic, and holds up what is said in its assertions.

use std::time::Instant;

use danelaw::clock::{Clock, SystemClock, Timestamp};
use danelaw::policy::{Demand, Located};
use danelaw::smtp::command::{Command, Mail, Rcpt};
use danelaw::smtp::data::{EndOfData, Scanned};
use danelaw::smtp::ehlo::{Extension, Extensions};
use danelaw::smtp::path::{self, Charset};
use danelaw::smtp::reply::ReplyParser;
use danelaw::smtp::{Action, Auth, Dialled, Limits, NoTls, Session, Settings, Timeouts};
use danelaw::tls::Evidence;
use danelaw::verdict::{Reason, Redial, Refusal, Verdict, judge};
use danelaw::x509::path::Roots;

/// A command line, with everything offered.
pub fn command(data: &[u8]) {
    use Extension as E;
    let told = Extensions::of(&[E::Size, E::EightBitMime, E::SmtpUtf8, E::Dsn]);
    let outcome = Command::parse(data).and_then(|command| match command {
        Command::Mail(argument) => Mail::parse(data, argument, told).map(|mail| Some(mail.line)),
        Command::Rcpt(argument) => {
            Rcpt::parse(data, argument, told, Charset::Utf8).map(|rcpt| Some(rcpt.line))
        }
        Command::Hello(..)
        | Command::Data
        | Command::Bdat
        | Command::Rset
        | Command::Noop
        | Command::Quit
        | Command::Vrfy
        | Command::Auth(_)
        | Command::Unserved => Ok(None),
    });
    match outcome {
        Ok(kept) => assert!(kept.is_none_or(|line| line == data), "a line was rewritten"),
        Err(error) => assert_eq!(error.reply().code / 100, 5),
    }
}

/// A path: what is plain US-ASCII is read the same with SMTPUTF8 and without.
pub fn path(data: &[u8]) {
    let split = path::split(data);
    if let Ok((path, rest)) = split {
        assert_eq!([path, rest].concat(), data);
    }
    let ascii = path::forward(data, Charset::Ascii);
    if ascii.is_ok() {
        assert_eq!(path::forward(data, Charset::Utf8), ascii);
        assert!(
            path::reverse(data, Charset::Ascii).is_ok()
                || data.eq_ignore_ascii_case(b"<postmaster>")
        );
    }
}

/// Replies: the same however they are cut, up to the first error.
pub fn reply(data: &[u8]) {
    let read = |step: usize| {
        let mut parser = ReplyParser::new(&Limits::default());
        let mut replies = Vec::new();
        for chunk in data.chunks(step) {
            parser.push(chunk);
            loop {
                match parser.next_reply() {
                    Ok(Some(reply)) => replies.push(reply),
                    Ok(None) => break,
                    Err(error) => return (replies, Some(error)),
                }
            }
        }
        (replies, None)
    };
    assert_eq!(read(1), read(data.len().max(1)));
}

/// A reply to EHLO: never offered is what neither leg understands.
pub fn ehlo(data: &[u8]) {
    let mut parser = ReplyParser::new(&Limits::default());
    parser.push(data);
    if let Ok(Some(reply)) = parser.next_reply() {
        let said = Extensions::parse(&reply);
        let told = said.offered();
        assert!(!told.has(Extension::StartTls));
        assert!(told.iter().all(|one| {
            said.has(one) || matches!(one, Extension::Pipelining | Extension::EnhancedStatusCodes)
        }));
    }
}

/// Message data: the same end however it is cut; nothing bare passes.
pub fn end_of_data(data: &[u8]) {
    let scan = |step: usize| {
        let (mut scanner, mut relayed, mut at) = (EndOfData::default(), Vec::new(), 0);
        for chunk in data.chunks(step) {
            match scanner.scan(chunk, |clean| relayed.extend_from_slice(clean)) {
                Scanned::More => at += chunk.len(),
                Scanned::End(end) => return (relayed, Some((true, at + end))),
                Scanned::Tainted(end) => return (Vec::new(), Some((false, at + end))),
            }
        }
        (relayed, None)
    };
    let whole = scan(data.len().max(1));
    assert_eq!(scan(1), whole);
    assert_eq!(scan(131), whole);
    let count = |what| whole.0.iter().filter(|octet| **octet == what).count();
    assert_eq!(count(b'\r'), count(b'\n'));
}

/// A session: each instruction is a letter, and for `C` and `S` a length and octets (see [`Driver::step`]).
pub fn session(data: &[u8]) {
    let mut driver = Driver::new();
    let mut rest = data;
    while let Some((&letter, tail)) = rest.split_first() {
        let length = match letter {
            b'C' | b'S' => usize::from(tail.first().copied().unwrap_or(0)) + 1,
            _ => 0,
        };
        let (argument, tail) = tail.split_at(length.min(tail.len()));
        driver.step(letter, argument.get(1..).unwrap_or_default());
        rest = tail;
    }
}

struct Driver {
    session: Session,
    now: Instant,
    /// What becomes of the next dial, handshake or question; a letter of [`Driver::step`].
    next: u8,
    /// Favourable verdicts since the connection was made.
    pins: u32,
    is_over: bool,
}

impl Driver {
    fn new() -> Self {
        let now = SystemClock.instant();
        let settings = Settings {
            trace: "FUZZ".into(),
            hint: None,
            timeouts: Timeouts::default(),
            limits: Limits::default(),
            auth: Auth::default(),
        };
        Self {
            session: Session::new(settings, now),
            now,
            next: 0,
            pins: 0,
            is_over: false,
        }
    }

    /// `C` and `S` are octets of the client and the MX, `c` and `s` their ends, `t` is the next deadline, `!` the
    /// shutdown; `F` lets the next dial or handshake fail, `R` the next recipient be refused, `D` be dialled for again.
    fn step(&mut self, letter: u8, octets: &[u8]) {
        if !b"CScst!".contains(&letter) {
            self.next = letter;
            return;
        }
        self.drain();
        match letter {
            b'C' => self.session.handle_client(octets, self.now),
            b'S' => self.session.handle_server(octets, self.now),
            b'c' => self.session.handle_client_end(self.now),
            b's' => self.session.handle_server_end(self.now),
            b'!' => self.session.handle_shutdown(self.now),
            b't' => {
                if let Some((deadline, _)) = self.session.poll_timeout() {
                    self.now = deadline;
                    self.session.handle_timeout(deadline);
                }
            }
            _ => {}
        }
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(action) = self.session.poll_action() {
            assert!(!self.is_over, "an action after the end");
            match action {
                Action::Dial => {
                    let answer = match std::mem::take(&mut self.next) {
                        b'F' => Dialled::Failed("refused".into()),
                        _ => Dialled::Connected,
                    };
                    self.session.handle_upstream(answer, self.now);
                }
                Action::StartTls { .. } => {
                    let answer = match std::mem::take(&mut self.next) {
                        b'F' => Dialled::HandshakeFailed("alert".into()),
                        _ => Dialled::Secured,
                    };
                    self.session.handle_upstream(answer, self.now);
                }
                Action::Judge(_) => self.judge(),
                Action::ToClient(octets) => assert!(octets.ends_with(b"\r\n")),
                Action::ToServer(octets) => {
                    let is_control = [&b"EHLO "[..], b"HELO ", b"STARTTLS", b"RSET", b"QUIT"]
                        .iter()
                        .any(|control| octets.starts_with(control));
                    assert!(is_control || self.pins > 0, "{octets:?} before a pin");
                }
                Action::CloseServer => self.pins = 0,
                Action::CloseClient => self.is_over = true,
            }
        }
    }

    fn judge(&mut self) {
        let verdict = match std::mem::take(&mut self.next) {
            b'R' => Verdict::Refuse(Refusal {
                reason: Reason::Unreachable {
                    what: "fuzz".into(),
                },
                host: None,
                level: None,
            }),
            b'D' => Verdict::Redial(Redial::Cleartext),
            _ => {
                self.pins += 1;
                pin()
            }
        };
        self.session.handle_verdict(verdict, self.now);
    }
}

/// The verdict where nothing is demanded.
fn pin() -> Verdict {
    let demand = Demand {
        located: Located::ByAddress,
        candidates: Vec::new(),
    };
    let evidence = Evidence::Clear(NoTls::NotOffered);
    let now = Timestamp::from_unix(0);
    judge(&demand, &evidence, &[None], &Roots(Vec::new()), now)
}
