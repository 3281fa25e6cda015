//! The shell over real sockets on loopback, with the real session and the real TLS.

mod client_tls;
mod exceptions;
mod handover;
mod modes;
mod recall;
pub(crate) mod world;

use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use self::world::{Client, Names, Offers, Sink, World, pinned};
use super::{Proxy, session};
use crate::config::ClientTls;
use crate::intercept::{Intercepted, Via};
use crate::policy::identity::{Identity, Rule};

/// Recipient at the sink itself: an address literal, which demands nothing.
const LITERAL: [(&str, &str); 3] = [
    ("EHLO client.example", "250"),
    ("MAIL FROM:<a@client.example>", "250"),
    ("RCPT TO:<b@[127.0.0.1]>", "250"),
];

#[tokio::test]
async fn a_message_goes_through_octet_by_octet_and_one_record_tells_of_it() {
    let mut world = World::new(Names::default()).await;
    let sink = Sink::new(Offers::Nothing).await;
    let mut client = Client::new(world.socks5(), sink.address).await;
    assert!(client.hear().await.starts_with("220 "));
    client.expect(&LITERAL).await;
    client.expect(&[("DATA", "354")]).await;
    let message = b"Subject: x\r\n\r\n..dots\r\nand \xff octets\r\n.\r\n";
    client.send(message).await;
    assert!(client.hear().await.starts_with("250 "));
    client.expect(&[("QUIT", "221")]).await;
    assert_eq!(sink.message().await, message);

    let record = world.record().await;
    assert_eq!((record.end, record.dials), ("quit", 1));
    assert_eq!((record.recipients, record.messages), (1, 1));
    let [judgement] = &record.judgements[..] else {
        panic!("{record:?}")
    };
    assert_eq!(judgement.domain, "[127.0.0.1]");
    assert_eq!((judgement.verdict, judgement.reason), ("pin", "cleartext"));
    assert_eq!(record.tls_version, None);
}

#[tokio::test]
async fn a_large_message_to_a_slow_mx_arrives_whole() {
    let world = World::new(Names::default()).await;
    let sink = Sink::new(Offers::Nothing).await;
    let mut client = Client::new(world.socks5(), sink.address).await;
    client.hear().await;
    client.expect(&LITERAL).await;
    client.expect(&[("DATA", "354")]).await;
    let mut message = Vec::new();
    for number in 0..200_000_u32 {
        message.extend_from_slice(format!("line {number:020}\r\n").as_bytes());
    }
    message.extend_from_slice(b".\r\n");
    client.send(&message).await;
    assert!(client.hear().await.starts_with("250 "));
    client.expect(&[("QUIT", "221")]).await;
    assert!(sink.message().await == message);
}

#[tokio::test]
async fn dane_01_a_matching_record_pins_the_session_and_the_record_shows_what_was_seen() {
    let (sample, tlsa) = pinned("whatever.example");
    let mut world = World::new(Names { tlsa: vec![tlsa] }).await;
    let sink = Sink::new(Offers::StartTls(&sample)).await;
    let mut client = Client::new(world.socks5(), sink.address).await;
    client.hear().await;
    client
        .expect(&[
            ("EHLO client.example", "250"),
            ("MAIL FROM:<a@client.example>", "250"),
            ("RCPT TO:<b@signed.example>", "250"),
            ("DATA", "354"),
            ("\r\n.", "250"),
            ("QUIT", "221"),
        ])
        .await;
    assert_eq!(sink.message().await, b"\r\n.\r\n");
    let record = world.record().await;
    let [judgement] = &record.judgements[..] else {
        panic!("{record:?}")
    };
    assert_eq!((judgement.verdict, judgement.reason), ("pin", "dane-ee"));
    assert_eq!(judgement.level, Some("LD"));
    assert_eq!(judgement.host.as_deref(), Some("mx.signed.example"));
    assert_eq!(record.tls_version, Some("TLSv1.3"));
    assert_eq!(record.pin.map(|pin| pin.len()), Some(64));
}

#[tokio::test]
async fn bdat_1_pipe_5_a_large_message_in_pipelined_chunks_arrives_whole() {
    let (sample, tlsa) = pinned("whatever.example");
    let world = World::new(Names { tlsa: vec![tlsa] }).await;
    let sink = Sink::new(Offers::StartTls(&sample)).await;
    let mut client = Client::new(world.socks5(), sink.address).await;
    client.hear().await;
    let offered = client.say("EHLO client.example").await;
    assert!(offered.contains("CHUNKING"), "{offered}");
    client
        .expect(&[
            ("MAIL FROM:<a@client.example>", "250"),
            ("RCPT TO:<b@signed.example>", "250"),
        ])
        .await;
    let line = b".\r\nQUIT\r\nan ordinary line of thirty-two oct\r\n".repeat(100_000);
    for last in ["", " LAST"] {
        let command = format!("BDAT {}{last}\r\n", line.len());
        client.send(command.as_bytes()).await;
        client.send(&line).await;
    }
    for _ in 0..2 {
        assert!(client.hear().await.starts_with("250 2.0.0 so far"));
    }
    client.expect(&[("QUIT", "221")]).await;
    assert!(sink.message().await == line.repeat(2));
}

#[tokio::test]
async fn smtp_31_what_an_mx_turned_out_to_lack_is_hidden_in_the_next_session() {
    let world = World::new(Names::default()).await;
    let sink = Sink::new(Offers::Nothing).await;
    for (is_offered, mail, rcpt) in [(true, "250", "451 4.6.7"), (false, "555", "503")] {
        let mut client = Client::new(world.socks5(), sink.address).await;
        client.hear().await;
        let offered = client.say("EHLO client.example").await;
        assert_eq!(offered.contains("SMTPUTF8"), is_offered, "{offered}");
        client
            .expect(&[
                ("MAIL FROM:<a@client.example> SMTPUTF8", mail),
                ("RCPT TO:<b@[127.0.0.1]>", rcpt),
                ("QUIT", "221"),
            ])
            .await;
        // The proxy closes when it has remembered what there is to remember.
        assert!(client.hear().await.is_empty());
    }
}

#[tokio::test]
async fn role_9_dane_02_a_record_that_does_not_match_refuses_the_recipient_alone() {
    let (sample, _) = pinned("mx.signed.example");
    let (_, tlsa) = pinned("mx.signed.example");
    let mut world = World::new(Names { tlsa: vec![tlsa] }).await;
    let sink = Sink::new(Offers::StartTls(&sample)).await;
    let mut client = Client::new(world.socks5(), sink.address).await;
    client.hear().await;
    client
        .expect(&[
            ("EHLO client.example", "250"),
            ("MAIL FROM:<a@client.example>", "250"),
        ])
        .await;
    let refused = client.say("RCPT TO:<b@signed.example>").await;
    client.expect(&[("QUIT", "221")]).await;
    let record = world.record().await;
    assert!(refused.starts_with("451 4.7.5 "), "{refused}");
    assert!(refused.contains(&record.trace), "{refused}");
    assert_eq!(record.judgements[0].verdict, "refuse");
    assert_eq!(record.judgements[0].reason, "dane-mismatch");
    assert_eq!(record.end, "quit");
}

#[tokio::test]
async fn a10_role_4_a_domain_that_needs_another_session_is_recorded_and_does_not_disturb_the_first()
{
    let (sample, tlsa) = pinned("whatever.example");
    let mut world = World::new(Names { tlsa: vec![tlsa] }).await;
    let sink = Sink::new(Offers::StartTls(&sample)).await;
    let mut client = Client::new(world.socks5(), sink.address).await;
    client.hear().await;
    client
        .expect(&[
            ("EHLO client.example", "250"),
            ("MAIL FROM:<a@client.example>", "250"),
            ("RCPT TO:<b@signed.example>", "250"),
            ("RCPT TO:<c@other.example>", "452 4.5.3 one-domain"),
            ("RCPT TO:<d@signed.example>", "250"),
            ("QUIT", "221"),
        ])
        .await;
    let record = world.record().await;
    let judged: Vec<_> = record
        .judgements
        .iter()
        .map(|one| (one.domain.as_str(), one.reason))
        .collect();
    let expected = [
        ("signed.example", "dane-ee"),
        ("other.example", "one-domain"),
    ];
    assert_eq!(judged, expected);
    assert_eq!(record.recipients, 2);
}

#[tokio::test]
async fn dane_09_an_sni_that_no_connection_was_made_with_is_not_taken_for_the_present_ones() {
    let (sample, tlsa) = pinned("whatever.example");
    let mut world = World::new(Names { tlsa: vec![tlsa] }).await;
    let sink = Sink::new(Offers::StartTls(&sample)).await;
    let mut client = Client::new(world.socks5(), sink.address).await;
    client.hear().await;
    client
        .expect(&[
            ("EHLO client.example", "250"),
            ("MAIL FROM:<a@client.example>", "250"),
            ("RCPT TO:<b@signed.example>", "250"),
            // It wants a connection with its own SNI, and this one holds a recipient.
            ("RCPT TO:<b@second.example>", "452 4.5.3"),
            ("RCPT TO:<c@signed.example>", "250"),
            ("RSET", "250"),
            ("MAIL FROM:<a@client.example>", "250"),
            ("RCPT TO:<b@second.example>", "250"),
            ("QUIT", "221"),
        ])
        .await;
    assert_eq!(world.record().await.dials, 2);
}

#[tokio::test]
async fn r7_tlsa_25_an_unsigned_domain_is_delivered_to_with_tls_that_proves_nothing() {
    let (sample, _) = pinned("other.example");
    let mut world = World::new(Names::default()).await;
    let sink = Sink::new(Offers::StartTls(&sample)).await;
    let mut client = Client::new(world.socks5(), sink.address).await;
    client.hear().await;
    client
        .expect(&[
            ("EHLO client.example", "250"),
            ("MAIL FROM:<a@client.example>", "250"),
            ("RCPT TO:<b@plain.example>", "250"),
            ("QUIT", "221"),
        ])
        .await;
    let record = world.record().await;
    assert_eq!(record.judgements[0].reason, "opportunistic-tls");
    assert_eq!(record.judgements[0].level, Some("L0"));
}

#[tokio::test]
async fn attack_tls_16_a_server_that_breaks_off_at_a_guessed_name_is_asked_for_its_own_before_cleartext()
 {
    let (sample, _) = pinned("mx.plain.example");
    let mut world = World::new(Names::default()).await;
    // It greets as somebody else, and what it greets as is the first guess.
    let sink = Sink::new(Offers::StartTlsAs(&sample, "mx.plain.example")).await;
    let mut client = Client::new(world.socks5(), sink.address).await;
    client.hear().await;
    client
        .expect(&[
            ("EHLO client.example", "250"),
            ("MAIL FROM:<a@client.example>", "250"),
            ("RCPT TO:<b@plain.example>", "250"),
            ("QUIT", "221"),
        ])
        .await;
    let record = world.record().await;
    assert_eq!(record.judgements[0].reason, "opportunistic-tls");
    assert_eq!(record.dials, 2);
}

/// The same server as above, by a name that needs no guess.
#[tokio::test]
async fn a_host_name_in_a_socks5_request_is_what_tls_asks_for_first() {
    let (sample, _) = pinned("mx.plain.example");
    let mut world = World::new(Names::default()).await;
    let sink = Sink::new(Offers::StartTlsAs(&sample, "mx.plain.example")).await;
    let mut stream = TcpStream::connect(world.socks5()).await.unwrap();
    let name = b"mx.plain.example";
    let length = u8::try_from(name.len()).unwrap();
    let port = sink.address.port().to_be_bytes();
    let request = [&[5, 1, 0, 5, 1, 0, 3, length], &name[..], &port].concat();
    stream.write_all(&request).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer[..4], [5, 0, 5, 0]);
    let stream = BufReader::new(stream);
    let mut client = Client { stream };
    client.hear().await;
    client
        .expect(&[
            ("EHLO client.example", "250"),
            ("MAIL FROM:<a@client.example>", "250"),
            ("RCPT TO:<b@plain.example>", "250"),
            ("QUIT", "221"),
        ])
        .await;
    let record = world.record().await;
    assert_eq!(record.destination, sink.address);
    assert_eq!(record.judgements[0].reason, "opportunistic-tls");
    assert_eq!(record.dials, 1);
}

fn route(network: &str, host: &str) -> Rule {
    Rule {
        network: network.parse().unwrap(),
        port: None,
        identity: Identity::Route(host.parse().unwrap()),
    }
}

#[tokio::test]
async fn role_3_on_a_route_every_recipient_is_judged_by_the_route_s_host() {
    let (sample, tlsa) = pinned("mx.signed.example");
    let names = Names { tlsa: vec![tlsa] };
    let rules = vec![route("127.0.0.0/8", "mx.signed.example")];
    let mut world = World::with(names, |config| config.rules = rules).await;
    // It breaks off unless it is asked for the host's own name.
    let sink = Sink::new(Offers::StartTlsAs(&sample, "mx.signed.example")).await;
    let mut client = Client::new(world.socks5(), sink.address).await;
    client.hear().await;
    client
        .expect(&[
            ("EHLO client.example", "250"),
            ("MAIL FROM:<a@client.example>", "250"),
            ("RCPT TO:<b@nowhere.example>", "250"),
            ("RCPT TO:<b@[192.0.2.1]>", "250"),
            ("RCPT TO:<postmaster>", "250"),
            ("RCPT TO:<b@plain.example>", "250"),
            ("QUIT", "221"),
        ])
        .await;
    let record = world.record().await;
    let [judgement] = &record.judgements[..] else {
        panic!("{record:?}")
    };
    assert_eq!((record.identity, record.dials), ("route", 1));
    assert_eq!(judgement.domain, "mx.signed.example");
    assert_eq!(judgement.host.as_deref(), Some("mx.signed.example"));
    assert_eq!(judgement.level, Some("LD"));
    assert_eq!((judgement.verdict, judgement.reason), ("pin", "dane-ee"));
}

#[tokio::test]
async fn role_6_a_login_is_offered_at_a_proven_route_s_host_and_nowhere_else() {
    let (sample, tlsa) = pinned("mx.signed.example");
    let (_, other) = pinned("mx.signed.example");
    let here = || vec![route("127.0.0.1/32", "mx.signed.example")];
    for (what, records, rules, is_offered) in [
        ("proven", vec![tlsa.clone()], here(), true),
        ("with another key", vec![other], here(), false),
        ("with nothing to prove", vec![], here(), false),
        ("an MX host like any other", vec![tlsa], vec![], false),
    ] {
        let names = Names { tlsa: records };
        let mut world = World::with(names, |config| config.rules = rules).await;
        let sink = Sink::new(Offers::StartTls(&sample)).await;
        let mut client = Client::new(world.socks5(), sink.address).await;
        client.hear().await;
        let offer = client.say("EHLO client.example").await;
        assert_eq!(
            offer.contains("250-AUTH PLAIN\r\n"),
            is_offered,
            "{what}: {offer}"
        );
        let code = if is_offered { "235" } else { "502" };
        client.expect(&[("AUTH PLAIN AGEAYg==", code)]).await;
        client.expect(&[("QUIT", "221")]).await;
        assert_eq!(world.record().await.dials, 1, "{what}");
    }
}

#[tokio::test]
async fn role_3_a_route_s_host_that_is_not_there_gets_nothing_whoever_the_recipient_is() {
    let (sample, _) = pinned("mx.signed.example");
    let (_, tlsa) = pinned("mx.signed.example");
    for (host, code, reason) in [
        ("mx.signed.example", "451 4.7.5 ", "dane-mismatch"),
        ("slip.example", "451 4.4.4 ", "no-such-domain"),
    ] {
        let rules = vec![route("127.0.0.1/32", host)];
        let tlsa = vec![tlsa.clone()];
        let mut world = World::with(Names { tlsa }, |config| config.rules = rules).await;
        let sink = Sink::new(Offers::StartTls(&sample)).await;
        let mut client = Client::new(world.socks5(), sink.address).await;
        client.hear().await;
        client.expect(&LITERAL[..2]).await;
        for recipient in ["b@[127.0.0.1]", "b@plain.example", "postmaster"] {
            let reply = client.say(&format!("RCPT TO:<{recipient}>")).await;
            assert!(reply.starts_with(code), "{recipient} at {host}: {reply}");
        }
        client.expect(&[("QUIT", "221")]).await;
        let record = world.record().await;
        assert_eq!(record.judgements.len(), 1, "{record:?}");
        assert_eq!(record.judgements[0].reason, reason);
        assert_eq!(record.judgements[0].domain, host);
    }
}

#[tokio::test]
async fn recipients_without_a_policy_domain_are_refused() {
    for recipient in ["b@[192.0.2.1]", "postmaster"] {
        let mut world = World::new(Names::default()).await;
        let sink = Sink::new(Offers::Nothing).await;
        let mut client = Client::new(world.socks5(), sink.address).await;
        client.hear().await;
        client.expect(&LITERAL[..2]).await;
        let reply = client.say(&format!("RCPT TO:<{recipient}>")).await;
        assert!(reply.starts_with("451 4.4.4 "), "{recipient}: {reply}");
        client.expect(&[("QUIT", "221")]).await;
        let record = world.record().await;
        assert_eq!(record.judgements[0].verdict, "refuse", "{recipient}");
    }
}

#[tokio::test]
async fn tls_05_plaintext_around_the_220_never_becomes_a_reply_in_tls() {
    let (sample, tlsa) = pinned("mx.signed.example");
    for injected in [
        // In one segment with the 220, and behind it, where the handshake reads it.
        &["220 go\r\n250-mx\r\n250 SIZE 1\r\n"][..],
        &["220 go\r\n2"],
        &["220 go\r\n", "250-mx\r\n250 SIZE 1\r\n"],
    ] {
        let mut world = World::new(Names {
            tlsa: vec![tlsa.clone()],
        })
        .await;
        let sink = Sink::new(Offers::Injected(&sample, injected)).await;
        let mut client = Client::new(world.socks5(), sink.address).await;
        client.hear().await;
        client
            .expect(&[
                ("EHLO client.example", "250"),
                ("MAIL FROM:<a@client.example>", "250"),
                ("RCPT TO:<b@signed.example>", "451 4.7.5"),
                ("QUIT", "221"),
            ])
            .await;
        let record = world.record().await;
        assert_eq!(record.judgements[0].reason, "tls-handshake", "{injected:?}");
    }
}

#[tokio::test]
async fn attack_tls_14_old_tls_is_refused_where_tls_is_demanded_and_elsewhere_there_is_cleartext() {
    let (_, tlsa) = pinned("mx.signed.example");
    let version_1_0 = b"\x16\x03\x01\x00\x2a\x02\x00\x00\x26\x03\x01\
        a server's random of 32 octets..\x00\x00\x2f\x00";
    let rc4 = b"\x16\x03\x03\x00\x2a\x02\x00\x00\x26\x03\x03\
        a server's random of 32 octets..\x00\x00\x05\x00";
    let alert = b"\x15\x03\x01\x00\x02\x02\x46";
    for (answer, why) in [
        (&version_1_0[..], "neither TLS 1.2 nor TLS 1.3"),
        (rc4, "has broken the TLS protocol"),
        (alert, "alert protocol_version"),
    ] {
        for (domain, level, reply, reason) in [
            ("signed.example", "LD", "451 4.7.5 ", "tls-handshake"),
            ("policy.example", "LS", "451 4.7.5 ", "tls-handshake"),
            ("plain.example", "L0", "250 ", "cleartext"),
        ] {
            let tlsa = vec![tlsa.clone()];
            let mut world = World::new(Names { tlsa }).await;
            let sink = Sink::new(Offers::Octets(answer)).await;
            let mut client = Client::new(world.socks5(), sink.address).await;
            client.hear().await;
            client.expect(&LITERAL[..2]).await;
            let heard = client.say(&format!("RCPT TO:<b@{domain}>")).await;
            assert!(heard.starts_with(reply), "{domain}: {heard}");
            if level == "L0" {
                client.expect(&[("DATA", "354"), ("\r\n.", "250")]).await;
            } else {
                assert!(heard.contains(why), "{domain}: {heard}");
            }
            client.expect(&[("QUIT", "221")]).await;
            let record = world.record().await;
            assert_eq!(record.judgements[0].level, Some(level), "{domain}");
            assert_eq!(record.judgements[0].reason, reason, "{domain}");
            assert_eq!(record.tls_version, None, "{domain}");
            if level == "L0" {
                assert_eq!(sink.message().await, b"\r\n.\r\n");
            }
        }
    }
}

#[tokio::test]
async fn net_09_a_destination_that_refuses_is_a_421_in_place_of_the_greeting() {
    let mut world = World::new(Names::default()).await;
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let destination = unused.local_addr().unwrap();
    drop(unused);
    let mut client = Client::new(world.socks5(), destination).await;
    let heard = client.hear().await;
    assert!(heard.starts_with("421 4.4.1 "), "{heard}");
    assert_eq!(client.hear().await, "");
    let record = world.record().await;
    assert_eq!(record.end, "unreachable");
    assert_eq!(record.sent_away.as_deref(), Some(heard.trim_end()));
    assert!(heard.contains(&record.trace), "{heard}");
}

#[tokio::test]
async fn a_destination_that_cannot_be_dialled_again_for_a_recipient_is_in_the_record() {
    let mut world = World::new(Names::default()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let destination = listener.local_addr().unwrap();
    let mx = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"220 mx.example\r\n").await.unwrap();
        assert!(stream.read(&mut [0; 100]).await.unwrap() > 0);
        stream.write_all(b"250 mx.example\r\n").await.unwrap();
    });
    let mut client = Client::new(world.socks5(), destination).await;
    client.hear().await;
    client.expect(&[("EHLO client.example", "250")]).await;
    mx.await.unwrap();
    client
        .expect(&[
            // Both sides are read in turn: after two commands the end of the MX has been seen.
            ("NOOP", "250"),
            ("NOOP", "250"),
            ("MAIL FROM:<a@client.example>", "250"),
            ("RCPT TO:<b@[127.0.0.1]>", "451 4.4.1 unreachable"),
            ("QUIT", "221"),
        ])
        .await;
    let record = world.record().await;
    let [judgement] = &record.judgements[..] else {
        panic!("{record:?}")
    };
    assert_eq!(judgement.domain, "[127.0.0.1]");
    assert_eq!(
        (judgement.verdict, judgement.reason),
        ("refuse", "unreachable")
    );
    assert_eq!(record.dials, 2);
}

#[tokio::test]
async fn net_08_a_client_that_goes_away_is_recorded() {
    let mut world = World::new(Names::default()).await;
    let sink = Sink::new(Offers::Nothing).await;
    let mut client = Client::new(world.socks5(), sink.address).await;
    client.hear().await;
    client.expect(&LITERAL).await;
    drop(client);
    assert_eq!(world.record().await.end, "client-lost");
}

#[tokio::test]
async fn net_12_an_mx_that_closes_its_window_fails_the_message_and_not_the_client() {
    let patience = Duration::from_secs(1);
    let mut world = World::with(Names::default(), |config| config.timeouts.data = patience).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let destination = listener.local_addr().unwrap();
    let mx = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        for reply in ["220 mx", "250 mx", "250 ok", "250 ok", "354 go"] {
            let reply = format!("{reply}\r\n");
            stream.write_all(reply.as_bytes()).await.unwrap();
            assert!(stream.read(&mut [0; 100]).await.unwrap() > 0);
        }
        stream
    });
    let mut client = Client::new(world.socks5(), destination).await;
    client.hear().await;
    client.expect(&LITERAL).await;
    client.expect(&[("DATA", "354")]).await;
    // More than the kernel holds for both of them.
    let line = b"an ordinary line of thirty-two o\r\n".repeat(1 << 20);
    client.send(&line).await;
    client.expect(&[(".", "451 4.4.2 server-lost")]).await;
    client.expect(&[("QUIT", "221")]).await;
    let record = world.record().await;
    assert_eq!((record.end, record.messages), ("quit", 0));
    assert_eq!(record.trouble.unwrap().reason, "server-lost");
    drop(mx.await.unwrap());
}

#[tokio::test]
async fn dn_11_net_08_a_client_that_goes_away_is_not_judged_to_the_end() {
    for is_reset in [false, true] {
        let mut world = World::new(Names::default()).await;
        let sink = Sink::new(Offers::Nothing).await;
        let mut client = Client::new(world.socks5(), sink.address).await;
        client.hear().await;
        client.expect(&LITERAL[..2]).await;
        client.send(b"RCPT TO:<b@silent.example>\r\nDATA\r\n").await;
        if is_reset {
            let stream = SockRef::from(client.stream.get_ref());
            stream.set_linger(Some(Duration::ZERO)).unwrap();
        }
        drop(client);
        let record = world.record().await;
        assert_eq!(record.end, "client-lost");
        assert!(record.judgements.is_empty(), "{record:?}");
    }
}

#[tokio::test]
async fn net_01_a_socks_client_may_share_both_ends_with_one_of_our_sockets() {
    let mut world = World::new(Names::default()).await;
    let sink = Sink::new(Offers::Nothing).await;
    let (socket, address) = Client::socket();
    let _own = world.proxy.shell.guard.claim(address, sink.address);
    let mut stream = socket.connect(world.socks5()).await.unwrap();
    stream.write_all(&[5, 1, 0]).await.unwrap();
    let mut client = Client::request(stream, sink.address).await;
    let heard = client.hear().await;
    assert!(heard.starts_with("220 "), "{heard}");
    client.expect(&[("QUIT", "221")]).await;
    assert_eq!(world.record().await.end, "quit");
}

#[tokio::test]
async fn net_01_a_loop_that_shows_only_after_accept_is_cut_before_anything_is_relayed() {
    let mut world = World::new(Names::default()).await;
    let sink = Sink::new(Offers::Nothing).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (accepted, address) = listener.accept().await.unwrap();
    let from = Intercepted {
        client: address,
        destination: sink.address,
        via: Via::Redirect,
        hint: None,
    };
    let Proxy { shell, stage, .. } = &world.proxy;
    assert_eq!(shell.guard.check_client(&from), Ok(()));
    let _own = shell.guard.claim(address, sink.address);
    let driven = session::drive(
        Arc::clone(shell),
        from,
        accepted,
        ClientTls::Never,
        stage.subscribe(),
    );
    let listening = async move {
        let mut heard = String::new();
        client.read_to_string(&mut heard).await.unwrap();
        heard
    };
    let ((), heard) = tokio::join!(driven, listening);
    assert!(heard.starts_with("421 4.4.6 loop"), "{heard}");
    assert_eq!(heard.lines().count(), 1, "{heard}");
    assert_eq!(world.record().await.end, "refused");
}

#[tokio::test]
async fn net_10_beyond_the_cap_a_client_hears_421_and_the_others_go_on() {
    let mut world = World::with(Names::default(), |config| config.max_sessions = 1).await;
    let sink = Sink::new(Offers::Nothing).await;
    let mut client = Client::new(world.socks5(), sink.address).await;
    client.hear().await;
    let mut second = TcpStream::connect(world.redirect()).await.unwrap();
    let mut heard = String::new();
    second.read_to_string(&mut heard).await.unwrap();
    assert!(heard.starts_with("421 4.3.2 busy"), "{heard}");
    client.expect(&LITERAL).await;
    client.expect(&[("QUIT", "221")]).await;
    assert_eq!(world.record().await.end, "quit");
}

#[tokio::test]
async fn net_10_dn_10_a_client_with_all_its_sessions_hears_421_and_others_do_not() {
    let mut world = World::with(Names::default(), |config| {
        config.max_sessions_per_client = 1
    })
    .await;
    let sink = Sink::new(Offers::Nothing).await;
    let mut client = Client::new(world.socks5(), sink.address).await;
    client.hear().await;
    let mut second = TcpStream::connect(world.redirect()).await.unwrap();
    let mut heard = String::new();
    second.read_to_string(&mut heard).await.unwrap();
    assert!(heard.starts_with("421 4.3.2 busy"), "{heard}");
    // Another address is another client; that nobody redirected it is a later question.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut other = socket.connect(world.redirect()).await.unwrap();
    heard.clear();
    other.read_to_string(&mut heard).await.unwrap();
    assert!(
        heard.starts_with("421 4.3.2 ") && !heard.contains("busy"),
        "{heard}"
    );
    client.expect(&[("QUIT", "221")]).await;
    assert_eq!(world.record().await.end, "quit");
}

#[tokio::test]
async fn net_10_dn_10_a_destination_with_all_its_sessions_is_a_421_and_others_are_served() {
    let mut world = World::with(Names::default(), |config| {
        config.max_sessions_per_destination = 1;
    })
    .await;
    let sink = Sink::new(Offers::Nothing).await;
    let mut client = Client::new(world.socks5(), sink.address).await;
    client.hear().await;
    let mut second = Client::new(world.socks5(), sink.address).await;
    let heard = second.hear().await;
    assert!(heard.starts_with("421 4.3.2 busy"), "{heard}");
    assert_eq!(second.hear().await, "");
    drop(second);
    let record = world.record().await;
    assert_eq!((record.end, record.dials), ("refused", 0));
    assert_eq!(record.sent_away.as_deref(), Some(heard.trim_end()));
    let listener = TcpListener::bind("127.0.0.2:0").await.unwrap();
    let other = Client::new(world.socks5(), listener.local_addr().unwrap()).await;
    listener.accept().await.unwrap();
    drop(other);
    assert_eq!(world.record().await.end, "unreachable");
    client.expect(&[("QUIT", "221")]).await;
    assert_eq!(world.record().await.end, "quit");
    drop(client);
    // The place is free again, once the connection is closed on both sides.
    loop {
        let mut third = Client::new(world.socks5(), sink.address).await;
        match third.hear().await {
            heard if heard.starts_with("220 ") => break,
            heard => assert!(heard.starts_with("421 4.3.2 busy"), "{heard}"),
        }
    }
}

#[tokio::test]
async fn net_07_what_is_not_finished_by_the_deadline_is_cut_off_without_a_word_of_success() {
    let world = World::with(Names::default(), |config| {
        config.drain_timeout = Duration::from_millis(1);
    })
    .await;
    let sink = Sink::new(Offers::Nothing).await;
    let mut client = Client::new(world.socks5(), sink.address).await;
    client.hear().await;
    client.expect(&LITERAL).await;
    client.expect(&[("DATA", "354")]).await;
    client.send(b"half a message\r\n").await;
    let World { proxy, mut records } = world;
    proxy.shutdown().await;
    assert_eq!(client.hear().await, "");
    let record = records.recv().await.unwrap();
    assert_eq!((record.end, record.messages), ("shutdown", 0));
}

#[tokio::test]
async fn net_07_shutdown_sends_idle_sessions_away_and_waits_for_a_message_in_flight() {
    let world = World::new(Names::default()).await;
    let (idle, busy) = (
        Sink::new(Offers::Nothing).await,
        Sink::new(Offers::Nothing).await,
    );
    let mut waiting = Client::new(world.socks5(), idle.address).await;
    waiting.hear().await;
    let mut sending = Client::new(world.socks5(), busy.address).await;
    sending.hear().await;
    sending.expect(&LITERAL).await;
    sending.expect(&[("DATA", "354")]).await;
    sending.send(b"half a mess").await;

    let World { proxy, mut records } = world;
    let addresses = proxy.addresses().to_vec();
    let shutdown = tokio::spawn(proxy.shutdown());
    let farewell = waiting.hear().await;
    assert!(farewell.starts_with("421 4.3.2 "), "{farewell}");
    assert_eq!(records.recv().await.unwrap().end, "shutdown");
    drop(waiting);
    // A listener that is gone refuses.
    for address in addresses {
        assert!(TcpStream::connect(address).await.is_err(), "{address}");
    }

    sending.send(b"age\r\n.\r\n").await;
    assert!(sending.hear().await.starts_with("250 "));
    let farewell = sending.hear().await;
    assert!(
        farewell.is_empty() || farewell.starts_with("421 "),
        "{farewell}"
    );
    drop(sending);
    shutdown.await.unwrap();
    assert_eq!(busy.message().await, b"half a message\r\n.\r\n");
    assert_eq!(records.recv().await.unwrap().messages, 1);
}

fn bypass() -> Rule {
    Rule {
        network: "127.0.0.0/8".parse().unwrap(),
        port: None,
        identity: Identity::Bypass,
    }
}

#[tokio::test]
async fn role_3_a_bypassed_connection_is_carried_untouched_and_recorded_as_one() {
    let mut world = World::with(Names::default(), |config| config.rules = vec![bypass()]).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let destination = listener.local_addr().unwrap();
    let mut client = Client::new(world.socks5(), destination).await.stream;
    let (mut server, _) = listener.accept().await.unwrap();
    // The client may speak first, say what it likes, and close its side before it has its answer.
    let question = b"no SMTP\0 \xff bare \n \r\n.\r\nMAIL";
    client.write_all(question).await.unwrap();
    client.shutdown().await.unwrap();
    let mut heard = Vec::new();
    server.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, question);
    server.write_all(b"250-anything\n").await.unwrap();
    drop(server);
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"250-anything\n");
    let record = world.record().await;
    assert_eq!((record.identity, record.end), ("bypass", "quit"));
    assert!(record.judgements.is_empty());
}

#[tokio::test]
async fn net_09_a_bypassed_destination_that_refuses_is_a_421() {
    let mut world = World::with(Names::default(), |config| config.rules = vec![bypass()]).await;
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let destination = unused.local_addr().unwrap();
    drop(unused);
    let mut client = Client::new(world.socks5(), destination).await;
    let heard = client.hear().await;
    assert!(heard.starts_with("421 4.4.1 "), "{heard}");
    assert_eq!(client.hear().await, "");
    let record = world.record().await;
    assert_eq!((record.identity, record.end), ("bypass", "unreachable"));
    assert_eq!(record.sent_away.as_deref(), Some(heard.trim_end()));
}

#[tokio::test]
async fn net_01_smtp_25_the_loop_guard_holds_for_bypassed_destinations() {
    let mut world = World::with(Names::default(), |config| config.rules = vec![bypass()]).await;
    // The proxy's own listener.
    let mut stream = TcpStream::connect(world.socks5()).await.unwrap();
    stream
        .write_all(&[5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1])
        .await
        .unwrap();
    stream
        .write_all(&world.redirect().port().to_be_bytes())
        .await
        .unwrap();
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, [5, 0, 5, 2], "not allowed");
    // One of its own connections, which shows only after accept.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sink = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (accepted, address) = listener.accept().await.unwrap();
    let from = Intercepted {
        client: address,
        destination: sink.local_addr().unwrap(),
        via: Via::Redirect,
        hint: None,
    };
    let Proxy { shell, stage, .. } = &world.proxy;
    let _own = shell.guard.claim(address, from.destination);
    let served = super::door::serve(
        Arc::clone(shell),
        from,
        accepted,
        ClientTls::Never,
        stage.subscribe(),
    );
    let mut heard = String::new();
    let ((), read) = tokio::join!(served, client.read_to_string(&mut heard));
    read.unwrap();
    assert!(heard.starts_with("421 4.4.6 loop"), "{heard}");
    assert_eq!(world.record().await.end, "refused");
}

#[tokio::test]
async fn net_07_a_shutdown_waits_for_a_bypassed_connection() {
    let world = World::with(Names::default(), |config| config.rules = vec![bypass()]).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let destination = listener.local_addr().unwrap();
    let mut client = Client::new(world.socks5(), destination).await;
    let (mut server, _) = listener.accept().await.unwrap();
    let World { proxy, mut records } = world;
    let address = proxy.addresses()[0];
    let shutdown = tokio::spawn(proxy.shutdown());
    // Nobody is accepted any more, once that has come through.
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    server.write_all(b"220 late\r\n").await.unwrap();
    assert_eq!(client.hear().await, "220 late\r\n");
    drop((client, server));
    shutdown.await.unwrap();
    assert_eq!(records.recv().await.unwrap().end, "quit");
}
