//! A case made real: certificates from rcgen, TLSA records of their digests, a parsed policy, and a server that
//! answers each dial of the verdict as the case says.

use std::net::IpAddr;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PublicKeyData};
use ring::digest::{SHA256, digest};
use rustls_pki_types::CertificateDer;

use super::table::Seen;
use super::{Case, Cert, Map, Mx, Records, Sni, Sts, Tls};
use crate::clock::Timestamp;
use crate::dane::tlsa;
use crate::dns::{Failure, TlsaRdata};
use crate::mtasts::Policy;
use crate::mtasts::fetch::FetchFailure;
use crate::name::{DnsName, Domain, MxHost, TlsaBase};
use crate::policy::demand::demand;
use crate::policy::{AddressFacts, Demand, Facts, HostFacts, MxFacts, StsState, TlsaFacts};
use crate::smtp::NoTls;
use crate::tls::{Evidence, Handshake};
use crate::verdict::{MAX_REDIALS, Reason, Redial, Verdict, judge};
use crate::x509::path::Roots;

/// 2026-09-21.
pub(super) const NOW: Timestamp = Timestamp::from_unix(1_790_000_000);

/// Where the MTA wants to go.
pub(super) fn destination() -> IpAddr {
    "192.0.2.25".parse().unwrap()
}

pub(super) fn elsewhere() -> IpAddr {
    "192.0.2.77".parse().unwrap()
}

/// The certificates and what hangs on them.
pub(super) struct World {
    pub(super) roots: Roots,
    /// SHA-256 of the server's key, of another key, and of the CA's certificate.
    ee: TlsaRdata,
    ee_other: TlsaRdata,
    ta: TlsaRdata,
    first: Chain,
    second: Chain,
    domain: Chain,
    expired: Chain,
    untrusted: Chain,
    stranger: Chain,
}

pub(super) type Chain = Vec<CertificateDer<'static>>;

const HOSTS: [&str; 3] = ["mx1.example.com", "mx2.example.com", "example.com"];

impl World {
    pub(super) fn new() -> Self {
        let ca = Ca::new("The CA");
        let nobody = Ca::new("Nobody's CA");
        let key = KeyPair::generate().unwrap();
        let other = KeyPair::generate().unwrap();
        Self {
            roots: Roots::new(vec![
                webpki::anchor_from_trusted_cert(&ca.der)
                    .unwrap()
                    .to_owned(),
            ]),
            ee: record(3, 1, &key.subject_public_key_info()),
            ee_other: record(3, 1, &other.subject_public_key_info()),
            ta: record(2, 0, &ca.der),
            first: ca.issue(&HOSTS[..1], 2030, &key),
            second: ca.issue(&HOSTS[1..2], 2030, &key),
            domain: ca.issue(&HOSTS[2..], 2030, &key),
            expired: ca.issue(&HOSTS, 2025, &key),
            untrusted: nobody.issue(&HOSTS, 2030, &key),
            stranger: nobody.issue(
                &["stranger.example.net"],
                2030,
                &KeyPair::generate().unwrap(),
            ),
        }
    }

    /// What the facts before TLS demand.
    pub(super) fn demand(&self, case: &Case) -> Result<Demand, Reason> {
        demand(&self.facts(case), destination(), case.settings)
    }

    /// The key that every certificate but the stranger's holds.
    pub(super) fn key(&self) -> [u8; 32] {
        self.ee[3..].try_into().unwrap()
    }

    /// The verdict, redialling as it asks.
    pub(super) fn run(&self, case: &Case, demand: &Result<Demand, Reason>) -> Seen {
        match demand {
            Ok(demand) => self.judge(case, demand),
            Err(reason) => refused(reason),
        }
    }

    fn judge(&self, case: &Case, demand: &Demand) -> Seen {
        let name = match case.sni {
            Sni::Right => case.first_host(),
            Sni::OtherStranger | Sni::OtherAborts => "greeting.example.net",
        };
        let mut tried = vec![Some(name.parse().unwrap())];
        let mut evidence = self.evidence(case, tried[0].as_ref());
        for _ in 0..=MAX_REDIALS {
            match judge(demand, &evidence, &tried, &self.roots, NOW) {
                Verdict::Pin(pin) => {
                    assert!(
                        !matches!(evidence, Evidence::Broken(_)),
                        "pinned to a connection that is gone: {case:?}"
                    );
                    return Seen::Pin {
                        host: pin.host.map(|host| host.to_string()),
                        level: pin.level.label(),
                        basis: pin.basis.label(),
                        observed: pin.observed.as_ref().map(Reason::label),
                    };
                }
                Verdict::Refuse(refusal) => return refused(&refusal.reason),
                Verdict::Redial(Redial::Sni(sni) | Redial::Observe(sni)) => {
                    tried.push(Some(sni));
                    evidence = self.evidence(case, tried.last().unwrap().as_ref());
                }
                Verdict::Redial(Redial::Cleartext) => {
                    evidence = Evidence::Clear(NoTls::HandshakeFailed("alert".into()));
                }
            }
        }
        panic!("more than {MAX_REDIALS} redials: {case:?}")
    }

    pub(super) fn evidence(&self, case: &Case, sni: Option<&DnsName>) -> Evidence {
        let ours = sni.is_some_and(|sni| HOSTS.contains(&sni.as_str()));
        let cert = match case.tls {
            Tls::NotOffered => return Evidence::Clear(NoTls::NotOffered),
            Tls::Refused454 => return Evidence::Clear(NoTls::Refused(454)),
            Tls::ClearAfterBroken if case.is_first_sni(sni) => {
                return Evidence::Clear(NoTls::HandshakeFailed("alert".into()));
            }
            Tls::Broken | Tls::ClearAfterBroken => return Evidence::Broken("alert".into()),
            Tls::Works(cert) => cert,
        };
        match (ours, case.sni) {
            (true, _) | (false, Sni::Right) => protected(sni, self.chain(cert)),
            (false, Sni::OtherStranger) => protected(sni, &self.stranger),
            (false, Sni::OtherAborts) => Evidence::Broken("unrecognised name".into()),
        }
    }

    /// Everything that a server may show.
    pub(super) const fn chains(&self) -> [&Chain; 6] {
        [
            &self.first,
            &self.second,
            &self.domain,
            &self.expired,
            &self.untrusted,
            &self.stranger,
        ]
    }

    const fn chain(&self, cert: Cert) -> &Chain {
        match cert {
            Cert::NamesFirst => &self.first,
            Cert::NamesSecond => &self.second,
            Cert::NamesDomain => &self.domain,
            Cert::Expired => &self.expired,
            Cert::Untrusted => &self.untrusted,
        }
    }

    pub(super) fn facts(&self, case: &Case) -> Facts {
        Facts {
            domain: "example.com".parse::<Domain>().unwrap(),
            mx: self.mx(case),
            sts: sts(case.sts),
        }
    }

    fn mx(&self, case: &Case) -> MxFacts {
        match case.mx {
            Mx::Secure | Mx::Insecure => MxFacts::Hosts {
                secure: case.mx == Mx::Secure,
                expanded: None,
                hosts: vec![
                    self.host(HOSTS[0], first_addresses(case.map), case.first),
                    self.host(HOSTS[1], second_addresses(case.map), second_records(case)),
                ],
            },
            Mx::ImplicitSecure | Mx::ImplicitInsecure => MxFacts::Hosts {
                secure: case.mx == Mx::ImplicitSecure,
                expanded: None,
                hosts: vec![self.host(HOSTS[2], first_addresses(case.map), case.first)],
            },
            Mx::NullSecure => MxFacts::Null { secure: true },
            Mx::NullInsecure => MxFacts::Null { secure: false },
            Mx::NxDomain => MxFacts::NoSuchDomain,
            Mx::Bogus => MxFacts::Failed(bogus()),
            Mx::Unreachable => MxFacts::Failed(unreachable()),
        }
    }

    fn host(&self, name: &str, addresses: AddressFacts, records: Records) -> HostFacts {
        HostFacts {
            host: name.parse::<MxHost>().unwrap(),
            tlsa: match &addresses {
                AddressFacts::Known(_) => self.tlsa(name.parse().unwrap(), records),
                // Addresses come first; without them TLSA is not asked for (RFC 7672 §2.2.2).
                AddressFacts::Failed(_) => TlsaFacts::NotApplicable,
            },
            addresses,
        }
    }

    pub(super) fn tlsa(&self, base: TlsaBase, records: Records) -> TlsaFacts {
        let rdata = match records {
            Records::None => return TlsaFacts::NotApplicable,
            Records::Unusable => record(1, 1, b"a CA-constrained key"),
            Records::EeMatch => self.ee.clone(),
            Records::EeMismatch => self.ee_other.clone(),
            Records::Ta => self.ta.clone(),
            Records::Bogus => {
                return TlsaFacts::Failed {
                    base,
                    failure: bogus(),
                };
            }
            Records::Unreachable => {
                return TlsaFacts::Failed {
                    base,
                    failure: unreachable(),
                };
            }
        };
        let usable = tlsa::usable(&[rdata]);
        assert_eq!(usable.is_empty(), records == Records::Unusable);
        if usable.is_empty() {
            TlsaFacts::Unusable { base }
        } else {
            TlsaFacts::Usable {
                base,
                records: usable,
            }
        }
    }
}

impl Case {
    pub(super) const fn first_host(&self) -> &'static str {
        match self.mx {
            Mx::ImplicitSecure | Mx::ImplicitInsecure => HOSTS[2],
            Mx::Secure
            | Mx::Insecure
            | Mx::NullSecure
            | Mx::NullInsecure
            | Mx::NxDomain
            | Mx::Bogus
            | Mx::Unreachable => HOSTS[0],
        }
    }

    fn is_first_sni(&self, sni: Option<&DnsName>) -> bool {
        let first = match self.sni {
            Sni::Right => self.first_host(),
            Sni::OtherStranger | Sni::OtherAborts => "greeting.example.net",
        };
        sni.is_some_and(|sni| sni.as_str() == first)
    }
}

fn refused(reason: &Reason) -> Seen {
    let reply = reason.reply();
    Seen::Refuse {
        label: reason.label(),
        keyword: reason.keyword(),
        status: (reply.code, reply.enhanced.unwrap()),
    }
}

pub(super) fn protected(sni: Option<&DnsName>, chain: &Chain) -> Evidence {
    Evidence::Protected(Handshake::asserted(sni.cloned(), chain.clone()))
}

fn first_addresses(map: Map) -> AddressFacts {
    match map {
        Map::First | Map::Both | Map::FirstErrorElsewhere => {
            AddressFacts::Known(vec![elsewhere(), destination()])
        }
        Map::Nobody => AddressFacts::Known(vec![elsewhere()]),
        Map::ErrorBogus => AddressFacts::Failed(bogus()),
        Map::ErrorUnreachable => AddressFacts::Failed(unreachable()),
    }
}

fn second_addresses(map: Map) -> AddressFacts {
    match map {
        Map::Both => AddressFacts::Known(vec![destination()]),
        Map::First | Map::Nobody | Map::ErrorBogus | Map::ErrorUnreachable => {
            AddressFacts::Known(vec![elsewhere()])
        }
        Map::FirstErrorElsewhere => AddressFacts::Failed(bogus()),
    }
}

const fn second_records(case: &Case) -> Records {
    match case.map {
        Map::Both | Map::Nobody => case.second,
        // Another server's trouble is not this one's.
        Map::First => Records::Bogus,
        Map::FirstErrorElsewhere | Map::ErrorBogus | Map::ErrorUnreachable => Records::None,
    }
}

pub(super) fn sts(sts: Sts) -> StsState {
    let all = "mx: *.example.com\nmx: example.com\n";
    let refresh = || FetchFailure::Fetch("HTTP 500".into());
    match sts {
        Sts::None => StsState::None,
        Sts::ModeNone => live("none", ""),
        Sts::FetchFailed => StsState::FetchFailed(refresh()),
        Sts::Testing => live("testing", all),
        Sts::TestingUnlisted => live("testing", "mx: mx.example.net\n"),
        Sts::Enforce => live("enforce", all),
        Sts::EnforceStale => StsState::Live {
            policy: policy("enforce", all),
            refresh: Some(refresh()),
        },
        Sts::EnforceUnlisted => live("enforce", "mx: mx.example.net\n"),
        Sts::EnforceFirstOnly => live("enforce", "mx: mx1.example.com\nmx: example.com\n"),
        Sts::Unknown => StsState::Unknown(bogus()),
    }
}

fn live(mode: &str, mx: &str) -> StsState {
    StsState::Live {
        policy: policy(mode, mx),
        refresh: None,
    }
}

pub(super) fn policy(mode: &str, mx: &str) -> Arc<Policy> {
    let text = format!("version: STSv1\nmode: {mode}\n{mx}max_age: 604800\n");
    Arc::new(Policy::parse(text.as_bytes()).unwrap())
}

fn bogus() -> Failure {
    Failure::Bogus("signature expired".into())
}

fn unreachable() -> Failure {
    Failure::Unreachable("SERVFAIL".into())
}

fn record(usage: u8, selector: u8, data: &[u8]) -> TlsaRdata {
    let digest = digest(&SHA256, data);
    [&[usage, selector, 1], digest.as_ref()].concat()
}

/// A CA of the test's own.
struct Ca {
    der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2040, 1, 1);
        let der = params.self_signed(&key).unwrap().der().clone();
        Self {
            der,
            issuer: Issuer::new(params, key),
        }
    }

    /// A chain for `names` that ends with the year before `until`.
    fn issue(&self, names: &[&str], until: i32, key: &KeyPair) -> Chain {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = rcgen::date_time_ymd(2024, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let leaf = params.signed_by(key, &self.issuer).unwrap();
        vec![leaf.der().clone(), self.der.clone()]
    }
}
