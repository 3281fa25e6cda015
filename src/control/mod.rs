//! What an operator may ask of the memory that all sessions share, and one function that answers.
//!
//! A command asks through a [`client::Desk`]. Where the proxy runs, its [`server`] answers on a Unix socket; where none
//! does, the command builds the same [`Engine`] over the same store and asks it here. Both times [`answer`] does the
//! work, so that it makes no difference who does it.
//!
//! A request is one JSON object on one line, perhaps with a body after it. The reply is any number of lines with an item
//! each, such as the policies of a list or what became of each refresh, and one last line with the result or the
//! [`Failure`]; [`wire`] knows the octets. Each family of requests has a file of its own: its `Request` is a variant of
//! [`Request`] here, its `answer` an arm of [`answer`].

pub mod client;
pub mod continuity;
pub mod daemon;
pub mod except;
pub mod pins;
pub mod policy;
pub mod report;
pub mod server;
mod socket;
pub mod takeover;
pub mod trace;
pub mod wire;

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::proxy::engine::Engine;
use crate::store::StoreError;

/// Everything that can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// MTA-STS policies.
    Policy(policy::Request),
    /// The evidence of decisions.
    Trace(trace::Request),
    /// What MX hosts have been seen to do.
    Continuity(continuity::Request),
    /// What cleared sessions.
    Pins(pins::Request),
    /// The running proxy itself.
    Daemon(daemon::Request),
    /// What the operator says of single domains.
    Except(except::Request),
    /// What was counted.
    Report(report::Request),
}

impl Request {
    /// The family and the kind, without what is in it.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Policy(request) => request.label(),
            Self::Trace(_) => "trace",
            Self::Continuity(request) => request.label(),
            Self::Pins(request) => request.label(),
            Self::Daemon(request) => request.label(),
            Self::Except(request) => request.label(),
            Self::Report(request) => request.label(),
        }
    }
}

/// Answers a request. What comes piece by piece goes through `items`; the value returned is the result.
///
/// It runs to its end even when nobody is left to hear it, unless it looks at what [`Items::tell`] returns: a change is
/// never half made because a terminal was closed.
///
/// # Errors
/// Why there is no result.
pub async fn answer(
    engine: &Engine,
    request: Request,
    body: Vec<u8>,
    items: &Items,
) -> Result<Value, Failure> {
    match request {
        Request::Policy(request) => policy::answer(engine, request, body, items).await,
        Request::Trace(request) => trace::answer(engine, request, items).await,
        Request::Continuity(request) => continuity::answer(engine, request, items).await,
        Request::Pins(request) => pins::answer(engine, request, items).await,
        Request::Daemon(_) => Err(daemon::nobody()),
        Request::Except(request) => except::answer(engine, request, body, items).await,
        Request::Report(request) => report::answer(engine, request, items).await,
    }
}

/// A request that had no result: what was expected, what was seen, what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// For programs.
    pub code: Code,
    /// What should have been.
    pub expected: String,
    /// What was.
    pub seen: String,
    /// What to do about it.
    pub remedy: String,
}

/// The kinds of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// What the request is about is not there: the answer is no.
    NotFound,
    /// What the request asks for is there already, or not to be changed here: the answer is no.
    Conflict,
    /// What the request asks for is against a rule.
    Refused,
    /// The request cannot be read.
    BadRequest,
    /// The peer may not ask.
    Forbidden,
    /// Too many ask at once.
    Busy,
    /// The store failed.
    Store,
    /// Something in danelaw did.
    Internal,
}

impl Failure {
    /// A failure in three sentences.
    #[must_use]
    pub fn new(
        code: Code,
        expected: impl Into<String>,
        seen: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            code,
            expected: expected.into(),
            seen: seen.into(),
            remedy: remedy.into(),
        }
    }

    /// A panic, or an end of the process, has come between.
    fn broken(error: &tokio::task::JoinError) -> Self {
        let remedy = "see the log";
        Self::new(Code::Internal, "an answer", error.to_string(), remedy)
    }

    /// A result or an item that cannot be written as JSON.
    fn unwritable(error: &serde_json::Error) -> Self {
        let remedy = "report this: every answer should be";
        Self::new(
            Code::Internal,
            "an answer that is JSON",
            error.to_string(),
            remedy,
        )
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let (expected, remedy) = ("a store that can be read and written", "see the log");
        Self::new(Code::Store, expected, error.to_string(), remedy)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            expected,
            seen,
            remedy,
            ..
        } = self;
        write!(f, "expected {expected}, seen {seen}: {remedy}")
    }
}

impl std::error::Error for Failure {}

/// Makes the result of a request out of what its file knows it as.
///
/// # Errors
/// When it is no JSON, which is a fault of ours.
pub fn result<T: Serialize>(result: &T) -> Result<Value, Failure> {
    serde_json::to_value(result).map_err(|error| Failure::unwritable(&error))
}

/// Where the pieces of an answer go. Bounded: whoever answers waits for whoever reads.
#[derive(Clone, Debug)]
pub struct Items(mpsc::Sender<Value>);

/// Nobody hears the answer any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

impl Items {
    /// With the end where they come out.
    #[must_use]
    pub fn channel() -> (Self, mpsc::Receiver<Value>) {
        const AHEAD: usize = 16;
        let (tell, hear) = mpsc::channel(AHEAD);
        (Self(tell), hear)
    }

    /// Tells one.
    ///
    /// # Errors
    /// [`Gone`] when nobody hears it; an answer that only tells may stop then.
    pub async fn tell<T: Serialize + Sync>(&self, item: &T) -> Result<(), Gone> {
        // What is no JSON is left out here and missed in the tests.
        let Ok(value) = serde_json::to_value(item) else {
            return Ok(());
        };
        self.0.send(value).await.map_err(|_| Gone)
    }
}
