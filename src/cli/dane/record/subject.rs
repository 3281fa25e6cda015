//! The certificate of a chain that a record is about, and whether a delivery to that chain would agree.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use rustls_pki_types::{CertificateDer, UnixTime};

use super::kind::Kind;
use crate::cli::dane::verify;
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::dane::tlsa::usable;
use crate::dane::{self, Mismatch, Presented, Selector, Usage};
use crate::dns::TlsaRdata;
use crate::name::{DnsName, ReferenceId};
use crate::x509::check_anchor;
use crate::x509::names::Names;
use crate::x509::outline::Outline;
use crate::x509::path::sentence;

/// One certificate of a chain.
pub(super) struct Subject<'a> {
    chain: &'a [CertificateDer<'static>],
    /// Counted from 1.
    number: usize,
    certificate: &'a [u8],
    usage: Usage,
    /// What the selector selects of it.
    pub(super) selected: &'a [u8],
}

impl<'a> Subject<'a> {
    /// The first certificate, for usage 2 the last.
    pub(super) fn of(chain: &'a [CertificateDer<'static>], kind: Kind) -> anyhow::Result<Self> {
        let (number, certificate) = match kind.usage {
            Usage::DaneEe => (1, chain.first()),
            Usage::DaneTa => (chain.len(), chain.last()),
        };
        let certificate = certificate.context("the chain is empty")?;
        let outline = Outline::parse(certificate)
            .with_context(|| format!("certificate {number} of the file"))?;
        Ok(Self {
            chain,
            number,
            certificate,
            usage: kind.usage,
            selected: match kind.selector {
                Selector::Cert => certificate,
                Selector::Spki => outline.spki,
            },
        })
    }

    /// Which one it is, on one line whatever the file is called.
    pub(super) fn called(&self, path: &Path) -> String {
        let which = format!("certificate {} of {}", self.number, self.chain.len());
        let names = Names::of(self.certificate).shown();
        if names.is_empty() {
            format!("{which} in {path:?}")
        } else {
            format!("{which} in {path:?} ({})", names.join(", "))
        }
    }

    /// Why senders may not be content with this record and this chain.
    pub(super) fn doubts(&self, rdata: &TlsaRdata, name: Option<&DnsName>) -> Option<String> {
        let now = SystemClock.wall();
        match self.usage {
            Usage::DaneEe => None,
            Usage::DaneTa if self.number == 1 => Some(self.alone(now)),
            Usage::DaneTa => self.refused(rdata, name, now),
        }
    }

    /// DANE-TA never matches the server's own certificate, nor one that may not issue (RFC 7671 §5.2).
    fn alone(&self, now: Timestamp) -> String {
        let at = UnixTime::since_unix_epoch(Duration::from_secs(now.unix()));
        match check_anchor(self.certificate, 0, at) {
            Ok(()) => "the file holds one certificate only; should it be the server's own, a usage 2 record never matches it, and 3 1 1 is right".into(),
            Err(why) => format!(
                "the only certificate of the file cannot be a trust anchor ({}), so that this record matches nothing; publish 3 1 1 for a server's own certificate, or give a chain that ends with the CA's",
                sentence(&why)
            ),
        }
    }

    /// What a sender would say who sees this record and this chain.
    fn refused(&self, rdata: &TlsaRdata, name: Option<&DnsName>, now: Timestamp) -> Option<String> {
        let reference_ids: Vec<ReferenceId> =
            name.cloned().map(ReferenceId::new).into_iter().collect();
        let presented = Presented {
            chain: self.chain,
            reference_ids: &reference_ids,
        };
        match dane::verify(&usable(std::slice::from_ref(rdata)), presented, now) {
            Ok(_) => None,
            // Without a name to look for, none can be missed.
            Err(Mismatch::Name { .. }) if name.is_none() => None,
            Err(mismatch) => Some(format!(
                "senders would not deliver to this chain by this record: {}",
                verify::in_words(&mismatch)
            )),
        }
    }
}
