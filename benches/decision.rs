//! What a decision costs when everything is known: facts from the resolver's and the policy cache, demand, no IO.
//!
//! `cargo bench --bench decision`. The world is the lab's: a signed DNS tree and a policy host on loopback, asked once
//! before the clock starts.
#![cfg(feature = "lab")]
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a bench stops at the first thing that is wrong"
)]

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};

use danelaw::clock::SystemClock;
use danelaw::config::{ClientTls, ListenerConfig};
use danelaw::dns::noted::Notes;
use danelaw::intercept::Via;
use danelaw::lab::world::World;
use danelaw::name::Domain;
use danelaw::policy::Level;
use danelaw::policy::demand::demand;
use danelaw::proxy::engine::Engine;
use divan::Bencher;
use tokio::runtime::Runtime;

fn main() {
    divan::main();
}

/// The lab and an engine that has it for its whole world.
struct Bench {
    runtime: Runtime,
    world: World,
    engine: Arc<Engine>,
}

static BENCH: LazyLock<Bench> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let world = runtime.block_on(World::start()).unwrap();
    let listener = ListenerConfig {
        client_tls: ClientTls::Never,
        ..ListenerConfig::new(Via::Socks5, "127.0.0.1:0".parse().unwrap())
    };
    let config = world.config(listener);
    let _inside = runtime.enter();
    let engine = Arc::new(Engine::new(&config, Arc::new(SystemClock)).unwrap());
    drop(_inside);
    Bench {
        runtime,
        world,
        engine,
    }
});

/// The level that is demanded of the destination of a scenario.
async fn decide(engine: &Engine, domain: &Domain, destination: SocketAddr) -> Level {
    let facts = engine.gatherer.gather(domain, destination).await;
    let demand = demand(&facts, destination.ip(), engine.settings).unwrap();
    demand.candidates[0].requirement.level()
}

/// The same with every answer noted, as sessions do for their traces.
async fn decide_noted(engine: &Engine, domain: &Domain, destination: SocketAddr) -> Level {
    let notes = Arc::new(Notes::default());
    let gatherer = engine.gatherer.noting(&notes);
    let facts = gatherer.gather(domain, destination).await;
    let demand = demand(&facts, destination.ip(), engine.settings).unwrap();
    drop(engine.sts.told(domain));
    demand.candidates[0].requirement.level()
}

#[divan::bench(args = ["dane-ee-match", "sts-enforce-match", "no-policy-tls", "half-dane-and-sts"])]
fn from_cache(bencher: Bencher<'_, '_>, name: &str) {
    bench(bencher, name, decide);
}

#[divan::bench(args = ["dane-ee-match", "half-dane-and-sts"])]
fn from_cache_noted(bencher: Bencher<'_, '_>, name: &str) {
    bench(bencher, name, decide_noted);
}

fn bench(
    bencher: Bencher<'_, '_>,
    name: &str,
    decide: impl AsyncFn(&Engine, &Domain, SocketAddr) -> Level,
) {
    let Bench {
        runtime,
        world,
        engine,
    } = &*BENCH;
    let stage = world
        .stages()
        .iter()
        .find(|stage| stage.scenario.name == name)
        .unwrap();
    let domain: Domain = stage.scenario.domain().parse().unwrap();
    let destination = stage.destination;
    let first = runtime.block_on(decide(engine, &domain, destination));
    // On a thread of its own runtime nothing but the decision is measured.
    let alone = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    bencher.bench_local(|| {
        let level = alone.block_on(decide(engine, &domain, destination));
        assert_eq!(level, first);
    });
}
