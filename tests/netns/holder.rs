//! A Postfix MX host that stops where it is told to: its policy service holds one session at one phase until it is let go.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use nix::sys::socket::{getsockopt, sockopt};
use nix::unistd::Pid;

use super::sandbox::{HOME, sh};

/// The restrictions that let the policy service hear of every phase.
pub(crate) fn restrictions() -> String {
    let phases = [
        "client",
        "helo",
        "sender",
        "recipient",
        "data",
        "end_of_data",
    ];
    let each = phases.map(|phase| {
        format!("-o {{smtpd_{phase}_restrictions = check_policy_service unix:{SOCKET}}}")
    });
    format!("-o smtpd_delay_reject=no {}", each.join(" "))
}

/// Where a session can be held, in Postfix's words.
pub(crate) const PHASES: [&str; 6] = ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "END-OF-MESSAGE"];

/// The phase that is awaited, and who awaits it.
type Armed = Mutex<Option<(&'static str, Sender<Held>)>>;

/// The policy service.
pub(crate) struct Holder {
    armed: Arc<Armed>,
}

/// A session that waits. Dropping this lets it go on.
pub(crate) struct Held {
    /// The process of the MX host that serves it.
    pub(crate) server: Pid,
    _go_on: Sender<()>,
}

impl Holder {
    /// Starts it; until it is armed everything passes.
    pub(crate) fn start() -> Self {
        sh(&format!("mkdir -p {HOME}/holder"));
        let listener = UnixListener::bind(SOCKET).expect("the socket can be bound");
        sh(&format!("chmod 666 {SOCKET}"));
        let armed: Arc<Armed> = Arc::default();
        let holder = Self {
            armed: Arc::clone(&armed),
        };
        std::thread::spawn(move || {
            for asker in listener.incoming().map_while(Result::ok) {
                let armed = Arc::clone(&armed);
                std::thread::spawn(move || answer(asker, &armed));
            }
        });
        holder
    }

    /// The next session that comes to `phase` will be held, and be received from here.
    pub(crate) fn arm(&self, phase: &'static str) -> Receiver<Held> {
        let (report, held) = channel();
        *lock(&self.armed) = Some((phase, report));
        held
    }
}

/// Answers one server process until it goes away.
fn answer(asker: UnixStream, armed: &Armed) {
    let credentials =
        getsockopt(&asker, sockopt::PeerCredentials).expect("a Unix socket knows its peer");
    let server = Pid::from_raw(credentials.pid());
    let mut replies = asker.try_clone().expect("a socket can be cloned");
    let mut lines = BufReader::new(asker).lines().map_while(Result::ok);
    loop {
        let request: HashMap<String, String> = lines
            .by_ref()
            .take_while(|line| !line.is_empty())
            .filter_map(|line| {
                let (name, value) = line.split_once('=')?;
                Some((name.to_owned(), value.to_owned()))
            })
            .collect();
        let Some(phase) = request.get("protocol_state") else {
            return;
        };
        let due = lock(armed).take_if(|(awaited, _)| awaited == phase);
        if let Some((_, report)) = due {
            let (go_on, gone_on) = channel();
            let held = Held {
                server,
                _go_on: go_on,
            };
            // Both end as soon as the test has dropped what it holds.
            if report.send(held).is_ok() {
                let _: Result<(), _> = gone_on.recv();
            }
        }
        // The server may have been killed meanwhile.
        if replies.write_all(b"action=DUNNO\n\n").is_err() {
            return;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const SOCKET: &str = "/run/lab/holder/socket";
