//! What went over the wire, as `tcpdump` saw it.

use std::fs;

use super::sandbox::{Daemon, HOME, Namespace, log_of, read};

/// A running capture of SMTP.
pub(crate) struct Capture {
    file: String,
    daemon: Daemon,
}

impl Capture {
    /// Starts one of all SMTP at the world's end of the wire, and waits until it sees packets.
    pub(crate) fn start(world: &Namespace) -> Self {
        Self::on(world, "w0", "25")
    }

    /// Starts one of what the MTA says to danelaw on their host.
    pub(crate) fn between_mta_and_danelaw(mta: &Namespace) -> Self {
        Self::on(mta, "lo", "10225")
    }

    fn on(place: &Namespace, interface: &str, port: &str) -> Self {
        let file = format!("{HOME}/{interface}.pcap");
        let arguments = [
            "-i", interface, "-U", "-B", "65536", "-Z", "root", "-w", &file, "tcp", "port", port,
        ];
        let daemon = place.daemon("tcpdump", "tcpdump", &arguments);
        Self {
            file,
            daemon: daemon.await_ready("captures", || {
                read(log_of("tcpdump")).contains("listening on")
            }),
        }
    }

    /// Whether `needle` has been on the wire as it stands, so far.
    pub(crate) fn saw(&self, needle: &str) -> bool {
        let bytes = fs::read(&self.file).expect("tcpdump writes its file");
        memchr::memmem::find(&bytes, needle.as_bytes()).is_some()
    }

    /// Ends it; the file then holds every packet, which a busy machine could have kept tcpdump from.
    pub(crate) fn stop(self) -> Vec<u8> {
        let status = self.daemon.stop();
        let log = read(log_of("tcpdump"));
        assert!(
            status.success() && log.contains("\n0 packets dropped by kernel"),
            "tcpdump: {log}"
        );
        fs::read(&self.file).expect("tcpdump writes its file")
    }
}
