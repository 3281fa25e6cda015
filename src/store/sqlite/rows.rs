//! Rows and counts as SQL: each statement once.

use std::ops::RangeInclusive;

use rusqlite::{Connection, Params, params};
use tracing::debug;

use super::sqlite;
use crate::clock::Timestamp;
use crate::store::{Count, Kind, Query, Revision, Row, StoreFault};

pub(super) fn changes(
    connection: &Connection,
    kind: Kind,
    since: Revision,
    limit: usize,
) -> Result<Vec<(Revision, Row)>, StoreFault> {
    select(
        connection,
        "kind = ?1 AND revision > ?2 ORDER BY revision LIMIT ?3",
        params![kind.label(), number(since.number()), number(limit)],
        kind,
    )
}

pub(super) fn find(
    connection: &Connection,
    kind: Kind,
    query: Query<'_>,
    limit: usize,
) -> Result<Vec<Row>, StoreFault> {
    let (label, limit) = (kind.label(), number(limit));
    let found = match query {
        Query::Key(key) => select(
            connection,
            "kind = ?1 AND key = ?2 AND body IS NOT NULL LIMIT ?3",
            params![label, key, limit],
            kind,
        ),
        Query::About(about) => select(
            connection,
            "kind = ?1 AND about = ?2 AND body IS NOT NULL ORDER BY at DESC, revision DESC LIMIT ?3",
            params![label, about, limit],
            kind,
        ),
        Query::Latest => select(
            connection,
            "kind = ?1 AND body IS NOT NULL ORDER BY at DESC, revision DESC LIMIT ?2",
            params![label, limit],
            kind,
        ),
    }?;
    Ok(found.into_iter().map(|(_, row)| row).collect())
}

pub(super) fn put(connection: &Connection, row: &Row) -> Result<(), StoreFault> {
    let failed = sqlite("write");
    let revision: i64 = connection
        .prepare_cached("UPDATE latest SET revision = revision + 1 RETURNING revision")
        .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
        .map_err(&failed)?;
    let at = i64::try_from(row.at.unix()).map_err(|_| {
        damaged(
            row.kind,
            &row.key,
            None,
            "it is of a time that no database can hold",
        )
    })?;
    execute(
        connection,
        "INSERT OR REPLACE INTO row (kind, key, about, at, body, revision, digest)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            row.kind.label(),
            row.key,
            row.about,
            at,
            row.body,
            revision,
            row.digest()
        ],
    )?;
    Ok(())
}

/// Moves the log's content to the file and empties the log. What still reads keeps it from that, until the next time.
pub(super) fn settle(connection: &Connection) {
    let done = connection
        .prepare_cached("PRAGMA wal_checkpoint(TRUNCATE)")
        .and_then(|mut statement| statement.query_row([], |row| row.get::<_, i64>(0)));
    if !matches!(done, Ok(0)) {
        debug!(?done, "the log is not emptied yet");
    }
}

pub(super) fn delete(connection: &Connection, kind: Kind, key: &str) -> Result<(), StoreFault> {
    execute(
        connection,
        "DELETE FROM row WHERE kind = ?1 AND key = ?2",
        params![kind.label(), key],
    )?;
    Ok(())
}

pub(super) fn add(connection: &Connection, count: &Count) -> Result<(), StoreFault> {
    execute(
        connection,
        "INSERT INTO tally (day, domain, what, reason, number) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT DO UPDATE SET number = number + excluded.number",
        params![
            count.day,
            count.domain,
            count.what,
            count.reason,
            number(count.number)
        ],
    )?;
    Ok(())
}

/// Reads every row for nothing but its digest.
pub(super) fn verify(connection: &Connection) -> Result<(), StoreFault> {
    for kind in Kind::ALL {
        let failed = sqlite("read");
        let sql = "SELECT key, about, at, body, revision, digest FROM row WHERE kind = ?1";
        let mut statement = connection.prepare(sql).map_err(&failed)?;
        let mut rows = statement.query(params![kind.label()]).map_err(&failed)?;
        while let Some(row) = rows.next().map_err(&failed)? {
            read(row, kind)?;
        }
    }
    Ok(())
}

pub(super) fn counts(
    connection: &Connection,
    days: &RangeInclusive<u32>,
) -> Result<Vec<Count>, StoreFault> {
    let failed = sqlite("read its counts");
    let mut statement = connection
        .prepare_cached(
            "SELECT day, domain, what, reason, number FROM tally
             WHERE day BETWEEN ?1 AND ?2 ORDER BY day, domain, what, reason",
        )
        .map_err(&failed)?;
    let count = |row: &rusqlite::Row<'_>| {
        Ok(Count {
            day: row.get(0)?,
            domain: row.get(1)?,
            what: row.get(2)?,
            reason: row.get(3)?,
            number: row.get::<_, i64>(4)?.unsigned_abs(),
        })
    };
    statement
        .query_map(params![days.start(), days.end()], count)
        .and_then(Iterator::collect)
        .map_err(failed)
}

pub(super) fn prune(
    connection: &Connection,
    kind: Kind,
    keep: usize,
    newer_than: Timestamp,
) -> Result<usize, StoreFault> {
    let label = kind.label();
    let old = execute(
        connection,
        "DELETE FROM row WHERE kind = ?1 AND at < ?2",
        params![label, number(newer_than.unix())],
    )?;
    let crowded_out = execute(
        connection,
        "DELETE FROM row WHERE kind = ?1 AND key IN
         (SELECT key FROM row WHERE kind = ?1 ORDER BY at DESC, revision DESC LIMIT -1 OFFSET ?2)",
        params![label, number(keep)],
    )?;
    Ok(old + crowded_out)
}

pub(super) fn prune_counts(connection: &Connection, before: u32) -> Result<usize, StoreFault> {
    execute(
        connection,
        "DELETE FROM tally WHERE day < ?1",
        params![before],
    )
}

pub(super) fn prune_forgotten(
    connection: &Connection,
    before: Timestamp,
) -> Result<usize, StoreFault> {
    execute(
        connection,
        "DELETE FROM row WHERE body IS NULL AND at < ?1",
        params![number(before.unix())],
    )
}

fn execute(
    connection: &Connection,
    sql: &str,
    parameters: impl Params,
) -> Result<usize, StoreFault> {
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.execute(parameters))
        .map_err(sqlite("write"))
}

fn select(
    connection: &Connection,
    those: &str,
    parameters: impl Params,
    kind: Kind,
) -> Result<Vec<(Revision, Row)>, StoreFault> {
    let failed = sqlite("read");
    let sql = format!("SELECT key, about, at, body, revision, digest FROM row WHERE {those}");
    let mut statement = connection.prepare_cached(&sql).map_err(&failed)?;
    let mut rows = statement.query(parameters).map_err(&failed)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(&failed)? {
        found.push(read(row, kind)?);
    }
    Ok(found)
}

pub(super) fn read(row: &rusqlite::Row<'_>, kind: Kind) -> Result<(Revision, Row), StoreFault> {
    let failed = sqlite("read");
    let key: String = row.get(0).map_err(&failed)?;
    let at: i64 = row.get(2).map_err(&failed)?;
    let revision: i64 = row.get(4).map_err(&failed)?;
    let digest: Vec<u8> = row.get(5).map_err(&failed)?;
    let revision = Revision::from_number(revision.unsigned_abs());
    let place = Some(revision);
    let seconds =
        u64::try_from(at).map_err(|_| damaged(kind, &key, place, "it is from before 1970"))?;
    let row = Row {
        kind,
        about: row.get(1).map_err(&failed)?,
        at: Timestamp::from_unix(seconds),
        body: row.get(3).map_err(&failed)?,
        key,
    };
    if digest != row.digest() {
        return Err(damaged(kind, &row.key, place, "its digest does not fit"));
    }
    Ok((revision, row))
}

fn damaged(kind: Kind, key: &str, revision: Option<Revision>, what: &str) -> StoreFault {
    StoreFault::Row {
        kind,
        key: key.to_owned(),
        revision,
        what: what.to_owned(),
    }
}

/// SQLite's integers are signed; what is beyond them is as good as their end.
fn number(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}
