//! Zone keys and the signatures they make, sound or broken as asked for.

use std::time::Duration;

use hickory_server::proto::dnssec::crypto::Ed25519SigningKey;
use hickory_server::proto::dnssec::rdata::sig::SigInput;
use hickory_server::proto::dnssec::rdata::{DNSKEY, DNSSECRData, DS, RRSIG};
use hickory_server::proto::dnssec::{DigestType, PublicKeyBuf, SigningKey, TBS};
use hickory_server::proto::rr::{DNSClass, Name, RData, Record, SerialNumber};

use super::zones::{Misbehaviour, TTL, ZoneError};
use crate::clock::Timestamp;

/// A combined signing key: it signs its own DNSKEY RRset and all others.
pub(super) struct Key {
    apex: Name,
    public: PublicKeyBuf,
    pub(super) dnskey: DNSKEY,
    signing: Ed25519SigningKey,
}

impl Key {
    pub(super) fn generate(apex: &Name) -> Result<Self, ZoneError> {
        let signing = Ed25519SigningKey::from_pkcs8(&Ed25519SigningKey::generate_pkcs8()?)?;
        let public = signing.to_public_key()?;
        Ok(Self {
            apex: apex.clone(),
            dnskey: DNSKEY::from_key(&public),
            public,
            signing,
        })
    }

    pub(super) fn ds(&self) -> Result<DS, ZoneError> {
        Ok(DS::from_key(&self.public, &self.apex, DigestType::SHA256)?)
    }

    pub(super) fn sign(
        &self,
        records: &[Record],
        window: Window,
        misbehaviour: Option<Misbehaviour>,
    ) -> Result<Option<Record>, ZoneError> {
        let Some(first) = records.first() else {
            return Ok(None);
        };
        let window = match misbehaviour {
            Some(Misbehaviour::StrippedSignature) => return Ok(None),
            Some(Misbehaviour::ExpiredSignature) => window.expired(),
            // The last two are about answers, not about signatures.
            Some(Misbehaviour::BogusSignature | Misbehaviour::Servfail | Misbehaviour::Hidden)
            | None => window,
        };
        let input = SigInput {
            type_covered: first.record_type(),
            algorithm: self.signing.algorithm(),
            num_labels: first.name.num_labels(),
            original_ttl: TTL,
            sig_expiration: SerialNumber::new(window.until),
            sig_inception: SerialNumber::new(window.from),
            key_tag: self.dnskey.calculate_key_tag()?,
            signer_name: self.apex.clone(),
        };
        let tbs = TBS::from_input(&first.name, DNSClass::IN, &input, records.iter())?;
        let mut signature = self.signing.sign(&tbs)?;
        if misbehaviour == Some(Misbehaviour::BogusSignature) {
            signature.iter_mut().take(1).for_each(|octet| *octet ^= 1);
        }
        let rrsig = RData::DNSSEC(DNSSECRData::RRSIG(RRSIG::from_sig(input, signature)));
        Ok(Some(Record::from_rdata(first.name.clone(), TTL, rrsig)))
    }
}

/// Inception and expiration of signatures, seconds since the epoch modulo 2^32 (RFC 4034 §3.1.5).
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    from: u32,
    until: u32,
}

impl Window {
    /// Wide enough for a lab that stays up, and for clocks that differ a little.
    pub(super) fn around(now: Timestamp) -> Self {
        let now = serial(now);
        Self {
            from: now.wrapping_sub(HOUR),
            until: now.wrapping_add(30 * 24 * HOUR),
        }
    }

    const fn expired(self) -> Self {
        Self {
            from: self.from.wrapping_sub(48 * HOUR),
            until: self.from.wrapping_sub(24 * HOUR),
        }
    }
}

fn serial(time: Timestamp) -> u32 {
    u32::try_from(time.unix() % (1 << 32)).unwrap_or(0)
}

const HOUR: u32 = Duration::from_hours(1).as_secs() as u32;

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Timestamp = Timestamp::from_unix(1_800_000_000);

    #[test]
    fn an_expired_signature_is_over_before_now() {
        let expired = Window::around(T0).expired();
        assert!(expired.from < expired.until && expired.until < serial(T0));
    }
}
