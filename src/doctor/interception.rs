//! Netfilter: that the rules are there, take others' connections over, and leave danelaw's alone.

use super::facts::{Facts, Flight, Outcome, RuleFault, Seer, Way};
use super::{Group, Level, Line};
use crate::intercept::canary::Answerer;

const GROUP: Group = Group::Interception;

pub(super) fn judge(facts: &Facts) -> Vec<Line> {
    if facts.needs.way == Way::Handed {
        let seen = "no listener is \"redirect\" or \"tproxy\": netfilter has no part in it";
        return vec![Line::aside(GROUP, "rules", seen)];
    }
    let mut lines = rules(facts);
    for flight in &facts.flights {
        if facts.needs.way.is_local() {
            lines.push(leak(flight, facts));
        }
        lines.push(own(flight, facts.seer));
    }
    if facts.needs.way != Way::Redirect {
        let seen = "this host's own connections are not those that are forwarded";
        let elsewhere =
            "from a host behind this one, `nc 192.0.2.77 25` must hear `220 danelaw canary`";
        lines.push(Line::aside(GROUP, "leak", format!("{seen}: {elsewhere}")));
    }
    lines
}

fn rules(facts: &Facts) -> Vec<Line> {
    let name = "rules";
    match &facts.rules {
        None => vec![Line::aside(GROUP, name, "not looked at")],
        Some(Err(why)) => vec![Line::yellow(GROUP, name, why.clone()).but(
            "to see the netfilter rules",
            match facts.seer {
                Seer::User => "run `danelaw doctor` as root",
                Seer::Root => "install nftables, or see `danelaw rules status`",
            },
        )],
        Some(Ok(faults)) if faults.is_empty() => {
            let seen = "rules and guard are as the configuration wants them, for IPv4 and IPv6";
            vec![Line::green(GROUP, name, seen)]
        }
        Some(Ok(faults)) => faults.iter().map(fault).collect(),
    }
}

fn fault(fault: &RuleFault) -> Line {
    let level = if fault.is_grave {
        Level::Red
    } else {
        Level::Yellow
    };
    Line::new(GROUP, "rules", level, fault.seen.clone()).but(
        "the rules that `danelaw rules print` shows",
        fault.remedy.clone(),
    )
}

/// What becomes of a connection to port 25 that is not danelaw's.
fn leak(flight: &Flight, facts: &Facts) -> Line {
    let (name, family) = ("leak", flight.family.name());
    let expected = "a listener of danelaw to have it: `220 danelaw canary`";
    let load = "`danelaw rules apply` loads the rules; `danelaw rules status` tells what differs";
    match &flight.others {
        None => unseen(name, family),
        Some(Outcome::Answered(Answerer::Here)) => {
            let seen = format!("{family}: a connection of another user to port 25 is taken over");
            Line::green(GROUP, name, seen)
        }
        Some(Outcome::Answered(Answerer::Elsewhere)) => {
            let seen = format!("{family}: a danelaw on another host takes connections to port 25");
            Line::red(GROUP, name, seen).but(expected, load)
        }
        Some(Outcome::Answered(Answerer::Stranger(said))) => {
            let seen =
                format!("{family}: something else takes connections to port 25, and says {said:?}");
            Line::red(GROUP, name, seen).but(expected, load)
        }
        Some(Outcome::Refused(how)) if facts.daemon.is_none() => {
            let seen =
                format!("{family}: a connection to port 25 is refused ({how}): nothing leaks");
            Line::yellow(GROUP, name, seen).but(expected, "start danelaw")
        }
        Some(Outcome::Refused(how)) => {
            let seen = format!("{family}: a connection to port 25 is refused ({how}): mail waits");
            Line::red(GROUP, name, seen).but(expected, load)
        }
        Some(Outcome::Gone(how)) => {
            let seen = format!(
                "{family}: a connection of another user to port 25 LEAVES THIS HOST ({how})"
            );
            Line::red(GROUP, name, seen).but(expected, load)
        }
        Some(Outcome::Untried(why)) => {
            let seen = format!("{family}: nothing can leave ({why})");
            Line::aside(GROUP, name, seen)
        }
    }
}

/// What becomes of one of its own.
fn own(flight: &Flight, seer: Seer) -> Line {
    let (name, family) = ("loop", flight.family.name());
    let seen = |what: &str| format!("{family}: {what}");
    match &flight.own {
        None if seer == Seer::Root => {
            Line::aside(GROUP, name, seen("danelaw's user is not known, so nothing was tried as it"))
        }
        None => unseen(name, family),
        Some(Outcome::Answered(Answerer::Here)) => {
            Line::red(GROUP, name, seen("danelaw's own connections come back to it")).but(
                "that they are left alone",
                "exempt its user (or upstream.mark) before the redirect: `danelaw rules print` shows how",
            )
        }
        Some(Outcome::Answered(_)) => {
            let what = "the next hop takes connections to port 25 over";
            Line::yellow(GROUP, name, seen(what)).but(
                "to reach MX hosts",
                "find out what it is (another proxy, a firewall of the provider) and have this host exempted",
            )
        }
        Some(Outcome::Refused(how)) => {
            let what = format!("danelaw's own connections to port 25 are refused ({how})");
            Line::yellow(GROUP, name, seen(&what)).but(
                "that they leave this host",
                "see whether the guard, or another firewall rule here or at the next hop, turns them away",
            )
        }
        Some(Outcome::Gone(_)) => Line::green(GROUP, name, seen("danelaw's own connections leave this host")),
        Some(Outcome::Untried(why)) => {
            Line::aside(GROUP, name, seen(&format!("nothing can leave ({why})")))
        }
    }
}

fn unseen(name: &'static str, family: &str) -> Line {
    let seen = format!("{family}: what becomes of other users' connections was not tried");
    Line::yellow(GROUP, name, seen).but(
        "to try it as another user, which takes root",
        "run `danelaw doctor` as root",
    )
}
