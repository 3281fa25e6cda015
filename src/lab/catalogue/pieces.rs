//! What the chapters put their scenarios together from.

use super::{
    Association, Certificate, Destination, Expected, Issuer, Lists, Names, Presents, Publishes,
    Route, Served, Signing, Starttls, Sts, StsMode, Subject, TlsaRecord, Validity,
};
use crate::policy::Level;
use crate::verdict::Basis;

/// A signed domain with its own MX host and nothing else.
pub(super) const SIGNED: Publishes = Publishes {
    zone: Signing::Signed,
    route: Route::OwnHost,
    alias: None,
    tlsa: &[],
    sts: None,
    faults: &[],
};

/// The same, unsigned.
pub(super) const UNSIGNED: Publishes = Publishes {
    zone: Signing::Unsigned,
    ..SIGNED
};

/// The MX host with a certificate from the public-style CA.
pub(super) const PUBLIC: Presents = Presents {
    destination: Destination::MxHost,
    starttls: Starttls::Offered,
    certificate: Certificate {
        issuer: Issuer::Public,
        names: Names::Host,
        validity: Validity::Current,
    },
    rcpt: "250 2.1.5 recipient ok",
};

/// The MX host with a certificate of its own making.
pub(super) const SELF_SIGNED: Presents = Presents {
    certificate: Certificate {
        issuer: Issuer::SelfSigned,
        ..PUBLIC.certificate
    },
    ..PUBLIC
};

/// The MX host without STARTTLS.
pub(super) const CLEAR: Presents = Presents {
    starttls: Starttls::Absent,
    ..PUBLIC
};

/// `3 1 1` of what is presented.
pub(super) const EE: TlsaRecord = TlsaRecord {
    association: Association {
        usage: 3,
        selector: 1,
        matching: 1,
    },
    of: Subject::Presented,
};

/// `3 1 1` of something else.
pub(super) const EE_OTHER: TlsaRecord = TlsaRecord {
    of: Subject::Another,
    ..EE
};

/// A policy in force that lists the MX host.
pub(super) const ENFORCE: Sts = Sts {
    mode: StsMode::Enforce,
    lists: Lists::Host,
    served: Served::Well,
};

pub(super) const fn pin(level: Level, basis: Basis) -> Expected {
    Expected::Pin {
        level,
        basis,
        observed: None,
    }
}

pub(super) const fn refuse(level: Level, reason: &'static str, reply: &'static str) -> Expected {
    Expected::Refuse {
        level: Some(level),
        reason,
        reply,
    }
}

/// Refused before it can be said what is demanded.
pub(super) const fn unknown(reason: &'static str, reply: &'static str) -> Expected {
    Expected::Refuse {
        level: None,
        reason,
        reply,
    }
}
