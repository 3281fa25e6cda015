//! `danelaw policy`, with a proxy that runs and without.

use std::fs;

use danelaw::store::sqlite::SqliteStore;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::place::{DELIVERED, Place, REFUSED, deliver, domains, world};
use crate::service::Service;

const BOTH: [&str; 2] = ["sts-enforce-match.test", "sts-enforce-wrong-name.test"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_sts_08_policies_are_listed_shown_refreshed_and_dropped_with_a_proxy_and_without() {
    let world = world().await;
    let place = Place::new();
    let service = Service::start(&place.configure(&world, ""));
    assert!(place.objects(0, &["policy", "list", "--json"]).is_empty());
    let complaint = place.complaint(1, &["policy", "show", BOTH[0]]);
    assert!(complaint.contains("danelaw policy refresh"), "{complaint}");
    assert!(
        deliver(&service, &world, DELIVERED)
            .await
            .starts_with("250 ")
    );
    assert!(deliver(&service, &world, REFUSED).await.starts_with("451 "));

    for (filter, expected) in [
        (&["--mode", "enforce"][..], &BOTH[..]),
        (&["--mode", "none"], &[]),
        (&["--expiring", "0"], &[]),
        (&["--expiring", "9999"], &BOTH),
    ] {
        let arguments = [&["policy", "list", "--json"], filter].concat();
        assert_eq!(
            domains(&place.objects(0, &arguments)),
            expected,
            "{filter:?}"
        );
    }
    let shown = place.printed(0, &["policy", "show", BOTH[0]]);
    for part in [
        "mode      enforce",
        "announces id",
        "no failure",
        "  version: STSv1",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    let anew = place.objects(0, &["policy", "refresh", "--all", "--json"]);
    assert_eq!(anew.len(), 2);
    assert!(anew.iter().all(|one| one["outcome"] == "same"), "{anew:#?}");
    let anew = place.objects(0, &["policy", "refresh", "nobody.test", "--json"]);
    assert_eq!(anew[0]["outcome"], "no-policy");

    let said = place.printed(0, &["policy", "drop", BOTH[0]]);
    assert!(said.contains("a first one"), "{said}");
    place.printed(1, &["policy", "show", BOTH[0]]);
    service.signal(Signal::SIGTERM);
    assert_eq!(service.ended(), Some(0));
    assert!(!place.socket().exists(), "the socket goes with the proxy");

    // Without a proxy the store is asked: what was dropped is gone there too, the other is not.
    let listed = place.objects(0, &["policy", "list", "--json"]);
    assert_eq!(domains(&listed), BOTH[1..]);
    let anew = place.objects(0, &["policy", "refresh", BOTH[0], "--json"]);
    assert_eq!(anew[0]["outcome"], "new", "{anew:#?}");
    assert_eq!(
        domains(&place.objects(0, &["policy", "list", "--json"])),
        BOTH
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_adds_and_strengthens_and_takes_all_of_a_file_or_nothing() {
    let world = world().await;
    let (here, there) = (Place::new(), Place::new());
    here.configure(&world, "");
    let service = Service::start(&there.configure(&world, ""));
    drop(SqliteStore::open(&here.path("danelaw.db")).unwrap());
    here.printed(0, &["policy", "refresh", BOTH[0], BOTH[1]]);
    let file = here.path("policies.jsonl");
    let name = file.to_str().unwrap();
    here.printed(0, &["policy", "export", name]);
    let whole = fs::read_to_string(&file).unwrap();
    assert_eq!(whole.lines().count(), 3, "the last says how many there are");
    assert_eq!(whole, here.printed(0, &["policy", "export"]));

    refuses_what_is_damaged(&there, name, &whole);
    fs::write(&file, &whole).unwrap();
    let told = there.objects(0, &["policy", "import", name, "--json"]);
    assert_eq!(
        told,
        [json!({
            "lines": 2, "taken": 2, "kept": 0, "expired": 0, "known": 0, "enforcing_nothing": 0,
            "overtaken": 0, "crowded": 0, "refused": 0
        })]
    );
    assert_eq!(
        domains(&there.objects(0, &["policy", "list", "--json"])),
        BOTH
    );
    let told = there.objects(0, &["policy", "import", name, "--json"]);
    assert_eq!(
        told.last().unwrap()["kept"],
        2,
        "the second time it adds nothing"
    );

    // It is in force at once: the mail server's next try is judged by it, and it is in the store.
    assert!(deliver(&service, &world, REFUSED).await.starts_with("451 "));
    drop(service);
    assert_eq!(
        domains(&there.objects(0, &["policy", "list", "--json"])),
        BOTH
    );
}

/// One damaged line keeps the others out.
fn refuses_what_is_damaged(there: &Place, name: &str, whole: &str) {
    let damaged = whole.replacen("enforce", "testing", 1);
    let end = whole.trim_end().rfind('\n').unwrap();
    let cut = &whole[..=end];
    for (what, text, line, rule) in [
        (
            "a policy that was changed by hand",
            damaged,
            1,
            "its digest is not that of its fields",
        ),
        (
            "a line that breaks off",
            cut[..cut.len() - 9].into(),
            2,
            "not a policy as JSON",
        ),
        (
            "a file that is cut at a line end",
            cut.into(),
            2,
            "does not come after this one",
        ),
        ("an empty file", String::new(), 1, "the file is empty"),
        (
            "a domain twice",
            format!("{cut}{whole}"),
            3,
            "line 1 is about the same domain",
        ),
        (
            "two files",
            format!("{whole}\n{whole}"),
            5,
            "the file ends at line 3",
        ),
        (
            "another file",
            "root:x:0:0\n".into(),
            1,
            "not a policy as JSON",
        ),
    ] {
        fs::write(name, text).unwrap();
        let told = there.objects(2, &["policy", "import", name, "--json"]);
        let refused = told.iter().find(|one| one["verdict"] == "refused").unwrap();
        assert_eq!(refused["line"], line, "{what}");
        assert!(
            refused["rule"].as_str().unwrap().contains(rule),
            "{what}: {refused}"
        );
        assert!(refused["remedy"].is_string());
        assert_eq!(told.last().unwrap()["taken"], 0, "{what}");
        assert!(
            there.objects(0, &["policy", "list", "--json"]).is_empty(),
            "{what}"
        );
    }
}

#[test]
fn without_a_proxy_and_without_a_store_commands_say_what_is_missing() {
    let place = Place::new();
    for (config, arguments, expected) in [
        (
            "",
            &["policy", "list"][..],
            "names neither control.socket nor a store",
        ),
        (
            "[control]\nsocket = \"none.sock\"\n",
            &["policy", "list"],
            "no daemon answers at",
        ),
        (
            "",
            &["policy", "list", "--socket", "/nowhere/control.sock"],
            "is `danelaw run` running",
        ),
        ("[stor]\n", &["trace", "--last", "1"], "an unknown key"),
    ] {
        fs::write(place.path("danelaw.toml"), config).unwrap();
        let complaint = place.complaint(2, arguments);
        assert!(complaint.contains(expected), "{complaint}");
    }
    let nothing: Vec<Value> = Vec::new();
    let store = "[store]\npath = \"danelaw.db\"\n[dns]\nresolvers = [\"127.0.0.1:9\"]\n[tls]\nca_file = \"ca.pem\"\n";
    fs::write(
        place.path("ca.pem"),
        include_str!("../../testdata/config/ca.pem"),
    )
    .unwrap();
    fs::write(place.path("danelaw.toml"), store).unwrap();
    // A store that a command makes would belong to its user, and be taken for one without policies.
    let complaint = place.complaint(2, &["policy", "list"]);
    assert!(complaint.contains("is not there"), "{complaint}");
    assert!(!place.path("danelaw.db").exists());
    drop(SqliteStore::open(&place.path("danelaw.db")).unwrap());
    assert_eq!(place.objects(0, &["policy", "list", "--json"]), nothing);
    let complaint = place.complaint(0, &["policy", "list"]);
    assert!(
        complaint.contains("a running proxy hears of changes"),
        "{complaint}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_proxy_with_the_same_file_is_refused_and_a_killed_one_blocks_nobody() {
    let world = world().await;
    let place = Place::new();
    let config = place.configure(&world, "");
    let first = Service::start(&config);
    // One with a socket of its own.
    let other = config.replace("control.sock", "other.sock");
    fs::write(place.path("danelaw.toml"), other).unwrap();
    let complaint = place.complaint(2, &["run"]);
    let owner = fs::read_to_string(place.path("danelaw.db.lock")).unwrap();
    let pid = format!("(pid {})", owner.trim());
    for part in [pid.as_str(), "store.url", "danelaw.db.lock"] {
        assert!(complaint.contains(part), "{part} in {complaint}");
    }
    // Commands write beside it.
    let path = place.path("danelaw.db");
    let store = ["--store", path.to_str().unwrap()];
    place.printed(0, &[&["policy", "refresh", BOTH[0]], &store[..]].concat());
    drop(first);
    drop(Service::start(&config));
}
