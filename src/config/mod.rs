//! The configuration, with nothing left undecided: every default is filled in.
//!
//! [`Config::load`] reads the TOML file and fails with everything that is wrong with it at once, each fault with its
//! line ([`Problem`]); an unknown key is a fault. [`Loaded`] keeps where each value comes from and prints itself in the
//! format of the file. The reference for operators is `docs/configuration.md`; a test holds it against this module.

pub mod change;
pub mod defaults;
mod destinations;
mod duration;
mod file;
mod intercept;
mod listeners;
mod mta_sts;
mod policy;
mod read;
mod run;
mod show;
mod store;
mod usable;
mod value;
mod words;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::dns::health::Probes;
use crate::dns::recursor::ServerAddress;
use crate::dns::resolver::Validate;
use crate::intercept::Via;
use crate::policy::exceptions::{Exception, Terms};
use crate::policy::identity::Rule;
use crate::policy::{Modes, Settings};
use crate::report::trace::keeper::KeepTraces;
use crate::smtp::data::BareLineEnds;
use crate::smtp::{Limits, Timeouts};
use crate::store::postgres::Address;
use crate::store::upkeep::Keep;
use crate::tls::authority::Files;

pub use file::{ConfigError, Loaded, Problems};
pub use intercept::{InterceptConfig, Interface, Layout, NoInterface, OwnBy, Watch};
pub use mta_sts::{Prewarm, StsConfig, Unknown};
pub use policy::exceptions;
pub use read::{Origin, Problem, Setting};
pub use run::{RunConfig, Sandbox};

/// The whole configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where connections come in.
    pub listeners: Vec<ListenerConfig>,
    /// How netfilter leads them there, and whether that is tried out.
    pub intercept: InterceptConfig,
    /// How names are resolved.
    pub dns: DnsConfig,
    /// How destinations are dialled.
    pub upstream: UpstreamConfig,
    /// The CAs for MTA-STS: a PEM bundle instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Whether TLS sessions with MX hosts are resumed.
    pub resumption: bool,
    /// The local CA, for TLS towards clients.
    pub client_ca: Option<Files>,
    /// Policy hosts.
    pub mta_sts: StsConfig,
    /// Operator choices.
    pub policy: Settings,
    /// What survives a restart.
    pub store: StoreConfig,
    /// The log.
    pub log: LogConfig,
    /// State and metrics for the operator.
    pub admin: AdminConfig,
    /// What the proxy lets through.
    pub smtp: SmtpConfig,
    /// Patience.
    pub timeouts: Timeouts,
    /// Bounds of one session.
    pub limits: Limits,
    /// Sessions at once.
    pub max_sessions: usize,
    /// Of one client.
    pub max_sessions_per_client: usize,
    /// To one destination's address.
    pub max_sessions_per_destination: usize,
    /// How long sessions may go on after a shutdown was asked for.
    pub drain_timeout: Duration,
    /// The Unix socket that commands ask; none means that they use the store.
    pub control: Option<PathBuf>,
    /// Which traces are kept.
    pub keep_traces: KeepTraces,
    /// Destinations that are not judged by their recipients' domains: routes, then bypasses.
    pub rules: Vec<Rule>,
    /// Whose demands are enforced, and whose are only reported.
    pub modes: Modes,
    /// What is said of single domains.
    pub exceptions: ExceptionsConfig,
    /// As whom the process runs, and what it cannot do.
    pub run: RunConfig,
}

/// Exceptions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExceptionsConfig {
    /// What all of them must keep to, wherever they were made.
    pub terms: Terms,
    /// Those that the file declares.
    pub declared: Vec<Exception>,
}

/// One listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerConfig {
    /// Its kind.
    pub kind: Via,
    /// Where it listens.
    pub socket: ListenOn,
    /// SOCKS5 on another address than loopback must be asked for.
    pub allow_remote: bool,
    /// Whose PROXY headers are believed; empty for all other kinds.
    pub trusted: Vec<IpNet>,
    /// Whether its clients are offered STARTTLS.
    pub client_tls: ClientTls,
}

impl ListenerConfig {
    /// A listener that nothing else is known of.
    #[must_use]
    pub const fn new(kind: Via, address: SocketAddr) -> Self {
        Self {
            kind,
            socket: ListenOn::Address(address),
            allow_remote: false,
            trusted: Vec::new(),
            client_tls: ClientTls::Auto,
        }
    }
}

/// Where a listener's socket comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenOn {
    /// It is bound to this address.
    Address(SocketAddr),
    /// The service manager passes it, or several, by this name.
    Fd(String),
}

impl ListenOn {
    /// The address, where it is known beforehand.
    #[must_use]
    pub const fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Address(address) => Some(*address),
            Self::Fd(_) => None,
        }
    }
}

/// STARTTLS towards clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientTls {
    /// For clients on other hosts, when there is a CA.
    Auto,
    /// For nobody.
    Never,
    /// For all.
    Offer,
}

/// DNS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsConfig {
    /// Recursive resolvers; empty means those of the system.
    pub resolvers: Vec<ServerAddress>,
    /// Whose DNSSEC validation counts.
    pub validate: Validate,
    /// A file of DNSKEY or DS records; none means the built-in IANA root keys.
    pub trust_anchor: Option<PathBuf>,
    /// One lookup, with everything it needs.
    pub timeout: Duration,
    /// How it is found out whether validation works.
    pub probes: Probes,
}

/// Connections to destinations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpstreamConfig {
    /// `SO_MARK` on them.
    pub mark: Option<u32>,
    /// Bind to the client's own address (multi-homed senders, SPF).
    pub keep_source: bool,
    /// TCP connect and TLS handshake, each.
    pub connect_timeout: Duration,
}

/// What the proxy lets through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SmtpConfig {
    /// Messages with a bare CR, a bare LF or a NUL.
    pub bare_line_ends: BareLineEnds,
}

/// What survives a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreConfig {
    /// Where it is.
    pub place: StorePlace,
    /// How long traces and counts are kept.
    pub keep: Keep,
}

/// Where the store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StorePlace {
    /// Nowhere: it ends with the process.
    Memory,
    /// A SQLite file.
    File(PathBuf),
    /// A PostgreSQL database that several nodes share.
    Database {
        /// Which.
        address: Address,
        /// The SQLite file that keeps what this node knows.
        snapshot: Option<PathBuf>,
    },
}

/// State and metrics by HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdminConfig {
    /// Where, on loopback; none means nowhere.
    pub address: Option<SocketAddr>,
}

/// The log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// JSON lines instead of text.
    pub json: bool,
    /// A filter as `tracing_subscriber::EnvFilter` reads it.
    pub filter: String,
}

#[cfg(test)]
mod tests;
