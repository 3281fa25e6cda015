//! danelaw on a gateway between the MTA and the world: each way a forwarded connection can reach it, with both families
//! and with what the MX hosts then see of the MTA.

use super::danelaw::{self, Rights};
use super::mail::Message;
use super::postfix::Client;
use super::sandbox::{Daemon, HOME, Namespace, log_of, read, sandboxed, sh, write};
use super::{Lab, OVER_V4, OVER_V6, arrives, hear_from, rules, stays};

/// One for each family and each outcome.
const GOOD: [&str; 2] = ["v4.good@dane.test", "v6.good@dane.test"];
const BAD: [&str; 2] = ["v4.no@mismatch.test", "v6.no@mismatch.test"];

/// As an MX host writes the gateway's own addresses towards the world.
const GATEWAY: [&str; 2] = ["[10.9.2.1]", "fd09:2::1]"];

/// Sends mail of every kind; the MX hosts see the connections come from `sources`, for IPv4 and IPv6.
fn judged_and_seen_from(client: &Client<'_>, sources: [&str; 2]) {
    let good = GOOD.map(Message::to);
    let bad = BAD.map(Message::to);
    good.iter()
        .chain(&bad)
        .for_each(|message| client.send(message));
    for (message, source) in good.iter().zip(sources) {
        arrives(client, source, message, &["by mx.dane.test", source]);
    }
    for message in &bad {
        stays(
            client,
            "its record differs",
            message,
            &["451 4.7.5", "dane-mismatch"],
        );
    }
}

/// Without danelaw the gateway lets nothing past.
fn nothing_passes(lab: &Lab, client: &Client<'_>) {
    let before = rules::counted(&lab.network.world, "arrivals", "smtp");
    for recipient in ["v4.stopped@plain.test", "v6.stopped@plain.test"] {
        let message = Message::to(recipient);
        client.send(&message);
        stays(
            client,
            "danelaw is down, its rules stand",
            &message,
            &["Connection refused"],
        );
    }
    let after = rules::counted(&lab.network.world, "arrivals", "smtp");
    assert_eq!(
        after, before,
        "connections that reached the world meanwhile"
    );
}

const TPROXY: &str = "kind = \"tproxy\"\naddress = \"[::]:10125\"\nclient_tls = \"never\"\n\
    [intercept]\nclients = [\"g0\"]\nuplinks = [\"g1\"]\n";

#[test]
fn net_02_net_04_net_05_by_tproxy_the_mx_hosts_see_the_mail_server_itself() {
    sandboxed(|| {
        let (lab, gateway) = &Lab::behind_gateway();
        rules::count_arrivals(&lab.network.world);
        let daemon = danelaw::start_listener(gateway, (TPROXY, "*:10125"), Rights::NetRaw);
        rules::apply(gateway, &[]);
        let client = Client::start(&lab.network.mta);
        judged_and_seen_from(&client, [OVER_V4, OVER_V6]);
        assert!(rules::counted(gateway, "danelaw", "intercepted") > 0);
        assert_eq!(rules::counted(gateway, "danelaw_guard", "leaked"), 0);

        for (place, host) in [
            (&lab.network.mta, "10.9.1.1"),
            (&lab.network.mta, "fd09:1::1"),
            (gateway, "127.0.0.1"),
        ] {
            let said = hear_from(place, host, 10125);
            let refused = said.starts_with("421 4.3.2 this port takes redirected connections only");
            assert!(refused && said.lines().count() == 1, "{host}: {said:?}");
        }

        // From the world nobody gets as far as that.
        let world = &lab.network.world;
        assert_eq!(hear_from(world, "10.9.2.1", 10125).trim(), "");
        assert_eq!(hear_from(world, "fd09:2::1", 10125).trim(), "");
        assert_eq!(rules::counted(gateway, "danelaw", "strangers"), 2);

        daemon.stop();
        nothing_passes(lab, &client);
        let leaked = rules::counted(gateway, "danelaw_guard", "leaked");
        assert!(leaked >= 2, "the guard turned away both families: {leaked}");
    });
}

/// WireGuard and Tailscale set it, and routing rules that do not name their interface lose IPv4 then.
#[test]
fn by_tproxy_both_families_arrive_though_marks_count_for_reverse_paths() {
    sandboxed(|| {
        let (lab, gateway) = &Lab::behind_gateway();
        for interface in ["all", "g0", "g1"] {
            let key = format!("net.ipv4.conf.{interface}");
            gateway.sh(&format!(
                "sysctl -qw {key}.src_valid_mark=1 {key}.rp_filter=1"
            ));
        }
        let _danelaw = danelaw::start_listener(gateway, (TPROXY, "*:10125"), Rights::NetRaw);
        rules::apply(gateway, &[]);
        judged_and_seen_from(&Client::start(&lab.network.mta), [OVER_V4, OVER_V6]);
    });
}

#[test]
fn by_tproxy_without_keep_source_the_mx_hosts_see_the_gateway() {
    sandboxed(|| {
        let (lab, gateway) = &Lab::behind_gateway();
        let listener = format!("{TPROXY}[upstream]\nkeep_source = false\n");
        let _danelaw = danelaw::start_listener(gateway, (&listener, "*:10125"), Rights::NetRaw);
        rules::apply(gateway, &[]);
        judged_and_seen_from(&Client::start(&lab.network.mta), GATEWAY);
    });
}

#[test]
fn tproxy_without_its_capability_is_one_clear_error_at_the_start() {
    sandboxed(|| {
        let (_lab, gateway) = &Lab::behind_gateway();
        for address in ["[::]:10125", "0.0.0.0:10125"] {
            let listener = format!("kind = \"tproxy\"\naddress = \"{address}\"");
            let said = danelaw::fails_to_start(gateway, &listener, Rights::Nothing);
            for words in [&format!("cannot listen on {address}"), "takes CAP_NET_RAW"] {
                assert!(said.contains(words), "{address}: {said}");
            }
            assert_eq!(said.lines().count(), 1, "{said}");
        }
    });
}

#[test]
fn net_02_net_04_net_05_by_redirect_on_a_gateway_the_mx_hosts_see_the_gateway() {
    sandboxed(|| {
        let (lab, gateway) = &Lab::behind_gateway();
        rules::count_arrivals(&lab.network.world);
        let listener = "kind = \"redirect\"\naddress = \"[::]:10225\"\nclient_tls = \"never\"\n\
            [intercept]\nclients = [\"g0\"]\n";
        let daemon = danelaw::start_listener(gateway, (listener, "*:10225"), Rights::Nothing);
        rules::apply(gateway, &[]);
        let client = Client::start(&lab.network.mta);
        judged_and_seen_from(&client, GATEWAY);
        assert!(rules::counted(gateway, "danelaw", "redirected") > 0);
        assert_eq!(rules::counted(gateway, "danelaw_guard", "leaked"), 0);
        for host in ["10.9.1.1", "fd09:1::1"] {
            let said = lab.hear(host, 10225);
            assert!(said.starts_with("421 4.3.2 "), "{host}: {said:?}");
        }
        daemon.stop();
        nothing_passes(lab, &client);
    });
}

const HANDED: &str = "kind = \"proxy-protocol\"\naddress = \"[::]:10325\"\ntrusted = [\"127.0.0.1\"]\nclient_tls = \"never\"\n";

/// HAProxy takes the connections over by TPROXY and hands them on with a PROXY header.
fn start_haproxy(gateway: &Namespace, send: &str) -> Daemon {
    let configuration = write(
        "haproxy/haproxy.cfg",
        format!(
            "defaults\n  mode tcp\n  timeout connect 30s\n  timeout client 10m\n  timeout server 10m\n\
            listen smtp\n  bind :::10126 v4v6 transparent\n  server danelaw 127.0.0.1:10325 {send} check\n"
        ),
    );
    let arguments = ["-db", "-f", &configuration.to_string_lossy()];
    let haproxy = gateway.daemon("haproxy", "haproxy", &arguments);
    haproxy.await_ready("listens", || gateway.listens("*:10126"))
}

#[test]
fn net_02_net_04_haproxy_hands_over_with_a_header_of_either_version_and_a_stranger_does_not() {
    sandboxed(|| {
        let (lab, gateway) = &Lab::behind_gateway();
        sh(&format!("install -d {HOME}/haproxy"));
        let _danelaw = danelaw::start_listener(gateway, (HANDED, "*:10325"), Rights::Nothing);
        // HAProxy is the transparent one here.
        let of_haproxy = write(
            "haproxy/danelaw.toml",
            "[[listener]]\nkind = \"tproxy\"\naddress = \"[::]:10126\"\n\
            [intercept]\nclients = [\"g0\"]\nuplinks = [\"g1\"]\n",
        );
        rules::apply(gateway, &["--config", &of_haproxy.to_string_lossy()]);
        let client = Client::start(&lab.network.mta);
        for (send, who) in [("send-proxy", "one"), ("send-proxy-v2", "two")] {
            let haproxy = start_haproxy(gateway, send);
            for (family, source) in ["v4", "v6"].into_iter().zip(GATEWAY) {
                let good = Message::to(&format!("{family}.{who}@dane.test"));
                let bad = Message::to(&format!("{family}.{who}@mismatch.test"));
                client.send(&good);
                client.send(&bad);
                arrives(&client, send, &good, &["by mx.dane.test", source]);
                stays(&client, send, &bad, &["451 4.7.5", "dane-mismatch"]);
            }
            haproxy.stop();
        }
        let log = read(log_of("danelaw"));
        for client in ["10.9.1.3:", "[fd09:1::3]:"] {
            let told = |line: &str| line.contains("proxy-protocol") && line.contains(client);
            assert!(log.lines().any(told), "{client}: {log}");
        }
        stranger_is_closed(&lab.network.mta);
    });
}

/// With the header that a trusted sender would be believed.
fn stranger_is_closed(mta: &Namespace) {
    for (host, own) in [("10.9.1.1", "10.9.1.2"), ("fd09:1::1", "[fd09:1::2]")] {
        let script = format!(
            "exec 3<>/dev/tcp/{host}/10325; printf 'PROXY TCP4 10.9.1.2 192.0.2.11 4711 25\\r\\n' >&3; cat <&3"
        );
        let mut command = mta.command("timeout");
        let output = command.args(["60", "bash", "-c", &script]).output();
        let output = output.expect("bash runs");
        assert_ne!(output.status.code(), Some(124), "{host}: it is not closed");
        assert_eq!(output.stdout, b"", "{host}: a stranger hears something");
        let log = read(log_of("danelaw"));
        let told =
            |line: &&str| line.contains("not in the listener's `trusted`") && line.contains(own);
        assert_eq!(log.lines().filter(told).count(), 1, "{host}: {log}");
    }
}
