//! MTA-STS policy hosts: one HTTPS server on loopback that plays `mta-sts.<domain>` for every domain of the lab.
//!
//! The certificate is chosen by SNI and the response by the same name, so each domain has a policy host of its own as
//! far as a client can see (RFC 8461 §3.3). It stops when it is dropped.
#![expect(clippy::disallowed_methods, reason = "IO: a task per connection")]
#![expect(clippy::disallowed_types, reason = "IO: it owns a listener")]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// What a policy host says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyResponse {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// A running server.
pub struct PolicyHost {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl PolicyHost {
    /// Serves `responses`, by host name, from now on.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(
        tls: Arc<ServerConfig>,
        responses: BTreeMap<String, PolicyResponse>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(accept(
            listener,
            TlsAcceptor::from(tls),
            Arc::new(responses),
        ));
        Ok(Self { address, task })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for PolicyHost {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Responses = Arc<BTreeMap<String, PolicyResponse>>;

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, responses: Responses) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        connections.spawn(serve(stream, acceptor.clone(), Arc::clone(&responses)));
    }
}

/// A client that does not like the certificate, or goes away, is a matter of course.
async fn serve(stream: TcpStream, acceptor: TlsAcceptor, responses: Responses) {
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    let host = stream
        .get_ref()
        .1
        .server_name()
        .unwrap_or_default()
        .to_owned();
    let response = responses.get(&host).cloned();
    let service = service_fn(move |request: Request<Incoming>| {
        let response = answer(&request, response.as_ref());
        async move { Ok::<_, Infallible>(response) }
    });
    let connection =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    connection.await.unwrap_or_default();
}

fn answer(request: &Request<Incoming>, response: Option<&PolicyResponse>) -> Response<Full<Bytes>> {
    let found = response.filter(|_| request.uri().path() == WELL_KNOWN);
    let (status, body) = found.map_or((404, String::new()), |found| {
        (found.status, found.body.clone())
    });
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    answer
}

/// RFC 8461 §3.3.
const WELL_KNOWN: &str = "/.well-known/mta-sts.txt";
