//! `danelaw rules exempt add|remove|list`: the sets of the loaded rules.
#![expect(clippy::print_stderr, reason = "IO: notes on stderr")]

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand};
use ipnet::IpNet;
use serde_json::json;

use super::place::network;
use super::{Exit, finish, println};
use crate::intercept::rules::change::{self, Sets};

/// For the help of all commands together.
pub(super) const EXAMPLES: &str = "\
Examples:
  danelaw rules exempt list
  danelaw rules exempt add 192.0.2.0/24 2001:db8::1
  danelaw rules exempt add --port 587
  danelaw rules exempt remove 192.0.2.0/24

New connections meet the change at once. It lasts until the next `rules apply`: what stays belongs into
intercept.exempt and intercept.ports.";

/// What to do.
#[derive(Subcommand)]
pub(in crate::cli) enum Command {
    /// Lets connections to networks or ports go, unjudged.
    #[command(after_help = CODES)]
    Add(Change),
    /// Takes connections to networks or ports over again.
    #[command(after_help = CODES)]
    Remove(Change),
    /// Lists the exempt networks, and the ports that are taken over.
    #[command(after_help = "\
Exit codes:
  0   listed
  2   no rules are loaded, or they cannot be read
  64  the command line is wrong")]
    List(List),
}

const CODES: &str = "\
Exit codes:
  0   changed, or it was so already
  1   what should be removed is not there
  2   it could not be done
  64  the command line is wrong";

/// What is changed.
#[derive(Args)]
pub(in crate::cli) struct Change {
    /// Networks or addresses of destinations.
    #[arg(value_name = "NETWORK", value_parser = network, required_unless_present = "port")]
    networks: Vec<IpNet>,
    /// A destination port.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Vec<u16>,
}

/// For whom it is listed.
#[derive(Args)]
pub(in crate::cli) struct List {
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(command: &Command) -> anyhow::Result<ExitCode> {
    let Some((sets, tables)) = finish(change::sets())? else {
        bail!(
            "no rules are loaded: expected table inet danelaw or its guard, as `danelaw rules apply` makes them"
        );
    };
    match command {
        Command::List(list) => show(list, &sets),
        Command::Add(change) => {
            let wanted = added(&sets, change)?;
            refill(&sets, &wanted, &tables)
        }
        Command::Remove(change) => match removed(&sets, change) {
            Ok(wanted) => refill(&sets, &wanted, &tables),
            Err(absent) => {
                eprintln!("danelaw: {absent}");
                Ok(Exit::Negative.into())
            }
        },
    }
}

fn refill(sets: &Sets, wanted: &Sets, tables: &[&'static str]) -> anyhow::Result<ExitCode> {
    if wanted == sets {
        println("it is so already")?;
        return Ok(Exit::Ok.into());
    }
    finish(change::refill(wanted, tables))?;
    println(
        "changed until the next `danelaw rules apply`; [intercept] in the configuration keeps it",
    )?;
    Ok(Exit::Ok.into())
}

/// A port is exempt when it is not among those that are taken over.
fn added(sets: &Sets, change: &Change) -> anyhow::Result<Sets> {
    let mut wanted = sets.clone();
    let is_new = |network: &&IpNet| !sets.exempt.iter().any(|known| known.contains(*network));
    wanted.exempt.extend(change.networks.iter().filter(is_new));
    wanted.ports.retain(|port| !change.port.contains(port));
    if wanted.ports.is_empty() {
        bail!(
            "no port would be left, so nothing would be taken over: `danelaw rules remove` says so plainly"
        );
    }
    Ok(wanted)
}

fn removed(sets: &Sets, change: &Change) -> Result<Sets, String> {
    let mut wanted = sets.clone();
    for network in &change.networks {
        if !sets.exempt.contains(network) {
            let around = sets.exempt.iter().find(|known| known.contains(network));
            return Err(match around {
                Some(around) => {
                    format!("{network} is exempt as part of {around}: expected that one")
                }
                None => format!("{network} is not exempt"),
            });
        }
        wanted.exempt.retain(|known| known != network);
    }
    for port in &change.port {
        if !wanted.ports.contains(port) {
            wanted.ports.push(*port);
        }
    }
    wanted.ports.sort_unstable();
    Ok(wanted)
}

fn show(list: &List, sets: &Sets) -> anyhow::Result<ExitCode> {
    let mut out = io::stdout().lock();
    let networks: Vec<String> = sets.exempt.iter().map(ToString::to_string).collect();
    if list.json {
        let told = json!({ "exempt": networks, "ports": sets.ports });
        writeln!(out, "{told:#}")?;
        return Ok(Exit::Ok.into());
    }
    let ports: Vec<String> = sets.ports.iter().map(ToString::to_string).collect();
    writeln!(out, "taken over  port {}", ports.join(", "))?;
    let none = "nothing but what is on this host".to_owned();
    let networks = if networks.is_empty() {
        none
    } else {
        networks.join(", ")
    };
    writeln!(out, "exempt      {networks}")?;
    Ok(Exit::Ok.into())
}
