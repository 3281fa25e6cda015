//! danelaw between real programs: Postfix as the MTA, Postfix, Exim and chasquid as the MX hosts, NSD, Unbound and nginx for what
//! their domains publish, netfilter for the interception. `tests/README.md` tells how to run and read these tests.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test crate of its own: it does IO, and a panic is how a test fails"
)]

mod capture;
mod chasquid;
mod clients;
mod danelaw;
mod dma;
mod dns;
mod doctor;
mod exim;
mod faults;
#[cfg(feature = "lab")]
mod finger;
mod gateway;
mod holder;
mod kept;
mod loops;
mod mail;
mod opensmtpd;
mod pki;
mod policy_host;
mod postfix;
mod rules;
mod sandbox;
mod sts;
mod world;

use capture::Capture;
use mail::{Message, Stored};
use postfix::Client;
use rules::Exempt;
use sandbox::{Daemon, Namespace, all_logs, sandboxed, until};
use world::{DOMAINS, Network, Signing, Sts, Tls, Tlsa, exchangers};

/// What becomes of a message that an unsuspecting Postfix sends through danelaw.
enum Expected {
    /// An MX host takes it; its trace field says these things.
    Delivered(&'static [&'static str]),
    /// It stays in the client's queue, and the reason contains these words.
    Deferred(&'static [&'static str]),
}
use Expected::{Deferred, Delivered};

const DELIVERIES: &[(&str, &str, Expected)] = &[
    (
        "DANE-EE matches, over IPv4",
        "v4.good@dane.test",
        Delivered(&["by mx.dane.test", OVER_V4, POSTFIX_TLS]),
    ),
    (
        "DANE-EE matches, over IPv6",
        "v6.good@dane.test",
        Delivered(&["by mx.dane.test", OVER_V6, POSTFIX_TLS]),
    ),
    (
        "the only MX host has no IPv4 address",
        "six@six.test",
        Delivered(&["by mx.six.test", "[IPv6:fd09:1::2]", POSTFIX_TLS]),
    ),
    (
        "the first MX host's TLSA record differs, the second one's matches, over IPv4",
        "v4.next@second.test",
        Delivered(&["by exim.test", OVER_V4, EXIM_TLS]),
    ),
    (
        "the first MX host's TLSA record differs, the second one's matches, over IPv6",
        "v6.next@second.test",
        Delivered(&["by exim.test", OVER_V6, EXIM_TLS]),
    ),
    (
        "the first MX host is refused on both families, and Postfix may go on after two sessions",
        "all.next@second.test",
        Delivered(&["by exim.test", EXIM_TLS]),
    ),
    (
        "DANE-TA matches, TLS by OpenSSL",
        "good@postfix-ta.test",
        Delivered(&["by mx.postfix-ta.test", POSTFIX_TLS]),
    ),
    (
        "DANE-TA matches, TLS by GnuTLS",
        "good@exim-ta.test",
        Delivered(&["by exim.test", EXIM_TLS]),
    ),
    (
        "DANE-EE matches, TLS by Go",
        "good@chasquid.test",
        Delivered(&["(chasquid) with ESMTPS", CHASQUID_TLS]),
    ),
    (
        "DANE-TA matches, TLS by Go",
        "good@chasquid-ta.test",
        Delivered(&["(chasquid) with ESMTPS", CHASQUID_TLS]),
    ),
    (
        "the only MX host's TLSA record differs, over IPv4",
        "v4.no@mismatch.test",
        Deferred(&["451 4.7.5", "dane-mismatch"]),
    ),
    (
        "the only MX host's TLSA record differs, over IPv6",
        "v6.no@mismatch.test",
        Deferred(&["451 4.7.5", "dane-mismatch"]),
    ),
    (
        "a TLSA record, but no STARTTLS",
        "no@stripped.test",
        Deferred(&["451 4.7.4", "starttls-required"]),
    ),
    (
        "the domain's signatures ran out",
        "no@bogus.test",
        Deferred(&["451 4.4.3", "dnssec-bogus"]),
    ),
    (
        "MTA-STS enforced and satisfied",
        "good@sts.test",
        Delivered(&["by mx.sts.test", POSTFIX_TLS]),
    ),
    (
        "MTA-STS enforced, the certificate names another host",
        "no@sts-wrong.test",
        Deferred(&["451 4.7.5", "sts-cert"]),
    ),
    (
        "MTA-STS enforced, the first MX host's certificate names another host, the second one's does not",
        "v4.next@sts-second.test",
        Delivered(&["by mx2.sts-second.test", OVER_V4, POSTFIX_TLS]),
    ),
    (
        "sender audit a: MTA-STS as it should be",
        "v4.a@audit-a.test",
        Delivered(&["by mx.audit-a.test", OVER_V4, POSTFIX_TLS]),
    ),
    (
        "sender audit b: MTA-STS enforced, no STARTTLS",
        "b@audit-b.test",
        Deferred(&["451 4.7.4", "starttls-required"]),
    ),
    (
        "sender audit c: the same as a, over IPv6",
        "c@audit-c.test",
        Delivered(&["by mx.audit-c.test", "[IPv6:fd09:1::2]", POSTFIX_TLS]),
    ),
    (
        "sender audit d: MTA-STS enforced, a certificate by nobody",
        "d@audit-d.test",
        Deferred(&["451 4.7.5", "sts-cert"]),
    ),
    (
        "sender audit e: MTA-STS, and a host that takes nothing without TLS",
        "e@audit-e.test",
        Delivered(&["by mx.audit-e.test", "[IPv6:fd09:1::2]", POSTFIX_TLS]),
    ),
    (
        "sender audit f: an old host without TLS and without a policy",
        "f@audit-f.test",
        Delivered(&["by mx.audit-f.test", "(Postfix) with ESMTP id"]),
    ),
    (
        "no policy, STARTTLS offered, over IPv4",
        "v4.plain@plain.test",
        Delivered(&["by exim.test", OVER_V4, EXIM_TLS]),
    ),
    (
        "no policy, STARTTLS offered, over IPv6",
        "v6.plain@plain.test",
        Delivered(&["by exim.test", OVER_V6, EXIM_TLS]),
    ),
    (
        "no policy, no STARTTLS",
        "clear@clear.test",
        Delivered(&["by mx.clear.test", "(Postfix) with ESMTP id"]),
    ),
];

#[test]
fn sts_68_sts_71_postfix_through_danelaw_gets_what_each_domain_demands() {
    sandboxed(|| {
        let lab = Lab::start();
        let Network { mta, world } = &lab.network;
        let capture = Capture::start(world);
        let _danelaw = danelaw::start(mta);
        rules::load(mta, Exempt::Danelaw);
        let client = Client::start(mta);
        let messages = send_all(&client);
        all_fare_as_expected(&client, &messages);
        let leaked = rules::counted(mta, "danelaw_guard", "leaked");
        assert_eq!(leaked, 0, "connections that went past the redirect");
        // Last on the wire: once the capture has it, it has all that came before.
        let last = Message::to("last@clear.test");
        client.send(&last);
        until("the last message in the capture", || {
            capture.saw(&last.token).then_some(())
        });
        nothing_in_clear_but_what_may(&capture.stop(), &messages);
    });
}

/// The client's own leg changes nothing: what is demanded of the MX hosts, and what the client hears, is the same.
#[test]
fn tls_9_a_postfix_that_insists_on_tls_gets_the_same_through_the_local_ca() {
    sandboxed(|| {
        let lab = Lab::start();
        let Network { mta, .. } = &lab.network;
        let _danelaw = danelaw::start_with_ca(mta);
        rules::load(mta, Exempt::Danelaw);
        let client = Client::start_insisting(mta, danelaw::CA);
        let messages = send_all(&client);
        all_fare_as_expected(&client, &messages);
        let log = sandbox::read(sandbox::log_of("client"));
        for host in ["mx.dane.test", "mx.clear.test", "mx.mismatch.test"] {
            let verified = format!("Verified TLS connection established to {host}[");
            assert!(log.contains(&verified), "{host}");
        }
        for distrust in ["Untrusted TLS", "Trusted TLS", "Anonymous TLS"] {
            assert!(!log.contains(distrust), "{distrust}");
        }
    });
}

#[test]
fn net_02_a_direct_connection_to_the_listener_is_refused() {
    sandboxed(|| {
        let lab = Lab::start();
        let Network { mta, .. } = &lab.network;
        let _danelaw = danelaw::start(mta);
        rules::load(mta, Exempt::Danelaw);
        for host in ["127.0.0.1", "::1"] {
            let said = lab.hear(host, 10225);
            assert!(said.starts_with("421 "), "{host}: {said:?}");
            assert_eq!(
                said.lines().count(),
                1,
                "{host}: refused and closed: {said:?}"
            );
        }
    });
}

#[test]
fn dn_25_a_client_elsewhere_is_not_taken_though_the_network_leads_it_to_the_socks_listener() {
    sandboxed(|| {
        let lab = Lab::start();
        let Network { mta, world } = &lab.network;
        let _danelaw = danelaw::start_with_socks(mta);
        // The mistake of an operator, or a neighbour's packets: what comes from outside arrives at loopback.
        rules::lead_to_loopback(mta, danelaw::SOCKS);
        let offered = |from: &Namespace, host: &str| {
            let script = format!(
                "exec 3<>/dev/tcp/{host}/1080; printf '\\005\\001\\000' >&3; head -c 2 <&3 | od -An -tx1"
            );
            let mut command = from.command("timeout");
            let output = command.args(["60", "bash", "-c", &script]).output();
            let answer = output.expect("bash runs").stdout;
            String::from_utf8_lossy(&answer).trim().to_owned()
        };
        assert_eq!(offered(mta, "127.0.0.1"), "05 00", "a client on this host");
        assert_eq!(offered(world, "10.9.1.2"), "", "one elsewhere");
        let log = sandbox::read(sandbox::log_of("danelaw"));
        let is_told = |line: &str| {
            line.contains("a client that is not on this host") && line.contains("10.9.1.1:")
        };
        assert!(log.lines().any(is_told), "{log}");
    });
}

#[test]
fn net_05_net_06_without_danelaw_or_its_redirect_mail_waits() {
    sandboxed(|| {
        let lab = Lab::start();
        let Network { mta, world } = &lab.network;
        rules::count_arrivals(world);
        let danelaw = danelaw::start(mta);
        rules::load(mta, Exempt::Danelaw);
        let client = Client::start(mta);
        let first = Message::to("first@plain.test");
        client.send(&first);
        arrives(&client, "all is in place", &first, &["by exim.test"]);
        let arrived = rules::counted(world, "arrivals", "smtp");
        assert!(arrived > 0, "the world counts what arrives");

        danelaw.stop();
        let stopped = Message::to("stopped@plain.test");
        client.send(&stopped);
        stays(
            &client,
            "danelaw is down, its rules stand",
            &stopped,
            &["Connection refused"],
        );

        let _danelaw = danelaw::start(mta);
        rules::lose_redirect(mta);
        let unruled = ["v4.unruled@plain.test", "v6.unruled@plain.test"].map(Message::to);
        for message in &unruled {
            client.send(message);
            stays(
                &client,
                "the redirect is lost, its guard stands",
                message,
                &["Connection refused"],
            );
        }
        let leaked = rules::counted(mta, "danelaw_guard", "leaked");
        assert_eq!(
            leaked, 2,
            "the guard turned away one connection for each family"
        );
        let meanwhile = rules::counted(world, "arrivals", "smtp") - arrived;
        assert_eq!(meanwhile, 0, "connections that reached the world meanwhile");

        rules::load(mta, Exempt::Danelaw);
        client.flush();
        for message in [&stopped].into_iter().chain(&unruled) {
            until("delivery once all is in place again", || {
                Stored::find(message)
            });
        }
    });
}

#[test]
fn net_01_danelaws_own_connection_taken_over_again_ends_the_session() {
    sandboxed(|| {
        let lab = Lab::start();
        let Network { mta, world } = &lab.network;
        rules::count_arrivals(world);
        let danelaw = danelaw::start(mta);
        let idle = danelaw::descriptors(&danelaw);
        rules::load(mta, Exempt::Nobody);
        for (dials, address) in [(1, "192.0.2.31"), (2, "2001:db8::31")] {
            let said = lab.hear(address, 25);
            // The hop that is found out says 4.4.6; the one before it passes that on as its destination's greeting.
            let refused = said.starts_with("421 ") && said.contains("421 4.4.6 loop");
            assert!(refused, "{address}: {said:?}");
            let hops = rules::counted(mta, "danelaw", "redirected");
            assert!(
                hops <= dials * HOPS,
                "{dials} dials made {hops} connections: no loop was cut"
            );
        }
        until("danelaw to let go of the looped sessions", || {
            (danelaw::descriptors(&danelaw) <= idle).then_some(())
        });
        assert_eq!(
            rules::counted(world, "arrivals", "smtp"),
            0,
            "connections that left the host"
        );

        rules::load(mta, Exempt::Danelaw);
        let greeting = lab.hear("192.0.2.31", 25);
        assert!(
            greeting.starts_with("220 "),
            "the rule is mended, and it serves: {greeting:?}"
        );
    });
}

#[test]
fn control_the_lab_is_what_it_claims_to_be() {
    sandboxed(|| {
        let lab = Lab::start();
        let mta = &lab.network.mta;
        for domain in DOMAINS {
            let (name, resolver, anchor) = (domain.name, dns::RESOLVER, dns::DELV_ANCHOR);
            let answer = mta.sh(&format!(
                "delv @{resolver} -a {anchor} +root=. {name} MX 2>&1 || true"
            ));
            let expected = match domain.signing {
                Signing::Signed => "; fully validated",
                Signing::Unsigned => "; unsigned answer",
                Signing::Expired => "RRSIG has expired",
            };
            assert!(answer.contains(expected), "{name}: {answer}");
            if domain.sts == Sts::Enforce {
                let url = format!("https://mta-sts.{name}/.well-known/mta-sts.txt");
                let policy = mta.sh(&format!("curl -sS --cacert {} {url}", pki::CA));
                assert!(
                    policy.starts_with("version: STSv1\r\nmode: enforce\r\nmx: "),
                    "{policy}"
                );
            }
        }
    });
}

#[test]
fn control_openssl_agrees_with_the_tlsa_records() {
    sandboxed(|| {
        let lab = Lab::start();
        // Without it the MX host that asks it answers nobody.
        let _holder = holder::Holder::start();
        for (domain, exchanger) in exchangers().filter(|(_, exchanger)| exchanger.tls != Tls::None)
        {
            let Some(tlsa) = pki::tlsa_of(exchanger) else {
                continue;
            };
            let host = exchanger.host(domain);
            for address in exchanger.addresses() {
                // RFC 7672 §3.1.1: with usage 3 the name in the certificate does not count.
                let verdict = lab.network.mta.sh(&format!(
                    "echo QUIT | openssl s_client -starttls smtp -connect {address}:25 -brief \
                    -dane_tlsa_domain {host} -dane_tlsa_rrdata '{tlsa}' -dane_ee_no_namechecks 2>&1 || true"
                ));
                let expected = match exchanger.tlsa {
                    Tlsa::Matching | Tlsa::Anchored => "Verification: OK",
                    Tlsa::Differing => "Verification error",
                    Tlsa::Absent => unreachable!("no record was made"),
                };
                assert!(verdict.contains(expected), "{host} at {address}: {verdict}");
            }
        }
    });
}

/// The same mail with nothing in its way: where danelaw defers, Postfix alone would have delivered, and the readable
/// part of the wire is larger.
#[test]
fn control_without_danelaw_postfix_delivers_to_every_domain() {
    sandboxed(|| {
        let lab = Lab::start();
        let client = Client::start(&lab.network.mta);
        let capture = Capture::start(&lab.network.world);
        let messages = send_all(&client);
        for ((case, _, expected), message) in DELIVERIES.iter().zip(&messages) {
            // Alone it stops at the first MX host, and what arrives must otherwise look as it does through danelaw.
            let traces = match expected {
                Delivered(traces) if !message.recipient().ends_with("second.test") => traces,
                Delivered(_) | Deferred(_) => &[][..],
            };
            arrives(&client, case, message, traces);
        }
        let stripped = messages
            .iter()
            .find(|message| message.recipient().ends_with("@stripped.test"));
        let token = &stripped.expect("a row of the table").token;
        until("a message in clear in the capture", || {
            capture.saw(token).then_some(())
        });
    });
}

/// All of the world but danelaw.
struct Lab {
    network: Network,
    servers: Vec<Daemon>,
}

impl Lab {
    fn start() -> Self {
        Self::on(Network::new())
    }

    /// The same with a gateway between the MTA and the world.
    fn behind_gateway() -> (Self, Namespace) {
        let (network, gateway) = Network::with_gateway();
        (Self::on(network), gateway)
    }

    fn on(network: Network) -> Self {
        pki::make(&policy_host::names());
        dns::publish();
        let mut servers = Vec::from(dns::serve(&network.world));
        servers.push(policy_host::serve(&network.world));
        servers.extend(mail::serve(&network.world));
        Self { network, servers }
    }

    /// One of its servers.
    fn server(&self, name: &str) -> &Daemon {
        let mut servers = self.servers.iter();
        servers
            .find(|server| server.name() == name)
            .expect("it was started")
    }

    /// All that a server says to a client on the MTA's host that says nothing: a greeting, after which this client goes
    /// away, or a refusal up to its close.
    fn hear(&self, host: &str, port: u16) -> String {
        hear_from(&self.network.mta, host, port)
    }
}

/// The same to a client on any host.
fn hear_from(place: &Namespace, host: &str, port: u16) -> String {
    let script = format!(
        "exec 3<>/dev/tcp/{host}/{port}; read -r line <&3; echo \"$line\"
            [[ $line = 2* ]] || cat <&3"
    );
    let mut command = place.command("timeout");
    let output = command
        .args(["60", "bash", "-c", &script])
        .output()
        .expect("bash runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", all_logs());
        }
    }
}

fn send_all(client: &Client<'_>) -> Vec<Message> {
    let messages: Vec<Message> = DELIVERIES
        .iter()
        .map(|(_, recipient, _)| Message::to(recipient))
        .collect();
    messages.iter().for_each(|message| client.send(message));
    messages
}

fn all_fare_as_expected(client: &Client<'_>, messages: &[Message]) {
    for ((case, _, expected), message) in DELIVERIES.iter().zip(messages) {
        match expected {
            Delivered(traces) => arrives(client, case, message, traces),
            Deferred(words) => stays(client, case, message, words),
        }
    }
}

fn arrives(client: &Client<'_>, case: &str, message: &Message, traces: &[&str]) {
    let stored = until(
        &format!("{case}: delivery to {}", message.recipient()),
        || {
            let reason = client.deferral(message.recipient());
            assert!(
                reason.is_none(),
                "{case}: {} is deferred: {reason:?}",
                message.recipient()
            );
            Stored::find(message)
        },
    );
    let received = stored.received();
    for trace in traces {
        assert!(
            received.contains(trace),
            "{case}: no {trace:?} in {received:?}"
        );
    }
    // A field that danelaw had added would stand between the MX host's and the client's.
    let expected: &[&str] = if received.contains("by exim.test") {
        &["Received", "Received"]
    } else if received.contains("(chasquid)") {
        &["Received-SPF", "Received", "Received"]
    } else {
        &[
            "Return-Path",
            "X-Original-To",
            "Delivered-To",
            "Received",
            "Received",
        ]
    };
    assert_eq!(stored.fields_above(message), expected, "{case}");
}

fn stays(client: &Client<'_>, case: &str, message: &Message, words: &[&str]) {
    let reason = until(
        &format!("{case}: deferral of {}", message.recipient()),
        || {
            assert!(
                Stored::find(message).is_none(),
                "{case}: {} was delivered",
                message.recipient()
            );
            client.deferral(message.recipient())
        },
    );
    for word in words {
        assert!(reason.contains(word), "{case}: no {word:?} in {reason:?}");
    }
    assert!(
        Stored::find(message).is_none(),
        "{case}: {} was delivered",
        message.recipient()
    );
}

/// Only mail for the domains without STARTTLS and without a policy may be read off the wire: of all other messages
/// neither content nor envelope.
fn nothing_in_clear_but_what_may(capture: &[u8], messages: &[Message]) {
    for message in messages {
        let readable = [message.token.as_str(), message.recipient()]
            .map(|needle| memchr::memmem::find(capture, needle.as_bytes()).is_some());
        let may = ["@clear.test", "@audit-f.test"]
            .iter()
            .any(|domain| message.recipient().ends_with(domain));
        assert_eq!(
            readable,
            [may, may],
            "{}: content, envelope in clear",
            message.recipient()
        );
    }
}

/// Host numbers beside those of the MX hosts.
const HOSTS: [u8; 4] = [
    dns::AUTHORITY,
    dns::RESOLVER_NUMBER,
    policy_host::NUMBER,
    sts::NUMBER,
];

/// Connections that one looped dial may cost: itself, danelaw's own that comes back, and one more that was under way
/// before the first was recognised.
const HOPS: u64 = 3;

/// The addresses that the client chose for these messages: the MX hosts see them, not danelaw's choice.
const OVER_V4: &str = "[10.9.1.3]";
const OVER_V6: &str = "fd09:1::3]";
const POSTFIX_TLS: &str = "(using TLSv1.3 with cipher ";
const EXIM_TLS: &str = "with esmtps (TLS1.3)";
const CHASQUID_TLS: &str = "TLS-1.3";
