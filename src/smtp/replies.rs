//! Replies that the session gives on its own account, each with the keyword that operators grep for.
//!
//! Refusals of recipients come from [`crate::verdict::Reason`]; these are for the protocol and the connection.

use super::Reply;

pub(super) fn ok() -> Reply {
    reply(250, "2.0.0", "ok")
}

/// Provisional: the MX has not been asked (RFC 5321 §3.3 lets the sender fail at RCPT).
pub(super) fn sender_noted() -> Reply {
    reply(
        250,
        "2.1.0",
        "sender noted, the destination is asked at RCPT",
    )
}

pub(super) fn goodbye() -> Reply {
    reply(221, "2.0.0", "goodbye")
}

/// RFC 5321 §3.5.3
pub(super) fn cannot_verify() -> Reply {
    reply(252, "2.0.0", "cannot verify, try RCPT")
}

pub(super) fn unserved() -> Reply {
    reply(502, "5.5.1", "command not served")
}

/// RFC 3207 §4
pub(super) fn tls_ready() -> Reply {
    reply(220, "2.0.0", "go ahead with TLS")
}

/// RFC 3207 §4
pub(super) fn tls_unavailable() -> Reply {
    reply(454, "4.7.0", "no-client-ca: TLS is not available here")
}

pub(super) fn malformed_auth() -> Reply {
    reply(501, "5.5.4", "AUTH takes a mechanism and base64")
}

pub(super) fn no_such_mechanism() -> Reply {
    reply(504, "5.5.4", "this mechanism is not offered")
}

pub(super) fn malformed() -> Reply {
    reply(500, "5.5.2", "bare CR, bare LF or NUL in a command line")
}

pub(super) fn too_long() -> Reply {
    reply(500, "5.5.2", "command line too long")
}

pub(super) fn out_of_order(wanted: &str) -> Reply {
    reply(503, "5.5.1", wanted)
}

pub(super) fn no_chunking() -> Reply {
    reply(
        503,
        "5.5.1",
        "CHUNKING is not offered, and chunks are no commands",
    )
}

pub(super) fn too_many_recipients() -> Reply {
    reply(452, "4.5.3", "too many recipients in one transaction")
}

pub(super) fn too_many_domains() -> Reply {
    reply(452, "4.5.3", "one-domain: too many domains in one session")
}

/// Smuggling, or a client that cannot write lines; the message was not delivered.
pub(super) fn bare_newline() -> Reply {
    reply(
        550,
        "5.6.0",
        "bare-newline: the message holds a bare CR, a bare LF or a NUL (RFC 5321)",
    )
}

pub(super) fn closing_data_behind() -> Reply {
    reply(
        421,
        "4.5.0",
        "pipelining: octets follow DATA, which was not accepted",
    )
}

/// Whoever put them there, they are not protected (RFC 3207 §6).
pub(super) fn closing_tls_behind() -> Reply {
    reply(
        421,
        "4.7.0",
        "pipelining: octets follow STARTTLS in the clear",
    )
}

pub(super) fn closing_abuse(what: &str) -> Reply {
    reply(421, "4.7.0", &format!("limit: {what}"))
}

pub(super) fn closing_idle() -> Reply {
    reply(421, "4.4.2", "timeout: nothing came from you in time")
}

pub(super) fn closing_shutdown() -> Reply {
    reply(421, "4.3.2", "shutdown: the proxy is going down")
}

fn reply(code: u16, enhanced: &'static str, text: &str) -> Reply {
    Reply {
        code,
        enhanced: Some(enhanced),
        text: text.to_owned(),
    }
}
