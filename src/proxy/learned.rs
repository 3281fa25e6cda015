//! Which host an address belongs to, from what recent recipients' lookups said. Only ever a hint for the SNI of the
//! first handshake: a wrong one costs a redial, nothing more.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use lru::LruCache;

use crate::name::DnsName;
use crate::policy::{AddressFacts, Facts, HostFacts, MxFacts, TlsaFacts};

/// Addresses that are remembered.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(65_536).unwrap();

/// How long: the usual TTL of MX hosts' addresses, a few times over.
const LIFETIME: Duration = Duration::from_secs(3600);

/// The memory, shared by all sessions.
pub struct Learned {
    names: Mutex<LruCache<IpAddr, Entry>>,
}

struct Entry {
    name: DnsName,
    until: Instant,
}

impl Default for Learned {
    fn default() -> Self {
        Self {
            names: Mutex::new(LruCache::new(CAPACITY)),
        }
    }
}

impl Learned {
    /// The SNI to try first at this address.
    #[must_use]
    pub fn sni(&self, address: IpAddr, now: Instant) -> Option<DnsName> {
        let mut names = self.lock();
        let entry = names.get(&address.to_canonical())?;
        if entry.until <= now {
            names.pop(&address.to_canonical());
            return None;
        }
        Some(entry.name.clone())
    }

    /// Remembers the addresses of all hosts of a domain; the most preferred host wins an address.
    pub fn learn(&self, facts: &Facts, now: Instant) {
        let MxFacts::Hosts { hosts, .. } = &facts.mx else {
            return;
        };
        let until = now + LIFETIME;
        let mut names = self.lock();
        for host in hosts.iter().rev() {
            if let AddressFacts::Known(addresses) = &host.addresses {
                for address in addresses {
                    let name = sni_of(host).clone();
                    names.put(address.to_canonical(), Entry { name, until });
                }
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, LruCache<IpAddr, Entry>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The name that a demand for this host will ask for: the TLSA base domain where DANE applies (RFC 7672 §8.1), else the
/// MX host (RFC 8461 §4.1).
const fn sni_of(host: &HostFacts) -> &DnsName {
    match &host.tlsa {
        TlsaFacts::Usable { base, .. } => base.name(),
        TlsaFacts::NotApplicable | TlsaFacts::Unusable { .. } | TlsaFacts::Failed { .. } => {
            host.host.name()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, SystemClock};
    use crate::policy::StsState;

    fn host(name: &str, address: &str, base: Option<&str>) -> HostFacts {
        HostFacts {
            host: name.parse().unwrap(),
            addresses: AddressFacts::Known(vec![address.parse().unwrap()]),
            tlsa: base.map_or(TlsaFacts::NotApplicable, |base| TlsaFacts::Usable {
                base: base.parse().unwrap(),
                records: vec![],
            }),
        }
    }

    #[test]
    fn the_name_to_ask_for_is_remembered_for_a_while() {
        let t0 = SystemClock.instant();
        let learned = Learned::default();
        let facts = Facts {
            domain: "d.example".parse().unwrap(),
            mx: MxFacts::Hosts {
                secure: true,
                expanded: None,
                hosts: vec![
                    host("mx1.example", "192.0.2.1", None),
                    host("mx2.example", "192.0.2.2", Some("base.example")),
                    host("mx3.example", "192.0.2.1", None),
                ],
            },
            sts: StsState::None,
        };
        learned.learn(&facts, t0);
        for (what, address, after, expected) in [
            ("the preferred of two", "192.0.2.1", 0, Some("mx1.example")),
            ("mapped", "::ffff:192.0.2.1", 0, Some("mx1.example")),
            (
                "DANE: the base domain",
                "192.0.2.2",
                0,
                Some("base.example"),
            ),
            ("never seen", "192.0.2.3", 0, None),
            ("at its last moment", "192.0.2.1", 3599, Some("mx1.example")),
            ("too old", "192.0.2.1", 3600, None),
        ] {
            let now = t0 + Duration::from_secs(after);
            let sni = learned.sni(address.parse().unwrap(), now);
            assert_eq!(sni.as_ref().map(DnsName::as_str), expected, "{what}");
        }
    }
}
