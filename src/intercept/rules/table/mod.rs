//! The two tables as values: [`danelaw`] takes connections over, [`guard`] refuses what should have been and was not.
//!
//! The guard stands apart so that whatever becomes of the first, nothing leaves unjudged. Its rule on this host looks at
//! SYNs alone: a stale entry of connection tracking makes a connection that went past the redirect "established", and
//! other packets may have no socket, and so no user, any more. The `forward` chains are no luxury: without a listener
//! nft's `tproxy` lets packets go on as they are.
//!
//! Each rule carries a note that says all that it does, numbers included. The kernel keeps it as the rule's comment, and
//! by the notes a listing is held against the plan.

mod redirect;
mod refuse;
mod rule;
mod tproxy;

use self::redirect::{redirect_forwarded, redirect_local, watch_alone};
use self::refuse::{fail_closed, guard_local, strangers};
use self::tproxy::{divert, divert_rule, prerouting_filter, tproxy};
use super::plan::{Plan, Way};

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
                if plan.local.is_none() {
                    table.chains.extend(watch_alone(forwarded.to.port));
                }
                table.counters.push("redirected");
                table.chains.extend(redirect_forwarded(forwarded));
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
    let mut table = Table {
        name: DANELAW,
        sets: Vec::new(),
        counters: vec![DRAINING],
        chains: Vec::new(),
    };
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

/// nft 1.0.6 takes no names for these in the output hook.
const DSTNAT: i32 = -100;
const MANGLE: i32 = -150;
