//! The key that comes next, and whether the records of a host already speak of it. Decided by [`dane::verify`] where there
//! is a certificate; a bare key is held against the records for keys. Pure but for reading the file.

use std::path::Path;

use rustls_pki_types::CertificateDer;
use serde::Serialize;

use crate::cli::dane::{input, verify};
use crate::clock::Timestamp;
use crate::dane::{self, Match, Mismatch, Presented, Tlsa, Usage};
use crate::policy::DaneDemand;

/// What the operator means to present.
pub(super) enum Next {
    /// With its chain.
    Chain(Vec<CertificateDer<'static>>),
    /// A SubjectPublicKeyInfo.
    Key(Vec<u8>),
    /// Anything but what is presented now.
    Any,
}

/// What one address presents now, and what the records make of it.
pub(super) struct Present {
    /// Leaf first.
    pub(super) chain: Vec<CertificateDer<'static>>,
    /// As a delivery would have it.
    pub(super) matched: Result<Match, Mismatch>,
}

/// Whether it is published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Published {
    /// It is.
    pub(super) published: bool,
    /// The record that says so, as in a zone file.
    pub(super) record: Option<String>,
    /// Why, or why not.
    pub(super) note: String,
}

impl Next {
    /// From the file that the command line names, if it names one.
    pub(super) fn read(cert: Option<&Path>, key: Option<&Path>) -> anyhow::Result<Self> {
        Ok(match (cert, key) {
            (Some(cert), _) => Self::Chain(input::chain(cert)?),
            (None, Some(key)) => Self::Key(input::public_key(key)?),
            (None, None) => Self::Any,
        })
    }

    /// Whether `demand` lets it in, beside what is presented now.
    pub(super) fn is_published(
        &self,
        demand: &DaneDemand,
        present: &[Present],
        now: Timestamp,
    ) -> Published {
        match self {
            Self::Chain(chain) => {
                let presented = Presented {
                    chain,
                    reference_ids: &demand.reference_ids,
                };
                match dane::verify(&demand.records, presented, now) {
                    Ok(matched) => Published::by(&matched.record, "the next certificate matches"),
                    Err(mismatch) => Published::not(format!(
                        "the next certificate does not match ({})",
                        verify::in_words(&mismatch)
                    )),
                }
            }
            Self::Key(spki) => key(&demand.records, spki),
            Self::Any => spare(&demand.records, present),
        }
    }
}

fn key(records: &[Tlsa], spki: &[u8]) -> Published {
    let matching = records
        .iter()
        .find(|record| record.usage == Usage::DaneEe && record.matches_key(spki));
    match matching {
        Some(record) => Published::by(record, "the next key matches"),
        None if records.iter().any(|record| record.usage == Usage::DaneTa) => Published::not(
            "no record is for the next key itself; whether its certificate will match a usage 2 record shows with --cert".into(),
        ),
        None => Published::not("no record is for the next key".into()),
    }
}

/// A usable record for nothing that is presented now. Where nothing was seen, one of the records is taken to be in use.
fn spare(records: &[Tlsa], present: &[Present]) -> Published {
    if present.is_empty() {
        return match records {
            [_, _, ..] => Published {
                published: true,
                record: None,
                note: "there are more records than the one that may be in use".into(),
            },
            _ => Published::not("there is one record only, so it is the one in use".into()),
        };
    }
    let is_spare = |record: &&Tlsa| !present.iter().any(|seen| seen.is_about(record));
    if let Some(record) = records.iter().find(is_spare) {
        return Published::by(
            record,
            "a record is published for what is not presented yet",
        );
    }
    let authority = present.iter().find_map(|seen| match &seen.matched {
        Ok(matched) if matched.record.usage == Usage::DaneTa => Some(&matched.record),
        Ok(_) | Err(_) => None,
    });
    match authority {
        Some(record) => Published::by(
            record,
            "the record in use is for a CA, whose next certificate with this name matches too",
        ),
        None => Published::not("no record is published beside those in use".into()),
    }
}

impl Present {
    fn is_about(&self, record: &Tlsa) -> bool {
        match record.usage {
            Usage::DaneEe => self.chain.first().is_some_and(|leaf| record.matches(leaf)),
            Usage::DaneTa => self.chain.iter().any(|one| record.matches(one)),
        }
    }
}

impl Published {
    fn by(record: &Tlsa, note: &str) -> Self {
        Self {
            published: true,
            record: Some(record.to_string()),
            note: note.to_owned(),
        }
    }

    const fn not(note: String) -> Self {
        Self {
            published: false,
            record: None,
            note,
        }
    }
}
