//! The policy file, parsed strictly (RFC 8461 §3.2 with erratum 6253), and its MX patterns.
//!
//! Every line must be a field of the grammar, known or not; one that is none makes the whole policy invalid, and so
//! does one bad `mx`. Of fields that may not repeat the first counts. What is wrong is an [`InvalidPolicy`]; enforcement
//! stops at the first, `lint` tells all of them, and both read by the same code.

mod fault;

use std::cmp::Ordering;
use std::time::Duration;

use crate::name::{DnsName, MxHost};

pub use fault::{Faults, InvalidPolicy, Rule};

/// A policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What to do with what fails.
    pub mode: Mode,
    /// Which MX hosts are the domain's; empty only with [`Mode::None`].
    pub mx: Vec<MxPattern>,
    /// How long it lives from a successful fetch, at most 31557600 s.
    pub max_age: Duration,
    /// The text as it was fetched, for reports and the store.
    pub text: String,
}

/// RFC 8461 §5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Refuse what fails.
    Enforce,
    /// Deliver, but evaluate and report.
    Testing,
    /// As if there were no policy.
    None,
}

impl Mode {
    /// The word in the policy file.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Testing => "testing",
            Self::None => "none",
        }
    }
}

/// A host name, or `*.` and the rest: exactly one label is free (RFC 8461 §4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MxPattern(String);

/// Octets of a body; RFC 8461 §3.3 suggests this bound.
pub const MAX_BODY: usize = 64 * 1024;

/// MX patterns of a policy. The grammar has no bound; nobody has so many hosts, and each costs a comparison per host
/// and session.
pub const MAX_MX: usize = 1000;

/// RFC 8461 §3.2: "a maximum value of 31557600". What is longer is taken for the maximum, not for an error: the
/// domain has asked for protection.
pub const MAX_AGE: Duration = Duration::from_secs(31_557_600);

impl Policy {
    /// Parses a policy body of at most 64 KiB.
    ///
    /// # Errors
    /// The first [`InvalidPolicy`]; an invalid policy never replaces a live one.
    pub fn parse(body: &[u8]) -> Result<Self, InvalidPolicy> {
        Self::read(body).map_err(|faults| faults.first)
    }

    /// The same, with everything that is wrong with a body that is no policy.
    ///
    /// # Errors
    /// One [`InvalidPolicy`] per line, and those of fields that are missing.
    pub fn read(body: &[u8]) -> Result<Self, Faults> {
        if body.len() > MAX_BODY {
            return Err(Faults::only(Rule::TooLong.at(1)));
        }
        let mut draft = Draft::default();
        let mut faults = Vec::new();
        let mut line = 1;
        for content in fields(body) {
            let taken = content.and_then(|field| draft.take(&field));
            faults.extend(taken.err().map(|rule| rule.at(line)));
            line += 1;
        }
        faults.extend(draft.missing().map(|rule| rule.at(line)));
        match (Faults::of(faults), draft.policy(body)) {
            (None, Some(policy)) => Ok(policy),
            (Some(faults), Some(_) | None) => Err(faults),
            // Cannot be: lines that are UTF-8 make a text that is, and a slot without a value has a fault.
            (None, None) => Err(Faults::only(Rule::NotUtf8.at(1))),
        }
    }

    /// Does a pattern match the exchange of the MX record?
    #[must_use]
    pub fn lists(&self, host: &MxHost) -> bool {
        self.mx.iter().any(|pattern| pattern.matches(host))
    }
}

/// What has been read so far.
#[derive(Default)]
struct Draft {
    version: Slot<Version>,
    mode: Slot<Mode>,
    max_age: Slot<Duration>,
    mx: Vec<MxPattern>,
    /// Good and bad.
    mx_lines: usize,
}

/// The one version there is.
struct Version;

/// A field that may not repeat. RFC 8461 §3.2: "all entries except for the first SHALL be ignored", so a later one need
/// only be well-formed, and does not mend a bad one.
#[derive(Default)]
enum Slot<T> {
    #[default]
    Missing,
    Bad,
    Filled(T),
}

impl<T> Slot<T> {
    fn fill(&mut self, read: Result<T, Rule>) -> Result<(), Rule> {
        if matches!(self, Self::Missing) {
            match read {
                Ok(value) => *self = Self::Filled(value),
                Err(rule) => {
                    *self = Self::Bad;
                    return Err(rule);
                }
            }
        }
        Ok(())
    }

    fn missing(&self, rule: Rule) -> Option<Rule> {
        matches!(self, Self::Missing).then_some(rule)
    }

    fn filled(self) -> Option<T> {
        match self {
            Self::Filled(value) => Some(value),
            Self::Missing | Self::Bad => None,
        }
    }
}

impl Draft {
    fn take(&mut self, field: &Field<'_>) -> Result<(), Rule> {
        let value = field.value;
        match field.key {
            "version" => self.version.fill(version(value)),
            "mode" => self.mode.fill(mode(value)),
            "max_age" => self.max_age.fill(max_age(value)),
            "mx" => self.take_mx(value),
            _ => Ok(()),
        }
    }

    fn take_mx(&mut self, value: &str) -> Result<(), Rule> {
        self.mx_lines += 1;
        match self.mx_lines.cmp(&(MAX_MX + 1)) {
            Ordering::Less => {
                self.mx.push(MxPattern::parse(value).ok_or(Rule::BadMx)?);
                Ok(())
            }
            Ordering::Equal => Err(Rule::ManyMx),
            // Said once.
            Ordering::Greater => Ok(()),
        }
    }

    fn missing(&self) -> impl Iterator<Item = Rule> {
        // What a bad or missing mode would ask for nobody knows.
        let wants_mx = matches!(self.mode, Slot::Filled(Mode::Enforce | Mode::Testing));
        [
            self.version.missing(Rule::NoVersion),
            self.mode.missing(Rule::NoMode),
            self.max_age.missing(Rule::NoMaxAge),
            (wants_mx && self.mx_lines == 0).then_some(Rule::NoMx),
        ]
        .into_iter()
        .flatten()
    }

    fn policy(self, body: &[u8]) -> Option<Policy> {
        let Version = self.version.filled()?;
        Some(Policy {
            mode: self.mode.filled()?,
            mx: self.mx,
            max_age: self.max_age.filled()?,
            text: str::from_utf8(body).ok()?.to_owned(),
        })
    }
}

fn version(value: &str) -> Result<Version, Rule> {
    (value == "STSv1")
        .then_some(Version)
        .ok_or(Rule::BadVersion)
}

fn mode(value: &str) -> Result<Mode, Rule> {
    match value {
        "enforce" => Ok(Mode::Enforce),
        "testing" => Ok(Mode::Testing),
        "none" => Ok(Mode::None),
        _ => Err(Rule::BadMode),
    }
}

fn max_age(value: &str) -> Result<Duration, Rule> {
    Ok(Duration::from_secs(seconds(value)?).min(MAX_AGE))
}

/// As it is written, which may be more than the maximum.
pub(super) fn seconds(value: &str) -> Result<u64, Rule> {
    let digits = (1..=10).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_digit());
    digits
        .then(|| value.parse().ok())
        .flatten()
        .ok_or(Rule::BadMaxAge)
}

/// `sts-policy-ext`: the shape that known fields have too.
pub(super) struct Field<'a> {
    /// What stands before the colon.
    pub(super) key: &'a str,
    /// What stands after it, without white space around.
    pub(super) value: &'a str,
}

impl<'a> Field<'a> {
    fn parse(line: &'a [u8]) -> Result<Self, Rule> {
        let line = str::from_utf8(line).map_err(|_| Rule::NotUtf8)?;
        let line = line.trim_end_matches(WSP);
        if line.is_empty() {
            return Err(Rule::EmptyLine);
        }
        let (key, value) = line.split_once(':').ok_or(Rule::NoColon)?;
        if !super::is_field_name(key.as_bytes()) {
            return Err(Rule::BadKey);
        }
        let value = value.trim_start_matches(WSP);
        if value.is_empty() {
            return Err(Rule::NoValue);
        }
        if value.bytes().any(|byte| byte.is_ascii_control()) {
            return Err(Rule::ControlCharacter);
        }
        Ok(Self { key, value })
    }
}

/// One per line.
pub(super) fn fields(body: &[u8]) -> impl Iterator<Item = Result<Field<'_>, Rule>> {
    lines(body).map(Field::parse)
}

/// Lines end with LF or CRLF (erratum 6253); the last one need not end at all. A CR elsewhere stays in the value,
/// where it is a control character.
fn lines(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    body.split_inclusive(|byte| *byte == b'\n').map(|line| {
        line.strip_suffix(b"\r\n")
            .or_else(|| line.strip_suffix(b"\n"))
            .unwrap_or(line)
    })
}

const WSP: [char; 2] = [' ', '\t'];

impl MxPattern {
    /// The pattern as text, lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `["*."] Domain` of RFC 5321 §4.1.2: A-labels only, no trailing dot, no address.
    ///
    /// A label that begins with `xn--` and stands for no international one ([`Self::is_fake`]) is letters, digits and
    /// hyphens like any other: to drop the policy for it would leave its other hosts without any.
    pub(super) fn parse(value: &str) -> Option<Self> {
        let host = value.strip_prefix("*.").unwrap_or(value);
        let name = DnsName::parse(host).ok()?;
        (name.is_host_name() && !host.ends_with('.')).then(|| Self(value.to_ascii_lowercase()))
    }

    /// Has it a label that looks like an A-label and is none (RFC 5890 §2.3.1)?
    pub(super) fn is_fake(&self) -> bool {
        let host = self.0.strip_prefix("*.").unwrap_or(&self.0);
        DnsName::parse_unicode(host).is_err()
    }

    /// RFC 8461 §4.1: the wildcard stands for the left-most label, whole and alone.
    #[must_use]
    pub fn matches(&self, host: &MxHost) -> bool {
        match self.0.strip_prefix("*.") {
            None => self.0 == host.as_str(),
            Some(parent) => host
                .as_str()
                .split_once('.')
                .is_some_and(|(_, rest)| rest == parent),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mtasts::lint::Lint;

    /// A file of `testdata/mtasts` with its name.
    macro_rules! file {
        ($name:literal) => {
            (
                $name,
                include_bytes!(concat!("../../testdata/mtasts/", $name)) as &[u8],
            )
        };
    }

    type File = (&'static str, &'static [u8]);

    const VALID: [(File, Mode, u64, usize); 12] = [
        (file!("crlf.txt"), Mode::Enforce, 604800, 2),
        (file!("duplicates.txt"), Mode::Testing, 60, 1),
        (file!("lf.txt"), Mode::Enforce, 604800, 2),
        (file!("max-age-clamped.txt"), Mode::Enforce, 31557600, 1),
        (file!("max-age-zero.txt"), Mode::Enforce, 0, 1),
        (file!("mixed-ends.txt"), Mode::Testing, 86400, 1),
        (file!("mx-1000.txt"), Mode::Enforce, 604800, 1000),
        (file!("none-without-mx.txt"), Mode::None, 86400, 0),
        (file!("reordered.txt"), Mode::Enforce, 604800, 1),
        (file!("trailing-white-space.txt"), Mode::Enforce, 604800, 1),
        (file!("unknown-keys.txt"), Mode::Enforce, 604800, 1),
        (file!("upper-case-mx.txt"), Mode::Enforce, 604800, 2),
    ];

    const INVALID: [(File, usize, Rule); 30] = [
        (file!("bom.txt"), 1, Rule::BadKey),
        (file!("cr-at-end.txt"), 4, Rule::ControlCharacter),
        (file!("cr-only.txt"), 1, Rule::ControlCharacter),
        (file!("empty-line-at-end.txt"), 5, Rule::EmptyLine),
        (file!("empty-line.txt"), 3, Rule::EmptyLine),
        (file!("empty.txt"), 1, Rule::NoVersion),
        (file!("html.txt"), 1, Rule::NoColon),
        (file!("latin1.txt"), 5, Rule::NotUtf8),
        (file!("leading-white-space.txt"), 2, Rule::BadKey),
        (file!("long-key.txt"), 5, Rule::BadKey),
        (file!("max-age-11-digits.txt"), 4, Rule::BadMaxAge),
        (file!("max-age-fraction.txt"), 4, Rule::BadMaxAge),
        (file!("max-age-signed.txt"), 4, Rule::BadMaxAge),
        (file!("mx-1001.txt"), 1003, Rule::ManyMx),
        (file!("mx-one-bad.txt"), 3, Rule::BadMx),
        (file!("mx-u-label.txt"), 3, Rule::BadMx),
        (file!("no-colon.txt"), 5, Rule::NoColon),
        (file!("no-max-age.txt"), 4, Rule::NoMaxAge),
        (file!("no-mode.txt"), 4, Rule::NoMode),
        (file!("no-mx.txt"), 4, Rule::NoMx),
        (file!("no-value.txt"), 5, Rule::NoValue),
        (file!("no-version.txt"), 4, Rule::NoVersion),
        (file!("nul.txt"), 5, Rule::ControlCharacter),
        (file!("other-mode.txt"), 2, Rule::BadMode),
        (file!("other-version.txt"), 1, Rule::BadVersion),
        (file!("oversize.txt"), 1, Rule::TooLong),
        (file!("space-before-colon.txt"), 2, Rule::BadKey),
        (file!("tab-in-value.txt"), 5, Rule::ControlCharacter),
        (file!("utf16.txt"), 1, Rule::NotUtf8),
        (file!("version-in-capitals.txt"), 1, Rule::BadVersion),
    ];

    fn policy(mx: &str) -> Result<Policy, InvalidPolicy> {
        Policy::parse(format!("version: STSv1\nmode: enforce\nmax_age: 60\nmx: {mx}\n").as_bytes())
    }

    #[test]
    fn sts_40_to_49_valid_files_are_read() {
        for ((name, body), mode, seconds, patterns) in VALID {
            let policy = Policy::parse(body).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(policy.mode, mode, "{name}");
            assert_eq!(policy.max_age, Duration::from_secs(seconds), "{name}");
            assert_eq!(policy.mx.len(), patterns, "{name}");
            assert_eq!(policy.text.as_bytes(), body, "{name}");
        }
    }

    #[test]
    fn sts_40_to_50_invalid_files_are_refused_with_line_and_rule() {
        for ((name, body), line, rule) in INVALID {
            assert_eq!(
                Policy::parse(body),
                Err(InvalidPolicy { line, rule }),
                "{name}"
            );
        }
    }

    #[test]
    fn every_file_stands_in_a_table_and_in_the_readme() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/mtasts");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| std::path::Path::new(name).extension() == Some("txt".as_ref()))
            .collect();
        files.sort();
        let mut tabled: Vec<&str> = VALID.iter().map(|row| row.0.0).collect();
        tabled.extend(INVALID.iter().map(|row| row.0.0));
        tabled.sort_unstable();
        assert_eq!(files, tabled);
        let readme = include_str!("../../testdata/mtasts/README.md");
        for name in tabled {
            assert!(readme.contains(&format!("- `{name}`: ")), "{name}");
        }
    }

    #[test]
    fn sts_44_max_age_is_one_to_ten_digits_clamped() {
        for (value, expected) in [
            ("0", Some(0)),
            ("1", Some(1)),
            ("31557600", Some(31_557_600)),
            ("31557601", Some(31_557_600)),
            ("2147483648", Some(31_557_600)),
            ("9999999999", Some(31_557_600)),
            ("0000000001", Some(1)),
            ("99999999999", None),
            ("-1", None),
            ("+1", None),
            ("1.0", None),
            ("1e3", None),
            ("0x10", None),
            ("1 0", None),
            ("١", None),
        ] {
            let body = format!("version: STSv1\nmode: none\nmax_age: {value}\n");
            let parsed = Policy::parse(body.as_bytes()).map(|policy| policy.max_age.as_secs());
            assert_eq!(parsed, expected.ok_or(Rule::BadMaxAge.at(3)), "{value}");
        }
    }

    #[test]
    fn sts_45_mx_is_a_host_name_with_an_optional_whole_wildcard_label() {
        for (value, expected) in [
            ("mx.example.com", Some("mx.example.com")),
            ("*.example.com", Some("*.example.com")),
            ("MX.Example.com", Some("mx.example.com")),
            ("localhost", Some("localhost")),
            ("*.com", Some("*.com")),
            ("xn--mller-kva.example", Some("xn--mller-kva.example")),
            ("1.example", Some("1.example")),
            ("*", None),
            ("*.", None),
            (".", None),
            (".example.com", None),
            ("example.com.", None),
            ("*.example.com.", None),
            ("mx.*.com", None),
            ("*.*.com", None),
            ("mx*.example.com", None),
            ("**.example.com", None),
            ("a..b", None),
            ("ex ample.com", None),
            ("a.example, b.example", None),
            ("_mx.example.com", None),
            ("m_x.example.com", None),
            ("-mx.example.com", None),
            ("mx-.example.com", None),
            ("müller.example", None),
            ("192.0.2.1", None),
            ("[192.0.2.1]", None),
            ("2001:db8::1", None),
            ("mx.example.com:25", None),
            ("user@example.com", None),
        ] {
            let parsed = policy(value).map(|policy| policy.mx[0].as_str().to_owned());
            let expected = expected.map(str::to_owned).ok_or(Rule::BadMx.at(4));
            assert_eq!(parsed, expected, "{value}");
        }
        let long = format!("{}.example", "a".repeat(64));
        assert_eq!(policy(&long), Err(Rule::BadMx.at(4)));
    }

    #[test]
    fn sts_46_one_bad_mx_line_invalidates_the_policy_even_under_none() {
        let body = b"version: STSv1\nmode: none\nmax_age: 60\nmx: good.example\nmx: *\n";
        assert_eq!(Policy::parse(body), Err(Rule::BadMx.at(5)));
    }

    #[test]
    fn sts_64_the_wildcard_is_exactly_one_left_most_label() {
        for (pattern, host, expected) in [
            ("mx.example.com", "mx.example.com", true),
            ("mx.example.com", "MX.EXAMPLE.com", true),
            ("mx.example.com", "a.mx.example.com", false),
            ("mx.example.com", "mx.example.co", false),
            ("mx.example.com", "xmx.example.com", false),
            ("*.example.com", "a.example.com", true),
            ("*.EXAMPLE.com", "A.example.COM", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", "a.b.example.com", false),
            ("*.example.com", "aexample.com", false),
            ("*.com", "example.com", true),
            ("*.com", "a.example.com", false),
        ] {
            let policy = policy(pattern).unwrap();
            let host: MxHost = host.parse().unwrap();
            assert_eq!(policy.lists(&host), expected, "{pattern} {host}");
        }
    }

    #[test]
    fn the_largest_body_is_read_and_one_octet_more_is_not() {
        let mut body = b"version: STSv1\nmode: none\nmax_age: 60\nx: ".to_vec();
        body.resize(MAX_BODY, b'x');
        assert!(Policy::parse(&body).is_ok());
        body.push(b'x');
        assert_eq!(Policy::parse(&body), Err(Rule::TooLong.at(1)));
    }

    /// Bodies made by the grammar of RFC 8461 §3.2, fields in any order.
    fn grammatical() -> impl Strategy<Value = String> {
        let fields = (
            Just("version:".to_owned()),
            prop_oneof![Just("enforce"), Just("testing"), Just("none")],
            "[0-9]{1,10}",
            prop::collection::vec(
                "(\\*\\.)?[a-z0-9]([a-z0-9-]{0,5}[a-z0-9])?\\.[a-z]{2,5}",
                1..4,
            ),
            prop::collection::vec(
                "[A-Za-z0-9][A-Za-z0-9_-]{0,20}\\.x:[ \t]{0,2}[!-~é€😀]([ !-~é€😀]{0,9}[!-~é€😀])?",
                0..3,
            ),
        )
            .prop_map(|(version, mode, max_age, mx, extensions)| {
                let mut fields = vec![
                    format!("{version}STSv1"),
                    format!("mode:{mode}"),
                    format!("max_age:{max_age}"),
                ];
                fields.extend(mx.into_iter().map(|host| format!("mx:{host}")));
                fields.extend(extensions);
                fields
            })
            .prop_shuffle();
        let ends = prop::collection::vec("[ \t]{0,2}(\n|\r\n)", 10);
        (fields, ends, any::<bool>()).prop_map(|(fields, ends, terminated)| {
            let mut body: String = fields
                .iter()
                .zip(&ends)
                .map(|(field, end)| format!("{field}{end}"))
                .collect();
            if !terminated {
                body.truncate(body.trim_end_matches(['\r', '\n']).len());
            }
            body
        })
    }

    /// Bodies with lines that are right, wrong or missing.
    fn broken() -> impl Strategy<Value = String> {
        let line = prop::sample::select(vec![
            "version: STSv1",
            "version: STSv2",
            "Version: STSv1",
            "mode: enforce",
            "mode: testing",
            "mode: none",
            "mode: Enforce",
            "max_age: 604800",
            "max_age: 99999999999",
            "max_age: 0",
            "mx: mx.example",
            "mx: *.example.com",
            "mx: *",
            "mx: 192.0.2.1",
            "mx:",
            "note: \u{e9}",
            "note: a\tb",
            " note: a",
            "\u{feff}version: STSv1",
            "no colon",
            "",
        ]);
        let end = prop::sample::select(vec!["\n", "\r\n", " \n"]);
        prop::collection::vec((line, end), 0..9).prop_map(|lines| {
            lines
                .iter()
                .map(|(line, end)| format!("{line}{end}"))
                .collect()
        })
    }

    proptest! {
        #[test]
        fn sts_05_whatever_the_body_nothing_panics(body: Vec<u8>) {
            let _ = Policy::parse(&body);
        }

        #[test]
        fn sts_50_a_body_is_a_policy_exactly_when_the_linter_has_no_error(body in broken()) {
            let lint = Lint::of(body.as_bytes());
            match (Policy::parse(body.as_bytes()), lint.read) {
                (Ok(enforced), Ok(linted)) => prop_assert_eq!(enforced, linted),
                (Err(first), Err(faults)) => {
                    prop_assert_eq!(first, faults.first);
                    let lines: Vec<usize> = faults.others.iter().map(|fault| fault.line).collect();
                    prop_assert!(lines.is_sorted() && lines.iter().all(|line| *line >= first.line));
                }
                other => prop_assert!(false, "{:?} {:?}", other, body),
            }
        }

        /// What enforcement refuses is mended by mending what the linter names: a body without the lines that it calls
        /// bad has none that are.
        #[test]
        fn sts_46_without_the_lines_that_are_named_no_line_is_bad(body in broken()) {
            let bad: Vec<usize> = Policy::read(body.as_bytes())
                .err()
                .into_iter()
                .flat_map(|faults| std::iter::once(faults.first).chain(faults.others))
                .map(|fault| fault.line)
                .collect();
            let rest: String = body
                .split_inclusive('\n')
                .enumerate()
                .filter(|(index, _)| !bad.contains(&(index + 1)))
                .map(|(_, line)| line)
                .collect();
            if let Err(faults) = Policy::read(rest.as_bytes()) {
                for fault in std::iter::once(faults.first).chain(faults.others) {
                    // What the removed line was is missing now, or the next of its kind counts.
                    let expected = matches!(
                        fault.rule,
                        Rule::NoVersion | Rule::NoMode | Rule::NoMaxAge | Rule::NoMx
                            | Rule::BadVersion | Rule::BadMode | Rule::BadMaxAge
                    );
                    prop_assert!(expected, "{:?} in {:?} of {:?}", fault, rest, body);
                }
            }
        }

        #[test]
        fn sts_40_policies_of_the_grammar_are_read(body in grammatical()) {
            let parsed = Policy::parse(body.as_bytes());
            prop_assert!(parsed.is_ok(), "{:?} {:?}", parsed, body);
        }

        #[test]
        fn sts_46_one_changed_octet_gives_an_error_or_a_policy_whose_every_line_is_a_field(
            body in grammatical(), at: prop::sample::Index, octet: u8,
        ) {
            let mut body = body.into_bytes();
            let at = at.index(body.len());
            body[at] = octet;
            if let Ok(policy) = Policy::parse(&body) {
                prop_assert_eq!(policy.text.as_bytes(), &body[..]);
                prop_assert!(policy.max_age <= MAX_AGE);
                prop_assert!(policy.mode == Mode::None || !policy.mx.is_empty());
                // What is read again, without the lines that say nothing, says the same.
                let again = canonical(&policy);
                let reread = Policy::parse(again.as_bytes()).unwrap();
                prop_assert_eq!((reread.mode, reread.mx, reread.max_age), (policy.mode, policy.mx, policy.max_age));
            }
        }
    }

    fn canonical(policy: &Policy) -> String {
        let mode = match policy.mode {
            Mode::Enforce => "enforce",
            Mode::Testing => "testing",
            Mode::None => "none",
        };
        let mx: String = policy
            .mx
            .iter()
            .map(|mx| format!("mx: {}\n", mx.as_str()))
            .collect();
        format!(
            "version: STSv1\nmode: {mode}\nmax_age: {}\n{mx}",
            policy.max_age.as_secs()
        )
    }
}
