//! Everything that sessions share to reach a decision: resolver, roots, policies, the TLS client. Built once.

use std::sync::Arc;

use super::learned::Learned;
use crate::clock::Clock;
use crate::dns::Lookup;
use crate::policy::Settings;
use crate::policy::cache::StsCache;
use crate::policy::facts::Gatherer;
use crate::tls::client::Connector;
use crate::x509::path::Roots;

/// What decisions are made with. `danelaw check` asks it the same questions as a delivery.
pub struct Engine {
    /// DNS.
    pub lookup: Arc<dyn Lookup>,
    /// Facts about recipients' domains.
    pub gatherer: Gatherer,
    /// Handshakes.
    pub connector: Connector,
    /// The CAs for MTA-STS.
    pub roots: Arc<Roots>,
    /// Operator choices.
    pub settings: Settings,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// MTA-STS policies.
    pub sts: Arc<StsCache>,
    /// Which host an address belongs to.
    pub learned: Learned,
}

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {}

impl Engine {
    /// From a configuration.
    ///
    /// # Errors
    /// What could not be had.
    pub fn new(
        _config: &crate::config::Config,
        _clock: Arc<dyn Clock>,
    ) -> Result<Self, EngineError> {
        unimplemented!()
    }
}
