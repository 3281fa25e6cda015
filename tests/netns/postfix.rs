//! Postfix: as the client whose mail danelaw protects, and as an MX host.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::mail::{Message, Mta, REFUSED, SENDER, submit};
use super::sandbox::{HOME, Namespace, log_of, read, sh, until, write};
use super::world::{Exchanger, Server, Tls, exchangers};
use super::{holder, pki};

/// The Postfix whose mail danelaw protects. It knows nothing of DANE, MTA-STS or danelaw.
pub(crate) struct Client<'a> {
    mta: &'a Namespace,
}

impl<'a> Client<'a> {
    /// Starts it. Mail to `v4.…` and `v6.…` goes over that family and from an address of its own choice, as
    /// from a sender that shares a host with others. Mail to `all.…` may use more than the two sessions that Postfix
    /// grants a delivery by default. All other mail takes what comes.
    pub(crate) fn start(mta: &'a Namespace) -> Self {
        Self::start_with(mta, "")
    }

    /// The same, but it sends nothing without TLS, and trusts only this CA to name the MX host.
    pub(crate) fn start_insisting(mta: &'a Namespace, ca: &str) -> Self {
        let more = format!(
            "smtp_tls_security_level = secure\nsmtp_tls_CAfile = {ca}\n\
            smtp_tls_secure_cert_match = hostname\nsmtp_tls_servername = hostname\n"
        );
        Self::start_with(mta, &more)
    }

    /// What stands in `more` overrides what stands before it.
    fn start_with(mta: &'a Namespace, more: &str) -> Self {
        let settings = "myhostname = client.test\nmyorigin = client.test\nmydestination =\n\
            inet_interfaces = loopback-only\nsmtp_tls_security_level = may\nsmtp_tls_loglevel = 1\n\
            message_size_limit = 0\nmailbox_size_limit = 0\ntransport_maps = regexp:/run/lab/client/transport\nalias_maps =\n";
        write(
            "client/transport",
            "/^v4\\./ smtp4:\n/^v6\\./ smtp6:\n/^all\\./ smtpall:\n",
        );
        let services = "pickup unix n - n 60 1 pickup
smtp4 unix - - n - - smtp -o inet_protocols=ipv4 -o smtp_bind_address=10.9.1.3
smtp6 unix - - n - - smtp -o inet_protocols=ipv6 -o smtp_bind_address6=fd09:1::3
smtpall unix - - n - - smtp -o smtp_mx_session_limit=0
";
        start_postfix(mta, "client", &format!("{settings}{more}"), services);
        Self { mta }
    }

    /// Hands a message to `sendmail`, as a program on that host would.
    pub(crate) fn send(&self, message: &Message) {
        let mut command = self.mta.command("sendmail");
        command.args(["-C", &format!("{HOME}/client"), "-i", "-f", SENDER]);
        submit(command.args(&message.recipients), message);
    }

    /// Makes it try everything in its queue again, now: also what waits for a destination that it took for dead, and
    /// what it has laid aside for a minute because the delivery agent before still held the message's lock.
    pub(crate) fn flush(&self) {
        self.mta.sh(&format!("postqueue -c {HOME}/client -f"));
    }

    /// Empties its queue, as an operator does who gives up.
    pub(crate) fn forget(&self) {
        self.mta
            .sh(&format!("postsuper -c {HOME}/client -d ALL 2>&1"));
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

impl Client<'_> {
    /// Whether it still has the message for `recipient`, in whatever part of its queue. A message that moves from one
    /// part to another meanwhile is in neither list, so it is out of the queue only when the log says so too.
    pub(crate) fn queue_holds(&self, recipient: &str) -> bool {
        until(&format!("{recipient} in the queue, or removed"), || {
            let queue = self.mta.sh(&format!("postqueue -c {HOME}/client -j"));
            if queue.contains(&format!("\"{recipient}\"")) {
                return Some(true);
            }
            self.has_removed(recipient).then_some(false)
        })
    }

    /// Whether its queue manager is done with the message for `recipient`.
    fn has_removed(&self, recipient: &str) -> bool {
        let log = read(log_of("client"));
        let mut attempts = log
            .lines()
            .filter(|line| line.contains(&format!(": to=<{recipient}>,")));
        let id = attempts.find_map(|line| line.split(": ").nth(1));
        id.is_some_and(|id| log.contains(&format!(": {id}: removed\n")))
    }

    /// Whether it believes that an MX host has taken the message for `recipient`.
    pub(crate) fn reports_sent(&self, recipient: &str) -> bool {
        let log = read(log_of("client"));
        log.lines().any(|line| {
            line.contains(&format!("to=<{recipient}>,")) && line.contains("status=sent")
        })
    }
}

impl Mta for Client<'_> {
    fn send(&self, message: &Message) {
        Self::send(self, message);
    }

    fn log(&self) -> String {
        read(log_of("client"))
    }

    fn queue(&self) -> String {
        self.mta.sh(&format!("postqueue -c {HOME}/client -p"))
    }
}

/// Starts it as the MX host of its domains.
pub(crate) fn serve(world: &Namespace) {
    let domains: Vec<&str> = exchangers()
        .filter(|(_, mx)| is_postfix(mx))
        .map(|(d, _)| d.name)
        .collect();
    let refused = write("mx-postfix/refused", format!("/^{REFUSED}@/ REJECT\n"));
    let settings = format!(
        "myhostname = mx.test\nmydestination =\nvirtual_mailbox_domains = {}\nvirtual_mailbox_base = {HOME}\n\
        virtual_mailbox_maps = static:box/\nvirtual_uid_maps = static:65534\nvirtual_gid_maps = static:65534\n\
        smtpd_relay_restrictions = reject_unauth_destination\nsmtpd_peername_lookup = no\n\
        message_size_limit = 0\nvirtual_mailbox_limit = 0\nsmtpd_recipient_restrictions =\n  \
        check_recipient_access regexp:{refused}\nsmtpd_tls_received_header = yes\nsmtpd_tls_loglevel = 1\nalias_maps =\nlocal_recipient_maps =\n",
        domains.join(" "),
        refused = refused.display()
    );
    let mut services = "virtual unix - n n - - virtual\n".to_owned();
    let mut listeners = Vec::new();
    for (domain, exchanger) in exchangers().filter(|(_, exchanger)| is_postfix(exchanger)) {
        let level = match exchanger.tls {
            Tls::None => "none",
            Tls::Required => "encrypt",
            Tls::SelfSigned | Tls::Untrusted | Tls::Trusted | Tls::WrongName => "may",
        };
        let more = if exchanger.server == Server::HeldPostfix {
            holder::restrictions()
        } else {
            String::new()
        };
        for address in exchanger.addresses() {
            services += &format!(
                "{address}:25 inet n - n - - smtpd -o myhostname={} -o smtpd_tls_security_level={level} \
                -o smtpd_tls_chain_files={} {more}\n",
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

fn is_postfix(exchanger: &Exchanger) -> bool {
    matches!(exchanger.server, Server::Postfix | Server::HeldPostfix)
}

/// Starts a Postfix instance with directories of its own. Where a process was killed at its first task Postfix starts no
/// other one for that service for `service_throttle_time`, a minute by default, and lets whoever connects to it wait.
fn start_postfix(place: &Namespace, name: &str, settings: &str, services: &str) {
    let home = format!("{HOME}/{name}");
    write(
        &format!("{name}/main.cf"),
        format!(
            "compatibility_level = 3.6\nqueue_directory = {home}/queue\ndata_directory = {home}/data\n\
            maillog_file = {}\nmaillog_file_prefixes = /run\nsyslog_name = {name}\nbiff = no\n\
            append_dot_mydomain = no\nalias_database =\nservice_throttle_time = 1s\n{settings}",
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
