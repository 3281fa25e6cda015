//! What keeps a plan from being made, each with what would make it one.

use crate::config::Layout;
use crate::intercept::Via;

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPlan {
    /// A value that cannot be.
    #[error("intercept.{key}: expected {expected}")]
    Fault {
        /// Which.
        key: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// None that netfilter leads to.
    #[error(
        "no listener takes connections from netfilter: expected one of kind \"redirect\" or \"tproxy\", got {got}"
    )]
    NoListener {
        /// The kinds that there are.
        got: Kinds,
    },
    /// The listeners belong to another layout.
    #[error("layout \"{}\" takes a listener of kind {expected}, got {got}: name the other layout, or change the listener", layout.label())]
    WrongKind {
        /// The layout that was asked for.
        layout: Layout,
        /// What it takes.
        expected: &'static str,
        /// What there is.
        got: Kinds,
    },
    /// It could be a host or a gateway.
    #[error(
        "the redirect listener is not on loopback, so this may be a mail server's host or a gateway: expected \
         intercept.layout or --layout, as \"host\" or \"gateway\""
    )]
    WhichLayout,
    /// REDIRECT of forwarded packets never leads to loopback.
    #[error(
        "on a gateway redirected connections arrive at the address of the interface: expected a redirect listener on \
         \"[::]:{port}\", got one on loopback only"
    )]
    LoopbackOnGateway {
        /// The listener's port.
        port: u16,
    },
    /// No port, or several.
    #[error(
        "the listeners do not say which port to lead connections to{}: expected intercept.listener_port or --listener-port",
        several(found)
    )]
    WhichPort {
        /// Those that they name.
        found: Vec<u16>,
    },
    /// One that nobody listens on.
    #[error(
        "intercept.listener_port is {port}, and no listener of that kind has it: they have {found:?}"
    )]
    OtherPort {
        /// It.
        port: u16,
        /// Those that they name.
        found: Vec<u16>,
    },
    /// Connections to it would go round in circles.
    #[error(
        "port {port} is the listener's own and one of intercept.ports: expected two different ones"
    )]
    OwnPort {
        /// It.
        port: u16,
    },
    /// No clients or no uplinks.
    #[error("a gateway needs {what}: expected intercept.{key} or --{key}, as [\"{example}\"]")]
    NoInterfaces {
        /// For whom.
        what: &'static str,
        /// The key.
        key: &'static str,
        /// A name that is often seen there.
        example: &'static str,
    },
    /// The rules would not know whose connections to let go.
    #[error(
        "there is no user {user:?} on this host: make it first (useradd --system {user}), or name another with \
         intercept.user or --user; a number needs no entry in /etc/passwd"
    )]
    NoUser {
        /// The name.
        user: String,
    },
    /// Everything that root sends would pass.
    #[error(
        "user {user:?} is root: its connections would all go past danelaw; expected a user of danelaw's own"
    )]
    Root {
        /// The name or the number.
        user: String,
    },
    /// Names differ from container to container.
    #[error(
        "in a container names of users may mean another there: expected the number of danelaw's user, got {user:?}"
    )]
    NamedInContainer {
        /// The name.
        user: String,
    },
    /// Nothing to know them by.
    #[error(
        "intercept.guard is \"mark\": expected upstream.mark with a bit of intercept.mask ({mask:#x}), got {}",
        written(*mark)
    )]
    NoMark {
        /// `upstream.mark`.
        mark: Option<u32>,
        /// `intercept.mask`.
        mask: u32,
    },
}

/// The kinds of some listeners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kinds(pub(super) Vec<Via>);

impl std::fmt::Display for Kinds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut labels: Vec<&str> = self.0.iter().map(|via| via.label()).collect();
        labels.dedup();
        match labels.as_slice() {
            [] => f.write_str("none"),
            labels => write!(f, "\"{}\"", labels.join("\", \"")),
        }
    }
}

fn several(found: &[u16]) -> String {
    match found {
        [] => String::new(),
        ports => format!(" (they name {ports:?})"),
    }
}

fn written(mark: Option<u32>) -> String {
    mark.map_or_else(|| "none".to_owned(), |mark| format!("{mark:#x}"))
}
