//! The real binary as a service with a SOCKS5 listener, and its log, line by line.
#![allow(dead_code, reason = "each test crate uses its part of it")]

use std::cell::RefCell;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, channel};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// A proxy that runs; it is killed when this is dropped.
pub(crate) struct Service {
    child: Child,
    log: Receiver<String>,
    /// What it said before it listened: its tasks do not wait for that.
    early: RefCell<Vec<String>>,
    /// Its SOCKS5 listener.
    pub(crate) address: SocketAddr,
    directory: Rc<TempDir>,
}

impl Service {
    /// With this configuration, but for the listener: keys of the top level first.
    pub(crate) fn start(configuration: &str) -> Self {
        Self::spawn(configuration, |program| Command::new(program))
    }

    /// The same, with at most so many file descriptors.
    pub(crate) fn with_descriptors(count: usize, configuration: &str) -> Self {
        Self::spawn(configuration, |program| {
            let mut command = Command::new("sh");
            let script = format!("ulimit -n {count} && exec \"$0\" \"$@\"");
            command.args(["-c", &script, program]);
            command
        })
    }

    /// The same, with a service manager that listens at `socket` and wants to hear every `watchdog` microseconds.
    pub(crate) fn supervised(socket: &str, watchdog: &str, configuration: &str) -> Self {
        Self::spawn(configuration, |program| {
            let mut command = Command::new(program);
            command
                .env("NOTIFY_SOCKET", socket)
                .env("WATCHDOG_USEC", watchdog);
            command
        })
    }

    fn spawn(configuration: &str, command: impl FnOnce(&str) -> Command) -> Self {
        let directory = Rc::new(TempDir::new().unwrap());
        let path = directory.path().join(FILE);
        write(&path, configuration);
        let mut command = command(env!("CARGO_BIN_EXE_danelaw"));
        command.args(["run", "--config"]).arg(&path);
        Self::run(command, directory)
    }

    /// Another process with the same configuration that takes this one's place.
    pub(crate) fn successor(&self) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_danelaw"));
        command.args(["run", "--take-over", "--config"]);
        command.arg(self.path(FILE));
        Self::run(command, Rc::clone(&self.directory))
    }

    fn run(mut command: Command, directory: Rc<TempDir>) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (sender, log) = channel();
        // It must never have to wait for somebody to read its log.
        std::thread::spawn(move || {
            lines
                .map_while(Result::ok)
                .try_for_each(|line| sender.send(line))
        });
        let mut service = Self {
            child,
            log,
            early: RefCell::default(),
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            directory,
        };
        let listens = |line: &String| line.contains("listening address=");
        let mut early: Vec<String> = Vec::new();
        let line = loop {
            match service.log.recv() {
                Ok(line) if listens(&line) => break line,
                Ok(line) => early.push(line),
                Err(_) => panic!("the proxy ended before it listened: {early:?}"),
            }
        };
        service.early = RefCell::new(early);
        let (_, rest) = line.split_once("address=").unwrap();
        service.address = rest.split(' ').next().unwrap().parse().unwrap();
        service
    }

    /// Waits for a line of the log with this in it.
    pub(crate) fn logged(&self, part: &str) -> String {
        let mut early = self.early.borrow_mut();
        if let Some(at) = early.iter().position(|line| line.contains(part)) {
            return early.remove(at);
        }
        let found = self.log.iter().find(|line| line.contains(part));
        found.unwrap_or_else(|| panic!("the proxy ended without a word of {part}"))
    }

    /// Gives it another configuration, which it has not read yet.
    pub(crate) fn configure(&self, configuration: &str) {
        write(&self.path(FILE), configuration);
    }

    /// A file in the directory of its configuration.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Runs a command with its configuration.
    pub(crate) fn command(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_danelaw"));
        command.args(words).arg("--config").arg(self.path(FILE));
        command.output().unwrap()
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(self.child.id().try_into().unwrap());
        kill(id, signal).unwrap();
    }

    /// Waits for its end, and keeps its directory.
    pub(crate) fn gone(&mut self) {
        self.child.wait().unwrap();
    }

    /// Waits for its end; the exit code, or none after a signal that it could not catch.
    pub(crate) fn ended(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

const FILE: &str = "danelaw.toml";

fn write(path: &Path, configuration: &str) {
    let listener = "[[listener]]\nkind = \"socks5\"\naddress = \"127.0.0.1:0\"\n";
    // In one go: half a file is another configuration.
    let draft = path.with_extension("new");
    fs::write(&draft, format!("{configuration}\n{listener}")).unwrap();
    fs::rename(draft, path).unwrap();
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
