//! A session without mail: goes as far as the verdict on one recipient domain, by the code of a delivery, and leaves.
//!
//! The MX host hears EHLO, STARTTLS and QUIT; MAIL is never sent, since the session holds it back until a verdict and
//! is dropped when the verdict is there.
#![expect(clippy::disallowed_methods, reason = "IO: connects to MX hosts")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::FAREWELL;
use super::decide::Clerk;
use super::dial::{Dialer, Source};
use super::engine::Engine;
use super::wire::Upstream;
use crate::name::{DnsName, Domain};
use crate::smtp::data::BareLineEnds;
use crate::smtp::ehlo::Extensions;
use crate::smtp::{
    Action, Auth, ClientHandshake, ClientTls, Dialled, Limits, Session, Settings, Timeouts,
};
use crate::tls::Handshake;
use crate::verdict::{Reason, Refusal, Verdict};

/// What a probe has found.
#[derive(Debug)]
pub struct Probe {
    /// Never a redial: those are carried out.
    pub verdict: Verdict,
    /// The last handshake.
    pub handshake: Option<Handshake>,
}

/// Makes probes.
pub struct Prober {
    engine: Arc<Engine>,
    dialer: Dialer,
    helo: DnsName,
    patience: Duration,
}

impl Prober {
    /// `helo` is the EHLO argument, `patience` the time for one probe.
    #[must_use]
    pub const fn new(
        engine: Arc<Engine>,
        dialer: Dialer,
        helo: DnsName,
        patience: Duration,
    ) -> Self {
        Self {
            engine,
            dialer,
            helo,
            patience,
        }
    }

    /// How would a recipient in `domain` be judged over `destination`?
    pub async fn probe(&self, domain: &Domain, destination: SocketAddr) -> Probe {
        let settings = Settings {
            trace: "check".into(),
            hint: self
                .engine
                .sni(destination, None, self.engine.clock.instant()),
            lacking: Extensions::NONE,
            bare_line_ends: BareLineEnds::Reject,
            timeouts: Timeouts::default(),
            limits: Limits::default(),
            client_tls: ClientTls::Hidden,
            auth: Auth::Never,
        };
        let mut run = Run {
            prober: self,
            destination,
            session: Session::new(settings, self.engine.clock.instant()),
            clerk: Clerk::new(
                Arc::clone(&self.engine),
                destination,
                Timeouts::default().decision,
            ),
            link: None,
            handshake: None,
            script: [
                format!("EHLO {}\r\n", self.helo),
                "MAIL FROM:<>\r\n".into(),
                format!("RCPT TO:<postmaster@{domain}>\r\n"),
            ]
            .into(),
        };
        let verdict = match tokio::time::timeout(self.patience, run.verdict()).await {
            Ok(verdict) => verdict,
            Err(_) => unreachable(format!("no verdict within {} s", self.patience.as_secs())),
        };
        // Whether the host hears it is its own affair.
        let _ = tokio::time::timeout(FAREWELL, run.leave()).await;
        Probe {
            verdict,
            handshake: run.handshake,
        }
    }
}

/// One probe under way.
struct Run<'a> {
    prober: &'a Prober,
    destination: SocketAddr,
    session: Session,
    clerk: Clerk,
    /// The connection to the MX host, while there is one.
    link: Option<Upstream>,
    handshake: Option<Handshake>,
    /// What the client says next, each after the reply to what came before.
    script: std::collections::VecDeque<String>,
}

impl Run<'_> {
    async fn verdict(&mut self) -> Verdict {
        let mut heard = vec![0; 16 * 1024];
        loop {
            while let Some(action) = self.session.poll_action() {
                if let Some(verdict) = self.act(action).await {
                    return verdict;
                }
            }
            let Some(link) = &mut self.link else {
                return unreachable("the session ended before a verdict".into());
            };
            let read = link.read(&mut heard).await;
            let now = self.prober.engine.clock.instant();
            match read {
                Ok(n) if n > 0 => self.session.handle_server(&heard[..n], now),
                Ok(_) | Err(_) => {
                    // What it has shown goes with it.
                    self.clerk.forget();
                    self.link = None;
                    self.session.handle_server_end(now);
                }
            }
        }
    }

    async fn act(&mut self, action: Action) -> Option<Verdict> {
        match action {
            Action::ToClient(bytes) => return self.hear(&bytes),
            Action::ToServer(bytes) => self.write(&bytes).await,
            Action::Dial => {
                self.clerk.dials();
                let dialled = self
                    .prober
                    .dialer
                    .dial(self.destination, Source::Ours)
                    .await;
                let told = match dialled {
                    Ok(stream) => {
                        self.link = Some(Upstream::Clear(stream));
                        Dialled::Connected
                    }
                    Err(error) => Dialled::Failed(error.to_string()),
                };
                self.tell(told);
            }
            Action::StartTls { sni } => self.start_tls(sni).await,
            Action::SecureClient { .. } => {
                let now = self.prober.engine.clock.instant();
                let failed = ClientHandshake::Failed;
                self.session.handle_client_tls(failed, now);
            }
            Action::Judge(question) => {
                self.clerk.take(question);
                let decision = std::future::poll_fn(|cx| self.clerk.poll(cx)).await;
                match decision.verdict {
                    Verdict::Redial(redial) => {
                        let now = self.prober.engine.clock.instant();
                        self.session.handle_verdict(Verdict::Redial(redial), now);
                    }
                    verdict @ (Verdict::Pin(_) | Verdict::Refuse(_)) => return Some(verdict),
                }
            }
            Action::GaveUp { .. } => {} // the reply says it
            Action::CloseServer => {
                self.clerk.forget();
                self.close().await;
            }
            Action::CloseClient => {
                return Some(unreachable(
                    "the session was closed before a verdict".into(),
                ));
            }
        }
        None
    }

    /// The client's part: goes on with its script while replies are favourable.
    fn hear(&mut self, bytes: &Bytes) -> Option<Verdict> {
        let text = String::from_utf8_lossy(bytes);
        let last = text.trim_end().lines().last().unwrap_or_default();
        if !last.starts_with('2') {
            // The session's own words hold ours already.
            let what = last
                .rsplit_once("cannot be reached: ")
                .map_or(last, |two| two.1);
            return Some(unreachable(what.trim_end_matches(" [check]").to_owned()));
        }
        if let Some(line) = self.script.pop_front() {
            self.session
                .handle_client(line.as_bytes(), self.prober.engine.clock.instant());
        }
        None
    }

    async fn start_tls(&mut self, sni: Option<DnsName>) {
        self.clerk.ask_for(sni.clone());
        let Some(Upstream::Clear(stream)) = self.link.take() else {
            return self.tell(Dialled::HandshakeFailed("the connection is gone".into()));
        };
        let shaken = self.prober.engine.connector.handshake(stream, sni.as_ref());
        let limit = self.prober.dialer.limit();
        let shaken = tokio::time::timeout(limit, shaken).await;
        let shaken = shaken
            .unwrap_or_else(|_| Err(format!("no handshake within {} s", limit.as_secs_f32())));
        let told = match shaken {
            Ok((stream, handshake)) => {
                self.link = Some(Upstream::Tls(Box::new(stream)));
                self.handshake = Some(handshake.clone());
                self.clerk.show(handshake);
                Dialled::Secured
            }
            Err(what) => Dialled::HandshakeFailed(what),
        };
        self.tell(told);
    }

    /// A write that fails shows in the next read.
    async fn write(&mut self, bytes: &[u8]) {
        if let Some(link) = &mut self.link
            && link.write_all(bytes).await.is_ok()
        {
            let _ = link.flush().await;
        }
    }

    async fn leave(&mut self) {
        self.write(b"QUIT\r\n").await;
        self.close().await;
    }

    /// Says goodbye in TLS too; whether it is heard is the peer's affair.
    async fn close(&mut self) {
        if let Some(mut link) = self.link.take() {
            let _ = link.shutdown().await;
        }
    }

    fn tell(&mut self, dialled: Dialled) {
        self.session
            .handle_upstream(dialled, self.prober.engine.clock.instant());
    }
}

fn unreachable(what: String) -> Verdict {
    Verdict::Refuse(Refusal {
        reason: Reason::Unreachable { what },
        host: None,
        level: None,
    })
}
