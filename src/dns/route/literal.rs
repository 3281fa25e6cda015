//! A DNS in one literal, for the tests of what asks it.
//!
//! A row is `name TYPE` and what is [`Said`] of it; an alias is a row of type `CNAME` and holds for every type, link by
//! link as the boundary promises. What no row speaks of is unreachable, so that a question that should not be asked
//! shows. [`Literal::asked`] is the log of questions in the order in which they came.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use futures_util::future::{BoxFuture, ready};

use crate::clock::Timestamp;
use crate::dns::{
    Absence, AbsenceKind, Alias, Answer, Denial, Exchange, Failure, Family, Lookup, Mx, Resolved,
    Secure, Source, Text, TlsaRdata,
};
use crate::name::DnsName;

/// What the DNS says of a name and a type.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Said {
    /// Records that validate, as in a zone file.
    Secure(&'static [&'static str]),
    /// Records of an unsigned zone.
    Insecure(&'static [&'static str]),
    /// No such records: proven, claimed.
    NoData(Denial),
    /// No such name: proven, claimed.
    NxDomain(Denial),
    /// Data that does not validate.
    Bogus,
    /// SERVFAIL.
    Dead,
}

/// The rows.
#[derive(Debug)]
pub(crate) struct Literal {
    rows: Vec<(&'static str, Said)>,
    asked: Mutex<Vec<String>>,
}

impl Literal {
    pub(crate) fn new(rows: &[(&'static str, Said)]) -> Self {
        Self {
            rows: rows.to_vec(),
            asked: Mutex::default(),
        }
    }

    /// `TYPE name`, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn said(&self, name: &DnsName, rtype: &str) -> Said {
        let key = format!("{name} {rtype}");
        let row = self.rows.iter().find(|(row, _)| *row == key);
        row.map_or(Said::Dead, |(_, said)| *said)
    }

    fn ask<T>(&self, name: &DnsName, rtype: &str, read: fn(&str) -> T) -> Resolved<Vec<T>> {
        let asked = &mut self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.push(format!("{rtype} {name}"));
        let mut aliases: Vec<Alias> = Vec::new();
        let mut here = name.clone();
        while let (Some((to, secure)), false) = (self.alias(&here), rtype == "CNAME") {
            aliases.push(Alias {
                from: here,
                to: to.clone(),
                secure,
            });
            here = to;
        }
        Resolved {
            answer: answer(self.said(&here, rtype), &aliases, read),
            aliases,
            source: Source::default(),
        }
    }

    fn alias(&self, name: &DnsName) -> Option<(DnsName, bool)> {
        match self.said(name, "CNAME") {
            Said::Secure([to]) => Some((to.parse().unwrap(), true)),
            Said::Insecure([to]) => Some((to.parse().unwrap(), false)),
            Said::Secure(_)
            | Said::Insecure(_)
            | Said::NoData(_)
            | Said::NxDomain(_)
            | Said::Bogus
            | Said::Dead => None,
        }
    }
}

/// The least trust of the way counts (RFC 7672 §2.1.3).
fn answer<T>(said: Said, way: &[Alias], read: fn(&str) -> T) -> Answer<Vec<T>> {
    let unsigned = way.iter().any(|alias| !alias.secure);
    let records = |texts: &[&str]| texts.iter().map(|text| read(text)).collect::<Vec<T>>();
    let absent = |kind, denial| {
        Answer::Absent(Absence {
            kind,
            denial: if unsigned { Denial::Insecure } else { denial },
        })
    };
    match said {
        Said::Secure(texts) if !unsigned => Answer::Secure(Secure::asserted(
            records(texts),
            Timestamp::from_unix(u64::MAX),
        )),
        Said::Secure(texts) | Said::Insecure(texts) => Answer::Insecure(records(texts)),
        Said::NoData(denial) => absent(AbsenceKind::NoData, denial),
        Said::NxDomain(denial) => absent(AbsenceKind::NxDomain, denial),
        Said::Bogus => Answer::Failed(Failure::Bogus("signature expired".into())),
        Said::Dead => Answer::Failed(Failure::Unreachable("SERVFAIL".into())),
    }
}

/// `10 mx.example.org.`; a target in brackets is no host name.
fn mx(text: &str) -> Mx {
    let (preference, exchange) = text.split_once(' ').unwrap();
    Mx {
        preference: preference.parse().unwrap(),
        exchange: match exchange {
            "." => Exchange::Root,
            unusable if unusable.starts_with('[') => Exchange::Unusable(unusable.into()),
            host => Exchange::Host(host.parse().unwrap()),
        },
    }
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// `3 1 1 ab`: the digest is that octet 32 times.
fn tlsa(text: &str) -> TlsaRdata {
    let fields: Vec<&str> = text.split(' ').collect();
    let [usage, selector, matching, octet] = fields[..] else {
        panic!("not TLSA: {text}");
    };
    let mut rdata: Vec<u8> = [usage, selector, matching]
        .map(|field| field.parse().unwrap())
        .to_vec();
    rdata.extend([u8::from_str_radix(octet, 16).unwrap(); 32]);
    rdata
}

impl Lookup for Literal {
    fn mx<'a>(&'a self, domain: &'a DnsName) -> BoxFuture<'a, Resolved<Vec<Mx>>> {
        Box::pin(ready(self.ask(domain, "MX", mx)))
    }

    fn addresses<'a>(
        &'a self,
        host: &'a DnsName,
        family: Family,
    ) -> BoxFuture<'a, Resolved<Vec<IpAddr>>> {
        Box::pin(ready(self.ask(host, &family.to_string(), address)))
    }

    fn tlsa<'a>(&'a self, owner: &'a DnsName) -> BoxFuture<'a, Resolved<Vec<TlsaRdata>>> {
        Box::pin(ready(self.ask(owner, "TLSA", tlsa)))
    }

    fn txt<'a>(&'a self, name: &'a DnsName) -> BoxFuture<'a, Resolved<Vec<Text>>> {
        Box::pin(ready(self.ask(name, "TXT", |text| text.into())))
    }
}
