//! The real danelaw, as its own user without a single capability.

use std::fs;
use std::path::{Path, PathBuf};

use super::sandbox::{Daemon, HOME, Namespace, sh, write};
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

/// The same with a list of hints.
pub(crate) fn start_hinted(mta: &Namespace) -> Daemon {
    start_with(mta, &hinted())
}

/// Its configuration.
pub(crate) fn hinted() -> PathBuf {
    let hints = "[mta_sts.hints]\nfile = \"hints.txt\"\nkey = \"ours.pem\"\n";
    write("danelaw/danelaw.toml", configuration("never") + hints)
}

fn start_as(mta: &Namespace, configuration: String) -> Daemon {
    start_with(mta, &write("danelaw/danelaw.toml", configuration))
}

fn start_with(mta: &Namespace, configuration: &Path) -> Daemon {
    let program = format!("{HOME}/danelaw/danelaw");
    // The build directory may lie where another user cannot go.
    sh(&format!(
        "chmod 755 {HOME}/danelaw; install -d -o danelaw -g danelaw {HOME}/danelaw/state
        [ -e {program} ] || {{ touch {program}; mount --bind {} {program}; }}",
        env!("CARGO_BIN_EXE_danelaw")
    ));
    let as_danelaw = [
        "--reuid=danelaw",
        "--regid=danelaw",
        "--clear-groups",
        "--inh-caps=-all",
        "--bounding-set=-all",
    ];
    let command = [
        "--no-new-privs",
        "--",
        &program,
        "run",
        "--config",
        &configuration.to_string_lossy(),
    ];
    let daemon = mta.daemon(
        "danelaw",
        "setpriv",
        &[&as_danelaw[..], &command[..]].concat(),
    );
    daemon.await_ready("listens on both families", || {
        LISTENERS.iter().all(|address| mta.listens(address))
    })
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
    format!(
        "{listeners}[dns]\nresolvers = [\"{}:53\"]\ntrust_anchor = \"{}\"\n\
        probe_bogus = [\"bogus.test MX\"]\n[tls]\nca_file = \"{}\"\n\
        [mta_sts]\nallow_private = true\n[store]\npath = \"{HOME}/danelaw/state/danelaw.db\"\n\
        [log]\nfilter = \"info,danelaw=debug\"\n",
        dns::RESOLVER,
        dns::TRUST_ANCHOR,
        pki::CA
    )
}
