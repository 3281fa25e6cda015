//! What is known of an address before a recipient is: which host it belongs to, from what recent recipients' lookups
//! said, and which extensions its MX has turned out to lack. Only ever a hint: a wrong host as the SNI of the first
//! handshake costs a redial, and an extension is hidden only where the MX does not offer it either.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lru::LruCache;

use crate::name::DnsName;
use crate::policy::{AddressFacts, Facts, HostFacts, MxFacts, TlsaFacts};
use crate::smtp::ehlo::Extensions;

/// Addresses that are remembered.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(65_536).unwrap();

/// How long: the usual TTL of MX hosts' addresses, a few times over.
const LIFETIME: Duration = Duration::from_secs(3600);

/// How long what an MX lacks is: each time it is forgotten, one message that needs it is deferred once.
const LACKING: Duration = Duration::from_secs(24 * 3600);

/// The memory, shared by all sessions.
pub struct Learned {
    names: Mutex<LruCache<IpAddr, Entry<DnsName>>>,
    lacking: Mutex<LruCache<IpAddr, Entry<Extensions>>>,
}

struct Entry<T> {
    value: T,
    until: Instant,
}

impl Default for Learned {
    fn default() -> Self {
        Self {
            names: Mutex::new(LruCache::new(CAPACITY)),
            lacking: Mutex::new(LruCache::new(CAPACITY)),
        }
    }
}

impl Learned {
    /// The SNI to try first at this address.
    #[must_use]
    pub fn sni(&self, address: IpAddr, now: Instant) -> Option<DnsName> {
        recall(&mut lock(&self.names), address, now)
    }

    /// What the MX at this address is known not to offer.
    #[must_use]
    pub fn lacking(&self, address: IpAddr, now: Instant) -> Extensions {
        recall(&mut lock(&self.lacking), address, now).unwrap_or_default()
    }

    /// Remembers that.
    pub fn learn_lacking(&self, address: IpAddr, lacking: Extensions, now: Instant) {
        let until = now + LACKING;
        let entry = Entry {
            value: lacking,
            until,
        };
        lock(&self.lacking).put(address.to_canonical(), entry);
    }

    /// Remembers the addresses of all hosts of a domain; the most preferred host wins an address.
    pub fn learn(&self, facts: &Facts, now: Instant) {
        let MxFacts::Hosts { hosts, .. } = &facts.mx else {
            return;
        };
        let until = now + LIFETIME;
        let mut names = lock(&self.names);
        for host in hosts.iter().rev() {
            if let AddressFacts::Known(addresses) = &host.addresses {
                for address in addresses {
                    let value = sni_of(host).clone();
                    names.put(address.to_canonical(), Entry { value, until });
                }
            }
        }
    }
}

fn recall<T: Clone>(
    memory: &mut LruCache<IpAddr, Entry<T>>,
    address: IpAddr,
    now: Instant,
) -> Option<T> {
    let entry = memory.get(&address.to_canonical())?;
    if entry.until <= now {
        memory.pop(&address.to_canonical());
        return None;
    }
    Some(entry.value.clone())
}

fn lock<T>(memory: &Mutex<T>) -> MutexGuard<'_, T> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
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
    use crate::smtp::ehlo::Extension;

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
    fn smtp_31_what_an_mx_lacks_is_remembered_for_a_day() {
        let t0 = SystemClock.instant();
        let learned = Learned::default();
        let lacking = Extensions::of(&[Extension::SmtpUtf8]);
        learned.learn_lacking("192.0.2.1".parse().unwrap(), lacking, t0);
        for (what, address, hours, expected) in [
            ("at once", "192.0.2.1", 0, lacking),
            ("mapped", "::ffff:192.0.2.1", 23, lacking),
            ("another", "192.0.2.2", 0, Extensions::NONE),
            ("too old", "192.0.2.1", 24, Extensions::NONE),
        ] {
            let now = t0 + Duration::from_secs(hours * 3600);
            let seen = learned.lacking(address.parse().unwrap(), now);
            assert_eq!(seen, expected, "{what}");
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
