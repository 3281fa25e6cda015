//! Does things as another user, as far as files and netfilter see it: both go by the file system user of the thread that
//! opens a file or a socket, and that can be another in one thread alone.
#![expect(
    clippy::disallowed_methods,
    reason = "IO: connects, tries files, in a thread of its own"
)]

use std::fs::OpenOptions;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use nix::unistd::{Gid, Uid, User, setfsgid, setfsuid};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::lookup_host;

use crate::cli::printable;
use crate::doctor::facts::{Flight, Outcome};
use crate::intercept::canary::Family;
use crate::proxy::canary::{Heard, fly_plain, token};
use crate::proxy::dial::marked;

/// Who tries, and how the connection is marked.
#[derive(Clone, Copy)]
pub(super) struct As {
    pub(super) uid: u32,
    pub(super) mark: Option<u32>,
}

/// A user that no rule exempts.
pub(super) const NOBODY: As = As {
    uid: 65_534,
    mark: None,
};

/// What becomes of connections to nobody at this port.
pub(super) fn flights(port: u16, others: Option<As>, own: Option<As>) -> Vec<Flight> {
    let [others, own] = [others, own].map(|who| who.and_then(|who| outcomes(port, who)));
    let of = |all: &Option<[Outcome; 2]>, at: usize| all.as_ref().map(|all| all[at].clone());
    Family::ALL
        .into_iter()
        .enumerate()
        .map(|(at, family)| Flight {
            family,
            others: of(&others, at),
            own: of(&own, at),
        })
        .collect()
}

fn outcomes(port: u16, who: As) -> Option<[Outcome; 2]> {
    let fly = async move || {
        let token = token();
        let fly = async |family| outcome(fly_plain(family, (port, who.mark), &token).await);
        let (four, six) = tokio::join!(fly(Family::V4), fly(Family::V6));
        [four, six]
    };
    run_as(who.uid, fly)
}

fn outcome(heard: Heard) -> Outcome {
    match heard {
        Heard::Answered(answerer) => Outcome::Answered(answerer),
        Heard::Refused(how) => Outcome::Refused(how),
        Heard::Stopped(how) => Outcome::Gone(how),
        Heard::Silence => Outcome::Gone("nobody answered".into()),
        Heard::Untried(why) => Outcome::Untried(why),
    }
}

/// The greeting of a host.
pub(super) fn greeting(host: &str, who: As) -> Result<String, String> {
    let at = if host.parse::<std::net::Ipv6Addr>().is_ok() {
        format!("[{host}]:25")
    } else if host.contains(':') {
        host.to_owned()
    } else {
        format!("{host}:25")
    };
    let greet = async move || {
        let greeted = tokio::time::timeout(PATIENCE, greeted(&at, who.mark)).await;
        match greeted {
            Ok(greeted) => greeted.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no greeting within {} s", PATIENCE.as_secs())),
        }
    };
    let greeted = run_as(who.uid, greet);
    greeted.unwrap_or_else(|| Err("it cannot be tried as danelaw's user".into()))
}

async fn greeted(at: &str, mark: Option<u32>) -> io::Result<String> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in lookup_host(at).await? {
        match greeted_by(address, mark).await {
            Ok(greeting) => return Ok(greeting),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn greeted_by(address: SocketAddr, mark: Option<u32>) -> io::Result<String> {
    let socket = marked(address, mark)?;
    let mut line = String::new();
    let stream = BufReader::new(socket.connect(address).await?);
    tokio::io::AsyncReadExt::take(stream, 512)
        .read_line(&mut line)
        .await?;
    if line.starts_with("220") {
        Ok(printable(line.trim_end()))
    } else {
        Err(io::Error::other(format!("it says {:?}", line.trim_end())))
    }
}

/// Why a user cannot write a file, or beside it.
pub(super) fn unwritable(path: &Path, uid: u32) -> Option<String> {
    let path = path.to_owned();
    let tried = run_as(uid, async move || {
        write(&path).err().map(|error| error.to_string())
    });
    tried.unwrap_or_else(|| Some("it cannot be tried as danelaw's user".into()))
}

/// A database writes files beside its own.
fn write(path: &Path) -> io::Result<()> {
    if path.exists() {
        OpenOptions::new().read(true).write(true).open(path)?;
    }
    let name = format!(".danelaw-doctor-{}", std::process::id());
    let beside = path.with_file_name(name);
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&beside)?;
    std::fs::remove_file(beside)
}

/// Does `work` as a user; none where that is not allowed.
fn run_as<T: Send + 'static>(
    uid: u32,
    work: impl AsyncFnOnce() -> T + Send + 'static,
) -> Option<T> {
    let working = std::thread::spawn(move || {
        become_user(uid)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .ok()?;
        Some(runtime.block_on(work()))
    });
    working.join().ok().flatten()
}

fn become_user(uid: u32) -> Option<()> {
    let wanted = Uid::from_raw(uid);
    if let Some(user) = User::from_uid(wanted).ok().flatten() {
        setfsgid(user.gid);
    } else {
        setfsgid(Gid::from_raw(uid));
    }
    setfsuid(wanted);
    // It tells what was, and what cannot be set stays.
    (setfsuid(wanted) == wanted).then_some(())
}

/// With a host that is asked for its greeting.
const PATIENCE: Duration = Duration::from_secs(15);
