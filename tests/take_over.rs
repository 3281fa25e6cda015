//! `danelaw run --take-over` while mail flows: two real processes, one after the other, and no client is refused or cut off.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test crate of its own: it does IO, and a panic is how a test fails"
)]

mod service;

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use service::Service;

const CONFIGURATION: &str = "\
[dns]
resolvers = [\"127.0.0.1:9\"]
probe_good = \"\"
probe_bogus = []
[control]
socket = \"control.sock\"
[store]
path = \"state.db\"
[[bypass]]
destination = \"127.0.0.0/8\"
[[listener]]
kind = \"socks5\"
address = \"[::1]:0\"
";

/// A mail server that greets, says yes to everything, and notices nothing else.
fn mail_server() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let mut stream = BufReader::new(stream);
                let _ = stream.get_mut().write_all(b"220 mx.example\r\n");
                let mut line = String::new();
                while stream.read_line(&mut line).is_ok_and(|length| length > 0) {
                    let is_last = line.starts_with("QUIT");
                    let _ = stream.get_mut().write_all(b"250 yes\r\n");
                    if is_last {
                        break;
                    }
                    line.clear();
                }
            });
        }
    });
    address
}

/// A session through the proxy, or what went wrong.
struct Session(BufReader<TcpStream>);

impl Session {
    fn begin(proxy: SocketAddr, mx: SocketAddr) -> Result<Self, String> {
        let told = |error: std::io::Error| error.to_string();
        let mut stream = TcpStream::connect(proxy).map_err(told)?;
        let IpAddr::V4(ip) = mx.ip() else {
            panic!("{mx}")
        };
        let mut request = vec![5, 1, 0, 5, 1, 0, 1];
        request.extend(ip.octets());
        request.extend(mx.port().to_be_bytes());
        stream.write_all(&request).map_err(told)?;
        let mut answer = [0; 12];
        std::io::Read::read_exact(&mut stream, &mut answer).map_err(told)?;
        let mut session = Self(BufReader::new(stream));
        session.expect("220 mx.example")?;
        Ok(session)
    }

    fn expect(&mut self, words: &str) -> Result<(), String> {
        let mut line = String::new();
        let read = self.0.read_line(&mut line);
        read.map_err(|error| error.to_string())?;
        match line.trim_end() == words {
            true => Ok(()),
            false => Err(format!("{line:?} in place of {words:?}")),
        }
    }

    fn say(&mut self, words: &str) -> Result<(), String> {
        let said = self
            .0
            .get_mut()
            .write_all(format!("{words}\r\n").as_bytes());
        said.map_err(|error| error.to_string())?;
        self.expect("250 yes")
    }
}

/// Clients that come and go, until they are told to stop; they count what worked, and give what did not.
struct Load {
    done: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    clients: Vec<thread::JoinHandle<Vec<String>>>,
}

impl Load {
    fn on(proxies: &[SocketAddr], mx: SocketAddr) -> Self {
        let (done, stop) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let client = |proxy: SocketAddr| {
            let (done, stop) = (Arc::clone(&done), Arc::clone(&stop));
            thread::spawn(move || {
                let mut wrong = Vec::new();
                while !stop.load(Ordering::SeqCst) {
                    let session = Session::begin(proxy, mx);
                    match session.and_then(|mut session| {
                        session.say("NOOP").and_then(|()| session.say("QUIT"))
                    }) {
                        Ok(()) => {
                            done.fetch_add(1, Ordering::SeqCst);
                        }
                        Err(error) => wrong.push(error),
                    }
                }
                wrong
            })
        };
        let clients = proxies.iter().flat_map(|proxy| [*proxy; 3]).map(client);
        let clients = clients.collect();
        Self {
            done,
            stop,
            clients,
        }
    }

    /// Waits until so many more have worked.
    fn more(&self, sessions: usize) {
        let until = self.done.load(Ordering::SeqCst) + sessions;
        while self.done.load(Ordering::SeqCst) < until {
            assert!(
                !self.clients.iter().all(thread::JoinHandle::is_finished),
                "no client is left"
            );
            thread::yield_now();
        }
    }

    fn end(self) -> Vec<String> {
        self.stop.store(true, Ordering::SeqCst);
        let ended = self
            .clients
            .into_iter()
            .map(|client| client.join().unwrap());
        ended.flatten().collect()
    }
}

/// Where the second listener listens.
fn other_address(service: &Service) -> SocketAddr {
    let line = service.logged("listening address=");
    let (_, rest) = line.split_once("address=").unwrap();
    rest.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn dn_24_a_restart_under_load_refuses_nobody_and_cuts_nobody_off() {
    let mx = mail_server();
    let old = Service::start(CONFIGURATION);
    let proxies = [old.address, other_address(&old)];
    assert_ne!(proxies[0].is_ipv4(), proxies[1].is_ipv4(), "{proxies:?}");
    let mut held = Session::begin(proxies[0], mx).unwrap();
    let load = Load::on(&proxies, mx);
    load.more(50);
    let new = old.successor();
    assert_eq!(new.address, old.address);
    old.logged("a successor accepts");
    load.more(200);
    // What began with the old process ends with it.
    held.say("NOOP").unwrap();
    held.say("QUIT").unwrap();
    drop(held);
    old.logged("stopped");
    assert_eq!(old.ended(), Some(0));
    load.more(50);
    // The successor can be succeeded.
    new.logged("commands are answered");
    let third = new.successor();
    new.logged("stopped");
    load.more(50);
    assert_eq!(load.end(), Vec::<String>::new());
    third.logged("commands are answered");
    let reload = third.command(&[
        "reload",
        "--socket",
        third.path("control.sock").to_str().unwrap(),
    ]);
    assert_eq!(reload.status.code(), Some(0), "{reload:?}");
}

#[test]
fn a_successor_that_cannot_start_leaves_all_as_it_was() {
    let mx = mail_server();
    let mut old = Service::start(CONFIGURATION);
    let load = Load::on(&[old.address], mx);
    load.more(20);
    let before = std::fs::read_to_string(old.path("danelaw.toml")).unwrap();
    std::fs::write(
        old.path("danelaw.toml"),
        before.replace("state.db", "nowhere/state.db"),
    )
    .unwrap();
    let failed = old.command(&["run", "--take-over"]);
    assert_eq!(failed.status.code(), Some(2), "{failed:?}");
    let said = String::from_utf8(failed.stderr).unwrap();
    assert!(said.contains("store.path"), "{said}");
    old.logged("this process goes on");
    load.more(50);
    assert_eq!(load.end(), Vec::<String>::new());
    // Where nobody is there it is an ordinary start.
    std::fs::write(old.path("danelaw.toml"), before).unwrap();
    old.signal(nix::sys::signal::Signal::SIGTERM);
    old.gone();
    let new = old.successor();
    new.logged("nothing is taken over");
}

/// Of two, each would take the end of the old process for its own beginning.
#[test]
fn a_second_successor_is_sent_away_while_the_first_has_not_said_that_it_serves() {
    let mut old = Service::start(CONFIGURATION);
    old.logged("commands are answered");
    let mut first = UnixStream::connect(old.path("control.sock")).unwrap();
    let request = "{\"request\":{\"daemon\":\"take-over\"}}\n";
    first.write_all(request.as_bytes()).unwrap();
    let mut named = String::new();
    let mut reader = BufReader::new(&first);
    reader.read_line(&mut named).unwrap();
    assert!(named.contains("sockets"), "{named}");
    let second = old.command(&["run", "--take-over"]);
    assert_eq!(second.status.code(), Some(2), "{second:?}");
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(
        said.contains("one process that takes over at a time"),
        "{said}"
    );
    drop(first);
    old.logged("this process goes on");
    let new = old.successor();
    new.logged("commands are answered");
    old.logged("stopped");
    old.gone();
}
