//! The session line: one INFO line per session, target `danelaw::session`.
//!
//! A session that judged several domains has them comma-separated, and its hosts, levels, verdicts and reasons in the
//! same order, `-` where there is none; so `grep 'domain="[^"]*example.org'` finds every session of a domain, and
//! `grep 'verdict="[^"]*refuse'` every refusal. Fields without a value are left out. Text that others chose (host names,
//! certificate names, TLS errors) is cut to a length and cannot break the line (CWE-117).

use std::fmt::Write;
use std::time::Duration;

use tracing::info;

use super::{ClientLeg, Judgement, Record, Records};

/// Writes records to the log.
#[derive(Clone, Copy, Debug, Default)]
pub struct Log;

impl Records for Log {
    fn record(&self, record: &Record) {
        let line = Line::of(record);
        info!(
            target: "danelaw::session",
            trace = line.trace,
            via = record.via.label(),
            client = %record.client,
            destination = %record.destination,
            client_tls = line.client_tls,
            client_sni = line.client_sni,
            auth = record.logged_in.then_some("passed"),
            identity = record.identity,
            domain = line.domain,
            host = line.host,
            level = line.level,
            verdict = line.verdict,
            reason = line.reason,
            detail = line.detail,
            observed = line.observed,
            would_refuse = line.would_refuse,
            differs = line.differs,
            exception = line.exception,
            tls_version = record.tls_version,
            tls_suite = line.tls_suite,
            pin = record.pin,
            tls_resumed = (record.resumed > 0).then_some(record.resumed),
            alert = line.alert,
            dials = record.dials,
            recipients = record.recipients,
            messages = record.messages,
            trouble = line.trouble,
            decision_ms = record.decision.map(millis),
            duration_ms = millis(record.duration),
            end = record.end,
            "session"
        );
    }
}

/// The fields that take some work.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    trace: String,
    client_tls: &'static str,
    client_sni: Option<String>,
    domain: Option<String>,
    host: Option<String>,
    level: Option<String>,
    verdict: Option<String>,
    reason: Option<String>,
    detail: Option<String>,
    observed: Option<String>,
    would_refuse: Option<String>,
    differs: Option<String>,
    exception: Option<String>,
    tls_suite: Option<String>,
    alert: Option<String>,
    trouble: Option<String>,
}

impl Line {
    fn of(record: &Record) -> Self {
        let all = &record.judgements;
        let (client_tls, client_sni, failure) = match &record.client_leg {
            ClientLeg::Clear => ("clear", None, None),
            ClientLeg::Protected { version, sni } => (*version, sni.as_ref(), None),
            ClientLeg::Failed(why) => ("failed", None, Some(why.as_str())),
        };
        let aside = failure.or(record.sent_away.as_deref());
        Self {
            trace: printable(&record.trace),
            client_tls,
            client_sni: client_sni.map(|name| printable(name.as_str())),
            domain: list(all, |one| Some(&one.domain)),
            host: list(all, |one| one.host.as_deref()),
            level: list(all, |one| one.level),
            verdict: list(all, |one| Some(one.verdict)),
            reason: list(all, |one| Some(one.reason)),
            detail: details(all).or_else(|| aside.map(printable)),
            observed: list(all, |one| one.observed),
            would_refuse: list(all, |one| one.would_refuse),
            differs: list(all, |one| one.differs),
            exception: exceptions(all),
            tls_suite: record.tls_suite.as_deref().map(printable),
            alert: (!record.alerts.is_empty()).then(|| record.alerts.join(",")),
            trouble: record
                .trouble
                .as_ref()
                .map(|trouble| format!("{}: {}", trouble.reason, printable(&trouble.detail))),
        }
    }
}

/// One column of the judgements; none when it is empty throughout.
fn list<'a>(
    judgements: &'a [Judgement],
    column: impl Fn(&'a Judgement) -> Option<&'a str>,
) -> Option<String> {
    judgements.iter().find_map(&column)?;
    let cells = judgements
        .iter()
        .map(|one| column(one).map_or_else(|| "-".into(), printable));
    Some(cells.collect::<Vec<_>>().join(","))
}

/// The ids of the exceptions that each judgement rests on, several with a `+` between them.
fn exceptions(judgements: &[Judgement]) -> Option<String> {
    let ids = |one: &Judgement| {
        let ids: Vec<&str> = one.exceptions.iter().map(|used| used.id.as_str()).collect();
        if ids.is_empty() {
            "-".to_owned()
        } else {
            ids.join("+")
        }
    };
    let any = judgements.iter().any(|one| !one.exceptions.is_empty());
    any.then(|| judgements.iter().map(ids).collect::<Vec<_>>().join(","))
}

/// What was said in refusals, each with its domain where there are several.
fn details(judgements: &[Judgement]) -> Option<String> {
    let mut text = String::new();
    for one in judgements.iter().filter(|one| !one.detail.is_empty()) {
        if !text.is_empty() {
            text.push_str("; ");
        }
        if judgements.len() > 1 {
            // Writing into a String cannot fail.
            let _ = write!(text, "{}: ", printable(&one.domain));
        }
        text.push_str(&printable(&one.detail));
    }
    (!text.is_empty()).then_some(text)
}

/// Longer text says nothing more.
const LONGEST: usize = 300;

/// Printable US-ASCII without what would end a quoted field or give a terminal orders.
fn printable(text: &str) -> String {
    let plain = |c: char| match c {
        '"' => '\'',
        '\\' => '/',
        ' '..='~' => c,
        _ => '?',
    };
    let mut line: String = text.chars().take(LONGEST).map(plain).collect();
    if text.chars().nth(LONGEST).is_some() {
        line.push_str("...");
    }
    line
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::MakeWriter;

    use super::super::Used;
    use super::super::tests::{judgement, record};
    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut all = self.0.lock().map_err(|_| io::ErrorKind::Other)?;
            all.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Written {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    fn used(id: &str, kind: &'static str) -> Used {
        let id = id.into();
        Used { id, kind }
    }

    fn several() -> Record {
        let mut record = record();
        let mut pinned = judgement("a.example", "dane-ee");
        pinned.verdict = "pin";
        pinned.host = Some("mx.a.example".into());
        pinned.level = Some("LD");
        let mut refused = judgement("b.example", "dest-not-mx");
        refused.detail = "192.0.2.1 is no MX host".into();
        pinned.differs = Some("sts-name");
        refused.exceptions = ["4nta", "1pin"].map(|id| used(id, "nta")).to_vec();
        record.judgements = vec![pinned, refused];
        record
    }

    #[test]
    fn columns_of_several_judgements_stay_in_line() {
        let line = Line::of(&several());
        for (what, seen, expected) in [
            ("domain", line.domain, Some("a.example,b.example")),
            ("host", line.host, Some("mx.a.example,-")),
            ("level", line.level, Some("LD,-")),
            ("verdict", line.verdict, Some("pin,refuse")),
            ("reason", line.reason, Some("dane-ee,dest-not-mx")),
            (
                "detail",
                line.detail,
                Some("b.example: 192.0.2.1 is no MX host"),
            ),
            ("observed", line.observed, None),
            ("would_refuse", line.would_refuse, None),
            ("differs", line.differs, Some("sts-name,-")),
            ("exception", line.exception, Some("-,4nta+1pin")),
        ] {
            assert_eq!(seen.as_deref(), expected, "{what}");
        }
    }

    #[test]
    fn both_legs_are_told() {
        for (leg, client_tls, client_sni, detail) in [
            (ClientLeg::Clear, "clear", None, None),
            (
                ClientLeg::Protected {
                    version: "TLSv1.2",
                    sni: Some("mx.example".parse().unwrap()),
                },
                "TLSv1.2",
                Some("mx.example"),
                None,
            ),
            (
                ClientLeg::Failed("it is not TLS".into()),
                "failed",
                None,
                Some("it is not TLS"),
            ),
        ] {
            let mut record = record();
            record.client_leg = leg;
            let line = Line::of(&record);
            assert_eq!(line.client_tls, client_tls);
            assert_eq!(line.client_sni.as_deref(), client_sni);
            assert_eq!(line.detail.as_deref(), detail);
        }
    }

    #[test]
    fn dn_23_text_that_others_chose_cannot_forge_a_line() {
        for (text, expected) in [
            ("mx.example", "mx.example"),
            (
                "a\r\nINFO session end=\"quit\"",
                "a??INFO session end='quit'",
            ),
            ("\u{1b}[31mred", "?[31mred"),
            ("b\u{f6}se \u{202e}", "b?se ?"),
            ("%s \\n", "%s /n"),
        ] {
            assert_eq!(printable(text), expected, "{text:?}");
        }
        assert_eq!(printable(&"x".repeat(65_536)).len(), LONGEST + 3);
    }

    #[test]
    fn dn_23_a_record_is_one_json_object_with_the_fields_that_have_values() {
        let mut record = several();
        record.judgements[1].detail = "bad\r\n\"name\"".into();
        record.decision = Some(Duration::from_millis(12));
        let written = Written::default();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .with_writer(written.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || Log.record(&record));
        let bytes = written.0.lock().unwrap().clone();
        assert_eq!(bytes.iter().filter(|octet| **octet == b'\n').count(), 1);
        let line: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let fields = &line["fields"];
        assert_eq!(line["target"], "danelaw::session");
        assert_eq!(fields["domain"], "a.example,b.example");
        assert_eq!(fields["detail"], "b.example: bad??'name'");
        assert_eq!(fields["decision_ms"], 12);
        assert_eq!(fields["destination"], "192.0.2.1:25");
        assert!(fields.get("pin").is_none());
    }
}
