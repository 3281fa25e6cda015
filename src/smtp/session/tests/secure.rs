//! STARTTLS on the client's side, and what an attacker puts behind it.

use super::super::super::{ClientHandshake, ClientTls, End, Settings};
use super::super::Session;
use super::script::{run, run_with, start};
use super::settings;

fn offering() -> Settings {
    Settings {
        client_tls: ClientTls::Offered,
        ..settings()
    }
}

#[test]
fn tls_9_nothing_said_in_the_clear_counts_inside_tls_and_the_mx_is_asked_again() {
    let session = run_with(
        offering(),
        "
        @securing
        > client mx.example
        C: MAIL FROM:<a@b.example>
        c: 503 5.5.1 say EHLO first
        C: EHLO inside.example
        s: EHLO inside.example
        S: 250-mx.example
        S: 250 8BITMIME
        @least
        C: STARTTLS
        c: 503 5.5.1 TLS is up already
        @asked
        > pin
        s: MAIL FROM:<a@b.example>
    ",
    );
    assert_eq!(session.end(), None);
}

#[test]
fn tls_9_commands_that_were_idle_in_the_clear_are_not_held_against_the_client() {
    let mut settings = offering();
    settings.limits.idle_commands = 3;
    let four = "C: NOOP\nc: 250 2.0.0 ok\n".repeat(3);
    let session = run_with(
        settings,
        &format!(
            "@offer\n{four}C: STARTTLS\nc: 220 …\n! secure-client mx.example\n> client -\n{four}"
        ),
    );
    assert_eq!(session.end(), None);
}

#[test]
fn tls_9_starttls_has_its_place_and_no_arguments() {
    for (what, script) in [
        (
            "before EHLO",
            "@greeted\nC: STARTTLS\nc: 503 5.5.1 say EHLO first",
        ),
        (
            "in a transaction",
            "@offer\n@mail\nC: STARTTLS\nc: 503 5.5.1 a transaction is open",
        ),
        (
            "after RSET",
            "@offer\n@mail\nC: RSET\nc: 250 …\nC: starttls\nc: 220 …\n! secure-client mx.example",
        ),
        (
            "with an argument",
            "@offer\nC: STARTTLS mx.example\nc: 501 5.5.4 …",
        ),
        (
            "at the end of a group",
            "@offer\nC~ NOOP\\r\\nSTARTTLS\\r\\n\nc: 250 2.0.0 ok\nc: 220 …\n! secure-client mx.example",
        ),
    ] {
        let session = run_with(offering(), script);
        assert_eq!(session.end(), None, "{what}");
    }
}

#[test]
fn tls_9_a_client_that_said_helo_was_offered_nothing() {
    run_with(
        offering(),
        "
        @greeted
        C: HELO mta.example
        s: EHLO mta.example
        S: 250 mx.example
        c: 250 mx.example
        C: STARTTLS
        c: 503 5.5.1 say EHLO first
    ",
    );
}

#[test]
fn tls_9_without_a_certificate_it_is_not_offered_and_not_available() {
    let mut settings = settings();
    settings.client_tls = ClientTls::Unavailable;
    run_with(settings, "@tls\nC: STARTTLS\nc: 454 4.7.0 no-client-ca: …");
    run("@tls\nC: STARTTLS\nc: 502 5.5.1 …");
}

#[test]
fn dn_01_pipe_2_octets_behind_starttls_end_the_session_and_are_never_commands() {
    for behind in [
        "MAIL FROM:<x@evil.example>\\r\\n",
        "\\r\\n",
        "N",
        "\\x16\\x03\\x01",
    ] {
        let session = run_with(
            offering(),
            &format!(
                "
                @offer
                C~ STARTTLS\\r\\n{behind}
                c: 421 4.7.0 pipelining: …
                s: QUIT
                ! close-server
                ! close-client
            "
            ),
        );
        assert_eq!(session.end(), Some(End::Refused), "{behind}");
    }
}

/// Wherever the segments are cut, no command of the clear is answered or relayed after the 220.
#[test]
fn dn_01_an_injected_command_is_never_run_however_it_is_cut() {
    let group = b"STARTTLS\r\nNOOP\r\nMAIL FROM:<x@evil.example>\r\n";
    for at in 1..group.len() {
        let mut session = run_with(offering(), "@offer");
        let now = start();
        let (before, behind) = group.split_at(at);
        for octets in [before, behind] {
            session.handle_client(octets, now);
        }
        // Where the 220 came first the rest is read as a handshake, which it is not.
        session.handle_client_tls(ClientHandshake::Failed, now);
        let heard = heard(&mut session);
        assert_eq!(session.end(), Some(End::Refused), "at {at}");
        assert_eq!(heard.len(), 1, "at {at}: {heard:?}");
        let is_told = heard[0].starts_with("220 ") || heard[0].starts_with("421 4.7.0 ");
        assert!(is_told, "at {at}: {heard:?}");
    }
}

fn heard(session: &mut Session) -> Vec<String> {
    use super::super::super::Action;
    let mut heard = Vec::new();
    while let Some(action) = session.poll_action() {
        if let Action::ToClient(octets) = action {
            heard.push(String::from_utf8(octets.to_vec()).unwrap());
        }
    }
    heard
}

#[test]
fn tls_9_a_handshake_that_fails_or_takes_too_long_ends_the_session_without_a_word() {
    for (answer, end) in [
        ("> client failed", End::ClientLost),
        ("> time client-tls", End::Timeout),
        ("C: NOOP", End::Refused),
    ] {
        let script = format!("@securing\n{answer}\ns: QUIT\n! close-server\n! close-client");
        assert_eq!(run_with(offering(), &script).end(), Some(end), "{answer}");
    }
}

#[test]
fn net_07_a_client_that_shakes_hands_hears_of_the_shutdown_inside_tls() {
    let session = run_with(
        offering(),
        "
        @securing
        > shutdown
        > client -
        c: 421 4.3.2 shutdown: …
        s: QUIT
        ! close-server
        ! close-client
    ",
    );
    assert_eq!(session.end(), Some(End::Shutdown));
}

#[test]
fn tls_9_an_mx_that_is_lost_meanwhile_is_dialled_again_with_the_name_that_the_client_asked_for() {
    run_with(
        offering(),
        "
        @securing
        S$
        ! close-server
        > client asked.example
        C: EHLO mta.example
        ! dial
        > connected
        S: 220 mx.example ESMTP
        s: EHLO mta.example
        S: 250-mx.example
        S: 250 STARTTLS
        s: STARTTLS
        S: 220 go ahead
        ! starttls asked.example
    ",
    );
}

/// TLS up at the MX, which takes chunks, and offered to the client.
const CHUNKING: &str = "
    @handshake
    > secured
    s: EHLO mta.example
    S: 250-mx.example
    S: 250 CHUNKING
    c: 250-mx.example
    c: 250-PIPELINING
    c: 250-8BITMIME
    c: 250-SMTPUTF8
    c: 250-ENHANCEDSTATUSCODES
    c: 250-STARTTLS
    c: 250-CHUNKING
    c: 250 LIMITS …
";

#[test]
fn tls_9_dn_13_starttls_in_a_chunk_is_a_part_of_it_and_between_chunks_out_of_order() {
    let begun = "
        @asked
        > pin
        s: MAIL FROM:<a@b.example>
        S: 250 ok
        s: RCPT TO:<u@good.example>
        S: 250 ok
        c: 250 2.0.0 ok
        C~ BDAT 10\\r\\nSTARTTLS\\r\\n
        s: BDAT 10
        s: STARTTLS
        S: 250 ok
        c: 250 2.0.0 ok
        C: STARTTLS
        c: 503 5.5.1 a transaction is open
    ";
    // A chunk for nobody leaves no transaction behind, but what follows it is still read in its turn.
    let for_nobody = "
        C~ BDAT 10 LAST\\r\\nSTARTTLS\\r\\nNOOP\\r\\n
        c: 503 5.5.1 no recipient was accepted
        c: 250 2.0.0 ok
        C~ BDAT 10 LAST\\r\\nSTARTTLS\\r\\nSTARTTLS\\r\\n
        c: 503 5.5.1 no recipient was accepted
        c: 220 2.0.0 …
        ! secure-client mx.example
    ";
    for script in [begun, for_nobody] {
        let session = run_with(offering(), &format!("{CHUNKING}{script}"));
        assert_eq!(session.end(), None);
    }
}

#[test]
fn tls_9_chunking_that_was_promised_in_the_clear_is_no_promise_inside_tls() {
    let script = "
        C: STARTTLS
        c: 220 2.0.0 …
        ! secure-client mx.example
        > client -
        C: BDAT 6 LAST
        c: 503 5.5.1 …
        s: QUIT
        ! close-server
        ! close-client
    ";
    let session = run_with(offering(), &format!("{CHUNKING}{script}"));
    assert_eq!(session.end(), Some(End::Refused));
}

#[test]
fn tls_9_an_mx_that_was_let_go_before_starttls_is_dialled_for_the_hello_inside() {
    run_with(
        offering(),
        "
        @offer
        > time client
        s: QUIT
        ! close-server
        C: STARTTLS
        c: 220 2.0.0 …
        ! secure-client mx.example
        > client -
        C: EHLO mta.example
        ! dial
    ",
    );
}

#[test]
fn a_name_that_lookups_gave_is_worth_more_than_the_clients() {
    let mut settings = offering();
    settings.hint = Some("hint.example".parse().unwrap());
    run_with(
        settings,
        "
        @greeted
        C: EHLO mta.example
        s: EHLO mta.example
        S: 250 mx.example
        c: 250-mx.example
        c: 250-PIPELINING
        c: 250-8BITMIME
        c: 250-SMTPUTF8
        c: 250-ENHANCEDSTATUSCODES
        c: 250-STARTTLS
        c: 250 LIMITS …
        C: STARTTLS
        c: 220 …
        ! secure-client hint.example
        > client asked.example
        S$
        ! close-server
        C: EHLO mta.example
        ! dial
        > connected
        S: 220 mx.example ESMTP
        s: EHLO mta.example
        S: 250-mx.example
        S: 250 STARTTLS
        s: STARTTLS
        S: 220 go ahead
        ! starttls hint.example
    ",
    );
}
