//! The mail servers: an ordinary Postfix as the client, Postfix and Exim as the MX hosts, and what became of a message.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::pki;
use super::sandbox::{Daemon, EXIM, HOME, Namespace, log_of, sh, until, write};
use super::world::{Server, Tls, exchangers};

/// The Postfix whose mail danelaw protects. It knows nothing of DANE, MTA-STS or danelaw.
pub(crate) struct Client<'a> {
    mta: &'a Namespace,
}

impl<'a> Client<'a> {
    /// Starts it. Mail to `v4.…` and `v6.…` goes over that family and from an address of its own choice, as
    /// from a sender that shares a host with others. Mail to `all.…` may use more than the two sessions that Postfix
    /// grants a delivery by default. All other mail takes what comes.
    pub(crate) fn start(mta: &'a Namespace) -> Self {
        Self::start_as(mta, "smtp_tls_security_level = may\n")
    }

    /// The same, but it sends nothing without TLS, and trusts only this CA to name the MX host.
    pub(crate) fn start_insisting(mta: &'a Namespace, ca: &str) -> Self {
        let settings = format!(
            "smtp_tls_security_level = secure\nsmtp_tls_CAfile = {ca}\n\
            smtp_tls_secure_cert_match = hostname\nsmtp_tls_servername = hostname\n"
        );
        Self::start_as(mta, &settings)
    }

    fn start_as(mta: &'a Namespace, tls: &str) -> Self {
        let settings = format!(
            "myhostname = client.test\nmyorigin = client.test\nmydestination =\n\
            inet_interfaces = loopback-only\nsmtp_tls_loglevel = 1\n\
            transport_maps = regexp:/run/lab/client/transport\nalias_maps =\n{tls}"
        );
        write(
            "client/transport",
            "/^v4\\./ smtp4:\n/^v6\\./ smtp6:\n/^all\\./ smtpall:\n",
        );
        let services = "pickup unix n - n 60 1 pickup
smtp4 unix - - n - - smtp -o inet_protocols=ipv4 -o smtp_bind_address=10.9.1.3
smtp6 unix - - n - - smtp -o inet_protocols=ipv6 -o smtp_bind_address6=fd09:1::3
smtpall unix - - n - - smtp -o smtp_mx_session_limit=0
";
        start_postfix(mta, "client", &settings, services);
        Self { mta }
    }

    /// Hands a message to `sendmail`, as a program on that host would.
    pub(crate) fn send(&self, message: &Message) {
        let mut command = self.mta.command("sendmail");
        command.args([
            "-C",
            &format!("{HOME}/client"),
            "-i",
            "-f",
            SENDER,
            &message.recipient,
        ]);
        let mut child = command
            .stdin(Stdio::piped())
            .spawn()
            .expect("sendmail starts");
        let mut stdin = child.stdin.take().expect("its input is a pipe");
        stdin
            .write_all(&message.content)
            .expect("sendmail reads the message");
        drop(stdin);
        assert!(
            child.wait().expect("sendmail ends").success(),
            "sendmail takes {}",
            message.recipient
        );
    }

    /// Makes it try everything in its queue again, now.
    pub(crate) fn flush(&self) {
        self.mta.sh(&format!("postqueue -c {HOME}/client -f"));
    }

    /// Why a recipient's message is in the queue's deferred part; nothing when it is not.
    pub(crate) fn deferral(&self, recipient: &str) -> Option<String> {
        let queue = self.mta.sh(&format!("postqueue -c {HOME}/client -j"));
        let entries = queue.lines().map(serde_json::from_str::<serde_json::Value>);
        let deferred = entries
            .flatten()
            .filter(|entry| entry["queue_name"] == "deferred");
        let mut recipients =
            deferred.filter_map(|mut entry| Some(entry["recipients"].as_array_mut()?.remove(0)));
        let found = recipients.find(|found| found["address"] == recipient)?;
        Some(found["delay_reason"].as_str()?.to_owned())
    }
}

/// A message with all that is easily damaged on the way, and a token that finds it again.
pub(crate) struct Message {
    pub(crate) recipient: String,
    pub(crate) token: String,
    pub(crate) content: Vec<u8>,
}

impl Message {
    /// A message for `recipient`; no two recipients of a test are the same.
    pub(crate) fn to(recipient: &str) -> Self {
        let token = format!("token-{}-nekot", recipient.replace('@', "-at-"));
        let mut content = format!(
            "From: {SENDER}\nTo: {recipient}\nSubject: {token}\nDate: Mon, 1 Jan 2024 00:00:00 +0000\n\
            Message-ID: <{token}@client.test>\nX-Folded: one\n\ttwo\n  three\nMIME-Version: 1.0\n\
            Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: 8bit\n\n\
            {token}\n.\n..\n.dot first\nFrom here it goes on\n trailing blanks  \t \n\n\n"
        )
        .into_bytes();
        content.extend((0x80..=0xff).chain([0x01, 0x07, 0x0b, 0x0c, 0x1b, 0x7f, b'\n']));
        content.extend(std::iter::repeat_n(b'x', 990).chain([b'\n']));
        // Long enough for several TLS records and TCP segments, with dots wherever a boundary may fall.
        content.extend((0..20_000_u32).flat_map(|i| format!(".{i}\n").into_bytes()));
        content.extend(b"QUIT\nRSET\nSTARTTLS\nlast line\n");
        Self {
            recipient: recipient.to_owned(),
            token,
            content,
        }
    }
}

/// A message as an MX host stored it.
pub(crate) struct Stored {
    pub(crate) file: Vec<u8>,
}

impl Stored {
    /// The message with that token, once some MX host has stored it.
    pub(crate) fn find(message: &Message) -> Option<Self> {
        let new = fs::read_dir(Path::new(MAILBOX).join("new")).ok()?;
        let mut files = new.filter_map(|entry| fs::read(entry.ok()?.path()).ok());
        files
            .find(|file| memchr::memmem::find(file, message.token.as_bytes()).is_some())
            .map(|file| Self { file })
    }

    /// The names of the header fields that stand above the message as it was sent, top first; fails unless all below
    /// them is the message, byte for byte.
    pub(crate) fn fields_above(&self, message: &Message) -> Vec<String> {
        let above = self.file.strip_suffix(message.content.as_slice());
        let above = above.unwrap_or_else(|| panic!("{}: changed on the way", message.recipient));
        let lines = std::str::from_utf8(above)
            .expect("trace fields are ASCII")
            .lines();
        let fields = lines.filter(|line| !line.starts_with([' ', '\t']));
        fields
            .map(|line| {
                line.split(':')
                    .next()
                    .expect("split yields something")
                    .to_owned()
            })
            .collect()
    }

    /// The trace field of the MX host that took it: who sent, over which TLS.
    pub(crate) fn received(&self) -> String {
        let text = String::from_utf8_lossy(&self.file);
        let start = text
            .find("Received:")
            .expect("an MX host adds a trace field");
        let mut lines = text[start..].lines();
        let first = lines.next().into_iter();
        let field: Vec<&str> = first
            .chain(lines.take_while(|line| line.starts_with([' ', '\t'])))
            .collect();
        field
            .concat()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// Starts all MX hosts.
pub(crate) fn serve(world: &Namespace) -> Daemon {
    sh(&format!(
        "install -d -o nobody -g nogroup {MAILBOX} {MAILBOX}/new {MAILBOX}/cur {MAILBOX}/tmp"
    ));
    serve_postfix(world);
    serve_exim(world)
}

fn serve_postfix(world: &Namespace) {
    let domains: Vec<&str> = exchangers()
        .filter(|(_, mx)| mx.server == Server::Postfix)
        .map(|(d, _)| d.name)
        .collect();
    let settings = format!(
        "myhostname = mx.test\nmydestination =\nvirtual_mailbox_domains = {}\nvirtual_mailbox_base = {HOME}\n\
        virtual_mailbox_maps = static:box/\nvirtual_uid_maps = static:65534\nvirtual_gid_maps = static:65534\n\
        smtpd_relay_restrictions = reject_unauth_destination\nsmtpd_peername_lookup = no\n\
        smtpd_tls_received_header = yes\nsmtpd_tls_loglevel = 1\nalias_maps =\nlocal_recipient_maps =\n",
        domains.join(" ")
    );
    let mut services = "virtual unix - n n - - virtual\n".to_owned();
    let mut listeners = Vec::new();
    for (domain, exchanger) in
        exchangers().filter(|(_, exchanger)| exchanger.server == Server::Postfix)
    {
        let level = if exchanger.tls == Tls::None {
            "none"
        } else {
            "may"
        };
        for address in exchanger.addresses() {
            services += &format!(
                "{address}:25 inet n - n - - smtpd -o myhostname={} -o smtpd_tls_security_level={level} \
                -o smtpd_tls_chain_files={}\n",
                exchanger.host(domain),
                pki::chain_of(exchanger)
            );
            listeners.push(format!("{address}:25"));
        }
    }
    start_postfix(world, "mx-postfix", &settings, &services);
    until("Postfix as MX to listen", || {
        listeners
            .iter()
            .all(|address| world.listens(address))
            .then_some(())
    });
}

/// Exim runs from where it was unpacked; in the sandbox its compiled-in configuration file is ours.
fn serve_exim(world: &Namespace) -> Daemon {
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
            keep_environment =\nnever_users =\nrfc1413_query_timeout = 0s\ntls_advertise_hosts = *\n\
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

/// Starts a Postfix instance with directories of its own.
fn start_postfix(place: &Namespace, name: &str, settings: &str, services: &str) {
    let home = format!("{HOME}/{name}");
    write(
        &format!("{name}/main.cf"),
        format!(
            "compatibility_level = 3.6\nqueue_directory = {home}/queue\ndata_directory = {home}/data\n\
            maillog_file = {}\nmaillog_file_prefixes = /run\nsyslog_name = {name}\nbiff = no\n\
            append_dot_mydomain = no\nalias_database =\n{settings}",
            log_of(name).display()
        ),
    );
    write(
        &format!("{name}/master.cf"),
        format!("{POSTFIX_SERVICES}{services}"),
    );
    let queue = PathBuf::from(&home).join("queue");
    fs::create_dir_all(&queue).expect("the queue directory can be made");
    fs::set_permissions(&queue, fs::Permissions::from_mode(0o755)).expect("its owner may");
    sh(&format!("install -d -o postfix {home}/data"));
    place.sh(&format!("postfix -c {home} start 2>&1"));
}

const POSTFIX_SERVICES: &str = "postlog unix-dgram n - n - 1 postlogd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
";

const MAILBOX: &str = "/run/lab/box";
const SENDER: &str = "sender@client.test";
