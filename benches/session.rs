//! What the pure session costs: a whole transaction without IO, and the scan for the end of message data.
//!
//! Beside it a session pays about 100 µs for its upstream handshake, so a transaction should stay in single
//! microseconds; the scan competes with AES-GCM, so it should pass 10 GB/s on ordinary text.

use std::hint::black_box;
use std::time::Instant;

use danelaw::clock::{Clock, SystemClock, Timestamp};
use danelaw::policy::{Demand, Located};
use danelaw::smtp::data::{BareLineEnds, EndOfData};
use danelaw::smtp::ehlo::Extensions;
use danelaw::smtp::{
    Action, Auth, ClientHandshake, ClientTls, Dialled, Limits, NoTls, Session, Settings, Timeouts,
};
use danelaw::tls::Evidence;
use danelaw::verdict::{Verdict, judge};
use danelaw::x509::path::Roots;
use divan::counter::BytesCount;
use divan::{AllocProfiler, Bencher};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// Greeting to QUIT with one message, the driver's answers included.
#[divan::bench(args = [4 << 10, 1 << 20])]
fn transaction(bencher: Bencher<'_, '_>, octets: usize) {
    let mut message = text(octets);
    message.extend_from_slice(b".\r\n");
    let now = SystemClock.instant();
    bencher
        .counter(BytesCount::new(message.len()))
        .bench(|| deliver(black_box(&message), now));
}

/// A session up to the state in which it may wait for long.
#[divan::bench]
fn greeting(bencher: Bencher<'_, '_>) {
    let now = SystemClock.instant();
    bencher.bench(|| {
        let mut session = Session::new(settings(), now);
        session.handle_upstream(Dialled::Connected, now);
        session.handle_server(b"220 mx.example ESMTP\r\n", now);
        drain(&mut session, now);
        session
    });
}

#[divan::bench(args = ["lines of 76", "lines of 998", "dots at every line"])]
fn end_of_data(bencher: Bencher<'_, '_>, kind: &str) {
    let data = match kind {
        "lines of 76" => text(64 << 10),
        "lines of 998" => lines(64 << 10, 998, b'x'),
        _ => lines(64 << 10, 76, b'.'),
    };
    bencher
        .counter(BytesCount::new(data.len()))
        .bench_local(|| {
            let mut scanner = EndOfData::default();
            scanner.scan(black_box(&data), |clean| {
                black_box(clean);
            })
        });
}

fn text(octets: usize) -> Vec<u8> {
    lines(octets, 76, b'e')
}

fn lines(octets: usize, length: usize, first: u8) -> Vec<u8> {
    let mut line = vec![b'e'; length];
    line[0] = first;
    line.extend_from_slice(b"\r\n");
    let count = octets.div_ceil(line.len());
    line.repeat(count)
}

fn deliver(message: &[u8], now: Instant) {
    let mut session = Session::new(settings(), now);
    drain(&mut session, now);
    let script: [(&[u8], &[u8]); 6] = [
        (b"", b"220 mx.example ESMTP\r\n"),
        (
            b"EHLO mta.example\r\n",
            b"250-mx.example\r\n250-PIPELINING\r\n250-SIZE 52428800\r\n250 STARTTLS\r\n",
        ),
        (b"", b"220 ready\r\n"),
        (
            b"",
            b"250-mx.example\r\n250-PIPELINING\r\n250-SIZE 52428800\r\n250 8BITMIME\r\n",
        ),
        (
            b"MAIL FROM:<a@b.example> SIZE=4096\r\nRCPT TO:<u@good.example>\r\nDATA\r\n",
            b"250 2.1.0 ok\r\n250 2.1.5 ok\r\n",
        ),
        (b"", b"354 go ahead\r\n"),
    ];
    for (client, server) in script {
        session.handle_client(client, now);
        drain(&mut session, now);
        session.handle_server(server, now);
        drain(&mut session, now);
    }
    for chunk in message.chunks(64 << 10) {
        session.handle_client(chunk, now);
        drain(&mut session, now);
    }
    session.handle_server(b"250 2.0.0 queued\r\n", now);
    session.handle_client(b"QUIT\r\n", now);
    drain(&mut session, now);
    assert_eq!(session.tally().messages, 1);
}

fn drain(session: &mut Session, now: Instant) {
    while let Some(action) = session.poll_action() {
        match action {
            Action::Dial => session.handle_upstream(Dialled::Connected, now),
            Action::StartTls { .. } => session.handle_upstream(Dialled::Secured, now),
            Action::SecureClient { .. } => {
                session.handle_client_tls(ClientHandshake::Failed, now);
            }
            Action::Judge(_) => session.handle_verdict(pin(), now),
            Action::ToClient(octets) | Action::ToServer(octets) => drop(black_box(octets)),
            Action::GaveUp { .. } | Action::CloseServer | Action::CloseClient => {}
        }
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
    judge(&demand, &evidence, &[None], &Roots::new(Vec::new()), now)
}

fn settings() -> Settings {
    Settings {
        trace: "BENCH".into(),
        hint: None,
        lacking: Extensions::NONE,
        bare_line_ends: BareLineEnds::Reject,
        timeouts: Timeouts::default(),
        limits: Limits::default(),
        client_tls: ClientTls::Hidden,
        auth: Auth::default(),
    }
}
