//! The scenarios of `danelaw demo`: what a domain publishes, what its MX host presents, and what must come of it.
//!
//! [`all`] lists them, chapter by chapter: DANE, DNS, MTA-STS, and domains that demand nothing. A [`Scenario`] is
//! data; its names follow from [`Scenario::name`], so that `dane-ee-match` is about mail to `dane-ee-match.test`.
//! [`Publishes`] and [`Presents`] describe themselves, so that the table of the demo cannot say anything but what was
//! set up.

mod dane;
mod describe;
mod dns;
mod opportunistic;
mod pieces;
mod sts;

use self::pieces::{
    CLEAR, EE, EE_OTHER, ENFORCE, PUBLIC, SELF_SIGNED, SIGNED, UNSIGNED, pin, refuse, unknown,
};
pub use super::pki::{Association, Issuer, Validity};
pub use super::sink::Starttls;
use super::zones::TLD;
pub use super::zones::{Misbehaviour, Signing};
use crate::policy::Level;
use crate::verdict::Basis;

/// Every scenario, in the order of the table.
#[must_use]
pub fn all() -> Vec<Scenario> {
    [
        dane::CHAPTER,
        dns::CHAPTER,
        sts::CHAPTER,
        opportunistic::CHAPTER,
    ]
    .concat()
}

/// One message to one domain.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// A word for it, which is a DNS label too.
    pub name: &'static str,
    /// What it is about, in one sentence.
    pub sentence: &'static str,
    /// Where it is written.
    pub rfc: &'static str,
    /// What the recipient's domain has in the DNS and on its policy host.
    pub publishes: Publishes,
    /// What the host at the destination does.
    pub presents: Presents,
    /// What must come of it.
    pub expected: Expected,
}

/// What a domain publishes.
#[derive(Clone, Copy, Debug)]
pub struct Publishes {
    /// Whether its zone is signed.
    pub zone: Signing,
    /// Where its mail goes.
    pub route: Route,
    /// What stands behind an alias.
    pub alias: Option<Alias>,
    /// The TLSA RRset of its MX host, for the lab's port.
    pub tlsa: &'static [TlsaRecord],
    /// Its MTA-STS policy.
    pub sts: Option<Sts>,
    /// What is wrong with its zone.
    pub faults: &'static [Fault],
}

/// Where the mail of a domain goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// To `mx.` of the domain.
    OwnHost,
    /// To a host in another zone, which is signed.
    SignedHost,
    /// To the domain itself: it has no MX records (RFC 5321 §5.1).
    Implicit,
    /// Nowhere: a null MX (RFC 7505).
    Null,
    /// The recipient is at an address literal, so the domain does not matter.
    Literal,
}

/// What stands behind a CNAME record, validated like everything else of the zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alias {
    /// The MX host.
    Host,
    /// The TLSA RRset.
    Tlsa,
}

/// A TLSA record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlsaRecord {
    /// Its parameters.
    pub association: Association,
    /// What its data is about.
    pub of: Subject,
}

/// What a TLSA record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The chain that the MX host presents.
    Presented,
    /// A chain that nobody presents.
    Another,
}

/// An MTA-STS policy and the host that serves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sts {
    /// Its mode.
    pub mode: StsMode,
    /// Which MX hosts it lists.
    pub lists: Lists,
    /// How it is served.
    pub served: Served,
}

/// The mode of a policy (RFC 8461 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StsMode {
    /// `enforce`
    Enforce,
    /// `testing`
    Testing,
    /// `none`
    None,
}

/// Which MX hosts a policy lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lists {
    /// The one of the MX RRset.
    Host,
    /// Only others.
    Others,
}

/// How a policy is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served {
    /// As it should be.
    Well,
    /// With a certificate that no public CA vouches for.
    Untrusted,
    /// Not at all: 404.
    NotFound,
    /// As something that is no policy.
    Malformed,
}

/// What is wrong with a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// With which RRset.
    pub at: Place,
    /// What.
    pub how: Misbehaviour,
}

/// An RRset of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The MX RRset.
    Mx,
    /// The addresses of the MX host.
    Address,
    /// The TLSA RRset.
    Tlsa,
}

/// What the host at the destination does.
#[derive(Clone, Copy, Debug)]
pub struct Presents {
    /// Whose host it is.
    pub destination: Destination,
    /// What it makes of STARTTLS.
    pub starttls: Starttls,
    /// Its certificate.
    pub certificate: Certificate,
    /// Its reply to RCPT.
    pub rcpt: &'static str,
}

/// Where the sending MTA connects to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// The address of the MX host.
    MxHost,
    /// An address that the DNS does not list, where the same host answers.
    Unlisted,
    /// Somebody else's host.
    Stranger,
}

/// A certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Who vouches for it.
    pub issuer: Issuer,
    /// Whom it names.
    pub names: Names,
    /// Its dates.
    pub validity: Validity,
}

/// Whom a certificate names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// The MX host.
    Host,
    /// The recipient's domain.
    Domain,
    /// Somebody else.
    Other,
}

/// What must come of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The message is relayed.
    Pin {
        /// What is demanded.
        level: Level,
        /// What the session rests on.
        basis: Basis,
        /// What an observed policy would refuse for.
        observed: Option<&'static str>,
    },
    /// Nothing of it is relayed.
    Refuse {
        /// What is demanded, where that can be found out.
        level: Option<Level>,
        /// Why, as the stable word.
        reason: &'static str,
        /// Basic and enhanced code of the reply to RCPT.
        reply: &'static str,
    },
}

impl Scenario {
    /// The recipient's domain.
    #[must_use]
    pub fn domain(&self) -> String {
        format!("{}.{TLD}", self.name)
    }

    /// The zone of the MX host, where it is not the domain's own.
    #[must_use]
    pub fn host_zone(&self) -> Option<String> {
        matches!(self.publishes.route, Route::SignedHost)
            .then(|| format!("{}-host.{TLD}", self.name))
    }

    /// The MX host.
    #[must_use]
    pub fn host(&self) -> String {
        match self.publishes.route {
            Route::Implicit => self.domain(),
            Route::OwnHost | Route::SignedHost | Route::Null | Route::Literal => {
                let zone = self.host_zone().unwrap_or_else(|| self.domain());
                format!("mx.{zone}")
            }
        }
    }

    /// The TLSA base domain: the MX host, or what it is an alias of (RFC 7672 §2.2.2).
    #[must_use]
    pub fn tlsa_base(&self) -> String {
        match self.publishes.alias {
            Some(Alias::Host) => format!("real.{}", self.host()),
            Some(Alias::Tlsa) | None => self.host(),
        }
    }

    /// The names in its certificate.
    #[must_use]
    pub fn certificate_names(&self) -> Vec<String> {
        match self.presents.certificate.names {
            Names::Host => vec![self.host()],
            Names::Domain => vec![self.domain()],
            Names::Other => vec![format!("mail.elsewhere.{TLD}")],
        }
    }

    /// The text of its MTA-STS policy.
    #[must_use]
    pub fn policy_text(&self, sts: Sts) -> String {
        let mode = match sts.mode {
            StsMode::Enforce => "enforce",
            StsMode::Testing => "testing",
            StsMode::None => "none",
        };
        let mx = match sts.lists {
            Lists::Host => self.host(),
            Lists::Others => format!("*.mail.{}", self.domain()),
        };
        match sts.served {
            Served::Malformed => "<html>It works!</html>\r\n".into(),
            Served::Well | Served::Untrusted | Served::NotFound => {
                format!("version: STSv1\r\nmode: {mode}\r\nmx: {mx}\r\nmax_age: 86400\r\n")
            }
        }
    }
}

impl Expected {
    /// `pin` or `refuse`.
    #[must_use]
    pub const fn verdict(self) -> &'static str {
        match self {
            Self::Pin { .. } => "pin",
            Self::Refuse { .. } => "refuse",
        }
    }

    /// The label of the level, where one is found out.
    #[must_use]
    pub const fn level(self) -> Option<&'static str> {
        match self {
            Self::Pin { level, .. }
            | Self::Refuse {
                level: Some(level), ..
            } => Some(level.label()),
            Self::Refuse { level: None, .. } => None,
        }
    }

    /// The basis of a pin or the reason of a refusal.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Pin { basis, .. } => basis.label(),
            Self::Refuse { reason, .. } => reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_labels_and_none_occurs_twice() {
        let scenarios = all();
        let names: BTreeSet<&str> = scenarios.iter().map(|scenario| scenario.name).collect();
        assert_eq!(names.len(), scenarios.len());
        for scenario in scenarios {
            for name in [scenario.domain(), scenario.host()] {
                assert!(crate::name::DnsName::parse(&name).unwrap().is_host_name());
            }
            assert!(scenario.sentence.ends_with('.'), "{}", scenario.name);
            assert!(scenario.rfc.starts_with("RFC "), "{}", scenario.name);
        }
    }

    #[test]
    fn refusals_are_temporary_but_for_a_null_mx() {
        for scenario in all() {
            if let Expected::Refuse { reason, reply, .. } = scenario.expected {
                let permanent = reply.starts_with('5');
                assert_eq!(permanent, reason == "null-mx", "{}", scenario.name);
            }
        }
    }
}
