//! The rules and routes that lead marked packets to this host, for TPROXY.
//!
//! Each rule names its interface: without, where marks count for reverse paths (`src_valid_mark`, which WireGuard and
//! Tailscale set), IPv4 packets are dropped without a word. Each has a preference of its own: `ip rule add` without one
//! adds the same rule again.

use serde::Deserialize;

use super::plan::{Family, Mark, Transparent};

/// What leads to the table of one family, and whether the table has its route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routing {
    /// The rules that look the table up.
    pub rules: Vec<RoutingRule>,
    /// Whether the table holds the default route to this host.
    pub has_route: bool,
    /// The table's number.
    pub table: u32,
}

/// A rule of policy routing.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct RoutingRule {
    /// Its preference.
    pub pref: u32,
    /// The interface that packets come in by; none where it does not say.
    pub interface: Option<String>,
    /// Their mark.
    pub mark: Option<(u32, u32)>,
}

/// Arguments of `ip`.
pub type Arguments = Vec<String>;

/// What there should be, the same for both families.
#[must_use]
pub fn wanted(transparent: &Transparent) -> Routing {
    let Mark { value, mask } = transparent.mark;
    let rule = |(pref, interface): (u32, &crate::config::Interface)| RoutingRule {
        pref,
        interface: Some(interface.to_string()),
        mark: Some((value, mask)),
    };
    Routing {
        rules: (transparent.pref..)
            .zip(&transparent.interfaces)
            .map(rule)
            .collect(),
        has_route: true,
        table: transparent.table,
    }
}

impl Routing {
    /// What `ip -j rule` and `ip -j route` say of a table.
    ///
    /// # Errors
    /// When they are not what `ip` writes.
    pub fn parse(rules: &str, routes: &str, table: u32) -> serde_json::Result<Self> {
        let rules: Vec<ListedRule> = parse_list(rules)?;
        let routes: Vec<ListedRoute> = parse_list(routes)?;
        let rules = rules.into_iter().filter(|rule| rule.leads_to(table));
        Ok(Self {
            rules: rules.map(ListedRule::read).collect(),
            has_route: routes.iter().any(ListedRoute::is_ours),
            table,
        })
    }

    /// Nothing.
    #[must_use]
    pub const fn none(table: u32) -> Self {
        Self {
            rules: Vec::new(),
            has_route: false,
            table,
        }
    }

    /// What makes all this, where there is nothing.
    #[must_use]
    pub fn commands(&self, family: Family) -> Vec<Arguments> {
        Self::none(self.table).additions(self, family)
    }

    /// What adds all of `wanted` that is missing.
    #[must_use]
    pub fn additions(&self, wanted: &Self, family: Family) -> Vec<Arguments> {
        let route = (wanted.has_route && !self.has_route).then(|| self.route(family, "replace"));
        let missing = wanted
            .rules
            .iter()
            .filter(|rule| !self.rules.contains(rule));
        let rules = missing.map(|rule| rule.command(family, "add", self.table));
        route.into_iter().chain(rules).collect()
    }

    /// What takes all away that is not in `wanted`.
    #[must_use]
    pub fn removals(&self, wanted: &Self, family: Family) -> Vec<Arguments> {
        let route = (self.has_route && !wanted.has_route).then(|| self.route(family, "del"));
        let surplus = self
            .rules
            .iter()
            .filter(|rule| !wanted.rules.contains(rule));
        let rules = surplus.map(|rule| rule.command(family, "del", self.table));
        rules.chain(route).collect()
    }

    fn route(&self, family: Family, what: &str) -> Arguments {
        let table = self.table;
        words(&format!(
            "-{} route {what} local default dev lo table {table}",
            family.number()
        ))
    }
}

impl RoutingRule {
    fn command(&self, family: Family, what: &str, table: u32) -> Arguments {
        let mut arguments = words(&format!(
            "-{} rule {what} pref {}",
            family.number(),
            self.pref
        ));
        if let Some(interface) = &self.interface {
            arguments.extend(["iif".to_owned(), interface.clone()]);
        }
        if let Some((mark, mask)) = self.mark {
            arguments.extend(words(&format!("fwmark {mark:#x}/{mask:#x}")));
        }
        arguments.extend(words(&format!("lookup {table}")));
        arguments
    }
}

impl std::fmt::Display for RoutingRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:", self.pref)?;
        if let Some(interface) = &self.interface {
            write!(f, " from interface {interface}")?;
        }
        if let Some((mark, mask)) = self.mark {
            write!(f, " marked {mark:#x}/{mask:#x}")?;
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct ListedRule {
    priority: u32,
    table: Option<String>,
    iif: Option<String>,
    fwmark: Option<String>,
    fwmask: Option<String>,
}

impl ListedRule {
    fn leads_to(&self, table: u32) -> bool {
        self.table.as_deref() == Some(table.to_string().as_str())
    }

    fn read(self) -> RoutingRule {
        let number = |text: &str| u32::from_str_radix(text.trim_start_matches("0x"), 16).ok();
        let mark = self.fwmark.as_deref().and_then(number);
        let mask = self.fwmask.as_deref().map_or(Some(u32::MAX), number);
        RoutingRule {
            pref: self.priority,
            interface: self.iif,
            mark: mark.zip(mask),
        }
    }
}

#[derive(Deserialize)]
struct ListedRoute {
    r#type: Option<String>,
    dst: Option<String>,
    dev: Option<String>,
}

impl ListedRoute {
    fn is_ours(&self) -> bool {
        let is = |field: &Option<String>, text| field.as_deref() == Some(text);
        is(&self.r#type, "local") && is(&self.dst, "default") && is(&self.dev, "lo")
    }
}

/// `ip` writes nothing, or no end, where there is nothing to list.
fn parse_list<T: serde::de::DeserializeOwned>(text: &str) -> serde_json::Result<Vec<T>> {
    match text.trim() {
        "" | "[" => Ok(Vec::new()),
        list => serde_json::from_str(list),
    }
}

fn words(text: &str) -> Arguments {
    text.split(' ').map(str::to_owned).collect()
}
