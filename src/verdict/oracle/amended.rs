//! The decision table once more, under exceptions and under both modes: what is seen, held against what the texts want.

mod texts;

use std::collections::BTreeMap;

use super::table::{self, Expected, heard};
use super::world::{NOW, World, destination};
use super::{Case, Differences, SNI, STS, Sni, Sts, TLS, situations};
use crate::policy::demand::demand;
use crate::policy::exceptions::{Pin as KeyPin, What};
use crate::policy::{Combine, Demand, Mode, Settings, Terms};
use crate::smtp::{Freedom, NoTls};
use crate::tls::Evidence;
use crate::verdict::{Hearing, MAX_REDIALS, Reason, Redial, Ruling, Verdict};
use texts::{WORDS, Wanted, Whom, Word, wanted};

/// What did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Seen {
    pin: Option<(&'static str, &'static str, Option<String>)>,
    refusal: Option<&'static str>,
    differs: Option<&'static str>,
    status: Option<(&'static str, (u16, &'static str))>,
}

impl Seen {
    fn of(verdict: &Verdict) -> Self {
        let mut seen = Self::default();
        match verdict {
            Verdict::Pin(pin) => {
                let host = pin.host.as_ref().map(ToString::to_string);
                seen.pin = Some((pin.basis.label(), pin.level.label(), host));
                let waived = pin.would_refuse.as_ref();
                seen.refusal = waived.map(|refusal| refusal.reason.label());
            }
            Verdict::Refuse(refusal) => {
                let reply = refusal.reason.reply();
                let status = (reply.code, reply.enhanced.unwrap());
                seen.refusal = Some(refusal.reason.label());
                seen.status = Some((refusal.reason.keyword(), status));
            }
            Verdict::Redial(_) => {}
        }
        seen
    }
}

impl Wanted {
    fn fits(&self, seen: &Seen) -> bool {
        let pin = match (&self.pin, &seen.pin) {
            (Some((bases, level, host)), Some((basis, seen_level, seen_host))) => {
                let named = match host {
                    Whom::None => seen_host.is_none(),
                    Whom::Named(name) => seen_host.as_deref() == Some(name),
                    Whom::Any => true,
                };
                bases.contains(basis) && level == seen_level && named
            }
            (None, None) => seen
                .refusal
                .is_some_and(|label| seen.status == Some(heard(label))),
            _ => false,
        };
        let refusal = match seen.refusal {
            Some(label) => self.refusal.contains(&label),
            None => self.refusal.is_empty(),
        };
        pin && refusal
    }
}

impl Word {
    fn what(self, world: &World) -> Option<What> {
        let other = || KeyPin([7; 32]);
        Some(match self {
            Self::Nothing => return None,
            Self::None => What::None,
            Self::Encrypt => What::Encrypt,
            Self::Webpki => What::Webpki,
            Self::MtaSts => What::MtaSts,
            Self::Dane => What::Dane,
            Self::PinOfServer => What::Pin(vec![other(), KeyPin(world.key())]),
            Self::PinOfOther => What::Pin(vec![other()]),
        })
    }
}

/// The ruling, redialling as it asks.
fn run(
    world: &World,
    case: &Case,
    mode: Mode,
    demanded: &Result<Demand, Reason>,
    otherwise: Option<&Result<Demand, Reason>>,
) -> Seen {
    let name = match case.sni {
        Sni::Right => case.first_host(),
        Sni::OtherStranger | Sni::OtherAborts => "greeting.example.net",
    };
    let mut tried = vec![Some(name.parse().unwrap())];
    let mut evidence = world.evidence(case, tried[0].as_ref());
    let mut waived = None;
    for redials in 0..=MAX_REDIALS + 1 {
        let ruling = Hearing {
            evidence: &evidence,
            tried: &tried,
            roots: &world.roots,
            now: NOW,
            mode,
            freedom: Freedom::Free,
            waived: waived.as_ref(),
            ticket: None,
        }
        .rule(demanded, otherwise);
        let Ruling {
            verdict,
            differs,
            waived: now_waived,
            ..
        } = ruling;
        let seen = Seen {
            differs: differs.as_ref().map(Reason::label),
            ..Seen::of(&verdict)
        };
        match verdict {
            Verdict::Pin(_) => {
                assert!(!matches!(evidence, Evidence::Broken(_)), "{case:?}");
                return seen;
            }
            Verdict::Refuse(_) => return seen,
            Verdict::Redial(redial) => {
                assert!(redials <= redial.after_at_most(), "{case:?}");
                assert!(now_waived.is_none() || redial == Redial::Cleartext);
                waived = now_waived;
                evidence = match redial {
                    Redial::Sni(sni) | Redial::Observe(sni) => {
                        tried.push(Some(sni));
                        world.evidence(case, tried.last().unwrap().as_ref())
                    }
                    Redial::Cleartext => Evidence::Clear(NoTls::HandshakeFailed("alert".into())),
                };
            }
        }
    }
    panic!("it never ends: {case:?}")
}

/// The situations × these policies × two settings, those together that differ only in what happens after the facts.
fn cases(policies: &'static [Sts]) -> impl Iterator<Item = Vec<Case>> {
    situations().into_iter().flat_map(move |situation| {
        policies.iter().flat_map(move |sts| {
            [Combine::DaneFirst, Combine::Both].map(move |combine| {
                let settings = Settings {
                    combine,
                    ..Settings::default()
                };
                let outcomes = TLS.into_iter().flat_map(|tls| SNI.map(|sni| (tls, sni)));
                let case = |(tls, sni)| Case {
                    mx: situation.mx,
                    map: situation.map,
                    first: situation.first,
                    second: situation.second,
                    sts: *sts,
                    tls,
                    sni,
                    settings,
                };
                outcomes.map(case).collect()
            })
        })
    })
}

/// The others differ from these in nothing that an exception or a mode has to do with.
const POLICIES: [Sts; 5] = [
    Sts::None,
    Sts::Testing,
    Sts::Enforce,
    Sts::EnforceUnlisted,
    Sts::Unknown,
];

#[test]
fn a7_r3_dane_34_dane_35_tls_8_every_case_under_every_exception_and_mode_ends_as_the_texts_say() {
    let world = World::new();
    let mut wrong = Differences::default();
    let mut judged: BTreeMap<String, Vec<Seen>> = BTreeMap::new();
    let mut count = 0;
    for alike in cases(&POLICIES) {
        let case = &alike[0];
        let facts = world.facts(case);
        for word in WORDS {
            let what = word.what(&world);
            let terms = Terms {
                settings: case.settings,
                exception: what.as_ref(),
            };
            let demanded = demand(&facts, destination(), terms);
            for mode in [Mode::Enforce, Mode::ReportOnly] {
                let seen = judged
                    .entry(format!("{mode:?} {} {demanded:?}", case.first_host()))
                    .or_insert_with(|| {
                        let run = |case| run(&world, case, mode, &demanded, None);
                        alike.iter().map(run).collect()
                    });
                for (case, seen) in alike.iter().zip(seen) {
                    count += 1;
                    let wanted = wanted(case, word, mode);
                    if !wanted.fits(seen) {
                        let kind = format!("{word:?} {mode:?}: seen {seen:?}\n  want {wanted:?}");
                        wrong.note(case, kind);
                    }
                }
            }
        }
    }
    assert_eq!(count, (2 * 7 * 18 + 2 * 4 * 7 + 5) * 5 * 2 * 27 * 8 * 2);
    assert!(wrong.0.is_empty(), "{wrong}");
}

#[test]
fn combine_differs_exactly_where_the_table_says_another_thing_for_the_other_setting() {
    let world = World::new();
    let mut wrong = Differences::default();
    let mut differences = 0;
    for alike in cases(&STS) {
        let case = &alike[0];
        let facts = world.facts(case);
        if !crate::policy::demand::combines(&facts) {
            let other = case.settings.otherwise_combined();
            let demanded = |settings: Settings| {
                let demanded = demand(&facts, destination(), settings);
                format!("{demanded:?}")
            };
            assert_eq!(demanded(case.settings), demanded(other), "{case:?}");
            continue;
        }
        let demanded = demand(&facts, destination(), case.settings);
        let otherwise = demand(&facts, destination(), case.settings.otherwise_combined());
        for case in &alike {
            let seen = run(&world, case, Mode::Enforce, &demanded, Some(&otherwise));
            let relays = |settings| {
                let case = Case { settings, ..*case };
                matches!(table::expected(&case), Expected::Pin { .. })
            };
            let expected = relays(case.settings) != relays(case.settings.otherwise_combined());
            differences += usize::from(expected);
            // Where one setting refuses whatever is shown, no connection is made for the other with the right name.
            let is_unseen = case.sni != Sni::Right && seen.differs.is_none() && seen.pin.is_none();
            if seen.differs.is_some() != expected && !is_unseen {
                wrong.note(case, format!("seen {seen:?}, want {expected}"));
            }
        }
    }
    assert!(differences > 1000, "{differences}");
    assert!(wrong.0.is_empty(), "{wrong}");
}
