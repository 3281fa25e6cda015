//! A DNSSEC-signed tree, built in memory: root, one TLD, and the zones that scenarios publish.
//!
//! A [`Plan`] collects records and [`Misbehaviour`]s; [`Plan::sign`] makes a [`Tree`](super::tree::Tree) of it, with one Ed25519 key per
//! signed zone (RFC 8080), DS records at the parents, and an NSEC chain through each zone (RFC 4034 §4, RFC 4035 §2.3).
//! Zones are honest unless a misbehaviour is asked for by name, and it is applied to one RRset, so that a broken zone
//! is broken in exactly one way. Signing fails with [`ZoneError`], which is a fault of the plan.

use std::collections::BTreeMap;
use std::time::Duration;

use hickory_server::proto::ProtoError;
use hickory_server::proto::dnssec::DnsSecError;
use hickory_server::proto::dnssec::rdata::{DNSSECRData, NSEC};
use hickory_server::proto::rr::rdata::{A, NS, SOA};
use hickory_server::proto::rr::{Name, RData, RecordType};

use super::tree::{RrSet, ServedZone, Tree};
use super::zone_key::{Key, Window};
use crate::clock::Timestamp;

/// The TLD of the lab: reserved, so that nothing of it can be meant for real (RFC 6761 §6.2).
pub const TLD: &str = "test";

/// What the tree is to hold.
#[derive(Debug, Default)]
pub struct Plan {
    zones: BTreeMap<Name, Zone>,
    misbehaviours: BTreeMap<(Name, RecordType), Misbehaviour>,
}

/// Whether a zone is signed, with a DS at its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signing {
    /// It is.
    Signed,
    /// It is not, and the parent proves it.
    Unsigned,
}

/// What is wrong with one RRset. Everything else about its zone is in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misbehaviour {
    /// Its signature does not verify.
    BogusSignature,
    /// Its signature has expired.
    ExpiredSignature,
    /// It comes without signatures, though its zone is signed.
    StrippedSignature,
    /// Its question is answered with SERVFAIL.
    Servfail,
    /// Its question is answered with NXDOMAIN, which nothing proves.
    Hidden,
}

/// The plan cannot be signed.
#[derive(Debug, thiserror::Error)]
pub enum ZoneError {
    /// A name or a record cannot be encoded.
    #[error("a record of the plan cannot be encoded: {0}")]
    Encoding(#[from] ProtoError),
    /// A key cannot be made or used.
    #[error("a zone key cannot be made or used: {0}")]
    Key(#[from] DnsSecError),
}

#[derive(Debug)]
struct Zone {
    signing: Signing,
    nodes: BTreeMap<Name, BTreeMap<RecordType, Vec<RData>>>,
}

impl Plan {
    /// Adds a zone below the TLD.
    ///
    /// # Errors
    /// When `apex` is no name.
    pub fn zone(&mut self, apex: &str, signing: Signing) -> Result<(), ZoneError> {
        self.zones.insert(fqdn(apex)?, Zone::new(signing));
        Ok(())
    }

    /// Adds a record to the zone that encloses `owner`.
    ///
    /// # Errors
    /// When `owner` is no name.
    pub fn record(&mut self, owner: &str, rdata: RData) -> Result<(), ZoneError> {
        let owner = fqdn(owner)?;
        let enclosing = self
            .zones
            .iter_mut()
            .filter(|(apex, _)| apex.zone_of(&owner))
            .max_by_key(|(apex, _)| apex.num_labels());
        if let Some((_, zone)) = enclosing {
            zone.add(owner, rdata);
        }
        Ok(())
    }

    /// Makes one RRset misbehave.
    ///
    /// # Errors
    /// When `owner` is no name.
    pub fn misbehave(
        &mut self,
        owner: &str,
        rtype: RecordType,
        how: Misbehaviour,
    ) -> Result<(), ZoneError> {
        self.misbehaviours.insert((fqdn(owner)?, rtype), how);
        Ok(())
    }

    /// Completes the tree with the TLD and the root, and signs it as of `now`.
    ///
    /// # Errors
    /// [`ZoneError`].
    pub fn sign(mut self, now: Timestamp) -> Result<Tree, ZoneError> {
        let tld = fqdn(TLD)?;
        self.zones.insert(tld.clone(), Zone::new(Signing::Signed));
        self.zones.insert(Name::root(), Zone::new(Signing::Signed));
        let server = tld.prepend_label("ns")?;
        self.record(
            &server.to_ascii(),
            RData::A(A(std::net::Ipv4Addr::LOCALHOST)),
        )?;
        let keys = self.add_apexes(&server)?;
        let anchor = anchor_line(&keys)?;
        let window = Window::around(now);
        let mut served = BTreeMap::new();
        for (apex, zone) in self.zones {
            let signed = match keys.get(&apex) {
                Some(key) => zone.signed(&apex, key, window, &self.misbehaviours)?,
                None => zone.unsigned(),
            };
            served.insert(apex, signed);
        }
        Ok(Tree {
            zones: served,
            misbehaviours: self.misbehaviours,
            anchor,
        })
    }

    /// SOA, NS and DNSKEY at each apex, NS and DS at its parent.
    fn add_apexes(&mut self, server: &Name) -> Result<BTreeMap<Name, Key>, ZoneError> {
        let mut keys = BTreeMap::new();
        let apexes: Vec<(Name, Signing)> = self
            .zones
            .iter()
            .map(|(apex, zone)| (apex.clone(), zone.signing))
            .collect();
        for (apex, signing) in apexes {
            let mut at_apex = vec![soa(server), RData::NS(NS(server.clone()))];
            let mut at_parent = vec![RData::NS(NS(server.clone()))];
            if signing == Signing::Signed {
                let key = Key::generate(&apex)?;
                at_apex.push(RData::DNSSEC(DNSSECRData::DNSKEY(key.dnskey.clone())));
                at_parent.push(RData::DNSSEC(DNSSECRData::DS(key.ds()?)));
                keys.insert(apex.clone(), key);
            }
            let parent = self
                .zones
                .keys()
                .filter(|other| **other != apex && other.zone_of(&apex))
                .max_by_key(|other| other.num_labels())
                .cloned();
            if let Some(parent) = parent.and_then(|parent| self.zones.get_mut(&parent)) {
                at_parent
                    .into_iter()
                    .for_each(|rdata| parent.add(apex.clone(), rdata));
            }
            if let Some(zone) = self.zones.get_mut(&apex) {
                at_apex
                    .into_iter()
                    .for_each(|rdata| zone.add(apex.clone(), rdata));
            }
        }
        Ok(keys)
    }
}

/// A name that is absolute, whether or not the text ends with a dot.
///
/// # Errors
/// When the text is no name.
pub(super) fn fqdn(text: &str) -> Result<Name, ProtoError> {
    let mut name = Name::from_ascii(text)?;
    name.set_fqdn(true);
    Ok(name)
}

impl Zone {
    const fn new(signing: Signing) -> Self {
        Self {
            signing,
            nodes: BTreeMap::new(),
        }
    }

    fn add(&mut self, owner: Name, rdata: RData) {
        self.nodes
            .entry(owner)
            .or_default()
            .entry(rdata.record_type())
            .or_default()
            .push(rdata);
    }

    fn unsigned(self) -> ServedZone {
        ServedZone {
            nodes: self.into_rrsets(),
        }
    }

    fn signed(
        mut self,
        apex: &Name,
        key: &Key,
        window: Window,
        misbehaviours: &BTreeMap<(Name, RecordType), Misbehaviour>,
    ) -> Result<ServedZone, ZoneError> {
        self.add_nsec_chain(apex);
        let mut nodes = self.into_rrsets();
        for (owner, rrsets) in &mut nodes {
            for (rtype, rrset) in rrsets {
                // The NS RRset of a delegation is the child's to sign (RFC 4035 §2.2).
                if *rtype == RecordType::NS && owner != apex {
                    continue;
                }
                let how = misbehaviours.get(&(owner.clone(), *rtype)).copied();
                rrset.signature = key.sign(&rrset.records, window, how)?;
            }
        }
        Ok(ServedZone { nodes })
    }

    /// One NSEC record per owner name, each with the next one, the last with the apex (RFC 4034 §4.1.1).
    fn add_nsec_chain(&mut self, apex: &Name) {
        let next = self.nodes.keys().skip(1).chain([apex]).cloned();
        let chain: Vec<(Name, NSEC)> = self
            .nodes
            .iter()
            .zip(next)
            .map(|((owner, types), next)| {
                let nsec = NSEC::new_cover_self(next, types.keys().copied());
                (owner.clone(), nsec)
            })
            .collect();
        for (owner, nsec) in chain {
            self.add(owner, RData::DNSSEC(DNSSECRData::NSEC(nsec)));
        }
    }

    fn into_rrsets(self) -> BTreeMap<Name, BTreeMap<RecordType, RrSet>> {
        self.nodes
            .into_iter()
            .map(|(owner, types)| {
                let rrsets = types
                    .into_iter()
                    .map(|(rtype, rdatas)| (rtype, RrSet::new(&owner, rdatas)))
                    .collect();
                (owner, rrsets)
            })
            .collect()
    }
}

fn soa(server: &Name) -> RData {
    let hour = i32::try_from(HOUR).unwrap_or(i32::MAX);
    RData::SOA(SOA::new(
        server.clone(),
        server.clone(),
        1,
        hour,
        hour,
        hour,
        TTL,
    ))
}

fn anchor_line(keys: &BTreeMap<Name, Key>) -> Result<String, ZoneError> {
    let root = keys
        .get(&Name::root())
        .ok_or_else(|| ProtoError::from("the root is not signed"))?;
    Ok(format!(". {TTL} IN DNSKEY {}\n", root.dnskey))
}

/// Long enough to be cached during a trial, short enough for a lab that stays up.
pub(super) const TTL: u32 = Duration::from_mins(5).as_secs() as u32;
const HOUR: u32 = Duration::from_hours(1).as_secs() as u32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::tree::{Reply, Sections};
    use hickory_server::proto::rr::Record;
    use hickory_server::proto::rr::rdata::{CNAME, MX, TXT};

    const T0: Timestamp = Timestamp::from_unix(1_800_000_000);

    fn name(text: &str) -> Name {
        fqdn(text).unwrap()
    }

    fn tree(misbehaviours: &[(&str, RecordType, Misbehaviour)]) -> Tree {
        let mut plan = Plan::default();
        plan.zone("good.test", Signing::Signed).unwrap();
        plan.zone("plain.test", Signing::Unsigned).unwrap();
        let mx = |host: &str| RData::MX(MX::new(10, name(host)));
        let text = |text: &str| RData::TXT(TXT::new(vec![text.to_owned()]));
        plan.record("good.test", mx("mx.good.test")).unwrap();
        plan.record("plain.test", mx("mx.plain.test")).unwrap();
        plan.record("a.b.good.test", text("deep")).unwrap();
        let alias = RData::CNAME(CNAME(name("plain.test")));
        plan.record("alias.good.test", alias).unwrap();
        for (owner, rtype, how) in misbehaviours {
            plan.misbehave(owner, *rtype, *how).unwrap();
        }
        plan.sign(T0).unwrap()
    }

    /// `code answer-types / authority-types` of a reply.
    fn shape(tree: &Tree, owner: &str, rtype: RecordType) -> String {
        let types = |records: &[Record]| {
            let names: Vec<String> = records
                .iter()
                .map(|record| record.record_type().to_string())
                .collect();
            names.join(" ")
        };
        let show = |code: &str, sections: &Sections| {
            let (answers, authorities) = (types(&sections.answers), types(&sections.authorities));
            format!("{code} {answers} / {authorities}")
        };
        match tree.answer(&name(owner), rtype) {
            Reply::Found(sections) => show("ok", &sections),
            Reply::NxDomain(sections) => show("nx", &sections),
            Reply::Servfail => "servfail".into(),
        }
    }

    #[test]
    fn every_answer_carries_what_a_validator_needs() {
        let tree = tree(&[]);
        for (owner, rtype, expected) in [
            ("good.test", RecordType::MX, "ok MX RRSIG / "),
            ("plain.test", RecordType::MX, "ok MX / "),
            // The DS of an apex, and its denial, are the parent's.
            ("good.test", RecordType::DS, "ok DS RRSIG / "),
            ("plain.test", RecordType::DS, "ok  / SOA RRSIG NSEC RRSIG"),
            ("test", RecordType::DS, "ok DS RRSIG / "),
            ("good.test", RecordType::DNSKEY, "ok DNSKEY RRSIG / "),
            (".", RecordType::DNSKEY, "ok DNSKEY RRSIG / "),
            // An alias is followed into another zone.
            ("alias.good.test", RecordType::MX, "ok CNAME RRSIG MX / "),
            ("good.test", RecordType::TLSA, "ok  / SOA RRSIG NSEC RRSIG"),
            // An empty non-terminal exists.
            ("b.good.test", RecordType::TXT, "ok  / SOA RRSIG NSEC RRSIG"),
            // The name and the wildcard are both denied.
            (
                "c.good.test",
                RecordType::A,
                "nx  / SOA RRSIG NSEC RRSIG NSEC RRSIG",
            ),
            (
                "nowhere.test",
                RecordType::A,
                "nx  / SOA RRSIG NSEC RRSIG NSEC RRSIG",
            ),
            ("x.plain.test", RecordType::A, "nx  / SOA"),
        ] {
            assert_eq!(shape(&tree, owner, rtype), expected, "{owner} {rtype}");
        }
    }

    #[test]
    fn a_misbehaviour_breaks_its_rrset_and_no_other() {
        let honest = tree(&[]);
        let mx = RecordType::MX;
        for (how, expected) in [
            (Misbehaviour::BogusSignature, "ok MX RRSIG / "),
            (Misbehaviour::ExpiredSignature, "ok MX RRSIG / "),
            (Misbehaviour::StrippedSignature, "ok MX / "),
            (Misbehaviour::Servfail, "servfail"),
            (Misbehaviour::Hidden, "nx  / SOA RRSIG"),
        ] {
            let broken = tree(&[("good.test", mx, how)]);
            assert_eq!(shape(&broken, "good.test", mx), expected, "{how:?}");
            assert_eq!(
                shape(&broken, "a.b.good.test", RecordType::TXT),
                shape(&honest, "a.b.good.test", RecordType::TXT),
                "{how:?}"
            );
        }
    }
}
