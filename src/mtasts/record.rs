//! The `_mta-sts` TXT record (RFC 8461 §3.1).

use crate::dns::Text;

/// The `id` of a record: compared for equality only.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PolicyId(String);

impl PolicyId {
    /// The id, 1 to 32 letters and digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// An id that is one already: from the store.
    #[must_use]
    pub const fn stored(id: String) -> Self {
        Self(id)
    }
}

/// Why the texts announce no policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRecord {
    /// None begins with `v=STSv1;`.
    #[error("no TXT record begins with v=STSv1;")]
    None,
    /// More than one does (RFC 8461 §3.1: as if there were none).
    #[error("{0} TXT records begin with v=STSv1;")]
    Several(usize),
    /// The one that does is not well-formed.
    #[error("the v=STSv1 record is malformed: {0}")]
    Malformed(String),
}

/// The id that the TXT records at `_mta-sts.<domain>` announce.
///
/// # Errors
/// [`NoRecord`]: no policy is available, which never disables an unexpired one (RFC 8461 §3.1).
pub fn announced(_texts: &[Text]) -> Result<PolicyId, NoRecord> {
    unimplemented!()
}
