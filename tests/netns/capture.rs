//! What went over the wire between the MTA's host and the world, as `tcpdump` saw it.

use std::fs;

use super::sandbox::{Daemon, HOME, Namespace, log_of, read};

/// A running capture of all SMTP at the world's end of the wire.
pub(crate) struct Capture {
    daemon: Daemon,
}

impl Capture {
    /// Starts it, and waits until it sees packets.
    pub(crate) fn start(world: &Namespace) -> Self {
        let file = format!("{HOME}/smtp.pcap");
        let arguments = [
            "-i",
            "w0",
            "-U",
            "--immediate-mode",
            "-Z",
            "root",
            "-w",
            &file,
            "tcp",
            "port",
            "25",
        ];
        let daemon = world.daemon("tcpdump", "tcpdump", &arguments);
        Self {
            daemon: daemon.await_ready("captures", || {
                read(log_of("tcpdump")).contains("listening on")
            }),
        }
    }

    /// Whether `needle` has been on the wire as it stands, so far.
    pub(crate) fn saw(&self, needle: &str) -> bool {
        let bytes = fs::read(format!("{HOME}/smtp.pcap")).expect("tcpdump writes its file");
        memchr::memmem::find(&bytes, needle.as_bytes()).is_some()
    }

    /// Ends it; the file then holds every packet captured.
    pub(crate) fn stop(self) -> Vec<u8> {
        assert!(
            self.daemon.stop().success(),
            "tcpdump: {}",
            read(log_of("tcpdump"))
        );
        fs::read(format!("{HOME}/smtp.pcap")).expect("tcpdump writes its file")
    }
}
