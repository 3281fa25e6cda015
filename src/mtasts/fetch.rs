//! The policy host: `https://mta-sts.<domain>/.well-known/mta-sts.txt` (RFC 8461 §3.3).
//!
//! [`HttpsFetcher`] asks once, follows nothing, remembers nothing (no HTTP cache, no TLS session, no connection kept:
//! a domain is asked about once a day) and believes only what TLS 1.2 or 1.3 with a certificate for the policy host
//! brings. What goes wrong is a [`FetchFailure`]; whether the head of an answer is acceptable is said by `answer`,
//! which addresses may be reached by `reach`.

use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, join};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, HeaderMap, HeaderValue};
use reqwest::{Client, redirect, retry};
use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};

use super::Policy;
use super::answer::{self, Unacceptable};
use super::policy::MAX_BODY;
use super::reach::Reach;
use crate::dns::{Answer, Failure, Family, Lookup};
use crate::name::{DnsName, Domain, InvalidName};
use crate::x509::path::Roots;

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

/// How to reach policy hosts.
#[derive(Clone, Copy, Debug)]
pub struct FetchOptions {
    /// 443, but in a lab.
    pub port: u16,
    /// Connect to private, loopback and other special addresses too: for labs.
    pub allow_private: bool,
    /// Which addresses are this machine's own; it is not asked either, unless private ones are.
    pub is_ours: fn(IpAddr) -> bool,
    /// From the first lookup to the last octet; RFC 8461 §3.3 suggests one minute.
    pub timeout: Duration,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self {
            port: 443,
            allow_private: false,
            is_ours: |_| false,
            timeout: Duration::from_secs(60),
        }
    }
}

/// The fetcher could not be made.
#[derive(Debug, thiserror::Error)]
pub enum FetcherError {
    /// Every certificate would be refused.
    #[error(
        "there is no root certificate to validate policy hosts with: name a ca_file or install the system's"
    )]
    NoRoots,
    /// The TLS library refuses its settings.
    #[error("cannot set up TLS for policy hosts: {0}")]
    Tls(#[from] rustls::Error),
    /// The HTTP library refuses its settings.
    #[error("cannot set up HTTPS for policy hosts: {0}")]
    Http(#[from] reqwest::Error),
}

/// Fetches over the network.
#[derive(Debug)]
pub struct HttpsFetcher {
    client: Client,
    options: FetchOptions,
}

impl HttpsFetcher {
    /// Over a resolver, trusting `roots`.
    ///
    /// # Errors
    /// Without any root, and when the libraries below refuse their settings.
    pub fn new(
        lookup: Arc<dyn Lookup>,
        roots: &Roots,
        options: FetchOptions,
    ) -> Result<Self, FetcherError> {
        let reach = if options.allow_private {
            Reach::Anywhere
        } else {
            Reach::Public {
                is_ours: options.is_ours,
            }
        };
        let client = Client::builder()
            .tls_backend_preconfigured(tls(roots)?)
            .dns_resolver(PolicyHosts { lookup, reach })
            .https_only(true)
            .http1_only()
            .http1_max_headers(MAX_HEADERS)
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .referer(false)
            .no_proxy()
            .pool_max_idle_per_host(0)
            .user_agent(concat!("danelaw/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers())
            .timeout(options.timeout)
            // Divided among the addresses of the host, so that one which does not answer leaves time for the next.
            .connect_timeout(options.timeout / 2)
            .build()?;
        Ok(Self { client, options })
    }

    /// The body of an answer that may carry a policy, whatever it says.
    ///
    /// # Errors
    /// [`FetchFailure`], but never [`FetchFailure::Invalid`].
    pub async fn body(&self, domain: &Domain) -> Result<Vec<u8>, FetchFailure> {
        let got = self.get(domain).await;
        got.map_err(|fault| self.failure(&fault))
    }

    async fn get(&self, domain: &Domain) -> Result<Vec<u8>, FetchFault> {
        let mut response = self.client.get(self.url(domain)?).send().await?;
        answer::check(response.status(), response.headers())?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > MAX_BODY {
                return Err(Unacceptable::TooLong.into());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn url(&self, domain: &Domain) -> Result<String, InvalidName> {
        let host = domain.name().prefixed("mta-sts")?;
        let port = self.options.port;
        Ok(format!("https://{host}:{port}/.well-known/mta-sts.txt"))
    }
}

impl FetchPolicy for HttpsFetcher {
    fn fetch<'a>(&'a self, domain: &'a Domain) -> BoxFuture<'a, Result<Policy, FetchFailure>> {
        Box::pin(async move {
            let body = self.body(domain).await?;
            Policy::parse(&body).map_err(|error| FetchFailure::Invalid(error.to_string()))
        })
    }
}

impl HttpsFetcher {
    fn failure(&self, fault: &FetchFault) -> FetchFailure {
        match fault {
            FetchFault::Name(error) => {
                FetchFailure::Fetch(format!("the policy host's name: {error}"))
            }
            FetchFault::Http(error) => match invalid_certificate(error) {
                Some(what) => FetchFailure::WebPki(what),
                None if error.is_timeout() => {
                    FetchFailure::Fetch(format!("no whole answer in {:?}", self.options.timeout))
                }
                None => FetchFailure::Fetch(
                    causes(error)
                        .last()
                        .map_or_else(|| error.to_string(), ToString::to_string),
                ),
            },
            FetchFault::Answer(error) => FetchFailure::Fetch(error.to_string()),
        }
    }
}

/// What can go wrong, as it went wrong.
#[derive(Debug, thiserror::Error)]
enum FetchFault {
    #[error(transparent)]
    Name(#[from] InvalidName),
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    #[error(transparent)]
    Answer(#[from] Unacceptable),
}

fn tls(roots: &Roots) -> Result<ClientConfig, FetcherError> {
    if roots.anchors().is_empty() {
        return Err(FetcherError::NoRoots);
    }
    let store: RootCertStore = roots.anchors().iter().cloned().collect();
    // The safe default versions are TLS 1.2 and 1.3 (RFC 9325 §3.1.1); DNS-IDs only, whole-label wildcards only.
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(store)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A resumed session would bring no certificate to look at.
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn headers() -> HeaderMap {
    HeaderMap::from_iter([
        (ACCEPT, HeaderValue::from_static("text/plain")),
        (ACCEPT_ENCODING, HeaderValue::from_static("identity")),
    ])
}

/// The addresses of policy hosts, from the resolver that validates.
struct PolicyHosts {
    lookup: Arc<dyn Lookup>,
    reach: Reach,
}

/// Why a policy host has no address to connect to.
#[derive(Debug, thiserror::Error)]
enum Unlocated {
    #[error("its {0} records: {1}")]
    Failed(Family, Failure),
    #[error("the policy host has no address")]
    NoAddress,
    #[error("the policy host is at {0}, which is this host or not on the public internet")]
    NotPublic(IpAddr),
}

impl Resolve for PolicyHosts {
    fn resolve(&self, name: Name) -> Resolving {
        let lookup = Arc::clone(&self.lookup);
        let reach = self.reach;
        Box::pin(async move {
            let host = DnsName::parse(name.as_str())?;
            let (v4, v6) = join(
                lookup.addresses(&host, Family::V4),
                lookup.addresses(&host, Family::V6),
            )
            .await;
            let found = located(&[(Family::V6, v6.answer), (Family::V4, v4.answer)], reach)?;
            let addresses: Addrs =
                Box::new(found.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}

/// A bogus answer of either family fails the fetch: the other family may be all that an attacker wants to be used.
/// A family that cannot be looked up only matters when the other has no address.
fn located(
    answers: &[(Family, Answer<Vec<IpAddr>>)],
    reach: Reach,
) -> Result<Vec<IpAddr>, Unlocated> {
    let mut found = Vec::new();
    let mut unlocated = Unlocated::NoAddress;
    for (family, answer) in answers {
        match answer {
            Answer::Failed(failure @ Failure::Bogus(_)) => {
                return Err(Unlocated::Failed(*family, failure.clone()));
            }
            Answer::Failed(failure @ Failure::Unreachable(_)) => {
                unlocated = Unlocated::Failed(*family, failure.clone());
            }
            Answer::Absent(_) => {}
            Answer::Secure(_) | Answer::Insecure(_) => {
                found.extend(answer.records().into_iter().flatten().copied());
            }
        }
    }
    if let Some(outside) = found.iter().find(|address| !reach.includes(**address)) {
        unlocated = Unlocated::NotPublic(*outside);
    }
    found.retain(|address| reach.includes(*address));
    found.truncate(MAX_ADDRESSES);
    if found.is_empty() {
        Err(unlocated)
    } else {
        Ok(found)
    }
}

fn invalid_certificate(error: &reqwest::Error) -> Option<String> {
    causes(error).find_map(|cause| match cause.downcast_ref() {
        Some(rustls::Error::InvalidCertificate(what)) => Some(what.to_string()),
        Some(_) | None => None,
    })
}

/// The error and what it rests on. An I/O error does not name what it wraps as its source, so that is looked into.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |cause| beneath(*cause))
}

fn beneath<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match cause.downcast_ref::<std::io::Error>() {
        Some(io) => io.get_ref().map(|inner| inner as &(dyn Error + 'static)),
        None => cause.source(),
    }
}

/// Header lines of an answer; their octets are bounded by the HTTP library's buffer.
const MAX_HEADERS: usize = 64;

/// Addresses of a policy host that are tried.
const MAX_ADDRESSES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::{Absence, AbsenceKind, Denial};

    const ABSENT: Answer<Vec<IpAddr>> = Answer::Absent(Absence {
        kind: AbsenceKind::NoData,
        denial: Denial::Insecure,
    });

    fn at(addresses: &[&str]) -> Answer<Vec<IpAddr>> {
        Answer::Insecure(addresses.iter().map(|text| text.parse().unwrap()).collect())
    }

    fn bogus() -> Answer<Vec<IpAddr>> {
        Answer::Failed(Failure::Bogus("no signature".to_owned()))
    }

    fn unreachable() -> Answer<Vec<IpAddr>> {
        Answer::Failed(Failure::Unreachable("timeout".to_owned()))
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn sts_33_attack_sts_13_a_bogus_or_inner_address_is_never_connected_to() {
        let many: Vec<String> = (1..=20).map(|n| format!("8.8.8.{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        for (case, v6, v4, expected) in [
            (
                "both families",
                at(&["2a00::1"]),
                at(&["8.8.8.8"]),
                Ok(&["2a00::1", "8.8.8.8"][..]),
            ),
            ("one family", ABSENT, at(&["8.8.8.8"]), Ok(&["8.8.8.8"])),
            (
                "none",
                ABSENT,
                ABSENT,
                Err("the policy host has no address"),
            ),
            (
                "no records in an answer",
                at(&[]),
                ABSENT,
                Err("the policy host has no address"),
            ),
            (
                "one bogus, one good",
                bogus(),
                at(&["8.8.8.8"]),
                Err("its AAAA records: DNSSEC validation failed: no signature"),
            ),
            (
                "one good, one bogus",
                at(&["2a00::1"]),
                bogus(),
                Err("its A records: DNSSEC validation failed: no signature"),
            ),
            (
                "one unreachable, one good",
                unreachable(),
                at(&["8.8.8.8"]),
                Ok(&["8.8.8.8"]),
            ),
            (
                "one unreachable, one absent",
                ABSENT,
                unreachable(),
                Err("its A records: no usable DNS answer: timeout"),
            ),
            (
                "only an inner one",
                ABSENT,
                at(&["10.0.0.1"]),
                Err(
                    "the policy host is at 10.0.0.1, which is this host or not on the public internet",
                ),
            ),
            (
                "only one of our own",
                ABSENT,
                at(&["9.9.9.9"]),
                Err(
                    "the policy host is at 9.9.9.9, which is this host or not on the public internet",
                ),
            ),
            (
                "one of our own beside another",
                ABSENT,
                at(&["9.9.9.9", "8.8.8.8"]),
                Ok(&["8.8.8.8"]),
            ),
            (
                "an inner one beside a public one",
                at(&["::1"]),
                at(&["8.8.8.8"]),
                Ok(&["8.8.8.8"]),
            ),
            (
                "more than are tried",
                ABSENT,
                at(&many),
                Ok(&many[..MAX_ADDRESSES]),
            ),
        ] {
            let answers = [(Family::V6, v6), (Family::V4, v4)];
            let found = located(
                &answers,
                Reach::Public {
                    is_ours: |address| address.to_string() == "9.9.9.9",
                },
            )
            .map_err(|error| error.to_string());
            let expected = expected
                .map(|texts| texts.iter().map(|text| text.parse().unwrap()).collect())
                .map_err(str::to_owned);
            assert_eq!(found, expected, "{case}");
        }
    }
}

#[cfg(test)]
#[cfg(feature = "lab")]
mod live;
