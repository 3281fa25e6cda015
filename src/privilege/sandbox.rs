//! What the kernel is asked to keep this process from, and whether it does.

use tracing::{info, warn};

use super::calls;
use crate::config::{Config, Sandbox};
use crate::report::admin::Check;

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Sandboxed {
    missing: Option<String>,
}

/// The kernel cannot, and it is required.
#[derive(Debug, thiserror::Error)]
#[error(
    "run.sandbox = \"required\": expected a kernel that keeps danelaw to what it needs, but {0}: run a kernel that has it (a \
     container's runtime may forbid it), or set run.sandbox = \"best-effort\""
)]
pub struct Unavailable(String);

/// Closes it, for this process and for good. To be called while there are no other threads.
///
/// # Errors
/// When the kernel cannot and it is required.
pub fn close(config: &Config) -> Result<Sandboxed, Unavailable> {
    let mode = config.run.sandbox;
    if mode == Sandbox::Off {
        let missing = Some("run.sandbox is \"off\"".to_owned());
        return Ok(Sandboxed { missing });
    }
    let refused = calls::refuse();
    let missing = refused
        .err()
        .map(|error| format!("system calls cannot be refused (seccomp): {error}"));
    match &missing {
        None => info!("the sandbox is closed: system calls that nothing here needs are refused"),
        Some(missing) if mode == Sandbox::Required => return Err(Unavailable(missing.clone())),
        Some(missing) => warn!(
            missing,
            "the sandbox is not what it should be, danelaw goes on"
        ),
    }
    Ok(Sandboxed { missing })
}

impl Sandboxed {
    /// A line of `/readyz`: mail depends on none of it.
    #[must_use]
    pub fn check(&self) -> Check {
        Check::new("sandbox", None).noting(self.missing.clone())
    }
}
