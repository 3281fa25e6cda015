//! The next engine: built from another configuration over the memory of this one. Nothing changes for anybody before it
//! begins.

use std::sync::Arc;

use super::basis::{Basis, Watched};
use super::engine::{Engine, EngineError, fetcher};
use crate::config::{Config, ExceptionsConfig};
use crate::mtasts::fetch::HttpsFetcher;
use crate::policy::cache::CacheOptions;
use crate::policy::facts::Gatherer;
use crate::policy::identity::Identities;
use crate::report::trace::keeper::Keeper;
use crate::tls::client::Connector;
use crate::tls::roots;

/// An engine that has not begun, and what is changed in the memory that it shares when it does.
pub(super) struct Renewal {
    engine: Engine,
    fetch: Arc<HttpsFetcher>,
    cache: CacheOptions,
    exceptions: ExceptionsConfig,
}

impl Engine {
    /// The next engine. Reads the files that the configuration names. The store stays.
    pub(super) fn renewed(&self, config: &Config) -> Result<Renewal, EngineError> {
        let roots = Arc::new(roots::load(config.ca_file.as_deref())?);
        let basis = Basis::of(&config.dns, &roots)?;
        let is_as_before =
            self.basis.as_ref() == Some(&basis) && self.monitor.asks(&config.dns.probes);
        let Watched { lookup, monitor } = if is_as_before {
            Watched {
                lookup: Arc::clone(&self.lookup),
                monitor: Arc::clone(&self.monitor),
            }
        } else {
            basis.build(&config.dns, (&self.clock, &self.exceptions), &self.tally)?
        };
        let fetch = Arc::new(fetcher(&config.mta_sts, Arc::clone(&lookup), &roots)?);
        let recall = &self.recall;
        let recall = recall.renewed(
            config.policy.continuity,
            config.resumption,
            Arc::clone(&roots),
        );
        let (sts, clock) = (Arc::clone(&self.sts), Arc::clone(&self.clock));
        let engine = Self {
            gatherer: Gatherer::new(Arc::clone(&lookup), Arc::clone(&sts), Arc::clone(&clock)),
            lookup,
            monitor,
            tally: Arc::clone(&self.tally),
            connector: Connector::new()?,
            roots,
            settings: config.policy,
            identities: Identities::new(config.rules.clone()),
            clock,
            sts,
            learned: Arc::clone(&self.learned),
            recall: Arc::new(recall),
            store: Arc::clone(&self.store),
            traces: Keeper::new(config.keep_traces, self.pen.clone()),
            pen: self.pen.clone(),
            keep: config.store.keep,
            modes: config.modes.clone(),
            exceptions: Arc::clone(&self.exceptions),
            validate: config.dns.validate,
            basis: Some(basis),
        };
        Ok(Renewal {
            engine,
            fetch,
            cache: config.mta_sts.cache(),
            exceptions: config.exceptions.clone(),
        })
    }
}

impl Renewal {
    /// Gives the shared memory its new bounds and sources.
    pub(super) fn begin(self) -> Arc<Engine> {
        let ExceptionsConfig { terms, declared } = self.exceptions;
        let engine = self.engine;
        engine.exceptions.declare(declared, terms);
        let lookup = Arc::clone(&engine.lookup);
        engine.sts.ask(lookup, self.fetch, self.cache);
        Arc::new(engine)
    }
}
