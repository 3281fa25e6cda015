//! Points in time as people and programs write them: RFC 3339 §5.6, or a day. [`as_text`] is that for serde.

use std::time::Duration;

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

/// What a day stands for where a point in time is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Day {
    /// Its first second.
    Begins,
    /// The first second after it.
    Ends,
}

/// The same, or a day (in UTC) alone, as `2026-01-31`.
pub(crate) fn read_day(text: &str, day: Day) -> Result<Timestamp, NoTime> {
    if text.len() != A_DAY.len() {
        return read(text);
    }
    let begins = read(&format!("{text}T00:00:00Z")).map_err(|error| error.about(text))?;
    Ok(match day {
        Day::Begins => begins,
        Day::Ends => begins.plus(Duration::from_secs(86_400)),
    })
}

/// The day of a point in time, in UTC.
pub(crate) fn day(at: Timestamp) -> String {
    let mut text = written(at);
    text.truncate(A_DAY.len());
    text
}

const A_DAY: &str = "2026-01-31";

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

impl NoTime {
    /// The same of the text that was given.
    fn about(self, text: &str) -> Self {
        let text = text.to_owned();
        match self {
            Self::Unreadable { why, .. } => Self::Unreadable { text, why },
            Self::Early { .. } => Self::Early { text },
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_and_ends_at_midnight_and_a_time_is_itself() {
        for (text, day, expected) in [
            ("2026-01-31", Day::Begins, Some("2026-01-31T00:00:00Z")),
            ("2026-01-31", Day::Ends, Some("2026-02-01T00:00:00Z")),
            (
                "2026-01-31T12:00:00+02:00",
                Day::Ends,
                Some("2026-01-31T10:00:00Z"),
            ),
            ("2026-02-30", Day::Begins, None),
            ("1969-12-31", Day::Begins, None),
            ("31.01.2026", Day::Begins, None),
            ("tomorrow", Day::Begins, None),
        ] {
            let read = read_day(text, day);
            if let Err(error) = &read {
                assert!(
                    error.to_string().contains(&format!("got {text:?}")),
                    "{error}"
                );
            }
            assert_eq!(read.ok().map(written).as_deref(), expected, "{text}");
        }
        assert_eq!(day(read("2026-01-31T12:00:00Z").unwrap()), "2026-01-31");
    }
}
