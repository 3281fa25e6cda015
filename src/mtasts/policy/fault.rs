//! What can be wrong with a policy file: the rules of RFC 8461 §3.2, and the lines that break them.

use super::{MAX_BODY, MAX_MX};

/// Which rule of the grammar the text breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {rule}")]
pub struct InvalidPolicy {
    /// From 1; the line after the last for what is missing.
    pub line: usize,
    /// What was expected and what was seen.
    pub rule: Rule,
}

/// The rules of RFC 8461 §3.2, each as what breaks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rule {
    /// More than [`MAX_BODY`] octets.
    #[error("the policy is longer than {MAX_BODY} octets")]
    TooLong,
    /// The body is not UTF-8 (RFC 3629).
    #[error("this is not UTF-8")]
    NotUtf8,
    /// Nothing but white space on the line.
    #[error("an empty line is no field")]
    EmptyLine,
    /// A line without a colon.
    #[error("expected `key: value`, seen no colon")]
    NoColon,
    /// What stands before the colon is no key.
    #[error("the key is not a letter or digit and up to 31 letters, digits, `_`, `-` and `.`")]
    BadKey,
    /// A key without a value.
    #[error("the key has no value")]
    NoValue,
    /// A control character in a value, a lone CR and a TAB between words among them.
    #[error("the value has a control character")]
    ControlCharacter,
    /// The version is another.
    #[error("the version is not STSv1")]
    BadVersion,
    /// The mode is another.
    #[error("the mode is not enforce, testing or none")]
    BadMode,
    /// The lifetime is no number of the grammar.
    #[error("max_age is not 1 to 10 digits")]
    BadMaxAge,
    /// The pattern is neither a host name nor `*.` and a host name.
    #[error(
        "the mx is neither a host name nor `*.` and one (A-labels of letters, digits and hyphens)"
    )]
    BadMx,
    /// More than [`MAX_MX`] patterns.
    #[error("there are more than {MAX_MX} mx lines")]
    ManyMx,
    /// No version.
    #[error("`version` is missing")]
    NoVersion,
    /// No mode.
    #[error("`mode` is missing")]
    NoMode,
    /// No lifetime.
    #[error("`max_age` is missing")]
    NoMaxAge,
    /// No pattern, though the mode asks for at least one.
    #[error("`mx` is missing, and the mode is not none")]
    NoMx,
}

/// All that is wrong with a body, by line; at least one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults {
    /// What [`Policy::parse`](super::Policy::parse) says.
    pub first: InvalidPolicy,
    /// What comes after it.
    pub others: Vec<InvalidPolicy>,
}

impl Faults {
    pub(super) const fn only(first: InvalidPolicy) -> Self {
        let others = Vec::new();
        Self { first, others }
    }

    pub(super) fn of(faults: Vec<InvalidPolicy>) -> Option<Self> {
        let mut faults = faults.into_iter();
        let first = faults.next()?;
        let others = faults.collect();
        Some(Self { first, others })
    }
}

impl Rule {
    pub(super) const fn at(self, line: usize) -> InvalidPolicy {
        InvalidPolicy { line, rule: self }
    }
}
