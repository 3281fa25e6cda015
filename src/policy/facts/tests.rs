//! Facts gathered from DNS worlds in one literal each: what is asked, in which order, and what is made of it.

mod aliases;
mod policies;
mod routes;
mod world;

use self::world::{CLAIMED_NONE, EE, ELSEWHERE, HERE, NONE, UNUSABLE, learn, one_host};
use super::MxFacts;
use crate::dns::Denial;
use crate::dns::route::literal::Said;

#[tokio::test]
async fn dane_11_addresses_are_asked_for_before_tlsa_of_all_hosts() {
    let learned = learn(
        &[
            (
                "example.org MX",
                Said::Secure(&["20 mx2.example.org", "10 mx1.example.org"]),
            ),
            ("mx1.example.org A", ELSEWHERE),
            ("mx2.example.org A", ELSEWHERE),
            ("_25._tcp.mx1.example.org TLSA", EE),
            ("_25._tcp.mx2.example.org TLSA", NONE),
        ],
        "192.0.2.25:25",
    )
    .await;
    assert_eq!(
        learned.asked,
        [
            "MX example.org",
            "A mx1.example.org",
            "A mx2.example.org",
            "TLSA _25._tcp.mx1.example.org",
            "TLSA _25._tcp.mx2.example.org",
        ]
    );
    assert_eq!(
        learned.hosts(),
        [
            "mx1.example.org: 1 usable at mx1.example.org",
            "mx2.example.org: none"
        ]
    );
}

#[tokio::test]
async fn role_2_dane_11_an_ipv6_destination_is_looked_for_among_aaaa_records() {
    let learned = learn(
        &[
            ("example.org MX", Said::Secure(&["10 mx.example.org"])),
            ("mx.example.org AAAA", Said::Secure(&["2001:db8::25"])),
            ("_25._tcp.mx.example.org TLSA", EE),
        ],
        "[2001:db8::25]:25",
    )
    .await;
    assert_eq!(
        learned.hosts(),
        ["mx.example.org: 1 usable at mx.example.org"]
    );
}

#[tokio::test]
async fn dane_11_dane_12_only_the_family_of_the_destination_is_asked_for_and_counts() {
    let mx = ("example.org MX", Said::Secure(&["10 mx.example.org"]));
    let v4 = |said| ("mx.example.org A", said);
    let v6 = |said| ("mx.example.org AAAA", said);
    let tlsa = ("_25._tcp.mx.example.org TLSA", EE);
    let unsigned = Said::Insecure(&["192.0.2.25"]);
    for (row, addresses, destination, asked, expected) in [
        (
            "signed AAAA records beside unsigned A records, over IPv6",
            [v4(unsigned), v6(Said::Secure(&["2001:db8::25"]))],
            "[2001:db8::25]:25",
            "AAAA mx.example.org",
            "mx.example.org: 1 usable at mx.example.org",
        ),
        (
            "the same over IPv4",
            [v4(unsigned), v6(Said::Secure(&["2001:db8::25"]))],
            "192.0.2.25:25",
            "A mx.example.org",
            "mx.example.org: none",
        ),
        (
            "a proof that there are no A records is as good as A records",
            [v4(NONE), v6(Said::Secure(&["2001:db8::25"]))],
            "192.0.2.25:25",
            "A mx.example.org",
            "mx.example.org: 1 usable at mx.example.org",
        ),
        (
            "bogus AAAA records do not matter to IPv4",
            [v4(HERE), v6(Said::Bogus)],
            "192.0.2.25:25",
            "A mx.example.org",
            "mx.example.org: 1 usable at mx.example.org",
        ),
    ] {
        let [one, other] = addresses;
        let learned = learn(&[mx, one, other, tlsa], destination).await;
        let addresses = |asked: &&String| asked.starts_with('A');
        let seen: Vec<&String> = learned.asked.iter().filter(addresses).collect();
        assert_eq!(seen, [asked], "{row}");
        assert_eq!(learned.hosts(), [expected], "{row}");
    }
}

#[tokio::test]
async fn net_04_an_ipv4_mapped_destination_is_looked_for_among_a_records() {
    let learned = learn(
        &[
            (
                "example.org MX",
                Said::Secure(&["10 mx1.example.org", "20 mx2.example.org"]),
            ),
            ("mx1.example.org A", ELSEWHERE),
            ("mx2.example.org A", HERE),
            ("_25._tcp.mx2.example.org TLSA", EE),
        ],
        "[::ffff:192.0.2.25]:25",
    )
    .await;
    assert_eq!(
        learned.hosts(),
        ["mx2.example.org: 1 usable at mx2.example.org"]
    );
}

#[tokio::test]
async fn tlsa_2_tlsa_3_tlsa_4_the_port_of_the_destination_is_in_the_owner_name() {
    let learned = learn(
        &[
            ("example.org MX", Said::Secure(&["10 mx.example.org"])),
            ("mx.example.org A", HERE),
            ("_25._tcp.mx.example.org TLSA", NONE),
            ("_2525._tcp.mx.example.org TLSA", EE),
        ],
        "192.0.2.25:2525",
    )
    .await;
    assert_eq!(learned.tlsa_asked(), ["TLSA _2525._tcp.mx.example.org"]);
    assert_eq!(
        learned.hosts(),
        ["mx.example.org: 1 usable at mx.example.org"]
    );
}

#[tokio::test]
async fn tlsa_5_tlsa_24_dane_2_dane_3_dane_6_dane_9_dane_10_what_becomes_of_a_tlsa_answer() {
    for (row, said, expected) in [
        ("usable", EE, "mx.example.org: 1 usable at mx.example.org"),
        (
            "none usable",
            UNUSABLE,
            "mx.example.org: unusable at mx.example.org",
        ),
        (
            "of several the usable count",
            Said::Secure(&["0 0 1 aa", "3 1 1 bb", "9 1 1 cc", "2 0 1 dd"]),
            "mx.example.org: 2 usable at mx.example.org",
        ),
        ("proven absent", NONE, "mx.example.org: none"),
        (
            "no such name, proven",
            Said::NxDomain(Denial::Secure),
            "mx.example.org: none",
        ),
        ("claimed absent", CLAIMED_NONE, "mx.example.org: none"),
        (
            "insecure records are no records",
            Said::Insecure(&["3 1 1 ab"]),
            "mx.example.org: none",
        ),
        (
            "bogus",
            Said::Bogus,
            "mx.example.org: failed at mx.example.org: DNSSEC validation failed: signature expired",
        ),
        (
            "SERVFAIL",
            Said::Dead,
            "mx.example.org: failed at mx.example.org: no usable DNS answer: SERVFAIL",
        ),
    ] {
        let learned = one_host(&[
            ("mx.example.org A", HERE),
            ("_25._tcp.mx.example.org TLSA", said),
        ])
        .await;
        assert_eq!(learned.hosts(), [expected], "{row}");
    }
}

#[tokio::test]
async fn dane_12_attack_dane_07_no_tlsa_question_below_unsigned_addresses() {
    for (row, rows) in [
        (
            "unsigned addresses",
            vec![("mx.example.org A", Said::Insecure(&["192.0.2.25"]))],
        ),
        (
            "an unsigned alias to unsigned addresses",
            vec![
                (
                    "mx.example.org CNAME",
                    Said::Insecure(&["mx.hoster.example"]),
                ),
                ("mx.hoster.example A", Said::Insecure(&["192.0.2.25"])),
            ],
        ),
        (
            "an unsigned alias to signed addresses: the whole is insecure",
            vec![
                (
                    "mx.example.org CNAME",
                    Said::Insecure(&["mx.hoster.example"]),
                ),
                ("mx.hoster.example A", HERE),
            ],
        ),
        (
            "an unsigned denial",
            vec![("mx.example.org A", CLAIMED_NONE)],
        ),
    ] {
        // Every TLSA question would be a SERVFAIL here, and stop the mail.
        let learned = one_host(&rows).await;
        assert_eq!(learned.tlsa_asked(), [""; 0], "{row}");
        assert_eq!(learned.hosts(), ["mx.example.org: none"], "{row}");
    }
}

#[tokio::test]
async fn dane_13_a_signed_alias_into_an_unsigned_zone_is_asked_for_at_its_own_name_only() {
    for (row, second, said, expected) in [
        (
            "records there",
            None,
            EE,
            "mx.example.org: 1 usable at mx.example.org",
        ),
        ("no records there", None, NONE, "mx.example.org: none"),
        (
            "an error there",
            None,
            Said::Dead,
            "mx.example.org: failed at mx.example.org: no usable DNS answer: SERVFAIL",
        ),
        (
            "the first link is what counts, not the second",
            Some((
                "mx.hoster.example CNAME",
                Said::Insecure(&["mx9.hoster.example"]),
            )),
            EE,
            "mx.example.org: 1 usable at mx.example.org",
        ),
    ] {
        let mut rows = vec![
            ("mx.example.org CNAME", Said::Secure(&["mx.hoster.example"])),
            ("mx.hoster.example A", Said::Insecure(&["192.0.2.25"])),
            ("mx9.hoster.example A", Said::Insecure(&["192.0.2.25"])),
            ("_25._tcp.mx.example.org TLSA", said),
        ];
        rows.extend(second);
        let learned = one_host(&rows).await;
        assert_eq!(
            learned.tlsa_asked(),
            ["TLSA _25._tcp.mx.example.org"],
            "{row}"
        );
        assert_eq!(learned.hosts(), [expected], "{row}");
    }
}

#[tokio::test]
async fn dane_24_without_mx_records_the_domain_has_the_tlsa_records() {
    for (row, denial, secure) in [
        (
            "a proven absence is as good as a signed MX",
            Denial::Secure,
            true,
        ),
        ("a claimed one is not", Denial::Insecure, false),
    ] {
        let learned = learn(
            &[
                ("example.org MX", Said::NoData(denial)),
                ("example.org A", HERE),
                ("_25._tcp.example.org TLSA", EE),
            ],
            "192.0.2.25:25",
        )
        .await;
        assert_eq!(
            learned.hosts(),
            ["example.org: 1 usable at example.org"],
            "{row}"
        );
        assert!(
            matches!(learned.facts.mx, MxFacts::Hosts { secure: seen, .. } if seen == secure),
            "{row}"
        );
    }
}

#[tokio::test]
async fn dane_5_row_me_a_failed_address_lookup_concerns_its_host_only() {
    let mx = (
        "example.org MX",
        Said::Secure(&["10 mx1.example.org", "20 mx2.example.org"]),
    );
    let tlsa = ("_25._tcp.mx2.example.org TLSA", EE);
    let located = [
        mx,
        ("mx1.example.org A", Said::Bogus),
        ("mx2.example.org A", HERE),
        tlsa,
    ];
    assert_eq!(
        learn(&located, "192.0.2.25:25").await.hosts(),
        ["mx2.example.org: 1 usable at mx2.example.org"],
        "found elsewhere: the failure does not matter"
    );
    let lost = [
        mx,
        ("mx1.example.org A", Said::Bogus),
        ("mx2.example.org A", ELSEWHERE),
        tlsa,
    ];
    assert_eq!(
        learn(&lost, "192.0.2.25:25").await.hosts(),
        [
            "mx1.example.org (bogus address): none",
            "mx2.example.org: 1 usable at mx2.example.org"
        ],
        "found nowhere: it is kept, for the demand to refuse"
    );
    let dead = [mx, ("mx2.example.org A", ELSEWHERE), tlsa];
    assert_eq!(
        learn(&dead, "192.0.2.25:25").await.hosts()[0],
        "mx1.example.org (no address): none"
    );
}

#[tokio::test]
async fn dane_23_rows_m1_and_m2_only_the_hosts_at_the_destination_are_asked_for_tlsa() {
    let learned = learn(
        &[
            (
                "example.org MX",
                Said::Secure(&[
                    "10 mx1.example.org",
                    "20 mx2.example.org",
                    "30 mx3.example.org",
                ]),
            ),
            (
                "mx1.example.org A",
                Said::Secure(&["192.0.2.24", "192.0.2.25"]),
            ),
            ("mx2.example.org A", ELSEWHERE),
            ("mx3.example.org A", HERE),
            ("_25._tcp.mx1.example.org TLSA", UNUSABLE),
            ("_25._tcp.mx3.example.org TLSA", NONE),
        ],
        "192.0.2.25:25",
    )
    .await;
    assert_eq!(
        learned.hosts(),
        [
            "mx1.example.org: unusable at mx1.example.org",
            "mx3.example.org: none"
        ]
    );
}

#[tokio::test]
async fn dane_4_nmx_1_a5_what_has_no_hosts_is_asked_nothing_more() {
    for (said, expected) in [
        (Said::Bogus, "Failed(Bogus(\"signature expired\"))"),
        (Said::Dead, "Failed(Unreachable(\"SERVFAIL\"))"),
        (Said::Secure(&["0 ."]), "Null { secure: true }"),
        (Said::Insecure(&["0 ."]), "Null { secure: false }"),
        (Said::NxDomain(Denial::Secure), "NoSuchDomain"),
    ] {
        let learned = learn(&[("example.org MX", said)], "192.0.2.25:25").await;
        assert_eq!(format!("{:?}", learned.facts.mx), expected);
        assert_eq!(learned.asked, ["MX example.org"]);
    }
}
