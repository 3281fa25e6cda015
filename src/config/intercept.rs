//! The `[intercept]` table: how the proxy finds out what its own host does with connections.

use std::time::Duration;

use super::read::Section;

/// Whether interception is tried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterceptConfig {
    /// Whether it is tried at the start that the proxy's own connections are left alone.
    pub canary: bool,
    /// Whether it is tried now and then that a connection is taken over.
    pub watch: Watch,
    /// How often.
    pub watch_interval: Duration,
}

/// What it means that the rules do not take a connection over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// They are gone if they did before.
    Auto,
    /// They are missing, whether they ever did or not.
    Required,
    /// It is not tried.
    Off,
}

pub(super) fn read(mut section: Section<'_, '_>, default: InterceptConfig) -> InterceptConfig {
    let intercept = InterceptConfig {
        canary: section.read("canary", default.canary),
        watch: section.read("watch", default.watch),
        watch_interval: section.read("watch_interval", default.watch_interval),
    };
    section.finish();
    intercept
}
