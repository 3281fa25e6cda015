//! `[run]`: as whom the process runs.

use super::read::Section;

/// As whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunConfig {
    /// The user that a process started as root becomes; none stays what it is.
    pub user: Option<String>,
    /// In place of that user's own group.
    pub group: Option<String>,
}

pub(super) fn read(mut section: Section<'_, '_>) -> RunConfig {
    let run = RunConfig {
        user: section.optional("user"),
        group: section.optional("group"),
    };
    if run.group.is_some() && run.user.is_none() {
        section.contradiction("group", "a user beside it");
    }
    section.finish();
    run
}
