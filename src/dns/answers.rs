//! From what was found to the answers of [`Lookup`](super::Lookup): record data read, names taken over, trust turned into type.
//!
//! This is where a [`Secure`] value is made. Data that cannot be read is a failure and never an absence.

use std::net::IpAddr;

use hickory_resolver::proto::rr::{Name, RData};

use super::chase::{End, Found, Link, Outcome};
use super::proof::Trust;
use super::trouble::Trouble;
use super::{
    Absence, Alias, Answer, Denial, Exchange, Failure, Mx, Resolved, Secure, Source, Text,
    TlsaRdata,
};
use crate::name::DnsName;

/// Reads the data of one record; `None` when it is not of the type that was asked for.
pub(super) type Read<T> = fn(&RData) -> Option<T>;

/// A name of ours as the DNS wants it: fully qualified.
pub(super) fn absolute(name: &DnsName) -> Name {
    // A `DnsName` obeys the limits of RFC 1035 §2.3.4, so its labels always make a name; the root has no records to mislead.
    Name::from_labels(name.labels().map(str::as_bytes)).unwrap_or_default()
}

/// The outcome in the words of the policy.
pub(super) fn resolved<T>(outcome: Outcome, read: Read<T>) -> Resolved<Vec<T>> {
    let mut aliases = Vec::new();
    let source = Source {
        cached: false,
        expires: outcome.end.as_ref().ok().map(|end| end.expires),
    };
    let mut end = outcome.end;
    for link in &outcome.links {
        match alias(link) {
            Ok(alias) => aliases.push(alias),
            Err(trouble) => {
                end = Err(trouble);
                break;
            }
        }
    }
    let answer = end
        .and_then(|end| answer(end, read))
        .unwrap_or_else(|trouble| failed(&trouble));
    Resolved {
        answer,
        aliases,
        source,
    }
}

fn answer<T>(end: End, read: Read<T>) -> Result<Answer<Vec<T>>, Trouble> {
    let data = match end.found {
        Found::Records(data) => data,
        Found::Absent(kind) => {
            let denial = match end.trust {
                Trust::Secure => Denial::Secure,
                Trust::Insecure => Denial::Insecure,
            };
            return Ok(Answer::Absent(Absence { kind, denial }));
        }
    };
    let data: Option<Vec<T>> = data.iter().map(read).collect();
    let data = data.ok_or(Trouble::ForeignData)?;
    Ok(match end.trust {
        Trust::Secure => Answer::Secure(Secure::new(data, end.expires)),
        Trust::Insecure => Answer::Insecure(data),
    })
}

fn failed<T>(trouble: &Trouble) -> Answer<T> {
    let text = trouble.to_string();
    Answer::Failed(match trouble {
        Trouble::Bogus { .. } | Trouble::SaidToBeBogus { .. } => Failure::Bogus(text),
        Trouble::NoReply { .. }
        | Trouble::Disagreement { .. }
        | Trouble::DomainSpent
        | Trouble::DanglingAlias(_)
        | Trouble::AliasLoop(_)
        | Trouble::TooManyAliases
        | Trouble::Deadline(_)
        | Trouble::ForeignName(_)
        | Trouble::ForeignData => Failure::Unreachable(text),
    })
}

fn alias(link: &Link) -> Result<Alias, Trouble> {
    Ok(Alias {
        from: relative(&link.from)?,
        to: relative(&link.to)?,
        secure: link.trust == Trust::Secure,
    })
}

fn relative(name: &Name) -> Result<DnsName, Trouble> {
    DnsName::parse(&name.to_ascii()).map_err(|_| Trouble::ForeignName(name.clone()))
}

pub(super) fn mx(data: &RData) -> Option<Mx> {
    let RData::MX(mx) = data else { return None };
    let exchange = if mx.exchange.is_root() {
        Exchange::Root
    } else {
        let text = mx.exchange.to_ascii();
        match DnsName::parse(&text) {
            Ok(host) if host.is_host_name() => Exchange::Host(host),
            Ok(_) | Err(_) => Exchange::Unusable(text),
        }
    };
    Some(Mx {
        preference: mx.preference,
        exchange,
    })
}

pub(super) fn address(data: &RData) -> Option<IpAddr> {
    data.ip_addr()
}

/// hickory refuses a message with RDATA shorter than three octets as a whole, so that ends as a failure; longer data comes here,
/// whatever it holds.
pub(super) fn tlsa(data: &RData) -> Option<TlsaRdata> {
    let RData::TLSA(tlsa) = data else { return None };
    let mut rdata = vec![
        tlsa.cert_usage.into(),
        tlsa.selector.into(),
        tlsa.matching.into(),
    ];
    rdata.extend_from_slice(&tlsa.cert_data);
    Some(rdata)
}

pub(super) fn txt(data: &RData) -> Option<Text> {
    let RData::TXT(txt) = data else { return None };
    Some(txt.txt_data.concat())
}

/// For people: the data as in a zone file, or as hexadecimal octets when hickory does not know the type.
#[expect(
    clippy::unnecessary_wraps,
    reason = "one of the readers, and the only one that never says no"
)]
pub(super) fn text(data: &RData) -> Option<String> {
    if let RData::Unknown { rdata, .. } = data {
        let octets = rdata.anything.iter().map(|octet| format!("{octet:02x}"));
        return Some(octets.collect());
    }
    Some(data.to_string())
}
