//! What the worst zones cost: an end to messages and to arithmetic, and never a part of an answer for the whole.

use std::net::Ipv4Addr;

use hickory_resolver::proto::dnssec::crypto::EcdsaSigningKey;
use hickory_resolver::proto::dnssec::rdata::{DNSKEY, NSEC, RRSIG};
use hickory_resolver::proto::dnssec::{PublicKey, PublicKeyBuf, SigningKey};
use hickory_resolver::proto::rr::rdata::{A, MX, TLSA};

use super::*;
use crate::dns::chase::End;
use crate::dns::proof::Terms;
use crate::dns::proof::keys::ZoneKeys;
use crate::dns::proof::rrset::RrSet;
use crate::dns::purse::Purse;

/// A recipient's domain, and what it spends.
struct Recipient(Arc<Purse>);

impl Recipient {
    fn new() -> Self {
        Self(Arc::new(Purse::for_domain()))
    }

    fn errand(&self) -> Errand {
        Errand::new(Purses::new(Some(Arc::clone(&self.0))), None)
    }

    /// Messages and units of arithmetic.
    fn spent(&self) -> (u32, u32) {
        let (all, left) = (Purse::for_domain().left(), self.0.left());
        (all.0 - left.0, all.1 - left.1)
    }
}

/// A root, `test`, and zones below it.
fn tree(zones: Vec<Zone>) -> World {
    let mut test = Zone::signed("test", Proofs::Nsec);
    for zone in &zones {
        test = test.delegating(zone);
    }
    let root = Zone::signed(".", Proofs::Nsec).delegating(&test);
    let zones = [root, test].into_iter().chain(zones).collect();
    World { zones }
}

/// Signatures that fit a key of the slowest algorithm and do not verify, before each that does.
struct Trap {
    slow: DNSKEY,
}

impl Trap {
    fn new() -> Self {
        let algorithm = Algorithm::ECDSAP384SHA384;
        let pkcs8 = EcdsaSigningKey::generate_pkcs8(algorithm).unwrap();
        let key = EcdsaSigningKey::from_pkcs8(&pkcs8, algorithm).unwrap();
        let slow = DNSKEY::from_key(&key.to_public_key().unwrap());
        Self { slow }
    }

    fn set(&self, world: &World, query: &Query, message: &mut Message) {
        let zone = world.zone("trap.test");
        if !zone.origin.zone_of(query.name()) || is(query, "trap.test", RecordType::DS) {
            return;
        }
        if is(query, "trap.test", RecordType::DNSKEY) {
            let slow = RData::DNSSEC(DNSSECRData::DNSKEY(self.slow.clone()));
            let keys = [zone.key().dnskey(), slow].map(|key| record(&zone.origin, key));
            let rrsig = zone.key().sign(&zone.origin, &keys);
            message.answers = keys.into_iter().chain([rrsig]).collect();
            return;
        }
        // Nothing at the name itself is signed, so its zone has to be found label by label.
        strip_answers(message);
        message
            .authorities
            .retain(|record| record.record_type() != RecordType::SOA);
        for owner in ["y.trap.test", "z.trap.test"] {
            let nsec = NSEC::new(zone.origin.clone(), [RecordType::A]);
            let nsec = record(&name(owner), RData::DNSSEC(DNSSECRData::NSEC(nsec)));
            let rrsig = zone.key().sign(&zone.origin, std::slice::from_ref(&nsec));
            message.authorities.extend([nsec, rrsig]);
        }
        message.authorities = std::mem::take(&mut message.authorities)
            .into_iter()
            .flat_map(|record| self.before(record))
            .collect();
    }

    /// Seven that do not verify, and the one that does.
    fn before(&self, genuine: Record) -> Vec<Record> {
        let RData::DNSSEC(DNSSECRData::RRSIG(rrsig)) = &genuine.data else {
            return vec![genuine];
        };
        let mut input = rrsig.input().clone();
        input.algorithm = Algorithm::ECDSAP384SHA384;
        input.key_tag = self.slow.calculate_key_tag().unwrap();
        let mut all: Vec<Record> = (1..8)
            .map(|octet| {
                let rrsig = RRSIG::from_sig(input.clone(), vec![octet; 96]);
                let data = RData::DNSSEC(DNSSECRData::RRSIG(rrsig));
                Record::from_rdata(genuine.name.clone(), genuine.ttl, data)
            })
            .collect();
        all.push(genuine);
        all
    }
}

fn strip_answers(message: &mut Message) {
    let is_rrsig = |record: &Record| record.record_type() == RecordType::RRSIG;
    message.answers.retain(|record| !is_rrsig(record));
}

/// Far below `trap.test`, a host that nobody else has.
fn trapped(host: u32) -> String {
    let labels = vec!["a"; 60].join(".");
    format!("h{host}.{labels}.trap.test")
}

fn trapping() -> Liar {
    let mut trap = Zone::signed("trap.test", Proofs::Nsec);
    for host in 0..20 {
        trap = trap.with(&trapped(host), tlsa(1));
    }
    let lab = contents(Zone::signed("lab.test", Proofs::Nsec), "lab.test");
    let snare = Trap::new();
    Liar::new(
        Arc::new(tree(vec![trap, lab])),
        move |world, query, message| {
            snare.set(world, query, message);
        },
    )
}

#[tokio::test]
async fn dns_10_dnssec_20_a_lookup_checks_so_many_signatures_and_no_more() {
    let chase = chase(trapping(), Hand::at(T0));
    let recipient = Recipient::new();
    let outcome = chase
        .look_up(&name(&trapped(0)), RecordType::TLSA, &recipient.errand())
        .await;
    assert_eq!(comes_out(&outcome), "bogus");
    let (messages, proofs) = recipient.spent();
    // One of these takes four units, and what was left at the end was less.
    assert!((597..=600).contains(&proofs), "{proofs}");
    assert!(messages < 20, "{messages}");
}

#[tokio::test]
async fn dns_10_dnssec_20_a_domain_has_so_many_signatures_checked_and_others_go_on() {
    let chase = chase(trapping(), Hand::at(T0));
    let recipient = Recipient::new();
    for host in 0..20 {
        let owner = trapped(host);
        let outcome = chase
            .look_up(&name(&owner), RecordType::TLSA, &recipient.errand())
            .await;
        assert!(outcome.end.is_err(), "{owner}: {:?}", outcome.end);
    }
    assert_eq!(recipient.spent().1, 2000);
    assert_eq!(ask(&chase, TLSA_NAME).await, "secure records");
    assert_eq!(ask(&chase, "no.lab.test").await, "secure nodata");
    // Nor is it the name's fault; this one has not been asked for with means of its own.
    let outcome = chase
        .look_up(&name(&trapped(19)), RecordType::TLSA, &errand())
        .await;
    assert_eq!(comes_out(&outcome), "bogus");
}

#[tokio::test]
async fn dns_11_dnssec_19_20_the_hashing_of_deep_names_has_an_end() {
    let proofs = Proofs::Nsec3 {
        opt_out: false,
        iterations: 100,
        salt: &[7; 255],
    };
    let salted = Zone::signed("salt.test", proofs).with("salt.test", address());
    let deep = vec!["a"; 120].join(".");
    let chase = chase(
        Liar::new(Arc::new(tree(vec![salted])), HONEST),
        Hand::at(T0),
    );
    assert_eq!(ask(&chase, "no.salt.test").await, "secure nxdomain");
    assert_eq!(ask(&chase, "salt.test").await, "secure nodata");
    let recipient = Recipient::new();
    for host in 0..10 {
        let owner = name(&format!("h{host}.{deep}.salt.test"));
        let outcome = chase
            .look_up(&owner, RecordType::TLSA, &recipient.errand())
            .await;
        assert!(outcome.end.is_err(), "{:?}", outcome.end);
    }
    let (messages, hashes) = recipient.spent();
    assert!(messages <= 600 && hashes <= 2000, "{messages} {hashes}");
}

#[test]
fn dns_10_dnssec_20_a_key_larger_than_its_algorithm_allows_signs_nothing() {
    let raw = |octets: usize| {
        let exponent = [5, 1, 0xff, 0xff, 0xff, 0xff];
        [exponent.as_slice(), &vec![0xc5; octets]].concat()
    };
    let zone = name("z");
    let now = Timestamp::from_unix(T0);
    let purses = Purses::new(None);
    for (octets, tags) in [(256, 2), (512, 2), (514, 2), (515, 1), (1024, 1)] {
        let genuine = ZoneKey::generate();
        let rsa = PublicKeyBuf::new(raw(octets), Algorithm::RSASHA256);
        assert_eq!(rsa.public_bytes().len(), octets + 6);
        let rsa = RData::DNSSEC(DNSSECRData::DNSKEY(DNSKEY::new(true, false, false, rsa)));
        let mut records = vec![record(&zone, genuine.dnskey()), record(&zone, rsa)];
        records.push(genuine.sign(&zone, &records));
        let set = RrSet::select(&records, &zone, RecordType::DNSKEY).unwrap();
        let ds = [genuine.ds(&zone, DigestType::SHA256)];
        let terms = Terms {
            now,
            purses: &purses,
        };
        let keys = ZoneKeys::of_child(&set, &ds, terms, now.plus(Duration::from_secs(9))).unwrap();
        assert_eq!(keys.tags().len(), tags, "{octets} octets");
    }
}

#[tokio::test]
async fn dns_14_dnssec_25_giant_rrsets_come_whole() {
    let octets = |i: u32| i.to_be_bytes();
    let mut giant = Zone::signed("giant.test", Proofs::Nsec);
    for i in 0..1000 {
        let host = name(&format!("mx{i}.giant.test"));
        giant = giant.with("giant.test", RData::MX(MX::new(10, host)));
    }
    for i in 0..500 {
        giant = giant.with("a.giant.test", RData::A(A(Ipv4Addr::from(octets(i)))));
    }
    for i in 0..200_u32 {
        let data = vec![octets(i)[3]; 32];
        giant = giant.with(
            "t.giant.test",
            RData::TLSA(TLSA::new(3.into(), 1.into(), 1.into(), data)),
        );
    }
    let data = vec![7; 64_000];
    giant = giant.with(
        "one.giant.test",
        RData::TLSA(TLSA::new(3.into(), 1.into(), 0.into(), data)),
    );
    let liar = Liar::new(Arc::new(tree(vec![giant])), HONEST);
    for (owner, record_type, records, messages, remembered) in [
        ("giant.test", RecordType::MX, 1000, 6 + 4, false),
        ("a.giant.test", RecordType::A, 500, 6 + 1, true),
        ("t.giant.test", RecordType::TLSA, 200, 6 + 1, true),
        ("one.giant.test", RecordType::TLSA, 1, 6 + 7, false),
    ] {
        let chase = chase(liar.clone(), Hand::at(T0));
        let recipient = Recipient::new();
        let outcome = chase
            .look_up(&name(owner), record_type, &recipient.errand())
            .await;
        let Ok(End {
            found: Found::Records(data),
            trust: Trust::Secure,
            ..
        }) = &outcome.end
        else {
            panic!("{owner}: {:?}", outcome.end);
        };
        assert_eq!(data.len(), records, "{owner}");
        assert_eq!(
            recipient.spent().0,
            messages,
            "{owner}: a large message counts as several"
        );
        let asked = liar.asked();
        chase.look_up(&name(owner), record_type, &errand()).await;
        assert_eq!(liar.asked() == asked, remembered, "{owner}");
    }
}

/// A zone for each of so many hosts.
fn fan_out(hosts: usize) -> (Vec<String>, Liar) {
    let origins: Vec<String> = (0..hosts).map(|i| format!("z{i}.test")).collect();
    let zone = |origin: &String| contents(Zone::signed(origin, Proofs::Nsec), origin);
    let mut zones: Vec<Zone> = origins.iter().map(zone).collect();
    zones.push(contents(Zone::signed("lab.test", Proofs::Nsec), "lab.test"));
    (origins, Liar::new(Arc::new(tree(zones)), HONEST))
}

#[tokio::test]
async fn dns_15_a_hundred_hosts_in_signed_zones_of_their_own_are_not_too_many() {
    let (origins, liar) = fan_out(100);
    let chase = chase(liar, Hand::at(T0));
    let recipient = Recipient::new();
    for origin in &origins {
        for (owner, record_type) in [("mx", RecordType::A), ("_25._tcp.mx", RecordType::TLSA)] {
            let owner = name(&format!("{owner}.{origin}"));
            let outcome = chase
                .look_up(&owner, record_type, &recipient.errand())
                .await;
            assert_eq!(comes_out(&outcome), "secure records", "{owner}");
        }
    }
    let (messages, proofs) = recipient.spent();
    assert_eq!(
        (messages, proofs),
        (403, 403),
        "keys of the root; DS and keys of test"
    );
}

#[tokio::test]
async fn dns_14_15_fan_out_ends_with_the_domains_messages_and_nothing_is_made_insecure() {
    let (origins, liar) = fan_out(220);
    let chase = chase(liar.clone(), Hand::at(T0));
    let recipient = Recipient::new();
    let mut spent = 0;
    for origin in &origins {
        let owner = name(&format!("mx.{origin}"));
        let outcome = chase
            .look_up(&owner, RecordType::A, &recipient.errand())
            .await;
        match outcome.end {
            Err(Trouble::DomainSpent) => spent += 1,
            _ => assert_eq!(comes_out(&outcome), "secure records", "{origin}"),
        }
    }
    assert_eq!((recipient.spent().0, liar.asked()), (600, 600));
    assert_eq!(spent, 220 - 199);
    assert_eq!(ask(&chase, TLSA_NAME).await, "secure records");
    let last = name(&format!("mx.{}", origins[219]));
    let outcome = chase.look_up(&last, RecordType::A, &errand()).await;
    assert_eq!(comes_out(&outcome), "secure records");
}
