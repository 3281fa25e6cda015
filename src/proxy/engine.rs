//! Everything that sessions share to reach a decision: resolver, roots, policies, the TLS client. Built once.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use super::learned::Learned;
use super::listen::is_ours;
use super::recall::Recall;
use crate::clock::Clock;
use crate::config::{Config, DnsConfig, StsConfig};
use crate::dns::Lookup;
use crate::dns::gate::Gated;
use crate::dns::health::Monitor;
use crate::dns::negative::NegativeAnchors;
use crate::dns::resolver::{
    AnchorError, Resolver, ResolverError, ResolverOptions, TrustAnchor, Validate, system_servers,
};
use crate::dns::tally::Tally;
use crate::mtasts::fetch::{FetchOptions, FetcherError, HttpsFetcher};
use crate::name::DnsName;
use crate::policy::cache::StsCache;
use crate::policy::exceptions::held::Held;
use crate::policy::facts::Gatherer;
use crate::policy::identity::{Identities, Identity};
use crate::policy::{Modes, Settings};
use crate::report::trace::keeper::Keeper;
use crate::store::upkeep::Keep;
use crate::store::{self, Follower, Follows, Pen, Revision, Store, StoreError};
use crate::tls::client::Connector;
use crate::tls::roots::{self, RootsError};
use crate::tls::tickets::Tickets;
use crate::x509::path::Roots;

/// What decisions are made with. `danelaw check` asks it the same questions as a delivery.
pub struct Engine {
    /// DNS, as long as validation works.
    pub lookup: Arc<dyn Lookup>,
    /// Whether it does. Nobody knows before [`Monitor::watch`] or [`Monitor::probe`] has asked.
    pub monitor: Arc<Monitor>,
    /// How many lookups there were.
    pub tally: Arc<Tally>,
    /// Facts about recipients' domains.
    pub gatherer: Gatherer,
    /// Handshakes.
    pub connector: Connector,
    /// The CAs for MTA-STS.
    pub roots: Arc<Roots>,
    /// Operator choices.
    pub settings: Settings,
    /// What the operator says of destinations.
    pub identities: Identities,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// MTA-STS policies.
    pub sts: Arc<StsCache>,
    /// Which host an address belongs to.
    pub learned: Learned,
    /// What sessions leave to the next ones.
    pub recall: Arc<Recall>,
    /// What survives a restart.
    pub store: Arc<dyn Store>,
    /// The evidence of decisions.
    pub traces: Keeper,
    /// Writes to it what every session leaves behind.
    pub pen: Pen,
    /// How long that is kept.
    pub keep: Keep,
    /// Whose demands are enforced.
    pub modes: Modes,
    /// What the operator says of single domains.
    pub exceptions: Arc<Held>,
    /// Who validates DNSSEC.
    pub validate: Validate,
}

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The root keys.
    #[error("dns.trust_anchor, {path}: {source}", path = path.display())]
    Anchor {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: AnchorError,
    },
    /// The resolver.
    #[error(transparent)]
    Resolver(#[from] ResolverError),
    /// The CAs.
    #[error(transparent)]
    Roots(#[from] RootsError),
    /// The HTTPS client.
    #[error(transparent)]
    Fetcher(#[from] FetcherError),
    /// The policies that are kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The TLS client.
    #[error("the TLS client cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

impl Engine {
    /// From a configuration. Reads the files that it names.
    ///
    /// # Errors
    /// What could not be had; nothing is replaced by something weaker.
    pub fn new(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, EngineError> {
        let store = store::open(&config.store)?;
        Self::over(store, config, clock)
    }

    /// The same for the process that owns the store: a damaged file is mended.
    ///
    /// # Errors
    /// What could not be had; nothing is replaced by something weaker.
    pub fn mending(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, EngineError> {
        let store = store::open_mending(&config.store, clock.wall())?;
        Self::over(store, config, clock)
    }

    fn over(
        store: Arc<dyn Store>,
        config: &Config,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, EngineError> {
        let roots = Arc::new(roots::load(config.ca_file.as_deref())?);
        let declared = config.exceptions.declared.clone();
        let exceptions = Arc::new(Held::new(declared, config.exceptions.terms));
        let resolver = resolver(&config.dns, &roots, Arc::clone(&clock))?;
        let negative: Arc<dyn NegativeAnchors> = exceptions.clone();
        let resolver = Arc::new(resolver.exempting(negative));
        let probes = config.dns.probes.clone();
        let monitor = Monitor::new(Arc::clone(&resolver), probes, Arc::clone(&clock));
        let (monitor, tally) = (
            Arc::new(monitor),
            Arc::new(Tally::with(resolver.disagreements())),
        );
        let lookup: Arc<dyn Lookup> = Arc::new(Gated::new(
            resolver,
            Arc::clone(&monitor),
            Arc::clone(&tally),
            config.dns.timeout,
        ));
        let fetch = Arc::new(fetcher(&config.mta_sts, Arc::clone(&lookup), &roots)?);
        exceptions.load(&*store)?;
        let sts = Arc::new(StsCache::open(
            Arc::clone(&lookup),
            fetch,
            Arc::clone(&store),
            Arc::clone(&clock),
            config.mta_sts.cache(),
        )?);
        let pen = Pen::new(Arc::clone(&store));
        let recall = Recall::new(
            config.policy.continuity,
            config.resumption.then(Tickets::default),
            Arc::clone(&roots),
            pen.clone(),
        );
        let recall = Arc::new(recall.load(&*store, &*clock)?);
        Ok(Self {
            gatherer: Gatherer::new(Arc::clone(&lookup), Arc::clone(&sts), Arc::clone(&clock)),
            lookup,
            monitor,
            tally,
            connector: Connector::new()?,
            roots,
            settings: config.policy,
            identities: Identities::new(config.rules.clone()),
            clock,
            sts,
            learned: Learned::default(),
            recall,
            traces: Keeper::new(config.keep_traces, pen.clone()),
            pen,
            store,
            keep: config.store.keep,
            modes: config.modes.clone(),
            exceptions,
            validate: config.dns.validate,
        })
    }
}

impl Engine {
    /// Tells those who hold in memory what is in the store of what others write there.
    #[must_use]
    pub fn follower(&self) -> Follower {
        let exceptions: Arc<dyn Follows> = self.exceptions.clone();
        let follower = Follower::new(Arc::clone(&self.store))
            .with(self.sts.follows(), self.sts.loaded())
            .with(exceptions, Revision::START);
        let recall = Arc::clone(&self.recall).follows(&self.clock);
        recall
            .into_iter()
            .fold(follower, |follower, (follows, loaded)| {
                follower.with(follows, loaded)
            })
    }

    /// The name to ask `destination` for before any recipient is known: what the operator says, else what the client
    /// means, else what was learned.
    #[must_use]
    pub fn sni(
        &self,
        destination: SocketAddr,
        client_means: Option<&DnsName>,
        now: Instant,
    ) -> Option<DnsName> {
        match self.identities.of(destination) {
            Identity::Route(host) => Some(host.name().clone()),
            Identity::Envelope | Identity::Bypass => client_means
                .cloned()
                .or_else(|| self.learned.sni(destination.ip(), now)),
        }
    }
}

/// What fetches policies as a configuration says.
///
/// # Errors
/// Without any root, and when the libraries below refuse their settings.
pub fn fetcher(
    config: &StsConfig,
    lookup: Arc<dyn Lookup>,
    roots: &Roots,
) -> Result<HttpsFetcher, FetcherError> {
    let options = FetchOptions {
        port: config.port,
        allow_private: config.allow_private,
        is_ours,
        timeout: config.timeout,
    };
    HttpsFetcher::new(lookup, roots, options)
}

/// The resolver that a configuration asks for; `roots` are for those reached by TLS.
///
/// # Errors
/// When the trust anchor or the system's resolvers cannot be read, and when there is nobody to ask.
pub fn resolver(
    config: &DnsConfig,
    roots: &Arc<Roots>,
    clock: Arc<dyn Clock>,
) -> Result<Resolver, EngineError> {
    let anchor = match &config.trust_anchor {
        Some(path) => TrustAnchor::from_file(path).map_err(|source| EngineError::Anchor {
            path: path.clone(),
            source,
        })?,
        None => TrustAnchor::iana(),
    };
    let servers = if config.resolvers.is_empty() {
        system_servers()?
    } else {
        config.resolvers.clone()
    };
    let options = ResolverOptions {
        servers,
        anchor,
        timeout: config.timeout,
        validate: config.validate,
        roots: Some(Arc::clone(roots)),
    };
    Ok(Resolver::new(options, clock)?)
}
