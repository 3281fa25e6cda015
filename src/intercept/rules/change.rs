//! Changes what is there, in an order in which nothing fails open: routes before the rules that mark packets for them,
//! the guard in the same transaction as the rules, and never away unless that is asked for.

use std::path::Path;

use ipnet::IpNet;

use super::kernel::{self, Trouble};
use super::nft::{self, BOTH};
use super::plan::{Exempt, Plan, Transparent};
use super::routing::{self, Routing};
use super::table::{DANELAW, EXEMPT4, EXEMPT6, GUARD, PORTS};

/// What there is to say about a change that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// Loading this file takes the tables away.
    Flushed(&'static str),
    /// Old connections were not looked for.
    NotForgotten(String),
    /// This host has no IPv6, so it needs no routes for it.
    NoIpv6,
}

/// Makes everything as the plan has it. Where it is already, counters begin anew and nothing else changes.
///
/// # Errors
/// [`Trouble`]; what was there is still in force, but for routes.
pub async fn apply(plan: &Plan) -> Result<Vec<Note>, Trouble> {
    let text = nft::text(plan);
    kernel::check(&text).await?;
    if let Some(transparent) = plan.transparent() {
        for (family, seen) in routes(transparent).await? {
            let wanted = routing::wanted(transparent, family);
            kernel::route(&seen.commands_to(&wanted, family)).await?;
        }
    }
    kernel::load(&text).await?;
    let mut notes = Vec::new();
    if plan.redirects() {
        notes.extend(forget(plan).await?);
    }
    if plan.transparent().is_some() && kernel::families().len() < 2 {
        notes.push(Note::NoIpv6);
    }
    notes.extend(flushing());
    Ok(notes)
}

/// Makes the guard as the plan has it, and leaves the rules as they are.
///
/// # Errors
/// [`Trouble`]; what was there is still in force.
pub async fn guard(plan: &Plan) -> Result<(), Trouble> {
    let text = nft::guard(plan);
    kernel::check(&text).await?;
    kernel::load(&text).await
}

/// How much is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// The guard stays: mail is refused.
    Kept,
    /// All: mail leaves unjudged.
    Removed,
}

/// Takes the rules away, at once. Sessions that were redirected end with them.
///
/// # Errors
/// [`Trouble`].
pub async fn remove(plan: &Plan, guard: Guard) -> Result<(), Trouble> {
    let gone: &[&str] = match guard {
        Guard::Kept => &[DANELAW],
        Guard::Removed => &BOTH,
    };
    kernel::load(&nft::delete(gone)).await?;
    if let Some(transparent) = plan.transparent() {
        for (family, seen) in routes(transparent).await? {
            let nothing = Routing::none(transparent.table);
            kernel::route(&seen.commands_to(&nothing, family)).await?;
        }
    }
    Ok(())
}

/// Takes nothing over any more, and lets sessions that were taken over go on.
///
/// # Errors
/// [`Trouble`].
pub async fn drain(plan: &Plan, guard: Guard) -> Result<(), Trouble> {
    let mut text = nft::drain(plan);
    if guard == Guard::Removed {
        text += &nft::delete(&[GUARD]);
    }
    kernel::check(&text).await?;
    kernel::load(&text).await
}

/// What a set of the tables may hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sets {
    /// Exempt networks.
    pub exempt: Vec<IpNet>,
    /// Ports that are taken over.
    pub ports: Vec<u16>,
}

/// The sets as they are in force, and the tables that they are in.
///
/// # Errors
/// [`Trouble`].
pub async fn sets() -> Result<Option<(Sets, Vec<&'static str>)>, Trouble> {
    let mut found = None;
    let mut tables = Vec::new();
    // The guard's are looked at only where the other table is missing.
    for name in [GUARD, DANELAW] {
        let table = kernel::table(name).await?;
        // One that lets sessions end has none.
        if let Some(table) = table.filter(|table| table.sets.contains_key(PORTS)) {
            let networks = [EXEMPT4, EXEMPT6].map(|set| table.networks(set));
            found = Some(Sets {
                exempt: networks.concat(),
                ports: table.ports(PORTS),
            });
            tables.push(name);
        }
    }
    Ok(found.map(|sets| (sets, tables)))
}

/// Fills the sets of these tables anew, in one transaction; counters and sessions stay.
///
/// # Errors
/// [`Trouble`].
pub async fn refill(sets: &Sets, tables: &[&'static str]) -> Result<(), Trouble> {
    let exempt = Exempt::of(&sets.exempt).networks();
    let text = nft::exempt(&exempt, tables) + &nft::ports(sets.ports.iter().copied(), tables);
    kernel::check(&text).await?;
    kernel::load(&text).await
}

async fn routes(transparent: &Transparent) -> Result<Vec<(super::plan::Family, Routing)>, Trouble> {
    let mut all = Vec::new();
    for family in kernel::families() {
        all.push((family, kernel::routing(transparent, family).await?));
    }
    Ok(all)
}

/// A connection from before the rules is never looked at by them, nor is one that has its old entry's ports.
async fn forget(plan: &Plan) -> Result<Option<Note>, Trouble> {
    for port in &plan.ports {
        match kernel::forget(*port).await {
            Ok(()) => {}
            Err(trouble @ (Trouble::NotInstalled { .. } | Trouble::Failed { .. })) => {
                return Ok(Some(Note::NotForgotten(trouble.to_string())));
            }
            Err(trouble) => return Err(trouble),
        }
    }
    Ok(None)
}

fn flushing() -> Option<Note> {
    kernel::is_flushed_by(Path::new(SYSTEM_RULES)).then_some(Note::Flushed(SYSTEM_RULES))
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flushed(file) => write!(
                f,
                "{file} begins with `flush ruleset`: reloading it (systemctl reload nftables) takes these tables away, \
                 and mail leaves unjudged until `danelaw rules apply` is run again; have that run after it, or include \
                 the output of `danelaw rules print` there"
            ),
            Self::NotForgotten(why) => write!(
                f,
                "connections from before these rules were not looked for ({why}): they go on unjudged until they end; \
                 the guard refuses new ones that would go with them"
            ),
            Self::NoIpv6 => f.write_str("this host has no IPv6: routes were made for IPv4 alone"),
        }
    }
}

/// Where Debian keeps the system's rules.
const SYSTEM_RULES: &str = "/etc/nftables.conf";
