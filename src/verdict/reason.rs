//! Why a recipient is refused: one vocabulary of facts, and the total maps on it.
//!
//! The variants carry what was wanted and what was seen; every sentence is derived. [`Reason::label`] is the word in
//! records and metrics, [`Reason::keyword`] the one in the client MTA's log. What that MTA hears stands in `reply`, the
//! result type of RFC 8460 in `tlsrpt`, what an administrator reads in `explanation`. Each is one exhaustive match.

use std::net::IpAddr;

use crate::clock::Timestamp;
use crate::dane::Mismatch;
use crate::dns::Failure;
use crate::name::{DnsName, Domain, MxHost, TlsaBase};
use crate::smtp::NoTls;
use crate::smtp::ehlo::Extension;

/// A refusal as a fact. The sentence is derived by [`Reason::reply`] and `Display`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A lookup failed; nothing may be concluded (RFC 7672 §2.1.2).
    Dns {
        /// What was asked.
        question: Question,
        /// For what name.
        name: DnsName,
        /// What came.
        failure: Failure,
    },
    /// The domain accepts no mail (RFC 7505).
    NullMx {
        /// The domain.
        domain: Domain,
    },
    /// An unsigned null MX against a live MTA-STS enforce policy: taken for a forgery.
    ForgedNullMx {
        /// The domain.
        domain: Domain,
    },
    /// The domain does not exist, so the MTA has seen something else.
    NoSuchDomain {
        /// The domain.
        domain: Domain,
    },
    /// The destination is no MX host of a domain that demands authentication.
    DestNotMx {
        /// The domain.
        domain: Domain,
        /// Where the MTA wanted to go.
        destination: IpAddr,
    },
    /// The recipient has no domain that has a policy, and the destination does not follow from it.
    NoPolicyDomain {
        /// The recipient's address literal, or `postmaster`.
        recipient: String,
    },
    /// TLS is demanded and the MX does not offer STARTTLS, or refuses it.
    StarttlsMissing {
        /// The host.
        host: MxHost,
        /// The reply to STARTTLS where one was given.
        code: Option<u16>,
    },
    /// TLS is demanded and the handshake fails.
    Handshake {
        /// The host.
        host: MxHost,
        /// What went wrong.
        what: String,
    },
    /// Nothing is demanded but by continuity: the host is known for TLS and shows none.
    KnownForTls {
        /// The host.
        host: MxHost,
        /// Since when it is known for it.
        since: Timestamp,
        /// What there is instead.
        seen: NoTls,
    },
    /// No TLSA record matches.
    DaneMismatch {
        /// The TLSA base domain.
        base: TlsaBase,
    },
    /// DANE-TA: the certificate carries none of the names.
    DaneName {
        /// The TLSA base domain.
        base: TlsaBase,
        /// What it carries.
        presented: Vec<String>,
    },
    /// DANE-TA: the path is out of date.
    DaneDates {
        /// The TLSA base domain.
        base: TlsaBase,
        /// Which certificate, since when.
        what: String,
    },
    /// DANE-TA: no valid path to the anchor.
    DanePath {
        /// The TLSA base domain.
        base: TlsaBase,
        /// What is wrong with it.
        what: String,
    },
    /// The MTA-STS policy does not list the host.
    StsMxNotListed {
        /// The host.
        mx: MxHost,
        /// The policy's patterns.
        patterns: Vec<String>,
    },
    /// MTA-STS: the certificate does not carry the host's name.
    StsName {
        /// The host.
        mx: MxHost,
        /// What it carries.
        presented: Vec<String>,
    },
    /// MTA-STS: the certificate is out of date.
    StsDates {
        /// The host.
        mx: MxHost,
        /// Since when.
        what: String,
    },
    /// MTA-STS: no path to a trusted CA.
    StsUntrusted {
        /// The host.
        mx: MxHost,
        /// What is wrong with it.
        what: String,
    },
    /// An exception requires DANE, and the host has none under a secure MX RRset (row A7).
    DaneRequired {
        /// The host.
        host: MxHost,
    },
    /// An exception requires an MTA-STS policy, and there is none.
    StsRequired {
        /// A host of the domain.
        host: MxHost,
    },
    /// An exception requires a certificate of a trusted CA for the host, and it is not that.
    Webpki {
        /// The host.
        mx: MxHost,
        /// What is wrong with it.
        fault: PkixFault,
    },
    /// An exception names the server's keys, and this is none of them.
    PinMismatch {
        /// The host.
        host: MxHost,
        /// The key, as a pin.
        presented: String,
    },
    /// This session serves other domains; the recipient comes back on a session of its own.
    OneDomain {
        /// The recipient's domain, its address literal, or `postmaster`.
        recipient: String,
    },
    /// The decision took longer than its budget.
    Budget {
        /// As in [`Reason::OneDomain`].
        recipient: String,
    },
    /// This host has no socket to dial with.
    Busy,
    /// The destination cannot be reached, or does not want to be spoken to.
    Unreachable {
        /// What happened.
        what: String,
    },
    /// The destination was reached, and is of no use any more: lost, silent, or out of its mind.
    ServerLost {
        /// What happened.
        what: String,
    },
    /// The destination lacks an extension that the transaction uses.
    Shortfall {
        /// Which.
        missing: Extension,
    },
}

/// What can be wrong with a certificate for a host, in the order in which it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PkixFault {
    /// No path to a trusted CA: why.
    Untrusted(String),
    /// The dates: which.
    Dates(String),
    /// The names that it carries instead.
    Name(Vec<String>),
}

/// What a failed lookup was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Question {
    /// The MX RRset of a domain.
    Mx,
    /// The addresses of a host.
    Address,
    /// The TLSA RRset of a host.
    Tlsa,
    /// The MTA-STS record of a domain.
    Sts,
}

impl Reason {
    /// The refusal for a mismatch with the TLSA records of `base`.
    #[must_use]
    pub fn of_mismatch(base: TlsaBase, mismatch: Mismatch) -> Self {
        match mismatch {
            Mismatch::NoMatch => Self::DaneMismatch { base },
            Mismatch::Name { presented } => Self::DaneName { base, presented },
            Mismatch::Dates(what) => Self::DaneDates { base, what },
            Mismatch::Path(what) => Self::DanePath { base, what },
        }
    }

    /// The stable keyword in the reply's text, to grep for in the MTA's log.
    #[must_use]
    pub const fn keyword(&self) -> &'static str {
        match self {
            Self::DaneMismatch { .. }
            | Self::DaneName { .. }
            | Self::DaneDates { .. }
            | Self::DanePath { .. } => "dane-mismatch",
            Self::StsName { .. } | Self::StsDates { .. } | Self::StsUntrusted { .. } => "sts-cert",
            Self::Webpki { .. } => "webpki-cert",
            Self::Dns { .. }
            | Self::NullMx { .. }
            | Self::ForgedNullMx { .. }
            | Self::NoSuchDomain { .. }
            | Self::DestNotMx { .. }
            | Self::NoPolicyDomain { .. }
            | Self::StarttlsMissing { .. }
            | Self::KnownForTls { .. }
            | Self::Handshake { .. }
            | Self::StsMxNotListed { .. }
            | Self::DaneRequired { .. }
            | Self::StsRequired { .. }
            | Self::PinMismatch { .. }
            | Self::OneDomain { .. }
            | Self::Budget { .. }
            | Self::Busy
            | Self::Unreachable { .. }
            | Self::ServerLost { .. }
            | Self::Shortfall { .. } => self.label(),
        }
    }

    /// The stable word in records and metrics: as the keyword, but telling the kinds of certificate faults apart.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Dns {
                question: Question::Tlsa,
                ..
            } => "tlsa-lookup-error",
            Self::Dns {
                failure: Failure::Bogus(_),
                ..
            } => "dnssec-bogus",
            Self::Dns {
                failure: Failure::Unreachable(_),
                ..
            } => "dns-error",
            Self::NullMx { .. } => "null-mx",
            Self::ForgedNullMx { .. } => "null-mx-forged",
            Self::NoSuchDomain { .. } => "no-such-domain",
            Self::DestNotMx { .. } => "dest-not-mx",
            Self::NoPolicyDomain { .. } => "no-policy-domain",
            Self::StarttlsMissing { .. } => "starttls-required",
            Self::KnownForTls { .. } => "continuity-tls",
            Self::Handshake { .. } => "tls-handshake",
            Self::DaneMismatch { .. } => "dane-mismatch",
            Self::DaneName { .. } => "dane-name",
            Self::DaneDates { .. } => "dane-expired",
            Self::DanePath { .. } => "dane-path",
            Self::StsMxNotListed { .. } => "sts-mx-mismatch",
            Self::StsName { .. } => "sts-name",
            Self::StsDates { .. } => "sts-expired",
            Self::StsUntrusted { .. } => "sts-untrusted",
            Self::DaneRequired { .. } => "dane-required",
            Self::StsRequired { .. } => "sts-required",
            Self::Webpki { fault, .. } => match fault {
                PkixFault::Untrusted(_) => "webpki-untrusted",
                PkixFault::Dates(_) => "webpki-expired",
                PkixFault::Name(_) => "webpki-name",
            },
            Self::PinMismatch { .. } => "pin-mismatch",
            Self::OneDomain { .. } => "one-domain",
            Self::Budget { .. } => "decision-timeout",
            Self::Busy => "busy",
            Self::Unreachable { .. } => "unreachable",
            Self::ServerLost { .. } => "server-lost",
            Self::Shortfall { .. } => "shortfall",
        }
    }

    /// Is it for the sake of a policy, so that the mail could be delivered all the same? What is not would fail without
    /// this proxy too, or comes back at once on a connection of its own.
    #[must_use]
    pub const fn is_for_policy(&self) -> bool {
        match self {
            Self::NullMx { .. }
            | Self::OneDomain { .. }
            | Self::Busy
            | Self::Unreachable { .. }
            | Self::ServerLost { .. }
            | Self::Shortfall { .. } => false,
            Self::Dns { .. }
            | Self::ForgedNullMx { .. }
            | Self::NoSuchDomain { .. }
            | Self::DestNotMx { .. }
            | Self::NoPolicyDomain { .. }
            | Self::StarttlsMissing { .. }
            | Self::KnownForTls { .. }
            | Self::Handshake { .. }
            | Self::DaneMismatch { .. }
            | Self::DaneName { .. }
            | Self::DaneDates { .. }
            | Self::DanePath { .. }
            | Self::StsMxNotListed { .. }
            | Self::StsName { .. }
            | Self::StsDates { .. }
            | Self::StsUntrusted { .. }
            | Self::DaneRequired { .. }
            | Self::StsRequired { .. }
            | Self::Webpki { .. }
            | Self::PinMismatch { .. }
            | Self::Budget { .. } => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ResultType;
    use super::*;

    fn domain() -> Domain {
        "example.com".parse().unwrap()
    }

    fn host() -> MxHost {
        "mx.example.com".parse().unwrap()
    }

    fn base() -> TlsaBase {
        "mx.example.com".parse().unwrap()
    }

    /// Every variant once (and every failure where it makes a difference), with code, keyword, label and result type.
    #[expect(clippy::too_many_lines, reason = "a table, one row per variant")]
    fn golden() -> Vec<(Reason, &'static str)> {
        let name = DnsName::parse("example.com").unwrap();
        let bogus = || Failure::Bogus("signature expired".into());
        let dead = || Failure::Unreachable("timeout".into());
        let dns = |question, failure| Reason::Dns {
            question,
            name: name.clone(),
            failure,
        };
        let known = |seen| Reason::KnownForTls {
            host: host(),
            since: Timestamp::from_unix(0),
            seen,
        };
        let webpki = |fault| Reason::Webpki { mx: host(), fault };
        vec![
            (
                dns(Question::Mx, bogus()),
                "451 4.4.3 dnssec-bogus dnssec-bogus dnssec-invalid",
            ),
            (dns(Question::Mx, dead()), "451 4.4.3 dns-error dns-error -"),
            (
                dns(Question::Address, bogus()),
                "451 4.4.3 dnssec-bogus dnssec-bogus dnssec-invalid",
            ),
            (
                dns(Question::Tlsa, bogus()),
                "451 4.7.5 tlsa-lookup-error tlsa-lookup-error dnssec-invalid",
            ),
            (
                dns(Question::Tlsa, dead()),
                "451 4.7.5 tlsa-lookup-error tlsa-lookup-error -",
            ),
            (
                dns(Question::Sts, bogus()),
                "451 4.4.3 dnssec-bogus dnssec-bogus dnssec-invalid",
            ),
            (
                Reason::NullMx { domain: domain() },
                "556 5.1.10 null-mx null-mx -",
            ),
            (
                Reason::ForgedNullMx { domain: domain() },
                "451 4.7.1 null-mx-forged null-mx-forged validation-failure",
            ),
            (
                Reason::NoSuchDomain { domain: domain() },
                "451 4.4.4 no-such-domain no-such-domain -",
            ),
            (
                Reason::DestNotMx {
                    domain: domain(),
                    destination: "192.0.2.1".parse().unwrap(),
                },
                "451 4.7.1 dest-not-mx dest-not-mx validation-failure",
            ),
            (
                Reason::NoPolicyDomain {
                    recipient: "postmaster".into(),
                },
                "451 4.4.4 no-policy-domain no-policy-domain -",
            ),
            (
                Reason::StarttlsMissing {
                    host: host(),
                    code: Some(454),
                },
                "451 4.7.4 starttls-required starttls-required starttls-not-supported",
            ),
            (
                Reason::Handshake {
                    host: host(),
                    what: "x".into(),
                },
                "451 4.7.5 tls-handshake tls-handshake validation-failure",
            ),
            (
                known(NoTls::NotOffered),
                "451 4.7.4 continuity-tls continuity-tls starttls-not-supported",
            ),
            (
                known(NoTls::HandshakeFailed("x".into())),
                "451 4.7.4 continuity-tls continuity-tls validation-failure",
            ),
            (
                Reason::DaneMismatch { base: base() },
                "451 4.7.5 dane-mismatch dane-mismatch certificate-not-trusted",
            ),
            (
                Reason::DaneName {
                    base: base(),
                    presented: vec![],
                },
                "451 4.7.5 dane-mismatch dane-name certificate-host-mismatch",
            ),
            (
                Reason::DaneDates {
                    base: base(),
                    what: "x".into(),
                },
                "451 4.7.5 dane-mismatch dane-expired certificate-expired",
            ),
            (
                Reason::DanePath {
                    base: base(),
                    what: "x".into(),
                },
                "451 4.7.5 dane-mismatch dane-path certificate-not-trusted",
            ),
            (
                Reason::StsMxNotListed {
                    mx: host(),
                    patterns: vec![],
                },
                "451 4.7.1 sts-mx-mismatch sts-mx-mismatch validation-failure",
            ),
            (
                Reason::StsName {
                    mx: host(),
                    presented: vec![],
                },
                "451 4.7.5 sts-cert sts-name certificate-host-mismatch",
            ),
            (
                Reason::StsDates {
                    mx: host(),
                    what: "x".into(),
                },
                "451 4.7.5 sts-cert sts-expired certificate-expired",
            ),
            (
                Reason::StsUntrusted {
                    mx: host(),
                    what: "x".into(),
                },
                "451 4.7.5 sts-cert sts-untrusted certificate-not-trusted",
            ),
            (
                Reason::DaneRequired { host: host() },
                "451 4.7.4 dane-required dane-required dane-required",
            ),
            (
                Reason::StsRequired { host: host() },
                "451 4.7.4 sts-required sts-required -",
            ),
            (
                webpki(PkixFault::Untrusted("x".into())),
                "451 4.7.5 webpki-cert webpki-untrusted -",
            ),
            (
                webpki(PkixFault::Dates("x".into())),
                "451 4.7.5 webpki-cert webpki-expired -",
            ),
            (
                webpki(PkixFault::Name(vec![])),
                "451 4.7.5 webpki-cert webpki-name -",
            ),
            (
                Reason::PinMismatch {
                    host: host(),
                    presented: "sha256/x".into(),
                },
                "451 4.7.5 pin-mismatch pin-mismatch -",
            ),
            (
                Reason::OneDomain {
                    recipient: "example.org".into(),
                },
                "452 4.5.3 one-domain one-domain -",
            ),
            (
                Reason::Budget {
                    recipient: "postmaster".into(),
                },
                "451 4.4.3 decision-timeout decision-timeout -",
            ),
            (Reason::Busy, "451 4.3.0 busy busy -"),
            (
                Reason::Unreachable { what: "x".into() },
                "451 4.4.1 unreachable unreachable -",
            ),
            (
                Reason::ServerLost { what: "x".into() },
                "451 4.4.2 server-lost server-lost -",
            ),
            (
                Reason::Shortfall {
                    missing: Extension::Size,
                },
                "452 4.3.4 shortfall shortfall -",
            ),
            (
                Reason::Shortfall {
                    missing: Extension::Chunking,
                },
                "451 4.3.3 shortfall shortfall -",
            ),
        ]
    }

    #[test]
    fn r6_every_reason_has_its_reply_label_and_result_type() {
        for (reason, expected) in golden() {
            let reply = reason.reply();
            let row = format!(
                "{} {} {} {} {}",
                reply.code,
                reply.enhanced.unwrap(),
                reason.keyword(),
                reason.label(),
                reason.tlsrpt().map_or("-", ResultType::as_str)
            );
            assert_eq!(row, expected, "{reason:?}");
            assert!(
                reply.text.starts_with(&format!("{}: ", reason.keyword())),
                "{}",
                reply.text
            );
            assert!(!reason.explain().advice.is_empty() && !reason.explain().expected.is_empty());
        }
    }

    #[test]
    fn rule_r1_nmx_2_only_a_null_mx_is_permanent() {
        for (reason, _) in golden() {
            assert_eq!(
                reason.reply().code >= 500,
                matches!(reason, Reason::NullMx { .. }),
                "{reason:?}"
            );
        }
    }

    #[test]
    fn a_mismatch_and_the_refusal_for_it_have_one_label() {
        for mismatch in [
            Mismatch::NoMatch,
            Mismatch::Path("a gap".into()),
            Mismatch::Dates("expired".into()),
            Mismatch::Name { presented: vec![] },
        ] {
            let label = mismatch.label();
            assert_eq!(Reason::of_mismatch(base(), mismatch).label(), label);
        }
    }
}
