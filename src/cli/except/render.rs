//! Exceptions as text.

use std::io::{self, Write};

use crate::calendar;
use crate::control::except::View;

/// A line for each, in columns.
pub(super) fn table(out: &mut impl Write, all: &[View]) -> io::Result<()> {
    let width = |column: fn(&View) -> &str, least: usize| {
        let longest = all.iter().map(|one| column(one).chars().count()).max();
        longest.unwrap_or(0).max(least)
    };
    let domains = width(|one| &one.domain, "domain".len());
    let whats = width(|one| &one.what, "what".len());
    let authors = width(|one| &one.author, "by".len());
    writeln!(
        out,
        "{:8}  {:domains$}  {:whats$}  {:20}  {:authors$}  {:13}  reason",
        "id", "domain", "what", "until", "by", "place"
    )?;
    for one in all {
        let until = if one.ended {
            format!("ended {}", calendar::day(one.expires))
        } else {
            calendar::written(one.expires)
        };
        writeln!(
            out,
            "{:8}  {:domains$}  {:whats$}  {until:20}  {:authors$}  {:13}  {}",
            one.id, one.domain, one.what, one.author, one.place, one.reason
        )?;
    }
    Ok(())
}
