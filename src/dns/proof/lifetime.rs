//! How long an answer may be used (RFC 4035 §5.3.1, §5.3.3; RFC 2308 §5).
//!
//! Signature times are serial numbers modulo 2^32 (RFC 4034 §3.1.5); outside this file time is a [`Timestamp`].

use std::time::Duration;

use hickory_resolver::proto::dnssec::rdata::RRSIG;
use hickory_resolver::proto::rr::{Name, RData, Record};

use super::Flaw;
use super::rrset::{RrSet, Signature};
use crate::clock::Timestamp;

/// Is `now` within the validity period?
pub(in crate::dns) fn validity(rrsig: &RRSIG, now: Timestamp) -> Result<(), Flaw> {
    let input = rrsig.input();
    let (from, now, to) = (
        input.sig_inception.get(),
        serial(now),
        input.sig_expiration.get(),
    );
    let between = |early: u32, late: u32| Duration::from_secs(u64::from(late.wrapping_sub(early)));
    if is_before(now, from) {
        return Err(Flaw::NotYetValid {
            until: between(now, from),
        });
    }
    if is_before(to, now) {
        return Err(Flaw::Expired {
            ago: between(to, now),
        });
    }
    Ok(())
}

/// Until when a signed RRset holds: the least of the TTLs, the original TTL, and what is left of the signature.
pub(in crate::dns) fn of_signed(set: &RrSet, signature: &Signature, now: Timestamp) -> Timestamp {
    let input = signature.rrsig.input();
    let left = left(&signature.rrsig, now);
    let seconds = set
        .ttl()
        .min(signature.ttl)
        .min(input.original_ttl)
        .min(left);
    after(now, seconds)
}

/// The end of the validity period of a signature that is valid now.
pub(in crate::dns) fn of_signature(rrsig: &RRSIG, now: Timestamp) -> Timestamp {
    after(now, left(rrsig, now))
}

fn left(rrsig: &RRSIG, now: Timestamp) -> u32 {
    rrsig.input().sig_expiration.get().wrapping_sub(serial(now))
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
        .filter(|record| record.name.zone_of(name))
        .filter_map(|record| {
            let RData::SOA(soa) = &record.data else {
                return None;
            };
            Some(record.ttl.min(soa.minimum))
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

#[cfg(test)]
mod tests {
    use hickory_resolver::proto::rr::rdata::SOA;

    use super::*;
    use crate::dns::sample::{T0, ZoneKey, address, name};

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn dns_07_the_validity_period_includes_both_its_ends() {
        let key = ZoneKey::generate();
        let record = Record::from_rdata(name("a.z"), 60, address());
        let rrsig = key.sign_for(&name("z"), &[record], T0, T0 + 10);
        let RData::DNSSEC(hickory_resolver::proto::dnssec::rdata::DNSSECRData::RRSIG(rrsig)) =
            rrsig.data
        else {
            panic!("no RRSIG");
        };
        for (now, expected) in [
            (T0 - 1, Err(Flaw::NotYetValid { until: SECOND })),
            (T0, Ok(())),
            (T0 + 10, Ok(())),
            (T0 + 11, Err(Flaw::Expired { ago: SECOND })),
        ] {
            assert_eq!(validity(&rrsig, Timestamp::from_unix(now)), expected);
        }
    }

    #[test]
    fn signature_times_wrap_around_in_2106() {
        const WRAP: u32 = u32::MAX;
        for (a, b, before) in [
            (1, 2, true),
            (2, 1, false),
            (1, 1, false),
            (WRAP, 0, true),
            (WRAP - 5, 5, true),
            (5, WRAP - 5, false),
        ] {
            assert_eq!(is_before(a, b), before, "{a} {b}");
        }
    }

    #[test]
    fn dnssec_18_an_absence_holds_as_long_as_its_soa_says() {
        let now = Timestamp::from_unix(T0);
        let soa = |owner: &str, ttl, minimum| {
            let soa = SOA::new(name("m"), name("r"), 1, 1, 1, 1, minimum);
            Record::from_rdata(name(owner), ttl, RData::SOA(soa))
        };
        for (says, authorities, seconds) in [
            ("the TTL", vec![soa("z", 60, 300)], 60),
            ("the minimum", vec![soa("z", 300, 70)], 70),
            ("the limit", vec![soa("z", 90_000, 90_000)], 3600),
            ("no SOA", vec![], 30),
            ("the SOA of an unrelated zone", vec![soa("y", 60, 60)], 30),
        ] {
            let until = of_absence(&authorities, &name("a.z"), now);
            assert_eq!(until.since(now).as_secs(), seconds, "{says}");
        }
    }
}
