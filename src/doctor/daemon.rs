//! The process: that it runs, is ready, and may do what its listeners need.

use super::facts::{Daemon, Facts, Needs};
use super::{Group, Line};

const GROUP: Group = Group::Daemon;

pub(super) fn judge(facts: &Facts) -> Vec<Line> {
    let Some(daemon) = &facts.daemon else {
        let none = Line::red(GROUP, "running", "no danelaw runs here").but(
            "`danelaw run` in this network namespace: while it is down, mail waits",
            "start it (`systemctl start danelaw`), and see its log for why it did not",
        );
        return vec![none];
    };
    vec![
        running(daemon),
        ready(daemon),
        capabilities(daemon, facts.needs),
        descriptors(daemon, facts.needs),
    ]
}

fn running(daemon: &Daemon) -> Line {
    let Daemon {
        pid, uid, version, ..
    } = daemon;
    let ours = env!("CARGO_PKG_VERSION");
    let release = version.as_deref().unwrap_or("of an unknown release");
    let seen = format!("danelaw {release} runs, process {pid}, user {uid}");
    match version.as_deref() {
        Some(version) if version != ours => Line::yellow(GROUP, "running", seen).but(
            format!("release {ours}, which is installed"),
            "restart it: `systemctl restart danelaw`",
        ),
        _ if *uid == 0 => Line::yellow(GROUP, "running", seen).but(
            "a user of its own: rules that exempt root let all of root's connections past",
            "set User= in its unit",
        ),
        Some(_) | None => Line::green(GROUP, "running", seen),
    }
}

fn ready(daemon: &Daemon) -> Line {
    match daemon.faults.as_deref() {
        None => Line::aside(GROUP, "ready", "cannot be asked: there is no admin.address"),
        Some([]) => Line::green(GROUP, "ready", "it says that it is ready"),
        Some(faults) => Line::red(GROUP, "ready", faults.join("; ")).but(
            "`ready` on /readyz",
            "docs/operations.md tells what to do about each",
        ),
    }
}

fn capabilities(daemon: &Daemon, needs: Needs) -> Line {
    const NET_ADMIN: u64 = 1 << 12;
    const NET_RAW: u64 = 1 << 13;
    let (name, has) = ("capabilities", |bit| daemon.capabilities & bit != 0);
    let wants_raw = needs.way.is_transparent() || needs.mark.is_some();
    match (wants_raw, has(NET_RAW), has(NET_ADMIN)) {
        (true, false, false) => {
            Line::red(GROUP, name, "it has neither CAP_NET_RAW nor CAP_NET_ADMIN").but(
                "CAP_NET_RAW, for \"tproxy\" and upstream.mark",
                "AmbientCapabilities=CAP_NET_RAW in its unit",
            )
        }
        (_, _, true) => Line::yellow(GROUP, name, "it has CAP_NET_ADMIN").but(
            "no more than it needs: it could change the netfilter rules that hold it",
            "let `danelaw rules apply` run in a unit of its own, and take CAP_NET_ADMIN from this one",
        ),
        (false, true, false) => Line::yellow(GROUP, name, "it has CAP_NET_RAW and needs none").but(
            "no capability",
            "take AmbientCapabilities=CAP_NET_RAW out of its unit",
        ),
        (true, true, false) => Line::green(GROUP, name, "CAP_NET_RAW, which it needs"),
        (false, false, false) => Line::green(GROUP, name, "none, and it needs none"),
    }
}

fn descriptors(daemon: &Daemon, needs: Needs) -> Line {
    let (name, wanted) = ("descriptors", 64 + 2 * needs.sessions);
    let seen = format!("it may have {} open files", daemon.descriptors);
    if daemon.descriptors >= wanted {
        return Line::green(GROUP, name, seen);
    }
    Line::red(GROUP, name, seen).but(
        format!("{wanted}, for max_sessions = {}", needs.sessions),
        format!("set LimitNOFILE={wanted} in its unit, or lower max_sessions"),
    )
}
