//! Rows and counts as SQL: each statement once.
//!
//! Whoever writes holds the one line of `danelaw_latest` until the end of the transaction, so that changes become
//! visible in the order of their revisions: a reader who has seen one has seen all before it.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Transaction};

use super::Latest;
use super::link::failed;
use crate::clock::Timestamp;
use crate::store::{Count, Kind, Query, Revision, Row, StoreFault};

/// What is done about a row that has that key already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Conflict {
    /// It is replaced.
    Replace,
    /// It is replaced by one that was learnt later.
    Newest,
}

pub(super) async fn changes(
    client: &Client,
    kind: Kind,
    since: Revision,
    limit: usize,
) -> Result<Vec<(Revision, Row)>, StoreFault> {
    let those = "revision > $2 ORDER BY revision LIMIT $3";
    select(
        client,
        kind,
        those,
        &[&number(since.number()), &number(limit)],
    )
    .await
}

pub(super) async fn find(
    client: &Client,
    kind: Kind,
    query: Query<'_>,
    limit: usize,
) -> Result<Vec<Row>, StoreFault> {
    const NEWEST: &str = "body IS NOT NULL ORDER BY at DESC, revision DESC LIMIT";
    let limit = number(limit);
    let found = match query {
        Query::Key(key) => {
            let those = format!("key = $2 AND {NEWEST} $3");
            select(client, kind, &those, &[&key, &limit]).await
        }
        Query::About(about) => {
            let those = format!("about = $2 AND {NEWEST} $3");
            select(client, kind, &those, &[&about, &limit]).await
        }
        Query::Latest => select(client, kind, &format!("{NEWEST} $2"), &[&limit]).await,
    }?;
    Ok(found.into_iter().map(|(_, row)| row).collect())
}

pub(super) async fn latest(client: &Client) -> Result<Latest, StoreFault> {
    let row = client
        .query_one("SELECT revision, database FROM danelaw_latest", &[])
        .await
        .map_err(failed)?;
    Ok(Latest {
        revision: revision(row.get(0)),
        database: row.get(1),
    })
}

pub(super) async fn put(
    transaction: &Transaction<'_>,
    rows: &[Row],
    conflict: Conflict,
) -> Result<(), StoreFault> {
    if rows.is_empty() {
        return Ok(());
    }
    // One statement can change a row only once: the last one counts.
    let mut last = HashMap::new();
    for (place, row) in rows.iter().enumerate() {
        last.insert((row.kind, row.key.as_str()), place);
    }
    let mut places: Vec<usize> = last.into_values().collect();
    places.sort_unstable();
    let rows: Vec<&Row> = places
        .into_iter()
        .filter_map(|place| rows.get(place))
        .collect();
    let many = number(rows.len());
    let first: i64 = transaction
        .query_one(
            "UPDATE danelaw_latest SET revision = revision + $1 RETURNING revision - $1 + 1",
            &[&many],
        )
        .await
        .map_err(failed)?
        .get(0);
    let kinds: Vec<&str> = rows.iter().map(|row| row.kind.label()).collect();
    let keys: Vec<&str> = rows.iter().map(|row| row.key.as_str()).collect();
    let abouts: Vec<&str> = rows.iter().map(|row| row.about.as_str()).collect();
    let times: Vec<i64> = rows.iter().map(|row| number(row.at.unix())).collect();
    let bodies: Vec<Option<&str>> = rows.iter().map(|row| row.body.as_deref()).collect();
    let revisions: Vec<i64> = (first..first + many).collect();
    let digests: Vec<Vec<u8>> = rows.iter().map(|row| row.digest().to_vec()).collect();
    let sql = match conflict {
        Conflict::Replace => PUT.to_owned(),
        Conflict::Newest => format!("{PUT} {UNLESS_KNOWN}"),
    };
    transaction
        .execute(
            &sql,
            &[
                &kinds, &keys, &abouts, &times, &bodies, &revisions, &digests,
            ],
        )
        .await
        .map_err(failed)?;
    Ok(())
}

pub(super) async fn delete(
    transaction: &Transaction<'_>,
    gone: &[(Kind, String)],
) -> Result<(), StoreFault> {
    let kinds: Vec<&str> = gone.iter().map(|(kind, _)| kind.label()).collect();
    let keys: Vec<&str> = gone.iter().map(|(_, key)| key.as_str()).collect();
    let sql = "DELETE FROM danelaw_row WHERE (kind, key) IN \
        (SELECT * FROM UNNEST($1::TEXT[], $2::TEXT[]))";
    transaction
        .execute(sql, &[&kinds, &keys])
        .await
        .map_err(failed)?;
    Ok(())
}

/// Adds to what this node has counted, or puts a number in place of a smaller one.
pub(super) async fn tally(
    transaction: &Transaction<'_>,
    node: &str,
    counts: &[Count],
    conflict: Conflict,
) -> Result<(), StoreFault> {
    if counts.is_empty() {
        return Ok(());
    }
    let mut summed: HashMap<(u32, &str, &str, &str), u64> = HashMap::new();
    for count in counts {
        let key = (
            count.day,
            count.domain.as_str(),
            count.what.as_str(),
            count.reason.as_str(),
        );
        let number = summed.entry(key).or_default();
        *number = number.saturating_add(count.number);
    }
    let summed: Vec<_> = summed.into_iter().collect();
    let days: Vec<i64> = summed.iter().map(|(key, _)| i64::from(key.0)).collect();
    let domains: Vec<&str> = summed.iter().map(|(key, _)| key.1).collect();
    let whats: Vec<&str> = summed.iter().map(|(key, _)| key.2).collect();
    let reasons: Vec<&str> = summed.iter().map(|(key, _)| key.3).collect();
    let numbers: Vec<i64> = summed.iter().map(|(_, value)| number(*value)).collect();
    let becomes = match conflict {
        Conflict::Replace => "known.number + excluded.number",
        Conflict::Newest => "GREATEST(known.number, excluded.number)",
    };
    let sql = format!(
        "INSERT INTO danelaw_tally AS known (day, domain, what, reason, number, node)
         SELECT *, $6 FROM UNNEST($1::BIGINT[], $2::TEXT[], $3::TEXT[], $4::TEXT[], $5::BIGINT[])
         ON CONFLICT (day, domain, what, reason, node) DO UPDATE SET number = {becomes}"
    );
    transaction
        .execute(&sql, &[&days, &domains, &whats, &reasons, &numbers, &node])
        .await
        .map_err(failed)?;
    Ok(())
}

pub(super) async fn counts(
    client: &Client,
    days: &RangeInclusive<u32>,
) -> Result<Vec<Count>, StoreFault> {
    let sql = "SELECT day, domain, what, reason, SUM(number)::BIGINT FROM danelaw_tally
        WHERE day BETWEEN $1 AND $2 GROUP BY day, domain, what, reason ORDER BY day, domain, what, reason";
    let (first, last) = (i64::from(*days.start()), i64::from(*days.end()));
    let found = client.query(sql, &[&first, &last]).await.map_err(failed)?;
    let count = |row: &tokio_postgres::Row| Count {
        day: u32::try_from(row.get::<_, i64>(0)).unwrap_or(u32::MAX),
        domain: row.get(1),
        what: row.get(2),
        reason: row.get(3),
        number: row.get::<_, i64>(4).unsigned_abs(),
    };
    Ok(found.iter().map(count).collect())
}

/// Deletes what a condition with these parameters is true of.
pub(super) async fn prune(
    client: &Client,
    those: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<usize, StoreFault> {
    let sql = format!("DELETE FROM {those}");
    let gone = client.execute(&sql, parameters).await.map_err(failed)?;
    Ok(usize::try_from(gone).unwrap_or(usize::MAX))
}

async fn select(
    client: &Client,
    kind: Kind,
    those: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Vec<(Revision, Row)>, StoreFault> {
    let sql = format!(
        "SELECT key, about, at, body, revision, digest FROM danelaw_row WHERE kind = $1 AND {those}"
    );
    let label = kind.label();
    let mut all: Vec<&(dyn ToSql + Sync)> = vec![&label];
    all.extend_from_slice(parameters);
    let found = client.query(&sql, &all).await.map_err(failed)?;
    found.iter().map(|row| read(row, kind)).collect()
}

fn read(row: &tokio_postgres::Row, kind: Kind) -> Result<(Revision, Row), StoreFault> {
    let place = revision(row.get(4));
    let digest: Vec<u8> = row.get(5);
    let row = Row {
        kind,
        key: row.get(0),
        about: row.get(1),
        at: Timestamp::from_unix(row.get::<_, i64>(2).unsigned_abs()),
        body: row.get(3),
    };
    if digest != row.digest() {
        return Err(StoreFault::Row {
            kind,
            key: row.key,
            revision: Some(place),
            what: "its digest does not fit".to_owned(),
        });
    }
    Ok((place, row))
}

fn revision(number: i64) -> Revision {
    Revision::from_number(number.unsigned_abs())
}

/// PostgreSQL's integers are signed; what is beyond them is as good as their end.
pub(super) fn number(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}

const PUT: &str = "INSERT INTO danelaw_row AS known (kind, key, about, at, body, revision, digest)
    SELECT * FROM UNNEST($1::TEXT[], $2::TEXT[], $3::TEXT[], $4::BIGINT[], $5::TEXT[], $6::BIGINT[], $7::BYTEA[])
    ON CONFLICT (kind, key) DO UPDATE SET about = excluded.about, at = excluded.at, body = excluded.body,
    revision = excluded.revision, digest = excluded.digest";

/// A row of a clock that runs far ahead must not stay for ever.
const UNLESS_KNOWN: &str = "WHERE known.digest <> excluded.digest AND (known.at <= excluded.at
    OR known.at > EXTRACT(EPOCH FROM now())::BIGINT + 86400)";
