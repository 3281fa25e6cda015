//! A zone that answers for itself, with proofs made from its content.

use std::collections::{BTreeMap, BTreeSet};

use hickory_resolver::proto::dnssec::rdata::{DNSSECRData, NSEC, NSEC3};
use hickory_resolver::proto::dnssec::{DigestType, Nsec3HashAlgorithm};
use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::{CNAME, NS, SOA};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

use super::{TTL, ZoneKey, name};
use crate::clock::Timestamp;
use crate::dns::proof::keys::ZoneKeys;

/// How a zone denies.
#[derive(Clone, Copy)]
pub(in crate::dns) enum Proofs {
    Nsec,
    Nsec3 {
        opt_out: bool,
        iterations: u16,
        salt: &'static [u8],
    },
}

/// One zone.
pub(in crate::dns) struct Zone {
    pub(in crate::dns) origin: Name,
    key: Option<ZoneKey>,
    proofs: Proofs,
    nodes: BTreeMap<Name, Vec<RData>>,
}

impl Zone {
    pub(in crate::dns) fn unsigned(origin: &str) -> Self {
        let origin = name(origin);
        let soa = SOA::new(origin.clone(), origin.clone(), 1, 900, 300, 9000, 300);
        let ns = RData::NS(NS(origin.clone()));
        let nodes = BTreeMap::from([(origin.clone(), vec![RData::SOA(soa), ns])]);
        Self {
            origin,
            key: None,
            proofs: Proofs::Nsec,
            nodes,
        }
    }

    pub(in crate::dns) fn signed(origin: &str, proofs: Proofs) -> Self {
        let mut zone = Self::unsigned(origin);
        let key = ZoneKey::generate();
        zone.nodes.get_mut(&zone.origin).unwrap().push(key.dnskey());
        zone.key = Some(key);
        zone.proofs = proofs;
        zone
    }

    pub(in crate::dns) const fn is_signed(&self) -> bool {
        self.key.is_some()
    }

    pub(in crate::dns) fn key(&self) -> &ZoneKey {
        self.key.as_ref().unwrap()
    }

    pub(in crate::dns) fn keys(&self, now: Timestamp) -> ZoneKeys {
        self.key().keys(&self.origin, now)
    }

    pub(in crate::dns) fn with(mut self, owner: &str, data: RData) -> Self {
        self.nodes.entry(name(owner)).or_default().push(data);
        self
    }

    /// Delegates to another zone, with a DS record when that is signed.
    pub(in crate::dns) fn delegating(self, child: &Self) -> Self {
        let owner = child.origin.to_ascii();
        let ns = RData::NS(NS(child.origin.clone()));
        let zone = self.with(&owner, ns);
        let Some(key) = &child.key else { return zone };
        let ds = key.ds(&child.origin, DigestType::SHA256);
        zone.with(&owner, RData::DNSSEC(DNSSECRData::DS(ds)))
    }

    /// The RRset with its signature, as at `owner` when a wildcard is expanded.
    fn rrset(&self, node: &Name, record_type: RecordType, owner: &Name) -> Vec<Record> {
        let records: Vec<Record> = self
            .nodes
            .get(node)
            .into_iter()
            .flatten()
            .filter(|data| data.record_type() == record_type)
            .map(|data| Record::from_rdata(node.clone(), TTL, data.clone()))
            .collect();
        self.with_signature(records, owner)
    }

    fn with_signature(&self, mut records: Vec<Record>, owner: &Name) -> Vec<Record> {
        if let Some(key) = &self.key
            && !records.is_empty()
        {
            records.push(key.sign(&self.origin, &records));
        }
        for record in &mut records {
            record.name = owner.clone();
        }
        records
    }

    pub(in crate::dns) fn soa(&self) -> Vec<Record> {
        self.rrset(&self.origin, RecordType::SOA, &self.origin)
    }

    pub(in crate::dns) fn exists(&self, name: &Name) -> bool {
        self.nodes.keys().any(|node| name.zone_of(node))
    }

    /// All names that exist, also those without records.
    pub(in crate::dns) fn names(&self) -> BTreeSet<Name> {
        let apex = self.origin.iter().count();
        let down_to = |node: &Name| {
            let node = node.clone();
            (apex..=node.iter().count()).map(move |depth| node.trim_to(depth))
        };
        self.nodes.keys().flat_map(down_to).collect()
    }

    fn is_cut(&self, node: &Name) -> bool {
        node != &self.origin && self.has(node, RecordType::NS)
    }

    pub(in crate::dns) fn has(&self, node: &Name, record_type: RecordType) -> bool {
        self.nodes
            .get(node)
            .is_some_and(|data| data.iter().any(|d| d.record_type() == record_type))
    }

    fn types(&self, node: &Name) -> BTreeSet<RecordType> {
        let data = self.nodes.get(node).into_iter().flatten();
        data.map(RData::record_type).collect()
    }

    /// The record that proves `name` absent, or shows its types.
    pub(in crate::dns) fn proof(&self, name: &Name) -> Vec<Record> {
        if self.key.is_none() {
            return Vec::new();
        }
        match self.proofs {
            Proofs::Nsec => self.nsec(name),
            Proofs::Nsec3 { .. } => self.nsec3(name),
        }
    }

    fn nsec(&self, name: &Name) -> Vec<Record> {
        let owner = self.nodes.keys().rev().find(|node| *node <= name).unwrap();
        let next = self.nodes.keys().find(|node| *node > owner);
        let mut types = self.types(owner);
        types.extend([RecordType::NSEC, RecordType::RRSIG]);
        let nsec = NSEC::new(next.unwrap_or(&self.origin).clone(), types);
        let data = RData::DNSSEC(DNSSECRData::NSEC(nsec));
        self.with_signature(vec![Record::from_rdata(owner.clone(), 300, data)], owner)
    }

    fn nsec3(&self, name: &Name) -> Vec<Record> {
        let Proofs::Nsec3 {
            opt_out,
            iterations,
            salt,
        } = self.proofs
        else {
            return Vec::new();
        };
        let hash = |name: &Name| {
            let digest = Nsec3HashAlgorithm::SHA1.hash(salt, name, iterations);
            digest.unwrap().as_ref().to_vec()
        };
        let ring: BTreeMap<Vec<u8>, Name> = self
            .hashed_names()
            .into_iter()
            .map(|name| (hash(&name), name))
            .collect();
        let wanted = hash(name);
        let own = ring
            .range(..=wanted)
            .next_back()
            .or_else(|| ring.last_key_value());
        let (own, node) = own.unwrap();
        let next =
            ring.range::<Vec<u8>, _>((std::ops::Bound::Excluded(own), std::ops::Bound::Unbounded));
        let next = next.map(|(hash, _)| hash).next();
        let next = next.unwrap_or_else(|| ring.first_key_value().unwrap().0);
        let mut types = self.types(node);
        if !types.is_empty() && (!self.is_cut(node) || types.contains(&RecordType::DS)) {
            types.insert(RecordType::RRSIG);
        }
        let nsec3 = NSEC3::new(
            Nsec3HashAlgorithm::SHA1,
            opt_out,
            iterations,
            salt.to_vec(),
            next.clone(),
            types,
        );
        let owner = self.origin.prepend_label(base32hex(own)).unwrap();
        let data = RData::DNSSEC(DNSSECRData::NSEC3(nsec3));
        self.with_signature(vec![Record::from_rdata(owner.clone(), 300, data)], &owner)
    }

    /// The names with an NSEC3 record: all, without the unsigned delegations of an opt-out zone.
    fn hashed_names(&self) -> BTreeSet<Name> {
        let mut names = self.names();
        if matches!(self.proofs, Proofs::Nsec3 { opt_out: true, .. }) {
            names.retain(|name| !self.is_cut(name) || self.has(name, RecordType::DS));
        }
        names
    }

    pub(in crate::dns) fn closest_encloser(&self, name: &Name) -> Name {
        (0..name.iter().count())
            .rev()
            .map(|depth| name.trim_to(depth))
            .find(|ancestor| self.exists(ancestor))
            .unwrap()
    }

    /// The proof that nothing is closer to `name` than `encloser` (RFC 4035 §3.1.3.3, RFC 5155 §7.2.1).
    fn no_closer(&self, name: &Name, encloser: &Name) -> Vec<Record> {
        match self.proofs {
            Proofs::Nsec => self.proof(name),
            Proofs::Nsec3 { .. } => self.proof(&name.trim_to(encloser.iter().count() + 1)),
        }
    }

    pub(in crate::dns) fn answer(
        &self,
        name: &Name,
        record_type: RecordType,
        message: &mut Message,
    ) -> Option<Name> {
        if let Some(owner) = self.dname_above(name) {
            return Some(self.substitute(name, &owner, message));
        }
        if self.exists(name) {
            return self.at(name, record_type, name, message);
        }
        let encloser = self.closest_encloser(name);
        let wildcard = encloser.prepend_label("*").unwrap();
        if self.exists(&wildcard) {
            let target = self.at(&wildcard, record_type, name, message);
            message.authorities.extend(self.no_closer(name, &encloser));
            if matches!(self.proofs, Proofs::Nsec3 { .. }) {
                message.authorities.extend(self.proof(&encloser));
            }
            return target;
        }
        message.metadata.response_code = ResponseCode::NXDomain;
        message.authorities.extend(self.soa());
        message.authorities.extend(self.no_closer(name, &encloser));
        message.authorities.extend(self.proof(&wildcard));
        if matches!(self.proofs, Proofs::Nsec3 { .. }) {
            message.authorities.extend(self.proof(&encloser));
        }
        None
    }

    /// What `node` holds, under the name `owner`.
    fn at(
        &self,
        node: &Name,
        record_type: RecordType,
        owner: &Name,
        message: &mut Message,
    ) -> Option<Name> {
        let set = self.rrset(node, record_type, owner);
        if !set.is_empty() {
            message.answers.extend(set);
            return None;
        }
        if let Some(RData::CNAME(target)) = self.first(node, RecordType::CNAME) {
            message
                .answers
                .extend(self.rrset(node, RecordType::CNAME, owner));
            return Some(target.0.clone());
        }
        message.authorities.extend(self.soa());
        message.authorities.extend(self.proof(node));
        // An unsigned delegation in an opt-out span has no record of its own.
        let Proofs::Nsec3 { opt_out: true, .. } = self.proofs else {
            return None;
        };
        if self.is_cut(node) && record_type == RecordType::DS {
            let encloser = self.closest_encloser(node);
            message.authorities.extend(self.proof(&encloser));
        }
        None
    }

    fn first(&self, node: &Name, record_type: RecordType) -> Option<&RData> {
        let mut data = self.nodes.get(node)?.iter();
        data.find(|data| data.record_type() == record_type)
    }

    fn dname_above(&self, name: &Name) -> Option<Name> {
        let mut owners = self.nodes.keys();
        owners
            .find(|node| node.zone_of(name) && *node != name && self.has(node, RecordType::DNAME))
            .cloned()
    }

    fn substitute(&self, name: &Name, owner: &Name, message: &mut Message) -> Name {
        let set = self.rrset(owner, RecordType::DNAME, owner);
        let RData::Unknown { rdata, .. } = &set[0].data else {
            panic!("{owner} has no DNAME");
        };
        let mut target: Vec<Vec<u8>> = Vec::new();
        let mut wire = rdata.anything.as_slice();
        while wire[0] != 0 {
            let (label, rest) = wire[1..].split_at(usize::from(wire[0]));
            target.push(label.to_vec());
            wire = rest;
        }
        let below = name.iter().count() - owner.iter().count();
        let labels = name.iter().take(below).map(<[u8]>::to_vec).chain(target);
        let labels: Vec<Vec<u8>> = labels.collect();
        let target = Name::from_labels(labels.iter().map(Vec::as_slice)).unwrap();
        message.answers.extend(set);
        let cname = RData::CNAME(CNAME(target.clone()));
        message
            .answers
            .push(Record::from_rdata(name.clone(), TTL, cname));
        target
    }
}

/// RFC 4648 §7, lower case, no padding.
fn base32hex(bytes: &[u8]) -> String {
    let bits: Vec<u8> = bytes
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1))
        .collect();
    bits.chunks(5)
        .map(|chunk| {
            chunk
                .iter()
                .fold(0, |value, bit| value << 1 | u32::from(*bit))
        })
        .map(|value| char::from_digit(value, 32).unwrap())
        .collect()
}
