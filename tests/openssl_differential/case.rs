//! A chain and its TLSA records as a plan, from which both are built as often as needed.
//!
//! A [`Case`] says what is wrong with each certificate in words of its own ([`Flaw`]), so that the same case can be
//! built once more without one of them: that is how a verdict is traced to its cause instead of being guessed at.

use std::fmt;

use ring::digest;
use rustls_pki_types::CertificateDer;

use crate::certificate::{self as x509, Certificate, Key};

/// What a server presents, what its domain publishes and who it may be.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// The leaf first; then its issuers, and whatever else there is.
    pub(crate) plans: Vec<Plan>,
    /// Which of them are presented, in order.
    pub(crate) presented: Vec<usize>,
    pub(crate) records: Vec<Record>,
    /// The TLSA base domain first.
    pub(crate) ids: Vec<&'static str>,
    /// Issuers carry the number of their key in their names, so that no two keys have one name.
    pub(crate) keys_in_names: bool,
}

/// One certificate.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) subject: &'static str,
    pub(crate) issuer: &'static str,
    pub(crate) key: usize,
    pub(crate) signer: usize,
    pub(crate) role: Role,
    pub(crate) flaws: Vec<Flaw>,
}

#[derive(Clone, Debug)]
pub(crate) enum Role {
    /// With these DNS-IDs; without any there is no subjectAltName.
    Server(Vec<&'static [u8]>),
    Authority,
}

/// What sets a certificate apart from an ordinary one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    Expired,
    NotYetValid,
    DatesReversed,
    /// UTCTime in which the seconds are left out.
    NoSeconds,
    SignedByAnother,
    SignatureDamaged,
    NotACa,
    NoBasicConstraints,
    PathLength(u8),
    NoCertSign,
    NoKeyUsage,
    LeafIsCa,
    ForClients,
    ForAnything,
    ForServers,
    ForNothing,
    PermitsOnly(&'static str),
    Excludes(&'static str),
    UnknownCritical,
    UnknownExtension,
    CriticalPolicies,
    Version1,
    /// The issuer's name in another string type than the issuer has it.
    IssuerInOtherType,
    /// The algorithm inside is not the one that it is signed with.
    AlgorithmsDiffer,
    NoKeyIds,
    /// authorityKeyIdentifier names another key than the one that has signed.
    WrongAuthorityKeyId,
    SanTwice,
    /// subjectAltName with an address only.
    AddressOnly,
    NegativeSerial,
    /// An outer length of more octets than it needs.
    LongLength,
}

#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) usage: u8,
    pub(crate) selector: u8,
    pub(crate) matching: u8,
    /// Of which certificate; `None` is one that has nothing to do with the rest.
    pub(crate) of: Option<usize>,
    pub(crate) damage: Option<Damage>,
}

/// What has become of a record's data.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Damage {
    Emptied,
    CutShort,
    Extended,
    BitFlipped,
}

/// A case in octets.
pub(crate) struct Built {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) rrset: Vec<Vec<u8>>,
}

impl Case {
    pub(crate) fn build(&self, keys: &[Key]) -> Built {
        let plans: Vec<Vec<u8>> = self
            .plans
            .iter()
            .map(|plan| plan.build(self, keys))
            .collect();
        let presented = self.presented.iter().map(|index| plans[*index].clone());
        Built {
            chain: presented.map(CertificateDer::from).collect(),
            rrset: self
                .records
                .iter()
                .map(|record| record.build(&plans, self, keys))
                .collect(),
        }
    }

    /// All that is wrong with it.
    pub(crate) fn flaws(&self) -> Vec<Flaw> {
        self.plans
            .iter()
            .flat_map(|plan| plan.flaws.clone())
            .collect()
    }

    /// The same case without the flaws that `forgiven` names, given where the certificate stands in the plan.
    pub(crate) fn without(&self, forgiven: impl Fn(usize, Flaw) -> bool) -> Self {
        let mut case = self.clone();
        for (index, plan) in case.plans.iter_mut().enumerate() {
            plan.flaws.retain(|flaw| !forgiven(index, *flaw));
        }
        case
    }

    /// The same case in which no two keys have one name, and then with fewer certificates, in all ways: left away are
    /// issuers that share their name with another one, presented or published, or with the issuer that a bare key
    /// stands for.
    pub(crate) fn without_namesakes(&self) -> Vec<Self> {
        let namesakes: Vec<usize> = (1..self.plans.len())
            .filter(|index| self.has_namesake(*index))
            .collect();
        (0..1_usize << namesakes.len())
            .map(|subset| {
                let kept = |index: usize| {
                    namesakes
                        .iter()
                        .position(|namesake| *namesake == index)
                        .is_none_or(|place| subset & (1 << place) == 0)
                };
                let mut fewer = self.clone();
                fewer.keys_in_names = true;
                fewer.presented.retain(|index| kept(*index));
                fewer
                    .records
                    .retain(|record| !record.is_whole(0) || record.of.is_none_or(kept));
                fewer
            })
            .collect()
    }

    fn has_namesake(&self, index: usize) -> bool {
        let name = self.plans[index].subject;
        let is_there = |other: usize| {
            self.presented.contains(&other)
                || self
                    .records
                    .iter()
                    .any(|record| record.is_whole(0) && record.of == Some(other))
        };
        let namesake = (0..self.plans.len())
            .any(|other| other != index && self.plans[other].subject == name && is_there(other));
        let bare_key = self.records.iter().any(|record| {
            record.is_whole(1)
                && self
                    .plans
                    .iter()
                    .any(|plan| plan.issuer == name && plan.signed_by() == self.key_of(record))
        });
        namesake || bare_key
    }

    fn key_of(&self, record: &Record) -> usize {
        record.of.map_or(STRANGER, |index| self.plans[index].key)
    }
}

impl fmt::Display for Case {
    /// A line for each certificate and each record.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, plan) in self.plans.iter().enumerate() {
            write!(
                f,
                "  {index}: {} (key {}) by {} (key {})",
                plan.subject, plan.key, plan.issuer, plan.signer
            )?;
            if let Role::Server(names) = &plan.role {
                for name in names {
                    write!(f, " DNS:{}", name.escape_ascii())?;
                }
            }
            writeln!(f, " {:?}", plan.flaws)?;
        }
        writeln!(f, "  presented: {:?}", self.presented)?;
        for record in &self.records {
            let Record {
                usage,
                selector,
                matching,
                of,
                damage,
            } = record;
            writeln!(f, "  {usage} {selector} {matching} of {of:?}, {damage:?}")?;
        }
        writeln!(f, "  for {:?}", self.ids)
    }
}

impl Plan {
    fn has(&self, flaw: Flaw) -> bool {
        self.flaws.contains(&flaw)
    }

    fn signed_by(&self) -> usize {
        if self.has(Flaw::SignedByAnother) {
            STRANGER
        } else {
            self.signer
        }
    }

    /// The names of issuer and subject.
    fn names(&self, case: &Case) -> [String; 2] {
        let [mut issuer, mut subject] = [self.issuer, self.subject].map(str::to_owned);
        if case.keys_in_names {
            if matches!(self.role, Role::Authority) {
                subject = format!("{subject} {}", self.key);
            }
            let is_own_issuer = self.issuer == self.subject && self.signed_by() == self.key;
            if !(is_own_issuer && matches!(self.role, Role::Server(_))) {
                issuer = format!("{issuer} {}", self.signed_by());
            }
        }
        [issuer, subject]
    }

    fn build(&self, case: &Case, keys: &[Key]) -> Vec<u8> {
        let [issuer, subject] = self.names(case);
        let issuer = if self.has(Flaw::IssuerInOtherType) {
            x509::cn_as(x509::PRINTABLE_STRING, issuer.as_bytes())
        } else {
            x509::cn(&issuer)
        };
        let key = &keys[self.key];
        let signer = &keys[self.signed_by()];
        let mut certificate = Certificate::new(issuer, x509::cn(&subject), &key.spki);
        certificate.validity = self.validity();
        certificate.extensions = self.extensions(keys);
        if self.has(Flaw::Version1) {
            certificate.version.clear();
            certificate.extensions.clear();
        }
        if self.has(Flaw::NegativeSerial) {
            certificate.serial = vec![0x02, 0x01, 0x87];
        }
        if self.has(Flaw::AlgorithmsDiffer) {
            let other = if signer.algorithm == keys[STRANGER].algorithm {
                P384
            } else {
                STRANGER
            };
            certificate.inner_algorithm = Some(keys[other].algorithm.clone());
        }
        let mut der = certificate.sign(signer);
        if self.has(Flaw::SignatureDamaged) {
            *der.last_mut().expect("a signature") ^= 1;
        }
        if self.has(Flaw::LongLength) {
            der = x509::with_long_length(&der);
        }
        der
    }

    fn validity(&self) -> Vec<u8> {
        let (from, to) = if self.has(Flaw::Expired) {
            ("000101000000", "100101000000")
        } else if self.has(Flaw::NotYetValid) {
            ("350101000000", "400101000000")
        } else if self.has(Flaw::DatesReversed) {
            ("350101000000", "200101000000")
        } else {
            ("200101000000", "400101000000")
        };
        let kept = if self.has(Flaw::NoSeconds) { 10 } else { 12 };
        let time = |digits: &str| x509::utc(&format!("{}Z", &digits[..kept]));
        x509::sequence(&[&time(from), &time(to)])
    }

    fn extensions(&self, keys: &[Key]) -> Vec<Vec<u8>> {
        let mut extensions = match &self.role {
            Role::Server(names) => self.of_a_server(names),
            Role::Authority => self.of_an_authority(),
        };
        if !self.has(Flaw::NoKeyIds) {
            let named = if self.has(Flaw::WrongAuthorityKeyId) {
                STRANGER
            } else {
                self.signer
            };
            let own = x509::tlv(0x04, &[&key_id(&keys[self.key])]);
            let issuer = x509::sequence(&[&x509::tlv(0x80, &[&key_id(&keys[named])])]);
            extensions.push(x509::extension(x509::SUBJECT_KEY_ID, &own));
            extensions.push(x509::extension(x509::AUTHORITY_KEY_ID, &issuer));
        }
        for flaw in &self.flaws {
            extensions.extend(added_by(*flaw));
        }
        extensions
    }

    fn of_a_server(&self, names: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut extensions = Vec::new();
        if self.has(Flaw::LeafIsCa) {
            extensions.push(x509::ca(None));
        }
        if !self.has(Flaw::NoKeyUsage) {
            extensions.push(x509::key_usage(x509::SIGNS));
        }
        if self.has(Flaw::AddressOnly) {
            let address = x509::sequence(&[&x509::tlv(0x87, &[&[192, 0, 2, 1]])]);
            extensions.push(x509::extension(x509::SAN, &address));
        } else if !names.is_empty() {
            extensions.push(x509::san(names));
        }
        if self.has(Flaw::SanTwice) {
            extensions.push(x509::san(names));
        }
        extensions
    }

    fn of_an_authority(&self) -> Vec<Vec<u8>> {
        let mut extensions = Vec::new();
        let length = self.flaws.iter().find_map(|flaw| match flaw {
            Flaw::PathLength(length) => Some(*length),
            _ => None,
        });
        if self.has(Flaw::NotACa) {
            let content = x509::sequence(&[]);
            extensions.push(x509::critical(x509::BASIC_CONSTRAINTS, &content));
        } else if !self.has(Flaw::NoBasicConstraints) {
            extensions.push(x509::ca(length));
        }
        if self.has(Flaw::NoCertSign) {
            extensions.push(x509::key_usage(x509::SIGNS_LISTS));
        } else if !self.has(Flaw::NoKeyUsage) {
            extensions.push(x509::key_usage(x509::SIGNS_CERTIFICATES));
        }
        extensions
    }
}

/// The extension that a flaw adds, if that is what it does.
fn added_by(flaw: Flaw) -> Option<Vec<u8>> {
    let subtrees = |which: u8, name: &str| {
        let subtree = x509::sequence(&[&x509::tlv(0x82, &[name.as_bytes()])]);
        let content = x509::sequence(&[&x509::tlv(which, &[&subtree])]);
        x509::critical(x509::NAME_CONSTRAINTS, &content)
    };
    match flaw {
        Flaw::ForClients => Some(x509::extended_key_usage(&[x509::CLIENT_AUTH])),
        Flaw::ForAnything => Some(x509::extended_key_usage(&[x509::ANY_PURPOSE])),
        Flaw::ForServers => Some(x509::extended_key_usage(&[x509::SERVER_AUTH])),
        Flaw::ForNothing => Some(x509::extended_key_usage(&[])),
        Flaw::PermitsOnly(name) => Some(subtrees(0xa0, name)),
        Flaw::Excludes(name) => Some(subtrees(0xa1, name)),
        Flaw::UnknownCritical => Some(x509::critical(x509::UNKNOWN, x509::NULL)),
        Flaw::UnknownExtension => Some(x509::extension(x509::UNKNOWN, x509::NULL)),
        Flaw::CriticalPolicies => {
            let any = x509::sequence(&[&x509::sequence(&[&x509::oid(&[2, 5, 29, 32, 0])])]);
            Some(x509::critical(x509::POLICIES, &any))
        }
        _ => None,
    }
}

impl Record {
    /// A DANE-TA record of a whole certificate or key.
    fn is_whole(&self, selector: u8) -> bool {
        (self.usage, self.selector, self.matching) == (2, selector, 0) && self.damage.is_none()
    }

    /// Whether it holds the key of an elliptic curve in which the last bit is wrong.
    pub(crate) fn is_no_point(&self) -> bool {
        (self.selector, self.matching) == (1, 0) && matches!(self.damage, Some(Damage::BitFlipped))
    }

    fn build(&self, plans: &[Vec<u8>], case: &Case, keys: &[Key]) -> Vec<u8> {
        let selected = match (self.selector, self.of) {
            (0, Some(index)) => plans[index].clone(),
            (0, None) => Certificate::by_itself("Nobody", &keys[NOBODY].spki).sign(&keys[NOBODY]),
            (_, _) => keys[case.key_of(self)].spki.clone(),
        };
        let mut data = match self.matching {
            0 => selected,
            1 => digest::digest(&digest::SHA256, &selected).as_ref().to_vec(),
            _ => digest::digest(&digest::SHA512, &selected).as_ref().to_vec(),
        };
        match self.damage {
            None => {}
            Some(Damage::Emptied) => data.clear(),
            Some(Damage::CutShort) => data.truncate(data.len() - 1),
            Some(Damage::Extended) => data.push(0),
            Some(Damage::BitFlipped) => *data.last_mut().expect("data") ^= 1,
        }
        [&[self.usage, self.selector, self.matching], &data[..]].concat()
    }
}

fn key_id(key: &Key) -> Vec<u8> {
    digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &key.spki)
        .as_ref()
        .to_vec()
}

/// The keys that plans refer to by index; making one for every certificate would take longer than all the rest.
pub(crate) fn keys() -> Vec<Key> {
    let mut keys: Vec<Key> = (0..STRANGER).map(|_| Key::p256()).collect();
    keys.push(Key::p256());
    keys.push(Key::generate(&rcgen::PKCS_ECDSA_P384_SHA384));
    keys.push(Key::generate(&rcgen::PKCS_ED25519));
    keys.push(Key::from_pkcs8(include_bytes!(
        "../../testdata/dane/rsa2048.key.der"
    )));
    keys
}

/// The key of a certificate that is published only.
const NOBODY: usize = 4;
/// The key of those who take another's name.
pub(crate) const IMPOSTOR: usize = 5;
/// The key that no certificate holds and that signs for another: P-256, like those before it.
pub(crate) const STRANGER: usize = 6;
pub(crate) const P384: usize = STRANGER + 1;
/// The key of the last kind.
pub(crate) const RSA: usize = STRANGER + 3;
