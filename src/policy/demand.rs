//! From facts to what a session must show, by the table of precedence (`precedence`), and nothing else.
//!
//! [`demand`] answers with one [`Candidate`] per MX host that the destination may be, each with its own
//! [`Requirement`]. What cannot be judged at all (a failed lookup, a null MX) is a [`Reason`] at once. An exception
//! that requires more adds a [`Local`] to each requirement; one that loosens takes the place of the table (`loosened`).

mod loosened;
mod precedence;
mod requirement;

use std::net::IpAddr;

use super::continuity::Continuity;
use super::exceptions::What;
use super::facts::{AddressFacts, Facts, HostFacts, MxFacts, StsState, TlsaFacts};
use crate::dns::Failure;
use crate::mtasts::{Mode, Policy};
use crate::name::{DnsName, Domain, MxHost};
use crate::verdict::{Question, Reason};
use precedence::{NextHopNames, candidates};

pub use requirement::{DaneDemand, Level, Local, Requirement, StsDemand};

/// What one destination must show for one recipient domain.
#[derive(Clone, Debug)]
pub struct Demand {
    /// How the candidates were found.
    pub located: Located,
    /// The hosts that the destination may be, strictest first; empty only for an address literal, which demands
    /// nothing.
    pub candidates: Vec<Candidate>,
}

/// How sure it is that the destination is an MX host of the domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Located {
    /// Its address belongs to each of the candidates.
    ByAddress,
    /// It belongs to none: any host of the domain may be meant, and the session must prove it.
    ByName {
        /// The recipient's domain.
        domain: Domain,
        /// Where the MTA wanted to go.
        destination: IpAddr,
    },
}

/// One host that the destination may be.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The host.
    pub host: MxHost,
    /// What must hold.
    pub requirement: Requirement,
    /// What is evaluated for the record but decides nothing: MTA-STS in testing mode, or beside DANE.
    pub observed: Option<StsDemand>,
}

/// Operator choices where the RFCs leave one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Settings {
    /// What TLSA records mean under an insecure MX RRset.
    pub insecure_mx: InsecureMx,
    /// What MTA-STS enforce means beside DANE.
    pub combine: Combine,
    /// What is done when a host is worse than before.
    pub continuity: Continuity,
}

/// By what facts become demands: the operator's choices, and what applies to this domain alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terms<'a> {
    /// For all domains.
    pub settings: Settings,
    /// For this one.
    pub exception: Option<&'a What>,
}

impl From<Settings> for Terms<'_> {
    fn from(settings: Settings) -> Self {
        Self {
            settings,
            exception: None,
        }
    }
}

/// RFC 7672 §2.2.1 leaves it open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum InsecureMx {
    /// They must match all the same ("half").
    #[default]
    Dane,
    /// They demand TLS without authentication.
    Encrypt,
    /// They demand nothing.
    Ignore,
}

/// RFC 8461 §2 says only that MTA-STS may not rescue a failing DANE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Combine {
    /// DANE decides, MTA-STS is evaluated and recorded.
    #[default]
    DaneFirst,
    /// Both must pass.
    Both,
}

impl Settings {
    /// With the other choice of [`Combine`].
    #[must_use]
    pub const fn otherwise_combined(self) -> Self {
        let combine = match self.combine {
            Combine::DaneFirst => Combine::Both,
            Combine::Both => Combine::DaneFirst,
        };
        Self { combine, ..self }
    }
}

/// What `facts` demand of a connection to `destination`.
///
/// # Errors
/// The [`Reason`] for which no session to this destination can serve the domain.
pub fn demand<'a>(
    facts: &Facts,
    destination: IpAddr,
    terms: impl Into<Terms<'a>>,
) -> Result<Demand, Reason> {
    let terms = terms.into();
    if let Some(loosening) = loosened::by(terms.exception) {
        return loosening.demand(facts, Some(destination));
    }
    let (secure, expanded, hosts) = match &facts.mx {
        MxFacts::Hosts {
            secure,
            expanded,
            hosts,
        } => (*secure, expanded.as_ref(), hosts),
        MxFacts::Null { secure: false } => return Err(unsigned_null_mx(facts)),
        MxFacts::Null { secure: true } => {
            return Err(Reason::NullMx {
                domain: facts.domain.clone(),
            });
        }
        MxFacts::NoSuchDomain => {
            return Err(Reason::NoSuchDomain {
                domain: facts.domain.clone(),
            });
        }
        MxFacts::Failed(failure) => return Err(dns(Question::Mx, facts.domain.name(), failure)),
    };
    let names = NextHopNames {
        domain: &facts.domain,
        expanded,
        secure,
    };
    let build = |hosts: &[&HostFacts]| candidates(hosts, names, &facts.sts, terms);
    let located: Vec<&HostFacts> = hosts.iter().filter(|host| host.has(destination)).collect();
    if located.is_empty() {
        return by_name(facts, destination, hosts, build);
    }
    Ok(Demand {
        located: Located::ByAddress,
        candidates: build(&located)?,
    })
}

/// Do full DANE and MTA-STS both apply to a host, so that [`Combine`] may matter?
#[must_use]
pub fn combines(facts: &Facts) -> bool {
    let has_dane = match &facts.mx {
        MxFacts::Hosts { secure, hosts, .. } => {
            let usable = |host: &HostFacts| matches!(host.tlsa, TlsaFacts::Usable { .. });
            *secure && hosts.iter().any(usable)
        }
        MxFacts::Null { .. } | MxFacts::NoSuchDomain | MxFacts::Failed(_) => false,
    };
    let has_sts = enforced(&facts.sts).is_some() || matches!(facts.sts, StsState::Unknown(_));
    has_dane && has_sts
}

/// What `facts` demand of a connection to the next-hop that a route names. Its address is the operator's word, so that
/// it need not be among those that DNS knows; but what DNS says of them decides whether DANE applies.
///
/// # Errors
/// The [`Reason`] for which no session to it can be judged.
pub fn demand_of_route<'a>(facts: &Facts, terms: impl Into<Terms<'a>>) -> Result<Demand, Reason> {
    let terms = terms.into();
    if let Some(loosening) = loosened::by(terms.exception) {
        return loosening.demand(facts, None);
    }
    let hosts = match &facts.mx {
        MxFacts::Hosts { hosts, .. } => hosts,
        MxFacts::Null { .. } | MxFacts::NoSuchDomain => {
            return Err(Reason::NoSuchDomain {
                domain: facts.domain.clone(),
            });
        }
        MxFacts::Failed(failure) => {
            return Err(dns(Question::Address, facts.domain.name(), failure));
        }
    };
    if let Some(reason) = unknown_address(hosts) {
        return Err(reason);
    }
    let names = NextHopNames {
        domain: &facts.domain,
        expanded: None,
        secure: true,
    };
    let hosts: Vec<_> = hosts.iter().collect();
    Ok(Demand {
        located: Located::ByAddress,
        candidates: candidates(&hosts, names, &facts.sts, terms)?,
    })
}

/// It would be the cheapest way to bounce a protected domain's mail: it is final only where no policy contradicts it.
fn unsigned_null_mx(facts: &Facts) -> Reason {
    let domain = facts.domain.clone();
    match &facts.sts {
        StsState::Unknown(failure) => dns(Question::Sts, domain.name(), failure),
        sts @ StsState::Live { .. } if enforced(sts).is_some() => Reason::ForgedNullMx { domain },
        StsState::Live { .. } | StsState::None | StsState::FetchFailed(_) => {
            Reason::NullMx { domain }
        }
    }
}

/// The destination is in no host's address set: the name is the truth, the address a hint.
fn by_name(
    facts: &Facts,
    destination: IpAddr,
    hosts: &[HostFacts],
    build: impl Fn(&[&HostFacts]) -> Result<Vec<Candidate>, Reason>,
) -> Result<Demand, Reason> {
    // The host that was meant may be the one whose addresses could not be looked up.
    if let Some(reason) = unknown_address(hosts) {
        return Err(reason);
    }
    let mut candidates = build(&hosts.iter().collect::<Vec<_>>())?;
    let demanding = candidates
        .iter()
        .any(|candidate| !candidate.requirement.is_nothing());
    candidates.retain(|candidate| !demanding || candidate.requirement.authenticates());
    if candidates.is_empty() {
        // TLS without authentication can prove nobody's identity.
        return Err(Reason::DestNotMx {
            domain: facts.domain.clone(),
            destination,
        });
    }
    Ok(Demand {
        located: Located::ByName {
            domain: facts.domain.clone(),
            destination,
        },
        candidates,
    })
}

fn unknown_address(hosts: &[HostFacts]) -> Option<Reason> {
    hosts.iter().find_map(|host| match &host.addresses {
        AddressFacts::Failed(failure) => Some(dns(Question::Address, host.host.name(), failure)),
        AddressFacts::Known(_) => None,
    })
}

fn enforced(sts: &StsState) -> Option<&Policy> {
    live(sts).filter(|policy| policy.mode == Mode::Enforce)
}

fn testing(sts: &StsState) -> Option<&Policy> {
    live(sts).filter(|policy| policy.mode == Mode::Testing)
}

fn live(sts: &StsState) -> Option<&Policy> {
    match sts {
        StsState::Live { policy, .. } => Some(policy),
        StsState::None | StsState::FetchFailed(_) | StsState::Unknown(_) => None,
    }
}

fn dns(question: Question, name: &DnsName, failure: &Failure) -> Reason {
    Reason::Dns {
        question,
        name: name.clone(),
        failure: failure.clone(),
    }
}

impl HostFacts {
    fn has(&self, destination: IpAddr) -> bool {
        match &self.addresses {
            AddressFacts::Known(addresses) => addresses.contains(&destination.to_canonical()),
            AddressFacts::Failed(_) => false,
        }
    }
}

impl Demand {
    /// Of an address literal that is the destination: it has no policy domain (RFC 7672 §2.2, RFC 8461 §3.4).
    #[must_use]
    pub const fn of_literal() -> Self {
        Self {
            located: Located::ByAddress,
            candidates: Vec::new(),
        }
    }
}

impl Candidate {
    /// The SNI that evidence for this host must have been taken with: the TLSA base domain (RFC 7672 §8.1), else the
    /// MX host (RFC 8461 §4.1).
    #[must_use]
    pub fn sni(&self) -> &DnsName {
        self.requirement
            .dane
            .as_ref()
            .map_or_else(|| self.host.name(), |dane| dane.base.name())
    }
}

#[cfg(test)]
mod tests;
