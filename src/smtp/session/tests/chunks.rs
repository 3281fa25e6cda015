//! BDAT: what is counted, what is swallowed, and what may stand between chunks.

use super::script::run;

#[test]
fn bdat_1_dn_13_chunks_go_through_by_count_whatever_they_look_like() {
    let session = run("
        @chunks
        C~ BDAT 23\\r\\nRSET\\r\\n.\\r\\nMAIL FROM
        s: BDAT 23
        s: RSET
        s: .
        s~ MAIL FROM
        C~ :<>\\r\\n
        s: :<>
        S: 250 2.0.0 23 octets
        c: 250 2.0.0 23 octets
        C: FOO
        c: 500 5.5.2 …
    ");
    assert_eq!(session.end(), None);
}

#[test]
fn bdat_1_bdat_3_a_message_in_chunks_is_answered_by_the_mx_chunk_by_chunk() {
    let session = run("
        @chunks
        C: BDAT 0003
        s: BDAT 3
        C~ a\\r\\n
        s: a
        S: 250 2.0.0 3 octets
        c: 250 2.0.0 3 octets
        C~ bdat 6 last\\r\\n.\\r\\n
        s: BDAT 6 LAST
        s: .
        C~ b\\r\\nMAIL FROM:<a@b.example>\\r\\n
        s: b
        S: 250 queued
        c: 250 2.0.0 queued
        c: 250 2.1.0 …
    ");
    assert_eq!(session.tally().messages, 1);
}

#[test]
fn bdat_1_an_empty_last_chunk_ends_the_message() {
    let session = run("
        @chunks
        C~ BDAT 3\\r\\na\\r\\n
        s: BDAT 3
        s: a
        S: 250 ok
        c: 250 2.0.0 ok
        C: BDAT 0 LAST
        s: BDAT 0 LAST
        S: 250 queued
        c: 250 2.0.0 queued
    ");
    assert_eq!(session.tally().messages, 1);
}

#[test]
fn dn_13_pipelined_chunks_wait_for_the_reply_to_the_one_before() {
    run("
        @chunks
        C~ BDAT 3\\r\\na\\r\\nBDAT 3\\r\\nb\\r\\nBDAT 0 LAST\\r\\nQUIT\\r\\n
        s: BDAT 3
        s: a
        S: 250 one
        c: 250 2.0.0 one
        s: BDAT 3
        s: b
        S: 250 two
        c: 250 2.0.0 two
        s: BDAT 0 LAST
        S: 250 three
        c: 250 2.0.0 three
        c: 221 2.0.0 goodbye
        s: QUIT
        ! close-server
        ! close-client
    ");
}

#[test]
fn dn_13_bdat_behind_rcpt_in_the_same_segment_waits_for_the_verdict() {
    run("
        @chunking
        C~ MAIL FROM:<a@b.example>\\r\\nRCPT TO:<u@good.example>\\r\\nBDAT 6 LAST\\r\\nRSET\\r\\n
        c: 250 2.1.0 …
        ! judge good.example protected first
        @cleared
        S: 250 ok
        S: 250 ok
        c: 250 2.0.0 ok
        s: BDAT 6 LAST
        s: RSET
        S: 250 queued
        c: 250 2.0.0 queued
    ");
}

#[test]
fn bdat_2_pipe_3_a_chunk_for_nobody_is_swallowed_before_it_is_refused() {
    // Nobody was asked about.
    run("
        @chunking
        C~ BDAT 6\\r\\nRSET
        C~ \\r\\nNOOP\\r\\n
        c: 503 5.5.1 …
        c: 250 2.0.0 ok
    ");
    // Everybody was refused, here or by the MX.
    run("
        @chunking
        C~ MAIL FROM:<a@b.example>\\r\\nRCPT TO:<u@evil.example>\\r\\nBDAT 6 LAST\\r\\nRSET\\r\\n
        c: 250 2.1.0 …
        ! judge evil.example protected first
        > refuse
        s: QUIT
        ! close-server
        c: 451 4.7.4 …
        c: 503 5.5.1 …
        C: RCPT TO:<v@evil.example>
        c: 451 4.7.4 …
    ");
    run("
        @chunking
        C~ MAIL FROM:<a@b.example>\\r\\nRCPT TO:<u@good.example>\\r\\nBDAT 6 LAST\\r\\nRSET\\r\\n
        c: 250 2.1.0 …
        ! judge good.example protected first
        @cleared
        S: 250 ok
        S: 550 nobody
        c: 550 5.0.0 nobody
        c: 503 5.5.1 …
    ");
}

#[test]
fn bdat_3_no_command_but_those_of_chunks_is_taken_between_them() {
    run("
        @chunks
        C~ BDAT 3\\r\\na\\r\\n
        s: BDAT 3
        s: a
        S: 250 ok
        c: 250 2.0.0 ok
        C: MAIL FROM:<a@b.example>
        c: 503 5.5.1 …
        C: RCPT TO:<v@good.example>
        c: 503 5.5.1 …
        C: DATA
        c: 503 5.5.1 the message has begun with BDAT
        C: NOOP
        c: 250 2.0.0 ok
        C: BDAT 0 LAST
        s: BDAT 0 LAST
        S: 250 queued
        c: 250 2.0.0 queued
        # After LAST there is nobody to send to.
        C~ BDAT 6 LAST\\r\\nRSET\\r\\n
        c: 503 5.5.1 …
        C: DATA
        c: 503 5.5.1 …
    ");
}

#[test]
fn bdat_3_rset_ehlo_and_quit_are_taken_between_chunks_and_said_to_the_mx() {
    let begun = "@chunks\nC~ BDAT 3\\r\\na\\r\\n\ns: BDAT 3\ns: a\nS: 250 ok\nc: 250 2.0.0 ok\n";
    run(&format!(
        "{begun}
        C: RSET
        s: RSET
        S: 250 ok
        c: 250 2.0.0 ok
        C~ BDAT 2\\r\\nx\\n
        c: 503 5.5.1 …
    "
    ));
    run(&format!(
        "{begun}
        C: EHLO mta.example
        s: EHLO mta.example
        S: 250 mx.example
        @least
        @mail
    "
    ));
    run(&format!(
        "{begun}
        C: QUIT
        c: 221 2.0.0 goodbye
        s: QUIT
        ! close-server
        ! close-client
    "
    ));
}

#[test]
fn bdat_4_smtp_31_an_mx_without_chunking_never_hears_bdat() {
    run("
        @chunking
        @asked
        @redial
        @again
        ! starttls a.example
        > secured
        s: EHLO mta.example
        S: 250 mx.example
        ! judge good.example protected again
        > pin
        s: MAIL FROM:<a@b.example>
        S: 250 ok
        s: RCPT TO:<u@good.example>
        S: 250 ok
        c: 250 2.0.0 ok
        C~ BDAT 6\\r\\nRS
        s: QUIT
        ! close-server
        C~ ET\\r\\nBDAT 0 LAST\\r\\nRSET\\r\\n
        c: 451 4.3.3 shortfall: the destination does not offer CHUNKING [T1]
        c: 451 4.3.3 shortfall: …
        c: 250 2.0.0 ok
    ");
}

#[test]
fn bdat_6_a_chunk_of_all_64_bits_is_relayed_as_it_comes_and_held_nowhere() {
    let session = run("
        @chunks
        C: BDAT 18446744073709551615 LAST
        s: BDAT 18446744073709551615 LAST
        C~ x
        s~ x
        C~ QUIT\\r\\n
        s: QUIT
    ");
    assert!(session.wants_client() && session.input.is_empty());
    run("@chunking\nC: BDAT 18446744073709551615\nC: QUIT\nC: QUIT");
}

#[test]
fn net_07_shutdown_lets_a_message_in_chunks_be_finished() {
    let session = run("
        @chunks
        C~ BDAT 1\\r\\nx
        s: BDAT 1
        s~ x
        > shutdown
        S: 250 ok
        c: 250 2.0.0 ok
        C: BDAT 0 LAST
        s: BDAT 0 LAST
        S: 250 queued
        c: 250 2.0.0 queued
        c: 421 4.3.2 shutdown: …
        s: QUIT
        ! close-server
        ! close-client
    ");
    assert_eq!(session.tally().messages, 1);
}
