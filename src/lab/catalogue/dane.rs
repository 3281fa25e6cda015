//! DANE: TLSA records that match, that do not, that cannot be used, and what stands in their way (RFC 7672).

use super::{
    Alias, Association, CLEAR, Certificate, Destination, EE, EE_OTHER, ENFORCE, Expected, Issuer,
    Lists, Names, PUBLIC, Presents, Publishes, Route, SELF_SIGNED, SIGNED, Scenario, Starttls, Sts,
    TlsaRecord, UNSIGNED, Validity, pin, refuse,
};
use crate::policy::Level;
use crate::verdict::Basis;

/// The scenarios.
pub(super) const CHAPTER: &[Scenario] = &[
    Scenario {
        // DANE-8, LD
        name: "dane-ee-match",
        sentence: "A `3 1 1` record matches the key that the MX host presents.",
        rfc: "RFC 7672 §3.1.1",
        publishes: DANE_EE,
        presents: SELF_SIGNED,
        expected: pin(Level::Dane, Basis::DaneEe),
    },
    Scenario {
        // TLSA-13, attack DANE-01, LD
        name: "dane-ee-odd-certificate",
        sentence: "With DANE-EE only the key counts: an expired certificate for another name will do.",
        rfc: "RFC 7672 §3.1.1",
        publishes: DANE_EE,
        presents: Presents {
            certificate: Certificate {
                issuer: Issuer::SelfSigned,
                names: Names::Other,
                validity: Validity::Expired,
            },
            ..PUBLIC
        },
        expected: pin(Level::Dane, Basis::DaneEe),
    },
    Scenario {
        // DANE-26, attack DANE-02, LD
        name: "dane-ee-mismatch",
        sentence: "A certificate that every browser would accept does not match the `3 1 1` record.",
        rfc: "RFC 7672 §2.2",
        publishes: Publishes {
            tlsa: &[EE_OTHER],
            ..SIGNED
        },
        presents: PUBLIC,
        expected: refuse(Level::Dane, "dane-mismatch", "451 4.7.5"),
    },
    Scenario {
        // TLSA-12, attack DANE-08
        name: "dane-ee-rollover",
        sentence: "One of two records matches, as while a key is being replaced.",
        rfc: "RFC 7671 §8.1",
        publishes: Publishes {
            tlsa: &[EE_OTHER, EE],
            ..SIGNED
        },
        presents: SELF_SIGNED,
        expected: pin(Level::Dane, Basis::DaneEe),
    },
    Scenario {
        // TLSA-14, LD
        name: "dane-ta-match",
        sentence: "A `2 0 1` record matches the private CA, and the certificate names the MX host.",
        rfc: "RFC 7672 §3.1.2",
        publishes: DANE_TA,
        presents: PRIVATE,
        expected: pin(Level::Dane, Basis::DaneTa),
    },
    Scenario {
        // DANE-27
        name: "dane-ta-domain-name",
        sentence: "With DANE-TA the certificate may name the recipient's domain instead of the MX host.",
        rfc: "RFC 7672 §3.2.2",
        publishes: DANE_TA,
        presents: Presents {
            certificate: Certificate {
                names: Names::Domain,
                ..PRIVATE.certificate
            },
            ..PRIVATE
        },
        expected: pin(Level::Dane, Basis::DaneTa),
    },
    Scenario {
        // TLSA-18, ID-6
        name: "dane-ta-wrong-name",
        sentence: "A `2 0 1` record matches the private CA, but the certificate is somebody else's.",
        rfc: "RFC 7672 §3.2.2",
        publishes: DANE_TA,
        presents: Presents {
            certificate: Certificate {
                names: Names::Other,
                ..PRIVATE.certificate
            },
            ..PRIVATE
        },
        expected: refuse(Level::Dane, "dane-name", "451 4.7.5"),
    },
    Scenario {
        // TLSA-17
        name: "dane-ta-expired",
        sentence: "With DANE-TA dates count, and those of the certificate are over.",
        rfc: "RFC 7671 §5.2",
        publishes: DANE_TA,
        presents: Presents {
            certificate: Certificate {
                validity: Validity::Expired,
                ..PRIVATE.certificate
            },
            ..PRIVATE
        },
        expected: refuse(Level::Dane, "dane-expired", "451 4.7.5"),
    },
    Scenario {
        // DANE-24
        name: "dane-implicit-mx",
        sentence: "A domain without MX records is its own MX host, TLSA records included.",
        rfc: "RFC 7672 §2.2.1",
        publishes: Publishes {
            route: Route::Implicit,
            ..DANE_EE
        },
        presents: SELF_SIGNED,
        expected: pin(Level::Dane, Basis::DaneEe),
    },
    Scenario {
        // TLSA-21, DANE-14, DANE-32
        name: "dane-host-alias",
        sentence: "The MX host is an alias: records and SNI are those of what it stands for.",
        rfc: "RFC 7672 §2.2.2",
        publishes: Publishes {
            alias: Some(Alias::Host),
            ..DANE_EE
        },
        presents: SELF_SIGNED,
        expected: pin(Level::Dane, Basis::DaneEe),
    },
    Scenario {
        // DANE-17
        name: "dane-tlsa-alias",
        sentence: "The TLSA records are kept elsewhere, behind an alias.",
        rfc: "RFC 7672 §2.1.3",
        publishes: Publishes {
            alias: Some(Alias::Tlsa),
            ..DANE_EE
        },
        presents: SELF_SIGNED,
        expected: pin(Level::Dane, Basis::DaneEe),
    },
    Scenario {
        // TLSA-24, DANE-9, attack DANE-03, L1
        name: "tlsa-unusable-tls",
        sentence: "No TLSA record can be used for SMTP, so TLS is mandatory, though unauthenticated.",
        rfc: "RFC 7672 §2.2",
        publishes: UNUSABLE,
        presents: SELF_SIGNED,
        expected: pin(Level::Encrypt, Basis::Encrypted),
    },
    Scenario {
        // TLSA-24, DANE-9, L1
        name: "tlsa-unusable-cleartext",
        sentence: "No TLSA record can be used for SMTP, and the MX host does not offer STARTTLS.",
        rfc: "RFC 7672 §2.2",
        publishes: UNUSABLE,
        presents: CLEAR,
        expected: refuse(Level::Encrypt, "starttls-required", "451 4.7.4"),
    },
    Scenario {
        // DANE-8, LD
        name: "dane-starttls-stripped",
        sentence: "TLSA records promise TLS, and somebody has cut STARTTLS out of the EHLO reply.",
        rfc: "RFC 7672 §2.2",
        publishes: DANE_EE,
        presents: CLEAR,
        expected: refuse(Level::Dane, "starttls-required", "451 4.7.4"),
    },
    Scenario {
        // TLS-5, LD
        name: "dane-starttls-454",
        sentence: "TLSA records promise TLS, and the MX host answers STARTTLS with 454.",
        rfc: "RFC 3207 §4",
        publishes: DANE_EE,
        presents: Presents {
            starttls: Starttls::Refused("454 4.7.0 TLS not available"),
            ..SELF_SIGNED
        },
        expected: refuse(Level::Dane, "starttls-required", "451 4.7.4"),
    },
    Scenario {
        // TLS-2, LD
        name: "dane-plaintext-injected",
        sentence: "Behind the 220 to STARTTLS comes a reply in clear, to be taken for a protected one.",
        rfc: "RFC 3207 §6",
        publishes: DANE_EE,
        presents: Presents {
            starttls: Starttls::Injected,
            ..SELF_SIGNED
        },
        expected: refuse(Level::Dane, "tls-handshake", "451 4.7.5"),
    },
    Scenario {
        name: "dane-fails-sts-passes",
        sentence: "MTA-STS would be content, but it may not rescue DANE that fails.",
        rfc: "RFC 8461 §2",
        publishes: Publishes {
            tlsa: &[EE_OTHER],
            sts: Some(ENFORCE),
            ..SIGNED
        },
        presents: PUBLIC,
        expected: refuse(Level::Dane, "dane-mismatch", "451 4.7.5"),
    },
    Scenario {
        name: "dane-passes-sts-fails",
        sentence: "DANE decides; that MTA-STS would have refused is noted.",
        rfc: "RFC 8461 §2",
        publishes: Publishes {
            sts: Some(ENFORCE),
            ..DANE_EE
        },
        presents: SELF_SIGNED,
        expected: Expected::Pin {
            level: Level::Dane,
            basis: Basis::DaneEe,
            observed: Some("sts-untrusted"),
        },
    },
    Scenario {
        // TLSA-5, DANE-12, L0
        name: "dane-unsigned-zone",
        sentence: "TLSA records in an unsigned zone could be anybody's: they demand nothing.",
        rfc: "RFC 7672 §2.2.2",
        publishes: Publishes {
            tlsa: &[EE_OTHER],
            ..UNSIGNED
        },
        presents: SELF_SIGNED,
        expected: pin(Level::Opportunistic, Basis::OpportunisticTls),
    },
    Scenario {
        // DANE-21, DANE-22, A8, LD-half
        name: "half-dane",
        sentence: "The domain is unsigned, but its MX host is in a signed zone with a matching record.",
        rfc: "RFC 7672 §2.2.1",
        publishes: HALF,
        presents: SELF_SIGNED,
        expected: pin(Level::HalfDane, Basis::DaneEe),
    },
    Scenario {
        // DANE-40, DNS-02, attack DANE-11, A9, R10
        name: "half-dane-forged-mx",
        sentence: "A forged MX leads to a host with perfect DANE, but the MTA-STS policy does not list it.",
        rfc: "RFC 8461 §4.1",
        publishes: Publishes {
            sts: Some(Sts {
                lists: Lists::Others,
                ..ENFORCE
            }),
            ..HALF
        },
        presents: PUBLIC,
        expected: refuse(Level::HalfDaneAndSts, "sts-mx-mismatch", "451 4.7.1"),
    },
    Scenario {
        // DANE-40, LD-half, LS
        name: "half-dane-and-sts",
        sentence: "Under an unsigned MX both DANE and MTA-STS must pass, and both do.",
        rfc: "RFC 8461 §2",
        publishes: Publishes {
            sts: Some(ENFORCE),
            ..HALF
        },
        presents: PUBLIC,
        expected: pin(Level::HalfDaneAndSts, Basis::DaneAndSts),
    },
    Scenario {
        // DANE-39, DNS-01, M0
        name: "dane-dest-not-mx",
        sentence: "The mail server was sent to an address that is no MX host of the domain.",
        rfc: "RFC 7672 §1.3.2",
        publishes: DANE_EE,
        presents: Presents {
            destination: Destination::Stranger,
            ..PUBLIC
        },
        expected: refuse(Level::Dane, "dest-not-mx", "451 4.7.1"),
    },
    Scenario {
        // DANE-39, M0
        name: "dane-dest-unlisted",
        sentence: "The address is not in the DNS, yet the host behind it proves to be the MX host.",
        rfc: "RFC 7672 §2.2",
        publishes: DANE_EE,
        presents: Presents {
            destination: Destination::Unlisted,
            ..SELF_SIGNED
        },
        expected: pin(Level::Dane, Basis::DaneEe),
    },
    Scenario {
        name: "dane-recipient-rejected",
        sentence: "The MX host is authenticated and says itself that there is no such user.",
        rfc: "RFC 5321 §3.3",
        publishes: DANE_EE,
        presents: Presents {
            rcpt: "550 5.1.1 no such user here",
            ..SELF_SIGNED
        },
        expected: pin(Level::Dane, Basis::DaneEe),
    },
];

const DANE_EE: Publishes = Publishes {
    tlsa: &[EE],
    ..SIGNED
};

const DANE_TA: Publishes = Publishes {
    tlsa: &[TlsaRecord {
        association: Association {
            usage: 2,
            selector: 0,
            matching: 1,
        },
        ..EE
    }],
    ..SIGNED
};

/// PKIX-EE means nothing to an MTA that trusts no CA (RFC 7672 §3.1.3).
const UNUSABLE: Publishes = Publishes {
    tlsa: &[TlsaRecord {
        association: Association {
            usage: 1,
            selector: 1,
            matching: 1,
        },
        ..EE
    }],
    ..SIGNED
};

const HALF: Publishes = Publishes {
    route: Route::SignedHost,
    tlsa: &[EE],
    ..UNSIGNED
};

const PRIVATE: Presents = Presents {
    certificate: Certificate {
        issuer: Issuer::Private,
        ..PUBLIC.certificate
    },
    ..PUBLIC
};
