//! RCPT: who is judged when, and what becomes of the connection.

use super::super::super::ehlo::{Extension, Extensions};
use super::super::super::{End, Limits};
use super::script::{run, run_with};
use super::settings;
use crate::verdict::Reason;

#[test]
fn role_5_mail_and_rcpt_leave_only_after_a_pin_and_the_mx_answers() {
    let session = run("@rcpt");
    assert_eq!(session.tally().recipients, 1);
}

#[test]
fn role_5_a_refused_sender_is_the_reply_to_rcpt() {
    run("
        @tls
        @mail
        C: RCPT TO:<u@good.example>
        ! judge good.example protected first
        > pin
        s: MAIL FROM:<a@b.example>
        s: RCPT TO:<u@good.example>
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
        @mail
        C: RCPT TO:<u@good.example>
        ! judge good.example protected first
        > pin
        s: MAIL FROM:<a@b.example>
        s: RCPT TO:<u@good.example>
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
fn dn_03_a_refused_domain_beside_an_accepted_one_hears_its_refusal_alone() {
    run("
        @tls
        C~ MAIL FROM:<a@b.example>\\r\\nRCPT TO:<u@good.example>\\r\\nRCPT TO:<v@evil.example>\\r\\nDATA\\r\\n
        c: 250 2.1.0 …
        ! judge good.example protected first
        > pin
        s: MAIL FROM:<a@b.example>
        s: RCPT TO:<u@good.example>
        S~ 250 ok\\r\\n250 ok\\r\\n
        c: 250 2.0.0 ok
        ! judge evil.example protected first
        > refuse
        c: 451 4.7.4 …
        s: DATA
        S: 354 go
        c: 354 go
    ");
}

#[test]
fn r9_dn_21_every_transaction_is_judged_anew_even_for_the_same_domain() {
    run("
        @data
        C: .
        s: .
        S: 250 2.0.0 queued
        c: 250 2.0.0 queued
        @mail
        C: RCPT TO:<u@good.example>
        ! judge good.example protected first
        > refuse
        s: QUIT
        ! close-server
        c: 451 4.7.4 …
    ");
}

#[test]
fn dn_21_a_clear_session_asks_again_for_another_domain() {
    run("
        @clear
        @mail
        C: RCPT TO:<u@none.example>
        ! judge none.example clear(not offered) first
        > pin
        s: MAIL FROM:<a@b.example>
        S: 250 ok
        s: RCPT TO:<u@none.example>
        S: 250 ok
        c: 250 2.0.0 ok
        C: RCPT TO:<u@dane.example>
        ! judge dane.example clear(not offered) first
        > redial mx.dane.example
        c: 452 4.5.3 one-domain: dane.example needs a session of its own [T1]
        C: RSET
        s: RSET
        S: 250 ok
        c: 250 2.0.0 ok
        @mail
        C: RCPT TO:<u@dane.example>
        ! judge dane.example clear(not offered) first
        > redial mx.dane.example
        s: QUIT
        ! close-server
        ! dial
    ");
}

#[test]
fn dn_22_a_verdict_does_not_outlive_rset_or_ehlo() {
    run("
        @rcpt
        C: RSET
        s: RSET
        S: 250 ok
        c: 250 2.0.0 ok
        C: DATA
        c: 503 5.5.1 …
        C: RCPT TO:<u@good.example>
        c: 503 5.5.1 …
        @mail
        C: RCPT TO:<v@other.example>
        ! judge other.example protected first
    ");
    run("
        @rcpt
        C: EHLO other.example
        s: EHLO other.example
        S: 250 mx.example
        c: 250-mx.example
        c: 250-PIPELINING
        c: 250-8BITMIME
        c: 250-SMTPUTF8
        c: 250-ENHANCEDSTATUSCODES
        c: 250 LIMITS RCPTMAX=1000 RCPTDOMAINMAX=1
        C: DATA
        c: 503 5.5.1 …
        @mail
        C: RCPT TO:<u@good.example>
        ! judge good.example protected first
    ");
}

#[test]
fn dn_22_net_20_a_domain_refused_in_a_transaction_stays_refused_in_it_and_is_not_dialled_for() {
    run("
        @tls
        @mail
        C: RCPT TO:<u@evil.example>
        ! judge evil.example protected first
        > refuse
        s: QUIT
        ! close-server
        c: 451 4.7.4 …
        C: RCPT TO:<v@EVIL.example>
        c: 451 4.7.4 …
        # Another domain gets a connection of its own.
        C: RCPT TO:<u@good.example>
        ! dial
        > failed refused
        ! gave-up good.example unreachable(refused)
        c: 451 4.4.1 unreachable: …
        C: DATA
        c: 503 5.5.1 …
        C: RSET
        c: 250 2.0.0 ok
        @mail
        C: RCPT TO:<u@evil.example>
        ! dial
    ");
}

#[test]
fn r4_tls_7_an_mx_whose_only_recipient_it_refused_is_left_at_a_refusal_of_ours() {
    run("
        @tls
        @mail
        C: RCPT TO:<nobody@good.example>
        ! judge good.example protected first
        > pin
        s: MAIL FROM:<a@b.example>
        s: RCPT TO:<nobody@good.example>
        S: 250 ok
        S: 550 5.1.1 nobody
        c: 550 5.1.1 nobody
        C: RCPT TO:<u@evil.example>
        ! judge evil.example protected first
        > refuse
        s: QUIT
        ! close-server
        c: 451 4.7.4 …
    ");
}

#[test]
fn redials_are_bounded_and_each_is_judged_again() {
    run("
        @tls
        @mail
        C: RCPT TO:<u@good.example>
        ! judge good.example protected first
        > redial a.example
        s: QUIT
        ! close-server
        ! dial
        > connected
        S: 220 mx.example
        s: EHLO mta.example
        S: 250-mx.example
        S: 250 STARTTLS
        s: STARTTLS
        S: 220 go
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
            @mail
            C: RCPT TO:<u@good.example>
            ! judge good.example protected first
            > redial a.example
            s: QUIT
            ! close-server
            ! dial
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
            @mail
            C: RCPT TO:<u@good.example>
            ! judge good.example protected first
            > redial a.example
            s: QUIT
            ! close-server
            ! dial
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
        @mail
        C: RCPT TO:<u@good.example>
        ! judge good.example protected first
        > redial a.example
        s: QUIT
        ! close-server
        ! dial
        > exhausted
        ! gave-up good.example busy
        c: 451 4.3.0 busy: this host has no free socket, try again later [T1]
        C: NOOP
        c: 250 2.0.0 ok
    ");
}

/// RFC 8461 §5: the connection before would have been relayed over.
#[test]
fn sts_62_where_a_redial_for_the_record_fails_any_connection_will_do() {
    for ending in [
        "> failed refused",
        "> connected\nS: 421 too many connections\ns: QUIT\n! close-server",
        "> connected\nS$\n! close-server",
    ] {
        let begin = format!(
            "
            @tls
            @mail
            C: RCPT TO:<u@good.example>
            ! judge good.example protected first
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
            > connected
            S: 220 mx
            s: EHLO mta.example
            S: 250-mx
            S: 250 STARTTLS
            s: STARTTLS
            S: 220 go
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
            > redial a.example
            s: QUIT
            ! close-server
            ! dial
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
            c: 250-mx.example
            c: 250-PIPELINING
            c: 250-8BITMIME
            c: 250-SMTPUTF8
            c: 250-ENHANCEDSTATUSCODES
            c: 250 LIMITS …
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
        c: 250-mx.example
        c: 250-PIPELINING
        c: 250-8BITMIME
        c: 250-SMTPUTF8
        c: 250-ENHANCEDSTATUSCODES
        c: 250 LIMITS …
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

#[test]
fn dn_17_smtp_17_smtp_18_targets_are_domains_literals_and_postmaster_and_bytes_stay_as_they_came() {
    for (path, target) in [
        (r#"<"a@evil.example"@Good.EXAMPLE>"#, "good.example"),
        ("<evil!u@good.example>", "good.example"),
        ("<u@[IPv6:::1]>", "::1"),
        ("<pOstmaster>", "postmaster"),
    ] {
        run(&format!(
            "
            @rcpt
            C: rcpt To:{path}  NOTIFY=NEVER
            ! judge {target} protected first
            > pin
            s: rcpt To:{}  NOTIFY=NEVER
        ",
            path.replace('"', "\\\"")
        ));
    }
}

#[test]
fn dn_14_smtp_20_recipients_and_domains_are_bounded() {
    let mut settings = settings();
    settings.limits = Limits {
        recipients: 3,
        domains: 2,
        ..Limits::default()
    };
    run_with(
        settings,
        "
        @rcpt
        C: RCPT TO:<u@two.example>
        ! judge two.example protected first
        > refuse
        c: 451 4.7.4 …
        C: RCPT TO:<u@three.example>
        c: 452 4.5.3 one-domain: too many domains in one session [T1]
        C: RCPT TO:<v@good.example>
        c: 452 4.5.3 too many recipients in one transaction
        # SMTP-21: the accepted one is not forgotten.
        C: DATA
        s: DATA
    ",
    );
}

#[test]
fn role_8_a_verdict_that_never_comes_is_a_451_and_counts_no_more() {
    run("
        @tls
        @mail
        C: RCPT TO:<u@good.example>
        ! judge good.example protected first
        > time verdict
        ! gave-up good.example undecided
        s: QUIT
        ! close-server
        c: 451 4.4.3 decision-timeout: …
        > pin
        C: NOOP
        c: 250 2.0.0 ok
    ");
    run("
        @tls
        @mail
        C: RCPT TO:<postmaster>
        ! judge postmaster protected first
        > redial a.example
        s: QUIT
        ! close-server
        ! dial
        > time dial
        ! gave-up postmaster server-lost(it does not answer in time)
        ! close-server
        c: 451 4.4.2 server-lost: …
        > connected
        > pin
    ");
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
        @mail
        C: RCPT TO:<u@good.example>
        ! judge good.example protected first
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
            @mail
            C: RCPT TO:<u@good.example>
            ! judge good.example protected first
            > pin
            s: MAIL FROM:<a@b.example>
            s: RCPT TO:<u@good.example>
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
        @mail
        C: RCPT TO:<u@good.example>
        ! judge good.example protected first
        > pin
        s: MAIL FROM:<a@b.example>
        s: RCPT TO:<u@good.example>
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
        run(&format!("{ASKED}S: 250 2.1.0 ok\nS: {reply}\nc: {reply}"));
    }
    let session = run(&format!(
        "{ASKED}S: 250 2.1.0 ok\nS: 251 2.1.5 will forward\nc: 251 2.1.5 will forward"
    ));
    assert_eq!(session.tally().recipients, 1);
}

const ASKED: &str = "
    @tls
    @mail
    C: RCPT TO:<u@good.example>
    ! judge good.example protected first
    > pin
    s: MAIL FROM:<a@b.example>
    s: RCPT TO:<u@good.example>
";
