//! How long a path that was found need not be looked for again.
//!
//! A search depends on what is searched and on time, and on time only through the dates of the certificates in sight. So
//! between two of these dates it comes to the same: a [`Proof`] holds for the very [`Claim`] that was proven and from
//! the last of the dates to the next one. Whether a certificate has begun, has ended or is not on the path makes no
//! difference: any of them could change which path is found.

use ring::digest;
use rustls_pki_types::CertificateDer;
use x509_parser::certificate::Validity;
use x509_parser::prelude::FromDer;

use super::outline::Outline;
use crate::clock::Timestamp;

/// What is proven: a digest of everything that the search looked at but the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Claim([u8; 32]);

/// A search that has found a path, and when another one would find the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    claim: Claim,
    made: Timestamp,
    from: Timestamp,
    until: Timestamp,
}

impl Claim {
    /// Of `kind` about these parts, in this order.
    #[must_use]
    pub fn of<'a>(kind: &'static str, parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        let mut add = |part: &[u8]| {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        };
        add(kind.as_bytes());
        for part in parts {
            add(part);
        }
        let mut claim = [0; 32];
        claim.copy_from_slice(context.finish().as_ref());
        Self(claim)
    }
}

impl Proof {
    /// Of a claim that a search among `certificates` has just borne out at `now`; none when one of them cannot be
    /// read, or its dates.
    pub(crate) fn of<'a>(
        claim: Claim,
        certificates: impl IntoIterator<Item = &'a [u8]>,
        now: Timestamp,
    ) -> Option<Self> {
        let (mut from, mut until) = (0, u64::MAX);
        for certificate in certificates {
            let outline = Outline::parse(certificate).ok()?;
            let (_, validity) = Validity::from_der(outline.validity).ok()?;
            let begins = seconds(validity.not_before.timestamp());
            let has_ended = seconds(validity.not_after.timestamp()).saturating_add(1);
            for change in [begins, has_ended] {
                if change <= now.unix() {
                    from = from.max(change);
                } else {
                    until = until.min(change - 1);
                }
            }
        }
        Some(Self {
            claim,
            made: now,
            from: Timestamp::from_unix(from),
            until: Timestamp::from_unix(until),
        })
    }

    /// Whether `claim` need not be looked into at `now`.
    #[must_use]
    pub fn covers(&self, claim: &Claim, now: Timestamp) -> bool {
        self.claim == *claim && self.from <= now && now <= self.until
    }

    /// When the path was found.
    #[must_use]
    pub const fn made(&self) -> Timestamp {
        self.made
    }

    /// The last second in which it holds.
    #[must_use]
    pub const fn until(&self) -> Timestamp {
        self.until
    }
}

/// What is before 1970 is in the past.
fn seconds(timestamp: i64) -> u64 {
    u64::try_from(timestamp).unwrap_or(0)
}

/// The octets of certificates.
pub(crate) fn octets<'a>(
    certificates: &'a [CertificateDer<'static>],
) -> impl Iterator<Item = &'a [u8]> {
    certificates.iter().map(AsRef::as_ref)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::x509::sample::{Sample, T0, between, server};

    #[test]
    fn a_proof_holds_between_the_dates_that_lie_around_it_whatever_they_are_of() {
        let day = |year: i64| {
            let days = (year - 1970) * 365 + (year - 1969) / 4;
            Timestamp::from_unix(u64::try_from(days * 86_400).unwrap())
        };
        let of = |years: &[(i32, i32)], now| {
            let certificates: Vec<_> = years
                .iter()
                .map(|(from, to)| Sample::self_signed(between(server(&["a.example"]), *from, *to)))
                .collect();
            let claim = Claim::of("test", []);
            let octets = certificates.iter().map(|sample| sample.der.as_ref());
            Proof::of(claim, octets, now).unwrap()
        };
        let one = Timestamp::from_unix;
        for (row, years, from, until) in [
            (
                "valid now",
                &[(2020, 2030)][..],
                day(2020).unix(),
                day(2030).unix(),
            ),
            ("ended", &[(2020, 2022)], day(2022).unix() + 1, u64::MAX),
            ("to come", &[(2030, 2032)], 0, day(2030).unix() - 1),
            (
                "the nearest of several",
                &[(2020, 2030), (2024, 2025), (2028, 2029)],
                day(2025).unix() + 1,
                day(2028).unix() - 1,
            ),
            ("nothing that dates", &[], 0, u64::MAX),
        ] {
            let proof = of(years, T0);
            let claim = Claim::of("test", []);
            assert_eq!((proof.from, proof.until), (one(from), one(until)), "{row}");
            assert!(proof.covers(&claim, T0), "{row}");
            assert!(!proof.covers(&Claim::of("other", []), T0), "{row}");
            if until < u64::MAX {
                assert!(!proof.covers(&claim, one(until + 1)), "{row}");
            }
            if from > 0 {
                assert!(!proof.covers(&claim, one(from - 1)), "{row}");
            }
        }
    }

    #[test]
    fn the_parts_of_a_claim_cannot_run_into_each_other() {
        let of = |parts: &[&'static [u8]]| Claim::of("k", parts.iter().copied());
        let claims = [
            of(&[b"ab", b"c"]),
            of(&[b"a", b"bc"]),
            of(&[b"abc"]),
            of(&[b"abc", b""]),
            of(&[]),
            Claim::of("kab", [&b"c"[..]]),
        ];
        for (index, claim) in claims.iter().enumerate() {
            assert!(!claims[index + 1..].contains(claim), "{index}");
        }
    }
}
