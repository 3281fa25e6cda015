//! What must be proven to meet a demand, in 32 octets. Pure.
//!
//! Two demands with one [`Fingerprint`] are met by the same certificates at the same time, whosever recipients they are
//! for: TLSA records that match the leaf look at no names, and MTA-STS looks at the host, not at the domain. It is what
//! keeps tickets and pins apart (RFC 8446 §4.6.1, RFC 6066 §3).

use std::fmt;
use std::str::FromStr;

use ring::digest;

use super::{Candidate, Local};
use crate::dane::{Tlsa, Usage};

/// Of what a candidate must prove.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Nothing must be proven: any certificate will do.
    pub const NOTHING: Self = Self([0; 32]);

    /// What `candidate` must prove, where `roots` is the identity of the trusted CAs.
    #[must_use]
    pub fn of(candidate: &Candidate, roots: &[u8; 32]) -> Self {
        let requirement = &candidate.requirement;
        if !requirement.authenticates() {
            return Self::NOTHING;
        }
        let mut writer = Writer(digest::Context::new(&digest::SHA256));
        if let Some(dane) = &requirement.dane {
            writer.part(b"dane");
            writer.part(dane.base.as_str().as_bytes());
            // DNS gives them in any order.
            let mut records: Vec<&Tlsa> = dane.records.iter().collect();
            records.sort_by_key(|one| (one.usage, one.selector, one.matching, &one.data));
            for record in &records {
                let kind = [
                    record.usage as u8,
                    record.selector as u8,
                    record.matching as u8,
                ];
                writer.part(&kind);
                writer.part(&record.data);
            }
            if records.iter().any(|record| record.usage == Usage::DaneTa) {
                writer.part(b"names");
                for id in &dane.reference_ids {
                    writer.part(id.as_str().as_bytes());
                }
            }
        }
        if let Some(sts) = &requirement.sts {
            writer.part(b"mta-sts");
            writer.part(candidate.host.as_str().as_bytes());
            writer.part(&[u8::from(sts.listed)]);
            writer.part(roots);
        }
        if let Some(local) = &requirement.local {
            writer.local(local, candidate, roots);
        }
        Self(writer.end())
    }

    /// Whether anything must be proven.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::NOTHING
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl FromStr for Fingerprint {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
            return Err(());
        };
        let octets: Option<Vec<u8>> = pairs
            .iter()
            .map(|pair| {
                let digit = |octet: u8| char::from(octet).to_digit(16);
                u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok()
            })
            .collect();
        let octets = octets.ok_or(())?;
        octets.try_into().map(Self).map_err(|_| ())
    }
}

/// Writes parts so that none runs into the next.
struct Writer(digest::Context);

impl Writer {
    fn part(&mut self, part: &[u8]) {
        self.0.update(&(part.len() as u64).to_be_bytes());
        self.0.update(part);
    }

    /// What an exception requires is proven apart from what is published, even where both look at the same.
    fn local(&mut self, local: &Local, candidate: &Candidate, roots: &[u8; 32]) {
        match local {
            Local::Dane => self.part(b"dane must be there"),
            Local::Sts => self.part(b"mta-sts must be there"),
            Local::Webpki => {
                self.part(b"webpki");
                self.part(candidate.host.as_str().as_bytes());
                self.part(roots);
            }
            Local::Pin(pins) => {
                self.part(b"pin");
                let mut keys: Vec<&[u8; 32]> = pins.iter().map(|pin| &pin.0).collect();
                keys.sort_unstable();
                keys.dedup();
                for key in keys {
                    self.part(key);
                }
            }
        }
    }

    fn end(self) -> [u8; 32] {
        let mut octets = [0; 32];
        octets.copy_from_slice(self.0.finish().as_ref());
        octets
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dane::{Matching, Selector};
    use crate::policy::exceptions::Pin;
    use crate::policy::{DaneDemand, Requirement, StsDemand};

    fn record(usage: Usage, octet: u8) -> Tlsa {
        Tlsa {
            usage,
            selector: Selector::Spki,
            matching: Matching::Sha256,
            data: vec![octet; 32],
        }
    }

    fn dane(records: Vec<Tlsa>, names: &[&str]) -> Requirement {
        Requirement {
            dane: Some(DaneDemand {
                base: "mx.example".parse().unwrap(),
                records,
                reference_ids: names.iter().map(|name| name.parse().unwrap()).collect(),
                half: false,
            }),
            ..Requirement::default()
        }
    }

    fn sts(patterns: &[&str]) -> Requirement {
        Requirement {
            sts: Some(StsDemand {
                listed: true,
                patterns: patterns.iter().map(|one| (*one).to_owned()).collect(),
            }),
            ..Requirement::default()
        }
    }

    fn of(host: &str, requirement: Requirement) -> Fingerprint {
        let candidate = Candidate {
            host: host.parse().unwrap(),
            requirement,
            observed: None,
        };
        Fingerprint::of(&candidate, &[7; 32])
    }

    #[test]
    fn tls_11_the_domain_makes_no_difference_where_no_proof_looks_at_it_and_everything_else_does() {
        let (ee, ta) = (Usage::DaneEe, Usage::DaneTa);
        let mx = "mx.example";
        let one = || dane(vec![record(ee, 1), record(ee, 2)], &[mx, "a.example"]);
        for (row, other, is_same) in [
            (
                "DANE-EE for another domain",
                of(
                    mx,
                    dane(vec![record(ee, 1), record(ee, 2)], &[mx, "b.example"]),
                ),
                true,
            ),
            (
                "the records in another order",
                of(mx, dane(vec![record(ee, 2), record(ee, 1)], &[mx])),
                true,
            ),
            (
                "a record less",
                of(mx, dane(vec![record(ee, 1)], &[mx])),
                false,
            ),
            (
                "another key",
                of(mx, dane(vec![record(ee, 1), record(ee, 3)], &[mx])),
                false,
            ),
            (
                "another usage",
                of(mx, dane(vec![record(ee, 1), record(ta, 2)], &[mx])),
                false,
            ),
            ("MTA-STS", of(mx, sts(&[mx])), false),
            ("nothing", of(mx, Requirement::default()), false),
        ] {
            assert_eq!(of(mx, one()) == other, is_same, "{row}");
        }
        let anchored = |domain| of(mx, dane(vec![record(ta, 1)], &[mx, domain]));
        assert_ne!(anchored("a.example"), anchored("b.example"));
        assert_eq!(of(mx, sts(&["*.example"])), of(mx, sts(&[mx])));
        assert_ne!(of("mx2.example", sts(&[mx])), of(mx, sts(&[mx])));
    }

    #[test]
    fn tls_11_what_an_exception_requires_is_part_of_the_demand() {
        let pins = |keys: &[u8]| Local::Pin(keys.iter().map(|key| Pin([*key; 32])).collect());
        let with = |local: Option<Local>| {
            let requirement = dane(vec![record(Usage::DaneEe, 1)], &["mx.example"]);
            of(
                "mx.example",
                Requirement {
                    local,
                    ..requirement
                },
            )
        };
        let all = [
            None,
            Some(Local::Dane),
            Some(Local::Sts),
            Some(Local::Webpki),
            Some(pins(&[1])),
            Some(pins(&[1, 2])),
        ];
        let fingerprints: Vec<_> = all.iter().map(|local| with(local.clone())).collect();
        for (index, one) in fingerprints.iter().enumerate() {
            assert!(!fingerprints[index + 1..].contains(one), "{:?}", all[index]);
        }
        assert_eq!(with(Some(pins(&[2, 1, 2]))), with(Some(pins(&[1, 2]))));
        let alone = |host: &str, roots| {
            let requirement = Requirement {
                local: Some(Local::Webpki),
                ..Requirement::default()
            };
            let candidate = Candidate {
                host: host.parse().unwrap(),
                requirement,
                observed: None,
            };
            Fingerprint::of(&candidate, &[roots; 32])
        };
        assert!(!alone("mx.example", 1).is_nothing());
        assert_ne!(alone("mx.example", 1), alone("mx2.example", 1));
        assert_ne!(alone("mx.example", 1), alone("mx.example", 2));
    }

    #[test]
    fn other_cas_are_another_demand_and_tls_alone_is_none() {
        let candidate = |requirement| Candidate {
            host: "mx.example".parse().unwrap(),
            requirement,
            observed: None,
        };
        let trusted = candidate(sts(&[]));
        assert_ne!(
            Fingerprint::of(&trusted, &[1; 32]),
            Fingerprint::of(&trusted, &[2; 32])
        );
        let encrypted = candidate(Requirement {
            encrypt: true,
            ..Requirement::default()
        });
        assert!(Fingerprint::of(&encrypted, &[1; 32]).is_nothing());
    }
}
