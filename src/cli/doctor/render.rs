//! Lines as text for people and as JSON for programs.

use std::io::{self, Write};

use serde_json::json;

use super::code;
use crate::cli::printable;
use crate::doctor::{Level, Line, worst};

/// One JSON object.
pub(super) fn json(out: &mut impl Write, lines: &[Line]) -> io::Result<()> {
    let level = worst(lines);
    let object = json!({"level": level, "exit": code(level), "lines": lines});
    writeln!(out, "{object:#}")
}

/// A heading for each group, a line for each thing, and what to do below each that is not green.
pub(super) fn text(out: &mut impl Write, lines: &[Line]) -> io::Result<()> {
    let mut group = None;
    for line in lines {
        if group != Some(line.group) {
            group = Some(line.group);
            writeln!(out, "{}", line.group.heading())?;
        }
        let (mark, seen) = (mark(line.level), printable(&line.seen));
        writeln!(out, "  {mark:6}  {:20} {seen}", line.name)?;
        for (word, told) in [("expected", &line.expected), ("to do", &line.remedy)] {
            if let Some(told) = told {
                writeln!(out, "          {word:20} {}", printable(told))?;
            }
        }
    }
    let count = |level| lines.iter().filter(|line| line.level == level).count();
    let (red, yellow) = (count(Level::Red), count(Level::Yellow));
    match worst(lines) {
        Level::Aside | Level::Green => writeln!(out, "=> green: all is as it should be"),
        Level::Yellow => writeln!(out, "=> yellow: {yellow} to look at"),
        Level::Red => writeln!(out, "=> RED: {red} to mend, {yellow} to look at"),
    }
}

const fn mark(level: Level) -> &'static str {
    match level {
        Level::Aside => "-",
        Level::Green => "green",
        Level::Yellow => "YELLOW",
        Level::Red => "RED",
    }
}
