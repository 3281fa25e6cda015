//! The interception rules as an operator loads them on a host with the MTA and danelaw on it: a redirect, and apart
//! from it a guard that turns away what the redirect should have caught.

use super::sandbox::{Namespace, write};

/// What the rules exempt from the redirect.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exempt {
    /// danelaw's own user: the rule without which nothing works.
    Danelaw,
    /// Nobody: the mistake that sends danelaw's own connections back to danelaw.
    Nobody,
}

/// Loads both tables in one transaction each, replacing those that are there.
pub(crate) fn load(mta: &Namespace, exempt: Exempt) {
    let own = match exempt {
        Exempt::Danelaw => "meta skuid \"danelaw\" counter name own accept",
        Exempt::Nobody => "",
    };
    apply(
        mta,
        &format!(
            "table inet danelaw {{}}\ndelete table inet danelaw\ntable inet danelaw {{\n\
            counter own {{ }}\ncounter redirected {{ }}\n\
            chain output {{ type nat hook output priority -100; policy accept; tcp dport 25 jump smtp; }}\n\
            chain smtp {{\n{WATCHED}\n{own}\nfib daddr type local accept\n\
            meta l4proto tcp counter name redirected redirect to :10225\n}}\n}}\n"
        ),
    );
    apply(
        mta,
        "table inet danelaw_guard {}\ndelete table inet danelaw_guard\ntable inet danelaw_guard {\n\
        counter leaked { }\n\
        chain output { type filter hook output priority filter; policy accept;\n\
        oifname != \"lo\" tcp dport 25 tcp flags & (syn | ack) == syn jump smtp; }\n\
        chain smtp {\nmeta skuid \"danelaw\" accept\ncounter name leaked reject with tcp reset\n}\n}\n",
    );
}

/// What is led to danelaw whoever connects to it.
const WATCHED: &str = "ip daddr 192.0.2.78 meta l4proto tcp redirect to :10225\n\
    ip6 daddr 2001:db8::78 meta l4proto tcp redirect to :10225";

/// Loads what a gateway needs whose sockets are transparent: the recipe with its reject for what is not taken over, in
/// a table of its own, and the routes that lead marked packets to the sockets.
pub(crate) fn load_tproxy(gateway: &Namespace, port: u16) {
    apply(
        gateway,
        &format!(
            "table inet danelaw {{}}\ndelete table inet danelaw\ntable inet danelaw {{\ncounter intercepted {{ }}\n\
            chain divert {{ meta mark set meta mark and 0xffffff00 or 0x25 accept; }}\n\
            chain prerouting {{ type filter hook prerouting priority mangle; policy accept;\n\
            meta l4proto {{ tcp, icmp, icmpv6 }} socket transparent 1 socket wildcard 0 goto divert\n\
            iifname \"g0\" tcp dport 25 jump smtp; }}\n\
            chain smtp {{\nfib daddr type local return\nmeta l4proto tcp counter name intercepted \
            tproxy to :{port} meta mark set meta mark and 0xffffff00 or 0x25 accept\n}}\n}}\n"
        ),
    );
    guard_forward(gateway);
    gateway.sh("for f in 4 6; do p=25250; for i in g0 g1; do
        ip -$f rule add pref $p iif $i fwmark 0x25/0xff lookup 2525; p=$((p+1)); done
        ip -$f route replace local default dev lo table 2525; done");
}

/// Loads what a gateway needs that redirects to itself.
pub(crate) fn load_gateway_redirect(gateway: &Namespace, port: u16) {
    apply(
        gateway,
        &format!(
            "table inet danelaw {{}}\ndelete table inet danelaw\ntable inet danelaw {{\ncounter intercepted {{ }}\n\
            chain prerouting {{ type nat hook prerouting priority dstnat; policy accept;\n\
            iifname \"g0\" tcp dport 25 jump smtp; }}\n\
            chain smtp {{\nfib daddr type local accept\n\
            meta l4proto tcp counter name intercepted redirect to :{port}\n}}\n}}\n"
        ),
    );
    guard_forward(gateway);
}

/// What was not taken over does not leave.
fn guard_forward(gateway: &Namespace) {
    apply(
        gateway,
        "table inet danelaw_guard {}\ndelete table inet danelaw_guard\ntable inet danelaw_guard {\n\
        counter leaked { }\n\
        chain forward { type filter hook forward priority filter - 5; policy accept;\n\
        iifname \"g0\" tcp dport 25 counter name leaked reject with tcp reset; }\n}\n",
    );
}

/// Leads what comes from outside to the port of a listener on loopback to that listener.
pub(crate) fn lead_to_loopback(mta: &Namespace, listener: &str) {
    mta.sh("sysctl -qw net.ipv4.conf.all.route_localnet=1");
    let (_, port) = listener.split_once(':').expect("an address with a port");
    apply(
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
    apply(
        world,
        "table inet arrivals {\ncounter smtp { }\nchain input { type filter hook input priority filter; policy accept;\n\
        tcp dport 25 tcp flags & (syn | ack) == syn counter name smtp; }\n}\n",
    );
}

/// Makes both ends of every connection to an MX host send no segment with more than `octets` of data.
pub(crate) fn clamp_segments(world: &Namespace, octets: u16) {
    apply(
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
    apply(
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

fn apply(place: &Namespace, rules: &str) {
    let file = write(&format!("nft/{}", place.name()), rules);
    place.sh(&format!("nft -f {}", file.display()));
}
