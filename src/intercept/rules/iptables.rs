//! The same rules for hosts without nft: what `iptables-restore` and `ip6tables-restore` read, and a script around them.
//!
//! A restored chain is replaced as a whole, but a jump into it is added once more each time. So all that differs stands
//! in chains of our own, the jumps are always the same, and the script adds them only where they are missing: it may be
//! run any number of times, and there is no moment without rules. Jumps come first in their chains, or a rule that
//! accepts before them would be a hole.

use std::fmt::Write;

use super::plan::{Family, Forwarded, Local, Own, Plan, Transparent, Way};
use super::routing;

/// What `iptables-restore --noflush` reads (`ip6tables-restore` for IPv6): the chains, which nothing jumps to yet.
#[must_use]
pub fn restore_file(plan: &Plan, family: Family) -> String {
    let chains = chains(plan, family);
    let mut text = String::new();
    for table in TABLES {
        let of_table = || chains.iter().filter(|chain| chain.table == table);
        if of_table().next().is_none() {
            continue;
        }
        let _ = writeln!(text, "*{table}");
        for chain in of_table() {
            let _ = writeln!(text, ":{} - [0:0]", chain.name);
        }
        for chain in of_table() {
            for rule in &chain.rules {
                let _ = writeln!(text, "-A {} {rule}", chain.name);
            }
        }
        text.push_str("COMMIT\n");
    }
    text
}

/// A script that puts both files and the jumps in place, or takes them away.
#[must_use]
pub fn script(plan: &Plan) -> String {
    // Their names do not depend on the family.
    let chains = chains(plan, Family::V4);
    let (guards, others): (Vec<&Chain>, Vec<&Chain>) =
        chains.iter().partition(|chain| chain.is_guard());
    let mut text = String::from(HEAD);
    text += "\napply() {\n";
    for (family, program) in [(Family::V4, "ip4"), (Family::V6, "ip6")] {
        let file = restore_file(plan, family);
        let _ = write!(
            text,
            "  \"${program}-restore\" -w --noflush <<'END'\n{file}END\n"
        );
    }
    if let Some(transparent) = plan.transparent() {
        text += &routes(transparent, "add");
    }
    // The guard first.
    for chain in guards.iter().chain(&others) {
        if let Some(from) = chain.from {
            let _ = writeln!(text, "  enter {} {from} {}", chain.table, chain.name);
        }
    }
    text += "}\n\n# Mail is refused until the rules are applied again.\nremove() {\n";
    text += &taken_away(&others);
    if let Some(transparent) = plan.transparent() {
        text += &routes(transparent, "del");
    }
    text +=
        "}\n\n# Mail leaves as it did before there were any rules: unjudged.\nopen() {\n  remove\n";
    text += &taken_away(&guards);
    text += "}\n";
    text += FOOT;
    text
}

struct Chain {
    table: &'static str,
    name: &'static str,
    /// The chain of the kernel's that jumps here.
    from: Option<&'static str>,
    rules: Vec<String>,
}

impl Chain {
    fn is_guard(&self) -> bool {
        self.name.starts_with("DANELAW_GUARD")
    }
}

fn chains(plan: &Plan, family: Family) -> Vec<Chain> {
    let mut chains = Vec::new();
    if let Some(local) = &plan.local {
        chains.extend(redirect_local(plan, local, family));
        chains.extend(guard_local(plan, local, family));
    }
    if let Some(forwarded) = &plan.forwarded {
        match &forwarded.way {
            Way::Redirect => {
                if plan.local.is_none() {
                    chains.push(watch_alone(plan, forwarded, family));
                }
                chains.extend(redirect_forwarded(plan, forwarded, family));
            }
            Way::Tproxy(transparent) => {
                chains.extend(tproxy(plan, forwarded, transparent, family));
            }
        }
        chains.extend(guard_forwarded(plan, forwarded, family));
        chains.extend(strangers(forwarded));
    }
    chains
}

/// What danelaw connects to in order to see that the rules stand.
fn watched(port: u16, family: Family) -> String {
    let address = family.watched();
    format!("-d {address} -p tcp -j REDIRECT --to-ports {port}")
}

fn watch_alone(plan: &Plan, forwarded: &Forwarded, family: Family) -> Chain {
    let address = family.watched();
    let to = format!("REDIRECT --to-ports {}", forwarded.to.port);
    Chain {
        table: "nat",
        name: "DANELAW_WATCHED",
        from: Some("OUTPUT"),
        rules: to_ports(plan, &format!("-d {address} -p tcp"), &to),
    }
}

fn redirect_local(plan: &Plan, local: &Local, family: Family) -> [Chain; 2] {
    let mut rules = vec![
        watched(local.to.port, family),
        format!("{} -j RETURN", own(&local.own)),
        LOCAL.to_owned(),
    ];
    rules.extend(exempt(plan, family));
    rules.push(format!("-p tcp -j REDIRECT --to-ports {}", local.to.port));
    [
        Chain {
            table: "nat",
            name: "DANELAW_OUT",
            from: Some("OUTPUT"),
            rules: to_ports(plan, "-p tcp", "DANELAW_OUT_SMTP"),
        },
        Chain {
            table: "nat",
            name: "DANELAW_OUT_SMTP",
            from: None,
            rules,
        },
    ]
}

fn redirect_forwarded(plan: &Plan, forwarded: &Forwarded, family: Family) -> [Chain; 2] {
    let mut rules = vec![LOCAL.to_owned()];
    rules.extend(exempt(plan, family));
    rules.push(format!(
        "-p tcp -j REDIRECT --to-ports {}",
        forwarded.to.port
    ));
    [
        Chain {
            table: "nat",
            name: "DANELAW_IN",
            from: Some("PREROUTING"),
            rules: from_clients(plan, forwarded, "DANELAW_IN_SMTP"),
        },
        Chain {
            table: "nat",
            name: "DANELAW_IN_SMTP",
            from: None,
            rules,
        },
    ]
}

fn tproxy(
    plan: &Plan,
    forwarded: &Forwarded,
    transparent: &Transparent,
    family: Family,
) -> [Chain; 3] {
    let mark = transparent.mark;
    let mark = format!("{:#x}/{:#x}", mark.value, mark.mask);
    let icmp = match family {
        Family::V4 => "icmp",
        Family::V6 => "ipv6-icmp",
    };
    let ours = |protocol: &str| {
        format!("-p {protocol} -m socket --transparent --nowildcard -j DANELAW_DIVERT")
    };
    let mut entry = vec![ours("tcp"), ours(icmp)];
    entry.extend(from_clients(plan, forwarded, "DANELAW_IN_SMTP"));
    let mut rules = vec![LOCAL.to_owned()];
    rules.extend(exempt(plan, family));
    rules.push(format!(
        "-p tcp -j TPROXY --on-port {} --tproxy-mark {mark}",
        forwarded.to.port
    ));
    [
        Chain {
            table: "mangle",
            name: "DANELAW_IN",
            from: Some("PREROUTING"),
            rules: entry,
        },
        Chain {
            table: "mangle",
            name: "DANELAW_IN_SMTP",
            from: None,
            rules,
        },
        Chain {
            table: "mangle",
            name: "DANELAW_DIVERT",
            from: None,
            rules: vec![
                format!("-j MARK --set-xmark {mark}"),
                "-j ACCEPT".to_owned(),
            ],
        },
    ]
}

fn guard_local(plan: &Plan, local: &Local, family: Family) -> [Chain; 2] {
    let mut rules = vec![format!("{} -j RETURN", own(&local.own))];
    rules.extend(exempt(plan, family));
    rules.push(RESET.to_owned());
    [
        Chain {
            table: "filter",
            name: "DANELAW_GUARD_OUT",
            from: Some("OUTPUT"),
            rules: to_ports(plan, "! -o lo -p tcp --syn", "DANELAW_GUARD_OUT_SMTP"),
        },
        Chain {
            table: "filter",
            name: "DANELAW_GUARD_OUT_SMTP",
            from: None,
            rules,
        },
    ]
}

fn guard_forwarded(plan: &Plan, forwarded: &Forwarded, family: Family) -> [Chain; 2] {
    let mut rules = exempt(plan, family);
    rules.push(RESET.to_owned());
    [
        Chain {
            table: "filter",
            name: "DANELAW_GUARD_FWD",
            from: Some("FORWARD"),
            rules: from_clients(plan, forwarded, "DANELAW_GUARD_FWD_SMTP"),
        },
        Chain {
            table: "filter",
            name: "DANELAW_GUARD_FWD_SMTP",
            from: None,
            rules,
        },
    ]
}

fn strangers(forwarded: &Forwarded) -> [Chain; 2] {
    let mut rules = vec!["-i lo -j RETURN".to_owned()];
    let clients = forwarded.clients.iter();
    rules.extend(clients.map(|client| format!("-i {client} -j RETURN")));
    rules.push(RESET.to_owned());
    [
        Chain {
            table: "filter",
            name: "DANELAW_INPUT",
            from: Some("INPUT"),
            rules: vec![format!(
                "-p tcp --syn --dport {} -j DANELAW_STRANGERS",
                forwarded.to.port
            )],
        },
        Chain {
            table: "filter",
            name: "DANELAW_STRANGERS",
            from: None,
            rules,
        },
    ]
}

fn own(own: &Own) -> String {
    match own {
        Own::Uid(uid) => format!("-m owner --uid-owner {uid}"),
        Own::Mark(mark) => format!("-m mark --mark {:#x}/{:#x}", mark.value, mark.mask),
    }
}

fn exempt(plan: &Plan, family: Family) -> Vec<String> {
    let networks: Vec<String> = match family {
        Family::V4 => plan.exempt.v4.iter().map(ToString::to_string).collect(),
        Family::V6 => plan.exempt.v6.iter().map(ToString::to_string).collect(),
    };
    let networks = networks.iter();
    networks
        .map(|network| format!("-d {network} -j RETURN"))
        .collect()
}

fn from_clients(plan: &Plan, forwarded: &Forwarded, target: &str) -> Vec<String> {
    let clients = forwarded.clients.iter();
    clients
        .flat_map(|client| to_ports(plan, &format!("-i {client} -p tcp"), target))
        .collect()
}

/// One rule takes fifteen ports.
fn to_ports(plan: &Plan, matches: &str, target: &str) -> Vec<String> {
    let ports: Vec<String> = plan.ports.iter().map(ToString::to_string).collect();
    let chunks = ports.chunks(15);
    chunks
        .map(|ports| {
            let ports = ports.join(",");
            format!("{matches} -m multiport --dports {ports} -j {target}")
        })
        .collect()
}

/// `ip rule add` adds again what is there, so that is taken away first; meanwhile packets find no way, which is safe.
fn routes(transparent: &Transparent, what: &str) -> String {
    let mut text = String::new();
    for family in Family::ALL {
        let number = family.number();
        let wanted = routing::wanted(transparent);
        for rule in &wanted.rules {
            let _ = writeln!(
                text,
                "  ip -{number} rule del pref {} 2>/dev/null || :",
                rule.pref
            );
        }
        if what == "add" {
            for command in wanted.commands(family) {
                let _ = writeln!(text, "  ip {}", command.join(" "));
            }
        } else {
            let table = transparent.table;
            let _ = writeln!(
                text,
                "  ip -{number} route del local default dev lo table {table} 2>/dev/null || :"
            );
        }
    }
    text
}

fn taken_away(chains: &[&Chain]) -> String {
    let mut text = String::new();
    for chain in chains {
        if let Some(from) = chain.from {
            let _ = writeln!(text, "  leave {} {from} {}", chain.table, chain.name);
        }
    }
    for what in ["F", "X"] {
        for chain in chains {
            let _ = writeln!(text, "  each -t {} -{what} {}", chain.table, chain.name);
        }
    }
    text
}

const TABLES: [&str; 3] = ["mangle", "nat", "filter"];
const LOCAL: &str = "-m addrtype --dst-type LOCAL -j RETURN";
const RESET: &str = "-p tcp -j REJECT --reject-with tcp-reset";

const HEAD: &str = "#!/bin/sh
# Made by `danelaw rules print --format iptables` from its configuration.
# sh FILE          puts the rules in place, or makes them as they should be; may be run any number of times
# sh FILE remove   takes them away but for the guard, which refuses mail
# sh FILE open     takes the guard away as well
# IPTABLES and IP6TABLES name other programs, as iptables-legacy and ip6tables-legacy.
set -eu
ip4=${IPTABLES:-iptables}
ip6=${IP6TABLES:-ip6tables}

enter() {
  for program in \"$ip4\" \"$ip6\"; do
    \"$program\" -w -t \"$1\" -C \"$2\" -j \"$3\" 2>/dev/null || \"$program\" -w -t \"$1\" -I \"$2\" -j \"$3\"
  done
}

leave() {
  for program in \"$ip4\" \"$ip6\"; do
    while \"$program\" -w -t \"$1\" -D \"$2\" -j \"$3\" 2>/dev/null; do :; done
  done
}

each() {
  for program in \"$ip4\" \"$ip6\"; do
    \"$program\" -w \"$@\" 2>/dev/null || :
  done
}
";

const FOOT: &str = "
case ${1:-apply} in
  apply | remove | open) \"${1:-apply}\" ;;
  *)
    echo \"usage: $0 [apply|remove|open]\" >&2
    exit 64
    ;;
esac
";
