//! The policy host: `https://mta-sts.<domain>/.well-known/mta-sts.txt` (RFC 8461 §3.3).

use futures_util::future::BoxFuture;

use super::Policy;
use crate::name::Domain;

/// Why no policy could be had from the policy host; the three groups are those of RFC 8460 §4.3.2.2.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchFailure {
    /// DNS, TCP or HTTP: no 200 with a text body in time.
    #[error("the policy could not be fetched: {0}")]
    Fetch(String),
    /// The policy host's certificate does not hold.
    #[error("the policy host's certificate is not valid: {0}")]
    WebPki(String),
    /// The body is no policy.
    #[error("the policy is invalid: {0}")]
    Invalid(String),
}

/// Gets a policy from its host, once, within its own deadline (at most 60 s).
pub trait FetchPolicy: Send + Sync {
    /// Fetches and parses.
    fn fetch<'a>(&'a self, domain: &'a Domain) -> BoxFuture<'a, Result<Policy, FetchFailure>>;
}
