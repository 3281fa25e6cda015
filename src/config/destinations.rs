//! The tables about destinations: routes and bypasses, and that no two of them contradict each other.

use toml::de::DeTable;

use super::read::{Place, Reader, Section};
use super::value::Port;
use crate::policy::identity::{Identity, Rule};

/// All rules of the file: routes, then bypasses.
pub(super) fn read<'t>(reader: &mut Reader<'t>, top: &DeTable<'t>) -> Vec<Rule> {
    let mut rules = Vec::new();
    for name in ["route", "bypass"] {
        let tables = top.get(name).map(|value| reader.tables(value, name));
        for (index, table) in tables.into_iter().flatten().enumerate() {
            let section = Section::new(reader, Some(table), Place::array(name, index));
            let rule = read_rule(section, name, &rules);
            rules.extend(rule);
        }
    }
    rules
}

fn read_rule(mut section: Section<'_, '_>, name: &str, before: &[Rule]) -> Option<Rule> {
    let network = section.needed("destination");
    let port = section.optional::<Port>("port").map(|port| port.0);
    let identity = match name {
        "route" => section.needed("host").map(Identity::Route),
        _ => Some(Identity::Bypass),
    };
    let rule = network.zip(identity).map(|(network, identity)| Rule {
        network,
        port,
        identity,
    });
    if let Some(rule) = &rule
        && before.iter().any(|one| one.rivals(rule))
    {
        section.contradiction(
            "destination",
            "a destination and port that no other [[route]] or [[bypass]] has",
        );
    }
    section.finish();
    rule
}
