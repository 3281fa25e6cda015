//! Drives one [`Session`]: feeds it octets, time and answers, and does what it says.
//!
//! One task, one loop: do all that the session asks for, then wait for the first of client, server, dial, verdict,
//! deadline or shutdown. Output goes out before input comes in, and a side is not read while the other has a full
//! queue, so a session holds a bounded amount however fast one side is.
#![expect(
    clippy::disallowed_types,
    reason = "IO: holds the sockets of a session"
)]

mod farewell;
mod waits;

use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Sleep;

use super::client::Client;
use super::decide::{Clerk, Decision};
use super::server::{Server, Undialled};
use super::trail::Traced;
use super::{Shell, Stage, listen, refusal};
use crate::config::ClientTls;
use crate::intercept::Intercepted;
use crate::policy::identity::Identity;
use crate::report::{ClientLeg, Open};
use crate::smtp::{Action, Auth, ClientHandshake, Dialled, Reply, Session, Settings};
use crate::tls::Handshake;
use crate::tls::authority::LeafName;
use crate::tls::server::Accepted;
use waits::Turn;

pub(super) use farewell::{LINGER, send_away};

/// Runs a session from its first dial to its end.
pub(super) async fn drive(
    shell: Arc<Shell>,
    from: Intercepted,
    client: TcpStream,
    client_tls: ClientTls,
    stage: watch::Receiver<Stage>,
) {
    let driver = Driver::new(shell, from, client, client_tls);
    driver.run(stage).await;
}

/// Credentials cross the client's leg in clear, so that it must not leave this host.
fn auth(shell: &Shell, from: &Intercepted) -> Auth {
    let client = from.client.ip();
    let is_here = || client.is_loopback() || listen::is_ours(client);
    match shell.engine.identities.of(from.destination) {
        Identity::Route(_) if is_here() => Auth::OnceProven,
        Identity::Route(_) | Identity::Envelope | Identity::Bypass => Auth::Never,
    }
}

struct Driver {
    shell: Arc<Shell>,
    from: Intercepted,
    session: Session,
    client: Client,
    reading: Reading,
    server: Server,
    clerk: Clerk,
    timer: Option<Pin<Box<Sleep>>>,
    turn: Turn,
    open: Open,
    traced: Traced,
    greeting: Greeting,
    stage: Stage,
}

/// What the client has heard so far.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Greeting {
    Nothing,
    Something,
    /// A refusal of the driver's own, in place of the greeting: the session is over.
    Refusal,
}

/// Whether the client has more to say.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// It may.
    Open,
    /// It has closed its side, and hears what is still to be said.
    Ended,
    /// It is gone.
    Lost,
}

impl Driver {
    fn new(shell: Arc<Shell>, from: Intercepted, client: TcpStream, client_tls: ClientTls) -> Self {
        let engine = Arc::clone(&shell.engine);
        let now = engine.clock.instant();
        let open = shell.open(&from);
        let settings = Settings {
            trace: open.record.trace.clone(),
            hint: engine.sni(from.destination, from.hint.as_ref(), now),
            lacking: engine.learned.lacking(from.destination.ip(), now),
            bare_line_ends: shell.bare_line_ends,
            timeouts: shell.timeouts,
            limits: shell.limits,
            client_tls: shell.client_tls(client_tls, from.client.ip()),
            auth: auth(&shell, &from),
        };
        Self {
            session: Session::new(settings, now),
            client: Client::new(client),
            reading: Reading::Open,
            server: Server::default(),
            clerk: Clerk::new(engine, from.destination, shell.timeouts.decision),
            timer: None,
            turn: Turn::Client,
            open,
            traced: Traced::default(),
            greeting: Greeting::Nothing,
            stage: Stage::Running,
            shell,
            from,
        }
    }

    async fn run(mut self, mut stage: watch::Receiver<Stage>) {
        while self.act().is_continue() {
            let before = std::mem::replace(&mut self.stage, *stage.borrow_and_update());
            match self.stage {
                Stage::Over => break,
                Stage::Draining if before != Stage::Draining => {
                    self.shut_down();
                    continue;
                }
                Stage::Draining | Stage::Leaving | Stage::Running | Stage::Starting => {}
            }
            tokio::select! {
                () = std::future::poll_fn(|cx| self.poll(cx)) => {}
                changed = stage.changed() => {
                    if changed.is_err() {
                        break;
                    }
                }
            }
        }
        self.close().await;
    }

    fn now(&self) -> Instant {
        self.shell.engine.clock.instant()
    }

    /// Does everything that the session asks for.
    fn act(&mut self) -> ControlFlow<()> {
        if self.greeting == Greeting::Refusal {
            return ControlFlow::Break(());
        }
        while let Some(action) = self.session.poll_action() {
            match action {
                Action::ToClient(bytes) => self.say(bytes),
                Action::ToServer(bytes) => self.server.push(bytes),
                Action::Dial => {
                    self.clerk.dials();
                    let record = &mut self.open.record;
                    record.dials += 1;
                    (record.tls_version, record.tls_suite, record.pin) = (None, None, None);
                    self.server.dial(&self.shell, &self.from);
                }
                Action::StartTls { sni } => {
                    let pocket = self.clerk.ask_for(sni.clone());
                    self.server.start_tls(&self.shell, sni, pocket);
                }
                Action::SecureClient { name } => {
                    let destination = self.from.destination.ip();
                    let otherwise = name.map_or(LeafName::Address(destination), LeafName::Host);
                    self.client.secure(&self.shell, otherwise);
                }
                Action::Judge(question) => {
                    self.note_stay();
                    self.clerk.take(question);
                }
                Action::GaveUp { target, why } => {
                    if let Some(judgement) = self.clerk.gave_up(&target, why) {
                        self.open.judged(judgement);
                    }
                    self.keep_trace();
                }
                Action::CloseServer => {
                    self.clerk.forget();
                    self.server.leave();
                }
                Action::CloseClient => {
                    self.note_stay();
                    return ControlFlow::Break(());
                }
            }
        }
        self.note_stay();
        ControlFlow::Continue(())
    }

    fn say(&mut self, bytes: Bytes) {
        if self.greeting == Greeting::Nothing {
            self.greeting = Greeting::Something;
            if bytes.starts_with(b"4") {
                self.open.record.sent_away = Some(refusal::told(&bytes));
            }
        }
        if self.reading != Reading::Lost {
            self.client.push(bytes);
        }
    }

    fn tell(&mut self, dialled: Dialled) {
        let now = self.now();
        self.session.handle_upstream(dialled, now);
    }

    fn shut_down(&mut self) {
        let now = self.now();
        self.session.handle_shutdown(now);
    }

    fn client_secured(&mut self, Accepted { sni, version }: Accepted) {
        self.open.record.client_leg = ClientLeg::Protected {
            version,
            sni: sni.clone(),
        };
        let now = self.now();
        let secured = ClientHandshake::Secured { sni };
        self.session.handle_client_tls(secured, now);
    }

    fn lose_client(&mut self) {
        self.reading = Reading::Lost;
        self.client.discard();
        let now = self.now();
        self.session.handle_client_lost(now);
    }

    fn undialled(&mut self, why: Undialled) {
        match why {
            Undialled::Looped(looped) => self.refuse(&refusal::of_loop(looped)),
            Undialled::Exhausted => self.tell(Dialled::Exhausted),
            Undialled::Failed(what) => self.tell(Dialled::Failed(what)),
        }
    }

    /// Ends the session with a reply of our own in place of the greeting.
    fn refuse(&mut self, reply: &Reply) {
        self.say(reply.encode());
        self.greeting = Greeting::Refusal;
    }

    fn secured(&mut self, handshake: Handshake) {
        let record = &mut self.open.record;
        record.tls_version = Some(handshake.version());
        record.tls_suite = Some(handshake.suite().to_owned());
        record.pin = Some(handshake.pin());
        record.handshakes += 1;
        record.resumed += u32::from(handshake.is_resumed());
        self.clerk.show(handshake);
        self.tell(Dialled::Secured);
    }

    fn pronounce(&mut self, decision: Decision) {
        self.open.record.decision = Some(decision.took);
        self.keep_trace();
        if let Some(judgement) = decision.judgement {
            self.open.judged(judgement);
        }
        self.open.record.alerts.extend(self.clerk.alerts());
        if let Some(domain) = decision.enforced {
            self.shell.recheck(domain);
        }
        let now = self.now();
        self.session.handle_verdict(decision.verdict, now);
    }

    /// A redial that the session did not carry out is a refusal of its own.
    fn note_stay(&mut self) {
        if let Some(judgement) = self.clerk.stayed() {
            self.open.judged(judgement);
        }
        self.keep_trace();
    }

    fn keep_trace(&mut self) {
        if let Some(decision) = self.clerk.trace() {
            let id = &self.open.record.trace;
            let engine = &self.shell.engine;
            self.traced.keep(engine, id, &self.from, decision);
        }
    }
}
