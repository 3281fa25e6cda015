//! Whether a host is fit for danelaw: one line for everything that has to hold, from facts that somebody has collected.
//!
//! Nothing is looked at here. [`judge`] turns [`Facts`] into [`Line`]s; each tells what was seen, and where that is not as
//! it should be, what was expected and what to do.

mod daemon;
pub mod facts;
mod host;
mod interception;
mod names;
#[cfg(test)]
mod tests;

use facts::Facts;

/// How well something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// It does not matter here, or was not asked for.
    Aside,
    /// As it should be.
    Green,
    /// Mail flows, and somebody should look; or it could not be found out.
    Yellow,
    /// Mail waits, or may leave unjudged.
    Red,
}

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// The file.
    Configuration,
    /// The process.
    Daemon,
    /// Netfilter, and what it does.
    Interception,
    /// DNS and what is trusted.
    Names,
    /// The kernel and its limits.
    Host,
}

impl Group {
    /// Its heading.
    #[must_use]
    pub const fn heading(self) -> &'static str {
        match self {
            Self::Configuration => "Configuration",
            Self::Daemon => "Daemon",
            Self::Interception => "Interception",
            Self::Names => "Names and trust",
            Self::Host => "Host",
        }
    }
}

/// One thing that has to hold.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Line {
    /// What it is about.
    pub group: Group,
    /// The stable word.
    pub name: &'static str,
    /// How well it is.
    pub level: Level,
    /// What was seen.
    pub seen: String,
    /// What should have been, where something else was.
    pub expected: Option<String>,
    /// What to do then.
    pub remedy: Option<String>,
}

impl Line {
    fn new(group: Group, name: &'static str, level: Level, seen: impl Into<String>) -> Self {
        Self {
            group,
            name,
            level,
            seen: seen.into(),
            expected: None,
            remedy: None,
        }
    }

    fn green(group: Group, name: &'static str, seen: impl Into<String>) -> Self {
        Self::new(group, name, Level::Green, seen)
    }

    fn aside(group: Group, name: &'static str, seen: impl Into<String>) -> Self {
        Self::new(group, name, Level::Aside, seen)
    }

    fn yellow(group: Group, name: &'static str, seen: impl Into<String>) -> Self {
        Self::new(group, name, Level::Yellow, seen)
    }

    fn red(group: Group, name: &'static str, seen: impl Into<String>) -> Self {
        Self::new(group, name, Level::Red, seen)
    }

    fn but(mut self, expected: impl Into<String>, remedy: impl Into<String>) -> Self {
        (self.expected, self.remedy) = (Some(expected.into()), Some(remedy.into()));
        self
    }
}

/// All lines, group by group, the worst of each group first.
#[must_use]
pub fn judge(facts: &Facts) -> Vec<Line> {
    let mut lines = vec![configuration(facts)];
    lines.extend(daemon::judge(facts));
    lines.extend(interception::judge(facts));
    lines.extend(names::judge(facts));
    lines.extend(host::judge(facts));
    lines.sort_by_key(|line| (line.group, std::cmp::Reverse(line.level)));
    lines
}

/// The worst of them.
#[must_use]
pub fn worst(lines: &[Line]) -> Level {
    let levels = lines.iter().map(|line| line.level);
    levels.max().unwrap_or(Level::Green).max(Level::Green)
}

fn configuration(facts: &Facts) -> Line {
    let (group, name) = (Group::Configuration, "configuration");
    let file = &facts.file;
    match facts.problems.as_slice() {
        [] => Line::green(group, name, format!("{file} is in order")),
        problems => Line::red(group, name, problems.join("; ")).but(
            "a file without faults, whose files can be used",
            format!("mend it, and see `danelaw config check --config {file}`"),
        ),
    }
}
