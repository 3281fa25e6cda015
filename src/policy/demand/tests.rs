//! Tables of facts and what they demand: names, SNIs, patterns, order.

use super::*;
use crate::dane::{Matching, Selector, Tlsa, Usage};
use crate::dns::Denial;
use crate::name::ReferenceId;

const DESTINATION: &str = "192.0.2.25";

fn demanded(facts: &Facts) -> Demand {
    demand(facts, DESTINATION.parse().unwrap(), Settings::default()).unwrap()
}

fn records() -> Vec<Tlsa> {
    vec![Tlsa {
        usage: Usage::DaneTa,
        selector: Selector::Cert,
        matching: Matching::Sha256,
        data: vec![7; 32],
    }]
}

/// A host at the destination whose TLSA records stand at `base`.
fn host(name: &str, base: &str) -> HostFacts {
    HostFacts {
        host: name.parse().unwrap(),
        addresses: AddressFacts::Known(vec![DESTINATION.parse().unwrap()]),
        tlsa: TlsaFacts::Usable {
            base: base.parse().unwrap(),
            records: records(),
        },
    }
}

fn facts(mx: Denial, expanded: Option<&str>, hosts: Vec<HostFacts>) -> Facts {
    Facts {
        domain: "example.org".parse().unwrap(),
        mx: MxFacts::Hosts {
            secure: mx == Denial::Secure,
            expanded: expanded.map(|name| name.parse().unwrap()),
            hosts,
        },
        sts: StsState::None,
    }
}

fn enforce(mx: &str) -> StsState {
    let text = format!("version: STSv1\nmode: enforce\nmx: {mx}\nmax_age: 86400\n");
    StsState::Live {
        policy: std::sync::Arc::new(Policy::parse(text.as_bytes()).unwrap()),
        refresh: None,
    }
}

#[test]
fn dane_27_dane_28_dane_29_reference_identifiers() {
    for (row, mx, expanded, name, base, ids) in [
        (
            "a secure MX: base domain and next-hop",
            Denial::Secure,
            None,
            "mx.example.org",
            "mx.example.org",
            vec!["mx.example.org", "example.org"],
        ),
        (
            "a secure MX host that is an alias: its end, not its beginning",
            Denial::Secure,
            None,
            "mx.example.org",
            "mx.hoster.example",
            vec!["mx.hoster.example", "example.org"],
        ),
        (
            "a next-hop that is a secure alias: both its names",
            Denial::Secure,
            Some("example.com"),
            "mx.example.com",
            "mx.example.com",
            vec!["mx.example.com", "example.org", "example.com"],
        ),
        (
            "no MX: the domain is its own host, once",
            Denial::Secure,
            None,
            "example.org",
            "example.org",
            vec!["example.org"],
        ),
        (
            "no MX, and the base is the expanded domain: the original one too",
            Denial::Secure,
            Some("example.com"),
            "example.org",
            "example.com",
            vec!["example.com", "example.org"],
        ),
        (
            "an insecure MX: the host alone, whatever the domain is",
            Denial::Insecure,
            Some("example.com"),
            "mx.example.com",
            "mx.example.com",
            vec!["mx.example.com"],
        ),
    ] {
        let demand = demanded(&facts(mx, expanded, vec![host(name, base)]));
        let dane = demand.candidates[0].requirement.dane.as_ref().unwrap();
        let seen: Vec<&str> = dane.reference_ids.iter().map(ReferenceId::as_str).collect();
        assert_eq!(seen, ids, "{row}");
        assert_eq!(dane.half, mx == Denial::Insecure, "{row}");
    }
}

#[test]
fn dane_32_sts_66_the_sni_is_the_tlsa_base_domain_else_the_mx_host() {
    let aliased = || host("mx.example.org", "mx.hoster.example");
    let unusable = || HostFacts {
        tlsa: TlsaFacts::Unusable {
            base: "mx.hoster.example".parse().unwrap(),
        },
        ..aliased()
    };
    let no_records = || HostFacts {
        tlsa: TlsaFacts::NotApplicable,
        ..aliased()
    };
    for (row, mx, host, sts, sni) in [
        (
            "DANE: the base domain",
            Denial::Secure,
            aliased(),
            StsState::None,
            "mx.hoster.example",
        ),
        (
            "half-DANE and MTA-STS: one SNI, DANE first",
            Denial::Insecure,
            aliased(),
            enforce("mx.example.org"),
            "mx.hoster.example",
        ),
        (
            "MTA-STS: the MX host",
            Denial::Secure,
            no_records(),
            enforce("mx.example.org"),
            "mx.example.org",
        ),
        (
            "unusable records and MTA-STS: it is MTA-STS that is judged",
            Denial::Secure,
            unusable(),
            enforce("mx.example.org"),
            "mx.example.org",
        ),
    ] {
        let mut facts = facts(mx, None, vec![host]);
        facts.sts = sts;
        let demand = demanded(&facts);
        assert_eq!(demand.candidates[0].sni().as_str(), sni, "{row}");
    }
}

#[test]
fn sts_64_the_unexpanded_mx_name_is_held_against_the_patterns() {
    for (pattern, listed) in [
        ("mx.example.org", true),
        ("*.example.org", true),
        ("mx.hoster.example", false),
        ("*.hoster.example", false),
    ] {
        let mut facts = facts(
            Denial::Insecure,
            None,
            vec![host("mx.example.org", "mx.hoster.example")],
        );
        facts.sts = enforce(pattern);
        let demand = demanded(&facts);
        let sts = demand.candidates[0].requirement.sts.clone().unwrap();
        assert_eq!(sts.listed, listed, "{pattern}");
        assert_eq!(sts.patterns, [pattern]);
    }
}

#[test]
fn m2_candidates_stand_strictest_first_and_keep_the_mx_order_otherwise() {
    let plain = |name: &str| HostFacts {
        tlsa: TlsaFacts::NotApplicable,
        ..host(name, name)
    };
    let strict = |name: &str| host(name, name);
    let demand = demanded(&facts(
        Denial::Secure,
        None,
        vec![
            plain("mx1.example.org"),
            strict("mx2.example.org"),
            plain("mx3.example.org"),
            strict("mx4.example.org"),
        ],
    ));
    let order: Vec<&str> = demand
        .candidates
        .iter()
        .map(|candidate| candidate.host.as_str())
        .collect();
    assert_eq!(
        order,
        [
            "mx2.example.org",
            "mx4.example.org",
            "mx1.example.org",
            "mx3.example.org"
        ]
    );
}

#[test]
fn net_04_an_ipv4_mapped_destination_is_the_ipv4_address_it_maps() {
    let facts = facts(
        Denial::Secure,
        None,
        vec![host("mx.example.org", "mx.example.org")],
    );
    let mapped = "::ffff:192.0.2.25".parse().unwrap();
    let demand = demand(&facts, mapped, Settings::default()).unwrap();
    assert_eq!(demand.located, Located::ByAddress);
}

#[test]
fn a4_sts_01_a_null_mx_is_final_only_where_nothing_can_contradict_it() {
    let unknown = || StsState::Unknown(Failure::Bogus("forged".into()));
    for (row, secure, sts, code) in [
        ("unsigned, no policy", false, StsState::None, 556),
        ("unsigned, enforce", false, enforce("mx.example.org"), 451),
        ("unsigned, unknown policy", false, unknown(), 451),
        ("signed, enforce", true, enforce("mx.example.org"), 556),
        ("signed, unknown policy", true, unknown(), 556),
    ] {
        let facts = Facts {
            domain: "example.org".parse().unwrap(),
            mx: MxFacts::Null { secure },
            sts,
        };
        let refused = demand(&facts, DESTINATION.parse().unwrap(), Settings::default());
        assert_eq!(refused.unwrap_err().reply().code, code, "{row}");
    }
}

#[test]
fn a1_dane_25_an_address_literal_demands_nothing() {
    let demand = Demand::of_literal();
    assert!(demand.candidates.is_empty());
    assert_eq!(demand.located, Located::ByAddress);
}
