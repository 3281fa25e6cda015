//! The way from the root down to a name, zone cut by zone cut, each step proven by the zone above it.
//!
//! It ends in the keys of the zone that holds the name, or at a proven unsigned delegation. There is no other way to either:
//! nothing is ever followed from a name upwards, so a hostile answer cannot make the work grow beyond two questions per label.
//! Each step is judged with the keys of the one before, but the questions need not wait for each other: those that the way
//! will ask for are asked together, ahead of it ([`Expecting`]). Steps are remembered for at most [`LONGEST_STEP`].

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use hickory_resolver::net::xfer::DnsHandle;
use hickory_resolver::proto::dnssec::rdata::DS;
use hickory_resolver::proto::rr::{Name, RecordType};

use super::cache::Cache;
use super::diary;
use super::errand::Errand;
use super::proof::Flaw;
use super::proof::delegation::{self, Ruling};
use super::proof::keys::{RootTrust, ZoneKeys};
use super::proof::rrset::RrSet;
use super::trouble::Trouble;
use super::upstream::{NoReply, Reply, Upstream};
use crate::clock::{Clock, Timestamp};

/// Finds the zones.
pub(super) struct Walk<H> {
    upstream: Arc<Upstream<H>>,
    anchor: Arc<RootTrust>,
    clock: Arc<dyn Clock>,
    steps: Cache<Name, Step>,
}

/// What lies at a name.
#[derive(Clone, Debug)]
pub(super) enum Territory {
    /// A signed zone, with its keys.
    Signed(Arc<ZoneKeys>),
    /// Below a proven unsigned delegation.
    Unsigned,
}

/// What the way is thought to lead to. It decides what is asked ahead, and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expecting {
    /// A signed zone begins at the name: something there names it as its signer.
    Zone,
    /// An unsigned delegation, high up as a rule: something at the name has no signature.
    Cut,
}

/// One label of the way.
#[derive(Clone, Debug)]
enum Step {
    /// A signed zone begins.
    Zone(Arc<ZoneKeys>),
    /// An unsigned zone begins.
    Unsigned,
    /// The zone above goes on.
    Inside,
    /// Nothing is there or below.
    Nothing,
}

/// The replies that were asked for ahead.
type Ahead = HashMap<(Name, RecordType), Result<Arc<Reply>, NoReply>>;

/// One walk: its errand, and what was asked ahead.
struct Trip<'a> {
    errand: &'a Errand,
    ahead: Ahead,
}

impl<H: DnsHandle> Walk<H> {
    pub(super) fn new(
        upstream: Arc<Upstream<H>>,
        anchor: Arc<RootTrust>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            upstream,
            anchor,
            clock,
            steps: Cache::new(MOST_STEPS),
        }
    }

    /// What lies at `name`.
    pub(super) async fn to(
        &self,
        name: &Name,
        expecting: Expecting,
        errand: &Errand,
    ) -> Result<Territory, Trouble> {
        let mut trip = Trip {
            errand,
            ahead: self.ask_ahead(name, expecting, errand).await,
        };
        let mut keys = self.root(&mut trip).await?;
        for depth in 1..=name.iter().count() {
            let here = name.trim_to(depth).to_lowercase();
            match self.step(here, &keys, &mut trip).await? {
                Step::Zone(child) => keys = child,
                Step::Inside => {}
                Step::Nothing => break,
                Step::Unsigned => return Ok(Territory::Unsigned),
            }
        }
        Ok(Territory::Signed(keys))
    }

    /// Asks in two rounds for what is not known yet: where zones are cut and the keys at both ends of the way, then the keys of the
    /// zones between. What turns out to be needed and is not here is asked for on the way.
    async fn ask_ahead(&self, name: &Name, expecting: Expecting, errand: &Errand) -> Ahead {
        let mut way: Vec<Name> = (0..=name.iter().count())
            .map(|depth| name.trim_to(depth).to_lowercase())
            .skip_while(|here| self.is_known(here))
            .collect();
        if way.first().is_none_or(|first| self.leads_nowhere(first)) {
            return Ahead::new();
        }
        if expecting == Expecting::Cut {
            way.retain(|here| here.iter().count() <= DEEPEST_LIKELY_CUT);
        }
        let is_to_the_end = expecting == Expecting::Zone && way.len() <= MOST_AHEAD;
        way.truncate(MOST_AHEAD);
        let mut questions = Vec::new();
        for here in &way {
            if here.is_root() {
                questions.push((here.clone(), RecordType::DNSKEY));
            } else {
                questions.push((here.clone(), RecordType::DS));
                // Top-level domains are zones, and nearly all are signed.
                if here.iter().count() == 1
                    || (is_to_the_end && here.iter().count() == name.iter().count())
                {
                    questions.push((here.clone(), RecordType::DNSKEY));
                }
            }
        }
        if questions.len() < 2 {
            return Ahead::new();
        }
        let mut ahead = self.ask_all(questions, errand).await;
        let between: Vec<_> = way
            .into_iter()
            .map(|here| (here, RecordType::DNSKEY))
            .filter(|question| !ahead.contains_key(question) && has_ds(&ahead, &question.0))
            .collect();
        if between.len() > 1 {
            ahead.extend(self.ask_all(between, errand).await);
        }
        ahead
    }

    async fn ask_all(&self, questions: Vec<(Name, RecordType)>, errand: &Errand) -> Ahead {
        let asking: Vec<_> = questions
            .iter()
            .map(|(name, record_type)| self.upstream.ask(name, *record_type, errand))
            .collect();
        let replies = join_all(asking).await;
        questions.into_iter().zip(replies).collect()
    }

    fn is_known(&self, here: &Name) -> bool {
        self.steps.get(here, self.clock.wall()).is_some()
    }

    /// The step before `first` is known, and ends the way.
    fn leads_nowhere(&self, first: &Name) -> bool {
        !first.is_root()
            && matches!(
                self.steps.get(&first.base_name(), self.clock.wall()),
                Some(Step::Unsigned | Step::Nothing)
            )
    }

    async fn ask(
        &self,
        name: &Name,
        record_type: RecordType,
        trip: &mut Trip<'_>,
    ) -> Result<Arc<Reply>, Trouble> {
        let reply = match trip.ahead.remove(&(name.clone(), record_type)) {
            Some(reply) => reply,
            None => self.upstream.ask(name, record_type, trip.errand).await,
        };
        reply.map_err(|cause| Trouble::no_reply(name, record_type, cause))
    }

    async fn root(&self, trip: &mut Trip<'_>) -> Result<Arc<ZoneKeys>, Trouble> {
        let root = Name::root();
        if let Some(Step::Zone(keys)) = self.steps.get(&root, self.clock.wall()) {
            return Ok(keys);
        }
        let set = self.dnskeys(&root, trip).await?;
        let terms = trip.errand.terms(self.clock.wall());
        let keys = ZoneKeys::of_root(&set, &self.anchor, terms)
            .map_err(|flaw| Trouble::bogus(&root, RecordType::DNSKEY, flaw))?;
        trip.errand
            .note(|| zone_step(&keys, "the trust anchor".to_owned()));
        Ok(self.remember_zone(root, keys))
    }

    async fn step(
        &self,
        here: Name,
        parent: &ZoneKeys,
        trip: &mut Trip<'_>,
    ) -> Result<Step, Trouble> {
        if let Some(step) = self.steps.get(&here, self.clock.wall()) {
            return Ok(step);
        }
        let reply = self.ask(&here, RecordType::DS, trip).await?;
        let terms = trip.errand.terms(self.clock.wall());
        let ruled = delegation::rule(&reply.answers, &reply.authorities, &here, parent, terms)
            .map_err(|flaw| Trouble::bogus(&here, RecordType::DS, flaw))?;
        trip.errand.note_ruling(&here, parent, &ruled.ruling);
        let step = match ruled.ruling {
            Ruling::Signed(ds) => {
                let keys = self.child(&here, &ds, ruled.expires, trip).await?;
                return Ok(Step::Zone(self.remember_zone(here, keys)));
            }
            Ruling::Unsigned(_) => Step::Unsigned,
            Ruling::Inside => Step::Inside,
            Ruling::Nothing => Step::Nothing,
        };
        self.remember(here, step.clone(), ruled.expires);
        Ok(step)
    }

    async fn child(
        &self,
        zone: &Name,
        ds: &[DS],
        ds_expires: Timestamp,
        trip: &mut Trip<'_>,
    ) -> Result<ZoneKeys, Trouble> {
        let set = self.dnskeys(zone, trip).await?;
        let terms = trip.errand.terms(self.clock.wall());
        let keys = ZoneKeys::of_child(&set, ds, terms, ds_expires)
            .map_err(|flaw| Trouble::bogus(zone, RecordType::DNSKEY, flaw))?;
        trip.errand.note(|| {
            let tags: Vec<String> = ds.iter().map(|ds| ds.key_tag().to_string()).collect();
            zone_step(&keys, format!("DS {}", tags.join(", ")))
        });
        Ok(keys)
    }

    async fn dnskeys(&self, zone: &Name, trip: &mut Trip<'_>) -> Result<RrSet, Trouble> {
        let reply = self.ask(zone, RecordType::DNSKEY, trip).await?;
        RrSet::select(&reply.answers, zone, RecordType::DNSKEY)
            .ok_or_else(|| Trouble::bogus(zone, RecordType::DNSKEY, Flaw::KeysMissing))
    }

    fn remember_zone(&self, zone: Name, keys: ZoneKeys) -> Arc<ZoneKeys> {
        let expires = keys.expires();
        let keys = Arc::new(keys);
        self.remember(zone, Step::Zone(Arc::clone(&keys)), expires);
        keys
    }

    fn remember(&self, here: Name, step: Step, expires: Timestamp) {
        let now = self.clock.wall();
        let until = expires.min(now.plus(LONGEST_STEP));
        self.steps.put(here, step, now, until);
    }
}

/// Does the reply to the DS question hold a DS record? Whether it is to be believed is judged later.
fn has_ds(ahead: &Ahead, zone: &Name) -> bool {
    let reply = ahead.get(&(zone.clone(), RecordType::DS));
    reply.is_some_and(|reply| {
        reply.as_ref().is_ok_and(|reply| {
            let mut types = reply.answers.iter().map(|record| record.record_type());
            types.any(|record_type| record_type == RecordType::DS)
        })
    })
}

fn zone_step(keys: &ZoneKeys, vouched_by: String) -> diary::Step {
    diary::Step::Zone {
        zone: keys.zone().to_ascii(),
        vouched_by,
        key_tags: keys.tags(),
        expires: keys.expires(),
    }
}

/// A roll of keys or a new signing is noticed within this time, whatever the TTLs say.
const LONGEST_STEP: Duration = Duration::from_secs(300);

/// Names of which the step is remembered; a zone with its keys takes about a kilobyte.
const MOST_STEPS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(9_999);

/// Labels that are asked about together on the way to a zone. Deeper zones are rare, and a hostile name can be very deep.
const MOST_AHEAD: usize = 6;

/// Labels of a name that most unsigned delegations have: a domain below a top-level domain.
const DEEPEST_LIKELY_CUT: usize = 2;
