//! Another configuration takes the place of the one that is in force.

use std::sync::Arc;
use std::time::Duration;

use super::world::{Names, Offers, Sink, World, pinned};
use crate::config::Config;
use crate::dns::health::Probes;
use crate::policy::Mode;
use crate::proxy::StartError;

/// The same listeners; of DNS nothing can be had.
fn without_dns(before: &Config) -> Config {
    let mut config = before.clone();
    config.dns.resolvers = vec!["127.0.0.1:9".parse().unwrap()];
    config.dns.timeout = Duration::from_millis(50);
    config.dns.probes = Probes {
        good: None,
        bogus: Vec::new(),
        ..config.dns.probes
    };
    config
}

fn running(world: &World) -> Config {
    (*world.proxy.generations.borrow().config).clone()
}

/// `signed.example` demands TLS, which the MX does not have: reported, and delivered.
async fn lenient() -> (Sink, World) {
    let sink = Sink::new(Offers::Nothing).await;
    let (_, record) = pinned("mx.signed.example");
    let names = Names { tlsa: vec![record] };
    let report_only = |config: &mut Config| config.modes.mode = Mode::ReportOnly;
    (sink, World::with(names, report_only).await)
}

#[tokio::test]
async fn a_session_ends_with_what_it_began_with_and_the_next_one_begins_with_the_new() {
    let (sink, mut world) = lenient().await;
    let mut early = world.begun(sink.address).await;
    let mut strict = without_dns(&running(&world));
    strict.modes.mode = Mode::Enforce;
    world.proxy.reload(&strict).unwrap();
    // The first one serves one connection at a time.
    let second = Sink::new(Offers::Nothing).await;
    let (reply, _) = world.asked(second.address, "b@signed.example").await;
    assert!(reply.starts_with("451"), "{reply}");
    let reply = early.say("RCPT TO:<b@signed.example>").await;
    assert!(reply.starts_with("250"), "{reply}");
    early.expect(&[("QUIT", "221")]).await;
}

#[tokio::test]
async fn a_configuration_that_lacks_something_changes_nothing() {
    let (sink, mut world) = lenient().await;
    let before = running(&world);
    let mut lacking = without_dns(&before);
    (lacking.modes.mode, lacking.max_sessions) = (Mode::Enforce, 1);
    lacking.ca_file = Some("/nowhere/ca.pem".into());
    let error = world.proxy.reload(&lacking).unwrap_err();
    assert!(matches!(error, StartError::Engine(_)), "{error}");
    assert_eq!(running(&world), before);
    assert_eq!(world.proxy.shell().room.limit(), before.max_sessions);
    let (reply, _) = world.asked(sink.address, "b@signed.example").await;
    assert!(reply.starts_with("250"), "{reply}");
}

#[tokio::test]
async fn what_is_remembered_outlives_a_reload_and_so_does_the_resolver_that_nothing_speaks_against()
{
    let world = World::new(Names::default()).await;
    let config = without_dns(&running(&world));
    world.proxy.reload(&config).unwrap();
    let first = world.proxy.engine();
    let mut next = config;
    next.max_sessions = 7;
    next.resumption = false;
    world.proxy.reload(&next).unwrap();
    let second = world.proxy.engine();
    for (what, is_same) in [
        ("lookup", Arc::ptr_eq(&first.lookup, &second.lookup)),
        ("policies", Arc::ptr_eq(&first.sts, &second.sts)),
        ("hosts", Arc::ptr_eq(&first.learned, &second.learned)),
        ("store", Arc::ptr_eq(&first.store, &second.store)),
        (
            "exceptions",
            Arc::ptr_eq(&first.exceptions, &second.exceptions),
        ),
    ] {
        assert!(is_same, "{what}");
    }
    let mut other = next;
    other.dns.resolvers.push("127.0.0.2:9".parse().unwrap());
    world.proxy.reload(&other).unwrap();
    let third = world.proxy.engine();
    assert!(!Arc::ptr_eq(&second.lookup, &third.lookup));
}
