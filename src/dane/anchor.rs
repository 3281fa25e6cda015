//! DANE-TA: the trust anchors that records name, and a path from the leaf to one of them (RFC 7671 §5.2).
//!
//! An anchor is a presented certificate that a record matches, the certificate of a `2 0 0` record even when the server
//! does not present it (RFC 7671 §5.2.2), or the bare key of a `2 1 0` record (RFC 7671 §5.2.3). A bare key counts only
//! while no CA certificate has it that is presented or published whole: otherwise that certificate's constraints could
//! be left behind. The leaf's certificate is never an anchor; a record that matches nothing else is a mistake which the
//! [`Mismatch`] names. Names are compared last, on a path that holds.

use rustls_pki_types::{CertificateDer, Der, TrustAnchor};
use webpki::{Error, anchor_from_trusted_cert};

use super::{Match, Matching, Mismatch, Selector, Tlsa, Usage};
use crate::clock::Timestamp;
use crate::name::ReferenceId;
use crate::x509::check_anchor;
use crate::x509::names::Names;
use crate::x509::outline::{Outline, contents};
use crate::x509::path::{Found, Outcome, Search, search, sentence};

/// The presented certificates.
pub(super) struct Chain<'a> {
    pub(super) leaf: &'a CertificateDer<'a>,
    pub(super) others: &'a [CertificateDer<'a>],
}

/// Decides whether a DANE-TA record among `records` authenticates the leaf at `now`.
pub(super) fn verify(
    records: &[Tlsa],
    chain: &Chain<'_>,
    reference_ids: &[ReferenceId],
    now: Timestamp,
) -> Result<Match, Mismatch> {
    let mut anchors = Anchors::default();
    for record in records {
        if record.usage == Usage::DaneTa {
            anchors.collect(record, records, chain);
        }
    }
    if anchors.trusted.is_empty() {
        return Err(anchors.unmatched());
    }
    let outcome = search(&Search {
        leaf: chain.leaf,
        others: chain.others,
        anchors: &anchors.trusted,
        check: &|anchor, below, time| match anchors.origin(anchor)?.source {
            Source::Certificate(certificate) => check_anchor(certificate, below, time),
            Source::Key => Ok(()),
        },
        now,
    });
    let Some((found, origin)) = outcome
        .found
        .and_then(|found| Some((found, anchors.origin(found.anchor).ok()?)))
    else {
        return Err(anchors.mismatch(outcome));
    };
    check_names(chain.leaf, found, reference_ids)?;
    Ok(Match {
        record: origin.record.clone(),
        depth: match origin.source {
            Source::Certificate(_) => found.intermediates + 1,
            Source::Key => found.intermediates,
        },
    })
}

fn check_names(
    leaf: &CertificateDer<'_>,
    found: Found,
    reference_ids: &[ReferenceId],
) -> Result<(), Mismatch> {
    let names = Names::of(leaf);
    let fits = |id: &ReferenceId| {
        // A constraint on names is held against subjectAltNames only, so below it nothing else may name the server.
        if found.constrained {
            names.has_dns_id(id.name())
        } else {
            names.has_id(id.name())
        }
    };
    if reference_ids.iter().any(fits) {
        Ok(())
    } else {
        Err(Mismatch::Name {
            presented: names.shown(),
        })
    }
}

/// Whether another record holds the certificate of a CA with the key of this one.
fn is_published_whole(key: &Tlsa, records: &[Tlsa], chain: &Chain<'_>) -> bool {
    let holds = |record: &Tlsa| {
        (record.usage, record.selector, record.matching)
            == (Usage::DaneTa, Selector::Cert, Matching::Full)
            && key.matches(&record.data)
    };
    records.iter().any(holds) && !key.matches(chain.leaf)
}

/// The anchors that the records name, each with where it comes from at the same index.
#[derive(Default)]
struct Anchors<'a> {
    trusted: Vec<TrustAnchor<'a>>,
    origins: Vec<Origin<'a>>,
    /// A presented certificate is among them.
    presented: bool,
    /// A record that names the leaf or something that cannot be an anchor.
    mistake: Option<&'static str>,
}

struct Origin<'a> {
    record: &'a Tlsa,
    source: Source<'a>,
}

#[derive(Clone, Copy)]
enum Source<'a> {
    /// A certificate, whose constraints hold (RFC 7671 §5.2.1).
    Certificate(&'a [u8]),
    /// A key without a certificate.
    Key,
}

impl<'a> Anchors<'a> {
    fn collect(&mut self, record: &'a Tlsa, records: &[Tlsa], chain: &Chain<'a>) {
        let mut absent = true;
        for certificate in chain.others {
            if certificate != chain.leaf && record.matches(certificate) {
                absent = false;
                self.presented = true;
                self.push_certificate(record, certificate);
            }
        }
        if !absent {
            return;
        }
        if record.matches(chain.leaf) {
            self.mistake = Some(
                "a DANE-TA record matches the server's own certificate, which only DANE-EE (usage 3) may do",
            );
        }
        match (record.matching, record.selector) {
            (Matching::Full, Selector::Cert) if record.data != chain.leaf.as_ref() => {
                self.push_certificate(record, &record.data);
            }
            (Matching::Full, Selector::Spki) if !is_published_whole(record, records, chain) => {
                self.push_key(record, chain);
            }
            (Matching::Full | Matching::Sha256 | Matching::Sha512, _) => {}
        }
    }

    fn push_certificate(&mut self, record: &'a Tlsa, certificate: &'a [u8]) {
        match anchor_from_trusted_cert(&CertificateDer::from_slice(certificate)) {
            Ok(anchor) => self.push(record, Source::Certificate(certificate), anchor.to_owned()),
            Err(_) => self.mistake = Some("the matching certificate cannot be read as a CA's"),
        }
    }

    /// The key may have signed any of the certificates, so it is an anchor under the name of each one's issuer.
    fn push_key(&mut self, record: &'a Tlsa, chain: &Chain<'a>) {
        let Ok(key) = contents(&record.data) else {
            return;
        };
        let mut issuers: Vec<&[u8]> = Vec::new();
        for certificate in std::iter::once(chain.leaf).chain(chain.others) {
            let Ok(issuer) =
                Outline::parse(certificate).and_then(|outline| contents(outline.issuer))
            else {
                continue;
            };
            if !issuers.contains(&issuer) {
                issuers.push(issuer);
                let anchor = TrustAnchor {
                    subject: Der::from_slice(issuer),
                    subject_public_key_info: Der::from_slice(key),
                    name_constraints: None,
                };
                self.push(record, Source::Key, anchor);
            }
        }
    }

    fn push(&mut self, record: &'a Tlsa, source: Source<'a>, anchor: TrustAnchor<'a>) {
        self.trusted.push(anchor);
        self.origins.push(Origin { record, source });
    }

    fn origin(&self, index: usize) -> Result<&Origin<'a>, Error> {
        self.origins.get(index).ok_or(Error::UnknownIssuer)
    }

    /// Why no path was found.
    fn mismatch(&self, outcome: Outcome) -> Mismatch {
        match (outcome.untrusted, outcome.out_of_date) {
            (None, Some(error)) => Mismatch::Dates(sentence(&error)),
            (Some(error), _) if self.presented || Self::is_reached(&error) => {
                Mismatch::Path(sentence(&error))
            }
            (Some(_), _) | (None, None) => self.unmatched(),
        }
    }

    fn unmatched(&self) -> Mismatch {
        self.mistake.map_or(Mismatch::NoMatch, |mistake| {
            Mismatch::Path(mistake.to_owned())
        })
    }

    /// Whether a search that ended so had anything to do with an anchor that the server has not presented.
    fn is_reached(error: &Error) -> bool {
        !matches!(
            error,
            Error::UnknownIssuer | Error::InvalidSignatureForPublicKey
        )
    }
}
