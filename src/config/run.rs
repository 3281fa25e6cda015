//! `[run]`: as whom the process runs, and what it cannot do.

use super::read::Section;

/// As whom, and what it cannot do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunConfig {
    /// The user that a process started as root becomes; none stays what it is.
    pub user: Option<String>,
    /// In place of that user's own group.
    pub group: Option<String>,
    /// What the kernel is asked to keep the process from.
    pub sandbox: Sandbox,
}

/// Whether the kernel is asked to keep the process from what it never does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sandbox {
    /// As far as it can.
    #[default]
    BestEffort,
    /// A kernel that cannot stops the start.
    Required,
    /// It is not asked.
    Off,
}

pub(super) fn read(mut section: Section<'_, '_>) -> RunConfig {
    let run = RunConfig {
        user: section.optional("user"),
        group: section.optional("group"),
        sandbox: section.read("sandbox", Sandbox::default()),
    };
    if run.group.is_some() && run.user.is_none() {
        section.contradiction("group", "a user beside it");
    }
    section.finish();
    run
}
