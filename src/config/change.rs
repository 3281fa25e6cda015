//! What differs between two configurations, and what of it a running process can follow.
//!
//! Listeners, interception, store, admin address, control socket, log format and privileges belong to the process: they stay as they
//! were at the start, all else is followed.
#![expect(
    clippy::disallowed_methods,
    reason = "IO: looks whether the files that a configuration names have changed"
)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::file::Loaded;
use super::read::Setting;
use super::{Config, ListenerConfig, LogConfig, StoreConfig};

/// A value that another one has taken the place of; none is not set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// As it stands in messages: `dns.timeout`, `listener[0].address`.
    pub key: String,
    /// What it was.
    pub was: Option<Json>,
    /// What it is.
    pub is: Option<Json>,
}

/// What a reload comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// In force for new sessions.
    pub changed: Vec<Change>,
    /// Files that the configuration named before and names now, whose content is another.
    pub files: Vec<String>,
    /// In the file and not in force.
    pub needs_restart: Vec<Change>,
}

/// A configuration as it was read, to be compared with the next.
#[derive(Clone, Debug)]
pub struct Read {
    settings: BTreeMap<Place, Option<Json>>,
    files: BTreeMap<&'static str, Option<[u8; 32]>>,
}

/// Table, index and key.
type Place = (String, usize, &'static str);

impl Read {
    /// Reads the files that it names as well; one that cannot be read is told of elsewhere.
    #[must_use]
    pub fn of(loaded: &Loaded) -> Self {
        let settings = loaded.settings.iter().map(|setting| {
            let Setting {
                table, index, key, ..
            } = setting;
            ((table.clone(), *index, *key), setting.value.clone())
        });
        let files = files(&loaded.config).into_iter().map(|(key, path)| {
            let content = std::fs::read(path).ok();
            let digest = content.and_then(|content| {
                let digest = digest(&SHA256, &content);
                digest.as_ref().try_into().ok()
            });
            (key, digest)
        });
        Self {
            settings: settings.collect(),
            files: files.collect(),
        }
    }

    /// What this one changes after `last`, in a process that was started with `started`.
    #[must_use]
    pub fn after(&self, last: &Self, started: &Self) -> Changes {
        let files = self
            .files
            .iter()
            .filter(|(key, digest)| last.files.get(*key).is_some_and(|before| before != *digest));
        Changes {
            changed: self.unlike(last, |key| !is_fixed(key)),
            files: files.map(|(key, _)| (*key).to_owned()).collect(),
            needs_restart: self.unlike(started, is_fixed),
        }
    }

    fn unlike(&self, before: &Self, of: impl Fn(&Key<'_>) -> bool) -> Vec<Change> {
        let mut keys: Vec<_> = self.settings.keys().chain(before.settings.keys()).collect();
        keys.sort();
        keys.dedup();
        let listeners_differ = self.sockets() != before.sockets();
        keys.into_iter()
            .filter_map(|key| {
                let (table, index, name) = key;
                let [was, is] =
                    [before, self].map(|read| read.settings.get(key).cloned().flatten());
                let place = Key {
                    table,
                    key: name,
                    listeners_differ,
                };
                (was != is && of(&place)).then(|| Change {
                    key: written(table, *index, name),
                    was,
                    is,
                })
            })
            .collect()
    }

    /// What makes one listener another.
    fn sockets(&self) -> Vec<(&Place, &Option<Json>)> {
        let is_socket = |key: &Place| key.0 == LISTENER && SOCKET_KEYS.contains(&key.2);
        self.settings
            .iter()
            .filter(|(key, _)| is_socket(key))
            .collect()
    }
}

struct Key<'a> {
    table: &'a str,
    key: &'static str,
    /// Then none of their other keys can be told to belong to one that there is.
    listeners_differ: bool,
}

const LISTENER: &str = "[[listener]]";
const SOCKET_KEYS: [&str; 3] = ["kind", "address", "fd"];

/// Does it stay as it was at the start?
fn is_fixed(key: &Key<'_>) -> bool {
    match key.table {
        LISTENER => key.listeners_differ || SOCKET_KEYS.contains(&key.key),
        "[store]" => ["path", "url", "password_file", "snapshot"].contains(&key.key),
        "[admin]" | "[control]" | "[intercept]" | "[run]" => true,
        "[log]" => key.key == "format",
        _ => false,
    }
}

fn written(table: &str, index: usize, key: &str) -> String {
    let name = table.trim_matches(['[', ']']);
    match table {
        "" => key.to_owned(),
        _ if table.starts_with("[[") => format!("{name}[{index}].{key}"),
        _ => format!("{name}.{key}"),
    }
}

/// Every file that the configuration names, by its key.
#[must_use]
pub fn files(config: &Config) -> Vec<(&'static str, PathBuf)> {
    let Config {
        dns,
        ca_file,
        client_ca,
        mta_sts,
        ..
    } = config;
    let client_ca = client_ca.iter().flat_map(|files| {
        [
            ("client_tls.ca_cert", files.certificate.clone()),
            ("client_tls.ca_key", files.key.clone()),
        ]
    });
    let hints = mta_sts.hints.iter().flat_map(|files| {
        [
            ("mta_sts.hints.file", files.list.clone()),
            ("mta_sts.hints.key", files.key.clone()),
        ]
    });
    let alone = [
        ("dns.trust_anchor", dns.trust_anchor.clone()),
        ("tls.ca_file", ca_file.clone()),
    ];
    let alone = alone
        .into_iter()
        .filter_map(|(key, path)| Some((key, path?)));
    alone.chain(client_ca).chain(hints).collect()
}

impl Config {
    /// This configuration in a process that runs with `running`: what belongs to the process stays.
    #[must_use]
    pub fn at_run_time(&self, running: &Self) -> Self {
        let sockets = |config: &Self| -> Vec<_> {
            let of = |one: &ListenerConfig| (one.kind, one.socket.clone());
            config.listeners.iter().map(of).collect()
        };
        let listeners = if sockets(self) == sockets(running) {
            &self.listeners
        } else {
            &running.listeners
        };
        Self {
            listeners: listeners.clone(),
            store: StoreConfig {
                place: running.store.place.clone(),
                keep: self.store.keep,
            },
            admin: running.admin,
            control: running.control.clone(),
            run: running.run.clone(),
            intercept: running.intercept.clone(),
            log: LogConfig {
                json: running.log.json,
                filter: self.log.filter.clone(),
            },
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;

    fn loaded(text: &str) -> Loaded {
        Config::parse(text, Path::new("danelaw.toml")).unwrap()
    }

    fn changes(before: &str, after: &str) -> Changes {
        let [before, after] = [before, after].map(|text| Read::of(&loaded(text)));
        after.after(&before, &before)
    }

    fn keys(changes: &[Change]) -> Vec<&str> {
        changes.iter().map(|change| change.key.as_str()).collect()
    }

    #[test]
    fn what_a_process_can_follow_and_what_belongs_to_it() {
        const TWO: &str = "[[listener]]\nkind = \"socks5\"\naddress = \"127.0.0.1:1\"\n[[listener]]\nkind = \"redirect\"\naddress = \"127.0.0.1:2\"\n";
        for (before, after, changed, fixed) in [
            ("", "", &[][..], &[][..]),
            ("max_sessions = 5", "max_sessions = 5", &[], &[]),
            ("", "max_sessions = 5", &["max_sessions"], &[]),
            ("[dns]\ntimeout = \"5s\"", "", &["dns.timeout"], &[]),
            ("", "[store]\nkeep_traces = 7", &["store.keep_traces"], &[]),
            ("", "[store]\npath = \"a\"", &[], &["store.path"]),
            ("", "[control]\nsocket = \"a\"", &[], &["control.socket"]),
            (
                "",
                "[log]\nformat = \"json\"\nfilter = \"debug\"",
                &["log.filter"],
                &["log.format"],
            ),
            (
                TWO,
                &TWO.replace(":2\"", ":2\"\nclient_tls = \"never\""),
                &["listener[1].client_tls"],
                &[],
            ),
            (
                TWO,
                &TWO.replace(":2\"", ":3\"\nclient_tls = \"never\""),
                &[],
                &["listener[1].address", "listener[1].client_tls"],
            ),
            (
                "",
                "[[bypass]]\ndestination = \"192.0.2.1\"",
                &["bypass[0].destination"],
                &[],
            ),
        ] {
            let changes = changes(before, after);
            assert_eq!(keys(&changes.changed), changed, "{after}");
            assert_eq!(keys(&changes.needs_restart), fixed, "{after}");
        }
    }

    #[test]
    fn what_needs_a_restart_is_told_until_it_is_taken_back() {
        let [start, other, back] = [
            "[store]\npath = \"a\"",
            "[store]\npath = \"b\"",
            "[store]\npath = \"a\"",
        ]
        .map(|text| Read::of(&loaded(text)));
        assert_eq!(
            keys(&other.after(&start, &start).needs_restart),
            ["store.path"]
        );
        assert_eq!(
            keys(&other.after(&other, &start).needs_restart),
            ["store.path"]
        );
        assert_eq!(back.after(&other, &start), Changes::default());
    }

    #[test]
    fn old_and_new_are_told() {
        let changes = changes("[dns]\ntimeout = \"5s\"", "[dns]\ntimeout = \"6s\"");
        let [change] = &changes.changed[..] else {
            panic!("{changes:?}")
        };
        assert_eq!(
            (&change.was, &change.is),
            (&Some(json!("5s")), &Some(json!("6s")))
        );
    }

    #[test]
    fn a_file_with_another_content_is_a_change() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ca.pem");
        let text = format!("[tls]\nca_file = {:?}", file.display());
        let read = |content| {
            std::fs::write(&file, content).unwrap();
            Read::of(&loaded(&text))
        };
        let (first, same, other) = (read("a"), read("a"), read("b"));
        assert_eq!(same.after(&first, &first), Changes::default());
        assert_eq!(other.after(&same, &first).files, ["tls.ca_file"]);
    }

    #[test]
    fn what_belongs_to_the_process_stays() {
        let before = loaded(
            "[store]\npath = \"a\"\n[[listener]]\nkind = \"socks5\"\naddress = \"127.0.0.1:1\"",
        )
        .config;
        let after = loaded("max_sessions = 5\n[store]\npath = \"b\"\nkeep_traces = 7\n[[listener]]\nkind = \"redirect\"\naddress = \"127.0.0.1:1\"").config;
        let running = after.at_run_time(&before);
        assert_eq!(running.max_sessions, 5);
        assert_eq!(running.store.keep.traces, 7);
        assert_eq!(running.store.place, before.store.place);
        assert_eq!(running.listeners, before.listeners);
        assert_eq!(running.control, before.control);
    }
}
