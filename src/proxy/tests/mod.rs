//! The shell over real sockets on loopback, with the real session and the real TLS.

mod bypass;
mod changing;
mod client;
mod client_tls;
mod demands;
mod ends;
mod exceptions;
mod handover;
mod limits;
mod modes;
mod recall;
mod reload;
mod routes;
mod sink;
pub(crate) mod world;

use self::world::{Client, Names, Offers, Sink, World, only, pinned};

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
    let judgement = only(&record);
    assert_eq!(judgement.domain, "[127.0.0.1]");
    assert_eq!((judgement.verdict, judgement.reason), ("pin", "cleartext"));
    assert_eq!(record.tls_version, None);
}

#[tokio::test]
async fn a_large_message_to_a_slow_mx_arrives_whole() {
    let world = World::new(Names::default()).await;
    let sink = Sink::new(Offers::Nothing).await;
    let mut client = world.greeted(sink.address).await;
    client.expect(&LITERAL).await;
    client.expect(&[("DATA", "354")]).await;
    let message = client.deliver(200_000).await;
    client.expect(&[("QUIT", "221")]).await;
    assert!(sink.message().await == message);
}

#[tokio::test]
async fn bdat_1_pipe_5_a_large_message_in_pipelined_chunks_arrives_whole() {
    let (sample, tlsa) = pinned("whatever.example");
    let world = World::new(Names { tlsa: vec![tlsa] }).await;
    let sink = Sink::new(Offers::StartTls(&sample)).await;
    let mut client = world.greeted(sink.address).await;
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
        let mut client = world.greeted(sink.address).await;
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
async fn recipients_without_a_policy_domain_are_refused() {
    for recipient in ["b@[192.0.2.1]", "postmaster"] {
        let mut world = World::new(Names::default()).await;
        let sink = Sink::new(Offers::Nothing).await;
        let (reply, record) = world.asked(sink.address, recipient).await;
        assert!(reply.starts_with("451 4.4.4 "), "{recipient}: {reply}");
        assert_eq!(record.judgements[0].verdict, "refuse", "{recipient}");
    }
}
