//! The resolver's own verdict, where the operator has said that it can be trusted: the AD bit (RFC 4035 §3.2.3, RFC 6840 §5.7).
//!
//! It speaks for a whole message. Where it is missing on a message with an alias in it, the alias is asked for by itself, since
//! TLSA records may stand at a name whose alias is secure and whose target is not (RFC 7672 §2.2.2).

use std::sync::Arc;

use hickory_resolver::net::xfer::DnsHandle;
use hickory_resolver::proto::rr::rdata::CNAME;
use hickory_resolver::proto::rr::{Name, RData, RecordType};

use super::errand::Errand;
use super::judge::{Content, Judged};
use super::proof::alias::{self, Reading};
use super::proof::rrset::RrSet;
use super::proof::{Trust, lifetime};
use super::trouble::Trouble;
use super::upstream::{Reply, Upstream};
use crate::clock::Clock;

/// Believes what the resolvers say of their answers.
pub(super) struct Trusted<H> {
    upstream: Arc<Upstream<H>>,
    clock: Arc<dyn Clock>,
}

impl<H: DnsHandle> Trusted<H> {
    pub(super) fn new(upstream: Arc<Upstream<H>>, clock: Arc<dyn Clock>) -> Self {
        Self { upstream, clock }
    }

    /// The resolvers that are asked.
    pub(super) fn upstream(&self) -> &Upstream<H> {
        &self.upstream
    }

    /// Asks and believes.
    pub(super) async fn ask(
        &self,
        name: &Name,
        record_type: RecordType,
        errand: &Errand,
    ) -> Result<Judged, Trouble> {
        let reply = self.reply(name, record_type, errand).await?;
        let now = self.clock.wall();
        let (content, expires, trust) = match alias::read(&reply.answers, name, record_type) {
            Reading::Records(set) => (
                Content::Records(set.data().cloned().collect()),
                lifetime::of_unsigned(&set, now),
                trust(&reply),
            ),
            Reading::Alias { set, target } if record_type == RecordType::CNAME => (
                Content::Records(vec![RData::CNAME(CNAME(target))]),
                lifetime::of_unsigned(&set, now),
                trust(&reply),
            ),
            Reading::Alias { set, target } => {
                let trust = if reply.authentic {
                    Trust::Secure
                } else if set.record_type() == RecordType::DNAME {
                    self.trust_in_dname(&set, errand).await?
                } else {
                    self.trust_in_cname(name, &target, errand).await?
                };
                let expires = lifetime::of_unsigned(&set, now);
                (Content::Alias(target), expires, trust)
            }
            Reading::Dangling => return Err(Trouble::DanglingAlias(name.clone())),
            Reading::Nothing => {
                let expires = lifetime::of_absence(&reply.authorities, name, now);
                (Content::Absent(reply.absent), expires, trust(&reply))
            }
        };
        Ok(Judged {
            content,
            trust,
            expires,
        })
    }

    /// Asked for at its own name: unbound fails at the CNAME that it makes.
    async fn trust_in_dname(&self, set: &RrSet, errand: &Errand) -> Result<Trust, Trouble> {
        let owner = set.owner();
        let alone = self.reply(owner, RecordType::DNAME, errand).await?;
        match alias::read(&alone.answers, owner, RecordType::DNAME) {
            Reading::Records(found) if found.data().eq(set.data()) => Ok(trust(&alone)),
            Reading::Records(_) | Reading::Alias { .. } | Reading::Dangling | Reading::Nothing => {
                Err(Trouble::DanglingAlias(owner.clone()))
            }
        }
    }

    async fn trust_in_cname(
        &self,
        name: &Name,
        target: &Name,
        errand: &Errand,
    ) -> Result<Trust, Trouble> {
        let alone = self.reply(name, RecordType::CNAME, errand).await?;
        let leads_there = match alias::read(&alone.answers, name, RecordType::CNAME) {
            Reading::Records(set) => set.data().eq([&RData::CNAME(CNAME(target.clone()))]),
            Reading::Alias { target: found, .. } => &found == target,
            Reading::Dangling | Reading::Nothing => false,
        };
        // An alias that changed between two questions is not worth a downgrade: that is for the next lookup to find out.
        if leads_there {
            Ok(trust(&alone))
        } else {
            Err(Trouble::DanglingAlias(name.clone()))
        }
    }

    async fn reply(
        &self,
        name: &Name,
        record_type: RecordType,
        errand: &Errand,
    ) -> Result<Arc<Reply>, Trouble> {
        let reply = self.upstream.ask(name, record_type, errand).await;
        reply.map_err(|cause| {
            if cause.says_bogus() {
                Trouble::SaidToBeBogus {
                    name: name.clone(),
                    record_type,
                    cause,
                }
            } else {
                Trouble::no_reply(name, record_type, cause)
            }
        })
    }
}

const fn trust(reply: &Reply) -> Trust {
    if reply.authentic {
        Trust::Secure
    } else {
        Trust::Insecure
    }
}
