//! Lets answers through while DNSSEC validation works, and counts them.
//!
//! While it does not, every lookup fails as unreachable, so every decision is unknown and mail is deferred: what a
//! resolver with a wrong clock or a wrong anchor says is worth nothing, not even its "insecure". A lookup that comes
//! before the first probe is back is asked at once, and its answer waits for that probe, at most as long as a lookup
//! may take by itself: nothing is decided on an unknown state, and mail loses no time.
#![expect(
    clippy::disallowed_methods,
    reason = "IO: limits the wait for the first probe"
)]

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, join};

use super::health::Monitor;
use super::purse::Purse;
use super::tally::{Asked, Ending, Tally};
use super::{Answer, Failure, Family, Lookup, Mx, Resolved, Source, Text, TlsaRdata};
use crate::name::DnsName;

/// A [`Lookup`] behind the gate.
pub struct Gated<L: ?Sized> {
    monitor: Arc<Monitor>,
    tally: Arc<Tally>,
    patience: Duration,
    lookup: Arc<L>,
}

impl<L: Lookup + ?Sized> Gated<L> {
    /// Holds `lookup` against what `monitor` knows; `patience` is what a lookup may take.
    #[must_use]
    pub const fn new(
        lookup: Arc<L>,
        monitor: Arc<Monitor>,
        tally: Arc<Tally>,
        patience: Duration,
    ) -> Self {
        Self {
            monitor,
            tally,
            patience,
            lookup,
        }
    }

    async fn pass<'a, T>(
        &'a self,
        asked: Asked,
        lookup: impl FnOnce() -> BoxFuture<'a, Resolved<T>>,
    ) -> Resolved<T> {
        let resolved = match self.closed() {
            Some(why) => Err(why),
            None => {
                let opened = tokio::time::timeout(self.patience, self.monitor.known());
                let (resolved, opened) = join(lookup(), opened).await;
                match (opened, self.closed()) {
                    (Ok(_), None) => Ok(resolved),
                    (Ok(_), Some(why)) => Err(why),
                    (Err(_), _) => Err(NOT_KNOWN_YET.to_owned()),
                }
            }
        };
        let ending = resolved
            .as_ref()
            .map_or(Ending::Withheld, |resolved| Ending::of(&resolved.answer));
        self.tally.count(asked, ending);
        resolved.unwrap_or_else(withheld)
    }

    fn closed(&self) -> Option<String> {
        self.monitor.health().closes().map(ToString::to_string)
    }
}

fn withheld<T>(why: String) -> Resolved<T> {
    let failure = Failure::Unreachable(format!("DNSSEC validation is not working: {why}"));
    Resolved {
        answer: Answer::Failed(failure),
        aliases: Vec::new(),
        source: Source::default(),
    }
}

const NOT_KNOWN_YET: &str = "the first probes have not come back; check that dns.resolvers answer";

impl<L: Lookup + ?Sized> Lookup for Gated<L> {
    fn mx<'a>(&'a self, domain: &'a DnsName) -> BoxFuture<'a, Resolved<Vec<Mx>>> {
        Box::pin(self.pass(Asked::Mx, || self.lookup.mx(domain)))
    }

    fn addresses<'a>(
        &'a self,
        host: &'a DnsName,
        family: Family,
    ) -> BoxFuture<'a, Resolved<Vec<IpAddr>>> {
        let asked = match family {
            Family::V4 => Asked::A,
            Family::V6 => Asked::Aaaa,
        };
        Box::pin(self.pass(asked, move || self.lookup.addresses(host, family)))
    }

    fn tlsa<'a>(&'a self, owner: &'a DnsName) -> BoxFuture<'a, Resolved<Vec<TlsaRdata>>> {
        Box::pin(self.pass(Asked::Tlsa, || self.lookup.tlsa(owner)))
    }

    fn txt<'a>(&'a self, name: &'a DnsName) -> BoxFuture<'a, Resolved<Vec<Text>>> {
        Box::pin(self.pass(Asked::Txt, || self.lookup.txt(name)))
    }

    fn within(&self, purse: Arc<Purse>) -> Option<Box<dyn Lookup + '_>> {
        let lookup: Arc<dyn Lookup + '_> = self.lookup.within(purse)?.into();
        Some(Box::new(Gated {
            monitor: Arc::clone(&self.monitor),
            tally: Arc::clone(&self.tally),
            patience: self.patience,
            lookup,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::Denial;
    use crate::dns::health::state::Finding;
    use crate::dns::health::tests::{bogus, scripted};
    use crate::dns::route::literal::{Literal, Said};

    const ROWS: &[(&str, Said)] = &[
        ("example.org MX", Said::Secure(&["10 mx.example.org."])),
        ("mx.example.org A", Said::Insecure(&["192.0.2.1"])),
        ("mx.example.org AAAA", Said::NoData(Denial::Insecure)),
        (
            "_25._tcp.mx.example.org TLSA",
            Said::NxDomain(Denial::Secure),
        ),
        ("_mta-sts.example.org TXT", Said::Bogus),
    ];

    struct World {
        dns: Arc<Literal>,
        monitor: Arc<Monitor>,
        tally: Arc<Tally>,
        gated: Gated<Literal>,
    }

    fn world(good_ones: Vec<Finding>, patience: Duration) -> World {
        let dns = Arc::new(Literal::new(ROWS));
        let monitor = Arc::new(scripted(good_ones));
        let tally = Arc::new(Tally::default());
        let gated = Gated::new(
            Arc::clone(&dns),
            Arc::clone(&monitor),
            Arc::clone(&tally),
            patience,
        );
        World {
            dns,
            monitor,
            tally,
            gated,
        }
    }

    const AMPLE: Duration = Duration::from_secs(600);

    fn host(text: &str) -> DnsName {
        text.parse().unwrap()
    }

    /// Asks everything that a delivery asks; gives the failures.
    async fn ask_all(dns: &dyn Lookup) -> Vec<Option<Failure>> {
        fn failure<T>(resolved: Resolved<T>) -> Option<Failure> {
            match resolved.answer {
                Answer::Failed(failure) => Some(failure),
                Answer::Secure(_) | Answer::Insecure(_) | Answer::Absent(_) => None,
            }
        }
        let (domain, mx) = (host("example.org"), host("mx.example.org"));
        vec![
            failure(dns.mx(&domain).await),
            failure(dns.addresses(&mx, Family::V4).await),
            failure(dns.addresses(&mx, Family::V6).await),
            failure(dns.tlsa(&host("_25._tcp.mx.example.org")).await),
            failure(dns.txt(&host("_mta-sts.example.org")).await),
        ]
    }

    fn counted(tally: &Tally) -> Vec<(&'static str, &'static str, u64)> {
        let mut rows = Vec::new();
        for asked in Asked::ALL {
            for ending in Ending::ALL {
                let count = tally.lookups(asked, ending);
                if count > 0 {
                    rows.push((asked.label(), ending.label(), count));
                }
            }
        }
        rows
    }

    #[tokio::test]
    async fn while_validation_works_answers_pass_as_they_are_and_are_counted() {
        for good_ones in [
            vec![Finding::Secure],
            // DNS is down, then up again: what answers has been validated.
            vec![Finding::Unreachable("SERVFAIL".into())],
        ] {
            let world = world(good_ones, AMPLE);
            world.monitor.probe().await;
            let failures = ask_all(&world.gated).await;
            let bogus = Failure::Bogus("signature expired".into());
            assert_eq!(failures, [None, None, None, None, Some(bogus)]);
            assert_eq!(world.dns.asked().len(), 5);
            assert_eq!(
                counted(&world.tally),
                [
                    ("A", "insecure", 1),
                    ("AAAA", "claimed-absent", 1),
                    ("MX", "secure", 1),
                    ("TLSA", "proven-absent", 1),
                    ("TXT", "bogus", 1),
                ]
            );
        }
    }

    #[tokio::test]
    async fn dns_21_dns_22_while_it_does_not_nothing_is_asked_and_nothing_concluded() {
        let world = world(vec![bogus(), Finding::Secure], AMPLE);
        world.monitor.probe().await;
        for failure in ask_all(&world.gated).await {
            let Some(Failure::Unreachable(what)) = failure else {
                panic!("{failure:?}");
            };
            assert!(
                what.starts_with("DNSSEC validation is not working: "),
                "{what}"
            );
            assert!(what.contains("dns.trust_anchor"), "{what}");
        }
        assert_eq!(world.dns.asked(), [""; 0]);
        assert!(counted(&world.tally).iter().all(|row| row.1 == "withheld"));
        world.monitor.probe().await;
        assert_eq!(
            world
                .gated
                .mx(&host("example.org"))
                .await
                .answer
                .records()
                .map(Vec::len),
            Some(1)
        );
    }

    #[tokio::test]
    async fn dns_21_an_answer_that_comes_before_the_first_probe_waits_for_it() {
        for (first, passes) in [(Finding::Secure, true), (bogus(), false)] {
            let world = world(vec![first], AMPLE);
            let domain = host("example.org");
            let (found, _) = join(world.gated.mx(&domain), world.monitor.probe()).await;
            assert_eq!(
                found.answer.records().is_some(),
                passes,
                "{:?}",
                found.answer
            );
            assert_eq!(world.dns.asked(), ["MX example.org"], "asked meanwhile");
        }
    }

    #[tokio::test]
    async fn an_answer_does_not_wait_for_a_probe_for_ever() {
        let world = world(vec![], Duration::ZERO);
        let found = world.gated.mx(&host("example.org")).await;
        let Answer::Failed(Failure::Unreachable(what)) = found.answer else {
            panic!("{:?}", found.answer);
        };
        assert!(what.contains("have not come back"), "{what}");
    }
}
