//! The real binary makes, shows and uses a local CA, and says what is wrong with one in one line.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test crate: it runs programs, writes files, and fails by panicking"
)]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use tempfile::TempDir;

fn danelaw(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_danelaw"))
        .args(arguments)
        .output()
        .unwrap()
}

fn told(octets: &[u8]) -> String {
    String::from_utf8(octets.to_vec()).unwrap()
}

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn with_ca() -> Self {
        let place = Self::new();
        let output = danelaw(&["ca", "init", "--dir", &place.dir(), "--name", "A CA"]);
        assert_eq!(output.status.code(), Some(0), "{}", told(&output.stderr));
        place
    }

    fn dir(&self) -> String {
        self.0.path().to_str().unwrap().to_owned()
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    /// A configuration that names the CA.
    fn config(&self) -> String {
        let text = "[dns]\nresolvers = [\"127.0.0.1:9\"]\n[tls]\nca_file = \"roots.pem\"\n\
                    [client_tls]\nca_cert = \"ca.pem\"\nca_key = \"ca-key.pem\"\n";
        let roots = include_str!("../testdata/config/ca.pem");
        fs::write(self.path("roots.pem"), roots).unwrap();
        fs::write(self.path("danelaw.toml"), text).unwrap();
        self.path("danelaw.toml").to_str().unwrap().to_owned()
    }
}

#[test]
fn a_ca_is_made_and_shown_with_what_to_do_with_it() {
    let place = Place::with_ca();
    let key = place.path("ca-key.pem");
    let mode = key.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let output = danelaw(&["ca", "show", "--dir", &place.dir()]);
    assert_eq!(output.status.code(), Some(0));
    let shown = told(&output.stdout);
    for part in [
        "CN=A CA",
        " days left)",
        "[client_tls]",
        "update-ca-certificates",
        "smtp_tls_CAfile",
        "tls_verify_certificates",
        "Import-Certificate",
        key.to_str().unwrap(),
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    assert!(!shown.contains("PRIVATE"));
}

#[test]
fn ca_show_speaks_json_and_so_does_init() {
    let place = Place::new();
    let output = danelaw(&["ca", "init", "--json", "--days", "1", "--dir", &place.dir()]);
    let made: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let output = danelaw(&["ca", "show", "--json", "--config", &place.config()]);
    let shown: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    for key in [
        "sha256",
        "subject",
        "not_before",
        "not_after",
        "ca_cert",
        "ca_key",
    ] {
        assert!(shown[key].is_string(), "{key}");
        assert_eq!(shown[key], made[key], "{key}");
    }
    assert_eq!(shown["in_date"], true);
    assert!(
        made["subject"]
            .as_str()
            .unwrap()
            .starts_with("CN=danelaw CA of ")
    );
}

#[test]
fn a_ca_that_is_there_stays_unless_it_is_to_be_exchanged() {
    let place = Place::with_ca();
    let before = fs::read(place.path("ca.pem")).unwrap();
    let output = danelaw(&["ca", "init", "--dir", &place.dir()]);
    assert_eq!(output.status.code(), Some(2));
    let complaint = told(&output.stderr);
    assert!(complaint.contains("--force"), "{complaint}");
    assert_eq!(fs::read(place.path("ca.pem")).unwrap(), before);
    let output = danelaw(&["ca", "init", "--force", "--dir", &place.dir()]);
    assert_eq!(output.status.code(), Some(0));
    assert_ne!(fs::read(place.path("ca.pem")).unwrap(), before);
    let output = danelaw(&["config", "check", "--config", &place.config()]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output.stdout));
}

#[test]
fn where_there_is_no_ca_one_line_says_so() {
    let place = Place::new();
    let config = place.path("danelaw.toml");
    fs::write(&config, "").unwrap();
    let config = config.to_str().unwrap();
    let nowhere = place.path("nowhere");
    for (what, arguments, part) in [
        ("no files", ["ca", "show", "--dir", &place.dir()], "ca init"),
        (
            "none named",
            ["ca", "show", "--config", config],
            "[client_tls]",
        ),
        (
            "none named to make",
            ["ca", "init", "--config", config],
            "--dir",
        ),
        (
            "no directory",
            ["ca", "init", "--dir", nowhere.to_str().unwrap()],
            "a directory that exists",
        ),
    ] {
        let output = danelaw(&arguments);
        let complaint = told(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{what}: {complaint}");
        assert!(complaint.contains(part), "{what}: {complaint}");
        assert_eq!(complaint.lines().count(), 1, "{what}: {complaint}");
    }
}

#[test]
fn a_ca_that_cannot_be_used_is_one_problem_of_the_configuration_and_stops_the_start() {
    type Spoil<'a> = &'a dyn Fn(&Place);
    let rows: [(&str, Spoil<'_>, &str); 5] = [
        (
            "no certificate",
            &|place| fs::remove_file(place.path("ca.pem")).unwrap(),
            "danelaw.toml:6 client_tls.ca_cert: ",
        ),
        (
            "no key",
            &|place| fs::remove_file(place.path("ca-key.pem")).unwrap(),
            "danelaw.toml:7 client_tls.ca_key: ",
        ),
        (
            "a key that is none",
            &|place| fs::write(place.path("ca-key.pem"), "x").unwrap(),
            "danelaw.toml:7 client_tls.ca_key: ",
        ),
        (
            "another CA's certificate",
            &|place| {
                let other = Place::with_ca();
                fs::copy(other.path("ca.pem"), place.path("ca.pem")).unwrap();
            },
            "danelaw.toml:7 client_tls.ca_key: ",
        ),
        (
            "a key for everybody",
            &|place| {
                let everybody = Permissions::from_mode(0o644);
                fs::set_permissions(place.path("ca-key.pem"), everybody).unwrap();
            },
            "mode 644",
        ),
    ];
    for (what, spoil, part) in rows {
        let place = Place::with_ca();
        let config = place.config();
        spoil(&place);
        let output = danelaw(&["config", "check", "--config", &config]);
        let problems = told(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{what}: {problems}");
        assert_eq!(problems.lines().count(), 1, "{what}: {problems}");
        assert!(problems.contains(part), "{what}: {problems}");
        let output = danelaw(&["run", "--config", &config]);
        let said = told(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{what}: {said}");
        // Beside what is told of privileges that were given up.
        let complaints = said.lines().filter(|line| line.starts_with("danelaw: "));
        let [complaint] = *complaints.collect::<Vec<_>>() else {
            panic!("{what}: {said}");
        };
        assert!(complaint.contains(part), "{what}: {complaint}");
    }
}

/// Root can read every file, so this one gives its rights away first.
#[test]
fn a_key_of_somebody_else_is_one_error() {
    if !nix::unistd::geteuid().is_root() {
        let place = Place::with_ca();
        let nobody = Permissions::from_mode(0o000);
        fs::set_permissions(place.path("ca-key.pem"), nobody).unwrap();
        let output = danelaw(&["config", "check", "--config", &place.config()]);
        assert!(told(&output.stdout).contains("ermission denied"));
        return;
    }
    let place = Place::with_ca();
    let config = place.config();
    fs::set_permissions(place.path(""), Permissions::from_mode(0o755)).unwrap();
    let binary = place.path("danelaw");
    fs::copy(env!("CARGO_BIN_EXE_danelaw"), &binary).unwrap();
    let output = {
        use std::os::unix::process::CommandExt;
        Command::new(&binary)
            .args(["config", "check", "--config", &config])
            .uid(65534)
            .output()
            .unwrap()
    };
    let problems = told(&output.stdout);
    assert_eq!(problems.lines().count(), 1, "{problems}");
    assert!(problems.contains("ermission denied"), "{problems}");
    assert!(
        problems.contains("the user that runs danelaw"),
        "{problems}"
    );
}
