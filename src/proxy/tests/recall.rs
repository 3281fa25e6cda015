//! What one session leaves to the next: tickets, pins, and what a host was seen to do.

use std::sync::Arc;

use super::changing::{Changing, Does, Host};
use super::exceptions::{Life, exception};
use super::world::{World, engine_of, pinned};
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::config::{ClientTls, Config, ListenerConfig};
use crate::intercept::Via;
use crate::policy::continuity::{Fact, Standing};
use crate::policy::exceptions::Terms;
use crate::policy::exceptions::held::Held;
use crate::policy::pins::Pin;
use crate::policy::{Continuity, Mode};
use crate::proxy::engine::Engine;
use crate::proxy::recall::Recall;
use crate::report::Record;
use crate::store::{Kind, Query, Row};

async fn world(lookup: Arc<Changing>, continuity: Continuity) -> World {
    world_of(engine_of(lookup, continuity)).await
}

async fn world_of(engine: Engine) -> World {
    let config = Config {
        listeners: vec![ListenerConfig {
            client_tls: ClientTls::Never,
            ..ListenerConfig::new(Via::Socks5, "127.0.0.1:0".parse().unwrap())
        }],
        ..Config::default()
    };
    World::of(&config, engine).await
}

/// One recipient; the reply to RCPT, and the session in a line: dials, handshakes (resumed ones among them), verdict.
async fn send(world: &mut World, host: &Host, domain: &str) -> (String, String) {
    let (reply, record) = recorded(world, host, domain).await;
    let verdict = record.judgements.last().unwrap();
    let line = format!(
        "{} {}({}) {} {}",
        record.dials, record.handshakes, record.resumed, verdict.verdict, verdict.reason
    );
    (reply, line)
}

async fn recorded(world: &mut World, host: &Host, domain: &str) -> (String, Record) {
    world.asked(host.address, &format!("b@{domain}")).await
}

fn recall(world: &World) -> Arc<Recall> {
    Arc::clone(&world.proxy.shell().engine.recall)
}

fn heard(world: &World, row: &Row) {
    let clock = SystemClock;
    recall(world).heard(row, clock.wall(), clock.instant());
}

const PIN: &str = "pin dane-ee";

#[tokio::test]
async fn attack_tls_11_tls_11_tls_12_resumed_under_the_same_demand_and_in_full_under_another() {
    let ((old, old_tlsa), (new, new_tlsa)) = (pinned("old.example"), pinned("new.example"));
    let lookup = Arc::new(Changing::default());
    lookup.publish(&old_tlsa);
    let mut world = world(Arc::clone(&lookup), Continuity::Alert).await;
    let host = Host::new(&old).await;
    for (row, expected) in [
        ("the first time", format!("1 1(0) {PIN}")),
        ("the second", format!("1 1(1) {PIN}")),
        ("the third", format!("1 1(1) {PIN}")),
    ] {
        let (_, seen) = send(&mut world, &host, "signed.example").await;
        assert_eq!(seen, expected, "{row}");
    }
    // The host honours old tickets after its key has changed. While its records have not, it is what it was.
    host.presents(&new);
    let (_, seen) = send(&mut world, &host, "signed.example").await;
    assert_eq!(seen, format!("1 1(1) {PIN}"), "the key has changed");
    lookup.publish(&new_tlsa);
    let (_, seen) = send(&mut world, &host, "signed.example").await;
    assert_eq!(seen, format!("2 2(1) {PIN}"), "the records have changed");
    let (_, seen) = send(&mut world, &host, "signed.example").await;
    assert_eq!(seen, format!("1 1(0) {PIN}"), "the ticket was in the way");
}

#[tokio::test]
async fn tls_12_a_resumed_session_refuses_nobody_a_full_handshake_does() {
    let ((sample, tlsa), (_, other)) = (pinned("a.example"), pinned("b.example"));
    let lookup = Arc::new(Changing::default());
    lookup.publish(&tlsa);
    let mut world = world(Arc::clone(&lookup), Continuity::Alert).await;
    let host = Host::new(&sample).await;
    send(&mut world, &host, "signed.example").await;
    lookup.publish(&other);
    let (reply, seen) = send(&mut world, &host, "signed.example").await;
    assert!(reply.starts_with("451 4.7.5 dane-mismatch"), "{reply}");
    assert_eq!(seen, "2 2(1) refuse dane-mismatch");
}

#[tokio::test]
async fn tls_09_a_server_that_chokes_on_a_ticket_is_asked_for_a_full_handshake() {
    let (sample, tlsa) = pinned("a.example");
    let lookup = Arc::new(Changing::default());
    lookup.publish(&tlsa);
    let mut world = world(Arc::clone(&lookup), Continuity::Alert).await;
    let host = Host::new(&sample).await;
    for domain in ["signed.example", "plain.example"] {
        // The name that is asked for is the host's from the second session on.
        send(&mut world, &host, domain).await;
        send(&mut world, &host, domain).await;
        host.chokes(&sample);
        let (_, seen) = send(&mut world, &host, domain).await;
        assert!(seen.starts_with("2 1(0) pin"), "{domain}: {seen}");
        assert!(!seen.ends_with("cleartext"), "{domain}: {seen}");
    }
}

#[tokio::test]
async fn a_pin_is_written_down_and_once_revoked_nothing_of_it_counts() {
    let (sample, tlsa) = pinned("a.example");
    let lookup = Arc::new(Changing::default());
    lookup.publish(&tlsa);
    let mut world = world(Arc::clone(&lookup), Continuity::Alert).await;
    let host = Host::new(&sample).await;
    send(&mut world, &host, "signed.example").await;
    let (_, seen) = send(&mut world, &host, "signed.example").await;
    assert_eq!(seen, format!("1 1(1) {PIN}"));
    let store = Arc::clone(&world.proxy.shell().engine.store);
    // The writer is on a thread of its own.
    let rows = tokio::task::spawn_blocking(move || {
        for _ in 0..100_000_000_u64 {
            let rows = store.find(Kind::Pin, Query::Latest, 10).unwrap();
            if !rows.is_empty() {
                return rows;
            }
            std::thread::yield_now();
        }
        panic!("the pin is not written")
    });
    let mut row = rows.await.unwrap().remove(0);
    let mut pin: Pin = serde_json::from_str(row.body.as_deref().unwrap()).unwrap();
    assert_eq!((pin.basis.as_str(), pin.level.as_str()), ("dane-ee", "LD"));
    assert_eq!(pin.domains, ["signed.example"]);
    assert_eq!(row.about, "mx.signed.example");
    pin.revoked = SystemClock.wall().unix();
    row.body = Some(serde_json::to_string(&pin).unwrap());
    heard(&world, &row);
    let (_, seen) = send(&mut world, &host, "signed.example").await;
    assert_eq!(seen, format!("1 1(0) {PIN}"));
}

#[tokio::test]
async fn attack_tls_01_a_host_that_loses_starttls_is_told_of_once_and_gets_its_mail() {
    let (sample, _) = pinned("a.example");
    let mut world = world(Arc::default(), Continuity::Alert).await;
    let host = Host::new(&sample).await;
    let (_, record) = recorded(&mut world, &host, "plain.example").await;
    assert!(record.alerts.is_empty());
    host.will(Does::Clear);
    for expected in [vec!["starttls-gone"], vec![]] {
        let (reply, record) = recorded(&mut world, &host, "plain.example").await;
        assert!(reply.starts_with("250"), "{reply}");
        assert_eq!(record.alerts, expected);
    }
}

/// TLS for a month, until an hour ago.
fn known(host: &Host, name: &str, released: u64) -> Row {
    let now = SystemClock.wall().unix();
    let tls = Fact {
        first: now - 30 * 86_400,
        last: now - 3600,
        sessions: 1000,
        ..Fact::default()
    };
    let standing = Standing {
        tls,
        released,
        ..Standing::default()
    };
    Row {
        kind: Kind::Continuity,
        key: format!("{name}:{}", host.address.port()),
        about: name.into(),
        at: Timestamp::from_unix(now),
        body: Some(serde_json::to_string(&standing).unwrap()),
    }
}

#[tokio::test]
async fn enforced_a_host_known_for_tls_gets_no_mail_in_clear_until_it_is_released() {
    let (sample, _) = pinned("a.example");
    for (row, continuity, does, expected) in [
        ("alert", Continuity::Alert, Does::Clear, "250"),
        (
            "enforce",
            Continuity::Enforce,
            Does::Clear,
            "451 4.7.4 continuity-tls",
        ),
    ] {
        let mut world = world(Arc::default(), continuity).await;
        let host = Host::new(&sample).await;
        host.will(does);
        heard(&world, &known(&host, "mx.plain.example", 0));
        let (reply, _) = recorded(&mut world, &host, "plain.example").await;
        assert!(reply.starts_with(expected), "{row}: {reply}");
        heard(
            &world,
            &known(&host, "mx.plain.example", SystemClock.wall().unix()),
        );
        let (reply, _) = recorded(&mut world, &host, "plain.example").await;
        assert!(reply.starts_with("250"), "{row}, released: {reply}");
    }
    // With TLS, of whatever key, it gets it as ever.
    let mut world = world(Arc::default(), Continuity::Enforce).await;
    let host = Host::new(&sample).await;
    heard(&world, &known(&host, "mx.plain.example", 0));
    let (_, seen) = send(&mut world, &host, "plain.example").await;
    assert!(seen.ends_with("pin encrypted"), "{seen}");
    // A handshake that fails is no way into the clear either.
    host.will(Does::Breaks);
    let (reply, _) = recorded(&mut world, &host, "plain.example").await;
    assert!(reply.starts_with("451 4.7.4 continuity-tls"), "{reply}");
}

#[tokio::test]
async fn r3_tls_11_what_is_only_reported_leaves_no_pin_and_is_waived_after_a_full_handshake_alone()
{
    let ((sample, tlsa), (_, other)) = (pinned("a.example"), pinned("b.example"));
    let lookup = Arc::new(Changing::default());
    lookup.publish(&other);
    let mut engine = engine_of(Arc::<Changing>::clone(&lookup), Continuity::Alert);
    engine.modes.mode = Mode::ReportOnly;
    let mut world = world_of(engine).await;
    let host = Host::new(&sample).await;
    let waived = "pin opportunistic-tls";
    for row in ["the first time", "no ticket was kept"] {
        let (reply, seen) = send(&mut world, &host, "signed.example").await;
        assert!(reply.starts_with("250"), "{row}: {reply}");
        assert_eq!(seen, format!("1 1(0) {waived}"), "{row}");
        assert!(recall(&world).pins().is_empty(), "{row}");
        // Nor is a key learnt that nothing vouches for.
        assert!(
            recall(&world)
                .hosts(None)
                .iter()
                .all(|(_, one)| one.keys.is_empty())
        );
    }
    lookup.publish(&tlsa);
    let (_, seen) = send(&mut world, &host, "signed.example").await;
    assert_eq!(seen, format!("1 1(0) {PIN}"));
    assert_eq!(recall(&world).pins().len(), 1);
    lookup.publish(&other);
    let (_, record) = recorded(&mut world, &host, "signed.example").await;
    let told = record.judgements.last().unwrap();
    assert_eq!((record.handshakes, record.resumed), (2, 1));
    assert_eq!(
        (told.reason, told.would_refuse),
        ("opportunistic-tls", Some("dane-mismatch"))
    );
    assert_eq!(recall(&world).pins().len(), 1);
}

#[tokio::test]
async fn r3_a_host_known_for_tls_is_not_held_to_it_where_the_mode_or_an_exception_says_so() {
    let (sample, _) = pinned("a.example");
    let of = |what: &str| vec![exception("plain.example", what, Life::Alive)];
    let known_for_tls = "continuity-tls";
    for (row, mode, exceptions, expected, would_refuse) in [
        (
            "enforced",
            Mode::Enforce,
            vec![],
            "451 4.7.4 continuity-tls",
            None,
        ),
        (
            "reported",
            Mode::ReportOnly,
            vec![],
            "250",
            Some(known_for_tls),
        ),
        ("excepted", Mode::Enforce, of("none"), "250", None),
        (
            "TLS by exception",
            Mode::Enforce,
            of("encrypt"),
            "451 4.7.4 starttls-required",
            None,
        ),
        (
            "more by exception",
            Mode::Enforce,
            of("webpki"),
            "451 4.7.4 starttls-required",
            None,
        ),
    ] {
        let mut engine = engine_of(Arc::<Changing>::default(), Continuity::Enforce);
        engine.modes.mode = mode;
        engine.exceptions = Arc::new(Held::new(exceptions, Terms::default()));
        let mut world = world_of(engine).await;
        let host = Host::new(&sample).await;
        host.will(Does::Clear);
        heard(&world, &known(&host, "mx.plain.example", 0));
        let (reply, record) = recorded(&mut world, &host, "plain.example").await;
        assert!(reply.starts_with(expected), "{row}: {reply}");
        let told = record.judgements.last().unwrap();
        assert_eq!(told.would_refuse, would_refuse, "{row}");
    }
}

#[tokio::test]
async fn below_a_negative_trust_anchor_dane_is_not_gone_but_taken_away() {
    let (sample, _) = pinned("a.example");
    for (row, exceptions, expected) in [
        ("it was there and is gone", vec![], vec!["dane-gone"]),
        (
            "the operator's doing",
            vec![exception("plain.example", "nta", Life::Alive)],
            vec![],
        ),
    ] {
        let mut engine = engine_of(Arc::<Changing>::default(), Continuity::Alert);
        engine.exceptions = Arc::new(Held::new(exceptions, Terms::default()));
        let mut world = world_of(engine).await;
        let host = Host::new(&sample).await;
        let mut row_of_host = known(&host, "mx.plain.example", 0);
        let standing: Standing = serde_json::from_str(row_of_host.body.as_ref().unwrap()).unwrap();
        let standing = Standing {
            dane: standing.tls,
            ..standing
        };
        row_of_host.body = Some(serde_json::to_string(&standing).unwrap());
        heard(&world, &row_of_host);
        let (reply, record) = recorded(&mut world, &host, "plain.example").await;
        assert!(reply.starts_with("250"), "{row}: {reply}");
        assert_eq!(record.alerts, expected, "{row}");
    }
}
