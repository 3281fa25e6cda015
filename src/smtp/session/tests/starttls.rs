//! The boundary between clear and protected, and whatever an attacker puts there.

use super::super::super::End;
use super::script::run;

#[test]
fn tls_1_tls_3_smtp_32_the_clients_name_is_said_before_and_inside_tls() {
    run("@tls");
}

#[test]
fn tls_01_without_starttls_a_refusal_says_quit_and_the_mx_never_sees_mail() {
    run("
        @clear
        @mail
        C: RCPT TO:<u@good.example>
        ! judge good.example clear(not offered) first
        > refuse
        s: QUIT
        ! close-server
        c: 451 4.7.4 starttls-required: …
    ");
}

#[test]
fn tls_02_a_masked_keyword_is_no_starttls() {
    run("
        @greeted
        C: EHLO mta.example
        s: EHLO mta.example
        S: 250-mx.example
        S: 250 XXXXXXXX
        @least
        @mail
        C: RCPT TO:<u@good.example>
        ! judge good.example clear(not offered) first
    ");
}

#[test]
fn tls_02_an_mx_that_knows_only_helo_has_no_tls() {
    run("
        @greeted
        C: EHLO mta.example
        s: EHLO mta.example
        S: 500 what
        s: HELO mta.example
        S: 250 mx.example
        @least
        @mail
        C: RCPT TO:<u@good.example>
        ! judge good.example clear(not offered) first
    ");
}

#[test]
fn tls_03_tls_5_no_code_but_220_starts_tls() {
    for code in [454, 500, 501, 502, 530, 550, 250, 221, 354, 299] {
        run(&format!(
            "
            @greeted
            C: EHLO mta.example
            s: EHLO mta.example
            S: 250-mx.example
            S: 250-STARTTLS
            S: 250 8BITMIME
            s: STARTTLS
            S: {code} whatever
            @least
            @mail
            C: RCPT TO:<u@good.example>
            ! judge good.example clear({code}) first
        "
        ));
    }
}

#[test]
fn tls_03_garbage_for_220_breaks_the_channel() {
    run("
        @greeted
        C: EHLO mta.example
        s: EHLO mta.example
        S: 250-mx.example
        S: 250 STARTTLS
        s: STARTTLS
        S: \u{16}\u{3}\u{1}
        ! close-server
        @least
        @mail
        C: RCPT TO:<u@good.example>
        ! judge good.example broken(it does not speak SMTP: a reply has no valid code) first
    ");
}

#[test]
fn tls_04_tls_6_after_a_failed_handshake_cleartext_needs_a_verdict_and_a_new_connection() {
    run("
        @handshake
        > broken not a ServerHello
        @least
        @mail
        C: RCPT TO:<u@good.example>
        ! judge good.example broken(not a ServerHello) first
        > redial clear
        ! dial
        > connected
        S: 220 mx.example
        s: EHLO mta.example
        S: 250-mx.example
        S: 250 STARTTLS
        ! judge good.example clear(not a ServerHello) again
        > pin
        s: MAIL FROM:<a@b.example>
        S: 250 ok
        s: RCPT TO:<u@good.example>
        S: 250 ok
        c: 250 2.0.0 ok
    ");
}

#[test]
fn tls_05_tls_2_plaintext_behind_the_220_aborts_the_connection() {
    for injected in [
        "S~ 220 go\\r\\n250-EVIL\\r\\n250 SIZE 1\\r\\n",
        "S~ 220 go\\r\\n2",
        "S~ 220 go\\r\\n\\x16\\x03\\x03",
    ] {
        run(&format!(
            "
            @greeted
            C: EHLO mta.example
            s: EHLO mta.example
            S: 250-mx.example
            S: 250 STARTTLS
            s: STARTTLS
            {injected}
            ! close-server
            @least
            @mail
            C: RCPT TO:<u@good.example>
            ! judge good.example broken(plaintext follows the reply to STARTTLS) first
        "
        ));
    }
}

#[test]
fn tls_05_plaintext_in_a_segment_of_its_own_aborts_too_and_the_handshake_counts_no_more() {
    run("
        @handshake
        S: 250 EVIL
        ! close-server
        @least
        > secured
        @mail
        C: RCPT TO:<u@good.example>
        ! judge good.example broken(it speaks before it is asked) first
    ");
}

#[test]
fn tls_07_tls_08_tls_4_role_6_only_the_list_inside_tls_counts() {
    run("
        @greeted
        C: EHLO mta.example
        s: EHLO mta.example
        S: 250-mx.example
        S: 250-8BITMIME
        S: 250-DSN
        S: 250 STARTTLS
        s: STARTTLS
        S: 220 go
        ! starttls mx.example
        > secured
        s: EHLO mta.example
        S: 250-mx.example
        S: 250-SIZE 10
        S: 250-AUTH PLAIN
        S: 250-REQUIRETLS
        S: 250-XCLIENT NAME
        S: 250 STARTTLS
        # TLS-08: STARTTLS inside TLS is ignored.
        c: 250-mx.example
        c: 250-PIPELINING
        c: 250-SIZE
        c: 250-8BITMIME
        c: 250-SMTPUTF8
        c: 250-ENHANCEDSTATUSCODES
        c: 250 LIMITS RCPTMAX=1000 RCPTDOMAINMAX=1
        C: MAIL FROM:<a@b.example> RET=HDRS
        c: 555 5.5.4 …
    ");
}

#[test]
fn tls_09_whatever_ends_a_handshake_is_told_to_the_verdict() {
    for (ending, why) in [
        ("> broken connection reset", "connection reset"),
        ("> failed timed out", "timed out"),
        ("S$\n! close-server", "the connection was lost"),
        ("> time dial\n! close-server", "it does not answer in time"),
    ] {
        run(&format!(
            "
            @handshake
            {ending}
            @least
            @mail
            C: RCPT TO:<u@good.example>
            ! judge good.example broken({why}) first
        "
        ));
    }
}

#[test]
fn tls_09_an_alert_after_the_handshake_is_a_broken_channel_too() {
    run("
        @handshake
        > secured
        s: EHLO mta.example
        S$
        ! close-server
        @least
        @mail
        C: RCPT TO:<u@good.example>
        ! judge good.example broken(the connection was lost) first
    ");
}

#[test]
fn tls_09_smtp_7_a_connection_lost_at_a_later_ehlo_is_no_failed_handshake_and_no_reason_for_cleartext()
 {
    for (ending, end) in [
        ("S$", End::Unreachable),
        ("> time server", End::Timeout),
        ("S: 250_garbage", End::Unreachable),
        ("S~ 250 mx.example\\r\\n250 EVIL\\r\\n", End::Unreachable),
    ] {
        let session = run(&format!(
            "
            @tls
            C: EHLO mta.example
            s: EHLO mta.example
            {ending}
            ! close-server
            c: 421 4.4.2 server-lost: …
            ! close-client
        "
        ));
        assert_eq!(session.end(), Some(end), "{ending}");
    }
    // Nor is one that is lost at HELO, after a second EHLO was refused.
    run("
        @rcpt
        C: EHLO mta.example
        s: EHLO mta.example
        S: 500 what
        s: HELO mta.example
        S$
        ! close-server
        c: 421 4.4.2 server-lost: …
        ! close-client
    ");
}

#[test]
fn attack_tls_10_tls_14_half_a_reply_is_no_reply() {
    run("
        @tls
        @asked
        @cleared
        S~ 250 ok\\r\\n250 o
        S$
        ! close-server
        c: 451 4.4.2 server-lost: the destination failed: the connection was lost [T1]
    ");
}

#[test]
fn attack_tls_10_smtp_4_a_connection_lost_after_the_final_dot_is_no_250() {
    for half in ["", "S~ 250 ok"] {
        let session = run(&format!(
            "
            @data
            C: .
            s: .
            {half}
            S$
            ! close-server
            c: 421 4.4.2 server-lost: the destination failed: the connection was lost [T1]
            ! close-client
        "
        ));
        assert_eq!(session.end(), Some(End::ServerLost));
        assert_eq!(session.tally().messages, 0);
    }
}

#[test]
fn the_sni_is_the_hint_or_what_the_verdict_wants_or_what_the_mx_calls_itself() {
    let mut settings = super::settings();
    settings.hint = Some("known.example".parse().unwrap());
    super::script::run_with(
        settings,
        "
        @greeted
        C: EHLO mta.example
        s: EHLO mta.example
        S: 250-mx.example
        S: 250 STARTTLS
        s: STARTTLS
        S: 220 go
        ! starttls known.example
        > secured
        s: EHLO mta.example
        S: 250 mx.example
        @least
        @asked
        > redial base.example
        s: QUIT
        ! close-server
        ! dial
        @again
        ! starttls base.example
    ",
    );
    run("
        ! dial
        > connected
        S: 220 [192.0.2.1] hello
        c: 220 [192.0.2.1] hello
        C: EHLO mta.example
        s: EHLO mta.example
        S: 250-hello there
        S: 250 STARTTLS
        s: STARTTLS
        S: 220 go
        ! starttls -
    ");
}
