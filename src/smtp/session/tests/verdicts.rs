//! RCPT: who is judged when, for how long that counts, and what is kept of a refusal.

use super::super::super::Limits;
use super::script::{run, run_with};
use super::settings;

#[test]
fn role_5_mail_and_rcpt_leave_only_after_a_pin_and_the_mx_answers() {
    let session = run("@rcpt");
    assert_eq!(session.tally().recipients, 1);
}

#[test]
fn dn_03_a_refused_domain_beside_an_accepted_one_hears_its_refusal_alone() {
    run("
        @tls
        C~ MAIL FROM:<a@b.example>\\r\\nRCPT TO:<u@good.example>\\r\\nRCPT TO:<v@evil.example>\\r\\nDATA\\r\\n
        c: 250 2.1.0 …
        ! judge good.example protected first
        @cleared
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
        @asked
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
        @least
        C: DATA
        c: 503 5.5.1 …
        @asked
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
        @asked
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
        @redial
        > time dial
        ! gave-up postmaster server-lost(it does not answer in time)
        ! close-server
        c: 451 4.4.2 server-lost: …
        > connected
        > pin
    ");
}
