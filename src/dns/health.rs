//! Whether DNSSEC validation works, found out by asking: a name that must validate and names that must not.
//!
//! [`Monitor::watch`] asks at start and from then on, more often while something is wrong; what the answers mean is
//! decided in [`state`], without IO. [`Gated`](super::gate::Gated) holds every other answer against it. A change is
//! logged once, however many probes confirm it.
#![expect(clippy::disallowed_methods, reason = "IO: waits between probes")]

pub mod question;
pub mod state;

use std::convert::Infallible;
use std::fmt;
use std::mem::discriminant;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join, join_all, pending};
use tokio::sync::watch;
use tracing::{debug, info, warn};

use self::question::Question;
use self::state::{Finding, Health, Round};
use super::resolver::Resolver;
use crate::clock::Clock;

/// What is asked, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probes {
    /// A name that must validate.
    pub good: Option<Question>,
    /// Names of which at least one must not.
    pub bogus: Vec<Question>,
    /// From one round to the next, while all is well.
    pub interval: Duration,
}

/// Asks, and remembers what came of it.
pub struct Monitor {
    probes: Probes,
    ask: Box<Ask>,
    clock: Arc<dyn Clock>,
    health: watch::Sender<Health>,
}

/// How a probe is asked.
type Ask = dyn Fn(&Question) -> BoxFuture<'static, Finding> + Send + Sync;

impl Monitor {
    /// Watches `resolver`; nothing is asked yet.
    #[must_use]
    pub fn new(resolver: Arc<Resolver>, probes: Probes, clock: Arc<dyn Clock>) -> Self {
        let ask = move |question: &Question| {
            let (resolver, question) = (Arc::clone(&resolver), question.clone());
            async move {
                let (name, record_type) = (question.name(), question.record_type());
                match resolver.explain(&name, &record_type).await {
                    Ok(explained) => Finding::of(&explained.resolved.answer, explained.skew),
                    Err(error) => Finding::Unreachable(error.to_string()),
                }
            }
            .boxed()
        };
        Self::asking(Box::new(ask), probes, clock)
    }

    /// One that has nothing to ask.
    #[cfg(test)]
    pub(crate) fn off() -> Self {
        let ask = |_: &Question| pending().boxed();
        let clock = Arc::new(crate::clock::SystemClock);
        Self::asking(Box::new(ask), Probes::off(), clock)
    }

    fn asking(ask: Box<Ask>, probes: Probes, clock: Arc<dyn Clock>) -> Self {
        let start = if probes.are_off() {
            Health::Off
        } else {
            Health::Unknown
        };
        Self {
            probes,
            ask,
            clock,
            health: watch::Sender::new(start),
        }
    }

    /// Are these the probes?
    #[must_use]
    pub fn asks(&self, probes: &Probes) -> bool {
        self.probes == *probes
    }

    /// The state as of the last round.
    #[must_use]
    pub fn health(&self) -> Health {
        self.health.borrow().clone()
    }

    /// The state, once there is one.
    pub async fn known(&self) -> Health {
        let mut health = self.health.subscribe();
        let known = health.wait_for(|health| *health != Health::Unknown).await;
        // It cannot close: the sender is ours.
        known.map_or(Health::Unknown, |health| health.clone())
    }

    /// Probes from time to time, without end.
    pub async fn watch(&self) -> Infallible {
        if self.probes.are_off() {
            return pending().await;
        }
        let mut faulty_rounds = 0;
        loop {
            let health = self.probe().await;
            faulty_rounds = match health.broken() {
                Some(_) => u32::saturating_add(faulty_rounds, 1),
                None => 0,
            };
            tokio::time::sleep(pause(faulty_rounds, self.probes.interval)).await;
        }
    }

    /// Asks everything once, all at the same time, so that it takes no longer than one lookup may.
    pub async fn probe(&self) -> Health {
        if self.probes.are_off() {
            return Health::Off;
        }
        let good = self.probes.good.iter().map(|question| self.ask(question));
        let bogus = self.probes.bogus.iter().map(|question| self.ask(question));
        let (good, bogus) = join(join_all(good), join_all(bogus)).await;
        let round = Round {
            good: good.into_iter().next(),
            bogus,
        };
        debug!(?round, "probes of DNSSEC validation");
        let before = self.health();
        let after = before.after(&round, self.clock.wall());
        tell(&before, &after);
        self.health.send_replace(after.clone());
        after
    }

    async fn ask(&self, question: &Question) -> (Question, Finding) {
        (question.clone(), (self.ask)(question).await)
    }
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitor")
            .field("probes", &self.probes)
            .field("health", &self.health)
            .finish_non_exhaustive()
    }
}

impl Probes {
    #[cfg(test)]
    const fn off() -> Self {
        Self {
            good: None,
            bogus: Vec::new(),
            interval: SHORTEST_PAUSE,
        }
    }

    const fn are_off(&self) -> bool {
        self.good.is_none() && self.bogus.is_empty()
    }
}

/// What a change of state is worth in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    /// Something new is wrong.
    Broken,
    /// Nothing is any more.
    Recovered,
}

fn news(before: &Health, after: &Health) -> Option<News> {
    match (before.broken(), after.broken()) {
        (_, None) => before.broken().map(|_| News::Recovered),
        (None, Some(_)) => Some(News::Broken),
        (Some(before), Some(after)) => {
            let same = discriminant(&before.why) == discriminant(&after.why);
            (!same).then_some(News::Broken)
        }
    }
}

fn tell(before: &Health, after: &Health) {
    match (news(before, after), after.broken()) {
        (Some(News::Broken), Some(broken)) if broken.why.closes() => {
            warn!(why = %broken.why, "DNSSEC validation does not work: all mail is deferred until it does");
        }
        (Some(News::Broken), Some(broken)) => {
            warn!(why = %broken.why, "DNS does not work: mail is deferred where it fails");
        }
        (Some(News::Recovered), _) => info!("DNSSEC validation works again"),
        (Some(News::Broken) | None, _) => {}
    }
}

/// Short while something is wrong, so that mail does not wait for the next round; longer the longer it stays wrong.
fn pause(faulty_rounds: u32, interval: Duration) -> Duration {
    let Some(doublings) = faulty_rounds.checked_sub(1) else {
        return interval;
    };
    let factor = 2_u32.saturating_pow(doublings);
    SHORTEST_PAUSE.saturating_mul(factor).min(interval)
}

const SHORTEST_PAUSE: Duration = Duration::from_secs(15);

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use super::state::{Direction, Skew};
    use super::*;
    use crate::clock::Timestamp;
    use crate::dns::proof::Flaw;

    /// 2026-01-01T00:00:00Z, for ever.
    struct Still;

    impl Clock for Still {
        fn wall(&self) -> Timestamp {
            Timestamp::from_unix(1_767_225_600)
        }
    }

    fn good() -> Question {
        ". SOA".parse().unwrap()
    }

    fn forged() -> Question {
        "forged.example A".parse().unwrap()
    }

    /// A monitor whose good name fares like this, round by round, and whose bogus name is always rejected.
    pub(crate) fn scripted(good_ones: Vec<Finding>) -> Monitor {
        let script = Mutex::new(VecDeque::from(good_ones));
        let ask = move |question: &Question| {
            let found = if *question == good() {
                script.lock().unwrap().pop_front().unwrap()
            } else {
                bogus()
            };
            async move { found }.boxed()
        };
        let probes = Probes {
            good: Some(good()),
            bogus: vec![forged()],
            interval: Duration::from_mins(5),
        };
        Monitor::asking(Box::new(ask), probes, Arc::new(Still))
    }

    pub(crate) fn bogus() -> Finding {
        Finding::Bogus {
            what: Flaw::AnchorUnmatched.to_string(),
            skew: None,
        }
    }

    #[tokio::test]
    async fn dns_21_the_state_is_what_the_last_round_says() {
        let rounds = vec![Finding::Secure, bogus(), bogus(), Finding::Secure];
        let monitor = scripted(rounds);
        assert_eq!(monitor.health(), Health::Unknown);
        for label in ["working", "good-bogus", "good-bogus", "working"] {
            assert_eq!(monitor.probe().await.label(), label);
            assert_eq!(monitor.health().label(), label);
            assert_eq!(monitor.known().await.label(), label);
        }
    }

    #[tokio::test]
    async fn whoever_waits_for_the_first_round_gets_it() {
        let monitor = scripted(vec![bogus()]);
        let (known, probed) = join(monitor.known(), monitor.probe()).await;
        assert_eq!(known, probed);
        assert_eq!(known.label(), "good-bogus");
    }

    #[tokio::test]
    async fn without_probes_nothing_is_asked_and_nothing_claimed() {
        let ask = |_: &Question| -> BoxFuture<'static, Finding> { panic!("nothing to ask") };
        let monitor = Monitor::asking(Box::new(ask), Probes::off(), Arc::new(Still));
        assert_eq!(monitor.probe().await, Health::Off);
        assert_eq!(monitor.known().await, Health::Off);
    }

    #[tokio::test]
    async fn dns_22_a_change_is_told_once() {
        let skew = |direction| Finding::Bogus {
            what: String::new(),
            skew: Some(Skew {
                direction,
                at_least: Duration::from_hours(1),
            }),
        };
        let dead = || Finding::Unreachable("SERVFAIL".into());
        let rounds = [
            (Finding::Secure, None),
            (skew(Direction::Ahead), Some(News::Broken)),
            (skew(Direction::Ahead), None),
            (skew(Direction::Behind), None),
            (bogus(), Some(News::Broken)),
            (dead(), None),
            (Finding::Secure, Some(News::Recovered)),
            (Finding::Secure, None),
            (dead(), Some(News::Broken)),
            (dead(), None),
            (Finding::Secure, Some(News::Recovered)),
        ];
        let script = rounds.iter().map(|(finding, _)| finding.clone()).collect();
        let monitor = scripted(script);
        for (round, (finding, expected)) in rounds.iter().enumerate() {
            let before = monitor.health();
            let after = monitor.probe().await;
            assert_eq!(news(&before, &after), *expected, "{round}: {finding:?}");
        }
    }

    #[test]
    fn while_something_is_wrong_the_pauses_are_short() {
        let minutes = Duration::from_mins;
        for (faulty_rounds, interval, expected) in [
            (0, minutes(5), minutes(5)),
            (1, minutes(5), Duration::from_secs(15)),
            (2, minutes(5), Duration::from_secs(30)),
            (5, minutes(5), minutes(4)),
            (6, minutes(5), minutes(5)),
            (u32::MAX, minutes(5), minutes(5)),
            (1, Duration::from_secs(1), Duration::from_secs(1)),
        ] {
            assert_eq!(pause(faulty_rounds, interval), expected, "{faulty_rounds}");
        }
    }
}
