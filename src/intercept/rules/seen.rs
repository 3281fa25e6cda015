//! What the kernel has, read from the listings of `nft -j` and `ip -j`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};
use serde::Deserialize;
use serde_json::Value;

use super::plan::Family;
use super::routing::Routing;
use super::table::Hook;

/// All that there is of ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The table that takes connections over.
    pub danelaw: Option<SeenTable>,
    /// Its guard.
    pub guard: Option<SeenTable>,
    /// The routes for TPROXY, where the plan has any: IPv4, then IPv6; none where the host does not speak the family.
    pub routing: Vec<(Family, Routing)>,
}

/// A table as it is listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeenTable {
    /// The elements of each set.
    pub sets: BTreeMap<String, Vec<Element>>,
    /// How many packets each counter has seen.
    pub counters: BTreeMap<String, u64>,
    /// The chains.
    pub chains: BTreeMap<String, SeenChain>,
}

/// A chain as it is listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeenChain {
    /// Where it hangs.
    pub hook: Option<Hook>,
    /// The note of each rule; none for a rule without one, which is not ours.
    pub notes: Vec<Option<String>>,
}

/// An element of a set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Element {
    /// A port.
    Port(u16),
    /// An address or a network.
    Network(IpNet),
    /// Anything else, as it is listed: the name of an interface.
    Name(String),
}

impl SeenTable {
    /// A table as `nft -j list table` writes it.
    ///
    /// # Errors
    /// When it is not what nft writes.
    pub fn parse(listing: &str) -> serde_json::Result<Self> {
        let listing: Listing = serde_json::from_str(listing)?;
        let mut table = Self::default();
        for object in listing.nftables {
            table.take(object);
        }
        Ok(table)
    }

    fn take(&mut self, object: Object) {
        if let Some(set) = object.set {
            let elements = set.elem.iter().flat_map(elements);
            self.sets.insert(set.name, elements.collect());
        }
        if let Some(counter) = object.counter {
            self.counters.insert(counter.name, counter.packets);
        }
        if let Some(chain) = object.chain {
            let hook = chain.hook();
            self.chains.entry(chain.name).or_default().hook = hook;
        }
        if let Some(rule) = object.rule {
            let chain = self.chains.entry(rule.chain).or_default();
            chain.notes.push(rule.comment);
        }
    }

    /// The elements of a set that are networks.
    #[must_use]
    pub fn networks(&self, set: &str) -> Vec<IpNet> {
        let network = |element: &Element| match element {
            Element::Network(network) => Some(*network),
            Element::Port(_) | Element::Name(_) => None,
        };
        let elements = self.sets.get(set).into_iter().flatten();
        elements.filter_map(network).collect()
    }

    /// The elements of a set that are ports.
    #[must_use]
    pub fn ports(&self, set: &str) -> Vec<u16> {
        let port = |element: &Element| match element {
            Element::Port(port) => Some(*port),
            Element::Network(_) | Element::Name(_) => None,
        };
        let elements = self.sets.get(set).into_iter().flatten();
        elements.filter_map(port).collect()
    }
}

impl std::fmt::Display for Element {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Port(port) => write!(f, "{port}"),
            Self::Network(network) if network.prefix_len() == network.max_prefix_len() => {
                write!(f, "{}", network.addr())
            }
            Self::Network(network) => write!(f, "{network}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// As nft lists it, one element; a range that somebody else made is several networks.
fn elements(listed: &Value) -> Vec<Element> {
    if let Some(port) = listed.as_u64().and_then(|port| u16::try_from(port).ok()) {
        return vec![Element::Port(port)];
    }
    if let Some(text) = listed.as_str() {
        return vec![match text.parse::<IpAddr>() {
            Ok(address) => Element::Network(address.into()),
            Err(_) => Element::Name(text.to_owned()),
        }];
    }
    // An element with a comment or a counter of its own.
    if let Some(inner) = listed.get("elem").and_then(|elem| elem.get("val")) {
        return elements(inner);
    }
    let networks = prefix(listed).map(|network| vec![network]);
    match networks.or_else(|| range(listed)) {
        Some(networks) => networks.into_iter().map(Element::Network).collect(),
        None => vec![Element::Name(listed.to_string())],
    }
}

fn prefix(listed: &Value) -> Option<IpNet> {
    let prefix = listed.get("prefix")?;
    let address = prefix.get("addr")?.as_str()?.parse().ok()?;
    let length = u8::try_from(prefix.get("len")?.as_u64()?).ok()?;
    IpNet::new(address, length).ok()
}

fn range(listed: &Value) -> Option<Vec<IpNet>> {
    let range = listed.get("range")?;
    let end = |index: usize| range.get(index)?.as_str()?.parse::<IpAddr>().ok();
    match (end(0)?, end(1)?) {
        (IpAddr::V4(first), IpAddr::V4(last)) => {
            Some(Ipv4Subnets::new(first, last, 0).map(IpNet::from).collect())
        }
        (IpAddr::V6(first), IpAddr::V6(last)) => {
            Some(Ipv6Subnets::new(first, last, 0).map(IpNet::from).collect())
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => None,
    }
}

#[derive(Deserialize)]
struct Listing {
    nftables: Vec<Object>,
}

#[derive(Deserialize)]
struct Object {
    set: Option<ListedSet>,
    counter: Option<ListedCounter>,
    chain: Option<ListedChain>,
    rule: Option<ListedRule>,
}

#[derive(Deserialize)]
struct ListedSet {
    name: String,
    #[serde(default)]
    elem: Vec<Value>,
}

#[derive(Deserialize)]
struct ListedCounter {
    name: String,
    packets: u64,
}

#[derive(Deserialize)]
struct ListedChain {
    name: String,
    r#type: Option<String>,
    hook: Option<String>,
    prio: Option<i32>,
}

impl ListedChain {
    fn hook(&self) -> Option<Hook> {
        Some(Hook {
            kind: self.r#type.clone()?,
            hook: self.hook.clone()?,
            prio: self.prio?,
        })
    }
}

#[derive(Deserialize)]
struct ListedRule {
    chain: String,
    comment: Option<String>,
}
