//! The lab's scenarios put to a proxy: one real message each, and what became of it held against the catalogue.
//!
//! [`run`] sends through the proxy, waits for the [`Record`] of the session, and [`Outcome::problems`] is everything
//! that is not as [`Expected`]: verdict, level, reason, reply, and what the sinks saw. A pin must deliver every octet
//! of the message; after a refusal no host may have heard MAIL. Nothing is skipped: without a record a trial fails.
#![expect(
    clippy::disallowed_methods,
    reason = "IO: it waits for a record, not for ever"
)]

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::Notify;

use super::catalogue::{Expected, Route, Scenario};
use super::sender::{self, Heard, Letter, SENDER};
use super::sink::Connection;
use super::world::Stage;
use crate::report::{Judgement, Record, Records};
use crate::verdict::Basis;

/// What became of one scenario.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The scenario.
    pub scenario: Scenario,
    /// The reply that decided, as the sending MTA heard it; or why it heard none.
    pub reply: String,
    /// The verdict, as the proxy recorded it.
    pub judgement: Option<Judgement>,
    /// Everything that is not as expected; empty when the trial has passed.
    pub problems: Vec<String>,
}

impl Outcome {
    /// Whether everything is as expected.
    #[must_use]
    pub const fn passed(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Keeps the records of a proxy until they are asked for.
#[derive(Debug, Default)]
pub struct Collector {
    records: Mutex<Vec<Record>>,
    arrived: Notify,
}

impl Records for Collector {
    fn record(&self, record: &Record) {
        self.records
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(record.clone());
        self.arrived.notify_waiters();
    }
}

impl Collector {
    /// The record of the session with this client, once it is over.
    async fn of(&self, client: SocketAddr) -> Record {
        loop {
            let arrived = self.arrived.notified();
            tokio::pin!(arrived);
            // Registered before looking, so that a record in between is not missed.
            arrived.as_mut().enable();
            if let Some(record) = self.find(client) {
                return record;
            }
            arrived.await;
        }
    }

    fn find(&self, client: SocketAddr) -> Option<Record> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records
            .iter()
            .find(|record| record.client == client)
            .cloned()
    }
}

/// Puts every stage to the proxy at `proxy`, several at a time; the outcomes are in the order of the stages.
pub async fn run_all(
    stages: &[Stage],
    proxy: SocketAddr,
    records: &Collector,
    mut progress: impl FnMut(&Outcome),
) -> Vec<Outcome> {
    let mut trials = futures_util::stream::iter(stages)
        .map(|stage| run(stage, proxy, records))
        .buffered(AT_A_TIME);
    let mut outcomes = Vec::with_capacity(stages.len());
    while let Some(outcome) = trials.next().await {
        progress(&outcome);
        outcomes.push(outcome);
    }
    outcomes
}

/// Puts one stage to the proxy at `proxy`, which reports to `records`.
pub async fn run(stage: &Stage, proxy: SocketAddr, records: &Collector) -> Outcome {
    let heard = tokio::time::timeout(PATIENCE, deliver(stage, proxy))
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let mut record = None;
    if let Ok(Heard {
        client: Some(client),
        ..
    }) = heard
    {
        record = tokio::time::timeout(PATIENCE, records.of(client))
            .await
            .ok();
    }
    let seen: Vec<Vec<Connection>> = stage
        .sinks()
        .iter()
        .map(super::sink::Sink::connections)
        .collect();
    let judgement = record.and_then(|record| record.judgements.last().cloned());
    let reply = match &heard {
        Ok(heard) => heard.decisive.clone(),
        Err(error) => format!("no reply: {error}"),
    };
    let problems = Examination {
        scenario: &stage.scenario,
        recipient: &stage.recipient,
        reply: &reply,
        judgement: judgement.as_ref(),
        seen: &seen,
    }
    .problems();
    Outcome {
        scenario: stage.scenario,
        reply,
        judgement,
        problems,
    }
}

async fn deliver(stage: &Stage, proxy: SocketAddr) -> io::Result<Heard> {
    let message = message();
    let letter = Letter {
        recipient: &stage.recipient,
        destination: stage.destination,
        message: &message,
    };
    sender::send(proxy, &letter).await
}

/// With everything that a relay could spoil: dots in all places, a line beyond 998 octets, 8-bit text, blank lines.
fn message() -> Vec<u8> {
    let long = "long line ".repeat(200);
    format!(
        "From: <{SENDER}>\r\nSubject: a trial\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
         .\r\n..\r\n.dot and more\r\n  spaces  \r\nGr\u{fc}\u{df}e, \u{65e5}\u{672c}\u{8a9e}\r\n{long}\r\n\r\n.\r\n\r\n"
    )
    .into_bytes()
}

/// What was found, to be held against what was expected.
struct Examination<'a> {
    scenario: &'a Scenario,
    recipient: &'a str,
    reply: &'a str,
    judgement: Option<&'a Judgement>,
    /// By host, the one at the destination first.
    seen: &'a [Vec<Connection>],
}

impl Examination<'_> {
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        self.compare_verdict(&mut problems);
        match self.scenario.expected {
            Expected::Pin { basis, .. } if self.scenario.presents.rcpt.starts_with('2') => {
                self.compare_reply("250", &mut problems);
                self.check_delivery(basis, &mut problems);
            }
            Expected::Pin { .. } => {
                // What an authenticated host says is passed on as it is.
                self.compare_reply(self.scenario.presents.rcpt, &mut problems);
            }
            Expected::Refuse { reply, .. } => {
                self.compare_reply(reply, &mut problems);
                let heard = self.seen.iter().flatten();
                if heard.clone().any(|connection| connection.mail_commands > 0) {
                    problems.push("a host has heard MAIL before the refusal".into());
                }
            }
        }
        problems
    }

    fn compare_verdict(&self, problems: &mut Vec<String>) {
        let expected = self.scenario.expected;
        let Some(judgement) = self.judgement else {
            problems.push("no judgement was recorded".into());
            return;
        };
        let pairs = [
            ("verdict", Some(expected.verdict()), Some(judgement.verdict)),
            ("level", expected.level(), judgement.level),
            ("reason", Some(expected.reason()), Some(judgement.reason)),
        ];
        for (what, wanted, got) in pairs {
            compare(problems, what, wanted, got);
        }
        if let Expected::Pin { observed, .. } = expected {
            compare(problems, "observation", observed, judgement.observed);
        }
    }

    fn compare_reply(&self, start: &str, problems: &mut Vec<String>) {
        if !self.reply.starts_with(start) {
            let reply = self.reply;
            problems.push(format!("reply: expected {start}, got {reply}"));
        }
    }

    fn check_delivery(&self, basis: Basis, problems: &mut Vec<String>) {
        let at_destination = self.seen.first().map_or(&[][..], Vec::as_slice);
        let deliveries: Vec<_> = at_destination
            .iter()
            .flat_map(|connection| &connection.deliveries)
            .collect();
        let [delivery] = deliveries.as_slice() else {
            let count = deliveries.len();
            problems.push(format!(
                "the destination got {count} messages instead of one"
            ));
            return;
        };
        if delivery.message != message() {
            problems.push("the message that arrived is not the one that was sent".into());
        }
        if delivery.from != SENDER || delivery.to != [self.recipient] {
            problems.push("the envelope that arrived is not the one that was sent".into());
        }
        if delivery.protected != (basis != Basis::Cleartext) {
            problems.push(format!(
                "the message came by {basis:?} with the wrong protection"
            ));
        }
        if self.authenticates(basis) {
            let base = self.scenario.tlsa_base();
            let carrier = at_destination
                .iter()
                .find(|connection| !connection.deliveries.is_empty());
            let sni = carrier.and_then(|connection| connection.sni.as_deref());
            compare(problems, "SNI", Some(&base), sni);
        }
    }

    /// Evidence about a host must be taken with its name (RFC 7672 §8.1, RFC 8461 §7.1).
    fn authenticates(&self, basis: Basis) -> bool {
        match basis {
            Basis::DaneEe
            | Basis::DaneTa
            | Basis::Sts
            | Basis::DaneAndSts
            | Basis::Webpki
            | Basis::Pinned => self.scenario.publishes.route != Route::Literal,
            Basis::Cleartext | Basis::OpportunisticTls | Basis::Encrypted => false,
        }
    }
}

fn compare(problems: &mut Vec<String>, what: &str, wanted: Option<&str>, got: Option<&str>) {
    if wanted != got {
        let (wanted, got) = (wanted.unwrap_or("none"), got.unwrap_or("none"));
        problems.push(format!("{what}: expected {wanted}, got {got}"));
    }
}

/// Trials are independent; more at a time than this only wait for the processor.
const AT_A_TIME: usize = 16;
/// Ample, so that nothing but a fault ever runs into it.
const PATIENCE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::catalogue;
    use crate::lab::sink::Delivery;

    fn scenario(name: &str) -> Scenario {
        let found = catalogue::all()
            .into_iter()
            .find(|scenario| scenario.name == name);
        found.unwrap()
    }

    fn judgement(
        verdict: &'static str,
        level: Option<&'static str>,
        reason: &'static str,
    ) -> Judgement {
        Judgement {
            domain: "x.test".into(),
            host: None,
            level,
            verdict,
            reason,
            detail: String::new(),
            observed: None,
            would_refuse: None,
            differs: None,
            is_for_policy: true,
            exceptions: vec![],
        }
    }

    fn delivered(message: Vec<u8>, basis: Basis) -> Connection {
        let protected = basis != Basis::Cleartext;
        Connection {
            sni: Some("mx.dane-ee-match.test".into()),
            protected,
            mail_commands: 1,
            deliveries: vec![Delivery {
                from: SENDER.into(),
                to: vec!["user@dane-ee-match.test".into()],
                message,
                protected,
            }],
        }
    }

    fn problems(
        name: &str,
        reply: &str,
        judgement: Option<&Judgement>,
        connection: Connection,
    ) -> Vec<String> {
        Examination {
            scenario: &scenario(name),
            recipient: "user@dane-ee-match.test",
            reply,
            judgement,
            seen: &[vec![connection]],
        }
        .problems()
    }

    #[test]
    fn a_pin_passes_only_with_the_message_whole_and_protected() {
        let pin = judgement("pin", Some("LD"), "dane-ee");
        let wrong_level = judgement("pin", Some("L0"), "dane-ee");
        let wrong_basis = judgement("pin", Some("LD"), "dane-ta");
        let mut observing = pin.clone();
        observing.observed = Some("sts-name");
        let good = || delivered(message(), Basis::DaneEe);
        for (what, reply, judgement, connection, count) in [
            ("as expected", "250 2.0.0 ok", Some(&pin), good(), 0),
            ("no record", "250 2.0.0 ok", None, good(), 1),
            ("level", "250 2.0.0 ok", Some(&wrong_level), good(), 1),
            ("basis", "250 2.0.0 ok", Some(&wrong_basis), good(), 1),
            ("observed", "250 2.0.0 ok", Some(&observing), good(), 1),
            ("reply", "451 4.7.5 no", Some(&pin), good(), 1),
            (
                "in clear",
                "250 2.0.0 ok",
                Some(&pin),
                delivered(message(), Basis::Cleartext),
                1,
            ),
            (
                "spoilt",
                "250 2.0.0 ok",
                Some(&pin),
                delivered(b"x\r\n".to_vec(), Basis::DaneEe),
                1,
            ),
            (
                "nothing arrived",
                "250 2.0.0 ok",
                Some(&pin),
                Connection::default(),
                1,
            ),
        ] {
            let found = problems("dane-ee-match", reply, judgement, connection);
            assert_eq!(found.len(), count, "{what}: {found:?}");
        }
    }

    #[test]
    fn a_refusal_passes_only_when_no_host_heard_mail() {
        let refusal = judgement("refuse", Some("LD"), "dane-mismatch");
        let reply = "451 4.7.5 dane-mismatch: no record matches";
        for (what, reply, connection, count) in [
            ("as expected", reply, Connection::default(), 0),
            ("another code", "550 5.7.1 no", Connection::default(), 1),
            (
                "MAIL was heard",
                reply,
                delivered(message(), Basis::DaneEe),
                1,
            ),
        ] {
            let found = problems("dane-ee-mismatch", reply, Some(&refusal), connection);
            assert_eq!(found.len(), count, "{what}: {found:?}");
        }
    }
}
