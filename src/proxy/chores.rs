//! What a proxy does beside its sessions, for as long as it takes new ones: policies are kept fresh, the store is minded,
//! validation is watched.
#![expect(clippy::disallowed_methods, reason = "IO: tasks that go by time")]

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::watch;

use super::Stage;
use super::engine::Engine;
use super::generation::{Generation, Generations, as_each_wants};
use super::history;
use super::shell::Shell;
use crate::config::Prewarm;

/// Starts all of them.
pub(super) fn start(generations: &Generations, stage: &watch::Receiver<Stage>) {
    let engine = Arc::clone(&generations.borrow().shell.engine);
    while_running(stage, keep_policies_fresh(Arc::clone(&engine)));
    while_running(
        stage,
        watch_interception(Arc::clone(&generations.borrow().shell)),
    );
    while_running(stage, follow_the_store(Arc::clone(&engine)));
    while_running(stage, tell_of_ends(engine));
    while_running(stage, prune_the_store(generations.clone()));
    while_running(stage, keep_hinted(generations.clone()));
    while_running(stage, ask_in_advance(generations.clone()));
    // Also while sessions finish: they may still have questions.
    let watching = watch_validation(generations.clone());
    until(stage, |stage| *stage == Stage::Over, watching);
}

fn while_running(
    stage: &watch::Receiver<Stage>,
    chore: impl Future<Output = Infallible> + Send + 'static,
) {
    until(stage, |stage| *stage != Stage::Running, chore);
}

fn until(
    stage: &watch::Receiver<Stage>,
    is_over: impl Fn(&Stage) -> bool + Send + 'static,
    chore: impl Future<Output = Infallible> + Send + 'static,
) {
    let mut stage = stage.clone();
    tokio::spawn(async move {
        tokio::select! {
            never = chore => match never {},
            // Or the proxy was dropped.
            _ = stage.wait_for(is_over) => {}
        }
    });
}

/// Policies are fetched anew long before they expire, whether mail goes to their domains or not (RFC 8461 §10.2).
async fn keep_policies_fresh(engine: Arc<Engine>) -> Infallible {
    engine.sts.keep_fresh().await;
    pending().await
}

/// Notices when the rules are gone that lead connections here.
async fn watch_interception(shell: Arc<Shell>) -> Infallible {
    shell.interception.keep_watching().await;
    pending().await
}

/// Hears what others write to the store.
async fn follow_the_store(engine: Arc<Engine>) -> Infallible {
    engine.follower().follow().await
}

/// Lets go of what is old there.
async fn prune_the_store(generations: Generations) -> Infallible {
    let keep = |generation: &Generation| generation.config.store.keep;
    let prune = |Generation { shell, config }: Generation| {
        let engine = &shell.engine;
        let (store, clock) = (Arc::clone(&engine.store), Arc::clone(&engine.clock));
        config.store.keep.keep_pruned(store, clock).boxed()
    };
    as_each_wants(generations, keep, prune).await
}

/// The policies that a signed list names are known before any mail goes to their domains (RFC 8461 §10.2).
async fn keep_hinted(generations: Generations) -> Infallible {
    let files = |generation: &Generation| generation.config.mta_sts.hints.clone();
    let keep = |Generation { shell, config }: Generation| {
        async move {
            if let Some(files) = &config.mta_sts.hints {
                shell.engine.sts.keep_hinted(files, &shell.relook).await;
            }
            pending().await
        }
        .boxed()
    };
    as_each_wants(generations, files, keep).await
}

/// What was sent to before is asked for its policies before it is sent to again.
async fn ask_in_advance(generations: Generations) -> Infallible {
    let prewarm = |generation: &Generation| generation.config.mta_sts.prewarm;
    let ask = |Generation { shell, config }: Generation| {
        async move {
            match config.mta_sts.prewarm {
                Prewarm::Off => pending().await,
                Prewarm::History => {
                    let store = Arc::clone(&shell.engine.store);
                    history::keep_asking(&shell.engine.sts, store).await
                }
            }
        }
        .boxed()
    };
    as_each_wants(generations, prewarm, ask).await
}

/// The log says when an exception has ended, whether mail goes to its domain or not.
async fn tell_of_ends(engine: Arc<Engine>) -> Infallible {
    loop {
        engine.exceptions.tell_ends(engine.clock.wall());
        tokio::time::sleep(BETWEEN_ENDS).await;
    }
}

async fn watch_validation(generations: Generations) -> Infallible {
    let monitor = |generation: &Generation| Arc::as_ptr(&generation.shell.engine.monitor).addr();
    let watch = |Generation { shell, .. }: Generation| {
        async move { shell.engine.monitor.watch().await }.boxed()
    };
    as_each_wants(generations, monitor, watch).await
}

/// How late the end of an exception may be told.
const BETWEEN_ENDS: Duration = Duration::from_secs(30);
