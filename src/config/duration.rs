//! How a duration is written: numbers with units, the largest first.

use std::time::Duration;

use serde_json::Value as Json;
use toml::de::DeValue;

use super::value::Value;

impl Value for Duration {
    fn read(value: &DeValue<'_>) -> Result<Self, &'static str> {
        value
            .as_str()
            .and_then(parse_duration)
            .filter(|duration| !duration.is_zero() && *duration <= LONGEST)
            .ok_or("a duration from \"1ms\" to \"24h\", as \"20s\", \"5m\" or \"1m30s\"")
    }

    fn write(&self) -> Json {
        write_duration(*self).into()
    }
}

/// No patience is longer: it would be a resource leak.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Largest first, in milliseconds.
const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total: u64 = 0;
    let mut last = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at(digits);
        let letters = after
            .find(|c: char| !c.is_ascii_lowercase())
            .unwrap_or(after.len());
        let (word, after) = after.split_at(letters);
        let unit = UNITS.iter().find(|unit| unit.0 == word)?.1;
        if unit >= last {
            return None;
        }
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(unit)?)?;
        (last, rest) = (unit, after);
    }
    (!text.is_empty()).then_some(Duration::from_millis(total))
}

fn write_duration(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (word, unit) in UNITS {
        if rest >= unit {
            text.push_str(&format!("{}{word}", rest / unit));
            rest %= unit;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_readable_and_come_back_as_they_were_written() {
        for (text, millis) in [
            ("20s", Some(20_000)),
            ("5m", Some(300_000)),
            ("120ms", Some(120)),
            ("1m30s", Some(90_000)),
            ("24h", Some(86_400_000)),
            ("", None),
            ("20", None),
            ("s", None),
            ("20 s", None),
            ("-1s", None),
            ("1.5s", None),
            ("1s1m", None),
            ("1s1s", None),
            ("1d", None),
            ("99999999999999999999s", None),
            ("99999999999999999h", None),
        ] {
            let read = parse_duration(text);
            assert_eq!(read.map(|d| d.as_millis()), millis, "{text:?}");
            if let Some(duration) = read {
                assert_eq!(write_duration(duration), text);
            }
        }
    }
}
