//! From facts to what a session must show: the table of precedence, and nothing else.
//!
//! [`demand`] answers with one [`Candidate`] per MX host that the destination may be, each with its own
//! [`Requirement`]. What cannot be judged at all (a failed lookup, a null MX) is a [`Reason`] at once.

use std::fmt;
use std::net::IpAddr;

use super::continuity::Continuity;
use super::facts::{AddressFacts, Facts, HostFacts, MxFacts, StsState, TlsaFacts};
use crate::clock::Timestamp;
use crate::dane::Tlsa;
use crate::dns::Failure;
use crate::mtasts::{Mode, Policy};
use crate::name::{DnsName, Domain, MxHost, ReferenceId, TlsaBase};
use crate::verdict::{Question, Reason};

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

/// What must hold; nothing set means opportunistic TLS.
#[derive(Clone, Debug, Default)]
pub struct Requirement {
    /// TLS, authenticated or not.
    pub encrypt: bool,
    /// A TLSA match.
    pub dane: Option<DaneDemand>,
    /// An MTA-STS policy in force.
    pub sts: Option<StsDemand>,
    /// TLS, because the host is known for it and nothing of the above is demanded: since when.
    pub known_for_tls: Option<Timestamp>,
}

/// DANE must match.
#[derive(Clone, Debug)]
pub struct DaneDemand {
    /// SNI and first reference identifier (RFC 7672 §8.1, §3.2.2).
    pub base: TlsaBase,
    /// Usable records.
    pub records: Vec<Tlsa>,
    /// Three with a secure MX RRset, one with an insecure one (RFC 7672 §3.2.2).
    pub reference_ids: Vec<ReferenceId>,
    /// The MX RRset is insecure: the host name itself is not authenticated (RFC 7672 §2.2.1).
    pub half: bool,
}

/// MTA-STS must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StsDemand {
    /// Whether a pattern of the policy lists the host.
    pub listed: bool,
    /// The patterns, to show.
    pub patterns: Vec<String>,
}

/// The level of a requirement, for records and reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// L0: TLS if it works.
    Opportunistic,
    /// L1: TLS, unauthenticated.
    Encrypt,
    /// LD-half: DANE under an insecure MX.
    HalfDane,
    /// LS: MTA-STS enforce.
    Sts,
    /// L1+LS: unusable TLSA records and MTA-STS enforce.
    EncryptAndSts,
    /// LD: DANE.
    Dane,
    /// LD-half+LS: both must pass.
    HalfDaneAndSts,
    /// LD+LS: both must pass, by configuration.
    DaneAndSts,
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

/// What `facts` demand of a connection to `destination`.
///
/// # Errors
/// The [`Reason`] for which no session to this destination can serve the domain.
pub fn demand(facts: &Facts, destination: IpAddr, settings: Settings) -> Result<Demand, Reason> {
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
    let build = |hosts: &[&HostFacts]| candidates(hosts, names, &facts.sts, settings);
    let located: Vec<&HostFacts> = hosts.iter().filter(|host| host.has(destination)).collect();
    if located.is_empty() {
        return by_name(facts, destination, hosts, build);
    }
    Ok(Demand {
        located: Located::ByAddress,
        candidates: build(&located)?,
    })
}

/// What `facts` demand of a connection to the next-hop that a route names. Its address is the operator's word, so that
/// it need not be among those that DNS knows; but what DNS says of them decides whether DANE applies.
///
/// # Errors
/// The [`Reason`] for which no session to it can be judged.
pub fn demand_of_route(facts: &Facts, settings: Settings) -> Result<Demand, Reason> {
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
        candidates: candidates(&hosts, names, &facts.sts, settings)?,
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
        .any(|candidate| candidate.requirement.level() != Level::Opportunistic);
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

/// The names of the next-hop that a certificate may carry beside the host's own.
#[derive(Clone, Copy)]
struct NextHopNames<'a> {
    domain: &'a Domain,
    expanded: Option<&'a DnsName>,
    secure: bool,
}

/// The candidates, strictest first. What the hosts' own lookups leave unknown comes before what MTA-STS does.
fn candidates(
    hosts: &[&HostFacts],
    names: NextHopNames<'_>,
    sts: &StsState,
    settings: Settings,
) -> Result<Vec<Candidate>, Reason> {
    let mut candidates = hosts
        .iter()
        .map(|host| candidate(host, names, sts, settings))
        .collect::<Result<Vec<_>, _>>()?;
    // Whatever the unknown policy is, DANE may decide without it; anything else would have to guess.
    if let StsState::Unknown(failure) = sts
        && !candidates
            .iter()
            .all(|candidate| candidate.requirement.dane_decides(settings))
    {
        return Err(dns(Question::Sts, names.domain.name(), failure));
    }
    candidates.sort_by_key(|candidate| std::cmp::Reverse(candidate.requirement.level()));
    Ok(candidates)
}

/// One row of the table of precedence: TLSA state × MTA-STS state.
fn candidate(
    host: &HostFacts,
    names: NextHopNames<'_>,
    sts: &StsState,
    settings: Settings,
) -> Result<Candidate, Reason> {
    let mut requirement = Requirement::default();
    match &host.tlsa {
        TlsaFacts::NotApplicable => {}
        // MTA-STS must not rescue what DANE leaves unknown (RFC 8461 §2).
        TlsaFacts::Failed { base, failure } => {
            return Err(dns(Question::Tlsa, base.name(), failure));
        }
        TlsaFacts::Unusable { .. } => {
            requirement.encrypt = names.secure || settings.insecure_mx != InsecureMx::Ignore;
        }
        TlsaFacts::Usable { base, records } => match (names.secure, settings.insecure_mx) {
            (true, _) | (false, InsecureMx::Dane) => {
                requirement.dane = Some(DaneDemand {
                    base: base.clone(),
                    records: records.clone(),
                    reference_ids: reference_ids(base, names),
                    half: !names.secure,
                });
            }
            (false, InsecureMx::Encrypt) => requirement.encrypt = true,
            (false, InsecureMx::Ignore) => {}
        },
    }
    let enforce = enforced(sts).map(|policy| StsDemand::of(policy, &host.host));
    let mut observed = testing(sts).map(|policy| StsDemand::of(policy, &host.host));
    if requirement.dane_decides(settings) {
        observed = observed.or(enforce);
    } else {
        requirement.sts = enforce;
    }
    Ok(Candidate {
        host: host.host.clone(),
        requirement,
        observed,
    })
}

/// RFC 7672 §3.2.2: base domain, next-hop, expanded next-hop; the base alone when the MX RRset is insecure.
fn reference_ids(base: &TlsaBase, names: NextHopNames<'_>) -> Vec<ReferenceId> {
    let mut ids = vec![ReferenceId::new(base.name().clone())];
    if names.secure {
        for name in [Some(names.domain.name()), names.expanded]
            .into_iter()
            .flatten()
        {
            let id = ReferenceId::new(name.clone());
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
    }
    ids
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

impl StsDemand {
    fn of(policy: &Policy, host: &MxHost) -> Self {
        Self {
            listed: policy.lists(host),
            patterns: policy
                .mx
                .iter()
                .map(|pattern| pattern.as_str().to_owned())
                .collect(),
        }
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

impl Requirement {
    /// Whether a session that meets it has proven who the host is.
    #[must_use]
    pub const fn authenticates(&self) -> bool {
        self.dane.is_some() || self.sts.is_some()
    }

    /// Full DANE authenticates the MX name too, so it may decide alone; half-DANE never replaces MTA-STS, or a forged
    /// MX into the attacker's own signed zone would (attack DANE-11).
    fn dane_decides(&self, settings: Settings) -> bool {
        let full = self.dane.as_ref().is_some_and(|dane| !dane.half);
        full && settings.combine == Combine::DaneFirst
    }

    /// The level's name.
    #[must_use]
    pub const fn level(&self) -> Level {
        match (&self.dane, &self.sts) {
            (Some(DaneDemand { half: true, .. }), Some(_)) => Level::HalfDaneAndSts,
            (Some(DaneDemand { half: true, .. }), None) => Level::HalfDane,
            (Some(_), Some(_)) => Level::DaneAndSts,
            (Some(_), None) => Level::Dane,
            (None, Some(_)) if self.encrypt => Level::EncryptAndSts,
            (None, Some(_)) => Level::Sts,
            (None, None) if self.encrypt || self.known_for_tls.is_some() => Level::Encrypt,
            (None, None) => Level::Opportunistic,
        }
    }
}

impl Level {
    /// The short name of the level: `L0`, `L1`, `LD`, `LD-half`, `LS` and their combinations.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Opportunistic => "L0",
            Self::Encrypt => "L1",
            Self::HalfDane => "LD-half",
            Self::Sts => "LS",
            Self::EncryptAndSts => "L1+LS",
            Self::Dane => "LD",
            Self::HalfDaneAndSts => "LD-half+LS",
            Self::DaneAndSts => "LD+LS",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dane::{Matching, Selector, Usage};
    use crate::dns::Denial;

    const DESTINATION: &str = "192.0.2.25";

    fn demanded(facts: &Facts) -> Demand {
        demand(facts, DESTINATION.parse().unwrap(), Settings::default()).unwrap()
    }

    fn records() -> Vec<Tlsa> {
        vec![Tlsa {
            usage: Usage::DaneTa,
            selector: Selector::Cert,
            matching: Matching::Sha256,
            data: vec![7; 32],
        }]
    }

    /// A host at the destination whose TLSA records stand at `base`.
    fn host(name: &str, base: &str) -> HostFacts {
        HostFacts {
            host: name.parse().unwrap(),
            addresses: AddressFacts::Known(vec![DESTINATION.parse().unwrap()]),
            tlsa: TlsaFacts::Usable {
                base: base.parse().unwrap(),
                records: records(),
            },
        }
    }

    fn facts(mx: Denial, expanded: Option<&str>, hosts: Vec<HostFacts>) -> Facts {
        Facts {
            domain: "example.org".parse().unwrap(),
            mx: MxFacts::Hosts {
                secure: mx == Denial::Secure,
                expanded: expanded.map(|name| name.parse().unwrap()),
                hosts,
            },
            sts: StsState::None,
        }
    }

    fn enforce(mx: &str) -> StsState {
        let text = format!("version: STSv1\nmode: enforce\nmx: {mx}\nmax_age: 86400\n");
        StsState::Live {
            policy: std::sync::Arc::new(Policy::parse(text.as_bytes()).unwrap()),
            refresh: None,
        }
    }

    #[test]
    fn dane_27_dane_28_dane_29_reference_identifiers() {
        for (row, mx, expanded, name, base, ids) in [
            (
                "a secure MX: base domain and next-hop",
                Denial::Secure,
                None,
                "mx.example.org",
                "mx.example.org",
                vec!["mx.example.org", "example.org"],
            ),
            (
                "a secure MX host that is an alias: its end, not its beginning",
                Denial::Secure,
                None,
                "mx.example.org",
                "mx.hoster.example",
                vec!["mx.hoster.example", "example.org"],
            ),
            (
                "a next-hop that is a secure alias: both its names",
                Denial::Secure,
                Some("example.com"),
                "mx.example.com",
                "mx.example.com",
                vec!["mx.example.com", "example.org", "example.com"],
            ),
            (
                "no MX: the domain is its own host, once",
                Denial::Secure,
                None,
                "example.org",
                "example.org",
                vec!["example.org"],
            ),
            (
                "no MX, and the base is the expanded domain: the original one too",
                Denial::Secure,
                Some("example.com"),
                "example.org",
                "example.com",
                vec!["example.com", "example.org"],
            ),
            (
                "an insecure MX: the host alone, whatever the domain is",
                Denial::Insecure,
                Some("example.com"),
                "mx.example.com",
                "mx.example.com",
                vec!["mx.example.com"],
            ),
        ] {
            let demand = demanded(&facts(mx, expanded, vec![host(name, base)]));
            let dane = demand.candidates[0].requirement.dane.as_ref().unwrap();
            let seen: Vec<&str> = dane.reference_ids.iter().map(ReferenceId::as_str).collect();
            assert_eq!(seen, ids, "{row}");
            assert_eq!(dane.half, mx == Denial::Insecure, "{row}");
        }
    }

    #[test]
    fn dane_32_sts_66_the_sni_is_the_tlsa_base_domain_else_the_mx_host() {
        let aliased = || host("mx.example.org", "mx.hoster.example");
        let unusable = || HostFacts {
            tlsa: TlsaFacts::Unusable {
                base: "mx.hoster.example".parse().unwrap(),
            },
            ..aliased()
        };
        let no_records = || HostFacts {
            tlsa: TlsaFacts::NotApplicable,
            ..aliased()
        };
        for (row, mx, host, sts, sni) in [
            (
                "DANE: the base domain",
                Denial::Secure,
                aliased(),
                StsState::None,
                "mx.hoster.example",
            ),
            (
                "half-DANE and MTA-STS: one SNI, DANE first",
                Denial::Insecure,
                aliased(),
                enforce("mx.example.org"),
                "mx.hoster.example",
            ),
            (
                "MTA-STS: the MX host",
                Denial::Secure,
                no_records(),
                enforce("mx.example.org"),
                "mx.example.org",
            ),
            (
                "unusable records and MTA-STS: it is MTA-STS that is judged",
                Denial::Secure,
                unusable(),
                enforce("mx.example.org"),
                "mx.example.org",
            ),
        ] {
            let mut facts = facts(mx, None, vec![host]);
            facts.sts = sts;
            let demand = demanded(&facts);
            assert_eq!(demand.candidates[0].sni().as_str(), sni, "{row}");
        }
    }

    #[test]
    fn sts_64_the_unexpanded_mx_name_is_held_against_the_patterns() {
        for (pattern, listed) in [
            ("mx.example.org", true),
            ("*.example.org", true),
            ("mx.hoster.example", false),
            ("*.hoster.example", false),
        ] {
            let mut facts = facts(
                Denial::Insecure,
                None,
                vec![host("mx.example.org", "mx.hoster.example")],
            );
            facts.sts = enforce(pattern);
            let demand = demanded(&facts);
            let sts = demand.candidates[0].requirement.sts.clone().unwrap();
            assert_eq!(sts.listed, listed, "{pattern}");
            assert_eq!(sts.patterns, [pattern]);
        }
    }

    #[test]
    fn m2_candidates_stand_strictest_first_and_keep_the_mx_order_otherwise() {
        let plain = |name: &str| HostFacts {
            tlsa: TlsaFacts::NotApplicable,
            ..host(name, name)
        };
        let strict = |name: &str| host(name, name);
        let demand = demanded(&facts(
            Denial::Secure,
            None,
            vec![
                plain("mx1.example.org"),
                strict("mx2.example.org"),
                plain("mx3.example.org"),
                strict("mx4.example.org"),
            ],
        ));
        let order: Vec<&str> = demand
            .candidates
            .iter()
            .map(|candidate| candidate.host.as_str())
            .collect();
        assert_eq!(
            order,
            [
                "mx2.example.org",
                "mx4.example.org",
                "mx1.example.org",
                "mx3.example.org"
            ]
        );
    }

    #[test]
    fn net_04_an_ipv4_mapped_destination_is_the_ipv4_address_it_maps() {
        let facts = facts(
            Denial::Secure,
            None,
            vec![host("mx.example.org", "mx.example.org")],
        );
        let mapped = "::ffff:192.0.2.25".parse().unwrap();
        let demand = demand(&facts, mapped, Settings::default()).unwrap();
        assert_eq!(demand.located, Located::ByAddress);
    }

    #[test]
    fn a4_sts_01_a_null_mx_is_final_only_where_nothing_can_contradict_it() {
        let unknown = || StsState::Unknown(Failure::Bogus("forged".into()));
        for (row, secure, sts, code) in [
            ("unsigned, no policy", false, StsState::None, 556),
            ("unsigned, enforce", false, enforce("mx.example.org"), 451),
            ("unsigned, unknown policy", false, unknown(), 451),
            ("signed, enforce", true, enforce("mx.example.org"), 556),
            ("signed, unknown policy", true, unknown(), 556),
        ] {
            let facts = Facts {
                domain: "example.org".parse().unwrap(),
                mx: MxFacts::Null { secure },
                sts,
            };
            let refused = demand(&facts, DESTINATION.parse().unwrap(), Settings::default());
            assert_eq!(refused.unwrap_err().reply().code, code, "{row}");
        }
    }

    #[test]
    fn a1_dane_25_an_address_literal_demands_nothing() {
        let demand = Demand::of_literal();
        assert!(demand.candidates.is_empty());
        assert_eq!(demand.located, Located::ByAddress);
    }
}
