//! What a signed tree answers: the view of a recursive resolver that has fetched everything and validated nothing.
//!
//! [`Tree`] is made by [`Plan::sign`](super::zones::Plan::sign). Denials carry the NSEC records that prove them
//! (RFC 4035 §3.1.3); there are no wildcards in the lab.

use std::collections::BTreeMap;

use hickory_server::proto::rr::{Name, RData, Record, RecordType};

use super::zones::{Misbehaviour, TTL};

/// A signed tree, ready to be asked.
#[derive(Debug)]
pub struct Tree {
    pub(super) zones: BTreeMap<Name, ServedZone>,
    pub(super) misbehaviours: BTreeMap<(Name, RecordType), Misbehaviour>,
    pub(super) anchor: String,
}

/// A zone with its signatures.
#[derive(Debug)]
pub(super) struct ServedZone {
    pub(super) nodes: BTreeMap<Name, BTreeMap<RecordType, RrSet>>,
}

/// Records of one owner and type, with the signature over them.
#[derive(Debug)]
pub(super) struct RrSet {
    pub(super) records: Vec<Record>,
    pub(super) signature: Option<Record>,
}

impl RrSet {
    pub(super) fn new(owner: &Name, rdatas: Vec<RData>) -> Self {
        Self {
            records: rdatas
                .into_iter()
                .map(|rdata| Record::from_rdata(owner.clone(), TTL, rdata))
                .collect(),
            signature: None,
        }
    }

    fn append_to(&self, section: &mut Vec<Record>) {
        section.extend(self.records.iter().cloned());
        section.extend(self.signature.iter().cloned());
    }
}

/// What a recursive resolver that does not validate says of a question, signatures included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// NOERROR; no answers mean NODATA, unless only aliases were found.
    Found(Sections),
    /// NXDOMAIN, possibly after aliases.
    NxDomain(Sections),
    /// SERVFAIL.
    Servfail,
}

/// The sections of a reply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sections {
    /// The answer section.
    pub answers: Vec<Record>,
    /// The authority section.
    pub authorities: Vec<Record>,
}

impl Tree {
    /// The root's DNSKEY as a line of a trust anchor file.
    #[must_use]
    pub fn anchor(&self) -> &str {
        &self.anchor
    }

    /// Answers as if everything had been fetched from the authoritative servers: aliases are followed from zone to
    /// zone, and the DS RRset of an apex comes from its parent (RFC 4035 §3.1.4.1).
    #[must_use]
    pub fn answer(&self, name: &Name, rtype: RecordType) -> Reply {
        let mut sections = Sections::default();
        let mut name = name.clone();
        for _ in 0..MAX_ALIASES {
            let Some((apex, zone)) = self.authority(&name, rtype) else {
                return Reply::Servfail;
            };
            match self.misbehaviours.get(&(name.clone(), rtype)) {
                Some(Misbehaviour::Servfail) => return Reply::Servfail,
                Some(Misbehaviour::Hidden) => {
                    zone.deny(apex, &[], &mut sections);
                    return Reply::NxDomain(sections);
                }
                Some(
                    Misbehaviour::BogusSignature
                    | Misbehaviour::ExpiredSignature
                    | Misbehaviour::StrippedSignature,
                )
                | None => {}
            }
            let Some(node) = zone.nodes.get(&name) else {
                return zone.deny_name(apex, &name, sections);
            };
            if let Some(rrset) = node.get(&rtype) {
                rrset.append_to(&mut sections.answers);
                return Reply::Found(sections);
            }
            let Some(alias) = node.get(&RecordType::CNAME) else {
                zone.deny(apex, &[&name], &mut sections);
                return Reply::Found(sections);
            };
            alias.append_to(&mut sections.answers);
            let Some(target) = alias.target() else {
                return Reply::Servfail;
            };
            name = target;
        }
        Reply::Servfail
    }

    fn authority(&self, name: &Name, rtype: RecordType) -> Option<(&Name, &ServedZone)> {
        self.zones
            .iter()
            .filter(|(apex, _)| apex.zone_of(name))
            .filter(|(apex, _)| rtype != RecordType::DS || apex.is_root() || *apex != name)
            .max_by_key(|(apex, _)| apex.num_labels())
    }
}

impl RrSet {
    fn target(&self) -> Option<Name> {
        let RData::CNAME(cname) = &self.records.first()?.data else {
            return None;
        };
        Some(cname.0.clone())
    }
}

impl ServedZone {
    /// A name without records: an empty non-terminal exists, anything else does not (RFC 8020 §2).
    fn deny_name(&self, apex: &Name, name: &Name, mut sections: Sections) -> Reply {
        if self.nodes.keys().any(|owner| name.zone_of(owner)) {
            self.deny(apex, &[name], &mut sections);
            return Reply::Found(sections);
        }
        let mut encloser = name.base_name();
        while !self.nodes.keys().any(|owner| encloser.zone_of(owner)) {
            encloser = encloser.base_name();
        }
        let wildcard = encloser.prepend_label("*").unwrap_or(encloser);
        self.deny(apex, &[name, &wildcard], &mut sections);
        Reply::NxDomain(sections)
    }

    /// SOA, and the NSEC records that match or cover the names (RFC 4035 §3.1.3).
    fn deny(&self, apex: &Name, names: &[&Name], sections: &mut Sections) {
        if let Some(soa) = self.rrset(apex, RecordType::SOA) {
            soa.append_to(&mut sections.authorities);
        }
        let mut shown: Vec<&Name> = Vec::new();
        for name in names {
            let covering = self.nodes.range(..=(*name).clone()).next_back();
            let Some((owner, types)) = covering else {
                continue;
            };
            let Some(nsec) = types.get(&RecordType::NSEC) else {
                continue;
            };
            if !shown.contains(&owner) {
                nsec.append_to(&mut sections.authorities);
                shown.push(owner);
            }
        }
    }

    fn rrset(&self, owner: &Name, rtype: RecordType) -> Option<&RrSet> {
        self.nodes.get(owner)?.get(&rtype)
    }
}

/// Longer chains are answered with SERVFAIL, as resolvers do.
const MAX_ALIASES: usize = 8;
