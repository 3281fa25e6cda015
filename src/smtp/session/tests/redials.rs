//! What becomes of a recipient whose connection is dialled again, or whose MX lacks what the transaction uses.

use super::super::super::End;
use super::super::super::ehlo::{Extension, Extensions};
use super::script::{run, run_with};
use super::settings;

#[test]
fn redials_are_bounded_and_each_is_judged_again() {
    run("
        @tls
        @asked
        @redial
        @again
        ! starttls a.example
        > broken alert
        ! judge good.example broken(alert) again
        > redial b.example
        ! dial
        > connected
        S: 220 mx.example
        s: EHLO mta.example
        S: 250 mx.example
        ! judge good.example clear(not offered) again
        > redial c.example
        ! gave-up good.example unreachable(every connection calls for yet another)
        s: QUIT
        ! close-server
        c: 451 4.4.1 unreachable: …
    ");
}

#[test]
fn attack_tls_18_an_mx_that_stalls_after_a_redial_is_to_blame_itself_not_the_decision() {
    for (stalls, waiting) in [
        ("", "dial"),
        ("> connected", "server"),
        ("> connected\nS: 220 mx\ns: EHLO mta.example", "server"),
        (
            "> connected\nS: 220 mx\ns: EHLO mta.example\nS: 250-mx\nS: 250 STARTTLS\ns: STARTTLS",
            "server",
        ),
    ] {
        run(&format!(
            "
            @tls
            @asked
            @redial
            {stalls}
            > time {waiting}
            ! gave-up good.example server-lost(it does not answer in time)
            ! close-server
            c: 451 4.4.2 server-lost: the destination failed: it does not answer in time [T1]
        "
        ));
    }
}

#[test]
fn a_redial_that_fails_is_a_451_for_the_recipient() {
    for (ending, reason, what) in [
        ("> failed refused", "unreachable", "refused"),
        (
            "> connected\nS: 554 no\ns: QUIT\n! close-server",
            "unreachable",
            "it greets with 554 no",
        ),
        (
            "> connected\nS$\n! close-server",
            "server-lost",
            "the connection was lost",
        ),
    ] {
        let heard = match reason {
            "unreachable" => "451 4.4.1 unreachable: the destination cannot be reached",
            _ => "451 4.4.2 server-lost: the destination failed",
        };
        run(&format!(
            "
            @tls
            @asked
            @redial
            {ending}
            ! gave-up good.example {reason}({what})
            c: {heard}: {what} [T1]
            C: NOOP
            c: 250 2.0.0 ok
        "
        ));
    }
}

/// The first dial of a session is the driver's to answer for.
#[test]
fn net_09_where_this_host_has_nothing_to_dial_with_no_destination_is_blamed() {
    run("
        @tls
        @asked
        @redial
        > exhausted
        ! gave-up good.example busy
        c: 451 4.3.0 busy: this host has no free port or descriptor at present, try again later [T1]
        C: NOOP
        c: 250 2.0.0 ok
    ");
}

#[test]
fn net_09_a_hello_that_this_host_has_nothing_to_dial_for_ends_the_session_and_not_as_the_destinations_fault()
 {
    let session = run("
        @greeted
        > time client
        s: QUIT
        ! close-server
        C: EHLO mta.example
        ! dial
        > exhausted
        c: 421 4.3.2 busy: this host has no free port or descriptor at present, try again later [T1]
        ! close-client
    ");
    assert_eq!(session.end(), Some(End::Refused));
}

/// RFC 8461 §5: the connection before would have been relayed over.
#[test]
fn sts_62_where_a_redial_for_the_record_fails_any_connection_will_do() {
    for ending in [
        "> failed refused",
        "> connected\nS: 421 too many connections\ns: QUIT\n! close-server",
        "> connected\nS$\n! close-server",
        "> exhausted",
    ] {
        let begin = format!(
            "
            @tls
            @asked
            > redial observe:mx.example
            s: QUIT
            ! close-server
            ! dial
            {ending}
            ! dial
        "
        );
        run(&format!(
            "
            {begin}
            @again
            ! starttls mx.example
            > secured
            s: EHLO mta.example
            S: 250 mx
            ! judge good.example protected again
            > pin
            s: MAIL FROM:<a@b.example>
            S: 250 ok
            s: RCPT TO:<u@good.example>
            S: 250 ok
            c: 250 2.0.0 ok
        "
        ));
        run(&format!(
            "
            {begin}
            > failed refused
            ! gave-up good.example unreachable(refused)
            c: 451 4.4.1 unreachable: the destination cannot be reached: refused [T1]
            C: NOOP
            c: 250 2.0.0 ok
        "
        ));
    }
}

#[test]
fn smtp_31_what_the_transaction_has_used_must_be_there_after_a_redial() {
    for (mail, rcpt, reply) in [
        (
            "SIZE=9",
            "",
            "452 4.3.4 shortfall: the destination does not offer SIZE [T1]",
        ),
        ("BODY=8BITMIME", "", "451 4.6.3 shortfall: …"),
        ("SMTPUTF8", "", "451 4.6.7 shortfall: …"),
        ("RET=HDRS", "", "451 4.3.3 shortfall: …"),
        ("", " NOTIFY=NEVER", "451 4.3.3 shortfall: …"),
    ] {
        run(&format!(
            "
            @tls
            C: MAIL FROM:<a@b.example> {mail}
            c: 250 2.1.0 …
            C: RCPT TO:<u@good.example>{rcpt}
            ! judge good.example protected first
            @redial
            > connected
            S: 220 mx.example
            s: EHLO mta.example
            S: 250 mx.example
            ! judge good.example clear(not offered) again
            > pin
            s: QUIT
            ! close-server
            c: {reply}
        "
        ));
    }
}

#[test]
fn eai_3_tls_01_who_hides_smtputf8_beside_starttls_defers_mail_and_bounces_none() {
    for (channel, attack) in [
        ("clear(not offered)", "S: 250 mx.example"),
        (
            "broken(alert)",
            "S: 250-mx.example\nS: 250 STARTTLS\ns: STARTTLS\nS: 220 go\n! starttls mx.example\n> broken alert",
        ),
        (
            "protected",
            "S: 250-mx.example\nS: 250 STARTTLS\ns: STARTTLS\nS: 220 go\n! starttls mx.example\n> secured
             s: EHLO mta.example\nS: 250 mx.example",
        ),
    ] {
        let session = run(&format!(
            "
            @greeted
            C: EHLO mta.example
            s: EHLO mta.example
            {attack}
            @least
            C: MAIL FROM:<zoë@b.example> SMTPUTF8
            c: 250 2.1.0 …
            C: RCPT TO:<zoë@good.example>
            ! judge good.example {channel} first
            > refuse
            {}
            c: 451 4.7.4 …
        ",
            if channel.starts_with("broken") {
                ""
            } else {
                "s: QUIT\n! close-server"
            }
        ));
        assert_eq!(session.lacking(), Extensions::NONE, "{channel}");
    }
}

#[test]
fn eai_3_smtp_31_what_a_cleared_mx_lacks_is_hidden_from_then_on() {
    let session = run("
        @handshake
        > secured
        s: EHLO mta.example
        S: 250-mx.example
        S: 250 8BITMIME
        @least
        C: MAIL FROM:<a@b.example> SMTPUTF8
        c: 250 2.1.0 …
        C: RCPT TO:<u@good.example>
        ! judge good.example protected first
        > pin
        s: QUIT
        ! close-server
        c: 451 4.6.7 shortfall: the destination does not offer SMTPUTF8 [T1]
    ");
    let lacking = Extensions::of(&[Extension::SmtpUtf8]);
    assert_eq!(session.lacking(), lacking);
    let mut settings = settings();
    settings.lacking = lacking;
    run_with(
        settings,
        "
        @handshake
        > secured
        s: EHLO mta.example
        S: 250-mx.example
        S: 250 8BITMIME
        c: 250-mx.example
        c: 250-PIPELINING
        c: 250-8BITMIME
        c: 250-ENHANCEDSTATUSCODES
        c: 250 LIMITS …
        C: MAIL FROM:<a@b.example> SMTPUTF8
        c: 555 5.5.4 …
    ",
    );
}
