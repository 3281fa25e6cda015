//! Where what is there differs from what is wanted: one value for `danelaw rules status` and for all who watch.

use std::collections::BTreeSet;

use ipnet::IpNet;
use serde::Serialize;

use super::plan::{Family, Plan};
use super::routing::{self, Routing, RoutingRule};
use super::seen::{Element, Seen, SeenTable};
use super::table::{self, DANELAW, DRAINING, EXEMPT4, EXEMPT6, GUARD, PORTS, Set, Table};

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// A table is not there.
    NoTable(&'static str),
    /// The first table takes nothing over any more, so that its sessions can end.
    Draining,
    /// A chain is missing, hangs elsewhere, or its rules are not those that are wanted.
    Chain {
        /// Of this table.
        table: &'static str,
        /// Which.
        chain: &'static str,
    },
    /// A counter that rules count with is missing.
    Counter {
        /// Of this table.
        table: &'static str,
        /// Which.
        counter: &'static str,
    },
    /// A set has other elements.
    Set {
        /// Of this table.
        table: &'static str,
        /// Which.
        set: &'static str,
        /// Those that it should have and has not.
        missing: Vec<String>,
        /// Those that it has and should not.
        surplus: Vec<String>,
    },
    /// Packets of an interface are not led to this host.
    NoRoutingRule {
        /// Of this family.
        family: Family,
        /// The rule.
        rule: RoutingRule,
    },
    /// Packets are led there that should not be.
    SurplusRoutingRule {
        /// Of this family.
        family: Family,
        /// The rule.
        rule: RoutingRule,
    },
    /// The routing table is empty.
    NoRoute {
        /// Of this family.
        family: Family,
        /// Which.
        table: u32,
    },
    /// Nobody listens for a family.
    Unserved {
        /// Which.
        family: Family,
        /// At this port.
        port: u16,
    },
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grade {
    /// As it should be.
    Green,
    /// Nothing is lost, and somebody should look.
    Yellow,
    /// Mail waits, or may leave unjudged.
    Red,
}

/// All differences, the worst first.
#[must_use]
pub fn compare(plan: &Plan, seen: &Seen) -> Vec<Difference> {
    let mut differences = Vec::new();
    match &seen.danelaw {
        None => differences.push(Difference::NoTable(DANELAW)),
        Some(table) if table.counters.contains_key(DRAINING) => {
            differences.push(Difference::Draining);
        }
        Some(table) => compare_table(&table::danelaw(plan), table, &mut differences),
    }
    match &seen.guard {
        None => differences.push(Difference::NoTable(GUARD)),
        Some(table) => compare_table(&table::guard(plan), table, &mut differences),
    }
    if let Some(transparent) = plan.transparent() {
        for (family, seen) in &seen.routing {
            let wanted = routing::wanted(transparent);
            differences.extend(compare_routing(*family, &wanted, seen));
        }
    }
    for listener in plan.listeners() {
        let port = listener.port;
        let unserved = listener.unserved.iter();
        differences.extend(unserved.map(|&family| Difference::Unserved { family, port }));
    }
    differences.sort_by_key(|difference| std::cmp::Reverse(difference.grade()));
    differences
}

/// The worst of them.
#[must_use]
pub fn grade(differences: &[Difference]) -> Grade {
    let grades = differences.iter().map(Difference::grade);
    grades.max().unwrap_or(Grade::Green)
}

fn compare_table(wanted: &Table, seen: &SeenTable, differences: &mut Vec<Difference>) {
    let table = wanted.name;
    for chain in &wanted.chains {
        let notes = chain.rules.iter().map(|rule| Some(rule.note.as_str()));
        let is_same = seen.chains.get(chain.name).is_some_and(|seen| {
            seen.hook == chain.hook && seen.notes.iter().map(Option::as_deref).eq(notes)
        });
        if !is_same {
            let chain = chain.name;
            differences.push(Difference::Chain { table, chain });
        }
    }
    for &counter in &wanted.counters {
        if !seen.counters.contains_key(counter) {
            differences.push(Difference::Counter { table, counter });
        }
    }
    for set in &wanted.sets {
        let elements = seen.sets.get(set.name).map_or(&[][..], Vec::as_slice);
        let (wanted, seen) = (wanted_elements(set), seen_elements(set, elements));
        if wanted != seen {
            differences.push(Difference::Set {
                table,
                set: set.name,
                missing: wanted.difference(&seen).cloned().collect(),
                surplus: seen.difference(&wanted).cloned().collect(),
            });
        }
    }
}

fn wanted_elements(set: &Set) -> BTreeSet<String> {
    if set.holds_networks() {
        let networks = set.elements.iter().filter_map(|text| text.parse().ok());
        return canonical(networks.collect());
    }
    let plain = |text: &String| text.trim_matches('"').to_owned();
    set.elements.iter().map(plain).collect()
}

fn seen_elements(set: &Set, elements: &[Element]) -> BTreeSet<String> {
    if set.holds_networks() {
        let network = |element: &Element| match element {
            Element::Network(network) => Some(*network),
            Element::Port(_) | Element::Name(_) => None,
        };
        return canonical(elements.iter().filter_map(network).collect());
    }
    elements.iter().map(ToString::to_string).collect()
}

/// The same addresses in the same words, however they were put together.
fn canonical(networks: Vec<IpNet>) -> BTreeSet<String> {
    let networks = IpNet::aggregate(&networks);
    let elements = networks.into_iter().map(Element::Network);
    elements.map(|element| element.to_string()).collect()
}

fn compare_routing(family: Family, wanted: &Routing, seen: &Routing) -> Vec<Difference> {
    let missing = wanted
        .rules
        .iter()
        .filter(|rule| !seen.rules.contains(rule));
    let surplus = seen
        .rules
        .iter()
        .filter(|rule| !wanted.rules.contains(rule));
    let no_route = (!seen.has_route).then_some(Difference::NoRoute {
        family,
        table: wanted.table,
    });
    let missing = missing.cloned();
    let missing = missing.map(|rule| Difference::NoRoutingRule { family, rule });
    let surplus = surplus.cloned();
    let surplus = surplus.map(|rule| Difference::SurplusRoutingRule { family, rule });
    missing.chain(no_route).chain(surplus).collect()
}

impl Difference {
    /// A stable word for it.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::NoTable(_) => "no-table",
            Self::Draining => "draining",
            Self::Chain { .. } => "chain",
            Self::Counter { .. } => "counter",
            Self::Set { .. } => "set",
            Self::NoRoutingRule { .. } => "no-routing-rule",
            Self::SurplusRoutingRule { .. } => "surplus-routing-rule",
            Self::NoRoute { .. } => "no-route",
            Self::Unserved { .. } => "unserved",
        }
    }

    /// How bad it is.
    #[must_use]
    pub fn grade(&self) -> Grade {
        match self {
            Self::NoTable(_)
            | Self::Chain { .. }
            | Self::Counter { .. }
            | Self::NoRoutingRule { .. }
            | Self::NoRoute { .. } => Grade::Red,
            // An address more that is exempt is somebody's decision; a port or a client less is a hole.
            Self::Set { set, missing, .. } => {
                if missing.is_empty() || [EXEMPT4, EXEMPT6].contains(set) {
                    Grade::Yellow
                } else {
                    Grade::Red
                }
            }
            Self::Draining | Self::SurplusRoutingRule { .. } | Self::Unserved { .. } => {
                Grade::Yellow
            }
        }
    }

    /// What to do.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::Unserved { family, port } => {
                format!("add a listener for {family} at port {port}, or let it be: those connections are refused")
            }
            Self::Set { surplus, .. } if !surplus.is_empty() => {
                "write it into [intercept] to keep it, or run `danelaw rules apply` to drop it".to_owned()
            }
            Self::Draining => {
                "run `danelaw rules remove` when the last session has ended, or `danelaw rules apply` to go on"
                    .to_owned()
            }
            Self::NoTable(_)
            | Self::Chain { .. }
            | Self::Counter { .. }
            | Self::Set { .. }
            | Self::NoRoutingRule { .. }
            | Self::SurplusRoutingRule { .. }
            | Self::NoRoute { .. } => "run `danelaw rules apply`".to_owned(),
        }
    }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoTable(DANELAW) => f.write_str("table inet danelaw is missing: nothing is taken over"),
            Self::NoTable(name) => write!(
                f,
                "table inet {name} is missing: nothing refuses connections that are not taken over"
            ),
            Self::Draining => f.write_str(
                "table inet danelaw is being drained: its sessions go on, and no new ones are taken over",
            ),
            Self::Chain { table, chain } => {
                write!(f, "chain {chain} of table inet {table} is not as it should be")
            }
            Self::Counter { table, counter } => {
                write!(f, "counter {counter} of table inet {table} is missing")
            }
            Self::Set {
                table,
                set,
                missing,
                surplus,
            } => {
                write!(f, "set {} of table inet {table}", set_in_words(set))?;
                if !missing.is_empty() {
                    write!(f, " lacks {}", missing.join(", "))?;
                }
                if !missing.is_empty() && !surplus.is_empty() {
                    f.write_str(", and")?;
                }
                if !surplus.is_empty() {
                    write!(f, " has {} that the configuration has not", surplus.join(", "))?;
                }
                Ok(())
            }
            Self::NoRoutingRule { family, rule } => {
                write!(f, "the routing rule of {family} is missing: {rule}")
            }
            Self::SurplusRoutingRule { family, rule } => {
                write!(f, "a routing rule of {family} that nobody wants: {rule}")
            }
            Self::NoRoute { family, table } => {
                write!(f, "routing table {table} of {family} has no route to this host")
            }
            Self::Unserved { family, port } => {
                write!(f, "no listener takes {family} at port {port}")
            }
        }
    }
}

fn set_in_words(set: &str) -> String {
    match set {
        PORTS => "ports (taken over)".to_owned(),
        other => other.to_owned(),
    }
}
