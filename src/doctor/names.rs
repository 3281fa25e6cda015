//! DNS, the clock that signatures are held against, the CAs, and where what was learnt is kept.

use super::facts::{Facts, Store};
use super::{Group, Line};
use crate::dns::health::state::{Health, Why};

const GROUP: Group = Group::Names;

pub(super) fn judge(facts: &Facts) -> Vec<Line> {
    vec![
        resolver(&facts.health),
        anchor(facts),
        clock(facts),
        roots(facts),
        store(&facts.store),
    ]
}

fn resolver(health: &Health) -> Line {
    let name = "resolver";
    match health {
        Health::Working => {
            let seen = "a signed name validates, and what is broken on purpose is found bogus";
            Line::green(GROUP, name, seen)
        }
        Health::Off => Line::yellow(GROUP, name, "there is no probe").but(
            "dns.probe_good and dns.probe_bogus, without which nobody knows whether validation works",
            "leave them at their defaults",
        ),
        Health::Unknown => Line::yellow(GROUP, name, "the probes have not come back"),
        Health::Broken(broken) => Line::red(GROUP, name, broken.why.to_string()).but(
            "answers that validate",
            "docs/operations.md, \"When validation stops working\"",
        ),
    }
}

fn anchor(facts: &Facts) -> Line {
    let name = "trust anchor";
    match (&facts.anchor, &facts.health) {
        (Err(why), _) => Line::red(GROUP, name, why.clone()).but(
            "a file of DNSKEY or DS records of the root",
            "mend dns.trust_anchor, or leave it out: the keys that IANA publishes are built in",
        ),
        (Ok(what), Health::Working) => {
            Line::green(GROUP, name, format!("{what}: the root's records validate by it"))
        }
        (Ok(what), Health::Broken(broken)) if is_of_anchor(&broken.why) => {
            Line::red(GROUP, name, format!("{what}: the root's records do not validate by it")).but(
                "the key that the root signs with",
                "if the resolvers pass DNSSEC records through, it is of another root, or too old: update danelaw or the file",
            )
        }
        (Ok(what), _) => Line::aside(GROUP, name, format!("{what}: nothing was there to try it on")),
    }
}

/// As the validator words it; all else is the resolvers' doing.
fn is_of_anchor(why: &Why) -> bool {
    matches!(why, Why::GoodBogus { what, .. } if what.contains("trust anchor"))
}

fn clock(facts: &Facts) -> Line {
    let name = "clock";
    match (&facts.health, facts.is_synchronised) {
        (Health::Broken(broken), _) if matches!(broken.why, Why::ClockSkew(_)) => {
            Line::red(GROUP, name, broken.why.to_string()).but(
                "a time within the validity of the root's signatures",
                "set the clock, and see why it was not kept right (`timedatectl`)",
            )
        }
        (_, Some(false)) => Line::yellow(GROUP, name, "nobody keeps it right").but(
            "NTP: signatures, policies and certificates are held against it",
            "`timedatectl set-ntp true`, or install chrony",
        ),
        (Health::Working, Some(true)) => Line::green(
            GROUP,
            name,
            "kept right by NTP, and the root's signatures are in date",
        ),
        (Health::Working, None) => {
            let seen =
                "the root's signatures are in date; whether NTP keeps it right is not known here";
            Line::green(GROUP, name, seen)
        }
        (_, Some(true)) => Line::green(GROUP, name, "kept right by NTP"),
        (_, None) => Line::aside(GROUP, name, "nothing was there to hold it against"),
    }
}

fn roots(facts: &Facts) -> Line {
    let name = "CA store";
    match &facts.roots {
        Ok(count) => Line::green(GROUP, name, format!("{count} CAs, for MTA-STS")),
        Err(why) => Line::red(GROUP, name, why.clone()).but(
            "CAs to trust, for MTA-STS and policy hosts",
            "install ca-certificates, or name a bundle in tls.ca_file",
        ),
    }
}

fn store(store: &Store) -> Line {
    let name = "store";
    match store {
        Store::Memory => Line::yellow(GROUP, name, "nothing survives a restart").but(
            "MTA-STS policies that outlive it: without them an attacker who blocks policy hosts decides",
            "set store.path or store.url",
        ),
        Store::Place(place, None) => Line::green(GROUP, name, format!("{place} can be written")),
        Store::Place(place, Some(why)) => Line::red(GROUP, name, format!("{place}: {why}")).but(
            "a store that danelaw's user can read and write",
            "mend its owner and mode (systemd: StateDirectory=), or its server",
        ),
    }
}
