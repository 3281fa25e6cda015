//! Tells the service manager how the process fares (`sd_notify(3)`): that it is ready, reads its configuration anew, stops,
//! is alive, who goes on in its place.
//!
//! One datagram for each word, to the Unix socket that NOTIFY_SOCKET names, by path or in the abstract namespace. The
//! socket is connected once, at the start. Without the variable nobody wants to know, and nothing is said.
#![expect(
    clippy::disallowed_methods,
    reason = "IO: reads what the service manager has set, and talks to it"
)]

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use tracing::{debug, warn};

/// Who has started the process, if it wants to hear of it.
#[derive(Debug, Default)]
pub struct Supervisor {
    socket: Option<UnixDatagram>,
    watchdog: Option<Duration>,
}

/// Why it cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum SupervisorError {
    /// The address is none.
    #[error(
        "NOTIFY_SOCKET is {0:?}, expected an absolute path, or a name after @, as the service manager sets it"
    )]
    Address(String),
    /// Nobody listens there.
    #[error("nobody can be told at NOTIFY_SOCKET {address:?}: {source}")]
    Unreachable {
        /// Where.
        address: String,
        /// Why.
        source: io::Error,
    },
}

/// A word to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word<'a> {
    /// The start, or the reading of the configuration, is over.
    Ready,
    /// The configuration is read anew.
    Reloading,
    /// The end has begun.
    Stopping,
    /// It is alive.
    Alive,
    /// Another process goes on in its place.
    Successor(u32),
    /// For people.
    Status(&'a str),
}

impl Supervisor {
    /// As the environment has it.
    ///
    /// # Errors
    /// When somebody is to be told and cannot be.
    pub fn from_env() -> Result<Self, SupervisorError> {
        let read = |name| std::env::var(name).ok();
        let Some(address) = read("NOTIFY_SOCKET").filter(|address| !address.is_empty()) else {
            return Ok(Self::default());
        };
        let watchdog = watchdog(
            read("WATCHDOG_USEC").as_deref(),
            read("WATCHDOG_PID").as_deref(),
            std::process::id(),
        );
        Ok(Self {
            socket: Some(connect(&address)?),
            watchdog,
        })
    }

    /// How often it wants to hear that the process is alive, at least.
    #[must_use]
    pub const fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Says these words, all at once. A service manager that does not hear is no reason to stop.
    pub fn tell(&self, words: &[Word<'_>]) {
        let Some(socket) = &self.socket else {
            return;
        };
        let lines: Vec<String> = words.iter().map(|word| word.line()).collect();
        let said = lines.join("\n");
        match socket.send(said.as_bytes()) {
            Ok(_) => debug!(?words, "told the service manager"),
            Err(error) => warn!(%error, ?words, "the service manager cannot be told"),
        }
    }
}

impl Word<'_> {
    fn line(&self) -> String {
        match self {
            Self::Ready => "READY=1".to_owned(),
            // By the time it knows which readiness is the later one.
            Self::Reloading => format!("RELOADING=1\nMONOTONIC_USEC={}", monotonic().as_micros()),
            Self::Stopping => "STOPPING=1".to_owned(),
            Self::Alive => "WATCHDOG=1".to_owned(),
            Self::Successor(pid) => format!("MAINPID={pid}"),
            Self::Status(text) => format!("STATUS={}", text.replace('\n', "; ")),
        }
    }
}

fn connect(address: &str) -> Result<UnixDatagram, SupervisorError> {
    let unreachable = |source| SupervisorError::Unreachable {
        address: address.to_owned(),
        source,
    };
    let to = match address.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None if address.starts_with('/') => SocketAddr::from_pathname(address),
        None => return Err(SupervisorError::Address(address.to_owned())),
    };
    let connected = to.and_then(|to| {
        let socket = UnixDatagram::unbound()?;
        socket.connect_addr(&to)?;
        // Nobody waits for a service manager that does not read.
        socket.set_nonblocking(true)?;
        Ok(socket)
    });
    connected.map_err(unreachable)
}

/// Variables that are meant for another process count for nothing.
fn watchdog(usec: Option<&str>, pid: Option<&str>, ours: u32) -> Option<Duration> {
    let meant_for_us = pid.is_none_or(|pid| pid == ours.to_string());
    let usec = usec.filter(|_| meant_for_us)?.parse().ok()?;
    (usec > 0).then(|| Duration::from_micros(usec))
}

fn monotonic() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_is_the_one_that_is_meant_for_this_process() {
        let second = Some(Duration::from_secs(1));
        for (usec, pid, expected) in [
            (Some("1000000"), Some("42"), second),
            (Some("1000000"), None, second),
            (Some("1000000"), Some("43"), None),
            (Some("1000000"), Some(""), None),
            (Some("0"), None, None),
            (Some("soon"), None, None),
            (None, Some("42"), None),
        ] {
            assert_eq!(watchdog(usec, pid, 42), expected, "{usec:?} {pid:?}");
        }
    }

    #[test]
    fn words_are_lines_and_nothing_can_add_one() {
        for (word, line) in [
            (Word::Ready, "READY=1"),
            (Word::Stopping, "STOPPING=1"),
            (Word::Alive, "WATCHDOG=1"),
            (Word::Successor(42), "MAINPID=42"),
            (Word::Status("wrong:\nREADY=1"), "STATUS=wrong:; READY=1"),
        ] {
            assert_eq!(word.line(), line);
        }
        let reloading = Word::Reloading.line();
        let usec = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=");
        assert!(usec.unwrap().parse::<u64>().unwrap() > 0);
    }

    #[test]
    fn an_address_that_is_none_is_told() {
        for address in ["vsock:2:1234", "relative", "/nowhere/at/all"] {
            let error = connect(address).unwrap_err().to_string();
            assert!(error.contains(address), "{error}");
        }
    }

    #[test]
    fn the_abstract_namespace_is_reached() {
        let name = format!("danelaw-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        let supervisor = Supervisor {
            socket: Some(connect(&format!("@{name}")).unwrap()),
            watchdog: None,
        };
        supervisor.tell(&[Word::Ready, Word::Status("well")]);
        let mut heard = [0; 64];
        let length = manager.recv(&mut heard).unwrap();
        assert_eq!(&heard[..length], b"READY=1\nSTATUS=well");
    }
}
