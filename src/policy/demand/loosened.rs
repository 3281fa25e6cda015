//! What an exception that loosens makes of the facts: the same demand whatever is published, and whatever could not be
//! found out. A null MX stays what it is: there is nobody to deliver to.

use std::net::IpAddr;

use super::{Candidate, Demand, HostFacts, Located, Requirement, StsDemand, unsigned_null_mx};
use crate::name::MxHost;
use crate::policy::exceptions::What;
use crate::policy::facts::{Facts, MxFacts};
use crate::verdict::Reason;

/// What holds in place of the table of precedence.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Loosening {
    Nothing,
    Encrypt,
}

/// What an exception puts there, if it does.
pub(super) const fn by(exception: Option<&What>) -> Option<Loosening> {
    match exception {
        Some(What::None) => Some(Loosening::Nothing),
        Some(What::Encrypt) => Some(Loosening::Encrypt),
        Some(What::Webpki | What::MtaSts | What::Dane | What::Pin(_) | What::Nta) | None => None,
    }
}

impl Loosening {
    /// The demand; without a destination it is a route's, and the host is known by its name.
    pub(super) fn demand(
        self,
        facts: &Facts,
        destination: Option<IpAddr>,
    ) -> Result<Demand, Reason> {
        let domain = &facts.domain;
        let hosts: &[HostFacts] = match &facts.mx {
            MxFacts::Hosts { hosts, .. } => hosts,
            MxFacts::Null { secure: true } => {
                let domain = domain.clone();
                return Err(Reason::NullMx { domain });
            }
            MxFacts::Null { secure: false } => return Err(unsigned_null_mx(facts)),
            MxFacts::NoSuchDomain | MxFacts::Failed(_) => &[],
        };
        let is_there = |host: &&HostFacts| destination.is_none_or(|address| host.has(address));
        let located: Vec<_> = hosts.iter().filter(is_there).collect();
        if hosts.is_empty() {
            // Nobody knows the host; the domain lends it its name.
            let stand_in = Candidate {
                host: MxHost::new(domain.name().clone()),
                requirement: self.requirement(),
                observed: None,
            };
            return Ok(Demand {
                located: Located::ByAddress,
                candidates: match self {
                    Self::Nothing => Vec::new(),
                    Self::Encrypt => vec![stand_in],
                },
            });
        }
        let candidate = |host: &HostFacts| Candidate {
            host: host.host.clone(),
            requirement: self.requirement(),
            observed: super::live(&facts.sts)
                .filter(|policy| policy.mode != crate::mtasts::Mode::None)
                .map(|policy| StsDemand::of(policy, &host.host)),
        };
        Ok(match destination {
            Some(destination) if located.is_empty() => Demand {
                located: Located::ByName {
                    domain: domain.clone(),
                    destination,
                },
                candidates: hosts.iter().map(candidate).collect(),
            },
            Some(_) | None => Demand {
                located: Located::ByAddress,
                candidates: located.into_iter().map(candidate).collect(),
            },
        })
    }

    fn requirement(self) -> Requirement {
        Requirement {
            encrypt: self == Self::Encrypt,
            ..Requirement::default()
        }
    }
}
