//! Against a real server.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "IO: threads that write at once, files for a server"
)]

use std::os::unix::fs::PermissionsExt;

use super::server::{Server, give_away};
use super::*;
use crate::x509::sample::{self, Sample};

fn store(server: &Server) -> PostgresStore {
    PostgresStore::new(server.url().parse().unwrap()).unwrap()
}

fn row(key: &str, at: u64, body: &str) -> Row {
    Row {
        kind: Kind::Pin,
        key: key.to_owned(),
        about: "a.example".to_owned(),
        at: Timestamp::from_unix(at),
        body: Some(body.to_owned()),
    }
}

fn writing(rows: Vec<Row>) -> Batch {
    Batch {
        rows,
        ..Batch::default()
    }
}

#[test]
fn of_those_who_write_at_once_none_is_overtaken_by_a_reader() {
    let Some(server) = Server::start() else {
        return;
    };
    const WRITERS: usize = 4;
    const EACH: usize = 50;
    let stores: Vec<_> = (0..WRITERS).map(|_| store(&server)).collect();
    // Also the tables are made by all at once.
    let writers: Vec<_> = stores
        .into_iter()
        .enumerate()
        .map(|(writer, store)| {
            std::thread::spawn(move || {
                for n in 0..EACH {
                    let rows = vec![row(&format!("{writer}-{n}"), 1, "{}")];
                    store.write(&writing(rows)).unwrap();
                }
            })
        })
        .collect();
    let reader = store(&server);
    let (mut last, mut heard) = (Revision::START, 0);
    for _ in 0..100_000 {
        for (revision, _) in reader.changes(Kind::Pin, last, 7).unwrap() {
            assert_eq!(
                revision.number(),
                last.number() + 1,
                "in the order of commits"
            );
            last = revision;
            heard += 1;
        }
        if heard == WRITERS * EACH {
            break;
        }
    }
    assert_eq!(heard, WRITERS * EACH);
    writers.into_iter().for_each(|one| one.join().unwrap());
}

#[test]
fn of_two_rows_the_later_one_stays_and_counts_of_nodes_are_summed_once() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = store(&server);
    let count = |number| Count {
        day: 3,
        domain: "a.example".to_owned(),
        what: "w".to_owned(),
        reason: String::new(),
        number,
    };
    let body = || {
        let found = store.find(Kind::Pin, Query::Key("a"), 1).unwrap();
        found.into_iter().next().unwrap().body.unwrap()
    };
    for (at, written, expected) in [
        (10, "1", "1"),
        (9, "2", "1"),
        (10, "3", "3"),
        (11, "4", "4"),
    ] {
        store.merge(&[row("a", at, written)], "n", &[]).unwrap();
        assert_eq!(body(), expected, "{at}");
    }
    let before = store.changes(Kind::Pin, Revision::START, 9).unwrap();
    store.merge(&[row("a", 11, "4")], "n", &[]).unwrap();
    let after = store.changes(Kind::Pin, Revision::START, 9).unwrap();
    assert_eq!(before, after, "the same again is no change");
    let ahead = 4_000_000_000;
    store.merge(&[row("a", ahead, "5")], "n", &[]).unwrap();
    store.merge(&[row("a", 12, "6")], "n", &[]).unwrap();
    assert_eq!(body(), "6", "what is far ahead of time gives way");
    for (node, number) in [("one", 2), ("two", 5), ("one", 3), ("one", 3)] {
        store.merge(&[], node, &[count(number)]).unwrap();
    }
    assert_eq!(store.counts(0..=9).unwrap(), [count(8)]);
}

#[test]
fn a_database_that_goes_and_comes_back_is_used_again() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let store = store(&server);
    store.write(&writing(vec![row("a", 1, "{}")])).unwrap();
    server.stop();
    let error = store.latest().unwrap_err();
    assert!(
        matches!(error.fault, StoreFault::Database { .. }),
        "{error}"
    );
    server.go_on();
    assert_eq!(store.latest().unwrap().revision.number(), 1);
}

#[test]
fn a_damaged_row_is_told_and_a_newer_schema_refused() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = store(&server);
    store
        .write(&writing(vec![row("a", 1, "{}"), row("b", 1, "{}")]))
        .unwrap();
    let change = |sql: &'static str| {
        store
            .with(async |client| client.batch_execute(sql).await.map_err(link::failed))
            .unwrap();
    };
    change("UPDATE danelaw_row SET at = 7 WHERE key = 'b'");
    let error = store.changes(Kind::Pin, Revision::START, 9).unwrap_err();
    assert!(
        matches!(&error.fault, StoreFault::Row { key, revision: Some(revision), .. }
            if key == "b" && revision.number() == 2),
        "{error}"
    );
    change("UPDATE danelaw_schema SET version = 99");
    let error = self::store(&server).latest().unwrap_err();
    assert!(
        matches!(error.fault, StoreFault::Newer { seen: 99, .. }),
        "{error}"
    );
}

#[test]
fn a_remote_database_must_prove_itself_and_is_not_spoken_to_in_the_clear() {
    let issuer = Sample::self_signed(sample::ca("The database's CA"));
    let leaf = issuer.issue(sample::server(&["localhost"]));
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let options = [
        "listen_addresses=127.0.0.1",
        "ssl=on",
        "ssl_cert_file=../cert.pem",
        "ssl_key_file=../key.pem",
    ];
    let port_option = format!("port={port}");
    let options: Vec<&str> = options.into_iter().chain([port_option.as_str()]).collect();
    let started = Server::with(&options, |server| {
        let write = |name: &str, text: &str| {
            let path = server.folder().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            give_away(&path);
        };
        write("cert.pem", &leaf.pem);
        write("key.pem", &leaf.key.serialize_pem());
        write("ca.pem", &issuer.pem);
        write(
            "other.pem",
            &Sample::self_signed(sample::ca("Another CA")).pem,
        );
    });
    let Some(server) = started else {
        return;
    };
    let asked = |host: &str, ca: &str| {
        let ca = server.folder().join(ca);
        let url = format!(
            "postgres://danelaw@{host}:{port}/postgres?sslmode=verify-full&sslrootcert={}",
            ca.display()
        );
        let store = PostgresStore::new(url.parse().unwrap()).unwrap();
        store
            .latest()
            .map(|latest| latest.revision)
            .map_err(|error| error.to_string())
    };
    assert_eq!(asked("localhost", "ca.pem"), Ok(Revision::START));
    for (host, ca, words) in [
        ("localhost", "other.pem", "UnknownIssuer"),
        ("127.0.0.1", "ca.pem", "not valid for name"),
    ] {
        let error = asked(host, ca).unwrap_err();
        assert!(error.contains(words), "{error}");
    }
}

#[tokio::test]
async fn a_database_may_be_let_go_of_where_nobody_may_wait() {
    let address = "postgres://nobody@127.0.0.1:1/none".parse().unwrap();
    drop(PostgresStore::new(address).unwrap());
}
