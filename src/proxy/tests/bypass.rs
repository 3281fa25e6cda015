//! Destinations that are bypassed: carried untouched, and held to the rest.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::ends::unreachable;
use super::world::{Client, Names, World, redirected};
use crate::config::ClientTls;
use crate::policy::identity::{Identity, Rule};
use crate::proxy::door;

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
    let (_, record) = unreachable(&mut world).await;
    assert_eq!((record.identity, record.end), ("bypass", "unreachable"));
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
    let sink = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (mut client, accepted, from) = redirected(sink.local_addr().unwrap()).await;
    let (shell, stage) = (world.proxy.shell(), &world.proxy.stage);
    let _own = shell.guard.claim(from.client, from.destination);
    let served = door::serve(
        Arc::clone(&shell),
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
