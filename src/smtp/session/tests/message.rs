//! DATA: what goes through, what does not, and whose word counts.

use super::super::super::End;
use super::script::run;

#[test]
fn smtp_2_smtp_26_a_message_goes_through_as_it_came_and_the_mx_answers() {
    let session = run("
        @data
        C: Subject: x
        s: Subject: x
        C~ \\r\\n..stuffed\\r\\n\\xff\\xfe\\x01 long
        s:
        s: ..stuffed
        s~ \\xff\\xfe\\x01 long
        C~ \\r
        C~ \\n.
        s~ \\r
        s~ \\n.
        C~ \\r\\n
        s:
        S: 250 2.0.0 queued as 1
        c: 250 2.0.0 queued as 1
        C: QUIT
        c: 221 2.0.0 goodbye
        s: QUIT
        ! close-server
        ! close-client
    ");
    assert_eq!(session.end(), Some(End::Quit));
    assert_eq!(session.tally().messages, 1);
}

#[test]
fn pipe_1_commands_behind_the_final_dot_run_after_its_reply() {
    run("
        @data
        C~ text\\r\\n.\\r\\nMAIL FROM:<a@b.example>\\r\\nQUIT\\r\\n
        s: text
        s: .
        S: 250 2.0.0 queued
        c: 250 2.0.0 queued
        c: 250 2.1.0 …
        c: 221 2.0.0 goodbye
        s: QUIT
        ! close-server
        ! close-client
    ");
}

#[test]
fn smtp_4_whatever_the_mx_says_of_the_message_is_what_the_client_hears() {
    for (said, heard) in [
        ("250 queued", "250 2.0.0 queued"),
        ("451 4.7.1 later", "451 4.7.1 later"),
        ("554 spam", "554 5.0.0 spam"),
    ] {
        run(&format!("@data\nC: .\ns: .\nS: {said}\nc: {heard}\n@mail"));
    }
}

#[test]
fn smtp_3_pipe_3_data_is_refused_without_a_recipient_or_by_the_mx() {
    run("
        @tls
        C: DATA
        c: 503 5.5.1 …
        @mail
        C: DATA
        c: 503 5.5.1 …
        C: RCPT TO:<u@evil.example>
        ! judge evil.example protected first
        > refuse
        s: QUIT
        ! close-server
        c: 451 4.7.4 …
        C: DATA
        c: 503 5.5.1 …
    ");
    run("
        @rcpt
        C: DATA
        s: DATA
        S: 451 4.3.0 not now
        c: 451 4.3.0 not now
        C: RSET
        s: RSET
        S: 250 ok
        c: 250 2.0.0 ok
    ");
}

#[test]
fn smtp_3_data_answered_with_anything_but_354_or_a_refusal_is_not_believed() {
    for code in [250, 299, 355] {
        run(&format!(
            "
            @rcpt
            C: DATA
            s: DATA
            S: {code} ok
            ! close-server
            c: 451 4.4.2 server-lost: the destination failed: DATA was answered with {code} [T1]
            C: RSET
            c: 250 2.0.0 ok
        "
        ));
    }
}

#[test]
fn dn_02_octets_behind_data_that_is_refused_never_run_as_commands() {
    // Without a recipient: refused here.
    run("
        @tls
        C~ MAIL FROM:<a@b.example>\\r\\nDATA\\r\\nRCPT TO:<x@evil.example>\\r\\n
        c: 250 2.1.0 …
        c: 503 5.5.1 …
        c: 421 4.5.0 …
        s: QUIT
        ! close-server
        ! close-client
    ");
    // Refused by the MX, with the octets there in time.
    let session = run("
        @rcpt
        C~ DATA\\r\\nMAIL
        s: DATA
        S: 554 no
        c: 554 5.0.0 no
        c: 421 4.5.0 …
        s: QUIT
        ! close-server
        ! close-client
    ");
    assert_eq!(session.end(), Some(End::Refused));
    // Too late to be seen, but no command.
    run("
        @rcpt
        C: DATA
        s: DATA
        S: 554 no
        c: 554 5.0.0 no
        C~ Received: from x\\r\\n\\r\\nMAIL FROM:<x@y.example>\\r\\n
        c: 421 4.5.0 …
        s: QUIT
        ! close-server
        ! close-client
    ");
    // Lost at DATA.
    run("
        @rcpt
        C~ DATA\\r\\nx
        s: DATA
        S$
        ! close-server
        c: 451 4.4.2 …
        c: 421 4.5.0 …
        ! close-client
    ");
}

#[test]
fn dn_02_octets_behind_data_are_wanted_so_that_they_are_seen() {
    let session = run("@rcpt\nC: DATA\ns: DATA");
    assert!(session.wants_client());
    let session = run("@rcpt\nC~ DATA\\r\\nx\ns: DATA");
    assert!(!session.wants_client());
}

#[test]
fn dn_only_the_octets_of_a_message_are_never_kept() {
    for (script, in_message) in [
        ("@rcpt", false),
        ("@rcpt\nC: DATA\ns: DATA", false),
        ("@rcpt\nC: DATA\ns: DATA\nS: 354 go\nc: 354 go", true),
    ] {
        assert_eq!(run(script).is_in_message(), in_message, "{script}");
    }
}

#[test]
fn dn_02_octets_behind_data_that_is_accepted_are_the_message() {
    run("
        @rcpt
        C~ DATA\\r\\ntext\\r\\n.\\r\\nQUIT\\r\\n
        s: DATA
        S: 354 go
        c: 354 go
        s: text
        s: .
        S: 250 ok
        c: 250 2.0.0 ok
        c: 221 2.0.0 goodbye
        s: QUIT
        ! close-server
        ! close-client
    ");
}

#[test]
fn dn_04_the_twelve_forms_are_refused_at_the_end_of_data_and_the_mx_never_gets_a_final_dot() {
    for form in super::SMUGGLING {
        run(&format!(
            "
            @data
            C~ text{form}MAIL FROM:<x@y.example>\\r\\nRCPT TO:<z@y.example>\\r\\n
            ! close-server
            C: more
            C: .
            c: 550 5.6.0 bare-newline: …
            C: RSET
            c: 250 2.0.0 ok
        "
        ));
    }
}

#[test]
fn dn_04_end_of_data_in_the_same_segment_as_the_taint_is_answered_at_once() {
    run("
        @data
        C~ a\\nb\\r\\n.\\r\\nNOOP\\r\\n
        ! close-server
        c: 550 5.6.0 …
        c: 250 2.0.0 ok
    ");
}

#[test]
fn net_09_an_mx_lost_in_mid_message_is_a_451_at_its_end() {
    for ending in [
        "S$",
        "S: garbage",
        "S: 250 already accepted",
        "S: 354 go on",
    ] {
        let session = run(&format!(
            "
            @data
            C: text
            s: text
            {ending}
            ! close-server
            C: more
            C: .
            c: 451 4.4.2 server-lost: …
            C: NOOP
            c: 250 2.0.0 ok
        "
        ));
        assert_eq!(session.tally().messages, 0);
    }
}

#[test]
fn net_09_an_mx_that_refuses_in_mid_message_is_believed_at_its_end() {
    run("
        @data
        C: text
        s: text
        S: 552 5.3.4 too big
        ! close-server
        C: more
        C: .
        c: 552 5.3.4 too big
        @mail
    ");
}

#[test]
fn dn_05_a_malformed_reply_to_the_message_is_a_lost_connection() {
    for reply in ["S~ 250 ok\\n250 x\\r\\n", "S: 25"] {
        let session = run(&format!(
            "
            @data
            C: .
            s: .
            {reply}
            ! close-server
            c: 421 4.4.2 server-lost: the destination failed: it does not speak SMTP: …
            ! close-client
        "
        ));
        assert_eq!(session.tally().messages, 0);
    }
    run("
        @data
        C: .
        s: .
        S: 350 what
        c: 421 4.4.2 server-lost: the destination failed: the message was answered with 350 [T1]
        ! close-server
        ! close-client
    ");
}

#[test]
fn smtp_t3_no_reply_to_the_message_is_no_result() {
    let session = run("
        @data
        C: .
        s: .
        > time server
        ! close-server
        c: 421 4.4.2 server-lost: the destination failed: it does not answer in time [T1]
        ! close-client
    ");
    assert_eq!(session.end(), Some(End::Timeout));
}

#[test]
fn dn_11_dn_12_a_client_that_stops_sending_still_hears_the_reply() {
    let session = run("
        @data
        C: .
        s: .
        C$
        S: 250 queued
        c: 250 2.0.0 queued
        s: QUIT
        ! close-server
        ! close-client
    ");
    assert_eq!(session.end(), Some(End::ClientLost));
    assert_eq!(session.tally().messages, 1);
}

#[test]
fn a_client_lost_in_mid_message_leaves_no_message() {
    for tail in ["C: text\ns: text\nC$", "C$"] {
        let session = run(&format!("@data\n{tail}\n! close-server\n! close-client"));
        assert_eq!(session.end(), Some(End::ClientLost));
        assert_eq!(session.tally().messages, 0);
    }
}

#[test]
fn esc_1_helo_clients_hear_replies_as_they_are() {
    run("
        @greeted
        C: HELO mta.example
        s: EHLO mta.example
        S: 250 mx.example says hello
        c: 250 mx.example says hello
        C: MAIL FROM:<a@b.example> SIZE=1
        c: 555 5.5.4 …
        @mail
        C: RCPT TO:<u@good.example>
        ! judge good.example clear(not offered) first
        > pin
        s: MAIL FROM:<a@b.example>
        S: 250 ok
        s: RCPT TO:<u@good.example>
        S: 250-ok
        S: 250 go
        c: 250-ok
        c: 250 go
    ");
}

#[test]
fn eai_6_utf_8_in_replies_belongs_to_smtputf8_transactions() {
    for (mail, heard) in [
        ("", "550 5.0.0 zo??"),
        (" SMTPUTF8", "550 5.0.0 zo\\xc3\\xab"),
    ] {
        run(&format!(
            "
            @tls
            C: MAIL FROM:<a@b.example>{mail}
            c: 250 2.1.0 …
            C: RCPT TO:<u@good.example>
            ! judge good.example protected first
            > pin
            s: MAIL FROM:<a@b.example>{mail}
            s: RCPT TO:<u@good.example>
            S: 250 ok
            S: 550 zoë
            c: {heard}
        "
        ));
    }
}

#[test]
fn size_2_what_size_was_declared_ends_no_message() {
    run("
        @tls
        C: MAIL FROM:<a@b.example> SIZE=3
        c: 250 2.1.0 …
        C: RCPT TO:<u@good.example>
        ! judge good.example protected first
        > pin
        s: MAIL FROM:<a@b.example> SIZE=3
        s: RCPT TO:<u@good.example>
        S: 250 ok
        S: 250 ok
        c: 250 2.0.0 ok
        C: DATA
        s: DATA
        S: 354 go
        c: 354 go
        C: much longer than three octets
        s: much longer than three octets
        C: .
        s: .
        S: 552 5.3.4 too large
        c: 552 5.3.4 too large
    ");
}
