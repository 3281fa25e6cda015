//! `danelaw rules print|apply|remove|status|exempt`: the netfilter rules, from the configuration that the proxy reads.
#![expect(clippy::print_stderr, reason = "IO: notes on stderr")]

mod exempt;
mod place;
mod status;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};

use self::place::Place;
use super::Exit;
use crate::intercept::rules::change::{self, Guard};
use crate::intercept::rules::kernel::{self, Trouble};
use crate::intercept::rules::plan::{Family, Plan};
use crate::intercept::rules::{iptables, nft};

/// For the help of all commands together.
pub(super) const EXAMPLES: &str = "\
Examples:
  danelaw rules print | less
  danelaw rules apply
  danelaw rules status --json | jq -r .grade
  danelaw rules exempt add 192.0.2.0/24
  danelaw rules remove --soft

The rules follow from the listeners and from [intercept] in the configuration; options stand in for what is not written
there. What stays belongs into the configuration, or the next `rules apply` knows nothing of it.";

/// What to do.
#[derive(Subcommand)]
pub(super) enum Command {
    /// Prints the rules: the very text that `apply` loads.
    #[command(after_help = "\
Examples:
  danelaw rules print > /etc/nftables.d/danelaw.nft
  danelaw rules print --layout gateway --clients lan0 --uplinks wan0
  danelaw rules print --layout container --user 1025
  danelaw rules print --format iptables > danelaw-rules.sh && sh danelaw-rules.sh
  danelaw rules print --format iptables --family 6 | ip6tables-restore --noflush --test

Exit codes:
  0   printed
  2   the configuration does not say enough, or contradicts the options
  64  the command line is wrong")]
    Print(Print),
    /// Loads the rules and their guard, in one transaction, after a dry run; may be run any number of times.
    #[command(after_help = "\
Examples:
  danelaw rules apply
  danelaw rules apply --dry-run
  danelaw rules apply --only guard     # before there is a network: mail is refused until the rest follows

Needs nft, and ip for TPROXY; as root or with CAP_NET_ADMIN. With conntrack, connections from before are looked at anew.

Exit codes:
  0   in force (with --dry-run: nft and the kernel would take them)
  2   not in force; what was there before is as it was
  64  the command line is wrong")]
    Apply(Apply),
    /// Takes the rules away. The guard stays and refuses mail, unless --open is given.
    #[command(after_help = "\
Examples:
  danelaw rules remove                 # mail waits: the guard refuses it
  danelaw rules remove --soft          # the same, and sessions that are under way may end
  danelaw rules remove --open          # mail leaves as without danelaw, unjudged

Exit codes:
  0   removed, or there was nothing to remove
  2   it could not be done, or not all of it: run it again
  64  the command line is wrong")]
    Remove(Remove),
    /// Says whether everything is in place, and what the rules have counted.
    #[command(after_help = "\
Examples:
  danelaw rules status
  danelaw rules status --json | jq '.differences[].says'

Exit codes:
  0   all is as the configuration wants it
  1   something is missing or differs
  2   it could not be found out
  64  the command line is wrong")]
    Status(status::Args),
    /// Lists and changes what is not taken over, in the rules that are loaded: sessions and counters stay.
    #[command(subcommand, after_help = exempt::EXAMPLES)]
    Exempt(exempt::Command),
}

/// What is printed.
#[derive(Args)]
pub(super) struct Print {
    #[command(flatten)]
    place: Place,
    /// For which program.
    #[arg(long, value_enum, default_value_t = Format::Nft)]
    format: Format,
    /// Only what iptables-restore (4) or ip6tables-restore (6) reads, in place of a script with both.
    #[arg(long, value_enum, requires = "format")]
    family: Option<Number>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One file for `nft -f`.
    Nft,
    /// A script around iptables-restore and ip6tables-restore.
    Iptables,
}

#[derive(Clone, Copy, ValueEnum)]
enum Number {
    #[value(name = "4")]
    Four,
    #[value(name = "6")]
    Six,
}

/// What is loaded.
#[derive(Args)]
pub(super) struct Apply {
    #[command(flatten)]
    place: Place,
    /// Only asks nft and the kernel whether they would take the rules.
    #[arg(long)]
    dry_run: bool,
    /// Loads this part, and leaves the other as it is.
    #[arg(long, value_enum, value_name = "PART")]
    only: Option<Part>,
}

/// What can be loaded by itself.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The table that refuses what was not taken over.
    Guard,
}

/// What is taken away.
#[derive(Args)]
#[expect(clippy::struct_excessive_bools, reason = "options")]
pub(super) struct Remove {
    #[command(flatten)]
    place: Place,
    /// Takes no new connections over, and lets those go on that have been.
    #[arg(long)]
    soft: bool,
    /// Takes the guard away as well: mail leaves unjudged.
    #[arg(long)]
    open: bool,
}

/// Runs the command.
pub(super) fn run(command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Print(args) => print(args),
        Command::Apply(args) => apply(args),
        Command::Remove(args) => remove(args),
        Command::Status(args) => status::run(args),
        Command::Exempt(command) => exempt::run(command),
    }
}

fn print(args: &Print) -> anyhow::Result<ExitCode> {
    let plan = args.place.plan()?;
    let text = match (args.format, args.family) {
        (Format::Nft, None) => nft::text(&plan),
        (Format::Nft, Some(_)) => {
            anyhow::bail!(
                "one nft file is for both families: expected --format iptables beside --family"
            );
        }
        (Format::Iptables, None) => iptables::script(&plan),
        (Format::Iptables, Some(Number::Four)) => iptables::restore_file(&plan, Family::V4),
        (Format::Iptables, Some(Number::Six)) => iptables::restore_file(&plan, Family::V6),
    };
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(Exit::Ok.into())
}

fn apply(args: &Apply) -> anyhow::Result<ExitCode> {
    let plan = args.place.plan()?;
    if args.dry_run {
        let text = match args.only {
            None => nft::text(&plan),
            Some(Part::Guard) => nft::guard(&plan),
        };
        finish(kernel::check(&text))?;
        println(&format!(
            "nft and the kernel would take the rules for {}",
            what(&plan)
        ))?;
        return Ok(Exit::Ok.into());
    }
    if args.only == Some(Part::Guard) {
        finish(change::guard(&plan))?;
        println(&format!("the guard is in force for {}", what(&plan)))?;
        return Ok(Exit::Ok.into());
    }
    for note in finish(change::apply(&plan))? {
        eprintln!("danelaw: {note}");
    }
    for listener in plan.listeners() {
        for family in &listener.unserved {
            eprintln!(
                "danelaw: no listener takes {family} at port {}: such connections are refused",
                listener.port
            );
        }
    }
    println(&format!("rules and guard are in force for {}", what(&plan)))?;
    Ok(Exit::Ok.into())
}

fn remove(args: &Remove) -> anyhow::Result<ExitCode> {
    let plan = args.place.plan_to_remove()?;
    let guard = if args.open {
        Guard::Removed
    } else {
        Guard::Kept
    };
    if args.soft {
        finish(change::drain(&plan, guard))?;
        println(
            "nothing is taken over any more; sessions that were go on, `danelaw rules remove` ends them",
        )?;
    } else {
        finish(change::remove(&plan, guard))?;
        println("the rules are gone")?;
    }
    match guard {
        Guard::Kept => println(
            "the guard stands: mail is refused and waits; `danelaw rules remove --open` lets it leave unjudged",
        )?,
        Guard::Removed => println("the guard is gone: mail leaves unjudged")?,
    }
    Ok(Exit::Ok.into())
}

/// What the rules do, in a few words.
fn what(plan: &Plan) -> String {
    let ports: Vec<String> = plan.ports.iter().map(ToString::to_string).collect();
    let mut whom = Vec::new();
    if plan.local.is_some() {
        whom.push("this host".to_owned());
    }
    if let Some(forwarded) = &plan.forwarded {
        let clients: Vec<String> = forwarded.clients.iter().map(ToString::to_string).collect();
        whom.push(format!("clients behind {}", clients.join(", ")));
    }
    format!("{}, port {}", whom.join(" and "), ports.join(", "))
}

fn finish<T>(work: impl Future<Output = Result<T, Trouble>>) -> anyhow::Result<T> {
    Ok(tokio::runtime::Runtime::new()?.block_on(work)?)
}

fn println(line: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{line}")
}
