//! What four other validators say about the signed world: unbound and BIND as servers, `delv`, and the `domain` crate's
//! validator fed by a recursor that does not validate.
//!
//! A judge's word is `S/pos`, `I/nodata`, … as everywhere in this test, or `-` where it gives no data: from outside it cannot
//! be told whether a server that answers SERVFAIL thinks the data bogus or has none.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use domain::base::iana::Rcode;
use domain::base::{Message, MessageBuilder, Name, Rtype};
use domain::dnssec::validator::anchor::TrustAnchors;
use domain::dnssec::validator::context::{Config, ValidationContext, ValidationState};
use domain::net::client::dgram_stream::Connection;
use domain::net::client::protocol::{TcpConnect, UdpConnect};
use domain::net::client::request::{ComposeRequest, RequestMessage, SendRequest};
use futures_util::StreamExt;
use futures_util::stream;

use super::Case;

/// Who judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Judge {
    Unbound,
    Bind,
    Delv,
    Domain,
}

pub(crate) const JUDGES: [Judge; 4] = [Judge::Unbound, Judge::Bind, Judge::Delv, Judge::Domain];

/// The words of one judge by case.
pub(crate) type Words = BTreeMap<String, String>;

/// Hears one judge on all cases.
pub(crate) async fn hear(judge: Judge, cases: &[Case], folder: &Path) -> Words {
    match judge {
        Judge::Unbound => ask_server(cases, "127.1.1.3:53").await,
        Judge::Bind => ask_server(cases, "127.1.1.4:53").await,
        Judge::Delv => run_delv(cases, &folder.join("world/anchor.bind")).await,
        Judge::Domain => validate(cases, &folder.join("world/root.key")).await,
    }
}

async fn ask_server(cases: &[Case], server: &str) -> Words {
    let connection = connect(server);
    let asking = cases.iter().map(|case| async {
        let word = match ask(&connection, case, Checking::Theirs).await {
            Some(reply) if reply.header().ad() => format!("S/{}", kind(&reply, case)),
            Some(reply) => format!("I/{}", kind(&reply, case)),
            None => NOTHING.to_owned(),
        };
        (case.id.clone(), word)
    });
    stream::iter(asking)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await
}

/// Behind a recursor with minimal answers: of others this validator calls every answer bogus that has an unsigned record
/// in its authority section.
async fn validate(cases: &[Case], anchor: &Path) -> Words {
    let connection = connect("127.1.1.5:53");
    let anchor = TrustAnchors::from_u8(&fs::read(anchor).unwrap()).unwrap();
    let mut config = Config::new();
    config.set_max_node_cache(10_000);
    let context = Arc::new(ValidationContext::with_config(
        anchor,
        connection.clone(),
        config,
    ));
    let judging = cases.iter().map(|case| {
        let context = Arc::clone(&context);
        let connection = connection.clone();
        async move {
            let word = match ask(&connection, case, Checking::Disabled).await {
                Some(mut reply) => {
                    let kind = kind(&reply, case);
                    let state =
                        tokio::time::timeout(PATIENCE, context.validate_msg(&mut reply)).await;
                    match state.map(|state| state.map(|(state, _)| state)) {
                        Ok(Ok(ValidationState::Secure)) => format!("S/{kind}"),
                        Ok(Ok(ValidationState::Insecure)) => format!("I/{kind}"),
                        Ok(
                            Ok(ValidationState::Bogus | ValidationState::Indeterminate) | Err(_),
                        )
                        | Err(_) => NOTHING.to_owned(),
                    }
                }
                None => NOTHING.to_owned(),
            };
            (case.id.clone(), word)
        }
    });
    stream::iter(judging)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await
}

type Transport = Connection<UdpConnect, RequestMessage<Vec<u8>>>;

fn connect(server: &str) -> Transport {
    let server = server.parse().unwrap();
    let (connection, streams) = Connection::new(UdpConnect::new(server), TcpConnect::new(server));
    tokio::spawn(streams.run());
    connection
}

/// Whether the server validates what it hands over.
#[derive(Clone, Copy, PartialEq)]
enum Checking {
    Theirs,
    Disabled,
}

/// A reply that is NOERROR or NXDOMAIN.
async fn ask(
    connection: &Transport,
    case: &Case,
    checking: Checking,
) -> Option<Message<bytes::Bytes>> {
    let mut question = MessageBuilder::new_vec().question();
    let name = Name::<Vec<u8>>::from_str(&case.name).unwrap();
    question
        .push((name, Rtype::from_str(&case.record_type).unwrap()))
        .unwrap();
    let mut request = RequestMessage::new(question.into_message()).unwrap();
    request.header_mut().set_rd(true);
    request.header_mut().set_ad(true);
    request.header_mut().set_cd(checking == Checking::Disabled);
    request.set_dnssec_ok(true);
    request.set_udp_payload_size(1232);
    let mut exchange = connection.send_request(request);
    let reply = tokio::time::timeout(PATIENCE, exchange.get_response()).await;
    let reply = reply.ok()?.ok()?;
    [Rcode::NOERROR, Rcode::NXDOMAIN]
        .contains(&reply.header().rcode())
        .then_some(reply)
}

fn kind(reply: &Message<bytes::Bytes>, case: &Case) -> &'static str {
    let wanted = Rtype::from_str(&case.record_type).unwrap();
    if reply.header().rcode() == Rcode::NXDOMAIN {
        return "nx";
    }
    let found = reply.answer().is_ok_and(|mut records| {
        records.any(|record| record.is_ok_and(|record| record.rtype() == wanted))
    });
    if found { "pos" } else { "nodata" }
}

async fn run_delv(cases: &[Case], anchor: &Path) -> Words {
    let judging = cases.iter().cloned().map(|case| {
        let anchor = anchor.to_owned();
        tokio::task::spawn_blocking(move || {
            let output = Command::new("delv")
                .args(["@127.1.1.1", "-a"])
                .arg(anchor)
                .args(["+root=.", &case.name, &case.record_type])
                .output()
                .unwrap();
            let said = [output.stdout, output.stderr].concat();
            (case.id, delv_word(&String::from_utf8_lossy(&said)))
        })
    });
    stream::iter(judging)
        .buffer_unordered(PROCESSES)
        .map(Result::unwrap)
        .collect()
        .await
}

/// Absences come under "resolution failed" too, with the cached proof; "ncache" is their mark.
fn delv_word(said: &str) -> String {
    let kind = if said.contains("ncache nxdomain") || said.contains("NXDOMAIN") {
        "nx"
    } else if said.contains("ncache nxrrset") || said.contains("negative response") {
        "nodata"
    } else {
        "pos"
    };
    let comments = said.lines().filter(|line| line.starts_with("; "));
    let is_said = |word: &str| comments.clone().any(|line| line.contains(word));
    let undecided = said.contains("pending validation");
    if undecided || said.contains("resolution failed") && !said.contains("ncache") {
        NOTHING.to_owned()
    } else if is_said("unsigned") {
        format!("I/{kind}")
    } else if is_said("validated") {
        format!("S/{kind}")
    } else {
        format!("? {said}")
    }
}

pub(crate) const NOTHING: &str = "-";
const AT_ONCE: usize = 32;
const PROCESSES: usize = 4;
const PATIENCE: Duration = Duration::from_secs(15);
