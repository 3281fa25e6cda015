//! Domains that demand nothing: mail must flow as it does without the proxy (RFC 7435).

use super::{
    CLEAR, Presents, Publishes, Route, SELF_SIGNED, SIGNED, Scenario, Starttls, UNSIGNED, pin,
};
use crate::policy::Level;
use crate::verdict::Basis;

/// The scenarios.
pub(super) const CHAPTER: &[Scenario] = &[
    Scenario {
        // DANE-10, L0
        name: "no-policy-tls",
        sentence: "Nothing is demanded; TLS is used all the same, whoever it is with.",
        rfc: "RFC 7435 §3",
        publishes: UNSIGNED,
        presents: SELF_SIGNED,
        expected: pin(Level::Opportunistic, Basis::OpportunisticTls),
    },
    Scenario {
        // DANE-10, DANE-37, L0
        name: "no-policy-cleartext",
        sentence: "Nothing is demanded and no TLS is offered: the mail goes in clear.",
        rfc: "RFC 7435 §3",
        publishes: UNSIGNED,
        presents: CLEAR,
        expected: pin(Level::Opportunistic, Basis::Cleartext),
    },
    Scenario {
        // DANE-37, L0
        name: "no-policy-starttls-454",
        sentence: "Nothing is demanded and STARTTLS does not work today: the mail goes in clear.",
        rfc: "RFC 3207 §4",
        publishes: UNSIGNED,
        presents: Presents {
            starttls: Starttls::Refused("454 4.7.0 TLS not available"),
            ..SELF_SIGNED
        },
        expected: pin(Level::Opportunistic, Basis::Cleartext),
    },
    Scenario {
        // DANE-3, DANE-10, L0
        name: "signed-without-tlsa",
        sentence: "The zone proves that there are no TLSA records: nothing is demanded.",
        rfc: "RFC 7672 §2.2",
        publishes: SIGNED,
        presents: SELF_SIGNED,
        expected: pin(Level::Opportunistic, Basis::OpportunisticTls),
    },
    Scenario {
        // DANE-25, A1
        name: "address-literal",
        sentence: "A recipient at the address of the destination has no domain that could demand anything.",
        rfc: "RFC 8461 §3.4",
        publishes: Publishes {
            route: Route::Literal,
            ..UNSIGNED
        },
        presents: SELF_SIGNED,
        expected: pin(Level::Opportunistic, Basis::OpportunisticTls),
    },
];
