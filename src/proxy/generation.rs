//! What sessions begin with: one configuration and all that was built from it. A reload makes the next generation; a
//! session keeps its own to its end.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::shell::Shell;
use crate::config::Config;

/// One of them.
#[derive(Clone)]
pub(super) struct Generation {
    pub(super) config: Arc<Config>,
    pub(super) shell: Arc<Shell>,
}

/// Where the one of now is.
pub(super) type Generations = watch::Receiver<Generation>;

/// Does work that goes on without end, and begins anew where `key` says that another generation wants it otherwise.
pub(super) async fn as_each_wants<K: PartialEq + Send>(
    mut generations: Generations,
    key: impl Fn(&Generation) -> K + Send + Sync,
    work: impl Fn(Generation) -> BoxFuture<'static, Infallible> + Send,
) -> Infallible {
    loop {
        let generation = generations.borrow_and_update().clone();
        let wanted = key(&generation);
        let changed = async {
            generations
                .wait_for(|next| key(next) != wanted)
                .await
                .is_ok()
        };
        tokio::select! {
            never = work(generation) => match never {},
            is_there = changed => if !is_there {
                // The proxy is gone, and its stage says so to whoever has started this.
                return pending().await;
            }
        }
    }
}
