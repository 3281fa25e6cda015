//! What holds when the configuration file says nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::dns::health::Probes;
use crate::dns::health::question::Question;
use crate::dns::resolver::Validate;
use crate::intercept::Via;
use crate::report::trace::keeper::KeepTraces;
use crate::smtp::{Limits, Timeouts};
use crate::store::upkeep::Keep;

use super::mta_sts::{Prewarm, Unknown};
use super::{
    AdminConfig, Config, DnsConfig, ExceptionsConfig, InterceptConfig, ListenerConfig, LogConfig,
    OwnBy, SmtpConfig, StoreConfig, StorePlace, StsConfig, UpstreamConfig, Watch,
};

/// Where `danelaw` looks for its configuration when no file is named.
pub const PATH: &str = "/etc/danelaw/danelaw.toml";

/// The port of the default listeners. Not 10024 to 10026: content filters listen there.
pub const REDIRECT_PORT: u16 = 10225;

/// From one look at the interception to the next.
pub const WATCH_INTERVAL: Duration = Duration::from_mins(1);

/// The user that danelaw runs as.
pub const USER: &str = "danelaw";

/// Sessions at once: two sockets and some 30 KiB each.
pub const MAX_SESSIONS: usize = 1000;

/// Of one client: all of them, since a mail server is usually the only one.
pub const MAX_SESSIONS_PER_CLIENT: usize = MAX_SESSIONS;

/// To one address: half of them, so that an MX host that answers slowly cannot have them all.
pub const MAX_SESSIONS_PER_DESTINATION: usize = 500;

/// What a message in flight takes to be accepted by the MX is usually far less, and supervisors lose patience after
/// 90 s.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(60);

/// One DNS lookup with everything that its validation needs.
pub const DNS_TIMEOUT: Duration = Duration::from_secs(20);

/// What must validate: the root's own records, which only the trust anchor vouches for.
pub const PROBE_GOOD: &str = ". SOA";

/// What must not: names that their owners keep broken to be tested with. Several, of independent owners, because one of
/// them may come to be mended.
pub const PROBE_BOGUS: [&str; 3] = [
    "dnssec-failed.org. A",
    "rhybar.cz. A",
    "fail01.dnssec.works. A",
];

/// From one round of probes to the next.
pub const PROBE_INTERVAL: Duration = Duration::from_mins(5);

/// TCP connect, and TLS handshake, each. Well below a mail server's patience with a greeting (Postfix: 300 s).
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// A handshake saved is a third of a session's cost, and a ticket proves no less than the handshake that it stands for.
pub const RESUMPTION: bool = true;

/// HTTPS.
pub const STS_PORT: u16 = 443;

/// A policy fetch (RFC 8461 §3.3 suggests one minute).
pub const STS_TIMEOUT: Duration = Duration::from_secs(60);

/// Of traces a week, at a few KiB each; of counts a quarter.
pub const KEEP: Keep = Keep {
    traces: 100_000,
    trace_days: 7,
    count_days: 92,
};

/// Policies in memory: some hundred thousand of ordinary size.
pub const STS_CACHE_MIB: usize = 128;

/// Longer than most name servers are out of order.
pub const STS_UNKNOWN_AFTER: Duration = Duration::from_mins(15);

/// What is logged.
pub const LOG_FILTER: &str = "info";

impl Default for Config {
    fn default() -> Self {
        Self {
            listeners: listeners().to_vec(),
            intercept: intercept(),
            dns: DnsConfig {
                resolvers: Vec::new(),
                validate: Validate::Local,
                trust_anchor: None,
                timeout: DNS_TIMEOUT,
                probes: probes(),
            },
            upstream: UpstreamConfig {
                mark: None,
                keep_source: true,
                connect_timeout: CONNECT_TIMEOUT,
            },
            ca_file: None,
            resumption: RESUMPTION,
            client_ca: None,
            mta_sts: StsConfig {
                port: STS_PORT,
                allow_private: false,
                timeout: STS_TIMEOUT,
                cache_mib: STS_CACHE_MIB,
                unknown: Unknown::Defer,
                unknown_after: STS_UNKNOWN_AFTER,
                prewarm: Prewarm::History,
                hints: None,
            },
            policy: crate::policy::Settings::default(),
            store: StoreConfig {
                place: StorePlace::Memory,
                keep: KEEP,
            },
            log: LogConfig {
                json: false,
                filter: LOG_FILTER.to_owned(),
            },
            admin: AdminConfig {
                address: None,
                allow_remote: false,
            },
            smtp: SmtpConfig::default(),
            timeouts: Timeouts::default(),
            limits: Limits::default(),
            max_sessions: MAX_SESSIONS,
            max_sessions_per_client: MAX_SESSIONS_PER_CLIENT,
            max_sessions_per_destination: MAX_SESSIONS_PER_DESTINATION,
            drain_timeout: DRAIN_TIMEOUT,
            control: None,
            keep_traces: KeepTraces::default(),
            rules: Vec::new(),
            modes: crate::policy::Modes::default(),
            exceptions: ExceptionsConfig::default(),
        }
    }
}

fn intercept() -> InterceptConfig {
    InterceptConfig {
        layout: None,
        guard: OwnBy::Uid,
        user: USER.to_owned(),
        listener_port: None,
        ports: vec![25],
        exempt: Vec::new(),
        clients: Vec::new(),
        uplinks: Vec::new(),
        mask: 0xff,
        mark: 0x25,
        table: 2525,
        pref: 25_250,
        canary: true,
        watch: Watch::Auto,
        watch_interval: WATCH_INTERVAL,
    }
}

fn probes() -> Probes {
    let read = |text: &str| text.parse::<Question>().ok();
    Probes {
        good: read(PROBE_GOOD),
        bogus: PROBE_BOGUS.into_iter().filter_map(read).collect(),
        interval: PROBE_INTERVAL,
    }
}

/// REDIRECT in an output chain rewrites to the loopback address of the family, so these two suffice on the mail
/// server's own host.
#[must_use]
pub const fn listeners() -> [ListenerConfig; 2] {
    [
        loopback(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        loopback(IpAddr::V6(Ipv6Addr::LOCALHOST)),
    ]
}

const fn loopback(address: IpAddr) -> ListenerConfig {
    ListenerConfig::new(Via::Redirect, SocketAddr::new(address, REDIRECT_PORT))
}
