//! Gets the verdict on one recipient after the other: gathers the facts (once per recipient, redials see the same
//! snapshot), and puts demand and evidence before the judge. Decides nothing itself.
#![expect(
    clippy::disallowed_methods,
    reason = "IO: limits the time of a decision"
)]

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::engine::Engine;
use super::judgement::{Beside, judgement, refuse, used};
use super::recall::Judged;
use super::recollection::Recollection;
use super::standpoint::{Knowledge, Standpoint};
use super::trail::{Subject, Trail};
use crate::name::{DnsName, Domain};
use crate::policy::exceptions::What;
use crate::policy::identity::Identity;
use crate::policy::{Facts, Level, Mode, Terms};
use crate::report::Judgement;
use crate::report::trace::Decided;
use crate::smtp::{Channel, Question, Target};
use crate::tls::tickets::Pocket;
use crate::tls::{Evidence, Handshake};
use crate::verdict::{By, Hearing, MAX_REDIALS, Reason, Refusal, Ruling, Verdict};

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
    /// What it has of earlier sessions.
    recollection: Recollection,
    /// What the last decision came from, if that is to be kept.
    trace: Option<Decided>,
}

/// The SNI of a handshake, perhaps none.
#[derive(Clone)]
struct Asked(Option<DnsName>);

struct Case {
    question: Question,
    state: State,
    /// How many connections it has caused.
    redials: usize,
    /// The refusal that was waived before the present connection.
    waived: Option<Refusal>,
    trail: Trail,
}

enum State {
    /// The facts are on their way; none when the budget is spent first.
    Gathering(BoxFuture<'static, Option<Facts>>),
    /// To be judged now.
    Ready(Knowledge),
    /// To be judged by another connection, on the same facts, if the session wants one.
    Redial(Knowledge),
    /// It does, and dials.
    Redialled(Knowledge),
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
            recollection: Recollection::new(),
            trace: None,
        }
    }

    /// A handshake begins. What it may use.
    pub(super) fn ask_for(&mut self, sni: Option<DnsName>) -> Option<Arc<Pocket>> {
        let redials = self.case.as_ref().map_or(0, |case| case.redials);
        if redials + 1 >= MAX_REDIALS {
            // Where a ticket is not enough, another connection for the same name could take the place of the one for
            // another host's.
            self.recollection.wants_full();
        }
        let (engine, name) = (&self.engine, sni.as_ref());
        let pocket = self
            .recollection
            .shakes_hands(engine, self.destination, name);
        self.asked = Some(Asked(sni.clone()));
        if self.tried.last() != Some(&sni) {
            self.tried.push(sni);
        }
        pocket
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
        let (state, redials, waived, trail) = match self.case.take() {
            Some(Case {
                question: before,
                state: State::Redialled(known),
                redials,
                waived,
                trail,
            }) if !question.first && before.target == question.target => {
                (State::Ready(known), redials, waived, trail)
            }
            Some(_) | None => {
                // Not the last that was tried: a redial that the session cannot make leaves its name there.
                self.tried = self.asked.iter().map(|asked| asked.0.clone()).collect();
                let trail = Trail::new(&self.engine);
                (self.gather(&question.target, &trail), 0, None, trail)
            }
        };
        self.case = Some(Case {
            question,
            state,
            redials,
            waived,
            trail,
        });
    }

    /// Whose demand is to be met. On a route the next-hop is the policy domain (RFC 7672 §1.1, RFC 8461 §3.4).
    fn judged(&self, target: Target) -> Target {
        self.route.clone().map_or(target, Target::Domain)
    }

    fn gather(&self, target: &Target, trail: &Trail) -> State {
        match target {
            Target::Literal(_) | Target::Postmaster => State::Ready(Knowledge::Nothing),
            Target::Domain(domain) => {
                let gatherer = trail.gatherer(&self.engine);
                let budget = match self.engine.modes.of(Some(domain)) {
                    Mode::Enforce => self.budget,
                    // The session must have time left to deliver.
                    Mode::ReportOnly => self.budget * 9 / 10,
                };
                let (domain, destination) = (domain.clone(), self.destination);
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
        let known = match case.state {
            State::Ready(known) => known,
            State::Gathering(mut facts) => match facts.poll_unpin(cx) {
                Poll::Ready(Some(facts)) => {
                    let now = self.engine.clock.instant();
                    self.engine.learned.learn(&facts, now);
                    case.trail.learned(&self.engine, &facts);
                    Knowledge::Facts(facts)
                }
                // A late answer is a refusal, never a guess.
                Poll::Ready(None) => Knowledge::Late,
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
        let (ruling, beside) = self.hear(
            &case.question,
            case.waived.as_ref(),
            &known,
            &mut case.trail,
        );
        if let Verdict::Redial(redial) = &ruling.verdict
            && let Some(name) = redial.sni()
        {
            // It counts as tried even when the connection breaks before the handshake.
            let name = Some(name.clone());
            if self.tried.last() != Some(&name) {
                self.tried.push(name);
            }
        }
        let decision = self.decision(
            ruling.verdict,
            &case.question,
            beside,
            (&case.trail, known.facts()),
        );
        if let Verdict::Redial(_) = decision.verdict {
            case.state = State::Redial(known);
            case.waived = ruling.waived;
            self.case = Some(case);
        }
        Poll::Ready(decision)
    }

    /// The session dials.
    pub(super) fn dials(&mut self) {
        self.recollection.dials();
        if let Some(case) = &mut self.case
            && let State::Redial(known) = &mut case.state
        {
            let known = std::mem::replace(known, Knowledge::Nothing);
            case.state = State::Redialled(known);
            case.redials += 1;
        }
    }

    /// The session has given a recipient up, and has answered it itself.
    pub(super) fn gave_up(&mut self, target: &Target, why: Reason) -> Option<Judgement> {
        let trail = self.case.take().map(|case| case.trail);
        let target = self.judged(target.clone());
        let verdict = refuse(why);
        let trail = trail.unwrap_or_else(|| Trail::new(&self.engine));
        self.trace = trail.end(&self.engine, self.subject(&target), &verdict);
        judgement(&verdict, &target, Beside::default())
    }

    /// The same when it has done all it wants and did not dial, since the MX holds other recipients.
    pub(super) fn stayed(&mut self) -> Option<Judgement> {
        let case = self
            .case
            .take_if(|case| matches!(case.state, State::Redial(_)))?;
        let target = &case.question.target;
        let verdict = refuse(Reason::OneDomain {
            recipient: target.to_string(),
        });
        self.trace = case.trail.end(&self.engine, self.subject(target), &verdict);
        judgement(&verdict, target, Beside::default())
    }

    /// What the last decision came from, once, if that is to be kept.
    pub(super) fn trace(&mut self) -> Option<Decided> {
        self.trace.take()
    }

    fn subject(&self, target: &Target) -> Subject {
        Subject {
            domain: target.to_string(),
            route: self.route.is_some(),
            destination: self.destination,
        }
    }

    fn hear(
        &mut self,
        question: &Question,
        waived: Option<&Refusal>,
        known: &Knowledge,
        trail: &mut Trail,
    ) -> (Ruling, Beside) {
        let domain = match &question.target {
            Target::Domain(domain) => Some(domain),
            Target::Literal(_) | Target::Postmaster => None,
        };
        let now = self.engine.clock.wall();
        let exceptions = self.engine.exceptions.all();
        let exception = domain.and_then(|domain| exceptions.of(domain, now));
        let terms = Terms {
            settings: self.engine.settings,
            exception: exception.map(|one| one.what()),
        };
        let exceptions = used(&exceptions, exception, known.facts(), now);
        let ruling = match evidence(question, self.shown.as_ref()) {
            Ok(evidence) => {
                let hearing = Hearing {
                    evidence: &evidence,
                    tried: &self.tried,
                    roots: &self.engine.roots,
                    now,
                    mode: self.engine.modes.of(domain),
                    freedom: question.freedom,
                    waived,
                    ticket: self.recollection.ticket(),
                };
                let standpoint = self.standpoint(&question.target, known);
                let demanded = standpoint.demanded(terms);
                let otherwise = standpoint.otherwise(terms);
                let ruling = hearing.rule(&demanded, otherwise.as_ref());
                trail.judged(demanded.ok(), &evidence, &self.tried, &ruling.verdict);
                let (engine, destination) = (&self.engine, self.destination);
                self.recollection.ruled(engine, destination, &ruling);
                if let (Some(domain), Some(facts)) = (domain, known.facts()) {
                    let judged = Judged {
                        destination,
                        domain,
                        facts,
                        evidence: &evidence,
                        ruling: &ruling,
                        is_exempt: exceptions.iter().any(|one| one.kind == What::Nta.kind()),
                        now,
                    };
                    self.recollection.note(engine, &judged);
                }
                ruling
            }
            Err(lost) => Ruling {
                verdict: refuse(lost),
                by: By::Demand,
                differs: None,
                waived: None,
            },
        };
        trail.rests_on(&exceptions);
        let beside = Beside {
            differs: ruling.differs.as_ref().map(Reason::label),
            exceptions,
        };
        (ruling, beside)
    }

    fn standpoint<'a>(&'a self, target: &'a Target, known: &'a Knowledge) -> Standpoint<'a> {
        Standpoint {
            engine: &self.engine,
            destination: self.destination,
            is_route: self.route.is_some(),
            target,
            known,
        }
    }

    /// What has turned out not to be as it was, each once.
    pub(super) fn alerts(&mut self) -> Vec<&'static str> {
        self.recollection.alerts()
    }

    fn decision(
        &mut self,
        verdict: Verdict,
        question: &Question,
        beside: Beside,
        (trail, facts): (&Trail, Option<&Facts>),
    ) -> Decision {
        let subject = self.subject(&question.target);
        self.trace = trail.end(&self.engine, subject, &verdict);
        let (target, now) = (&question.target, self.engine.clock.instant());
        // A refusal that no host's requirement was the reason for can be the work of a policy all the same: of what no
        // listed host could be found for, or what stands against a forged null MX.
        let by_policy = facts.is_some_and(|facts| facts.sts.enforces());
        let refusal = match &verdict {
            Verdict::Refuse(refusal) => Some(refusal),
            Verdict::Pin(pin) => pin.would_refuse.as_deref(),
            Verdict::Redial(_) => None,
        };
        let enforced = match (refusal, target) {
            (Some(refusal), Target::Domain(domain))
                if by_policy || refusal.level > Some(Level::Encrypt) =>
            {
                Some(domain.clone())
            }
            _ => None,
        };
        Decision {
            judgement: judgement(&verdict, target, beside),
            verdict,
            enforced,
            took: now.saturating_duration_since(question.received),
        }
    }
}

/// What the present connection has shown, inside TLS or without it.
fn evidence<'a>(
    question: &Question,
    shown: Option<&'a Evidence>,
) -> Result<Cow<'a, Evidence>, Reason> {
    match (&question.channel, shown) {
        (Channel::Protected, Some(shown)) => Ok(Cow::Borrowed(shown)),
        // Its loss says nothing about TLS, and is no reason to try without.
        (Channel::Protected, None) => {
            let what = "the connection was lost before the verdict".into();
            Err(Reason::ServerLost { what })
        }
        (Channel::Clear(why), _) => Ok(Cow::Owned(Evidence::Clear(why.clone()))),
        (Channel::Broken(what), _) => Ok(Cow::Owned(Evidence::Broken(what.clone()))),
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
    use crate::smtp::Freedom;

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
            freedom: Freedom::Free,
            received,
        }
    }

    fn late() -> Reason {
        Reason::Budget {
            recipient: "plain.example".into(),
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
            let decision = clerk.decision(
                verdict,
                &question,
                Beside::default(),
                (&trail, Some(&facts)),
            );
            assert_eq!(decision.enforced.is_some(), expected, "{case}");
        }
    }

    #[test]
    fn a_recipient_that_the_session_has_given_up_is_told_of_as_such_and_judged_no_more() {
        for (why, expected) in [
            (late(), "decision-timeout"),
            (
                Reason::Unreachable {
                    what: "refused".into(),
                },
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
            let told = clerk.gave_up(&target, late()).unwrap();
            assert_eq!(
                (told.domain.as_str(), told.reason),
                ("relay.example", "decision-timeout")
            );
        }
    }
}
