//! Connections that come with a PROXY header, over real sockets.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::LITERAL;
use super::world::{Client, Names, Offers, Sink, World};
use crate::config::{ClientTls, ListenerConfig};
use crate::intercept::Via;
use crate::proxy::handover;

/// A world whose first listener believes these networks.
async fn world(trusted: &str) -> World {
    let mut listener = ListenerConfig::new(Via::ProxyProtocol, "127.0.0.1:0".parse().unwrap());
    listener.trusted = vec![trusted.parse().unwrap()];
    listener.client_tls = ClientTls::Never;
    World::with(Names::default(), |config| {
        config.listeners.insert(0, listener)
    })
    .await
}

fn v1(client: &str, destination: SocketAddr) -> Vec<u8> {
    let (ip, port) = (destination.ip(), destination.port());
    format!("PROXY TCP4 {client} {ip} 4711 {port}\r\n").into_bytes()
}

fn v2(command: u8, client: &str, destination: SocketAddr) -> Vec<u8> {
    let SocketAddr::V4(destination) = destination else {
        panic!("the tests speak IPv4")
    };
    let client: std::net::Ipv4Addr = client.parse().unwrap();
    [
        &b"\r\n\r\n\0\r\nQUIT\n"[..],
        &[0x20 | command, 0x11, 0, 12 + 5],
        &client.octets(),
        &destination.ip().octets(),
        &4711_u16.to_be_bytes(),
        &destination.port().to_be_bytes(),
        &[0xe0, 0, 2, 1, 2],
    ]
    .concat()
}

/// All that is said to a sender that sends this and then waits.
async fn hear(world: &World, sent: &[u8]) -> String {
    let mut stream = TcpStream::connect(world.proxy.addresses()[0])
        .await
        .unwrap();
    // A stranger is closed before it may have said anything.
    let _ = stream.write_all(sent).await;
    let mut heard = Vec::new();
    // What is unread when it closes makes a reset of it.
    let _ = stream.read_to_end(&mut heard).await;
    String::from_utf8(heard).unwrap()
}

#[tokio::test]
async fn a_header_of_either_version_leads_to_the_mx_that_it_names() {
    let mut world = world("127.0.0.0/8").await;
    for header in [v1 as fn(&str, SocketAddr) -> Vec<u8>, |client, to| {
        v2(1, client, to)
    }] {
        let sink = Sink::new(Offers::Nothing).await;
        let mut stream = TcpStream::connect(world.proxy.addresses()[0])
            .await
            .unwrap();
        let header = header("127.0.0.9", sink.address);
        // In two pieces, which the network may make of it.
        let (first, second) = header.split_at(20);
        stream.write_all(first).await.unwrap();
        stream.write_all(second).await.unwrap();
        let mut client = Client {
            stream: BufReader::new(stream),
        };
        assert!(client.hear().await.starts_with("220 "));
        client.expect(&LITERAL).await;
        client
            .expect(&[("DATA", "354"), ("\r\n.", "250"), ("QUIT", "221")])
            .await;
        assert_eq!(sink.message().await, b"\r\n.\r\n");
        let record = world.record().await;
        assert_eq!(record.via, Via::ProxyProtocol);
        assert_eq!(record.client.to_string(), "127.0.0.9:4711");
        assert_eq!((record.end, record.messages), ("quit", 1));
    }
}

#[tokio::test]
async fn net_07_a_shutdown_does_not_wait_for_who_has_not_said_where_to_go() {
    let world = world("127.0.0.0/8").await;
    let (handed, socks) = (world.proxy.addresses()[0], world.proxy.addresses()[1]);
    let mut sender = TcpStream::connect(handed).await.unwrap();
    let mut client = TcpStream::connect(socks).await.unwrap();
    // Half a request each.
    sender.write_all(b"PROXY TCP4").await.unwrap();
    client.write_all(b"\x05").await.unwrap();
    while world.proxy.sessions() < 2 {
        tokio::task::yield_now().await;
    }
    world.proxy.shutdown().await;
    for (stream, expected) in [(&mut sender, "421 4.3.2 shutdown: "), (&mut client, "")] {
        let mut heard = Vec::new();
        // What is unread when it closes makes a reset of it.
        let _ = stream.read_to_end(&mut heard).await;
        let heard = String::from_utf8(heard).unwrap();
        assert!(heard.starts_with(expected), "{heard}");
        assert_eq!(heard.is_empty(), expected.is_empty(), "{heard}");
    }
}

#[tokio::test]
async fn net_02_a_header_from_a_stranger_is_closed_unread() {
    let world = world("192.0.2.0/24").await;
    let sink = Sink::new(Offers::Nothing).await;
    assert_eq!(hear(&world, &v1("192.0.2.9", sink.address)).await, "");
    assert_eq!(world.proxy.sessions(), 0);
}

#[tokio::test]
async fn net_01_net_02_a_header_that_leads_nowhere_gets_one_line_and_a_check_gets_none() {
    let world = world("127.0.0.0/8").await;
    let sink = Sink::new(Offers::Nothing).await;
    let (own, other) = (world.proxy.addresses()[0], world.proxy.addresses()[1]);
    let at = |text: &str| text.parse::<SocketAddr>().unwrap();
    for (what, sent, expected) in [
        (
            "no header",
            b"EHLO client.example\r\n".to_vec(),
            "421 4.3.2 this port takes connections with a PROXY header only",
        ),
        (
            "a malformed one",
            b"PROXY TCP4 127.0.0.1 mx.example 1 25\r\n".to_vec(),
            "421 4.3.2 this port",
        ),
        (
            "UNKNOWN",
            b"PROXY UNKNOWN\r\n".to_vec(),
            "421 4.3.2 the original destination",
        ),
        ("this listener", v1("127.0.0.1", own), "421 4.4.6 loop"),
        (
            "another listener",
            v2(1, "127.0.0.1", other),
            "421 4.4.6 loop",
        ),
        (
            "port 0",
            v1("127.0.0.1", at("198.51.100.1:0")),
            "421 4.4.6 loop",
        ),
        (
            "no address",
            v1("127.0.0.1", at("0.0.0.0:25")),
            "421 4.4.6 loop",
        ),
        (
            "this machine, for a client elsewhere",
            v1("192.0.2.9", sink.address),
            "421 4.4.6 the destination is the host",
        ),
        ("a check", v2(0, "127.0.0.1", sink.address), ""),
        (
            "a check without addresses",
            b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0".to_vec(),
            "",
        ),
    ] {
        let heard = hear(&world, &sent).await;
        assert!(heard.starts_with(expected), "{what}: {heard:?}");
        assert_eq!(heard.is_empty(), expected.is_empty(), "{what}: {heard:?}");
        assert!(heard.lines().count() <= 1, "{what}: {heard:?}");
    }
}

#[tokio::test]
async fn net_01_our_own_connection_that_somebody_hands_over_again_is_a_loop() {
    let world = world("127.0.0.0/8").await;
    let sink = Sink::new(Offers::Nothing).await;
    let guard = &world.proxy.shell().guard;
    let _own = guard.claim("127.0.0.9:4711".parse().unwrap(), sink.address);
    let heard = hear(&world, &v1("127.0.0.9", sink.address)).await;
    assert!(
        heard.starts_with("421 4.4.6 loop: this proxy's own"),
        "{heard}"
    );
}

#[tokio::test]
async fn a_header_that_does_not_come_is_not_waited_for() {
    let world = world("127.0.0.0/8").await;
    let sender = "127.0.0.1:4711".parse().unwrap();
    for begun in [&b""[..], b"PROXY TCP4 127", b"\r\n\r\n\0\r\nQUIT\n"] {
        let (mut near, mut far) = tokio::io::duplex(100);
        far.write_all(begun).await.unwrap();
        let taken = handover::take(&world.proxy.shell(), &mut near, (sender, Duration::ZERO)).await;
        let reply = taken.err().unwrap().reply().unwrap();
        assert!(
            reply.text.contains("PROXY header only"),
            "{begun:?}: {reply:?}"
        );
    }
}
