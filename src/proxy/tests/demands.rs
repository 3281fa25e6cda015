//! What a recipient's domain demands of the connection, and what becomes of the recipient.

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::world::{Client, Names, Offers, Sink, World, only, pinned};

/// Signed domains, and a mail server that their TLSA record matches.
async fn signed() -> (World, Sink) {
    let (sample, tlsa) = pinned("whatever.example");
    let world = World::new(Names { tlsa: vec![tlsa] }).await;
    let sink = Sink::new(Offers::StartTls(&sample)).await;
    (world, sink)
}

#[tokio::test]
async fn dane_01_a_matching_record_pins_the_session_and_the_record_shows_what_was_seen() {
    let (mut world, sink) = signed().await;
    let mut client = world.begun(sink.address).await;
    client
        .expect(&[
            ("RCPT TO:<b@signed.example>", "250"),
            ("DATA", "354"),
            ("\r\n.", "250"),
            ("QUIT", "221"),
        ])
        .await;
    assert_eq!(sink.message().await, b"\r\n.\r\n");
    let record = world.record().await;
    let judgement = only(&record);
    assert_eq!((judgement.verdict, judgement.reason), ("pin", "dane-ee"));
    assert_eq!(judgement.level, Some("LD"));
    assert_eq!(judgement.host.as_deref(), Some("mx.signed.example"));
    assert_eq!(record.tls_version, Some("TLSv1.3"));
    assert_eq!(record.pin.map(|pin| pin.len()), Some(64));
}

#[tokio::test]
async fn role_9_dane_02_a_record_that_does_not_match_refuses_the_recipient_alone() {
    let (sample, _) = pinned("mx.signed.example");
    let (_, tlsa) = pinned("mx.signed.example");
    let mut world = World::new(Names { tlsa: vec![tlsa] }).await;
    let sink = Sink::new(Offers::StartTls(&sample)).await;
    let (refused, record) = world.asked(sink.address, "b@signed.example").await;
    assert!(refused.starts_with("451 4.7.5 "), "{refused}");
    assert!(refused.contains(&record.trace), "{refused}");
    assert_eq!(record.judgements[0].verdict, "refuse");
    assert_eq!(record.judgements[0].reason, "dane-mismatch");
    assert_eq!(record.end, "quit");
}

#[tokio::test]
async fn a10_role_4_a_domain_that_needs_another_session_is_recorded_and_does_not_disturb_the_first()
{
    let (mut world, sink) = signed().await;
    let mut client = world.begun(sink.address).await;
    client
        .expect(&[
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
    let (mut world, sink) = signed().await;
    let mut client = world.begun(sink.address).await;
    client
        .expect(&[
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
    let mut client = world.begun(sink.address).await;
    client
        .expect(&[("RCPT TO:<b@plain.example>", "250"), ("QUIT", "221")])
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
    let mut client = world.begun(sink.address).await;
    client
        .expect(&[("RCPT TO:<b@plain.example>", "250"), ("QUIT", "221")])
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
    client.begin().await;
    client
        .expect(&[("RCPT TO:<b@plain.example>", "250"), ("QUIT", "221")])
        .await;
    let record = world.record().await;
    assert_eq!(record.destination, sink.address);
    assert_eq!(record.judgements[0].reason, "opportunistic-tls");
    assert_eq!(record.dials, 1);
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
        let mut client = world.begun(sink.address).await;
        client
            .expect(&[("RCPT TO:<b@signed.example>", "451 4.7.5"), ("QUIT", "221")])
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
            let mut client = world.begun(sink.address).await;
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
