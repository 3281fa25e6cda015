//! The TLS server towards mail servers: one handshake, with a leaf for the name that the client asks for.
//!
//! TLS 1.2 and 1.3 (RFC 8996), no client certificates, no resumption, no early data. The name is that of the SNI where it
//! is a host name, else the one that the caller thinks of. Leaves are minted as they are asked for, share one P-256 key,
//! are kept in a bounded memory, and are minted anew before they end.

use std::io;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lru::LruCache;
use rcgen::KeyPair;
use rustls::crypto::ring::default_provider;
use rustls::crypto::ring::sign::any_ecdsa_type;
use rustls::server::{Acceptor as Hello, NoServerSessionStorage, ResolvesServerCertUsingSni};
use rustls::sign::{CertifiedKey, SigningKey, SingleCertAndKey};
use rustls::{Error, ServerConfig};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::authority::{Authority, LEAF_LIFETIME, LeafName};
use super::{client, failure};
use crate::clock::{Clock, Timestamp};
use crate::name::DnsName;

/// Names whose leaves are kept: some two kilobytes each.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(1024).unwrap();

/// When a leaf is minted anew: a day before its end.
const FRESH: Duration = LEAF_LIFETIME.saturating_sub(Duration::from_secs(24 * 3600));

/// Shakes hands with clients; one for the process.
pub struct Acceptor {
    authority: Authority,
    clock: Arc<dyn Clock>,
    key: KeyPair,
    signer: Arc<dyn SigningKey>,
    /// Presents nothing; each leaf has a copy that presents it.
    base: ServerConfig,
    leaves: Mutex<LruCache<LeafName, Leaf>>,
}

struct Leaf {
    config: Arc<ServerConfig>,
    minted: Timestamp,
}

/// A finished handshake with a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The name that it asked for, when that was a host name.
    pub sni: Option<DnsName>,
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
}

/// Why there is no acceptor.
#[derive(Debug, thiserror::Error)]
pub enum AcceptorError {
    /// The key of the leaves.
    #[error("a key for certificates cannot be made: {0}")]
    Key(#[from] rcgen::Error),
    /// The TLS server.
    #[error("the TLS server cannot be set up: {0}")]
    Tls(#[from] Error),
}

impl Acceptor {
    /// With a key of its own.
    ///
    /// # Errors
    /// When there is no randomness, or no provider.
    pub fn new(authority: Authority, clock: Arc<dyn Clock>) -> Result<Self, AcceptorError> {
        let key = KeyPair::generate()?;
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialized_der()));
        let signer = any_ecdsa_type(&der)?;
        let mut base = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(ResolvesServerCertUsingSni::new()));
        base.session_storage = Arc::new(NoServerSessionStorage {});
        base.send_tls13_tickets = 0;
        Ok(Self {
            authority,
            clock,
            key,
            signer,
            base,
            leaves: Mutex::new(LruCache::new(CAPACITY)),
        })
    }

    /// Shakes hands over `stream`; a client that asks for no name gets a leaf for `otherwise`.
    ///
    /// # Errors
    /// Why there is no protected channel, in words for the record; the stream is gone.
    pub async fn handshake<S>(
        &self,
        stream: S,
        otherwise: LeafName,
    ) -> Result<(TlsStream<S>, Accepted), String>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        // On the heap: the futures are large, and every session would carry them to its end.
        let hello = Box::pin(LazyConfigAcceptor::new(Hello::default(), stream))
            .await
            .map_err(|error| sentence(&error))?;
        let sni = hello.client_hello().server_name().and_then(host_name);
        let name = sni.clone().map_or(otherwise, LeafName::Host);
        let config = self.config(name)?;
        let stream = Box::pin(hello.into_stream(config))
            .await
            .map_err(|error| sentence(&error))?;
        let version = client::version(stream.get_ref().1.protocol_version())
            .ok_or("a version was agreed on that was not offered")?;
        Ok((stream, Accepted { sni, version }))
    }

    /// The leaf for a name, as rustls wants it.
    fn config(&self, name: LeafName) -> Result<Arc<ServerConfig>, String> {
        let now = self.clock.wall();
        let mut leaves = self.leaves.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(leaf) = leaves.get(&name)
            && leaf.minted <= now
            && now.since(leaf.minted) < FRESH
        {
            return Ok(Arc::clone(&leaf.config));
        }
        let minted = self.authority.mint(&name, &self.key, now);
        let leaf = minted.map_err(|error| format!("no certificate can be minted: {error}"))?;
        let mut chain = vec![leaf];
        chain.extend_from_slice(self.authority.chain());
        let certified = CertifiedKey::new(chain, Arc::clone(&self.signer));
        let mut config = self.base.clone();
        config.cert_resolver = Arc::new(SingleCertAndKey::from(certified));
        let config = Arc::new(config);
        let leaf = Leaf {
            config: Arc::clone(&config),
            minted: now,
        };
        leaves.put(name, leaf);
        Ok(config)
    }
}

fn host_name(sni: &str) -> Option<DnsName> {
    let name = DnsName::parse(sni).ok()?;
    name.is_host_name().then_some(name)
}

/// Nothing that the client chooses appears but through names that are defined here or in rustls.
fn sentence(error: &io::Error) -> String {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Error>());
    match inner {
        None => "the client broke the connection off during the handshake".into(),
        Some(Error::AlertReceived(alert)) => {
            let alert = failure::alert_name(*alert);
            format!("the client answered with the alert {alert}")
        }
        Some(Error::InvalidMessage(what)) => {
            format!("the client's octets are not TLS, or are damaged ({what:?})")
        }
        Some(Error::PeerIncompatible(what)) => {
            format!("the client does not speak TLS in a way that is served ({what:?})")
        }
        Some(Error::PeerMisbehaved(what)) => {
            format!("the client has broken the TLS protocol ({what:?})")
        }
        Some(_) => "the handshake could not be finished on this side".into(),
    }
}

#[cfg(test)]
mod tests;
