//! A machine of its own for one test: private network, mount and process namespaces, made by executing the test
//! binary again under `unshare`. The test is process 1 of its process namespace, so when it ends the kernel ends every
//! daemon it started and frees every interface, rule and mount; nothing has to be cleaned up and nothing can leak.
//!
//! A machine that cannot do this (not root, a program missing) skips the test and says why, except under `CI`, where
//! a skip would look like success and is a failure instead.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{self, Signal};
use nix::unistd::{Pid, geteuid, getpid};

/// Where a sandbox keeps all its files: on a tmpfs that only this sandbox sees.
pub(crate) const HOME: &str = "/run/lab";

/// Where `.ci/packages` unpacks Exim, which Debian does not let stand beside Postfix.
pub(crate) const EXIM: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/exim4/usr/sbin/exim4");

/// Where it unpacks the others that exclude Postfix.
pub(crate) const OPENSMTPD: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/opensmtpd/usr/sbin");
pub(crate) const DMA: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/dma/usr/sbin/dma");
pub(crate) const CHASQUID: &str =
    concat!(env!("CARGO_TARGET_TMPDIR"), "/chasquid/usr/bin/chasquid");
pub(crate) const CHASQUID_UTIL: &str = concat!(
    env!("CARGO_TARGET_TMPDIR"),
    "/chasquid/usr/bin/chasquid-util"
);

/// Runs `body` in a sandbox: the calling test's own closure, from whose type the inner process learns which test it is.
pub(crate) fn sandboxed<F: FnOnce()>(body: F) {
    if std::env::var_os(INSIDE).is_some() {
        assert_eq!(
            getpid(),
            Pid::from_raw(1),
            "{INSIDE} is set outside a sandbox: unset it"
        );
        furnish();
        return body();
    }
    let path = std::any::type_name::<F>().trim_end_matches("::{{closure}}");
    let test = path.split_once("::").map_or(path, |(_crate, test)| test);
    if let Some(reason) = unable() {
        assert!(
            std::env::var_os("CI").is_none(),
            "{test} cannot run: {reason}"
        );
        // Not `eprintln!`, which is shown for failed tests only.
        writeln!(std::io::stderr(), "SKIPPED {test}: {reason}")
            .expect("standard error takes a line");
        return;
    }
    let mut inner = Command::new("unshare")
        .args([
            "--net",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "--",
        ])
        .arg(std::env::current_exe().expect("the test binary has a path"))
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .env("PATH", PATH)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("unshare runs");
    let complaints = inner.stderr.take().expect("its errors are a pipe");
    let listener = std::thread::spawn(|| relay(complaints));
    let output = inner.wait_with_output().expect("unshare ends");
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = listener.join().expect("its errors can be read");
    assert!(
        output.status.success(),
        "{test} in its sandbox: {}\n{said}\n{complained}",
        output.status
    );
    // A wrong name would select no test at all and look green.
    assert!(
        said.contains("1 passed"),
        "{test} did not run in its sandbox:\n{said}"
    );
}

/// Passes on what is told, at once, and collects all that is said.
fn relay(errors: impl Read) -> String {
    let mut all = String::new();
    for line in BufReader::new(errors).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        if line.starts_with(TOLD) {
            writeln!(std::io::stderr(), "{line}").expect("standard error takes a line");
        }
        all += &line;
        all.push('\n');
    }
    all
}

/// Says something that is worth reading though the test passes.
pub(crate) fn tell(what: &str) {
    writeln!(std::io::stderr(), "{TOLD}{what}").expect("standard error takes a line");
}

/// One network namespace of the sandbox.
pub(crate) struct Namespace(&'static str);

impl Namespace {
    /// A new namespace with its loopback up.
    pub(crate) fn new(name: &'static str) -> Self {
        sh(&format!("ip netns add {name}"));
        let namespace = Self(name);
        // Addresses are usable at once: duplicate detection would hold back every first IPv6 packet for a second.
        namespace.sh("sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0; ip link set lo up");
        namespace
    }

    /// The namespace's name.
    pub(crate) fn name(&self) -> &'static str {
        self.0
    }

    /// A command whose process lives in this namespace.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net=/run/netns/{}", self.0))
            .arg("--")
            .arg(program);
        command.stdin(Stdio::null());
        command
    }

    /// Runs shell commands in this namespace; they have to succeed.
    pub(crate) fn sh(&self, script: &str) -> String {
        finished(self.command("sh").args(["-ec", script]), script)
    }

    /// Whether some process listens on `address` (as `ss` writes it: `192.0.2.1:25`, `[2001:db8::1]:25`).
    pub(crate) fn listens(&self, address: &str) -> bool {
        let sockets = self.sh("ss -Hltn");
        sockets
            .lines()
            .any(|socket| socket.split_whitespace().nth(3) == Some(address))
    }

    /// Starts a daemon in the foreground, its output going to `HOME/log/<name>`.
    pub(crate) fn daemon(&self, name: &str, program: &str, arguments: &[&str]) -> Daemon {
        let log = File::create(log_of(name)).expect("the log can be created");
        let errors = log.try_clone().expect("a file handle can be cloned");
        let child = self
            .command(program)
            .args(arguments)
            .stdout(log)
            .stderr(errors)
            .spawn();
        Daemon {
            name: name.to_owned(),
            child: child.unwrap_or_else(|e| panic!("{program} does not start: {e}")),
        }
    }
}

/// A running program of the sandbox. It needs no end: the sandbox's end is its end.
pub(crate) struct Daemon {
    name: String,
    child: Child,
}

impl Daemon {
    /// What it goes by.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its process.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a process id fits"))
    }

    /// Waits until `ready` holds; a daemon that ends before is a failure with its log.
    pub(crate) fn await_ready(mut self, what: &str, mut ready: impl FnMut() -> bool) -> Self {
        until(&format!("{} {what}", self.name), || {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                panic!(
                    "{} ended early, {status}:\n{}",
                    self.name,
                    read(log_of(&self.name))
                );
            }
            ready().then_some(())
        });
        self
    }

    /// Waits until it ends by itself.
    pub(crate) fn ended(mut self) -> ExitStatus {
        until(&format!("the end of {}", self.name), || {
            self.child.try_wait().expect("a child can be waited for")
        })
    }

    /// Kills it, as the kernel does when memory runs out.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("an own child can be killed");
        self.child.wait().expect("an own child ends");
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(mut self) -> ExitStatus {
        signal::kill(self.pid(), Signal::SIGTERM).expect("an own child can be signalled");
        until(&format!("the end of {}", self.name), || {
            self.child.try_wait().expect("a child can be waited for")
        })
    }
}

/// Runs shell commands in the sandbox itself; they have to succeed.
pub(crate) fn sh(script: &str) -> String {
    finished(
        Command::new("sh")
            .args(["-ec", script])
            .stdin(Stdio::null()),
        script,
    )
}

/// Polls `probe` until it gives a value. Nothing in these tests waits in any other way, and nothing measures time:
/// the bound only turns a hang into a failure.
pub(crate) fn until<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(
            begun.elapsed() < PATIENCE,
            "waited {} s in vain for: {what}",
            PATIENCE.as_secs()
        );
        std::thread::park_timeout(POLL);
    }
}

/// Writes a file below [`HOME`], making its directory.
pub(crate) fn write(path: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = Path::new(HOME).join(path);
    fs::create_dir_all(path.parent().expect("a file has a directory"))
        .expect("the directory can be made");
    fs::write(&path, content).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    path
}

/// A file as text, empty where there is none yet.
pub(crate) fn read(path: impl AsRef<Path>) -> String {
    fs::read(path).map_or_else(
        |_| String::new(),
        |bytes| String::from_utf8_lossy(&bytes).into_owned(),
    )
}

/// Where a daemon's output goes.
pub(crate) fn log_of(name: &str) -> PathBuf {
    Path::new(HOME).join("log").join(name)
}

/// All logs, for the reader of a failed test.
pub(crate) fn all_logs() -> String {
    let mut paths: Vec<PathBuf> = fs::read_dir(Path::new(HOME).join("log"))
        .map(|entries| {
            entries
                .filter_map(|entry| Some(entry.ok()?.path()))
                .collect()
        })
        .unwrap_or_default();
    paths.sort();
    paths
        .iter()
        .map(|path| format!("──── {}\n{}\n", path.display(), read(path)))
        .collect()
}

/// Why this machine cannot hold a sandbox.
fn unable() -> Option<String> {
    if !geteuid().is_root() {
        return Some("mail servers change users, so the sandbox needs root".to_owned());
    }
    let missing: Vec<&str> = PROGRAMS
        .iter()
        .copied()
        .filter(|program| !installed(program))
        .collect();
    if !missing.is_empty() {
        return Some(format!(
            "not installed: {}; `.ci/packages` installs them on Debian",
            missing.join(", ")
        ));
    }
    let probe = Command::new("unshare")
        .args([
            "--net",
            "--mount",
            "--pid",
            "--fork",
            "--mount-proc",
            "--",
            "nft",
            "list",
            "ruleset",
        ])
        .env("PATH", PATH)
        .stdin(Stdio::null())
        .output();
    match probe {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(format!(
            "no namespaces with nftables here: {}",
            String::from_utf8_lossy(&output.stderr)
        )),
        Err(error) => Some(format!("unshare does not start: {error}")),
    }
}

fn installed(program: &str) -> bool {
    PATH.split(':')
        .any(|directory| Path::new(directory).join(program).exists())
}

/// Makes the sandbox's file system its own: an empty `/run`, and a copy of `/etc` with the lab's users and resolver.
fn furnish() {
    sh(
        "mount --make-rprivate /; mount -t tmpfs -o mode=755 none /run; mkdir -p /run/netns /run/lab/log",
    );
    sh("ip link set lo up; cp -a /etc /run/lab/etc");
    // A symbolic link there would lead out of the copy.
    sh("rm -f /run/lab/etc/resolv.conf; rm -rf /run/lab/etc/exim4; mkdir /run/lab/etc/exim4");
    write(
        "etc/resolv.conf",
        format!(
            "nameserver {}\noptions timeout:2 attempts:2\n",
            super::dns::RESOLVER
        ),
    );
    write("etc/mailname", "client.test\n");
    for (name, id) in USERS {
        sh(&format!(
            "sed -i /^{name}:/d /run/lab/etc/passwd /run/lab/etc/group"
        ));
        sh(&format!(
            "echo {name}:x:{id}:{id}::/nonexistent:/usr/sbin/nologin >>/run/lab/etc/passwd"
        ));
        sh(&format!("echo {name}:x:{id}: >>/run/lab/etc/group"));
    }
    sh("mount --bind /run/lab/etc /etc");
}

fn finished(command: &mut Command, what: &str) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("{what}: {e}"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{what}: {}\n{said}\n{complained}",
        output.status
    );
    said
}

/// Users that exist in every sandbox, whatever the machine has.
const USERS: &[(&str, u32)] = &[
    ("danelaw", 61_025),
    ("Debian-exim", 61_026),
    ("opensmtpd", 61_027),
    ("opensmtpq", 61_028),
];

const PROGRAMS: &[&str] = &[
    "unshare",
    "nsenter",
    "setpriv",
    "ip",
    "ss",
    "sysctl",
    "nft",
    "conntrack",
    "iptables-nft",
    "ip6tables-nft",
    "iptables-legacy",
    "ip6tables-legacy",
    "tcpdump",
    "bash",
    "openssl",
    "python3",
    "curl",
    "dnssec-keygen",
    "dnssec-signzone",
    "delv",
    "nsd",
    "unbound",
    "nginx",
    "haproxy",
    "postfix",
    "sendmail",
    "postqueue",
    "posttls-finger",
    EXIM,
    CHASQUID,
    DMA,
    concat!(env!("CARGO_TARGET_TMPDIR"), "/opensmtpd/usr/sbin/smtpd"),
];

const TOLD: &str = "told: ";
const INSIDE: &str = "DANELAW_SANDBOX";
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";
const PATIENCE: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(20);
