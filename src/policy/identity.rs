//! Whom a connection is to: what the operator says of destinations, looked at before anything else. Pure.
//!
//! Without a [`Rule`] the recipients' domains tell, and DNS is asked which hosts take their mail. A mail server that
//! hands everything to a smart host never asks: its destination has nothing to do with the recipients, so a rule names
//! it, and that name is policy domain, reference identifier and SNI at once (RFC 7672 §1.1, RFC 8461 §3.4).

use std::cmp::Reverse;
use std::net::SocketAddr;

use ipnet::IpNet;

use crate::name::Domain;

/// Whose name a destination goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// Nobody's in particular: an MX host of the recipients' domains.
    Envelope,
    /// This host's, whoever the recipients are.
    Route(Domain),
    /// Nobody's that matters: it is not judged.
    Bypass,
}

impl Identity {
    /// The word in records and metrics.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Envelope => "envelope",
            Self::Route(_) => "route",
            Self::Bypass => "bypass",
        }
    }
}

/// What the operator says of some destinations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Where they are.
    pub network: IpNet,
    /// On which port; none means any.
    pub port: Option<u16>,
    /// Whose they are.
    pub identity: Identity,
}

impl Rule {
    /// Is `other` about the very same destinations?
    #[must_use]
    pub fn rivals(&self, other: &Self) -> bool {
        (self.network, self.port) == (other.network, other.port)
    }

    fn covers(&self, destination: SocketAddr) -> bool {
        self.network.contains(&destination.ip().to_canonical())
            && self.port.is_none_or(|port| port == destination.port())
    }
}

/// All rules, the narrowest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identities(Vec<Rule>);

impl Identities {
    /// In whatever order they come: the smaller network counts before the larger, and within one a rule for a port
    /// before one for all.
    #[must_use]
    pub fn new(mut rules: Vec<Rule>) -> Self {
        rules.sort_by_key(|rule| (Reverse(rule.network.prefix_len()), rule.port.is_none()));
        Self(rules)
    }

    /// Whose `destination` is.
    #[must_use]
    pub fn of(&self, destination: SocketAddr) -> &Identity {
        self.0
            .iter()
            .find(|rule| rule.covers(destination))
            .map_or(&Identity::Envelope, |rule| &rule.identity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(network: &str, port: Option<u16>, host: Option<&str>) -> Rule {
        Rule {
            network: network.parse().unwrap(),
            port,
            identity: host.map_or(Identity::Bypass, |host| {
                Identity::Route(host.parse().unwrap())
            }),
        }
    }

    #[test]
    fn role_3_the_narrowest_rule_says_whose_a_destination_is() {
        let identities = Identities::new(vec![
            rule("10.0.0.0/8", None, None),
            rule("10.1.0.0/16", None, Some("wide.example")),
            rule("10.1.2.0/24", None, Some("any.example")),
            rule("10.1.2.0/24", Some(587), Some("submission.example")),
            rule("10.1.2.3/32", Some(25), None),
            rule("2001:db8::/32", Some(587), Some("v6.example")),
        ]);
        for (destination, expected) in [
            ("192.0.2.1:25", "envelope"),
            ("10.9.9.9:25", "bypass"),
            ("10.1.9.9:25", "wide.example"),
            ("10.1.2.9:25", "any.example"),
            ("10.1.2.9:587", "submission.example"),
            ("10.1.2.3:25", "bypass"),
            ("10.1.2.3:26", "any.example"),
            ("[::ffff:10.9.9.9]:25", "bypass"),
            ("[2001:db8::1]:587", "v6.example"),
            ("[2001:db8::1]:25", "envelope"),
            ("[2001:db9::1]:587", "envelope"),
        ] {
            let identity = identities.of(destination.parse().unwrap());
            let seen = match identity {
                Identity::Route(host) => host.as_str(),
                Identity::Envelope | Identity::Bypass => identity.label(),
            };
            assert_eq!(seen, expected, "{destination}");
        }
    }
}
