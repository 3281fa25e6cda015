//! The tables in the database, and how older ones become those of this release.
//!
//! As in SQLite, with one count for each node: nodes write what they have counted, not what is to be added, so that a
//! write that is repeated because its answer was lost counts once.

use tokio_postgres::Client;

use super::link::failed;
use crate::store::StoreFault;

/// One node at a time; others wait.
pub(super) async fn migrate(client: &mut Client) -> Result<(), StoreFault> {
    if version(client).await? == KNOWN {
        return Ok(());
    }
    let transaction = client.transaction().await.map_err(failed)?;
    transaction
        .execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK])
        .await
        .map_err(failed)?;
    let seen = version(transaction.client()).await?;
    if seen > KNOWN {
        return Err(StoreFault::Newer { seen, known: KNOWN });
    }
    for (version, step) in (1_i64..).zip(STEPS) {
        if version > seen {
            transaction.batch_execute(step).await.map_err(failed)?;
        }
    }
    transaction
        .execute("UPDATE danelaw_schema SET version = $1", &[&KNOWN])
        .await
        .map_err(failed)?;
    transaction.commit().await.map_err(failed)
}

/// Zero where there are no tables.
async fn version(client: &Client) -> Result<i64, StoreFault> {
    let there = client.query_one(IS_THERE, &[]).await.map_err(failed)?;
    if !there.get::<_, bool>(0) {
        return Ok(0);
    }
    let version = client
        .query_opt("SELECT version FROM danelaw_schema", &[])
        .await
        .map_err(failed)?;
    Ok(version.map_or(0, |row| row.get(0)))
}

/// By the table of tables: what `to_regclass` remembers from before the lock was waited for may be out of date.
const IS_THERE: &str = "SELECT EXISTS (SELECT FROM pg_catalog.pg_class \
    WHERE relname = 'danelaw_schema' AND pg_catalog.pg_table_is_visible(oid))";

/// Step n brings version n - 1 to n. Steps that have been released are never changed.
const STEPS: [&str; 1] = [r#"
    CREATE TABLE danelaw_schema (version BIGINT NOT NULL);
    INSERT INTO danelaw_schema VALUES (0);
    CREATE TABLE danelaw_row (
        kind TEXT COLLATE "C" NOT NULL,
        key TEXT COLLATE "C" NOT NULL,
        about TEXT COLLATE "C" NOT NULL,
        at BIGINT NOT NULL,
        body TEXT,
        revision BIGINT NOT NULL,
        digest BYTEA NOT NULL,
        PRIMARY KEY (kind, key)
    );
    CREATE UNIQUE INDEX danelaw_row_by_revision ON danelaw_row (kind, revision);
    CREATE INDEX danelaw_row_by_about ON danelaw_row (kind, about, at);
    CREATE INDEX danelaw_row_by_age ON danelaw_row (kind, at);
    CREATE TABLE danelaw_tally (
        day BIGINT NOT NULL,
        domain TEXT COLLATE "C" NOT NULL,
        what TEXT COLLATE "C" NOT NULL,
        reason TEXT COLLATE "C" NOT NULL,
        node TEXT COLLATE "C" NOT NULL,
        number BIGINT NOT NULL,
        PRIMARY KEY (day, domain, what, reason, node)
    );
    CREATE TABLE danelaw_latest (revision BIGINT NOT NULL, database TEXT NOT NULL);
    INSERT INTO danelaw_latest VALUES (0, gen_random_uuid()::TEXT);
    "#];

/// The version of this release.
const KNOWN: i64 = STEPS.len() as i64;

/// "danelaw": of those who bring the tables up to date.
const LOCK: i64 = 0x64_616e_656c_6177;
