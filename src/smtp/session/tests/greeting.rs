//! Who is no mail server, does not want us or speaks unasked: what the client hears, and that no word is taken for a reply.

use super::super::super::End;
use super::script::run;

#[test]
fn tls_06_a_reply_before_its_command_is_an_error() {
    run("
        @greeted
        C: EHLO mta.example
        s: EHLO mta.example
        S~ 250-mx.example\\r\\n250 STARTTLS\\r\\n220 early\\r\\n250 ok\\r\\n
        ! close-server
        c: 421 4.4.2 server-lost: the destination failed: it speaks before it is asked [T1]
        ! close-client
    ");
    let session = run("
        ! dial
        > connected
        S~ 220 mx.example\\r\\n250 ok\\r\\n
        ! close-server
        c: 421 4.4.2 …
        ! close-client
    ");
    assert_eq!(session.end(), Some(End::Unreachable));
}

#[test]
fn tls_06_an_idle_mx_that_speaks_is_left_and_dialled_again_when_needed() {
    run("
        @greeted
        S: 250 hello?
        ! close-server
        C: EHLO mta.example
        ! dial
        > connected
        S: 220 mx.example
        s: EHLO mta.example
    ");
    run("
        @tls
        S: 421 4.4.2 idle for too long
        ! close-server
        S$
        @mail
        C: RCPT TO:<u@good.example>
        ! dial
        @again
        ! starttls mx.example
        > secured
        s: EHLO mta.example
        S: 250 mx.example
        ! judge good.example protected first
    ");
}

#[test]
fn attack_tls_15_dn_24_another_protocol_is_not_relayed() {
    for greeting in [
        "S: HTTP/1.1 400 Bad Request\n! close-server",
        "S: * OK IMAP4rev1\n! close-server",
    ] {
        let session = run(&format!(
            "
            ! dial
            > connected
            {greeting}
            c: 421 4.4.2 server-lost: …
            ! close-client
        "
        ));
        assert_eq!(session.end(), Some(End::Unreachable));
    }
    run("
        ! dial
        > connected
        S: 200 ftp \u{1b}[31m
        s: QUIT
        ! close-server
        c: 421 4.4.1 unreachable: the destination cannot be reached: it greets with 200 ftp ?[31m [T1]
        ! close-client
    ");
}

#[test]
fn attack_tls_17_role_7_a_5xx_before_tls_is_never_passed_on_as_such() {
    run("
        ! dial
        > connected
        S: 554 5.7.1 go away
        s: QUIT
        ! close-server
        c: 421 4.4.1 unreachable: the destination cannot be reached: it greets with 554 5.7.1 go away [T1]
        ! close-client
    ");
    run("
        @greeted
        C: EHLO mta.example
        s: EHLO mta.example
        S: 550 5.7.1 no
        s: HELO mta.example
        S: 550 5.7.1 no
        s: QUIT
        ! close-server
        c: 421 4.4.1 unreachable: the destination cannot be reached: it answers HELO with 550 5.7.1 no [T1]
        ! close-client
    ");
    run("
        @greeted
        C: EHLO mta.example
        s: EHLO mta.example
        S: 250-mx.example
        S: 250 STARTTLS
        s: STARTTLS
        S: 550 5.7.1 no TLS for you
        @least
        @mail
        C: RCPT TO:<u@good.example>
        ! judge good.example clear(550) first
        > refuse
        s: QUIT
        ! close-server
        c: 451 4.7.4 …
    ");
}

#[test]
fn attack_tls_18_a_greeting_that_does_not_come_or_does_not_end_is_given_up() {
    let silent = run("
        ! dial
        > connected
        > time server
        ! close-server
        c: 421 4.4.2 server-lost: …
        ! close-client
    ");
    assert_eq!(silent.end(), Some(End::Timeout));
    for flood in ["220-more\\r\\n".repeat(200), "2".repeat(5000)] {
        run(&format!(
            "
            ! dial
            > connected
            S~ {flood}
            ! close-server
            c: 421 4.4.2 server-lost: …
            ! close-client
        "
        ));
    }
}

#[test]
fn role_7_an_unreachable_destination_is_a_421_greeting() {
    let session = run("
        ! dial
        > failed connection refused
        c: 421 4.4.1 unreachable: the destination cannot be reached: connection refused [T1]
        ! close-client
    ");
    assert_eq!(session.end(), Some(End::Unreachable));
}

#[test]
fn dn_24_the_greeting_is_relayed_reframed() {
    run("
        ! dial
        > connected
        S~ 220-mx.example \\x1b[2J\\x00hello\\r\\n220\\r\\n
        c: 220-mx.example ?[2J?hello
        c: 220
    ");
}
