//! What clients hear that never get a session: one line in place of the greeting, then the close. Always temporary, so
//! that the mail server keeps the message and tries again (RFC 5321 §3.8, §4.2.1).

use super::server::Undialled;
use crate::intercept::guard::Loop;
use crate::intercept::redirect::NotIntercepted;
use crate::intercept::tally::Turned;
use crate::smtp::{End, Reply};
use crate::verdict::Reason;

/// For a connection that nobody redirected.
pub(super) fn not_intercepted(why: &NotIntercepted) -> Reply {
    match why {
        NotIntercepted::Direct => reply("4.3.2", "this port takes redirected connections only"),
        NotIntercepted::NoRecord | NotIntercepted::Unsupported | NotIntercepted::Failed(_) => {
            no_destination()
        }
    }
}

/// How it counts.
pub(super) const fn turned(why: &NotIntercepted) -> Turned {
    match why {
        NotIntercepted::Direct => Turned::Direct,
        NotIntercepted::NoRecord | NotIntercepted::Unsupported | NotIntercepted::Failed(_) => {
            Turned::NoDestination
        }
    }
}

/// For a connection that a trusted sender has not handed over.
pub(super) fn no_header() -> Reply {
    reply(
        "4.3.2",
        "this port takes connections with a PROXY header only",
    )
}

/// For one that it has, without a word on where it wanted to go.
pub(super) fn no_destination() -> Reply {
    reply(
        "4.3.2",
        "the original destination of this connection is not known",
    )
}

/// For a connection that leads back to this proxy.
pub(super) fn of_loop(why: Loop) -> Reply {
    let text = match why {
        Loop::OwnClient => "loop: this proxy's own connection was intercepted",
        Loop::OwnListener => "loop: the destination is this proxy itself",
        Loop::Nowhere => "loop: the destination is no address to connect to",
        Loop::Inward => "the destination is the host of this proxy, and you are not",
    };
    reply("4.4.6", text)
}

/// For a connection that has not said yet where it wants to go when the proxy shuts down.
pub(super) fn shutdown() -> Reply {
    reply("4.3.2", "shutdown: the proxy is going down")
}

/// What there are as many sessions of as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// All together.
    All,
    /// Of one client.
    Client,
    /// With one destination.
    Destination,
}

impl Full {
    pub(super) fn reply(self) -> Reply {
        let whose = match self {
            Self::All => "",
            Self::Client => " of this client",
            Self::Destination => " with this destination",
        };
        let text = format!("busy: too many sessions{whose} at present, try again later");
        reply("4.3.2", &text)
    }

    pub(super) const fn turned(self) -> Turned {
        match self {
            Self::All => Turned::Full,
            Self::Client => Turned::Client,
            Self::Destination => Turned::Destination,
        }
    }
}

/// For a destination port that the rules should have left alone.
pub(super) fn wrong_port(port: u16) -> Reply {
    let text = format!("port {port} is none that this proxy takes connections for");
    reply("4.3.2", &text)
}

/// For a connection that is not judged and that nothing came of, and how it ends by that.
pub(super) fn of_undialled(why: &Undialled) -> (Reply, End) {
    match why {
        Undialled::Looped(looped) => (of_loop(*looped), End::Refused),
        // The destination is not to blame.
        Undialled::Exhausted => (Reason::Busy.closing(), End::Refused),
        Undialled::Failed(what) => {
            let what = what.clone();
            (Reason::Unreachable { what }.closing(), End::Unreachable)
        }
    }
}

/// A reply as the record has it.
pub(super) fn told(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).trim_end().to_owned()
}

fn reply(enhanced: &'static str, text: &str) -> Reply {
    Reply {
        code: 421,
        enhanced: Some(enhanced),
        text: text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn net_09_where_this_host_has_nothing_to_dial_with_no_destination_counts_as_unreachable() {
        for (why, enhanced, end) in [
            (Undialled::Looped(Loop::OwnClient), "4.4.6", End::Refused),
            (Undialled::Exhausted, "4.3.2", End::Refused),
            (
                Undialled::Failed("no route".into()),
                "4.4.1",
                End::Unreachable,
            ),
        ] {
            let (reply, ends) = of_undialled(&why);
            assert_eq!(
                (reply.code, reply.enhanced, ends),
                (421, Some(enhanced), end)
            );
        }
    }

    #[test]
    fn net_01_net_02_every_refusal_is_one_temporary_line() {
        let every = [
            not_intercepted(&NotIntercepted::Direct),
            not_intercepted(&NotIntercepted::NoRecord),
            not_intercepted(&NotIntercepted::Unsupported),
            of_loop(Loop::OwnClient),
            of_loop(Loop::OwnListener),
            of_loop(Loop::Nowhere),
            of_loop(Loop::Inward),
            no_header(),
            no_destination(),
            shutdown(),
            Full::All.reply(),
            Full::Client.reply(),
            Full::Destination.reply(),
            wrong_port(65_535),
            of_undialled(&Undialled::Exhausted).0,
            of_undialled(&Undialled::Failed("no route to host".into())).0,
        ];
        for reply in every {
            let line = reply.encode();
            let text = std::str::from_utf8(&line).unwrap();
            let body = text.strip_suffix("\r\n").unwrap();
            assert!(body.starts_with("421 4."), "{text}");
            assert!(body.len() < 510 && !body.contains(['\r', '\n']), "{text}");
        }
    }
}
