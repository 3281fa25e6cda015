//! The interception rules, as danelaw makes and loads them, and other rules that a test needs.

use std::path::Path;

use super::sandbox::{Namespace, write};

/// What the rules exempt from the redirect.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exempt {
    /// danelaw's own user: the rule without which nothing works.
    Danelaw,
    /// Nobody: the mistake that sends danelaw's own connections back to danelaw.
    Nobody,
}

/// Has danelaw load its rules as its configuration wants them.
pub(crate) fn load(place: &Namespace, exempt: Exempt) {
    match exempt {
        Exempt::Danelaw => apply(place, &["--layout", "host"]),
        Exempt::Nobody => apply(place, &["--layout", "host", "--user", "61999"]),
    }
}

/// The same with more options.
pub(crate) fn apply(place: &Namespace, options: &[&str]) {
    let said = rules(place, &[&["apply"], options].concat());
    assert!(said.contains("rules and guard are in force"), "{said}");
}

/// What `danelaw rules` says that has to succeed, with the configuration that danelaw was started with.
pub(crate) fn rules(place: &Namespace, arguments: &[&str]) -> String {
    let (code, said) = rules_end(place, arguments);
    assert_eq!(code, 0, "{arguments:?}: {said}");
    said
}

/// How it ends, and all that it says.
pub(crate) fn rules_end(place: &Namespace, arguments: &[&str]) -> (i32, String) {
    let mut command = place.command(env!("CARGO_BIN_EXE_danelaw"));
    command.arg("rules").args(arguments);
    let takes_configuration = arguments.first() != Some(&"exempt");
    // Without it the defaults hold: a host with both listeners on loopback.
    if takes_configuration && !arguments.contains(&"--config") && Path::new(CONFIGURATION).exists()
    {
        command.args(["--config", CONFIGURATION]);
    }
    let output = command.output().expect("danelaw runs");
    let said = [output.stdout, output.stderr].concat();
    let code = output.status.code().expect("it ends by itself");
    (code, String::from_utf8_lossy(&said).into_owned())
}

/// danelaw's own.
pub(crate) const CONFIGURATION: &str = "/run/lab/danelaw/danelaw.toml";

/// Leads what comes from outside to the port of a listener on loopback to that listener.
pub(crate) fn lead_to_loopback(mta: &Namespace, listener: &str) {
    mta.sh("sysctl -qw net.ipv4.conf.all.route_localnet=1");
    let (_, port) = listener.split_once(':').expect("an address with a port");
    load_text(
        mta,
        &format!(
            "table ip astray {{\nchain prerouting {{ type nat hook prerouting priority -100; policy accept;\n\
            tcp dport {port} dnat to {listener}\n}}\n}}\n"
        ),
    );
}

/// Takes the redirect away and leaves the guard.
pub(crate) fn lose_redirect(mta: &Namespace) {
    mta.sh("nft delete table inet danelaw");
}

/// Counts the connections that arrive at any MX host.
pub(crate) fn count_arrivals(world: &Namespace) {
    load_text(
        world,
        "table inet arrivals {\ncounter smtp { }\nchain input { type filter hook input priority filter; policy accept;\n\
        tcp dport 25 tcp flags & (syn | ack) == syn counter name smtp; }\n}\n",
    );
}

/// Makes both ends of every connection to an MX host send no segment with more than `octets` of data.
pub(crate) fn clamp_segments(world: &Namespace, octets: u16) {
    load_text(
        world,
        &format!(
            "table inet clamp {{}}\ndelete table inet clamp\ntable inet clamp {{\n\
            chain input {{ type filter hook input priority filter; policy accept;\n\
            tcp dport 25 tcp flags & syn == syn tcp option maxseg size set {octets}; }}\n\
            chain output {{ type filter hook output priority filter; policy accept;\n\
            tcp sport 25 tcp flags & syn == syn tcp option maxseg size set {octets}; }}\n}}\n"
        ),
    );
}

/// Loses all that goes to an MX host, without a word.
pub(crate) fn black_hole(world: &Namespace) {
    load_text(
        world,
        "table inet hole {\ncounter lost { }\nchain input { type filter hook input priority filter; policy accept;\n\
        tcp dport 25 counter name lost drop; }\n}\n",
    );
}

/// Fills the black hole.
pub(crate) fn mend(world: &Namespace) {
    world.sh("nft delete table inet hole");
}

/// How many packets a named counter has seen.
pub(crate) fn counted(place: &Namespace, table: &str, counter: &str) -> u64 {
    let listing: serde_json::Value =
        serde_json::from_str(&place.sh(&format!("nft -j list counter inet {table} {counter}")))
            .expect("nft -j writes JSON");
    let objects = listing["nftables"]
        .as_array()
        .expect("a listing has objects")
        .iter();
    let mut packets = objects.filter_map(|object| object["counter"]["packets"].as_u64());
    packets
        .next()
        .unwrap_or_else(|| panic!("no counter {table}/{counter}"))
}

fn load_text(place: &Namespace, rules: &str) {
    let file = write(&format!("nft/{}", place.name()), rules);
    place.sh(&format!("nft -f {}", file.display()));
}
