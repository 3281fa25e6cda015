//! Exim: as a client, and as an MX host whose TLS is GnuTLS's.

use super::mail::{MAILBOX, Message, Mta, SENDER, submit};
use super::sandbox::{Daemon, EXIM, HOME, Namespace, read, sh, write};
use super::world::{Server, exchangers};

/// The Exim whose mail danelaw protects: nothing runs but what `sendmail` starts.
pub(crate) struct Exim<'a> {
    mta: &'a Namespace,
}

impl<'a> Exim<'a> {
    /// Prepares it. Its own DANE is off, as without a validating resolver it has to be: danelaw's is the one under test.
    pub(crate) fn start(mta: &'a Namespace) -> Self {
        sh(&format!(
            "install -d -o Debian-exim -g Debian-exim {SPOOL}; mkdir {HOME}/exim-client/etc"
        ));
        write(
            "exim-client/etc/exim4.conf",
            format!(
                "exim_path = {EXIM}\nexim_user = Debian-exim\nexim_group = Debian-exim\nspool_directory = {SPOOL}\n\
                log_file_path = {SPOOL}/%slog\nprimary_hostname = client.test\nkeep_environment =\nnever_users =\n\
                message_size_limit = 100M\nhost_lookup =\nbegin routers\nremote:\n  driver = dnslookup\n  \
                transport = remote\nbegin transports\nremote:\n  driver = smtp\n  hosts_try_dane =\n\
                begin retry\n* * F,2h,15m\n"
            ),
        );
        Self { mta }
    }

    /// Exim's compiled-in configuration file belongs to the MX host, so the client sees another in its place.
    fn command(&self) -> std::process::Command {
        let script = format!("mount --bind {HOME}/exim-client/etc /etc/exim4; exec \"$0\" \"$@\"");
        let mut command = self.mta.command("unshare");
        command.args(["--mount", "sh", "-ec", &script, EXIM]);
        command
    }
}

impl Mta for Exim<'_> {
    fn send(&self, message: &Message) {
        let mut command = self.command();
        command.args(["-odb", "-i", "-f", SENDER]);
        submit(command.args(&message.recipients), message);
    }

    fn log(&self) -> String {
        read(format!("{SPOOL}/mainlog"))
    }

    fn queue(&self) -> String {
        let listing = self
            .command()
            .arg("-bp")
            .output()
            .expect("exim lists its queue");
        String::from_utf8_lossy(&listing.stdout).into_owned()
    }
}

/// Starts it as the MX host of its domains. It runs from where it was unpacked; in the sandbox its compiled-in
/// configuration file is ours.
pub(crate) fn serve(world: &Namespace) -> Daemon {
    let here: Vec<_> = exchangers()
        .filter(|(_, exchanger)| exchanger.server == Server::Exim)
        .collect();
    let domains: Vec<&str> = here.iter().map(|(domain, _)| domain.name).collect();
    let addresses: Vec<String> = here
        .iter()
        .flat_map(|(_, exchanger)| exchanger.addresses())
        .collect();
    let interfaces: Vec<String> = addresses
        .iter()
        .map(|address| address.replace(['[', ']'], ""))
        .collect();
    sh(&format!(
        "install -d -o Debian-exim -g Debian-exim {HOME}/exim"
    ));
    write(
        "etc/exim4/exim4.conf",
        format!(
            "exim_path = {EXIM}\nexim_user = Debian-exim\nexim_group = Debian-exim\nspool_directory = {HOME}/exim\n\
            log_file_path = {HOME}/exim/%slog\npid_file_path = {HOME}/exim/pid\nprimary_hostname = exim.test\n\
            daemon_smtp_ports = 25\nlocal_interfaces = <; {}\ndomainlist local_domains = {}\nhost_lookup =\n\
            keep_environment =\nnever_users =\nmessage_size_limit = 100M\nrfc1413_query_timeout = 0s\ntls_advertise_hosts = *\n\
            tls_certificate = ${{if match{{$received_ip_address}}{{\\N[.:]([0-9]+)$\\N}}{{{HOME}/pki/$1.pem}}fail}}\n\
            acl_smtp_rcpt = rcpt\nbegin acl\nrcpt:\n  accept domains = +local_domains\n  deny\n\
            begin routers\nbox:\n  driver = accept\n  domains = +local_domains\n  transport = box\n\
            begin transports\nbox:\n  driver = appendfile\n  directory = {MAILBOX}\n  maildir_format\n\
            user = nobody\n  group = nogroup\n",
            interfaces.join(" ; "),
            domains.join(" : ")
        ),
    );
    let daemon = world.daemon("mx-exim", EXIM, &["-bdf"]);
    daemon.await_ready("listens", || {
        addresses
            .iter()
            .all(|address| world.listens(&format!("{address}:25")))
    })
}

const SPOOL: &str = "/run/lab/exim-client/spool";
