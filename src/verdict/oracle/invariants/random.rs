//! Random domains, and a server that answers every dial as it likes: what becomes of a recipient there.

use std::sync::LazyLock;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::dns::Failure;
use crate::name::DnsName;
use crate::policy::demand::demand;
use crate::policy::{AddressFacts, Facts, HostFacts, Mode, MxFacts, Settings, StsState, TlsaFacts};
use crate::smtp::{Freedom, NoTls};
use crate::tls::Evidence;
use crate::verdict::oracle::world::{NOW, World, destination, elsewhere, policy, protected, sts};
use crate::verdict::oracle::{COMBINE, INSECURE_MX, RECORDS, Records, Sts};
use crate::verdict::{Hearing, Pin, Reason, Redial, Verdict};

/// Keys and certificates are made once: no property depends on which they are.
pub(super) static WORLD: LazyLock<World> = LazyLock::new(World::new);

/// A host of the random domain.
#[derive(Clone, Copy, Debug)]
pub(super) struct Host {
    pub(super) here: Here,
    pub(super) records: Records,
    pub(super) stands: Stands,
    pub(super) listed: bool,
}

/// Where its TLSA records stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stands {
    AtItsName,
    AtTheEndOfAnAlias,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Here {
    Yes,
    No,
    Unknown,
}

/// What the server shows to one dial.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shown {
    NotOffered,
    Refused,
    Broken,
    /// One of [`World::chains`].
    Chain(usize),
}

#[derive(Clone, Debug)]
pub(super) struct Random {
    pub(super) hosts: Vec<Host>,
    pub(super) secure: bool,
    pub(super) sts: Sts,
    pub(super) settings: Settings,
    pub(super) first_sni: Option<usize>,
    pub(super) dials: Vec<Shown>,
}

pub(super) fn random() -> impl Strategy<Value = Random> {
    let host = (
        select(&[Here::Yes, Here::Yes, Here::No, Here::No, Here::Unknown][..]),
        select(&RECORDS[..5]),
        select(&RECORDS[..]),
        0..8_u8,
        select(&[Stands::AtItsName, Stands::AtTheEndOfAnAlias][..]),
        any::<bool>(),
    )
        .prop_map(|(here, usual, any, odd, stands, listed)| Host {
            here,
            records: if odd == 0 { any } else { usual },
            stands,
            listed,
        });
    let shown = prop_oneof![
        Just(Shown::NotOffered),
        Just(Shown::Refused),
        Just(Shown::Broken),
        (0..WORLD.chains().len()).prop_map(Shown::Chain),
        (0..WORLD.chains().len()).prop_map(Shown::Chain),
        (0..WORLD.chains().len()).prop_map(Shown::Chain),
    ];
    let state = select(
        &[
            Sts::None,
            Sts::FetchFailed,
            Sts::Testing,
            Sts::Enforce,
            Sts::Enforce,
            Sts::EnforceStale,
            Sts::Unknown,
        ][..],
    );
    let settings =
        (select(&INSECURE_MX[..]), select(&COMBINE[..])).prop_map(|(insecure_mx, combine)| {
            Settings {
                insecure_mx,
                combine,
                ..Settings::default()
            }
        });
    (
        vec(host, 1..=5),
        any::<bool>(),
        state,
        settings,
        proptest::option::of(0..7_usize),
        vec(shown, 8),
    )
        .prop_map(|(hosts, secure, sts, settings, first_sni, dials)| Random {
            hosts,
            secure,
            sts,
            settings,
            first_sni,
            dials,
        })
}

/// How a recipient ended, and on what.
pub(super) struct End {
    pub(super) result: Result<Pin, Reason>,
    pub(super) evidence: Evidence,
    pub(super) redials: usize,
}

impl Random {
    pub(super) fn facts(&self) -> Facts {
        Facts {
            domain: "example.com".parse().unwrap(),
            mx: MxFacts::Hosts {
                secure: self.secure,
                expanded: None,
                hosts: self.hosts.iter().enumerate().map(host_facts).collect(),
            },
            sts: self.sts_state(),
        }
    }

    fn sts_state(&self) -> StsState {
        let mode = match self.sts {
            Sts::Testing => "testing",
            Sts::Enforce | Sts::EnforceStale => "enforce",
            other @ (Sts::None
            | Sts::ModeNone
            | Sts::FetchFailed
            | Sts::TestingUnlisted
            | Sts::EnforceUnlisted
            | Sts::EnforceFirstOnly
            | Sts::Unknown) => return sts(other),
        };
        let listed = self
            .hosts
            .iter()
            .enumerate()
            .filter(|(_, host)| host.listed);
        let mx: String = listed
            .map(|(index, _)| format!("mx: {}\n", name(index)))
            .chain(["mx: mx.example.net\n".into()])
            .collect();
        StsState::Live {
            policy: policy(mode, &mx),
            refresh: None,
        }
    }

    /// The hosts that the destination may be.
    pub(super) fn possible(&self) -> Vec<usize> {
        let here = |here: Here| -> Vec<usize> {
            let found = self.hosts.iter().enumerate();
            let found = found.filter(|(_, host)| host.here == here);
            found.map(|(index, _)| index).collect()
        };
        match here(Here::Yes) {
            none if none.is_empty() => (0..self.hosts.len()).collect(),
            located => located,
        }
    }

    pub(super) fn run(&self) -> End {
        self.run_in(Mode::Enforce)
    }

    pub(super) fn run_in(&self, mode: Mode) -> End {
        let sni = self.first_sni.map(|index| match index {
            0..5 => name(index).parse().unwrap(),
            _ => "greeting.example.net".parse().unwrap(),
        });
        let mut tried = vec![sni];
        let mut evidence = shown(self.dials[0], tried.last().unwrap().as_ref());
        let mut redials = 0;
        let mut waived = None;
        let demanded = demand(&self.facts(), destination(), self.settings);
        loop {
            let hearing = Hearing {
                evidence: &evidence,
                tried: &tried,
                roots: &WORLD.roots,
                now: NOW,
                mode,
                freedom: Freedom::Free,
                waived: waived.as_ref(),
                ticket: None,
            };
            let ruling = hearing.rule(&demanded, None);
            let result = match ruling.verdict {
                Verdict::Pin(pin) => Ok(pin),
                Verdict::Refuse(refusal) => Err(refusal.reason),
                Verdict::Redial(redial) => {
                    waived = ruling.waived;
                    redials += 1;
                    assert!(redials < self.dials.len(), "it never ends");
                    evidence = match redial {
                        Redial::Sni(sni) | Redial::Observe(sni) => {
                            tried.push(Some(sni));
                            shown(self.dials[redials], tried.last().unwrap().as_ref())
                        }
                        Redial::Cleartext => {
                            Evidence::Clear(NoTls::HandshakeFailed("alert".into()))
                        }
                    };
                    continue;
                }
            };
            return End {
                result,
                evidence,
                redials,
            };
        }
    }
}

fn name(index: usize) -> String {
    format!("mx{}.example.com", index + 1)
}

fn host_facts((index, host): (usize, &Host)) -> HostFacts {
    let base = match host.stands {
        Stands::AtTheEndOfAnAlias => format!("real{}.example.org", index + 1),
        Stands::AtItsName => name(index),
    };
    let (addresses, tlsa) = match host.here {
        Here::Yes => (AddressFacts::Known(vec![elsewhere(), destination()]), true),
        Here::No => (AddressFacts::Known(vec![elsewhere()]), true),
        Here::Unknown => (
            AddressFacts::Failed(Failure::Unreachable("timeout".into())),
            false,
        ),
    };
    HostFacts {
        host: name(index).parse().unwrap(),
        addresses,
        tlsa: if tlsa {
            WORLD.tlsa(base.parse().unwrap(), host.records)
        } else {
            TlsaFacts::NotApplicable
        },
    }
}

fn shown(shown: Shown, sni: Option<&DnsName>) -> Evidence {
    match shown {
        Shown::NotOffered => Evidence::Clear(NoTls::NotOffered),
        Shown::Refused => Evidence::Clear(NoTls::Refused(454)),
        Shown::Broken => Evidence::Broken("alert".into()),
        Shown::Chain(index) => protected(sni, WORLD.chains()[index]),
    }
}
