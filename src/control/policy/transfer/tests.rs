//! Files of sound, damaged and hostile lines, imported into a node that holds policies already.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::clock::Timestamp;
use crate::control::{self, Request};
use crate::mtasts::{Mode, Policy, PolicyId};
use crate::name::MxHost;
use crate::proxy::tests::world::{Names, engine};

const DOMAINS: [&str; 3] = ["a.example", "b.example", "c.example"];
const PATTERNS: [&str; 4] = ["mx.example", "*.example", "c.b.example", "*.b.example"];
const HOSTS: [&str; 4] = ["mx.example", "b.example", "c.b.example", "d.b.example"];

fn stored(domain: &str, mode: &str, life: u64, fetched: u64, mx: &[&str]) -> StoredPolicy {
    let lines: String = mx.iter().map(|mx| format!("mx: {mx}\n")).collect();
    let text = format!("version: STSv1\nmode: {mode}\nmax_age: {life}\n{lines}");
    StoredPolicy {
        domain: domain.parse().unwrap(),
        id: PolicyId::stored("1".into()),
        policy: Arc::new(Policy::parse(text.as_bytes()).unwrap()),
        fetched: Timestamp::from_unix(fetched),
    }
}

/// What becomes of a line on its way.
#[derive(Clone, Debug)]
enum Fate {
    Sound,
    /// Another octet at this place.
    Flipped(prop::sample::Index, u8),
    /// Nothing from this place on.
    Cut(prop::sample::Index),
    Foreign(Vec<u8>),
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        12 => Just(Fate::Sound),
        1 => (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(at, to)| Fate::Flipped(at, to)),
        1 => any::<prop::sample::Index>().prop_map(Fate::Cut),
        1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Fate::Foreign),
    ]
}

type Draft = (usize, &'static str, u64, u64, Vec<&'static str>);

/// Domain, mode, life, age and patterns; lives and ages are far from each other, so that no test depends on how long it
/// takes.
fn draft() -> impl Strategy<Value = Draft> {
    let mode = prop::sample::select(vec!["enforce", "testing", "none"]);
    let mx = prop::sample::subsequence(PATTERNS.to_vec(), 1..=PATTERNS.len());
    let life = prop::sample::select(vec![0, 10_000, 100_000, 200_000]);
    let age = prop::sample::select(vec![0, 1_000, 20_000, 90_000]);
    (0..DOMAINS.len(), mode, life, age, mx)
}

fn line(policy: &StoredPolicy, fate: &Fate) -> Vec<u8> {
    let mut octets = serde_json::to_vec(&PolicyLine::of(policy)).unwrap();
    match fate {
        Fate::Sound => {}
        Fate::Flipped(at, to) => {
            let at = at.index(octets.len());
            octets[at] = *to;
        }
        Fate::Cut(at) => octets.truncate(at.index(octets.len())),
        Fate::Foreign(other) => octets.clone_from(other),
    }
    octets.push(b'\n');
    octets
}

/// A whole file of these lines, as far as it can be made of them.
fn file(lines: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut sheet = Sheet::new(&mut file, None);
    for line in lines {
        if let Ok(line) = serde_json::from_slice(line) {
            sheet.add(&line).unwrap();
        }
    }
    sheet.end().unwrap();
    let end = file.split_inclusive(|octet| *octet == b'\n').next_back();
    let end = end.unwrap().to_vec();
    [lines.concat(), end].concat()
}

/// The policies in force, by domain.
fn in_force(engine: &Engine) -> Vec<Option<StoredPolicy>> {
    let held = |domain: &&str| {
        let told = engine.sts.told(&domain.parse().unwrap())?;
        told.held.clone().filter(|_| told.is_live())
    };
    DOMAINS.iter().map(held).collect()
}

fn refuses(held: Option<&StoredPolicy>, host: &MxHost, then: Timestamp) -> bool {
    held.is_some_and(|held| {
        then < held.fetched.plus(held.policy.max_age)
            && held.policy.mode == Mode::Enforce
            && !held.policy.lists(host)
    })
}

fn rows(engine: &Engine) -> usize {
    let all = crate::store::Query::Latest;
    let found = engine.store.find(crate::store::Kind::Policy, all, 99);
    found.unwrap().len()
}

/// Imports, and gives the lines that were not taken over with the result.
async fn imported(engine: &Engine, file: Vec<u8>) -> (Vec<Line>, Imported) {
    let (items, mut told) = Items::channel();
    let request = Request::Policy(super::super::Request::Import);
    let (done, lines) = futures_util::future::join(
        async {
            let done = control::answer(engine, request, file, &items).await;
            drop(items);
            done
        },
        async {
            let mut lines = Vec::new();
            while let Some(line) = told.recv().await {
                lines.push(serde_json::from_value(line).unwrap());
            }
            lines
        },
    )
    .await;
    (lines, serde_json::from_value(done.unwrap()).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn an_import_never_loosens_and_takes_all_or_nothing(
        held in prop::collection::vec(draft(), 0..3),
        offered in prop::collection::vec((draft(), fate()), 0..6),
        is_cut in prop::bool::weighted(0.2),
        cut in any::<prop::sample::Index>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let engine = engine(Names::default());
            let now = engine.clock.wall().unix();
            let policy = |(domain, mode, life, age, mx): &Draft| {
                stored(DOMAINS[*domain], mode, *life, now - age, mx)
            };
            let mut before: Vec<_> = held.iter().map(policy).collect();
            before.sort_by(|a, b| a.domain.cmp(&b.domain));
            before.dedup_by(|a, b| a.domain == b.domain);
            engine.sts.take_over(before).await.unwrap();
            let before = in_force(&engine);
            let offered: Vec<_> = offered.iter().map(|(draft, fate)| line(&policy(draft), fate)).collect();
            let mut file = file(&offered);
            if is_cut {
                // Without the last line end it is whole all the same.
                file.truncate(cut.index(file.len() - 1));
            }
            let stored_before = rows(&engine);
            let (lines, done) = imported(&engine, file).await;
            let after = in_force(&engine);

            prop_assert!(done.taken + done.kept <= done.lines);
            prop_assert_eq!(lines.len(), done.kept + done.refused);
            let sum = done.expired + done.known + done.enforcing_nothing + done.overtaken;
            prop_assert_eq!(sum, done.kept);
            prop_assert!(!is_cut || done.refused > 0, "what is cut is seen to be");
            if done.refused > 0 || done.taken == 0 {
                prop_assert_eq!(&before, &after, "nothing is applied");
                prop_assert_eq!(stored_before, rows(&engine));
            } else {
                prop_assert_eq!(done.taken + done.kept, done.lines);
            }
            for (before, after) in before.iter().zip(&after) {
                for later in [0, 5_000, 50_000, 150_000] {
                    let then = Timestamp::from_unix(now).plus(Duration::from_secs(later));
                    for host in HOSTS {
                        let host: MxHost = host.parse().unwrap();
                        let was = refuses(before.as_ref(), &host, then);
                        prop_assert!(!was || refuses(after.as_ref(), &host, then), "{host} after {later} s");
                    }
                }
            }
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn a_newer_and_looser_line_is_refused_with_its_number_rule_and_remedy() {
    let engine = engine(Names::default());
    let now = engine.clock.wall().unix();
    let held = stored(
        "a.example",
        "enforce",
        100_000,
        now - 5_000,
        &["mx.example"],
    );
    engine.sts.take_over(vec![held]).await.unwrap();
    let offer = |mode, life, mx| stored("a.example", mode, life, now - 1_000, mx);
    let (mx, more) = (&["mx.example"][..], &["mx.example", "evil.example"][..]);
    let to_come = stored("a.example", "enforce", 200_000, now + 5_000, mx);
    for (what, offered, rule) in [
        ("testing", offer("testing", 200_000, mx), "enforces nothing"),
        ("shorter", offer("enforce", 10_000, mx), "ends before"),
        (
            "more hosts",
            offer("enforce", 200_000, more),
            "lists MX hosts",
        ),
        ("to come", to_come, "has not come"),
    ] {
        let good = stored(
            "b.example",
            "enforce",
            100_000,
            now - 1_000,
            &["mx.example"],
        );
        let file = file(&[line(&good, &Fate::Sound), line(&offered, &Fate::Sound)]);
        let before = in_force(&engine);
        let (lines, done) = imported(&engine, file).await;
        assert_eq!((done.taken, done.refused), (0, 1), "{what}");
        assert_eq!(lines[0].line, 2, "{what}");
        assert_eq!(lines[0].domain.as_deref(), Some("a.example"));
        assert!(lines[0].rule.contains(rule), "{what}: {:?}", lines[0]);
        assert!(!lines[0].remedy.is_empty());
        assert_eq!(before, in_force(&engine), "{what}");
    }
}

#[tokio::test]
async fn a_file_that_is_cut_at_a_line_end_or_empty_or_joined_is_refused_by_line_and_rule() {
    let engine = engine(Names::default());
    let now = engine.clock.wall().unix();
    let line_of = |domain| {
        let policy = stored(domain, "enforce", 100_000, now - 1_000, &["mx.example"]);
        line(&policy, &Fate::Sound)
    };
    let lines = [line_of("a.example"), line_of("b.example")];
    let whole = file(&lines);
    let end = &whole[lines.concat().len()..];
    let newer = String::from_utf8(end.to_vec()).unwrap();
    let newer = newer.replace("\"end\":1", "\"end\":2").into_bytes();
    for (what, file, number, rule) in [
        ("empty", vec![], 1, "the file is empty"),
        ("blank", b"\n\n".to_vec(), 1, "the file is empty"),
        ("no end", lines.concat(), 2, "the last of a whole file"),
        ("cut", lines[0].clone(), 1, "the last of a whole file"),
        (
            "a line less",
            [&lines[0], end].concat(),
            2,
            "expected 2 policies before this line, seen 1",
        ),
        (
            "others",
            file(&[lines[0].clone(), line_of("c.example")])
                .split_inclusive(|octet| *octet == b'\n')
                .take(2)
                .collect::<Vec<_>>()
                .concat()
                .into_iter()
                .chain(end.to_vec())
                .collect(),
            3,
            "its digest is not that of the lines before it",
        ),
        (
            "two files",
            [&whole[..], &file(&[line_of("c.example")])].concat(),
            4,
            "the file ends at line 3",
        ),
        (
            "of a later release",
            [&lines.concat()[..], &newer].concat(),
            3,
            "the file is of version 2, expected 1",
        ),
    ] {
        let (told, done) = imported(&engine, file).await;
        assert_eq!(done.taken, 0, "{what}");
        assert!(done.refused > 0, "{what}");
        assert_eq!(told[0].line, number, "{what}");
        assert!(told[0].rule.contains(rule), "{what}: {:?}", told[0]);
        assert!(!told[0].remedy.is_empty(), "{what}");
        assert!(in_force(&engine).iter().all(Option::is_none), "{what}");
    }
    let (_, done) = imported(&engine, whole).await;
    assert_eq!((done.lines, done.taken), (2, 2));
}

#[tokio::test]
async fn an_import_tells_what_is_in_memory_afterwards_and_why_the_rest_is_not() {
    let engine = engine(Names::default());
    let now = engine.clock.wall().unix();
    let of = |domain, mode, life, age| {
        let policy = stored(domain, mode, life, now - age, &["mx.example"]);
        line(&policy, &Fate::Sound)
    };
    let held = stored(
        "b.example",
        "enforce",
        100_000,
        now - 1_000,
        &["mx.example"],
    );
    engine.sts.take_over(vec![held]).await.unwrap();
    let file = file(&[
        of("a.example", "enforce", 100_000, 1_000),
        of("b.example", "enforce", 100_000, 2_000),
        of("c.example", "none", 100_000, 1_000),
        of("d.example", "testing", 100_000, 1_000),
        of("e.example", "enforce", 10_000, 20_000),
    ]);
    let (told, done) = imported(&engine, file).await;
    let expected = Imported {
        lines: 5,
        taken: 1,
        kept: 4,
        expired: 1,
        known: 1,
        enforcing_nothing: 2,
        ..Imported::default()
    };
    assert_eq!(done, expected);
    let rules: Vec<_> = told
        .iter()
        .map(|one| (one.line, one.rule.as_str()))
        .collect();
    assert_eq!(
        rules[0],
        (2, "this node has the same policy or a newer one")
    );
    assert!(rules[1].1.contains("looks for itself"), "{rules:?}");
    assert_eq!(rules[3], (5, "it has expired"));
}

#[test]
fn the_parts_of_an_export_have_each_policy_once() {
    let mut all = Vec::new();
    for number in 1..=3 {
        let part = format!("{number}/3").parse().unwrap();
        let mut out = Vec::new();
        let mut sheet = Sheet::new(&mut out, Some(part));
        for number in 0..60 {
            let domain = format!("d{number}.example");
            let policy = stored(&domain, "enforce", 1000, 1, &["mx.example"]);
            sheet.add(&PolicyLine::of(&policy)).unwrap();
        }
        let policies = sheet.end().unwrap();
        assert!(policies > 0, "part {number} has its share");
        let text = String::from_utf8(out).unwrap();
        let lines = text.lines().take(policies).map(str::to_owned);
        all.extend(lines);
    }
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 60);
    for bad in ["0/3", "4/3", "1", "1/0", "a/b", ""] {
        assert!(bad.parse::<Part>().is_err(), "{bad}");
    }
}
