//! Points in time as people and programs write them: RFC 3339.

use anyhow::anyhow;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::clock::Timestamp;

/// A point in time, to the second.
pub(super) fn read(text: &str) -> anyhow::Result<Timestamp> {
    let parsed = OffsetDateTime::parse(text, &Rfc3339).map_err(|why| {
        anyhow!("expected a time such as 2026-01-31T12:00:00Z, got {text:?}: {why}")
    })?;
    let seconds = u64::try_from(parsed.unix_timestamp())
        .map_err(|_| anyhow!("expected a time after 1970, got {text:?}"))?;
    Ok(Timestamp::from_unix(seconds))
}

/// The same the other way; what no calendar holds is shown in seconds.
pub(super) fn written(at: Timestamp) -> String {
    i64::try_from(at.unix())
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| at.to_string())
}
