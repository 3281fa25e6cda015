//! How the proxy fares: what `/readyz` and `/metrics` show, read at the moment when it is asked for.

use std::sync::Arc;

use tokio::sync::watch;

use super::Stage;
use super::generation::Generations;
use crate::dns::health::state::Health;
use crate::report::admin::Check;
use crate::report::metrics::{Reloads, Vitals};

/// A view of a running proxy, which it does not keep from ending.
#[derive(Clone)]
pub struct Status {
    pub(super) generations: Generations,
    pub(super) stage: watch::Receiver<Stage>,
    pub(super) reloads: Arc<Reloads>,
}

impl Status {
    /// What has to hold for mail to be taken and delivered.
    #[must_use]
    pub fn checks(&self) -> Vec<Check> {
        let serving = match *self.stage.borrow() {
            Stage::Starting | Stage::Running => None,
            Stage::Leaving => Some("handed over: another process takes new sessions".into()),
            Stage::Draining | Stage::Over => {
                Some("shutting down: no new sessions are taken".into())
            }
        };
        let shell = Arc::clone(&self.generations.borrow().shell);
        let dns = match shell.engine.monitor.health() {
            Health::Working | Health::Off => None,
            Health::Unknown => Some("the first probes have not come back".into()),
            Health::Broken(broken) => Some(broken.why.to_string()),
        };
        // Decisions go on with what is in memory: no reason to send mail elsewhere.
        let store = Check::new("store", None).noting(shell.engine.store.trouble());
        let refused = self.reloads.is_last_refused().then(|| {
            "the last reload was refused, what was in force before is: see the log".into()
        });
        vec![
            Check::new("serving", serving),
            Check::new("dnssec", dns),
            shell.interception.check(),
            store,
            Check::new("configuration", None).noting(refused),
        ]
    }

    /// The numbers that are not counted by session.
    #[must_use]
    pub fn vitals(&self) -> Vitals {
        let shell = Arc::clone(&self.generations.borrow().shell);
        let engine = &shell.engine;
        Vitals {
            sessions_open: shell.sessions(),
            doors: Arc::clone(&shell.tally),
            sights: shell.interception.sights(),
            health: engine.monitor.health().label(),
            tally: Arc::clone(&engine.tally),
            store_works: engine.store.trouble().is_none(),
            backlog: engine.pen.backlog(),
            exceptions_unreadable: engine.exceptions.unreadable(),
            sts: engine.sts.vitals(),
            reloads: Arc::clone(&self.reloads),
        }
    }
}
