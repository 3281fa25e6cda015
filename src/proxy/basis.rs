//! What DNS rests on: whom to ask, the root keys, how long, whose validation counts. While none of it changes, the resolver
//! stays, with all that it remembers.

use std::sync::Arc;

use super::engine::EngineError;
use crate::clock::Clock;
use crate::config::DnsConfig;
use crate::dns::Lookup;
use crate::dns::gate::Gated;
use crate::dns::health::Monitor;
use crate::dns::negative::NegativeAnchors;
use crate::dns::resolver::{Resolver, ResolverOptions, TrustAnchor, system_servers};
use crate::dns::tally::Tally;
use crate::policy::exceptions::held::Held;
use crate::x509::path::Roots;

/// All of it, with the files read.
pub struct Basis(ResolverOptions);

/// A resolver that is watched and let through while it works.
pub(super) struct Watched {
    pub(super) lookup: Arc<dyn Lookup>,
    pub(super) monitor: Arc<Monitor>,
}

impl Basis {
    /// As a configuration has it; `roots` are for resolvers reached by TLS.
    pub(super) fn of(config: &DnsConfig, roots: &Arc<Roots>) -> Result<Self, EngineError> {
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
        Ok(Self(ResolverOptions {
            servers,
            anchor,
            timeout: config.timeout,
            validate: config.validate,
            roots: Some(Arc::clone(roots)),
        }))
    }

    pub(super) fn resolver(&self, clock: Arc<dyn Clock>) -> Result<Resolver, EngineError> {
        Ok(Resolver::new(self.0.clone(), clock)?)
    }

    /// The resolver, and what watches over it.
    pub(super) fn build(
        &self,
        config: &DnsConfig,
        (clock, exceptions): (&Arc<dyn Clock>, &Arc<Held>),
        tally: &Arc<Tally>,
    ) -> Result<Watched, EngineError> {
        let negative: Arc<dyn NegativeAnchors> = exceptions.clone();
        let resolver = Arc::new(self.resolver(Arc::clone(clock))?.exempting(negative));
        tally.add(resolver.disagreements());
        let probes = config.probes.clone();
        let monitor = Monitor::new(Arc::clone(&resolver), probes, Arc::clone(clock));
        let monitor = Arc::new(monitor);
        let (gate, tally) = (Arc::clone(&monitor), Arc::clone(tally));
        Ok(Watched {
            lookup: Arc::new(Gated::new(resolver, gate, tally, config.timeout)),
            monitor,
        })
    }
}

impl PartialEq for Basis {
    fn eq(&self, other: &Self) -> bool {
        let identity = |basis: &Self| basis.0.roots.as_ref().map(|roots| *roots.identity());
        let (one, other_one) = (&self.0, &other.0);
        one.servers == other_one.servers
            && one.anchor == other_one.anchor
            && one.timeout == other_one.timeout
            && one.validate == other_one.validate
            && identity(self) == identity(other)
    }
}
