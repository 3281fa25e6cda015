//! One question to the recursive resolvers, and the budget for all questions of one lookup.
//!
//! Questions go out with DO and CD set (RFC 4035 §4.9.1, RFC 6840 §5.9): the resolver hands over what it has, the judgement is
//! ours. Its AD bit is never looked at (RFC 4035 §4.6). A response that is neither NOERROR nor NXDOMAIN is no answer.

use std::sync::atomic::{AtomicU32, Ordering};

use hickory_resolver::net::xfer::{DnsHandle, FirstAnswer};
use hickory_resolver::net::{DnsError, NetError, NoRecords};
use hickory_resolver::proto::op::{DnsRequest, DnsRequestOptions, Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, Record, RecordType};

/// The way to the recursive resolvers.
#[derive(Clone)]
pub(super) struct Upstream<H> {
    handle: H,
}

/// What a response holds, apart from what is never believed.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    /// NXDOMAIN; otherwise it was NOERROR.
    pub(super) name_error: bool,
    /// The answer section.
    pub(super) answers: Vec<Record>,
    /// The authority section.
    pub(super) authorities: Vec<Record>,
}

/// Why there is no usable response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoReply {
    /// SERVFAIL, REFUSED and the like.
    #[error("the resolver answered {0}")]
    Refused(ResponseCode),
    /// Nothing came in time.
    #[error("the resolver did not answer in time")]
    Timeout,
    /// The resolver cannot be reached, or talks nonsense.
    #[error("{0}")]
    Transport(String),
    /// The lookup has asked as much as one lookup may.
    #[error("the lookup needs more than {MOST_MESSAGES} messages")]
    BudgetSpent,
}

/// How many messages one lookup may still send. A destination's zones decide how many are needed, so there must be an end.
#[derive(Debug)]
pub(super) struct Budget(AtomicU32);

impl Budget {
    pub(super) const fn full() -> Self {
        Self(AtomicU32::new(MOST_MESSAGES))
    }

    fn spend(&self) -> Result<(), NoReply> {
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(1)
            })
            .map(drop)
            .map_err(|_| NoReply::BudgetSpent)
    }
}

impl<H: DnsHandle> Upstream<H> {
    pub(super) const fn new(handle: H) -> Self {
        Self { handle }
    }

    /// Asks once.
    pub(super) async fn ask(
        &self,
        name: &Name,
        record_type: RecordType,
        budget: &Budget,
    ) -> Result<Reply, NoReply> {
        budget.spend()?;
        let response = self.handle.send(request(name, record_type));
        match response.first_answer().await {
            Ok(response) => {
                let message = response.into_message();
                let name_error = is_name_error(message.metadata.response_code)?;
                Ok(Reply {
                    name_error,
                    answers: message.answers,
                    authorities: message.authorities,
                })
            }
            Err(NetError::Dns(DnsError::NoRecordsFound(absent))) => negative(absent),
            Err(NetError::Dns(DnsError::ResponseCode(code))) => Err(NoReply::Refused(code)),
            Err(NetError::Timeout) => Err(NoReply::Timeout),
            Err(other) => Err(NoReply::Transport(other.to_string())),
        }
    }
}

/// hickory turns a response without answers into an error that keeps the authority section.
fn negative(absent: NoRecords) -> Result<Reply, NoReply> {
    Ok(Reply {
        name_error: is_name_error(absent.response_code)?,
        answers: Vec::new(),
        authorities: absent
            .authorities
            .map(|authorities| authorities.to_vec())
            .unwrap_or_default(),
    })
}

fn is_name_error(code: ResponseCode) -> Result<bool, NoReply> {
    if code == ResponseCode::NXDomain {
        Ok(true)
    } else if code == ResponseCode::NoError {
        Ok(false)
    } else {
        Err(NoReply::Refused(code))
    }
}

fn request(name: &Name, record_type: RecordType) -> DnsRequest {
    let mut options = DnsRequestOptions::default();
    options.use_edns = true;
    options.edns_set_dnssec_ok = true;
    options.edns_payload_len = EDNS_PAYLOAD;
    options.recursion_desired = true;
    let query = Query::query(name.clone(), record_type);
    let mut request = DnsRequest::from_query(query, options);
    request.metadata.checking_disabled = true;
    request
}

/// Enough for the deepest honest chain of zones and aliases; a hostile tree ends here.
const MOST_MESSAGES: u32 = 160;

/// RFC 9715 §3: no fragments; what is larger comes by TCP.
const EDNS_PAYLOAD: u16 = 1232;
