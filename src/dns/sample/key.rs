//! Keys that sign whatever they are given, for whatever time.

use std::sync::Arc;

use hickory_resolver::proto::dnssec::crypto::Ed25519SigningKey;
use hickory_resolver::proto::dnssec::rdata::sig::SigInput;
use hickory_resolver::proto::dnssec::rdata::{DNSKEY, DNSSECRData, DS, RRSIG};
use hickory_resolver::proto::dnssec::{Algorithm, DigestType, SigningKey, TBS, TrustAnchors};
use hickory_resolver::proto::rr::{DNSClass, Name, RData, Record, RecordType, SerialNumber};

use super::T0;
use crate::clock::Timestamp;
use crate::dns::proof::Terms;
use crate::dns::proof::keys::RootTrust;
use crate::dns::proof::keys::ZoneKeys;
use crate::dns::proof::rrset::RrSet;
use crate::dns::purse::Purses;

/// A key and its DNSKEY record.
pub(in crate::dns) struct ZoneKey {
    dnskey: DNSKEY,
    key: Arc<Ed25519SigningKey>,
}

impl ZoneKey {
    pub(in crate::dns) fn generate() -> Self {
        let pkcs8 = Ed25519SigningKey::generate_pkcs8().unwrap();
        let key = Ed25519SigningKey::from_pkcs8(&pkcs8).unwrap();
        let dnskey = DNSKEY::from_key(&key.to_public_key().unwrap());
        let key = Arc::new(key);
        Self { dnskey, key }
    }

    /// The same key with other flags (RFC 4034 §2.1.1).
    pub(in crate::dns) fn clone_with_flags(&self, flags: u16) -> Self {
        let public_key = self.dnskey.public_key().clone();
        Self {
            dnskey: DNSKEY::with_flags(flags, public_key),
            key: Arc::clone(&self.key),
        }
    }

    pub(in crate::dns) fn dnskey(&self) -> RData {
        RData::DNSSEC(DNSSECRData::DNSKEY(self.dnskey.clone()))
    }

    pub(in crate::dns) fn ds(&self, zone: &Name, digest_type: DigestType) -> DS {
        let digest = self.dnskey.to_digest(zone, digest_type).unwrap();
        DS::new(
            self.dnskey.calculate_key_tag().unwrap(),
            Algorithm::ED25519,
            digest_type,
            digest.as_ref().to_vec(),
        )
    }

    pub(in crate::dns) fn anchor(&self) -> Arc<RootTrust> {
        let mut keys = TrustAnchors::empty();
        keys.insert(self.dnskey.public_key());
        let ds = Vec::new();
        Arc::new(RootTrust { keys, ds })
    }

    /// The keys of a zone that has this one only.
    pub(in crate::dns) fn keys(&self, zone: &Name, now: Timestamp) -> ZoneKeys {
        let mut records = vec![Record::from_rdata(zone.clone(), super::TTL, self.dnskey())];
        records.push(self.sign(zone, &records));
        let set = RrSet::select(&records, zone, RecordType::DNSKEY).unwrap();
        let ds = [self.ds(zone, DigestType::SHA256)];
        let terms = Terms {
            now,
            purses: &Purses::new(None),
        };
        ZoneKeys::of_child(&set, &ds, terms, Timestamp::from_unix(u64::MAX)).unwrap()
    }

    /// The signature over an RRset, valid for a day before and [`VALID`] after `T0`.
    pub(in crate::dns) fn sign(&self, signer: &Name, records: &[Record]) -> Record {
        self.sign_for(signer, records, T0 - 86_400, T0 + VALID)
    }

    pub(in crate::dns) fn sign_for(
        &self,
        signer: &Name,
        records: &[Record],
        from: u64,
        to: u64,
    ) -> Record {
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
pub(in crate::dns) const VALID: u64 = 30 * 86_400;
