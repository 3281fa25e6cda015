//! A way in for fuzzers: messages of a resolver in, an answer out, and no network between. Whoever is asked plays a tape.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, Stream};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::xfer::DnsHandle;
use hickory_resolver::proto::op::{DnsRequest, DnsResponse, Query};

use super::Answer;
use super::anchor::TrustAnchor;
use super::answers;
use super::chase::Chase;
use super::errand::Errand;
use super::purse::Purses;
use super::resolver::{NoQuestion, question};
use super::upstream::Server;
use super::validator::{Validate, Validators};
use crate::clock::{Clock, Timestamp};

/// The answer that these messages, in wire format, make of a question. A message answers what it says it does.
///
/// # Errors
/// When the name or the type is none.
pub async fn answer(
    anchor: &TrustAnchor,
    now: Timestamp,
    (name, record_type): (&str, &str),
    messages: Vec<Vec<u8>>,
) -> Result<Answer<Vec<String>>, NoQuestion> {
    let (name, record_type) = question(name, record_type)?;
    let tape = messages
        .into_iter()
        .filter_map(|wire| DnsResponse::from_buffer(wire).ok());
    let server = Server {
        label: "tape".to_owned(),
        handle: Tape(Arc::new(tape.collect())),
    };
    let clock: Arc<dyn Clock> = Arc::new(Standing(now));
    let validators = Validators::new(Validate::Local, vec![server], anchor.trust(), &clock);
    let chase = Chase::new(validators, LONG, clock);
    let errand = Errand::new(Purses::new(None), None);
    let outcome = chase.look_up(&name, record_type, &errand).await;
    Ok(answers::resolved(outcome, answers::text).answer)
}

/// Messages by the question that stands in them; the first that fits is played.
#[derive(Clone)]
struct Tape(Arc<Vec<DnsResponse>>);

impl DnsHandle for Tape {
    type Response = Pin<Box<dyn Stream<Item = Result<DnsResponse, NetError>> + Send>>;
    type Runtime = TokioRuntimeProvider;

    fn send(&self, request: DnsRequest) -> Self::Response {
        let answers = |queries: &[Query]| queries == request.queries.as_slice();
        let message = self.0.iter().find(|message| answers(&message.queries));
        let message = message.cloned().ok_or(NetError::Timeout);
        Box::pin(stream::once(async { message }))
    }
}

/// A clock that stands still.
struct Standing(Timestamp);

impl Clock for Standing {
    fn wall(&self) -> Timestamp {
        self.0
    }
}

/// Nothing is waited for.
const LONG: Duration = Duration::from_secs(60);
