//! Tables as text for `nft -f`: one transaction, which may be run any number of times.

use std::fmt::Write;

use super::plan::{Exempt, Family, Plan};
use super::routing;
use super::table::{self, Chain, DANELAW, EXEMPT4, EXEMPT6, GUARD, PORTS, Set, Table};

/// Both tables; what TPROXY takes beside them stands in comments.
#[must_use]
pub fn text(plan: &Plan) -> String {
    let mut text = String::from(
        "#!/usr/sbin/nft -f\n# Made by `danelaw rules print` from its configuration. One transaction; may be loaded any number of times.\n",
    );
    if let Some(transparent) = plan.transparent() {
        text += "#\n# TPROXY needs these routes as well; `danelaw rules apply` sets them:\n";
        for family in Family::ALL {
            for command in routing::wanted(transparent).commands(family) {
                let _ = writeln!(text, "#   ip {}", command.join(" "));
            }
        }
    }
    for table in table::tables(plan) {
        text.push('\n');
        replace(&mut text, &table);
    }
    text
}

/// The guard's table alone.
#[must_use]
pub fn guard(plan: &Plan) -> String {
    let mut text = String::new();
    replace(&mut text, &table::guard(plan));
    text
}

/// The first table as it lets sessions end, in place of what it is now.
#[must_use]
pub fn drain(plan: &Plan) -> String {
    let mut text = String::new();
    replace(&mut text, &table::draining(plan));
    text
}

/// No such tables; that they may be missing already is no fault.
#[must_use]
pub fn delete(tables: &[&str]) -> String {
    let mut text = String::new();
    for name in tables {
        let _ = writeln!(text, "table inet {name} {{}}\ndelete table inet {name}");
    }
    text
}

/// Other exempt networks in both tables, counters and rules as they are.
#[must_use]
pub fn exempt(exempt: &Exempt, tables: &[&str]) -> String {
    let v4: Vec<String> = exempt.v4.iter().map(ToString::to_string).collect();
    let v6: Vec<String> = exempt.v6.iter().map(ToString::to_string).collect();
    let mut text = String::new();
    for name in tables {
        refill(&mut text, name, EXEMPT4, &v4);
        refill(&mut text, name, EXEMPT6, &v6);
    }
    text
}

/// Other ports.
#[must_use]
pub fn ports(ports: impl IntoIterator<Item = u16>, tables: &[&str]) -> String {
    let ports: Vec<String> = ports.into_iter().map(|port| port.to_string()).collect();
    let mut text = String::new();
    for name in tables {
        refill(&mut text, name, PORTS, &ports);
    }
    text
}

/// The names of both tables.
pub const BOTH: [&str; 2] = [DANELAW, GUARD];

// Writing into a String cannot fail.

fn refill(text: &mut String, table: &str, set: &str, elements: &[String]) {
    let _ = writeln!(text, "flush set inet {table} {set}");
    if !elements.is_empty() {
        let elements = elements.join(", ");
        let _ = writeln!(text, "add element inet {table} {set} {{ {elements} }}");
    }
}

/// Declared first, so that there is something to delete: `destroy` needs a newer nft.
fn replace(text: &mut String, table: &Table) {
    text.push_str(&delete(&[table.name]));
    let _ = writeln!(text, "table inet {} {{", table.name);
    for set in &table.sets {
        write_set(text, set);
    }
    for counter in &table.counters {
        let _ = writeln!(text, "  counter {counter} {{ }}");
    }
    for chain in &table.chains {
        write_chain(text, chain);
    }
    text.push_str("}\n");
}

fn write_set(text: &mut String, set: &Set) {
    let _ = write!(text, "  set {} {{ type {};", set.name, set.kind);
    if set.holds_networks() {
        text.push_str(" flags interval;");
    }
    if !set.elements.is_empty() {
        let _ = write!(text, " elements = {{ {} }};", set.elements.join(", "));
    }
    text.push_str(" }\n");
}

fn write_chain(text: &mut String, chain: &Chain) {
    let _ = writeln!(text, "  chain {} {{", chain.name);
    if let Some(hook) = &chain.hook {
        let _ = writeln!(
            text,
            "    type {} hook {} priority {}; policy accept;",
            hook.kind, hook.hook, hook.prio
        );
    }
    for rule in &chain.rules {
        let _ = writeln!(text, "    {} comment \"{}\"", rule.text, rule.note);
    }
    text.push_str("  }\n");
}
