//! MTA-STS: policies in force, in testing, and out of reach (RFC 8461).

use super::{
    CLEAR, Certificate, ENFORCE, Expected, Issuer, Lists, Names, PUBLIC, Presents, Publishes,
    SELF_SIGNED, Scenario, Served, Sts, StsMode, UNSIGNED, Validity, pin, refuse,
};
use crate::policy::Level;
use crate::verdict::Basis;

/// The scenarios.
pub(super) const CHAPTER: &[Scenario] = &[
    Scenario {
        // LS
        name: "sts-enforce-match",
        sentence: "The policy lists the MX host, and a public CA vouches for its name.",
        rfc: "RFC 8461 §4",
        publishes: ENFORCED,
        presents: PUBLIC,
        expected: pin(Level::Sts, Basis::Sts),
    },
    Scenario {
        // ID-6, LS
        name: "sts-enforce-wrong-name",
        sentence: "The certificate does not name the MX host.",
        rfc: "RFC 8461 §4.2",
        publishes: ENFORCED,
        presents: Presents {
            certificate: Certificate {
                names: Names::Other,
                ..PUBLIC.certificate
            },
            ..PUBLIC
        },
        expected: refuse(Level::Sts, "sts-name", "451 4.7.5"),
    },
    Scenario {
        // LS
        name: "sts-enforce-expired",
        sentence: "The certificate has expired.",
        rfc: "RFC 8461 §4.2",
        publishes: ENFORCED,
        presents: Presents {
            certificate: Certificate {
                validity: Validity::Expired,
                ..PUBLIC.certificate
            },
            ..PUBLIC
        },
        expected: refuse(Level::Sts, "sts-expired", "451 4.7.5"),
    },
    Scenario {
        // LS
        name: "sts-enforce-self-signed",
        sentence: "Nobody vouches for the certificate.",
        rfc: "RFC 8461 §4.2",
        publishes: ENFORCED,
        presents: SELF_SIGNED,
        expected: refuse(Level::Sts, "sts-untrusted", "451 4.7.5"),
    },
    Scenario {
        // LS
        name: "sts-enforce-private-ca",
        sentence: "A CA vouches for the certificate that is not a public one.",
        rfc: "RFC 8461 §4.2",
        publishes: ENFORCED,
        presents: Presents {
            certificate: Certificate {
                issuer: Issuer::Private,
                ..PUBLIC.certificate
            },
            ..PUBLIC
        },
        expected: refuse(Level::Sts, "sts-untrusted", "451 4.7.5"),
    },
    Scenario {
        // A9, LS
        name: "sts-enforce-unlisted-mx",
        sentence: "The MX records name a host that the policy does not list.",
        rfc: "RFC 8461 §4.1",
        publishes: Publishes {
            sts: Some(Sts {
                lists: Lists::Others,
                ..ENFORCE
            }),
            ..UNSIGNED
        },
        presents: PUBLIC,
        expected: refuse(Level::Sts, "sts-mx-mismatch", "451 4.7.1"),
    },
    Scenario {
        // LS
        name: "sts-enforce-no-starttls",
        sentence: "The policy demands TLS, and the MX host does not offer it.",
        rfc: "RFC 8461 §4.2",
        publishes: ENFORCED,
        presents: CLEAR,
        expected: refuse(Level::Sts, "starttls-required", "451 4.7.4"),
    },
    Scenario {
        // L0-T
        name: "sts-testing-self-signed",
        sentence: "A policy in testing lets mail pass, and notes that it would not have.",
        rfc: "RFC 8461 §5",
        publishes: Publishes {
            sts: Some(Sts {
                mode: StsMode::Testing,
                ..ENFORCE
            }),
            ..UNSIGNED
        },
        presents: SELF_SIGNED,
        expected: Expected::Pin {
            level: Level::Opportunistic,
            basis: Basis::OpportunisticTls,
            observed: Some("sts-untrusted"),
        },
    },
    Scenario {
        name: "sts-none",
        sentence: "A policy of mode none withdraws what was demanded before.",
        rfc: "RFC 8461 §8.3",
        publishes: Publishes {
            sts: Some(Sts {
                mode: StsMode::None,
                ..ENFORCE
            }),
            ..UNSIGNED
        },
        presents: SELF_SIGNED,
        expected: pin(Level::Opportunistic, Basis::OpportunisticTls),
    },
    Scenario {
        // L0-F
        name: "sts-policy-host-untrusted",
        sentence: "A policy from a host that nobody vouches for is none, and there was none before.",
        rfc: "RFC 8461 §3.3",
        publishes: Publishes {
            sts: Some(Sts {
                served: Served::Untrusted,
                ..ENFORCE
            }),
            ..UNSIGNED
        },
        presents: SELF_SIGNED,
        expected: pin(Level::Opportunistic, Basis::OpportunisticTls),
    },
    Scenario {
        // L0-F
        name: "sts-policy-missing",
        sentence: "The policy is announced, but not to be had, and there was none before.",
        rfc: "RFC 8461 §3.3",
        publishes: Publishes {
            sts: Some(Sts {
                served: Served::NotFound,
                ..ENFORCE
            }),
            ..UNSIGNED
        },
        presents: SELF_SIGNED,
        expected: pin(Level::Opportunistic, Basis::OpportunisticTls),
    },
    Scenario {
        // L0-F
        name: "sts-policy-malformed",
        sentence: "What the policy host serves is no policy, and there was none before.",
        rfc: "RFC 8461 §3.2",
        publishes: Publishes {
            sts: Some(Sts {
                served: Served::Malformed,
                ..ENFORCE
            }),
            ..UNSIGNED
        },
        presents: SELF_SIGNED,
        expected: pin(Level::Opportunistic, Basis::OpportunisticTls),
    },
];

const ENFORCED: Publishes = Publishes {
    sts: Some(ENFORCE),
    ..UNSIGNED
};
