//! What the texts on exceptions and modes want to become of a case, with nothing of the production code but names.

use crate::policy::Mode;
use crate::verdict::oracle::table::{self, Expected, Host, Level};
use crate::verdict::oracle::{Case, Cert, Map, Mx, Records, Sni, Sts, Tls};

/// What the operator says of the domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    Nothing,
    None,
    Encrypt,
    Webpki,
    MtaSts,
    Dane,
    PinOfServer,
    PinOfOther,
}

pub(super) const WORDS: [Word; 8] = [
    Word::Nothing,
    Word::None,
    Word::Encrypt,
    Word::Webpki,
    Word::MtaSts,
    Word::Dane,
    Word::PinOfServer,
    Word::PinOfOther,
];

/// What may become of a case.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// Relayed on any of these, at any of these levels; or refused.
    pub(super) pin: Option<(Vec<&'static str>, &'static str, Whom)>,
    /// The labels of the refusal, or of the one that is waived.
    pub(super) refusal: Vec<&'static str>,
}

/// The host of a pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whom {
    None,
    Named(&'static str),
    /// Which of them came nearest is not said.
    Any,
}

impl Wanted {
    fn refuse(labels: Vec<&'static str>) -> Self {
        Self {
            pin: None,
            refusal: labels,
        }
    }

    fn pin(basis: Vec<&'static str>, level: &'static str, host: Whom) -> Self {
        Self {
            pin: Some((basis, level, host)),
            refusal: vec![],
        }
    }
}

/// Rule R3 of the decision table over what enforcing would do. A null MX stays what it is.
pub(super) fn wanted(case: &Case, word: Word, mode: Mode) -> Wanted {
    let strict = strictly(case, word);
    if mode == Mode::Enforce || strict.pin.is_some() || strict.refusal.contains(&"null-mx") {
        return strict;
    }
    let basis = match case.tls {
        // Nobody says that a handshake that failed at a guessed name is made again only to report.
        Tls::Works(_) if case.sni == Sni::OtherAborts => vec!["opportunistic-tls", "cleartext"],
        Tls::Works(_) => vec!["opportunistic-tls"],
        Tls::NotOffered | Tls::Refused454 | Tls::Broken | Tls::ClearAfterBroken => {
            vec!["cleartext"]
        }
    };
    Wanted {
        pin: Some((basis, "L0", Whom::Any)),
        ..strict
    }
}

fn strictly(case: &Case, word: Word) -> Wanted {
    match word {
        Word::Nothing => match table::expected(case) {
            Expected::Pin {
                host, level, basis, ..
            } => Wanted::pin(basis, level, host.map_or(Whom::None, Whom::Named)),
            Expected::Refuse(labels) => Wanted::refuse(labels),
        },
        Word::None | Word::Encrypt => loosened(case, word),
        Word::Webpki | Word::MtaSts | Word::Dane | Word::PinOfServer | Word::PinOfOther => {
            required(case, word)
        }
    }
}

/// "Whatever the domain publishes": of all rows before TLS only the null MX is left.
fn loosened(case: &Case, word: Word) -> Wanted {
    if matches!(case.mx, Mx::NullSecure | Mx::NullInsecure) {
        return Wanted::refuse(table::before_tls(case).into_iter().collect());
    }
    let is_known = !case.hosts().is_empty();
    let is_located = matches!(case.map, Map::First | Map::Both | Map::FirstErrorElsewhere);
    let is_implicit = matches!(case.mx, Mx::ImplicitSecure | Mx::ImplicitInsecure);
    let first = if is_implicit {
        "example.com"
    } else {
        "mx1.example.com"
    };
    let host = match (is_known, is_located, word) {
        (true, true, _) => Whom::Named(first),
        // The domain lends its name to a host that nobody knows.
        (false, _, Word::Encrypt) => Whom::Named("example.com"),
        _ => Whom::None,
    };
    if word == Word::None {
        let mut basis = case.opportunistic();
        if !is_known && case.sni == Sni::OtherAborts {
            // Without a host there is no name of its own to try.
            basis = vec!["cleartext"];
        }
        return Wanted::pin(basis, "L0", host);
    }
    match case.no_tls() {
        Some(label) => Wanted::refuse(vec![label]),
        None => Wanted::pin(vec!["encrypted"], "L1", host),
    }
}

/// A requirement comes on top of what is published.
fn required(case: &Case, word: Word) -> Wanted {
    let unknown_policy = case.sts == Sts::Unknown;
    if let Some(label) = table::before_tls(case) {
        let mut labels = vec![label];
        // Required DANE that is not there decides nothing, so the unknown policy counts first.
        if unknown_policy && label == "dnssec-bogus" {
            labels.push("dane-required");
        }
        return Wanted::refuse(labels);
    }
    if unknown_policy && word == Word::MtaSts {
        return Wanted::refuse(vec!["dnssec-bogus"]);
    }
    let mut hosts = case.hosts();
    hosts.sort_by_key(|host| std::cmp::Reverse(level(case, word, host)));
    let mut faults = Vec::new();
    for host in &hosts {
        match outcome(case, word, host) {
            Ok(basis) => {
                let level = level(case, word, host);
                let label = match (word, level) {
                    (Word::Webpki | Word::PinOfServer | Word::PinOfOther, Level::L0) => "local",
                    _ => level.label(),
                };
                return Wanted::pin(vec![basis], label, Whom::Named(host.name));
            }
            Err(found) => faults.extend(found),
        }
    }
    if case.map == Map::Nobody {
        // Row M0: an exception that demands proof demands something.
        faults = vec!["dest-not-mx"];
    }
    Wanted::refuse(faults)
}

fn level(case: &Case, word: Word, host: &Host) -> Level {
    let published = case.level(host);
    match (word, published) {
        (Word::MtaSts, Level::L0) => Level::Ls,
        (Word::MtaSts, Level::L1) => Level::L1Ls,
        (Word::MtaSts, Level::Half) => Level::HalfLs,
        (Word::MtaSts, Level::Ld) => Level::LdLs,
        _ => published,
    }
}

fn outcome(case: &Case, word: Word, host: &Host) -> Result<&'static str, Vec<&'static str>> {
    let published = case.level(host);
    let level = level(case, word, host);
    let is_full = matches!(published, Level::Ld | Level::LdLs);
    let mut faults = Vec::new();
    if word == Word::Dane && !is_full {
        faults.push("dane-required");
    }
    if word == Word::MtaSts && !(case.enforced() || case.testing()) {
        faults.push("sts-required");
    }
    if faults.is_empty() {
        if level.has_dane() {
            faults.extend(case.dane_fault(host));
        }
        if level.has_sts() {
            faults.extend(case.sts_fault(host));
        }
        faults.extend(case.no_tls());
        faults.extend(local_fault(case, word, host));
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(match (level, word) {
        (Level::HalfLs | Level::LdLs, _) => "dane+mta-sts",
        (Level::Half | Level::Ld, _) if host.records == Records::Ta => "dane-ta",
        (Level::Half | Level::Ld, _) => "dane-ee",
        (Level::Ls | Level::L1Ls, _) => "mta-sts",
        (Level::L0 | Level::L1, Word::Webpki) => "webpki",
        (Level::L0 | Level::L1, _) => "pin",
    })
}

fn local_fault(case: &Case, word: Word, host: &Host) -> Option<&'static str> {
    let Tls::Works(cert) = case.tls else {
        return None;
    };
    let names = match cert {
        Cert::NamesFirst => host.name == "mx1.example.com",
        Cert::NamesSecond => host.name == "mx2.example.com",
        Cert::NamesDomain => host.name == "example.com",
        Cert::Expired | Cert::Untrusted => true,
    };
    match (word, cert) {
        (Word::Webpki, Cert::Untrusted) => Some("webpki-untrusted"),
        (Word::Webpki, Cert::Expired) => Some("webpki-expired"),
        (Word::Webpki, _) if !names => Some("webpki-name"),
        (Word::PinOfOther, _) => Some("pin-mismatch"),
        _ => None,
    }
}
