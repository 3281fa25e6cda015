//! What it takes to resolve and to decide with nothing known: messages to the recursive resolver, sequential round trips, CPU.
//!
//! `cargo bench --bench resolution`. The world is the lab's. First a table: every message to its resolver is held up for
//! [`DISTANCE`], so the time that a lookup takes counts its round trips. Where unbound is installed, it validates the same
//! questions as a forwarder over the same distance. Then the CPU, without distance.
#![cfg(feature = "lab")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a bench stops at the first thing that is wrong, prints, waits and opens sockets"
)]

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use danelaw::clock::SystemClock;
use danelaw::config::{ClientTls, Config, ListenerConfig};
use danelaw::dns::Answer;
use danelaw::dns::recursor::ServerAddress;
use danelaw::dns::resolver::{Resolver, ResolverOptions, TrustAnchor, Validate};
use danelaw::intercept::Via;
use danelaw::lab::world::World;
use danelaw::name::Domain;
use danelaw::policy::demand::demand;
use danelaw::proxy::engine::Engine;
use divan::Bencher;
use tokio::net::UdpSocket;
use tokio::runtime::Runtime;

fn main() {
    BENCH.runtime.block_on(table());
    divan::main();
}

struct Bench {
    runtime: Runtime,
    world: World,
}

static BENCH: LazyLock<Bench> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let world = runtime.block_on(World::start()).unwrap();
    Bench { runtime, world }
});

/// One way to the resolver and back, for the table.
const DISTANCE: Duration = Duration::from_millis(40);

const SECURE: &str = "mx.dane-ee-match.test";
const NEIGHBOUR: &str = "mx.dane-ee-mismatch.test";
const UNSIGNED: &str = "mx.no-policy-tls.test";

/// A resolver that is far away: it passes messages on to the lab's, late, and counts them.
struct FarAway {
    address: SocketAddr,
    messages: Arc<AtomicU32>,
}

impl FarAway {
    async fn start(near: SocketAddr) -> Self {
        let outside = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let address = outside.local_addr().unwrap();
        let messages = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&messages);
        tokio::spawn(async move {
            let mut buffer = vec![0; 65_535];
            while let Ok((length, client)) = outside.recv_from(&mut buffer).await {
                counter.fetch_add(1, Ordering::Relaxed);
                let (query, outside) = (buffer[..length].to_vec(), Arc::clone(&outside));
                tokio::spawn(async move {
                    tokio::time::sleep(DISTANCE).await;
                    let inside = UdpSocket::bind("127.0.0.1:0").await.unwrap();
                    inside.send_to(&query, near).await.unwrap();
                    let mut reply = vec![0; 65_535];
                    let length = inside.recv(&mut reply).await.unwrap();
                    outside.send_to(&reply[..length], client).await.unwrap();
                });
            }
        });
        Self { address, messages }
    }
}

/// Prints a row for what `asking` does.
async fn row<T>(far: &FarAway, what: &str, asking: impl Future<Output = T>) -> T {
    let (before, begun) = (far.messages.load(Ordering::Relaxed), Instant::now());
    let result = asking.await;
    let elapsed = begun.elapsed().as_secs_f64();
    let messages = far.messages.load(Ordering::Relaxed) - before;
    let rounds = elapsed / DISTANCE.as_secs_f64();
    println!("{what:<62} {messages:>3} messages  {rounds:>5.1} round trips");
    result
}

async fn table() {
    let world = &BENCH.world;
    let far = FarAway::start(world.resolver).await;
    println!("a resolver {} ms away", DISTANCE.as_millis());
    let resolver = resolver(world, far.address, Validate::Local);
    for (what, name, record_type) in [
        ("cold, secure: TLSA", tlsa(SECURE), "TLSA"),
        (
            "warm zone: TLSA, proven NXDOMAIN",
            tlsa("no.dane-ee-match.test"),
            "TLSA",
        ),
        ("warm zone: A", SECURE.to_owned(), "A"),
        (
            "warm top-level domain, new secure zone: TLSA",
            tlsa(NEIGHBOUR),
            "TLSA",
        ),
        (
            "warm top-level domain, new unsigned zone: A",
            UNSIGNED.to_owned(),
            "A",
        ),
    ] {
        let answer = row(&far, what, resolver.inspect(&name, record_type))
            .await
            .unwrap();
        assert!(!matches!(answer, Answer::Failed(_)), "{what}: {answer:?}");
    }
    let unsigned = self::resolver(world, far.address, Validate::Local);
    let answer = row(&far, "cold, unsigned: A", unsigned.inspect(UNSIGNED, "A"))
        .await
        .unwrap();
    assert!(matches!(answer, Answer::Insecure(_)), "{answer:?}");
    for (what, scenario) in [
        (
            "cold decision, DANE (MX, A, TLSA, _mta-sts TXT, chain)",
            "dane-ee-match",
        ),
        ("cold decision, unsigned, nothing demanded", "no-policy-tls"),
    ] {
        let engine = engine(world, far.address);
        row(&far, what, decide(&engine, world, scenario)).await;
    }
    unbound_table(world, &far).await;
    println!();
}

async fn unbound_table(world: &World, far: &FarAway) {
    let Some(unbound) = Unbound::start(world, far.address) else {
        println!("unbound is not installed: nothing to compare with");
        return;
    };
    let through = resolver(world, unbound.address, Validate::TrustAd);
    let ready = async {
        while UdpSocket::bind(unbound.address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), ready)
        .await
        .unwrap();
    // Its own priming of the root is not what is asked about.
    tokio::time::sleep(Duration::from_secs(1)).await;
    for (what, name, record_type) in [
        (
            "unbound, validating forwarder, cold: TLSA",
            tlsa(SECURE),
            "TLSA",
        ),
        ("unbound, new secure zone: TLSA", tlsa(NEIGHBOUR), "TLSA"),
        ("unbound, new unsigned zone: A", UNSIGNED.to_owned(), "A"),
    ] {
        let answer = row(far, what, through.inspect(&name, record_type))
            .await
            .unwrap();
        assert!(!matches!(answer, Answer::Failed(_)), "{what}: {answer:?}");
    }
}

/// A validating forwarder; ends when dropped.
struct Unbound {
    address: SocketAddr,
    process: Child,
    _folder: tempfile::TempDir,
}

impl Unbound {
    fn start(world: &World, upstream: SocketAddr) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let address = std::net::UdpSocket::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let config = format!(
            "server:\n interface: 127.0.0.1\n port: {}\n do-daemonize: no\n username: \"\"\n chroot: \"\"\n directory: {}\n \
             pidfile: \"\"\n use-syslog: no\n do-not-query-localhost: no\n trust-anchor-file: {}\n local-zone: \"test.\" nodefault\n\
             forward-zone:\n name: \".\"\n forward-addr: 127.0.0.1@{}\nremote-control:\n control-enable: no\n",
            address.port(),
            folder.path().display(),
            world.trust_anchor.display(),
            upstream.port(),
        );
        let file = folder.path().join("unbound.conf");
        std::fs::write(&file, config).unwrap();
        let process = Command::new("unbound")
            .arg("-d")
            .arg("-c")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        Some(Self {
            address,
            process,
            _folder: folder,
        })
    }
}

impl Drop for Unbound {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn tlsa(host: &str) -> String {
    format!("_{}._tcp.{host}", BENCH.world.mx_port)
}

fn resolver(world: &World, server: SocketAddr, validate: Validate) -> Resolver {
    let options = ResolverOptions {
        servers: vec![ServerAddress::plain(server)],
        anchor: TrustAnchor::from_file(&world.trust_anchor).unwrap(),
        timeout: Duration::from_secs(20),
        validate,
        roots: None,
    };
    Resolver::new(options, Arc::new(SystemClock)).unwrap()
}

fn engine(world: &World, server: SocketAddr) -> Engine {
    let listener = ListenerConfig {
        client_tls: ClientTls::Never,
        ..ListenerConfig::new(Via::Socks5, "127.0.0.1:0".parse().unwrap())
    };
    let mut config: Config = world.config(listener);
    config.dns.resolvers = vec![ServerAddress::plain(server)];
    Engine::new(&config, Arc::new(SystemClock)).unwrap()
}

async fn decide(engine: &Engine, world: &World, scenario: &str) {
    let mut stages = world.stages().iter();
    let stage = stages
        .find(|stage| stage.scenario.name == scenario)
        .unwrap();
    let domain: Domain = stage.scenario.domain().parse().unwrap();
    let facts = engine.gatherer.gather(&domain, stage.destination).await;
    demand(&facts, stage.destination.ip(), engine.settings).unwrap();
}

/// A fresh resolver and a name that takes the whole chain.
#[divan::bench(args = [SECURE, UNSIGNED])]
fn cold(bencher: Bencher<'_, '_>, host: &str) {
    let Bench { runtime, world } = &*BENCH;
    bencher
        .with_inputs(|| {
            runtime.block_on(async { resolver(world, world.resolver, Validate::Local) })
        })
        .bench_local_refs(|resolver| {
            let answer = runtime.block_on(resolver.inspect(host, "A")).unwrap();
            assert!(answer.records().is_some(), "{answer:?}");
        });
}

/// The zone is known, the name is new: one message, one proof.
#[divan::bench]
fn warm_zone_new_name(bencher: Bencher<'_, '_>) {
    let Bench { runtime, world } = &*BENCH;
    let resolver = runtime.block_on(async { resolver(world, world.resolver, Validate::Local) });
    let number = AtomicU32::new(0);
    bencher.bench_local(|| {
        let number = number.fetch_add(1, Ordering::Relaxed);
        let name = format!("n{number}.dane-ee-match.test");
        let answer = runtime.block_on(resolver.inspect(&name, "A")).unwrap();
        assert!(matches!(answer, Answer::Absent(_)), "{answer:?}");
    });
}

/// Everything is known.
#[divan::bench]
fn from_memory(bencher: Bencher<'_, '_>) {
    let Bench { runtime, world } = &*BENCH;
    let resolver = runtime.block_on(async { resolver(world, world.resolver, Validate::Local) });
    bencher.bench_local(|| {
        let answer = runtime.block_on(resolver.inspect(SECURE, "A")).unwrap();
        assert!(matches!(answer, Answer::Secure(_)), "{answer:?}");
    });
}
