//! chasquid: as a client, and as an MX host whose TLS is Go's.

use super::mail::{MAILBOX, Message, Mta, SENDER, submit};
use super::pki;
use super::sandbox::{CHASQUID, CHASQUID_UTIL, Daemon, HOME, Namespace, log_of, read, sh, write};
use super::world::{Server, exchangers};

/// The chasquid whose mail danelaw protects: it takes messages from its users over the submission port.
pub(crate) struct Chasquid<'a> {
    mta: &'a Namespace,
    _daemon: Daemon,
}

impl<'a> Chasquid<'a> {
    /// Starts it with one user, whose domain is not the sender's: what comes back has to go out again.
    pub(crate) fn start(mta: &'a Namespace) -> Self {
        let home = format!("{HOME}/chasquid-client");
        sh(&format!(
            "mkdir -p {home}/certs/client {home}/domains/submit.test {home}/data
            cp {HOME}/pki/33.pem {home}/certs/client/fullchain.pem; cp {HOME}/pki/33.pem {home}/certs/client/privkey.pem
            {CHASQUID_UTIL} -C={home} user-add {USER} --password=secret"
        ));
        configure(
            "chasquid-client",
            "client.test",
            &format!("submission_address: \"{SUBMISSION}\"\n"),
        );
        let daemon = mta.daemon(
            "chasquid-client",
            CHASQUID,
            &["-config_dir", &home, "-v", "3"],
        );
        let daemon = daemon.await_ready("listens", || mta.listens(SUBMISSION));
        Self {
            mta,
            _daemon: daemon,
        }
    }
}

impl Mta for Chasquid<'_> {
    fn send(&self, message: &Message) {
        let mut command = self.mta.command("curl");
        command.args([
            "-sS",
            "--ssl-reqd",
            "-k",
            "--crlf",
            "-u",
            &format!("{USER}:secret"),
        ]);
        command.args([
            "--mail-from",
            SENDER,
            "-T",
            "-",
            &format!("smtp://{SUBMISSION}"),
        ]);
        for recipient in &message.recipients {
            command.args(["--mail-rcpt", recipient]);
        }
        submit(&mut command, message);
    }

    fn log(&self) -> String {
        read(log_of("chasquid-client"))
    }

    fn queue(&self) -> String {
        // One file for each message, in which all its recipients stand with their state.
        sh(&format!(
            "cat {HOME}/chasquid-client/data/queue/* 2>/dev/null || true"
        ))
    }
}

/// Starts it as the MX host of its domains.
pub(crate) fn serve(world: &Namespace) -> Daemon {
    let here: Vec<_> = exchangers()
        .filter(|(_, exchanger)| exchanger.server == Server::Chasquid)
        .collect();
    let home = format!("{HOME}/chasquid");
    write(
        "chasquid/store",
        format!(
            "#!/bin/sh\numask 022; cat >{MAILBOX}/tmp/go-$$ && mv {MAILBOX}/tmp/go-$$ {MAILBOX}/new/\n"
        ),
    );
    sh(&format!("chmod 755 {home}/store; mkdir {home}/data"));
    let mut addresses = Vec::new();
    for (domain, exchanger) in here {
        addresses.extend(
            exchanger
                .addresses()
                .iter()
                .map(|address| format!("{address}:25")),
        );
        write(
            &format!("chasquid/domains/{}/aliases", domain.name),
            format!("good: | {home}/store\n"),
        );
        let chain = pki::chain_of(exchanger);
        let certificate = format!("{home}/certs/{}", exchanger.number);
        sh(&format!(
            "mkdir -p {certificate}; cp {chain} {certificate}/fullchain.pem; cp {chain} {certificate}/privkey.pem"
        ));
    }
    let listeners: String = addresses
        .iter()
        .map(|address| format!("smtp_address: \"{address}\"\n"))
        .collect();
    configure("chasquid", "chasquid.test", &listeners);
    let daemon = world.daemon("mx-chasquid", CHASQUID, &["-config_dir", &home, "-v", "3"]);
    daemon.await_ready("listens", || {
        addresses.iter().all(|address| world.listens(address))
    })
}

fn configure(directory: &str, hostname: &str, listeners: &str) {
    write(
        &format!("{directory}/chasquid.conf"),
        format!(
            "hostname: \"{hostname}\"\nmax_data_size_mb: 100\n{listeners}data_dir: \"{HOME}/{directory}/data\"\n\
            mail_log_path: \"<stderr>\"\n"
        ),
    );
}

const USER: &str = "user@submit.test";
const SUBMISSION: &str = "127.0.0.1:587";
