//! How a lookup came to its answer, step by step, for `danelaw dns`.
//!
//! Nothing reads it to decide anything. Names are in presentation form, fully qualified.

use std::sync::{Arc, Mutex, PoisonError};

use crate::clock::Timestamp;

/// Where a lookup writes its steps.
#[derive(Clone, Debug, Default)]
pub struct Diary(Arc<Mutex<Vec<Step>>>);

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A resolver was asked.
    Asked {
        /// The question.
        name: String,
        /// Its type.
        record_type: String,
        /// Who was asked.
        server: String,
        /// What came: a response code with the number of answers, or why nothing came.
        reply: String,
    },
    /// A signed zone begins, and these are its keys.
    Zone {
        /// Its apex.
        zone: String,
        /// What vouches for its keys: the trust anchor, or a DS record with its key tag.
        vouched_by: String,
        /// The tags of the keys that may sign in it.
        key_tags: Vec<u16>,
        /// Until when.
        expires: Timestamp,
    },
    /// No zone begins at this name.
    Inside {
        /// The name.
        name: String,
    },
    /// Nothing is at this name or below.
    Nothing {
        /// The name.
        name: String,
    },
    /// An unsigned zone begins: this is where security ends, and on whose word.
    Unsigned {
        /// The name.
        name: String,
        /// The zone that proves it.
        proven_by: String,
        /// In what way.
        because: String,
    },
    /// A negative trust anchor lies over this name.
    Exempt {
        /// The name.
        name: String,
        /// Until when it does.
        until: Timestamp,
    },
    /// A signature over an RRset holds.
    Verified {
        /// The owner.
        name: String,
        /// The type.
        record_type: String,
        /// The zone whose key signed it.
        signer: String,
        /// The tag of that key.
        key_tag: u16,
        /// Its algorithm.
        algorithm: String,
        /// The end of the signature's validity period.
        signature_expires: Timestamp,
        /// The wildcard that the RRset was made from.
        wildcard: Option<String>,
    },
    /// Signed records of a zone deny it.
    Denied {
        /// What is denied.
        name: String,
        /// The type.
        record_type: String,
        /// Whose records.
        zone: String,
        /// NODATA, NXDOMAIN, or why nothing is proven.
        what: String,
    },
    /// The lookup is tried again at another resolver.
    Again {
        /// Since the first try ended so.
        because: String,
    },
}

impl Diary {
    pub(super) fn write(&self, step: Step) {
        self.lock().push(step);
    }

    /// The steps so far, in order.
    #[must_use]
    pub fn steps(&self) -> Vec<Step> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Step>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
