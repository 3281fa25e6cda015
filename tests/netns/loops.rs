//! danelaw and rules that are wrong, missing, or flushed while it runs: what it finds out by itself, with both families.

use super::danelaw::{self, Rights};
use super::rules::{self, Exempt};
use super::sandbox::{HOME, Namespace, log_of, read, sandboxed, until, write};
use super::world::Network;
use super::{Lab, dns, hear_from, pki, policy_host};

const BOTH: &str = "kind = \"redirect\"\naddress = \"[::]:10225\"\nclient_tls = \"never\"\n\
    [intercept]\nlayout = \"host\"\n";

/// Addresses where nobody is.
const NOBODY: [&str; 2] = ["192.0.2.77", "2001:db8::77"];

/// The hosts without their servers: danelaw needs its files to start, and nobody to answer.
fn network() -> Network {
    pki::make(&policy_host::names());
    dns::publish();
    Network::new()
}

#[test]
fn net_01_danelaw_does_not_start_where_its_own_connections_come_back() {
    sandboxed(|| {
        let network = network();
        let mta = &network.mta;
        rules::count_arrivals(&network.world);
        rules::load(mta, Exempt::Nobody);
        let marked = format!("{BOTH}[upstream]\nmark = 0x25\n");
        for (listener, rights, words) in [
            (
                BOTH,
                Rights::Nothing,
                "connections of uid 61025 are left alone",
            ),
            (
                &marked,
                Rights::NetRaw,
                "connections with the mark 0x25 are left alone",
            ),
        ] {
            let said = danelaw::fails_to_start(mta, listener, rights);
            let complaint = said.lines().last().unwrap_or_default();
            for words in [words, "danelaw: loop: ", "(IPv4 and IPv6)", "192.0.2.77:25"] {
                assert!(complaint.contains(words), "{words}: {said}");
            }
        }
        let arrived = rules::counted(&network.world, "arrivals", "smtp");
        assert_eq!(arrived, 0, "connections that left the host");

        // Who insists gets it, and the loop is cut all the same.
        let insisting = format!("{BOTH}canary = false\n");
        danelaw::start_listener(mta, (&insisting, "*:10225"), Rights::Nothing).stop();

        rules::load(mta, Exempt::Danelaw);
        let _danelaw = danelaw::start_listener(mta, (BOTH, "*:10225"), Rights::Nothing);
        for host in NOBODY {
            let said = hear_from(mta, host, 25);
            assert!(said.starts_with("220 danelaw canary "), "{host}: {said:?}");
        }
    });
}

/// As the user whom no rule exempts any more.
const TAKE_OVER: &str = "setpriv --reuid=danelaw --regid=danelaw --clear-groups --inh-caps=-all --ambient-caps=-all \
    --bounding-set=-all $home/danelaw run --take-over --config $home/danelaw.toml 2>&1 || echo \"exit code $?\"";

#[test]
fn net_01_a_successor_whose_connections_come_back_leaves_the_listeners_to_the_one_that_runs() {
    sandboxed(|| {
        let network = network();
        let mta = &network.mta;
        rules::load(mta, Exempt::Danelaw);
        let control = format!("[control]\nsocket = \"{HOME}/danelaw/state/control.sock\"\n");
        let configuration = format!("[[listener]]\n{BOTH}{control}");
        let _danelaw = danelaw::start_passing(mta, (&configuration, "*:10225"), Rights::Nothing);
        until("commands to be answered", || {
            read(log_of("danelaw"))
                .contains("commands are answered")
                .then_some(())
        });
        rules::load(mta, Exempt::Nobody);
        let said = mta.sh(&format!("home={HOME}/danelaw\n{TAKE_OVER}"));
        for words in ["danelaw: loop: ", "uid 61025", "exit code 2"] {
            assert!(said.contains(words), "{words}: {said}");
        }
        for host in NOBODY {
            let said = hear_from(mta, host, 25);
            assert!(said.starts_with("220 danelaw canary "), "{host}: {said:?}");
        }
    });
}

/// What `/readyz` says.
fn readiness(place: &Namespace) -> String {
    place.sh("curl -s http://127.0.0.1:9225/readyz || true")
}

fn is_known(place: &Namespace, family: &str, state: &str) -> bool {
    let line = format!("danelaw_interception{{family=\"{family}\",state=\"{state}\"}} 1");
    let metrics = place.sh("curl -s http://127.0.0.1:9225/metrics || true");
    metrics.lines().any(|one| one == line)
}

#[test]
fn net_06_rules_that_are_flushed_are_noticed_by_danelaw_itself_and_so_is_their_return() {
    sandboxed(|| {
        let network = network();
        let mta = &network.mta;
        let watching =
            format!("{BOTH}watch_interval = \"200ms\"\n[admin]\naddress = \"127.0.0.1:9225\"\n");
        let _danelaw = danelaw::start_listener(mta, (&watching, "*:10225"), Rights::Nothing);
        for family in ["ipv4", "ipv6"] {
            assert!(
                is_known(mta, family, "unknown"),
                "{family}: nothing was seen yet"
            );
        }
        rules::load(mta, Exempt::Danelaw);
        for family in ["ipv4", "ipv6"] {
            until("the rules to be seen", || {
                is_known(mta, family, "working").then_some(())
            });
        }
        rules::lose_redirect(mta);
        for (family, name) in [("ipv4", "IPv4"), ("ipv6", "IPv6")] {
            until("the loss to be noticed", || {
                is_known(mta, family, "lost").then_some(())
            });
            let said = readiness(mta);
            let line = said.lines().find(|line| line.starts_with("interception: "));
            assert!(line.is_some_and(|line| line.contains(name)), "{said}");
        }
        let log = read(log_of("danelaw"));
        let told = log
            .lines()
            .filter(|line| line.contains("WARN") && line.contains("are not taken over"));
        assert_eq!(told.count(), 2, "once for each family: {log}");
        rules::load(mta, Exempt::Danelaw);
        for family in ["ipv4", "ipv6"] {
            until("the rules to be seen again", || {
                is_known(mta, family, "working").then_some(())
            });
        }
        assert!(!readiness(mta).contains("interception"));
    });
}

const REDIRECT: &str = "kind = \"redirect\"\naddress = \"[::]:10225\"\nclient_tls = \"never\"\n\
    [intercept]\nclients = [\"g0\"]\n";

const TPROXY: &str = "kind = \"tproxy\"\naddress = \"[::]:10125\"\nclient_tls = \"never\"\n\
    [intercept]\nclients = [\"g0\"]\nuplinks = [\"g1\"]\n";

/// As the manual has it.
const BY_HAND: &str = "nft add chain inet danelaw canary '{ type nat hook output priority -100; }'
    nft add rule inet danelaw canary ip daddr 192.0.2.78 meta l4proto tcp redirect to :10125
    nft add rule inet danelaw canary ip6 daddr 2001:db8::78 meta l4proto tcp redirect to :10125";

#[test]
fn net_06_on_a_gateway_the_rules_are_seen_and_missed_by_its_own_canaries() {
    sandboxed(|| {
        pki::make(&policy_host::names());
        dns::publish();
        let (_network, gateway) = &Network::with_gateway();
        for (listener, socket, rights, by_hand) in [
            (REDIRECT, "*:10225", Rights::Nothing, ""),
            (TPROXY, "*:10125", Rights::NetRaw, BY_HAND),
        ] {
            let admin = "watch_interval = \"200ms\"\n[admin]\naddress = \"127.0.0.1:9225\"\n";
            let watching = format!("{listener}{admin}");
            let daemon = danelaw::start_listener(gateway, (&watching, socket), rights);
            rules::load(gateway, Exempt::Danelaw);
            gateway.sh(by_hand);
            for state in ["working", "lost"] {
                for family in ["ipv4", "ipv6"] {
                    until(&format!("{family} to be {state}: {listener}"), || {
                        is_known(gateway, family, state).then_some(())
                    });
                }
                if state == "working" {
                    rules::lose_redirect(gateway);
                }
            }
            daemon.stop();
        }
    });
}

/// Opens sessions from the second address of the MTA's host, each from a port of its own, and tells the first line of each.
const CROWD: &str = "
import socket, sys
held = []
for n in range(int(sys.argv[2])):
    s = socket.socket()
    s.settimeout(60)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(('10.9.1.3', 50000 + n))
    s.connect((sys.argv[1], 25))
    held.append(s)
    print(s.makefile().readline().strip(), flush=True)
";

#[test]
fn net_10_net_04_ports_that_run_out_are_this_hosts_own_lack_and_no_other_destination_suffers() {
    sandboxed(|| {
        let lab = Lab::start();
        let mta = &lab.network.mta;
        rules::load(mta, Exempt::Danelaw);
        // One dual-stack socket: IPv4 arrives as mapped addresses.
        let _danelaw = danelaw::start_listener(mta, (BOTH, "*:10225"), Rights::Nothing);
        for host in ["192.0.2.31", "2001:db8::31"] {
            let said = lab.hear(host, 25);
            assert!(said.starts_with("220 "), "{host}: {said:?}");
        }
        mta.sh("sysctl -qw net.ipv4.ip_local_port_range='40000 40003'");
        let crowd = write("crowd.py", CROWD);
        let heard = mta.sh(&format!("python3 {} 192.0.2.31 7", crowd.display()));
        let (served, refused): (Vec<_>, Vec<_>) =
            heard.lines().partition(|line| line.starts_with("220 "));
        assert_eq!((served.len(), refused.len()), (4, 3), "{heard}");
        for line in refused {
            let words = "421 4.3.2 busy: this host has no free port";
            assert!(line.starts_with(words), "{line}");
        }
        let told = |line: &&str| line.contains("WARN") && line.contains("at=\"dial\"");
        let log = read(log_of("danelaw"));
        assert_eq!(log.lines().filter(told).count(), 1, "{log}");
        assert!(
            !log.contains("unreachable"),
            "no destination is blamed: {log}"
        );
        // Each destination has all ports.
        let other = mta.sh(&format!("python3 {} 192.0.2.11 1", crowd.display()));
        assert!(other.starts_with("220 "), "{other}");

        // A port that the rules should not have taken over.
        mta.sh("nft add rule inet danelaw output tcp dport 2525 redirect to :10225");
        let said = lab.hear("192.0.2.31", 2525);
        assert!(said.starts_with("421 4.3.2 port 2525 is none"), "{said:?}");
    });
}
