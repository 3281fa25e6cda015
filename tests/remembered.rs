//! The real binary lists, shows, releases and revokes what a store remembers.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test crate: it runs programs, writes files, and fails by panicking"
)]

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use danelaw::clock::Timestamp;
use danelaw::policy::continuity::{Fact, Key, Standing};
use danelaw::policy::pins::Pin;
use danelaw::store::sqlite::SqliteStore;
use danelaw::store::{Batch, Kind, Query, Row, Store};
use serde_json::Value;
use tempfile::TempDir;

const DAY: u64 = 86_400;

struct Place {
    directory: TempDir,
    now: u64,
}

impl Place {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let text = "[dns]\nresolvers = [\"127.0.0.1:9\"]\n[tls]\nca_file = \"roots.pem\"\n\
                    [store]\npath = \"d.db\"\n";
        let path = |name: &str| directory.path().join(name);
        fs::write(path("danelaw.toml"), text).unwrap();
        let roots = include_str!("../testdata/config/ca.pem");
        fs::write(path("roots.pem"), roots).unwrap();
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs();
        Self { directory, now }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn store(&self) -> SqliteStore {
        SqliteStore::open(&self.path("d.db")).unwrap()
    }

    fn filled() -> Self {
        let place = Self::new();
        let lost = place.standing(Some(place.now - DAY));
        let well = place.standing(None);
        let pin = Pin {
            host: Some("mx.example.com".into()),
            domains: ["example.com".to_owned()].into(),
            basis: "dane-ee".into(),
            level: "LD".into(),
            spki: "ab".repeat(32),
            first: place.now - DAY,
            last: place.now,
            sessions: 3,
            ..Pin::default()
        };
        let rows = vec![
            place.row(
                Kind::Continuity,
                "mx.example.com:25",
                "mx.example.com",
                &lost,
            ),
            place.row(
                Kind::Continuity,
                "mx.example.org:25",
                "mx.example.org",
                &well,
            ),
            place.row(
                Kind::Pin,
                &format!("192.0.2.1:25 mx.example.com {}", "0".repeat(64)),
                "mx.example.com",
                &pin,
            ),
        ];
        let batch = Batch {
            rows,
            ..Batch::default()
        };
        place.store().write(&batch).unwrap();
        place
    }

    fn row(&self, kind: Kind, key: &str, about: &str, body: &impl serde::Serialize) -> Row {
        Row {
            kind,
            key: key.into(),
            about: about.into(),
            at: Timestamp::from_unix(self.now),
            body: Some(serde_json::to_string(body).unwrap()),
        }
    }

    fn standing(&self, lost: Option<u64>) -> Standing {
        let key = Key {
            issuer: "A CA".into(),
            first: self.now - 30 * DAY,
            last: self.now - 2 * DAY,
            sessions: 500,
        };
        Standing {
            tls: Fact {
                first: self.now - 30 * DAY,
                last: self.now - 2 * DAY,
                sessions: 500,
                lost,
                told: 0,
            },
            keys: [("cd".repeat(32), key)].into(),
            ..Standing::default()
        }
    }

    /// Exit code, stdout and stderr.
    fn danelaw(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_danelaw"))
            .args(arguments)
            .arg("--config")
            .arg(self.path("danelaw.toml"))
            .output()
            .unwrap();
        (
            output.status.code().unwrap(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    }

    fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let (code, out, error) = self.danelaw(&[arguments, &["--json"]].concat());
        assert_eq!(code, 0, "{error}");
        out.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

#[test]
fn what_is_remembered_of_hosts_is_listed_shown_and_released() {
    let place = Place::filled();
    let (code, out, _) = place.danelaw(&["continuity", "list"]);
    assert_eq!((code, out.lines().count()), (0, 2), "{out}");
    let (_, out, _) = place.danelaw(&["continuity", "list", "--lost"]);
    assert!(
        out.starts_with("mx.example.com:25  known for TLS since "),
        "{out}"
    );
    assert!(out.ends_with(", lost: TLS\n"), "{out}");
    let (code, out, _) = place.danelaw(&["continuity", "show", "MX.example.com"]);
    assert_eq!(code, 0);
    for part in [
        "known for TLS since",
        "missing since",
        &"cd".repeat(32),
        "by A CA",
    ] {
        assert!(out.contains(part), "{part} in {out}");
    }
    let shown = place.json(&["continuity", "show", "mx.example.com"]);
    assert_eq!(shown[0]["lost"], serde_json::json!(["TLS"]));
    assert!(shown[0]["known_for_tls"].is_string());

    let (code, out, _) = place.danelaw(&["continuity", "release", "mx.example.com"]);
    assert_eq!(code, 0);
    assert!(out.contains("mx.example.com:25: released"), "{out}");
    let shown = place.json(&["continuity", "show", "mx.example.com"]);
    assert_eq!(shown[0]["known_for_tls"], Value::Null);
    assert_eq!(shown[0]["lost"], serde_json::json!([]));
    // The other host is as it was.
    let other = place.json(&["continuity", "show", "mx.example.org"]);
    assert!(other[0]["known_for_tls"].is_string());
}

#[test]
fn pins_are_listed_shown_and_revoked_by_whatever_names_them() {
    let place = Place::filled();
    let listed = place.json(&["pins", "list"]);
    assert_eq!(listed.len(), 1);
    let id = listed[0]["id"].as_str().unwrap();
    assert_eq!(listed[0]["pin"]["basis"], "dane-ee");
    for which in [
        id,
        "mx.example.com",
        "example.com",
        "192.0.2.1",
        "192.0.2.1:25",
        "all",
    ] {
        let (code, out, _) = place.danelaw(&["pins", "show", which]);
        assert_eq!(code, 0, "{which}");
        assert!(
            out.contains("dane-ee (LD)") && !out.contains("revoked"),
            "{which}: {out}"
        );
    }
    let (code, out, _) = place.danelaw(&["pins", "revoke", id]);
    assert_eq!(code, 0);
    assert!(
        out.contains("192.0.2.1:25 as mx.example.com: revoked"),
        "{out}"
    );
    let rows = place.store().find(Kind::Pin, Query::Latest, 10).unwrap();
    let pin: Pin = serde_json::from_str(rows[0].body.as_deref().unwrap()).unwrap();
    assert!(pin.revoked >= place.now);
    let (_, out, _) = place.danelaw(&["pins", "show", id]);
    assert!(out.contains("revoked"), "{out}");
}

#[test]
fn what_is_not_there_and_what_cannot_be_read_are_told_apart() {
    let place = Place::new();
    assert_eq!(place.danelaw(&["pins", "list"]).0, 2, "no store is made");
    drop(place.store());
    assert_eq!(place.danelaw(&["pins", "list"]).0, 0);
    for arguments in [
        ["continuity", "show", "mx.example.com"],
        ["continuity", "release", "mx.example.com"],
        ["pins", "show", "mx.example.com"],
        ["pins", "revoke", "all"],
    ] {
        assert_eq!(place.danelaw(&arguments).0, 1, "{arguments:?}");
    }
    assert_eq!(place.danelaw(&["continuity", "show", "mx..example"]).0, 64);
    let damaged = place.row(
        Kind::Continuity,
        "mx.example.com:25",
        "mx.example.com",
        &"x",
    );
    let batch = Batch {
        rows: vec![damaged],
        ..Batch::default()
    };
    place.store().write(&batch).unwrap();
    let (code, _, error) = place.danelaw(&["continuity", "show", "mx.example.com"]);
    assert_eq!(code, 2);
    let is_told = error.contains("mx.example.com:25") && error.contains("is damaged");
    assert!(is_told, "{error}");
    fs::write(place.path("danelaw.toml"), "").unwrap();
    let (code, _, error) = place.danelaw(&["pins", "list"]);
    assert_eq!(code, 2);
    assert!(error.contains("there is nobody to ask"), "{error}");
}
