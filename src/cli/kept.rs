//! The store of a configuration, for commands that look at what the proxy has remembered or change it. A proxy that
//! runs hears of a change within seconds, since it follows its store.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;

use crate::config::{Config, defaults};
use crate::store::sqlite::SqliteStore;
use crate::store::{Kind, Query, Row, Store};

/// Which store, and for whom.
#[derive(Args)]
pub(super) struct Kept {
    /// The configuration that names the store.
    #[arg(long, value_name = "FILE", default_value = defaults::PATH)]
    config: PathBuf,
    /// Prints JSON.
    #[arg(long)]
    pub(super) json: bool,
}

impl Kept {
    /// Opens it; never makes one.
    pub(super) fn open(&self) -> anyhow::Result<Box<dyn Store>> {
        let config = Config::load(&self.config)?.config;
        let Some(path) = config.store else {
            bail!(
                "expected store.path in {}, seen none: the proxy remembers in memory only, and forgets when it ends",
                self.config.display()
            );
        };
        if !path.exists() {
            bail!(
                "expected a store at {}, seen nothing: `danelaw run` makes it when it starts",
                path.display()
            );
        }
        Ok(Box::new(SqliteStore::open(&path)?))
    }
}

/// Rows of a kind, newest first, all that are about `about` where that is given.
pub(super) fn rows(
    store: &dyn Store,
    kind: Kind,
    about: Option<&str>,
    most: usize,
) -> anyhow::Result<Vec<Row>> {
    let query = about.map_or(Query::Latest, Query::About);
    Ok(store.find(kind, query, most)?)
}
