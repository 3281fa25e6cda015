//! Destinations that are a route, and every recipient there judged by the route's host.

use super::world::{Names, Offers, Sink, World, only, pinned};
use crate::policy::identity::{Identity, Rule};

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
    let mut client = world.begun(sink.address).await;
    client
        .expect(&[
            ("RCPT TO:<b@nowhere.example>", "250"),
            ("RCPT TO:<b@[192.0.2.1]>", "250"),
            ("RCPT TO:<postmaster>", "250"),
            ("RCPT TO:<b@plain.example>", "250"),
            ("QUIT", "221"),
        ])
        .await;
    let record = world.record().await;
    let judgement = only(&record);
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
        let mut client = world.greeted(sink.address).await;
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
        let mut client = world.begun(sink.address).await;
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
