//! The rules that several chains share: whose connections these are, and which are let go.

use super::Rule;
use crate::intercept::rules::plan::Own;

pub(super) fn from_clients(verdict: &str) -> Rule {
    Rule::new(
        format!("iifname @clients tcp dport @ports {verdict}"),
        "mail from clients",
    )
}

pub(super) fn own(own: &Own, verdict: &str) -> Rule {
    match own {
        Own::Uid(uid) => Rule::new(
            format!("meta skuid {uid} {verdict}"),
            format!("danelaw's own connections, user {uid}"),
        ),
        Own::Mark(mark) => Rule::new(
            format!(
                "meta mark and {:#010x} == {:#010x} {verdict}",
                mark.mask, mark.value
            ),
            format!(
                "danelaw's own connections, mark {:#x}/{:#x}",
                mark.value, mark.mask
            ),
        ),
    }
}

pub(super) fn let_go(verdict: &str) -> Vec<Rule> {
    let mut rules = vec![Rule::new(
        format!("fib daddr type local counter name \"bypass_local\" {verdict}"),
        "destinations on this host",
    )];
    rules.extend(exempt("counter name \"bypass_exempt\" ", verdict));
    rules
}

pub(super) fn exempt(counter: &str, verdict: &str) -> Vec<Rule> {
    vec![
        Rule::new(
            format!("ip daddr @exempt4 {counter}{verdict}"),
            "exempt destinations, IPv4",
        ),
        Rule::new(
            format!("ip6 daddr @exempt6 {counter}{verdict}"),
            "exempt destinations, IPv6",
        ),
    ]
}
