//! A conversation in lines: what comes in, and after each of it exactly what must go out.
//!
//! | in | | out | |
//! |---|---|---|---|
//! | `C: x` / `S: x` | a line of the client / the MX | `c: x` / `s: x` | a line to the client / the MX |
//! | `C~ x` / `S~ x` | octets with escapes, no CRLF | `c~ x` / `s~ x` | octets that end in no CRLF |
//! | `C$` / `S$` | the end of one side | `! x` | an action |
//! | `C!` | the client is gone | | |
//! | `> x` | an answer to an action, `> time`, `> shutdown` | `…` at the end | whatever follows |
//!
//! `@name` stands for one of the passages below, `#` opens a remark.

use std::time::{Duration, Instant};

use super::super::super::{
    Action, Channel, ClientHandshake, Dialled, NoTls, Settings, Target, Waiting,
};
use super::super::Session;
use super::{pin, pin_by, refuse, settings};
use crate::verdict::{Basis, Reason, Redial, Verdict};

/// Greeted, with nothing said yet.
const GREETED: &str = "
    ! dial
    > connected
    S: 220 mx.example ESMTP
    c: 220 mx.example ESMTP
";

/// The client has said EHLO, and the MX has offered STARTTLS and accepted it.
const HANDSHAKE: &str = "
    @greeted
    C: EHLO mta.example
    s: EHLO mta.example
    S: 250-mx.example
    S: 250 STARTTLS
    s: STARTTLS
    S: 220 go ahead
    ! starttls mx.example
";

/// EHLO answered, TLS up.
const TLS: &str = "
    @handshake
    > secured
    s: EHLO mta.example
    S: 250-mx.example
    S: 250-PIPELINING
    S: 250-SIZE 1000
    S: 250-SMTPUTF8
    S: 250-DSN
    S: 250 8BITMIME
    c: 250-mx.example
    c: 250-PIPELINING
    c: 250-SIZE
    c: 250-8BITMIME
    c: 250-SMTPUTF8
    c: 250-ENHANCEDSTATUSCODES
    c: 250-DSN
    c: 250 LIMITS …
";

/// EHLO answered, no TLS offered.
const CLEAR: &str = "
    @greeted
    C: EHLO mta.example
    s: EHLO mta.example
    S: 250 mx.example
    @least
";

/// The reply to EHLO of what is offered whatever the MX has.
const LEAST: &str = "
    c: 250-mx.example
    c: 250-PIPELINING
    c: 250-8BITMIME
    c: 250-SMTPUTF8
    c: 250-ENHANCEDSTATUSCODES
    c: 250 LIMITS RCPTMAX=1000 RCPTDOMAINMAX=1
";

/// TLS up at the MX, and offered to the client.
const OFFER: &str = "
    @handshake
    > secured
    s: EHLO mta.example
    S: 250 mx.example
    c: 250-mx.example
    c: 250-PIPELINING
    c: 250-8BITMIME
    c: 250-SMTPUTF8
    c: 250-ENHANCEDSTATUSCODES
    c: 250-STARTTLS
    c: 250 LIMITS …
";

/// The client shakes hands.
const SECURING: &str = "
    @offer
    C: STARTTLS
    c: 220 2.0.0 …
    ! secure-client mx.example
";

/// MAIL, answered provisionally.
const MAIL: &str = "
    C: MAIL FROM:<a@b.example>
    c: 250 2.1.0 …
";

/// A recipient, and the question whether the destination may have it.
const ASKED: &str = "
    @mail
    C: RCPT TO:<u@good.example>
    ! judge good.example protected first
";

/// It may, and is asked in its turn.
const CLEARED: &str = "
    > pin
    s: MAIL FROM:<a@b.example>
    s: RCPT TO:<u@good.example>
";

/// It may not by what it has shown, and another connection is begun.
const REDIAL: &str = "
    > redial a.example
    s: QUIT
    ! close-server
    ! dial
";

/// Another connection, up to the handshake.
const AGAIN: &str = "
    > connected
    S: 220 mx.example
    s: EHLO mta.example
    S: 250-mx.example
    S: 250 STARTTLS
    s: STARTTLS
    S: 220 go
";

/// TLS up and one recipient accepted.
const RCPT: &str = "
    @tls
    @asked
    @cleared
    S: 250 2.1.0 ok
    S: 250 2.1.5 ok
    c: 250 2.1.5 ok
";

/// The same, and the MX wants the message.
const DATA: &str = "
    @rcpt
    C: DATA
    s: DATA
    S: 354 go ahead
    c: 354 go ahead
";

/// TLS up with CHUNKING.
const CHUNKING: &str = "
    @handshake
    > secured
    s: EHLO mta.example
    S: 250-mx.example
    S: 250-PIPELINING
    S: 250 CHUNKING
    c: 250-mx.example
    c: 250-PIPELINING
    c: 250-8BITMIME
    c: 250-SMTPUTF8
    c: 250-ENHANCEDSTATUSCODES
    c: 250-CHUNKING
    c: 250 LIMITS …
";

/// The same, and one recipient accepted.
const CHUNKS: &str = "
    @chunking
    @asked
    @cleared
    S: 250 2.1.0 ok
    S: 250 2.1.5 ok
    c: 250 2.1.5 ok
";

/// Runs a script against a session with the usual settings.
pub(super) fn run(script: &str) -> Session {
    run_with(settings(), script)
}

/// Runs a script and checks every line of it.
pub(super) fn run_with(settings: Settings, script: &str) -> Session {
    let lines = expand(script);
    let mut now = start();
    let mut session = Session::new(settings, now);
    let mut done: Vec<&str> = Vec::new();
    let mut rest = &lines[..];
    loop {
        let count = rest.iter().take_while(|line| is_output(line)).count();
        let (wanted, tail) = rest.split_at(count);
        let seen = drain(&mut session);
        let fits = seen.len() == wanted.len()
            && seen
                .iter()
                .zip(wanted)
                .all(|(seen, wanted)| matches(seen, wanted));
        assert!(
            fits,
            "after\n  {}\nwanted\n  {}\nseen\n  {}",
            done.join("\n  "),
            wanted.join("\n  "),
            seen.join("\n  ")
        );
        done.extend(wanted.iter().map(String::as_str));
        let Some((input, tail)) = tail.split_first() else {
            return session;
        };
        done.push(input);
        apply(&mut session, input, &mut now);
        rest = tail;
    }
}

/// A time like any other.
#[expect(
    clippy::disallowed_methods,
    reason = "an origin for durations; nothing depends on it"
)]
pub(super) fn start() -> Instant {
    Instant::now()
}

fn expand(script: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for line in script.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match line.strip_prefix('@') {
            Some(name) => lines.extend(expand(passage(name))),
            None => lines.push(line.to_owned()),
        }
    }
    lines
}

fn passage(name: &str) -> &'static str {
    match name {
        "greeted" => GREETED,
        "handshake" => HANDSHAKE,
        "tls" => TLS,
        "clear" => CLEAR,
        "least" => LEAST,
        "offer" => OFFER,
        "securing" => SECURING,
        "mail" => MAIL,
        "asked" => ASKED,
        "cleared" => CLEARED,
        "redial" => REDIAL,
        "again" => AGAIN,
        "rcpt" => RCPT,
        "data" => DATA,
        "chunking" => CHUNKING,
        "chunks" => CHUNKS,
        _ => panic!("no such passage: @{name}"),
    }
}

fn is_output(line: &str) -> bool {
    line.starts_with(['c', 's', '!'])
}

fn matches(seen: &str, wanted: &str) -> bool {
    match wanted.strip_suffix('…') {
        Some(start) => seen.starts_with(start),
        None => seen.trim_end() == wanted, // lines of a script have no blanks at their end
    }
}

fn apply(session: &mut Session, input: &str, now: &mut Instant) {
    *now += Duration::from_millis(1);
    let (kind, text) = input.split_at(2);
    let text = text.strip_prefix(' ').unwrap_or(text);
    match kind {
        "C:" => session.handle_client(format!("{text}\r\n").as_bytes(), *now),
        "S:" => session.handle_server(format!("{text}\r\n").as_bytes(), *now),
        "C~" => session.handle_client(&unescape(text), *now),
        "S~" => session.handle_server(&unescape(text), *now),
        "C$" => session.handle_client_end(*now),
        "C!" => session.handle_client_lost(*now),
        "S$" => session.handle_server_end(*now),
        "> " => answer(session, text, now),
        _ => panic!("not a line of a script: {input}"),
    }
}

fn answer(session: &mut Session, text: &str, now: &mut Instant) {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    match (word, rest) {
        ("connected", "") => session.handle_upstream(Dialled::Connected, *now),
        ("secured", "") => session.handle_upstream(Dialled::Secured, *now),
        ("failed", why) => session.handle_upstream(Dialled::Failed(why.into()), *now),
        ("exhausted", "") => session.handle_upstream(Dialled::Exhausted, *now),
        ("broken", why) => session.handle_upstream(Dialled::HandshakeFailed(why.into()), *now),
        ("client", "failed") => session.handle_client_tls(ClientHandshake::Failed, *now),
        ("client", sni) => {
            let sni = sni.parse().ok();
            session.handle_client_tls(ClientHandshake::Secured { sni }, *now);
        }
        ("pin", "dane") => session.handle_verdict(pin_by(Basis::DaneEe), *now),
        ("pin", "") => session.handle_verdict(pin(), *now),
        ("refuse", "") => session.handle_verdict(refuse(), *now),
        ("redial", "clear") => session.handle_verdict(Verdict::Redial(Redial::Cleartext), *now),
        ("redial", name) => {
            let redial = match name.strip_prefix("observe:") {
                Some(name) => Redial::Observe(name.parse().unwrap()),
                None => Redial::Sni(name.parse().unwrap()),
            };
            session.handle_verdict(Verdict::Redial(redial), *now);
        }
        ("time", waiting) => {
            let (deadline, awaited) = session.poll_timeout().expect("something is awaited");
            assert_eq!(name(awaited), waiting);
            *now = deadline;
            session.handle_timeout(*now);
        }
        ("stalled", "") => {
            let (deadline, awaited) = session.poll_timeout().expect("something is awaited");
            assert_eq!(name(awaited), "client");
            *now = deadline;
            session.handle_server_stalled(*now);
        }
        ("shutdown", "") => session.handle_shutdown(*now),
        _ => panic!("not an answer: {text}"),
    }
}

const fn name(waiting: Waiting) -> &'static str {
    match waiting {
        Waiting::Client => "client",
        Waiting::Server => "server",
        Waiting::Dial => "dial",
        Waiting::Verdict => "verdict",
        Waiting::ClientTls => "client-tls",
    }
}

pub(super) fn unescape(text: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            octets.extend(c.to_string().bytes());
            continue;
        }
        octets.push(match chars.next().unwrap() {
            'r' => b'\r',
            'n' => b'\n',
            '0' => 0,
            'x' => {
                let digits: String = chars.by_ref().take(2).collect();
                u8::from_str_radix(&digits, 16).unwrap()
            }
            other => panic!("no such escape: {other}"),
        });
    }
    octets
}

fn drain(session: &mut Session) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some(action) = session.poll_action() {
        match action {
            Action::ToClient(octets) => render('c', &octets, &mut lines),
            Action::ToServer(octets) => render('s', &octets, &mut lines),
            Action::Dial => lines.push("! dial".into()),
            Action::StartTls { sni } => {
                let sni = sni.map_or_else(|| "-".into(), |sni| sni.to_string());
                lines.push(format!("! starttls {sni}"));
            }
            Action::SecureClient { name } => {
                let name = name.map_or_else(|| "-".into(), |name| name.to_string());
                lines.push(format!("! secure-client {name}"));
            }
            Action::Judge(question) => {
                let target = named(&question.target);
                let channel = match question.channel {
                    Channel::Protected => "protected".into(),
                    Channel::Clear(NoTls::NotOffered) => "clear(not offered)".into(),
                    Channel::Clear(NoTls::Refused(code)) => format!("clear({code})"),
                    Channel::Clear(NoTls::HandshakeFailed(why)) => format!("clear({why})"),
                    Channel::Broken(why) => format!("broken({why})"),
                };
                let round = if question.first { "first" } else { "again" };
                lines.push(format!("! judge {target} {channel} {round}"));
            }
            Action::GaveUp { target, why } => {
                let label = why.label();
                let why = if let Reason::Unreachable { what } | Reason::ServerLost { what } = &why {
                    format!("{label}({what})")
                } else if label == "decision-timeout" {
                    "undecided".into()
                } else {
                    label.to_owned()
                };
                lines.push(format!("! gave-up {} {why}", named(&target)));
            }
            Action::CloseServer => lines.push("! close-server".into()),
            Action::CloseClient => lines.push("! close-client".into()),
        }
    }
    lines
}

fn named(target: &Target) -> String {
    match target {
        Target::Domain(domain) => domain.to_string(),
        Target::Literal(address) => address.to_string(),
        Target::Postmaster => "postmaster".into(),
    }
}

fn render(side: char, octets: &[u8], lines: &mut Vec<String>) {
    let text: String = octets.escape_ascii().to_string();
    let mut parts = text.split("\\r\\n").peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_some() {
            lines.push(format!("{side}: {part}"));
        } else if !part.is_empty() {
            lines.push(format!("{side}~ {part}"));
        }
    }
}
