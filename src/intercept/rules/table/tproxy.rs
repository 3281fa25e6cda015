//! Connections that are taken over as they are: to a transparent socket, by a mark that routes lead to this host.

use super::rule::{from_clients, let_go};
use super::{Chain, Hook, MANGLE, Rule};
use crate::intercept::rules::plan::{Forwarded, Transparent};

pub(super) fn tproxy(forwarded: &Forwarded, transparent: &Transparent) -> [Chain; 3] {
    let port = forwarded.to.port;
    let mut prerouting = prerouting_filter();
    prerouting.rules = vec![divert_rule(), from_clients("jump incoming")];
    let mut rules = let_go("return");
    rules.push(Rule::new(
        format!(
            "meta l4proto tcp counter name \"intercepted\" tproxy to :{port} {} accept",
            set_mark(transparent)
        ),
        format!("taken over by port {port}, {}", marked(transparent)),
    ));
    [
        divert(transparent),
        prerouting,
        Chain {
            name: "incoming",
            hook: None,
            rules,
        },
    ]
}

pub(super) fn prerouting_filter() -> Chain {
    Chain {
        name: "prerouting",
        hook: Some(Hook::new("filter", "prerouting", MANGLE)),
        rules: Vec::new(),
    }
}

/// ICMP too: without it the sockets never hear that their packets are too large.
pub(super) fn divert_rule() -> Rule {
    Rule::new(
        "meta l4proto { tcp, icmp, icmpv6 } socket transparent 1 socket wildcard 0 goto divert",
        "what belongs to transparent sockets, ICMP too",
    )
}

pub(super) fn divert(transparent: &Transparent) -> Chain {
    Chain {
        name: "divert",
        hook: None,
        rules: vec![Rule::new(
            format!("{} accept", set_mark(transparent)),
            marked(transparent),
        )],
    }
}

fn set_mark(transparent: &Transparent) -> String {
    let mark = transparent.mark;
    let others = !mark.mask;
    format!(
        "meta mark set meta mark and {others:#010x} or {:#010x}",
        mark.value
    )
}

fn marked(transparent: &Transparent) -> String {
    let mark = transparent.mark;
    format!("marked {:#x}/{:#x}", mark.value, mark.mask)
}
