//! From the text of the file to a [`Config`]: the mirror of every table and key.
#![expect(clippy::disallowed_methods, reason = "IO: reads the configuration")]

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use toml::de::DeTable;
use tracing_subscriber::EnvFilter;

use super::read::{Place, Problem, Reader, Section, Setting};
use super::value::{BogusProbes, Bound, GoodProbe, Resolvers};
use super::words::LogFormat;
use super::{AdminConfig, Config, DnsConfig, LogConfig, SmtpConfig, UpstreamConfig};
use super::{destinations, intercept, listeners, mta_sts, run, store};
use crate::dns::health::Probes;
use crate::dns::recursor::ServerAddress;
use crate::dns::resolver::Validate;
use crate::report::trace::keeper::KeepTraces;
use crate::smtp::{Limits, Timeouts};
use crate::tls::authority::Files;

/// A configuration with the origin of each value.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What is in force.
    pub config: Config,
    /// Every key, in the order of the reference.
    pub settings: Vec<Setting>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("the configuration {path} cannot be read: {source}", path = path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It could, and is wrong.
    #[error("{0}")]
    Invalid(Problems),
}

/// Everything that is wrong with a file, in the order of its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let newline = if index == 0 { "" } else { "\n" };
            write!(f, "{newline}{problem}")?;
        }
        Ok(())
    }
}

impl Config {
    /// Reads a configuration file. Paths in it are relative to its directory.
    ///
    /// # Errors
    /// When it cannot be read, or with all that is wrong with it.
    pub fn load(path: &Path) -> Result<Loaded, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text, path).map_err(ConfigError::Invalid)
    }

    /// Reads the text of the configuration in `file`.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn parse(text: &str, file: &Path) -> Result<Loaded, Problems> {
        let mut reader = Reader::new(file, text);
        let top = reader.parse();
        let config = read(&mut reader, top.get_ref());
        let mut problems = reader.problems;
        if problems.is_empty() {
            let settings = reader.settings;
            return Ok(Loaded { config, settings });
        }
        problems.sort_by_key(|problem| problem.line);
        Err(Problems(problems))
    }
}

fn read<'t>(reader: &mut Reader<'t>, top: &DeTable<'t>) -> Config {
    let default = Config::default();
    let mut section = Section::new(reader, Some(top), Place::top());
    let mut bound = |key, default| section.read(key, Bound(default)).0;
    let max_sessions = bound("max_sessions", default.max_sessions);
    let max_sessions_per_client = bound("max_sessions_per_client", default.max_sessions_per_client);
    let max_sessions_per_destination = bound(
        "max_sessions_per_destination",
        default.max_sessions_per_destination,
    );
    let drain_timeout = section.read("drain_timeout", default.drain_timeout);
    for table in TABLES {
        section.elsewhere(table);
    }
    section.finish();
    let listeners = listeners::read(reader, top);
    let intercept = intercept::read(reader.section(top, "intercept"), default.intercept);
    let dns = read_dns(reader.section(top, "dns"), default.dns);
    let upstream = read_upstream(reader.section(top, "upstream"), default.upstream);
    let (ca_file, resumption) = read_tls(reader.section(top, "tls"));
    let client_ca = read_client_tls(reader.section(top, "client_tls"));
    let mta_sts = mta_sts::read(reader, top, default.mta_sts);
    let policy = reader.section(top, "policy");
    let (policy, modes) = super::policy::read(policy, default.policy, default.modes);
    Config {
        max_sessions,
        max_sessions_per_client,
        max_sessions_per_destination,
        drain_timeout,
        listeners,
        intercept,
        upstream,
        ca_file,
        resumption,
        client_ca,
        mta_sts,
        policy,
        modes,
        store: store::read(reader.section(top, "store"), default.store),
        log: read_log(reader.section(top, "log"), default.log),
        admin: read_admin(reader.section(top, "admin")),
        smtp: read_smtp(reader.section(top, "smtp"), default.smtp),
        timeouts: read_timeouts(reader.section(top, "timeouts"), default.timeouts),
        limits: read_limits(reader.section(top, "limits"), default.limits),
        control: read_path(reader.section(top, "control"), "socket"),
        keep_traces: read_trace(reader.section(top, "trace"), default.keep_traces),
        rules: destinations::read(reader, top),
        run: run::read(reader.section(top, "run")),
        exceptions: super::policy::read_exceptions(reader, top, default.exceptions, dns.validate),
        dns,
    }
}

const TABLES: [&str; 21] = [
    "listener",
    "intercept",
    "dns",
    "upstream",
    "tls",
    "client_tls",
    "mta_sts",
    "policy",
    "store",
    "log",
    "admin",
    "smtp",
    "timeouts",
    "limits",
    "control",
    "trace",
    "route",
    "bypass",
    "exceptions",
    "exception",
    "run",
];

fn read_dns(mut section: Section<'_, '_>, default: DnsConfig) -> DnsConfig {
    let resolvers = section.read("resolvers", Resolvers(default.resolvers)).0;
    let validate = section.read("validate", default.validate);
    // Who believes what a resolver says must know which one it is, and that nobody stands between.
    let is_safe = !resolvers.is_empty() && resolvers.iter().all(ServerAddress::is_reached_safely);
    if validate != Validate::Local && !is_safe {
        section.contradiction(
            "validate",
            "\"local\", or resolvers that are all named here and on loopback or reached by TLS",
        );
    }
    let dns = DnsConfig {
        resolvers,
        validate,
        trust_anchor: section.path("trust_anchor"),
        timeout: section.read("timeout", default.timeout),
        probes: Probes {
            good: section.read("probe_good", GoodProbe(default.probes.good)).0,
            bogus: section
                .read("probe_bogus", BogusProbes(default.probes.bogus))
                .0,
            interval: section.read("probe_interval", default.probes.interval),
        },
    };
    section.finish();
    dns
}

fn read_upstream(mut section: Section<'_, '_>, default: UpstreamConfig) -> UpstreamConfig {
    let upstream = UpstreamConfig {
        mark: section.optional("mark"),
        keep_source: section.read("keep_source", default.keep_source),
        connect_timeout: section.read("connect_timeout", default.connect_timeout),
    };
    section.finish();
    upstream
}

fn read_path(mut section: Section<'_, '_>, key: &'static str) -> Option<PathBuf> {
    let path = section.path(key);
    section.finish();
    path
}

fn read_tls(mut section: Section<'_, '_>) -> (Option<PathBuf>, bool) {
    let tls = (
        section.path("ca_file"),
        section.read("resumption", super::defaults::RESUMPTION),
    );
    section.finish();
    tls
}

/// A certificate without its key is as good as none, and the other way round.
fn read_client_tls(mut section: Section<'_, '_>) -> Option<Files> {
    let (certificate, key) = (section.path("ca_cert"), section.path("ca_key"));
    match (&certificate, &key) {
        (Some(_), None) => section.contradiction("ca_key", "a path, beside ca_cert"),
        (None, Some(_)) => section.contradiction("ca_cert", "a path, beside ca_key"),
        (Some(_), Some(_)) | (None, None) => {}
    }
    section.finish();
    Some(Files {
        certificate: certificate?,
        key: key?,
    })
}

fn read_log(mut section: Section<'_, '_>, default: LogConfig) -> LogConfig {
    let format = section.read("format", LogFormat::Text);
    let filter = section.read("filter", default.filter);
    if EnvFilter::builder().parse(&filter).is_err() {
        section.contradiction("filter", "log directives, as \"info,danelaw=debug\"");
    }
    section.finish();
    LogConfig {
        json: format == LogFormat::Json,
        filter,
    }
}

fn read_admin(mut section: Section<'_, '_>) -> AdminConfig {
    let admin = AdminConfig {
        address: section.optional("address"),
    };
    let open = admin
        .address
        .is_some_and(|address| !address.ip().to_canonical().is_loopback());
    if open {
        section.contradiction(
            "address",
            "a loopback address (a web server before it can ask others for a login)",
        );
    }
    section.finish();
    admin
}

fn read_smtp(mut section: Section<'_, '_>, default: SmtpConfig) -> SmtpConfig {
    let smtp = SmtpConfig {
        bare_line_ends: section.read("bare_line_ends", default.bare_line_ends),
    };
    section.finish();
    smtp
}

fn read_trace(mut section: Section<'_, '_>, default: KeepTraces) -> KeepTraces {
    let keep = section.read("keep", default);
    section.finish();
    keep
}

fn read_timeouts(mut section: Section<'_, '_>, default: Timeouts) -> Timeouts {
    let timeouts = Timeouts {
        command: section.read("command", default.command),
        reply: section.read("reply", default.reply),
        data: section.read("data", default.data),
        end_of_data: section.read("end_of_data", default.end_of_data),
        decision: section.read("decision", default.decision),
        unused: section.read("unused", default.unused),
    };
    let least = Timeouts::LEAST;
    for (key, value, least, expected) in [
        (
            "command",
            timeouts.command,
            least.command,
            "at least \"5m\" (RFC 5321 §4.5.3.2.7)",
        ),
        (
            "reply",
            timeouts.reply,
            least.reply,
            "at least \"5m\" (RFC 5321 §4.5.3.2.3)",
        ),
        (
            "data",
            timeouts.data,
            least.data,
            "at least \"3m\" (RFC 5321 §4.5.3.2.5)",
        ),
        (
            "end_of_data",
            timeouts.end_of_data,
            least.end_of_data,
            "at least \"10m\" (RFC 5321 §4.5.3.2.6)",
        ),
    ] {
        if value < least {
            section.contradiction(key, expected);
        }
    }
    section.finish();
    timeouts
}

fn read_limits(mut section: Section<'_, '_>, default: Limits) -> Limits {
    let mut bound = |key, default| section.read(key, Bound(default)).0;
    let limits = Limits {
        command_line: bound("command_line", default.command_line),
        reply_line: bound("reply_line", default.reply_line),
        reply_lines: bound("reply_lines", default.reply_lines),
        recipients: bound("recipients", default.recipients),
        idle_commands: bound("idle_commands", default.idle_commands),
        domains: bound("domains", default.domains),
    };
    // RFC 5321 §4.5.3.1.4 and RFC 5321 §4.5.3.1.5 want 512 octets, RFC 5321 §4.5.3.1.8 wants 100 recipients.
    for (key, value, least, expected) in [
        ("command_line", limits.command_line, 512, "at least 512"),
        ("reply_line", limits.reply_line, 512, "at least 512"),
        ("recipients", limits.recipients, 100, "at least 100"),
    ] {
        if value < least {
            section.contradiction(key, expected);
        }
    }
    section.finish();
    limits
}
