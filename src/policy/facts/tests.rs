//! Facts gathered from DNS worlds in one literal each: what is asked, in which order, and what is made of it.

use futures_util::future::{BoxFuture, ready};

use super::*;
use crate::clock::SystemClock;
use crate::dns::Denial;
use crate::dns::route::literal::{Literal, Said};
use crate::mtasts::fetch::FetchPolicy;
use crate::policy::cache::CacheOptions;
use crate::policy::demand::{demand, demand_of_route};
use crate::policy::{Candidate, Demand, Settings};
use crate::store::memory::MemoryStore;
use crate::verdict::Reason;

const EE: Said = Said::Secure(&["3 1 1 ab"]);
const UNUSABLE: Said = Said::Secure(&["1 1 1 ab"]);
const NONE: Said = Said::NoData(Denial::Secure);
const CLAIMED_NONE: Said = Said::NoData(Denial::Insecure);
const HERE: Said = Said::Secure(&["192.0.2.25"]);
const ELSEWHERE: Said = Said::Secure(&["192.0.2.77"]);

/// The policy host of every domain: it serves this text, or cannot be reached.
struct PolicyHost(Option<&'static str>);

impl FetchPolicy for PolicyHost {
    fn fetch<'a>(&'a self, _: &'a Domain) -> BoxFuture<'a, Result<Policy, FetchFailure>> {
        let fetched = match self.0 {
            Some(text) => Ok(Policy::parse(text.as_bytes()).unwrap()),
            None => Err(FetchFailure::Fetch("no route to host".into())),
        };
        Box::pin(ready(fetched))
    }
}

/// What was learned and what was asked for it, the question for the MTA-STS record apart.
struct Learned {
    facts: Facts,
    asked: Vec<String>,
    sts_asked: Vec<String>,
}

/// With a fresh cache, for mail to `domain`, or over a route to the host of that name.
async fn gather(dns: Literal, host: PolicyHost, domain: &str, destination: &str) -> Learned {
    let dns = Arc::new(dns);
    let lookup = || Arc::clone(&dns) as Arc<dyn Lookup>;
    let store = Arc::new(MemoryStore::default());
    let sts = StsCache::open(
        lookup(),
        Arc::new(host),
        store,
        Arc::new(SystemClock),
        CacheOptions::default(),
    )
    .unwrap();
    let gatherer = Gatherer::new(lookup(), Arc::new(sts), Arc::new(SystemClock));
    let (destination, is_route) = match destination.strip_prefix("route ") {
        Some(destination) => (destination.parse().unwrap(), true),
        None => (destination.parse().unwrap(), false),
    };
    let domain = domain.parse().unwrap();
    let facts = if is_route {
        gatherer.gather_route(&domain, destination).await
    } else {
        gatherer.gather(&domain, destination).await
    };
    let is_txt = |asked: &String| asked.starts_with("TXT");
    let (sts_asked, asked) = dns.asked().into_iter().partition(is_txt);
    Learned {
        facts,
        asked,
        sts_asked,
    }
}

async fn learn(rows: &[(&'static str, Said)], destination: &str) -> Learned {
    gather(
        Literal::new(rows),
        PolicyHost(None),
        "example.org",
        destination,
    )
    .await
}

impl Learned {
    /// The hosts, each as `name: what became of its TLSA`.
    fn hosts(&self) -> Vec<String> {
        let MxFacts::Hosts { hosts, .. } = &self.facts.mx else {
            panic!("no hosts: {:?}", self.facts.mx);
        };
        hosts
            .iter()
            .map(|host| {
                let addresses = match &host.addresses {
                    AddressFacts::Known(_) => "",
                    AddressFacts::Failed(Failure::Bogus(_)) => " (bogus address)",
                    AddressFacts::Failed(Failure::Unreachable(_)) => " (no address)",
                };
                format!("{}{addresses}: {}", host.host, tlsa(&host.tlsa))
            })
            .collect()
    }

    fn tlsa_asked(&self) -> Vec<&str> {
        let asked = self.asked.iter().map(String::as_str);
        asked.filter(|asked| asked.starts_with("TLSA")).collect()
    }
}

fn tlsa(facts: &TlsaFacts) -> String {
    match facts {
        TlsaFacts::NotApplicable => "none".into(),
        TlsaFacts::Unusable { base } => format!("unusable at {base}"),
        TlsaFacts::Usable { base, records } => format!("{} usable at {base}", records.len()),
        TlsaFacts::Failed { base, failure } => format!("failed at {base}: {failure}"),
    }
}

/// One MX host, `mx.example.org`, under a secure MX RRset, with further rows; the destination is port 25 of
/// 192.0.2.25.
async fn one_host(rows: &[(&'static str, Said)]) -> Learned {
    let mut all = vec![("example.org MX", Said::Secure(&["10 mx.example.org"]))];
    all.extend(rows);
    learn(&all, "192.0.2.25:25").await
}

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

/// The example of RFC 7672 §3.2.2, records and all: a recipient domain that is an alias of an alias, and three MX hosts
/// of which two are aliases.
const EXAMPLE: [(&str, Said); 13] = [
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

const ENFORCE: &str = "version: STSv1\nmode: enforce\nmx: *.example.org\nmax_age: 86400\n";
const RECORD: Said = Said::Insecure(&["v=STSv1; id=20260921"]);

/// A domain with one MX host at the destination, and what its MTA-STS record is said to be.
async fn with_record(said: Said, host: PolicyHost) -> Learned {
    let dns = Literal::new(&[
        ("example.org MX", Said::Insecure(&["10 mx.example.org"])),
        ("mx.example.org A", Said::Insecure(&["192.0.2.25"])),
        ("_mta-sts.example.org TXT", said),
    ]);
    gather(dns, host, "example.org", "192.0.2.25:25").await
}

#[tokio::test]
async fn sts_1_sts_13_the_record_is_asked_for_once_at_the_recipients_domain_alone() {
    let learned = with_record(NONE, PolicyHost(Some(ENFORCE))).await;
    assert_eq!(learned.sts_asked, ["TXT _mta-sts.example.org"]);
    assert!(matches!(learned.facts.sts, StsState::None));

    let dns = Literal::new(&EXAMPLE);
    let learned = gather(
        dns,
        PolicyHost(None),
        "exchange.example.org",
        "192.0.2.10:25",
    )
    .await;
    assert_eq!(learned.sts_asked, ["TXT _mta-sts.exchange.example.org"]);
}

#[tokio::test]
async fn sts_27_sts_61_what_the_record_and_the_policy_host_make_of_the_demand() {
    for (row, said, host, expected) in [
        ("no record", CLAIMED_NONE, Some(ENFORCE), "L0"),
        ("a record and its policy", RECORD, Some(ENFORCE), "LS"),
        ("a record, and no policy host", RECORD, None, "L0"),
        (
            "no answer about the record",
            Said::Dead,
            Some(ENFORCE),
            "dns-error",
        ),
        (
            "a record that does not validate",
            Said::Bogus,
            Some(ENFORCE),
            "dnssec-bogus",
        ),
    ] {
        let learned = with_record(said, PolicyHost(host)).await;
        assert_eq!(demanded(&learned), expected, "{row}");
    }
}

#[tokio::test]
async fn sts_75_without_mx_records_the_domain_itself_must_be_listed() {
    let dns = Literal::new(&[
        ("example.org MX", CLAIMED_NONE),
        ("example.org A", Said::Insecure(&["192.0.2.25"])),
        ("_mta-sts.example.org TXT", RECORD),
    ]);
    let host = PolicyHost(Some(ENFORCE));
    let learned = gather(dns, host, "example.org", "192.0.2.25:25").await;
    assert_eq!(demanded(&learned), "LS unlisted");
}

#[tokio::test]
async fn attack_dane_11_dns_02_a_forged_mx_with_tlsa_records_of_its_own_is_still_unlisted() {
    let dns = Literal::new(&[
        (
            "example.org MX",
            Said::Insecure(&["10 mx.attacker.example"]),
        ),
        ("mx.attacker.example A", HERE),
        ("_25._tcp.mx.attacker.example TLSA", EE),
        ("_mta-sts.example.org TXT", RECORD),
    ]);
    let host = PolicyHost(Some(ENFORCE));
    let learned = gather(dns, host, "example.org", "192.0.2.25:25").await;
    assert_eq!(demanded(&learned), "LD-half+LS unlisted");
}

/// The level of the one candidate and whether the policy fails to list it, or the label of the refusal.
fn demanded(learned: &Learned) -> String {
    let destination = "192.0.2.25".parse().unwrap();
    told(demand(&learned.facts, destination, Settings::default()))
}

fn told(demanded: Result<Demand, Reason>) -> String {
    match demanded {
        Ok(demand) => {
            let requirement = &demand.candidates[0].requirement;
            let unlisted = requirement.sts.as_ref().is_some_and(|sts| !sts.listed);
            let unlisted = if unlisted { " unlisted" } else { "" };
            format!("{}{unlisted}", requirement.level())
        }
        Err(reason) => reason.label().into(),
    }
}

/// A route to `relay.example.org` at port 587 of 192.0.2.25: what is demanded and what was asked.
async fn route(rows: &[(&'static str, Said)], host: PolicyHost) -> (String, Learned) {
    let relay = "relay.example.org";
    let learned = gather(Literal::new(rows), host, relay, "route 192.0.2.25:587").await;
    let demanded = demand_of_route(&learned.facts, Settings::default());
    (told(demanded), learned)
}

#[tokio::test]
async fn role_3_sts_14_dane_13_on_a_route_the_host_itself_is_asked_about_and_nobody_else() {
    let (demanded, learned) = route(
        &[
            ("relay.example.org A", ELSEWHERE),
            ("_587._tcp.relay.example.org TLSA", EE),
            ("_mta-sts.relay.example.org TXT", CLAIMED_NONE),
        ],
        PolicyHost(None),
    )
    .await;
    // The operator vouches for the address: it is not even among those of the host.
    assert_eq!(demanded, "LD");
    assert_eq!(
        learned.asked,
        ["A relay.example.org", "TLSA _587._tcp.relay.example.org"]
    );
    assert_eq!(learned.sts_asked, ["TXT _mta-sts.relay.example.org"]);
}

#[tokio::test]
async fn role_3_sts_14_what_dns_says_of_a_route_s_host_makes_the_demand() {
    const LISTED: &str = "version: STSv1\nmode: enforce\nmx: relay.example.org\nmax_age: 86400\n";
    const UNLISTED: &str = "version: STSv1\nmode: enforce\nmx: mx.example.org\nmax_age: 86400\n";
    const UNSIGNED: Said = Said::Insecure(&["192.0.2.25"]);
    for (what, address, tlsa, txt, policy, expected) in [
        ("nothing", UNSIGNED, Said::Dead, CLAIMED_NONE, None, "L0"),
        ("no records", HERE, NONE, CLAIMED_NONE, None, "L0"),
        ("of no use", HERE, UNUSABLE, CLAIMED_NONE, None, "L1"),
        ("DANE", HERE, EE, CLAIMED_NONE, None, "LD"),
        ("a policy", HERE, NONE, RECORD, Some(LISTED), "LS"),
        (
            "an MX's policy",
            HERE,
            NONE,
            RECORD,
            Some(UNLISTED),
            "LS unlisted",
        ),
        (
            "no TLSA answer",
            HERE,
            Said::Dead,
            CLAIMED_NONE,
            None,
            "tlsa-lookup-error",
        ),
        (
            "no address answer",
            Said::Dead,
            EE,
            CLAIMED_NONE,
            None,
            "dns-error",
        ),
        (
            "a forged address",
            Said::Bogus,
            EE,
            CLAIMED_NONE,
            None,
            "dnssec-bogus",
        ),
        (
            "no such host",
            Said::NxDomain(Denial::Insecure),
            NONE,
            CLAIMED_NONE,
            None,
            "no-such-domain",
        ),
    ] {
        let rows = [
            ("relay.example.org A", address),
            ("_587._tcp.relay.example.org TLSA", tlsa),
            ("_mta-sts.relay.example.org TXT", txt),
        ];
        let (demanded, _) = route(&rows, PolicyHost(policy)).await;
        assert_eq!(demanded, expected, "{what}");
    }
}
