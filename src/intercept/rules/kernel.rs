//! Asks the kernel for the rules, and changes them, by way of `nft`, `ip` and `conntrack`.
//!
//! Each of them gets ten seconds. What one complains of is a [`Trouble`] with its remedy.
#![expect(
    clippy::disallowed_methods,
    reason = "IO: runs programs for a bounded time, with the search path of the environment"
)]

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::plan::{Family, Plan, Transparent};
use super::routing::{Arguments, Routing};
use super::seen::{Seen, SeenTable};
use super::table::{DANELAW, GUARD};

/// Why a program did not do what it was run for.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// It is not there.
    #[error("{program} is not installed: on Debian `apt install {package}`")]
    NotInstalled {
        /// Which.
        program: &'static str,
        /// Where it comes from.
        package: &'static str,
    },
    /// It cannot be run.
    #[error("{program} cannot be run: {error}")]
    NotRun {
        /// Which.
        program: &'static str,
        /// Why not.
        error: io::Error,
    },
    /// The kernel does not let it.
    #[error(
        "{program} is not permitted: run this as root, or with CAP_NET_ADMIN in the network namespace of the rules"
    )]
    NotPermitted {
        /// Which.
        program: &'static str,
    },
    /// The kernel has no netfilter of that kind.
    #[error(
        "this kernel has no nf_tables (`modprobe nf_tables`); `danelaw rules print --format iptables` does without. nft said: {said}"
    )]
    NoNfTables {
        /// What nft said.
        said: String,
    },
    /// The kernel lacks what a rule takes.
    #[error(
        "this kernel lacks what one of the rules takes; it needs nft_redir, nft_tproxy, nft_socket, nft_fib_inet, \
         nft_reject_inet and nf_conntrack, built in or as modules. nft said: {said}"
    )]
    NoSuchExpression {
        /// What nft said.
        said: String,
    },
    /// It did not end.
    #[error("{program} did not end within {} s: another program may hold netfilter's lock", PATIENCE.as_secs())]
    TimedOut {
        /// Which.
        program: &'static str,
    },
    /// It complained of something else.
    #[error("`{program} {arguments}` failed: {said}")]
    Failed {
        /// Which.
        program: &'static str,
        /// What it was told.
        arguments: String,
        /// What it said.
        said: String,
    },
    /// It said something that it never says.
    #[error("what {program} says cannot be read: {error}")]
    Unreadable {
        /// Which.
        program: &'static str,
        /// Why.
        error: serde_json::Error,
    },
}

/// Looks for all that a plan wants.
///
/// # Errors
/// [`Trouble`].
pub async fn look(plan: &Plan) -> Result<Seen, Trouble> {
    let mut seen = Seen {
        danelaw: table(DANELAW).await?,
        guard: table(GUARD).await?,
        routing: Vec::new(),
    };
    if let Some(transparent) = plan.transparent() {
        for family in families() {
            seen.routing
                .push((family, routing(transparent, family).await?));
        }
    }
    Ok(seen)
}

/// A table as it is, if it is.
///
/// # Errors
/// [`Trouble`].
pub async fn table(name: &str) -> Result<Option<SeenTable>, Trouble> {
    match run(&NFT, &["-j", "list", "table", "inet", name], "").await {
        Ok(listing) => SeenTable::parse(&listing)
            .map(Some)
            .map_err(|error| Trouble::Unreadable {
                program: NFT.name,
                error,
            }),
        Err(Trouble::Failed { said, .. }) if said.contains(NOT_THERE) => Ok(None),
        Err(trouble) => Err(trouble),
    }
}

/// Has nft read a text, and the kernel say what it thinks of it, and nothing else.
///
/// # Errors
/// [`Trouble`].
pub async fn check(text: &str) -> Result<(), Trouble> {
    run(&NFT, &["-c", "-f", "-"], text).await.map(drop)
}

/// Has nft load a text, all of it or nothing.
///
/// # Errors
/// [`Trouble`].
pub async fn load(text: &str) -> Result<(), Trouble> {
    run(&NFT, &["-f", "-"], text).await.map(drop)
}

/// What is routed by the table of a plan.
///
/// # Errors
/// [`Trouble`].
pub async fn routing(transparent: &Transparent, family: Family) -> Result<Routing, Trouble> {
    let family = format!("-{}", family.number());
    let table = transparent.table.to_string();
    let rules = run(&IP, &["-N", "-j", &family, "rule", "show"], "").await?;
    let routes = ["-N", "-j", &family, "route", "show", "table", &table];
    let routes = match run(&IP, &routes, "").await {
        // Nobody has put anything into it yet.
        Err(Trouble::Failed { said, .. }) if said.contains(NO_TABLE) => String::new(),
        other => other?,
    };
    let parsed = Routing::parse(&rules, &routes, transparent.table);
    parsed.map_err(|error| Trouble::Unreadable {
        program: IP.name,
        error,
    })
}

/// Runs `ip` with each of these.
///
/// # Errors
/// [`Trouble`] of the first that fails.
pub async fn route(commands: &[Arguments]) -> Result<(), Trouble> {
    for arguments in commands {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        run(&IP, &arguments, "").await?;
    }
    Ok(())
}

/// Has connection tracking forget connections to a port that nobody redirects, so that their next packet meets the
/// rules; those that are redirected are answered from another port and stay.
///
/// # Errors
/// [`Trouble`].
pub async fn forget(port: u16) -> Result<(), Trouble> {
    let port = port.to_string();
    for family in ["ipv4", "ipv6"] {
        let arguments = [
            "-D",
            "-f",
            family,
            "-p",
            "tcp",
            "--orig-port-dst",
            &port,
            "--reply-port-src",
            &port,
        ];
        match run(&CONNTRACK, &arguments, "").await {
            // It fails when there is nothing to forget.
            Err(Trouble::Failed { said, .. }) if said.contains("0 flow entries") => {}
            other => drop(other?),
        }
    }
    Ok(())
}

/// The families that this host speaks.
#[must_use]
pub fn families() -> Vec<Family> {
    let mut families = vec![Family::V4];
    if Path::new("/proc/net/if_inet6").exists() {
        families.push(Family::V6);
    }
    families
}

/// Whether loading this file takes all tables away, ours among them.
#[must_use]
pub fn is_flushed_by(file: &Path) -> bool {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let mut lines = text.lines().map(str::trim_start);
    lines.any(|line| line.starts_with("flush ruleset"))
}

/// The number of a user.
#[must_use]
pub fn uid_of(user: &str) -> Option<u32> {
    let user = nix::unistd::User::from_name(user).ok().flatten();
    user.map(|user| user.uid.as_raw())
}

struct Program {
    name: &'static str,
    package: &'static str,
}

impl Program {
    fn not_run(&self, error: io::Error) -> Trouble {
        let (program, package) = (self.name, self.package);
        if error.kind() == io::ErrorKind::NotFound {
            Trouble::NotInstalled { program, package }
        } else {
            Trouble::NotRun { program, error }
        }
    }
}

async fn run(program: &Program, arguments: &[&str], input: &str) -> Result<String, Trouble> {
    let name = program.name;
    let ended = tokio::time::timeout(PATIENCE, spoken_to(program, arguments, input));
    let ended = ended
        .await
        .map_err(|_| Trouble::TimedOut { program: name })?;
    let output = ended.map_err(|error| program.not_run(error))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(complaint(program, arguments, &output))
}

async fn spoken_to(program: &Program, arguments: &[&str], input: &str) -> io::Result<Output> {
    let mut child = Command::new(program.name)
        .args(arguments)
        .env("PATH", path())
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let stdin = child.stdin.take();
    let feed = async move {
        if let Some(mut stdin) = stdin {
            // Who reads nothing has something to say about it.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
    };
    let ((), output) = tokio::join!(feed, child.wait_with_output());
    output
}

fn complaint(program: &Program, arguments: &[&str], output: &Output) -> Trouble {
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim().to_owned();
    let has = |words: &[&str]| words.iter().any(|words| said.contains(words));
    let name = program.name;
    if has(&[
        "Operation not permitted",
        "you must be root",
        "Permission denied",
    ]) {
        return Trouble::NotPermitted { program: name };
    }
    let is_nft = name == NFT.name;
    if is_nft
        && has(&[
            "Protocol not supported",
            "Unable to initialize Netlink",
            "cache initialization failed",
        ])
    {
        return Trouble::NoNfTables { said };
    }
    let is_loading = arguments.contains(&"-f");
    if is_nft
        && is_loading
        && has(&[
            "Could not process rule: No such file or directory",
            "Could not process rule: Operation not supported",
            "Could not process rule: Protocol not supported",
        ])
    {
        return Trouble::NoSuchExpression { said };
    }
    Trouble::Failed {
        program: name,
        arguments: arguments.join(" "),
        said,
    }
}

/// Where administrators' programs are stands in root's search path alone.
fn path() -> OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/local/sbin:/usr/sbin:/sbin");
    path
}

const NFT: Program = Program {
    name: "nft",
    package: "nftables",
};
const IP: Program = Program {
    name: "ip",
    package: "iproute2",
};
const CONNTRACK: Program = Program {
    name: "conntrack",
    package: "conntrack",
};

const NOT_THERE: &str = "No such file or directory";
const NO_TABLE: &str = "FIB table does not exist";
const PATIENCE: Duration = Duration::from_secs(10);
