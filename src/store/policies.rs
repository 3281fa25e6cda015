//! MTA-STS policies as rows: the text that the policy host served, the id it was announced by, and when.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Batch, Kind, Revision, Row, Store, StoreError};
use crate::clock::Timestamp;
use crate::mtasts::{Policy, PolicyId};
use crate::name::Domain;

/// A policy as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPolicy {
    /// Whose.
    pub domain: Domain,
    /// The announced id it was fetched under.
    pub id: PolicyId,
    /// The policy; its text is what is written.
    pub policy: Arc<Policy>,
    /// When the fetch succeeded: its life is counted from here.
    pub fetched: Timestamp,
}

/// A row that holds no policy.
#[derive(Debug, thiserror::Error)]
#[error("the policy of {domain:?} cannot be read: {what}")]
pub struct UnreadablePolicy {
    domain: String,
    what: String,
}

#[derive(Serialize, Deserialize)]
struct Body {
    id: String,
    text: String,
}

impl StoredPolicy {
    /// To be written.
    #[must_use]
    pub fn row(&self) -> Row {
        let body = serde_json::json!({ "id": self.id.as_str(), "text": self.policy.text });
        Row {
            kind: Kind::Policy,
            key: self.domain.to_string(),
            about: self.domain.to_string(),
            at: self.fetched,
            body: Some(body.to_string()),
        }
    }

    /// As it was written; none when an operator has had it forgotten.
    ///
    /// # Errors
    /// What is no policy. It never means that the domain has none.
    pub fn read(row: &Row) -> Result<Option<Self>, UnreadablePolicy> {
        let unreadable = |what: String| UnreadablePolicy {
            domain: row.key.clone(),
            what,
        };
        let Some(body) = &row.body else {
            return Ok(None);
        };
        let body: Body =
            serde_json::from_str(body).map_err(|error| unreadable(error.to_string()))?;
        Ok(Some(Self {
            domain: row
                .key
                .parse()
                .map_err(|error| unreadable(format!("its key is no domain: {error}")))?,
            id: PolicyId::stored(body.id),
            policy: Arc::new(
                Policy::parse(body.text.as_bytes())
                    .map_err(|error| unreadable(format!("its text is no policy: {error}")))?,
            ),
            fetched: row.at,
        }))
    }
}

/// All policies, in pieces: a store may hold a million of them.
///
/// # Errors
/// When they cannot be read.
pub fn load(
    store: &dyn Store,
    mut take: impl FnMut(StoredPolicy) -> Result<(), StoreError>,
) -> Result<Revision, StoreError> {
    let mut last = Revision::START;
    loop {
        let changes = store.changes(Kind::Policy, last, PIECE)?;
        let is_last = changes.len() < PIECE;
        for (revision, row) in changes {
            last = revision;
            let policy =
                StoredPolicy::read(&row).map_err(|error| store.unreadable(&row, &error))?;
            if let Some(policy) = policy {
                take(policy)?;
            }
        }
        if is_last {
            return Ok(last);
        }
    }
}

impl Batch {
    /// Writes one policy.
    #[must_use]
    pub fn saving(policy: &StoredPolicy) -> Self {
        Self {
            rows: vec![policy.row()],
            ..Self::default()
        }
    }

    /// Deletes the policies of these domains.
    #[must_use]
    pub fn removing<'a>(domains: impl IntoIterator<Item = &'a Domain>) -> Self {
        let gone = |domain: &Domain| (Kind::Policy, domain.to_string());
        Self {
            gone: domains.into_iter().map(gone).collect(),
            ..Self::default()
        }
    }
}

/// Rows read at a time.
const PIECE: usize = 10_000;
