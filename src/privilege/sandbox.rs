//! What the kernel is asked to keep this process from, and whether it does.

use std::path::PathBuf;

use landlock::RulesetStatus;
use tracing::{info, warn};

use super::calls;
use super::places::Places;
use crate::config::{Config, Sandbox};
use crate::report::admin::Check;

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Sandboxed {
    places: Option<Places>,
    missing: Option<String>,
}

/// The kernel cannot, and it is required.
#[derive(Debug, thiserror::Error)]
#[error(
    "run.sandbox = \"required\": expected a kernel that keeps danelaw to what it needs, but {0}: run a kernel that has it (a \
     container's runtime may forbid it), or set run.sandbox = \"best-effort\""
)]
pub struct Unavailable(String);

/// Closes it for good, around what `config`, which stands in `sources`, needs. To be called while there are no other threads.
///
/// # Errors
/// When the kernel cannot and it is required.
pub fn close(config: &Config, sources: &[PathBuf]) -> Result<Sandboxed, Unavailable> {
    let mode = config.run.sandbox;
    if mode == Sandbox::Off {
        let missing = Some("run.sandbox is \"off\"".to_owned());
        return Ok(Sandboxed {
            places: None,
            missing,
        });
    }
    let places = Places::of(config, sources);
    let (no_landlock, in_part) = match places.enclose() {
        Ok(RulesetStatus::FullyEnforced) => (None, None),
        // Reading, writing and executing are closed since there is landlock.
        Ok(RulesetStatus::PartiallyEnforced) => (None, Some(IN_PART.to_owned())),
        Ok(RulesetStatus::NotEnforced) => (Some(NO_LANDLOCK.to_owned()), None),
        Err(error) => (
            Some(format!("files cannot be closed (landlock): {error}")),
            None,
        ),
    };
    let no_seccomp = calls::refuse().err();
    let no_seccomp = no_seccomp.map(|error| format!("calls cannot be refused (seccomp): {error}"));
    let places = no_landlock.is_none().then_some(places);
    let missing: Vec<_> = [no_landlock, no_seccomp].into_iter().flatten().collect();
    let missing = (!missing.is_empty()).then(|| missing.join("; "));
    if let Some(in_part) = &in_part {
        info!("{in_part}");
    }
    match &missing {
        None => info!(
            "the sandbox is closed: files and system calls that nothing here needs are refused"
        ),
        Some(missing) if mode == Sandbox::Required => return Err(Unavailable(missing.clone())),
        Some(missing) => warn!(
            missing,
            "the sandbox is not what it should be, danelaw goes on"
        ),
    }
    let missing = missing.or(in_part);
    Ok(Sandboxed { places, missing })
}

const NO_LANDLOCK: &str = "files cannot be closed (landlock): this kernel has it not";
const IN_PART: &str = "files are closed as far as this kernel's landlock goes, which is older than what danelaw asks for \
    (5): truncating or device calls may be left open";

impl Sandboxed {
    /// A line of `/readyz`: mail depends on none of it.
    #[must_use]
    pub fn check(&self) -> Check {
        Check::new("sandbox", None).noting(self.missing.clone())
    }

    /// What another configuration names that this process cannot read any more, each with what to do.
    #[must_use]
    pub fn faults(&self, config: &Config) -> Vec<String> {
        let places = self.places.iter();
        let closed = places.flat_map(|places| places.closed(config));
        let fault = |(key, path): (&str, PathBuf)| {
            format!(
                "{key}: expected a file in a folder that was named at the start, got {}, which the sandbox keeps closed: it \
                 needs a restart",
                path.display()
            )
        };
        closed.map(fault).collect()
    }
}
