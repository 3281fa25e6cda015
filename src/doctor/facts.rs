//! What is known of a host, as it was found.

use crate::dns::health::state::Health;
use crate::intercept::canary::{Answerer, Family};

/// Everything.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The configuration file.
    pub file: String,
    /// What is wrong with it, or with the files that it names.
    pub problems: Vec<String>,
    /// What it asks of the host.
    pub needs: Needs,
    /// Does whoever looks see everything?
    pub seer: Seer,
    /// The process, where one runs.
    pub daemon: Option<Daemon>,
    /// What differs between the rules that are loaded and those that should be; none where there are none to have.
    pub rules: Option<Result<Vec<RuleFault>, String>>,
    /// What became of connections to nobody.
    pub flights: Vec<Flight>,
    /// Whether DNSSEC validation works.
    pub health: Health,
    /// What is trusted, in words.
    pub anchor: Result<String, String>,
    /// Whether the clock is kept right, where somebody says.
    pub is_synchronised: Option<bool>,
    /// How many CAs there are.
    pub roots: Result<usize, String>,
    /// The store.
    pub store: Store,
    /// The kernel.
    pub kernel: Kernel,
    /// Whether hosts can be reached: which, and what they said or why not.
    pub egress: Vec<(String, Result<String, String>)>,
}

/// What a configuration asks of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// How connections arrive.
    pub way: Way,
    /// Whether `SO_MARK` is to be set.
    pub mark: Option<u32>,
    /// Sessions at once.
    pub sessions: u64,
}

/// How connections arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Not by netfilter.
    Handed,
    /// By REDIRECT, from this host.
    Redirect,
    /// By REDIRECT, from others.
    Gateway,
    /// By TPROXY, from others.
    Tproxy,
    /// By REDIRECT from this host, and by TPROXY from others.
    Both,
}

impl Way {
    /// Are connections of this host taken over?
    #[must_use]
    pub const fn is_local(self) -> bool {
        matches!(self, Self::Redirect | Self::Both)
    }

    /// Does it take transparent sockets?
    #[must_use]
    pub const fn is_transparent(self) -> bool {
        matches!(self, Self::Tproxy | Self::Both)
    }
}

/// Who looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seer {
    /// Root.
    Root,
    /// Somebody who cannot see all.
    User,
}

/// The process that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Daemon {
    /// Its id.
    pub pid: u32,
    /// Its user.
    pub uid: u32,
    /// The bits of its effective capabilities.
    pub capabilities: u64,
    /// How many descriptors it may have.
    pub descriptors: u64,
    /// Its release, where it says so.
    pub version: Option<String>,
    /// What keeps it from being ready, where it can be asked.
    pub faults: Option<Vec<String>>,
}

/// What differs between the rules that are loaded and those that should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleFault {
    /// Whether mail waits, or may leave unjudged.
    pub is_grave: bool,
    /// What.
    pub seen: String,
    /// What to do.
    pub remedy: String,
}

/// Connections to nobody, of one family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flight {
    /// Which.
    pub family: Family,
    /// As any user: none where that could not be tried.
    pub others: Option<Outcome>,
    /// As danelaw itself.
    pub own: Option<Outcome>,
}

/// What became of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Somebody has it.
    Answered(Answerer),
    /// It was refused: how.
    Refused(String),
    /// It left, and nothing came back.
    Gone(String),
    /// There is no way out: why.
    Untried(String),
}

/// The store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Store {
    /// There is none.
    Memory,
    /// A place, and what is wrong with it.
    Place(String, Option<String>),
}

/// What the kernel says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kernel {
    /// Tracked connections, and how many there may be; none without connection tracking.
    pub conntrack: Option<(u64, u64)>,
    /// The highest of all interfaces.
    pub src_valid_mark: u8,
    /// The highest of all interfaces.
    pub rp_filter: u8,
    /// The ports that connections can come from.
    pub ports: Option<(u16, u16)>,
}
