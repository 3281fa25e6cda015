//! The metrics: names, labels and help texts, in the format that Prometheus reads.
//!
//! Sessions are counted from their [`Record`], once each, by [`Sessions`]; everything else is read when it is asked for
//! ([`Vitals`]). All label values are words of closed enums: no domains, addresses or texts of others. The reference is
//! `docs/metrics.md`, and a test holds it against the code.

mod dns;
mod doors;
mod store;
mod sts;
mod totals;

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use totals::Totals;

use super::{ClientLeg, Judgement, Record, Records};
use crate::dns::tally::Tally;
use crate::intercept::tally::Tally as Doors;
use crate::intercept::watch::Sights;
use crate::policy::cache::tally::StsVitals;
use crate::store::pen::Backlog;

/// What [`Metrics::render`] writes.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Counts sessions.
#[derive(Clone, Debug, Default)]
pub struct Sessions {
    ended: Family<SessionLabels, Counter>,
    totals: Totals,
    legs: Family<LegLabels, Counter>,
    troubles: Family<TroubleLabels, Counter>,
    would_refuse: Family<ReasonLabel, Counter>,
    differs: Family<ReasonLabel, Counter>,
    exceptions: Family<WhatLabel, Counter>,
}

/// Why.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

/// The kind of an exception.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WhatLabel {
    what: &'static str,
}

/// A session in the words of the log line.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SessionLabels {
    via: &'static str,
    identity: &'static str,
    demand: &'static str,
    verdict: &'static str,
    reason: &'static str,
}

/// What protected the mail server's own leg, and whether it has logged in.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LegLabels {
    client_tls: &'static str,
    auth: &'static str,
}

/// What has become of an MX that was cleared.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TroubleLabels {
    reason: &'static str,
}

impl Records for Sessions {
    fn record(&self, record: &Record) {
        self.ended.get_or_create(&SessionLabels::of(record)).inc();
        self.totals.record(record);
        self.legs.get_or_create(&LegLabels::of(record)).inc();
        if let Some(trouble) = &record.trouble {
            let reason = trouble.reason;
            self.troubles.get_or_create(&TroubleLabels { reason }).inc();
        }
        record.judgements.iter().for_each(|one| self.judged(one));
    }
}

impl Sessions {
    fn judged(&self, one: &Judgement) {
        for (family, reason) in [
            (&self.would_refuse, one.would_refuse),
            (&self.differs, one.differs),
        ] {
            if let Some(reason) = reason {
                family.get_or_create(&ReasonLabel { reason }).inc();
            }
        }
        for used in &one.exceptions {
            let what = WhatLabel { what: used.kind };
            self.exceptions.get_or_create(&what).inc();
        }
    }
}

impl LegLabels {
    const fn of(record: &Record) -> Self {
        Self {
            client_tls: match record.client_leg {
                ClientLeg::Clear => "clear",
                ClientLeg::Protected { .. } => "tls",
                ClientLeg::Failed(_) => "failed",
            },
            auth: if record.logged_in { "passed" } else { "none" },
        }
    }
}

impl SessionLabels {
    /// A session that judged several domains counts as its first refusal, or else as the first; one that judged none as
    /// its end.
    fn of(record: &Record) -> Self {
        let all = &record.judgements;
        let refused = |one: &&Judgement| one.verdict == "refuse";
        let telling = all.iter().find(refused).or_else(|| all.first());
        let (via, identity) = (record.via.label(), record.identity);
        match telling {
            Some(one) => Self {
                via,
                identity,
                demand: one.level.unwrap_or("unknown"),
                verdict: one.verdict,
                reason: one.reason,
            },
            None => Self {
                via,
                identity,
                demand: "none",
                verdict: "none",
                reason: record.end,
            },
        }
    }
}

/// What is read anew each time.
#[derive(Clone, Debug)]
pub struct Vitals {
    /// Sessions that are open now.
    pub sessions_open: usize,
    /// Connections that became none.
    pub doors: Arc<Doors>,
    /// Whether connections are taken over; none where nobody looks.
    pub sights: Option<Sights>,
    /// The state of DNSSEC validation, one of [`Health::LABELS`](crate::dns::health::state::Health::LABELS).
    pub health: &'static str,
    /// Lookups.
    pub tally: Arc<Tally>,
    /// Whether the store can be read and written and holds all that it should.
    pub store_works: bool,
    /// What waits to be written there.
    pub backlog: Backlog,
    /// Exceptions in the store that could not be read.
    pub exceptions_unreadable: u64,
    /// MTA-STS policies.
    pub sts: StsVitals,
}

/// All metrics of a proxy.
pub struct Metrics {
    registry: Registry,
}

impl Metrics {
    /// Shows `sessions` and what `vitals` says at the time.
    pub fn new(sessions: &Sessions, vitals: impl Fn() -> Vitals + Send + Sync + 'static) -> Self {
        let mut registry = Registry::with_prefix("danelaw");
        registry.register(
            "build",
            "What is running",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        registry.register(
            "sessions",
            "Sessions that have ended, by the verdict that matters most: see docs/metrics.md",
            sessions.ended.clone(),
        );
        registry.register(
            "client_legs",
            "Sessions that have ended, by what protected the mail server's own leg and whether it has logged in",
            sessions.legs.clone(),
        );
        registry.register(
            "troubles",
            "Sessions in which an MX that was cleared failed, by what was the first to go wrong",
            sessions.troubles.clone(),
        );
        registry.register(
            "would_refuse",
            "Judgements that would have refused, were the mode to enforce",
            sessions.would_refuse.clone(),
        );
        registry.register(
            "combine_differs",
            "Judgements that the other setting of policy.combine would have decided otherwise, by what the stricter refuses for",
            sessions.differs.clone(),
        );
        registry.register(
            "exceptions_used",
            "Judgements that rest on an exception, by what it says",
            sessions.exceptions.clone(),
        );
        registry.register_collector(Box::new(sessions.totals.clone()));
        registry.register_collector(Box::new(Scrape(vitals)));
        Self { registry }
    }

    /// Writes them down.
    ///
    /// # Errors
    /// When a metric cannot be written.
    pub fn render(&self) -> Result<String, fmt::Error> {
        let mut written = String::new();
        text::encode(&mut written, &self.registry)?;
        Ok(written)
    }
}

/// Reads the vitals for one page.
struct Scrape<F>(F);

impl<F: Fn() -> Vitals + Send + Sync + 'static> Collector for Scrape<F> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let vitals = (self.0)();
        sessions_open(&vitals, &mut encoder)?;
        doors::encode(&vitals, &mut encoder)?;
        dns::encode(&vitals, &mut encoder)?;
        store::encode(&vitals, &mut encoder)?;
        sts::encode(&vitals.sts, &mut encoder)
    }
}

impl<F> fmt::Debug for Scrape<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scrape")
    }
}

fn sessions_open(vitals: &Vitals, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let open = i64::try_from(vitals.sessions_open).unwrap_or(i64::MAX);
    let help = "Sessions that are open now.";
    ConstGauge::new(open).encode(encoder.encode_descriptor(
        "sessions_open",
        help,
        None,
        MetricType::Gauge,
    )?)
}

#[cfg(test)]
pub(in crate::report) mod tests {
    use std::sync::atomic::AtomicU64;

    use super::super::tests::{judgement, record};
    use super::super::{Trouble, Used};
    use super::*;
    use crate::clock::{Clock, SystemClock};
    use crate::dns::health::state::Health;
    use crate::dns::tally::{Asked, Ending};
    use crate::intercept::canary::Family::{V4, V6};
    use crate::intercept::tally::{Lacked, Turned};
    use crate::intercept::watch::Sight;
    use crate::policy::cache::tally::FetchEnding;
    use crate::policy::continuity;
    use crate::store::{Dropped, Kind};

    const GOLDEN: &str = include_str!("../../testdata/golden/metrics.txt");
    const REFERENCE: &str = include_str!("../../docs/metrics.md");

    pub(in crate::report) fn metrics(sessions: &Sessions) -> Metrics {
        let tally = Arc::new(Tally::default());
        Metrics::new(sessions, move || Vitals {
            sessions_open: 0,
            doors: Arc::default(),
            sights: Some([(V4, Sight::Unknown), (V6, Sight::Unknown)]),
            health: Health::Unknown.label(),
            tally: Arc::clone(&tally),
            store_works: true,
            backlog: Backlog::default(),
            exceptions_unreadable: 0,
            sts: StsVitals::of_an_empty_cache(),
        })
    }

    #[test]
    fn the_registry_is_as_written_down() {
        let sessions = Sessions::default();
        // A family without members is not shown, and one with several in no certain order.
        let used = Used {
            id: "id".into(),
            kind: "none",
        };
        let mut record = record();
        record.trouble = Some(trouble("server-lost"));
        record.judgements = vec![Judgement {
            verdict: "pin",
            level: Some("L0"),
            would_refuse: Some("dane-mismatch"),
            differs: Some("sts-name"),
            exceptions: vec![used],
            ..judgement("a.example", "cleartext")
        }];
        sessions.record(&record);
        let rendered = metrics(&sessions).render().unwrap();
        let rendered = rendered.replace(env!("CARGO_PKG_VERSION"), "VERSION");
        assert!(
            rendered == GOLDEN,
            "testdata/golden/metrics.txt is not\n{rendered}"
        );
    }

    #[test]
    fn the_reference_names_every_metric_every_label_and_every_state() {
        for line in GOLDEN.lines() {
            if let Some(metric) = line.strip_prefix("# TYPE ") {
                let name = metric.split(' ').next().unwrap();
                assert!(REFERENCE.contains(name), "{name}");
            }
        }
        let words = Health::LABELS.into_iter();
        let words = words.chain(Ending::ALL.map(Ending::label));
        let words = words.chain(continuity::Kind::ALL.map(continuity::Kind::label));
        let words = words.chain(totals::HANDSHAKES);
        let words = words.chain(Turned::ALL.map(Turned::label));
        let words = words.chain(Lacked::ALL.map(Lacked::label));
        let words = words.chain(Sight::ALL.map(Sight::label));
        let words = words.chain(crate::policy::exceptions::What::KINDS);
        let words = words.chain(FetchEnding::ALL.map(FetchEnding::label));
        let words = words.chain(
            StsVitals::of_an_empty_cache()
                .domains
                .map(|domains| domains.0),
        );
        for word in words.chain(Asked::ALL.map(Asked::label)) {
            assert!(REFERENCE.contains(&format!("`{word}`")), "{word}");
        }
    }

    #[test]
    fn a_session_counts_once_by_the_verdict_that_matters_most() {
        let pinned = |level: &'static str| Judgement {
            level: Some(level),
            verdict: "pin",
            ..judgement("a.example", "dane-ee")
        };
        let refused = |reason| judgement("b.example", reason);
        let rows = [
            (vec![], ["none", "none", "client-lost"]),
            (vec![pinned("LD")], ["LD", "pin", "dane-ee"]),
            (vec![pinned("LD"), pinned("L0")], ["LD", "pin", "dane-ee"]),
            (
                vec![pinned("LD"), refused("dns-error"), refused("null-mx")],
                ["unknown", "refuse", "dns-error"],
            ),
        ];
        for (judgements, [demand, verdict, reason]) in rows {
            let sessions = Sessions::default();
            let mut record = record();
            record.judgements = judgements;
            record.end = "client-lost";
            sessions.record(&record);
            sessions.record(&record);
            let rendered = metrics(&sessions).render().unwrap();
            let counted: Vec<&str> = rendered
                .lines()
                .filter(|line| line.starts_with("danelaw_sessions_total"))
                .collect();
            let expected = format!(
                "danelaw_sessions_total{{via=\"redirect\",identity=\"envelope\",demand=\"{demand}\",verdict=\"{verdict}\",reason=\"{reason}\"}} 2"
            );
            assert_eq!(counted, [expected]);
        }
    }

    #[test]
    fn tls_9_the_mail_server_s_own_leg_is_counted_and_so_is_what_a_cleared_mx_has_come_to() {
        let protected = ClientLeg::Protected {
            version: "TLSv1.3",
            sni: None,
        };
        let rows = [
            (ClientLeg::Clear, false, "clear", "none"),
            (ClientLeg::Clear, true, "clear", "passed"),
            (protected, false, "tls", "none"),
            (ClientLeg::Failed("alert".into()), false, "failed", "none"),
        ];
        let sessions = Sessions::default();
        for (leg, logged_in, ..) in rows.clone() {
            let mut record = record();
            (record.client_leg, record.logged_in) = (leg, logged_in);
            record.trouble = logged_in.then(|| trouble("shortfall"));
            sessions.record(&record);
        }
        let rendered = metrics(&sessions).render().unwrap();
        let expects = |line: String| {
            let is_there = rendered.lines().any(|one| one == line);
            assert!(is_there, "{line}\n{rendered}");
        };
        for (_, _, leg, auth) in rows {
            expects(format!(
                "danelaw_client_legs_total{{client_tls=\"{leg}\",auth=\"{auth}\"}} 1"
            ));
        }
        expects("danelaw_troubles_total{reason=\"shortfall\"} 1".into());
    }

    fn trouble(reason: &'static str) -> Trouble {
        Trouble {
            reason,
            detail: String::new(),
        }
    }

    #[test]
    fn what_the_vitals_say_is_shown() {
        let tally = Arc::new(Tally::with(Arc::new(AtomicU64::new(1))));
        tally.count(Asked::Tlsa, Ending::ProvenAbsent);
        let doors = Arc::new(Doors::default());
        let now = SystemClock.instant();
        doors.turned(Turned::Loop, now);
        doors.lacked(Lacked::Dial, now);
        let metrics = Metrics::new(&Sessions::default(), move || Vitals {
            sessions_open: 3,
            doors: Arc::clone(&doors),
            sights: Some([(V4, Sight::Working), (V6, Sight::Lost)]),
            health: "clock-skew",
            tally: Arc::clone(&tally),
            store_works: false,
            backlog: Backlog {
                waiting: 4,
                dropped: vec![(Dropped::Row(Kind::Trace), 5)],
                failing: None,
            },
            exceptions_unreadable: 2,
            sts: StsVitals {
                expiring: 2,
                evicted_enforced: 1,
                ..StsVitals::of_an_empty_cache()
            },
        });
        let rendered = metrics.render().unwrap();
        for line in [
            "danelaw_sessions_open 3",
            "danelaw_connections_refused_total{reason=\"loop\"} 1",
            "danelaw_connections_refused_total{reason=\"direct\"} 0",
            "danelaw_host_exhausted_total{at=\"dial\"} 1",
            "danelaw_interception{family=\"ipv4\",state=\"working\"} 1",
            "danelaw_interception{family=\"ipv6\",state=\"lost\"} 1",
            "danelaw_interception{family=\"ipv6\",state=\"working\"} 0",
            "danelaw_dns_health{state=\"clock-skew\"} 1",
            "danelaw_dns_health{state=\"working\"} 0",
            "danelaw_dns_lookups_total{rrtype=\"TLSA\",outcome=\"proven-absent\"} 1",
            "danelaw_dns_disagreements_total 1",
            "danelaw_exceptions_unreadable_total 2",
            "danelaw_store_up 0",
            "danelaw_store_waiting 4",
            "danelaw_store_dropped_total{kind=\"trace\"} 5",
            "danelaw_store_dropped_total{kind=\"pin\"} 0",
            "danelaw_sts_expiring 2",
            "danelaw_sts_evicted_enforced_total 1",
        ] {
            assert!(
                rendered.lines().any(|one| one == line),
                "{line}\n{rendered}"
            );
        }
    }
}
