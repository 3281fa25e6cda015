//! Who asks badly: slow, large, senseless, a stranger; and what stands where the socket should.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::place::{Place, world};
use crate::service::Service;

/// What a client hears that sends these octets and nothing more; nothing when it is only disconnected.
fn said(socket: &Path, octets: &[u8]) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    // Whoever is refused half-way is not listened to.
    let _ = stream.write_all(octets);
    let _ = stream.shutdown(Shutdown::Write);
    let mut heard = String::new();
    match stream.read_to_string(&mut heard) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("{error}"),
        Ok(_) | Err(_) => heard,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_make_no_sense_hear_why_and_the_others_are_served_all_the_same() {
    let world = world().await;
    let place = Place::new();
    let _service = Service::start(&place.configure(&world, ""));
    let socket = place.socket();
    let deep = format!("{{\"x\":{}{}}}\n", "[".repeat(100_000), "]".repeat(100_000));
    let huge = vec![b'a'; 3 * 1024 * 1024];
    for (what, octets, expected) in [
        ("nothing", &b""[..], "nothing"),
        ("half a line", b"{\"request\":", "breaks off"),
        ("no JSON", b"GET / HTTP/1.1\r\n\r\n", "expected value"),
        ("not text", &[0xff, 0xfe, 0, b'\n'], "expected value"),
        (
            "no request",
            b"{\"request\":{\"shut-down\":{}}}\n",
            "unknown variant `shut-down`",
        ),
        ("no object", b"[]\n", "request"),
        ("a tower", deep.as_bytes(), "missing field `request`"),
        (
            "a line without end",
            &huge,
            "a line of more than 1048576 octets",
        ),
        (
            "a body that does not come",
            b"{\"request\":{\"policy\":\"import\"},\"body\":99}\nabc",
            "3 of 99 octets",
        ),
        (
            "a body that is too large",
            b"{\"request\":{\"policy\":\"import\"},\"body\":99999999999}\n",
            "a body of at most 134217728 octets",
        ),
        (
            "no domain",
            b"{\"request\":{\"policy\":{\"show\":{\"domain\":\"a..b\"}}}}\n",
            "it has an empty label",
        ),
    ] {
        let heard = said(&socket, octets);
        let line: Value =
            serde_json::from_str(&heard).unwrap_or_else(|_| panic!("{what}: {heard}"));
        assert_eq!(line["failed"]["code"], "bad-request", "{what}: {heard}");
        assert!(
            line["failed"]["seen"].is_string() && heard.contains(expected),
            "{what}: {heard}"
        );
    }
    assert!(place.objects(0, &["policy", "list", "--json"]).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_say_nothing_take_all_places_and_no_more() {
    let world = world().await;
    let place = Place::new();
    let _service = Service::start(&place.configure(&world, ""));
    let silent: Vec<_> = (0..16)
        .map(|_| UnixStream::connect(place.socket()).unwrap())
        .collect();
    let mut one_more = BufReader::new(UnixStream::connect(place.socket()).unwrap());
    let mut line = String::new();
    one_more.read_line(&mut line).unwrap();
    assert!(line.contains("\"busy\""), "{line}");
    let complaint = place.complaint(2, &["policy", "list"]);
    assert!(
        complaint.contains("at most 16 commands at a time"),
        "{complaint}"
    );
    drop(silent);
    // Each place is free when its connection has been seen to be gone: the first answer says so.
    let mut tries = 0;
    while place.danelaw(&["policy", "list"]).status.code() != Some(0) {
        tries += 1;
        assert!(tries < 1000, "no place becomes free");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_user_is_kept_off_by_the_socket_s_mode_and_by_the_kernel_s_word() {
    let world = world().await;
    let place = Place::new();
    let _service = Service::start(&place.configure(&world, ""));
    let mode = fs::metadata(place.socket()).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode, 0o600);
    if !nix::unistd::geteuid().is_root() {
        assert!(
            std::env::var_os("CI").is_none(),
            "only root can be another user"
        );
        eprintln!("skipped: only root can be another user");
        return;
    }
    fs::set_permissions(place.path(""), Permissions::from_mode(0o755)).unwrap();
    let kept_off = as_nobody(&place);
    assert!(kept_off.contains("not open to this user"), "{kept_off}");
    fs::set_permissions(place.socket(), Permissions::from_mode(0o666)).unwrap();
    let refused = as_nobody(&place);
    assert!(
        refused.contains("expected root or uid 0, seen uid 65534"),
        "{refused}"
    );
}

fn as_nobody(place: &Place) -> String {
    let Output { status, stderr, .. } = Command::new(env!("CARGO_BIN_EXE_danelaw"))
        .args(["policy", "list", "--socket"])
        .arg(place.socket())
        .uid(65534)
        .gid(65534)
        .output()
        .unwrap();
    assert_eq!(status.code(), Some(2));
    String::from_utf8(stderr).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_that_nobody_answers_is_replaced_and_nothing_else_ever_is() {
    let world = world().await;
    let place = Place::new();
    let config = place.configure(&world, "");
    // Bound and dropped, a socket stays behind.
    drop(UnixListener::bind(place.socket()).unwrap());
    let service = Service::start(&config);
    place.printed(0, &["policy", "list"]);
    let taken = cannot_start(&place);
    assert!(taken.contains("another danelaw answers there"), "{taken}");
    place.printed(0, &["policy", "list"]);
    drop(service);

    // Killed, it leaves its socket, which the commands take for what it is.
    assert!(place.socket().exists());
    let complaint = place.complaint(0, &["policy", "list"]);
    assert!(complaint.contains("no daemon answers"), "{complaint}");
    fs::remove_file(place.socket()).unwrap();
    let elsewhere = TempDir::new().unwrap();
    let precious = elsewhere.path().join("precious");
    fs::write(&precious, "keep me").unwrap();
    for (what, make, expected) in [
        ("a file", "file", "seen a regular file"),
        ("a folder", "folder", "seen a folder"),
        ("a symbolic link", "link", "seen a symbolic link"),
    ] {
        match make {
            "file" => fs::write(place.socket(), "keep me").unwrap(),
            "folder" => fs::create_dir(place.socket()).unwrap(),
            _ => std::os::unix::fs::symlink(&precious, place.socket()).unwrap(),
        }
        let told = cannot_start(&place);
        assert!(told.contains(expected), "{what}: {told}");
        match make {
            "folder" => fs::remove_dir(place.socket()).unwrap(),
            _ => {
                assert_eq!(
                    fs::read_to_string(place.socket()).unwrap(),
                    "keep me",
                    "{what}"
                );
                fs::remove_file(place.socket()).unwrap();
            }
        }
    }
    assert_eq!(fs::read_to_string(&precious).unwrap(), "keep me");
}

fn cannot_start(place: &Place) -> String {
    let text = fs::read_to_string(place.path("danelaw.toml")).unwrap();
    let listener = "[[listener]]\nkind = \"socks5\"\naddress = \"127.0.0.1:0\"\n";
    fs::write(place.path("run.toml"), format!("{text}\n{listener}")).unwrap();
    let Output { status, stderr, .. } = Command::new(env!("CARGO_BIN_EXE_danelaw"))
        .args(["run", "--config"])
        .arg(place.path("run.toml"))
        .output()
        .unwrap();
    assert_eq!(status.code(), Some(2));
    String::from_utf8(stderr).unwrap()
}
