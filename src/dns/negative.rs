//! Negative trust anchors (RFC 7646): names at and below which DNSSEC counts as absent, by the operator's word.
//!
//! What stands there is insecure, whatever signatures it has: the zone's operator has broken them, and mail is to flow
//! without them for a while. Nothing becomes secure by it, and nothing outside those names changes.

use std::fmt;

use hickory_resolver::proto::rr::Name;

use crate::clock::Timestamp;

/// Says where they lie.
pub trait NegativeAnchors: fmt::Debug + Send + Sync {
    /// Until when one lies at `name` (lower case, without a trailing dot) or above it; none where none does.
    fn over(&self, name: &str, now: Timestamp) -> Option<Timestamp>;

    /// Changes whenever they do: what was found out before is not used any more.
    fn revision(&self) -> u64;
}

/// The name in the form that [`NegativeAnchors`] wants.
pub(super) fn plain(name: &Name) -> String {
    let mut text = name.to_lowercase().to_ascii();
    if text.len() > 1 && text.ends_with('.') {
        text.pop();
    }
    text
}
