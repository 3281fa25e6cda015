//! Everything in a PostgreSQL database that several nodes share; `schema` has its tables, `rows` its statements.
//!
//! A node does not depend on it while it works: see `fleet`, which keeps what it knows beside.

mod address;
mod link;
mod rows;
mod schema;
#[cfg(test)]
pub(crate) mod server;
#[cfg(test)]
mod tests;
mod tls;

use std::ops::RangeInclusive;

pub use address::{Address, BadAddress};

use super::{Batch, Count, Kind, Query, Revision, Row, Store, StoreError, StoreFault};
use crate::clock::Timestamp;
use crate::tls::roots;
use link::Link;
use rows::{Conflict, number};

/// A store in a database.
pub struct PostgresStore {
    link: Link,
}

/// How far a database has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latest {
    /// The last change.
    pub revision: Revision,
    /// A name that no other database has.
    pub database: String,
}

impl PostgresStore {
    /// Nothing is asked of the database before it is needed.
    ///
    /// # Errors
    /// When the CAs that its server is to be verified by cannot be had.
    pub fn new(address: Address) -> Result<Self, StoreError> {
        let place = address.to_string();
        let at = |fault| StoreError {
            place: place.clone(),
            fault,
        };
        let tls = if address.is_verified {
            let unverified = |error: &dyn std::error::Error| {
                at(StoreFault::Database {
                    what: format!("its server cannot be verified: {error}"),
                })
            };
            let roots =
                roots::load(address.ca_file.as_deref()).map_err(|error| unverified(&error))?;
            Some(roots::client_config(&roots).map_err(|error| unverified(&error))?)
        } else {
            None
        };
        Ok(Self {
            link: Link::new(address, tls).map_err(at)?,
        })
    }

    /// Which database it is, and its last change.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn latest(&self) -> Result<Latest, StoreError> {
        self.with(async |client| rows::latest(client).await)
    }

    /// Writes rows unless newer ones are there, and what `node` has counted in all.
    ///
    /// # Errors
    /// When it cannot be written; what was there stays.
    pub fn merge(&self, rows: &[Row], node: &str, counts: &[Count]) -> Result<(), StoreError> {
        self.with(async |client| {
            let transaction = client.transaction().await.map_err(link::failed)?;
            rows::put(&transaction, rows, Conflict::Newest).await?;
            rows::tally(&transaction, node, counts, Conflict::Newest).await?;
            transaction.commit().await.map_err(link::failed)
        })
    }

    fn with<T: Send>(
        &self,
        work: impl AsyncFnOnce(&mut tokio_postgres::Client) -> Result<T, StoreFault> + Send,
    ) -> Result<T, StoreError> {
        self.link.with(work).map_err(|fault| StoreError {
            place: self.place(),
            fault,
        })
    }
}

impl Store for PostgresStore {
    fn place(&self) -> String {
        self.link.address().to_string()
    }

    fn changes(
        &self,
        kind: Kind,
        since: Revision,
        limit: usize,
    ) -> Result<Vec<(Revision, Row)>, StoreError> {
        self.with(async |client| rows::changes(client, kind, since, limit).await)
    }

    fn find(&self, kind: Kind, query: Query<'_>, limit: usize) -> Result<Vec<Row>, StoreError> {
        self.with(async |client| rows::find(client, kind, query, limit).await)
    }

    fn write(&self, batch: &Batch) -> Result<(), StoreError> {
        self.with(async |client| {
            let transaction = client.transaction().await.map_err(link::failed)?;
            rows::delete(&transaction, &batch.gone).await?;
            rows::put(&transaction, &batch.rows, Conflict::Replace).await?;
            rows::tally(&transaction, "", &batch.counts, Conflict::Replace).await?;
            transaction.commit().await.map_err(link::failed)
        })
    }

    fn counts(&self, days: RangeInclusive<u32>) -> Result<Vec<Count>, StoreError> {
        self.with(async |client| rows::counts(client, &days).await)
    }

    fn prune(&self, kind: Kind, keep: usize, newer_than: Timestamp) -> Result<usize, StoreError> {
        self.with(async |client| {
            let label = kind.label();
            let old = rows::prune(
                client,
                "danelaw_row WHERE kind = $1 AND at < $2",
                &[&label, &number(newer_than.unix())],
            )
            .await?;
            let crowded_out = rows::prune(
                client,
                "danelaw_row WHERE kind = $1 AND key IN (SELECT key FROM danelaw_row WHERE kind = $1 \
                 ORDER BY at DESC, revision DESC OFFSET $2)",
                &[&label, &number(keep)],
            )
            .await?;
            Ok(old + crowded_out)
        })
    }

    fn prune_counts(&self, before: u32) -> Result<usize, StoreError> {
        let before = i64::from(before);
        self.with(async |client| {
            rows::prune(client, "danelaw_tally WHERE day < $1", &[&before]).await
        })
    }

    fn prune_forgotten(&self, before: Timestamp) -> Result<usize, StoreError> {
        let before = number(before.unix());
        self.with(async |client| {
            let those = "danelaw_row WHERE body IS NULL AND at < $1";
            rows::prune(client, those, &[&before]).await
        })
    }
}
