//! What no facts and no server may bring about, however odd.

mod random;

use proptest::prelude::*;

use super::world::{NOW, destination};
use super::{Records, Sts};
use crate::dane::{self, Presented};
use crate::mtasts::{self, Policy};
use crate::name::{MxHost, ReferenceId};
use crate::policy::demand::demand;
use crate::policy::{
    Facts, HostFacts, InsecureMx, Level, Mode, MxFacts, Settings, StsState, TlsaFacts,
};
use crate::tls::{Evidence, Handshake};
use crate::verdict::{MAX_REDIALS, Pin, Verdict, judge};
use crate::x509::path;
use random::{End, Here, Host, Random, Shown, Stands, WORLD, random};

fn handshake(evidence: &Evidence) -> Option<&Handshake> {
    match evidence {
        Evidence::Protected(handshake) => Some(handshake),
        Evidence::Clear(_) | Evidence::Broken(_) => None,
    }
}

fn host_of<'a>(facts: &'a Facts, pin: &Pin) -> Option<&'a HostFacts> {
    let MxFacts::Hosts { hosts, .. } = &facts.mx else {
        return None;
    };
    hosts
        .iter()
        .find(|host| Some(&host.host) == pin.host.as_ref())
}

/// A DANE match with the names that RFC 7672 §3.2.2 allows under a secure MX RRset.
fn dane_holds(host: &HostFacts, evidence: &Evidence) -> bool {
    let (TlsaFacts::Usable { base, records }, Some(handshake)) = (&host.tlsa, handshake(evidence))
    else {
        return false;
    };
    let names = [
        ReferenceId::new(base.name().clone()),
        "example.com".parse().unwrap(),
    ];
    let presented = Presented {
        chain: handshake.chain(),
        reference_ids: &names,
    };
    dane::verify(records, presented, NOW).is_ok()
}

/// RFC 8461 §4.1 and §4.2.
fn sts_holds(policy: &Policy, host: &MxHost, evidence: &Evidence) -> bool {
    let Some(handshake) = handshake(evidence) else {
        return false;
    };
    let report = path::validate(handshake.chain(), &WORLD.roots, host.name(), NOW);
    policy.lists(host)
        && report.untrusted.is_none()
        && report.out_of_date.is_none()
        && report.wrong_name.is_none()
}

fn enforced(facts: &Facts) -> Option<&Policy> {
    match &facts.sts {
        StsState::Live { policy, .. } if policy.mode == mtasts::Mode::Enforce => Some(policy),
        StsState::Live { .. }
        | StsState::None
        | StsState::FetchFailed(_)
        | StsState::Unknown(_) => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn r10_attack_dane_11_dane_40_a_live_enforce_policy_is_never_reduced_by_an_insecure_mx(random in random()) {
        let facts = random.facts();
        let (Some(policy), End { result: Ok(pin), evidence, .. }) = (enforced(&facts), random.run()) else {
            return Ok(());
        };
        let host = host_of(&facts, &pin).unwrap();
        let dane = random.secure && dane_holds(host, &evidence);
        prop_assert!(dane || sts_holds(policy, &host.host, &evidence), "{pin:?}");
    }

    #[test]
    fn r10_what_insecure_tlsa_records_let_pass_passes_without_them_too(random in random()) {
        let random = Random { secure: false, sts: Sts::Enforce, ..random };
        let End { result: Ok(_), evidence, .. } = random.run() else {
            return Ok(());
        };
        let mut without = random.clone();
        for host in &mut without.hosts {
            host.records = Records::None;
        }
        let demand = demand(&without.facts(), destination(), random.settings).unwrap();
        let exhausted = vec![None; MAX_REDIALS + 1];
        let verdict = judge(&demand, &evidence, &exhausted, &WORLD.roots, NOW);
        prop_assert!(matches!(verdict, Verdict::Pin(_)), "{verdict:?}");
    }

    #[test]
    fn dane_6_sts_69_a_failed_tlsa_lookup_of_a_possible_host_never_ends_in_a_pin(random in random(), victim in any::<prop::sample::Index>()) {
        let mut random = random;
        let possible = random.possible();
        let victim = possible[victim.index(possible.len())];
        random.hosts[victim].records = if random.secure { Records::Bogus } else { Records::Unreachable };
        prop_assert!(random.run().result.is_err());
    }

    #[test]
    fn dane_26_a_usable_secure_rrset_never_pins_without_a_match(random in random()) {
        let mut random = random;
        random.secure = true;
        for (index, host) in random.hosts.iter_mut().enumerate() {
            host.records = [Records::EeMatch, Records::EeMismatch, Records::Ta][index % 3];
        }
        let facts = random.facts();
        if let End { result: Ok(pin), evidence, .. } = random.run() {
            let host = host_of(&facts, &pin).unwrap();
            prop_assert!(dane_holds(host, &evidence), "{pin:?}");
        }
    }

    #[test]
    fn dane_26_a_host_with_usable_records_is_pinned_by_them_alone(random in random()) {
        let facts = random.facts();
        let End { result: Ok(pin), evidence, .. } = random.run() else {
            return Ok(());
        };
        if let Some(host) = host_of(&facts, &pin)
            && random.secure
            && matches!(host.tlsa, TlsaFacts::Usable { .. })
        {
            prop_assert!(dane_holds(host, &evidence), "{pin:?}");
        }
    }

    #[test]
    fn dane_9_dane_37_r2_cleartext_only_where_a_possible_host_demands_nothing(random in random()) {
        let facts = random.facts();
        let End { result: Ok(pin), evidence, .. } = random.run() else {
            return Ok(());
        };
        let clear = handshake(&evidence).is_none();
        if !clear && pin.level != Level::Opportunistic {
            return Ok(());
        }
        prop_assert!(enforced(&facts).is_none());
        prop_assert_eq!(pin.level, Level::Opportunistic);
        let free = |index: &usize| {
            random.hosts[*index].records == Records::None
                || (!random.secure && random.settings.insecure_mx == InsecureMx::Ignore)
        };
        let possible = random.possible();
        let located = random.hosts.iter().any(|host| host.here == Here::Yes);
        prop_assert!(if located { possible.iter().any(free) } else { possible.iter().all(free) }, "{pin:?}");
    }

    #[test]
    fn r3_reporting_delivers_whatever_enforcing_refuses_and_tells_why(random in random()) {
        let End { result, evidence, redials } = random.run_in(Mode::ReportOnly);
        let pin = result.unwrap();
        prop_assert!(!matches!(evidence, Evidence::Broken(_)));
        prop_assert!(redials <= MAX_REDIALS + 1);
        match random.run().result {
            Ok(enforced) => {
                let told = |pin: &Pin| format!("{:?} {:?} {:?} {:?}", pin.host, pin.level, pin.basis, pin.observed);
                prop_assert_eq!(told(&enforced), told(&pin));
                prop_assert!(pin.would_refuse.is_none());
            }
            Err(reason) => {
                prop_assert_eq!(pin.level, Level::Opportunistic);
                prop_assert_eq!(pin.would_refuse.unwrap().reason, reason);
            }
        }
    }

    #[test]
    fn session_at_most_two_redials_whatever_the_server_does(random in random()) {
        prop_assert!(random.run().redials <= MAX_REDIALS);
    }

    #[test]
    fn no_pin_rests_on_a_connection_that_is_gone(random in random()) {
        let End { result, evidence, .. } = random.run();
        prop_assert!(result.is_err() || !matches!(evidence, Evidence::Broken(_)));
    }

    #[test]
    fn r1_nothing_about_hosts_and_certificates_is_permanent(random in random()) {
        if let Err(reason) = random.run().result {
            prop_assert_eq!(reason.reply().code / 100, 4, "{:?}", reason);
        }
    }
}

/// Three hosts on one address, and a server that breaks every handshake off: the third demands nothing, but the two
/// redials are spent on the names of the others.
#[test]
fn session_no_third_redial_for_cleartext() {
    let host = |records| Host {
        here: Here::Yes,
        records,
        stands: Stands::AtItsName,
        listed: true,
    };
    let random = Random {
        hosts: [Records::EeMatch, Records::EeMatch, Records::None]
            .map(host)
            .to_vec(),
        secure: true,
        sts: Sts::None,
        settings: Settings::default(),
        first_sni: None,
        dials: vec![Shown::Broken; 4],
    };
    let End {
        result, redials, ..
    } = random.run();
    assert_eq!(result.unwrap_err().label(), "tls-handshake");
    assert_eq!(redials, 2);
}

/// Two hosts on one address, each certificate behind its own name: whichever name was asked for first, the one host
/// that holds is found, and no name is asked for twice.
#[test]
fn attack_dane_09_row_m2_each_host_is_judged_by_what_it_shows_to_its_own_name() {
    let ours = Shown::Chain(0);
    let stranger = Shown::Chain(WORLD.chains().len() - 1);
    for (row, records, first_sni, dials, host, redials) in [
        (
            "the first name, and the second host holds",
            [Records::EeMismatch, Records::EeMatch],
            Some(0),
            [stranger, ours, stranger, stranger],
            "mx2.example.com",
            1,
        ),
        (
            "the second name, and the first host holds",
            [Records::EeMatch, Records::EeMismatch],
            Some(1),
            [stranger, ours, stranger, stranger],
            "mx1.example.com",
            1,
        ),
        (
            "no name, and the second host holds",
            [Records::EeMismatch, Records::EeMatch],
            None,
            [stranger, stranger, ours, stranger],
            "mx2.example.com",
            2,
        ),
    ] {
        let random = Random {
            hosts: records
                .map(|records| Host {
                    here: Here::Yes,
                    records,
                    stands: Stands::AtItsName,
                    listed: true,
                })
                .to_vec(),
            secure: true,
            sts: Sts::None,
            settings: Settings::default(),
            first_sni,
            dials: dials.to_vec(),
        };
        let end = random.run();
        assert_eq!(end.result.unwrap().host.unwrap().as_str(), host, "{row}");
        assert_eq!(end.redials, redials, "{row}");
    }
}
