//! The shape of what is kept: rows and counts, whatever they are about.
//!
//! A row's body is its owner's: JSON, in a layout that only the owner reads. The store knows what it needs to find a
//! row, to order it among the changes, and to tell that it is damaged.

use std::fmt;

use crate::clock::Timestamp;
use crate::digest;

/// What a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// An MTA-STS policy; the key is the policy domain.
    Policy,
    /// An operator's exception; the key is its id.
    Exception,
    /// What cleared a session.
    Pin,
    /// What an MX host has been seen to do.
    Continuity,
    /// The evidence of a decision; the key is the trace's id.
    Trace,
    /// A domain that was sent to; the key is the domain.
    Seen,
    /// A domain whose policy a damaged file has lost, until the domain has been asked anew; the key is the domain. This
    /// node's own.
    Lost,
    /// How far this node is in step with a shared database; the key is the kind.
    Mirror,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Policy,
        Self::Exception,
        Self::Pin,
        Self::Continuity,
        Self::Trace,
        Self::Seen,
        Self::Lost,
        Self::Mirror,
    ];

    /// What would loosen what is enforced if it were lost: written at once and never dropped.
    #[must_use]
    pub const fn is_precious(self) -> bool {
        match self {
            Self::Policy | Self::Exception | Self::Lost => true,
            Self::Pin | Self::Continuity | Self::Trace | Self::Seen | Self::Mirror => false,
        }
    }

    /// The stable word in the database.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Policy => "sts-policy",
            Self::Exception => "exception",
            Self::Pin => "pin",
            Self::Continuity => "continuity",
            Self::Trace => "trace",
            Self::Seen => "seen",
            Self::Lost => "lost",
            Self::Mirror => "mirror",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// One thing that is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What it is about.
    pub kind: Kind,
    /// Unique within its kind.
    pub key: String,
    /// The domain or host that it can be found by.
    pub about: String,
    /// When it was learnt.
    pub at: Timestamp,
    /// What its owner wrote, as JSON; none says that an operator has had it forgotten, which others who know it are to
    /// hear.
    pub body: Option<String>,
}

impl Row {
    /// SHA-256 over the fields, each preceded by its length: what changes a stored row without knowing danelaw shows.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let at = self.at.unix().to_be_bytes();
        let (is_there, body) = match &self.body {
            Some(body) => ([1], body.as_bytes()),
            None => ([0], &[][..]),
        };
        digest::of_fields(&[
            self.kind.label().as_bytes(),
            self.key.as_bytes(),
            self.about.as_bytes(),
            &at,
            &is_there,
            body,
        ])
    }
}

/// How often something happened on one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// Days since 1970-01-01 (UTC).
    pub day: u32,
    /// The recipient's domain.
    pub domain: String,
    /// What happened: a stable word.
    pub what: String,
    /// Why: a label of [`crate::verdict::Reason`], or empty.
    pub reason: String,
    /// How often.
    pub number: u64,
}

/// A row's place in the order of changes; each change of a row gives it the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Revision(u64);

impl Revision {
    /// Before all changes.
    pub const START: Self = Self(0);

    /// As it stands in a database.
    #[must_use]
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// To be written to a database.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// What is written in one transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Inserted, or put in place of the row with that key.
    pub rows: Vec<Row>,
    /// Deleted without a trace: what was crowded out, or has no life.
    pub gone: Vec<(Kind, String)>,
    /// Added to what was counted before.
    pub counts: Vec<Count>,
}

/// Which rows are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Query<'a> {
    /// The one with this key.
    Key(&'a str),
    /// Those about this domain or host.
    About(&'a str),
    /// All of them.
    Latest,
}
