//! `danelaw rules status`: what is there, what differs, what was counted.

use std::io::{self, Write};
use std::process::ExitCode;

use serde_json::{Value, json};

use super::place::Place;
use super::{Exit, finish};
use crate::intercept::rules::compare::{Difference, Grade, compare, grade};
use crate::intercept::rules::kernel;
use crate::intercept::rules::plan::Plan;
use crate::intercept::rules::seen::{Seen, SeenTable};
use crate::intercept::rules::table::{DANELAW, GUARD};

/// What is looked at, and for whom.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    place: Place,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let plan = args.place.plan()?;
    let seen = finish(kernel::look(&plan))?;
    let differences = compare(&plan, &seen);
    let mut out = io::stdout().lock();
    if args.json {
        writeln!(out, "{:#}", object(&seen, &differences))?;
    } else {
        render(&mut out, &plan, &seen, &differences)?;
    }
    Ok(match grade(&differences) {
        Grade::Green => Exit::Ok.into(),
        Grade::Yellow | Grade::Red => Exit::Negative.into(),
    })
}

fn object(seen: &Seen, differences: &[Difference]) -> Value {
    let table = |table: &Option<SeenTable>| match table {
        Some(table) => json!({ "present": true, "counters": table.counters }),
        None => json!({ "present": false, "counters": {} }),
    };
    let routing = |(family, routing): &(crate::intercept::rules::plan::Family, _)| {
        let routing: &crate::intercept::rules::routing::Routing = routing;
        json!({
            "family": family.to_string(),
            "table": routing.table,
            "route": routing.has_route,
            "rules": routing.rules,
        })
    };
    let difference = |difference: &Difference| {
        json!({
            "grade": difference.grade(),
            "what": difference.word(),
            "says": difference.to_string(),
            "remedy": difference.remedy(),
        })
    };
    json!({
        "grade": grade(differences),
        "danelaw": table(&seen.danelaw),
        "danelaw_guard": table(&seen.guard),
        "routing": seen.routing.iter().map(routing).collect::<Value>(),
        "differences": differences.iter().map(difference).collect::<Value>(),
    })
}

fn render(
    out: &mut impl Write,
    plan: &Plan,
    seen: &Seen,
    differences: &[Difference],
) -> io::Result<()> {
    for (name, table) in [(DANELAW, &seen.danelaw), (GUARD, &seen.guard)] {
        match table {
            None => writeln!(out, "{name:14} missing")?,
            Some(table) => {
                let counters = table.counters.iter();
                let counters: Vec<String> = counters
                    .map(|(name, packets)| format!("{name} {packets}"))
                    .collect();
                writeln!(
                    out,
                    "{name:14} IPv4 and IPv6; packets: {}",
                    counters.join(", ")
                )?;
            }
        }
    }
    if plan.transparent().is_some() {
        for (family, routing) in &seen.routing {
            let route = if routing.has_route { "with" } else { "without" };
            let rules = routing.rules.len();
            writeln!(
                out,
                "routing {family}   {rules} rules to table {}, {route} its route",
                routing.table
            )?;
        }
    }
    for difference in differences {
        let grade = match difference.grade() {
            Grade::Green => "green",
            Grade::Yellow => "YELLOW",
            Grade::Red => "RED",
        };
        writeln!(
            out,
            "{grade:6}  {difference}\n        {}",
            difference.remedy()
        )?;
    }
    if differences.is_empty() {
        writeln!(out, "all is as the configuration wants it")?;
    }
    Ok(())
}
