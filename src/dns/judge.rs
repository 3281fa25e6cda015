//! One question, one message, one judgement: records, an absence or an alias, each with its trust.
//!
//! Secure is what the keys of the right zone have signed. What is not shown secure is insecure only when the [`walk`]
//! from the root meets a proven unsigned delegation on the way to it, and bogus otherwise (RFC 4035 §4.3).
//!
//! [`walk`]: super::walk

use std::sync::Arc;

use hickory_resolver::net::xfer::DnsHandle;
use hickory_resolver::proto::rr::rdata::CNAME;
use hickory_resolver::proto::rr::{Name, RData, RecordType};

use super::AbsenceKind;
use super::diary::Step;
use super::errand::Errand;
use super::proof::alias::{self, Reading};
use super::proof::denial::{self, Denial, Evidence};
use super::proof::keys::ZoneKeys;
use super::proof::rrset::RrSet;
use super::proof::signature::{self, Effort, Signed};
use super::proof::{Flaw, Terms, Trust, lifetime};
use super::trouble::Trouble;
use super::upstream::{NoReply, Reply, Upstream};
use super::walk::{Expecting, Territory, Walk};
use crate::clock::{Clock, Timestamp};

/// Judges single answers.
pub(super) struct Judge<H> {
    upstream: Arc<Upstream<H>>,
    walk: Walk<H>,
    clock: Arc<dyn Clock>,
}

/// What a message says, and how far to believe it.
#[derive(Clone, Debug)]
pub(super) struct Judged {
    /// What.
    pub(super) content: Content,
    /// How far.
    pub(super) trust: Trust,
    /// Until when.
    pub(super) expires: Timestamp,
}

/// What a message says.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// The data of the records asked for.
    Records(Vec<RData>),
    /// There are none.
    Absent(AbsenceKind),
    /// Look there instead.
    Alias(Name),
}

/// Trust and its end.
struct Standing {
    trust: Trust,
    expires: Timestamp,
}

/// A question and the message that answers it.
struct Matter<'a> {
    name: &'a Name,
    record_type: RecordType,
    reply: &'a Reply,
    errand: &'a Errand,
    now: Timestamp,
}

impl Matter<'_> {
    const fn terms(&self) -> Terms<'_> {
        self.errand.terms(self.now)
    }

    fn note_signature(&self, set: &RrSet, signed: &Signed, keys: &ZoneKeys) {
        self.errand.note(|| Step::Verified {
            name: set.owner().to_ascii(),
            record_type: set.record_type().to_string(),
            signer: keys.zone().to_ascii(),
            key_tag: signed.key_tag,
            algorithm: signed.algorithm.to_string(),
            signature_expires: signed.signature_expires,
            wildcard: signed.expanded_from.and_then(|labels| {
                let parent = set.owner().trim_to(usize::from(labels));
                Some(denial::wildcard_of(&parent)?.to_ascii())
            }),
        });
    }

    fn note_denial(&self, zone: &Name, denied: Result<Denial, Flaw>) {
        self.errand.note(|| Step::Denied {
            name: self.name.to_ascii(),
            record_type: self.record_type.to_string(),
            zone: zone.to_ascii(),
            what: match denied {
                Ok(denied) => denied.words().to_owned(),
                Err(flaw) => flaw.to_string(),
            },
        });
    }
}

impl<H: DnsHandle> Judge<H> {
    pub(super) fn new(upstream: Arc<Upstream<H>>, walk: Walk<H>, clock: Arc<dyn Clock>) -> Self {
        Self {
            upstream,
            walk,
            clock,
        }
    }

    /// The resolvers that are asked.
    pub(super) fn upstream(&self) -> &Upstream<H> {
        &self.upstream
    }

    /// Asks and judges.
    pub(super) async fn ask(
        &self,
        name: &Name,
        record_type: RecordType,
        errand: &Errand,
    ) -> Result<Judged, Trouble> {
        match self.upstream.ask(name, record_type, errand).await {
            Ok(reply) => self.judge(name, record_type, &reply, errand).await,
            Err(cause) => self
                .alias_at(name, record_type, &cause, errand)
                .await
                .ok_or_else(|| Trouble::no_reply(name, record_type, cause)),
        }
    }

    /// What the resolver failed at may lie behind an alias, or behind more aliases than it follows: asked for by itself, the
    /// alias can be had, and the rest is asked for anew.
    async fn alias_at(
        &self,
        name: &Name,
        record_type: RecordType,
        cause: &NoReply,
        errand: &Errand,
    ) -> Option<Judged> {
        if !cause.is_server_failure() || record_type == RecordType::CNAME {
            return None;
        }
        let reply = self
            .upstream
            .ask(name, RecordType::CNAME, errand)
            .await
            .ok()?;
        let judged = self.judge(name, record_type, &reply, errand).await.ok()?;
        matches!(judged.content, Content::Alias(_)).then_some(judged)
    }

    async fn judge(
        &self,
        name: &Name,
        record_type: RecordType,
        reply: &Reply,
        errand: &Errand,
    ) -> Result<Judged, Trouble> {
        let matter = Matter {
            name,
            record_type,
            reply,
            errand,
            now: self.clock.wall(),
        };
        match alias::read(&reply.answers, name, record_type) {
            Reading::Records(set) => {
                let content = Content::Records(set.data().cloned().collect());
                Ok(self.present(&matter, &set).await?.with(content))
            }
            Reading::Alias { set, target } => {
                let content = if record_type == RecordType::CNAME {
                    // The alias was asked for; a DNAME stands for the CNAME that it makes (RFC 6672 §3.1).
                    Content::Records(vec![RData::CNAME(CNAME(target))])
                } else {
                    Content::Alias(target)
                };
                Ok(self.present(&matter, &set).await?.with(content))
            }
            Reading::Dangling => Err(Trouble::DanglingAlias(name.clone())),
            Reading::Nothing => self.absent(&matter).await,
        }
    }

    /// The standing of an RRset in the answer.
    async fn present(&self, matter: &Matter<'_>, set: &RrSet) -> Result<Standing, Trouble> {
        if let Some(until) = matter.errand.exempt(set.owner(), matter.now) {
            let unsigned = unsigned(set, matter.now);
            let expires = unsigned.expires.min(until);
            return Ok(Standing {
                expires,
                ..unsigned
            });
        }
        let mut flaw = Flaw::Unsigned;
        for zone in set.signers() {
            match self.walk.to(&zone, Expecting::Zone, matter.errand).await? {
                Territory::Unsigned => return Ok(unsigned(set, matter.now)),
                Territory::Signed(keys) if keys.zone() == &zone => {
                    let mut effort = Effort::one_set(matter.terms());
                    let found = signature::verify(&mut effort, set, &keys)
                        .and_then(|signed| expansion(matter, set, signed, &keys));
                    match found {
                        Ok(standing) => return Ok(standing),
                        Err(found) => flaw = found,
                    }
                }
                Territory::Signed(_) => flaw = Flaw::SignerIsNoZone,
            }
        }
        let held_by = holder(set.owner(), set.record_type());
        match self
            .walk
            .to(&held_by, Expecting::Cut, matter.errand)
            .await?
        {
            Territory::Unsigned => Ok(unsigned(set, matter.now)),
            Territory::Signed(_) => Err(Trouble::bogus(set.owner(), set.record_type(), flaw)),
        }
    }

    /// The standing of an absence.
    async fn absent(&self, matter: &Matter<'_>) -> Result<Judged, Trouble> {
        let kind = matter.reply.absent;
        let authorities = &matter.reply.authorities;
        let soa_ends = lifetime::of_absence(authorities, matter.name, matter.now);
        if let Some(until) = matter.errand.exempt(matter.name, matter.now) {
            return Ok(claimed(kind, soa_ends.min(until)));
        }
        let mut flaw = Flaw::NotDenied;
        let mut weakly_denied_by = None;
        for zone in denial::zones(authorities, matter.name) {
            let way = self.walk.to(&zone, Expecting::Zone, matter.errand);
            let Territory::Signed(keys) = way.await? else {
                return Ok(claimed(kind, soa_ends));
            };
            if keys.zone() != &zone {
                flaw = Flaw::SignerIsNoZone;
                continue;
            }
            let evidence = Evidence::gather(authorities, &keys, matter.terms());
            let denied = evidence.deny(matter.name, matter.record_type);
            matter.note_denial(&zone, denied);
            match denied {
                Ok(denied) if proves(denied, kind) => {
                    return Ok(Judged {
                        content: Content::Absent(kind),
                        trust: Trust::Secure,
                        expires: soa_ends.min(evidence.expires()),
                    });
                }
                Ok(Denial::OptOut | Denial::TooManyIterations) => weakly_denied_by = Some(zone),
                Ok(Denial::NoData { .. } | Denial::NxDomain) => flaw = Flaw::Contradiction,
                Err(found) => flaw = found,
            }
        }
        let held_by = holder(matter.name, matter.record_type);
        match self
            .walk
            .to(&held_by, Expecting::Cut, matter.errand)
            .await?
        {
            Territory::Unsigned => Ok(claimed(kind, soa_ends)),
            // An opt-out span of the zone that really holds the name: RFC 5155 §9.2.
            Territory::Signed(keys) if weakly_denied_by.as_ref() == Some(keys.zone()) => {
                Ok(claimed(kind, soa_ends))
            }
            Territory::Signed(_) => Err(Trouble::bogus(matter.name, matter.record_type, flaw)),
        }
    }
}

impl Standing {
    const fn with(self, content: Content) -> Judged {
        Judged {
            content,
            trust: self.trust,
            expires: self.expires,
        }
    }
}

/// A valid signature is enough, unless the RRset was made from a wildcard: then the same zone must deny that anything closer
/// exists (RFC 4035 §5.3.4).
fn expansion(
    matter: &Matter<'_>,
    set: &RrSet,
    signed: Signed,
    keys: &ZoneKeys,
) -> Result<Standing, Flaw> {
    matter.note_signature(set, &signed, keys);
    let Some(labels) = signed.expanded_from else {
        return Ok(Standing {
            trust: Trust::Secure,
            expires: signed.expires,
        });
    };
    let next_closer = signature::next_closer(set.owner(), labels);
    let evidence = Evidence::gather(&matter.reply.authorities, keys, matter.terms());
    Ok(Standing {
        trust: evidence.allows_expansion(&next_closer)?,
        expires: signed.expires.min(evidence.expires()),
    })
}

fn unsigned(set: &RrSet, now: Timestamp) -> Standing {
    Standing {
        trust: Trust::Insecure,
        expires: lifetime::of_unsigned(set, now),
    }
}

const fn claimed(kind: AbsenceKind, expires: Timestamp) -> Judged {
    Judged {
        content: Content::Absent(kind),
        trust: Trust::Insecure,
        expires,
    }
}

const fn proves(denied: Denial, kind: AbsenceKind) -> bool {
    match kind {
        AbsenceKind::NoData => matches!(denied, Denial::NoData { .. }),
        AbsenceKind::NxDomain => matches!(denied, Denial::NxDomain),
    }
}

/// The name whose zone holds this RRset: DS records stand in the parent (RFC 4035 §2.4).
fn holder(name: &Name, record_type: RecordType) -> Name {
    if record_type == RecordType::DS {
        name.base_name()
    } else {
        name.clone()
    }
}
