//! How a session ended and what it carried, for its record.

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// The client said QUIT.
    Quit,
    /// The client closed, or half of it with nothing left to do.
    ClientLost,
    /// The MX was lost with a message in its hands.
    ServerLost,
    /// The MX could not be reached, or not spoken to.
    Unreachable,
    /// One of the peers took too long.
    Timeout,
    /// The proxy shut down.
    Shutdown,
    /// The client went beyond a limit or broke the protocol, or this host has nothing to serve it with.
    Refused,
}

impl End {
    /// The stable word for records and metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Quit => "quit",
            Self::ClientLost => "client-lost",
            Self::ServerLost => "server-lost",
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Shutdown => "shutdown",
            Self::Refused => "refused",
        }
    }
}

/// What a session carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Recipients that the MX accepted.
    pub recipients: u64,
    /// Messages that the MX accepted.
    pub messages: u64,
    /// Whether the MX has accepted a login.
    pub logged_in: bool,
}
