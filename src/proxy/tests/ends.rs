//! Sessions that end before their time: by the client, by the MX, and by a shutdown.

use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::LITERAL;
use super::world::{Client, Names, Offers, Sink, World, only};
use crate::report::Record;

/// A client of a destination that refuses: what it hears, and the record.
pub(super) async fn unreachable(world: &mut World) -> (String, Record) {
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let destination = unused.local_addr().unwrap();
    drop(unused);
    let mut client = Client::new(world.socks5(), destination).await;
    let heard = client.hear().await;
    assert!(heard.starts_with("421 4.4.1 "), "{heard}");
    assert_eq!(client.hear().await, "");
    let record = world.record().await;
    assert_eq!(record.sent_away.as_deref(), Some(heard.trim_end()));
    (heard, record)
}

#[tokio::test]
async fn net_09_a_destination_that_refuses_is_a_421_in_place_of_the_greeting() {
    let mut world = World::new(Names::default()).await;
    let (heard, record) = unreachable(&mut world).await;
    assert_eq!(record.end, "unreachable");
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
    let mut client = world.greeted(destination).await;
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
    let judgement = only(&record);
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
    let mut client = world.greeted(sink.address).await;
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
    let mut client = world.greeted(destination).await;
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
        let mut client = world.begun(sink.address).await;
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
async fn net_07_what_is_not_finished_by_the_deadline_is_cut_off_without_a_word_of_success() {
    let world = World::with(Names::default(), |config| {
        config.drain_timeout = Duration::from_millis(1);
    })
    .await;
    let sink = Sink::new(Offers::Nothing).await;
    let mut client = world.greeted(sink.address).await;
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
    let mut waiting = world.greeted(idle.address).await;
    let mut sending = world.greeted(busy.address).await;
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
