//! dma, the small sender of hosts that receive no mail, as a client.

use std::fs::File;
use std::io::Write;
use std::os::unix::net::UnixDatagram;

use super::mail::{Message, Mta, SENDER, submit};
use super::sandbox::{DMA, Namespace, log_of, read, sh, write};

/// The dma whose mail danelaw protects: nothing runs but what `sendmail` starts.
pub(crate) struct Dma<'a> {
    mta: &'a Namespace,
}

impl<'a> Dma<'a> {
    /// Prepares it, as a host of its own below the sender's domain. It logs to syslog alone, so this is its syslog.
    pub(crate) fn start(mta: &'a Namespace) -> Self {
        write(
            "etc/dma/dma.conf",
            format!("SPOOLDIR {SPOOL}\nMAILNAME host.client.test\n"),
        );
        write("etc/dma/auth.conf", "");
        sh(&format!(
            "install -d -o root -g mail -m 2775 {SPOOL}; mkdir {DEV}; mount -t tmpfs -o mode=755 none {DEV}
            for device in null zero urandom random; do touch {DEV}/$device; mount --bind /dev/$device {DEV}/$device; done"
        ));
        let socket =
            UnixDatagram::bind(format!("{DEV}/log")).expect("syslog's socket can be bound");
        sh(&format!("chmod 666 {DEV}/log"));
        let mut log = File::create(log_of("dma")).expect("the log can be created");
        std::thread::spawn(move || {
            let mut line = [0; 8192];
            while let Ok(length) = socket.recv(&mut line[..8191]) {
                line[length] = b'\n';
                log.write_all(&line[..=length])
                    .expect("the log can be written");
            }
        });
        Self { mta }
    }
}

impl Mta for Dma<'_> {
    fn send(&self, message: &Message) {
        let script = format!("mount --rbind {DEV} /dev; exec {DMA} \"$@\"");
        let mut command = self.mta.command("unshare");
        command.args(["--mount", "sh", "-ec", &script, "dma", "-i", "-f", SENDER]);
        submit(command.args(&message.recipients), message);
    }

    fn log(&self) -> String {
        read(log_of("dma"))
    }

    fn queue(&self) -> String {
        // What stands for a message and recipient is a file that starts with `Q`; `M` is the content.
        sh(&format!("cat {SPOOL}/Q* 2>/dev/null || true"))
    }
}

const SPOOL: &str = "/run/lab/dma/spool";
const DEV: &str = "/run/lab/dma/dev";
