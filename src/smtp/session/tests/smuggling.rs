//! One message stays one message, whatever its line ends are and however it is cut (attack DN-04).

use super::super::super::Action;
use super::super::super::data::BareLineEnds;
use super::super::Session;
use super::script::{run_with, unescape};
use super::{SMUGGLING, settings};

/// Everything that went out.
#[derive(Default)]
struct Out {
    client: Vec<u8>,
    server: Vec<u8>,
    left_server: bool,
}

fn begun(bare_line_ends: BareLineEnds, script: &str) -> Session {
    let mut settings = settings();
    settings.bare_line_ends = bare_line_ends;
    run_with(settings, script)
}

fn feed(session: &mut Session, octets: &[u8], out: &mut Out) {
    session.handle_client(octets, session.now);
    drain(session, out);
}

fn drain(session: &mut Session, out: &mut Out) {
    while let Some(action) = session.poll_action() {
        match action {
            Action::ToClient(octets) => out.client.extend_from_slice(&octets),
            Action::ToServer(octets) => out.server.extend_from_slice(&octets),
            Action::CloseServer => out.left_server = true,
            Action::Dial
            | Action::StartTls { .. }
            | Action::Judge(_)
            | Action::GaveUp { .. }
            | Action::CloseClient => {
                panic!("not in mid message")
            }
        }
    }
}

/// The rest of a conversation from DATA or BDAT on: what the client sends, and what of it is the MX's.
struct Carried {
    script: &'static str,
    sent: Vec<u8>,
    relayed: Vec<u8>,
}

fn carried(form: &str) -> [Carried; 2] {
    let message = [
        b"text",
        &unescape(form)[..],
        b"MAIL FROM:<x@y.example>\r\nRCPT TO:<z@y.example>\r\n",
    ]
    .concat();
    let in_data = [&message[..], b"\r\n.\r\n"].concat();
    let chunk = [
        format!("BDAT {} LAST\r\n", message.len()).as_bytes(),
        &message,
    ]
    .concat();
    [
        Carried {
            script: "@data",
            sent: in_data.clone(),
            relayed: in_data,
        },
        Carried {
            script: "@chunks",
            sent: chunk.clone(),
            relayed: chunk,
        },
    ]
}

#[test]
fn dn_04_each_form_cut_at_every_octet_is_one_refused_message_in_data_and_in_a_chunk() {
    for form in SMUGGLING {
        for Carried { script, sent, .. } in carried(form) {
            for cut in 0..=sent.len() {
                let name = format!("{script} {form} cut at {cut}");
                let (mut session, mut out) = (begun(BareLineEnds::Reject, script), Out::default());
                feed(&mut session, &sent[..cut], &mut out);
                feed(&mut session, &sent[cut..], &mut out);
                assert!(out.client.starts_with(b"550 5.6.0 bare-newline"), "{name}");
                assert_eq!(
                    out.client.iter().filter(|o| **o == b'\n').count(),
                    1,
                    "{name}"
                );
                assert!(out.left_server, "{name}");
                assert!(!out.server.ends_with(b"\r\n.\r\n"), "{name}");
                assert!(out.server.len() < sent.len(), "{name}");
                feed(&mut session, b"NOOP\r\n", &mut out);
                assert!(out.client.ends_with(b"\r\n250 2.0.0 ok\r\n"), "{name}");
            }
        }
    }
}

#[test]
fn dn_04_each_form_that_is_let_through_is_one_message_as_it_came() {
    for form in SMUGGLING {
        for carried in carried(form) {
            let Carried {
                script,
                sent,
                relayed,
            } = carried;
            for cut in 0..=sent.len() {
                let name = format!("{script} {form} cut at {cut}");
                let (mut session, mut out) = (begun(BareLineEnds::Pass, script), Out::default());
                feed(&mut session, &sent[..cut], &mut out);
                feed(&mut session, &sent[cut..], &mut out);
                assert_eq!(out.server, relayed, "{name}");
                assert!(out.client.is_empty() && !out.left_server, "{name}");
                session.handle_server(b"250 2.0.0 queued\r\n", session.now);
                drain(&mut session, &mut out);
                assert_eq!(out.client, b"250 2.0.0 queued\r\n", "{name}");
                assert_eq!(session.tally().messages, 1, "{name}");
            }
        }
    }
}

#[test]
fn dn_06_bare_line_ends_in_commands_are_refused_even_where_messages_may_have_them() {
    let mut session = begun(BareLineEnds::Pass, "@tls");
    for command in [&b"NOOP\nNOOP\r\n"[..], b"NOOP\rNOOP\r\n", b"NOOP\0\r\n"] {
        let mut out = Out::default();
        feed(&mut session, command, &mut out);
        assert!(out.client.starts_with(b"500 5.5.2 "));
        assert!(out.server.is_empty());
    }
}

#[test]
fn dn_08_long_lines_and_long_messages_are_held_nowhere() {
    for script in [
        "@data",
        "@chunks\nC: BDAT 99999999 LAST\ns: BDAT 99999999 LAST",
    ] {
        let mut session = begun(BareLineEnds::Reject, script);
        let line = |octets: usize| [vec![b'x'; octets - 2], b"\r\n".to_vec()].concat();
        let ordinary = line(70).repeat(900);
        // A line longer than any that may be sent, a long one, one too long, and 8 MiB of ordinary ones.
        let lines = [line(10 << 20), line(1000), line(1001)];
        for piece in lines.iter().chain(std::iter::repeat_n(&ordinary, 128)) {
            for octets in piece.chunks(64 * 1024) {
                let mut out = Out::default();
                feed(&mut session, octets, &mut out);
                assert_eq!(out.server, octets);
                assert!(session.input.is_empty() && out.client.is_empty());
            }
        }
    }
}
