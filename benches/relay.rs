//! What relaying costs over a bare TLS client: CPU of a session with a short and with a long message, as ratios, and how
//! many sessions and octets go through in a second.
//!
//! `cargo bench --bench relay`. Proxy and bare client have a thread and a runtime each, so that the CPU of the thread is
//! theirs, as the kernel counts it; the lab's world, its sink and the sender that goes through the proxy run elsewhere.
//! Both sides do the same to the same sink with the same TLS client, in turn, and each repetition is a pair. The proxy
//! pays for a SOCKS5 request besides, and has no log.
#![cfg(feature = "lab")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a bench stops at the first thing that is wrong, prints, and opens sockets"
)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use danelaw::clock::{Clock, SystemClock};
use danelaw::config::{ClientTls, Config, ListenerConfig};
use danelaw::intercept::Via;
use danelaw::lab::catalogue;
use danelaw::lab::sender::{self, Letter};
use danelaw::lab::world::World;
use danelaw::proxy::Proxy;
use danelaw::proxy::engine::Engine;
use danelaw::report::{Record, Records};
use danelaw::tls::client::Connector;
use nix::sys::resource::{UsageWho, getrusage};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};

/// A signed domain whose MX shows the key of its `3 1 1` record.
const SCENARIO: &str = "dane-ee-match";

/// Pairs of which the median is told.
const PAIRS: usize = 9;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    for (name, load) in [
        (
            "a session with 4 KiB",
            Load {
                sessions: 300,
                octets: 4 << 10,
            },
        ),
        (
            "messages of 16 MiB",
            Load {
                sessions: 6,
                octets: 16 << 20,
            },
        ),
    ] {
        let mut pairs: Vec<_> = (0..PAIRS).map(|_| runtime.block_on(pair(&load))).collect();
        pairs.sort_by(|a, b| a.ratio().total_cmp(&b.ratio()));
        let [least, median, most] = [&pairs[0], &pairs[PAIRS / 2], &pairs[PAIRS - 1]];
        println!(
            "{name}: bare {:?}, proxy {:?} of CPU each; proxy / bare {:.2} ({:.2} to {:.2})",
            median.bare.cpu / load.sessions,
            median.proxy.cpu / load.sessions,
            median.ratio(),
            least.ratio(),
            most.ratio(),
        );
        for (side, cost) in [("bare", median.bare), ("proxy", median.proxy)] {
            let sessions = f64::from(load.sessions) / cost.wall.as_secs_f64();
            let megabytes = sessions * load.octets as f64 / 1e6;
            println!(
                "  {side}: {sessions:.1} sessions/s, {megabytes:.1} MB/s, one after the other"
            );
        }
    }
}

struct Load {
    sessions: u32,
    octets: usize,
}

struct Pair {
    bare: Cost,
    proxy: Cost,
}

/// Of all sessions of a load.
#[derive(Clone, Copy, Debug)]
struct Cost {
    cpu: Duration,
    wall: Duration,
}

impl Pair {
    fn ratio(&self) -> f64 {
        self.proxy.cpu.as_secs_f64() / self.bare.cpu.as_secs_f64()
    }
}

/// Both sides with the same load, in a world of their own: its sinks keep all that they are told.
async fn pair(load: &Load) -> Pair {
    let scenario = catalogue::all()
        .into_iter()
        .find(|scenario| scenario.name == SCENARIO);
    let world = World::of(vec![scenario.unwrap()]).await.unwrap();
    let stage = &world.stages()[0];
    let message = text(load.octets);
    let letter = Letter {
        recipient: &stage.recipient,
        destination: stage.destination,
        message: &message,
    };
    let listener = ListenerConfig {
        client_tls: ClientTls::Never,
        ..ListenerConfig::new(Via::Socks5, "127.0.0.1:0".parse().unwrap())
    };
    let done = Arc::new(Done::default());
    let proxy = ProxyThread::start(world.config(listener), Arc::clone(&done)).await;
    // The facts are in the cache from here on, and what is built once is built.
    through(proxy.address, &letter).await;
    let (recipient, destination) = (stage.recipient.clone(), stage.destination);
    bare(destination, recipient.clone(), message.clone(), 1).await;

    let (before, began) = (proxy.cpu().await, SystemClock.instant());
    for _ in 0..load.sessions {
        through(proxy.address, &letter).await;
    }
    let relayed = Cost {
        wall: began.elapsed(),
        cpu: proxy.cpu().await.saturating_sub(before),
    };
    let bare = bare(destination, recipient, message.clone(), load.sessions).await;

    let sessions = load.sessions as usize + 1;
    assert_eq!(done.0.load(Ordering::SeqCst), sessions);
    let connections = stage.sinks()[0].connections();
    let whole = connections
        .iter()
        .filter(|connection| connection.protected)
        .flat_map(|connection| &connection.deliveries)
        .filter(|delivery| delivery.protected && delivery.message == message)
        .count();
    assert_eq!(whole, 2 * sessions);
    Pair {
        bare,
        proxy: relayed,
    }
}

async fn through(proxy: SocketAddr, letter: &Letter<'_>) {
    let heard = sender::send(proxy, letter).await.unwrap();
    assert!(heard.decisive.starts_with("250 "), "{}", heard.decisive);
}

/// Sessions that have brought their message over TLS.
#[derive(Default)]
struct Done(AtomicUsize);

impl Records for Done {
    fn record(&self, record: &Record) {
        assert_eq!((record.messages, record.dials), (1, 1));
        assert_eq!(record.tls_version, Some("TLSv1.3"));
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// The proxy, alone on a thread.
struct ProxyThread {
    address: SocketAddr,
    ask: mpsc::Sender<oneshot::Sender<Duration>>,
}

impl ProxyThread {
    async fn start(config: Config, records: Arc<Done>) -> Self {
        let (ask, mut asked) = mpsc::channel::<oneshot::Sender<Duration>>(1);
        let (tell, told) = oneshot::channel();
        std::thread::spawn(move || {
            alone(async move {
                let engine = Arc::new(Engine::new(&config, Arc::new(SystemClock)).unwrap());
                let proxy = Proxy::serve(&config, engine, records).await.unwrap();
                tell.send(proxy.addresses()[0]).unwrap();
                while let Some(answer) = asked.recv().await {
                    // A session is over when its record is, which is after the sender has heard the last reply.
                    while proxy.sessions() > 0 {
                        tokio::task::yield_now().await;
                    }
                    answer.send(own_cpu()).unwrap();
                }
            });
        });
        let address = told.await.unwrap();
        Self { address, ask }
    }

    async fn cpu(&self) -> Duration {
        let (answer, answered) = oneshot::channel();
        self.ask.send(answer).await.unwrap();
        answered.await.unwrap()
    }
}

/// What `sessions` deliveries without a proxy take, alone on a thread.
async fn bare(destination: SocketAddr, recipient: String, message: Vec<u8>, sessions: u32) -> Cost {
    let (tell, told) = oneshot::channel();
    std::thread::spawn(move || {
        let spent = alone(async {
            let connector = Connector::new().unwrap();
            let data = [&message[..], b".\r\n"].concat();
            let (before, began) = (own_cpu(), SystemClock.instant());
            for _ in 0..sessions {
                deliver(&connector, destination, &recipient, &data).await;
            }
            Cost {
                wall: began.elapsed(),
                cpu: own_cpu().saturating_sub(before),
            }
        });
        tell.send(spent).unwrap();
    });
    told.await.unwrap()
}

async fn deliver(connector: &Connector, destination: SocketAddr, recipient: &str, data: &[u8]) {
    let stream = TcpStream::connect(destination).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut clear = Talk(BufReader::new(stream));
    clear.say(b"", "220").await;
    clear.say(b"EHLO mta.sender.test\r\n", "250").await;
    clear.say(b"STARTTLS\r\n", "220").await;
    let stream = clear.0.into_inner();
    let (stream, handshake) = connector.handshake(stream, None).await.unwrap();
    assert_eq!(handshake.version(), "TLSv1.3");
    let mut talk = Talk(BufReader::new(stream));
    talk.say(b"EHLO mta.sender.test\r\n", "250").await;
    talk.say(b"MAIL FROM:<sender@sender.test>\r\n", "250").await;
    let rcpt = format!("RCPT TO:<{recipient}>\r\n");
    talk.say(rcpt.as_bytes(), "250").await;
    talk.say(b"DATA\r\n", "354").await;
    talk.say(data, "250").await;
    talk.say(b"QUIT\r\n", "221").await;
}

struct Talk<S>(BufReader<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> Talk<S> {
    async fn say(&mut self, octets: &[u8], expected: &str) {
        self.0.get_mut().write_all(octets).await.unwrap();
        self.0.get_mut().flush().await.unwrap();
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(self.0.read_line(&mut line).await.unwrap(), 0);
            assert!(line.starts_with(expected), "{line}");
            if line.as_bytes().get(3) != Some(&b'-') {
                return;
            }
        }
    }
}

fn alone<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// Of the thread that asks.
fn own_cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_THREAD).unwrap();
    [usage.user_time(), usage.system_time()]
        .into_iter()
        .map(|time| {
            let micros = time.tv_sec() * 1_000_000 + time.tv_usec();
            Duration::from_micros(micros.try_into().unwrap())
        })
        .sum()
}

fn text(octets: usize) -> Vec<u8> {
    let line = [&[b'e'; 76][..], b"\r\n"].concat();
    line.repeat(octets.div_ceil(line.len()))
}
