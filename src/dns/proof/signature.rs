//! One signature over one RRset, checked with the keys of a zone (RFC 4035 §5.3).
//!
//! Work is bounded against KeyTrap (CVE-2023-50387): at most [`MOST_ATTEMPTS`] verifications per RRset, whatever the number of
//! keys and signatures; an RRSIG that fits no key costs nothing.

use hickory_resolver::proto::dnssec::Verifier;
use hickory_resolver::proto::dnssec::rdata::RRSIG;
use hickory_resolver::proto::rr::rdata::{MX, NS};
use hickory_resolver::proto::rr::{DNSClass, Name, RData, Record, RecordType};

use super::Flaw;
use super::keys::ZoneKeys;
use super::lifetime;
use super::rrset::{RrSet, Signature};
use crate::clock::Timestamp;

/// What a valid signature says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dns) struct Signed {
    /// The owner's labels below which the RRset was expanded from a wildcard, when it was (RFC 4035 §5.3.4).
    pub(in crate::dns) expanded_from: Option<u8>,
    /// Until when the RRset may be used (RFC 4035 §5.3.3).
    pub(in crate::dns) expires: Timestamp,
}

/// Checks the RRset with the keys of a zone. One valid signature suffices (RFC 6840 §5.4).
pub(in crate::dns) fn verify(set: &RrSet, keys: &ZoneKeys, now: Timestamp) -> Result<Signed, Flaw> {
    let mut flaw = Flaw::Unsigned;
    let mut attempts = 0;
    let records = canonical(set);
    for signature in set.signatures() {
        match check(set, signature, keys, now) {
            Ok(()) => {}
            Err(found) => {
                flaw = found;
                continue;
            }
        }
        flaw = Flaw::NoSuchKey;
        let input = signature.rrsig.input();
        for key in keys.fitting(input.key_tag, input.algorithm) {
            attempts += 1;
            if attempts > MOST_ATTEMPTS {
                return Err(Flaw::TooMuchWork);
            }
            let class = DNSClass::IN;
            if key
                .verify_rrsig(set.owner(), class, &signature.rrsig, records.iter())
                .is_ok()
            {
                return Ok(signed(set, signature, keys, now));
            }
            flaw = Flaw::BadSignature;
        }
    }
    Err(flaw)
}

/// As [`verify`], for RRsets that never come from a wildcard: those that make up the chain and the denials.
pub(in crate::dns) fn verify_unexpanded(
    set: &RrSet,
    keys: &ZoneKeys,
    now: Timestamp,
) -> Result<Timestamp, Flaw> {
    let signed = verify(set, keys, now)?;
    match signed.expanded_from {
        None => Ok(signed.expires),
        Some(_) => Err(Flaw::Labels),
    }
}

/// Everything about an RRSIG but the arithmetic (RFC 4035 §5.3.1).
fn check(set: &RrSet, signature: &Signature, keys: &ZoneKeys, now: Timestamp) -> Result<(), Flaw> {
    let input = signature.rrsig.input();
    if &input.signer_name != keys.zone() || !keys.zone().zone_of(set.owner()) {
        return Err(Flaw::SignerIsNoZone);
    }
    if input.num_labels > set.owner().num_labels() || input.num_labels < keys.zone().num_labels() {
        return Err(Flaw::Labels);
    }
    lifetime::validity(&signature.rrsig, now)
}

fn signed(set: &RrSet, signature: &Signature, keys: &ZoneKeys, now: Timestamp) -> Signed {
    let labels = signature.rrsig.input().num_labels;
    Signed {
        expanded_from: (labels < set.owner().num_labels()).then_some(labels),
        expires: lifetime::of_signed(set, signature, now).min(keys.expires()),
    }
}

/// The records with names in lower case and one TTL, so that sorting them yields the canonical order (RFC 4034 §6.2, §6.3).
fn canonical(set: &RrSet) -> Vec<Record> {
    let mut records = set.records().to_vec();
    for record in &mut records {
        record.ttl = 0;
        lower_case(record);
    }
    records
}

fn lower_case(record: &mut Record) {
    if let RData::MX(mx) = &record.data {
        record.data = RData::MX(MX::new(mx.preference, mx.exchange.to_lowercase()));
    } else if let RData::NS(ns) = &record.data {
        record.data = RData::NS(NS(ns.0.to_lowercase()));
    } else if record.record_type() == RecordType::DNAME
        && let RData::Unknown { code, rdata } = &record.data
    {
        // hickory does not know the type, so it keeps the wire form; the length octets are below the letters.
        let (code, mut rdata) = (*code, rdata.clone());
        rdata.anything.make_ascii_lowercase();
        record.data = RData::Unknown { code, rdata };
    }
}

/// The name that must not exist for a wildcard expansion to be right: one label more than the wildcard's parent has.
pub(in crate::dns) fn next_closer(owner: &Name, expanded_from: u8) -> Name {
    owner.trim_to(usize::from(expanded_from) + 1)
}

/// The signer and its label, for callers that look for signatures of a type.
pub(in crate::dns) fn signer(rrsig: &RRSIG) -> &Name {
    &rrsig.input().signer_name
}

/// Verifications per RRset.
const MOST_ATTEMPTS: usize = 8;
