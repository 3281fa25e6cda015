//! The DNS: answers that do not validate, that do not come, and that say there is no mail (RFC 4035, RFC 7505).

use super::{
    EE, ENFORCE, Fault, Misbehaviour, PUBLIC, Place, Publishes, Route, SELF_SIGNED, SIGNED,
    Scenario, UNSIGNED, unknown,
};

/// The scenarios.
pub(super) const CHAPTER: &[Scenario] = &[
    Scenario {
        // DANE-4, DNS-07, A3
        name: "mx-bogus",
        sentence: "The signature over the MX records does not verify: they may be forged.",
        rfc: "RFC 7672 §2.1.2",
        publishes: Publishes {
            faults: &[Fault {
                at: Place::Mx,
                how: Misbehaviour::BogusSignature,
            }],
            ..DANE
        },
        presents: SELF_SIGNED,
        expected: unknown("dnssec-bogus", "451 4.4.3"),
    },
    Scenario {
        // DNS-07, DNS-23, A3
        name: "mx-signature-expired",
        sentence: "The signature over the MX records is over: they may be replayed.",
        rfc: "RFC 4035 §5.3.1",
        publishes: Publishes {
            faults: &[Fault {
                at: Place::Mx,
                how: Misbehaviour::ExpiredSignature,
            }],
            ..DANE
        },
        presents: SELF_SIGNED,
        expected: unknown("dnssec-bogus", "451 4.4.3"),
    },
    Scenario {
        // DNS-03, A3
        name: "mx-signature-stripped",
        sentence: "MX records without a signature from a zone that is signed: bogus, never insecure.",
        rfc: "RFC 4035 §5",
        publishes: Publishes {
            faults: &[Fault {
                at: Place::Mx,
                how: Misbehaviour::StrippedSignature,
            }],
            ..DANE
        },
        presents: SELF_SIGNED,
        expected: unknown("dnssec-bogus", "451 4.4.3"),
    },
    Scenario {
        // DANE-4, DNS-05, A3
        name: "mx-servfail",
        sentence: "The MX records cannot be had, so nothing is known about the domain.",
        rfc: "RFC 7672 §2.1.2",
        publishes: Publishes {
            faults: &[Fault {
                at: Place::Mx,
                how: Misbehaviour::Servfail,
            }],
            ..DANE
        },
        presents: SELF_SIGNED,
        expected: unknown("dns-error", "451 4.4.3"),
    },
    Scenario {
        // ME
        name: "address-bogus",
        sentence: "The addresses of the MX host do not validate.",
        rfc: "RFC 7672 §2.2.2",
        publishes: Publishes {
            faults: &[Fault {
                at: Place::Address,
                how: Misbehaviour::BogusSignature,
            }],
            ..DANE
        },
        presents: SELF_SIGNED,
        expected: unknown("dnssec-bogus", "451 4.4.3"),
    },
    Scenario {
        // DANE-6, DANE-7, DANE-38, A6
        name: "tlsa-bogus",
        sentence: "The TLSA records do not validate, so whether there are any is not known.",
        rfc: "RFC 7672 §2.1.2",
        publishes: Publishes {
            faults: &[Fault {
                at: Place::Tlsa,
                how: Misbehaviour::BogusSignature,
            }],
            ..DANE
        },
        presents: SELF_SIGNED,
        expected: unknown("tlsa-lookup-error", "451 4.7.5"),
    },
    Scenario {
        // DANE-6, DANE-7, DANE-38, DNS-05, A6
        name: "tlsa-servfail",
        sentence: "The TLSA lookup fails: somebody may be hiding the records.",
        rfc: "RFC 7672 §2.1.2",
        publishes: Publishes {
            faults: &[Fault {
                at: Place::Tlsa,
                how: Misbehaviour::Servfail,
            }],
            ..DANE
        },
        presents: SELF_SIGNED,
        expected: unknown("tlsa-lookup-error", "451 4.7.5"),
    },
    Scenario {
        // DNS-04, A6
        name: "tlsa-hidden",
        sentence: "The TLSA records are denied without proof, in a zone that could prove it.",
        rfc: "RFC 4035 §5.4",
        publishes: Publishes {
            faults: &[Fault {
                at: Place::Tlsa,
                how: Misbehaviour::Hidden,
            }],
            ..DANE
        },
        presents: SELF_SIGNED,
        expected: unknown("tlsa-lookup-error", "451 4.7.5"),
    },
    Scenario {
        name: "tlsa-servfail-sts-passes",
        sentence: "The TLSA lookup fails, and MTA-STS may not stand in for it.",
        rfc: "RFC 8461 §2",
        publishes: Publishes {
            sts: Some(ENFORCE),
            faults: &[Fault {
                at: Place::Tlsa,
                how: Misbehaviour::Servfail,
            }],
            ..DANE
        },
        presents: PUBLIC,
        expected: unknown("tlsa-lookup-error", "451 4.7.5"),
    },
    Scenario {
        // A4, R1
        name: "null-mx",
        sentence: "The domain says that it takes no mail.",
        rfc: "RFC 7505 §3",
        publishes: Publishes {
            route: Route::Null,
            ..SIGNED
        },
        presents: SELF_SIGNED,
        expected: unknown("null-mx", "556 5.1.10"),
    },
    Scenario {
        // A4, R1
        name: "null-mx-forged",
        sentence: "An unsigned null MX contradicts a policy in force: bouncing would be what a forger wants.",
        rfc: "RFC 8461 §10",
        publishes: Publishes {
            route: Route::Null,
            sts: Some(ENFORCE),
            ..UNSIGNED
        },
        presents: PUBLIC,
        expected: unknown("null-mx-forged", "451 4.7.1"),
    },
];

const DANE: Publishes = Publishes {
    tlsa: &[EE],
    ..SIGNED
};
