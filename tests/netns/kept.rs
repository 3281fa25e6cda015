//! Policies that are kept, over time: while record and policy host go wrong or right, while the clock jumps, while many ask at
//! once, and while the disk is full.

use std::collections::BTreeSet;

use nix::sys::signal::{self, Signal};

use super::mail::Message;
use super::postfix::Client;
use super::rules::{self, Exempt};
use super::sandbox::{HOME, Namespace, log_of, read, sandboxed, sh, until, write};
use super::sts::record;
use super::world::Network;
use super::{Lab, danelaw, dns, pki, stays};

/// How the published policy of `sts-wrong.test`, which is cached, goes wrong.
const LOSSES: &[(&str, &[&str], &str)] = &[
    ("the record is gone", &[], ""),
    (
        "the record is doubled",
        &["v=STSv1; id=1;", "v=STSv1; id=2;"],
        "",
    ),
    ("the record is malformed", &["v=STSv1; id=-"], ""),
    (
        "a new id, and no policy",
        &["v=STSv1; id=2;"],
        "return 404;",
    ),
    (
        "a new id, and a policy that is none",
        &["v=STSv1; id=3;"],
        "default_type text/plain; return 200 \"mode: none\\n\";",
    ),
    (
        "a new id, and a policy that has moved",
        &["v=STSv1; id=4;"],
        "return 302 https://mta-sts.sts.test/;",
    ),
];

#[test]
fn sts_01_sts_07_what_is_cached_stays_in_force_over_restarts_whatever_becomes_of_record_and_host() {
    sandboxed(|| {
        let lab = Lab::start();
        let Network { mta, world } = &lab.network;
        rules::load(mta, Exempt::Danelaw);
        let client = Client::start(mta);
        let daemon = danelaw::start(mta);
        let first = Message::short("first@sts-wrong.test");
        client.send(&first);
        stays(
            &client,
            "the policy is fetched",
            &first,
            &["451 4.7.5", "sts-cert"],
        );
        daemon.stop();
        for (number, (case, texts, answer)) in LOSSES.iter().enumerate() {
            publish(&lab, world, texts, answer);
            let daemon = danelaw::start(mta);
            let message = Message::short(&format!("n{number}@sts-wrong.test"));
            client.send(&message);
            stays(&client, case, &message, &["451 4.7.5", "sts-cert"]);
            daemon.stop();
        }
        // What was never known is not in force: the last of them, without the store.
        sh(&format!("rm {HOME}/danelaw/state/danelaw.db*"));
        let _daemon = danelaw::start(mta);
        let last = Message::short("last@sts-wrong.test");
        client.send(&last);
        until("delivery without a policy", || {
            client.reports_sent(last.recipient()).then_some(())
        });
    });
}

/// RFC 8461 §10.3: whoever once had the domain has left a policy that lasts.
#[test]
fn attack_sts_08_a_domain_that_publishes_a_new_policy_is_served_by_it_at_the_next_contact() {
    sandboxed(|| {
        let lab = Lab::start();
        let Network { mta, world } = &lab.network;
        rules::load(mta, Exempt::Danelaw);
        publish(&lab, world, &["v=STSv1; id=1;"], "");
        let client = Client::start(mta);
        let _daemon = danelaw::start(mta);
        let message = Message::short("first@sts-wrong.test");
        client.send(&message);
        stays(
            &client,
            "the policy that was left",
            &message,
            &["451 4.7.5", "sts-cert"],
        );
        publish(
            &lab,
            world,
            &["v=STSv1; id=2;"],
            "default_type text/plain; return 200 \"version: STSv1\\nmode: none\\nmax_age: 86400\\n\";",
        );
        // The next contact is refused by what was known, and asks; the one after it knows.
        until("delivery by the new policy", || {
            client.flush();
            client.reports_sent(message.recipient()).then_some(())
        });
    });
}

#[test]
fn attack_sts_11_many_first_contacts_at_once_fetch_the_policy_once() {
    const MESSAGES: usize = 16;
    sandboxed(|| {
        let lab = Lab::start();
        let Network { mta, world } = &lab.network;
        write(
            "nginx/slow",
            "version: STSv1\nmode: enforce\nmx: mx.sts-wrong.test\nmax_age: 86401\n",
        );
        publish(
            &lab,
            world,
            &["v=STSv1; id=2;"],
            &format!("default_type text/plain; limit_rate 40; alias {HOME}/nginx/slow;"),
        );
        let before = fetches();
        rules::load(mta, Exempt::Danelaw);
        let client = Client::start(mta);
        let _daemon = danelaw::start(mta);
        let messages: Vec<Message> = (0..MESSAGES)
            .map(|number| Message::short(&format!("n{number}@sts-wrong.test")))
            .collect();
        for message in &messages {
            client.send(message);
        }
        for message in &messages {
            stays(&client, "the policy", message, &["451 4.7.5", "sts-cert"]);
        }
        assert_eq!(fetches() - before, 1);
    });
}

/// How often the policy host of `sts-wrong.test`, and no other, has been asked.
fn fetches() -> usize {
    read(format!("{HOME}/log/nginx-access"))
        .lines()
        .filter(|line| line.contains("danelaw"))
        .count()
}

#[test]
fn attack_sts_12_neither_a_jump_of_the_clock_nor_a_restart_after_it_loosens_what_is_kept() {
    sandboxed(|| {
        let lab = Lab::start();
        let Network { mta, world } = &lab.network;
        rules::load(mta, Exempt::Danelaw);
        let client = Client::start(mta);
        let set = |clock: &str| write("danelaw/clock", clock);
        let clock = set("+0");
        let daemon = danelaw::start_by(mta, &clock);
        let refused = |recipient: &str, case: &str| {
            let message = Message::short(recipient);
            client.send(&message);
            stays(&client, case, &message, &["451 4.7.5", "sts-cert"]);
        };
        refused("now@sts-wrong.test", "the policy is fetched");
        // It lives for a day.
        set("+25h");
        refused("later@sts-wrong.test", "expired, it is fetched again");
        publish(&lab, world, &[], "return 404;");
        set("+0");
        refused("back@sts-wrong.test", "fetched in what is the future now");
        daemon.stop();
        let daemon = danelaw::start_by(mta, &clock);
        refused("again@sts-wrong.test", "found so at a start");
        set("+24h");
        refused("forth@sts-wrong.test", "not yet a day after the last fetch");
        // Expired, there is none, and none can be had.
        set("+60h");
        let last = Message::short("last@sts-wrong.test");
        client.send(&last);
        until("delivery without a policy", || {
            client.reports_sent(last.recipient()).then_some(())
        });
        daemon.stop();
    });
}

#[test]
fn attack_sts_09_on_a_full_disk_a_policy_is_in_force_and_is_written_once_there_is_room() {
    sandboxed(|| {
        let lab = Lab::start();
        let Network { mta, world } = &lab.network;
        sh(&format!(
            "install -d {HOME}/danelaw/state; mount -t tmpfs -o size=1m tmpfs {HOME}/danelaw/state"
        ));
        rules::load(mta, Exempt::Danelaw);
        let client = Client::start(mta);
        let daemon = danelaw::start(mta);
        sh(&format!(
            "cat /dev/zero >{HOME}/danelaw/state/filler 2>/dev/null || true"
        ));
        let refused = |recipient: &str, case: &str| {
            let message = Message::short(recipient);
            client.send(&message);
            stays(&client, case, &message, &["451 4.7.5", "sts-cert"]);
        };
        refused("full@sts-wrong.test", "the disk is full");
        until("a warning", || {
            read(log_of("danelaw")).contains("full").then_some(())
        });
        refused("still@sts-wrong.test", "the policy is in memory");
        sh(&format!("rm {HOME}/danelaw/state/filler"));
        until("the policy on the disk", || {
            let kept = sh(&format!(
                "{} policy list --config {HOME}/danelaw/danelaw.toml --json || true",
                env!("CARGO_BIN_EXE_danelaw")
            ));
            kept.contains("sts-wrong.test").then_some(())
        });
        daemon.kill();
        publish(&lab, world, &[], "return 404;");
        let _daemon = danelaw::start(mta);
        refused("after@sts-wrong.test", "killed and started");
    });
}

/// Lets the domain's record and its policy host say something else.
pub(crate) fn publish(lab: &Lab, world: &Namespace, texts: &[&str], answer: &str) {
    let zone = format!("{HOME}/dns/sts-wrong.test.zone");
    let kept: String = read(&zone)
        .lines()
        .filter(|line| !line.contains(" TXT "))
        .map(|line| format!("{line}\n"))
        .collect();
    let records: String = texts
        .iter()
        // danelaw is to look again, and not at what it was told before.
        .map(|text| format!("_mta-sts.sts-wrong.test. 1 {}\n", record(text)))
        .collect();
    write("dns/sts-wrong.test.zone", kept + &records);
    if !answer.is_empty() {
        let conf = read(format!("{HOME}/nginx/nginx.conf"));
        let (before, rest) = conf
            .split_once("server_name mta-sts.sts-wrong.test;")
            .expect("its block");
        let (head, rest) = rest.split_once("mta-sts.txt {").expect("its location");
        let (_, after) = rest.split_once("} }").expect("its end");
        write(
            "nginx/nginx.conf",
            format!(
                "{before}server_name mta-sts.sts-wrong.test;{head}mta-sts.txt {{ {answer} }} }}{after}"
            ),
        );
    }
    let before = served(world);
    for server in ["nsd", "unbound", "nginx"] {
        signal::kill(lab.server(server).pid(), Signal::SIGHUP).expect("it runs");
    }
    let expected: BTreeSet<String> = texts.iter().map(|text| format!("{text:?}")).collect();
    until("the new record", || {
        let said = world.sh(&format!(
            "dig +short @{} _mta-sts.sts-wrong.test TXT || true",
            dns::RESOLVER
        ));
        let said: BTreeSet<String> = said.lines().map(str::to_owned).collect();
        (said == expected).then_some(())
    });
    if !answer.is_empty() {
        until("the new answer", || (served(world) != before).then_some(()));
    }
}

/// The status and the body that the policy host answers with.
fn served(world: &Namespace) -> String {
    let url = "https://mta-sts.sts-wrong.test/.well-known/mta-sts.txt";
    world.sh(&format!(
        "curl -sS -w '%{{http_code}}' --cacert {} {url} || true",
        pki::CA
    ))
}
