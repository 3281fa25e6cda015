//! `danelaw dane verify`: what matches, what does not and why, and what is no input at all.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::chains::{Cert, Family, between, ca, server};
use crate::{Files, MX, T0, answer, dane, word};

/// Holds a chain against records under these names, at [`T0`].
fn verify(records: &[String], chain: &[&Cert], names: &[&str]) -> (Value, i32) {
    let files = Files::new();
    let path = files.chain(chain);
    let mut arguments = vec![OsStr::new("--json"), OsStr::new("--time"), OsStr::new(T0)];
    arguments.extend([OsStr::new("--chain"), path.as_os_str()]);
    for record in records {
        arguments.extend([OsStr::new("--tlsa"), OsStr::new(record)]);
    }
    for name in names {
        arguments.extend([OsStr::new("--name"), OsStr::new(name)]);
    }
    answer(&dane("verify", &arguments))
}

#[test]
fn tlsa_9_tlsa_13_tlsa_14_every_usable_kind_matches_where_it_should() {
    let family = Family::of(&[MX]);
    for selector in [0, 1] {
        for matching in [0, 1, 2] {
            for (usage, certificate, depth) in [
                (3, &family.leaf, 0),
                (2, &family.issuer, 1),
                (2, &family.root, 2),
            ] {
                let kind = [usage, selector, matching];
                let record = certificate.record(kind);
                let (found, exit) = verify(std::slice::from_ref(&record), &family.chain(), &[MX]);
                let numbers = json!([
                    found["result"],
                    found["usage"],
                    found["selector"],
                    found["matching_type"],
                    found["depth"],
                    found["reason"]
                ]);
                assert_eq!(
                    numbers,
                    json!(["match", usage, selector, matching, depth, null]),
                    "{record}"
                );
                assert_eq!(exit, 0, "{record}");
            }
        }
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table is as long as it has rows")]
fn tlsa_6_tlsa_12_tlsa_17_tlsa_18_what_does_not_match_says_why() {
    let family = Family::of(&[MX]);
    let other = Family::of(&[MX]);
    let old = {
        let issuer = family.root.issue(ca("Issuer"));
        let leaf = issuer.issue(between(server(&[MX]), 2020, 2021));
        (leaf, issuer)
    };
    let chain = family.chain();
    let root = family.root.record([2, 0, 1]);
    let leaf = family.leaf.record([3, 1, 1]);
    for (sentence, records, chain, names, expected) in [
        (
            "another key",
            vec![other.leaf.record([3, 1, 1])],
            &chain[..],
            &[MX][..],
            "dane-mismatch",
        ),
        (
            "the root, and another name",
            vec![root.clone()],
            &chain,
            &["mx.example.org"],
            "dane-name",
        ),
        (
            "the root, and no name",
            vec![root.clone()],
            &chain,
            &[],
            "dane-name",
        ),
        (
            "the root, and the second of two names",
            vec![root.clone()],
            &chain,
            &["mx.example.org", MX],
            "2",
        ),
        (
            "the leaf, and another name",
            vec![leaf.clone()],
            &chain,
            &["mx.example.org"],
            "0",
        ),
        (
            "the leaf, and no name",
            vec![leaf.clone()],
            &chain,
            &[],
            "0",
        ),
        (
            "an expired leaf below the root",
            vec![root.clone()],
            &[&old.0, &old.1, &family.root],
            &[MX],
            "dane-expired",
        ),
        (
            "an expired leaf itself",
            vec![old.0.record([3, 1, 1])],
            &[&old.0],
            &[MX],
            "0",
        ),
        (
            "a leaf that is to be its own CA",
            vec![family.leaf.record([2, 1, 1])],
            &chain,
            &[MX],
            "dane-path",
        ),
        (
            "usage 1, a digest cut short, an unknown selector and an empty RDATA",
            vec![
                family.leaf.record([1, 1, 1]),
                leaf[..leaf.len() - 2].to_owned(),
                leaf.replacen("3 1", "3 2", 1),
                r"\# 0".into(),
            ],
            &chain,
            &[MX],
            "unusable",
        ),
        (
            "one that can be used beside those that cannot",
            vec!["3 1".into(), family.leaf.record([0, 0, 1]), leaf.clone()],
            &chain,
            &[MX],
            "0",
        ),
    ] {
        let found = verify(&records, chain, names);
        assert_eq!(word(&found), expected, "{sentence}: {}", found.0);
        assert_eq!(found.0["records"].as_array().unwrap().len(), records.len());
    }
    let (found, _) = verify(&[root], &chain, &[]);
    let note = found["notes"][0].as_str().unwrap();
    assert!(note.contains("--name"), "{note}");
}

#[test]
fn tlsa_11_dane_04_agility_is_shown_record_by_record() {
    let leaf = Cert::self_signed(server(&[MX]));
    let other = Cert::self_signed(server(&[MX]));
    let cut = |record: String| record[..record.len() - 2].to_owned();
    for (sentence, records, expected, statuses) in [
        (
            "a wrong SHA-512 drives the right SHA-256 out",
            vec![leaf.record([3, 1, 1]), other.record([3, 1, 2])],
            "dane-mismatch",
            json!(["outdone", "usable"]),
        ),
        (
            "a malformed one does not",
            vec![leaf.record([3, 1, 1]), cut(other.record([3, 1, 2]))],
            "0",
            json!(["usable", "unusable"]),
        ),
        (
            "nor one for another selector",
            vec![
                leaf.record([3, 1, 1]),
                other.record([3, 0, 2]),
                leaf.record([3, 1, 1]),
            ],
            "0",
            json!(["usable", "usable", "repeated"]),
        ),
    ] {
        let found = verify(&records, &[&leaf], &[MX]);
        assert_eq!(word(&found), expected, "{sentence}");
        let told: Value = found.0["records"]
            .as_array()
            .unwrap()
            .iter()
            .map(|record| record["status"].clone())
            .collect();
        assert_eq!(told, statuses, "{sentence}");
    }
}

#[test]
fn tlsa_17_time_is_an_argument() {
    let root = Cert::self_signed(ca("Root"));
    let leaf = root.issue(between(server(&[MX]), 2027, 2028));
    let files = Files::new();
    let chain = files.chain(&[&leaf, &root]);
    let record = root.record([2, 1, 1]);
    for (time, exit) in [
        ("2026-12-31T23:59:59Z", 1),
        ("2027-01-01T00:00:00Z", 0),
        ("2027-01-01T00:59:59+01:00", 1),
        ("2027-06-01t12:00:00.5z", 0),
        ("2028-01-02T00:00:00Z", 1),
    ] {
        let arguments = ["--json", "--tlsa", &record, "--name", MX, "--time", time].map(OsStr::new);
        let mut arguments = arguments.to_vec();
        arguments.extend([OsStr::new("--chain"), chain.as_os_str()]);
        let output = dane("verify", &arguments);
        assert_eq!(output.status.code(), Some(exit), "{time}");
    }
}

#[test]
fn the_answer_has_one_shape() {
    let leaf = Cert::self_signed(server(&[MX]));
    let files = Files::new();
    let chain = files.chain(&[&leaf]);
    let full = leaf.record([3, 1, 1]);
    let digest = |kind| leaf.record(kind)[6..].to_owned();
    let arguments = |record: &str| {
        let fixed = [
            "--json",
            "--time",
            T0,
            "--name",
            "MX.Example.com.",
            "--tlsa",
            record,
        ];
        let mut arguments: Vec<&OsStr> = Vec::new();
        arguments.extend([OsStr::new("--chain"), chain.as_os_str()]);
        let fixed: Vec<_> = fixed.iter().map(|one| (*one).to_owned()).collect();
        let output = Command::new(env!("CARGO_BIN_EXE_danelaw"))
            .args(["dane", "verify"])
            .args(fixed)
            .args(arguments)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let certificates = format!(
        r#""certificates":[{{"cert_sha256":"{}","spki_sha256":"{}","names":["{MX}"]}}],"notes":[]}}"#,
        digest([3, 0, 1]),
        digest([3, 1, 1]),
    );
    assert_eq!(
        arguments(&full),
        format!(
            r#"{{"result":"match","usage":3,"selector":1,"matching_type":1,"depth":0,"reason":null,"time":"{T0}","names":["{MX}"],"records":[{{"record":"{full}","status":"usable","note":null}}],{certificates}
"#
        )
    );
    assert_eq!(
        arguments("3 1 1"),
        format!(
            r#"{{"result":"unusable","usage":null,"selector":null,"matching_type":null,"depth":null,"reason":"tlsa-unusable: no record can be used, so TLS is demanded and nobody is authenticated","time":"{T0}","names":["{MX}"],"records":[{{"record":"\\# 3 030101","status":"unusable","note":"its RDATA has 3 octets; usage, selector, matching type and at least one octet of data are needed"}}],{certificates}
"#
        )
    );
}

#[test]
fn names_and_lists_are_taken_as_people_keep_them() {
    let root = Cert::self_signed(ca("Root"));
    let leaf = root.issue(server(&["xn--mller-kva.example"]));
    let files = Files::new();
    // What stands between the sections is no matter, and neither is a section of another kind.
    let chain = files.put(
        "chain.pem",
        format!(
            "subject=…\n{}\n{}some words\n\n{}",
            leaf.pem,
            leaf.key.public_key_pem(),
            root.pem
        ),
    );
    let zone = files.put(
        "zone",
        format!(
            "$ORIGIN xn--mller-kva.example.\n; the CA\n_25._tcp 3600 IN TLSA ( {}\n )\n# and a key\n_25._TCP TYPE52 \\# 35 {}\n",
            root.record([2, 0, 1]),
            "03 01 01".to_owned() + &"ab".repeat(32),
        ),
    );
    let mut arguments = vec![
        OsStr::new("--json"),
        OsStr::new("--tlsa-file"),
        zone.as_os_str(),
    ];
    arguments.extend([OsStr::new("--chain"), chain.as_os_str()]);
    arguments.extend(["--name", "MÜLLER.example."].map(OsStr::new));
    let found = answer(&dane("verify", &arguments));
    assert_eq!(word(&found), "1", "{}", found.0);
    assert_eq!(found.0["names"], json!(["xn--mller-kva.example"]));
    assert_eq!(found.0["records"].as_array().unwrap().len(), 2);
}

/// Runs `verify` with what is good but for the given arguments.
fn complaint(files: &Files, instead: &[(&str, &OsStr)]) -> (String, Option<i32>) {
    let leaf = Cert::self_signed(server(&[MX]));
    let record = leaf.record([3, 1, 1]);
    let chain = files.chain(&[&leaf]);
    let mut arguments: Vec<&OsStr> = Vec::new();
    for (option, value) in [
        ("--tlsa", OsStr::new(&record)),
        ("--chain", chain.as_os_str()),
        ("--name", OsStr::new(MX)),
    ] {
        if !instead.iter().any(|(other, _)| *other == option) {
            arguments.extend([OsStr::new(option), value]);
        }
    }
    for (option, value) in instead {
        arguments.extend([OsStr::new(option), value]);
    }
    let output = dane("verify", &arguments);
    assert!(
        output.status.code() == Some(0) || output.stdout.is_empty(),
        "no answer beside a complaint"
    );
    (
        String::from_utf8(output.stderr).unwrap(),
        output.status.code(),
    )
}

/// Each of these is one line on stderr that says so, and exit code 2.
fn all_bad(files: &Files, option: &str, rows: &[(&OsStr, &str)]) {
    assert_eq!(
        complaint(files, &[]).1,
        Some(0),
        "the rest of the input is good"
    );
    for (value, said) in rows {
        let (error, code) = complaint(files, &[(option, value)]);
        assert_eq!(code, Some(2), "{option} {value:?}: {error}");
        assert!(
            error.contains(said) && error.lines().count() == 1,
            "{option} {value:?}: {error}"
        );
    }
}

#[test]
fn a_file_without_a_chain_is_bad_input() {
    let files = Files::new();
    let leaf = Cert::self_signed(server(&[MX]));
    let put = |name: &str, content: &[u8]| files.put(name, content);
    let cut = &leaf.pem.as_bytes()[..leaf.pem.len() / 2];
    let garbled = leaf.pem.replacen("-\nMI", "-\n!!", 1);
    let words = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let rows = [
        (Path::new("/nonexistent/file").into(), "cannot be read"),
        (files.0.path().into(), "cannot be read"),
        (put("empty", b""), "no `BEGIN CERTIFICATE` section"),
        (put("binary", BINARY), "no `BEGIN CERTIFICATE` section"),
        (put("leaf.der", &leaf.der), "openssl x509 -inform DER"),
        (
            put("key.pem", leaf.key.public_key_pem().as_bytes()),
            "no `BEGIN CERTIFICATE` section",
        ),
        (put("cut.pem", cut), "damaged"),
        (put("garbled.pem", garbled.as_bytes()), "damaged"),
        (put("words.pem", words), "not readable"),
        (put("huge", &vec![b'a'; 2 << 20]), "larger than"),
        (Path::new("/dev/zero").into(), "larger than"),
    ];
    let rows = rows
        .each_ref()
        .map(|(path, said)| (path.as_os_str(), *said));
    all_bad(&files, "--chain", &rows);
}

#[test]
fn a_file_without_an_rrset_is_bad_input() {
    let files = Files::new();
    let put = |name: &str, content: &[u8]| files.put(name, content);
    let owners = b"_25._tcp.a. TLSA 3 1 1 ab\n_25._tcp.b. TLSA 3 1 1 ab\n";
    let rows = [
        (Path::new("/nonexistent/file").into(), "cannot be read"),
        (put("empty", b""), "holds no record"),
        (
            put("comments", b"; 3 1 1 ab\n# 3 1 1 ab\n"),
            "holds no record",
        ),
        (put("binary", BINARY), "not text"),
        (put("huge", &vec![b'a'; 2 << 20]), "larger than"),
        (put("owners", owners), "one RRset"),
        (
            put("odd", b"3 1 1 ab\n\n3 1 1 a\n"),
            "line 3: expected two hexadecimal digits",
        ),
    ];
    let rows = rows
        .each_ref()
        .map(|(path, said)| (path.as_os_str(), *said));
    all_bad(&files, "--tlsa-file", &rows);
}

#[test]
fn a_text_that_is_no_record_name_or_time_is_bad_input() {
    let files = Files::new();
    let not_utf8 = OsStr::from_bytes(b"m\xfcller.example");
    let rows = |rows: &[(&'static str, &'static str)]| -> Vec<(&'static OsStr, &'static str)> {
        rows.iter()
            .map(|(text, said)| (OsStr::new(*text), *said))
            .collect()
    };
    let records = rows(&[
        ("", "got nothing"),
        ("3 1 1 abc", "two hexadecimal digits"),
        ("3 1 1 xy", "expected hexadecimal digits"),
        ("3 1 300 ab", "as the matching type"),
        ("PKIX-EE 1 1 ab", "as the usage"),
        (r"\# 5 030101ab", "as many octets"),
    ]);
    all_bad(&files, "--tlsa", &records);
    all_bad(&files, "--tlsa", &[(not_utf8, "not UTF-8")]);
    let names = rows(&[
        ("", "empty label"),
        ("a..b", "empty label"),
        ("192.0.2.1", "an address"),
    ]);
    all_bad(&files, "--name", &names);
    all_bad(&files, "--name", &[(not_utf8, "not UTF-8")]);
    let times = rows(&[
        ("yesterday", "2026-01-31T12:00:00Z"),
        ("2026-02-30T00:00:00Z", "2026-01-31T12:00:00Z"),
        ("1969-12-31T23:59:59Z", "after 1970"),
    ]);
    all_bad(&files, "--time", &times);
}

const BINARY: &[u8] = &[0xff, 0x00, 0xfe, b'\n', 0x80];
