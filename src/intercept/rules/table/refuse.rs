//! Connections that nobody may make: those that should have been taken over, and those of strangers to a listener.

use super::rule::{exempt, from_clients, own};
use super::{Chain, Hook, Rule};
use crate::intercept::rules::plan::Local;

/// In the `forward` hook: what comes from clients and was not taken over goes no further.
pub(super) fn fail_closed(priority: i32) -> [Chain; 2] {
    let mut rules = exempt("", "accept");
    rules.push(Rule::new(
        "meta l4proto tcp counter name \"leaked\" reject with tcp reset",
        "not taken over: refused",
    ));
    [
        Chain {
            name: "forward",
            hook: Some(Hook::new("filter", "forward", priority)),
            rules: vec![from_clients("jump forwarded")],
        },
        Chain {
            name: "forwarded",
            hook: None,
            rules,
        },
    ]
}

pub(super) fn guard_local(local: &Local) -> [Chain; 2] {
    let mut rules = vec![own(&local.own, "accept")];
    rules.extend(exempt("", "accept"));
    rules.push(Rule::new(
        "meta l4proto tcp counter name \"leaked\" reject with tcp reset",
        "not taken over: refused",
    ));
    [
        Chain {
            name: "output",
            hook: Some(Hook::new("filter", "output", 0)),
            rules: vec![Rule::new(
                "oifname != \"lo\" tcp dport @ports tcp flags & (syn | ack) == syn jump outgoing",
                "new connections that leave this host",
            )],
        },
        Chain {
            name: "outgoing",
            hook: None,
            rules,
        },
    ]
}

/// The listener must be open to clients; nobody else has business there.
pub(super) fn strangers(port: u16) -> Chain {
    Chain {
        name: "input",
        hook: Some(Hook::new("filter", "input", 0)),
        rules: vec![Rule::new(
            format!(
                "iifname != \"lo\" iifname != @clients tcp dport {port} tcp flags & (syn | ack) == syn \
                 counter name \"strangers\" reject with tcp reset"
            ),
            format!("port {port} is no business of others"),
        )],
    }
}
