//! The rules of continuity in tables.
#![expect(clippy::too_many_lines, reason = "a table is as long as it has rows")]

use super::*;
use crate::policy::{Candidate, Requirement, StsDemand};

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;
/// 2026-09-21.
const T0: u64 = 1_790_000_000;

/// A session, `after` seconds since [`T0`].
struct Session {
    after: u64,
    /// `none`, or version and key.
    tls: Option<(bool, &'static str)>,
    dane: Published,
    sts: Published,
    origin: (&'static str, Vouched),
    is_cleared: bool,
}

/// TLS 1.3 with the key `k1`, nothing published.
fn session(after: u64) -> Session {
    Session {
        after,
        tls: Some((true, "k1")),
        dane: Published::No,
        sts: Published::No,
        origin: ("A CA", Vouched::ByNobody),
        is_cleared: true,
    }
}

fn clear(after: u64) -> Session {
    Session {
        tls: None,
        ..session(after)
    }
}

fn key(after: u64, spki: &'static str, issuer: &'static str, vouched: Vouched) -> Session {
    Session {
        tls: Some((true, spki)),
        origin: (issuer, vouched),
        ..session(after)
    }
}

fn lived(sessions: &[Session]) -> (Standing, Vec<&'static str>) {
    let domain: Domain = "d.example".parse().unwrap();
    let mut standing = Standing::default();
    let mut told = Vec::new();
    for one in sessions {
        let seen = Sighting {
            at: Timestamp::from_unix(T0 + one.after),
            tls: one.tls.map(|(is_13, spki)| TlsSeen { is_13, spki }),
            dane: one.dane,
            sts: (&domain, one.sts),
            is_cleared: one.is_cleared,
        };
        let learnt = learn(&standing, &seen, || Origin {
            issuer: one.origin.0.into(),
            vouched: one.origin.1,
        });
        standing = learnt.after;
        told.extend(learnt.alerts.iter().map(|alert| alert.kind.label()));
    }
    (standing, told)
}

#[test]
fn attack_tls_01_a_drop_is_told_once_and_so_is_each_key_that_nothing_explains() {
    let published = |after, dane, sts| Session {
        dane,
        sts,
        ..session(after)
    };
    let old = |after| Session {
        tls: Some((false, "k1")),
        ..session(after)
    };
    let (yes, no, withdrawn) = (Published::Yes, Published::No, Published::Withdrawn);
    for (row, sessions, expected) in [
        ("all as ever", vec![session(0), session(1)], vec![]),
        ("never had TLS", vec![clear(0), clear(1)], vec![]),
        (
            "STARTTLS goes, and stays away",
            vec![session(0), clear(1), clear(2), clear(2 * DAY)],
            vec!["starttls-gone"],
        ),
        (
            "it comes and goes all day",
            vec![
                session(0),
                clear(1),
                session(2),
                clear(3),
                session(4),
                clear(5),
            ],
            vec!["starttls-gone"],
        ),
        (
            "it goes again the other day",
            vec![session(0), clear(1), session(2), clear(1 + DAY)],
            vec!["starttls-gone", "starttls-gone"],
        ),
        (
            "TLS 1.2 after 1.3",
            vec![session(0), old(1), old(2)],
            vec!["tls-version-lower"],
        ),
        ("TLS 1.3 after 1.2", vec![old(0), session(1)], vec![]),
        (
            "DANE goes",
            vec![published(0, yes, no), published(1, no, no)],
            vec!["dane-gone"],
        ),
        (
            "DANE cannot be looked up: that refuses, and tells nothing",
            vec![published(0, yes, no), published(1, Published::Unknown, no)],
            vec![],
        ),
        (
            "MTA-STS goes",
            vec![published(0, no, yes), published(1, no, no)],
            vec!["sts-gone"],
        ),
        (
            "MTA-STS is taken back as RFC 8461 §8.3 has it",
            vec![
                published(0, no, yes),
                published(1, no, withdrawn),
                published(2, no, no),
            ],
            vec![],
        ),
        (
            "a key that nobody vouches for",
            vec![session(0), key(1, "k2", "k2", Vouched::ByNobody)],
            vec!["key-changed"],
        ),
        (
            "and back, from the same two machines",
            vec![
                session(0),
                key(1, "k2", "k2", Vouched::ByNobody),
                session(2),
                key(3, "k2", "k2", Vouched::ByNobody),
            ],
            vec!["key-changed"],
        ),
        (
            "a key that a record explains",
            vec![session(0), key(1, "k2", "Other", Vouched::ByRecord)],
            vec![],
        ),
        (
            "a renewal at the same CA",
            vec![session(0), key(1, "k2", "A CA", Vouched::ByCa)],
            vec![],
        ),
        (
            "the same CA's name, without its signature",
            vec![session(0), key(1, "k2", "A CA", Vouched::ByNobody)],
            vec!["key-changed"],
        ),
        (
            "a renewal at another CA",
            vec![session(0), key(1, "k2", "B CA", Vouched::ByCa)],
            vec!["issuer-changed"],
        ),
        (
            "what a refused session shows is not learnt, but a loss is seen",
            vec![
                session(0),
                Session {
                    is_cleared: false,
                    ..key(1, "evil", "evil", Vouched::ByNobody)
                },
                Session {
                    is_cleared: false,
                    ..clear(2)
                },
                key(3, "evil", "evil", Vouched::ByNobody),
            ],
            vec!["starttls-gone", "key-changed"],
        ),
    ] {
        assert_eq!(lived(&sessions).1, expected, "{row}");
    }
}

#[test]
fn a_host_is_known_for_tls_after_enough_sessions_over_enough_days_and_not_for_ever() {
    let over = |count: u64, span: u64| -> Vec<Session> {
        (0..count)
            .map(|n| session(span * n / (count - 1)))
            .collect()
    };
    for (row, sessions, asked_after, expected) in [
        ("five over three days", over(5, 3 * DAY), 3 * DAY, true),
        ("four over three days", over(4, 3 * DAY), 3 * DAY, false),
        ("many in one afternoon", over(500, 6 * HOUR), 3 * DAY, false),
        ("up to a second less", over(5, 3 * DAY - 1), 3 * DAY, false),
        ("90 days later", over(5, 3 * DAY), 93 * DAY, true),
        ("and a second", over(5, 3 * DAY), 93 * DAY + 1, false),
        (
            "its loss makes no difference",
            [over(5, 3 * DAY), vec![clear(3 * DAY + 1)]]
                .into_iter()
                .flatten()
                .collect(),
            4 * DAY,
            true,
        ),
        (
            "cleartext throughout",
            (0..9).map(|n| clear(n * DAY)).collect(),
            9 * DAY,
            false,
        ),
    ] {
        let (standing, _) = lived(&sessions);
        let since = standing.is_established(Timestamp::from_unix(T0 + asked_after));
        assert_eq!(since.is_some(), expected, "{row}");
    }
}

#[test]
fn a_released_host_starts_afresh() {
    let sessions: Vec<Session> = (0..6).map(|n| session(n * DAY)).collect();
    let (mut standing, _) = lived(&sessions);
    let now = Timestamp::from_unix(T0 + 6 * DAY);
    assert!(standing.is_established(now).is_some());
    standing.release(now);
    assert!(standing.is_established(now).is_none());
    assert!(standing.keys.is_empty());
}

#[test]
fn an_attacker_who_shows_keys_for_a_while_locks_nobody_out() {
    let mut sessions: Vec<Session> = (0..50)
        .map(|n| key(n * 600, "evil", "evil", Vouched::ByNobody))
        .collect();
    sessions.push(session(10 * HOUR));
    let (standing, told) = lived(&sessions);
    assert_eq!(told, ["key-changed"]);
    // A key is never held against anyone, and TLS not yet.
    let now = Timestamp::from_unix(T0 + 10 * HOUR);
    assert!(standing.is_established(now).is_none());
}

fn candidate(host: &str, requirement: Requirement) -> Candidate {
    Candidate {
        host: host.parse().unwrap(),
        requirement,
        observed: None,
    }
}

#[test]
fn dane_and_mta_sts_outrank_what_is_known_and_nothing_is_ever_loosened() {
    let sts = || Requirement {
        sts: Some(StsDemand {
            listed: true,
            patterns: vec![],
        }),
        ..Requirement::default()
    };
    let encrypt = || Requirement {
        encrypt: true,
        ..Requirement::default()
    };
    let by_name = || Located::ByName {
        domain: "d.example".parse().unwrap(),
        destination: "192.0.2.1".parse().unwrap(),
    };
    let known =
        |host: &MxHost| (host.as_str() == "known.example").then_some(Timestamp::from_unix(7));
    for (row, located, hosts, expected) in [
        (
            "nothing is demanded of a host known for TLS",
            Located::ByAddress,
            vec![("known.example", Requirement::default())],
            vec!["L1"],
        ),
        (
            "nor of one that is not",
            Located::ByAddress,
            vec![("other.example", Requirement::default())],
            vec!["L0"],
        ),
        (
            "one server under two names",
            Located::ByAddress,
            vec![
                ("other.example", Requirement::default()),
                ("known.example", Requirement::default()),
            ],
            vec!["L1", "L1"],
        ),
        (
            "MTA-STS and TLSA records stay what they are",
            Located::ByAddress,
            vec![("known.example", sts()), ("known.example", encrypt())],
            vec!["LS", "L1"],
        ),
        (
            "a destination that is none of the hosts by its address",
            by_name(),
            vec![("known.example", Requirement::default())],
            vec!["L0"],
        ),
    ] {
        let mut demand = Demand {
            located,
            candidates: hosts
                .into_iter()
                .map(|(host, requirement)| candidate(host, requirement))
                .collect(),
        };
        hold(&mut demand, known);
        let levels: Vec<_> = demand
            .candidates
            .iter()
            .map(|candidate| candidate.requirement.level().label())
            .collect();
        assert_eq!(levels, expected, "{row}");
        for candidate in &demand.candidates {
            let requirement = &candidate.requirement;
            let is_held = requirement.known_for_tls.is_some();
            assert!(
                !is_held || !(requirement.encrypt || requirement.authenticates()),
                "{row}"
            );
        }
    }
}
