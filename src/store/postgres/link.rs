//! The connection to the database: made when it is needed, given up when anything takes too long, made again.
//!
//! Work runs on a thread and a runtime of its own, so that it may be asked for from anywhere; one piece at a time.
#![expect(clippy::disallowed_methods, reason = "IO: a connection and its time")]

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::ClientConfig;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, NoTls};

use super::address::Address;
use super::schema;
use super::tls::Verified;
use crate::store::StoreFault;

/// One connection, kept.
pub(super) struct Link {
    address: Address,
    tls: Option<Arc<ClientConfig>>,
    line: Mutex<Line>,
}

struct Line {
    /// None at its end.
    runtime: Option<Runtime>,
    client: Option<Client>,
}

impl Drop for Line {
    /// Waits for nothing: it may be dropped where nobody may wait.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Link {
    pub(super) fn new(address: Address, tls: Option<ClientConfig>) -> Result<Self, StoreFault> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| StoreFault::File {
            doing: "start its runtime",
            error,
        })?;
        Ok(Self {
            address,
            tls: tls.map(Arc::new),
            line: Mutex::new(Line {
                runtime: Some(runtime),
                client: None,
            }),
        })
    }

    pub(super) const fn address(&self) -> &Address {
        &self.address
    }

    /// Works on the database. Whatever fails ends the connection; the next work makes another.
    pub(super) fn with<T: Send>(
        &self,
        work: impl AsyncFnOnce(&mut Client) -> Result<T, StoreFault> + Send,
    ) -> Result<T, StoreFault> {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        let line = &mut *line;
        let whole = async |client: &mut Option<Client>| {
            let mut open = match client.take().filter(|client| !client.is_closed()) {
                Some(client) => client,
                None => self.connect().await?,
            };
            let done = work(&mut open).await?;
            *client = Some(open);
            Ok(done)
        };
        let Line { runtime, client } = line;
        let broken_off = || StoreFault::Database {
            what: "the connection was broken off".to_owned(),
        };
        let runtime = runtime.as_ref().ok_or_else(broken_off)?;
        let worked = std::thread::scope(|scope| {
            let task =
                || runtime.block_on(async { tokio::time::timeout(PATIENCE, whole(client)).await });
            scope.spawn(task).join()
        });
        match worked {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(StoreFault::Database {
                what: format!("no answer within {} s", PATIENCE.as_secs()),
            }),
            Err(_) => Err(broken_off()),
        }
    }

    async fn connect(&self) -> Result<Client, StoreFault> {
        let mut config = (*self.address.config).clone();
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT);
        }
        if config.get_application_name().is_none() {
            config.application_name("danelaw");
        }
        let mut client = match &self.tls {
            Some(tls) => {
                let (client, connection) = config
                    .connect(Verified(Arc::clone(tls)))
                    .await
                    .map_err(failed)?;
                tokio::spawn(connection);
                client
            }
            None => {
                let (client, connection) = config.connect(NoTls).await.map_err(failed)?;
                tokio::spawn(connection);
                client
            }
        };
        client.batch_execute(SETTINGS).await.map_err(failed)?;
        schema::migrate(&mut client).await?;
        Ok(client)
    }
}

/// With its causes: the error alone often only says which step it was.
pub(super) fn failed(error: tokio_postgres::Error) -> StoreFault {
    let mut what = match error.as_db_error() {
        Some(told) => told.message().to_owned(),
        None => error.to_string(),
    };
    if error.as_db_error().is_none()
        && let Some(cause) = std::error::Error::source(&error)
    {
        what = format!("{what}: {cause}");
    }
    StoreFault::Database { what }
}

/// The server gives up before we do, so that nothing is left running there.
const SETTINGS: &str = "SET statement_timeout = '8s'; SET lock_timeout = '5s'; \
    SET idle_in_transaction_session_timeout = '20s'";

/// For a whole piece of work, with making the connection.
const PATIENCE: Duration = Duration::from_secs(15);
const CONNECT: Duration = Duration::from_secs(3);
