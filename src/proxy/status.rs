//! How the proxy fares: what `/readyz` and `/metrics` show, read at the moment when it is asked for.

use std::sync::Arc;

use tokio::sync::watch;

use super::{Shell, Stage};
use crate::dns::health::state::Health;
use crate::report::admin::Check;
use crate::report::metrics::Vitals;

/// A view of a running proxy, which it does not keep from ending.
#[derive(Clone)]
pub struct Status {
    shell: Arc<Shell>,
    stage: watch::Receiver<Stage>,
}

impl Status {
    pub(super) const fn new(shell: Arc<Shell>, stage: watch::Receiver<Stage>) -> Self {
        Self { shell, stage }
    }

    /// What has to hold for mail to be taken and delivered.
    #[must_use]
    pub fn checks(&self) -> Vec<Check> {
        let serving = match *self.stage.borrow() {
            Stage::Starting | Stage::Running => None,
            Stage::Draining | Stage::Over => {
                Some("shutting down: no new sessions are taken".into())
            }
        };
        let dns = match self.shell.engine.monitor.health() {
            Health::Working | Health::Off => None,
            Health::Unknown => Some("the first probes have not come back".into()),
            Health::Broken(broken) => Some(broken.why.to_string()),
        };
        // Decisions go on with what is in memory: no reason to send mail elsewhere.
        let store = Check::new("store", None).noting(self.shell.engine.store.trouble());
        vec![
            Check::new("serving", serving),
            Check::new("dnssec", dns),
            self.shell.interception.check(),
            store,
        ]
    }

    /// The numbers that are not counted by session.
    #[must_use]
    pub fn vitals(&self) -> Vitals {
        let engine = &self.shell.engine;
        Vitals {
            sessions_open: self.shell.sessions(),
            doors: Arc::clone(&self.shell.tally),
            sights: self.shell.interception.sights(),
            health: engine.monitor.health().label(),
            tally: Arc::clone(&engine.tally),
            store_works: engine.store.trouble().is_none(),
            backlog: engine.pen.backlog(),
            exceptions_unreadable: engine.exceptions.unreadable(),
            sts: engine.sts.vitals(),
        }
    }
}
