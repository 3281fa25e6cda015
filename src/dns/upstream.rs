//! One question to the recursive resolvers: who is asked, in what order, and what counts as an answer.
//!
//! Questions go out with DO and CD set (RFC 4035 §4.9.1, RFC 6840 §5.9): the resolver hands over what it has, the judgement is
//! ours, and its AD bit is never looked at (RFC 4035 §4.6). Where the operator trusts the resolver's own validation, the question
//! asks for that instead ([`Asking::Verdict`]). A response that is neither NOERROR nor NXDOMAIN is no answer; then the next
//! resolver is asked. The same question at the same time is asked once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hickory_resolver::net::NetError;
use hickory_resolver::net::xfer::{DnsHandle, FirstAnswer};
use hickory_resolver::proto::op::{
    DnsRequest, DnsRequestOptions, DnsResponse, Message, MessageType, Query, ResponseCode,
};
use hickory_resolver::proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use hickory_resolver::proto::rr::{Name, Record, RecordType};

use super::AbsenceKind;
use super::diary::Step;
use super::errand::Errand;
use super::flight::Flights;
use super::purse::{MOST_MESSAGES, MOST_MESSAGES_OF_A_DOMAIN};

/// The way to the recursive resolvers.
pub(super) struct Upstream<H> {
    servers: Vec<Server<H>>,
    /// The server that answered last.
    preferred: AtomicUsize,
    asking: Asking,
    flights: Flights<Ticket, Result<Arc<Reply>, NoReply>>,
}

/// A recursive resolver.
#[derive(Clone)]
pub(super) struct Server<H> {
    /// How people call it.
    pub(super) label: String,
    /// The way to it.
    pub(super) handle: H,
}

/// What is wanted of the resolver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asking {
    /// Its data, with signatures and proofs, whatever it thinks of them.
    Data,
    /// Its verdict: the AD bit, and no data that it finds bogus (RFC 6840 §5.7).
    Verdict,
}

/// Question and the server that is asked first.
type Ticket = (Name, RecordType, usize);

/// What a response holds.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    /// What the response code says to be absent when the answer holds nothing: with NXDOMAIN the name, else the records.
    pub(super) absent: AbsenceKind,
    /// The resolver says that it has validated all of it. Means nothing unless it was asked for its verdict.
    pub(super) authentic: bool,
    /// The answer section.
    pub(super) answers: Vec<Record>,
    /// The authority section.
    pub(super) authorities: Vec<Record>,
}

/// Why there is no usable response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoReply {
    /// SERVFAIL, REFUSED and the like.
    #[error("the resolver answered {code}{}", in_detail(details))]
    Refused {
        /// The response code.
        code: ResponseCode,
        /// What the resolver says beside it (RFC 8914).
        details: Vec<Detail>,
    },
    /// Nothing came in time.
    #[error("the resolver did not answer in time")]
    Timeout,
    /// The resolver cannot be reached, or talks nonsense.
    #[error("{0}")]
    Transport(String),
    /// The lookup has asked as much as it may.
    #[error(
        "it takes too many messages (at most {MOST_MESSAGES} for one name, {MOST_MESSAGES_OF_A_DOMAIN} for one domain's mail)"
    )]
    BudgetSpent,
}

/// An extended DNS error (RFC 8914 §2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Detail {
    /// The INFO-CODE.
    pub(super) code: u16,
    /// The EXTRA-TEXT, as far as it is text.
    pub(super) text: String,
}

impl<H: DnsHandle> Upstream<H> {
    pub(super) fn new(servers: Vec<Server<H>>, asking: Asking) -> Self {
        Self {
            servers,
            preferred: AtomicUsize::new(0),
            asking,
            flights: Flights::default(),
        }
    }

    /// How many there are to ask.
    pub(super) const fn count(&self) -> usize {
        self.servers.len()
    }

    /// The one that is asked first unless somebody wants another.
    pub(super) fn preferred(&self) -> usize {
        self.preferred.load(Ordering::Relaxed)
    }

    /// Asks, until one has an answer or all had their turn.
    pub(super) async fn ask(
        &self,
        name: &Name,
        record_type: RecordType,
        errand: &Errand,
    ) -> Result<Arc<Reply>, NoReply> {
        let first = errand.first().unwrap_or_else(|| self.preferred());
        let ticket = (name.to_lowercase(), record_type, first);
        let reply = self
            .flights
            .join(ticket, || self.ask_around(first, name, record_type, errand))
            .await;
        match reply {
            // That is the end of whoever asked, which need not be ours.
            Err(NoReply::BudgetSpent) => self.ask_around(first, name, record_type, errand).await,
            reply => reply,
        }
    }

    async fn ask_around(
        &self,
        first: usize,
        name: &Name,
        record_type: RecordType,
        errand: &Errand,
    ) -> Result<Arc<Reply>, NoReply> {
        let mut failure: Option<NoReply> = None;
        let mut has_been_silent = false;
        for turn in 0..self.count().max(LEAST_TRIES) {
            let index = (first + turn) % self.count();
            if turn >= self.count() && !has_been_silent {
                break;
            }
            let Some(server) = self.servers.get(index) else {
                break;
            };
            match self.ask_one(server, name, record_type, errand).await {
                Ok(reply) => {
                    if errand.first().is_none() && has_been_silent {
                        self.preferred.store(index, Ordering::Relaxed);
                    }
                    return Ok(Arc::new(reply));
                }
                Err(NoReply::BudgetSpent) => return Err(NoReply::BudgetSpent),
                Err(found) => {
                    has_been_silent |= found.may_pass();
                    failure = Some(match failure {
                        Some(earlier) => earlier.or(found),
                        None => found,
                    })
                }
            }
        }
        Err(failure.unwrap_or_else(|| NoReply::Transport("there is no resolver to ask".into())))
    }

    async fn ask_one(
        &self,
        server: &Server<H>,
        name: &Name,
        record_type: RecordType,
        errand: &Errand,
    ) -> Result<Reply, NoReply> {
        errand.pay_messages(1).map_err(|_| NoReply::BudgetSpent)?;
        let response = server.handle.send(self.asking.request(name, record_type));
        let reply = match response.first_answer().await {
            Ok(response) => {
                errand
                    .pay_messages(further_messages(&response))
                    .map_err(|_| NoReply::BudgetSpent)?;
                Reply::read(response.into_message(), name, record_type)
            }
            Err(NetError::Timeout) => Err(NoReply::Timeout),
            Err(other) => Err(NoReply::Transport(other.to_string())),
        };
        errand.note(|| Step::Asked {
            name: name.to_ascii(),
            record_type: record_type.to_string(),
            server: server.label.clone(),
            reply: match &reply {
                Ok(reply) => reply.to_string(),
                Err(cause) => cause.to_string(),
            },
        });
        reply
    }
}

impl Asking {
    fn request(self, name: &Name, record_type: RecordType) -> DnsRequest {
        let mut options = DnsRequestOptions::default();
        options.use_edns = true;
        options.edns_set_dnssec_ok = self == Self::Data;
        options.edns_payload_len = EDNS_PAYLOAD;
        options.recursion_desired = true;
        let query = Query::query(name.clone(), record_type);
        let mut request = DnsRequest::from_query(query, options);
        request.metadata.checking_disabled = self == Self::Data;
        request.metadata.authentic_data = self == Self::Verdict;
        request
    }
}

impl Reply {
    fn read(message: Message, name: &Name, record_type: RecordType) -> Result<Self, NoReply> {
        let code = message.metadata.response_code;
        if !matches!(code, ResponseCode::NoError | ResponseCode::NXDomain) {
            return Err(NoReply::Refused {
                code,
                details: details(&message),
            });
        }
        // The transport has matched the id, and by UDP the address and the question.
        let asked = |query: &Query| query.name() == name && query.query_type() == record_type;
        let is_answer = message.metadata.message_type == MessageType::Response
            && matches!(message.queries.as_slice(), [query] if asked(query));
        if !is_answer {
            return Err(NoReply::Transport(
                "what came answers another question".into(),
            ));
        }
        if message.metadata.truncation {
            return Err(NoReply::Transport("the answer came cut short".into()));
        }
        Ok(Self {
            absent: if code == ResponseCode::NXDomain {
                AbsenceKind::NxDomain
            } else {
                AbsenceKind::NoData
            },
            authentic: message.metadata.authentic_data,
            answers: message.answers,
            authorities: message.authorities,
        })
    }
}

impl std::fmt::Display for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let code = match self.absent {
            AbsenceKind::NxDomain => "NXDOMAIN",
            AbsenceKind::NoData => "NOERROR",
        };
        write!(f, "{code}, {} records in the answer", self.answers.len())
    }
}

impl NoReply {
    /// Asking again may help.
    const fn may_pass(&self) -> bool {
        match self {
            Self::Timeout | Self::Transport(_) => true,
            Self::Refused { .. } | Self::BudgetSpent => false,
        }
    }

    /// What says more.
    fn or(self, other: Self) -> Self {
        if self.may_pass() { other } else { self }
    }

    /// The resolver could not find it out, which it may have for a part of what was asked.
    pub(super) fn is_server_failure(&self) -> bool {
        matches!(
            self,
            Self::Refused {
                code: ResponseCode::ServFail,
                ..
            }
        )
    }

    /// The resolver says that it found the data bogus (RFC 8914 §4.7 to §4.13).
    pub(super) fn says_bogus(&self) -> bool {
        match self {
            Self::Refused { details, .. } => {
                details.iter().any(|detail| matches!(detail.code, 6..=12))
            }
            Self::Timeout | Self::Transport(_) | Self::BudgetSpent => false,
        }
    }
}

/// A response of sixty-four kilobytes is as much work as a handful of ordinary ones, and is paid for like them.
fn further_messages(response: &DnsResponse) -> u32 {
    let octets = u32::try_from(response.as_buffer().len()).unwrap_or(u32::MAX);
    octets / OCTETS_OF_A_MESSAGE
}

fn details(message: &Message) -> Vec<Detail> {
    let Some(edns) = &message.edns else {
        return Vec::new();
    };
    edns.options()
        .options
        .iter()
        .take(MOST_DETAILS)
        .filter_map(|(code, option)| {
            let (EdnsCode::Unknown(EXTENDED_ERROR), EdnsOption::Unknown(_, data)) = (code, option)
            else {
                return None;
            };
            let (code, text) = data.split_first_chunk::<2>()?;
            let text = String::from_utf8_lossy(text)
                .chars()
                .take(LONGEST_TEXT)
                .collect();
            Some(Detail {
                code: u16::from_be_bytes(*code),
                text,
            })
        })
        .collect()
}

/// ` (extended error 9: no matching DNSKEY)`.
fn in_detail(details: &[Detail]) -> String {
    details
        .iter()
        .map(|Detail { code, text }| {
            if text.is_empty() {
                format!(" (extended error {code})")
            } else {
                format!(" (extended error {code}: {})", text.escape_debug())
            }
        })
        .collect()
}

/// A single resolver gets a second chance.
const LEAST_TRIES: usize = 2;

/// RFC 9715 §3: no fragments; what is larger comes by TCP.
const EDNS_PAYLOAD: u16 = 1232;

/// What a message may hold before it counts as several; five ordinary ones fit in.
const OCTETS_OF_A_MESSAGE: u32 = 8192;

/// The option code of RFC 8914 §2.
const EXTENDED_ERROR: u16 = 15;

/// Options that are looked through for extended errors: a message could hold ten thousand.
const MOST_DETAILS: usize = 8;

/// Characters of a resolver's explanation that are shown.
const LONGEST_TEXT: usize = 120;
