//! Faults while mail is on its way: a bad wire, a black hole, processes killed at every phase. What was sent is counted
//! against what came of it: nothing is lost, and nothing counts as delivered that is not.

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

use super::holder::{Held, Holder, PHASES};
use super::mail::{Message, Stored};
use super::postfix::Client;
use super::rules::{self, Exempt};
use super::sandbox::{sandboxed, sh, tell, until};
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

// Every few runs, with a queue run each second, the client's Postfix lays a message aside for longer than this waits.
#[test]
#[ignore = "in .ci/nightly: the client's own queue manager can make it wait in vain"]
fn net_08_processes_killed_at_every_phase_lose_nothing() {
    sandboxed(|| {
        let lab = Lab::start();
        let Network { mta, .. } = &lab.network;
        let holder = Holder::start();
        let mut danelaw = danelaw::start(mta);
        rules::load(mta, Exempt::Danelaw);
        let client = Client::start_impatient(mta);
        let mut count = Count::default();
        for round in 0..rounds() {
            for phase in PHASES {
                for victim in [Victim::Proxy, Victim::Server, Victim::Client] {
                    let message = Message::to(
                        &format!("{victim:?}.{phase}.{round}@held.test").to_lowercase(),
                    );
                    let awaited = holder.arm(phase);
                    client.send(&message);
                    let held = until(&format!("a session in {phase}"), || awaited.try_recv().ok());
                    danelaw = match victim {
                        Victim::Proxy => {
                            danelaw.kill();
                            danelaw::start(mta)
                        }
                        Victim::Server => {
                            end(held.server);
                            danelaw
                        }
                        Victim::Client => {
                            delivery_agents().into_iter().for_each(end);
                            danelaw
                        }
                    };
                    drop::<Held>(held);
                    settle(&client, &[&message]);
                    let copies = count.add(&client, &message);
                    // RFC 5321 §4.5.3.2.6: an MX host that has the message, and a client that was not told, make two.
                    let may_repeat = phase == "END-OF-MESSAGE" && victim != Victim::Server;
                    assert!(
                        copies == 1 || (may_repeat && copies == 2),
                        "{victim:?} killed in {phase}: {copies} copies"
                    );
                }
            }
        }
        count.report("processes killed at every phase");
    });
}

#[test]
fn net_12_a_bad_wire_with_kills_and_a_black_hole_loses_nothing() {
    sandboxed(|| {
        let lab = Lab::start();
        let Network { mta, world } = &lab.network;
        let mut danelaw = danelaw::start(mta);
        rules::load(mta, Exempt::Danelaw);
        let client = Client::start_impatient(mta);
        let mut count = Count::default();
        let _wire = lab.network.worsen(0.03, 0.002, 0.008, 1);
        for round in 0..2 * rounds() {
            rules::clamp_segments(world, [ORDINARY, TINY][round % 2]);
            let messages: Vec<Message> = GOOD
                .iter()
                .chain(REFUSED)
                .flat_map(|domain| (0..EACH).map(move |n| (domain, n)))
                .map(|(domain, n)| Message::short(&format!("r{round}-{n}@{domain}")))
                .collect();
            messages.iter().for_each(|message| client.send(message));
            until("some of it on its way", || {
                messages
                    .iter()
                    .any(|m| Stored::find(m).is_some())
                    .then_some(())
            });
            rules::black_hole(world);
            until("packets in the black hole", || {
                (rules::counted(world, "hole", "lost") > 20).then_some(())
            });
            rules::mend(world);
            danelaw.kill();
            danelaw = danelaw::start(mta);
            let good: Vec<&Message> = messages.iter().filter(|m| !is_refused(m)).collect();
            settle(&client, &good);
            for message in &messages {
                count.add(&client, message);
            }
        }
        for (what, place) in [("TcpRetransSegs", mta), ("TcpExtTCPOFOQueue", world)] {
            let line = place.sh(&format!("nstat -asz {what} | grep {what}"));
            let seen = line.split_whitespace().nth(1).map(str::parse::<u64>);
            assert!(matches!(seen, Some(Ok(1..))), "the wire is bad: {line}");
        }
        count.report("a bad wire, a black hole, danelaw killed");
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
    fn report(&self, run: &str) {
        let line = format!(
            "{run}: sent {}, delivered {}, deferred {}, duplicated {}, lost {}, falsely accepted {}",
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

/// Waits until these messages are delivered and the client knows it. It tries again by itself.
fn settle(client: &Client<'_>, messages: &[&Message]) {
    for message in messages {
        until(&format!("the end of {}", message.recipient()), || {
            client.unstick();
            let done = Stored::find(message).is_some() && !client.queue_holds(message.recipient());
            done.then_some(())
        });
    }
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
