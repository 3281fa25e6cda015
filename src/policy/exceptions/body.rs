//! An exception as it is kept: one JSON object with words and seconds. Pure.

use serde::{Deserialize, Serialize};

use super::{Draft, Exception, Fault, Terms};
use crate::clock::Timestamp;

#[derive(Serialize, Deserialize)]
struct Body {
    domain: String,
    what: String,
    author: String,
    reason: String,
    created: u64,
    granted: u64,
    expires: u64,
}

/// What is wrong with a body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Not an object of these members.
    #[error("expected an exception as danelaw writes it, got something else: {0}")]
    Form(String),
    /// A member that says nothing.
    #[error("its {field} is wrong: {why}")]
    Member {
        /// Which.
        field: &'static str,
        /// Why.
        why: String,
    },
}

impl Exception {
    /// Writes it down.
    #[must_use]
    pub fn to_body(&self) -> String {
        let draft = self.draft();
        let body = Body {
            domain: draft.scope.to_string(),
            what: draft.what.to_string(),
            author: draft.author.clone(),
            reason: draft.reason.clone(),
            created: draft.created.unix(),
            granted: draft.granted.unix(),
            expires: draft.expires.unix(),
        };
        serde_json::json!(body).to_string()
    }

    /// Reads it. One that was granted for longer than `terms` allow now ends when they say: who lowers `max_days` means
    /// those that are there too.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_body(text: &str, terms: Terms) -> Result<Self, Unreadable> {
        let body: Body =
            serde_json::from_str(text).map_err(|why| Unreadable::Form(why.to_string()))?;
        let member = |field, why: String| Unreadable::Member { field, why };
        let scope = body.domain.parse();
        let what = body.what.parse::<super::What>();
        let granted = Timestamp::from_unix(body.granted);
        let draft = Draft {
            scope: scope.map_err(|why: crate::policy::scope::InvalidScope| {
                member("domain", why.to_string())
            })?,
            what: what.map_err(|why| member("what", why.to_string()))?,
            author: body.author,
            reason: body.reason,
            created: Timestamp::from_unix(body.created),
            granted,
            expires: Timestamp::from_unix(body.expires).min(granted.plus(terms.longest)),
        };
        draft.check(terms).map_err(|faults| {
            let told = |fault: &Fault| format!("expected {}", fault.expected);
            let (field, why) = faults
                .first()
                .map_or(("form", String::new()), |fault| (fault.field, told(fault)));
            member(field, why)
        })
    }
}
