//! What a cleared MX says to MAIL and RCPT, and what the recipient hears when it is lost or talks nonsense.

use super::super::super::End;
use super::script::run;
use crate::verdict::Reason;

#[test]
fn role_5_a_refused_sender_is_the_reply_to_rcpt() {
    run("
        @tls
        @asked
        @cleared
        S: 553 5.1.8 sender unknown
        S: 503 5.5.1 MAIL first
        c: 553 5.1.8 sender unknown
        # The MX holds no transaction, so the next recipient brings MAIL again.
        C: RCPT TO:<v@good.example>
        ! judge good.example protected first
        > pin
        s: MAIL FROM:<a@b.example>
        s: RCPT TO:<v@good.example>
        S: 421 4.3.2 going down
        S$
        ! close-server
        c: 421 4.3.2 going down
    ");
}

#[test]
fn role_5_an_mx_that_takes_a_recipient_of_a_sender_that_it_refuses_is_left() {
    run("
        @tls
        @asked
        @cleared
        S: 553 5.1.8 sender unknown
        S: 250 2.1.5 fine
        ! close-server
        c: 553 5.1.8 sender unknown
        C: DATA
        c: 503 5.5.1 …
        C: RCPT TO:<v@good.example>
        ! dial
    ");
}

#[test]
fn role_5_smtp_27_the_mxs_words_about_a_recipient_are_relayed() {
    for (said, heard) in [
        ("251 2.1.5 will forward", "251 2.1.5 will forward"),
        ("551 try <x@y.example>", "551 5.0.0 try <x@y.example>"),
        ("450 4.2.1 greylisted", "450 4.2.1 greylisted"),
        ("552 5.5.3 too many", "552 5.5.3 too many"),
    ] {
        run(&format!(
            "
            @rcpt
            C: RCPT TO:<v@good.example>
            ! judge good.example protected first
            > pin
            s: RCPT TO:<v@good.example>
            S: {said}
            c: {heard}
        "
        ));
    }
}

#[test]
fn r5_what_goes_wrong_with_a_cleared_mx_is_kept_for_the_record() {
    for (script, trouble) in [
        ("@data\nC: .\ns: .\nS: 250 ok\nc: 250 2.0.0 ok", None),
        ("@data\nC: .\ns: .\nS: 554 no\nc: 554 5.0.0 no", None),
        (
            "@data\nS$\n! close-server\nC: .\nc: 451 4.4.2 …",
            Some("server-lost"),
        ),
        (
            "@data\nC: .\ns: .\nS$\n! close-server\nc: 421 4.4.2 …\n! close-client",
            Some("server-lost"),
        ),
        (
            "@rcpt\nC: DATA\ns: DATA\nS: 250 ok\n! close-server\nc: 451 4.4.2 …",
            Some("server-lost"),
        ),
        (
            "@rcpt\nS$\n! close-server\nC: RCPT TO:<v@good.example>\nc: 451 4.4.2 …",
            Some("server-lost"),
        ),
        (
            "@chunks\nC~ BDAT 2\\r\\nx\ns: BDAT 2\ns~ x\nS: 250 ok\n! close-server\nC~ x\nc: 451 4.4.2 …",
            Some("server-lost"),
        ),
        (
            "@tls\nC: MAIL FROM:<a@b.example> SIZE=9\nc: 250 2.1.0 …\nS$\n! close-server
            C: RCPT TO:<u@good.example>\n! dial\n> connected\nS: 220 mx\ns: EHLO mta.example\nS: 250 mx
            ! judge good.example clear(not offered) first\n> pin\ns: QUIT\n! close-server\nc: 452 4.3.4 …",
            Some("shortfall"),
        ),
        // Whoever was not cleared has a judgement of its own.
        (
            "@greeted\nC: EHLO mta.example\ns: EHLO mta.example\nS$\n! close-server\nc: 421 4.4.2 …
            ! close-client",
            None,
        ),
    ] {
        let session = run(script);
        assert_eq!(session.trouble().map(Reason::label), trouble, "{script}");
    }
}

#[test]
fn role_4_a_pin_is_worth_nothing_without_the_connection_it_was_given_for() {
    run("
        @tls
        @asked
        S$
        ! close-server
        > pin
        c: 451 4.4.2 server-lost: …
        C: RCPT TO:<u@good.example>
        ! dial
    ");
}

#[test]
fn smtp_21_recipients_lost_with_their_connection_are_not_forgotten_silently() {
    run("
        @rcpt
        S$
        ! close-server
        C: RCPT TO:<v@good.example>
        c: 451 4.4.2 server-lost: …
        C: DATA
        c: 451 4.4.2 server-lost: …
        C: RSET
        c: 250 2.0.0 ok
        @mail
        C: RCPT TO:<u@good.example>
        ! dial
    ");
}

#[test]
fn net_09_a_connection_lost_at_mail_or_rcpt_fails_that_recipient() {
    for ending in ["S$", "S: 350 what", "> time server", "S: garbage"] {
        let session = run(&format!(
            "
            @tls
            @asked
            @cleared
            S: 250 ok
            {ending}
            ! close-server
            c: 451 4.4.2 server-lost: …
        "
        ));
        assert_eq!(session.end(), None);
    }
}

#[test]
fn dn_07_dn_09_a_reply_that_does_not_end_or_contradicts_itself_fails_that_recipient() {
    for reply in [
        "250-more\\r\\n".repeat(200),
        "2".repeat(5000),
        "250 ".to_owned() + &"x".repeat(5000) + "\\r\\n",
        "250-a\\r\\n550 b\\r\\n".to_owned(),
        "250-a\\r\\n25\\r\\n".to_owned(),
    ] {
        run(&format!(
            "
            @rcpt
            C: RCPT TO:<v@good.example>
            ! judge good.example protected first
            > pin
            s: RCPT TO:<v@good.example>
            S~ {reply}
            ! close-server
            c: 451 4.4.2 server-lost: the destination failed: it does not speak SMTP: …
            C: DATA
            c: 451 4.4.2 …
        "
        ));
    }
}

#[test]
fn pipe_4_a_reply_too_many_costs_the_connection() {
    let session = run("
        @tls
        @asked
        @cleared
        S~ 250 ok\\r\\n250 ok\\r\\n250 ok\\r\\n
        c: 250 2.0.0 ok
        ! close-server
        C: DATA
        c: 451 4.4.2 server-lost: …
        C: QUIT
        c: 221 2.0.0 goodbye
        ! close-client
    ");
    assert_eq!(session.end(), Some(End::Quit));
}

#[test]
fn pipe_6_an_mx_without_pipelining_hears_one_command_at_a_time() {
    run("
        @clear
        C~ MAIL FROM:<a@b.example>\\r\\nRCPT TO:<u@good.example>\\r\\nDATA\\r\\n
        c: 250 2.1.0 …
        ! judge good.example clear(not offered) first
        > pin
        s: MAIL FROM:<a@b.example>
        S: 250 ok
        s: RCPT TO:<u@good.example>
        S: 250 ok
        c: 250 2.0.0 ok
        s: DATA
    ");
}

#[test]
fn smtp_22_smtp_27_what_a_cleared_mx_says_of_a_recipient_is_passed_on_as_it_is() {
    for reply in [
        "552 5.5.3 too many recipients",
        "452 4.5.3 too many recipients",
        "551 5.1.6 try <u@new.example>",
        "421 4.3.2 going down",
    ] {
        run(&format!(
            "@tls\n@asked\n@cleared\nS: 250 2.1.0 ok\nS: {reply}\nc: {reply}"
        ));
    }
    let session = run(
        "@tls\n@asked\n@cleared\nS: 250 2.1.0 ok\nS: 251 2.1.5 will forward\nc: 251 2.1.5 will forward",
    );
    assert_eq!(session.tally().recipients, 1);
}
