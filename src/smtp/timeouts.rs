//! How long each peer may take and how much it may send: the defaults, and what each number stands on.

use std::time::Duration;

use super::{Limits, Timeouts};

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            command: Self::LEAST.command,
            reply: Self::LEAST.reply,
            data: Self::LEAST.data,
            // RFC 5321 §4.5.3.2.6 wants 10 minutes; the client waits them too, and should be the first to give up.
            end_of_data: Duration::from_secs(12 * 60),
            // Postfix and Exim give RCPT five minutes, and the MX needs some of them.
            decision: Duration::from_secs(2 * 60),
            // Mail servers that keep a connection for their next message have it within seconds.
            unused: Duration::from_secs(60),
        }
    }
}

impl Timeouts {
    /// What RFC 5321 §4.5.3.2 lets nobody go below: whoever gives up earlier cuts off peers that keep to it, and after the
    /// final dot has mail delivered twice. The last two are not the RFC's.
    pub const LEAST: Self = Self {
        command: Duration::from_secs(5 * 60),      // RFC 5321 §4.5.3.2.7
        reply: Duration::from_secs(5 * 60),        // RFC 5321 §4.5.3.2.1 to §4.5.3.2.3
        data: Duration::from_secs(3 * 60),         // RFC 5321 §4.5.3.2.5
        end_of_data: Duration::from_secs(10 * 60), // RFC 5321 §4.5.3.2.6
        decision: Duration::ZERO,
        unused: Duration::ZERO,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // RFC 5321 §4.5.3.1.4 wants 512; the parameters of RFC 3461 §4 add some 600.
            command_line: 2048,
            // RFC 5321 §4.5.3.1.5 wants 512.
            reply_line: 2048,
            reply_lines: 128,
            // RFC 5321 §4.5.3.1.8 wants 100.
            recipients: 1000,
            idle_commands: 100,
            domains: 100,
        }
    }
}
