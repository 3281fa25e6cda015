//! A host as it should be, and each thing that can be wrong with it.

use super::facts::{Daemon, Facts, Flight, Kernel, Needs, Outcome, RuleFault, Seer, Store, Way};
use super::{Level, Line, judge, worst};
use crate::clock::Timestamp;
use crate::dns::health::state::{Broken, Direction, Health, Skew, Why};
use crate::intercept::canary::{Answerer, Family};

/// All is well, on a mail server's own host.
fn sound() -> Facts {
    let flight = |family| Flight {
        family,
        others: Some(Outcome::Answered(Answerer::Here)),
        own: Some(Outcome::Gone("nobody answered".into())),
    };
    Facts {
        file: "danelaw.toml".into(),
        problems: vec![],
        needs: Needs {
            way: Way::Redirect,
            mark: None,
            sessions: 1000,
        },
        seer: Seer::Root,
        daemon: Some(Daemon {
            pid: 4711,
            uid: 999,
            capabilities: 0,
            descriptors: 20_000,
            version: Some(env!("CARGO_PKG_VERSION").into()),
            faults: Some(vec![]),
        }),
        rules: Some(Ok(vec![])),
        flights: Family::ALL.map(flight).to_vec(),
        health: Health::Working,
        anchor: Ok("the root keys that IANA publishes, built in".into()),
        is_synchronised: Some(true),
        roots: Ok(140),
        store: Store::Place("/var/lib/danelaw/danelaw.db".into(), None),
        kernel: Kernel {
            conntrack: Some((120, 262_144)),
            src_valid_mark: 0,
            rp_filter: 2,
            ports: Some((32_768, 60_999)),
        },
        egress: vec![("relay.example".into(), Ok("220 relay.example".into()))],
    }
}

fn broken(why: Why) -> Health {
    let since = Timestamp::from_unix(0);
    Health::Broken(Broken { why, since })
}

fn root() -> crate::dns::health::question::Question {
    ". SOA".parse().unwrap()
}

fn daemon(facts: &mut Facts) -> &mut Daemon {
    facts.daemon.as_mut().unwrap()
}

type Change = fn(&mut Facts);

/// What is changed, the line that tells of it, and how well it is then.
const CASES: &[(&str, Change, &str, Level)] = &[
    (
        "a fault in the file",
        |f| f.problems = vec!["1 dnss: expected …".into()],
        "configuration",
        Level::Red,
    ),
    (
        "the daemon is down",
        |f| f.daemon = None,
        "running",
        Level::Red,
    ),
    (
        "it runs as root",
        |f| daemon(f).uid = 0,
        "running",
        Level::Yellow,
    ),
    (
        "an older release runs",
        |f| daemon(f).version = Some("0.0.9".into()),
        "running",
        Level::Yellow,
    ),
    (
        "it is not ready",
        |f| daemon(f).faults = Some(vec!["dnssec: …".into()]),
        "ready",
        Level::Red,
    ),
    (
        "nobody can ask it",
        |f| daemon(f).faults = None,
        "ready",
        Level::Aside,
    ),
    (
        "a capability for nothing",
        |f| daemon(f).capabilities = 1 << 13,
        "capabilities",
        Level::Yellow,
    ),
    (
        "too many capabilities",
        |f| daemon(f).capabilities = 1 << 12,
        "capabilities",
        Level::Yellow,
    ),
    (
        "a mark without its capability",
        |f| f.needs.mark = Some(0x25),
        "capabilities",
        Level::Red,
    ),
    (
        "too few descriptors",
        |f| daemon(f).descriptors = 1024,
        "descriptors",
        Level::Red,
    ),
    (
        "just enough of them",
        |f| daemon(f).descriptors = 2064,
        "descriptors",
        Level::Green,
    ),
    (
        "a table is gone",
        |f| {
            let fault = |is_grave| RuleFault {
                is_grave,
                seen: "table inet danelaw is not there".into(),
                remedy: "danelaw rules apply".into(),
            };
            f.rules = Some(Ok(vec![fault(false), fault(true)]));
        },
        "rules",
        Level::Red,
    ),
    (
        "the rules cannot be seen",
        |f| f.rules = Some(Err("not permitted".into())),
        "rules",
        Level::Yellow,
    ),
    (
        "mail goes past",
        |f| f.flights[1].others = Some(Outcome::Gone("nobody answered".into())),
        "leak",
        Level::Red,
    ),
    (
        "the guard turns mail away",
        |f| f.flights[0].others = Some(Outcome::Refused("Connection refused".into())),
        "leak",
        Level::Red,
    ),
    (
        "somebody else takes it",
        |f| f.flights[0].others = Some(Outcome::Answered(Answerer::Stranger("220 x".into()))),
        "leak",
        Level::Red,
    ),
    (
        "no way out",
        |f| {
            for flight in &mut f.flights {
                flight.others = Some(Outcome::Untried("no route".into()));
            }
        },
        "leak",
        Level::Aside,
    ),
    (
        "somebody who is not root asks",
        |f| f.flights[0].others = None,
        "leak",
        Level::Yellow,
    ),
    (
        "a loop",
        |f| f.flights[1].own = Some(Outcome::Answered(Answerer::Here)),
        "loop",
        Level::Red,
    ),
    (
        "another proxy at the next hop",
        |f| f.flights[0].own = Some(Outcome::Answered(Answerer::Elsewhere)),
        "loop",
        Level::Yellow,
    ),
    (
        "its own connections are turned away",
        |f| f.flights[0].own = Some(Outcome::Refused("Connection refused".into())),
        "loop",
        Level::Yellow,
    ),
    (
        "DNSSEC is stripped",
        |f| f.health = broken(Why::GoodInsecure { question: root() }),
        "resolver",
        Level::Red,
    ),
    (
        "a resolver that believes all",
        |f| {
            f.health = broken(Why::BogusBelieved {
                question: "dnssec-failed.org. A".parse().unwrap(),
            })
        },
        "resolver",
        Level::Red,
    ),
    (
        "no probes",
        |f| f.health = Health::Off,
        "resolver",
        Level::Yellow,
    ),
    (
        "another root",
        |f| {
            f.health = broken(Why::GoodBogus {
                question: root(),
                what: "no key matches the trust anchor".into(),
            })
        },
        "trust anchor",
        Level::Red,
    ),
    (
        "an anchor that is none",
        |f| f.anchor = Err("no keys".into()),
        "trust anchor",
        Level::Red,
    ),
    (
        "a clock that is two years wrong",
        |f| {
            f.health = broken(Why::ClockSkew(Skew {
                direction: Direction::Ahead,
                at_least: std::time::Duration::from_secs(63_072_000),
            }));
        },
        "clock",
        Level::Red,
    ),
    (
        "nobody keeps the clock",
        |f| f.is_synchronised = Some(false),
        "clock",
        Level::Yellow,
    ),
    (
        "nobody knows who keeps it",
        |f| f.is_synchronised = None,
        "clock",
        Level::Green,
    ),
    (
        "no CAs",
        |f| f.roots = Err("no CA certificates".into()),
        "CA store",
        Level::Red,
    ),
    (
        "no store",
        |f| f.store = Store::Memory,
        "store",
        Level::Yellow,
    ),
    (
        "a store of another user",
        |f| f.store = Store::Place("/var/lib/d.db".into(), Some("Permission denied".into())),
        "store",
        Level::Red,
    ),
    (
        "no connection tracking",
        |f| f.kernel.conntrack = None,
        "connection tracking",
        Level::Red,
    ),
    (
        "it fills",
        |f| f.kernel.conntrack = Some((200_000, 262_144)),
        "connection tracking",
        Level::Yellow,
    ),
    (
        "it is full",
        |f| f.kernel.conntrack = Some((262_144, 262_144)),
        "connection tracking",
        Level::Red,
    ),
    (
        "marks count for reverse paths, on a mail server's host",
        |f| f.kernel.src_valid_mark = 1,
        "reverse paths",
        Level::Green,
    ),
    (
        "the same on a gateway whose routing rules are not right",
        |f| {
            (f.needs.way, f.kernel.src_valid_mark) = (Way::Tproxy, 1);
            f.rules = Some(Err("not permitted".into()));
        },
        "reverse paths",
        Level::Red,
    ),
    (
        "the same where they are",
        |f| (f.needs.way, f.kernel.src_valid_mark) = (Way::Tproxy, 1),
        "reverse paths",
        Level::Green,
    ),
    (
        "a gateway that sends mail itself, whose own leaks",
        |f| {
            f.needs.way = Way::Both;
            f.flights[0].others = Some(Outcome::Gone("nobody answered".into()));
        },
        "leak",
        Level::Red,
    ),
    (
        "the same without its capability",
        |f| f.needs.way = Way::Both,
        "capabilities",
        Level::Red,
    ),
    (
        "the same without connection tracking",
        |f| (f.needs.way, f.kernel.conntrack) = (Way::Both, None),
        "connection tracking",
        Level::Red,
    ),
    (
        "tproxy without its capability",
        |f| f.needs.way = Way::Tproxy,
        "capabilities",
        Level::Red,
    ),
    (
        "few ports",
        |f| f.kernel.ports = Some((40_000, 40_099)),
        "source ports",
        Level::Yellow,
    ),
    (
        "port 25 is closed",
        |f| f.egress[0].1 = Err("timed out".into()),
        "egress",
        Level::Red,
    ),
    (
        "nobody asks for it",
        |f| f.egress.clear(),
        "egress",
        Level::Aside,
    ),
];

fn found<'a>(lines: &'a [Line], name: &str) -> &'a Line {
    // The worst of a name stands first.
    lines.iter().find(|line| line.name == name).unwrap()
}

#[test]
fn a_host_as_it_should_be_is_green() {
    let lines = judge(&sound());
    assert_eq!(worst(&lines), Level::Green, "{lines:#?}");
}

#[test]
fn net_06_net_10_whatever_is_wrong_is_told_with_what_was_expected_and_what_to_do() {
    for (what, change, name, level) in CASES {
        let mut facts = sound();
        change(&mut facts);
        let lines = judge(&facts);
        let line = found(&lines, name);
        assert_eq!(line.level, *level, "{what}: {line:?}");
        let tells = line.expected.is_some() && line.remedy.is_some();
        assert_eq!(tells, *level >= Level::Yellow, "{what}: {line:?}");
        assert_eq!(worst(&lines).max(*level), worst(&lines), "{what}");
    }
}

#[test]
fn each_group_begins_with_its_worst_line_and_stands_in_one_place() {
    for (what, change, ..) in CASES {
        let mut facts = sound();
        change(&mut facts);
        let lines = judge(&facts);
        let order: Vec<_> = lines
            .iter()
            .map(|line| (line.group, std::cmp::Reverse(line.level)))
            .collect();
        assert!(order.is_sorted(), "{what}");
    }
}

#[test]
fn where_netfilter_has_no_part_in_it_nothing_is_asked_of_it() {
    let mut facts = sound();
    facts.needs.way = Way::Handed;
    (facts.rules, facts.flights, facts.kernel) = (None, vec![], Kernel::default());
    let lines = judge(&facts);
    assert_eq!(worst(&lines), Level::Green, "{lines:#?}");
    assert_eq!(found(&lines, "rules").level, Level::Aside);
}

#[test]
fn net_05_while_danelaw_is_down_a_guard_that_holds_is_told_from_a_leak() {
    let mut facts = sound();
    facts.daemon = None;
    for flight in &mut facts.flights {
        flight.others = Some(Outcome::Refused("Connection refused".into()));
    }
    let lines = judge(&facts);
    assert_eq!(found(&lines, "running").level, Level::Red);
    let leak = found(&lines, "leak");
    assert_eq!(
        (leak.level, leak.seen.contains("nothing leaks")),
        (Level::Yellow, true)
    );
}
