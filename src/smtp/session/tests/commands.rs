//! What clients say, in order and out of it.

use super::super::super::{End, Limits};
use super::script::{run, run_with};
use super::settings;

#[test]
fn smtp_8_smtp_9_smtp_10_commands_are_answered_where_they_stand_and_the_state_is_kept() {
    run("
        @greeted
        C: NOOP
        c: 250 2.0.0 ok
        C: MAIL FROM:<a@b.example>
        c: 503 5.5.1 …
        C: RCPT TO:<a@b.example>
        c: 503 5.5.1 …
        C: DATA
        c: 503 5.5.1 …
        C: RSET
        c: 250 2.0.0 ok
    ");
    run("
        @rcpt
        C: MAIL FROM:<c@d.example>
        c: 503 5.5.1 …
        C: VRFY u
        c: 252 2.0.0 …
        C: FOO
        c: 500 5.5.2 …
        C: RCPT TO:u@good.example
        c: 501 5.1.3 …
        C: DATA now
        c: 501 5.5.4 …
        C: DATA
        s: DATA
    ");
}

#[test]
fn dn_19_dn_01_tls_9_what_is_not_served_is_refused_here_and_never_forwarded() {
    for verb in [
        "EXPN x",
        "HELP",
        "ETRN x",
        "TURN",
        "ATRN",
        "AUTH PLAIN x",
        "XCLIENT NAME=x",
        "XFORWARD NAME=x",
        "STARTTLS",
    ] {
        run(&format!("@tls\nC: {verb}\nc: 502 5.5.1 …"));
    }
    run("@tls\nC: DEBUG\nc: 500 5.5.2 …");
}

#[test]
fn dn_06_smtp_1_smtp_16_bare_newlines_and_nuls_make_one_bad_command_that_is_never_forwarded() {
    run("
        @tls
        @mail
        C~ RCPT TO:<a@x.example>\\nRCPT TO:<b@y.example>\\r\\n
        c: 500 5.5.2 …
        C~ RCPT TO:<a@x.example>\\rRCPT TO:<b@y.example>\\r\\n
        c: 500 5.5.2 …
        C~ RCPT TO:<a@x.example>\\0\\r\\n
        c: 500 5.5.2 …
        C~ RCPT TO:<a\\x01@x.example>\\r\\n
        c: 501 5.1.3 …
        C~ RCPT TO:<a\\x80@x.example>\\r\\n
        c: 553 5.6.7 …
        C~ NOOP \\xff\\r\\n
        c: 250 2.0.0 ok
    ");
}

#[test]
fn dn_07_smtp_20_long_lines_are_refused_and_endless_ones_end_the_session() {
    let long = "x".repeat(3000);
    run(&format!(
        "@tls\nC: NOOP {long}\nc: 500 5.5.2 …\nC: NOOP\nc: 250 2.0.0 ok"
    ));
    let endless = "x".repeat(1 << 20);
    let session = run(&format!(
        "@tls\nC~ {endless}\nc: 421 4.7.0 …\ns: QUIT\n! close-server\n! close-client"
    ));
    assert_eq!(session.end(), Some(End::Refused));
}

#[test]
fn dn_15_commands_without_progress_are_counted() {
    let mut settings = settings();
    settings.limits = Limits {
        idle_commands: 3,
        ..Limits::default()
    };
    for command in ["NOOP", "VRFY u", "RSET", "FOO", "EXPN x", "MAIL FROM:<"] {
        let mut script = String::from("@tls\n");
        for _ in 0..3 {
            script += &format!("C: {command}\nc: …\n");
        }
        script += &format!("C: {command}\n");
        if command != "RSET" {
            script += "c: …\n";
        }
        script += "c: 421 4.7.0 limit: …\ns: QUIT\n! close-server\n! close-client";
        let session = run_with(settings.clone(), &script);
        assert_eq!(session.end(), Some(End::Refused), "{command}");
    }
}

#[test]
fn dn_15_progress_forgives() {
    let mut settings = settings();
    settings.limits.idle_commands = 3;
    run_with(
        settings,
        "
        @tls
        C~ NOOP\\r\\nNOOP\\r\\nNOOP\\r\\n
        c: 250 2.0.0 ok
        c: 250 2.0.0 ok
        c: 250 2.0.0 ok
        @asked
        @cleared
        S: 250 ok
        S: 250 ok
        c: 250 2.0.0 ok
        C: NOOP
        c: 250 2.0.0 ok
    ",
    );
}

#[test]
fn smtp_7_dn_20_a_second_ehlo_resets_both_sides() {
    run("
        @rcpt
        C: EHLO [192.0.2.1]
        s: EHLO [192.0.2.1]
        S: 250-mx.example
        S: 250 SIZE
        c: 250-mx.example
        c: 250-PIPELINING
        c: 250-SIZE
        c: 250-8BITMIME
        c: 250-SMTPUTF8
        c: 250-ENHANCEDSTATUSCODES
        c: 250 LIMITS RCPTMAX=1000 RCPTDOMAINMAX=1
        @mail
    ");
    let long = "x".repeat(600);
    run(&format!(
        "
        @rcpt
        C: EHLO {long}
        c: 501 5.5.4 …
        # SMTP-7: a failed EHLO leaves the state as it is.
        C: DATA
        s: DATA
    "
    ));
}

#[test]
fn pipe_1_smtp_11_dn_02_everything_pipelined_from_the_start_is_answered_in_order() {
    run("
        ! dial
        C~ EHLO mta.example\\r\\nMAIL FROM:<a@b.example>\\r\\nRCPT TO:<u@good.example>\\r\\nNOOP\\r\\nDATA\\r\\n
        > connected
        S: 220 mx.example
        c: 220 mx.example
        s: EHLO mta.example
        S: 250 mx.example
        @least
        c: 250 2.1.0 …
        ! judge good.example clear(not offered) first
        > pin
        s: MAIL FROM:<a@b.example>
        S: 250 ok
        s: RCPT TO:<u@good.example>
        S: 250 ok
        c: 250 2.0.0 ok
        c: 250 2.0.0 ok
        s: DATA
        S: 354 go
        c: 354 go
    ");
}

#[test]
fn back_pressure_the_client_is_read_while_it_may_speak_and_a_little_ahead() {
    let ahead = format!("C~ {}", "x".repeat(20_000));
    let judged = "@tls\n@mail\nC: RCPT TO:<u@good.example>\n! judge good.example protected first";
    let rows = [
        ("! dial", true),
        (&format!("! dial\n{ahead}"), false),
        ("@greeted", true),
        ("@handshake", true),
        (&format!("@handshake\n{ahead}"), false),
        ("@tls", true),
        (judged, true),
        (&format!("{judged}\n{ahead}"), false),
        ("@rcpt", true),
        ("@data", true),
        ("@data\nC: .\ns: .", false),
        ("@tls\nC$\ns: QUIT\n! close-server\n! close-client", false),
    ];
    for (script, wanted) in rows {
        assert_eq!(run(script).wants_client(), wanted, "{script}");
    }
}

#[test]
fn a_client_that_sends_megabytes_while_it_must_wait_is_refused() {
    let flood = "NOOP\\r\\n".repeat(50_000);
    let session = run(&format!(
        "! dial\nC~ {flood}\nc: 421 4.7.0 …\n! close-server\n! close-client"
    ));
    assert_eq!(session.end(), Some(End::Refused));
}

#[test]
fn quit_is_answered_at_once_and_said_to_the_mx_inside_tls() {
    let session = run("
        @tls
        C: QUIT
        c: 221 2.0.0 goodbye
        s: QUIT
        ! close-server
        ! close-client
    ");
    assert_eq!(session.end(), Some(End::Quit));
    assert!(session.poll_timeout().is_none());
}
