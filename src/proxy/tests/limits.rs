//! Loops and caps: who is sent away before anything is relayed.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::LITERAL;
use super::world::{Client, Names, Offers, Sink, World, redirected};
use crate::config::ClientTls;
use crate::proxy::session;

/// All that is said to a client until it is sent away.
async fn farewell(client: &mut TcpStream) -> String {
    let mut heard = String::new();
    client.read_to_string(&mut heard).await.unwrap();
    heard
}

#[tokio::test]
async fn net_01_a_socks_client_may_share_both_ends_with_one_of_our_sockets() {
    let mut world = World::new(Names::default()).await;
    let sink = Sink::new(Offers::Nothing).await;
    let (socket, address) = Client::socket();
    let _own = world.proxy.shell().guard.claim(address, sink.address);
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
    let (mut client, accepted, from) = redirected(sink.address).await;
    let (shell, stage) = (world.proxy.shell(), &world.proxy.stage);
    assert_eq!(shell.guard.check_client(&from), Ok(()));
    let _own = shell.guard.claim(from.client, sink.address);
    let driven = session::drive(
        Arc::clone(&shell),
        from,
        accepted,
        ClientTls::Never,
        stage.subscribe(),
    );
    let listening = async move { farewell(&mut client).await };
    let ((), heard) = tokio::join!(driven, listening);
    assert!(heard.starts_with("421 4.4.6 loop"), "{heard}");
    assert_eq!(heard.lines().count(), 1, "{heard}");
    assert_eq!(world.record().await.end, "refused");
}

#[tokio::test]
async fn net_10_beyond_the_cap_a_client_hears_421_and_the_others_go_on() {
    let mut world = World::with(Names::default(), |config| config.max_sessions = 1).await;
    let sink = Sink::new(Offers::Nothing).await;
    let mut client = world.greeted(sink.address).await;
    let mut second = TcpStream::connect(world.redirect()).await.unwrap();
    let heard = farewell(&mut second).await;
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
    let mut client = world.greeted(sink.address).await;
    let mut second = TcpStream::connect(world.redirect()).await.unwrap();
    let heard = farewell(&mut second).await;
    assert!(heard.starts_with("421 4.3.2 busy"), "{heard}");
    // Another address is another client; that nobody redirected it is a later question.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut other = socket.connect(world.redirect()).await.unwrap();
    let heard = farewell(&mut other).await;
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
    let mut client = world.greeted(sink.address).await;
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
