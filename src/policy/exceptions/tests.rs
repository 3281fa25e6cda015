//! Which exceptions are made, which apply, and how they come and go.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::select;

use super::body::Unreadable;
use super::held::Held;
use super::*;
use crate::dns::negative::NegativeAnchors;

const NOW: Timestamp = Timestamp::from_unix(1_790_000_000);

fn days(number: u64) -> Timestamp {
    NOW.plus(DAY * u32::try_from(number).unwrap())
}

fn draft(scope: &str, what: &str) -> Draft {
    Draft {
        scope: scope.parse().unwrap(),
        what: what.parse().unwrap(),
        author: "ops".into(),
        reason: "their key is broken, ticket 1".into(),
        created: NOW,
        granted: NOW,
        expires: days(10),
    }
}

fn exception(scope: &str, what: &str) -> Exception {
    draft(scope, what).check(Terms::default()).unwrap()
}

fn index(all: &[(&str, &str)]) -> Exceptions {
    Exceptions::new(
        all.iter()
            .map(|(scope, what)| Arc::new(exception(scope, what))),
    )
}

fn pin(octet: char) -> String {
    let encoded: String = std::iter::repeat_n(octet, 42).chain("A=".chars()).collect();
    format!("sha256/{encoded}")
}

#[test]
fn every_word_is_read_and_written_alike_and_others_say_what_was_expected() {
    let two = format!("pin {} {}", pin('A'), pin('B'));
    for text in ["none", "encrypt", "webpki", "mta-sts", "dane", "nta", &two] {
        let what: What = text.parse().unwrap();
        assert_eq!(what.to_string(), text);
        assert!(What::KINDS.contains(&what.kind()));
    }
    let many = format!("pin {}", vec![pin('A'); 9].join(" "));
    for (text, part) in [
        ("", "expected none, encrypt"),
        ("None", "got \"None\""),
        ("none dane", "got \"none dane\""),
        ("pin", "expected one to 8 pins, got 0"),
        (&many, "got 9"),
        ("pin sha1/AAAA", "expected sha256/"),
        ("pin sha256/AAAA", "32 octets"),
        ("pin sha256/not base64", "32 octets"),
    ] {
        let told = text.parse::<What>().unwrap_err().to_string();
        assert!(told.contains(part), "{text:?}: {told}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table, one row per rule")]
fn a_draft_that_breaks_rules_is_told_of_all_of_them() {
    type Change = fn(&mut Draft);
    let rows: [(&str, Change, &[&str]); 13] = [
        ("nothing is wrong", |_| {}, &[]),
        ("no author", |draft| draft.author = " ".into(), &["author"]),
        (
            "a line end in the reason",
            |draft| draft.reason = "a\nb".into(),
            &["reason"],
        ),
        (
            "a long reason",
            |draft| draft.reason = "x".repeat(501),
            &["reason"],
        ),
        ("no life", |draft| draft.expires = NOW, &["expires"]),
        ("as long as may be", |draft| draft.expires = days(90), &[]),
        (
            "a second longer",
            |draft| draft.expires = days(90).plus(Duration::from_secs(1)),
            &["expires"],
        ),
        (
            "a renewal counts from its grant",
            |draft| {
                draft.granted = days(80);
                draft.expires = days(170);
            },
            &[],
        ),
        (
            "a trust anchor with an asterisk",
            |draft| {
                draft.what = What::Nta;
                draft.scope = "*.example.org".parse().unwrap();
            },
            &["domain"],
        ),
        (
            "a trust anchor at a top-level domain",
            |draft| {
                draft.what = What::Nta;
                draft.scope = "org".parse().unwrap();
            },
            &["domain"],
        ),
        (
            "all of a top-level domain loosened",
            |draft| draft.scope = "*.org".parse().unwrap(),
            &["domain"],
        ),
        (
            "all of it required more of",
            |draft| {
                draft.what = What::Dane;
                draft.scope = "*.org".parse().unwrap();
            },
            &[],
        ),
        (
            "everything at once",
            |draft| {
                draft.author = String::new();
                draft.reason = String::new();
                draft.expires = days(91);
                draft.scope = "*.org".parse().unwrap();
            },
            &["domain", "author", "reason", "expires"],
        ),
    ];
    for (row, change, expected) in rows {
        let mut draft = draft("example.org", "none");
        change(&mut draft);
        let faults = draft.check(Terms::default()).err().unwrap_or_default();
        let fields: Vec<_> = faults.iter().map(|fault| fault.field).collect();
        assert_eq!(fields, expected, "{row}");
        assert!(faults.iter().all(|fault| !fault.expected.is_empty()));
    }
}

#[test]
fn ids_are_short_and_stay_the_same_wherever_and_whenever_they_are_granted() {
    let first = exception("example.org", "none");
    assert_eq!(first.id().as_str().len(), 8);
    let later = first.renewed(days(5), days(60), Terms::default()).unwrap();
    assert_eq!(later.id(), first.id());
    assert_eq!(later.expires(), days(60));
    assert_eq!(later.draft().created, NOW);
    let others = [
        exception("*.example.org", "none"),
        exception("example.org", "encrypt"),
        exception("example.net", "none"),
    ];
    assert!(others.iter().all(|other| other.id() != first.id()));
    // Written down: another release must find the exceptions of this one.
    assert_eq!(first.id().as_str(), FIRST_ID);
    assert_eq!(
        Id::typed(&format!(" {} ", FIRST_ID.to_uppercase())),
        *first.id()
    );
}

const FIRST_ID: &str = "hpyj62b2";

#[test]
fn the_most_specific_applies_and_of_two_for_one_scope_the_stricter() {
    let index = index(&[
        ("*.example.org", "dane"),
        ("a.example.org", "none"),
        ("example.org", "encrypt"),
        ("example.org", "webpki"),
        ("example.org", "nta"),
    ]);
    for (domain, expected) in [
        ("a.example.org", Some("none")),
        ("b.example.org", Some("dane")),
        ("b.a.example.org", Some("dane")),
        ("example.org", Some("webpki")),
        ("example.net", None),
    ] {
        let found = index.of(&domain.parse().unwrap(), NOW);
        assert_eq!(found.map(|one| one.what().kind()), expected, "{domain}");
    }
}

#[test]
fn an_ended_one_gives_way_to_the_next() {
    let short = Draft {
        expires: days(1),
        ..draft("a.example.org", "none")
    };
    let index = Exceptions::new(
        [
            short.check(Terms::default()).unwrap(),
            exception("*.example.org", "dane"),
        ]
        .map(Arc::new),
    );
    let domain: Domain = "a.example.org".parse().unwrap();
    for (now, expected) in [
        (NOW, Some("none")),
        (days(1), Some("dane")),
        (days(10), None),
    ] {
        let found = index.of(&domain, now);
        assert_eq!(found.map(|one| one.what().kind()), expected, "{now}");
    }
}

#[test]
fn a_negative_trust_anchor_lies_over_its_name_and_all_below() {
    let index = index(&[("example.org", "nta"), ("deep.example.net", "nta")]);
    for (name, covered) in [
        ("example.org", true),
        ("_25._tcp.mx.example.org", true),
        ("notexample.org", false),
        ("org", false),
        ("example.net", false),
        ("a.deep.example.net", true),
    ] {
        assert_eq!(index.anchor(name, NOW).is_some(), covered, "{name}");
        assert!(index.anchor(name, days(10)).is_none(), "{name}");
    }
    let names = ["mx.example.org", "example.org", "example.com"].map(|name| name.parse().unwrap());
    assert_eq!(index.anchors(&names, NOW).len(), 1);
}

#[test]
fn what_is_kept_is_read_again_and_what_is_damaged_says_where() {
    let exception = exception("*.example.org", &format!("pin {}", pin('A')));
    let body = exception.to_body();
    let read = Exception::from_body(&body, Terms::default());
    assert_eq!(read, Ok(exception.clone()));
    // A newer release may add members.
    let newer = body.replace('{', "{\"more\":1,");
    assert_eq!(
        Exception::from_body(&newer, Terms::default()),
        Ok(exception)
    );
    for (from, to, part) in [
        ("pin sha256", "pin sha512", "its what is wrong"),
        ("*.example.org", "*", "its domain is wrong"),
        ("\"ops\"", "\"\"", "its author is wrong"),
        ("\"author\":", "\"auther\":", "missing field `author`"),
        ("{", "", "expected an exception"),
    ] {
        let damaged = body.replacen(from, to, 1);
        assert_ne!(damaged, body, "{from}");
        let told = Exception::from_body(&damaged, Terms::default()).unwrap_err();
        assert!(told.to_string().contains(part), "{told}");
    }
}

#[test]
fn a_lower_cap_shortens_what_was_granted_before() {
    let body = exception("example.org", "none").to_body();
    let read = Exception::from_body(&body, Terms::of_days(3)).unwrap();
    assert_eq!(read.expires(), days(3));
}

#[test]
fn rows_come_and_go_and_one_that_cannot_be_read_changes_nothing() {
    let held = Held::new(
        vec![exception("declared.example", "dane")],
        Terms::default(),
    );
    let applies = |domain: &str| {
        let all = held.all();
        let found = all.of(&domain.parse().unwrap(), NOW);
        found.map(|one| one.what().kind())
    };
    let stored = exception("stored.example", "none");
    let key = stored.id().as_str();
    held.hear(key, Some(&stored.to_body())).unwrap();
    assert_eq!(
        (applies("declared.example"), applies("stored.example")),
        (Some("dane"), Some("none"))
    );
    assert!(matches!(
        held.hear(key, Some("{}")),
        Err(Unreadable::Form(_))
    ));
    assert_eq!(applies("stored.example"), Some("none"));
    held.hear(key, None).unwrap();
    assert_eq!(applies("stored.example"), None);
    assert_eq!(applies("declared.example"), Some("dane"));
    // What was found out in DNS stays good as long as no negative trust anchor comes or goes.
    let before = held.revision();
    let anchor = exception("stored.example", "nta");
    held.hear(anchor.id().as_str(), Some(&anchor.to_body()))
        .unwrap();
    let after = held.revision();
    held.hear(key, Some(&stored.to_body())).unwrap();
    assert!(after > before);
    assert_eq!(held.revision(), after);
    assert_eq!(held.over("mx.stored.example", NOW), Some(days(10)));
}

#[test]
fn each_end_is_told_once_and_that_of_a_renewal_once_more() {
    let held = Held::default();
    let first = exception("example.org", "none");
    let told = |now| held.newly_ended(now).len();
    held.hear(first.id().as_str(), Some(&first.to_body()))
        .unwrap();
    assert_eq!((told(NOW), told(days(10)), told(days(11))), (0, 1, 0));
    let renewed = first.renewed(days(11), days(20), Terms::default()).unwrap();
    held.hear(first.id().as_str(), Some(&renewed.to_body()))
        .unwrap();
    assert_eq!((told(days(12)), told(days(20)), told(days(20))), (0, 1, 0));
}

proptest! {
    #[test]
    fn an_exception_applies_to_its_own_domains_alone_and_not_after_its_end(
        granted in 0_u64..90, life in 1_u64..=90, asked in 0_u64..300,
        scope in select(&["a.example", "*.a.example", "b.a.example"][..]),
        domain in select(&["a.example", "b.a.example", "c.b.a.example", "xa.example", "example", "b.example"][..]),
    ) {
        let draft = Draft { granted: days(granted), expires: days(granted + life), ..draft(scope, "none") };
        let one = Arc::new(draft.check(Terms::default()).unwrap());
        let index = Exceptions::new([Arc::clone(&one)]);
        let applies = index.of(&domain.parse().unwrap(), days(asked)).is_some();
        let base = scope.trim_start_matches("*.");
        let is_meant = if scope == base { domain == base } else { domain.ends_with(&format!(".{base}")) };
        prop_assert_eq!(applies, is_meant && asked < granted + life);
    }
}
