//! What the design wants: the decision table, rows A3 to M0 and the two matrices, read into one plain function.
//!
//! Written from the text, sharing nothing with [`crate::policy::demand`] and [`super::super::judge`] but the name of
//! a setting. Where the text leaves an order open (two hosts that both fail, two demands that both fail), every
//! truthful answer is taken.

use super::{Case, Cert, Map, Mx, Records, Sni, Sts, Tls};
use crate::policy::{Combine, InsecureMx};

/// What may become of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// Relayed.
    Pin {
        host: Option<&'static str>,
        level: &'static str,
        /// Any of these.
        basis: Vec<&'static str>,
        observed: Observed,
    },
    /// Refused, with any of these labels.
    Refuse(Vec<&'static str>),
}

/// What the pin notes beside the decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Observed {
    /// Nothing.
    Nothing,
    /// Any of these labels.
    Label(Vec<&'static str>),
    /// The design does not say.
    Anything,
}

/// What did become of a case, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Pin {
        host: Option<String>,
        level: &'static str,
        basis: &'static str,
        observed: Option<&'static str>,
    },
    Refuse {
        label: &'static str,
        keyword: &'static str,
        status: (u16, &'static str),
    },
}

impl Expected {
    /// Is it what was seen?
    pub(super) fn check(&self, seen: &Seen) -> Result<(), String> {
        let fits = match (self, seen) {
            (
                Self::Pin {
                    host,
                    level,
                    basis,
                    observed,
                },
                Seen::Pin {
                    host: seen_host,
                    level: seen_level,
                    basis: seen_basis,
                    observed: seen_observed,
                },
            ) => {
                *host == seen_host.as_deref()
                    && level == seen_level
                    && basis.contains(seen_basis)
                    && match observed {
                        Observed::Nothing => seen_observed.is_none(),
                        Observed::Anything => true,
                        Observed::Label(labels) => {
                            seen_observed.is_some_and(|label| labels.contains(&label))
                        }
                    }
            }
            (
                Self::Refuse(labels),
                Seen::Refuse {
                    label,
                    keyword,
                    status,
                },
            ) => labels.contains(label) && (*keyword, *status) == heard(label),
            (Self::Pin { .. }, Seen::Refuse { .. }) | (Self::Refuse(_), Seen::Pin { .. }) => false,
        };
        if fits {
            Ok(())
        } else {
            Err(format!("{self:?}"))
        }
    }
}

/// What the MTA hears for a label: "Our table" of replies and status codes.
pub(super) fn heard(label: &str) -> (&'static str, (u16, &'static str)) {
    match label {
        "dns-error" => ("dns-error", (451, "4.4.3")),
        "dnssec-bogus" => ("dnssec-bogus", (451, "4.4.3")),
        "tlsa-lookup-error" => ("tlsa-lookup-error", (451, "4.7.5")),
        "dest-not-mx" => ("dest-not-mx", (451, "4.7.1")),
        "starttls-required" => ("starttls-required", (451, "4.7.4")),
        "tls-handshake" => ("tls-handshake", (451, "4.7.5")),
        "dane-mismatch" | "dane-name" | "dane-expired" | "dane-path" => {
            ("dane-mismatch", (451, "4.7.5"))
        }
        "sts-name" | "sts-expired" | "sts-untrusted" => ("sts-cert", (451, "4.7.5")),
        "sts-mx-mismatch" => ("sts-mx-mismatch", (451, "4.7.1")),
        "null-mx" => ("null-mx", (556, "5.1.10")),
        "null-mx-forged" => ("null-mx-forged", (451, "4.7.1")), // A4
        "no-such-domain" => ("no-such-domain", (451, "4.4.4")), // A5
        "dane-required" => ("dane-required", (451, "4.7.4")),   // A7
        "sts-required" => ("sts-required", (451, "4.7.4")),
        "webpki-name" | "webpki-expired" | "webpki-untrusted" => ("webpki-cert", (451, "4.7.5")),
        "pin-mismatch" => ("pin-mismatch", (451, "4.7.5")),
        other => panic!("the design has no reply for {other}"),
    }
}

/// The columns of 10.1, in the order of 10.0.
pub(super) fn expected(case: &Case) -> Expected {
    if let Some(label) = before_tls(case) {
        return Expected::Refuse(vec![label]);
    }
    match case.map {
        Map::First | Map::Both | Map::FirstErrorElsewhere => by_address(case),
        Map::Nobody => by_name(case),
        Map::ErrorBogus | Map::ErrorUnreachable => unreachable!("row ME refuses"),
    }
}

pub(super) fn before_tls(case: &Case) -> Option<&'static str> {
    let by_mx = match case.mx {
        Mx::Bogus => Some("dnssec-bogus"),    // A3
        Mx::Unreachable => Some("dns-error"), // A3
        Mx::NullSecure => Some("null-mx"),    // A4
        Mx::NullInsecure if case.enforced() => Some("null-mx-forged"), // A4
        // A4: whether a policy contradicts cannot be known, and 5xx is final.
        Mx::NullInsecure if case.sts == Sts::Unknown => Some("dnssec-bogus"),
        Mx::NullInsecure => Some("null-mx"),    // A4
        Mx::NxDomain => Some("no-such-domain"), // A5
        Mx::Secure | Mx::Insecure | Mx::ImplicitSecure | Mx::ImplicitInsecure => None,
    };
    let by_address = || match case.map {
        Map::ErrorBogus => Some("dnssec-bogus"),    // ME
        Map::ErrorUnreachable => Some("dns-error"), // ME
        Map::First | Map::Both | Map::Nobody | Map::FirstErrorElsewhere => None,
    };
    let by_tlsa = || {
        let failed = |host: &Host| matches!(host.records, Records::Bogus | Records::Unreachable);
        // A6; M2: "no host yields X"; row X of 10.2, whatever MTA-STS says.
        case.hosts()
            .iter()
            .any(failed)
            .then_some("tlsa-lookup-error")
    };
    // Unknown is never insecure; but "its outcome is used only after DANE" (10.0, step 7), and in row D of 10.2 all
    // columns are LD: "LD decides delivery".
    let by_sts = || {
        let decided = |host: &Host| {
            case.level(host) == Level::Ld && case.settings.combine == Combine::DaneFirst
        };
        let open = !case.hosts().iter().all(decided);
        (case.sts == Sts::Unknown && open).then_some("dnssec-bogus")
    };
    by_mx.or_else(by_address).or_else(by_tlsa).or_else(by_sts)
}

/// Rows M1 and M2: the strictest host that the session satisfies.
fn by_address(case: &Case) -> Expected {
    let mut faults = Vec::new();
    for host in case.strictest_first() {
        match case.outcome(&host) {
            Ok(basis) => return case.pin(Some(host.name), &host, basis),
            Err(labels) => faults.extend(labels),
        }
    }
    Expected::Refuse(faults)
}

/// Row M0: the session proves to be one of the hosts, or nothing is demanded.
fn by_name(case: &Case) -> Expected {
    let hosts = case.strictest_first();
    for host in &hosts {
        if case.level(host).authenticates()
            && let Ok(basis) = case.outcome(host)
        {
            return case.pin(Some(host.name), host, basis);
        }
    }
    let strictest = &hosts[0];
    // spec: does "demands anything" include TLS without authentication? It is something, and proves nobody.
    if case.level(strictest) > Level::L0 {
        return Expected::Refuse(vec!["dest-not-mx"]);
    }
    // "D demands nothing: opportunistic, and the mismatch is logged."
    Expected::Pin {
        host: None,
        level: "L0",
        basis: case.outcome(strictest).expect("nothing is demanded"),
        observed: Observed::Label(vec!["dest-not-mx"]),
    }
}

/// A host that the destination may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Host {
    pub(super) name: &'static str,
    pub(super) records: Records,
    pub(super) listed: bool,
}

/// The levels of 10.2, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    L0,
    L1,
    Half,
    Ls,
    L1Ls,
    Ld,
    HalfLs,
    LdLs,
}

impl Level {
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::L0 => "L0",
            Self::L1 => "L1",
            Self::Half => "LD-half",
            Self::Ls => "LS",
            Self::L1Ls => "L1+LS",
            Self::Ld => "LD",
            Self::HalfLs => "LD-half+LS",
            Self::LdLs => "LD+LS",
        }
    }

    pub(super) const fn authenticates(self) -> bool {
        !matches!(self, Self::L0 | Self::L1)
    }

    pub(super) const fn has_dane(self) -> bool {
        matches!(self, Self::Half | Self::Ld | Self::HalfLs | Self::LdLs)
    }

    pub(super) const fn has_sts(self) -> bool {
        matches!(self, Self::Ls | Self::L1Ls | Self::HalfLs | Self::LdLs)
    }
}

/// The rows of 10.2 after A8.
enum Row {
    N,
    U,
    D,
    Half,
}

impl Case {
    pub(super) fn enforced(&self) -> bool {
        matches!(
            self.sts,
            Sts::Enforce | Sts::EnforceStale | Sts::EnforceUnlisted | Sts::EnforceFirstOnly
        )
    }

    pub(super) fn testing(&self) -> bool {
        matches!(self.sts, Sts::Testing | Sts::TestingUnlisted)
    }

    pub(super) fn insecure(&self) -> bool {
        matches!(self.mx, Mx::Insecure | Mx::ImplicitInsecure)
    }

    /// The hosts that the destination may be, in the order of the MX records.
    pub(super) fn hosts(&self) -> Vec<Host> {
        let listed = !matches!(self.sts, Sts::EnforceUnlisted | Sts::TestingUnlisted);
        let host = |name, records, listed| Host {
            name,
            records,
            listed,
        };
        match self.mx {
            Mx::Secure | Mx::Insecure => {
                let first = host("mx1.example.com", self.first, listed);
                let second = host(
                    "mx2.example.com",
                    self.second,
                    listed && self.sts != Sts::EnforceFirstOnly,
                );
                match self.map {
                    Map::Both | Map::Nobody => vec![first, second],
                    Map::First
                    | Map::FirstErrorElsewhere
                    | Map::ErrorBogus
                    | Map::ErrorUnreachable => vec![first],
                }
            }
            Mx::ImplicitSecure | Mx::ImplicitInsecure => {
                vec![host("example.com", self.first, listed)]
            }
            Mx::NullSecure | Mx::NullInsecure | Mx::NxDomain | Mx::Bogus | Mx::Unreachable => {
                vec![]
            }
        }
    }

    fn strictest_first(&self) -> Vec<Host> {
        let mut hosts = self.hosts();
        hosts.sort_by_key(|host| std::cmp::Reverse(self.level(host)));
        hosts
    }

    /// 10.2 with A8.
    pub(super) fn level(&self, host: &Host) -> Level {
        let row = match (host.records, self.insecure(), self.settings.insecure_mx) {
            (Records::None, _, _) => Row::N,
            (_, true, InsecureMx::Ignore) => Row::N,
            (Records::Unusable, _, _) => Row::U,
            (_, true, InsecureMx::Encrypt) => Row::U,
            (_, true, InsecureMx::Dane) => Row::Half,
            (_, false, _) => Row::D,
        };
        match (row, self.enforced(), self.settings.combine) {
            (Row::N, false, _) => Level::L0,
            (Row::N, true, _) => Level::Ls,
            (Row::U, false, _) => Level::L1,
            (Row::U, true, _) => Level::L1Ls,
            (Row::D, false, _) | (Row::D, true, Combine::DaneFirst) => Level::Ld,
            (Row::D, true, Combine::Both) => Level::LdLs,
            (Row::Half, false, _) => Level::Half,
            (Row::Half, true, _) => Level::HalfLs, // DANE-40, R10
        }
    }

    /// 10.3: what the session rests on, or what is wrong with it.
    fn outcome(&self, host: &Host) -> Result<Vec<&'static str>, Vec<&'static str>> {
        let level = self.level(host);
        let mut faults = Vec::new();
        if level.has_dane() {
            faults.extend(self.dane_fault(host));
        }
        if level.has_sts() {
            faults.extend(self.sts_fault(host));
        }
        if level == Level::L1 {
            faults.extend(self.no_tls());
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(match (level, host.records) {
            (Level::L0, _) => self.opportunistic(),
            (Level::L1, _) => vec!["encrypted"],
            (Level::Half | Level::Ld, Records::Ta) => vec!["dane-ta"],
            (Level::Half | Level::Ld, _) => vec!["dane-ee"],
            (Level::Ls | Level::L1Ls, _) => vec!["mta-sts"],
            (Level::HalfLs | Level::LdLs, _) => vec!["dane+mta-sts"],
        })
    }

    /// Row L0: anything goes, cleartext after a failed handshake included.
    pub(super) fn opportunistic(&self) -> Vec<&'static str> {
        match self.tls {
            // A handshake that fails at a guessed name is made again with the host's own.
            Tls::Works(_) => vec!["opportunistic-tls"],
            Tls::NotOffered | Tls::Refused454 | Tls::Broken | Tls::ClearAfterBroken => {
                vec!["cleartext"]
            }
        }
    }

    /// Columns t1, t2 and t3 where TLS is demanded.
    pub(super) fn no_tls(&self) -> Option<&'static str> {
        match self.tls {
            Tls::NotOffered | Tls::Refused454 => Some("starttls-required"),
            Tls::Broken | Tls::ClearAfterBroken => Some("tls-handshake"),
            Tls::Works(_) => None,
        }
    }

    /// Row LD, TLS made with the host's own SNI.
    pub(super) fn dane_fault(&self, host: &Host) -> Option<&'static str> {
        if let Some(label) = self.no_tls() {
            return Some(label);
        }
        let Tls::Works(cert) = self.tls else {
            unreachable!("no TLS is a fault")
        };
        match (host.records, cert) {
            (Records::EeMatch, _) => None, // TLSA-13: names and dates are nothing to DANE-EE
            (Records::EeMismatch, _) => Some("dane-mismatch"), // DANE-26
            (Records::Ta, Cert::Untrusted) => Some("dane-mismatch"),
            (Records::Ta, Cert::Expired) => Some("dane-expired"),
            // DANE-27: with a secure MX the next-hop domain is a reference identifier; DANE-28: else it is not.
            (Records::Ta, Cert::NamesDomain) if !self.insecure() => None,
            (Records::Ta, Cert::NamesFirst | Cert::NamesSecond | Cert::NamesDomain) => {
                (!cert.names(host)).then_some("dane-name")
            }
            (Records::None | Records::Unusable | Records::Bogus | Records::Unreachable, _) => {
                unreachable!("no usable records, no DANE")
            }
        }
    }

    /// A9, then row LS, TLS made with the host's own SNI.
    pub(super) fn sts_fault(&self, host: &Host) -> Option<&'static str> {
        if !host.listed {
            return Some("sts-mx-mismatch");
        }
        if let Some(label) = self.no_tls() {
            return Some(label);
        }
        let Tls::Works(cert) = self.tls else {
            unreachable!("no TLS is a fault")
        };
        match cert {
            Cert::Untrusted => Some("sts-untrusted"),
            Cert::Expired => Some("sts-expired"),
            Cert::NamesFirst | Cert::NamesSecond | Cert::NamesDomain => {
                (!cert.names(host)).then_some("sts-name")
            }
        }
    }

    fn pin(&self, name: Option<&'static str>, host: &Host, basis: Vec<&'static str>) -> Expected {
        Expected::Pin {
            host: name,
            level: self.level(host).label(),
            basis,
            observed: self.observed(host),
        }
    }

    /// Columns T, and E beside a DANE that decides: evaluated and reported.
    fn observed(&self, host: &Host) -> Observed {
        let level = self.level(host);
        let beside = self.testing() || (self.enforced() && !level.has_sts());
        if !beside {
            return Observed::Nothing;
        }
        // A handshake with another SNI shows another host's certificate; nothing says that it is to be made again.
        if !level.authenticates() && self.sni != Sni::Right {
            return Observed::Anything;
        }
        self.sts_fault(host)
            .map_or(Observed::Nothing, |label| Observed::Label(vec![label]))
    }
}

impl Cert {
    fn names(self, host: &Host) -> bool {
        match self {
            Self::NamesFirst => host.name == "mx1.example.com",
            Self::NamesSecond => host.name == "mx2.example.com",
            Self::NamesDomain => host.name == "example.com",
            Self::Expired | Self::Untrusted => true,
        }
    }
}
