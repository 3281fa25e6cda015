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

pub mod basis;
mod bypass;
pub mod canary;
mod chores;
mod client;
mod crowd;
mod decide;
pub mod dial;
mod door;
pub mod engine;
mod generation;
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
mod reload;
mod renewal;
mod room;
mod server;
mod session;
mod shell;
mod standpoint;
mod status;
mod succession;
mod trail;
mod wire;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tracing::warn;

use crowd::Crowd;
use dial::{Dialer, MarkError, TransparentError};
use door::Door;
use engine::Engine;
use generation::Generation;
use history::History;
use interception::Interception;
use listen::Bound;
use room::Room;
use shell::Shell;

use crate::clock::Clock;
use crate::config::Config;
use crate::intercept::Via;
use crate::intercept::guard::Guard;
use crate::report::Records;
use crate::report::counts::Counting;
use crate::report::metrics::Reloads;
use crate::store::owned::{self, Owned};
use crate::tls::authority::{Authority, AuthorityError};
use crate::tls::server::{Acceptor, AcceptorError};

pub use inherited::{Handed, InheritError, Inherited};
pub use interception::LoopFound;
pub use listen::{ListenError, Sockets};
pub use pulse::{Pulse, Stopped};
pub use status::Status;
pub use succession::Unfit;

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
    generations: watch::Sender<Generation>,
    reloads: Arc<Reloads>,
    /// The store's file, to the end or until a successor has it.
    owned: Mutex<Option<Owned>>,
    /// What a successor is handed, while connections are accepted.
    listening: Mutex<Vec<(Handed, std::net::TcpListener)>>,
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
    /// It could not take another one's place.
    #[error(transparent)]
    Unfit(#[from] Unfit),
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
    /// A successor accepts, sessions go on.
    Leaving,
    /// Sessions finish what is in flight.
    Draining,
    /// They end at once.
    Over,
}

impl Stage {
    /// Are connections no longer taken?
    fn is_closing(&self) -> bool {
        matches!(self, Self::Leaving | Self::Draining | Self::Over)
    }

    /// Are they told to?
    fn is_draining(&self) -> bool {
        matches!(self, Self::Draining | Self::Over)
    }
}

impl Proxy {
    /// Binds the listeners and serves them.
    ///
    /// # Errors
    /// Why it cannot: nothing is served then.
    pub async fn start(config: &Config, records: Arc<dyn Records>) -> Result<Self, StartError> {
        let sockets = Sockets::open(&config.listeners, Inherited::default())?;
        Self::on(sockets, config, records).await
    }

    /// The same with sockets that are bound already.
    ///
    /// # Errors
    /// Why it cannot: nothing is served then.
    pub async fn on(
        sockets: Sockets,
        config: &Config,
        records: Arc<dyn Records>,
    ) -> Result<Self, StartError> {
        let clock = Arc::new(crate::clock::SystemClock);
        // Before anything is read of it, or moved aside.
        let owned = owned::take(&config.store.place).map_err(engine::EngineError::from)?;
        let engine = Engine::mending(config, clock)?;
        let mut proxy = Self::open(config, Arc::new(engine), records, sockets).await?;
        *proxy
            .owned
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner) = Some(owned);
        Ok(proxy)
    }

    /// The same in the place of a process that hands over its sockets and its store: not before it can decide.
    ///
    /// # Errors
    /// Why it cannot: nothing is served then, and the other process goes on.
    pub async fn succeed(
        sockets: Sockets,
        config: &Config,
        records: Arc<dyn Records>,
    ) -> Result<Self, StartError> {
        let clock = Arc::new(crate::clock::SystemClock);
        let owned = owned::take_over(&config.store.place, FAREWELL);
        let owned = owned.map_err(engine::EngineError::from)?;
        let engine = Engine::mending(config, clock)?;
        succession::is_fit(&engine).await?;
        // The other one answers canaries, so that nobody has to come to this one before it is known.
        Interception::new(config).find_loop().await?;
        let mut config = config.clone();
        config.intercept.canary = false;
        let mut proxy = Self::open(&config, Arc::new(engine), records, sockets).await?;
        *proxy
            .owned
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner) = Some(owned);
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
        let sockets = Sockets::open(&config.listeners, Inherited::default())?;
        Self::open(config, engine, records, sockets).await
    }

    async fn open(
        config: &Config,
        engine: Arc<Engine>,
        records: Arc<dyn Records>,
        Sockets(listeners): Sockets,
    ) -> Result<Self, StartError> {
        let addresses: Vec<_> = listeners.iter().map(|bound| bound.address).collect();
        let kind = |bound: &Bound| config.listeners[bound.index].kind;
        let kinds = listeners.iter().map(kind).collect();
        let counting = Counting::new(engine.pen.clone(), Arc::clone(&engine.clock));
        let history = History::new(engine.pen.clone(), Arc::clone(&engine.clock));
        let shell = Shell {
            dialer: dialer(config)?,
            acceptor: acceptor(config, &engine.clock)?,
            engine,
            guard: Guard::new(addresses.iter().copied()),
            interception: Arc::new(Interception::new(config)),
            tally: Arc::default(),
            records: Arc::new((records, (counting, history))),
            bare_line_ends: config.smtp.bare_line_ends,
            timeouts: config.timeouts,
            limits: config.limits,
            room: Room::new(config.max_sessions),
            clients: Crowd::new(config.max_sessions_per_client),
            destinations: Crowd::new(config.max_sessions_per_destination),
            rechecks: Arc::new(Semaphore::new(RECHECKS)),
            relook: Arc::default(),
        };
        let generation = Generation {
            config: Arc::new(config.clone()),
            shell: Arc::new(shell),
        };
        let generations = watch::Sender::new(generation.clone());
        let stage = watch::Sender::new(Stage::Starting);
        let mut pulse = Pulse::new(stage.subscribe());
        let mut listening = Vec::new();
        for bound in listeners {
            let door = Door {
                generation: generation.clone(),
                generations: generations.subscribe(),
                index: bound.index,
                address: bound.address,
                stage: stage.subscribe(),
            };
            let what = Handed::of(&config.listeners[bound.index].socket);
            let questions = pulse.door(bound.address);
            let (listener, copy) = bound.for_two()?;
            listening.push((what, copy));
            tokio::spawn(door.open(listener, questions));
        }
        // Until it returns nobody is served; when it fails the doors close, as their stage ends here.
        generation.shell.interception.find_loop().await?;
        stage.send_replace(Stage::Running);
        chores::start(&generations.subscribe(), &stage.subscribe());
        Ok(Self {
            addresses,
            kinds,
            stage,
            pulse,
            generations,
            reloads: Arc::default(),
            owned: Mutex::default(),
            listening: Mutex::new(listening),
        })
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
        self.shell().sessions()
    }

    /// What its sessions share.
    #[must_use]
    pub fn engine(&self) -> Arc<Engine> {
        Arc::clone(&self.shell().engine)
    }

    /// What new sessions begin with.
    fn shell(&self) -> Arc<Shell> {
        Arc::clone(&self.generations.borrow().shell)
    }

    /// The same at any time, also after a reload.
    pub fn engines(&self) -> impl Fn() -> Arc<Engine> + Send + Sync + 'static {
        let generations = self.generations.subscribe();
        move || Arc::clone(&generations.borrow().shell.engine)
    }

    /// How it fares, to be asked at any time.
    #[must_use]
    pub fn status(&self) -> Status {
        Status {
            generations: self.generations.subscribe(),
            stage: self.stage.subscribe(),
            reloads: Arc::clone(&self.reloads),
        }
    }

    /// Whether it is alive, to be felt at any time.
    #[must_use]
    pub fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// Stops accepting, lets sessions finish what is in flight for at most [`Config::drain_timeout`], then ends them.
    pub async fn shutdown(self) {
        let (shell, patience) = {
            let generation = self.generations.borrow();
            (
                Arc::clone(&generation.shell),
                generation.config.drain_timeout,
            )
        };
        self.close();
        self.stage.send_replace(Stage::Draining);
        if tokio::time::timeout(patience, shell.room.emptied())
            .await
            .is_err()
        {
            warn!(sessions = self.sessions(), "sessions are cut off");
            self.stage.send_replace(Stage::Over);
            // Each session has its own limit for its last words.
            let _ = tokio::time::timeout(FAREWELL + session::LINGER, shell.room.emptied()).await;
        }
        let pen = shell.engine.pen.clone();
        // It ends by itself when it cannot be waited for.
        let _ = tokio::task::spawn_blocking(move || pen.close(FAREWELL)).await;
    }
}

fn dialer(config: &Config) -> Result<Dialer, StartError> {
    let dialer = Dialer::new(config.upstream)?;
    if config.listeners.iter().any(|one| one.kind == Via::Tproxy) {
        dialer.try_transparent()?;
    }
    Ok(dialer)
}

/// With the local CA, where there is one.
fn acceptor(config: &Config, clock: &Arc<dyn Clock>) -> Result<Option<Acceptor>, StartError> {
    let Some(files) = &config.client_ca else {
        return Ok(None);
    };
    let now = clock.wall();
    let authority = Authority::load(files, now)?;
    let left = authority.not_after().since(now);
    if left < LAST_DAYS {
        let days = left.as_secs() / (24 * 3600);
        warn!(
            days,
            "the local CA ends soon: make another with `danelaw ca init` and let the mail servers trust it"
        );
    }
    Ok(Some(Acceptor::new(authority, Arc::clone(clock))?))
}

/// Second looks at MTA-STS policies that may be under way at once.
const RECHECKS: usize = 16;

#[cfg(test)]
pub(crate) mod tests;
