//! `danelaw demo`: a world on loopback, a proxy in front of it, and every scenario put to the test.

use std::io::{self, IsTerminal, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use super::Exit;
use crate::clock::{Clock, SystemClock};
use crate::config::{ClientTls, ListenerConfig};
use crate::intercept::Via;
use crate::lab::catalogue::{self, Scenario};
use crate::lab::trial::{self, Collector, Outcome};
use crate::lab::world::World;
use crate::proxy::Proxy;

/// What to show, and how.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  danelaw demo
  danelaw demo --json | jq 'select(.passed | not)'
  danelaw demo --only dane-ee-mismatch --only half-dane-forged-mx
  danelaw demo --stay          # and then explore it, with the command that it prints

Exit codes:
  0   every verdict, level and reason is as expected
  1   some are not
  2   the lab or the proxy could not be started
  64  the command line is wrong")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent flags of a command line"
)]
pub(super) struct Args {
    /// Prints one JSON object a line instead of the table.
    #[arg(long)]
    json: bool,
    /// Runs this scenario only; may be repeated.
    #[arg(long, value_name = "NAME", value_parser = scenario)]
    only: Vec<Scenario>,
    /// Keeps the world up after the table, to be explored, until Ctrl-C.
    #[arg(long)]
    stay: bool,
}

/// Runs the scenarios; one that does not come out as expected is the answer no.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    runtime.block_on(demo(args))
}

fn scenario(name: &str) -> anyhow::Result<Scenario> {
    let all = catalogue::all();
    let names = || all.iter().map(|scenario| scenario.name).collect::<Vec<_>>();
    all.iter()
        .find(|scenario| scenario.name == name)
        .copied()
        .with_context(|| format!("there are: {}", names().join(", ")))
}

async fn demo(args: &Args) -> anyhow::Result<ExitCode> {
    let clock = SystemClock;
    let started = clock.instant();
    let scenarios = if args.only.is_empty() {
        catalogue::all()
    } else {
        args.only.clone()
    };
    let world = World::of(scenarios)
        .await
        .context("cannot set up the lab")?;
    let records = Arc::new(Collector::default());
    let config = world.config(ListenerConfig {
        client_tls: ClientTls::Never,
        ..ListenerConfig::new(Via::Socks5, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    });
    let proxy = Proxy::start(&config, Arc::clone(&records) as _)
        .await
        .context("cannot start the proxy")?;
    let address = *proxy
        .addresses()
        .first()
        .context("the proxy has no listener")?;
    let mut progress = Progress::new(world.stages().len());
    let outcomes = trial::run_all(world.stages(), address, &records, |outcome| {
        progress.step(outcome);
    })
    .await;
    progress.finish();
    let took = clock.instant().duration_since(started);
    let mut out = io::stdout().lock();
    if args.json {
        write_json(&mut out, &outcomes)?;
    } else {
        write_table(&mut out, &outcomes, took)?;
    }
    drop(out);
    if args.stay {
        stay(&world, address).await?;
    }
    proxy.shutdown().await;
    Ok(if outcomes.iter().all(Outcome::passed) {
        Exit::Ok.into()
    } else {
        Exit::Negative.into()
    })
}

/// One line on stderr that counts; silent where nobody watches.
struct Progress {
    done: usize,
    count: usize,
    watched: bool,
}

impl Progress {
    fn new(count: usize) -> Self {
        Self {
            done: 0,
            count,
            watched: io::stderr().is_terminal(),
        }
    }

    fn step(&mut self, outcome: &Outcome) {
        self.done += 1;
        if self.watched {
            let (done, count, name) = (self.done, self.count, outcome.scenario.name);
            // Progress that cannot be shown is no reason to stop.
            let _ = write!(io::stderr(), "\r\x1b[K{done}/{count} {name}");
        }
    }

    fn finish(&self) {
        if self.watched {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

/// One line of `--json`.
#[derive(Serialize)]
struct Row<'a> {
    scenario: &'a str,
    expected: &'a str,
    verdict: Option<&'a str>,
    reply: &'a str,
    reason: Option<&'a str>,
    level: Option<&'a str>,
    observed: Option<&'a str>,
    passed: bool,
    problems: &'a [String],
    sentence: &'a str,
    publishes: String,
    presents: String,
    rfc: &'a str,
}

impl<'a> Row<'a> {
    fn of(outcome: &'a Outcome) -> Self {
        let scenario = &outcome.scenario;
        let judgement = outcome.judgement.as_ref();
        Self {
            scenario: scenario.name,
            expected: scenario.expected.verdict(),
            verdict: judgement.map(|judgement| judgement.verdict),
            reply: &outcome.reply,
            reason: judgement.map(|judgement| judgement.reason),
            level: judgement.and_then(|judgement| judgement.level),
            observed: judgement.and_then(|judgement| judgement.observed),
            passed: outcome.passed(),
            problems: &outcome.problems,
            sentence: scenario.sentence,
            publishes: scenario.publishes.to_string(),
            presents: scenario.presents.to_string(),
            rfc: scenario.rfc,
        }
    }
}

fn write_json(out: &mut impl Write, outcomes: &[Outcome]) -> anyhow::Result<()> {
    for outcome in outcomes {
        writeln!(out, "{}", serde_json::to_string(&Row::of(outcome))?)?;
    }
    Ok(())
}

fn write_table(out: &mut impl Write, outcomes: &[Outcome], took: Duration) -> io::Result<()> {
    write_row(out, &HEADINGS.map(str::to_owned))?;
    writeln!(
        out,
        "{}",
        "─".repeat(WIDTHS.iter().map(|width| width + 2).sum::<usize>() - 2)
    )?;
    for outcome in outcomes {
        write_row(out, &cells(&Row::of(outcome)))?;
        for problem in &outcome.problems {
            writeln!(out, "   ↳ {problem}")?;
        }
    }
    let passed = outcomes.iter().filter(|outcome| outcome.passed()).count();
    let refused = outcomes
        .iter()
        .filter(|outcome| outcome.scenario.expected.verdict() == "refuse")
        .count();
    writeln!(
        out,
        "\n{passed} of {} scenarios as expected ({} to deliver, {refused} to refuse), in {:.1} s",
        outcomes.len(),
        outcomes.len() - refused,
        took.as_secs_f64(),
    )
}

fn cells(row: &Row<'_>) -> [String; COLUMNS] {
    let verdict = [row.verdict, row.level, row.reason];
    let mut verdict: Vec<&str> = verdict.into_iter().flatten().collect();
    let observed = row.observed.map(|observed| format!("(noted: {observed})"));
    verdict.extend(observed.as_deref());
    // The enhanced code ends at the second space; the rest is in the JSON.
    let reply: Vec<&str> = row.reply.split(' ').take(2).collect();
    [
        if row.passed { "✓" } else { "✗" }.to_owned(),
        row.scenario.to_owned(),
        row.publishes.clone(),
        row.presents.clone(),
        verdict.join(" "),
        reply.join(" "),
        row.rfc.to_owned(),
    ]
}

/// One row, each cell wrapped to its column.
fn write_row(out: &mut impl Write, cells: &[String; COLUMNS]) -> io::Result<()> {
    let wrapped: Vec<Vec<String>> = cells
        .iter()
        .zip(WIDTHS)
        .map(|(cell, width)| wrap(cell, width))
        .collect();
    let height = wrapped.iter().map(Vec::len).max().unwrap_or(0);
    for line in 0..height {
        let texts = wrapped.iter().zip(WIDTHS).map(|(cell, width)| {
            let text = cell.get(line).map_or("", String::as_str);
            format!("{text:width$}")
        });
        let texts: Vec<String> = texts.collect();
        writeln!(out, "{}", texts.join("  ").trim_end())?;
    }
    Ok(())
}

/// Breaks between words, but not between the numbers of a TLSA record; a word that is too long stands out.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut after_digit = false;
    for word in text.split(' ') {
        let joined = after_digit && word.starts_with(|letter: char| letter.is_ascii_digit());
        after_digit = word.len() == 1 && word.starts_with(|letter: char| letter.is_ascii_digit());
        match lines.last_mut() {
            Some(line) if joined || line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

async fn stay(world: &World, proxy: SocketAddr) -> anyhow::Result<()> {
    // Before anybody is told to press it.
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for Ctrl-C")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let domain = world
        .stages()
        .first()
        .map(|stage| stage.scenario.domain())
        .unwrap_or_default();
    let (resolver, mx_port, policy_port) = (world.resolver, world.mx_port, world.policy_port);
    let (anchor, ca) = (world.trust_anchor.display(), world.ca_file.display());
    writeln!(
        io::stderr(),
        "\nThe lab stays up, with {domain} and all others. To see how mail to it is judged:\n\n  \
         danelaw check {domain} --resolver {resolver} --trust-anchor {anchor} \\\n    \
         --ca-file {ca} --port {mx_port} --policy-port {policy_port} --allow-private\n\n\
         Its DNS:   dig @{} -p {} +dnssec {domain} MX\n\
         The proxy: SOCKS5 at {proxy}\n\nCtrl-C ends it.",
        resolver.ip(),
        resolver.port(),
    )?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

const COLUMNS: usize = 7;
const HEADINGS: [&str; COLUMNS] = [
    "",
    "scenario",
    "publishes",
    "presents",
    "verdict",
    "reply",
    "standard",
];
const WIDTHS: [usize; COLUMNS] = [1, 25, 28, 24, 24, 10, 15];
