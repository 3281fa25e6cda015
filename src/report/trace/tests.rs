//! A trace stays within its bounds, whatever others have put into it.

use super::answer::State;
use super::*;

fn answer(octets: usize) -> DnsAnswer {
    DnsAnswer {
        name: "mx.example".into(),
        record_type: "TLSA".into(),
        state: State::Secure,
        records: vec!["a".repeat(octets)],
        aliases: vec![],
        failure: None,
        ttl: Some(60),
        cached: false,
    }
}

fn attempt(certificates: usize, octets: usize) -> Attempt {
    let certificate = Certificate {
        subject: Some("CN=mx.example".into()),
        issuer: None,
        not_before: None,
        not_after: None,
        names: vec!["mx.example".into(); 1000],
        spki_sha256: None,
        sha256: "00".repeat(32),
        der: Some("0".repeat(octets)),
    };
    Attempt {
        showing: Showing {
            sni: None,
            channel: Channel::Tls(Tls {
                resumed: false,
                version: "TLSv1.3".into(),
                suite: "TEST".into(),
                chain: vec![certificate; certificates],
            }),
        },
        tried: vec![None],
        finding: Finding {
            verdict: "refuse".into(),
            rule: "dane-mismatch".into(),
        },
    }
}

fn trace(attempts: Vec<Attempt>, dns: Vec<DnsAnswer>, text: Option<String>) -> Decided {
    Decided {
        began: Timestamp::from_unix(1_800_000_000),
        decided: Timestamp::from_unix(1_800_000_001),
        took_ms: 1000,
        domain: "a.example".into(),
        route: false,
        destination: "192.0.2.1:25".parse().unwrap(),
        settings: Settings::default().into(),
        dns,
        mta_sts: Some(Sts {
            state: "live".into(),
            failure: None,
            id: None,
            fetched: None,
            text,
            record: None,
            cached: false,
        }),
        demand: None,
        attempts,
        exceptions: Vec::new(),
        outcome: Outcome {
            would_refuse: None,
            verdict: "refuse".into(),
            rule: "dane-mismatch".into(),
            level: None,
            host: None,
            observed: None,
            reply: None,
            why: None,
        },
        left_out: vec![],
    }
}

#[test]
fn what_is_too_large_is_left_out_in_the_order_of_its_use_and_told() {
    const ALL: usize = 4;
    let policy = || Some("\u{1}".repeat(64 * 1024));
    for (what, mut trace, left_out) in [
        (
            "an ordinary one",
            trace(vec![attempt(3, 4000)], vec![answer(100); 5], None),
            0,
        ),
        (
            "three connections with long chains",
            trace(vec![attempt(2, 130_000); 3], vec![answer(100); 5], None),
            1,
        ),
        (
            "a thousand answers",
            trace(vec![attempt(2, 4000)], vec![answer(1000); 1000], None),
            2,
        ),
        (
            "a chain of chains",
            trace(vec![attempt(100, 130_000); 3], vec![answer(100)], None),
            3,
        ),
        (
            "everything at once",
            trace(
                vec![attempt(100, 130_000); 3],
                vec![answer(60_000); 1000],
                policy(),
            ),
            ALL,
        ),
    ] {
        trace.fit();
        assert_eq!(trace.left_out.len(), left_out, "{what}");
        let octets = serde_json::to_string(&trace).unwrap().len();
        assert!(octets <= MOST_OCTETS, "{what}: {octets}");
        let text = serde_json::to_string(&trace).unwrap();
        assert_eq!(serde_json::from_str::<Decided>(&text).unwrap(), trace);
    }
}

#[test]
fn a_policy_of_control_characters_alone_fits_too() {
    let mut trace = trace(
        vec![attempt(1, 2000)],
        vec![],
        Some("\u{1}".repeat(64 * 1024)),
    );
    trace.fit();
    assert!(trace.left_out.is_empty());
}
