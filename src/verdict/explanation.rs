//! Refusals in sentences: what was seen, what was expected, and what to do about it, for the people who read logs and
//! the output of `danelaw check`.

use std::fmt;

use super::reason::{PkixFault, Question, Reason};
use crate::calendar::day;
use crate::dns::Failure;
use crate::name::MxHost;
use crate::smtp::NoTls;

/// A refusal for an administrator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// What should have been.
    pub expected: String,
    /// What was.
    pub seen: String,
    /// What to do about it, and who should.
    pub advice: &'static str,
}

/// What to do where an exception is not met.
mod advice {
    pub(super) const NOT_PUBLISHED: &str = "The receiving operator no longer publishes what was relied on, or never has: ask them, and remove the exception (`danelaw except remove`) if that is how it will stay.";
    pub(super) const CERTIFICATE: &str = "The receiving operator must present such a certificate; or remove the exception (`danelaw except remove`).";
    pub(super) const KEY: &str = "Ask the receiving operator, on another channel than mail, whether their key has changed; if so, replace the exception by one with the new pin. It may also be an attack.";
}

impl Reason {
    /// Expected, seen, and what to do.
    #[must_use]
    pub fn explain(&self) -> Explanation {
        Explanation {
            expected: self.expected(),
            seen: self.to_string(),
            advice: self.advice(),
        }
    }

    #[expect(clippy::too_many_lines, reason = "a sentence for each variant")]
    fn expected(&self) -> String {
        match self {
            Self::Dns { question, name, .. } => format!(
                "an answer about {question} of {name} that validates or is provably unsigned"
            ),
            Self::NullMx { domain }
            | Self::ForgedNullMx { domain }
            | Self::NoSuchDomain { domain } => {
                format!("MX hosts for {domain}")
            }
            Self::DestNotMx { domain, .. } => {
                format!("a destination that is an MX host of {domain}")
            }
            Self::NoPolicyDomain { .. } => {
                "a recipient with a domain, or the address literal of the destination".into()
            }
            Self::StarttlsMissing { host, .. } => {
                format!("STARTTLS offered by {host} and answered with 220")
            }
            Self::KnownForTls { host, .. } => {
                format!("TLS with {host}, as it was seen many times before")
            }
            Self::Handshake { host, .. } => format!("a TLS 1.2 or 1.3 handshake with {host}"),
            Self::DaneMismatch { base }
            | Self::DaneName { base, .. }
            | Self::DaneDates { base, .. }
            | Self::DanePath { base, .. } => {
                format!("a certificate that the TLSA records of {base} authenticate")
            }
            Self::StsMxNotListed { mx, patterns } => {
                format!(
                    "{mx} among the mx patterns of the MTA-STS policy: {}",
                    patterns.join(", ")
                )
            }
            Self::StsName { mx, .. }
            | Self::StsDates { mx, .. }
            | Self::StsUntrusted { mx, .. } => {
                format!("a certificate for {mx}, in date, from a trusted CA")
            }
            Self::DaneRequired { host } => format!(
                "usable TLSA records of {host} under signed MX records, as the exception for the domain requires"
            ),
            Self::StsRequired { host } => {
                format!("an MTA-STS policy of {host}'s domain, as the exception for it requires")
            }
            Self::Webpki { mx, .. } => format!(
                "a certificate for {mx}, in date, from a trusted CA, as the exception for the domain requires"
            ),
            Self::PinMismatch { host, .. } => {
                format!("{host} to have a key that the exception for the domain names")
            }
            Self::OneDomain { .. } => {
                "recipients whose domains this one session can satisfy".into()
            }
            Self::Budget { recipient } => format!("a decision about {recipient} in time"),
            Self::Busy => "a free port and descriptor of this host".into(),
            Self::Unreachable { .. } | Self::ServerLost { .. } => {
                "a connection to the destination".into()
            }
            Self::Shortfall { missing } => {
                format!("{} offered by the destination", missing.keyword())
            }
        }
    }

    #[expect(clippy::too_many_lines, reason = "a sentence for each variant")]
    const fn advice(&self) -> &'static str {
        match self {
            Self::Dns {
                failure: Failure::Bogus(_),
                ..
            } => {
                "The domain's operator must repair its DNSSEC signatures; check them with a public DNSSEC analyser. If many domains fail, check this machine's clock and trust anchor."
            }
            Self::Dns {
                failure: Failure::Unreachable(_),
                ..
            } => {
                "Check that the configured resolvers answer; if only this domain fails, its name servers are at fault. Mail is retried."
            }
            Self::NullMx { .. } => "The domain accepts no mail: correct the recipient address.",
            Self::ForgedNullMx { .. } => {
                "An unsigned null MX contradicts a live MTA-STS policy: look for DNS tampering, or wait until the policy expires."
            }
            Self::NoSuchDomain { .. } => {
                "Check the spelling of the domain; the mail server and danelaw see different DNS data."
            }
            Self::DestNotMx { .. } => {
                "Let the mail server and danelaw use the same resolver; give smart hosts a route instead of a transport map."
            }
            Self::NoPolicyDomain { .. } => "Use an address with a domain.",
            Self::StarttlsMissing { .. } => {
                "The receiving operator must offer STARTTLS on this MX host, or withdraw its TLSA records and MTA-STS policy; otherwise someone strips it on the way."
            }
            Self::KnownForTls { .. } => {
                "Someone strips STARTTLS on the way, or the receiving operator has given it up: ask them by another way, then `danelaw continuity release` the host."
            }
            Self::Handshake { .. } => {
                "The receiving operator must offer TLS 1.2 or 1.3 with a usual cipher suite and key."
            }
            Self::DaneMismatch { .. } => {
                "The receiving operator must publish TLSA records for the key in use (rollover: publish the new record two TTLs before the new key). It may also be an attack."
            }
            Self::DaneName { .. } => {
                "The receiving operator must present a certificate with the MX host's name, or publish 3 1 1 records."
            }
            Self::DaneDates { .. } => {
                "The receiving operator must renew the certificate, or publish 3 1 1 records."
            }
            Self::DanePath { .. } => {
                "The receiving operator must send the whole chain up to the trust anchor it publishes."
            }
            Self::StsMxNotListed { .. } => {
                "The receiving operator must list this MX host in its MTA-STS policy and change the id; or the MX answer is forged."
            }
            Self::StsName { .. } | Self::StsUntrusted { .. } => {
                "The receiving operator must present a certificate of a public CA that names the MX host."
            }
            Self::StsDates { .. } => {
                "The receiving operator must renew the certificate of this MX host."
            }
            Self::DaneRequired { .. } | Self::StsRequired { .. } => advice::NOT_PUBLISHED,
            Self::Webpki { .. } => advice::CERTIFICATE,
            Self::PinMismatch { .. } => advice::KEY,
            Self::OneDomain { .. }
            | Self::Budget { .. }
            | Self::Busy
            | Self::Unreachable { .. }
            | Self::ServerLost { .. }
            | Self::Shortfall { .. } => "Nothing: mail is retried.",
        }
    }
}

impl fmt::Display for Reason {
    #[expect(clippy::too_many_lines, reason = "a sentence for each variant")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns {
                question,
                name,
                failure,
            } => write!(f, "{question} of {name}: {failure}"),
            Self::NullMx { domain } => write!(f, "{domain} accepts no mail (null MX)"),
            Self::ForgedNullMx { domain } => {
                write!(
                    f,
                    "{domain} has an unsigned null MX against a live MTA-STS enforce policy"
                )
            }
            Self::NoSuchDomain { domain } => write!(f, "{domain} does not exist"),
            Self::DestNotMx {
                domain,
                destination,
            } => write!(
                f,
                "{destination} is not, and does not prove to be, an MX host of {domain}"
            ),
            Self::NoPolicyDomain { recipient } => {
                write!(f, "no policy can be found for {recipient}")
            }
            Self::StarttlsMissing { host, code } => {
                let seen = code.map_or(NoTls::NotOffered, NoTls::Refused);
                write!(f, "{host} {}", without_tls(&seen))
            }
            Self::KnownForTls { host, since, seen } => {
                let (since, now) = (day(*since), without_tls(seen));
                write!(f, "{host} has shown TLS since {since}, and now {now}")
            }
            Self::Handshake { host, what } => write!(f, "TLS with {host} fails: {what}"),
            Self::DaneMismatch { base } => write!(
                f,
                "no TLSA record of {base} matches the presented certificate"
            ),
            Self::DaneName { base, presented } => {
                write!(f, "the certificate for {base} names {}", listed(presented))
            }
            Self::DaneDates { base, what } => {
                write!(f, "the certificate for {base} is out of date: {what}")
            }
            Self::DanePath { base, what } => {
                write!(f, "no valid path to the trust anchor of {base}: {what}")
            }
            Self::StsMxNotListed { mx, .. } => write!(f, "the MTA-STS policy does not list {mx}"),
            Self::StsName { mx, presented } => misnamed(f, mx, presented),
            Self::StsDates { mx, what } => out_of_date(f, mx, what),
            Self::StsUntrusted { mx, what } => untrusted(f, mx, what),
            Self::DaneRequired { host } => write!(f, "{host} has no DANE under signed MX records"),
            Self::StsRequired { host } => write!(f, "the domain of {host} has no MTA-STS policy"),
            Self::Webpki { mx, fault } => certificate(f, mx, fault),
            Self::PinMismatch { host, presented } => write!(f, "the key of {host} is {presented}"),
            Self::OneDomain { recipient } => write!(f, "{recipient} needs a session of its own"),
            Self::Budget { recipient } => {
                write!(f, "the decision about {recipient} took too long")
            }
            Self::Busy => {
                f.write_str("this host has no free port or descriptor at present, try again later")
            }
            Self::Unreachable { what } => write!(f, "the destination cannot be reached: {what}"),
            Self::ServerLost { what } => write!(f, "the destination failed: {what}"),
            Self::Shortfall { missing } => {
                write!(f, "the destination does not offer {}", missing.keyword())
            }
        }
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mx => "the MX records",
            Self::Address => "the addresses",
            Self::Tlsa => "the TLSA records",
            Self::Sts => "the MTA-STS record",
        })
    }
}

fn without_tls(seen: &NoTls) -> String {
    match seen {
        NoTls::NotOffered => "does not offer STARTTLS".into(),
        NoTls::Refused(code) => format!("answers STARTTLS with {code}"),
        NoTls::HandshakeFailed(what) => format!("TLS fails: {what}"),
    }
}

fn certificate(f: &mut fmt::Formatter<'_>, mx: &MxHost, fault: &PkixFault) -> fmt::Result {
    match fault {
        PkixFault::Untrusted(what) => untrusted(f, mx, what),
        PkixFault::Dates(what) => out_of_date(f, mx, what),
        PkixFault::Name(presented) => misnamed(f, mx, presented),
    }
}

fn untrusted(f: &mut fmt::Formatter<'_>, mx: &MxHost, what: &str) -> fmt::Result {
    write!(f, "the certificate of {mx} is not trusted: {what}")
}

fn out_of_date(f: &mut fmt::Formatter<'_>, mx: &MxHost, what: &str) -> fmt::Result {
    write!(f, "the certificate of {mx} is out of date: {what}")
}

fn misnamed(f: &mut fmt::Formatter<'_>, mx: &MxHost, presented: &[String]) -> fmt::Result {
    write!(f, "the certificate of {mx} names {}", listed(presented))
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "nothing".into(),
        [one] => one.clone(),
        [first, rest @ ..] => format!("{first} and {} more", rest.len()),
    }
}
