//! What the MTA-STS record and the policy host make of the demand.

use super::aliases::EXAMPLE;
use super::world::{CLAIMED_NONE, EE, HERE, Learned, NONE, PolicyHost, demanded, gather};
use crate::dns::route::literal::{Literal, Said};
use crate::policy::facts::StsState;

const ENFORCE: &str = "version: STSv1\nmode: enforce\nmx: *.example.org\nmax_age: 86400\n";
pub(super) const RECORD: Said = Said::Insecure(&["v=STSv1; id=20260921"]);

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
