//! Sockets that a service manager has bound and passes on (`sd_listen_fds(3)`): LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES.
//!
//! They are known by name, never by number or order. A name may stand for several sockets, as when a socket unit has
//! two `ListenStream=` lines. Variables that are meant for another process count for nothing; those that contradict
//! themselves, a socket of another type and one that no listener asks for are errors: its clients would wait for ever.
#![expect(
    clippy::disallowed_methods,
    reason = "IO: takes sockets over from the service manager"
)]

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use listenfd::ListenFd;
use serde::{Deserialize, Serialize};
use socket2::{SockRef, Socket};
use tracing::warn;

use crate::config::ListenOn;

/// Sockets that nobody has taken yet, with their names.
#[derive(Default)]
pub struct Inherited {
    passed: Vec<(String, Option<Socket>)>,
    /// By the process whose place is taken.
    handed: Vec<(Handed, Option<Socket>)>,
}

/// What a socket listens for that one process hands to the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Handed {
    /// `listener.address`, as it is configured.
    Address(SocketAddr),
    /// `listener.fd`.
    Fd(String),
}

impl Handed {
    pub(super) fn of(socket: &ListenOn) -> Self {
        match socket {
            ListenOn::Address(address) => Self::Address(*address),
            ListenOn::Fd(name) => Self::Fd(name.clone()),
        }
    }
}

/// Why passed sockets cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InheritError {
    /// The variables contradict each other.
    #[error(
        "the service manager passes sockets in a way that cannot be understood: LISTEN_FDS is {fds:?} and LISTEN_FDNAMES \
         {names:?}, expected a number and as many names between colons (FileDescriptorName= in the socket unit)"
    )]
    Environment {
        /// LISTEN_FDS.
        fds: String,
        /// LISTEN_FDNAMES.
        names: Option<String>,
    },
    /// A socket of another type.
    #[error(
        "the service manager passes {name:?}, expected a TCP socket that listens (ListenStream= with an address and port, \
         Accept=no): {why}"
    )]
    NoListener {
        /// Its name.
        name: String,
        /// What it is.
        why: String,
    },
    /// No such name was passed.
    #[error(
        "listener.fd = {name:?}, but the service manager passes {passed}: set FileDescriptorName={name} in the socket unit \
         and start the service by it"
    )]
    Missing {
        /// Which.
        name: String,
        /// What there is.
        passed: String,
    },
    /// Nobody wants it.
    #[error(
        "the service manager passes a socket named {name:?} that no [[listener]] has as its fd: its clients would wait for \
         ever"
    )]
    Unclaimed {
        /// Which.
        name: String,
    },
}

/// What the environment says, if it is meant for us.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Passed {
    names: Vec<String>,
}

impl Inherited {
    /// Takes what was passed to this process. To be called before there are threads: it clears the variables, so that
    /// no child takes them for its own.
    ///
    /// # Errors
    /// [`InheritError`].
    pub fn from_env() -> Result<Self, InheritError> {
        let read = |name| std::env::var(name).ok();
        let (pid, fds, names) = (
            read("LISTEN_PID"),
            read("LISTEN_FDS"),
            read("LISTEN_FDNAMES"),
        );
        let meant_for_us = pid.as_deref() == Some(&std::process::id().to_string());
        let Some(fds) = fds.filter(|_| meant_for_us) else {
            return Ok(Self::default());
        };
        let passed = Passed::read(&fds, names.as_deref())?;
        let mut sockets = ListenFd::from_env();
        let take = |(index, name): (usize, String)| match sockets.take_tcp_listener(index) {
            Ok(socket) => Ok((name, socket.map(Socket::from))),
            Err(error) => {
                let why = error.to_string();
                Err(InheritError::NoListener { name, why })
            }
        };
        let passed = passed.names.into_iter().enumerate().map(take);
        let passed = passed.collect::<Result<_, _>>()?;
        let handed = Vec::new();
        Ok(Self { passed, handed })
    }

    /// With what the process before this one hands over.
    #[must_use]
    pub fn with(mut self, handed: Vec<(Handed, OwnedFd)>) -> Self {
        let sockets = handed.into_iter();
        self.handed = sockets.map(|(what, fd)| (what, Some(fd.into()))).collect();
        self
    }

    /// What was handed over for this: one socket for an address, all of a name.
    pub(super) fn take_handed(&mut self, socket: &ListenOn) -> Result<Vec<Socket>, InheritError> {
        let wanted = Handed::of(socket);
        let most = match wanted {
            Handed::Address(_) => 1,
            Handed::Fd(_) => usize::MAX,
        };
        let of_it = self.handed.iter_mut().filter(|one| one.0 == wanted);
        let sockets = of_it
            .filter_map(|one| one.1.take())
            .take(most)
            .collect::<Vec<_>>();
        for socket in &sockets {
            listens(socket).map_err(|error| InheritError::NoListener {
                name: format!("{wanted:?}"),
                why: error.to_string(),
            })?;
        }
        Ok(sockets)
    }

    /// Takes the sockets of this name: at least one.
    pub(super) fn take(&mut self, name: &str) -> Result<Vec<Socket>, InheritError> {
        let named = self.passed.iter_mut().filter(|one| one.0 == name);
        let sockets: Vec<Socket> = named.filter_map(|one| one.1.take()).collect();
        if sockets.is_empty() {
            let (name, passed) = (name.to_owned(), self.describe());
            return Err(InheritError::Missing { name, passed });
        }
        for socket in &sockets {
            let name = name.to_owned();
            listens(socket).map_err(|error| InheritError::NoListener {
                name,
                why: error.to_string(),
            })?;
        }
        Ok(sockets)
    }

    /// Nothing may be left over.
    pub(super) fn finish(self) -> Result<(), InheritError> {
        for (what, _) in self.handed.iter().filter(|one| one.1.is_some()) {
            warn!(
                ?what,
                "the process before this one listens there, and no [[listener]] does any more"
            );
        }
        let left = self.passed.into_iter().find(|one| one.1.is_some());
        left.map_or(Ok(()), |(name, _)| Err(InheritError::Unclaimed { name }))
    }

    fn describe(&self) -> String {
        if self.passed.is_empty() {
            return "no socket".to_owned();
        }
        let names: Vec<&str> = self.passed.iter().map(|one| one.0.as_str()).collect();
        names.join(", ")
    }
}

fn listens(socket: &Socket) -> io::Result<()> {
    if !SockRef::from(socket).is_listener()? {
        return Err(io::Error::other("it is connected, or does not listen"));
    }
    socket.set_nonblocking(true)
}

impl Passed {
    /// Without names all are called `unknown`, as `sd_listen_fds_with_names(3)` has it.
    fn read(fds: &str, names: Option<&str>) -> Result<Self, InheritError> {
        let wrong = || InheritError::Environment {
            fds: fds.to_owned(),
            names: names.map(str::to_owned),
        };
        let count = fds.parse::<u16>().map_err(|_| wrong())?;
        let names: Vec<String> = match names {
            None => vec!["unknown".to_owned(); count.into()],
            Some("") if count == 0 => Vec::new(),
            Some(names) => names.split(':').map(str::to_owned).collect(),
        };
        if names.len() == usize::from(count) {
            Ok(Self { names })
        } else {
            Err(wrong())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variables_name_every_socket_or_are_refused() {
        for (fds, names, expected) in [
            ("1", Some("smtp"), Some(vec!["smtp"])),
            ("2", Some("smtp:smtp"), Some(vec!["smtp", "smtp"])),
            ("2", Some("redirect:socks"), Some(vec!["redirect", "socks"])),
            ("1", None, Some(vec!["unknown"])),
            ("0", None, Some(vec![])),
            ("0", Some(""), Some(vec![])),
            ("2", Some("smtp"), None),
            ("1", Some("smtp:"), None),
            ("", Some(""), None),
            ("-1", None, None),
            ("many", Some("smtp"), None),
            ("99999999", None, None),
        ] {
            let read = Passed::read(fds, names).ok().map(|passed| passed.names);
            let expected = expected.map(|names| names.into_iter().map(String::from).collect());
            assert_eq!(read, expected, "{fds:?} {names:?}");
        }
    }

    #[test]
    fn a_name_that_was_not_passed_and_one_that_nobody_wants_are_told() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut inherited = Inherited {
            passed: vec![("smtp".into(), Some(listener.into()))],
            handed: Vec::new(),
        };
        let missing = inherited.take("socks").err().unwrap().to_string();
        assert!(
            missing.contains("\"socks\"") && missing.contains("passes smtp:"),
            "{missing}"
        );
        assert_eq!(inherited.take("smtp").unwrap().len(), 1);
        assert!(inherited.take("smtp").is_err(), "it was taken");
        assert!(inherited.finish().is_ok());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let inherited = Inherited {
            passed: vec![("smtp".into(), Some(listener.into()))],
            handed: Vec::new(),
        };
        let left = inherited.finish().err().unwrap().to_string();
        assert!(left.contains("\"smtp\" that no [[listener]] has"), "{left}");
    }

    #[test]
    fn a_socket_that_does_not_listen_is_told() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut inherited = Inherited {
            passed: vec![("smtp".into(), Some(stream.into()))],
            handed: Vec::new(),
        };
        let error = inherited.take("smtp").err().unwrap().to_string();
        assert!(
            error.contains("expected a TCP socket that listens"),
            "{error}"
        );
    }
}
