//! The kernel's settings and limits, and whether the way out is open.

use super::facts::{Facts, Kernel, Way};
use super::{Group, Line};

const GROUP: Group = Group::Host;

pub(super) fn judge(facts: &Facts) -> Vec<Line> {
    let mut lines = vec![
        conntrack(facts),
        marks(facts),
        ports(&facts.kernel, facts.needs.sessions),
    ];
    lines.extend(egress(facts));
    lines
}

fn conntrack(facts: &Facts) -> Line {
    let name = "connection tracking";
    match (facts.kernel.conntrack, facts.needs.way) {
        (_, Way::Handed) => Line::aside(GROUP, name, "not needed"),
        (None, Way::Tproxy) => Line::aside(GROUP, name, "not there, and \"tproxy\" needs none"),
        (None, Way::Redirect | Way::Gateway | Way::Both) => {
            Line::red(GROUP, name, "this kernel has none").but(
                "nf_conntrack, which knows where redirected connections wanted to go",
                "`modprobe nf_conntrack`; loading the rules does it too",
            )
        }
        (Some((count, most)), _) => {
            let seen = format!("{count} connections of {most}");
            // At the limit new connections are dropped; a queue that starts takes a while to fill the rest.
            let share = count.saturating_mul(100) / most.max(1);
            let expected =
                "room for twice as many sessions as there are, as each takes two entries";
            let remedy =
                "raise net.netfilter.nf_conntrack_max, and find out who fills it (`conntrack -L`)";
            match share {
                0..75 => Line::green(GROUP, name, seen),
                75..95 => Line::yellow(GROUP, name, seen).but(expected, remedy),
                _ => Line::red(GROUP, name, seen).but(expected, remedy),
            }
        }
    }
}

/// Marks that count for reverse paths lose the IPv4 connections of TPROXY unless the routing rules name their interface.
fn marks(facts: &Facts) -> Line {
    let name = "reverse paths";
    let Kernel {
        src_valid_mark,
        rp_filter,
        ..
    } = facts.kernel;
    let seen = format!("src_valid_mark = {src_valid_mark}, rp_filter = {rp_filter}");
    let rules_are_known = matches!(&facts.rules, Some(Ok(faults)) if faults.is_empty());
    match (facts.needs.way, src_valid_mark) {
        (Way::Tproxy | Way::Both, 1..) if !rules_are_known => Line::red(GROUP, name, seen).but(
            "routing rules that name their interface, as src_valid_mark = 1 loses all IPv4 connections without",
            "`danelaw rules apply` makes them so; or `sysctl net.ipv4.conf.all.src_valid_mark=0` (WireGuard and Tailscale set it)",
        ),
        (Way::Tproxy | Way::Both, _) => Line::green(GROUP, name, seen),
        (Way::Handed | Way::Redirect | Way::Gateway, _) => {
            Line::green(GROUP, name, format!("{seen}, which only \"tproxy\" minds"))
        }
    }
}

fn ports(kernel: &Kernel, sessions: u64) -> Line {
    let name = "source ports";
    let Some((first, last)) = kernel.ports else {
        return Line::aside(GROUP, name, "not known");
    };
    let count = u64::from(last.saturating_sub(first)) + 1;
    let seen = format!("{count}, from {first} to {last}, for each destination");
    if count >= sessions {
        return Line::green(GROUP, name, seen);
    }
    Line::yellow(GROUP, name, seen).but(
        format!("as many as sessions, {sessions}"),
        "widen net.ipv4.ip_local_port_range, or lower max_sessions",
    )
}

fn egress(facts: &Facts) -> Vec<Line> {
    let name = "egress";
    if facts.egress.is_empty() {
        let seen = "not tried: `--egress HOST` connects to port 25 of a host of yours";
        return vec![Line::aside(GROUP, name, seen)];
    }
    let line = |(host, reached): &(String, Result<String, String>)| match reached {
        Ok(said) => Line::green(GROUP, name, format!("{host} is reached, and says {said:?}")),
        Err(why) => Line::red(GROUP, name, format!("{host} cannot be reached: {why}")).but(
            "a way out for SMTP",
            "ask the provider whether port 25 is closed, and see the firewalls on the way",
        ),
    };
    facts.egress.iter().map(line).collect()
}
