//! The decision table once more, under exceptions and under both modes: what the texts on them want, read into plain
//! functions over the same cases, with nothing of the production code but names.

use std::collections::BTreeMap;

use super::table::{self, Expected, Host, Level, heard};
use super::world::{NOW, World, destination};
use super::{Case, Cert, Differences, Map, Mx, Records, SNI, STS, Sni, Sts, TLS, Tls, situations};
use crate::policy::demand::demand;
use crate::policy::exceptions::{Pin as KeyPin, What};
use crate::policy::{Combine, Demand, Mode, Settings, Terms};
use crate::smtp::{Freedom, NoTls};
use crate::tls::Evidence;
use crate::verdict::{Hearing, MAX_REDIALS, Reason, Redial, Ruling, Verdict};

/// What the operator says of the domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Nothing,
    None,
    Encrypt,
    Webpki,
    MtaSts,
    Dane,
    PinOfServer,
    PinOfOther,
}

const WORDS: [Word; 8] = [
    Word::Nothing,
    Word::None,
    Word::Encrypt,
    Word::Webpki,
    Word::MtaSts,
    Word::Dane,
    Word::PinOfServer,
    Word::PinOfOther,
];

/// What may become of a case.
#[derive(Clone, Debug)]
struct Wanted {
    /// Relayed on any of these, at any of these levels; or refused.
    pin: Option<(Vec<&'static str>, &'static str, Whom)>,
    /// The labels of the refusal, or of the one that is waived.
    refusal: Vec<&'static str>,
}

/// The host of a pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whom {
    None,
    Named(&'static str),
    /// Which of them came nearest is not said.
    Any,
}

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
    fn refuse(labels: Vec<&'static str>) -> Self {
        Self {
            pin: None,
            refusal: labels,
        }
    }

    fn pin(basis: Vec<&'static str>, level: &'static str, host: Whom) -> Self {
        Self {
            pin: Some((basis, level, host)),
            refusal: vec![],
        }
    }

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

/// Rule R3 of the decision table over what enforcing would do. A null MX stays what it is.
fn wanted(case: &Case, word: Word, mode: Mode) -> Wanted {
    let strict = strictly(case, word);
    if mode == Mode::Enforce || strict.pin.is_some() || strict.refusal.contains(&"null-mx") {
        return strict;
    }
    let basis = match case.tls {
        // Nobody says that a handshake that failed at a guessed name is made again only to report.
        Tls::Works(_) if case.sni == Sni::OtherAborts => vec!["opportunistic-tls", "cleartext"],
        Tls::Works(_) => vec!["opportunistic-tls"],
        Tls::NotOffered | Tls::Refused454 | Tls::Broken | Tls::ClearAfterBroken => {
            vec!["cleartext"]
        }
    };
    Wanted {
        pin: Some((basis, "L0", Whom::Any)),
        ..strict
    }
}

fn strictly(case: &Case, word: Word) -> Wanted {
    match word {
        Word::Nothing => match table::expected(case) {
            Expected::Pin {
                host, level, basis, ..
            } => Wanted::pin(basis, level, host.map_or(Whom::None, Whom::Named)),
            Expected::Refuse(labels) => Wanted::refuse(labels),
        },
        Word::None | Word::Encrypt => loosened(case, word),
        Word::Webpki | Word::MtaSts | Word::Dane | Word::PinOfServer | Word::PinOfOther => {
            required(case, word)
        }
    }
}

/// "Whatever the domain publishes": of all rows before TLS only the null MX is left.
fn loosened(case: &Case, word: Word) -> Wanted {
    if matches!(case.mx, Mx::NullSecure | Mx::NullInsecure) {
        return Wanted::refuse(table::before_tls(case).into_iter().collect());
    }
    let is_known = !case.hosts().is_empty();
    let is_located = matches!(case.map, Map::First | Map::Both | Map::FirstErrorElsewhere);
    let is_implicit = matches!(case.mx, Mx::ImplicitSecure | Mx::ImplicitInsecure);
    let first = if is_implicit {
        "example.com"
    } else {
        "mx1.example.com"
    };
    let host = match (is_known, is_located, word) {
        (true, true, _) => Whom::Named(first),
        // The domain lends its name to a host that nobody knows.
        (false, _, Word::Encrypt) => Whom::Named("example.com"),
        _ => Whom::None,
    };
    if word == Word::None {
        let mut basis = case.opportunistic();
        if !is_known && case.sni == Sni::OtherAborts {
            // Without a host there is no name of its own to try.
            basis = vec!["cleartext"];
        }
        return Wanted::pin(basis, "L0", host);
    }
    match case.no_tls() {
        Some(label) => Wanted::refuse(vec![label]),
        None => Wanted::pin(vec!["encrypted"], "L1", host),
    }
}

/// A requirement comes on top of what is published.
fn required(case: &Case, word: Word) -> Wanted {
    let unknown_policy = case.sts == Sts::Unknown;
    if let Some(label) = table::before_tls(case) {
        let mut labels = vec![label];
        // Required DANE that is not there decides nothing, so the unknown policy counts first.
        if unknown_policy && label == "dnssec-bogus" {
            labels.push("dane-required");
        }
        return Wanted::refuse(labels);
    }
    if unknown_policy && word == Word::MtaSts {
        return Wanted::refuse(vec!["dnssec-bogus"]);
    }
    let mut hosts = case.hosts();
    hosts.sort_by_key(|host| std::cmp::Reverse(level(case, word, host)));
    let mut faults = Vec::new();
    for host in &hosts {
        match outcome(case, word, host) {
            Ok(basis) => {
                let level = level(case, word, host);
                let label = match (word, level) {
                    (Word::Webpki | Word::PinOfServer | Word::PinOfOther, Level::L0) => "local",
                    _ => level.label(),
                };
                return Wanted::pin(vec![basis], label, Whom::Named(host.name));
            }
            Err(found) => faults.extend(found),
        }
    }
    if case.map == Map::Nobody {
        // Row M0: an exception that demands proof demands something.
        faults = vec!["dest-not-mx"];
    }
    Wanted::refuse(faults)
}

fn level(case: &Case, word: Word, host: &Host) -> Level {
    let published = case.level(host);
    match (word, published) {
        (Word::MtaSts, Level::L0) => Level::Ls,
        (Word::MtaSts, Level::L1) => Level::L1Ls,
        (Word::MtaSts, Level::Half) => Level::HalfLs,
        (Word::MtaSts, Level::Ld) => Level::LdLs,
        _ => published,
    }
}

fn outcome(case: &Case, word: Word, host: &Host) -> Result<&'static str, Vec<&'static str>> {
    let published = case.level(host);
    let level = level(case, word, host);
    let is_full = matches!(published, Level::Ld | Level::LdLs);
    let mut faults = Vec::new();
    if word == Word::Dane && !is_full {
        faults.push("dane-required");
    }
    if word == Word::MtaSts && !(case.enforced() || case.testing()) {
        faults.push("sts-required");
    }
    if faults.is_empty() {
        if level.has_dane() {
            faults.extend(case.dane_fault(host));
        }
        if level.has_sts() {
            faults.extend(case.sts_fault(host));
        }
        faults.extend(case.no_tls());
        faults.extend(local_fault(case, word, host));
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(match (level, word) {
        (Level::HalfLs | Level::LdLs, _) => "dane+mta-sts",
        (Level::Half | Level::Ld, _) if host.records == Records::Ta => "dane-ta",
        (Level::Half | Level::Ld, _) => "dane-ee",
        (Level::Ls | Level::L1Ls, _) => "mta-sts",
        (Level::L0 | Level::L1, Word::Webpki) => "webpki",
        (Level::L0 | Level::L1, _) => "pin",
    })
}

fn local_fault(case: &Case, word: Word, host: &Host) -> Option<&'static str> {
    let Tls::Works(cert) = case.tls else {
        return None;
    };
    let names = match cert {
        Cert::NamesFirst => host.name == "mx1.example.com",
        Cert::NamesSecond => host.name == "mx2.example.com",
        Cert::NamesDomain => host.name == "example.com",
        Cert::Expired | Cert::Untrusted => true,
    };
    match (word, cert) {
        (Word::Webpki, Cert::Untrusted) => Some("webpki-untrusted"),
        (Word::Webpki, Cert::Expired) => Some("webpki-expired"),
        (Word::Webpki, _) if !names => Some("webpki-name"),
        (Word::PinOfOther, _) => Some("pin-mismatch"),
        _ => None,
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
