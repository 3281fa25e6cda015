//! Deadlines, shutdown, and lost peers.

use std::time::Duration;

use super::super::super::{ClientTls, End, Timeouts, Waiting};
use super::script::{run, run_with, start};
use super::settings;

#[test]
fn smtp_t2_net_16_the_default_patience_is_not_below_the_rfcs() {
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    let timeouts = Timeouts::default();
    assert!(timeouts.command >= minutes(5));
    assert!(timeouts.reply >= minutes(5));
    assert!(timeouts.data >= minutes(3));
    // Nor so short that the client, which waits ten minutes, does not give up first.
    assert!(timeouts.end_of_data > minutes(10));
}

#[test]
fn smtp_t1_each_phase_has_its_own_deadline() {
    let mut settings = settings();
    let seconds = Duration::from_secs;
    settings.timeouts = Timeouts {
        command: seconds(1),
        reply: seconds(2),
        data: seconds(3),
        end_of_data: seconds(4),
        decision: seconds(5),
        unused: seconds(6),
    };
    let judged = "@tls\n@mail\nC: RCPT TO:<u@good.example>\n! judge good.example protected first";
    let rows = [
        ("! dial".into(), Waiting::Dial, 2),
        ("! dial\n> connected".into(), Waiting::Server, 2),
        ("@greeted".into(), Waiting::Client, 1),
        ("@handshake".into(), Waiting::Dial, 2),
        ("@rcpt".into(), Waiting::Client, 1),
        (String::from(judged), Waiting::Verdict, 5),
        (
            format!("{judged}\n> redial a.example\ns: QUIT\n! close-server\n! dial"),
            Waiting::Dial,
            2,
        ),
        ("@rcpt\nC: DATA\ns: DATA".into(), Waiting::Server, 2),
        ("@data".into(), Waiting::Client, 3),
        ("@data\nC: x\ns: x".into(), Waiting::Client, 3),
        ("@data\nC: .\ns: .".into(), Waiting::Server, 4),
        ("@securing".into(), Waiting::ClientTls, 1),
    ];
    for (script, waiting, patience) in rows {
        if script == "@securing" {
            settings.client_tls = ClientTls::Offered;
        }
        let before = start();
        let session = run_with(settings.clone(), &script);
        let (deadline, awaited) = session.poll_timeout().unwrap();
        assert_eq!(awaited, waiting, "{script}");
        // The script's clock ticks a millisecond for each line.
        let left = deadline - before;
        assert!(
            left >= seconds(patience) && left < seconds(patience + 1),
            "{script}: {left:?}"
        );
    }
}

#[test]
fn dn_10_octets_that_trickle_in_do_not_move_the_deadline_of_a_command() {
    let slow = run("@tls\nC~ N\nC~ O\nC~ O");
    let idle = run("@tls");
    let gap = |session: &super::super::Session| session.poll_timeout().unwrap().0 - session.since;
    assert_eq!(gap(&slow), gap(&idle));
    assert!(slow.since < slow.now);
}

#[test]
fn dn_10_an_mx_does_not_wait_for_an_idle_client_which_hears_421_in_the_end() {
    for idle in ["@greeted", "@tls", "@clear", "@tls\n@mail"] {
        let session = run(&format!(
            "
            {idle}
            > time client
            s: QUIT
            ! close-server
            > time client
            c: 421 4.4.2 timeout: …
            ! close-client
        "
        ));
        assert_eq!(session.end(), Some(End::Timeout), "{idle}");
    }
    // The MX knows of a transaction, and the client has its whole time.
    run("
        @rcpt
        > time client
        c: 421 4.4.2 timeout: …
        s: QUIT
        ! close-server
        ! close-client
    ");
    // It is dialled again when it is needed, and judged as it is then.
    run("
        @tls
        > time client
        s: QUIT
        ! close-server
        @mail
        C: RCPT TO:<u@good.example>
        ! dial
        > connected
        S: 220 mx.example
        s: EHLO mta.example
        S: 250 mx.example
        ! judge good.example clear(not offered) first
    ");
    run("
        @data
        C: half a message
        s: half a message
        > time client
        c: 421 4.4.2 timeout: …
        ! close-server
        ! close-client
    ");
}

#[test]
fn a_deadline_that_has_not_come_changes_nothing() {
    let mut session = run("@tls");
    let now = session.now;
    session.handle_timeout(now);
    assert!(session.poll_action().is_none() && session.end().is_none());
}

#[test]
fn net_09_an_mx_that_goes_silent_fails_the_command_or_the_session() {
    run("
        @greeted
        C: EHLO mta.example
        s: EHLO mta.example
        > time server
        ! close-server
        c: 421 4.4.2 server-lost: …
        ! close-client
    ");
    run("
        @rcpt
        C: DATA
        s: DATA
        > time server
        ! close-server
        c: 451 4.4.2 server-lost: …
        C: QUIT
        c: 221 2.0.0 goodbye
        ! close-client
    ");
    run("
        @rcpt
        C: RSET
        s: RSET
        > time server
        ! close-server
        c: 250 2.0.0 ok
        @mail
        C: RCPT TO:<u@good.example>
        ! dial
    ");
}

#[test]
fn smtp_t1_net_09_an_mx_that_takes_no_more_fails_the_message_and_not_the_client() {
    let session = run("
        @data
        C: half a
        s: half a
        > stalled
        ! close-server
        C: message
        C: .
        c: 451 4.4.2 server-lost: the destination failed: it takes no more octets [T1]
        C: QUIT
        c: 221 2.0.0 goodbye
        ! close-client
    ");
    assert_eq!(session.end(), Some(End::Quit));
    run("
        @chunks
        C~ BDAT 4 LAST\\r\\nx
        s: BDAT 4 LAST
        s~ x
        > stalled
        ! close-server
        C~ \\r\\nx
        c: 451 4.4.2 server-lost: …
    ");
}

#[test]
fn an_mx_that_refuses_rset_is_left() {
    run("
        @rcpt
        C: RSET
        s: RSET
        S: 500 what
        s: QUIT
        ! close-server
        c: 250 2.0.0 ok
    ");
}

#[test]
fn net_07_shutdown_ends_what_the_mx_has_not_heard_of() {
    let goodbye = "c: 421 4.3.2 shutdown: …\ns: QUIT\n! close-server\n! close-client";
    for script in [
        "@greeted",
        "@tls",
        "@tls\n@mail",
        "@tls\n@mail\nC: RCPT TO:<u@good.example>\n! judge good.example protected first",
    ] {
        let session = run(&format!("{script}\n> shutdown\n{goodbye}"));
        assert_eq!(session.end(), Some(End::Shutdown), "{script}");
    }
    run("! dial\n> shutdown\nc: 421 4.3.2 …\n! close-server\n! close-client");
    run("@handshake\n> shutdown\nc: 421 4.3.2 …\n! close-server\n! close-client");
}

#[test]
fn net_07_shutdown_lets_a_transaction_that_the_mx_knows_be_finished() {
    let outcome = "
        S: 250 queued
        c: 250 2.0.0 queued
        c: 421 4.3.2 shutdown: …
        s: QUIT
        ! close-server
        ! close-client
    ";
    for script in [
        "@data\n> shutdown\nC: .\ns: .",
        "@data\nC: .\ns: .\n> shutdown",
        "@rcpt\n> shutdown\nC: DATA\ns: DATA\nS: 354 go\nc: 354 go\nC: .\ns: .",
        "@rcpt\nC: DATA\ns: DATA\n> shutdown\nS: 354 go\nc: 354 go\nC: .\ns: .",
    ] {
        let session = run(&format!("{script}{outcome}"));
        assert_eq!(session.end(), Some(End::Shutdown), "{script}");
        assert_eq!(session.tally().messages, 1);
    }
    run("
        @rcpt
        > shutdown
        C: RSET
        s: RSET
        S: 250 ok
        c: 250 2.0.0 ok
        c: 421 4.3.2 …
        s: QUIT
        ! close-server
        ! close-client
    ");
}

#[test]
fn a_client_that_closes_between_commands_ends_the_session_after_what_it_has_sent() {
    let session = run("
        @tls
        C~ NOOP\\r\\nhalf a com
        c: 250 2.0.0 ok
        C$
        s: QUIT
        ! close-server
        ! close-client
    ");
    assert_eq!(session.end(), Some(End::ClientLost));
    run("
        ! dial
        C~ QUIT\\r\\n
        C$
        > connected
        S: 220 mx.example
        c: 220 mx.example
        c: 221 2.0.0 goodbye
        s: QUIT
        ! close-server
        ! close-client
    ");
}

const JUDGED: &str =
    "@tls\n@mail\nC: RCPT TO:<u@good.example>\n! judge good.example protected first\n";
const REDIALLED: &str = "> redial a.example\ns: QUIT\n! close-server\n! dial\n";

#[test]
fn dn_11_a_client_that_sends_no_more_ends_a_wait_that_is_of_no_use_to_it_at_once() {
    let redialled = &format!("{JUDGED}{REDIALLED}");
    let greeting = "! dial\n> connected\n";
    for (state, ending) in [
        ("! dial\n", "! close-server\n"),
        (greeting, "! close-server\n"),
        (JUDGED, "s: QUIT\n! close-server\n"),
        (redialled, "! close-server\n"),
        // Nor is 354, when no message can follow.
        (&format!("{JUDGED}C: data\n"), "s: QUIT\n! close-server\n"),
        (&format!("{greeting}C~ EHL\n"), "! close-server\n"),
    ] {
        let session = run(&format!("{state}C$\n{ending}! close-client"));
        assert_eq!(session.end(), Some(End::ClientLost), "{state}");
    }
}

#[test]
fn dn_11_what_a_client_has_sent_before_it_closed_its_side_is_still_answered() {
    run(&format!(
        "
        {JUDGED}
        C: RSET
        C: QUIT
        C$
        > refuse
        s: QUIT
        ! close-server
        c: 451 4.7.4 …
        c: 250 2.0.0 ok
        c: 221 2.0.0 goodbye
        ! close-client
    "
    ));
    run("
        ! dial
        C: EHLO mta.example
        C$
        > connected
        S: 220 mx.example
        c: 220 mx.example
        s: EHLO mta.example
        S: 250 mx.example
        @least
        s: QUIT
        ! close-server
        ! close-client
    ");
    let session = run("
        @chunks
        C~ BDAT 3 LAST\\r\\nx\\r\\nQUIT\\r\\n
        s: BDAT 3 LAST
        s: x
        C$
    ");
    assert!(session.end().is_none());
}

#[test]
fn dn_12_a_client_that_is_lost_ends_every_wait_at_once_but_that_for_the_fate_of_its_message() {
    let redialled = &format!("{JUDGED}{REDIALLED}");
    for (state, ending) in [
        ("! dial\nC: QUIT\n", "! close-server\n"),
        ("! dial\n> connected\nC: QUIT\n", "! close-server\n"),
        ("@greeted\n", "s: QUIT\n! close-server\n"),
        ("@handshake\n", "! close-server\n"),
        ("@tls\n", "s: QUIT\n! close-server\n"),
        (
            &format!("{JUDGED}C: RSET\nC: QUIT\n"),
            "s: QUIT\n! close-server\n",
        ),
        (redialled, "! close-server\n"),
        ("@rcpt\n", "s: QUIT\n! close-server\n"),
        (
            &format!("{JUDGED}> pin\ns: MAIL FROM:<a@b.example>\ns: RCPT TO:<u@good.example>\n"),
            "! close-server\n",
        ),
        ("@rcpt\nC: RSET\ns: RSET\n", "! close-server\n"),
        ("@rcpt\nC: DATA\ns: DATA\n", "! close-server\n"),
        ("@data\nC: x\ns: x\n", "! close-server\n"),
        (
            "@chunks\nC~ BDAT 1\\r\\nx\ns: BDAT 1\ns~ x\n",
            "! close-server\n",
        ),
    ] {
        let session = run(&format!("{state}C!\n{ending}! close-client"));
        assert_eq!(session.end(), Some(End::ClientLost), "{state}");
    }
    let session = run("
        @data
        C: .
        s: .
        C: RSET
        C!
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
fn nothing_happens_after_the_end() {
    run("
        @tls
        C: QUIT
        c: 221 2.0.0 goodbye
        s: QUIT
        ! close-server
        ! close-client
        C: NOOP
        S: 250 ok
        C$
        S$
        > connected
        > pin
        > shutdown
    ");
}
