//! What it takes to hold many sessions: the memory of the real binary with thousands of them, each with its recipient
//! accepted over TLS by an MX that DANE vouches for, and silent since.
//!
//! As many as the descriptors of this machine allow, 10,000 at most: the proxy takes two for each, and so does this
//! process, which is the mail servers and the MX. `cargo bench --bench held -- 1000` holds so many.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench: it does IO, prints, and fails by panicking"
)]

use std::io::{BufRead, BufReader as LineReader};
use std::net::{IpAddr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use danelaw::lab::catalogue;
use danelaw::lab::world::World;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

const SCENARIO: &str = "dane-ee-match";
const MOST: u64 = 10_000;
/// Descriptors beside those of the sessions.
const BESIDE: u64 = 120;
/// Sessions that begin at the same time.
const AT_ONCE: usize = 64;

fn main() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    let asked = std::env::args().find_map(|one| one.parse().ok());
    let count = asked.unwrap_or(MOST).min((hard - BESIDE) / 2);
    tokio::runtime::Runtime::new()
        .unwrap()
        .block_on(hold(count));
}

async fn hold(count: u64) {
    let scenario = catalogue::all().into_iter();
    let scenario = scenario.filter(|one| one.name == SCENARIO).collect();
    let world = World::of(scenario).await.unwrap();
    let stage = &world.stages()[0];
    let proxy = Proxy::start(&world, count);
    let open = async || open(proxy.address, stage.destination, &stage.recipient).await;
    // What is made once is made, and what is known is in the cache.
    let mut held = vec![open().await];
    let before = proxy.memory();
    let gate = Arc::new(Semaphore::new(AT_ONCE));
    let mut opening = JoinSet::new();
    for _ in 1..count {
        let (gate, address) = (Arc::clone(&gate), proxy.address);
        let (destination, recipient) = (stage.destination, stage.recipient.clone());
        opening.spawn(async move {
            let _permit = gate.acquire_owned().await.unwrap();
            self::open(address, destination, &recipient).await
        });
    }
    held.extend(opening.join_all().await);
    let after = proxy.memory();
    println!(
        "sessions held: {}, on {} cores",
        held.len(),
        std::thread::available_parallelism().unwrap()
    );
    println!(
        "resident before and after: {:.1} MB, {:.1} MB",
        mega(before.resident),
        mega(after.resident)
    );
    println!(
        "per session: {:.1} KiB resident, {:.1} KiB private",
        kibi(after.resident - before.resident, count - 1),
        kibi(after.private - before.private, count - 1)
    );
    // They are all alive.
    for stream in &mut held {
        stream.write_all(b"RSET\r\n").await.unwrap();
        assert!(
            line(stream).await.starts_with("250"),
            "a held session goes on"
        );
    }
    println!(
        "resident after a command of each: {:.1} MB",
        mega(proxy.memory().resident)
    );
}

type Held = BufReader<TcpStream>;

/// One session, up to its first recipient.
async fn open(proxy: SocketAddr, destination: SocketAddr, recipient: &str) -> Held {
    let mut stream = BufReader::with_capacity(512, TcpStream::connect(proxy).await.unwrap());
    let IpAddr::V4(address) = destination.ip() else {
        unreachable!("the lab is on 127.0.0.0/8");
    };
    let mut request = vec![5, 1, 0, 5, 1, 0, 1];
    request.extend(address.octets());
    request.extend(destination.port().to_be_bytes());
    stream.write_all(&request).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer[..4], [5, 0, 5, 0]);
    assert!(line(&mut stream).await.starts_with("220"));
    for command in [
        "EHLO client.test".to_owned(),
        "MAIL FROM:<a@client.test>".to_owned(),
        format!("RCPT TO:<{recipient}>"),
    ] {
        stream
            .write_all(format!("{command}\r\n").as_bytes())
            .await
            .unwrap();
        let reply = line(&mut stream).await;
        assert!(reply.starts_with("250"), "{command}: {reply}");
    }
    stream
}

/// The last line of a reply.
async fn line(stream: &mut Held) -> String {
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        if line.as_bytes().get(3) != Some(&b'-') {
            return line;
        }
    }
}

/// The real binary.
struct Proxy {
    child: Child,
    address: SocketAddr,
    _directory: tempfile::TempDir,
}

impl Proxy {
    fn start(world: &World, count: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("danelaw.toml");
        let limits = [
            "max_sessions",
            "max_sessions_per_client",
            "max_sessions_per_destination",
        ];
        let limits: String = limits
            .iter()
            .map(|key| format!("{key} = {count}\n"))
            .collect();
        let configuration = format!(
            "{limits}[[listener]]\nkind = \"socks5\"\naddress = \"127.0.0.1:0\"\nclient_tls = \"never\"\n\
            [dns]\nresolvers = [\"{}\"]\ntrust_anchor = \"{}\"\nprobe_bogus = []\n[tls]\nca_file = \"{}\"\n\
            [timeouts]\nunused = \"1h\"\n",
            world.resolver,
            world.trust_anchor.display(),
            world.ca_file.display()
        );
        std::fs::write(&path, configuration).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_danelaw"))
            .args(["run", "--config"])
            .arg(&path)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = LineReader::new(child.stderr.take().unwrap()).lines();
        let address = log
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| {
                let address = line.split_once("listening address=")?.1;
                address.split(' ').next()?.parse().ok()
            })
            .unwrap();
        std::thread::spawn(move || log.for_each(drop));
        Self {
            child,
            address,
            _directory: directory,
        }
    }

    fn memory(&self) -> Memory {
        let rollup = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", self.child.id()));
        let rollup = rollup.unwrap();
        let sum = |prefix: &str| -> u64 {
            let lines = rollup.lines().filter(|line| line.starts_with(prefix));
            lines
                .map(|line| {
                    line.split_whitespace()
                        .nth(1)
                        .unwrap()
                        .parse::<u64>()
                        .unwrap()
                        << 10
                })
                .sum()
        };
        Memory {
            resident: sum("Rss:"),
            private: sum("Private_"),
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Memory {
    resident: u64,
    private: u64,
}

fn mega(octets: u64) -> f64 {
    octets as f64 / 1e6
}

fn kibi(octets: u64, count: u64) -> f64 {
    octets as f64 / 1024.0 / count as f64
}
