//! Faults while mail is on its way: a bad wire, a black hole, processes killed at every phase. What was sent is counted
//! against what came of it: nothing is lost, and nothing counts as delivered that is not.

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

use super::holder::{Held, Holder, PHASES};
use super::mail::{Message, Stored};
use super::postfix::Client;
use super::rules::{self, Exempt};
use super::sandbox::{Daemon, Namespace, sandboxed, sh, tell, until};
use super::world::Network;
use super::{Lab, danelaw};

/// Who dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Proxy,
    Server,
    Client,
}

/// What became of many messages.
#[derive(Default)]
struct Count {
    sent: usize,
    delivered: usize,
    deferred: usize,
    duplicated: usize,
    lost: usize,
    falsely_accepted: usize,
}

#[test]
fn net_08_processes_killed_at_every_phase_lose_nothing() {
    sandboxed(|| {
        let lab = Lab::start();
        let Network { mta, .. } = &lab.network;
        let holder = Holder::start();
        let mut danelaw = danelaw::start(mta);
        rules::load(mta, Exempt::Danelaw);
        let client = Client::start(mta);
        let mut count = Count::default();
        for round in 1..=rounds() {
            let mut messages = Vec::new();
            for phase in PHASES {
                for victim in [Victim::Proxy, Victim::Server, Victim::Client] {
                    let message = Message::to(
                        &format!("{victim:?}.{phase}.{round}@held.test").to_lowercase(),
                    );
                    let awaited = holder.arm(phase);
                    client.send(&message);
                    let held = insist(&client, &format!("a session in {phase}"), || {
                        awaited.try_recv().ok()
                    });
                    danelaw = kill(victim, danelaw, mta, &held);
                    drop::<Held>(held);
                    let copies = copies(victim, phase);
                    settle(&client, &[&message], copies);
                    messages.push((message, copies));
                }
            }
            for (message, copies) in &messages {
                let found = count.add(&client, message);
                assert_eq!(found, *copies, "copies of {}", message.recipient());
            }
            count.report("processes killed at every phase", round, rounds());
        }
    });
}

#[test]
fn net_12_a_bad_wire_with_kills_and_a_black_hole_loses_nothing() {
    sandboxed(|| {
        let lab = Lab::start();
        let Network { mta, world } = &lab.network;
        let mut danelaw = danelaw::start(mta);
        rules::load(mta, Exempt::Danelaw);
        let client = Client::start(mta);
        let mut count = Count::default();
        let _wire = lab.network.worsen(0.03, 0.002, 0.008, 1);
        for round in 1..=2 * rounds() {
            rules::clamp_segments(world, [TINY, ORDINARY][round % 2]);
            let messages: Vec<Message> = GOOD
                .iter()
                .chain(REFUSED)
                .flat_map(|domain| (0..EACH).map(move |n| (domain, n)))
                .map(|(domain, n)| Message::short(&format!("r{round}-{n}@{domain}")))
                .collect();
            messages.iter().for_each(|message| client.send(message));
            insist(&client, "some of it on its way", || {
                messages
                    .iter()
                    .any(|m| Stored::find(m).is_some())
                    .then_some(())
            });
            rules::black_hole(world);
            insist(&client, "packets in the black hole", || {
                (rules::counted(world, "hole", "lost") > 20).then_some(())
            });
            rules::mend(world);
            danelaw.kill();
            danelaw = danelaw::start(mta);
            let good: Vec<&Message> = messages.iter().filter(|m| !is_refused(m)).collect();
            settle(&client, &good, 1);
            for message in &messages {
                count.add(&client, message);
            }
            // What is refused would be tried again in all rounds that follow.
            client.forget();
            count.report(
                "a bad wire, a black hole, danelaw killed",
                round,
                2 * rounds(),
            );
        }
        for (what, place) in [("TcpRetransSegs", mta), ("TcpExtTCPOFOQueue", world)] {
            let line = place.sh(&format!("nstat -asz {what} | grep {what}"));
            let seen = line.split_whitespace().nth(1).map(str::parse::<u64>);
            assert!(matches!(seen, Some(Ok(1..))), "the wire is bad: {line}");
        }
    });
}

impl Count {
    /// Adds what became of a message, and tells how many copies of it there are.
    fn add(&mut self, client: &Client<'_>, message: &Message) -> usize {
        let stored = Stored::all(&message.token);
        let queued = client.queue_holds(message.recipient());
        let accepted = client.reports_sent(message.recipient());
        self.sent += 1;
        self.delivered += usize::from(!stored.is_empty());
        self.deferred += usize::from(queued);
        self.duplicated += stored.len().saturating_sub(1);
        self.lost += usize::from(stored.is_empty() && !queued);
        let refused = is_refused(message);
        self.falsely_accepted +=
            usize::from((accepted && stored.is_empty()) || (refused && !stored.is_empty()));
        for copy in &stored {
            copy.fields_above(message);
        }
        stored.len()
    }

    /// Prints the count, and fails where one is not what it has to be.
    fn report(&self, run: &str, round: usize, of: usize) {
        let line = format!(
            "{run}, round {round} of {of}: sent {}, delivered {}, deferred {}, duplicated {}, lost {}, falsely accepted {}",
            self.sent,
            self.delivered,
            self.deferred,
            self.duplicated,
            self.lost,
            self.falsely_accepted
        );
        tell(&line);
        assert!(self.sent > 0, "{line}");
        assert_eq!((self.lost, self.falsely_accepted), (0, 0), "{line}");
        assert_eq!(Stored::bounces().len(), 0, "{line}: bounces");
    }
}

/// Kills one of the three that have a part in the session that is held, and tells which danelaw runs from then on.
fn kill(victim: Victim, danelaw: Daemon, mta: &Namespace, held: &Held) -> Daemon {
    match victim {
        Victim::Proxy => {
            danelaw.kill();
            return danelaw::start(mta);
        }
        Victim::Server => end(held.server),
        Victim::Client => {
            let agents = delivery_agents();
            assert!(!agents.is_empty(), "an agent of the client delivers");
            agents.into_iter().for_each(end);
        }
    }
    danelaw
}

/// How often a message arrives. RFC 5321 §4.5.3.2.6: an MX host that has it, and a client that was not told, make two.
fn copies(victim: Victim, phase: &str) -> usize {
    if phase == "END-OF-MESSAGE" && victim != Victim::Server {
        2
    } else {
        1
    }
}

/// Waits until so many copies of each of these messages are delivered and the client knows it.
fn settle(client: &Client<'_>, messages: &[&Message], copies: usize) {
    for message in messages {
        insist(
            client,
            &format!("the end of {}", message.recipient()),
            || {
                let done = Stored::all(&message.token).len() >= copies;
                (done && !client.queue_holds(message.recipient())).then_some(())
            },
        );
    }
}

/// Waits for something, and makes the client try again and again meanwhile, as its operator would: by itself it does so
/// after minutes.
fn insist<T>(client: &Client<'_>, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    until(what, || {
        let found = probe();
        if found.is_none() {
            client.flush();
        }
        found
    })
}

fn is_refused(message: &Message) -> bool {
    REFUSED
        .iter()
        .any(|domain| message.recipient().ends_with(domain))
}

/// The processes of the client's Postfix that deliver.
fn delivery_agents() -> Vec<Pid> {
    let pids = sh("grep -lx smtp /proc/[0-9]*/comm 2>/dev/null | cut -d/ -f3");
    pids.lines()
        .map(|pid| Pid::from_raw(pid.parse().expect("a process id")))
        .collect()
}

fn end(process: Pid) {
    signal::kill(process, Signal::SIGKILL).expect("a process of this sandbox can be killed");
}

/// How often all of it is done: once for a change, more often at night.
fn rounds() -> usize {
    std::env::var("DANELAW_FAULT_ROUNDS").map_or(1, |rounds| {
        rounds.parse().expect("DANELAW_FAULT_ROUNDS is a number")
    })
}

const GOOD: &[&str] = &["dane.test", "plain.test", "sts.test", "exim-ta.test"];
const REFUSED: &[&str] = &["mismatch.test", "stripped.test"];
const EACH: usize = 4;

/// Maximum segment sizes: TCP's own minimum on Linux, and what an Ethernet gives.
const TINY: u16 = 88;
const ORDINARY: u16 = 1440;
