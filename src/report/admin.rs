//! HTTP for the operator and the monitoring: `/healthz`, `/readyz`, `/metrics`. Read-only, without a word about who
//! writes to whom.
//!
//! One request per connection, GET or HEAD, with limits on all that a client can make large or slow: a client that
//! keeps to none of them is cut off and nobody else notices. [`Admin::bind`] takes the port, [`Admin::serve`] answers
//! until the [`Serving`] is dropped.
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "IO: owns a listener, a task per connection, and their time"
)]

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value as Json, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};
use tracing::{debug, warn};

use super::metrics::{CONTENT_TYPE as METRICS_TYPE, Metrics};

/// Something that has to hold for the proxy to be ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The stable word.
    pub name: &'static str,
    /// What is wrong, where something is.
    pub fault: Option<String>,
    /// What an operator has to know though it holds.
    pub note: Option<String>,
}

impl Check {
    /// A check and its result.
    #[must_use]
    pub const fn new(name: &'static str, fault: Option<String>) -> Self {
        Self {
            name,
            fault,
            note: None,
        }
    }

    /// With something to know.
    #[must_use]
    pub fn noting(self, note: Option<String>) -> Self {
        Self { note, ..self }
    }
}

/// The port is taken, nothing is answered yet.
pub struct Admin {
    listener: TcpListener,
    address: SocketAddr,
}

/// A running server; it ends when this is dropped.
pub struct Serving {
    task: JoinHandle<()>,
}

/// Why the address cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on admin.address {address}: {source}; `ss -ltnp` names who has the port")]
pub struct BindError {
    address: SocketAddr,
    source: io::Error,
}

/// What the pages are made of.
struct Pages<C> {
    metrics: Metrics,
    checks: C,
}

/// For whom a page is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Text,
    Json,
}

/// One page.
struct Page {
    status: StatusCode,
    content_type: &'static str,
    body: String,
}

impl Admin {
    /// Takes the port.
    ///
    /// # Errors
    /// When it cannot be had.
    pub async fn bind(address: SocketAddr) -> Result<Self, BindError> {
        let bound = TcpListener::bind(address).await.and_then(|listener| {
            let address = listener.local_addr()?;
            Ok(Self { listener, address })
        });
        bound.map_err(|source| BindError { address, source })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers from now on.
    #[must_use]
    pub fn serve(
        self,
        metrics: Metrics,
        checks: impl Fn() -> Vec<Check> + Send + Sync + 'static,
    ) -> Serving {
        let pages = Arc::new(Pages { metrics, checks });
        let task = tokio::spawn(accept(self.listener, pages));
        Serving { task }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept<C>(listener: TcpListener, pages: Arc<Pages<C>>)
where
    C: Fn() -> Vec<Check> + Send + Sync + 'static,
{
    let slots = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of descriptors, or the client has gone again: asking at once would only spin.
                debug!(%error, "an admin connection was not accepted");
                tokio::time::sleep(BACK_OFF).await;
                continue;
            }
        };
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
            debug!("an admin connection too many was closed");
            continue;
        };
        let pages = Arc::clone(&pages);
        connections.spawn(async move {
            let served = tokio::time::timeout(PATIENCE, serve(stream, pages)).await;
            debug!(?served, "an admin connection has ended");
            drop(slot);
        });
    }
}

async fn serve<C>(stream: TcpStream, pages: Arc<Pages<C>>) -> Result<(), hyper::Error>
where
    C: Fn() -> Vec<Check>,
{
    let service = service_fn(move |request: Request<_>| {
        let response = answer(&request, &pages);
        async move { Ok::<_, Infallible>(response) }
    });
    hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(LONGEST_HEAD)
        .max_headers(MOST_HEADERS)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

fn answer<B, C>(request: &Request<B>, pages: &Pages<C>) -> Response<Full<Bytes>>
where
    C: Fn() -> Vec<Check>,
{
    let page = pages.page(request);
    let mut response = Response::new(Full::new(Bytes::from(page.body)));
    *response.status_mut() = page.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(page.content_type));
    if page.status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}

impl<C: Fn() -> Vec<Check>> Pages<C> {
    fn page<B>(&self, request: &Request<B>) -> Page {
        let page: fn(&Self, Format) -> Page = match request.uri().path() {
            "/healthz" => {
                |_, format| told(StatusCode::OK, format, "alive", &json!({"alive": true}))
            }
            "/readyz" => |pages, format| readiness(&(pages.checks)(), format),
            "/metrics" => |pages, _| pages.metrics(),
            _ => |_, format| {
                let error = "not found: there are /healthz, /readyz and /metrics";
                told(
                    StatusCode::NOT_FOUND,
                    format,
                    error,
                    &json!({"error": error}),
                )
            },
        };
        let format = Format::of(request);
        if [Method::GET, Method::HEAD].contains(request.method()) {
            return page(self, format);
        }
        let error =
            "method not allowed: nothing can be changed here, only GET and HEAD are answered";
        told(
            StatusCode::METHOD_NOT_ALLOWED,
            format,
            error,
            &json!({"error": error}),
        )
    }

    fn metrics(&self) -> Page {
        match self.metrics.render() {
            Ok(body) => Page {
                status: StatusCode::OK,
                content_type: METRICS_TYPE,
                body,
            },
            Err(error) => {
                warn!(%error, "the metrics cannot be written");
                let error = "the metrics cannot be written: see the log";
                told(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    Format::Text,
                    error,
                    &Json::Null,
                )
            }
        }
    }
}

/// 200 when all checks hold, with a line for each note; else 503 with a line for each that does not.
fn readiness(checks: &[Check], format: Format) -> Page {
    let lines = |what: fn(&Check) -> &Option<String>| {
        let line = |check: &Check| Some(format!("{}: {}", check.name, what(check).as_ref()?));
        checks.iter().filter_map(line).collect::<Vec<_>>()
    };
    let faults = lines(|check| &check.fault);
    let ready = faults.is_empty();
    let (status, text) = if ready {
        let mut text = vec!["ready".to_owned()];
        text.extend(lines(|check| &check.note));
        (StatusCode::OK, text.join("\n"))
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, faults.join("\n"))
    };
    let checks: Vec<Json> = checks
        .iter()
        .map(|check| {
            let Check { name, fault, note } = check;
            json!({"name": name, "ok": fault.is_none(), "fault": fault, "note": note})
        })
        .collect();
    told(
        status,
        format,
        &text,
        &json!({"ready": ready, "checks": checks}),
    )
}

/// The same for people and for programs.
fn told(status: StatusCode, format: Format, text: &str, value: &Json) -> Page {
    let (content_type, body) = match format {
        Format::Json => ("application/json", value.to_string()),
        Format::Text => ("text/plain; charset=utf-8", text.to_owned()),
    };
    Page {
        status,
        content_type,
        body: body + "\n",
    }
}

impl Format {
    fn of<B>(request: &Request<B>) -> Self {
        let mut asked = request.uri().query().unwrap_or_default().split('&');
        let accepted = request.headers().get_all(ACCEPT).into_iter();
        let mut accepted = accepted.filter_map(|value| value.to_str().ok());
        if asked.any(|one| one == "format=json")
            || accepted.any(|value| value.contains("application/json"))
        {
            Self::Json
        } else {
            Self::Text
        }
    }
}

/// At once; a scraper and a probe need one each.
const MOST_CONNECTIONS: usize = 32;
/// For a whole connection.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long accept rests after an error.
const BACK_OFF: Duration = Duration::from_millis(100);
/// Octets of a request line with its headers; hyper takes no less.
const LONGEST_HEAD: usize = 8192;
const MOST_HEADERS: usize = 64;

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::super::metrics::Sessions;
    use super::super::metrics::tests::metrics;
    use super::*;

    fn ready() -> Vec<Check> {
        vec![Check::new("serving", None), Check::new("dnssec", None)]
    }

    fn broken() -> Vec<Check> {
        vec![
            Check::new("serving", Some("shutting down".into())),
            Check::new("dnssec", Some("the clock \"seems\" wrong".into())),
        ]
    }

    fn noted() -> Vec<Check> {
        let note = Some("the database is gone".to_owned());
        vec![Check::new("store", None).noting(note)]
    }

    async fn start(checks: fn() -> Vec<Check>) -> (SocketAddr, Serving) {
        let admin = Admin::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = admin.address();
        (address, admin.serve(metrics(&Sessions::default()), checks))
    }

    /// What comes back, up to the end of the connection; a connection that breaks ends it too.
    async fn say(address: SocketAddr, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut heard = Vec::new();
        if stream.write_all(request).await.is_ok() {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                heard.extend_from_slice(&buffer[..length]);
            }
        }
        String::from_utf8(heard).unwrap()
    }

    async fn get(address: SocketAddr, target: &str, headers: &str) -> (String, String) {
        let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
        let heard = say(address, request.as_bytes()).await;
        let (head, body) = heard.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }

    #[tokio::test]
    async fn what_is_ready_says_so_and_what_is_not_says_why() {
        const JSON: &str = "Accept: application/json\r\n";
        let ready_json = "{\"checks\":[{\"fault\":null,\"name\":\"serving\",\"note\":null,\"ok\":true},{\"fault\":null,\"name\":\"dnssec\",\"note\":null,\"ok\":true}],\"ready\":true}\n";
        let broken_json = "{\"checks\":[{\"fault\":\"shutting down\",\"name\":\"serving\",\"note\":null,\"ok\":false},{\"fault\":\"the clock \\\"seems\\\" wrong\",\"name\":\"dnssec\",\"note\":null,\"ok\":false}],\"ready\":false}\n";
        let noted_json = "{\"checks\":[{\"fault\":null,\"name\":\"store\",\"note\":\"the database is gone\",\"ok\":true}],\"ready\":true}\n";
        let faults = "serving: shutting down\ndnssec: the clock \"seems\" wrong\n";
        for (checks, target, headers, status, expected) in [
            (ready as fn() -> _, "/readyz", "", "200 OK", "ready\n"),
            (ready, "/readyz", JSON, "200 OK", ready_json),
            (
                noted,
                "/readyz",
                "",
                "200 OK",
                "ready\nstore: the database is gone\n",
            ),
            (noted, "/readyz", JSON, "200 OK", noted_json),
            (broken, "/readyz", "", "503 Service Unavailable", faults),
            (
                broken,
                "/readyz?format=json",
                "",
                "503 Service Unavailable",
                broken_json,
            ),
            (
                broken,
                "/readyz",
                JSON,
                "503 Service Unavailable",
                broken_json,
            ),
            (broken, "/healthz", "", "200 OK", "alive\n"),
            (broken, "/healthz", JSON, "200 OK", "{\"alive\":true}\n"),
        ] {
            let (address, _serving) = start(checks).await;
            let (head, body) = get(address, target, headers).await;
            assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{head}");
            assert_eq!(body, expected, "{target} {headers}");
        }
    }

    #[tokio::test]
    async fn the_metrics_come_in_the_format_of_their_content_type() {
        let (address, _serving) = start(ready).await;
        let (head, body) = get(address, "/metrics", "").await;
        assert!(head.contains(METRICS_TYPE), "{head}");
        assert_eq!(body, metrics(&Sessions::default()).render().unwrap());
        let head = say(address, b"HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(
            head.starts_with("HTTP/1.1 200 OK") && head.ends_with("\r\n\r\n"),
            "{head}"
        );
    }

    #[tokio::test]
    async fn net_14_what_is_no_question_gets_a_clear_answer_and_the_next_client_its_own() {
        let (address, _serving) = start(ready).await;
        let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(1 << 17));
        let many = format!(
            "GET /healthz HTTP/1.1\r\nHost: x\r\n{}\r\n",
            "A: b\r\n".repeat(500)
        );
        let body = "a".repeat(1 << 17);
        let post = format!(
            "POST /readyz HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        for (what, request, answers) in [
            (
                "another path",
                "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                &["404"][..],
            ),
            (
                "a way out",
                "GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
                &["404"],
            ),
            (
                "an absolute URI",
                "GET http://x/healthz HTTP/1.1\r\nHost: x\r\n\r\n",
                &["200"],
            ),
            (
                "another method",
                "DELETE /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
                &["405"],
            ),
            (
                "a made-up method",
                "BREW /nowhere HTTP/1.1\r\nHost: x\r\n\r\n",
                &["405"],
            ),
            ("a body that nobody reads", &post, &["405", ""]),
            ("an old client", "GET /healthz HTTP/1.0\r\n\r\n", &["200"]),
            (
                "two lengths",
                "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
                &["400"],
            ),
            ("TLS", "\u{16}\u{3}\u{1}\u{2}\u{0}\r\n\r\n", &["400"]),
            ("SMTP", "EHLO x\r\n\r\n", &["400"]),
            (
                "HTTP/2",
                "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                &["400", "505", ""],
            ),
            // The rest of what is too large may be lost in the reset.
            ("a long path", &long, &["414", "431", "400", ""]),
            ("many headers", &many, &["431", "400", ""]),
        ] {
            let heard = say(address, request.as_bytes()).await;
            let code = heard.split(' ').nth(1).unwrap_or_default();
            assert!(answers.contains(&code), "{what}: {heard}");
            let (head, _) = get(address, "/healthz", "").await;
            assert!(head.starts_with("HTTP/1.1 200 OK"), "after {what}: {head}");
        }
    }

    #[tokio::test]
    async fn net_14_one_request_per_connection() {
        let (address, _serving) = start(ready).await;
        let twice = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n".repeat(2);
        let heard = say(address, twice.as_bytes()).await;
        assert_eq!(heard.matches("HTTP/1.1 200").count(), 1, "{heard}");
        assert!(
            heard.to_ascii_lowercase().contains("connection: close"),
            "{heard}"
        );
    }

    #[tokio::test]
    async fn net_14_idle_connections_are_limited_and_their_places_become_free() {
        let (address, _serving) = start(ready).await;
        let mut idle = Vec::new();
        for _ in 0..MOST_CONNECTIONS {
            idle.push(TcpStream::connect(address).await.unwrap());
        }
        let heard = say(address, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert_eq!(heard, "", "one too many is closed");
        idle.clear();
        // The server takes note of their end in its own time.
        while say(address, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .is_empty()
        {}
    }

    #[tokio::test]
    async fn a_port_in_use_is_named() {
        let first = Admin::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let error = Admin::bind(first.address()).await.map(drop).unwrap_err();
        let told = error.to_string();
        assert!(
            told.contains("admin.address") && told.contains(&first.address().to_string()),
            "{told}"
        );
    }
}
