//! Routes: the host itself is asked about.

use super::policies::RECORD;
use super::world::{
    CLAIMED_NONE, EE, ELSEWHERE, HERE, Learned, NONE, PolicyHost, UNUSABLE, gather, told,
};
use crate::dns::Denial;
use crate::dns::route::literal::{Literal, Said};
use crate::policy::Settings;
use crate::policy::demand::demand_of_route;

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
