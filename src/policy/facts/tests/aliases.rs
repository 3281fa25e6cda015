//! Hosts and domains that are aliases, and TLSA records below them.

use std::net::SocketAddr;

use super::world::{EE, HERE, Learned, NONE, PolicyHost, UNUSABLE, gather, one_host};
use crate::dns::Denial;
use crate::dns::route::literal::{Literal, Said};
use crate::policy::demand::demand;
use crate::policy::{Candidate, Settings};

const END: &str = "TLSA _25._tcp.mx9.hoster.example";
const BEGINNING: &str = "TLSA _25._tcp.mx.example.org";

/// A host that is a signed alias of a signed alias. The name in the middle has records too, which are never asked for.
async fn aliased_twice(end: Said, beginning: Said) -> Learned {
    one_host(&[
        ("mx.example.org CNAME", Said::Secure(&["mx.hoster.example"])),
        (
            "mx.hoster.example CNAME",
            Said::Secure(&["mx9.hoster.example"]),
        ),
        ("mx9.hoster.example A", HERE),
        ("_25._tcp.mx9.hoster.example TLSA", end),
        ("_25._tcp.mx.hoster.example TLSA", EE),
        ("_25._tcp.mx.example.org TLSA", beginning),
    ])
    .await
}

#[tokio::test]
async fn tlsa_21_dane_14_dane_15_the_end_of_a_signed_alias_then_its_beginning() {
    for (row, end, beginning, asked, expected) in [
        (
            "records at the end",
            EE,
            Said::Dead,
            vec![END],
            "mx.example.org: 1 usable at mx9.hoster.example",
        ),
        (
            "unusable ones at the end win over usable ones at the beginning",
            UNUSABLE,
            EE,
            vec![END],
            "mx.example.org: unusable at mx9.hoster.example",
        ),
        (
            "none at the end: the beginning must be asked",
            NONE,
            EE,
            vec![END, BEGINNING],
            "mx.example.org: 1 usable at mx.example.org",
        ),
        (
            "insecure ones at the end are none",
            Said::Insecure(&["3 1 1 ab"]),
            UNUSABLE,
            vec![END, BEGINNING],
            "mx.example.org: unusable at mx.example.org",
        ),
        (
            "none at either",
            NONE,
            NONE,
            vec![END, BEGINNING],
            "mx.example.org: none",
        ),
    ] {
        let learned = aliased_twice(end, beginning).await;
        assert_eq!(learned.tlsa_asked(), asked, "{row}");
        assert_eq!(learned.hosts(), [expected], "{row}");
    }
}

#[tokio::test]
async fn dane_16_an_error_on_the_way_to_tlsa_records_is_final() {
    for (row, end, beginning, asked, expected) in [
        (
            "an error at the end is final",
            Said::Dead,
            EE,
            vec![END],
            "mx.example.org: failed at mx9.hoster.example: no usable DNS answer: SERVFAIL",
        ),
        (
            "bogus data at the end are final",
            Said::Bogus,
            EE,
            vec![END],
            "mx.example.org: failed at mx9.hoster.example: DNSSEC validation failed: signature expired",
        ),
        (
            "an error at the beginning counts when it is reached",
            NONE,
            Said::Dead,
            vec![END, BEGINNING],
            "mx.example.org: failed at mx.example.org: no usable DNS answer: SERVFAIL",
        ),
    ] {
        let learned = aliased_twice(end, beginning).await;
        assert_eq!(learned.tlsa_asked(), asked, "{row}");
        assert_eq!(learned.hosts(), [expected], "{row}");
    }
}

#[tokio::test]
async fn dane_17_dane_18_the_owner_of_tlsa_records_may_itself_be_an_alias() {
    for (row, link, end, expected) in [
        (
            "secure all the way: the base domain is unchanged",
            Said::Secure(&["tlsa.hoster.example"]),
            EE,
            "mx.example.org: 1 usable at mx.example.org",
        ),
        (
            "an insecure link",
            Said::Insecure(&["tlsa.hoster.example"]),
            EE,
            "mx.example.org: none",
        ),
        (
            "a secure link to insecure records",
            Said::Secure(&["tlsa.hoster.example"]),
            Said::Insecure(&["3 1 1 ab"]),
            "mx.example.org: none",
        ),
        (
            "a link to nothing",
            Said::Secure(&["tlsa.hoster.example"]),
            Said::NxDomain(Denial::Secure),
            "mx.example.org: none",
        ),
        (
            "a link to an error (RFC 7672 §2.1.2)",
            Said::Secure(&["tlsa.hoster.example"]),
            Said::Dead,
            "mx.example.org: failed at mx.example.org: no usable DNS answer: SERVFAIL",
        ),
    ] {
        let learned = one_host(&[
            ("mx.example.org A", HERE),
            ("_25._tcp.mx.example.org CNAME", link),
            ("tlsa.hoster.example TLSA", end),
        ])
        .await;
        assert_eq!(learned.hosts(), [expected], "{row}");
    }
}

/// The example of RFC 7672 §3.2.2, records and all: a recipient domain that is an alias of an alias, and three MX hosts
/// of which two are aliases.
pub(super) const EXAMPLE: [(&str, Said); 13] = [
    ("_mta-sts.exchange.example.org TXT", NONE),
    (
        "exchange.example.org CNAME",
        Said::Secure(&["mail.example.org"]),
    ),
    ("mail.example.org CNAME", Said::Secure(&["example.com"])),
    (
        "example.com MX",
        Said::Secure(&[
            "10 mx10.example.com",
            "15 mx15.example.com",
            "20 mx20.example.com",
        ]),
    ),
    ("mx10.example.com A", Said::Secure(&["192.0.2.10"])),
    (
        "_25._tcp.mx10.example.com TLSA",
        Said::Secure(&["2 0 1 10"]),
    ),
    (
        "mx15.example.com CNAME",
        Said::Secure(&["mxbackup.example.com"]),
    ),
    ("mxbackup.example.com A", Said::Secure(&["192.0.2.15"])),
    (
        "_25._tcp.mxbackup.example.com TLSA",
        Said::NxDomain(Denial::Secure),
    ),
    (
        "_25._tcp.mx15.example.com TLSA",
        Said::Secure(&["2 0 1 15"]),
    ),
    (
        "mx20.example.com CNAME",
        Said::Secure(&["mxbackup.example.net"]),
    ),
    ("mxbackup.example.net A", Said::Secure(&["198.51.100.20"])),
    (
        "_25._tcp.mxbackup.example.net TLSA",
        Said::Secure(&["2 0 1 20"]),
    ),
];

/// What the one host at `destination` must show for mail to exchange.example.org.
async fn example_candidate(rows: &[(&'static str, Said)], destination: &str) -> Candidate {
    let dns = Literal::new(rows);
    let learned = gather(dns, PolicyHost(None), "exchange.example.org", destination).await;
    let destination: SocketAddr = destination.parse().unwrap();
    let facts = &learned.facts;
    let mut demand = demand(facts, destination.ip(), Settings::default()).unwrap();
    assert_eq!(demand.candidates.len(), 1);
    demand.candidates.remove(0)
}

#[tokio::test]
async fn smtp_24_dane_27_attack_dane_06_the_alias_matrix_of_rfc_7672() {
    for (destination, host, base, names) in [
        (
            "192.0.2.10:25",
            "mx10.example.com",
            "mx10.example.com",
            ["mx10.example.com", "exchange.example.org", "example.com"],
        ),
        (
            "192.0.2.15:25",
            "mx15.example.com",
            "mx15.example.com",
            ["mx15.example.com", "exchange.example.org", "example.com"],
        ),
        (
            "198.51.100.20:25",
            "mx20.example.com",
            "mxbackup.example.net",
            [
                "mxbackup.example.net",
                "exchange.example.org",
                "example.com",
            ],
        ),
    ] {
        let candidate = example_candidate(&EXAMPLE, destination).await;
        let dane = candidate.requirement.dane.as_ref().unwrap();
        let seen: Vec<String> = dane.reference_ids.iter().map(ToString::to_string).collect();
        assert_eq!(candidate.host.as_str(), host);
        assert_eq!(dane.base.as_str(), base);
        assert_eq!(candidate.sni().as_str(), base, "the SNI is the base domain");
        assert_eq!(seen, names);
        assert!(!dane.half);
    }
}

#[tokio::test]
async fn dane_28_attack_dane_06_the_same_by_an_unsigned_alias_of_the_domain() {
    let mut rows = EXAMPLE;
    rows[2] = ("mail.example.org CNAME", Said::Insecure(&["example.com"]));
    for (destination, base) in [
        ("192.0.2.10:25", "mx10.example.com"),
        ("192.0.2.15:25", "mx15.example.com"),
        ("198.51.100.20:25", "mxbackup.example.net"),
    ] {
        let candidate = example_candidate(&rows, destination).await;
        let dane = candidate.requirement.dane.as_ref().unwrap();
        let seen: Vec<String> = dane.reference_ids.iter().map(ToString::to_string).collect();
        assert_eq!(seen, [base], "the host alone");
        assert!(dane.half);
    }
}

#[tokio::test]
async fn dane_29_a_domain_that_is_a_signed_alias_and_has_no_mx_keeps_its_name() {
    let rows = [
        ("_mta-sts.exchange.example.org TXT", NONE),
        ("exchange.example.org CNAME", Said::Secure(&["example.com"])),
        ("example.com MX", NONE),
        ("example.com A", HERE),
        ("_25._tcp.example.com TLSA", EE),
    ];
    let candidate = example_candidate(&rows, "192.0.2.25:25").await;
    let dane = candidate.requirement.dane.as_ref().unwrap();
    let seen: Vec<String> = dane.reference_ids.iter().map(ToString::to_string).collect();
    assert_eq!(seen, ["example.com", "exchange.example.org"]);
}
