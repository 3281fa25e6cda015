//! Policies on the screen. Text that others chose cannot give the terminal orders.

use std::io::{self, Write};
use std::time::Duration;

use crate::calendar::written;
use crate::cli::printable;
use crate::clock::Timestamp;
use crate::control::policy::{FailureView, Listed, Outcome, PolicyView, RecordView, Refresh, View};

/// One line of a list.
pub(super) fn row(out: &mut impl Write, view: &View, now: Timestamp) -> io::Result<()> {
    let Some(policy) = &view.policy else {
        return Ok(());
    };
    let note = match &view.failure {
        Some(failure) => format!("  refresh fails: {}", printable(&failure.detail)),
        None => String::new(),
    };
    writeln!(
        out,
        "{:8} {:22} {}{note}",
        policy.mode,
        end(policy, now),
        view.domain
    )
}

/// The last line of a list.
pub(super) fn count(out: &mut impl Write, listed: Listed) -> io::Result<()> {
    match (listed.listed, listed.known) {
        (_, 0) => writeln!(out, "no policy is known"),
        (listed, known) if listed == known => writeln!(out, "{known} policies"),
        (listed, known) => writeln!(out, "{listed} of {known} policies"),
    }
}

/// All that is known of a domain.
pub(super) fn view(out: &mut impl Write, view: &View, now: Timestamp) -> io::Result<()> {
    writeln!(out, "domain    {}", view.domain)?;
    match &view.policy {
        Some(policy) => {
            writeln!(out, "id        {}", policy.id)?;
            writeln!(out, "mode      {}", policy.mode)?;
            writeln!(out, "fetched   {}", written(policy.fetched))?;
            writeln!(
                out,
                "expires   {} ({})",
                written(policy.expires),
                end(policy, now)
            )?;
        }
        None if view.lost => writeln!(
            out,
            "policy    lost by a damaged store: mail waits until the domain is heard (policy drop ends that)"
        )?,
        None => writeln!(out, "policy    none")?,
    }
    writeln!(out, "record    {}", record(view.record.as_ref()))?;
    writeln!(out, "refresh   {}", failure(view.failure.as_ref()))?;
    if let Some(policy) = &view.policy {
        writeln!(out)?;
        for line in policy.text.lines() {
            writeln!(out, "  {}", printable(line))?;
        }
    }
    Ok(())
}

/// What became of one domain.
pub(super) fn refresh(out: &mut impl Write, told: &Refresh) -> io::Result<()> {
    let either = told.after.as_ref().or(told.before.as_ref());
    let domain = either.map_or("?", |view| view.domain.as_str());
    writeln!(
        out,
        "[{}/{}] {domain}: {}",
        told.done,
        told.of,
        outcome(told)
    )?;
    if told.outcome != Outcome::Changed {
        return Ok(());
    }
    let text = |view: &Option<View>| {
        let policy = view.as_ref().and_then(|view| view.policy.as_ref());
        policy.map_or_else(String::new, |policy| policy.text.clone())
    };
    let (before, after) = (text(&told.before), text(&told.after));
    for gone in before
        .lines()
        .filter(|line| !after.lines().any(|one| one == *line))
    {
        writeln!(out, "  - {}", printable(gone))?;
    }
    for new in after
        .lines()
        .filter(|line| !before.lines().any(|one| one == *line))
    {
        writeln!(out, "  + {}", printable(new))?;
    }
    Ok(())
}

fn outcome(told: &Refresh) -> String {
    let policy = told.after.as_ref().and_then(|view| view.policy.as_ref());
    let mode = policy.map_or("none", |policy| policy.mode.as_str());
    match told.outcome {
        Outcome::New => format!("a policy where none was in force ({mode})"),
        Outcome::Changed => format!("changed ({mode})"),
        Outcome::Same => format!("the same policy, fetched anew ({mode})"),
        Outcome::NoPolicy => "no policy is announced".into(),
        Outcome::Failed => {
            let stays = match policy.filter(|policy| policy.in_force) {
                Some(policy) => format!(
                    "; the policy in force ({}) stays until {}",
                    policy.mode,
                    written(policy.expires)
                ),
                None => String::new(),
            };
            format!("failed: {}{stays}", why(told.after.as_ref()))
        }
    }
}

fn why(view: Option<&View>) -> String {
    let failure = view.and_then(|view| view.failure.as_ref());
    let record = view.and_then(|view| view.record.as_ref());
    let why = failure
        .map(|failure| &failure.detail)
        .or_else(|| record.and_then(|record| record.detail.as_ref()));
    why.map_or_else(|| "for no known reason".into(), |why| printable(why))
}

/// What was dropped, and what that means.
pub(super) fn dropped(out: &mut impl Write, view: &View) -> io::Result<()> {
    match &view.policy {
        Some(policy) => writeln!(
            out,
            "forgotten: the {} policy of {} (id {}, until {})",
            policy.mode,
            view.domain,
            policy.id,
            written(policy.expires)
        )?,
        None => writeln!(out, "forgotten: what was heard of {}", view.domain)?,
    }
    writeln!(
        out,
        "The next contact with {domain} is a first one: until its policy is fetched again nothing is enforced for it by \
         MTA-STS, and whoever can block that fetch keeps it so. `danelaw policy refresh {domain}` asks for it now.",
        domain = view.domain
    )
}

fn end(policy: &PolicyView, now: Timestamp) -> String {
    if policy.in_force {
        format!("{} left", span(policy.expires.since(now)))
    } else {
        format!("ended {} ago", span(now.since(policy.expires)))
    }
}

fn record(record: Option<&RecordView>) -> String {
    let Some(record) = record else {
        return "not asked for since the start".into();
    };
    let said = match (&record.id, &record.detail) {
        (Some(id), _) => format!("announces id {id}"),
        (None, Some(detail)) => printable(detail),
        (None, None) => record.says.clone(),
    };
    format!("{said} (asked {})", written(record.at))
}

fn failure(failure: Option<&FailureView>) -> String {
    failure.map_or_else(
        || "no failure since the start".into(),
        |failure| {
            format!(
                "failed {} for id {}: {} ({}); no session asks again before {}",
                written(failure.at),
                failure.id,
                printable(&failure.detail),
                failure.kind,
                written(failure.backs_off_until)
            )
        },
    )
}

/// The two largest units.
fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours, minutes) = (seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes}m {}s", seconds % 60),
        (0, hours) => format!("{hours}h {minutes}m"),
        (days, hours) => format!("{days}d {hours}h"),
    }
}
