//! OpenSMTPD as a client.

use super::mail::{Message, Mta, SENDER, submit};
use super::sandbox::{Daemon, Namespace, OPENSMTPD, log_of, read, sh, write};

/// The OpenSMTPD whose mail danelaw protects.
pub(crate) struct OpenSmtpd<'a> {
    mta: &'a Namespace,
    _daemon: Daemon,
}

impl<'a> OpenSmtpd<'a> {
    /// Starts it. The directories that are compiled into it are made in a file system that only it sees.
    pub(crate) fn start(mta: &'a Namespace) -> Self {
        let configuration = write(
            "opensmtpd/smtpd.conf",
            "smtp max-message-size \"100M\"\nlisten on socket\naction out relay helo client.test\n\
            match from any for any action out\n",
        );
        // It insists on a group that the machine need not have.
        sh(&format!(
            "install -g opensmtpq -m 2755 {OPENSMTPD}/smtpctl {CONTROL}; ln -s smtpctl {SENDMAIL}"
        ));
        let script = format!(
            "for place in /var/spool /var/lib; do mount -t tmpfs -o mode=755 none $place; done
            mkdir -p -m 711 /var/lib/opensmtpd/empty /var/spool/smtpd; exec {OPENSMTPD}/smtpd -d -f {}",
            configuration.display()
        );
        let daemon = mta.daemon("opensmtpd", "unshare", &["--mount", "sh", "-ec", &script]);
        let daemon = daemon.await_ready("takes messages", || {
            let mut command = mta.command(CONTROL);
            command
                .args(["show", "queue"])
                .output()
                .is_ok_and(|output| output.status.success())
        });
        Self {
            mta,
            _daemon: daemon,
        }
    }
}

impl Mta for OpenSmtpd<'_> {
    fn send(&self, message: &Message) {
        let mut command = self.mta.command(SENDMAIL);
        command.args(["-i", "-f", SENDER, "--"]);
        submit(command.args(&message.recipients), message);
    }

    fn log(&self) -> String {
        read(log_of("opensmtpd"))
    }

    fn queue(&self) -> String {
        self.mta.sh(&format!("{CONTROL} show queue"))
    }
}

const CONTROL: &str = "/run/lab/opensmtpd/smtpctl";
const SENDMAIL: &str = "/run/lab/opensmtpd/sendmail";
