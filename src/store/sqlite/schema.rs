//! The tables, and how an older file becomes one of this release.
//!
//! ```text
//! row     kind, key → about, at (seconds since 1970), body (JSON; NULL: to be forgotten), revision, digest
//! tally   day (since 1970), domain, what, reason → number
//! latest  the last revision that was given
//! ```

use rusqlite::{Connection, Transaction};

use super::{rows, sqlite};
use crate::clock::Timestamp;
use crate::store::{Kind, Row, StoreFault};

/// Each step and its version number are one transaction.
pub(super) fn migrate(connection: &mut Connection, from: i64) -> Result<(), StoreFault> {
    let failed = sqlite("bring its schema up to date");
    for (version, step) in (1..).zip(STEPS) {
        if version <= from {
            continue;
        }
        let transaction = connection.transaction().map_err(&failed)?;
        step(&transaction)?;
        super::pragma(&transaction, "user_version", version)?;
        transaction.commit().map_err(&failed)?;
    }
    Ok(())
}

type Step = fn(&Transaction<'_>) -> Result<(), StoreFault>;

/// Step n brings version n - 1 to n. Steps that have been released are never changed.
const STEPS: [Step; 2] = [policies_alone, rows_of_all_kinds];

/// The version of this release.
pub(super) const KNOWN: i64 = STEPS.len() as i64;

fn policies_alone(transaction: &Transaction<'_>) -> Result<(), StoreFault> {
    run(
        transaction,
        "CREATE TABLE sts_policy (
            domain TEXT PRIMARY KEY NOT NULL,
            id TEXT NOT NULL,
            text TEXT NOT NULL,
            fetched INTEGER NOT NULL,
            digest BLOB NOT NULL
        ) STRICT",
    )
}

fn rows_of_all_kinds(transaction: &Transaction<'_>) -> Result<(), StoreFault> {
    run(
        transaction,
        "CREATE TABLE row (
            kind TEXT NOT NULL,
            key TEXT NOT NULL,
            about TEXT NOT NULL,
            at INTEGER NOT NULL,
            body TEXT,
            revision INTEGER NOT NULL,
            digest BLOB NOT NULL,
            PRIMARY KEY (kind, key)
        ) STRICT, WITHOUT ROWID;
        CREATE UNIQUE INDEX row_by_revision ON row (kind, revision);
        CREATE INDEX row_by_about ON row (kind, about, at);
        CREATE INDEX row_by_age ON row (kind, at);
        CREATE TABLE tally (
            day INTEGER NOT NULL,
            domain TEXT NOT NULL,
            what TEXT NOT NULL,
            reason TEXT NOT NULL,
            number INTEGER NOT NULL,
            PRIMARY KEY (day, domain, what, reason)
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE latest (revision INTEGER NOT NULL) STRICT;
        INSERT INTO latest VALUES (0)",
    )?;
    let failed = sqlite("bring its schema up to date");
    let mut statement = transaction
        .prepare("SELECT domain, id, text, fetched, digest FROM sts_policy ORDER BY domain")
        .map_err(&failed)?;
    let mut old = statement.query([]).map_err(&failed)?;
    while let Some(policy) = old.next().map_err(&failed)? {
        rows::put(transaction, &first_schema::row(policy)?)?;
    }
    drop(old);
    drop(statement);
    run(transaction, "DROP TABLE sts_policy")
}

fn run(transaction: &Transaction<'_>, sql: &str) -> Result<(), StoreFault> {
    transaction
        .execute_batch(sql)
        .map_err(sqlite("bring its schema up to date"))
}

/// Rows as schema 1 wrote them.
mod first_schema {
    use super::{Kind, Row, StoreFault, Timestamp, sqlite};
    use crate::digest;

    pub(super) fn row(policy: &rusqlite::Row<'_>) -> Result<Row, StoreFault> {
        let failed = sqlite("read a policy");
        let domain: String = policy.get("domain").map_err(&failed)?;
        let id: String = policy.get("id").map_err(&failed)?;
        let text: String = policy.get("text").map_err(&failed)?;
        let fetched: i64 = policy.get("fetched").map_err(&failed)?;
        let written: Vec<u8> = policy.get("digest").map_err(&failed)?;
        let damaged = |what: &str| StoreFault::Row {
            kind: Kind::Policy,
            key: domain.clone(),
            revision: None,
            what: what.to_owned(),
        };
        let Ok(at) = u64::try_from(fetched) else {
            return Err(damaged("it was fetched before 1970"));
        };
        if written
            != digest::of_fields(&[
                domain.as_bytes(),
                id.as_bytes(),
                text.as_bytes(),
                &at.to_be_bytes(),
            ])
        {
            return Err(damaged("its digest does not fit"));
        }
        Ok(Row {
            kind: Kind::Policy,
            key: domain.clone(),
            about: domain,
            at: Timestamp::from_unix(at),
            body: Some(serde_json::json!({ "id": id, "text": text }).to_string()),
        })
    }
}
