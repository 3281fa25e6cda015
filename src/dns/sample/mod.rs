//! For tests: a signed tree of zones in memory, answered as a recursive resolver would, and a handle that lies about it.
//!
//! [`Zone`] signs when it is asked, so a test moves the clock instead of waiting. [`Liar`] stands where the transport stands
//! and edits what passes. The proofs are made here from the zone's content and share no code with what reads them.

mod key;
mod zone;

pub(in crate::dns) use key::{VALID, ZoneKey};
pub(in crate::dns) use zone::{Proofs, Zone};

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use futures_util::stream::{self, Stream};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::xfer::DnsHandle;
use hickory_resolver::proto::op::{DnsRequest, DnsResponse, Message, OpCode, Query};
use hickory_resolver::proto::rr::rdata::{A, NS, NULL, TLSA};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

use crate::dns::proof::keys::RootTrust;

/// When the tests happen: 2026-01-01T00:00:00Z.
pub(in crate::dns) const T0: u64 = 1_767_225_600;

/// TTL of all records.
pub(in crate::dns) const TTL: u32 = 3600;

/// A name as written, without escapes.
pub(in crate::dns) fn name(text: &str) -> Name {
    let labels = text.split('.').filter(|label| !label.is_empty());
    Name::from_labels(labels.map(str::as_bytes)).unwrap()
}

/// Some address.
pub(in crate::dns) fn address() -> RData {
    RData::A(A::new(192, 0, 2, 1))
}

/// A name server.
pub(in crate::dns) fn ns(host: &str) -> RData {
    RData::NS(NS(name(host)))
}

/// A TLSA record of thirty-two such octets.
pub(in crate::dns) fn tlsa(octet: u8) -> RData {
    RData::TLSA(TLSA::new(3.into(), 1.into(), 1.into(), vec![octet; 32]))
}

/// The DNAME record data that leads to `target`.
pub(in crate::dns) fn dname(target: &str) -> RData {
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

/// All zones, the root among them.
pub(in crate::dns) struct World {
    pub(in crate::dns) zones: Vec<Zone>,
}

impl World {
    pub(in crate::dns) fn zone(&self, origin: &str) -> &Zone {
        let origin = name(origin);
        self.zones.iter().find(|z| z.origin == origin).unwrap()
    }

    pub(in crate::dns) fn anchor(&self) -> Arc<RootTrust> {
        self.zone(".").key().anchor()
    }

    /// The zone that holds this RRset.
    pub(in crate::dns) fn holder(&self, name: &Name, record_type: RecordType) -> &Zone {
        let in_parent = record_type == RecordType::DS && !name.is_root();
        self.zones
            .iter()
            .filter(|zone| zone.origin.zone_of(name) && !(in_parent && &zone.origin == name))
            .max_by_key(|zone| zone.origin.iter().count())
            .unwrap()
    }

    /// What an honest recursive resolver says.
    pub(in crate::dns) fn answer(&self, query: &Query) -> Message {
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
pub(in crate::dns) struct Liar {
    world: Arc<World>,
    lie: Arc<Lie>,
    /// Edits what was asked for with AD instead of DO.
    verdict: Arc<Lie>,
    mishap: fn(&Query) -> Option<Mishap>,
    asked: Arc<Mutex<Vec<Query>>>,
}

/// What happens to a question instead of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dns) enum Mishap {
    /// Nothing, for ever.
    Swallowed,
    /// The transport loses its patience.
    TimedOut,
    /// Nobody listens there.
    NotListening,
}

impl Liar {
    pub(in crate::dns) fn new(
        world: Arc<World>,
        lie: impl Fn(&World, &Query, &mut Message) + Send + Sync + 'static,
    ) -> Self {
        Self {
            world,
            lie: Arc::new(lie),
            verdict: Arc::new(validating),
            mishap: |_| None,
            asked: Arc::default(),
        }
    }

    /// One that swallows what passes.
    pub(in crate::dns) fn silent(world: Arc<World>) -> Self {
        Self::new(world, |_, _, _| {}).mishap(|_| Some(Mishap::Swallowed))
    }

    /// The same, with questions that are not answered.
    pub(in crate::dns) fn mishap(self, mishap: fn(&Query) -> Option<Mishap>) -> Self {
        Self { mishap, ..self }
    }

    /// The same, with another verdict than that of an honest validating resolver.
    pub(in crate::dns) fn verdict(
        self,
        verdict: impl Fn(&World, &Query, &mut Message) + Send + Sync + 'static,
    ) -> Self {
        let verdict = Arc::new(verdict);
        Self { verdict, ..self }
    }

    pub(in crate::dns) fn world(&self) -> &World {
        &self.world
    }

    /// Messages that were sent.
    pub(in crate::dns) fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// The questions, in order.
    pub(in crate::dns) fn questions(&self) -> Vec<(Name, RecordType)> {
        let asked = self.asked.lock().unwrap();
        asked
            .iter()
            .map(|query| (query.name().clone(), query.query_type()))
            .collect()
    }

    fn reply(&self, request: &DnsRequest) -> Result<DnsResponse, NetError> {
        let query = request.queries.first().unwrap();
        let wants_data = request.edns.as_ref().unwrap().flags().dnssec_ok;
        assert_eq!(
            request.metadata.checking_disabled, wants_data,
            "DO goes with CD"
        );
        assert_eq!(
            request.metadata.authentic_data, !wants_data,
            "or else with AD"
        );
        let mut message = self.world.answer(query);
        if wants_data {
            (self.lie)(&self.world, query, &mut message);
        } else {
            (self.verdict)(&self.world, query, &mut message);
        }
        // Over the wire and back, as the transport does it.
        let wire = DnsResponse::from_message(message)?.into_buffer();
        Ok(DnsResponse::from_buffer(wire)?)
    }
}

impl DnsHandle for Liar {
    type Response = Pin<Box<dyn Stream<Item = Result<DnsResponse, NetError>> + Send>>;
    type Runtime = TokioRuntimeProvider;

    fn send(&self, request: DnsRequest) -> Self::Response {
        let query = request.queries.first().unwrap();
        self.asked.lock().unwrap().push(query.clone());
        let reply = match (self.mishap)(query) {
            Some(Mishap::Swallowed) => return Box::pin(stream::pending()),
            Some(Mishap::TimedOut) => Err(NetError::Timeout),
            Some(Mishap::NotListening) => {
                Err(io::Error::from(io::ErrorKind::ConnectionRefused).into())
            }
            None => self.reply(&request),
        };
        Box::pin(stream::once(async { reply }))
    }
}

/// What an honest validating resolver makes of an answer that it was not asked to prove: AD when all of it is in signed zones,
/// and neither signatures nor proofs.
pub(in crate::dns) fn validating(world: &World, query: &Query, message: &mut Message) {
    let in_parent = query.query_type() == RecordType::DS;
    let owners = message.answers.iter().chain(&message.authorities);
    let mut owners: Vec<Name> = owners.map(|record| record.name.clone()).collect();
    owners.push(query.name().clone());
    let targets = message.answers.iter().filter_map(|record| {
        let RData::CNAME(target) = &record.data else {
            return None;
        };
        (query.query_type() != RecordType::CNAME).then(|| target.0.clone())
    });
    let names: Vec<Name> = owners.into_iter().chain(targets).collect();
    let is_signed = |name: &Name| {
        let zones = world.zones.iter().filter(|zone| zone.origin.zone_of(name));
        let mut zones = zones.filter(|zone| !(in_parent && &zone.origin == name));
        zones.all(Zone::is_signed)
    };
    message.metadata.authentic_data = names.iter().all(is_signed);
    let is_proof = |record: &Record| {
        matches!(
            record.record_type(),
            RecordType::RRSIG | RecordType::NSEC | RecordType::NSEC3
        )
    };
    message.answers.retain(|record| !is_proof(record));
    message.authorities.retain(|record| !is_proof(record));
}
