//! Last words: of a session that has ended, and to a client that gets none.
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "IO: limits the time of farewells"
)]

use std::time::Duration;

use tokio::net::TcpStream;

use super::{Driver, Greeting, Reading};
use crate::intercept::Intercepted;
use crate::proxy::wire::{Downstream, Wire};
use crate::proxy::{FAREWELL, Shell, Stage, refusal};
use crate::report::Trouble;
use crate::smtp::{End, Reply};

/// How long a client may take to close after its last reply.
pub(in crate::proxy) const LINGER: Duration = Duration::from_secs(2);

/// Says one line in place of a greeting, to a client whose destination is known.
pub(in crate::proxy) async fn send_away(
    shell: &Shell,
    from: &Intercepted,
    client: TcpStream,
    reply: &Reply,
) {
    let mut open = shell.open(from);
    open.record.end = End::Refused.label();
    let reply = reply.encode();
    open.record.sent_away = Some(refusal::told(&reply));
    let mut client = Wire::new(Downstream::Clear(client));
    client.push(reply);
    if let Ok(Ok(())) = tokio::time::timeout(FAREWELL, client.finish()).await {
        let _ = tokio::time::timeout(LINGER, client.exhaust()).await;
    }
}

impl Driver {
    /// Says the last words to both sides.
    pub(super) async fn close(mut self) {
        self.remember_lacking();
        let tally = self.session.tally();
        let record = &mut self.open.record;
        (record.recipients, record.messages) = (tally.recipients, tally.messages);
        record.logged_in = tally.logged_in;
        record.trouble = self.session.trouble().map(|reason| Trouble {
            reason: reason.label(),
            detail: reason.to_string(),
        });
        self.open.record.end = self.end();
        self.server.leave();
        let mut client = self.client;
        let written = tokio::time::timeout(FAREWELL, client.finish()).await;
        drop(self.open);
        if matches!(written, Ok(Ok(()))) && self.reading == Reading::Open {
            // At most a courtesy: the octets are on their way.
            let _ = tokio::time::timeout(LINGER, client.exhaust()).await;
        }
    }

    fn remember_lacking(&self) {
        let (lacking, now) = (self.session.lacking(), self.now());
        let learned = &self.shell.engine.learned;
        let address = self.from.destination.ip();
        if lacking != learned.lacking(address, now) {
            learned.learn_lacking(address, lacking, now);
        }
    }

    fn end(&self) -> &'static str {
        let end = match (self.session.end(), self.greeting, self.stage) {
            (Some(end), ..) => end,
            (None, Greeting::Refusal, _) => End::Refused,
            (None, _, Stage::Over) => End::Shutdown,
            (None, ..) => return "aborted",
        };
        end.label()
    }
}
