//! The proxy's configuration and its store: the options of commands that work on what the proxy remembers.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::bail;

use crate::config::{Config, StorePlace, defaults};
use crate::store::{self, Store};

/// Whose store, and for whom.
#[derive(clap::Args)]
pub(super) struct Stored {
    /// The proxy's configuration, which names its store.
    #[arg(long, value_name = "FILE", default_value = defaults::PATH)]
    config: PathBuf,
    /// Prints JSON.
    #[arg(long)]
    pub(super) json: bool,
}

impl Stored {
    /// The configuration.
    pub(super) fn config(&self) -> anyhow::Result<Config> {
        Ok(Config::load(&self.config)?.config)
    }

    /// The store that it names. It must be there: one that is made here would belong to whoever types the command.
    pub(super) fn open(&self, config: &Config) -> anyhow::Result<Arc<dyn Store>> {
        if config.store.place == StorePlace::Memory {
            bail!(
                "{} names no store: expected store.path or store.url, which survive a restart and are shared with the \
                 running proxy",
                self.config.display()
            );
        }
        if let Some(path) = missing(&config.store.place) {
            bail!(
                "the store {} is not there yet: start the proxy once, as the user that it runs as",
                path.display()
            );
        }
        Ok(store::open(&config.store)?)
    }
}

/// The file of a store that has not been made yet.
pub(super) fn missing(place: &StorePlace) -> Option<&Path> {
    match place {
        StorePlace::File(path) => (!path.exists()).then_some(path),
        StorePlace::Memory | StorePlace::Database { .. } => None,
    }
}
