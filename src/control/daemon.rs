//! What is asked of the running process itself: to read its configuration anew.
//!
//! The process has one place where its life is decided, and this is where orders come from; it carries them out one after
//! the other.

use std::io;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::takeover::HandedOver;
use super::{Code, Failure, result};
use crate::config::change::Changes;

/// What it is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Read the configuration anew.
    Reload,
    /// Give its listening sockets to the process that asks.
    TakeOver,
}

impl Request {
    /// Its name.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Reload => "reload",
            Self::TakeOver => "take-over",
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
    /// Give the listening sockets to a successor, and let it have the store; go on.
    Offer(oneshot::Sender<Result<HandedOver, Failure>>),
    /// The successor has not started: all is as before.
    Stay,
    /// The successor accepts: accept nothing more, and let sessions end.
    Leave {
        /// Who it is.
        pid: Option<i32>,
        /// Dropped when that is so.
        over: oneshot::Sender<()>,
    },
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
        Request::TakeOver => Err(leaving()),
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

/// Two that share the sockets would not know of each other.
pub(crate) fn succeeded() -> Failure {
    Failure::new(
        Code::Conflict,
        "one process that takes over at a time",
        "another one that does and has not said yet that it serves",
        "wait until it has, or end it",
    )
}

/// Sockets that cannot be copied.
pub(crate) fn unoffered(error: &io::Error) -> Failure {
    Failure::new(
        Code::Internal,
        "a copy of each listening socket to hand over",
        error.to_string(),
        "see whether descriptors have run out (LimitNOFILE), and try again",
    )
}

pub(super) fn leaving() -> Failure {
    Failure::new(
        Code::Refused,
        "a proxy that runs",
        "one that shuts down",
        "start it anew: it reads its configuration then",
    )
}
