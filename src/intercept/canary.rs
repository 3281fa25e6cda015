//! Connections to nobody, which show what this host does with connections to port 25.
//!
//! They go to addresses that are kept for documentation (RFC 5737 §3, RFC 3849 §2), so nobody is there to answer: what
//! answers has taken the connection over. Two kinds, since netfilter has to treat them differently: one that is like
//! any other connection, and one that the rules lead to a listener whoever makes it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::redirect::canonical;

/// What a connection like any other goes to, in this order, as some hosts have no route to the first.
const PLAIN_V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(192, 0, 2, 77),
    Ipv4Addr::new(198, 51, 100, 77),
    Ipv4Addr::new(203, 0, 113, 77),
];
/// RFC 9637 §2 has added the second network.
const PLAIN_V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x77),
    Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0x77),
];

/// What the rules take over whoever connects to it, danelaw itself included.
pub const WATCHED_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 78);
/// The same.
pub const WATCHED_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x78);

/// How far a canary may fly: to the first hop, which drops it.
pub const TTL: u8 = 1;

/// What a listener says to one, before its token.
const GREETING: &str = "220 danelaw canary ";

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// The word in metrics and JSON.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::V4 => "ipv4",
            Self::V6 => "ipv6",
        }
    }

    /// The word in sentences.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }

    /// As `ip` and `iptables` tell it.
    #[must_use]
    pub const fn number(self) -> char {
        match self {
            Self::V4 => '4',
            Self::V6 => '6',
        }
    }

    /// Where a connection like any other goes.
    #[must_use]
    pub fn plain(self) -> Vec<IpAddr> {
        match self {
            Self::V4 => PLAIN_V4.map(IpAddr::V4).to_vec(),
            Self::V6 => PLAIN_V6.map(IpAddr::V6).to_vec(),
        }
    }

    /// Where the rules lead everybody's connections to a listener.
    #[must_use]
    pub const fn watched(self) -> IpAddr {
        match self {
            Self::V4 => IpAddr::V4(WATCHED_V4),
            Self::V6 => IpAddr::V6(WATCHED_V6),
        }
    }
}

impl std::fmt::Display for Family {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Is this where canaries fly to?
#[must_use]
pub fn is_canary(destination: SocketAddr) -> bool {
    let address = canonical(destination).ip();
    Family::ALL
        .iter()
        .any(|family| family.watched() == address || family.plain().contains(&address))
}

/// What tells the listeners of one network namespace from those of any other, between them and whoever asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token(String);

/// Who answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answerer {
    /// A listener of this host.
    Here,
    /// A danelaw elsewhere.
    Elsewhere,
    /// Something else: what it said.
    Stranger(String),
}

impl Token {
    /// Of these facts about the namespace.
    #[must_use]
    pub fn of(facts: &[&[u8]]) -> Self {
        let digest = crate::digest::of_fields(facts);
        Self(data_encoding::HEXLOWER.encode(&digest[..8]))
    }

    /// What a listener says.
    #[must_use]
    pub fn greeting(&self) -> String {
        format!("{GREETING}{}\r\n", self.0)
    }

    /// Who says this?
    #[must_use]
    pub fn answerer(&self, line: &str) -> Answerer {
        let line = line.trim_end();
        match line.strip_prefix(GREETING) {
            Some(token) if token == self.0 => Answerer::Here,
            Some(_) => Answerer::Elsewhere,
            None => Answerer::Stranger(line.escape_debug().take(200).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn net_01_canaries_are_known_by_their_destination_at_any_port_and_nobody_else_is() {
        for (destination, is_one) in [
            ("192.0.2.77:25", true),
            ("198.51.100.77:587", true),
            ("203.0.113.77:25", true),
            ("[::ffff:192.0.2.78]:25", true),
            ("[2001:db8::77]:25", true),
            ("[2001:db8::78]:25", true),
            ("[3fff::77]:25", true),
            ("192.0.2.79:25", false),
            ("[2001:db8::7]:25", false),
            ("198.51.100.78:25", false),
        ] {
            assert_eq!(
                is_canary(destination.parse().unwrap()),
                is_one,
                "{destination}"
            );
        }
    }

    #[test]
    fn net_01_a_listener_of_this_host_is_told_from_all_others() {
        let token = Token::of(&[b"boot", b"4026531840"]);
        let other = Token::of(&[b"boot", b"4026531841"]);
        assert_eq!(token.answerer(&token.greeting()), Answerer::Here);
        assert_eq!(token.answerer(&other.greeting()), Answerer::Elsewhere);
        for line in ["220 mx.example ESMTP\r\n", "", "421 4.3.2 busy"] {
            let stranger = Answerer::Stranger(line.trim_end().to_owned());
            assert_eq!(token.answerer(line), stranger);
        }
    }
}
