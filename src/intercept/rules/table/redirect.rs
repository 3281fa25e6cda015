//! Connections whose destination is changed, which connection tracking remembers.

use super::rule::{from_clients, let_go, own};
use super::{Chain, DSTNAT, Hook, Rule};
use crate::intercept::rules::plan::{Family, Forwarded, Local};

/// On a gateway its own connections pass no other rule. Not where TPROXY does without connection tracking: these chains
/// would switch it on for all that is forwarded.
pub(super) fn watch_alone(port: u16) -> [Chain; 2] {
    [
        Chain {
            name: "output",
            hook: Some(Hook::new("nat", "output", DSTNAT)),
            rules: vec![Rule::new(
                "tcp dport @ports jump outgoing",
                "danelaw's look at its own rules",
            )],
        },
        Chain {
            name: "outgoing",
            hook: None,
            rules: watched(port).to_vec(),
        },
    ]
}

pub(super) fn redirect_local(local: &Local) -> [Chain; 2] {
    let jump = Rule::new(
        "tcp dport @ports jump outgoing",
        "mail that leaves this host",
    );
    let mut rules = watched(local.to.port).to_vec();
    rules.push(own(&local.own, "counter name \"bypass_self\" accept"));
    rules.extend(let_go("accept"));
    rules.push(redirect(local.to.port));
    [
        Chain {
            name: "output",
            hook: Some(Hook::new("nat", "output", DSTNAT)),
            rules: vec![jump],
        },
        Chain {
            name: "outgoing",
            hook: None,
            rules,
        },
    ]
}

pub(super) fn redirect_forwarded(forwarded: &Forwarded) -> [Chain; 2] {
    let mut rules = let_go("accept");
    rules.push(redirect(forwarded.to.port));
    [
        Chain {
            name: "prerouting",
            hook: Some(Hook::new("nat", "prerouting", DSTNAT)),
            rules: vec![from_clients("jump incoming")],
        },
        Chain {
            name: "incoming",
            hook: None,
            rules,
        },
    ]
}

/// What danelaw connects to in order to see that the rules stand: led to it whoever connects, so ahead of all exemptions.
fn watched(port: u16) -> [Rule; 2] {
    [("ip", Family::V4), ("ip6", Family::V6)].map(|(protocol, family)| {
        let address = family.watched();
        Rule::new(
            format!("{protocol} daddr {address} meta l4proto tcp redirect to :{port}"),
            format!("whether the rules stand, {family}: to port {port}"),
        )
    })
}

fn redirect(port: u16) -> Rule {
    Rule::new(
        format!("meta l4proto tcp counter name \"redirected\" redirect to :{port}"),
        format!("redirected to port {port}"),
    )
}
