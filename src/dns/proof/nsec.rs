//! Denial of existence by names in canonical order: NSEC (RFC 4034 §4, RFC 4035 §5.4).

use hickory_resolver::proto::dnssec::rdata::NSEC;
use hickory_resolver::proto::rr::{Name, RecordType};

use super::denial::{Denial, absent_at, ends_the_zone, wildcard_of};
use super::{Flaw, Trust};

/// The validated NSEC records of one zone that came in a message.
#[derive(Debug)]
pub(super) struct NsecChain {
    zone: Name,
    records: Vec<(Name, NSEC)>,
}

impl NsecChain {
    pub(super) const fn new(zone: Name) -> Self {
        Self {
            zone,
            records: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, owner: Name, nsec: NSEC) {
        self.records.push((owner, nsec));
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// What is absent at `name`.
    pub(super) fn deny(&self, name: &Name, record_type: RecordType) -> Result<Denial, Flaw> {
        if let Some(nsec) = self.at(name) {
            return absent_at(nsec.type_set(), name, record_type);
        }
        let (owner, nsec) = self.covering(name).ok_or(Flaw::NotDenied)?;
        let next = nsec.next_domain_name();
        if name.zone_of(next) {
            return Ok(EMPTY_NON_TERMINAL);
        }
        // The name shares its closest encloser with one of the neighbours between which it would stand.
        let encloser = deeper(common_ancestor(name, owner), common_ancestor(name, next));
        let wildcard = wildcard_of(&encloser).ok_or(Flaw::WildcardNotDenied)?;
        if let Some(nsec) = self.at(&wildcard) {
            return absent_at(nsec.type_set(), &wildcard, record_type).map(Denial::at_a_wildcard);
        }
        match self.covering(&wildcard) {
            Some((_, nsec)) if wildcard.zone_of(nsec.next_domain_name()) => Ok(EMPTY_NON_TERMINAL),
            Some(_) => Ok(Denial::NxDomain),
            None => Err(Flaw::WildcardNotDenied),
        }
    }

    /// May a wildcard have been expanded past `next_closer`?
    pub(super) fn allows_expansion(&self, next_closer: &Name) -> Result<Trust, Flaw> {
        match self.covering(next_closer) {
            Some((_, nsec)) if !next_closer.zone_of(nsec.next_domain_name()) => Ok(Trust::Secure),
            Some(_) | None => Err(Flaw::ExpansionNotProven),
        }
    }

    fn at(&self, name: &Name) -> Option<&NSEC> {
        self.records
            .iter()
            .find(|(owner, _)| owner == name)
            .map(|(_, nsec)| nsec)
    }

    /// The record between whose names `name` would stand. One from above a zone cut or a DNAME says nothing about what lies
    /// below it (RFC 6840 §4.1).
    fn covering(&self, name: &Name) -> Option<(&Name, &NSEC)> {
        if !self.zone.zone_of(name) {
            return None;
        }
        self.records
            .iter()
            .find(|(owner, nsec)| {
                let next = nsec.next_domain_name();
                // The last record of a zone points back to the apex (RFC 4034 §4.1.1).
                let before_next = name < next || next == &self.zone;
                let not_its_business = owner.zone_of(name) && ends_the_zone(nsec.type_set());
                owner < name && before_next && !not_its_business
            })
            .map(|(owner, nsec)| (owner, nsec))
    }
}

fn common_ancestor(a: &Name, b: &Name) -> Name {
    let shared = a
        .iter()
        .rev()
        .zip(b.iter().rev())
        .take_while(|(a, b)| a.eq_ignore_ascii_case(b))
        .count();
    a.trim_to(shared)
}

fn deeper(a: Name, b: Name) -> Name {
    if a.iter().count() >= b.iter().count() {
        a
    } else {
        b
    }
}

const EMPTY_NON_TERMINAL: Denial = Denial::NoData { delegation: false };

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::sample::name;

    /// The example of RFC 4034 §6.1, in order.
    const ORDERED: [&[u8]; 9] = [
        b"example",
        b"a.example",
        b"yljkjljk.a.example",
        b"Z.a.example",
        b"zABC.a.EXAMPLE",
        b"z.example",
        b"\x01.z.example",
        b"*.z.example",
        b"\xc8.z.example",
    ];

    fn raw(text: &[u8]) -> Name {
        Name::from_labels(text.split(|octet| *octet == b'.')).unwrap()
    }

    #[test]
    fn a_record_covers_what_lies_between_its_names_in_canonical_order() {
        for (low, owner) in ORDERED.iter().enumerate() {
            for (high, next) in ORDERED.iter().enumerate().skip(low + 1) {
                let mut chain = NsecChain::new(name("example"));
                chain.add(raw(owner), NSEC::new(raw(next), [RecordType::A]));
                for (place, between) in ORDERED.iter().enumerate() {
                    let covered = chain.covering(&raw(between)).is_some();
                    let lies_between = low < place && place < high;
                    assert_eq!(covered, lies_between, "{low} {place} {high}");
                }
            }
        }
    }

    #[test]
    fn the_last_record_covers_the_rest_and_only_with_the_apex_for_next() {
        let last = |next: &str| {
            let mut chain = NsecChain::new(name("example"));
            chain.add(name("m.example"), NSEC::new(name(next), [RecordType::A]));
            chain
        };
        let rest = name("x.example");
        assert!(last("example").covering(&rest).is_some());
        assert!(last("example").covering(&name("b.example")).is_none());
        assert!(last("a.example").covering(&rest).is_none());
        assert!(last("n.example").covering(&rest).is_none());
    }
}
