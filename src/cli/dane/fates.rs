//! What became of each record of an RRset, to show: the record as in a zone file, a word, and why.

use serde::Serialize;

use crate::dane::presentation::shown;
use crate::dane::tlsa::{Fate, Tlsa, sift};
use crate::dns::TlsaRdata;

/// One record.
#[derive(Debug, Serialize)]
pub(super) struct Record {
    /// As in a zone file.
    pub(super) record: String,
    /// `usable`, `outdone`, `repeated` or `unusable`.
    pub(super) status: &'static str,
    /// Why it does not count.
    pub(super) note: Option<String>,
}

/// All of them, in their order.
pub(super) fn records(rrset: &[TlsaRdata]) -> Vec<Record> {
    sift(rrset)
        .iter()
        .zip(rrset)
        .map(|(fate, rdata)| {
            let (status, note) = told(fate);
            Record {
                record: shown(rdata),
                status,
                note,
            }
        })
        .collect()
}

fn told(fate: &Fate) -> (&'static str, Option<String>) {
    match fate {
        Fate::Usable(_) => ("usable", None),
        Fate::Outdone(Tlsa {
            usage, selector, ..
        }) => {
            let kind = format!("{} {}", usage.number(), selector.number());
            let note = format!("a stronger digest counts in its place among the {kind} records");
            ("outdone", Some(note))
        }
        Fate::Repeated(_) => ("repeated", Some("the same record stands before it".into())),
        Fate::Unusable(why) => ("unusable", Some(why.to_string())),
    }
}
