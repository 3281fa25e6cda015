//! What one destination must show for one recipient, by what is known of the recipient's domain. Asks nobody.

use std::net::SocketAddr;

use super::engine::Engine;
use super::judgement::no_policy_domain;
use crate::dns::Failure;
use crate::policy::demand::{combines, demand, demand_of_route};
use crate::policy::exceptions::What;
use crate::policy::{Demand, Facts, Terms};
use crate::smtp::Target;
use crate::verdict::Reason;

/// What is known of the recipient's domain.
pub(super) enum Knowledge {
    /// Nothing has to be.
    Nothing,
    /// The facts.
    Facts(Facts),
    /// They were not there in time.
    Late,
}

impl Knowledge {
    pub(super) const fn facts(&self) -> Option<&Facts> {
        match self {
            Self::Facts(facts) => Some(facts),
            Self::Nothing | Self::Late => None,
        }
    }
}

/// A recipient as one session sees it.
pub(super) struct Standpoint<'a> {
    pub(super) engine: &'a Engine,
    pub(super) destination: SocketAddr,
    /// The destination is a host by configuration.
    pub(super) is_route: bool,
    pub(super) target: &'a Target,
    pub(super) known: &'a Knowledge,
}

impl Standpoint<'_> {
    pub(super) fn demanded(&self, terms: Terms<'_>) -> Result<Demand, Reason> {
        match (self.target, self.known) {
            (Target::Literal(ip), _) if ip.to_canonical() == self.destination.ip() => {
                Ok(Demand::of_literal())
            }
            (Target::Domain(_), Knowledge::Facts(facts)) => self.demanded_by(facts, terms),
            // What is not asked for need not be waited for.
            (Target::Domain(domain), Knowledge::Late) if loosens(terms) => {
                let late = Failure::Unreachable("not in time".into());
                self.demanded_by(&Facts::unknown(domain.clone(), late), terms)
            }
            (Target::Domain(domain), Knowledge::Late) => Err(Reason::Budget {
                recipient: domain.to_string(),
            }),
            (target, _) => Err(no_policy_domain(target)),
        }
    }

    /// By the other choice of how DANE and MTA-STS combine, where that may matter.
    pub(super) fn otherwise(&self, terms: Terms<'_>) -> Option<Result<Demand, Reason>> {
        let facts = self.known.facts().filter(|facts| combines(facts))?;
        let is_judged = matches!(self.target, Target::Domain(_)) && !loosens(terms);
        let settings = terms.settings.otherwise_combined();
        is_judged.then(|| self.demanded_by(facts, Terms { settings, ..terms }))
    }

    fn demanded_by(&self, facts: &Facts, terms: Terms<'_>) -> Result<Demand, Reason> {
        let mut demanded = if self.is_route {
            demand_of_route(facts, terms)
        } else {
            demand(facts, self.destination.ip(), terms)
        }?;
        // What an operator has loosened is not held by what the host once was.
        if !loosens(terms) {
            let now = self.engine.clock.wall();
            let port = self.destination.port();
            self.engine.recall.hold(&mut demanded, port, now);
        }
        Ok(demanded)
    }
}

fn loosens(terms: Terms<'_>) -> bool {
    terms.exception.is_some_and(What::loosens)
}
