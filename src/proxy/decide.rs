//! Gets the verdict on one recipient after the other: gathers the facts (once per recipient, redials see the same
//! snapshot), and puts demand and evidence before the judge. Decides nothing itself.
#![expect(
    clippy::disallowed_methods,
    reason = "IO: limits the time of a decision"
)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::engine::Engine;
use super::recall::{Judged, Wanted};
use super::trail::{Subject, Trail};
use crate::name::{DnsName, Domain};
use crate::policy::demand::{demand, demand_of_route};
use crate::policy::identity::Identity;
use crate::policy::{Demand, Facts, Level};
use crate::report::Judgement;
use crate::report::trace::Decided;
use crate::smtp::{Channel, GaveUp, Question, Target};
use crate::tls::tickets::Pocket;
use crate::tls::{Evidence, Handshake};
use crate::verdict::{Pin, Reason, Redial, Refusal, Verdict, judge};

/// The judge's clerk for one session.
pub(super) struct Clerk {
    engine: Arc<Engine>,
    destination: SocketAddr,
    /// The host that the destination is by configuration, whoever the recipients are.
    route: Option<Domain>,
    budget: Duration,
    /// What the present connection has shown inside TLS.
    shown: Option<Evidence>,
    /// The name that the last handshake asked for.
    asked: Option<Asked>,
    /// The names asked for on behalf of the present recipient, or to be asked for next.
    tried: Vec<Option<DnsName>>,
    /// The recipient whose fate is open.
    case: Option<Case>,
    /// What the last handshake could use and was given.
    pocket: Option<Arc<Pocket>>,
    /// What the next one may be.
    wanted: Wanted,
    /// Domains whose recipients this connection has been judged for: a session is remembered once for each.
    noted: Vec<Domain>,
    /// What has turned out not to be as it was, and is not told yet.
    alerts: Vec<&'static str>,
    /// What the last decision came from, if that is to be kept.
    trace: Option<Decided>,
}

/// The SNI of a handshake, perhaps none.
#[derive(Clone)]
struct Asked(Option<DnsName>);

struct Case {
    question: Question,
    state: State,
    trail: Trail,
}

enum State {
    /// Nothing has to be known.
    Ready,
    /// The facts are on their way; none when the budget is spent first.
    Gathering(BoxFuture<'static, Option<Facts>>),
    /// Known, and to be judged now.
    Known(Facts),
    /// To be judged by another connection, on the same facts, if the session wants one.
    Redial(Option<Facts>),
    /// It does, and dials.
    Redialled(Option<Facts>),
}

/// A verdict with what the record tells of it.
pub(super) struct Decision {
    pub(super) verdict: Verdict,
    /// None for a redial.
    pub(super) judgement: Option<Judgement>,
    /// The domain whose policy was enforced in a refusal, for another look at it.
    pub(super) enforced: Option<Domain>,
    /// Since the recipient was named.
    pub(super) took: Duration,
}

impl Clerk {
    pub(super) fn new(engine: Arc<Engine>, destination: SocketAddr, budget: Duration) -> Self {
        let route = match engine.identities.of(destination) {
            Identity::Route(host) => Some(host.clone()),
            Identity::Envelope | Identity::Bypass => None,
        };
        Self {
            engine,
            destination,
            route,
            budget,
            shown: None,
            asked: None,
            tried: Vec::new(),
            case: None,
            pocket: None,
            wanted: Wanted::Any,
            noted: Vec::new(),
            alerts: Vec::new(),
            trace: None,
        }
    }

    /// A handshake begins. What it may use.
    pub(super) fn ask_for(&mut self, sni: Option<DnsName>) -> Option<Arc<Pocket>> {
        let wanted = std::mem::replace(&mut self.wanted, Wanted::Any);
        let (engine, now) = (&self.engine, self.engine.clock.instant());
        self.pocket = engine
            .recall
            .pocket(self.destination, sni.as_ref(), wanted, now);
        self.asked = Some(Asked(sni.clone()));
        if self.tried.last() != Some(&sni) {
            self.tried.push(sni);
        }
        self.pocket.clone()
    }

    /// A handshake has ended well.
    pub(super) fn show(&mut self, handshake: Handshake) {
        let handshake = self.engine.recall.proofs(self.destination, handshake);
        self.shown = Some(Evidence::Protected(handshake));
    }

    /// The connection is gone and what it has shown with it.
    pub(super) fn forget(&mut self) {
        self.shown = None;
    }

    /// A recipient is to be judged: [`Clerk::poll`] will have the verdict.
    pub(super) fn take(&mut self, mut question: Question) {
        question.target = self.judged(question.target);
        let known = match self.case.take() {
            Some(Case {
                question: before,
                state: State::Redialled(facts),
                trail,
            }) if !question.first && before.target == question.target => Some((facts, trail)),
            Some(_) | None => None,
        };
        let (state, trail) = match known {
            Some((Some(facts), trail)) => (State::Known(facts), trail),
            Some((None, trail)) => (State::Ready, trail),
            None => {
                // Not the last that was tried: a redial that the session cannot make leaves its name there.
                self.tried = self.asked.iter().map(|asked| asked.0.clone()).collect();
                let trail = Trail::new(&self.engine);
                (self.gather(&question.target, &trail), trail)
            }
        };
        self.case = Some(Case {
            question,
            state,
            trail,
        });
    }

    /// Whose demand is to be met. On a route the next-hop is the policy domain (RFC 7672 §1.1, RFC 8461 §3.4).
    fn judged(&self, target: Target) -> Target {
        self.route.clone().map_or(target, Target::Domain)
    }

    fn gather(&self, target: &Target, trail: &Trail) -> State {
        match target {
            Target::Literal(_) | Target::Postmaster => State::Ready,
            Target::Domain(domain) => {
                let gatherer = trail.gatherer(&self.engine);
                let (domain, destination, budget) = (domain.clone(), self.destination, self.budget);
                let is_route = self.route.is_some();
                let facts = async move {
                    let gathering = async {
                        if is_route {
                            gatherer.gather_route(&domain, destination).await
                        } else {
                            gatherer.gather(&domain, destination).await
                        }
                    };
                    tokio::time::timeout(budget, gathering).await.ok()
                };
                State::Gathering(facts.boxed())
            }
        }
    }

    /// Waits for the verdict that [`Clerk::take`] asked for.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Decision> {
        let Some(mut case) = self.case.take() else {
            return Poll::Pending;
        };
        let facts = match case.state {
            State::Ready => None,
            State::Known(facts) => Some(facts),
            State::Gathering(mut facts) => match facts.poll_unpin(cx) {
                Poll::Ready(Some(facts)) => {
                    let now = self.engine.clock.instant();
                    self.engine.learned.learn(&facts, now);
                    case.trail.learned(&self.engine, &facts);
                    Some(facts)
                }
                // A late answer is a refusal, never a guess.
                Poll::Ready(None) => {
                    let verdict = refuse(budget(&case.question.target));
                    return Poll::Ready(self.decision(verdict, &case.question, &case.trail, None));
                }
                Poll::Pending => {
                    case.state = State::Gathering(facts);
                    self.case = Some(case);
                    return Poll::Pending;
                }
            },
            State::Redial(_) | State::Redialled(_) => {
                self.case = Some(case);
                return Poll::Pending;
            }
        };
        let verdict = self.judge(&case.question, facts.as_ref(), &mut case.trail);
        if let Verdict::Redial(Redial::Sni(name)) = &verdict {
            // It counts as tried even when the connection breaks before the handshake.
            let name = Some(name.clone());
            if self.tried.last() != Some(&name) {
                self.tried.push(name);
            }
        }
        let decision = self.decision(verdict, &case.question, &case.trail, facts.as_ref());
        if let Verdict::Redial(_) = decision.verdict {
            case.state = State::Redial(facts);
            self.case = Some(case);
        }
        Poll::Ready(decision)
    }

    /// The session dials.
    pub(super) fn dials(&mut self) {
        self.pocket = None;
        self.noted.clear();
        if let Some(case) = &mut self.case
            && let State::Redial(facts) = &mut case.state
        {
            case.state = State::Redialled(facts.take());
        }
    }

    /// The session has given a recipient up, and has answered it itself.
    pub(super) fn gave_up(&mut self, target: &Target, why: GaveUp) -> Option<Judgement> {
        let trail = self.case.take().map(|case| case.trail);
        let target = self.judged(target.clone());
        let reason = match why {
            GaveUp::Undecided => budget(&target),
            GaveUp::Failed(reason) => reason,
        };
        let verdict = refuse(reason);
        let trail = trail.unwrap_or_else(|| Trail::new(&self.engine));
        self.trace = trail.end(&self.engine, self.subject(&target), &verdict);
        judgement(&verdict, &target)
    }

    /// The same when it has done all it wants and did not dial, since the MX holds other recipients.
    pub(super) fn stayed(&mut self) -> Option<Judgement> {
        let case = self
            .case
            .take_if(|case| matches!(case.state, State::Redial(_)))?;
        let target = &case.question.target;
        let reason = match target {
            Target::Domain(domain) => Reason::OneDomain {
                domain: domain.clone(),
            },
            Target::Literal(_) | Target::Postmaster => no_policy_domain(target),
        };
        let verdict = refuse(reason);
        self.trace = case.trail.end(&self.engine, self.subject(target), &verdict);
        judgement(&verdict, target)
    }

    /// What the last decision came from, once, if that is to be kept.
    pub(super) fn trace(&mut self) -> Option<Decided> {
        self.trace.take()
    }

    fn subject(&self, target: &Target) -> Subject {
        Subject {
            domain: name_of(target),
            route: self.route.is_some(),
            destination: self.destination,
        }
    }

    fn judge(&mut self, question: &Question, facts: Option<&Facts>, trail: &mut Trail) -> Verdict {
        let mut demanded = match self.demand(question, facts) {
            Ok(demanded) => demanded,
            Err(reason) => return refuse(reason),
        };
        let now = self.engine.clock.wall();
        let recall = &self.engine.recall;
        recall.hold(&mut demanded, self.destination.port(), now);
        let told;
        let evidence = match (&question.channel, &self.shown) {
            (Channel::Protected, Some(shown)) => shown,
            // Its loss says nothing about TLS, and is no reason to try without.
            (Channel::Protected, None) => {
                let what = "the connection was lost before the verdict".into();
                return refuse(Reason::ServerLost { what });
            }
            (Channel::Clear(why), _) => {
                told = Evidence::Clear(why.clone());
                &told
            }
            (Channel::Broken(what), _) => {
                told = Evidence::Broken(what.clone());
                &told
            }
        };
        let verdict = judge(&demanded, evidence, &self.tried, &self.engine.roots, now);
        let verdict = match self.in_full(evidence, &verdict) {
            Some(again) => {
                let now = self.engine.clock.instant();
                recall.in_the_way(self.destination, Some(&again), now);
                self.wanted = Wanted::Full;
                Verdict::Redial(Redial::Sni(again))
            }
            None => verdict,
        };
        trail.judged(demanded, evidence, &self.tried, &verdict);
        if let (Target::Domain(domain), Some(facts)) = (&question.target, facts)
            && !matches!(verdict, Verdict::Redial(_))
            && !self.noted.contains(domain)
        {
            self.noted.push(domain.clone());
            let judged = Judged {
                destination: self.destination,
                domain,
                facts,
                evidence,
                verdict: &verdict,
                now,
            };
            recall.cleared(&judged, self.pocket.as_deref(), self.engine.clock.instant());
            let alerts = recall.saw(&judged);
            self.alerts
                .extend(alerts.iter().map(|alert| alert.kind.label()));
        }
        verdict
    }

    /// What has turned out not to be as it was, each once.
    pub(super) fn alerts(&mut self) -> Vec<&'static str> {
        std::mem::take(&mut self.alerts)
    }

    /// The name to ask for in a full handshake, when the one that was tried with a ticket is not enough. What was shown
    /// earlier never refuses anybody, and clears only for what it was cleared for then, or where nothing need be proven
    /// (attack TLS-11); and a server that chokes on a ticket has TLS all the same.
    fn in_full(&self, evidence: &Evidence, verdict: &Verdict) -> Option<DnsName> {
        let offered = self.pocket.as_ref()?.offered()?;
        let is_resumed = match evidence {
            Evidence::Protected(handshake) => handshake.is_resumed(),
            Evidence::Broken(_) => true,
            Evidence::Clear(_) => false,
        };
        let is_enough = match verdict {
            Verdict::Pin(Pin { grounds, .. }) => {
                grounds.demand.is_nothing() || grounds.demand == offered
            }
            // Another name, another ticket.
            Verdict::Redial(Redial::Sni(_)) => true,
            Verdict::Redial(Redial::Cleartext) | Verdict::Refuse(_) => false,
        };
        if !is_resumed || is_enough {
            return None;
        }
        self.asked_for().cloned()
    }

    fn asked_for(&self) -> Option<&DnsName> {
        self.asked.as_ref()?.0.as_ref()
    }

    fn demand(&self, question: &Question, facts: Option<&Facts>) -> Result<Demand, Reason> {
        match (&question.target, facts) {
            (Target::Literal(ip), _) if ip.to_canonical() == self.destination.ip() => {
                Ok(Demand::of_literal())
            }
            (Target::Domain(_), Some(facts)) if self.route.is_some() => {
                demand_of_route(facts, self.engine.settings)
            }
            (Target::Domain(_), Some(facts)) => {
                demand(facts, self.destination.ip(), self.engine.settings)
            }
            (target, _) => Err(no_policy_domain(target)),
        }
    }

    fn decision(
        &mut self,
        verdict: Verdict,
        question: &Question,
        trail: &Trail,
        facts: Option<&Facts>,
    ) -> Decision {
        let subject = self.subject(&question.target);
        self.trace = trail.end(&self.engine, subject, &verdict);
        let (target, now) = (&question.target, self.engine.clock.instant());
        // A refusal that no host's requirement was the reason for can be the work of a policy all the same: of what no
        // listed host could be found for, or what stands against a forged null MX.
        let by_policy = facts.is_some_and(|facts| facts.sts.enforces());
        let enforced = match (&verdict, target) {
            (Verdict::Refuse(refusal), Target::Domain(domain))
                if by_policy || refusal.level > Some(Level::Encrypt) =>
            {
                Some(domain.clone())
            }
            (Verdict::Pin(_) | Verdict::Redial(_) | Verdict::Refuse(_), _) => None,
        };
        Decision {
            judgement: judgement(&verdict, target),
            verdict,
            enforced,
            took: now.saturating_duration_since(question.received),
        }
    }
}

const fn refuse(reason: Reason) -> Verdict {
    Verdict::Refuse(Refusal {
        reason,
        host: None,
        level: None,
    })
}

fn budget(target: &Target) -> Reason {
    match target {
        Target::Domain(domain) => Reason::Budget {
            domain: domain.clone(),
        },
        Target::Literal(_) | Target::Postmaster => no_policy_domain(target),
    }
}

fn no_policy_domain(target: &Target) -> Reason {
    Reason::NoPolicyDomain {
        recipient: name_of(target),
    }
}

fn name_of(target: &Target) -> String {
    match target {
        Target::Domain(domain) => domain.to_string(),
        Target::Literal(ip) => format!("[{ip}]"),
        Target::Postmaster => "postmaster".into(),
    }
}

/// What the record tells of a verdict.
fn judgement(verdict: &Verdict, target: &Target) -> Option<Judgement> {
    let domain = name_of(target);
    match verdict {
        Verdict::Pin(pin) => Some(Judgement {
            domain,
            host: pin.host.as_ref().map(ToString::to_string),
            level: Some(pin.level.label()),
            verdict: "pin",
            reason: pin.basis.label(),
            detail: String::new(),
            observed: pin.observed.as_ref().map(Reason::label),
        }),
        Verdict::Refuse(refusal) => Some(Judgement {
            domain,
            host: refusal.host.as_ref().map(ToString::to_string),
            level: refusal.level.map(|level| level.label()),
            verdict: "refuse",
            reason: refusal.reason.label(),
            detail: refusal.reason.to_string(),
            observed: None,
        }),
        Verdict::Redial(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use std::time::Instant;

    use super::*;
    use crate::mtasts::Policy;
    use crate::policy::identity::{Identities, Rule};
    use crate::policy::{MxFacts, StsState};
    use crate::proxy::tests::world::{Names, engine};

    const BUDGET: Duration = Duration::from_secs(60);

    fn clerk() -> Clerk {
        let engine = Arc::new(engine(Names::default()));
        Clerk::new(engine, "127.0.0.1:25".parse().unwrap(), BUDGET)
    }

    fn question(channel: Channel, received: Instant) -> Question {
        Question {
            target: Target::Domain("plain.example".parse().unwrap()),
            channel,
            first: true,
            received,
        }
    }

    fn connected(clerk: &mut Clerk) {
        clerk.ask_for(None);
        clerk.show(Handshake::asserted(None, vec![]));
    }

    #[tokio::test]
    async fn tls_09_a_protected_connection_that_is_lost_before_the_verdict_is_no_reason_for_cleartext()
     {
        for (what, is_lost, expected) in [
            ("it stands", false, "pin opportunistic-tls"),
            ("it is lost", true, "refuse server-lost"),
        ] {
            let mut clerk = clerk();
            connected(&mut clerk);
            let now = clerk.engine.clock.instant();
            clerk.take(question(Channel::Protected, now));
            if is_lost {
                clerk.forget();
            }
            let decision = poll_fn(|cx| clerk.poll(cx)).await;
            let told = decision.judgement.map_or_else(
                || format!("{:?}", decision.verdict),
                |told| format!("{} {}", told.verdict, told.reason),
            );
            assert_eq!(told, expected, "{what}");
        }
    }

    /// RFC 8461 §5: also where no host's requirement, but what the policy leaves of the hosts, is the reason.
    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn sts_67_after_every_refusal_under_a_policy_there_is_a_second_look_at_it() {
        let policy = |mode| {
            let text = format!("version: STSv1\nmode: {mode}\nmax_age: 60\nmx: mx.example\n");
            StsState::Live {
                policy: Arc::new(Policy::parse(text.as_bytes()).unwrap()),
                refresh: None,
            }
        };
        let mut clerk = clerk();
        let domain: Domain = "plain.example".parse().unwrap();
        let question = question(Channel::Protected, clerk.engine.clock.instant());
        let dest_not_mx = || Reason::DestNotMx {
            domain: domain.clone(),
            destination: clerk.destination.ip(),
        };
        let forged = || Reason::ForgedNullMx {
            domain: domain.clone(),
        };
        let trail = Trail::new(&clerk.engine);
        for (case, sts, reason, level, expected) in [
            (
                "enforced, LS",
                policy("enforce"),
                dest_not_mx(),
                Some(Level::Sts),
                true,
            ),
            ("enforced, M0", policy("enforce"), dest_not_mx(), None, true),
            (
                "enforced, a null MX",
                policy("enforce"),
                forged(),
                None,
                true,
            ),
            (
                "enforced beside DANE",
                policy("enforce"),
                dest_not_mx(),
                Some(Level::Dane),
                true,
            ),
            ("testing", policy("testing"), dest_not_mx(), None, false),
            (
                "none",
                StsState::None,
                dest_not_mx(),
                Some(Level::Encrypt),
                false,
            ),
        ] {
            let facts = Facts {
                domain: domain.clone(),
                mx: MxFacts::NoSuchDomain,
                sts,
            };
            let verdict = Verdict::Refuse(Refusal {
                reason,
                host: None,
                level,
            });
            let decision = clerk.decision(verdict, &question, &trail, Some(&facts));
            assert_eq!(decision.enforced.is_some(), expected, "{case}");
        }
    }

    #[test]
    fn net_18_a_recipient_that_the_session_has_given_up_is_told_of_as_such_and_judged_no_more() {
        for (why, expected) in [
            (GaveUp::Undecided, "decision-timeout"),
            (
                GaveUp::Failed(Reason::Unreachable {
                    what: "refused".into(),
                }),
                "unreachable",
            ),
        ] {
            let mut clerk = clerk();
            connected(&mut clerk);
            let question = question(Channel::Protected, clerk.engine.clock.instant());
            let target = question.target.clone();
            clerk.take(question);
            let told = clerk.gave_up(&target, why).unwrap();
            assert_eq!((told.reason, told.verdict), (expected, "refuse"));
            assert!(clerk.case.is_none() && clerk.stayed().is_none());
        }
    }

    #[test]
    fn on_a_route_who_was_given_up_is_told_of_by_the_host_s_name() {
        let mut engine = engine(Names::default());
        engine.identities = Identities::new(vec![Rule {
            network: "127.0.0.0/8".parse().unwrap(),
            port: None,
            identity: Identity::Route("relay.example".parse().unwrap()),
        }]);
        let mut clerk = Clerk::new(Arc::new(engine), "127.0.0.1:25".parse().unwrap(), BUDGET);
        for target in [
            Target::Postmaster,
            Target::Domain("plain.example".parse().unwrap()),
        ] {
            let told = clerk.gave_up(&target, GaveUp::Undecided).unwrap();
            assert_eq!(
                (told.domain.as_str(), told.reason),
                ("relay.example", "decision-timeout")
            );
        }
    }
}
