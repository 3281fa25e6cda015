//! Who says how far an answer can be believed: our own validation, the resolver's, or both.

use std::sync::Arc;

use hickory_resolver::net::xfer::DnsHandle;
use hickory_resolver::proto::rr::{Name, RecordType};

use super::errand::Errand;
use super::judge::{Judge, Judged};
use super::proof::keys::RootTrust;
use super::trouble::Trouble;
use super::trusted::Trusted;
use super::upstream::{Asking, Server, Upstream};
use super::walk::Walk;
use crate::clock::Clock;

/// Whose validation counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Validate {
    /// Our own, from the trust anchor down. The resolver's AD bit is not looked at (RFC 4035 §4.6).
    #[default]
    Local,
    /// The resolver's: its AD bit. Only over a path that nobody can tamper with.
    TrustAd,
    /// Both must come to the same end; otherwise nothing is known.
    Both,
}

/// The validations of one resolver.
pub(super) struct Validators<H> {
    /// The one whose outcome is used.
    pub(super) first: Validator<H>,
    /// One that must agree.
    pub(super) second: Option<Validator<H>>,
}

/// One validation.
pub(super) enum Validator<H> {
    /// Ours.
    Own(Judge<H>),
    /// The resolver's.
    Resolver(Trusted<H>),
}

impl<H: DnsHandle + Clone> Validators<H> {
    pub(super) fn new(
        validate: Validate,
        servers: Vec<Server<H>>,
        anchor: Arc<RootTrust>,
        clock: &Arc<dyn Clock>,
    ) -> Self {
        let own = |servers| {
            let upstream = Arc::new(Upstream::new(servers, Asking::Data));
            let walk = Walk::new(Arc::clone(&upstream), anchor, Arc::clone(clock));
            Validator::Own(Judge::new(upstream, walk, Arc::clone(clock)))
        };
        let theirs = |servers| {
            let upstream = Arc::new(Upstream::new(servers, Asking::Verdict));
            Validator::Resolver(Trusted::new(upstream, Arc::clone(clock)))
        };
        match validate {
            Validate::Local => Self {
                first: own(servers),
                second: None,
            },
            Validate::TrustAd => Self {
                first: theirs(servers),
                second: None,
            },
            Validate::Both => Self {
                first: own(servers.clone()),
                second: Some(theirs(servers)),
            },
        }
    }
}

impl<H: DnsHandle> Validator<H> {
    /// Asks and judges.
    pub(super) async fn ask(
        &self,
        name: &Name,
        record_type: RecordType,
        errand: &Errand,
    ) -> Result<Judged, Trouble> {
        match self {
            Self::Own(judge) => judge.ask(name, record_type, errand).await,
            Self::Resolver(trusted) => trusted.ask(name, record_type, errand).await,
        }
    }

    /// The resolver that is asked first.
    pub(super) fn preferred(&self) -> usize {
        match self {
            Self::Own(judge) => judge.upstream().preferred(),
            Self::Resolver(trusted) => trusted.upstream().preferred(),
        }
    }

    /// How many resolvers there are to turn to.
    pub(super) fn resolvers(&self) -> usize {
        match self {
            Self::Own(judge) => judge.upstream().count(),
            Self::Resolver(trusted) => trusted.upstream().count(),
        }
    }
}
