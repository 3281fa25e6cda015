//! What the owner of a policy should know about it: all that is wrong, with the section that says so and what to do, and
//! what is legal and yet unwise ([`Unwise`]). Pure.
//!
//! A body is read by the code that enforcement reads with ([`Policy::read`]): it is a policy exactly when nothing here
//! is an error.

use std::collections::HashMap;
use std::fmt;

use super::policy::{self, Faults, MAX_AGE, MAX_MX, MxPattern, Policy, Rule};
use super::record::{Malformed, NoRecord};

/// A body, looked at as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lint {
    /// The policy, or all that keeps the body from being one.
    pub read: Result<Policy, Faults>,
    /// By line; first what concerns no line.
    pub remarks: Vec<Remark>,
}

/// Something that is legal and unwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// From 1; none for the body as a whole.
    pub line: Option<usize>,
    /// What.
    pub what: Unwise,
}

/// What senders accept, or some of them, and what its owner may not have meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unwise {
    /// Failures are told and mail is delivered all the same.
    #[error("mode is testing: mail is delivered whatever fails")]
    Testing,
    /// There might as well be no policy.
    #[error("mode is none: no sender enforces anything")]
    Withdrawn,
    /// The policy is forgotten before anybody can use it again.
    #[error("max_age is 0: the policy is never cached")]
    NoLife,
    /// Whoever keeps senders from renewing it for some days has won.
    #[error("max_age is {0} s, less than a week")]
    ShortLife(u64),
    /// Longer than the standard allows.
    #[error("max_age is {0} s, more than the maximum of {max} s, which is taken instead", max = MAX_AGE.as_secs())]
    LongLife(u64),
    /// A second one of a field that may not repeat.
    #[error("a second `{0}` is ignored: the first counts")]
    Ignored(&'static str),
    /// Nobody knows this key.
    #[error("`{key}` is no key of RFC 8461 and is ignored{}", Meant(*.meant))]
    Unknown {
        /// As it stands there.
        key: String,
        /// What it resembles.
        meant: Option<&'static str>,
    },
    /// The same host twice.
    #[error("`{0}` is listed twice")]
    Repeated(String),
    /// Any host of a whole top-level domain.
    #[error("`{0}` lists every host directly below a top-level domain")]
    Broad(String),
    /// Letters, digits and hyphens, and no name that can be typed.
    #[error(
        "`{0}` has a label that begins with xn-- and is no A-label: it stands for no international name"
    )]
    FakeLabel(String),
    /// As the ABNF has it before erratum 6253, and as it has it after.
    #[error("some lines end with CRLF and some with LF")]
    MixedEnds,
    /// The last line does not end.
    #[error("the last line has no line end")]
    Unended,
}

/// The last words of [`Unwise::Unknown`].
struct Meant(Option<&'static str>);

impl fmt::Display for Meant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(key) => write!(f, "; is `{key}` meant?"),
            None => Ok(()),
        }
    }
}

impl Lint {
    /// Looks at a body.
    #[must_use]
    pub fn of(body: &[u8]) -> Self {
        let read = Policy::read(body);
        let mut remarks = Vec::new();
        // Of a body that is too long only that is known.
        if body.len() <= policy::MAX_BODY {
            let mut seen = Seen::default();
            whole(body, &mut remarks);
            for (index, field) in policy::fields(body).enumerate() {
                let line = Some(index + 1);
                let found = field
                    .ok()
                    .into_iter()
                    .flat_map(|field| seen.remarks(&field));
                remarks.extend(found.map(|what| Remark { line, what }));
            }
        }
        Self { read, remarks }
    }
}

/// What concerns no line of its own.
fn whole(body: &[u8], remarks: &mut Vec<Remark>) {
    let ends = body.iter().filter(|byte| **byte == b'\n').count();
    let crlf = memchr::memmem::find_iter(body, b"\r\n").count();
    let found = [
        (crlf > 0 && crlf < ends).then_some(Unwise::MixedEnds),
        (!body.is_empty() && !body.ends_with(b"\n")).then_some(Unwise::Unended),
    ];
    let found = found.into_iter().flatten();
    remarks.extend(found.map(|what| Remark { line: None, what }));
}

/// What stood above.
#[derive(Default)]
struct Seen {
    keys: HashMap<&'static str, usize>,
    mx: HashMap<String, usize>,
}

impl Seen {
    fn remarks(&mut self, field: &policy::Field<'_>) -> Vec<Unwise> {
        let Some(key) = KEYS.into_iter().find(|key| *key == field.key) else {
            return vec![unknown(field.key)];
        };
        let times = self.keys.entry(key).or_default();
        *times += 1;
        match key {
            "mx" if *times > MAX_MX => Vec::new(),
            "mx" => self.mx(field.value),
            _ if *times > 1 => vec![Unwise::Ignored(key)],
            "mode" => mode(field.value).into_iter().collect(),
            "max_age" => max_age(field.value).into_iter().collect(),
            _ => Vec::new(),
        }
    }

    fn mx(&mut self, value: &str) -> Vec<Unwise> {
        let value = value.to_ascii_lowercase();
        let times = self.mx.entry(value.clone()).or_default();
        *times += 1;
        let repeated = (*times == 2).then(|| Unwise::Repeated(value.clone()));
        // Of what is no pattern that is told.
        let Some(pattern) = MxPattern::parse(&value) else {
            return repeated.into_iter().collect();
        };
        let top_level = value
            .strip_prefix("*.")
            .is_some_and(|rest| !rest.contains('.'));
        let broad = top_level.then_some(Unwise::Broad(value.clone()));
        let fake = pattern.is_fake().then_some(Unwise::FakeLabel(value));
        repeated.into_iter().chain(broad).chain(fake).collect()
    }
}

fn unknown(key: &str) -> Unwise {
    let plain = |key: &str| -> String {
        let letters = key.bytes().filter(u8::is_ascii_alphanumeric);
        letters
            .map(|byte| char::from(byte.to_ascii_lowercase()))
            .collect()
    };
    Unwise::Unknown {
        key: key.to_owned(),
        meant: KEYS.into_iter().find(|known| plain(known) == plain(key)),
    }
}

fn mode(value: &str) -> Option<Unwise> {
    match value {
        "testing" => Some(Unwise::Testing),
        "none" => Some(Unwise::Withdrawn),
        _ => None,
    }
}

fn max_age(value: &str) -> Option<Unwise> {
    match policy::seconds(value).ok()? {
        0 => Some(Unwise::NoLife),
        short if short < WEEK => Some(Unwise::ShortLife(short)),
        long if long > MAX_AGE.as_secs() => Some(Unwise::LongLife(long)),
        _ => None,
    }
}

impl Unwise {
    /// A stable word for programs.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Testing => "mode-testing",
            Self::Withdrawn => "mode-none",
            Self::NoLife => "max-age-zero",
            Self::ShortLife(_) => "max-age-short",
            Self::LongLife(_) => "max-age-long",
            Self::Ignored(_) => "field-repeated",
            Self::Unknown { .. } => "key-unknown",
            Self::Repeated(_) => "mx-repeated",
            Self::Broad(_) => "mx-broad",
            Self::FakeLabel(_) => "mx-fake-a-label",
            Self::MixedEnds => "line-ends-mixed",
            Self::Unended => "line-end-missing",
        }
    }

    /// What to do.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Testing => {
                "Write `mode: enforce` and a new id once the TLSRPT reports are clean."
            }
            Self::Withdrawn => {
                "Leave it until the longest max_age that was ever published has passed, then remove record and policy."
            }
            Self::NoLife | Self::ShortLife(_) => "Write a max_age of some weeks, as 2592000.",
            Self::LongLife(_) => "Write at most 31557600: some senders refuse more.",
            Self::Ignored(_) => "Remove this line.",
            Self::Unknown { .. } => "Mend the key, or remove the line.",
            Self::Repeated(_) => "Remove one of the two.",
            Self::FakeLabel(_) => {
                "Write the name as the MX record has it; `idn2 NAME` makes the A-labels of an international one."
            }
            Self::Broad(_) => "List the hosts, or a wildcard below a domain of your own.",
            Self::MixedEnds => "End all lines with CRLF: every sender reads that.",
            Self::Unended => "End the last line too: every sender reads that.",
        }
    }

    /// The section that it follows from.
    #[must_use]
    pub const fn section(&self) -> &'static str {
        match self {
            Self::Testing => "RFC 8461 §5",
            Self::Withdrawn => "RFC 8461 §8.3",
            Self::Broad(_) => "RFC 8461 §4.1",
            Self::FakeLabel(_) => "RFC 8461 §3.2, RFC 5890 §2.3.1",
            Self::NoLife
            | Self::ShortLife(_)
            | Self::LongLife(_)
            | Self::Ignored(_)
            | Self::Unknown { .. }
            | Self::Repeated(_)
            | Self::MixedEnds
            | Self::Unended => "RFC 8461 §3.2",
        }
    }
}

impl Rule {
    /// A stable word for programs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::TooLong => "too-long",
            Self::NotUtf8 => "not-utf-8",
            Self::EmptyLine => "empty-line",
            Self::NoColon => "no-colon",
            Self::BadKey => "bad-key",
            Self::NoValue => "no-value",
            Self::ControlCharacter => "control-character",
            Self::BadVersion => "bad-version",
            Self::BadMode => "bad-mode",
            Self::BadMaxAge => "bad-max-age",
            Self::BadMx => "bad-mx",
            Self::ManyMx => "many-mx",
            Self::NoVersion => "no-version",
            Self::NoMode => "no-mode",
            Self::NoMaxAge => "no-max-age",
            Self::NoMx => "no-mx",
        }
    }

    /// The section that it is of.
    #[must_use]
    pub const fn section(self) -> &'static str {
        match self {
            Self::TooLong => "RFC 8461 §3.3",
            Self::BadMx => "RFC 8461 §3.2, RFC 5321 §4.1.2",
            Self::NotUtf8
            | Self::EmptyLine
            | Self::NoColon
            | Self::BadKey
            | Self::NoValue
            | Self::ControlCharacter
            | Self::BadVersion
            | Self::BadMode
            | Self::BadMaxAge
            | Self::ManyMx
            | Self::NoVersion
            | Self::NoMode
            | Self::NoMaxAge
            | Self::NoMx => "RFC 8461 §3.2",
        }
    }

    /// What to do.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::TooLong => "Shorten the policy: use wildcards, remove what is no field.",
            Self::NotUtf8 => "Save the file as UTF-8; ASCII is enough.",
            Self::EmptyLine => "Remove the line; a policy has no empty lines and no comments.",
            Self::NoColon => "Write `key: value`, or remove the line.",
            Self::BadKey => {
                "Begin the line with the key, without a byte order mark or white space before it or before the colon."
            }
            Self::NoValue => "Write a value behind the colon, or remove the line.",
            Self::ControlCharacter => {
                "Remove it: end lines with CRLF or LF, separate words with spaces."
            }
            Self::BadVersion => "Write `version: STSv1`, with these capitals.",
            Self::BadMode => "Write enforce, testing or none, in small letters.",
            Self::BadMaxAge => "Write a number of seconds in 1 to 10 digits, as 2592000.",
            Self::BadMx => {
                "Write the name of one MX host, or `*.` and a domain; no address, no trailing dot, no port, one per line, \
                 international names as A-labels (xn--…)."
            }
            Self::ManyMx => "Replace hosts by wildcards.",
            Self::NoVersion => "Add the line `version: STSv1`.",
            Self::NoMode => "Add a line `mode: testing`, or `mode: enforce`.",
            Self::NoMaxAge => "Add a line as `max_age: 2592000`.",
            Self::NoMx => "Add a line `mx: ` for each MX host of the domain.",
        }
    }
}

impl NoRecord {
    /// A stable word for programs.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::None => "no-record",
            Self::Several(_) => "several-records",
            Self::Malformed(_) => "bad-record",
        }
    }

    /// What to do.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::None => {
                "Publish a TXT record as \"v=STSv1; id=20260101T000000;\" at _mta-sts below the domain."
            }
            Self::Several(_) => "Leave one of them: several count as none.",
            Self::Malformed(malformed) => match malformed {
                Malformed::EmptyField(_) => "Remove the superfluous semicolon.",
                Malformed::NotAField(_) => {
                    "Write `name=value;` in printable US-ASCII without white space inside or at the end."
                }
                Malformed::BadId(_) => "Write an id of 1 to 32 letters and digits, nothing else.",
                Malformed::NoId => {
                    "Add `id=` and 1 to 32 letters and digits, new whenever the policy changes."
                }
            },
        }
    }
}

/// The keys that the standard knows.
const KEYS: [&str; 4] = ["version", "mode", "mx", "max_age"];

/// RFC 8461 §3.2 wants "weeks or greater".
const WEEK: u64 = 7 * 24 * 3600;

#[cfg(test)]
mod tests {
    use super::*;

    fn remarks(body: &str) -> Vec<(Option<usize>, &'static str)> {
        let lint = Lint::of(body.as_bytes());
        let told = |remark: &Remark| (remark.line, remark.what.label());
        lint.remarks.iter().map(told).collect()
    }

    #[test]
    fn a_policy_as_it_should_be_is_left_alone() {
        for mx in ["mx.example.com", "*.example.com"] {
            let body =
                format!("version: STSv1\r\nmode: enforce\r\nmx: {mx}\r\nmax_age: 2592000\r\n");
            let lint = Lint::of(body.as_bytes());
            assert!(lint.read.is_ok() && lint.remarks.is_empty(), "{lint:?}");
        }
    }

    #[test]
    fn sts_42_sts_44_sts_46_every_fault_is_told_with_its_line() {
        let body = "version: STSv2\nmode enforce\nmx: *\nmx: good.example\n\nmx: bad.example.\nmax_age: soon\n";
        let faults = Policy::read(body.as_bytes()).unwrap_err();
        let told: Vec<String> = std::iter::once(&faults.first)
            .chain(&faults.others)
            .map(|fault| format!("{} {}", fault.line, fault.rule.label()))
            .collect();
        assert_eq!(
            told,
            [
                "1 bad-version",
                "2 no-colon",
                "3 bad-mx",
                "5 empty-line",
                "6 bad-mx",
                "7 bad-max-age",
                "8 no-mode",
            ]
        );
        // A second one does not mend a bad first, and is no fault of its own; without a mode nobody needs an mx.
        let faults = Policy::read(b"mode: Enforce\nmode: none\nversion: STSv1\n").unwrap_err();
        let rules: Vec<&str> = std::iter::once(&faults.first)
            .chain(&faults.others)
            .map(|fault| fault.rule.label())
            .collect();
        assert_eq!(rules, ["bad-mode", "no-max-age"]);
    }

    #[test]
    fn sts_45_a_fake_a_label_is_told_of_and_leaves_the_policy_in_force() {
        for (mx, expected) in [
            ("xn--a.example", &[(Some(3), "mx-fake-a-label")][..]),
            ("*.XN--A.example", &[(Some(3), "mx-fake-a-label")]),
            ("mx.xn--mller-kva-.example", &[]),
            ("xn--mller-kva.example", &[]),
            ("*.xn--nxasmm1c.example", &[]),
            ("mx.xn--p1ai", &[]),
        ] {
            let body = format!("version: STSv1\nmode: enforce\nmx: {mx}\nmax_age: 2592000\n");
            let is_a_name = !mx.contains("-.");
            assert_eq!(Policy::parse(body.as_bytes()).is_ok(), is_a_name, "{mx}");
            assert_eq!(remarks(&body), expected, "{mx}");
        }
    }

    #[test]
    fn of_what_is_no_pattern_nothing_else_is_told() {
        for mx in ["*.", "*.example.", "*.*", "*"] {
            let body = format!("version: STSv1\nmode: enforce\nmx: {mx}\nmax_age: 2592000\n");
            assert!(Policy::parse(body.as_bytes()).is_err(), "{mx}");
            assert_eq!(remarks(&body), [], "{mx}");
        }
        let body = "version: STSv1\nmode: enforce\nmx: *.example\nmax_age: 2592000\n";
        assert_eq!(remarks(body), [(Some(3), "mx-broad")]);
    }

    #[test]
    fn what_is_legal_and_unwise_is_told_with_its_line() {
        for (body, expected) in [
            (
                "version: STSv1\nmode: testing\nmx: a.example\nmax_age: 604799\n",
                &[(Some(2), "mode-testing"), (Some(4), "max-age-short")][..],
            ),
            (
                "version: STSv1\nmode: none\nmax_age: 0",
                &[
                    (None, "line-end-missing"),
                    (Some(2), "mode-none"),
                    (Some(3), "max-age-zero"),
                ],
            ),
            (
                "version: STSv1\r\nmode: enforce\nmx: A.example\nmx: a.example\nmx: a.example\nmax_age: 31557601\n",
                &[
                    (None, "line-ends-mixed"),
                    (Some(4), "mx-repeated"),
                    (Some(6), "max-age-long"),
                ],
            ),
            (
                "version: STSv1\nmode: enforce\nmode: none\nmx: *.com\nmax_age: 604800\nmax-age: 1\nnote: x\n",
                &[
                    (Some(3), "field-repeated"),
                    (Some(4), "mx-broad"),
                    (Some(6), "key-unknown"),
                    (Some(7), "key-unknown"),
                ],
            ),
        ] {
            assert_eq!(remarks(body), expected, "{body:?}");
        }
        let Unwise::Unknown { meant, .. } = unknown("Max-Age") else {
            panic!("it is known");
        };
        assert_eq!(meant, Some("max_age"));
        assert_eq!(
            unknown("MX").to_string(),
            "`MX` is no key of RFC 8461 and is ignored; is `mx` meant?"
        );
    }

    #[test]
    fn remedies_are_sentences_in_the_imperative_mood() {
        let rules = RULES.map(Rule::remedy).into_iter();
        let records = [
            NoRecord::None,
            NoRecord::Several(2),
            NoRecord::Malformed(Malformed::NoId),
            NoRecord::Malformed(Malformed::EmptyField(1)),
            NoRecord::Malformed(Malformed::NotAField(1)),
            NoRecord::Malformed(Malformed::BadId(1)),
        ];
        let records = records.iter().map(NoRecord::remedy);
        for remedy in rules.chain(records) {
            let verb = remedy.split(' ').next().unwrap();
            assert!(VERBS.contains(&verb), "{remedy}");
            assert!(remedy.ends_with('.'), "{remedy}");
        }
        let mut labels: Vec<&str> = RULES.iter().map(|rule| rule.label()).collect();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), RULES.len());
    }

    const VERBS: [&str; 10] = [
        "Shorten", "Save", "Remove", "Write", "Begin", "Add", "Replace", "Publish", "Leave", "Mend",
    ];

    const RULES: [Rule; 16] = [
        Rule::TooLong,
        Rule::NotUtf8,
        Rule::EmptyLine,
        Rule::NoColon,
        Rule::BadKey,
        Rule::NoValue,
        Rule::ControlCharacter,
        Rule::BadVersion,
        Rule::BadMode,
        Rule::BadMaxAge,
        Rule::BadMx,
        Rule::ManyMx,
        Rule::NoVersion,
        Rule::NoMode,
        Rule::NoMaxAge,
        Rule::NoMx,
    ];
}
