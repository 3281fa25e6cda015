//! Where a command asks: the running proxy, or the same engine built here.
#![expect(
    clippy::disallowed_methods,
    reason = "IO: connects to the control socket, with a limit to its patience"
)]

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use super::wire::{self, Envelope, Line, MAX_REPLY_LINE};
use super::{Failure, Items, Request, answer};
use crate::proxy::engine::Engine;

/// Who answers.
pub enum Desk {
    /// The proxy that listens at this socket.
    Daemon(PathBuf),
    /// This process.
    Here(Arc<Engine>),
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// There is: no.
    #[error("{0}")]
    Failed(Failure),
    /// Nobody listens.
    #[error(
        "no daemon answers at {socket}: is `danelaw run` running, with this control.socket?",
        socket = socket.display()
    )]
    NoDaemon {
        /// Where.
        socket: PathBuf,
    },
    /// The socket is another user's.
    #[error(
        "the control socket {socket} is not open to this user: run the command as root or as the user that danelaw runs as",
        socket = socket.display()
    )]
    Forbidden {
        /// Which.
        socket: PathBuf,
    },
    /// The conversation broke off.
    #[error("the daemon at {socket} gave no whole answer ({error}): see its log", socket = socket.display())]
    Broken {
        /// Where.
        socket: PathBuf,
        /// How.
        error: io::Error,
    },
    /// The answer is another than this command knows.
    #[error("the answer is not one that danelaw {version} knows ({error}): use the command of the daemon's release", version = env!("CARGO_PKG_VERSION"))]
    Strange {
        /// What is wrong with it.
        #[from]
        error: serde_json::Error,
    },
}

/// What is asked, with what goes with it.
#[derive(Debug)]
pub struct Question {
    /// What.
    pub request: Request,
    /// Octets, mostly none.
    pub body: Vec<u8>,
}

impl From<Request> for Question {
    fn from(request: Request) -> Self {
        Self {
            request,
            body: Vec::new(),
        }
    }
}

impl Desk {
    /// Asks for a result.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn ask<D: DeserializeOwned>(
        &self,
        question: impl Into<Question>,
    ) -> Result<D, AskError> {
        self.ask_each(question, |_: Value| {}).await
    }

    /// Asks for a result that comes with items.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn ask_each<I: DeserializeOwned, D: DeserializeOwned>(
        &self,
        question: impl Into<Question>,
        mut each: impl FnMut(I),
    ) -> Result<D, AskError> {
        let question = question.into();
        let mut each = |item: Value| -> Result<(), AskError> {
            each(serde_json::from_value(item)?);
            Ok(())
        };
        let done = match self {
            Self::Daemon(socket) => ask_daemon(socket, question, &mut each).await?,
            Self::Here(engine) => ask_here(engine, question, &mut each).await?,
        };
        Ok(serde_json::from_value(done)?)
    }

    /// Does a daemon listen at `socket`?
    ///
    /// # Errors
    /// When there is one that cannot be asked.
    pub async fn is_answered(socket: &Path) -> Result<bool, AskError> {
        match connect(socket).await {
            Ok(_) => Ok(true),
            Err(AskError::NoDaemon { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

async fn ask_here(
    engine: &Arc<Engine>,
    Question { request, body }: Question,
    each: &mut impl FnMut(Value) -> Result<(), AskError>,
) -> Result<Value, AskError> {
    let (items, mut told) = Items::channel();
    let engine = Arc::clone(engine);
    let watching = Arc::clone(&engine);
    let answering = tokio::spawn(async move {
        tokio::select! {
            answered = answer(&engine, request, body, &items) => answered,
            never = watching.monitor.watch() => match never {},
        }
    });
    while let Some(item) = told.recv().await {
        each(item)?;
    }
    match answering.await {
        Ok(answered) => answered.map_err(AskError::Failed),
        Err(error) => Err(AskError::Failed(Failure::broken(&error))),
    }
}

async fn ask_daemon(
    socket: &Path,
    question: Question,
    each: &mut impl FnMut(Value) -> Result<(), AskError>,
) -> Result<Value, AskError> {
    let broken = |error| AskError::Broken {
        socket: socket.to_owned(),
        error,
    };
    let (read, mut write) = connect(socket).await?.into_split();
    let envelope = Envelope {
        request: question.request,
        body: question.body.len() as u64,
    };
    let mut read = BufReader::new(read);
    // A daemon that refuses says so before it has read all: what it says counts, not that it stopped reading.
    let _ = async {
        wire::write_line(&mut write, &envelope).await?;
        write.write_all(&question.body).await
    }
    .await;
    loop {
        match next(&mut read).await.map_err(broken)? {
            Line::Item(item) => each(item)?,
            Line::Done(done) => return Ok(done),
            Line::Failed(failure) => return Err(AskError::Failed(failure)),
        }
    }
}

async fn connect(socket: &Path) -> Result<UnixStream, AskError> {
    let path = socket.to_owned();
    match UnixStream::connect(socket).await {
        Ok(stream) => Ok(stream),
        Err(error) => Err(
            if matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::ConnectionRefused
            ) {
                AskError::NoDaemon { socket: path }
            } else if error.kind() == ErrorKind::PermissionDenied {
                AskError::Forbidden { socket: path }
            } else {
                AskError::Broken {
                    socket: path,
                    error,
                }
            },
        ),
    }
}

async fn next(read: &mut BufReader<tokio::net::unix::OwnedReadHalf>) -> io::Result<Line> {
    let line = tokio::time::timeout(PATIENCE, wire::read_line(read, MAX_REPLY_LINE)).await??;
    let line = line.ok_or(ErrorKind::UnexpectedEof)?;
    Ok(serde_json::from_slice(&line)?)
}

/// With one line of an answer: a policy host may take a minute, and others are before it.
const PATIENCE: Duration = Duration::from_secs(300);
