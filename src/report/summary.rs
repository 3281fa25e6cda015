//! From counts to a report: which domains were refused or would have been, how often and why, newest and worst first. Pure.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::counts::What;
use crate::store::Count;

/// One domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The recipient's domain, or the literal.
    pub domain: String,
    /// How often it would have been refused.
    pub would_refuse: u64,
    /// How often it was.
    pub refused: u64,
    /// The last day of either, since 1970-01-01.
    pub last: u32,
    /// Why, the most frequent first.
    pub reasons: Vec<(String, u64)>,
}

/// How often the two ways to combine DANE and MTA-STS would have decided differently.
#[must_use]
pub fn differences(counts: &[Count]) -> u64 {
    let of = |count: &&Count| count.what == What::Differs.label();
    counts.iter().filter(of).map(|count| count.number).sum()
}

/// The refusals among `counts`, by domain.
#[must_use]
pub fn refusals(counts: &[Count]) -> Vec<Line> {
    let mut lines: BTreeMap<&str, (Line, BTreeMap<&str, u64>)> = BTreeMap::new();
    for count in counts {
        let is_waived = count.what == What::WouldRefuse.label();
        if !is_waived && count.what != What::Refused.label() {
            continue;
        }
        let empty = || {
            let line = Line {
                domain: count.domain.clone(),
                would_refuse: 0,
                refused: 0,
                last: 0,
                reasons: Vec::new(),
            };
            (line, BTreeMap::new())
        };
        let (line, reasons) = lines.entry(&count.domain).or_insert_with(empty);
        let number = if is_waived {
            &mut line.would_refuse
        } else {
            &mut line.refused
        };
        *number = number.saturating_add(count.number);
        line.last = line.last.max(count.day);
        *reasons.entry(&count.reason).or_default() += count.number;
    }
    let mut lines: Vec<Line> = lines.into_values().map(with_reasons).collect();
    lines.sort_by_key(|line| Reverse((line.last, line.would_refuse.saturating_add(line.refused))));
    lines
}

fn with_reasons((line, reasons): (Line, BTreeMap<&str, u64>)) -> Line {
    let mut reasons: Vec<_> = reasons
        .into_iter()
        .map(|(reason, number)| (reason.to_owned(), number))
        .collect();
    reasons.sort_by_key(|(_, number)| Reverse(*number));
    Line { reasons, ..line }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(day: u32, domain: &str, what: &str, reason: &str, number: u64) -> Count {
        Count {
            day,
            domain: domain.into(),
            what: what.into(),
            reason: reason.into(),
            number,
        }
    }

    #[test]
    fn domains_stand_newest_first_then_worst_first_with_their_reasons() {
        let counts = [
            count(1, "old.example", "would-refuse", "dns-error", 900),
            count(3, "few.example", "would-refuse", "sts-name", 1),
            count(2, "many.example", "would-refuse", "dane-mismatch", 5),
            count(3, "many.example", "refused", "tls-handshake", 7),
            count(3, "many.example", "would-refuse", "dane-mismatch", 4),
            count(3, "few.example", "differs", "sts-name", 50),
            count(3, "few.example", "of a newer release", "x", 99),
        ];
        let told: Vec<String> = refusals(&counts)
            .into_iter()
            .map(|line| {
                format!(
                    "{} {}+{} on {}: {:?}",
                    line.domain, line.would_refuse, line.refused, line.last, line.reasons
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                "many.example 9+7 on 3: [(\"dane-mismatch\", 9), (\"tls-handshake\", 7)]",
                "few.example 1+0 on 3: [(\"sts-name\", 1)]",
                "old.example 900+0 on 1: [(\"dns-error\", 900)]",
            ]
        );
        assert_eq!(differences(&counts), 50);
        assert!(refusals(&[]).is_empty());
    }
}
