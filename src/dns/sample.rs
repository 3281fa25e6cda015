//! For tests: a signed tree of zones in memory, answered as a recursive resolver would, and a handle that lies about it.
//!
//! [`Zone`] signs when it is asked, so a test moves the clock instead of waiting. [`Liar`] stands where the transport stands
//! and edits what passes. The proofs are made here from the zone's content and share no code with what reads them.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::stream::{self, Stream};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::xfer::DnsHandle;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::dnssec::crypto::Ed25519SigningKey;
use hickory_resolver::proto::dnssec::rdata::sig::SigInput;
use hickory_resolver::proto::dnssec::rdata::{DNSKEY, DNSSECRData, DS, NSEC, NSEC3, RRSIG};
use hickory_resolver::proto::dnssec::{
    Algorithm, DigestType, Nsec3HashAlgorithm, SigningKey, TBS, TrustAnchors,
};
use hickory_resolver::proto::op::{DnsRequest, DnsResponse, Message, OpCode, Query, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, CNAME, NS, NULL, SOA, TLSA};
use hickory_resolver::proto::rr::{DNSClass, Name, RData, Record, RecordType, SerialNumber};

/// When the tests happen: 2026-01-01T00:00:00Z.
pub(super) const T0: u64 = 1_767_225_600;

/// TTL of all records.
pub(super) const TTL: u32 = 3600;

/// A name as written, without escapes.
pub(super) fn name(text: &str) -> Name {
    let labels = text.split('.').filter(|label| !label.is_empty());
    Name::from_labels(labels.map(str::as_bytes)).unwrap()
}

/// A key and its DNSKEY record.
pub(super) struct ZoneKey {
    dnskey: DNSKEY,
    key: Arc<Ed25519SigningKey>,
}

impl ZoneKey {
    pub(super) fn generate() -> Self {
        let pkcs8 = Ed25519SigningKey::generate_pkcs8().unwrap();
        let key = Ed25519SigningKey::from_pkcs8(&pkcs8).unwrap();
        let dnskey = DNSKEY::from_key(&key.to_public_key().unwrap());
        let key = Arc::new(key);
        Self { dnskey, key }
    }

    /// The same key with other flags (RFC 4034 §2.1.1).
    pub(super) fn clone_with_flags(&self, flags: u16) -> Self {
        let public_key = self.dnskey.public_key().clone();
        Self {
            dnskey: DNSKEY::with_flags(flags, public_key),
            key: Arc::clone(&self.key),
        }
    }

    pub(super) fn dnskey(&self) -> RData {
        RData::DNSSEC(DNSSECRData::DNSKEY(self.dnskey.clone()))
    }

    pub(super) fn ds(&self, zone: &Name, digest_type: DigestType) -> DS {
        let digest = self.dnskey.to_digest(zone, digest_type).unwrap();
        DS::new(
            self.dnskey.calculate_key_tag().unwrap(),
            Algorithm::ED25519,
            digest_type,
            digest.as_ref().to_vec(),
        )
    }

    pub(super) fn anchor(&self) -> Arc<TrustAnchors> {
        let mut anchors = TrustAnchors::empty();
        anchors.insert(self.dnskey.public_key());
        Arc::new(anchors)
    }

    /// The signature over an RRset, valid for a day before and [`VALID`] after `T0`.
    pub(super) fn sign(&self, signer: &Name, records: &[Record]) -> Record {
        self.sign_for(signer, records, T0 - 86_400, T0 + VALID)
    }

    pub(super) fn sign_for(&self, signer: &Name, records: &[Record], from: u64, to: u64) -> Record {
        let first = &records[0];
        let serial = |time: u64| SerialNumber::from(u32::try_from(time).unwrap());
        let input = SigInput {
            type_covered: first.record_type(),
            algorithm: Algorithm::ED25519,
            num_labels: first.name.num_labels(),
            original_ttl: first.ttl,
            sig_expiration: serial(to),
            sig_inception: serial(from),
            key_tag: self.dnskey.calculate_key_tag().unwrap(),
            signer_name: signer.clone(),
        };
        let tbs = TBS::from_input(&first.name, DNSClass::IN, &input, records.iter()).unwrap();
        let rrsig = RRSIG::from_sig(input, self.key.sign(&tbs).unwrap());
        let data = RData::DNSSEC(DNSSECRData::RRSIG(rrsig));
        Record::from_rdata(first.name.clone(), first.ttl, data)
    }
}

/// Signatures of the sample zones last this long after `T0`.
pub(super) const VALID: u64 = 30 * 86_400;

/// How a zone denies.
#[derive(Clone, Copy)]
pub(super) enum Proofs {
    Nsec,
    Nsec3 { opt_out: bool, iterations: u16 },
}

/// One zone.
pub(super) struct Zone {
    pub(super) origin: Name,
    key: Option<ZoneKey>,
    proofs: Proofs,
    nodes: BTreeMap<Name, Vec<RData>>,
}

impl Zone {
    pub(super) fn unsigned(origin: &str) -> Self {
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

    pub(super) fn signed(origin: &str, proofs: Proofs) -> Self {
        let mut zone = Self::unsigned(origin);
        let key = ZoneKey::generate();
        zone.nodes.get_mut(&zone.origin).unwrap().push(key.dnskey());
        zone.key = Some(key);
        zone.proofs = proofs;
        zone
    }

    pub(super) fn key(&self) -> &ZoneKey {
        self.key.as_ref().unwrap()
    }

    pub(super) fn with(mut self, owner: &str, data: RData) -> Self {
        self.nodes.entry(name(owner)).or_default().push(data);
        self
    }

    /// Delegates to another zone, with a DS record when that is signed.
    pub(super) fn delegating(self, child: &Self) -> Self {
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

    pub(super) fn soa(&self) -> Vec<Record> {
        self.rrset(&self.origin, RecordType::SOA, &self.origin)
    }

    pub(super) fn exists(&self, name: &Name) -> bool {
        self.nodes.keys().any(|node| name.zone_of(node))
    }

    /// All names that exist, also those without records.
    pub(super) fn names(&self) -> BTreeSet<Name> {
        self.signed_names(false)
    }

    fn is_cut(&self, node: &Name) -> bool {
        node != &self.origin && self.has(node, RecordType::NS)
    }

    pub(super) fn has(&self, node: &Name, record_type: RecordType) -> bool {
        self.nodes
            .get(node)
            .is_some_and(|data| data.iter().any(|d| d.record_type() == record_type))
    }

    fn types(&self, node: &Name) -> BTreeSet<RecordType> {
        let data = self.nodes.get(node).into_iter().flatten();
        data.map(RData::record_type).collect()
    }

    /// The record that proves `name` absent, or shows its types.
    pub(super) fn proof(&self, name: &Name) -> Vec<Record> {
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
        } = self.proofs
        else {
            return Vec::new();
        };
        let hash = |name: &Name| {
            let digest = Nsec3HashAlgorithm::SHA1.hash(&[], name, iterations);
            digest.unwrap().as_ref().to_vec()
        };
        let ring: BTreeMap<Vec<u8>, Name> = self
            .signed_names(opt_out)
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
            Vec::new(),
            next.clone(),
            types,
        );
        let owner = self.origin.prepend_label(base32hex(own)).unwrap();
        let data = RData::DNSSEC(DNSSECRData::NSEC3(nsec3));
        self.with_signature(vec![Record::from_rdata(owner.clone(), 300, data)], &owner)
    }

    /// The names with an NSEC3 record: all, and those between them and the apex; with opt-out no unsigned delegations.
    fn signed_names(&self, opt_out: bool) -> BTreeSet<Name> {
        let mut names = BTreeSet::new();
        for node in self.nodes.keys() {
            if opt_out && self.is_cut(node) && !self.has(node, RecordType::DS) {
                continue;
            }
            for depth in self.origin.iter().count()..=node.iter().count() {
                names.insert(node.trim_to(depth));
            }
        }
        names
    }

    pub(super) fn closest_encloser(&self, name: &Name) -> Name {
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

    fn answer(&self, name: &Name, record_type: RecordType, message: &mut Message) -> Option<Name> {
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

/// Some address.
pub(super) fn address() -> RData {
    RData::A(A::new(192, 0, 2, 1))
}

/// A TLSA record of thirty-two such octets.
pub(super) fn tlsa(octet: u8) -> RData {
    RData::TLSA(TLSA::new(3.into(), 1.into(), 1.into(), vec![octet; 32]))
}

/// The DNAME record data that leads to `target`.
pub(super) fn dname(target: &str) -> RData {
    let mut wire = Vec::new();
    for label in &name(target) {
        wire.push(u8::try_from(label.len()).unwrap());
        wire.extend_from_slice(label);
    }
    wire.push(0);
    RData::Unknown {
        code: RecordType::DNAME,
        rdata: NULL::with(wire),
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

/// All zones, the root among them.
pub(super) struct World {
    pub(super) zones: Vec<Zone>,
}

impl World {
    pub(super) fn zone(&self, origin: &str) -> &Zone {
        let origin = name(origin);
        self.zones.iter().find(|z| z.origin == origin).unwrap()
    }

    pub(super) fn anchor(&self) -> Arc<TrustAnchors> {
        self.zone(".").key().anchor()
    }

    fn holder(&self, name: &Name, record_type: RecordType) -> &Zone {
        let in_parent = record_type == RecordType::DS && !name.is_root();
        self.zones
            .iter()
            .filter(|zone| zone.origin.zone_of(name) && !(in_parent && &zone.origin == name))
            .max_by_key(|zone| zone.origin.iter().count())
            .unwrap()
    }

    /// What an honest recursive resolver says.
    pub(super) fn answer(&self, query: &Query) -> Message {
        let mut message = Message::response(1, OpCode::Query);
        message.add_query(query.clone());
        let mut here = query.name().clone();
        for _ in 0..16 {
            let zone = self.holder(&here, query.query_type());
            match zone.answer(&here, query.query_type(), &mut message) {
                Some(target) => here = target,
                None => break,
            }
        }
        message
    }
}

type Lie = dyn Fn(&World, &Query, &mut Message) + Send + Sync;

/// The transport, with somebody on it who edits what passes.
#[derive(Clone)]
pub(super) struct Liar {
    world: Arc<World>,
    lie: Arc<Lie>,
    asked: Arc<AtomicUsize>,
    silent: bool,
}

impl Liar {
    pub(super) fn new(
        world: Arc<World>,
        lie: impl Fn(&World, &Query, &mut Message) + Send + Sync + 'static,
    ) -> Self {
        Self {
            world,
            lie: Arc::new(lie),
            asked: Arc::default(),
            silent: false,
        }
    }

    /// One that swallows what passes.
    pub(super) fn silent(world: Arc<World>) -> Self {
        Self {
            silent: true,
            ..Self::new(world, |_, _, _| {})
        }
    }

    pub(super) fn world(&self) -> &World {
        &self.world
    }

    /// Messages that were sent.
    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    fn reply(&self, request: &DnsRequest) -> Result<DnsResponse, NetError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let query = request.queries.first().unwrap();
        assert!(request.metadata.checking_disabled, "CD is set");
        assert!(
            request.edns.as_ref().unwrap().flags().dnssec_ok,
            "DO is set"
        );
        let mut message = self.world.answer(query);
        (self.lie)(&self.world, query, &mut message);
        // Over the wire and back, as the transport does it.
        let wire = DnsResponse::from_message(message)?.into_buffer();
        Ok(DnsError::from_response(DnsResponse::from_buffer(wire)?)?)
    }
}

impl DnsHandle for Liar {
    type Response = Pin<Box<dyn Stream<Item = Result<DnsResponse, NetError>> + Send>>;
    type Runtime = TokioRuntimeProvider;

    fn send(&self, request: DnsRequest) -> Self::Response {
        if self.silent {
            return Box::pin(stream::pending());
        }
        let reply = self.reply(&request);
        Box::pin(stream::once(async { reply }))
    }
}
