//! The log of a running proxy, whose filter can be changed.

use tracing::warn;
use tracing_subscriber::EnvFilter;

use crate::config::LogConfig;

/// Changes what is logged.
pub(super) struct LogHandle(
    Box<dyn Fn(EnvFilter) -> Result<(), tracing_subscriber::reload::Error>>,
);

impl LogHandle {
    /// From now on by these directives.
    pub(super) fn set(&self, filter: &str) {
        let parsed = EnvFilter::builder().parse(filter);
        match parsed.map(|filter| (self.0)(filter)) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(%error, "log.filter cannot be changed"),
            Err(error) => warn!(%error, "log.filter is not understood"),
        }
    }
}

/// Starts the log, on stderr.
pub(super) fn start(config: &LogConfig) -> anyhow::Result<LogHandle> {
    let filter = EnvFilter::builder().parse(&config.filter)?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let (started, handle) = if config.json {
        let log = log.json().with_filter_reloading();
        let handle = log.reload_handle();
        let set = move |filter| handle.reload(filter);
        (log.try_init(), LogHandle(Box::new(set)))
    } else {
        let log = log.with_ansi(false).with_filter_reloading();
        let handle = log.reload_handle();
        let set = move |filter| handle.reload(filter);
        (log.try_init(), LogHandle(Box::new(set)))
    };
    started.map_err(|error| anyhow::anyhow!(error))?;
    Ok(handle)
}
