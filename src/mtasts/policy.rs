//! The policy file, parsed strictly (RFC 8461 §3.2), and its MX patterns.

use std::time::Duration;

use crate::name::MxHost;

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

/// A host name, or `*.` and the rest: exactly one label is free (RFC 8461 §4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MxPattern(String);

/// Which rule of the grammar the text breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct InvalidPolicy {
    /// From 1; the line after the last for what is missing.
    pub line: usize,
    /// What was expected and what was seen.
    pub what: String,
}

impl Policy {
    /// Parses a policy body of at most 64 KiB.
    ///
    /// # Errors
    /// [`InvalidPolicy`]; an invalid policy never replaces a live one.
    pub fn parse(_body: &[u8]) -> Result<Self, InvalidPolicy> {
        unimplemented!()
    }

    /// Does a pattern match the exchange of the MX record?
    #[must_use]
    pub fn lists(&self, _host: &MxHost) -> bool {
        unimplemented!()
    }
}

impl MxPattern {
    /// The pattern as text, lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
