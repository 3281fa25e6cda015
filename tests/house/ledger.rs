//! Which requirement, attack or row of the decision table is held by which test.
//!
//! `testdata/requirements.txt` lists the IDs. A test holds an ID when its name says so (`dane_14_dane_15_…`,
//! `dnssec_1_13_…`, `tlsa_12_to_18_…`, `dns_03_…`, `dn_21_…`, `attack_dane_11_…`, `a4_…`, `row_me_…`), a scenario of the lab when
//! the comment above its name does. `testdata/untested.txt` says why the others are not held by any.
//!
//! Attacks on DANE, TLS and MTA-STS are numbered like the requirements. A zero in front (`dane_05`) or the word `attack` makes
//! the difference; what is numbered `DNS`, `DN` or `NET` is an attack in any case.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::Source;

/// All IDs, in the order of the list, and what is known of each.
pub(crate) struct Ledger {
    sections: Vec<Section>,
    held: BTreeMap<Id, BTreeSet<String>>,
    excused: BTreeMap<Id, String>,
    complaints: Vec<String>,
}

struct Section {
    kind: Kind,
    title: String,
    entries: Vec<(Id, String)>,
}

/// `DANE-5` of one kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id {
    kind: Kind,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Requirement,
    Attack,
    Row,
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Attack => "attack ",
            Kind::Requirement | Kind::Row => "",
        };
        write!(f, "{kind}{}", self.text)
    }
}

impl Ledger {
    /// Reads the two lists, and looks for the IDs in the sources.
    pub(crate) fn new(listed: &str, untested: &str, sources: &[Source]) -> Self {
        let mut ledger = Self {
            sections: Vec::new(),
            held: BTreeMap::new(),
            excused: BTreeMap::new(),
            complaints: Vec::new(),
        };
        ledger.read_list(listed);
        ledger.read_excuses(untested);
        for source in sources {
            let tests = tests(&source.text).map(|name| (ids_of(name), name));
            for (ids, name) in tests {
                ledger.hold(ids, &format!("{}: `{name}`", source.path));
            }
            if source.path.starts_with(CATALOGUE) {
                for (ids, name) in scenarios(&source.text) {
                    ledger.hold(ids, &format!("scenario `{name}`"));
                }
            }
        }
        ledger
    }

    /// What is wrong, one line each.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let mut complaints = self.complaints.clone();
        for (id, _) in self.entries() {
            let held = self.held.get(id).and_then(|tests| tests.first());
            match (held, self.excused.get(id)) {
                (None, None) => complaints.push(format!(
                    "{id}: no test is named after it, no scenario cites it, and {UNTESTED} gives no reason"
                )),
                (Some(test), Some(_)) => complaints.push(format!(
                    "{id}: {UNTESTED} excuses it, but {test} holds it"
                )),
                (Some(_), None) | (None, Some(_)) => {}
            }
        }
        complaints
    }

    /// The tables for `docs/standards.md`.
    pub(crate) fn tables(&self) -> String {
        let mut text = HEADER.to_owned();
        for section in &self.sections {
            let kind = match section.kind {
                Kind::Requirement => "requirement",
                Kind::Attack => "attack",
                Kind::Row => "row",
            };
            text += &format!(
                "\n### {}\n\n| {kind} | about | held by |\n|---|---|---|\n",
                section.title
            );
            for (id, words) in &section.entries {
                let tests: Vec<&str> = self
                    .held
                    .get(id)
                    .into_iter()
                    .flatten()
                    .map(String::as_str)
                    .collect();
                let tests = if tests.is_empty() {
                    "see below".to_owned()
                } else {
                    tests.join("<br>")
                };
                text += &format!("| {} | {words} | {tests} |\n", id.text);
            }
        }
        text += EXCUSES;
        for (id, words) in self.entries() {
            if let Some(reason) = self.excused.get(id) {
                text += &format!("| {id} | {words} | {reason} |\n");
            }
        }
        text
    }

    fn entries(&self) -> impl Iterator<Item = &(Id, String)> {
        self.sections.iter().flat_map(|section| &section.entries)
    }

    fn knows(&self, id: &Id) -> bool {
        self.entries().any(|(known, _)| known == id)
    }

    fn hold(&mut self, ids: BTreeSet<Id>, by: &str) {
        for id in ids {
            if self.knows(&id) {
                self.held.entry(id).or_default().insert(by.to_owned());
            } else {
                self.complaints
                    .push(format!("{by} names {id}, which {LIST} does not have"));
            }
        }
    }

    fn read_list(&mut self, text: &str) {
        for line in content(text) {
            if let Some((kind, title)) = line
                .strip_prefix('[')
                .and_then(|rest| rest.split_once("] "))
            {
                let kind = match kind {
                    "requirement" => Kind::Requirement,
                    "attack" => Kind::Attack,
                    "row" => Kind::Row,
                    other => panic!("{LIST}: [{other}] is no kind of ID"),
                };
                self.sections.push(Section {
                    kind,
                    title: title.to_owned(),
                    entries: Vec::new(),
                });
                continue;
            }
            let (text, words) = line.split_once(' ').unwrap_or((line, ""));
            let section = self
                .sections
                .last_mut()
                .expect("a list opens with a section");
            let id = Id {
                kind: section.kind,
                text: text.to_owned(),
            };
            if words.is_empty() {
                self.complaints.push(format!("{LIST}: {id} says nothing"));
            }
            section.entries.push((id.clone(), words.to_owned()));
            if self.entries().filter(|(known, _)| known == &id).count() > 1 {
                self.complaints
                    .push(format!("{LIST}: {id} stands there twice"));
            }
        }
    }

    fn read_excuses(&mut self, text: &str) {
        for line in content(text) {
            let (is_attack, rest) = match line.strip_prefix("attack ") {
                Some(rest) => (true, rest),
                None => (false, line),
            };
            let (id, reason) = rest.split_once(' ').unwrap_or((rest, ""));
            let known = self.entries().map(|(known, _)| known);
            let is_meant =
                |known: &&Id| known.text == id && (known.kind == Kind::Attack) == is_attack;
            let id = known.into_iter().find(is_meant).cloned();
            match id {
                Some(id) if reason.len() >= SHORTEST_REASON => {
                    self.excused.insert(id, reason.to_owned());
                }
                Some(_) | None => self
                    .complaints
                    .push(format!("{UNTESTED}: `{line}` is no known ID with a reason")),
            }
        }
    }
}

fn content(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// The names of the functions that a `#[test]` or `#[tokio::test]` stands above.
fn tests(text: &str) -> impl Iterator<Item = &str> {
    let mut is_test = false;
    text.lines().filter_map(move |line| {
        let line = line.trim();
        if line.starts_with("#[") || line.starts_with("//") {
            is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
            return None;
        }
        let was_test = std::mem::take(&mut is_test);
        let function = line
            .strip_prefix("async ")
            .unwrap_or(line)
            .strip_prefix("fn ")?;
        was_test.then(|| function.split(['(', '<']).next().unwrap_or_default())
    })
}

/// The IDs in the name of a test.
pub(crate) fn ids_of(name: &str) -> BTreeSet<Id> {
    let words: Vec<&str> = name.split('_').collect();
    let mut found = BTreeSet::new();
    let mut at = 0;
    let mut is_attack = false;
    while let Some(word) = words.get(at) {
        let before = at.checked_sub(1).map(|before| words[before]);
        at += 1;
        if *word == "attack" {
            is_attack = true;
            continue;
        }
        let mark = if std::mem::take(&mut is_attack) {
            Mark::Attack
        } else {
            Mark::None
        };
        if NUMBERED.contains(word) {
            let numbers = numbers(&words[at..]);
            at += numbers.words;
            found.extend(numbers.of(word, mark));
        } else if let Some(row) = row(word, words.get(at).copied(), before) {
            found.insert(row);
        }
    }
    found
}

/// `13_15_19` or `12_to_18`, at the start of these words.
fn numbers(words: &[&str]) -> Numbers {
    // Time limits are numbered apart: `SMTP-T2`.
    let is_number = |word: &&&str| {
        let digits = word.strip_prefix('t').unwrap_or(word);
        !digits.is_empty() && digits.bytes().all(|octet| octet.is_ascii_digit())
    };
    let single: Vec<&str> = words.iter().take_while(is_number).copied().collect();
    if let (&[first], Some(&"to"), Some(last)) =
        (&single[..], words.get(1), words.get(2).filter(is_number))
        && let (Ok(first), Ok(last)) = (first.parse::<u32>(), last.parse::<u32>())
    {
        return Numbers {
            words: 3,
            written: (first..=last).map(|number| number.to_string()).collect(),
        };
    }
    Numbers {
        words: single.len(),
        written: single.into_iter().map(str::to_owned).collect(),
    }
}

/// What stands in front of an ID.
#[derive(Clone, Copy, PartialEq)]
enum Mark {
    Attack,
    None,
}

struct Numbers {
    words: usize,
    written: Vec<String>,
}

impl Numbers {
    fn of(self, prefix: &str, mark: Mark) -> impl Iterator<Item = Id> {
        let prefix = prefix.to_ascii_uppercase();
        self.written.into_iter().map(move |number| {
            let is_attack = mark == Mark::Attack
                || number.starts_with('0')
                || ATTACKS_ONLY.contains(&prefix.as_str());
            Id {
                kind: if is_attack {
                    Kind::Attack
                } else {
                    Kind::Requirement
                },
                text: format!("{prefix}-{}", number.to_ascii_uppercase()),
            }
        })
    }
}

/// A row of the decision table. What is an English word too needs `row` or `level` in front.
fn row(word: &str, next: Option<&str>, before: Option<&str>) -> Option<Id> {
    let (letter, rest) = word.split_at_checked(1)?;
    let numbered = "amrl".contains(letter)
        && !rest.is_empty()
        && rest.bytes().all(|octet| octet.is_ascii_digit());
    let named = NAMED_ROWS.contains(&word)
        && before.is_some_and(|before| ["row", "level"].contains(&before));
    if !numbered && !named || UNLISTED_ROWS.contains(&word) {
        return None;
    }
    let text = match (word, next) {
        ("ld", Some("half")) => "LD-half".to_owned(),
        ("l0", Some("testing")) => "L0-T".to_owned(),
        ("l0", Some("failed")) => "L0-F".to_owned(),
        _ => word.to_ascii_uppercase(),
    };
    Some(Id {
        kind: Kind::Row,
        text,
    })
}

/// Scenarios of the lab: the IDs in the comment above a `name:` line, and that name.
fn scenarios(text: &str) -> impl Iterator<Item = (BTreeSet<Id>, &str)> {
    let mut cited = None;
    text.lines().filter_map(move |line| {
        let line = line.trim();
        if let Some(comment) = line.strip_prefix("// ") {
            cited = Some(comment);
            return None;
        }
        let comment = cited.take()?;
        let name = line.strip_prefix("name: \"")?.strip_suffix("\",")?;
        Some((cited_ids(comment), name))
    })
}

/// `DANE-8, attack DANE-05, LD`
fn cited_ids(comment: &str) -> BTreeSet<Id> {
    comment
        .trim_end_matches('.')
        .split(", ")
        .map(|part| {
            let attack = part.strip_prefix("attack ");
            let text = attack.unwrap_or(part);
            let word = text.split('-').next().unwrap_or_default();
            let is_row = !NUMBERED
                .iter()
                .any(|prefix| word.eq_ignore_ascii_case(prefix));
            let kind = match (is_row, attack) {
                (true, _) => Kind::Row,
                (false, Some(_)) => Kind::Attack,
                (false, None) if ATTACKS_ONLY.contains(&word) => Kind::Attack,
                (false, None) => Kind::Requirement,
            };
            Id {
                kind,
                text: text.to_owned(),
            }
        })
        .collect()
}

pub(crate) const LIST: &str = "testdata/requirements.txt";
pub(crate) const UNTESTED: &str = "testdata/untested.txt";
const CATALOGUE: &str = "src/lab/catalogue/";
const NUMBERED: &[&str] = &[
    "dnssec", "tlsa", "dane", "tls", "sts", "id", "dns", "dn", "net", "role", "smtp", "pipe",
    "size", "bdat", "eai", "rtls", "nmx", "lim", "esc",
];
/// No requirement is numbered like these.
const ATTACKS_ONLY: &[&str] = &["DNS", "DN", "NET"];
const NAMED_ROWS: &[&str] = &["me", "ld", "ls"];
/// M1 is the ordinary case.
const UNLISTED_ROWS: &[&str] = &["m1"];
const SHORTEST_REASON: usize = 30;

const HEADER: &str = "
## Requirements and attacks

What the standards ask of a sender, what is tried against one, and the rows of the decision table; the numbers are ours.
";
const EXCUSES: &str = "
### Not tested, and why

| ID | about | reason |
|---|---|---|
";

#[test]
fn a_name_holds_what_it_says() {
    for (name, ids) in [
        (
            "dnssec_1_13_15_an_honest_resolver",
            "DNSSEC-1 DNSSEC-13 DNSSEC-15",
        ),
        (
            "dns_05_06_07_lies",
            "attack DNS-05, attack DNS-06, attack DNS-07",
        ),
        ("dane_5_row_me_a_failed_lookup", "DANE-5 ME"),
        ("dane_05_trust_anchors", "attack DANE-05"),
        (
            "dane_12_attack_dane_10_no_question",
            "DANE-12 attack DANE-10",
        ),
        (
            "attack_dane_11_dane_40_a_forged_mx",
            "attack DANE-11, DANE-40",
        ),
        ("tlsa_12_to_14_danetest_holds", "TLSA-12 TLSA-13 TLSA-14"),
        ("a4_sts_01_a_null_mx", "A4, attack STS-01"),
        (
            "sts_10_sts_04_attack_sts_14_hosts",
            "STS-10, attack STS-04, attack STS-14",
        ),
        ("what_becomes_of_me_and_l1", "L1"),
        ("level_ld_half_is_so", "LD-half"),
        ("l0_testing_is_so", "L0-T"),
        ("rows_m1_and_m2_only", "M2"),
        (
            "dn_11_dn_06_tls_14_attack_tls_14_commands",
            "attack DN-11, attack DN-06, TLS-14, attack TLS-14",
        ),
        ("a_dns_answer_of_an_id", ""),
    ] {
        let expected: BTreeSet<String> = ids
            .replace(", ", " ")
            .replace("attack ", "attack_")
            .split_whitespace()
            .map(|id| id.replace('_', " "))
            .collect();
        let seen: BTreeSet<String> = ids_of(name).iter().map(ToString::to_string).collect();
        assert_eq!(seen, expected, "{name}");
    }
}

#[test]
fn a_ledger_complains_of_gaps_excuses_and_inventions() {
    let listed = "[requirement] R\nDANE-5 five\nDANE-6 six\nDANE-7 seven\n[attack] A\nDANE-07 other\n[row] W\nLD dane\n";
    let test = |name: &str| format!("#[test]\nfn {name}() {{}}\n");
    let excuse = "because nobody could ever see any difference";
    for (row, text, untested, complaints) in [
        (
            "all is held or excused",
            test("dane_5_dane_6_both") + &test("attack_dane_07_row_ld_so"),
            format!("DANE-7 {excuse}\n"),
            vec![],
        ),
        (
            "a gap, an attack is no requirement, and a helper is no test",
            test("dane_5_dane_6_both") + &test("dane_07_row_ld_so") + "fn dane_7_ask() {}\n",
            String::new(),
            vec!["DANE-7: no test"],
        ),
        (
            "a stale excuse",
            test("dane_5_dane_6_dane_7_all") + &test("dane_07_row_ld_so"),
            format!("DANE-7 {excuse}\n"),
            vec!["DANE-7: testdata/untested.txt excuses it"],
        ),
        (
            "an ID that is none, an excuse that is none",
            test("dane_5_dane_6_dane_7_dane_8_all") + &test("dane_07_row_ld_so"),
            "attack DANE-9 later\n".to_owned(),
            vec!["`attack DANE-9 later` is no known ID", "names DANE-8"],
        ),
    ] {
        let source = Source {
            path: "src/a.rs".to_owned(),
            text,
            tests_only: false,
        };
        let seen = Ledger::new(listed, &untested, &[source]).complaints();
        assert_eq!(seen.len(), complaints.len(), "{row}: {seen:?}");
        for complaint in complaints {
            assert!(
                seen.iter().any(|seen| seen.contains(complaint)),
                "{row}: {seen:?}"
            );
        }
    }
}

#[test]
fn a_scenario_holds_what_stands_above_its_name() {
    let text = "    Scenario {\n        // DANE-8, attack DANE-01, LD-half\n        name: \"a\",\n    },\n    Scenario {\n        name: \"b\",\n";
    let seen: Vec<String> = scenarios(text)
        .map(|(ids, name)| format!("{name}: {ids:?}"))
        .collect();
    assert_eq!(seen.len(), 1);
    for part in ["a: ", "DANE-8", "Attack", "LD-half"] {
        assert!(seen[0].contains(part), "{seen:?}");
    }
}
