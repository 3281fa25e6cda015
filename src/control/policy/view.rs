//! What is told of one domain, for people and programs.

use serde::{Deserialize, Serialize};

use crate::calendar::as_text;
use crate::clock::Timestamp;
use crate::mtasts::fetch::FetchFailure;
use crate::name::Domain;
use crate::policy::cache::{Heard, Standing, Told};
use crate::store::StoredPolicy;

/// What is known of one domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Whose.
    pub domain: String,
    /// The policy of the last successful fetch.
    pub policy: Option<PolicyView>,
    /// A damaged store has lost a policy of it, and it has not been heard anew since: mail waits.
    #[serde(default)]
    pub lost: bool,
    /// The last answer to the question for `_mta-sts.<domain>`, since the daemon started.
    pub record: Option<RecordView>,
    /// The last fetch since the daemon started, if it failed.
    pub failure: Option<FailureView>,
}

/// A policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyView {
    /// The id that was announced when it was fetched.
    pub id: String,
    /// `enforce`, `testing`, `none`.
    pub mode: String,
    /// Its patterns.
    pub mx: Vec<String>,
    /// Seconds.
    pub max_age: u64,
    /// When.
    #[serde(with = "as_text")]
    pub fetched: Timestamp,
    /// Until when.
    #[serde(with = "as_text")]
    pub expires: Timestamp,
    /// Whether it is in force.
    pub in_force: bool,
    /// As it was fetched.
    pub text: String,
}

/// An answer to the TXT question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordView {
    /// When.
    #[serde(with = "as_text")]
    pub at: Timestamp,
    /// `announced`, `silent` or `unknown`.
    pub says: String,
    /// The id that is announced.
    pub id: Option<String>,
    /// Why none is, or why that is not known.
    pub detail: Option<String>,
}

/// A fetch that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureView {
    /// The id that was announced.
    pub id: String,
    /// When.
    #[serde(with = "as_text")]
    pub at: Timestamp,
    /// `sts-policy-fetch-error`, `sts-webpki-invalid` or `sts-policy-invalid` (RFC 8460 §4.3.2.2).
    pub kind: String,
    /// Why.
    pub detail: String,
    /// No session causes another fetch under this id before.
    #[serde(with = "as_text")]
    pub backs_off_until: Timestamp,
}

impl View {
    pub(super) fn of(domain: &Domain, told: Told) -> Self {
        let (is_live, lost) = (told.is_live(), told.standing == Standing::Lost);
        Self {
            domain: domain.to_string(),
            policy: told.held.map(|held| PolicyView {
                in_force: is_live,
                ..PolicyView::of(&held)
            }),
            lost,
            record: told
                .record
                .map(|record| RecordView::of(record.at, &record.heard)),
            failure: told.failed.map(|failed| FailureView {
                id: failed.id.as_str().to_owned(),
                at: failed.at,
                kind: kind(&failed.why).to_owned(),
                detail: failed.why.to_string(),
                backs_off_until: failed.backs_off_until,
            }),
        }
    }
}

impl PolicyView {
    fn of(held: &StoredPolicy) -> Self {
        let policy = &held.policy;
        Self {
            id: held.id.as_str().to_owned(),
            mode: policy.mode.label().to_owned(),
            mx: policy.mx.iter().map(|mx| mx.as_str().to_owned()).collect(),
            max_age: policy.max_age.as_secs(),
            fetched: held.fetched,
            expires: held.fetched.plus(policy.max_age),
            in_force: false,
            text: policy.text.clone(),
        }
    }
}

impl RecordView {
    fn of(at: Timestamp, heard: &Heard) -> Self {
        let (says, id, detail) = match heard {
            Heard::Announced(id) => ("announced", Some(id.as_str().to_owned()), None),
            Heard::Silent(why) => ("silent", None, Some(why.to_string())),
            Heard::Unknown(why) => ("unknown", None, Some(why.to_string())),
        };
        Self {
            at,
            says: says.to_owned(),
            id,
            detail,
        }
    }
}

const fn kind(failure: &FetchFailure) -> &'static str {
    match failure {
        FetchFailure::Fetch(_) => "sts-policy-fetch-error",
        FetchFailure::WebPki(_) => "sts-webpki-invalid",
        FetchFailure::Invalid(_) => "sts-policy-invalid",
    }
}
