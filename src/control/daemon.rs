//! What is asked of the running process itself: to read its configuration anew.
//!
//! The process has one place where its life is decided, and this is where orders come from; it carries them out one after
//! the other.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::{Code, Failure, result};
use crate::config::change::Changes;

/// What it is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Read the configuration anew.
    Reload,
}

impl Request {
    /// Its name.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Reload => "reload",
        }
    }
}

/// What became of a reload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reloaded {
    /// New sessions begin with it.
    Applied(Changes),
    /// It is wrong, and nothing has changed: each fault.
    Refused(Vec<String>),
}

/// Something to do, and where the answer goes.
#[derive(Debug)]
pub enum Order {
    /// Read the configuration anew.
    Reload(oneshot::Sender<Reloaded>),
}

/// Where orders go.
pub type Orders = mpsc::Sender<Order>;

/// Hands the order on and waits for what becomes of it.
pub(super) async fn answer(orders: &Orders, request: Request) -> Result<Value, Failure> {
    match request {
        Request::Reload => {
            let (tell, told) = oneshot::channel();
            let sent = orders.send(Order::Reload(tell)).await;
            sent.map_err(|_| leaving())?;
            let reloaded = told.await.map_err(|_| leaving())?;
            result(&reloaded)
        }
    }
}

/// There is no process to ask.
pub(super) fn nobody() -> Failure {
    Failure::new(
        Code::NotFound,
        "a running proxy",
        "none",
        "it reads its configuration when it is started",
    )
}

fn leaving() -> Failure {
    Failure::new(
        Code::Refused,
        "a proxy that runs",
        "one that shuts down",
        "start it anew: it reads its configuration then",
    )
}
