//! What no facts and no server may bring about, however odd: random domains of up to five hosts, and a server that
//! answers every dial as it likes.

use std::sync::LazyLock;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::world::{NOW, World, destination, elsewhere, policy, sts};
use super::{COMBINE, INSECURE_MX, RECORDS, Records, Sts};
use crate::dane::{self, Presented};
use crate::mtasts::{self, Policy};
use crate::name::{DnsName, MxHost, ReferenceId};
use crate::policy::demand::demand;
use crate::policy::{
    AddressFacts, Facts, HostFacts, Level, Mode, MxFacts, Settings, StsState, TlsaFacts,
};
use crate::smtp::{Freedom, NoTls};
use crate::tls::{Evidence, Handshake};
use crate::verdict::{Hearing, MAX_REDIALS, Pin, Reason, Redial, Verdict, judge};
use crate::x509::path;

/// Keys and certificates are made once: no property depends on which they are.
static WORLD: LazyLock<World> = LazyLock::new(World::new);

/// A host of the random domain.
#[derive(Clone, Copy, Debug)]
struct Host {
    here: Here,
    records: Records,
    stands: Stands,
    listed: bool,
}

/// Where its TLSA records stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stands {
    AtItsName,
    AtTheEndOfAnAlias,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Here {
    Yes,
    No,
    Unknown,
}

/// What the server shows to one dial.
#[derive(Clone, Copy, Debug)]
enum Shown {
    NotOffered,
    Refused,
    Broken,
    /// One of [`World::chains`].
    Chain(usize),
}

#[derive(Clone, Debug)]
struct Random {
    hosts: Vec<Host>,
    secure: bool,
    sts: Sts,
    settings: Settings,
    first_sni: Option<usize>,
    dials: Vec<Shown>,
}

fn random() -> impl Strategy<Value = Random> {
    let host = (
        select(&[Here::Yes, Here::Yes, Here::No, Here::No, Here::Unknown][..]),
        select(&RECORDS[..5]),
        select(&RECORDS[..]),
        0..8_u8,
        select(&[Stands::AtItsName, Stands::AtTheEndOfAnAlias][..]),
        any::<bool>(),
    )
        .prop_map(|(here, usual, any, odd, stands, listed)| Host {
            here,
            records: if odd == 0 { any } else { usual },
            stands,
            listed,
        });
    let shown = prop_oneof![
        Just(Shown::NotOffered),
        Just(Shown::Refused),
        Just(Shown::Broken),
        (0..WORLD.chains().len()).prop_map(Shown::Chain),
        (0..WORLD.chains().len()).prop_map(Shown::Chain),
        (0..WORLD.chains().len()).prop_map(Shown::Chain),
    ];
    let state = select(
        &[
            Sts::None,
            Sts::FetchFailed,
            Sts::Testing,
            Sts::Enforce,
            Sts::Enforce,
            Sts::EnforceStale,
            Sts::Unknown,
        ][..],
    );
    let settings =
        (select(&INSECURE_MX[..]), select(&COMBINE[..])).prop_map(|(insecure_mx, combine)| {
            Settings {
                insecure_mx,
                combine,
                ..Settings::default()
            }
        });
    (
        vec(host, 1..=5),
        any::<bool>(),
        state,
        settings,
        proptest::option::of(0..7_usize),
        vec(shown, 8),
    )
        .prop_map(|(hosts, secure, sts, settings, first_sni, dials)| Random {
            hosts,
            secure,
            sts,
            settings,
            first_sni,
            dials,
        })
}

/// How a recipient ended, and on what.
struct End {
    result: Result<Pin, Reason>,
    evidence: Evidence,
    redials: usize,
}

impl Random {
    fn facts(&self) -> Facts {
        Facts {
            domain: "example.com".parse().unwrap(),
            mx: MxFacts::Hosts {
                secure: self.secure,
                expanded: None,
                hosts: self.hosts.iter().enumerate().map(host_facts).collect(),
            },
            sts: self.sts_state(),
        }
    }

    fn sts_state(&self) -> StsState {
        let mode = match self.sts {
            Sts::Testing => "testing",
            Sts::Enforce | Sts::EnforceStale => "enforce",
            other @ (Sts::None
            | Sts::ModeNone
            | Sts::FetchFailed
            | Sts::TestingUnlisted
            | Sts::EnforceUnlisted
            | Sts::EnforceFirstOnly
            | Sts::Unknown) => return sts(other),
        };
        let listed = self
            .hosts
            .iter()
            .enumerate()
            .filter(|(_, host)| host.listed);
        let mx: String = listed
            .map(|(index, _)| format!("mx: {}\n", name(index)))
            .chain(["mx: mx.example.net\n".into()])
            .collect();
        StsState::Live {
            policy: policy(mode, &mx),
            refresh: None,
        }
    }

    /// The hosts that the destination may be.
    fn possible(&self) -> Vec<usize> {
        let here = |here: Here| -> Vec<usize> {
            let found = self.hosts.iter().enumerate();
            let found = found.filter(|(_, host)| host.here == here);
            found.map(|(index, _)| index).collect()
        };
        match here(Here::Yes) {
            none if none.is_empty() => (0..self.hosts.len()).collect(),
            located => located,
        }
    }

    fn run(&self) -> End {
        self.run_in(Mode::Enforce)
    }

    fn run_in(&self, mode: Mode) -> End {
        let sni = self.first_sni.map(|index| match index {
            0..5 => name(index).parse().unwrap(),
            _ => "greeting.example.net".parse().unwrap(),
        });
        let mut tried = vec![sni];
        let mut evidence = shown(self.dials[0], tried.last().unwrap().as_ref());
        let mut redials = 0;
        let mut waived = None;
        let demanded = demand(&self.facts(), destination(), self.settings);
        loop {
            let hearing = Hearing {
                evidence: &evidence,
                tried: &tried,
                roots: &WORLD.roots,
                now: NOW,
                mode,
                freedom: Freedom::Free,
                waived: waived.as_ref(),
                ticket: None,
            };
            let ruling = hearing.rule(&demanded, None);
            let result = match ruling.verdict {
                Verdict::Pin(pin) => Ok(pin),
                Verdict::Refuse(refusal) => Err(refusal.reason),
                Verdict::Redial(redial) => {
                    waived = ruling.waived;
                    redials += 1;
                    assert!(redials < self.dials.len(), "it never ends");
                    evidence = match redial {
                        Redial::Sni(sni) | Redial::Observe(sni) => {
                            tried.push(Some(sni));
                            shown(self.dials[redials], tried.last().unwrap().as_ref())
                        }
                        Redial::Cleartext => {
                            Evidence::Clear(NoTls::HandshakeFailed("alert".into()))
                        }
                    };
                    continue;
                }
            };
            return End {
                result,
                evidence,
                redials,
            };
        }
    }
}

fn name(index: usize) -> String {
    format!("mx{}.example.com", index + 1)
}

fn host_facts((index, host): (usize, &Host)) -> HostFacts {
    let base = match host.stands {
        Stands::AtTheEndOfAnAlias => format!("real{}.example.org", index + 1),
        Stands::AtItsName => name(index),
    };
    let (addresses, tlsa) = match host.here {
        Here::Yes => (AddressFacts::Known(vec![elsewhere(), destination()]), true),
        Here::No => (AddressFacts::Known(vec![elsewhere()]), true),
        Here::Unknown => (
            AddressFacts::Failed(crate::dns::Failure::Unreachable("timeout".into())),
            false,
        ),
    };
    HostFacts {
        host: name(index).parse().unwrap(),
        addresses,
        tlsa: if tlsa {
            WORLD.tlsa(base.parse().unwrap(), host.records)
        } else {
            TlsaFacts::NotApplicable
        },
    }
}

fn shown(shown: Shown, sni: Option<&DnsName>) -> Evidence {
    match shown {
        Shown::NotOffered => Evidence::Clear(NoTls::NotOffered),
        Shown::Refused => Evidence::Clear(NoTls::Refused(454)),
        Shown::Broken => Evidence::Broken("alert".into()),
        Shown::Chain(index) => super::world::protected(sni, WORLD.chains()[index]),
    }
}

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
                || (!random.secure && random.settings.insecure_mx == crate::policy::InsecureMx::Ignore)
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
