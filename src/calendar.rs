//! Points in time as people and programs write them: RFC 3339 §5.6. [`as_text`] is that for serde.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::clock::Timestamp;

/// A point in time, to the second.
pub(crate) fn read(text: &str) -> Result<Timestamp, NoTime> {
    let parsed = OffsetDateTime::parse(text, &Rfc3339).map_err(|why| NoTime::Unreadable {
        text: text.to_owned(),
        why,
    })?;
    let seconds = u64::try_from(parsed.unix_timestamp()).map_err(|_| NoTime::Early {
        text: text.to_owned(),
    })?;
    Ok(Timestamp::from_unix(seconds))
}

/// Why a text is no point in time.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoTime {
    /// Not in the format.
    #[error("expected a time such as 2026-01-31T12:00:00Z, got {text:?}: {why}")]
    Unreadable {
        /// The text.
        text: String,
        /// What is wrong with it.
        why: time::error::Parse,
    },
    /// Before the epoch.
    #[error("expected a time after 1970, got {text:?}")]
    Early {
        /// The text.
        text: String,
    },
}

/// The same the other way; what no calendar holds is shown in seconds.
pub(crate) fn written(at: Timestamp) -> String {
    i64::try_from(at.unix())
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| at.to_string())
}

/// For `#[serde(with = "…")]` on a [`Timestamp`].
pub(crate) mod as_text {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use crate::clock::Timestamp;

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde passes a reference"
    )]
    pub(crate) fn serialize<S: Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&super::written(*at))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        let text = String::deserialize(from)?;
        super::read(&text).map_err(de::Error::custom)
    }
}
