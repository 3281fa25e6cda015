//! How long an answer may be used (RFC 4035 §5.3.1, §5.3.3; RFC 2308 §5).
//!
//! Signature times are serial numbers modulo 2^32 (RFC 4034 §3.1.5); outside this file time is a [`Timestamp`].

use std::time::Duration;

use hickory_resolver::proto::dnssec::rdata::RRSIG;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

use super::Flaw;
use super::rrset::{RrSet, Signature};
use crate::clock::Timestamp;

/// Is `now` within the validity period?
pub(in crate::dns) fn validity(rrsig: &RRSIG, now: Timestamp) -> Result<(), Flaw> {
    let input = rrsig.input();
    if is_before(serial(now), input.sig_inception.get()) {
        return Err(Flaw::NotYetValid);
    }
    if is_before(input.sig_expiration.get(), serial(now)) {
        return Err(Flaw::Expired);
    }
    Ok(())
}

/// Until when a signed RRset holds: the least of the TTLs, the original TTL, and what is left of the signature.
pub(in crate::dns) fn of_signed(set: &RrSet, signature: &Signature, now: Timestamp) -> Timestamp {
    let input = signature.rrsig.input();
    let left = input.sig_expiration.get().wrapping_sub(serial(now));
    let seconds = set
        .ttl()
        .min(signature.ttl)
        .min(input.original_ttl)
        .min(left);
    after(now, seconds)
}

/// Until when an unsigned RRset holds.
pub(in crate::dns) fn of_unsigned(set: &RrSet, now: Timestamp) -> Timestamp {
    after(now, set.ttl())
}

/// Until when a negative answer for `name` holds: the SOA's TTL and its MINIMUM, at most [`LONGEST_ABSENCE`]; without an SOA a
/// short while.
pub(in crate::dns) fn of_absence(authorities: &[Record], name: &Name, now: Timestamp) -> Timestamp {
    let soa = authorities
        .iter()
        .filter(|record| record.record_type() == RecordType::SOA && record.name.zone_of(name))
        .filter_map(|record| match &record.data {
            RData::SOA(soa) => Some(record.ttl.min(soa.minimum)),
            #[expect(clippy::wildcard_enum_match_arm, reason = "foreign, non-exhaustive")]
            _ => None,
        })
        .min();
    after(now, soa.unwrap_or(ABSENCE_WITHOUT_SOA).min(LONGEST_ABSENCE))
}

fn after(now: Timestamp, seconds: u32) -> Timestamp {
    now.plus(Duration::from_secs(seconds.into()))
}

/// RFC 4034 §3.1.5 wants arithmetic modulo 2^32.
fn serial(now: Timestamp) -> u32 {
    (now.unix() & u64::from(u32::MAX)) as u32
}

/// RFC 1982 §3.2.
const fn is_before(a: u32, b: u32) -> bool {
    a != b && b.wrapping_sub(a) < 1 << 31
}

/// RFC 2308 §5 suggests one to three hours for a limit.
const LONGEST_ABSENCE: u32 = 3600;
const ABSENCE_WITHOUT_SOA: u32 = 30;
