//! What one recipient's decision leaves behind: notes while it is made, a trace of it in the end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::engine::Engine;
use crate::clock::Timestamp;
use crate::dns::noted::Notes;
use crate::intercept::Intercepted;
use crate::name::DnsName;
use crate::policy::cache::Told;
use crate::policy::facts::Gatherer;
use crate::policy::{Demand, Facts, StsState};
use crate::report::Used;
use crate::report::trace::keeper::KeepTraces;
use crate::report::trace::{Attempt, Decided, Demanded, DnsAnswer, Finding, Outcome, Sts, Trace};
use crate::tls::Evidence;
use crate::verdict::Verdict;

/// The notes on one recipient. Where no traces are kept nothing is noted; nothing is written out before it is known that
/// the trace is to be kept, which most are not.
pub(super) struct Trail {
    notes: Option<Arc<Notes>>,
    began: (Timestamp, Instant),
    mta_sts: Option<(StsState, Option<Told>)>,
    demand: Option<Demand>,
    judged: Vec<Judged>,
    exceptions: Vec<String>,
}

/// One connection, and what was made of it.
struct Judged {
    evidence: Evidence,
    tried: Vec<Option<DnsName>>,
    finding: Finding,
}

/// What a recipient was judged as.
pub(super) struct Subject {
    pub(super) domain: String,
    pub(super) route: bool,
    pub(super) destination: SocketAddr,
}

impl Trail {
    pub(super) fn new(engine: &Engine) -> Self {
        Self {
            notes: (engine.traces.which() != KeepTraces::Off).then(Arc::default),
            began: (engine.clock.wall(), engine.clock.instant()),
            mta_sts: None,
            demand: None,
            judged: Vec::new(),
            exceptions: Vec::new(),
        }
    }

    pub(super) fn rests_on(&mut self, exceptions: &[Used]) {
        self.exceptions = exceptions.iter().map(|used| used.id.clone()).collect();
    }

    /// Who gathers the facts, with notes on them.
    pub(super) fn gatherer(&self, engine: &Engine) -> Gatherer {
        match &self.notes {
            Some(notes) => engine.gatherer.noting(notes),
            None => engine.gatherer.clone(),
        }
    }

    pub(super) fn learned(&mut self, engine: &Engine, facts: &Facts) {
        if self.notes.is_some() {
            let told = engine.sts.told(&facts.domain);
            self.mta_sts = Some((facts.sts.clone(), told));
        }
    }

    pub(super) fn judged(
        &mut self,
        demand: Option<Demand>,
        evidence: &Evidence,
        tried: &[Option<DnsName>],
        verdict: &Verdict,
    ) {
        if self.notes.is_some() {
            self.demand = demand;
            self.judged.push(Judged {
                evidence: evidence.clone(),
                tried: tried.to_vec(),
                finding: Finding::of(verdict),
            });
        }
    }

    /// The end of it, if that is to be kept; a redial is none.
    pub(super) fn end(
        &self,
        engine: &Engine,
        subject: Subject,
        verdict: &Verdict,
    ) -> Option<Decided> {
        let notes = self.notes.as_ref()?;
        let outcome = Outcome::of(verdict).filter(|end| engine.traces.keeps(end))?;
        let decided = engine.clock.wall();
        let took = engine
            .clock
            .instant()
            .saturating_duration_since(self.began.1);
        let notes = notes.taken();
        Some(Decided {
            began: self.began.0,
            decided,
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            domain: subject.domain,
            route: subject.route,
            destination: subject.destination,
            settings: engine.settings.into(),
            dns: notes
                .iter()
                .map(|note| DnsAnswer::of(note, decided))
                .collect(),
            mta_sts: self
                .mta_sts
                .as_ref()
                .map(|(state, told)| Sts::of(state, told.as_ref(), self.began.1)),
            demand: self.demand.as_ref().map(Demanded::from),
            attempts: self.judged.iter().map(Judged::attempt).collect(),
            exceptions: self.exceptions.clone(),
            outcome,
            left_out: Vec::new(),
        })
    }
}

impl Judged {
    fn attempt(&self) -> Attempt {
        Attempt::of(&self.evidence, &self.tried, self.finding.clone())
    }
}

/// The traces of one session: recipients of one domain that fare alike are kept once.
#[derive(Default)]
pub(super) struct Traced(Vec<(String, String)>);

impl Traced {
    pub(super) fn keep(
        &mut self,
        engine: &Engine,
        id: &str,
        from: &Intercepted,
        decision: Decided,
    ) {
        let alike = (decision.domain.clone(), decision.outcome.rule.clone());
        if self.0.contains(&alike) {
            return;
        }
        self.0.push(alike);
        engine.traces.take(Trace {
            id: id.to_owned(),
            number: u32::try_from(self.0.len()).unwrap_or(u32::MAX),
            via: from.via.label().to_owned(),
            client: from.client,
            decision,
        });
    }
}
