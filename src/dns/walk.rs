//! The way from the root down to a name, zone cut by zone cut, each step proven by the zone above it.
//!
//! It ends in the keys of the zone that holds the name, or at a proven unsigned delegation. There is no other way to either:
//! nothing is ever followed from a name upwards, so a hostile answer cannot make the work grow beyond two questions per label.
//! Steps are remembered for at most [`LONGEST_STEP`].

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::net::xfer::DnsHandle;
use hickory_resolver::proto::dnssec::TrustAnchors;
use hickory_resolver::proto::dnssec::rdata::DS;
use hickory_resolver::proto::rr::{Name, RecordType};

use super::cache::Cache;
use super::proof::Flaw;
use super::proof::delegation::{self, Ruling};
use super::proof::keys::ZoneKeys;
use super::proof::rrset::RrSet;
use super::trouble::Trouble;
use super::upstream::{Budget, Upstream};
use crate::clock::{Clock, Timestamp};

/// Finds the zones.
pub(super) struct Walk<H> {
    upstream: Upstream<H>,
    anchor: Arc<TrustAnchors>,
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

impl<H: DnsHandle> Walk<H> {
    pub(super) fn new(
        upstream: Upstream<H>,
        anchor: Arc<TrustAnchors>,
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
    pub(super) async fn to(&self, name: &Name, budget: &Budget) -> Result<Territory, Trouble> {
        let mut keys = self.root(budget).await?;
        for depth in 1..=name.iter().count() {
            let here = name.trim_to(depth).to_lowercase();
            match self.step(here, &keys, budget).await? {
                Step::Zone(child) => keys = child,
                Step::Inside => {}
                Step::Nothing => break,
                Step::Unsigned => return Ok(Territory::Unsigned),
            }
        }
        Ok(Territory::Signed(keys))
    }

    async fn root(&self, budget: &Budget) -> Result<Arc<ZoneKeys>, Trouble> {
        let root = Name::root();
        if let Some(Step::Zone(keys)) = self.steps.get(&root, self.clock.wall()) {
            return Ok(keys);
        }
        let set = self.dnskeys(&root, budget).await?;
        let keys = ZoneKeys::of_root(&set, &self.anchor, self.clock.wall())
            .map_err(|flaw| Trouble::bogus(&root, RecordType::DNSKEY, flaw))?;
        Ok(self.remember_zone(root, keys))
    }

    async fn step(&self, here: Name, parent: &ZoneKeys, budget: &Budget) -> Result<Step, Trouble> {
        if let Some(step) = self.steps.get(&here, self.clock.wall()) {
            return Ok(step);
        }
        let reply = self.upstream.ask(&here, RecordType::DS, budget).await;
        let reply = reply.map_err(|cause| Trouble::no_reply(&here, RecordType::DS, cause))?;
        let now = self.clock.wall();
        let ruled = delegation::rule(&reply.answers, &reply.authorities, &here, parent, now)
            .map_err(|flaw| Trouble::bogus(&here, RecordType::DS, flaw))?;
        let step = match ruled.ruling {
            Ruling::Signed(ds) => {
                let keys = self.child(&here, &ds, ruled.expires, budget).await?;
                return Ok(Step::Zone(self.remember_zone(here, keys)));
            }
            Ruling::Unsigned => Step::Unsigned,
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
        budget: &Budget,
    ) -> Result<ZoneKeys, Trouble> {
        let set = self.dnskeys(zone, budget).await?;
        ZoneKeys::of_child(&set, ds, self.clock.wall(), ds_expires)
            .map_err(|flaw| Trouble::bogus(zone, RecordType::DNSKEY, flaw))
    }

    async fn dnskeys(&self, zone: &Name, budget: &Budget) -> Result<RrSet, Trouble> {
        let reply = self.upstream.ask(zone, RecordType::DNSKEY, budget).await;
        let reply = reply.map_err(|cause| Trouble::no_reply(zone, RecordType::DNSKEY, cause))?;
        RrSet::select(&reply.answers, zone, RecordType::DNSKEY)
            .ok_or_else(|| Trouble::bogus(zone, RecordType::DNSKEY, Flaw::KeysMissing))
    }

    fn remember_zone(&self, zone: Name, keys: ZoneKeys) -> Arc<ZoneKeys> {
        let (keys, expires) = (Arc::new(keys.clone()), keys.expires());
        self.remember(zone, Step::Zone(Arc::clone(&keys)), expires);
        keys
    }

    fn remember(&self, here: Name, step: Step, expires: Timestamp) {
        let now = self.clock.wall();
        let until = expires.min(now.plus(LONGEST_STEP));
        self.steps.put(here, step, now, until);
    }
}

/// A roll of keys or a new signing is noticed within this time, whatever the TTLs say.
const LONGEST_STEP: Duration = Duration::from_secs(300);

/// Names of which the step is remembered; a zone with its keys takes about a kilobyte.
const MOST_STEPS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(9_999);
