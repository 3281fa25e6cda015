//! Conversations as tables, and a model that knows only what must never happen.

mod anytime;
mod auth;
mod chunks;
mod chunks_refused;
mod commands;
mod endings;
mod greeting;
mod message;
mod model;
mod recipients;
mod redials;
mod script;
mod secure;
mod smuggling;
mod starttls;
mod verdicts;

use super::super::data::BareLineEnds;
use super::super::ehlo::Extensions;
use super::super::{Auth, ClientTls, Limits, Settings, Timeouts};
use crate::name::{DnsName, MxHost};
use crate::policy::Level;
use crate::verdict::{Basis, Cleared, Grounds, Pin, Reason, Refusal, Verdict};

/// The end-of-data forms of SMTP smuggling, in the escapes of scripts.
const SMUGGLING: [&str; 12] = [
    "\\n.\\n",
    "\\n.\\r",
    "\\r.\\n",
    "\\r.\\r",
    "\\n.\\r\\n",
    "\\r.\\r\\n",
    "\\r\\n.\\n",
    "\\r\\n.\\r",
    "\\r\\n.\\r\\r\\n",
    "\\r\\r\\n.\\r\\r\\n",
    "\\r\\n\\0.\\r\\n",
    "\\r\\n.\\0\\r\\n",
];

fn settings() -> Settings {
    Settings {
        trace: "T1".into(),
        hint: None,
        lacking: Extensions::NONE,
        bare_line_ends: BareLineEnds::Reject,
        timeouts: Timeouts::default(),
        limits: Limits::default(),
        client_tls: ClientTls::Hidden,
        auth: Auth::default(),
    }
}

fn pin() -> Verdict {
    pin_by(Basis::OpportunisticTls)
}

fn pin_by(basis: Basis) -> Verdict {
    Verdict::Pin(Pin {
        cleared: Cleared::asserted(),
        host: None,
        level: Level::Opportunistic,
        basis,
        observed: None,
        grounds: Grounds::default(),
        would_refuse: None,
    })
}

fn refuse() -> Verdict {
    let host = MxHost::new(DnsName::parse("mx.example").unwrap());
    Verdict::Refuse(Refusal {
        reason: Reason::StarttlsMissing { host, code: None },
        host: None,
        level: None,
    })
}
