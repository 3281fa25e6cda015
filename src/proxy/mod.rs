//! The shell: accepts connections and drives one session each; moves bytes, time and answers, decides nothing.
//!
//! [`Proxy::start`] binds the listeners and runs one accept loop for each; an accepted connection is told apart by its
//! listener's kind, passes the loop guard and the cap on sessions, and becomes one task (`session`). The [`engine`] is
//! what all of them decide with. [`Proxy::shutdown`] stops accepting, lets sessions finish what is in flight, and ends
//! those that do not in time.
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "IO: accepts connections, starts sessions"
)]

mod bypass;
pub mod canary;
mod client;
mod crowd;
mod decide;
pub mod dial;
mod door;
pub mod engine;
mod handover;
mod history;
mod inherited;
mod interception;
mod judgement;
pub mod learned;
mod listen;
pub mod probe;
mod pulse;
pub mod recall;
mod recollection;
mod refusal;
mod server;
mod session;
mod shell;
mod standpoint;
mod status;
mod trail;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tracing::warn;

use crowd::Crowd;
use dial::{Dialer, MarkError, TransparentError};
use door::Door;
use engine::Engine;
use history::History;
use interception::Interception;
use listen::Bound;
use shell::Shell;

use crate::config::{Config, Prewarm};
use crate::intercept::Via;
use crate::intercept::guard::Guard;
use crate::mtasts::hints::HintsFiles;
use crate::report::Records;
use crate::report::counts::Counting;
use crate::store::owned::{self, Owned};
use crate::tls::authority::{Authority, AuthorityError};
use crate::tls::server::{Acceptor, AcceptorError};

pub use inherited::{InheritError, Inherited};
pub use interception::LoopFound;
pub use listen::ListenError;
pub use pulse::{Pulse, Stopped};
pub use status::Status;

/// How long the last octets may take on their way to a peer that is being left.
const FAREWELL: Duration = Duration::from_secs(10);

/// How long before its end the operator hears of a CA that needs a successor.
const LAST_DAYS: Duration = Duration::from_secs(30 * 24 * 3600);

/// A running proxy.
pub struct Proxy {
    addresses: Vec<SocketAddr>,
    kinds: Vec<Via>,
    stage: watch::Sender<Stage>,
    pulse: Pulse,
    shell: Arc<Shell>,
    drain_timeout: Duration,
    /// The store's file, to the end.
    owned: Option<Owned>,
}

/// Why the proxy does not run.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// What decisions are made with could not be had.
    #[error(transparent)]
    Engine(#[from] engine::EngineError),
    /// The mark cannot be set.
    #[error(transparent)]
    Mark(#[from] MarkError),
    /// The local CA.
    #[error("client_tls: {0}")]
    Authority(#[from] AuthorityError),
    /// The TLS server towards clients.
    #[error(transparent)]
    Acceptor(#[from] AcceptorError),
    /// Addresses of TPROXY clients cannot be used.
    #[error(transparent)]
    Transparent(#[from] TransparentError),
    /// A listener has no socket.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Its own connections come back.
    #[error(transparent)]
    Loop(#[from] LoopFound),
}

/// How long the proxy will go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Connections are taken, and wait.
    Starting,
    Running,
    /// Sessions finish what is in flight.
    Draining,
    /// They end at once.
    Over,
}

impl Stage {
    /// Are connections no longer taken?
    fn is_closing(&self) -> bool {
        matches!(self, Self::Draining | Self::Over)
    }
}

impl Proxy {
    /// Binds the listeners and serves them.
    ///
    /// # Errors
    /// Why it cannot: nothing is served then.
    pub async fn start(config: &Config, records: Arc<dyn Records>) -> Result<Self, StartError> {
        Self::inherit(config, Inherited::default(), records).await
    }

    /// The same with sockets that the service manager has bound.
    ///
    /// # Errors
    /// Why it cannot: nothing is served then.
    pub async fn inherit(
        config: &Config,
        inherited: Inherited,
        records: Arc<dyn Records>,
    ) -> Result<Self, StartError> {
        let clock = Arc::new(crate::clock::SystemClock);
        // Before anything is read of it, or moved aside.
        let owned = owned::take(&config.store.place).map_err(engine::EngineError::from)?;
        let engine = Engine::mending(config, clock)?;
        let listeners = listen::open_all(&config.listeners, inherited)?;
        let mut proxy = Self::open(config, Arc::new(engine), records, listeners).await?;
        proxy.owned = Some(owned);
        Ok(proxy)
    }

    /// The same with an engine that exists already.
    ///
    /// # Errors
    /// Why it cannot: nothing is served then.
    pub async fn serve(
        config: &Config,
        engine: Arc<Engine>,
        records: Arc<dyn Records>,
    ) -> Result<Self, StartError> {
        let listeners = listen::open_all(&config.listeners, Inherited::default())?;
        Self::open(config, engine, records, listeners).await
    }

    async fn open(
        config: &Config,
        engine: Arc<Engine>,
        records: Arc<dyn Records>,
        listeners: Vec<Bound>,
    ) -> Result<Self, StartError> {
        let dialer = Dialer::new(config.upstream)?;
        if config.listeners.iter().any(|one| one.kind == Via::Tproxy) {
            dialer.try_transparent()?;
        }
        let acceptor = acceptor(config, &engine)?;
        let configs: Vec<_> = config.listeners.iter().cloned().map(Arc::new).collect();
        let addresses: Vec<_> = listeners.iter().map(|bound| bound.address).collect();
        let kinds = listeners.iter().map(|bound| configs[bound.index].kind);
        let kinds = kinds.collect();
        let counting = Counting::new(engine.pen.clone(), Arc::clone(&engine.clock));
        let history = History::new(engine.pen.clone(), Arc::clone(&engine.clock));
        let capacity = u32::try_from(config.max_sessions).unwrap_or(u32::MAX);
        let shell = Arc::new(Shell {
            engine,
            dialer,
            acceptor,
            guard: Guard::new(addresses.iter().copied()),
            interception: Interception::new(config),
            tally: Arc::default(),
            records: Arc::new((records, (counting, history))),
            bare_line_ends: config.smtp.bare_line_ends,
            timeouts: config.timeouts,
            limits: config.limits,
            slots: Arc::new(Semaphore::new(capacity as usize)),
            capacity,
            clients: Crowd::new(config.max_sessions_per_client),
            destinations: Crowd::new(config.max_sessions_per_destination),
            rechecks: Arc::new(Semaphore::new(RECHECKS)),
        });
        let stage = watch::Sender::new(Stage::Starting);
        let mut pulse = Pulse::new(stage.subscribe());
        for bound in listeners {
            let door = Door {
                config: Arc::clone(&configs[bound.index]),
                address: bound.address,
                shell: Arc::clone(&shell),
                stage: stage.subscribe(),
            };
            tokio::spawn(door.open(bound.listener, pulse.door(bound.address)));
        }
        // Until it returns nobody is served; when it fails the doors close, as their stage ends here.
        shell.interception.find_loop().await?;
        stage.send_replace(Stage::Running);
        look_after(config, &shell, &stage);
        Ok(Self {
            addresses,
            kinds,
            stage,
            pulse,
            shell,
            drain_timeout: config.drain_timeout,
            owned: None,
        })
    }

    /// Lets another process take this one's place at the store ([`owned::take_over`]) while its sessions finish: what they
    /// learn is still written, as a command writes.
    pub fn disown_store(&mut self) {
        if let Some(owned) = &mut self.owned {
            owned.release();
        }
    }

    /// Where it listens, in the order of the configuration.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The same with the kinds of the listeners.
    pub fn listening(&self) -> impl Iterator<Item = (SocketAddr, Via)> {
        self.addresses
            .iter()
            .copied()
            .zip(self.kinds.iter().copied())
    }

    /// Sessions that are open now.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.shell.sessions()
    }

    /// What its sessions share.
    #[must_use]
    pub fn engine(&self) -> Arc<Engine> {
        Arc::clone(&self.shell.engine)
    }

    /// How it fares, to be asked at any time.
    #[must_use]
    pub fn status(&self) -> Status {
        Status::new(Arc::clone(&self.shell), self.stage.subscribe())
    }

    /// Whether it is alive, to be felt at any time.
    #[must_use]
    pub fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// Stops accepting, lets sessions finish what is in flight for at most [`Config::drain_timeout`], then ends them.
    pub async fn shutdown(self) {
        self.stage.send_replace(Stage::Draining);
        if tokio::time::timeout(self.drain_timeout, self.emptied())
            .await
            .is_err()
        {
            warn!(sessions = self.sessions(), "sessions are cut off");
            self.stage.send_replace(Stage::Over);
            // Each session has its own limit for its last words.
            let _ = tokio::time::timeout(FAREWELL + session::LINGER, self.emptied()).await;
        }
        let pen = self.shell.engine.pen.clone();
        // It ends by itself when it cannot be waited for.
        let _ = tokio::task::spawn_blocking(move || pen.close(FAREWELL)).await;
    }

    /// All slots are free when no session is left.
    async fn emptied(&self) {
        let all = self.shell.slots.acquire_many(self.shell.capacity).await;
        drop(all);
    }
}

/// With the local CA, where there is one.
fn acceptor(config: &Config, engine: &Engine) -> Result<Option<Acceptor>, StartError> {
    let Some(files) = &config.client_ca else {
        return Ok(None);
    };
    let now = engine.clock.wall();
    let authority = Authority::load(files, now)?;
    let left = authority.not_after().since(now);
    if left < LAST_DAYS {
        let days = left.as_secs() / (24 * 3600);
        warn!(
            days,
            "the local CA ends soon: make another with `danelaw ca init` and let the mail servers trust it"
        );
    }
    Ok(Some(Acceptor::new(authority, Arc::clone(&engine.clock))?))
}

/// Starts what goes on beside the sessions.
fn look_after(config: &Config, shell: &Arc<Shell>, stage: &watch::Sender<Stage>) {
    tokio::spawn(watch_interception(Arc::clone(shell), stage.subscribe()));
    tokio::spawn(keep_policies_fresh(Arc::clone(shell), stage.subscribe()));
    if let Some(files) = config.mta_sts.hints.clone() {
        tokio::spawn(keep_hinted(files, Arc::clone(shell), stage.subscribe()));
    }
    if config.mta_sts.prewarm == Prewarm::History {
        tokio::spawn(ask_in_advance(Arc::clone(shell), stage.subscribe()));
    }
    tokio::spawn(watch_validation(Arc::clone(shell), stage.subscribe()));
    tokio::spawn(mind_the_store(Arc::clone(shell), stage.subscribe()));
    tokio::spawn(tell_of_ends(Arc::clone(shell), stage.subscribe()));
}

/// Policies are fetched anew long before they expire, whether mail goes to their domains or not (RFC 8461 §10.2).
async fn keep_policies_fresh(shell: Arc<Shell>, mut stage: watch::Receiver<Stage>) {
    tokio::select! {
        () = shell.engine.sts.keep_fresh() => {}
        _ = stage.changed() => {}
    }
}

/// Notices when the rules are gone that lead connections here.
async fn watch_interception(shell: Arc<Shell>, mut stage: watch::Receiver<Stage>) {
    tokio::select! {
        () = shell.interception.keep_watching() => {}
        _ = stage.changed() => {}
    }
}

/// Hears what others write to the store, and lets go there of what is old.
async fn mind_the_store(shell: Arc<Shell>, mut stage: watch::Receiver<Stage>) {
    let engine = &shell.engine;
    let (store, clock) = (Arc::clone(&engine.store), Arc::clone(&engine.clock));
    tokio::select! {
        never = engine.follower().follow() => match never {},
        never = engine.keep.keep_pruned(store, clock) => match never {},
        _ = stage.changed() => {}
    }
}

/// The policies that a signed list names are known before any mail goes to their domains (RFC 8461 §10.2).
async fn keep_hinted(files: HintsFiles, shell: Arc<Shell>, mut stage: watch::Receiver<Stage>) {
    tokio::select! {
        () = shell.engine.sts.keep_hinted(&files) => {}
        _ = stage.changed() => {}
    }
}

/// What was sent to before is asked for its policies before it is sent to again.
async fn ask_in_advance(shell: Arc<Shell>, mut stage: watch::Receiver<Stage>) {
    let engine = &shell.engine;
    tokio::select! {
        never = history::keep_asking(&engine.sts, Arc::clone(&engine.store)) => match never {},
        _ = stage.changed() => {}
    }
}

/// The log says when an exception has ended, whether mail goes to its domain or not.
async fn tell_of_ends(shell: Arc<Shell>, mut stage: watch::Receiver<Stage>) {
    let engine = &shell.engine;
    let telling = async {
        loop {
            engine.exceptions.tell_ends(engine.clock.wall());
            tokio::time::sleep(BETWEEN_ENDS).await;
        }
    };
    tokio::select! {
        () = telling => {}
        _ = stage.changed() => {}
    }
}

/// How late the end of an exception may be told.
const BETWEEN_ENDS: Duration = Duration::from_secs(30);

/// Also while sessions finish: they may still have questions.
async fn watch_validation(shell: Arc<Shell>, mut stage: watch::Receiver<Stage>) {
    tokio::select! {
        never = shell.engine.monitor.watch() => match never {},
        _ = stage.wait_for(|stage| *stage == Stage::Over) => {}
    }
}

/// Second looks at MTA-STS policies that may be under way at once.
const RECHECKS: usize = 16;

#[cfg(test)]
pub(crate) mod tests;
