//! The MX hosts of a domain at all their addresses. A delivery knows where it goes and looks no further; a command asks
//! once for each family, for a destination that is no host's, and so learns of every host.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::name::{Domain, MxHost};
use crate::policy::demand::demand;
use crate::policy::{AddressFacts, Facts, HostFacts, MxFacts, Settings, StsState};
use crate::proxy::engine::Engine;
use crate::verdict::{Question, Reason};

/// What was found for both families.
pub(super) struct Exchangers {
    v4: Facts,
    v6: Facts,
}

/// One host, as each family shows it.
pub(super) struct Exchanger<'a> {
    v4: &'a HostFacts,
    v6: &'a HostFacts,
}

impl Exchangers {
    /// Asks for the hosts of `domain`.
    pub(super) async fn find(engine: &Engine, domain: &Domain, port: u16) -> Self {
        let v4 = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port);
        let v6 = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port);
        Self {
            v4: engine.gatherer.gather(domain, v4).await,
            v6: engine.gatherer.gather(domain, v6).await,
        }
    }

    /// The policy of the domain.
    pub(super) const fn sts(&self) -> &StsState {
        &self.v4.sts
    }

    /// Whether the MX RRset is secure, and the hosts by preference; nothing where there are none.
    pub(super) fn hosts(&self) -> Option<(bool, Vec<Exchanger<'_>>)> {
        match (&self.v4.mx, &self.v6.mx) {
            (MxFacts::Hosts { secure, hosts, .. }, MxFacts::Hosts { hosts: hosts6, .. }) => {
                let pairs = hosts.iter().zip(hosts6);
                let hosts = pairs.map(|(v4, v6)| Exchanger { v4, v6 }).collect();
                Some((*secure, hosts))
            }
            _ => None,
        }
    }

    /// What stands against the domain whatever the destination, where no host could be looked at.
    pub(super) fn whole(&self, settings: Settings) -> Reason {
        let against = |facts| demand(facts, IpAddr::V4(Ipv4Addr::UNSPECIFIED), settings).err();
        against(&self.v4)
            .or_else(|| against(&self.v6))
            .unwrap_or_else(|| Reason::Unreachable {
                what: format!("no MX host of {} has an address", self.v4.domain),
            })
    }
}

impl<'a> Exchanger<'a> {
    /// Its name.
    pub(super) const fn host(&self) -> &'a MxHost {
        &self.v4.host
    }

    /// All its addresses, those of IPv4 first.
    pub(super) fn addresses(&self) -> Vec<IpAddr> {
        let known = |host: &'a HostFacts| match &host.addresses {
            AddressFacts::Known(addresses) => &addresses[..],
            AddressFacts::Failed(_) => &[],
        };
        [known(self.v4), known(self.v6)].concat()
    }

    /// Why it has no address, where a lookup failed: mail to it waits, and beside other hosts nobody would notice.
    pub(super) fn unlocated(&self) -> Option<Reason> {
        [self.v4, self.v6].into_iter().find_map(|host| {
            let AddressFacts::Failed(failure) = &host.addresses else {
                return None;
            };
            Some(Reason::Dns {
                question: Question::Address,
                name: host.host.name().clone(),
                failure: failure.clone(),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::Failure;
    use crate::policy::TlsaFacts;

    #[test]
    fn a_host_without_known_addresses_is_noticed_where_a_lookup_failed() {
        let host = |addresses| HostFacts {
            host: "mx.example".parse().unwrap(),
            addresses,
            tlsa: TlsaFacts::NotApplicable,
        };
        let none = || AddressFacts::Known(vec![]);
        let failed = |failure: fn(String) -> Failure| AddressFacts::Failed(failure("why".into()));
        for (what, v4, v6, expected) in [
            ("neither family exists", none(), none(), None),
            (
                "one is bogus, the other does not exist",
                none(),
                failed(Failure::Bogus),
                Some("dnssec-bogus"),
            ),
            (
                "one is not answered",
                failed(Failure::Unreachable),
                none(),
                Some("dns-error"),
            ),
        ] {
            let (v4, v6) = (host(v4), host(v6));
            let found = Exchanger { v4: &v4, v6: &v6 }.unlocated();
            assert_eq!(found.map(|reason| reason.label()), expected, "{what}");
        }
    }
}
