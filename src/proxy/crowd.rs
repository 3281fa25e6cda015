//! How many sessions each address has, so that one client or one destination cannot have them all.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Sessions by address.
pub(super) struct Crowd {
    limit: AtomicUsize,
    members: Mutex<HashMap<IpAddr, usize>>,
}

/// One session of an address, for as long as it lives.
pub(super) struct Member {
    crowd: Arc<Crowd>,
    address: IpAddr,
}

impl Crowd {
    /// At most `limit` for each.
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit: AtomicUsize::new(limit),
            members: Mutex::default(),
        })
    }

    /// From now on so many. Those that are too many then go on.
    pub(super) fn resize(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// One more, unless it would be one too many.
    pub(super) fn join(self: &Arc<Self>, address: IpAddr) -> Option<Member> {
        let address = address.to_canonical();
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        let count = members.entry(address).or_default();
        if *count >= self.limit.load(Ordering::Relaxed) {
            return None;
        }
        *count += 1;
        drop(members);
        Some(Member {
            crowd: Arc::clone(self),
            address,
        })
    }

    #[cfg(test)]
    fn addresses(&self) -> usize {
        self.members.lock().unwrap().len()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let members = &self.crowd.members;
        let mut members = members.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = members.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                members.remove(&self.address);
            }
        }
    }
}

/// The network that one client can choose its addresses from: with IPv6 that is 64 bits' worth (RFC 4291 §2.5.4).
pub(super) fn client_network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) if v6.is_loopback() => v6.into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str) -> IpAddr {
        address.parse().unwrap()
    }

    #[test]
    fn dn_10_each_address_has_its_own_limit_and_nothing_is_kept_of_who_has_left() {
        let crowd = Crowd::new(2);
        let first = crowd.join(at("192.0.2.1")).unwrap();
        let second = crowd.join(at("::ffff:192.0.2.1")).unwrap();
        assert!(crowd.join(at("192.0.2.1")).is_none());
        let other = crowd.join(at("192.0.2.2"));
        assert!(other.is_some());
        drop(first);
        let third = crowd.join(at("192.0.2.1"));
        assert!(third.is_some());
        drop((second, third, other));
        assert_eq!(crowd.addresses(), 0);
    }

    #[test]
    fn dn_10_a_client_cannot_hide_among_the_addresses_of_its_own_network() {
        for (address, network) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("::1", "::1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:3::", "2001:db8:1:3::"),
        ] {
            assert_eq!(client_network(at(address)), at(network), "{address}");
        }
    }
}
