//! Two recursive resolvers, one of which is of no use: the other one's truth comes out, and nothing without it.
#![cfg(feature = "lab")]
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test may panic, and its useless resolvers need sockets and tasks"
)]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use danelaw::clock::SystemClock;
use danelaw::dns::recursor::ServerAddress;
use danelaw::dns::resolver::{Resolver, ResolverOptions, TrustAnchor, Validate};
use danelaw::dns::{Answer, Failure};
use danelaw::lab::catalogue;
use danelaw::lab::world::World;
use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::RecordType;
use tokio::net::UdpSocket;

/// What a useless resolver does.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Useless {
    Silent,
    Fails,
    Refuses,
    /// Says that nothing exists, without proof.
    Denies,
    /// Hands over what is there without its signatures.
    Strips,
}

/// Every question that came over the wire: its DO and its CD bit.
type Flags = Arc<Mutex<Vec<[bool; 2]>>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dns_18_a_useless_resolver_is_passed_over_and_alone_it_is_a_failure() {
    let rows = ["dane-ee-match", "dane-unsigned-zone", "signed-without-tlsa"];
    let scenarios = catalogue::all()
        .into_iter()
        .filter(|scenario| rows.contains(&scenario.name));
    let world = World::of(scenarios.collect()).await.unwrap();
    let owner = |name: &str| format!("_{}._tcp.mx.{name}.test.", world.mx_port);
    for useless in [
        Useless::Silent,
        Useless::Fails,
        Useless::Refuses,
        Useless::Denies,
        Useless::Strips,
    ] {
        let bad = start(useless, world.resolver, Flags::default()).await;
        for servers in [
            vec![bad, world.resolver],
            vec![world.resolver, bad],
            vec![bad],
        ] {
            let alone = servers.len() == 1;
            let options = ResolverOptions {
                servers: servers.into_iter().map(ServerAddress::plain).collect(),
                anchor: TrustAnchor::from_file(&world.trust_anchor).unwrap(),
                timeout: Duration::from_secs(8),
                validate: Validate::Local,
                roots: None,
            };
            let resolver = Resolver::new(options, Arc::new(SystemClock)).unwrap();
            let [matching, unsigned, none] = rows.map(owner);
            let (matching, unsigned, none) = tokio::join!(
                resolver.inspect(&matching, "TLSA"),
                resolver.inspect(&unsigned, "TLSA"),
                resolver.inspect(&none, "TLSA"),
            );
            let [matching, unsigned, none] =
                [matching, unsigned, none].map(|answer| word(&answer.unwrap()));
            let seen = [matching, unsigned, none];
            let expected = match (alone, useless) {
                (false, _) => ["secure", "insecure", "denied"],
                // Whether the second one's zone is signed cannot be known either.
                (true, Useless::Denies | Useless::Strips) => ["bogus"; 3],
                (true, Useless::Silent | Useless::Fails | Useless::Refuses) => ["unreachable"; 3],
            };
            assert_eq!(seen, expected, "{useless:?}, alone: {alone}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dnssec_4_every_question_of_our_own_validation_has_do_and_cd() {
    let scenarios = catalogue::all().into_iter().take(1);
    let world = World::of(scenarios.collect()).await.unwrap();
    let flags = Flags::default();
    let watcher = start(Useless::Strips, world.resolver, Arc::clone(&flags)).await;
    let options = ResolverOptions {
        servers: vec![ServerAddress::plain(watcher)],
        anchor: TrustAnchor::from_file(&world.trust_anchor).unwrap(),
        timeout: Duration::from_secs(8),
        validate: Validate::Local,
        roots: None,
    };
    let resolver = Resolver::new(options, Arc::new(SystemClock)).unwrap();
    for (name, record_type) in [("test.", "MX"), ("mx.dane-ee-match.test.", "A")] {
        resolver.inspect(name, record_type).await.unwrap();
    }
    let flags = flags.lock().unwrap();
    assert!(flags.len() > 2, "leaves and keys: {flags:?}");
    assert!(
        flags.iter().all(|flags| *flags == [true, true]),
        "{flags:?}"
    );
}

fn word(answer: &Answer<Vec<String>>) -> &'static str {
    match answer {
        Answer::Secure(_) => "secure",
        Answer::Insecure(_) => "insecure",
        Answer::Absent(absent) if absent.denial == danelaw::dns::Denial::Secure => "denied",
        Answer::Absent(_) => "claimed absent",
        Answer::Failed(Failure::Bogus(_)) => "bogus",
        Answer::Failed(Failure::Unreachable(_)) => "unreachable",
    }
}

/// A resolver that asks `honest` and spoils what it hears; over UDP only.
async fn start(useless: Useless, honest: SocketAddr, flags: Flags) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
            let question = Message::from_vec(&buffer[..length]).unwrap();
            let is_do = question.edns.is_some_and(|edns| edns.flags().dnssec_ok);
            let is_cd = question.metadata.checking_disabled;
            flags.lock().unwrap().push([is_do, is_cd]);
            if useless == Useless::Silent {
                continue;
            }
            let ask = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            ask.send_to(&buffer[..length], honest).await.unwrap();
            let mut reply = [0; 4096];
            let length = ask.recv(&mut reply).await.unwrap();
            let mut message = Message::from_vec(&reply[..length]).unwrap();
            spoil(useless, &mut message);
            let spoiled = message.to_vec().unwrap();
            socket.send_to(&spoiled, client).await.unwrap();
        }
    });
    address
}

fn spoil(useless: Useless, message: &mut Message) {
    let code = match useless {
        Useless::Silent => return,
        Useless::Strips => {
            for section in [&mut message.answers, &mut message.authorities] {
                section.retain(|record| record.record_type() != RecordType::RRSIG);
            }
            return;
        }
        Useless::Fails => ResponseCode::ServFail,
        Useless::Refuses => ResponseCode::Refused,
        Useless::Denies => ResponseCode::NXDomain,
    };
    message.metadata.response_code = code;
    message.answers.clear();
    message.authorities.clear();
}
