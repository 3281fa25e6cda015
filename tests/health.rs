//! The real binary in a signed world, with a resolver that can be believed and with one that cannot: what `/readyz` says, and
//! what becomes of mail.
#![cfg(feature = "lab")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a test crate: it runs programs, opens sockets and files, and fails by panicking"
)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::Arc;

use danelaw::clock::{Clock, SystemClock, Timestamp};
use danelaw::config::{ClientTls, ListenerConfig};
use danelaw::intercept::Via;
use danelaw::lab::catalogue;
use danelaw::lab::sender::{self, Letter};
use danelaw::lab::trial::Collector;
use danelaw::lab::world::World;
use danelaw::proxy::Proxy;
use danelaw::proxy::engine::Engine;
use tempfile::TempDir;

/// A domain that mail goes to as long as validation works, and one of which the MX records are forged.
const SOUND: &str = "dane-ee-match";
const FORGED: &str = "mx-bogus";

async fn world() -> World {
    let wanted = catalogue::all()
        .into_iter()
        .filter(|scenario| [SOUND, FORGED].contains(&scenario.name));
    World::of(wanted.collect()).await.unwrap()
}

/// A proxy that runs in a world, with the addresses it logged.
struct Running {
    child: Child,
    _log: BufReader<ChildStderr>,
    proxy: SocketAddr,
    admin: SocketAddr,
    _directory: TempDir,
}

impl Running {
    /// With this trust anchor and these names that must not validate.
    fn start(world: &World, anchor: &Path, bogus: &str) -> Self {
        let directory = TempDir::new().unwrap();
        let file = directory.path().join("danelaw.toml");
        let text = format!(
            "[[listener]]\nkind = \"socks5\"\naddress = \"127.0.0.1:0\"\n\
             [admin]\naddress = \"127.0.0.1:0\"\n\
             [dns]\nresolvers = [\"{}\"]\ntrust_anchor = \"{}\"\nprobe_bogus = [{bogus}]\n\
             [tls]\nca_file = \"{}\"\n[mta_sts]\nport = {}\nallow_private = true\n",
            world.resolver,
            anchor.display(),
            world.ca_file.display(),
            world.policy_port,
        );
        fs::write(&file, text).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_danelaw"))
            .args(["run", "--config"])
            .arg(&file)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let proxy = logged(&mut log, "listening address=");
        let admin = logged(&mut log, "state and metrics address=");
        Self {
            child,
            _log: log,
            proxy,
            admin,
            _directory: directory,
        }
    }

    fn get(&self, target: &str) -> String {
        let mut stream = TcpStream::connect(self.admin).unwrap();
        write!(stream, "GET {target} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut heard = String::new();
        stream.read_to_string(&mut heard).unwrap();
        heard
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// What the sender of a message to the domain that is in order hears from the proxy.
async fn deliver(proxy: SocketAddr, world: &World) -> String {
    let mut stages = world.stages().iter();
    let stage = stages.find(|stage| stage.scenario.name == SOUND).unwrap();
    let letter = Letter {
        recipient: &stage.recipient,
        destination: stage.destination,
        message: b"Subject: hello\r\n\r\nhello\r\n",
    };
    sender::send(proxy, &letter).await.unwrap().decisive
}

fn logged(log: &mut impl BufRead, before: &str) -> SocketAddr {
    loop {
        let mut line = String::new();
        let length = log.read_line(&mut line).unwrap();
        assert!(length > 0, "the proxy ended before it said {before:?}");
        if let Some((_, rest)) = line.split_once(before) {
            return rest.split_whitespace().next().unwrap().parse().unwrap();
        }
    }
}

/// What is configured, and what comes of it.
struct Row {
    what: &'static str,
    anchor_is_right: bool,
    bogus: String,
    ready: &'static str,
    says: &'static str,
    reply: &'static str,
    state: &'static str,
}

fn rows() -> [Row; 3] {
    let forged = format!("\"{FORGED}.test MX\"");
    [
        Row {
            what: "a world that is in order",
            anchor_is_right: true,
            bogus: forged.clone(),
            ready: "200 OK",
            says: "ready",
            reply: "250 ",
            state: "working",
        },
        Row {
            what: "the trust anchor of another root",
            anchor_is_right: false,
            bogus: forged,
            ready: "503 Service Unavailable",
            says: "dnssec: . SOA, which is expected to validate, does not (",
            reply: "451 4.4.3 ",
            state: "good-bogus",
        },
        Row {
            what: "a bogus name that validates",
            anchor_is_right: true,
            bogus: "\"test. SOA\"".to_owned(),
            ready: "503 Service Unavailable",
            says: "dnssec: test. SOA is expected not to validate, and was believed",
            reply: "451 4.4.3 ",
            state: "bogus-believed",
        },
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dns_21_mail_is_deferred_and_readyz_says_why_as_long_as_validation_does_not_work() {
    let (here, elsewhere) = (world().await, world().await);
    for row in rows() {
        let anchor = if row.anchor_is_right {
            &here.trust_anchor
        } else {
            &elsewhere.trust_anchor
        };
        let running = Running::start(&here, anchor, &row.bogus);
        // The first lookup has waited for the first probes, so their result is known after this.
        let reply = deliver(running.proxy, &here).await;
        assert!(reply.starts_with(row.reply), "{}: {reply}", row.what);
        let ready = running.get("/readyz");
        assert!(ready.contains(row.ready), "{}: {ready}", row.what);
        assert!(ready.contains(row.says), "{}: {ready}", row.what);
        let alive = running.get("/healthz");
        assert!(
            alive.starts_with("HTTP/1.1 200 OK"),
            "{}: {alive}",
            row.what
        );
        let address = running.admin.to_string();
        for (arguments, code, says) in [
            (&[][..], 0, "alive\n"),
            (&["--ready"], i32::from(row.ready != "200 OK"), row.says),
            (&["--json"], 0, "{\"alive\":true}\n"),
        ] {
            let (ended, said) = health(&address, arguments);
            assert_eq!(ended, Some(code), "{}: {arguments:?}: {said}", row.what);
            assert!(said.starts_with(says), "{}: {said}", row.what);
        }
        let metrics = running.get("/metrics");
        let state = format!("danelaw_dns_health{{state=\"{}\"}} 1\n", row.state);
        assert!(metrics.contains(&state), "{}: {metrics}", row.what);
        let used = "danelaw_dns_lookups_total{rrtype=\"MX\",outcome=\"withheld\"} 0\n";
        assert_eq!(metrics.contains(used), row.state == "working", "{metrics}");
    }
}

/// What `danelaw health` says of whoever listens there, and how it ends.
fn health(address: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_danelaw"))
        .args(["health", "--address", address])
        .args(arguments)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

#[test]
fn where_nobody_answers_health_says_where_and_that_it_does_not_know() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    drop(silent);
    let (code, said) = health(&address, &["--ready"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains(&format!("no danelaw answers at {address}: ")),
        "{said}"
    );

    let directory = TempDir::new().unwrap();
    let file = directory.path().join("danelaw.toml");
    fs::write(&file, "").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_danelaw"))
        .args(["health", "--config"])
        .arg(&file)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("danelaw.toml sets no admin.address"),
        "{said}"
    );
}

/// A clock that goes wrong by this many seconds.
struct Wrong(i64);

impl Clock for Wrong {
    fn wall(&self) -> Timestamp {
        let right = SystemClock.wall().unix();
        Timestamp::from_unix(right.checked_add_signed(self.0).unwrap())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dns_22_a_clock_that_is_two_years_wrong_is_named_and_no_mail_leaves() {
    const TWO_YEARS: i64 = 730 * 24 * 3600;
    let world = world().await;
    // The signatures of this world begin an hour before it was made and end thirty days after it.
    for (off_by, says, reply) in [
        (0, None, "250 "),
        (TWO_YEARS, Some("at least 700 days ahead"), "451 4.4.3 "),
        (-TWO_YEARS, Some("at least 729 days behind"), "451 4.4.3 "),
    ] {
        let config = world.config(ListenerConfig {
            client_tls: ClientTls::Never,
            ..ListenerConfig::new(Via::Socks5, "127.0.0.1:0".parse().unwrap())
        });
        let engine = Arc::new(Engine::new(&config, Arc::new(Wrong(off_by))).unwrap());
        let records = Arc::new(Collector::default());
        let proxy = Proxy::serve(&config, engine, records).await.unwrap();
        let heard = deliver(proxy.addresses()[0], &world).await;
        assert!(heard.starts_with(reply), "{off_by}: {heard}");
        let checks = proxy.status().checks();
        let dnssec = checks.iter().find(|check| check.name == "dnssec").unwrap();
        match (says, &dnssec.fault) {
            (None, None) => {}
            (Some(says), Some(fault)) => {
                assert!(fault.contains("the clock of this machine"), "{fault}");
                assert!(fault.contains(says), "{fault}");
            }
            (says, fault) => panic!("{off_by}: {fault:?} instead of {says:?}"),
        }
        proxy.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_drains_is_not_ready() {
    let world = world().await;
    let config = world.config(ListenerConfig {
        client_tls: ClientTls::Never,
        ..ListenerConfig::new(Via::Socks5, "127.0.0.1:0".parse().unwrap())
    });
    let records = Arc::new(Collector::default());
    let proxy = Proxy::start(&config, records).await.unwrap();
    let status = proxy.status();
    proxy.shutdown().await;
    let checks = status.checks();
    let serving = checks.iter().find(|check| check.name == "serving").unwrap();
    assert!(serving.fault.as_ref().unwrap().contains("shutting down"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dns_21_a_check_says_that_validation_does_not_work() {
    let (here, elsewhere) = (world().await, world().await);
    let domain = format!("{SOUND}.test");
    let output = Command::new(env!("CARGO_BIN_EXE_danelaw"))
        .args(["check", "--no-connect", &domain])
        .arg(format!("--resolver={}", here.resolver))
        .arg("--trust-anchor")
        .arg(&elsewhere.trust_anchor)
        .arg("--ca-file")
        .arg(&here.ca_file)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("DNSSEC validation is not working"), "{said}");
}
