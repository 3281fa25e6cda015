//! Which addresses a policy host may have: those of the public internet (RFC 6890 and the IANA special-purpose
//! registries). Pure.
//!
//! The domain of a recipient is the sender's choice, and the records of that domain are its owner's. Without this a
//! mail to a domain of the right make would let danelaw speak HTTPS to machines that only this host can reach.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where connections may go.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reach {
    /// To the public internet, but not to this machine.
    Public {
        /// Its addresses: what listens there trusts it more than a stranger.
        is_ours: fn(IpAddr) -> bool,
    },
    /// Anywhere: for labs.
    Anywhere,
}

impl Reach {
    pub(super) fn includes(self, address: IpAddr) -> bool {
        match self {
            Self::Anywhere => true,
            Self::Public { is_ours } => {
                let is_public = match address {
                    IpAddr::V4(address) => is_public_v4(address),
                    IpAddr::V6(address) => is_public_v6(address),
                };
                is_public && !is_ours(address.to_canonical())
            }
        }
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !SPECIAL_V4
        .iter()
        .any(|block| (block.0.to_bits() ^ address.to_bits()).leading_zeros() >= block.1)
}

/// Global unicast is `2000::/3` (RFC 4291 §2.4). Addresses that carry an IPv4 address go where that goes.
fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(mapped) = address.to_ipv4_mapped() {
        return is_public_v4(mapped);
    }
    let bits = address.to_bits();
    let within = |block: &(Ipv6Addr, u32)| (block.0.to_bits() ^ bits).leading_zeros() >= block.1;
    if within(&NAT64) {
        let [.., a, b, c, d] = address.octets();
        return is_public_v4(Ipv4Addr::new(a, b, c, d));
    }
    within(&GLOBAL_UNICAST) && !SPECIAL_V6.iter().any(within)
}

/// The well-known prefix of RFC 6052 §2.1.
const NAT64: (Ipv6Addr, u32) = (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

const GLOBAL_UNICAST: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

const SPECIAL_V4: [(Ipv4Addr, u32); 16] = [
    // This network, and the unspecified address (RFC 791 §3.2).
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    // Private use (RFC 1918).
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    // Shared by carrier-grade NAT (RFC 6598).
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    // Loopback (RFC 1122 §3.2.1.3).
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    // Link-local, where clouds keep their metadata (RFC 3927).
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    // Private use (RFC 1918).
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    // IETF protocol assignments (RFC 6890).
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    // Documentation (RFC 5737).
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    // AS112 (RFC 7535), answered by whoever is near.
    (Ipv4Addr::new(192, 31, 196, 0), 24),
    // Automatic multicast tunnelling (RFC 7450).
    (Ipv4Addr::new(192, 52, 193, 0), 24),
    // 6to4 relays, deprecated (RFC 7526).
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    // Private use (RFC 1918).
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    // Benchmarks (RFC 2544).
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    // Documentation (RFC 5737).
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    // Multicast (RFC 5771), reserved (RFC 1112 §4) and broadcast.
    (Ipv4Addr::new(224, 0, 0, 0), 3),
];

const SPECIAL_V6: [(Ipv6Addr, u32); 4] = [
    // IETF protocol assignments, Teredo among them (RFC 2928, RFC 4380).
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    // Documentation (RFC 3849, RFC 9637).
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
    // 6to4 (RFC 3056): any IPv4 address inside, and hardly used.
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn attack_sts_13_only_public_addresses_are_reached() {
        for (address, public) in [
            ("0.0.0.0", false),
            ("0.1.2.3", false),
            ("1.0.0.1", true),
            ("9.255.255.255", true),
            ("10.0.0.1", false),
            ("11.0.0.0", true),
            ("100.63.255.255", true),
            ("100.64.0.1", false),
            ("100.127.255.255", false),
            ("100.128.0.0", true),
            ("127.0.0.1", false),
            ("127.255.255.254", false),
            ("169.254.169.254", false),
            ("172.15.255.255", true),
            ("172.16.0.1", false),
            ("172.31.255.255", false),
            ("172.32.0.0", true),
            ("192.0.0.8", false),
            ("192.0.1.1", true),
            ("192.0.2.1", false),
            ("192.31.196.1", false),
            ("192.52.193.1", false),
            ("192.88.99.1", false),
            ("192.168.1.1", false),
            ("192.169.0.0", true),
            ("198.17.255.255", true),
            ("198.18.0.1", false),
            ("198.19.255.255", false),
            ("198.51.100.7", false),
            ("203.0.113.9", false),
            ("223.255.255.255", true),
            ("224.0.0.1", false),
            ("239.1.1.1", false),
            ("240.0.0.1", false),
            ("255.255.255.255", false),
            ("::", false),
            ("::1", false),
            ("::8.8.8.8", false),
            ("::ffff:8.8.8.8", true),
            ("::ffff:127.0.0.1", false),
            ("::ffff:10.0.0.1", false),
            ("64:ff9b::8.8.8.8", true),
            ("64:ff9b::10.0.0.1", false),
            ("64:ff9b:1::8.8.8.8", false),
            ("100::1", false),
            ("2001::1", false),
            ("2001:1ff:ffff::", false),
            ("2001:200::1", true),
            ("2001:db8::1", false),
            ("2002:808:808::1", false),
            ("2606:4700::1", true),
            ("2a00:1450::1", true),
            ("3fff::1", false),
            ("3fff:1000::1", true),
            ("4000::1", false),
            ("5f00::1", false),
            ("fc00::1", false),
            ("fd12:3456::1", false),
            ("fe80::1", false),
            ("fec0::1", false),
            ("ff02::1", false),
        ] {
            let address: IpAddr = address.parse().unwrap();
            let nobody = Reach::Public { is_ours: |_| false };
            assert_eq!(nobody.includes(address), public, "{address}");
            let everybody = Reach::Public { is_ours: |_| true };
            assert!(!everybody.includes(address), "{address}");
            assert!(Reach::Anywhere.includes(address), "{address}");
        }
    }
}
