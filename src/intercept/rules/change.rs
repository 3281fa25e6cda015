//! Changes what is there, in an order in which nothing fails open: routes before the rules that mark packets for them and
//! away after those, the guard in the same transaction as the rules, and never away unless that is asked for.

use std::path::Path;

use ipnet::IpNet;

use super::kernel::{self, Trouble};
use super::nft::{self, BOTH};
use super::plan::{Exempt, Family, Plan};
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
    /// Routes that nobody wants any more could not be taken away.
    RoutesStay(String),
}

/// Makes everything as the plan has it. Where it is already, counters begin anew and nothing else changes.
///
/// # Errors
/// [`Trouble`]; what was there is still in force.
pub async fn apply(plan: &Plan) -> Result<Vec<Note>, Trouble> {
    let text = nft::text(plan);
    kernel::check(&text).await?;
    let before = routes(plan).await?;
    if let Err(trouble) = load(plan, &before, &text).await {
        // Routes that stay all the same lead nothing: no rule marks packets for them.
        let _ = take_back(plan, &before).await;
        return Err(trouble);
    }
    // From here on the rules are in force, whatever else cannot be done.
    let mut notes = Vec::new();
    if let Some(transparent) = plan.transparent() {
        let wanted = routing::wanted(transparent);
        let left = clear(&before, &wanted).await.err();
        notes.extend(left.map(|trouble| Note::RoutesStay(trouble.to_string())));
    }
    if plan.redirects() {
        notes.extend(forget(plan).await);
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
    let before = routes(plan).await?;
    kernel::load(&nft::delete(gone)).await?;
    match plan.transparent() {
        Some(transparent) => clear(&before, &Routing::none(transparent.table)).await,
        None => Ok(()),
    }
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
    let text = nft::exempt(&Exempt::of(&sets.exempt), tables)
        + &nft::ports(sets.ports.iter().copied(), tables);
    kernel::check(&text).await?;
    kernel::load(&text).await
}

/// Adds the routes, then the rules.
async fn load(plan: &Plan, before: &[(Family, Routing)], text: &str) -> Result<(), Trouble> {
    if let Some(transparent) = plan.transparent() {
        let wanted = routing::wanted(transparent);
        for (family, seen) in before {
            kernel::route(&seen.additions(&wanted, *family)).await?;
        }
    }
    kernel::load(text).await
}

/// The routes by which packets are led to this host, where a plan has any.
async fn routes(plan: &Plan) -> Result<Vec<(Family, Routing)>, Trouble> {
    let mut all = Vec::new();
    if let Some(transparent) = plan.transparent() {
        for family in kernel::families() {
            all.push((family, kernel::routing(transparent, family).await?));
        }
    }
    Ok(all)
}

/// Takes routes away, but for those that are to stay.
async fn clear(there: &[(Family, Routing)], stay: &Routing) -> Result<(), Trouble> {
    for (family, seen) in there {
        kernel::route(&seen.removals(stay, *family)).await?;
    }
    Ok(())
}

/// Takes away what has been added since.
async fn take_back(plan: &Plan, before: &[(Family, Routing)]) -> Result<(), Trouble> {
    for ((family, now), (_, before)) in routes(plan).await?.iter().zip(before) {
        kernel::route(&now.removals(before, *family)).await?;
    }
    Ok(())
}

/// A connection from before the rules is never looked at by them, nor is one that has its old entry's ports.
async fn forget(plan: &Plan) -> Option<Note> {
    for port in &plan.ports {
        if let Err(trouble) = kernel::forget(*port).await {
            return Some(Note::NotForgotten(trouble.to_string()));
        }
    }
    None
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
            Self::RoutesStay(why) => write!(
                f,
                "routing rules of an earlier configuration stay ({why}): nothing is lost, and `danelaw rules apply` tries again"
            ),
            Self::NoIpv6 => f.write_str("this host has no IPv6: routes were made for IPv4 alone"),
        }
    }
}

/// Where Debian keeps the system's rules.
const SYSTEM_RULES: &str = "/etc/nftables.conf";
