//! What each fuzz target does with its input; `tests/fuzz_replay.rs` runs the same over the corpora.
//!
//! Every function takes any octets, must not panic, and holds up what is said in its assertions.

use std::sync::LazyLock;
use std::time::Instant;

use danelaw::clock::{Clock, SystemClock, Timestamp};
use danelaw::dane::{self, Presented, Tlsa, Usage, tlsa as records};
use danelaw::dns::resolver::TrustAnchor;
use danelaw::dns::{AbsenceKind, Answer, Denial, fuzzing};
use danelaw::intercept::proxy_protocol::{self, Header, Malformed, Step};
use danelaw::policy::{Demand, Located};
use danelaw::smtp::chunk::Chunk;
use danelaw::smtp::command::{Command, Mail, Rcpt};
use danelaw::smtp::data::{BareLineEnds, EndOfData, Scanned};
use danelaw::smtp::ehlo::{Extension, Extensions};
use danelaw::smtp::path::{self, Charset};
use danelaw::smtp::reply::ReplyParser;
use danelaw::smtp::{
    Action, Auth, Channel, ClientHandshake, ClientTls, Dialled, Limits, NoTls, Session, Settings,
    Timeouts,
};
use danelaw::tls::Evidence;
use danelaw::verdict::{Reason, Redial, Refusal, Verdict, judge};
use danelaw::x509::outline::{Outline, split_spki};
use danelaw::x509::path::Roots;
use ring::digest;
use rustls_pki_types::CertificateDer;

/// A command line, with everything offered.
pub fn command(data: &[u8]) {
    use Extension as E;
    let told = Extensions::of(&[E::Size, E::EightBitMime, E::SmtpUtf8, E::Dsn]);
    let outcome = Command::parse(data).and_then(|command| match command {
        Command::Mail(argument) => Mail::parse(data, argument, told).map(|mail| Some(mail.line)),
        Command::Rcpt(argument) => {
            Rcpt::parse(data, argument, told, Charset::Utf8).map(|rcpt| Some(rcpt.line))
        }
        Command::Bdat(argument) => Chunk::parse(argument).map(|_| None),
        Command::Hello(..)
        | Command::Data
        | Command::Rset
        | Command::Noop
        | Command::Quit
        | Command::Vrfy
        | Command::StartTls
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
        let told = said.offered(&Channel::Protected, Extensions::NONE);
        assert!(!told.has(Extension::StartTls));
        assert!(told.iter().all(|one| {
            use Extension as E;
            let is_ours = matches!(one, E::Pipelining | E::EnhancedStatusCodes);
            let is_assumed = matches!(one, E::EightBitMime | E::SmtpUtf8);
            said.has(one) || is_ours || is_assumed
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

/// A PROXY header: nothing is asked for that is not its own, and what came in pieces is the same in one.
pub fn proxy_protocol(data: &[u8]) {
    let mut taken = 0;
    let outcome: Result<Header, Malformed> = loop {
        match proxy_protocol::parse(&data[..taken]) {
            Ok(Step::More(count)) => {
                assert!(count > 0, "it asks for nothing");
                taken += count;
                assert!(taken <= 16 + 4096, "it asks for too much");
                if taken > data.len() {
                    return;
                }
            }
            Ok(Step::Done(header)) => break Ok(header),
            Err(malformed) => break Err(malformed),
        }
    };
    let whole = proxy_protocol::parse(&data[..taken]);
    assert_eq!(whole, outcome.map(Step::Done));
    if outcome.is_ok() {
        let is_right = match data[0] {
            b'P' => data[..taken].ends_with(b"\r\n") && taken <= 107,
            _ => taken == 16 + usize::from(u16::from_be_bytes([data[14], data[15]])),
        };
        assert!(is_right, "the header ends elsewhere");
    }
}

/// RDATA of TLSA records, each after its length in two octets: order says nothing, and what is usable stays so.
pub fn tlsa(data: &[u8]) {
    let mut rrset = pieces(data);
    let usable = records::usable(&rrset);
    assert!(usable.len() <= rrset.len());
    let alone = |rdata: &Vec<u8>| records::usable(std::slice::from_ref(rdata));
    let any = rrset.iter().any(|rdata| !alone(rdata).is_empty());
    assert_eq!(any, !usable.is_empty(), "agility has left nothing");
    rrset.reverse();
    let reversed = records::usable(&rrset);
    assert!(usable.iter().all(|record| reversed.contains(record)));
    assert_eq!(usable.len(), reversed.len());
}

/// The outline of a certificate: its parts lie in it, one after the other.
pub fn outline(data: &[u8]) {
    let Ok(outline) = Outline::parse(data) else {
        return;
    };
    let parts = [outline.issuer, outline.subject, outline.spki];
    assert!(parts.iter().map(|part| part.len()).sum::<usize>() < outline.tbs.len());
    assert!(outline.tbs.len() < data.len());
    if let Ok(key) = split_spki(outline.spki) {
        assert!(key.algorithm.len() + key.key.len() < outline.spki.len());
    }
}

/// A chain and its records: pieces as in [`tlsa`], a certificate after an octet of 128 or more, a record otherwise. A
/// piece of two octets is the record of a kind and for a certificate that they choose, so that mutated chains match.
pub fn chain(data: &[u8]) {
    let (mut chain, mut rrset) = (Vec::new(), Vec::new());
    for piece in pieces(data) {
        match piece.split_first() {
            Some((128.., certificate)) => chain.push(CertificateDer::from(certificate.to_vec())),
            Some((kind, [which])) => rrset.extend(record_for(*kind, *which, &chain)),
            Some(_) => rrset.push(piece),
            None => {}
        }
    }
    let reference_ids = Vec::from_iter("mx.example.com".parse());
    let presented = Presented {
        chain: &chain,
        reference_ids: &reference_ids,
    };
    let now = Timestamp::from_unix(1_767_225_600);
    let usable = records::usable(&rrset);
    let outcome = dane::verify(&usable, presented, now);
    let Ok(found) = outcome else {
        // One record of DANE-EE is enough.
        for record in &usable {
            assert!(
                record.usage == Usage::DaneTa
                    || dane::verify(std::slice::from_ref(record), presented, now).is_err()
            );
        }
        return;
    };
    assert!(usable.contains(&found.record));
    match found.record.usage {
        Usage::DaneEe => assert!(is_named(&found.record, &chain[0])),
        Usage::DaneTa => assert!(found.depth <= chain.len()),
    }
    // One more record does not undo a match that it does not outdo by its digest or hold to a certificate.
    rrset.push([&[3, 1, 1], &[0xab; 32][..]].concat());
    let more = records::usable(&rrset);
    if more.contains(&found.record) {
        assert!(dane::verify(&more, presented, now).is_ok());
    }
}

/// The record of usage, selector and matching type that `kind` tells, for one of the certificates.
fn record_for(kind: u8, which: u8, chain: &[CertificateDer<'_>]) -> Option<Vec<u8>> {
    let certificate = chain.get(usize::from(which) % chain.len().max(1))?;
    let (usage, selector, matching) = (2 + (kind & 1), (kind >> 1) & 1, (kind >> 2) % 3);
    let selected = match selector {
        0 => certificate.as_ref(),
        _ => Outline::parse(certificate).ok()?.spki,
    };
    let data = match matching {
        0 => selected.to_vec(),
        1 => digest::digest(&digest::SHA256, selected).as_ref().to_vec(),
        _ => digest::digest(&digest::SHA512, selected).as_ref().to_vec(),
    };
    Some([&[usage, selector, matching], &data[..]].concat())
}

/// Whether the record names the certificate or its key, worked out anew.
fn is_named(record: &Tlsa, certificate: &[u8]) -> bool {
    let spki = Outline::parse(certificate).map_or(&[][..], |outline| outline.spki);
    [certificate, spki].iter().any(|selected| {
        record.data == *selected
            || record.data == digest::digest(&digest::SHA256, selected).as_ref()
            || record.data == digest::digest(&digest::SHA512, selected).as_ref()
    })
}

/// Pieces, each after its length in two octets.
fn pieces(mut data: &[u8]) -> Vec<Vec<u8>> {
    let mut pieces = Vec::new();
    while let [high, low, rest @ ..] = data {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
        let (piece, rest) = rest.split_at(length);
        pieces.push(piece.to_vec());
        data = rest;
    }
    pieces
}

/// A session: each instruction is a letter, and for `C` and `S` a length and octets (see [`Driver::step`]); where a `P`
/// stands first, bare line ends pass.
pub fn session(data: &[u8]) {
    let (bare_line_ends, mut rest) = match data.strip_prefix(b"P") {
        Some(rest) => (BareLineEnds::Pass, rest),
        None => (BareLineEnds::Reject, data),
    };
    let mut driver = Driver::new(bare_line_ends);
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

/// What a resolver says: the number of a question of `answers.txt`, then messages, each after its length in two octets. Nothing
/// comes out as secure that the keys of that world have not signed, and nothing that they have signed comes out as insecure.
pub fn answer(data: &[u8]) {
    answered(data);
}

/// What came out, unless that is a failure.
pub fn answered(data: &[u8]) -> Option<&'static str> {
    let (&number, mut rest) = data.split_first()?;
    let honest = &ANSWERS[usize::from(number) % ANSWERS.len()];
    let mut messages = Vec::new();
    while let Some((length, tail)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length)).min(tail.len());
        let (message, tail) = tail.split_at(length);
        messages.push(message.to_vec());
        rest = tail;
    }
    let anchor = TrustAnchor::parse(&ANCHOR);
    assert!(anchor.is_ok(), "{anchor:?}");
    let anchor = anchor.ok()?;
    let asking = fuzzing::answer(&anchor, NOW, (honest.owner, honest.record_type), messages);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let answer = runtime.map(|runtime| runtime.block_on(asking));
    assert!(matches!(answer, Ok(Ok(_))), "{}: {answer:?}", honest.owner);
    let answer = answer.ok()?.ok()?;
    let seen = word(&answer);
    if seen == "no answer" {
        return None;
    }
    if let Answer::Secure(secure) = &answer {
        let mut data = secure.data().clone();
        data.sort();
        data.dedup();
        assert_eq!(data.join("; "), honest.data, "{}", honest.owner);
    }
    // The denials of a zone with too many iterations are insecure, and with them all that it holds.
    let is_weak = honest.owner.ends_with("rounds.test");
    let is_lowered = is_weak || !honest.comes_out.starts_with("secure");
    assert!(
        seen == honest.comes_out || (is_lowered && seen.starts_with("insecure")),
        "{seen} for {}, which is {}",
        honest.owner,
        honest.comes_out
    );
    Some(seen)
}

fn word(answer: &Answer<Vec<String>>) -> &'static str {
    match answer {
        Answer::Failed(_) => "no answer",
        Answer::Secure(_) => "secure records",
        Answer::Insecure(_) => "insecure records",
        Answer::Absent(absence) => match (absence.denial, absence.kind) {
            (Denial::Secure, AbsenceKind::NoData) => "secure nodata",
            (Denial::Secure, AbsenceKind::NxDomain) => "secure nxdomain",
            (Denial::Insecure, AbsenceKind::NoData) => "insecure nodata",
            (Denial::Insecure, AbsenceKind::NxDomain) => "insecure nxdomain",
        },
    }
}

/// A question and what honestly comes out.
struct Honest {
    owner: &'static str,
    record_type: &'static str,
    comes_out: &'static str,
    data: &'static str,
}

static ANSWERS: LazyLock<Vec<Honest>> = LazyLock::new(|| {
    let read = |line: &'static str| {
        let (question, data) = line
            .split_once(": ")
            .unwrap_or_else(|| (line.trim_end_matches(':'), ""));
        let (owner, rest) = question.split_once(' ')?;
        let (record_type, comes_out) = rest.split_once(' ')?;
        Some(Honest {
            owner,
            record_type,
            comes_out,
            data,
        })
    };
    let (_, lines) = WORLD.split_once('\n').unwrap_or_default();
    lines.lines().filter_map(read).collect()
});

static ANCHOR: LazyLock<&str> = LazyLock::new(|| WORLD.lines().next().unwrap_or_default());

const WORLD: &str = include_str!("../answers.txt");

/// When the world's signatures hold.
const NOW: Timestamp = Timestamp::from_unix(1_767_225_600);

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
    fn new(bare_line_ends: BareLineEnds) -> Self {
        let now = SystemClock.instant();
        let settings = Settings {
            trace: "FUZZ".into(),
            hint: None,
            lacking: Extensions::NONE,
            bare_line_ends,
            timeouts: Timeouts::default(),
            limits: Limits::default(),
            client_tls: ClientTls::Offered,
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

    /// `C` and `S` are octets of the client and the MX, `c` and `s` their ends, `l` is the loss of the client, `t` the next
    /// deadline, `!` the shutdown; `F` lets the next dial or handshake fail, `R` the next recipient be refused, `D` be dialled for again.
    fn step(&mut self, letter: u8, octets: &[u8]) {
        if !b"CSclst!".contains(&letter) {
            self.next = letter;
            return;
        }
        self.drain();
        match letter {
            b'C' => self.session.handle_client(octets, self.now),
            b'S' => self.session.handle_server(octets, self.now),
            b'c' => self.session.handle_client_end(self.now),
            b'l' => self.session.handle_client_lost(self.now),
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
                Action::SecureClient { .. } => {
                    let answer = match std::mem::take(&mut self.next) {
                        b'F' => ClientHandshake::Failed,
                        _ => ClientHandshake::Secured { sni: None },
                    };
                    self.session.handle_client_tls(answer, self.now);
                }
                Action::Judge(_) => self.judge(),
                Action::ToClient(octets) => assert_is_reply(&octets),
                Action::ToServer(octets) => {
                    let is_control = [&b"EHLO "[..], b"HELO ", b"STARTTLS", b"RSET", b"QUIT"]
                        .iter()
                        .any(|control| octets.starts_with(control));
                    assert!(is_control || self.pins > 0, "{octets:?} before a pin");
                }
                Action::GaveUp { .. } => {}
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

/// One whole reply: lines of at most 512 octets with one code, and no line end within them.
fn assert_is_reply(octets: &[u8]) {
    let mut parser = ReplyParser::new(&Limits {
        reply_line: 512,
        ..Limits::default()
    });
    parser.push(octets);
    assert!(matches!(parser.next_reply(), Ok(Some(_))));
    assert!(parser.is_empty());
}

/// The verdict where nothing is demanded.
fn pin() -> Verdict {
    let demand = Demand {
        located: Located::ByAddress,
        candidates: Vec::new(),
    };
    let evidence = Evidence::Clear(NoTls::NotOffered);
    let now = Timestamp::from_unix(0);
    judge(&demand, &evidence, &[None], &Roots::new(Vec::new()), now)
}
