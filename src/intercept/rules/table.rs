//! The two tables as values: [`danelaw`] takes connections over, [`guard`] refuses what should have been and was not.
//!
//! The guard stands apart so that whatever becomes of the first, nothing leaves unjudged. Its rule on this host looks at
//! SYNs alone: a stale entry of connection tracking makes a connection that went past the redirect "established", and
//! other packets may have no socket, and so no user, any more. The `forward` chains are no luxury: without a listener
//! nft's `tproxy` lets packets go on as they are.
//!
//! Each rule carries a note that says all that it does, numbers included. The kernel keeps it as the rule's comment, and
//! by the notes a listing is held against the plan.

use std::net::IpAddr;

use super::plan::{Forwarded, Local, Own, Plan, Transparent, Way};
use crate::intercept::canary::{WATCHED_V4, WATCHED_V6};

/// The table that takes connections over.
pub const DANELAW: &str = "danelaw";

/// The table that refuses what the other missed.
pub const GUARD: &str = "danelaw_guard";

/// The counter that only a table has which lets sessions end.
pub const DRAINING: &str = "draining";

/// A table of the family `inet`, so for IPv4 and IPv6.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// Its sets.
    pub sets: Vec<Set>,
    /// Its counters.
    pub counters: Vec<&'static str>,
    /// Its chains.
    pub chains: Vec<Chain>,
}

/// A named set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// Its name.
    pub name: &'static str,
    /// What it is a set of.
    pub kind: &'static str,
    /// Its elements, as they are written.
    pub elements: Vec<String>,
}

/// A chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Its name.
    pub name: &'static str,
    /// Where it hangs; none for one that others jump to.
    pub hook: Option<Hook>,
    /// Its rules.
    pub rules: Vec<Rule>,
}

/// Where a chain hangs.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct Hook {
    /// `filter` or `nat`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The hook.
    pub hook: String,
    /// Its place among others there.
    pub prio: i32,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What nft reads.
    pub text: String,
    /// What it does, in words.
    pub note: String,
}

/// The ports that are taken over.
pub const PORTS: &str = "ports";
/// The IPv4 networks that are not.
pub const EXEMPT4: &str = "exempt4";
/// The same, IPv6.
pub const EXEMPT6: &str = "exempt6";
/// The interfaces of clients.
pub const CLIENTS: &str = "clients";

/// Both tables.
#[must_use]
pub fn tables(plan: &Plan) -> [Table; 2] {
    [danelaw(plan), guard(plan)]
}

/// The table that takes connections over.
#[must_use]
pub fn danelaw(plan: &Plan) -> Table {
    let mut table = Table::with_sets(DANELAW, plan);
    table.counters = vec!["bypass_local", "bypass_exempt"];
    if let Some(local) = &plan.local {
        table.counters.extend(["bypass_self", "redirected"]);
        table.chains.extend(redirect_local(local));
    }
    if let Some(forwarded) = &plan.forwarded {
        match &forwarded.way {
            Way::Redirect => {
                table.counters.push("redirected");
                table.chains.extend(redirect_forwarded(forwarded));
                if plan.local.is_none() {
                    table.chains.push(watched(forwarded.to.port));
                }
            }
            Way::Tproxy(transparent) => {
                table.counters.extend(["intercepted", "leaked"]);
                table.chains.extend(tproxy(forwarded, transparent));
                table.chains.extend(fail_closed(-5));
            }
        }
        table.counters.push("strangers");
        table.chains.push(strangers(forwarded.to.port));
    }
    table.counters.sort_unstable();
    table.counters.dedup();
    table
}

/// The table that refuses what the other missed.
#[must_use]
pub fn guard(plan: &Plan) -> Table {
    let mut table = Table::with_sets(GUARD, plan);
    table.counters = vec!["leaked"];
    if let Some(local) = &plan.local {
        table.chains.extend(guard_local(local));
    }
    if plan.forwarded.is_some() {
        table.chains.extend(fail_closed(-6));
    }
    table
}

/// What takes the first table's place while its sessions end: it takes nothing over, but what it has taken over goes on.
#[must_use]
pub fn draining(plan: &Plan) -> Table {
    let mut table = Table::with_sets(DANELAW, plan);
    table.counters = vec![DRAINING];
    // Connection tracking goes on translating only as long as some chain of the kind stands.
    let keep = |name, hook| Chain {
        name,
        hook: Some(Hook::new("nat", hook, DSTNAT)),
        rules: vec![Rule::new(
            "ct state established counter name \"draining\" accept",
            "sessions that were redirected go on",
        )],
    };
    if plan.local.is_some() {
        table.chains.push(keep("output", "output"));
    }
    match plan.forwarded.as_ref().map(|forwarded| &forwarded.way) {
        Some(Way::Redirect) => table.chains.push(keep("prerouting", "prerouting")),
        Some(Way::Tproxy(transparent)) => {
            table.chains.push(divert(transparent));
            let mut prerouting = prerouting_filter();
            prerouting.rules.push(divert_rule());
            table.chains.push(prerouting);
        }
        None => {}
    }
    table
}

impl Table {
    fn with_sets(name: &'static str, plan: &Plan) -> Self {
        let mut sets = vec![
            Set::new(PORTS, "inet_service", &plan.ports),
            Set::new(EXEMPT4, "ipv4_addr", &plan.exempt.v4),
            Set::new(EXEMPT6, "ipv6_addr", &plan.exempt.v6),
        ];
        if let Some(forwarded) = &plan.forwarded {
            let clients = forwarded.clients.iter();
            let quoted: Vec<String> = clients.map(|name| format!("\"{name}\"")).collect();
            sets.push(Set::new(CLIENTS, "ifname", &quoted));
        }
        Self {
            name,
            sets,
            counters: Vec::new(),
            chains: Vec::new(),
        }
    }
}

impl Set {
    fn new<T: ToString>(
        name: &'static str,
        kind: &'static str,
        elements: impl IntoIterator<Item = T>,
    ) -> Self {
        Self {
            name,
            kind,
            elements: elements.into_iter().map(|one| one.to_string()).collect(),
        }
    }

    /// Whether its elements are networks.
    #[must_use]
    pub fn holds_networks(&self) -> bool {
        [EXEMPT4, EXEMPT6].contains(&self.name)
    }
}

impl Hook {
    fn new(kind: &str, hook: &str, prio: i32) -> Self {
        Self {
            kind: kind.to_owned(),
            hook: hook.to_owned(),
            prio,
        }
    }
}

impl Rule {
    fn new(text: impl Into<String>, note: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            note: note.into(),
        }
    }
}

fn redirect_local(local: &Local) -> [Chain; 2] {
    let jump = Rule::new(
        "tcp dport @ports jump outgoing",
        "mail that leaves this host",
    );
    let mut rules = canaries(local.to.port, "meta l4proto tcp").to_vec();
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

fn redirect_forwarded(forwarded: &Forwarded) -> [Chain; 2] {
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

fn tproxy(forwarded: &Forwarded, transparent: &Transparent) -> [Chain; 3] {
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

fn prerouting_filter() -> Chain {
    Chain {
        name: "prerouting",
        hook: Some(Hook::new("filter", "prerouting", MANGLE)),
        rules: Vec::new(),
    }
}

/// ICMP too: without it the sockets never hear that their packets are too large.
fn divert_rule() -> Rule {
    Rule::new(
        "meta l4proto { tcp, icmp, icmpv6 } socket transparent 1 socket wildcard 0 goto divert",
        "what belongs to transparent sockets, ICMP too",
    )
}

fn divert(transparent: &Transparent) -> Chain {
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

/// In the `forward` hook: what comes from clients and was not taken over goes no further.
fn fail_closed(priority: i32) -> [Chain; 2] {
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

fn guard_local(local: &Local) -> [Chain; 2] {
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
fn strangers(port: u16) -> Chain {
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

fn from_clients(verdict: &str) -> Rule {
    Rule::new(
        format!("iifname @clients tcp dport @ports {verdict}"),
        "mail from clients",
    )
}

fn redirect(port: u16) -> Rule {
    Rule::new(
        format!("meta l4proto tcp counter name \"redirected\" redirect to :{port}"),
        format!("redirected to port {port}"),
    )
}

/// Connections to nobody that danelaw makes to see whether this table is there: before what exempts its user.
fn canaries(port: u16, of: &str) -> [Rule; 2] {
    [
        ("ip", IpAddr::V4(WATCHED_V4)),
        ("ip6", IpAddr::V6(WATCHED_V6)),
    ]
    .map(|(family, address)| {
        Rule::new(
            format!("{family} daddr {address} {of} redirect to :{port}"),
            format!("danelaw's canary, {address}"),
        )
    })
}

/// The same on a gateway, whose own connections pass no other chain. Not where TPROXY does without connection tracking: this
/// chain would switch it on for all that is forwarded.
fn watched(port: u16) -> Chain {
    Chain {
        name: "canary",
        hook: Some(Hook::new("nat", "output", DSTNAT)),
        rules: canaries(port, "tcp dport @ports").to_vec(),
    }
}

fn own(own: &Own, verdict: &str) -> Rule {
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

fn let_go(verdict: &str) -> Vec<Rule> {
    let mut rules = vec![Rule::new(
        format!("fib daddr type local counter name \"bypass_local\" {verdict}"),
        "destinations on this host",
    )];
    rules.extend(exempt("counter name \"bypass_exempt\" ", verdict));
    rules
}

fn exempt(counter: &str, verdict: &str) -> Vec<Rule> {
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

/// nft 1.0.6 takes no names for these in the output hook.
const DSTNAT: i32 = -100;
const MANGLE: i32 = -150;
