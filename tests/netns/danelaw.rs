//! The real danelaw, as its own user without a single capability, but for the one that TPROXY takes.

use std::fs;
use std::path::{Path, PathBuf};

use super::sandbox::{Daemon, HOME, Namespace, log_of, read, sh, write};
use super::{dns, pki};

/// Where it listens, in the notation of `ss`.
pub(crate) const LISTENERS: [&str; 2] = ["127.0.0.1:10225", "[::1]:10225"];

/// Where [`start_with_socks`] listens besides.
pub(crate) const SOCKS: &str = "127.0.0.1:1080";

/// The certificate of the CA that [`start_with_ca`] makes.
pub(crate) const CA: &str = "/run/lab/danelaw/ca.pem";

/// Starts it and waits until it listens on both families.
pub(crate) fn start(mta: &Namespace) -> Daemon {
    start_as(mta, configuration("never"))
}

/// The same with a local CA, and STARTTLS offered to the client.
pub(crate) fn start_with_ca(mta: &Namespace) -> Daemon {
    sh(&format!(
        "install -d {HOME}/danelaw; {} ca init --dir {HOME}/danelaw
        chown danelaw {HOME}/danelaw/ca-key.pem",
        env!("CARGO_BIN_EXE_danelaw")
    ));
    let ca = "[client_tls]\nca_cert = \"ca.pem\"\nca_key = \"ca-key.pem\"\n";
    start_as(mta, configuration("offer") + ca)
}

/// The same with a SOCKS5 listener on loopback.
pub(crate) fn start_with_socks(mta: &Namespace) -> Daemon {
    let socks = format!("[[listener]]\nkind = \"socks5\"\naddress = \"{SOCKS}\"\n");
    start_as(mta, socks + &configuration("never"))
}

/// What danelaw may do beside what every user may.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rights {
    Nothing,
    NetRaw,
}

/// Starts it elsewhere with one listener, whose table is given, and waits for what `ss` calls its socket.
pub(crate) fn start_listener(
    place: &Namespace,
    (listener, socket): (&str, &str),
    rights: Rights,
) -> Daemon {
    let daemon = launch(
        place,
        format!("[[listener]]\n{listener}\n{}", rest()),
        rights,
    );
    daemon.await_ready("listens", || place.listens(socket))
}

/// Starts it with this configuration and what has it pass everything on as it is, which takes no name server.
pub(crate) fn start_passing(
    place: &Namespace,
    (configuration, socket): (&str, &str),
    rights: Rights,
) -> Daemon {
    const PASSING: &str = "[[bypass]]\ndestination = \"0.0.0.0/0\"\n[[bypass]]\ndestination = \"::/0\"\n\
        [dns]\nprobe_good = \"\"\nprobe_bogus = []\n";
    let daemon = launch(place, format!("{configuration}{PASSING}"), rights);
    daemon.await_ready("listens", || place.listens(socket))
}

/// What it says when it does not start like that.
pub(crate) fn fails_to_start(place: &Namespace, listener: &str, rights: Rights) -> String {
    let daemon = launch(
        place,
        format!("[[listener]]\n{listener}\n{}", rest()),
        rights,
    );
    assert_eq!(daemon.ended().code(), Some(2), "{listener}");
    read(log_of("danelaw"))
}

/// The same with a list of hints.
pub(crate) fn start_hinted(mta: &Namespace) -> Daemon {
    start_with(mta, &hinted())
}

/// Its configuration.
pub(crate) fn hinted() -> PathBuf {
    let hints = "[mta_sts.hints]\nfile = \"hints.txt\"\nkey = \"ours.pem\"\n";
    write("danelaw/danelaw.toml", configuration("never") + hints)
}

/// The same with the clock that the file tells of, in the words of libfaketime.
pub(crate) fn start_by(mta: &Namespace, clock: &Path) -> Daemon {
    let configuration = write("danelaw/danelaw.toml", configuration("never"));
    let clock = format!("FAKETIME_TIMESTAMP_FILE={}", clock.display());
    let under = [
        "env",
        "LD_PRELOAD=libfaketimeMT.so.1",
        "LD_LIBRARY_PATH=/usr/lib/x86_64-linux-gnu/faketime:/usr/lib/aarch64-linux-gnu/faketime",
        "FAKETIME_NO_CACHE=1",
        // Only wall clocks are ever set.
        "FAKETIME_DONT_FAKE_MONOTONIC=1",
        &clock,
    ];
    listens(
        mta,
        launch_with(mta, &configuration, Rights::Nothing, &under),
    )
}

fn start_as(mta: &Namespace, configuration: String) -> Daemon {
    start_with(mta, &write("danelaw/danelaw.toml", configuration))
}

fn start_with(mta: &Namespace, configuration: &Path) -> Daemon {
    listens(mta, launch_with(mta, configuration, Rights::Nothing, &[]))
}

fn listens(mta: &Namespace, daemon: Daemon) -> Daemon {
    daemon.await_ready("listens on both families", || {
        LISTENERS.iter().all(|address| mta.listens(address))
    })
}

fn launch(place: &Namespace, configuration: String, rights: Rights) -> Daemon {
    launch_with(
        place,
        &write("danelaw/danelaw.toml", configuration),
        rights,
        &[],
    )
}

/// `under` is the command that runs it, if any.
fn launch_with(place: &Namespace, configuration: &Path, rights: Rights, under: &[&str]) -> Daemon {
    let program = format!("{HOME}/danelaw/danelaw");
    // The build directory may lie where another user cannot go.
    sh(&format!(
        "chmod 755 {HOME}/danelaw; install -d -o danelaw -g danelaw {HOME}/danelaw/state
        [ -e {program} ] || {{ touch {program}; mount --bind {} {program}; }}",
        env!("CARGO_BIN_EXE_danelaw")
    ));
    let as_danelaw = ["--reuid=danelaw", "--regid=danelaw", "--clear-groups"];
    let with_rights = match rights {
        Rights::Nothing => [
            "--inh-caps=-all",
            "--ambient-caps=-all",
            "--bounding-set=-all",
        ],
        Rights::NetRaw => [
            "--inh-caps=-all,+net_raw",
            "--ambient-caps=-all,+net_raw",
            "--bounding-set=-all,+net_raw",
        ],
    };
    let command = [
        &program,
        "run",
        "--config",
        &configuration.to_string_lossy(),
    ];
    place.daemon(
        "danelaw",
        "setpriv",
        &[
            &as_danelaw[..],
            &with_rights,
            &["--no-new-privs", "--"],
            under,
            &command,
        ]
        .concat(),
    )
}

/// How many file descriptors it has open.
pub(crate) fn descriptors(daemon: &Daemon) -> usize {
    fs::read_dir(format!("/proc/{}/fd", daemon.pid()))
        .expect("danelaw is running")
        .count()
}

fn configuration(client_tls: &str) -> String {
    let listeners: String = LISTENERS
        .iter()
        .map(|address| {
            format!(
                "[[listener]]\nkind = \"redirect\"\naddress = \"{address}\"\nclient_tls = \"{client_tls}\"\n"
            )
        })
        .collect();
    listeners + &rest()
}

/// All but the listeners.
fn rest() -> String {
    format!(
        "[dns]\nresolvers = [\"{}:53\"]\ntrust_anchor = \"{}\"\n\
        probe_bogus = [\"bogus.test MX\"]\n[tls]\nca_file = \"{}\"\n\
        [mta_sts]\nallow_private = true\n[store]\npath = \"{HOME}/danelaw/state/danelaw.db\"\n\
        [log]\nfilter = \"info,danelaw=debug\"\n",
        dns::RESOLVER,
        dns::TRUST_ANCHOR,
        pki::CA
    )
}
