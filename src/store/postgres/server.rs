//! A PostgreSQL server of the test's own: in a folder of its own, on a socket in it, ended with it.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stderr,
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "IO: starts and ends a server; each test uses its part"
)]

use std::io::{BufRead, BufReader};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Running, until it is stopped or dropped.
pub struct Server {
    folder: tempfile::TempDir,
    options: Vec<String>,
    child: Option<Child>,
}

impl Server {
    /// A new one with an empty database; none where PostgreSQL is not installed, which CI does not forgive.
    pub fn start() -> Option<Self> {
        Self::with(&[], |_| {})
    }

    /// With settings, and files of the owner's beside.
    pub fn with(options: &[&str], prepare: impl FnOnce(&Self)) -> Option<Self> {
        let Some(initdb) = program("initdb") else {
            assert!(
                std::env::var_os("CI").is_none(),
                "PostgreSQL is not installed: .ci/packages does that"
            );
            eprintln!("skipped: PostgreSQL is not installed");
            return None;
        };
        let folder = tempfile::Builder::new()
            .prefix("danelaw-pg")
            .tempdir()
            .unwrap();
        give_away(folder.path());
        let mut server = Self {
            folder,
            options: options.iter().map(|one| (*one).to_owned()).collect(),
            child: None,
        };
        let made = unprivileged(&initdb)
            .args([
                "-U",
                "danelaw",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--locale=C",
                "--no-sync",
                "-D",
            ])
            .arg(server.data())
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        prepare(&server);
        server.go_on();
        Some(server)
    }

    /// Where it is reached, as `store.url` takes it.
    pub fn url(&self) -> String {
        format!(
            "postgres:///postgres?host={}&user=danelaw",
            self.folder.path().display()
        )
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts it again after [`Self::stop`].
    pub fn go_on(&mut self) {
        let mut child = unprivileged(&program("postgres").unwrap())
            .arg("-D")
            .arg(self.data())
            .arg("-k")
            .arg(self.folder.path())
            .args([
                "-c",
                "listen_addresses=",
                "-c",
                "fsync=off",
                "-c",
                "logging_collector=off",
            ])
            .args(self.options.iter().flat_map(|option| ["-c", option]))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        while !said.contains("ready to accept connections") {
            let read = log.read_line(&mut said).unwrap();
            assert!(read > 0, "the server does not start: {said}");
        }
        // It must never wait for a reader.
        std::thread::spawn(move || log.lines().for_each(drop));
        self.child = Some(child);
    }

    /// Ends it at once, with all its connections.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let id = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
            // "Immediate": its children end too, which a killed parent cannot see to.
            let _ = nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGQUIT);
            child.wait().unwrap();
        }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// For whom the server runs: it refuses root.
pub fn give_away(path: &Path) {
    if nix::unistd::geteuid().is_root() {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
}

fn unprivileged(program: &Path) -> Command {
    if !nix::unistd::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    let id = NOBODY.to_string();
    command
        .args([
            "--reuid",
            &id,
            "--regid",
            &id,
            "--clear-groups",
            "--pdeathsig",
            "KILL",
        ])
        .arg(program);
    command.current_dir("/");
    command
}

fn program(name: &str) -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut found: Vec<PathBuf> = versions
        .filter_map(|version| Some(version.ok()?.path().join("bin").join(name)))
        .filter(|path| path.is_file())
        .collect();
    found.sort();
    found.pop()
}

const NOBODY: u32 = 65534;
