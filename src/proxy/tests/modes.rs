//! Report-only over real sockets: everything is delivered, and everything is told.

use std::time::Duration;

use super::world::{Names, Offers, Sink, World, pinned};
use crate::policy::Mode;
use crate::report::{Judgement, Record};
use crate::store::Count;

fn report_only(config: &mut crate::config::Config) {
    config.modes.mode = Mode::ReportOnly;
}

async fn counted(world: &World) -> Vec<String> {
    let engine = world.proxy.shell().engine.clone();
    let counts = tokio::task::spawn_blocking(move || {
        assert!(engine.pen.flush(Duration::from_secs(60)));
        engine.store.counts(0..=u32::MAX).unwrap()
    });
    let told = |count: &Count| {
        let Count {
            domain,
            what,
            reason,
            number,
            ..
        } = count;
        format!("{domain} {what} {reason} {number}")
    };
    let mut told: Vec<String> = counts.await.unwrap().iter().map(told).collect();
    told.sort();
    told
}

fn told(record: &Record) -> Vec<(&str, &str, &str, Option<&str>)> {
    let told = |one| {
        let Judgement {
            domain,
            verdict,
            reason,
            would_refuse,
            ..
        }: &Judgement = one;
        (domain.as_str(), *verdict, *reason, *would_refuse)
    };
    record.judgements.iter().map(told).collect()
}

#[tokio::test]
#[expect(
    clippy::too_many_lines,
    reason = "a table, one row per kind of refusal"
)]
async fn r3_dane_34_what_would_be_refused_is_delivered_as_if_nothing_were_demanded() {
    let (sample, _) = pinned("mx.signed.example");
    let (_, bad) = pinned("mx.signed.example");
    for (what, offers, recipient, reason, would_refuse, dials) in [
        (
            "no record matches",
            Offers::StartTls(&sample),
            "b@signed.example",
            "opportunistic-tls",
            "dane-mismatch",
            1,
        ),
        (
            "no STARTTLS",
            Offers::Nothing,
            "b@signed.example",
            "cleartext",
            "starttls-required",
            1,
        ),
        (
            "a policy that the certificate does not meet",
            Offers::StartTls(&sample),
            "b@policy.example",
            "opportunistic-tls",
            "sts-untrusted",
            2,
        ),
        (
            "a handshake that fails whatever the name",
            Offers::Octets(b"nonsense"),
            "b@signed.example",
            "cleartext",
            "tls-handshake",
            2,
        ),
        (
            "a domain that does not exist",
            Offers::Nothing,
            "b@nowhere.example",
            "cleartext",
            "no-such-domain",
            1,
        ),
        (
            "no domain",
            Offers::Nothing,
            "postmaster",
            "cleartext",
            "no-policy-domain",
            1,
        ),
    ] {
        let names = Names {
            tlsa: vec![bad.clone()],
        };
        let mut world = World::with(names, report_only).await;
        let sink = Sink::new(offers).await;
        let mut client = world.begun(sink.address).await;
        let rcpt = format!("RCPT TO:<{recipient}>");
        client
            .expect(&[
                (&rcpt, "250"),
                ("DATA", "354"),
                ("\r\n.", "250"),
                ("QUIT", "221"),
            ])
            .await;
        assert_eq!(sink.message().await, b"\r\n.\r\n", "{what}");
        let record = world.record().await;
        let [one] = &record.judgements[..] else {
            panic!("{what}: {record:?}")
        };
        let seen = (one.verdict, one.reason, one.would_refuse, one.level);
        assert_eq!(
            seen,
            ("pin", reason, Some(would_refuse), Some("L0")),
            "{what}"
        );
        assert!(!one.detail.is_empty(), "{what}");
        assert_eq!(record.dials, dials, "{what}");
        let domain = recipient.trim_start_matches("b@");
        let expected = format!("{domain} would-refuse {would_refuse} 1");
        assert_eq!(counted(&world).await, [expected], "{what}");
    }
}

#[tokio::test]
async fn r3_what_enforcing_would_relay_is_relayed_alike() {
    let (sample, good) = pinned("mx.signed.example");
    for mode in [Mode::Enforce, Mode::ReportOnly] {
        let names = Names {
            tlsa: vec![good.clone()],
        };
        let mut world = World::with(names, |config| config.modes.mode = mode).await;
        let sink = Sink::new(Offers::StartTls(&sample)).await;
        let mut client = world.begun(sink.address).await;
        client
            .expect(&[("RCPT TO:<b@signed.example>", "250"), ("QUIT", "221")])
            .await;
        let record = world.record().await;
        assert_eq!(told(&record), [("signed.example", "pin", "dane-ee", None)]);
        assert!(counted(&world).await.is_empty());
    }
}

#[tokio::test]
async fn r2_r3_in_one_session_each_domain_is_judged_by_its_own_mode() {
    let (_, bad) = pinned("mx.signed.example");
    let names = Names { tlsa: vec![bad] };
    let mut world = World::with(names, |config| {
        report_only(config);
        let modes = &mut config.modes.named;
        modes.insert(&"second.example".parse().unwrap(), Mode::Enforce);
    })
    .await;
    let sink = Sink::new(Offers::Nothing).await;
    let mut client = world.begun(sink.address).await;
    client
        .expect(&[
            ("RCPT TO:<b@signed.example>", "250"),
            ("RCPT TO:<b@second.example>", "451 4.7.4"),
            ("RCPT TO:<b@other.example>", "250"),
            ("QUIT", "221"),
        ])
        .await;
    let record = world.record().await;
    let why = "starttls-required";
    assert_eq!(
        told(&record),
        [
            ("signed.example", "pin", "cleartext", Some(why)),
            ("second.example", "refuse", why, None),
            ("other.example", "pin", "cleartext", Some(why)),
        ]
    );
    assert_eq!(
        counted(&world).await,
        [
            "other.example would-refuse starttls-required 1",
            "second.example refused starttls-required 1",
            "signed.example would-refuse starttls-required 1",
        ]
    );
}

#[tokio::test]
async fn r3_a_session_that_holds_recipients_takes_another_domain_without_a_new_connection() {
    let (sample, tlsa) = pinned("mx.signed.example");
    let names = Names { tlsa: vec![tlsa] };
    let mut world = World::with(names, report_only).await;
    let sink = Sink::new(Offers::StartTls(&sample)).await;
    let mut client = world.begun(sink.address).await;
    client
        .expect(&[
            ("RCPT TO:<b@signed.example>", "250"),
            // Enforced it would want a connection with its own SNI, and hear 452.
            ("RCPT TO:<b@second.example>", "250"),
            ("QUIT", "221"),
        ])
        .await;
    let record = world.record().await;
    assert_eq!(
        told(&record),
        [
            ("signed.example", "pin", "dane-ee", None),
            ("second.example", "pin", "opportunistic-tls", None),
        ]
    );
}

#[tokio::test]
async fn a11_r3_a_decision_that_is_not_there_in_time_delays_mail_only_where_it_is_enforced() {
    for (mode, code) in [(Mode::Enforce, "451 4.4.3"), (Mode::ReportOnly, "250")] {
        let mut world = World::with(Names::default(), |config| {
            config.modes.mode = mode;
            config.timeouts.decision = Duration::from_millis(500);
        })
        .await;
        let sink = Sink::new(Offers::Nothing).await;
        let mut client = world.begun(sink.address).await;
        client
            .expect(&[("RCPT TO:<b@silent.example>", code), ("QUIT", "221")])
            .await;
        let record = world.record().await;
        let one = &record.judgements[0];
        let why = one.would_refuse.unwrap_or(one.reason);
        assert_eq!(why, "decision-timeout");
    }
}
