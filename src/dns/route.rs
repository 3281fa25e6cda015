//! From a next-hop domain to its MX hosts (RFC 5321 §5.1, RFC 7672 §2.2.1).

#[cfg(test)]
pub(crate) mod literal;

use super::{AbsenceKind, Answer, Denial, Exchange, Failure, Lookup, Mx};
use crate::name::{DnsName, Domain, MxHost};

/// Where the mail of a domain goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// To hosts.
    Hosts(Hosts),
    /// Nowhere: a null MX (RFC 7505 §3).
    Null {
        /// Whether that is validated.
        secure: bool,
    },
    /// The domain does not exist.
    NoSuchDomain,
    /// It could not be found out.
    Failed(Failure),
}

/// The hosts of a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hosts {
    /// The MX RRset, or its absence, is validated, with every alias that led to it.
    pub secure: bool,
    /// The domain after its own aliases, when it is an alias.
    pub expanded: Option<DnsName>,
    /// By preference, then by name; at least one.
    pub hosts: Vec<MxHost>,
}

/// Looks the MX records up; without any, the domain itself is the host (RFC 5321 §5.1).
pub async fn route(lookup: &dyn Lookup, domain: &Domain) -> Route {
    let resolved = lookup.mx(domain.name()).await;
    let expanded = resolved.aliases.last().map(|alias| alias.to.clone());
    let way = |secure| Way {
        secure,
        expanded: expanded.clone(),
    };
    match &resolved.answer {
        Answer::Secure(records) => explicit(records.data(), way(true)),
        Answer::Insecure(records) => explicit(records, way(false)),
        Answer::Absent(absence) => match absence.kind {
            AbsenceKind::NxDomain => Route::NoSuchDomain,
            AbsenceKind::NoData => Route::Hosts(Hosts {
                secure: absence.denial == Denial::Secure,
                expanded,
                hosts: vec![MxHost::new(domain.name().clone())],
            }),
        },
        Answer::Failed(failure) => Route::Failed(failure.clone()),
    }
}

/// How the records were come by.
struct Way {
    secure: bool,
    expanded: Option<DnsName>,
}

fn explicit(records: &[Mx], Way { secure, expanded }: Way) -> Route {
    // Of another preference it is a mistake, and no reason to bounce mail.
    if let [
        Mx {
            preference: 0,
            exchange: Exchange::Root,
        },
    ] = records
    {
        return Route::Null { secure };
    }
    let mut hosts: Vec<(u16, &DnsName)> = records
        .iter()
        .filter_map(|mx| match &mx.exchange {
            Exchange::Host(name) => Some((mx.preference, name)),
            // A root beside others is no null MX and no host (RFC 7505 §3).
            Exchange::Root | Exchange::Unusable(_) => None,
        })
        .collect();
    hosts.sort_unstable();
    let mut unique: Vec<MxHost> = Vec::with_capacity(hosts.len());
    for (_, name) in hosts {
        if !unique.iter().any(|host| host.name() == name) {
            unique.push(MxHost::new(name.clone()));
        }
    }
    match unique.len() {
        0 => Route::Failed(Failure::Unreachable(
            "none of the MX records names a host".into(),
        )),
        // Dropping some silently could drop the one whose records matter (attack DNS-14).
        1..=MAX_HOSTS => Route::Hosts(Hosts {
            secure,
            expanded,
            hosts: unique,
        }),
        n => Route::Failed(Failure::Unreachable(format!(
            "{n} MX hosts, more than the {MAX_HOSTS} that are looked at"
        ))),
    }
}

/// MX hosts of one domain that are looked at; the largest seen in practice have about 60.
pub const MAX_HOSTS: usize = 100;

#[cfg(test)]
mod tests {
    use super::literal::{Literal, Said};
    use super::*;

    const DOMAIN: &str = "example.org";

    /// `secure: a, b (expanded c)`, or what else the route is.
    async fn routed(rows: &[(&'static str, Said)]) -> String {
        let dns = Literal::new(rows);
        let found = route(&dns, &DOMAIN.parse().unwrap()).await;
        assert_eq!(dns.asked(), ["MX example.org"], "one question");
        match found {
            Route::Hosts(found) => {
                let trust = if found.secure { "secure" } else { "insecure" };
                let hosts: Vec<&str> = found.hosts.iter().map(MxHost::as_str).collect();
                let expanded = found
                    .expanded
                    .map_or(String::new(), |name| format!(" (expanded {name})"));
                format!("{trust}: {}{expanded}", hosts.join(", "))
            }
            Route::Null { secure: true } => "secure null MX".into(),
            Route::Null { secure: false } => "insecure null MX".into(),
            Route::NoSuchDomain => "no such domain".into(),
            Route::Failed(Failure::Bogus(_)) => "bogus".into(),
            Route::Failed(Failure::Unreachable(what)) => format!("unknown: {what}"),
        }
    }

    #[tokio::test]
    async fn smtp_23_dane_19_dane_24_hosts_by_preference_or_the_domain_itself() {
        for (row, said, expected) in [
            (
                "by preference, whatever the order of the answer",
                Said::Secure(&["20 b.example", "5 c.example", "10 a.example"]),
                "secure: c.example, a.example, b.example",
            ),
            (
                "equal preference: by name, so that all sessions see the same order",
                Said::Insecure(&["10 b.example", "10 a.example"]),
                "insecure: a.example, b.example",
            ),
            (
                "a host named twice counts once, by its better preference",
                Said::Secure(&["20 a.example", "15 b.example", "10 a.example"]),
                "secure: a.example, b.example",
            ),
            (
                "proven: no MX records",
                Said::NoData(Denial::Secure),
                "secure: example.org",
            ),
            (
                "claimed: no MX records",
                Said::NoData(Denial::Insecure),
                "insecure: example.org",
            ),
            (
                "no such name, proven: no implicit MX",
                Said::NxDomain(Denial::Secure),
                "no such domain",
            ),
            (
                "no such name, claimed",
                Said::NxDomain(Denial::Insecure),
                "no such domain",
            ),
        ] {
            assert_eq!(routed(&[("example.org MX", said)]).await, expected, "{row}");
        }
    }

    #[tokio::test]
    async fn dane_4_a_failed_lookup_is_never_an_empty_answer() {
        assert_eq!(routed(&[("example.org MX", Said::Bogus)]).await, "bogus");
        assert_eq!(
            routed(&[("example.org MX", Said::Dead)]).await,
            "unknown: SERVFAIL"
        );
        assert_eq!(
            routed(&[
                ("example.org CNAME", Said::Secure(&["example.com"])),
                ("example.com MX", Said::Bogus)
            ])
            .await,
            "bogus"
        );
    }

    #[tokio::test]
    async fn nmx_1_dns_16_null_mx_is_one_record_of_preference_zero() {
        for (row, said, expected) in [
            ("proven", Said::Secure(&["0 ."]), "secure null MX"),
            ("claimed", Said::Insecure(&["0 ."]), "insecure null MX"),
            (
                "beside a host it is none, and no host",
                Said::Secure(&["0 .", "10 a.example"]),
                "secure: a.example",
            ),
            (
                "with another preference it is none: no bounce, no host",
                Said::Secure(&["10 ."]),
                "unknown: none of the MX records names a host",
            ),
            (
                "twice it is none",
                Said::Secure(&["0 .", "10 ."]),
                "unknown: none of the MX records names a host",
            ),
        ] {
            assert_eq!(routed(&[("example.org MX", said)]).await, expected, "{row}");
        }
    }

    #[tokio::test]
    async fn dns_16_unusable_exchanges_are_no_hosts_and_no_reason_for_implicit_mx() {
        for (row, said, expected) in [
            (
                "beside a host",
                Said::Secure(&["5 [192.0.2.1]", "10 a.example"]),
                "secure: a.example",
            ),
            (
                "alone: not the domain's own address",
                Said::Secure(&["5 [192.0.2.1]"]),
                "unknown: none of the MX records names a host",
            ),
        ] {
            assert_eq!(routed(&[("example.org MX", said)]).await, expected, "{row}");
        }
    }

    #[tokio::test]
    async fn dane_20_an_aliased_domain_is_secure_by_all_its_links() {
        let hosts = Said::Secure(&["10 a.example"]);
        for (row, first, second, end, expected) in [
            (
                "all links secure",
                Said::Secure(&["www.example.org"]),
                Said::Secure(&["example.com"]),
                hosts,
                "secure: a.example (expanded example.com)",
            ),
            (
                "the first link insecure",
                Said::Insecure(&["www.example.org"]),
                Said::Secure(&["example.com"]),
                hosts,
                "insecure: a.example (expanded example.com)",
            ),
            (
                "the second link insecure",
                Said::Secure(&["www.example.org"]),
                Said::Insecure(&["example.com"]),
                hosts,
                "insecure: a.example (expanded example.com)",
            ),
            (
                "secure links to unsigned records",
                Said::Secure(&["www.example.org"]),
                Said::Secure(&["example.com"]),
                Said::Insecure(&["10 a.example"]),
                "insecure: a.example (expanded example.com)",
            ),
            (
                "no MX records at the end: the domain as asked for is the host",
                Said::Secure(&["www.example.org"]),
                Said::Secure(&["example.com"]),
                Said::NoData(Denial::Secure),
                "secure: example.org (expanded example.com)",
            ),
            (
                "the same by an insecure link",
                Said::Insecure(&["www.example.org"]),
                Said::Secure(&["example.com"]),
                Said::NoData(Denial::Secure),
                "insecure: example.org (expanded example.com)",
            ),
        ] {
            let rows = [
                ("example.org CNAME", first),
                ("www.example.org CNAME", second),
                ("example.com MX", end),
            ];
            assert_eq!(routed(&rows).await, expected, "{row}");
        }
    }

    #[test]
    fn dns_14_too_many_hosts_are_an_error_not_a_shorter_list() {
        let records = |count: usize| -> Vec<Mx> {
            (0..count)
                .map(|index| Mx {
                    preference: 10,
                    exchange: Exchange::Host(format!("mx{index}.example").parse().unwrap()),
                })
                .collect()
        };
        let way = || Way {
            secure: true,
            expanded: None,
        };
        let Route::Hosts(found) = explicit(&records(MAX_HOSTS), way()) else {
            panic!("{MAX_HOSTS} are not too many");
        };
        assert_eq!(found.hosts.len(), MAX_HOSTS);
        assert!(matches!(
            explicit(&records(MAX_HOSTS + 1), way()),
            Route::Failed(Failure::Unreachable(_))
        ));
    }
}
